"""The training loop. A killed training resumes from a checkpoint, on a CPU bit for bit.

A task is a module whose forward takes `batch` and `labels` from `Batches` and returns {"loss": the mean
over the batch, a scalar; "values": (batch, k), per sequence}. `task.track(values)` gives one number for
each name in `task.tracked`; the loop logs their means. `task.summarize(values, labels)` gives named
numbers over all validation sequences.
"""

import math
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from whatyouread.data.batch import Batch, on_device, parts_by_length
from whatyouread.models.inference import autocast, check_compiler, choose_device
from whatyouread.support.cli import UserError, log
from whatyouread.support.machine import note_batch
from whatyouread.training import checkpoints
from whatyouread.training.batches import Batches, EpochSampler, in_turn, loader
from whatyouread.training.processes import Processes, own_threads
from whatyouread.training.settings import TrainingSettings

# Several processes must stop at the same step. They wait for one another whenever they agree on it.
STEPS_BETWEEN_AGREEMENTS = 10


class Stopped(Exception):
    """The training stopped on request; the argument is the checkpoint that it wrote."""


class Loop:
    """A training: its model, optimizer, batches and progress.

    `steps` counts the steps of the optimizer; `history` has a row for each evaluated epoch. Under
    torchrun each process has its own loop, and process 0 saves its state. Once `stop` is True, the
    training writes a checkpoint and raises `Stopped`.
    """

    def __init__(
        self,
        task: nn.Module,
        settings: TrainingSettings,
        training: Batches,
        validation: Batches,
        folder: Path,
        seed: int,
        threads: int,
        seconds: float = math.inf,
    ):
        """folder: for checkpoints, one after each epoch and one every `seconds` seconds.

        threads: the cores of all processes of this machine together.
        """
        self.settings, self.folder, self.seconds = settings, folder, seconds
        threads = own_threads(threads)
        self.device = choose_device(threads, settings.precision, settings.gpus)
        if settings.compile:
            check_compiler(self.device)
        cuda = self.device.type == "cuda"
        if cuda:
            torch.cuda.set_device(self.device)
        self.processes = Processes(self.device)
        size, shares = settings.batch_size, (self.processes.number, self.processes.count)
        if size % self.processes.count:
            raise UserError(f"batch_size {size} is not a multiple of {shares[1]} processes")
        torch.manual_seed(self.processes.own_seed(seed))

        self.task = task.to(self.device)
        self.model = self.processes.share_gradients(task)
        if settings.compile:
            self.model = torch.compile(self.model)
        groups = parameter_groups(task, settings.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, settings.learning_rate, fused=True)

        self.rows, self.validation_rows = len(training), len(validation)
        workers = threads if cuda else 0
        self.sampler = EpochSampler(training.file.lengths, size, seed, *shares)
        self.training = loader(training, self.sampler, workers, pin=cuda)
        in_order = in_turn(self.validation_rows, size, *shares)
        self.validation = loader(validation, in_order, workers, pin=cuda)

        self.steps, self.steps_per_epoch = 0, len(self.sampler)
        self.sums = torch.zeros(1 + len(task.tracked), device=self.device)
        self.history: list[dict[str, float]] = []
        self.stop, self.saved_at = False, time.monotonic()
        self.divided = False  # whether a batch has been divided so far

    def run(self, patience: int | None = None, min_delta: float = 0.0) -> None:
        """Train from the current step to the end, and take the weights of the best epoch.

        Training ends after the last epoch, or when `patience` epochs in a row have not improved the
        validation loss by more than `min_delta`. Raises UserError if the loss is not finite.
        """
        left = self.settings.epochs * self.rows - self._sequences(self.steps)
        with self.processes.shown("training", left) as show:
            while not self._is_over(patience, min_delta):
                for item in self.rest_of_epoch():
                    self.step(item)
                    show(self._sequences(self.steps) - self._sequences(self.steps - 1))
                    if self.steps % self.steps_per_epoch:
                        self._save_if_due()
                row = self._training_row()
                # the evaluation may take long, and several processes cannot agree on a stop before its end
                self._save_if_due(always=self.processes.several)
                self.history.append(row | self._evaluate())
                self._report()
                self.save()
        best = checkpoints.place(self.folder, self._best)
        self.task.load_state_dict(checkpoints.read_tensors(best, "model"))

    def rest_of_epoch(self) -> Iterator[dict]:
        """Yield the batches left in this epoch; none if only its evaluation is left."""
        epoch = len(self.history)
        begun = self.steps - epoch * self.steps_per_epoch
        if begun == self.steps_per_epoch:
            return
        if not begun:
            self.sums.zero_()
        self.task.train()
        self.sampler.start_at(epoch, begun)
        before = torch.get_rng_state()
        batches = iter(self.training)  # draws a seed for the workers
        if begun:  # the checkpoint holds the state after this draw
            torch.set_rng_state(before)
        yield from batches

    def step(self, item: dict) -> None:
        """Take one step of the optimizer, without waiting for the GPU."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate(self.steps)
        loss, values = 0.0, []
        parts = self._parts(item)
        for left, (share, part) in zip(reversed(range(len(parts))), parts, strict=True):
            # the processes exchange the sum of the gradients, however many parts each has
            alone = self.model.no_sync if left and self.processes.several else nullcontext
            with alone():
                output = self._forward(self.model, part)
                (output["loss"] * share).backward()
            loss = loss + output["loss"].detach() * share
            values.append(output["values"].detach())
        if self.settings.max_grad_norm:
            nn.utils.clip_grad_norm_(self.task.parameters(), self.settings.max_grad_norm)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.steps += 1
        tracked = self.task.track(torch.cat(values))
        self.sums += torch.cat([loss.reshape(1), tracked])

    def _parts(self, item: dict) -> list[tuple[float, dict]]:
        """A batch in parts that fit into memory, each with its share of the sequences.

        Only sequences far longer than the paper's make more than one (`batch.at_once`). The loss is a
        mean over sequences, so the gradient is that of the whole batch, but for what is drawn and for
        the Explainer's batch norm, which is that of each part, as it is that of each process.
        """
        batch = item["batch"]
        rows = parts_by_length(batch.lengths, self.settings.batch_size // self.processes.count)
        if len(rows) == 1:
            return [(1.0, item)]
        if not self.divided:
            self.divided = True
            log.info(
                "a batch has a sequence of %d tokens: such batches are computed in parts, long"
                " sequences apart from short ones",
                batch.lengths.max(),
            )
        return [
            (
                len(own) / len(batch),
                {
                    name: value.part(own) if value is batch else value[own]
                    for name, value in item.items()
                },
            )
            for own in rows
        ]

    def _forward(self, model: nn.Module, item: dict) -> dict[str, Tensor]:
        note_batch(*item["batch"].ids.shape)
        item = {name: self._moved(value) for name, value in item.items()}
        with autocast(self.device, self.settings.precision):
            output = model(**item)
        return {k: v.float() if v.is_floating_point() else v for k, v in output.items()}

    def _moved(self, value):
        if isinstance(value, Batch):
            return value.to(self.device)
        return on_device(value, self.device) if isinstance(value, Tensor) else value

    def _learning_rate(self, step: int) -> float:
        """A cosine from the configured rate at step 0 to 0 after the last step."""
        part = step / (self.settings.epochs * self.steps_per_epoch)
        return self.settings.learning_rate * (0.5 * (1.0 + math.cos(math.pi * part)))

    def _training_row(self) -> dict[str, float]:
        """The epoch and its means over all training steps."""
        means = self.processes.stacked(self.sums.double() / self.steps_per_epoch).mean(0).tolist()
        _refuse(means[0], self.steps)
        names = [f"training_{name}" for name in ("loss", *self.task.tracked)]
        row = {"epoch": len(self.history) + 1, "learning_rate": self._learning_rate(self.steps - 1)}
        return row | dict(zip(names, means, strict=True))

    @torch.no_grad()
    def _evaluate(self) -> dict[str, float]:
        """The loss and the task's own numbers on the validation sequences."""
        before = torch.get_rng_state()
        self.processes.share_buffers(self.task)
        self.task.eval()
        made, size = [], self.settings.batch_size
        title = f"validation after epoch {len(self.history) + 1}"
        with self.processes.shown(title, self.validation_rows) as show:
            for number, item in enumerate(self.validation):
                if self.stop:  # the evaluation starts again after resuming
                    if self.processes.several:
                        raise Stopped(checkpoints.place(self.folder, self.steps))
                    torch.set_rng_state(before)
                    self._save_if_due()
                for _, part in self._parts(item):
                    output = self._forward(self.task, part)
                    made.append((output["loss"], output["values"], part["labels"]))
                show(min(size, self.validation_rows - number * size))
        made = [tuple(tensor.cpu().numpy() for tensor in batch) for batch in made]
        losses, values, labels = zip(*self.processes.joined(made), strict=True)
        loss = float(np.repeat(losses, [len(part) for part in labels]).mean())
        _refuse(loss, self.steps)
        own = self.task.summarize(np.concatenate(values), np.concatenate(labels))
        return {f"validation_{name}": value for name, value in ({"loss": loss} | own).items()}

    def _report(self) -> None:
        if self.processes.number:
            return
        (_, epoch), *numbers = self.history[-1].items()
        words = ", ".join(f"{name} {value:.5g}" for name, value in numbers)
        log.info("epoch %d of at most %d: %s", epoch, self.settings.epochs, words)

    def _is_over(self, patience: int | None, min_delta: float) -> bool:
        if len(self.history) == self.settings.epochs:
            return True
        over = patience is not None and is_out_of_patience(self._losses, patience, min_delta)
        if over:
            log.info("training ends early: no improvement in %d epochs", patience)
        return over

    @property
    def _losses(self) -> list[float]:
        return [row["validation_loss"] for row in self.history]

    @property
    def _best(self) -> int | None:
        """The number of steps after which the weights were best; None before the first evaluation."""
        return self.steps_per_epoch * (1 + int(np.argmin(self._losses))) if self.history else None

    def _sequences(self, steps: int) -> int:
        """The number of training sequences in `steps` steps."""
        epochs, rest = divmod(steps, self.steps_per_epoch)
        return epochs * self.rows + rest * self.settings.batch_size

    # checkpoints

    def save(self) -> Path:
        """Write a checkpoint for `load` and return its folder."""
        _refuse(float(self.sums[0]), self.steps)
        own = {"sums": self.sums, "random": torch.get_rng_state()}
        if self.device.type == "cuda":
            own["device_random"] = torch.cuda.get_rng_state()
        tensors = {
            "model": self.task.state_dict(),
            "optimizer": {
                f"{i}.{name}": value
                for i, values in self.optimizer.state_dict()["state"].items()
                for name, value in values.items()
            },
            "processes": {name: self.processes.stacked(value) for name, value in own.items()},
        }
        if not self.processes.number:
            state = {"best": self._best, "history": self.history}
            checkpoints.write(self.folder, self.steps, tensors, state)
        self.processes.wait()
        self.saved_at = time.monotonic()
        return checkpoints.place(self.folder, self.steps)

    def load(self, checkpoint: Path) -> None:
        """Restore the state of the training at a checkpoint."""
        self.steps = checkpoints.number(checkpoint)
        self.history = checkpoints.read_state(checkpoint)["history"]
        self.task.load_state_dict(checkpoints.read_tensors(checkpoint, "model"))
        state = defaultdict(dict)
        for key, value in checkpoints.read_tensors(checkpoint, "optimizer").items():
            i, name = key.split(".")
            state[int(i)][name] = value
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": state})
        stacked = checkpoints.read_tensors(checkpoint, "processes")
        # torch misreads a generator's state from a view, so copy the row
        own = {name: values[self.processes.number].clone() for name, values in stacked.items()}
        self.sums.copy_(own["sums"])
        torch.set_rng_state(own["random"])
        if self.device.type == "cuda" and "device_random" in own:  # not where it began on a CPU
            torch.cuda.set_rng_state(own["device_random"])

    def _save_if_due(self, always: bool = False) -> None:
        """Write a checkpoint if one is due, or always; if `stop` is True, write one and raise `Stopped`."""
        if self.processes.several and self.steps % self.steps_per_epoch % STEPS_BETWEEN_AGREEMENTS:
            return
        due = always or time.monotonic() - self.saved_at >= self.seconds
        wanted = self.processes.highest(2 if self.stop else int(due))
        if wanted:
            written = self.save()
            if wanted == 2:
                raise Stopped(written)


def parameter_groups(task: nn.Module, weight_decay: float) -> list[dict]:
    """Apply weight decay to matrices, but not to biases and the scales of a normalization."""
    learned = [parameter for parameter in task.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in learned if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in learned if p.ndim < 2], "weight_decay": 0.0},
    ]


def is_out_of_patience(losses: list[float], patience: int, min_delta: float) -> bool:
    """Whether `patience` epochs in a row have not improved on the best loss by more than `min_delta`.

    A smaller improvement does not move the best loss, so that several of them can add up.
    """
    best, waited = math.inf, 0
    for loss in losses:
        best, waited = (loss, 0) if loss < best - min_delta else (best, waited + 1)
        if waited >= patience:
            return True
    return False


def _refuse(loss: float, step: int) -> None:
    """Raise UserError for a loss that is not finite."""
    if not math.isfinite(loss):
        raise UserError(
            f"the loss is {loss} at step {step}: lower the learning rate, "
            "set max_grad_norm, or train in fp32"
        )
