"""Run a program of scripts/ in this process."""

import runpy
import sys
from pathlib import Path


def run_here(monkeypatch, program: Path, *options: object) -> int | None:
    """Run a program with options as its command line; its exit status, None where it just ends."""
    monkeypatch.setattr(sys, "argv", [str(program), *map(str, options)])
    try:
        runpy.run_path(str(program), run_name="__main__")
    except SystemExit as end:
        return end.code
    return None
