"""The settings of a gate, beside a model's weights."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from whatyouread.masks.gate_settings import GateSettings, read_gate
from whatyouread.support.cli import UserError

PROGRAM = Path(__file__).resolve().parents[2] / "scripts" / "set_gate.py"


def set_gate(folder, settings):
    return subprocess.run(
        [
            sys.executable,
            PROGRAM,
            "--settings",
            json.dumps(settings),
            "--gate",
            folder / "gate.json",
        ],
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("given", "gate"),
    [
        ({}, GateSettings(0.3, 5)),
        ({"area": 0.1}, GateSettings(0.1, 5)),
        ({"smoothing": 1}, GateSettings(0.3, 1)),
        ({"area": 0.99, "smoothing": 11}, GateSettings(0.99, 11)),
    ],
)
def test_what_the_program_writes_is_what_a_model_reads(tmp_path, given, gate):
    assert set_gate(tmp_path, given).returncode == 0
    assert read_gate(tmp_path) == gate


def test_without_the_file_the_defaults(tmp_path):
    assert read_gate(tmp_path) == GateSettings(0.3, 5)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"area": 0}, "area is 0"),
        ({"area": 1.5}, "area is 1.5"),
        ({"smoothing": 4}, "smoothing is 4"),
        ({"smoothing": -1}, "smoothing is -1"),
        ({"aera": 0.3}, "'aera'"),
    ],
)
def test_other_settings_are_one_line(tmp_path, given, words):
    done = set_gate(tmp_path, given)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "gate.json").exists()
    (tmp_path / "gate.json").write_text(json.dumps(given))
    with pytest.raises(UserError, match=words.replace(".", r"\.")):
        read_gate(tmp_path)


def test_a_damaged_file_is_one_line(tmp_path):
    (tmp_path / "gate.json").write_text('{"area": 0.')
    with pytest.raises(UserError, match="is not JSON"):
        read_gate(tmp_path)
