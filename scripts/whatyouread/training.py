"""Training with transformers' Trainer, the same way for both models.

A task is a module whose forward takes `tokens` int64 (batch, length) and `labels` int64
(batch, ranks) and returns {"loss": scalar, "values": float (batch, k)}: values of each sequence,
which `task.summarize(values, labels)` turns into named numbers for the log.
"""

import argparse
import dataclasses
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import torch
from torch import nn
from transformers import PrinterCallback, TrainingArguments
from transformers import set_seed as set_all_seeds

from whatyouread import checkpoints as kept
from whatyouread import cli, files
from whatyouread.batches import Batches
from whatyouread.cli import UserError, log
from whatyouread.explanandum import save_model
from whatyouread.provenance import write_record
from whatyouread.resumable import Stopped
from whatyouread.trainer import Patience, Report, TaskTrainer

PRECISIONS = ("fp32", "tf32", "bf16")


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """What both trainings have in common; the keys are explained in config/README.md."""

    learning_rate: float
    weight_decay: float
    batch_size: int
    epochs: int
    max_grad_norm: float
    precision: str
    compile: bool
    gpus: int

    def __post_init__(self):
        if self.precision not in PRECISIONS:
            raise UserError(f"precision is {self.precision!r}: one of {', '.join(PRECISIONS)}")


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
) -> pd.DataFrame:
    """Train `task` in place, end with the weights of the best validation loss; return the history.

    AdamW with a cosine schedule to 0 without warm-up. After each epoch, and every
    `checkpoint_minutes` within one, a checkpoint is written to the folder `checkpoints`, which is no
    output of a rule and so outlives a killed job; a later call with the same `stamp` goes on from
    there, one with another stamp starts afresh. The history has one row per epoch. Raises UserError
    when the loss is no longer finite, or when another process trains with these checkpoints; ends
    the process with status 143, after a checkpoint, at SIGTERM.
    """
    trainer = make_trainer(task, settings, training, validation, checkpoints, seed, threads)
    arguments = trainer.args
    if patience is not None:
        trainer.add_callback(Patience(patience, min_delta))
    with arguments.main_process_first(local=False):  # or they clear the folder under one another
        if arguments.process_index == 0:
            kept.hold(checkpoints)
        last = kept.prepare_checkpoints(checkpoints, stamp | dataclasses.asdict(settings))
    try:
        with _stopped_by_sigterm(trainer):
            trainer.train(str(last) if last else None)
    except Stopped as stopped:
        if arguments.process_index == 0:
            log.warning("ended by SIGTERM: run again to go on from %s", *stopped.args)
        sys.exit(143)
    # the main process goes on to remove the checkpoints; the others may still be reading the best one
    trainer.accelerator.wait_for_everyone()
    history = _history(trainer.state.log_history)
    best = history["validation_loss"].idxmin()
    log.info(
        "best validation loss %.5f after epoch %d", *history.loc[best, ["validation_loss", "epoch"]]
    )
    return history


def make_trainer(
    task: nn.Module,
    settings: TrainingSettings,
    training: Batches,
    validation: Batches,
    checkpoints: Path,
    seed: int,
    threads: int,
) -> TaskTrainer:
    """The Trainer of `train`, ready to start."""
    torch.set_num_threads(threads)
    arguments = _arguments(settings, checkpoints, seed, threads)
    if arguments.n_gpu > 1:  # several visible GPUs without torchrun would mean DataParallel
        arguments._n_gpu = 1
    trainer = TaskTrainer(
        model=task,
        args=arguments,
        train_dataset=training,
        eval_dataset=validation,
        data_collator=lambda batch: batch,  # `Batches` makes whole ones
        compute_metrics=lambda p: task.summarize(p.predictions, p.label_ids),
        callbacks=[Report()],
        seconds=60 * checkpoint_minutes(),
    )
    trainer.remove_callback(PrinterCallback)  # the report is ours
    return trainer


def checkpoint_minutes() -> float:
    """Minutes of training that a kill may cost; the workflow sets it from its configuration.

    It changes no result. So it is neither one of the settings, which are in the stamp, nor an option
    of the programs: a rule whose command has changed is run again.
    """
    text = os.environ.get("CHECKPOINT_MINUTES", "10")
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not minutes > 0:
        raise UserError(f"CHECKPOINT_MINUTES is {text!r}: give a number above 0")
    return minutes


@contextmanager
def _stopped_by_sigterm(trainer: TaskTrainer) -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, lambda *_: setattr(trainer, "stop", True))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _arguments(
    settings: TrainingSettings, checkpoints: Path, seed: int, threads: int
) -> TrainingArguments:
    cuda = torch.cuda.is_available()
    if cuda and settings.gpus > torch.cuda.device_count():
        raise UserError(
            f"gpus is {settings.gpus}, but {torch.cuda.device_count()} are visible here: "
            "lower it, or run on a machine with more"
        )
    if not cuda and (settings.gpus > 1 or os.environ.get("CUDA_VISIBLE_DEVICES")):
        log.warning("a GPU was asked for, and none can be used here: training on the CPU")
    if settings.precision == "tf32" and not cuda:
        log.warning("tf32 needs a GPU: training in fp32")
    try:
        return TrainingArguments(
            output_dir=str(checkpoints),
            per_device_train_batch_size=_share(settings.batch_size),
            per_device_eval_batch_size=_share(settings.batch_size),
            num_train_epochs=settings.epochs,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=0,
            weight_decay=settings.weight_decay,
            max_grad_norm=settings.max_grad_norm,
            use_cpu=not cuda,
            bf16=settings.precision == "bf16",
            tf32=settings.precision == "tf32" if cuda else None,
            torch_compile=settings.compile,
            eval_strategy="epoch",
            save_strategy="epoch",
            logging_strategy="epoch",
            logging_nan_inf_filter=False,
            save_total_limit=2,
            load_best_model_at_end=True,
            metric_for_best_model="loss",
            greater_is_better=False,
            seed=seed,
            data_seed=seed,
            dataloader_num_workers=threads if cuda else 0,
            dataloader_persistent_workers=cuda and threads > 0,
            dataloader_pin_memory=cuda,
            remove_unused_columns=False,
            label_names=["labels"],
            ddp_find_unused_parameters=False,
            report_to="none",
            disable_tqdm=True,
            log_level="error",
        )
    except ValueError as error:  # a GPU that has no bf16 or tf32
        raise UserError(f"precision {settings.precision}: {error}") from None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that both training programs have."""
    add = parser.add_argument
    add("--train", type=Path, required=True, help="token file")
    add("--validation", type=Path, required=True, help="token file")
    add("--settings", type=cli.json_argument, required=True, help="section of the configuration")
    add("--seed", type=int, required=True)
    add("--threads", type=int, default=1)
    add("--checkpoints", type=Path, required=True, help="folder, kept when killed")
    add("--output-dir", type=Path, required=True, help="folder for model, history and record")


def write_results(
    args: argparse.Namespace, model: nn.Module, history: pd.DataFrame, inputs: list[Path]
) -> None:
    """Write the model, its history and its record, and remove the checkpoints (main process only).

    args: those of `add_arguments`; inputs: files whose digests go into the record.
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
    """What decides how sums are rounded: the GPU, or the CPU's instructions and the threads."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {torch.backends.cpu.get_cpu_capability()}, threads: {threads}"


def set_seed(seed: int) -> None:
    """Seed all generators: the initial weights and dropout follow from it."""
    set_all_seeds(seed)


def _share(batch_size: int) -> int:
    """The batch of each process: under torchrun the processes share the batch that is configured."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if batch_size % processes:
        raise UserError(f"batch_size {batch_size} is not a multiple of {processes} processes")
    return batch_size // processes


def _history(entries: list[dict]) -> pd.DataFrame:
    """The Trainer's log as one row per epoch: epoch, learning rate, training and validation values."""
    rows: dict[int, dict] = {}
    for entry in entries:
        row = rows.setdefault(round(entry["epoch"]), {})
        for name, value in entry.items():
            if name.startswith("eval_"):
                if not name.endswith(("runtime", "per_second")):
                    row["validation_" + name.removeprefix("eval_")] = value
            elif name == "learning_rate":
                row[name] = value
            elif name not in ("epoch", "step") and "loss" in entry:
                row["training_" + name] = value
    frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("epoch").reset_index()
    # by name: a checkpoint does not keep the order of the Trainer's log
    columns = sorted(frame.columns.drop(["epoch", "training_grad_norm"], errors="ignore"))
    return frame[["epoch", *columns]].dropna(subset="validation_loss")
