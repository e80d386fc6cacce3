"""A whole training of either model: start or resume, end, and write the results."""

import argparse
import dataclasses
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from whatyouread.models.saving import save_model
from whatyouread.support import cli, files
from whatyouread.support.cli import log
from whatyouread.support.provenance import write_record
from whatyouread.training import checkpoints as kept
from whatyouread.training.batches import Batches
from whatyouread.training.loop import Loop, Stopped
from whatyouread.training.settings import TrainingSettings, checkpoint_minutes


def train(
    task: nn.Module,
    settings: TrainingSettings,
    training: Batches,
    validation: Batches,
    checkpoints: Path,
    stamp: dict,
    *,
    seed: int,
    threads: int,
    patience: int | None = None,
    min_delta: float = 0.0,
):
    """Train `task` in place, end with the weights of the best validation loss; return the history.

    The optimizer is AdamW with a cosine schedule to 0 and no warm-up. The training writes a checkpoint
    to the folder `checkpoints` after each epoch, and every `checkpoint_minutes` within an epoch. The
    folder is not an output of a rule, so it survives a killed job. A later call with the same `stamp`
    resumes from there; a call with another stamp starts again. The history is a pandas frame with one
    row per epoch. Raises UserError if the loss is not finite or if another process uses these
    checkpoints. At SIGTERM it writes a checkpoint and ends the process with status 143.
    """
    settings.check_machine()
    seconds = 60 * checkpoint_minutes()
    loop = Loop(task, settings, training, validation, checkpoints, seed, threads, seconds)
    stamp = stamp | dataclasses.asdict(settings) | {"processes": loop.processes.count}
    main = loop.processes.number == 0
    if main:
        kept.hold(checkpoints)
        last = kept.prepare_checkpoints(checkpoints, stamp)
    loop.processes.wait()  # no process may use the folder while another one clears it
    if not main:
        last = kept.prepare_checkpoints(checkpoints, stamp)
    try:
        with _stopped_by_sigterm(loop):
            if last:
                loop.load(last)
            loop.run(patience, min_delta)
    except Stopped as stopped:
        if main:
            log.warning("ended by SIGTERM: run again to go on from %s", *stopped.args)
        sys.exit(143)
    # the main process removes the checkpoints next, but others may still be reading the best one
    loop.processes.wait()
    loop.processes.end()
    best = min(loop.history, key=lambda row: row["validation_loss"])
    log.info("best validation loss %.5f after epoch %d", best["validation_loss"], best["epoch"])
    return _frame(loop.history)


@contextmanager
def _stopped_by_sigterm(loop: Loop) -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, lambda *_: setattr(loop, "stop", True))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of both training programs."""
    add = parser.add_argument
    add("--train", type=Path, required=True, help="token file")
    add("--validation", type=Path, required=True, help="token file")
    add("--settings", type=cli.json_argument, required=True, help="section of the configuration")
    add("--seed", type=int, required=True)
    add("--threads", type=int, default=1)
    add("--checkpoints", type=Path, required=True, help="folder, kept when killed")
    add("--output-dir", type=Path, required=True, help="folder for model, history and record")


def write_results(args: argparse.Namespace, model: nn.Module, history, inputs: list[Path]) -> None:
    """Write the model, its history and its record, and remove the checkpoints (main process only).

    args: from `add_arguments`; history: from `train`; inputs: files whose digests go into the record.
    """
    if os.environ.get("RANK", "0") != "0":
        return
    save_model(args.output_dir, model)
    files.write_tsv(args.output_dir / "history.tsv", history, float_format="%.6g")
    inputs = [args.train, args.validation, *inputs, args.output_dir / "model.safetensors"]
    record = args.output_dir / "run.json"
    write_record(record, args.settings, args.seed, inputs, computed_on(args.threads))
    kept.remove(args.checkpoints)


def computed_on(threads: int) -> str:
    """Name the hardware that determines rounding: the GPU, or the CPU's instructions and threads."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {torch.backends.cpu.get_cpu_capability()}, threads: {threads}"


def _frame(history: list[dict]):
    import pandas as pd

    frame = pd.DataFrame(history)
    return frame[["epoch", *sorted(frame.columns.drop("epoch"))]]
