"""The documents: every command that they show is run, its long ones as a dry run or by CI itself."""

import gzip
import re
import shlex
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import yaml
from helpers_readers import write_reader
from helpers_saved import NAMES, write_models
from helpers_workflow import PROJECT, TINY, StubConda, write_config

from whatyouread.explainers.saved import load_explainer

DOCUMENTS = [
    "README.md", "config/README.md", "CONTRIBUTING.md", "docs/cluster.md", "docs/explain.md",
    "docs/python.md", "docs/words.md",
]  # fmt: skip
LONGEST_README = 1000  # words
# what a test cannot do: other people's servers and schedulers, and what changes the shell itself
ELSEWHERE = (
    "apptainer ", "conda create", "conda activate", "git clone", "cd ", "source ", "squeue", "scancel",
    "scontrol", "sinfo", "generate-slurm-partition-config", "pip install", ".ci/run", "#",
)  # fmt: skip


def commands() -> list[str]:
    """The commands in the code blocks of the documents, each on one line, without comments."""
    found = {}
    for name in DOCUMENTS:
        text = (PROJECT / name).read_text(encoding="utf-8")
        for block in re.findall(
            r"^```(?:bash|console|sh)\n(.*?)^```", text, re.MULTILINE | re.DOTALL
        ):
            for line in block.replace("\\\n", " ").splitlines():
                command = " ".join(re.sub(r"\s#.*", "", line).removeprefix("$ ").split())
                if command:
                    found[command] = None
        for command in re.findall(r"`((?:make|snakemake) [^`]+)`", text):
            found[command] = None
    return list(found)


def make_targets() -> list[str]:
    """The targets that `make help` names."""
    text = (PROJECT / "Makefile").read_text(encoding="utf-8")
    return re.findall(r'@echo "make ([a-z-]+)', text)


@pytest.fixture
def folder(tmp_path):
    """A place to run commands of the paper's run in, with a conda that only says that it is there."""
    for name in ("config", "slurm"):
        shutil.copytree(PROJECT / name, tmp_path / name)
    program = StubConda(tmp_path)
    program.add("apptainer", "#!/bin/sh\necho apptainer version 1.3.4\n")
    return tmp_path


def run(
    command: str, folder: Path, *more: str, cwd: Path | None = None
) -> subprocess.CompletedProcess:
    """Run a command in a folder, or elsewhere with the programs of that folder."""
    return StubConda(folder).run(*shlex.split(command), *more, cwd=cwd)


EXPLAIN = [command for command in commands() if "explain_sequences.py" in command]
SNAKEMAKE = [command for command in commands() if command.startswith("snakemake ")]
MAKE = [command for command in commands() if command.startswith("make ")]


def test_commands_are_found_and_none_is_forgotten():
    assert len(SNAKEMAKE) >= 4
    assert {"make demo", "make test"} <= set(MAKE)
    assert len(EXPLAIN) >= 1
    rest = set(commands()) - {*SNAKEMAKE, *MAKE, *EXPLAIN}
    assert not [command for command in rest if not command.startswith(ELSEWHERE)]


@pytest.mark.parametrize("command", SNAKEMAKE)
def test_snakemake_commands_are_planned(command, folder):
    if "--report" in command:
        pytest.skip("needs a finished run: tests/workflow makes one and its report")
    if "--lint" not in command and "--unlock" not in command:
        command = command.replace("--dry-run", "") + " --dry-run"
    command = command.replace("COMMIT", "0" * 40)
    (folder / "registers.tsv").write_text("text\tregister\n")
    done = run(command, folder, "--snakefile", str(PROJECT / "workflow" / "Snakefile"))
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.mark.parametrize("command", MAKE)
def test_make_commands_are_there(command, folder):
    """make's own dry run, with the files that the command names."""
    for name in ("sequences.fa", "taxdmp.zip", "my.fa.gz"):
        (folder / name).write_text("")
        command = command.replace(name, str(folder / name))
    done = run(f"{command} --dry-run", folder, cwd=PROJECT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.parametrize("target", make_targets())
def test_what_make_help_names_is_there(target, tmp_path):
    done = run(f"make {target} --dry-run", tmp_path, cwd=PROJECT)
    assert done.returncode == 0, done.stderr


READ = {
    "my.fa.gz": (write_models, b">mine\nACGTACGTTAGCACGT\n", "my.mask.bw"),
    "my.faa.gz": (partial(write_reader, kind="residues"), b">mine\nMKVLAAG\n", "my.residues.tsv"),
    "my.jsonl": (
        partial(write_reader, kind="word_pieces"),
        b'{"text": "the fox"}\n',
        "my.tokens.tsv",
    ),
}
"""File that a command names -> what makes a model of its kind, its content, what is made of it alone."""


def explained(command: str, tmp_path: Path) -> list[str]:
    """What a command of explain_sequences writes, with models that are there."""
    [name] = [name for name in READ if name in command]
    write, content, _ = READ[name]
    run = tmp_path / f"run_{name}"
    if not run.exists():
        write(run)
    (run / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    command = command.replace("python scripts/", f"{sys.executable} {PROJECT}/scripts/", 1)
    done = subprocess.run(command, shell=True, cwd=run, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return sorted(path.name for path in (run / "explained").iterdir())


def test_the_commands_that_explain_sequences_run(tmp_path):
    for command in EXPLAIN:
        made = explained(command, tmp_path)
        [own] = [own for name, (_, _, own) in READ.items() if name in command]
        assert {"index.html", own, "my.predictions.tsv"} <= set(made)
    [line] = [command for command in MAKE if command.startswith("make explain")]
    shown = run(f"{line} --dry-run MODEL=results/explainers/sharp/0", tmp_path, cwd=PROJECT).stdout
    [command] = re.findall(
        r"^python .*explain_sequences.*$", shown.replace("\\\n", " "), re.MULTILINE
    )
    shutil.rmtree(tmp_path / "run_my.fa.gz" / "explained")
    assert "index.html" in explained(command, tmp_path)


def test_ci_runs_what_the_readme_names():
    script = (PROJECT / ".ci" / "run").read_text()
    for target in ("lint", "test", "demo", "test-slow"):
        assert f"make {target}\n" in script


def test_the_snakemake_commands_within_make_are_planned(folder):
    """Those of the demo and of `make real`, with the options that the Makefile gives them."""
    own = folder / "my $data, 'mine'"
    data = {"DATASET": own / "sequences (1).fa", "TAXDUMP": own / "taxdmp.zip"}
    own.mkdir()
    for path in data.values():
        path.write_text("")
    named = " ".join(
        f"{key}={shlex.quote(str(path).replace('$', '$$'))}" for key, path in data.items()
    )
    texts = yaml.safe_load((PROJECT / ".test/text/config/config.yaml").read_text(encoding="utf-8"))
    for target in ("demo", "demo-text", "demo-all", f"real {named}"):
        done = run(f"make {target} --dry-run", folder, cwd=PROJECT)
        lines = done.stdout.replace("\\\n", " ").splitlines()
        called = [line for line in lines if line.lstrip().startswith("snakemake ")]
        assert called, target
        for command in called:
            if "--report" in command:
                continue
            if not target.startswith("real"):
                write_config(folder, texts if "--directory .test/text " in command else TINY)
            command = re.sub(r"--directory ('[^']*'|\S+)", "", command.strip())
            head, _, targets = command.partition(" -- ")
            snakefile = f"--snakefile {PROJECT}/workflow/Snakefile --dry-run"
            command = f"{head} {snakefile}" + (f" -- {targets}" if targets else "")
            done = run(f"bash -c {shlex.quote(command)}", folder)
            assert done.returncode == 0, done.stderr + done.stdout


def test_the_readme_is_short_and_its_links_lead_somewhere():
    text = (PROJECT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) <= LONGEST_README
    for name in (*DOCUMENTS, "ARCHITECTURE.md", "FINDINGS.md", "CHANGELOG.md", "docs/speed.md"):
        path = PROJECT / name
        for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
            if "://" not in link and not link.startswith("#"):
                file = path.parent / link.partition("#")[0]
                assert file.exists(), f"{name}: {link}"


def test_the_example_in_python(tmp_path, run_python):
    """Word for word, where a run has made its models; what it prints is what the library says."""
    folder = write_models(tmp_path)
    text = (PROJECT / "docs" / "python.md").read_text(encoding="utf-8")
    [code] = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(code.splitlines()) <= 10
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    [sequence] = re.findall('"([ACGTN]+)"', code)
    before, after = sequence.split("N")
    tokens = [*re.findall("[ACGT]{6}|[ACGT]", before), "N", *re.findall("[ACGT]{6}|[ACGT]", after)]
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[0] for line in lines] == ["kingdom", "genus", "<cls>", *tokens]
    assert lines[0][1] in NAMES["kingdom"]
    assert lines[1][1] in NAMES["genus"]
    saved = load_explainer(folder)
    _, masks = saved.explain(saved.batch([sequence]))
    assert [line[1] for line in lines[2:]] == [f"{value:.2f}" for value in masks[0]]
    assert len({line[1] for line in lines[2:]}) > 3


def test_citation_and_version_agree():
    from whatyouread import __version__

    citation = yaml.safe_load((PROJECT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == __version__
    assert f"## {__version__} " in (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_catalog_is_promised_no_deployment_that_does_not_work():
    """It shows snakedeploy, whose module of a remote repository lacks scripts/ (rules/common.smk)."""
    usage = yaml.safe_load((PROJECT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["report"] is True
    assert set(usage["software-stack-deployment"]) == {"conda", "apptainer", "apptainer+conda"}
    assert not any(usage["software-stack-deployment"].values())
    assert "snakedeploy does not" in usage["mandatory-flags"]["desc"]
