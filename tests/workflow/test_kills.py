"""Whole runs that are killed at random moments and started again: the program of `make chaos`."""

import subprocess
import sys

import pytest
from helpers_workflow import PROJECT


@pytest.mark.slow
def test_killed_runs_make_the_same_table(tmp_path):
    command = [sys.executable, PROJECT / "tests" / "chaos.py", "--runs", 2, "--output", tmp_path]
    options = ["--", "--cores", 1, "--max-threads", 1]
    done = subprocess.run(
        [*map(str, command + options)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 of 4 killed runs made the same results/table1.tsv" in done.stdout
    assert " after " in done.stdout  # at least one was killed
