"""Trainings that are killed inside an epoch, in an evaluation, or while they write a checkpoint."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from helpers_evaluation import random_file
from helpers_training import (
    LAUNCHER,
    SETTINGS,
    TERMS,
    Killed,
    Scripted,
    command_line,
    read_history,
    run,
)
from safetensors import SafetensorError
from safetensors.torch import load_file

from whatyouread.support.cli import UserError
from whatyouread.training import checkpoints
from whatyouread.training.batches import Batches
from whatyouread.training.settings import TrainingSettings
from whatyouread.training.train import train

ALWAYS = "1e-9"
STEPS = 5  # of an epoch: 19 sequences in batches of 4
SCRIPT = [1.0, 0.5, 0.6, 0.7, 0.4, 0.45, 0.3]
PLATEAU = [1.0, 0.5, 0.6, 0.7]  # patience 2 ends with it


class Interrupted(Scripted):
    """Runs `accident` when it has made `at` steps: in the next step, or in the evaluation."""

    def __init__(self, script, accident, at, in_evaluation):
        super().__init__(script, STEPS)
        self.accident, self.at, self.in_evaluation = accident, at, in_evaluation

    def forward(self, batch, labels):
        if self.steps == self.at and self.in_evaluation != self.training:
            self.at = None
            self.accident()
        return super().forward(batch, labels)


def die():
    raise Killed


def ask_to_end():
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return random_file(tmp_path_factory.mktemp("file") / "t.arrow", 19)


def play(file, folder, accident=None, at=None, in_evaluation=False, script=SCRIPT, patience=None):
    torch.manual_seed(0)
    task = Interrupted(script, accident, at, in_evaluation)
    settings = TrainingSettings(**SETTINGS | {"batch_size": 4, "epochs": len(script)})
    history = train(
        task, settings, Batches(file, 1, True, True), Batches(file, 1), folder, {"data": "1"},
        seed=3, threads=1, patience=patience,
    )  # fmt: skip
    return task, history


@pytest.fixture(scope="module")
def uninterrupted(file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    return {
        None: play(file, folder / "all"),
        2: play(file, folder / "patience", script=PLATEAU, patience=2),
    }


def compare(made, expected):
    (task, history), (other, whole) = made, expected
    pd.testing.assert_frame_equal(history, whole, check_exact=True)
    assert torch.equal(task.w, other.w)
    assert task.steps == other.steps


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("at", [1, 4, 12, 34])
def test_killed_inside_an_epoch(file, uninterrupted, tmp_path, monkeypatch, caplog, at):
    caplog.set_level("INFO", logger="whatyouread")
    monkeypatch.setenv("CHECKPOINT_MINUTES", ALWAYS)
    with pytest.raises(Killed):
        play(file, tmp_path / "c", die, at)
    monkeypatch.delenv("CHECKPOINT_MINUTES")
    again = play(file, tmp_path / "c")
    assert f"going on from {tmp_path / 'c' / f'checkpoint-{at}'}" in caplog.text
    compare(again, uninterrupted[None])


@pytest.mark.parametrize("at", [5, 15, 35])
def test_killed_in_an_evaluation(file, uninterrupted, tmp_path, monkeypatch, at):
    monkeypatch.setenv("CHECKPOINT_MINUTES", ALWAYS)
    with pytest.raises(Killed):
        play(file, tmp_path / "c", die, at, in_evaluation=True)
    assert f"checkpoint-{at}" in names(tmp_path / "c")
    monkeypatch.delenv("CHECKPOINT_MINUTES")
    compare(play(file, tmp_path / "c"), uninterrupted[None])


@pytest.mark.parametrize("in_evaluation", [False, True])
def test_killed_when_patience_runs_out(file, uninterrupted, tmp_path, monkeypatch, in_evaluation):
    monkeypatch.setenv("CHECKPOINT_MINUTES", ALWAYS)
    at = 20 if in_evaluation else 19
    with pytest.raises(Killed):
        play(file, tmp_path / "c", die, at, in_evaluation, PLATEAU, 2)
    monkeypatch.delenv("CHECKPOINT_MINUTES")
    compare(play(file, tmp_path / "c", script=PLATEAU, patience=2), uninterrupted[2])


@pytest.mark.parametrize(
    ("at", "in_evaluation", "written"),
    [(0, False, 1), (7, False, 8), (9, False, 10), (10, True, 10), (34, False, 35), (35, True, 35)],
)
def test_sigterm_writes_a_checkpoint(
    file, uninterrupted, tmp_path, caplog, at, in_evaluation, written
):
    """In a step, in the last one of an epoch, in an evaluation, in the last evaluation."""
    caplog.set_level("INFO", logger="whatyouread")
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        play(file, tmp_path / "c", ask_to_end, at, in_evaluation)
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is handler
    last = tmp_path / "c" / f"checkpoint-{written}"
    assert caplog.text.count("SIGTERM") == 1
    assert f"ended by SIGTERM: run again to go on from {last}\n" in caplog.text
    again = play(file, tmp_path / "c")
    assert f"going on from {last}" in caplog.text
    compare(again, uninterrupted[None])


def test_asked_to_end_again_and_again(file, uninterrupted, tmp_path):
    for at, in_evaluation in ((3, False), (4, False), (10, True), (12, False), (30, True)):
        with pytest.raises(SystemExit):
            play(file, tmp_path / "c", ask_to_end, at, in_evaluation)
    compare(play(file, tmp_path / "c"), uninterrupted[None])


def test_the_last_two_and_the_best_are_kept(file, tmp_path, monkeypatch):
    monkeypatch.setenv("CHECKPOINT_MINUTES", ALWAYS)
    with pytest.raises(Killed):
        play(file, tmp_path / "c", die, 18)
    kept = ["checkpoint-10", "checkpoint-17", "checkpoint-18", "stamp.json"]
    assert names(tmp_path / "c") == kept
    (tmp_path / "c" / ".checkpoint-19").mkdir()  # killed while writing
    with pytest.raises(Killed):
        play(file, tmp_path / "c", die, 18)
    assert names(tmp_path / "c") == kept


def test_a_damaged_checkpoint_is_not_used(file, uninterrupted, tmp_path, monkeypatch, caplog):
    folder = tmp_path / "c"
    monkeypatch.setenv("CHECKPOINT_MINUTES", ALWAYS)
    with pytest.raises(Killed):
        play(file, folder, die, 18)
    (folder / "checkpoint-18" / "optimizer.safetensors").write_bytes(b"")
    caplog.set_level("INFO", logger="whatyouread")
    with pytest.raises(SystemExit):
        play(file, folder, ask_to_end, 17)
    assert (
        f"{folder / 'checkpoint-18'} is not used: optimizer.safetensors is damaged" in caplog.text
    )
    assert f"going on from {folder / 'checkpoint-17'}" in caplog.text
    weights = folder / "checkpoint-10" / "model.safetensors"  # the best so far
    weights.write_bytes(weights.read_bytes()[:-1])
    caplog.clear()
    again = play(file, folder)
    assert "checkpoint-10 with the best weights so far: model.safetensors is damaged" in caplog.text
    assert "going on" not in caplog.text
    compare(again, uninterrupted[None])


def test_a_loss_that_is_no_number_is_not_kept(file, tmp_path, monkeypatch):
    monkeypatch.setenv("CHECKPOINT_MINUTES", ALWAYS)

    def spoil():
        task.w.data[0] = float("nan")

    task = Interrupted(SCRIPT, spoil, 7, in_evaluation=False)
    settings = TrainingSettings(**SETTINGS | {"batch_size": 4, "epochs": 3})
    batches = Batches(file, 1)
    with pytest.raises(UserError, match="the loss is nan at step 8: lower the learning rate"):
        train(task, settings, batches, batches, tmp_path / "c", {}, seed=3, threads=1)
    assert names(tmp_path / "c") == [*(f"checkpoint-{i}" for i in (5, 6, 7)), "stamp.json"]


def test_a_full_disk_ends_in_one_line(file, tmp_path, monkeypatch):
    def save(*_):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoints, "save_file", save)
    with pytest.raises(UserError, match=r"checkpoint-5: cannot be written .* make room") as caught:
        play(file, tmp_path / "c")
    assert "\n" not in str(caught.value)
    assert names(tmp_path / "c") == ["stamp.json"]


# The programs


CHANGED = {"epochs": 3, "batch_size": 6}  # 32 steps each


def kill_inside_an_epoch(command, folder, number):
    """Send the signal once there is a checkpoint from within the second epoch."""
    environment = os.environ | {"CHECKPOINT_MINUTES": "0.0003", "WHATYOUREAD_DEVICE": "cpu"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        made = map(checkpoints.number, (folder / "checkpoints").glob("checkpoint-*"))
        if any(32 < step < 64 for step in made):
            process.send_signal(number)
            break
        time.sleep(0.002)
    _, errors = process.communicate(timeout=120)
    assert not (folder / "out").exists(), errors
    return process.returncode, errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "number", "more"),
    [("train_explanandum", signal.SIGKILL, {}),
     ("train_explanandum", signal.SIGTERM, {"occlusion": 0.5}),
     ("train_explainer", signal.SIGKILL, {"objective": "sharp"}),
     ("train_explainer", signal.SIGTERM, {})],
)  # fmt: skip
def test_a_program_is_killed_and_started_again(inputs, tmp_path, caplog, name, number, more):
    whole = run(name, inputs, tmp_path / "whole", **CHANGED, **more)
    folder = tmp_path / "killed"
    folder.mkdir()
    command = [sys.executable, *command_line(name, inputs, folder, **CHANGED, **more)]
    status, errors = kill_inside_an_epoch(command, folder, number)
    assert status == (143 if number == signal.SIGTERM else -signal.SIGKILL), errors
    if number == signal.SIGTERM:
        assert len(errors.splitlines()) == 1
        assert "ended by SIGTERM: run again to go on from" in errors
    caplog.set_level("INFO", logger="whatyouread")
    run(name, inputs, folder, **CHANGED, **more)
    assert "going on from" in caplog.text
    for file in ("model.safetensors", "history.tsv", "config.json"):
        assert (folder / "out" / file).read_bytes() == (whole / file).read_bytes()
    assert names(folder) == ["out", "train.log"]


@pytest.mark.slow
@pytest.mark.parametrize(("count", "size"), [(2, 6), (3, 6), (4, 8)])
def test_several_processes_are_killed_and_started_again(inputs, tmp_path, count, size):
    """All stop at the same step when their launcher is asked to end, and go on from it.

    With two the bytes are the same; more add their gradients in an order that differs from start to start.
    """
    changed = CHANGED | {"batch_size": size}
    environment = os.environ | {"WHATYOUREAD_DEVICE": "cpu"}
    for name in ("whole", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        command = [*LAUNCHER, str(count)]
        command += command_line(
            "train_explanandum", inputs, folder, **changed, gpus=count, reading_offset=False
        )
        if name == "killed":
            status, errors = kill_inside_an_epoch(command, folder, signal.SIGTERM)
            assert status == 143
            [line] = errors.strip().splitlines()
            assert "ended by SIGTERM: run again to go on from" in line
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert "going on from" in (tmp_path / "killed" / "train.log").read_text()
    whole, killed = (tmp_path / name / "out" for name in ("whole", "killed"))
    if count == 2:
        for file in ("model.safetensors", "history.tsv"):
            assert (whole / file).read_bytes() == (killed / file).read_bytes()
    one, other = (load_file(folder / "model.safetensors") for folder in (whole, killed))
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    one, other = map(read_history, (whole, killed))
    np.testing.assert_allclose(other, one, rtol=1e-3, atol=1e-9)


@pytest.mark.slow
def test_two_processes_train_an_explainer_like_one(inputs, tmp_path):
    """But for the batch norm, which each process takes over its own half of a batch."""
    (tmp_path / "two").mkdir()
    run("train_explainer", inputs, tmp_path / "one", **CHANGED)
    command = [*LAUNCHER, "2"]
    command += command_line("train_explainer", inputs, tmp_path / "two", **CHANGED, gpus=2)
    environment = os.environ | {"WHATYOUREAD_DEVICE": "cpu"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    one, two = (read_history(tmp_path / name / "out") for name in ("one", "two"))
    for column in ("training_loss", "training_classification", "validation_classification"):
        np.testing.assert_allclose(two[column], one[column], rtol=0.05, err_msg=column)
    total = sum(two[f"training_{term}"] for term in TERMS)
    np.testing.assert_allclose(two["training_loss"], total, atol=2e-4)
