"""Programs that start warm are, but for the time, what Python starts."""

import os
import subprocess
import sys

import pytest
from helpers_warm import python

CODE = """
import json, os, sys

import own

print(json.dumps([sys.argv, os.getcwd(), os.environ.get("TOLD"), own.VALUE, __name__, __file__]), flush=True)
print(sys.stdin.read(), file=sys.stderr)
if sys.argv[1] == "torch":
    print("torch" in sys.modules)
elif sys.argv[1] == "kill":
    os.kill(os.getpid(), 9)
elif sys.argv[1] == "fail":
    raise ValueError("no ü")
elif sys.argv[1].isdigit():
    sys.exit(int(sys.argv[1]))
elif sys.argv[1] != "end":
    sys.exit(sys.argv[1])
"""


def run(started: str, *words: str, folder, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [started, *words],
        cwd=folder,
        env=os.environ | environment,
        input="said ü",
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("word", ["end", "kill", "fail", "0", "3", "257", "a word"])
def test_a_program_ends_as_it_would_by_python(tmp_path, word):
    (tmp_path / "of_scripts").mkdir()
    (tmp_path / "of_scripts" / "own.py").write_text("VALUE = 5\n")
    program = tmp_path / "of_scripts" / "program.py"
    program.write_text(CODE, encoding="utf-8")
    warm, cold = (
        run(started, str(program), word, "é ', $x", folder=tmp_path, TOLD="yes")
        for started in (python(), sys.executable)
    )
    assert warm.returncode == cold.returncode
    assert warm.stdout == cold.stdout
    # tracebacks begin in other files
    assert warm.stderr.splitlines()[:2] == cold.stderr.splitlines()[:2]
    assert warm.stderr.splitlines()[-1] == cold.stderr.splitlines()[-1]


def test_it_is_warm_and_anything_else_is_left_to_python(tmp_path):
    (tmp_path / "own.py").write_text("VALUE = 5\n")
    (tmp_path / "program.py").write_text(CODE, encoding="utf-8")
    assert run(python(), "program.py", "torch", folder=tmp_path).stdout.endswith("True\n")
    code = "import sys; print('torch' in sys.modules, sys.argv); sys.exit(4)"
    done = run(python(), "-c", code, "x", folder=tmp_path)
    assert (done.returncode, done.stdout) == (4, "False ['-c', 'x']\n")
    assert run(python(), "own.py", folder=tmp_path).returncode == 0
    assert run(python(), "-m", "snakemake", "--version", folder=tmp_path).stdout[0].isdigit()


def test_random_numbers_are_of_each_program(tmp_path):
    code = "import random, numpy as np; print(random.random(), np.random.random())"
    (tmp_path / "program.py").write_text(code)
    said = {run(python(), "program.py", folder=tmp_path).stdout for _ in range(3)}
    assert len(said) == 3
