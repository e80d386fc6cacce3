"""A whole training of either model: start or resume, end, and write the results."""

import argparse
import dataclasses
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from whatyouread.data.token_files import TokenFile
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.gpu import use_gpu
from whatyouread.models.saving import save_model
from whatyouread.support import cli, files
from whatyouread.support.cli import UserError, log
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
    # a setting that is not given is none of the stamp, which older versions wrote without it
    given = {k: v for k, v in dataclasses.asdict(settings).items() if v is not None}
    stamp = stamp | given | {"processes": loop.processes.count}
    main = loop.processes.number == 0
    try:
        steps = 0
        if main:  # alone: others would clear and write the same folder
            kept.hold(checkpoints)
            last = kept.prepare_checkpoints(checkpoints, stamp)
            steps = kept.number(last) if last else 0
        steps = loop.processes.highest(steps)  # waits for process 0
        with _stopped_by_sigterm(loop):
            if steps:
                loop.load(kept.place(checkpoints, steps))
            loop.run(patience, min_delta)
        # the main process removes the checkpoints next, but others may still be reading the best one
        loop.processes.wait()
    except Stopped as stopped:
        if main:
            log.warning("ended by SIGTERM: run again to go on from %s", *stopped.args)
        sys.exit(143)
    except RuntimeError as error:
        if loop.processes.broke(error):
            _leave_to_others(loop, error)
        raise
    loop.processes.end()
    best = min(loop.history, key=lambda row: row["validation_loss"])
    log.info("best validation loss %.5f after epoch %d", best["validation_loss"], best["epoch"])
    return _frame(loop.history)


def _leave_to_others(loop: Loop, error: RuntimeError) -> None:
    """Wait for torchrun's SIGTERM after the failure of another process, which says why it failed."""
    deadline = time.monotonic() + 4 * cli.SECONDS_OF_THE_FIRST
    while time.monotonic() < deadline:  # SIGTERM interrupts the sleep and ends the process
        if loop.stop:
            sys.exit(143)
        time.sleep(0.1)
    first = str(error).strip().splitlines()[0]
    raise UserError(f"the connection between the processes broke: {first}") from None


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


def token_files(args: argparse.Namespace, explanandum: Explanandum) -> tuple[TokenFile, TokenFile]:
    """The files to train and to validate on, of what a classifier reads.

    args: from `add_arguments`. Raises UserError where a file has classes or tokens that are not the
    classifier's.
    """
    training, validation = (
        TokenFile(path, explanandum.ranks) for path in (args.train, args.validation)
    )
    for file in (training, validation):
        file.check_classes(explanandum.class_counts, explanandum.kinds)
        if file.tokenizer.name != explanandum.tokenizer.name:
            raise UserError(
                f"{file.path} has {file.tokenizer.name} tokens and the classifier reads "
                f"{explanandum.tokenizer.name}: run tokenize_sequences with its own (tokenizer: backbone)"
            )
    return training, validation


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
    write_record(record, args.settings, args.seed, inputs, computed_on())
    kept.remove(args.checkpoints)


def computed_on() -> str:
    """Name the hardware that determines rounding: the GPU, or the CPU's instructions and threads."""
    if use_gpu():
        return torch.cuda.get_device_name()
    threads = torch.get_num_threads()
    return f"CPU, {torch.backends.cpu.get_cpu_capability()}, threads: {threads}"


def _frame(history: list[dict]):
    import pandas as pd

    frame = pd.DataFrame(history)
    return frame[["epoch", *sorted(frame.columns.drop("epoch"))]]
