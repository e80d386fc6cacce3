"""The programs' common behaviour, seen from outside: exit status, stderr, log file."""

import dataclasses
import os
import re
import signal

import pytest

from whatyouread.support.cli import UserError, settings

PROGRAM = '''
"""A program."""
import sys, time, warnings
from pathlib import Path
from whatyouread.support import cli
from whatyouread.support.cli import UserError, log

def main(args):
    log.info("at work on %s", args.x)
    {body}

if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--x", type=cli.json_argument, default={{}})
    cli.run(arguments, main)
'''


@pytest.fixture
def program(run_python, tmp_path):
    """(body of main, with a log file or not) -> (finished process, content of the log file)."""

    def run(body: str, *arguments: str, log: bool = True):
        given = [*arguments, *(["--log", str(tmp_path / "logs" / "x.log")] if log else [])]
        process = run_python(PROGRAM.format(body=body), *given)
        path = tmp_path / "logs" / "x.log"
        return process, path.read_text() if path.exists() else ""

    return run


def test_success(program):
    process, log = program("print('result')", "--x", '{"epochs": 5}')
    assert process.returncode == 0
    assert process.stdout == "result\n"
    assert process.stderr == ""  # the terminal is left to the progress bar
    assert "at work on {'epochs': 5}" in log
    assert "program.py --x" in log  # the command line


def test_without_a_log_file_the_log_goes_to_stderr(program):
    process, log = program("pass", log=False)
    assert process.returncode == 0
    assert "at work on {}" in process.stderr
    assert log == ""


def test_the_log_file_is_that_of_the_last_run(program):
    program("log.info('first run')")
    _, log = program("log.info('second run')")
    assert "second run" in log
    assert "first run" not in log


def test_a_mistake_of_the_user_is_one_line(program):
    process, log = program("raise UserError('x.fa is empty:\\n  give another')")
    assert process.returncode == 1
    [line] = process.stderr.splitlines()
    assert line.endswith("ERROR x.fa is empty: give another")
    assert line in log
    assert "Traceback" not in log
    process, _ = program("raise UserError('x.fa is empty')", log=False)
    assert process.returncode == 1
    assert "Traceback" not in process.stderr
    assert process.stderr.splitlines()[-1].endswith("ERROR x.fa is empty")


def test_a_bug_leaves_its_traceback_in_the_log_file_alone(program, tmp_path):
    process, log = program("return [][1]")
    assert process.returncode == 70
    [line] = process.stderr.splitlines()
    assert "internal error, please report it: IndexError: list index out of range" in line
    assert str(tmp_path / "logs" / "x.log") in line
    assert log.count("Traceback (most recent call last)") == 1
    assert "return [][1]" in log
    process, _ = program("return [][1]", log=False)
    assert process.returncode == 70
    assert process.stderr.count("Traceback (most recent call last)") == 1


@pytest.mark.parametrize(
    ("body", "line"),
    [
        ("open('gone.txt')", r"No such file or directory \(gone\.txt\)"),
        ("Path('.').read_bytes()", r"Is a directory \(\.\)"),
        (
            "import errno; raise OSError(errno.ENOSPC, 'No space left on device', 'a.tsv')",
            r"No space left on device \(a\.tsv\): make room there and start again",
        ),
        (
            "import errno; raise OSError(errno.EACCES, 'Permission denied', 'a.tsv')",
            r"Permission denied \(a\.tsv\): see who may read and write there",
        ),
        ("Path('x').touch(); Path('x', 'y').mkdir()", r"Not a directory \(x/y\)"),
        ("raise MemoryError", "out of memory: give the job more memory or lower the batch size"),
        (
            "import torch; raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate')",
            "out of memory of the GPU: lower the batch size",
        ),
        (
            "import torch; torch.empty(10**14)",
            "out of memory: give the job more memory or lower the batch size",
        ),
    ],
    ids=[
        "missing",
        "folder",
        "full",
        "forbidden",
        "parent",
        "memory",
        "memory of a GPU",
        "memory of torch",
    ],
)
def test_what_the_machine_lacks_is_one_line(program, body, line):
    process, log = program(body)
    assert process.returncode == 1
    [error] = process.stderr.splitlines()
    assert re.search(f"ERROR {line}", error)
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("first", "tried_again"),
    [("CUDA out of memory", False), ("DefaultCPUAllocator: can't allocate memory", True)],
)
def test_a_second_attempt_ends_at_once_where_it_would_end_the_same(
    program, tmp_path, monkeypatch, first, tried_again
):
    body = f"Path('tried').touch(); raise RuntimeError({first!r})"
    process = program(body)[0]
    (tmp_path / "tried").unlink()
    monkeypatch.setenv("WHATYOUREAD_ATTEMPT", "2")
    for _ in range(2):
        again = program(body)[0]
        assert again.returncode == 1
        assert again.stderr.splitlines()[-1][20:] == process.stderr.splitlines()[-1][20:]
        assert (tmp_path / "tried").exists() == tried_again
    monkeypatch.setenv("WHATYOUREAD_ATTEMPT", "1")  # a new call of Snakemake
    program(body)
    assert (tmp_path / "tried").exists()


def test_an_oserror_that_names_nothing_is_a_bug(program):
    process, log = program("raise OSError('strange')")
    assert process.returncode == 70
    assert "Traceback" in log


def test_interrupted(program):
    process, _ = program("raise KeyboardInterrupt")
    assert process.returncode == 130
    assert process.stderr.splitlines()[0].endswith("ERROR interrupted")
    assert "Traceback" not in process.stderr


def test_a_program_may_end_itself(program):
    assert program("sys.exit(3)")[0].returncode == 3


def test_warnings_are_seen_in_both_places(program):
    process, log = program("warnings.warn('odd'); log.warning('odder')")
    assert process.returncode == 0
    for text in (process.stderr, log):
        assert "UserWarning: odd" in text
        assert "WARNING odder" in text


def test_wrong_arguments(program):
    process, _ = program("pass", "--x", "{epochs: 5}")
    assert process.returncode == 2
    assert "not JSON" in process.stderr
    assert "Traceback" not in process.stderr
    assert program("pass", "--help")[0].stdout.count("A program.") == 1


def test_a_log_file_that_cannot_be(run_python, tmp_path):
    (tmp_path / "file").touch()
    process = run_python(PROGRAM.format(body="pass"), "--log", tmp_path / "file" / "x.log")
    assert process.returncode == 2
    assert re.search(r"--log \S+x\.log: (File exists|Not a directory)", process.stderr)
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["TERM", "INT"]
)
def test_signals_run_the_finally_blocks(run_python, tmp_path, number, status):
    body = """
    try:
        print("ready", flush=True)
        time.sleep(60)
    finally:
        Path("cleaned").touch()
    """
    process = run_python(PROGRAM.format(body=body), wait=False)
    try:
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, number)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == status
    assert (tmp_path / "cleaned").exists()
    assert "Traceback" not in err


@dataclasses.dataclass
class Drawn:
    seed: int
    fraction: float = 0.5

    def __post_init__(self):
        if self.fraction > 1:
            raise UserError("fraction is more than 1")


def test_settings():
    assert settings(Drawn, {"seed": 3, "fraction": 0.25}) == Drawn(3, 0.25)
    assert settings(Drawn, {"seed": 3}) == Drawn(3, 0.5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"seed": 3, "fractoin": 1},
            r"settings of Drawn: .*unexpected keyword argument 'fractoin'",
        ),
        ({"fraction": 1}, r"settings of Drawn: .*missing 1 required positional argument: 'seed'"),
        ({"seed": 3, "fraction": 2}, "^fraction is more than 1$"),
    ],
)
def test_settings_that_do_not_fit(values, message):
    with pytest.raises(UserError, match=message) as error:
        settings(Drawn, values)
    assert "__init__" not in str(error.value)


LEAK = "http://user:S3cret-Wort@host/x?token=S3cret-Wort"


@pytest.mark.parametrize(
    "body",
    [
        f"log.warning('%s', '{LEAK}')",
        f"warnings.warn('{LEAK}')",
        f"raise UserError('{LEAK}')",
        f"raise RuntimeError('{LEAK}')",
        f"raise OSError(2, 'not there', '{LEAK}')",
        f"import logging; logging.getLogger('urllib3').warning('{LEAK}')",
    ],
)
@pytest.mark.parametrize("to_file", [True, False])
def test_no_message_holds_a_secret(program, body, to_file):
    process, log = program(body, "--x", f'{{"url": "{LEAK}"}}', log=to_file)
    said = process.stdout + process.stderr + log
    assert "host/x?token=***" in said
    assert "S3cret-Wort" not in said


def test_no_usage_message_holds_a_secret(program):
    process, _ = program("pass", "--x", f'{{"url": "{LEAK}"')
    assert process.returncode == 2
    assert "host/x?token=***" in process.stderr
    assert "S3cret-Wort" not in process.stderr
