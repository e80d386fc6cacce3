"""The folder of checkpoints: its stamp, its lock, which checkpoint is taken."""

import errno
import fcntl
import os
import signal
from pathlib import Path

import pytest
from helpers_evaluation import write_tokens

from whatyouread.support.cli import UserError
from whatyouread.training import checkpoints


def test_other_settings_are_named(tmp_path, caplog):
    checkpoints.prepare_checkpoints(tmp_path / "c", {"a": 1, "b": 0.5, "data": "x" * 64})
    checkpoints.prepare_checkpoints(tmp_path / "c", {"a": 1, "b": 0.25, "data": "y" * 64})
    assert "(b was 0.5, is 0.25; data): starting afresh" in caplog.text


def test_the_last_checkpoint_by_number(tmp_path):
    checkpoints.prepare_checkpoints(tmp_path / "c", {"a": 1, "b": (1, 2)})
    for step in (9, 10, 100):
        (tmp_path / "c" / f"checkpoint-{step}").mkdir()
        state = tmp_path / "c" / f"checkpoint-{step}" / "state.json"
        state.write_text('{"best": null}')
        if step != 100:
            checkpoints.seal(state.parent)
    found = checkpoints.prepare_checkpoints(tmp_path / "c", {"b": [1, 2], "a": 1})
    assert found == tmp_path / "c" / "checkpoint-10"
    (tmp_path / "c" / "stamp.json").write_text('{"a')
    assert checkpoints.prepare_checkpoints(tmp_path / "c", {"a": 1}) is None
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["stamp.json"]


def test_fingerprint_tells_files_apart(tmp_path):
    one = write_tokens(tmp_path / "a", [[3, 9], [3, 10, 11]], [[0, 1], [1, 2]], [5, 6])
    same = write_tokens(tmp_path / "b", [[3, 9], [3, 10, 11]], [[0, 1], [1, 2]], [5, 6])
    assert checkpoints.fingerprint(one) == checkpoints.fingerprint(same)
    others = [
        write_tokens(tmp_path / "c", [[3, 9], [3, 10, 11]], [[0, 1], [1, 3]], [5, 6]),
        write_tokens(tmp_path / "d", [[3, 9], [3, 10, 11]], [[0, 1], [1, 2]], [5, 7]),
        write_tokens(tmp_path / "e", [[3, 9, 9], [3, 10, 11]], [[0, 1], [1, 2]], [5, 6]),
    ]
    prints = {checkpoints.fingerprint(file) for file in (one, *others)}
    assert len(prints) == 4
    assert checkpoints.fingerprint(one, others[0]) != checkpoints.fingerprint(others[0], one)


# Two processes and one folder


HOLDER = """
import os, sys, time
from pathlib import Path
from whatyouread.training.checkpoints import hold
hold(Path(sys.argv[1]))
if len(sys.argv) > 2 and os.fork() == 0:
    time.sleep(60)
print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("with_child", [False, True])
def test_two_processes_do_not_share_a_folder(run_python, tmp_path, monkeypatch, with_child):
    monkeypatch.setattr(checkpoints, "LONGEST_WAIT", 0.3)
    folder = tmp_path / "some" / "c"
    holder = run_python(HOLDER, folder, *["child"] * with_child, wait=False)
    child = None
    try:
        holder.stdout.readline()
        with pytest.raises(UserError, match=f"process {holder.pid} on .* is training with these"):
            checkpoints.hold(folder)
        if with_child:
            tasks = Path(f"/proc/{holder.pid}/task/{holder.pid}/children")
            child = int(tasks.read_text()) if tasks.exists() else None
        holder.kill()
        holder.wait()
        checkpoints.hold(folder)  # the dead do not block, whatever they have left behind
        checkpoints.hold(folder)
    finally:
        holder.kill()
        if child:
            os.kill(child, signal.SIGKILL)
    folder.mkdir()
    checkpoints.remove(folder)
    assert not list(folder.parent.iterdir())


@pytest.mark.skipif(not hasattr(signal, "sigwaitinfo"), reason="Linux only")
def test_a_file_system_without_locks(tmp_path, monkeypatch, caplog):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    checkpoints.hold(tmp_path / "c")
    assert "no lock" in caplog.text
    assert "make sure that only one process trains" in caplog.text
    checkpoints.remove(tmp_path / "c")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["thesis.txt", "model.safetensors", "checkpoint.txt"])
def test_a_folder_that_holds_something_else_is_not_emptied(tmp_path, name):
    folder = tmp_path / "c"
    folder.mkdir()
    (folder / name).write_text("mine")
    with pytest.raises(UserError, match="no checkpoint of a training"):
        checkpoints.prepare_checkpoints(folder, {"a": 1})
    assert [path.name for path in folder.iterdir()] == [name]


def test_what_a_kill_left_without_a_stamp_is_emptied(tmp_path):
    folder = tmp_path / "c"
    for name in ("checkpoint-3", ".1a2b3c4d.checkpoint-4"):
        (folder / name).mkdir(parents=True)
    assert checkpoints.prepare_checkpoints(folder, {"a": 1}) is None
    assert [path.name for path in folder.iterdir()] == ["stamp.json"]
