"""Training with transformers' Trainer, the same way for both models: batches, restarts, history.

A task is a module whose forward takes `tokens` int64 (batch, length) and `labels` int64
(batch, ranks) and returns {"loss": scalar, "values": float (batch, k)}: values of each sequence,
which `task.summarize(values, labels)` turns into named numbers for the log.
"""

import dataclasses
import hashlib
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import Dataset, Sampler

from whatyouread import tokens as vocabulary
from whatyouread.cli import UserError, log
from whatyouread.draws import draw
from whatyouread.files import write_json
from whatyouread.progress import progress
from whatyouread.token_files import TokenFile, pad

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


class Batches(Dataset):
    """Whole batches of a token file, by row number; nothing happens once per sequence.

    A row number carries the epoch (row + epoch * rows, see `EpochSampler`), so that augmentation is
    drawn for the sequence and the epoch, whatever worker makes the batch.
    """

    def __init__(
        self,
        file: TokenFile,
        seed: int,
        reverse_complement: bool = False,
        reading_offset: bool = False,
    ):
        self.file, self.seed = file, seed
        self.reverse_complement, self.reading_offset = reverse_complement, reading_offset

    def __len__(self) -> int:
        return len(self.file)

    def __getitems__(self, numbers: list[int]) -> dict[str, torch.Tensor]:
        epoch, rows = np.divmod(np.asarray(numbers), len(self))
        if self.reverse_complement or self.reading_offset:
            tokens = self._augmented(rows, epoch)
        else:
            tokens = self.file.tokens(rows)
        return {
            "tokens": torch.from_numpy(tokens),
            "labels": torch.from_numpy(self.file.labels[rows]),
        }

    def _augmented(self, rows: np.ndarray, epoch: np.ndarray) -> np.ndarray:
        keys = self.file.keys[rows]
        reverse = np.zeros(len(rows), bool)
        skip = np.zeros(len(rows), np.int64)
        if self.reverse_complement:
            reverse = draw(self.seed, "reverse complement", keys, epoch) < 0.5
        if self.reading_offset:
            skip = (vocabulary.K * draw(self.seed, "reading offset", keys, epoch)).astype(np.int64)
        flat, offsets = vocabulary.augment(*self.file.flat_tokens(rows), reverse, skip)
        return pad(flat, offsets[:-1], np.diff(offsets))


class EpochSampler(Sampler):
    """All rows in an order drawn from the seed and the epoch alone; yields row + epoch * rows."""

    def __init__(self, rows: int, seed: int):
        self.rows, self.seed, self.epoch = rows, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.rows

    def __iter__(self):
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.rows)
        return iter((order + self.epoch * self.rows).tolist())


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

    AdamW with a cosine schedule to 0 without warm-up. After each epoch a checkpoint is written to
    the folder `checkpoints`, which is no output of a rule and so outlives a killed job; a later call
    with the same `stamp` goes on from there, one with another stamp starts afresh. The history has
    one row per epoch. Raises UserError when the loss is no longer finite.
    """
    from transformers import PrinterCallback, TrainingArguments

    torch.set_num_threads(threads)
    cuda = torch.cuda.is_available()
    if settings.precision == "tf32" and not cuda:
        log.warning("tf32 needs a GPU: training in fp32")
    arguments = TrainingArguments(
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
    if arguments.n_gpu > 1:  # several visible GPUs without torchrun would mean DataParallel
        arguments._n_gpu = 1
    trainer = _trainer_class()(
        model=task,
        args=arguments,
        train_dataset=training,
        eval_dataset=validation,
        data_collator=_as_it_is,
        compute_metrics=lambda p: task.summarize(p.predictions, p.label_ids),
        callbacks=[_report_class()()],
    )
    trainer.remove_callback(PrinterCallback)  # the report is ours
    with arguments.main_process_first(local=False):  # or they clear the folder under one another
        last = prepare_checkpoints(checkpoints, stamp | dataclasses.asdict(settings))
    if patience is not None:
        trainer.add_callback(_patience_class()(patience, min_delta))
        losses = _validation_losses(_read_state(last)["log_history"] if last else [])
        if is_out_of_patience(losses, patience, min_delta):
            # killed after its last epoch: the Trainer would train for another one
            arguments.num_train_epochs = len(losses)
    trainer.train(resume_from_checkpoint=str(last) if last else None)
    history = _history(trainer.state.log_history)
    best = history["validation_loss"].idxmin()
    log.info(
        "best validation loss %.5f after epoch %d", *history.loc[best, ["validation_loss", "epoch"]]
    )
    return history


def fingerprint(*files: TokenFile) -> str:
    """A digest of the sequences and labels of token files, for the stamp of a checkpoint."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.keys.tobytes())
        digest.update(file.labels.tobytes())
        digest.update(file.lengths.tobytes())
    return digest.hexdigest()


def prepare_checkpoints(folder: Path, stamp: dict) -> Path | None:
    """The last whole checkpoint in `folder` if it was made with this stamp; else an empty folder."""
    mark = folder / "stamp.json"
    stamp = json.loads(json.dumps(stamp))
    if mark.exists():
        try:
            same = json.loads(mark.read_text(encoding="utf-8")) == stamp
        except ValueError:
            same = False
        if same:
            whole = [path for path in folder.glob("checkpoint-*") if _is_whole(path)]
            if whole:
                last = max(whole, key=lambda path: int(path.name.rpartition("-")[2]))
                log.info("going on from %s", last)
                return last
        else:
            log.warning(
                "the checkpoints in %s are of other settings or data: starting afresh", folder
            )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_json(mark, stamp)
    return None


def is_out_of_patience(losses: list[float], patience: int, min_delta: float) -> bool:
    """Whether `patience` epochs in a row have not improved on the best loss by more than `min_delta`.

    What is too small an improvement does not move the best loss, so that many of them add up.
    """
    best, waited = float("inf"), 0
    for loss in losses:
        best, waited = (loss, 0) if loss < best - min_delta else (best, waited + 1)
        if waited >= patience:
            return True
    return False


def clean_up(folder: Path) -> None:
    """Remove the checkpoints of a training whose results are written."""
    shutil.rmtree(folder, ignore_errors=True)


def is_main_process() -> bool:
    """Whether this process is the one that writes (the only one, but for torchrun)."""
    return os.environ.get("RANK", "0") == "0"


def set_seed(seed: int) -> None:
    """Seed all generators: the initial weights and dropout follow from it."""
    from transformers import set_seed as seed_all

    seed_all(seed)


def _read_state(checkpoint: Path) -> dict:
    return json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))


def _is_whole(checkpoint: Path) -> bool:
    try:  # the Trainer writes this file last
        _read_state(checkpoint)
    except (OSError, ValueError):
        return False
    return True


def _share(batch_size: int) -> int:
    """The batch of each process: under torchrun the processes share the batch that is configured."""
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    if batch_size % processes:
        raise UserError(f"batch_size {batch_size} is not a multiple of {processes} processes")
    return batch_size // processes


def _as_it_is(batch):
    return batch


def _trainer_class():
    from transformers import Trainer

    class TaskTrainer(Trainer):
        """The Trainer, with our order of the data and the mean of each training value in the log."""

        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            self._sums, self._steps = 0, 0

        def _get_train_sampler(self, train_dataset=None):
            return EpochSampler(len(self.train_dataset), self.args.seed)

        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            output = model(**inputs)
            if model.training:
                task = self.accelerator.unwrap_model(model)
                # kept on the device: no synchronisation in a step
                self._sums = self._sums + task.track(output["values"].detach())
                self._steps += 1
            return (output["loss"], output) if return_outputs else output["loss"]

        def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
            inputs = self._prepare_inputs(inputs)
            with torch.no_grad(), self.compute_loss_context_manager():
                output = model(**inputs)
            return output["loss"].detach(), output["values"].detach(), inputs["labels"]

        def log(self, logs, start_time=None):
            if "loss" in logs and self._steps:
                task = self.accelerator.unwrap_model(self.model)
                means = (self._sums / self._steps).tolist()
                logs |= dict(zip(task.tracked, means, strict=True))
                self._sums, self._steps = 0, 0
            super().log(logs, start_time)

    return TaskTrainer


def _report_class():
    from transformers import TrainerCallback

    class Report(TrainerCallback):
        """Progress by step, a line by epoch, and a stop when the loss is no number any more."""

        def on_train_begin(self, args, state, control, **kwargs):
            self.context = progress("training", state.max_steps, "steps")
            self.bar = self.context.__enter__()
            self.bar.update(state.global_step)

        def on_step_end(self, args, state, control, **kwargs):
            self.bar.update(1)

        def on_train_end(self, args, state, control, **kwargs):
            self.context.__exit__(None, None, None)

        def on_log(self, args, state, control, logs=None, **kwargs):
            numbers = {k: v for k, v in (logs or {}).items() if isinstance(v, float | int)}
            loss = numbers.get("loss", numbers.get("eval_loss", 0.0))
            if not np.isfinite(loss):
                raise UserError(
                    f"the loss is {loss} at step {state.global_step}: lower the learning rate, "
                    "set max_grad_norm, or train in fp32"
                )
            if state.is_world_process_zero:
                log.info("%s", ", ".join(f"{k} {v:.5g}" for k, v in numbers.items()))

    return Report


def _patience_class():
    from transformers import TrainerCallback

    class Patience(TrainerCallback):
        """Early stopping by the log alone: transformers' own forgets its count when it is killed."""

        def __init__(self, patience: int, min_delta: float):
            self.patience, self.min_delta = patience, min_delta

        def on_evaluate(self, args, state, control, **kwargs):
            losses = _validation_losses(state.log_history)
            if is_out_of_patience(losses, self.patience, self.min_delta):
                control.should_training_stop = True

    return Patience


def _validation_losses(entries: list[dict]) -> list[float]:
    return [entry["eval_loss"] for entry in entries if "eval_loss" in entry]


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
