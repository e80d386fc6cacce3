"""One whole tiny run, which the slow tests share."""

import shutil
from pathlib import Path

import pytest
from helpers_workflow import PROJECT, TINY, snakemake, write_config


@pytest.fixture
def papers_folder(tmp_path) -> Path:
    """A folder with the configuration of the paper's run."""
    shutil.copytree(PROJECT / "config", tmp_path / "config")
    return tmp_path


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory) -> Path:
    """A folder in which everything was made with the tiny configuration; not to be changed."""
    folder = write_config(tmp_path_factory.mktemp("tiny"), TINY)
    done = snakemake(folder, "--cores", "2")
    assert done.returncode == 0, done.stderr[-4000:]
    return folder
