"""Containers: the recipe for nodes without conda, and the one that Snakemake makes by itself."""

import re
import shutil

import yaml
from helpers_workflow import PROJECT, TINY, StubConda, write_config

CONTAINERIZE = ("snakemake", "--containerize")
# Apptainer, as far as a job can tell: writes down how it was called, then runs the command
APPTAINER = """#!/usr/bin/env bash
if [ "$1" = --version ]; then echo "apptainer version 1.3.4"; exit; fi
echo "$@" >>called
while [ "$1" != -c ]; do shift; done
exec bash -c "$2"
"""


def test_a_container_holds_each_environment_whole(tmp_path):
    """`snakemake --containerize`: a Dockerfile that makes every environment, pip's packages with it."""
    conda = StubConda(tmp_path)
    done = conda.run(*CONTAINERIZE, "dockerfile", cwd=PROJECT)
    assert done.returncode == 0, done.stderr
    text = done.stdout
    assert text.startswith("FROM ")
    copied = re.findall(
        r"^COPY (envs/\w+\.yaml) (/conda-envs/\w+)/environment.yaml$", text, re.MULTILINE
    )
    contents = {(PROJECT / path).read_text() for path, _ in copied}
    assert contents == {path.read_text() for path in (PROJECT / "envs").glob("*.yaml")}
    for _, prefix in copied:
        assert f"conda env create --prefix {prefix} --file {prefix}/environment.yaml" in text
    assert "#         - torch ==" in text
    assert "From: " in conda.run(*CONTAINERIZE, "apptainer", cwd=PROJECT).stdout


def recipe() -> dict[str, list[str]]:
    """The sections of apptainer.def: name -> lines, without comments; "" is its head."""
    text = (PROJECT / "apptainer.def").read_text()
    parts = re.split(r"^%(\w+)$", text, flags=re.MULTILINE)
    parts = dict(zip(["", *parts[1::2]], parts[::2], strict=True))
    return {
        name: [
            line.strip() for line in body.splitlines() if line.strip() and line.strip()[0] != "#"
        ]
        for name, body in parts.items()
    }


def test_the_recipe_installs_what_make_venv_installs():
    sections = recipe()
    assert set(sections) == {"", "files", "post", "environment", "test"}
    assert sections[""] == ["Bootstrap: docker", "From: python:3.11-slim"]
    ((source, target),) = (line.split() for line in sections["files"])
    assert (PROJECT / source).is_file()
    assert f"python -m pip install --no-cache-dir --requirement {target}" in sections["post"]
    # what the environments have that is no package of Python
    others = {"python", "pip"}
    for path in (PROJECT / "envs").glob("*.yaml"):
        for entry in yaml.safe_load(path.read_text())["dependencies"]:
            if isinstance(entry, str) and entry.split()[0] not in others:
                assert f" {entry.split()[0]} " in "".join(sections["post"])


def test_jobs_run_in_the_image_that_the_configuration_names(tmp_path):
    program = StubConda(tmp_path)
    program.add("apptainer", APPTAINER)
    write_config(tmp_path, TINY | {"container": "whatyouread.sif"})
    (tmp_path / "whatyouread.sif").touch()
    more = ("--cores", "1", "--apptainer-args=--nv", "--", "resources/simulated/dataset.zip")
    done = program.snakemake("--software-deployment-method", "apptainer", *more)
    assert done.returncode == 0, done.stderr
    (called,) = re.findall("^exec .*$", (tmp_path / "called").read_text(), re.MULTILINE)
    assert re.search(r" --nv .* ?whatyouread\.sif bash -c .*simulate_dataset\.py", called)
    # elsewhere the key changes nothing
    (tmp_path / "called").unlink()
    shutil.rmtree(tmp_path / "resources")
    done = program.snakemake(*more)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "called").exists()
