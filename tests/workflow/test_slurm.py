"""The profile for a cluster: what each job asks for, and what Slurm is then given."""

import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from helpers_workflow import PROJECT, StubConda
from snakemake_executor_plugin_slurm.partitions import get_best_partition, read_partition_file
from snakemake_executor_plugin_slurm.submit_string import get_submit_command
from snakemake_executor_plugin_slurm.utils import set_gres_string

DAY = 24 * 60
QUIET = SimpleNamespace(debug=lambda text: None, info=lambda text: None)


class Job(SimpleNamespace):
    """A job of a plan: rule, wildcards (text), threads, resources (a dict)."""

    @property
    def name(self) -> str:
        return f"{self.rule} {self.wildcards}"


class Resources(dict):
    """With values as attributes, which the plugin also reads."""

    def __getattr__(self, name: str):
        return self[name]


def plan(folder: Path, changed: str = "", attempt: int = 1) -> list[Job]:
    """The jobs of the paper's run by the profile, or by a changed text of it, one Explainer on 4 GPUs."""
    shutil.copytree(PROJECT / "slurm", folder / "slurm")
    path = folder / "slurm" / "config.yaml"
    profile = yaml.safe_load(changed or path.read_text())
    del profile["groups"], profile["group-components"]  # a dry run says less of jobs in groups
    path.write_text(yaml.safe_dump(profile))
    (folder / "more.yaml").write_text("explainers: {sharp: {gpus: 4}}")
    more = ("--attempt", str(attempt), "--configfile", "more.yaml")
    # enough cores: a dry run cuts the threads to them, which Slurm's plugin does not
    done = StubConda(folder).snakemake("-n", "--profile", "slurm", "--cores", "64", *more)
    assert done.returncode == 0, done.stderr + done.stdout
    found = []
    for block in re.split(r"\n(?=rule |localrule )", done.stdout.partition("Job stats:")[2]):
        rule = re.match(r"(?:rule|localrule) (\w+):|", block)[1]
        if rule in (None, "all"):
            continue
        lines = dict(re.findall(r"^    (\w+): (.*)$", block, re.MULTILINE))
        resources = Resources()
        for pair in lines["resources"].split(", "):
            key, _, value = pair.partition("=")
            resources[key] = int(value) if value.isdigit() else value
        threads = int(lines.get("threads", 1))
        found.append(
            Job(
                rule=rule, wildcards=lines.get("wildcards", ""), threads=threads, resources=resources,
            )
        )  # fmt: skip
    assert len(found) > 60
    return found


def training(jobs: list[Job], wildcards: str = "explainer=sharp, run=0") -> Job:
    return next(job for job in jobs if job.name == f"train_explainer {wildcards}")


def submitted(job: Job) -> str:
    """The command line for sbatch."""
    about = dict.fromkeys(
        ("run_uuid", "slurm_logfile", "comment_str", "account", "partition", "workdir"), "x"
    )
    return get_submit_command(job, about) + set_gres_string(job)


@pytest.fixture(scope="module")
def profile() -> str:
    return (PROJECT / "slurm" / "config.yaml").read_text()


@pytest.fixture(scope="module")
def attempts(tmp_path_factory) -> dict[int, list[Job]]:
    """The plans of the first, the second and the last attempt."""
    made = {}
    for attempt in (1, 2, 5):
        folder = tmp_path_factory.mktemp("plan")
        shutil.copytree(PROJECT / "config", folder / "config")
        made[attempt] = plan(folder, attempt=attempt)
    return made


def test_every_job_finds_its_partition_in_every_attempt(attempts, profile):
    """By its needs alone: no rule names a partition. A GPU costs no job that has no use for one."""
    named = yaml.safe_load(profile)
    assert named["slurm-partition-config"] == "partitions.yaml"  # found beside the profile
    assert "slurm_partition" not in str(named)
    partitions = read_partition_file(PROJECT / "slurm" / "partitions.yaml")
    for jobs in attempts.values():
        for job in jobs:
            assert "slurm_partition" not in job.resources
            wanted = "gpu" if job.resources.get("gpu") else "cpu"
            assert get_best_partition(partitions, job, QUIET) == wanted, job.name


def test_one_line_gives_all_jobs_one_partition(papers_folder, profile):
    """The commented default takes the place of the partitions of the file."""
    changed = profile.replace("# slurm_partition:", "slurm_partition:")
    assert changed != profile
    jobs = plan(papers_folder, changed)
    assert {job.resources["slurm_partition"] for job in jobs} == {"my_partition"}


def test_memory_and_time_grow_with_each_attempt(attempts):
    named = [{job.name: job for job in jobs} for jobs in attempts.values()]

    def needs(key: str) -> list[tuple[Job, list[int]]]:
        return [
            (job, [jobs[name].resources[key] for jobs in named]) for name, job in named[0].items()
        ]

    for job, (first, second, last) in needs("mem_mb"):
        assert second == 2 * first, job.name
        assert last == (2 if job.rule.startswith("train_") else 3) * first, job.name
    for job, (first, second, last) in needs("runtime"):
        # a longer one would be in the queue of few partitions
        assert [second, last] == [min(2 * first, DAY), min(5 * first, DAY)], job.name


def test_trainings_have_days_in_slices(attempts, profile):
    """A slice ends with a checkpoint: SIGTERM comes to the shell two minutes before the end."""
    jobs = attempts[1]
    assert yaml.safe_load(profile)["retries"] + 1 >= 5
    trainings = [job for job in jobs if job.rule.startswith("train_")]
    assert len(trainings) == 8
    for job in jobs:
        is_training = job in trainings
        assert ("--signal=B:TERM@120" in job.resources.get("slurm_extra", "")) == is_training
        assert job.resources["runtime"] <= DAY
        if is_training:
            assert job.resources["runtime"] == DAY
            assert " --signal=B:TERM@120" in submitted(job)


def test_four_gpus_are_on_one_node_with_cores_for_each(attempts):
    """Not cut to what one machine may do at a time."""
    one, four = (training(attempts[1], f"explainer={name}, run=0") for name in ("paper", "sharp"))
    for job, gpus, memory in ((one, 1, 32000), (four, 4, 80000)):
        said = submitted(job)
        assert f"--gpus={gpus}" in said
        assert "--nodes=1 " in said
        assert f"--cpus-per-task={8 * gpus}" in said
        assert f"--mem {memory} " in said


def test_a_certain_gpu_is_a_line_to_uncomment(papers_folder, profile):
    jobs = plan(papers_folder, profile.replace("# gpu_model: \"'a100'\"", "gpu_model: \"'a100'\""))
    said = submitted(training(jobs))
    assert "--gpus=a100:4" in said
    assert "--gres" not in said


def test_gres_takes_the_place_of_gpus(papers_folder, profile):
    """In both trainings; the plugin refuses a job with `gpu` and `gres`."""
    changed = profile.replace("# gpu: 0", "gpu: 0").replace("# gres:", "gres:")
    job = training(plan(papers_folder, changed), "explainer=paper, run=0")
    said = submitted(job)
    assert "--gres=gpu:a100:1" in said
    assert "--gpus" not in said
    partitions = read_partition_file(PROJECT / "slurm" / "partitions.yaml")
    assert get_best_partition(partitions, job, QUIET) == "gpu"


def test_all_pictures_share_jobs(profile):
    groups = yaml.safe_load(profile)["groups"]
    rules = {path.stem for path in (PROJECT / "envs").glob("*.yaml")}
    grouped = {rule for rule, group in groups.items() if group == "plots"}
    assert grouped == {rule for rule in rules if rule.startswith("plot_")}
    assert set(groups) <= rules


def test_one_gpu_job_at_a_time_on_one_machine(papers_folder):
    """The plan without the profile: `gpu_jobs`, which each job with a GPU has and no other."""
    done = StubConda(papers_folder).snakemake("-n", "--use-conda", "-j1", "results/summary.md")
    assert done.returncode == 0, done.stderr + done.stdout
    for resources in re.findall(r"resources: (.*)", done.stdout):
        assert ("gpu=" in resources) == ("gpu_jobs=1" in resources)


def test_what_may_take_a_gpu_is_a_gpu_job():
    """Only one of them runs at a time on one machine; the others compute on the CPU."""
    rules = {}
    for path in sorted((PROJECT / "workflow" / "rules").glob("*.smk")):
        for part in re.split(r"^rule ", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
            rules[part.partition(":")[0]] = part
    programs = [
        path
        for path in sorted((PROJECT / "scripts").glob("*.py"))
        if "choose_device(" in path.read_text(encoding="utf-8")
    ]
    assert len(programs) > 5
    for program in programs:
        users = [text for text in rules.values() if f"scripts/{program.name}" in text]
        assert users, program
        assert all("gpu_jobs=1" in text for text in users), program
