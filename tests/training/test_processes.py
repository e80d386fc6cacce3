"""Several processes on one machine: their start, their shares, and the end of all when one fails."""

import json
import os
import subprocess
import time

import pytest
import torch
from helpers_training import LAUNCHER, SCRIPTS

from whatyouread.training.processes import Processes, own_threads

ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "WHATYOUREAD_DEVICE": "cpu"}


def launch(count, command):
    return subprocess.run(
        [*LAUNCHER, str(count), *map(str, command)], env=ENVIRONMENT, capture_output=True, text=True,
        timeout=240, check=False,
    )  # fmt: skip


START = """
import json, os, sys
from pathlib import Path
sys.path[:0] = json.loads(sys.argv[1])
import torch
from helpers_training import SETTINGS, Scripted
from helpers_evaluation import RANKS
from whatyouread.data.token_files import TokenFile
from whatyouread.support import cli
from whatyouread.training import checkpoints
from whatyouread.training.batches import Batches
from whatyouread.training.settings import TrainingSettings
from whatyouread.training.train import train

class Task(Scripted):
    def forward(self, batch, labels):
        {accident}
        return super().forward(batch, labels)

def main(args):
    batches = Batches(TokenFile(args.file, RANKS), 1)
    settings = TrainingSettings(**SETTINGS | {{"batch_size": {size}, "epochs": 2, "gpus": args.gpus}})
    task = Task([1.0, 0.5], steps_per_epoch=-(-8 // {size}))
    history = train(
        task, settings, batches, batches, args.folder, {{"data": "1"}}, seed=3, threads=8
    )
    rank = os.environ["RANK"]
    made = [int(rank), len(history), torch.get_num_threads()]
    args.folder.with_name(f"made-{{rank}}.json").write_text(json.dumps(made))

if __name__ == "__main__":
    arguments = cli.parser("")
    arguments.add_argument("paths")
    arguments.add_argument("--file", type=Path)
    arguments.add_argument("--folder", type=Path)
    arguments.add_argument("--gpus", type=int)
    cli.run(arguments, main, "explanandum.batch_size")
"""


@pytest.fixture
def program(eight, tmp_path):
    """(accident within the forward pass; batch size) -> command of a small training, of 8 sequences."""

    def make(accident="pass", count=3, size=12):
        script = tmp_path / "start.py"
        script.write_text(START.format(accident=accident, size=size))
        paths = json.dumps([str(SCRIPTS), str(SCRIPTS.parent / "tests")])
        return [script, paths, "--file", eight.path, "--folder", tmp_path / "c", "--gpus", count]

    return make


@pytest.mark.slow
@pytest.mark.parametrize("count", [3, 4])
def test_three_and_four_processes_start(program, tmp_path, count):
    """Where there are checkpoints of other settings to clear, and where there are some to go on from."""
    (tmp_path / "c" / "checkpoint-5").mkdir(parents=True)
    (tmp_path / "c" / "stamp.json").write_text(json.dumps({"data": "other"}))
    done = launch(count, program(count=count))
    assert done.returncode == 0, done.stderr
    made = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("made-*.json"))]
    # eight threads are shared among the processes
    assert made == [[rank, 2, 8 // count] for rank in range(count)]
    names = {path.name for path in (tmp_path / "c").iterdir()}
    assert names == {"checkpoint-1", "checkpoint-2", "stamp.json"}
    if count == 3:
        again = launch(count, program("raise SystemExit('a step too many')", count))
        assert again.returncode == 0, again.stderr  # all of them went on from the end
        assert f"going on from {tmp_path / 'c' / 'checkpoint-2'}" in again.stderr
        assert again.stderr.count("going on from") == 1


FAULTS = {
    "out of memory in one": (
        "if os.environ['RANK'] == '1': raise torch.OutOfMemoryError('CUDA out of memory')",
        1,
        "out of memory of the GPU, in a batch of 4 sequences",
    ),
    "a mistake that all make": (
        "raise cli.UserError('lower the learning rate')",
        1,
        "ERROR lower the learning rate",
    ),
    "killed": ("if os.environ['RANK'] == '2': os.kill(os.getpid(), 9)", 137, None),
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_where_one_fails_all_end_with_one_line(program, tmp_path, fault):
    accident, status, line = FAULTS[fault]
    started = time.monotonic()
    done = launch(3, [*program(accident), "--log", tmp_path / "x.log"])
    assert time.monotonic() - started < 120
    assert done.returncode == status, done.stderr
    errors = done.stderr.strip().splitlines()
    assert len(errors) == (line is not None), done.stderr
    assert not line or line in errors[0]


@pytest.mark.slow
def test_a_stop_in_a_validation_goes_on_from_before_it(program, tmp_path):
    """Three batches of one sequence for each process: it ends in the second, not after the last."""
    accident = "assert self.training or not hasattr(self, 'asked')\n"
    accident += "        if not self.training: self.asked = os.kill(os.getpid(), 15)"
    done = launch(3, program(accident, size=3))
    assert done.returncode == 143, done.stderr
    last = tmp_path / "c" / "checkpoint-3"
    assert f"ended by SIGTERM: run again to go on from {last}" in done.stderr
    again = launch(3, program(size=3))
    assert again.returncode == 0, again.stderr
    assert f"going on from {last}" in again.stderr
    made = [json.loads(path.read_text()) for path in sorted(tmp_path.glob("made-*.json"))]
    assert [epochs for _, epochs, _ in made] == [2, 2, 2]


def test_cores_are_shared(monkeypatch):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    assert own_threads(8) == 8
    for count, threads in ((2, 4), (3, 2), (8, 1), (16, 1)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(count))
        assert own_threads(8) == threads


def test_workers_are_shared(monkeypatch, eight, tmp_path):
    from helpers_training import SETTINGS, Scripted

    from whatyouread.training import loop
    from whatyouread.training.batches import Batches
    from whatyouread.training.settings import TrainingSettings

    asked = []
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setattr(
        loop, "loader", lambda batches, numbers, workers, pin: asked.append((workers, pin))
    )
    monkeypatch.setattr(
        loop, "choose_device", lambda threads, *_: asked.append(threads) or torch.device("cpu")
    )
    batches, settings = Batches(eight, 1), TrainingSettings(**SETTINGS)
    loop.Loop(Scripted([1.0]), settings, batches, batches, tmp_path / "c", 1, threads=8)
    assert asked == [2, (0, False), (0, False)]  # without a GPU the process makes its own batches


def test_draws_differ_between_processes(monkeypatch):
    seeds = []
    for rank in range(4):
        monkeypatch.setenv("RANK", str(rank))
        processes = Processes(torch.device("cpu"))
        seeds.append([processes.own_seed(seed) for seed in (3, 4, 5)])
    assert seeds[0] == [3, 4, 5]  # one process draws as before
    assert len({seed for row in seeds for seed in row}) == 12
