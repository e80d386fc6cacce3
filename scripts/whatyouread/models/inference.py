"""Run trained models. Only this module chooses device, precision and batches."""

import argparse
import contextlib
import os
import random
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from whatyouread.data.batch import Batch, batches_by_length, on_device
from whatyouread.data.token_files import TokenFile
from whatyouread.models import gpu
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.levels import class_log_probabilities, decisions, probabilities
from whatyouread.models.mask_operator import masked_states
from whatyouread.support.cli import UserError, log
from whatyouread.support.machine import no_compiler, note_batch
from whatyouread.support.parallel import in_order


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of programs that run a trained model in batches."""
    add = parser.add_argument
    add("--batch-size", type=int, required=True)
    add("--precision", required=True)
    add("--compile", action="store_true", help="compile the Explanandum")
    add("--seed", type=int, required=True)
    add("--threads", type=int, default=1)


def choose_device(threads: int, precision: str = "fp32", gpus: int = 1) -> torch.device:
    """Return the GPU if there is one, else the CPU with `threads` threads; set the matrix precision.

    gpus: see `gpu.use_gpu`, which also raises UserError where a GPU was granted and cannot be used.
    """
    torch.set_num_threads(threads)
    if not gpu.use_gpu(gpus):
        log.info("no GPU: computing on %d CPU threads", threads)
        return torch.device("cpu")
    # with bf16, too, what autocast leaves in float32 is to be that: heads, last layer, LSTM
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    torch.backends.cudnn.allow_tf32 = precision == "tf32"  # on by default for the LSTM
    device = gpu.ready(torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))))
    log.info("computing on %s", torch.cuda.get_device_name(device))
    return device


def autocast(device: torch.device, precision: str):
    """The context for running models: autocast for bf16, else an empty context."""
    if precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


def compile_encoder(explanandum: Explanandum, wanted: bool = True) -> Explanandum:
    """Compile the encoder in place if wanted; return the Explanandum."""
    if wanted:
        check_compiler(torch.device("cuda" if gpu.use_gpu() else "cpu"))
        explanandum.adapter.compile()
    return explanandum


def check_compiler(device: torch.device) -> None:
    """Compile a sum, so that a missing compiler is found before the work. Raises UserError."""
    number = random.random()  # baked into the code, which therefore is in no cache
    try:
        torch.compile(lambda values: values * number)(torch.ones(2, device=device))
    except Exception as error:
        raise UserError(no_compiler(error)) from None


def batches(
    file: TokenFile, size: int, device: torch.device, rows: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, Batch]]:
    """Yield the sequences of a token file in batches on a device, similar lengths together.

    rows: int64 (m,), all rows by default. Yields places in `rows`, int64 (n,), and their batch. A
    thread reads the next batch from the file while the caller works on this one.
    """
    rows = np.arange(len(file)) if rows is None else rows

    def read(places: np.ndarray) -> tuple[np.ndarray, Batch]:
        return places, file.batch(rows[places])

    for places, batch in in_order(read, batches_by_length(file.lengths[rows], size)):
        note_batch(*batch.ids.shape)
        yield places, batch.to(device)


class Reading(NamedTuple):
    """What one pass says of each masked sequence.

    answers: the predicted classes, int64 (n, levels). log_probabilities: those of given classes, float64
    (n, levels). states: what the heads read, float64 (n, hidden).
    """

    answers: np.ndarray
    log_probabilities: np.ndarray
    states: np.ndarray


class Passes:
    """Passes of a frozen Explanandum on one device, in one precision and batch size."""

    def __init__(
        self,
        explanandum: nn.Module,
        batch_size: int,
        device: torch.device,
        precision: str = "fp32",
    ):
        self.explanandum = explanandum.to(device).freeze()
        self.batch_size, self.device, self.precision = batch_size, device, precision

    def size(self, with_gradient: bool) -> int:
        """The batch size, or a fourth of it where a pass keeps all that it computes for a gradient.

        NT v2 50M keeps 108 MiB in fp32 for a sequence of 251 tokens; 64 of them take 7 GiB.
        """
        return max(1, self.batch_size // 4) if with_gradient else self.batch_size

    def autocast(self):
        """The context for running models in this precision."""
        return autocast(self.device, self.precision)

    @torch.inference_mode()
    def states(self, batch: Batch, mask: np.ndarray | None = None) -> Tensor:
        """The pooled states, float (n, hidden), which the heads read; every pass is one call of this.

        mask: float32 (n, length).
        """
        note_batch(*batch.ids.shape)
        if mask is not None:
            mask = on_device(np.ascontiguousarray(mask, np.float32), self.device)
        with self.autocast():
            return masked_states(self.explanandum, batch.to(self.device), mask)

    def logits(self, batch: Batch, mask: np.ndarray | None = None) -> tuple[Tensor, ...]:
        """F(batch, mask): one tensor (n, classes) per level. mask: float32 (n, length)."""
        return self._logits_of(self.states(batch, mask))

    @torch.inference_mode()
    def _logits_of(self, states: Tensor) -> tuple[Tensor, ...]:
        with self.autocast():
            return self.explanandum.classify(states)

    def predict(
        self, file: TokenFile, mask: np.ndarray, rows: np.ndarray | None = None
    ) -> np.ndarray:
        """The predicted classes of masked sequences, int64 (rows, levels).

        mask: float32 (sequences of the file, longest); rows: as for `batches`.
        """
        return self.answers(file, mask, rows)[0]

    def answers(
        self, file: TokenFile, mask: np.ndarray, rows: np.ndarray | None = None
    ) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        """As `predict`, and the probabilities of the levels at which an answer is a set of classes.

        The second: place of the level -> float32 (rows, classes); without such levels it is empty.
        """
        levels, n = self.explanandum.levels, len(file) if rows is None else len(rows)
        said = {
            i: np.empty((n, level.classes), np.float32)
            for i, level in enumerate(levels)
            if not level.of_one
        }

        def decided(logits, places, states):
            if said:
                of_each = probabilities(levels, logits)
                for i, values in said.items():
                    values[places] = of_each[i].float().cpu().numpy()
            return decisions(levels, logits)

        return self._of_all(file, mask, rows, np.int64, decided), said

    def log_probabilities(
        self, file: TokenFile, masks: Iterable[np.ndarray], classes: np.ndarray
    ) -> np.ndarray:
        """Log-probabilities of given classes under each mask, float64 (masks, n, levels).

        classes: int64 (n, levels).
        """

        def of_classes(logits, places, states):
            return self._logs(logits, classes[places])

        return np.stack([self._of_all(file, mask, None, np.float64, of_classes) for mask in masks])

    def read(self, file: TokenFile, mask: np.ndarray, classes: np.ndarray) -> Reading:
        """Answers, log-probabilities of given classes and pooled states, of one pass.

        mask: float32 (n, longest); classes: int64 (n, levels).
        """
        levels, further = self.explanandum.levels, []

        def decided(logits, places, states):
            # side by side, because each copy waits for the device
            made = torch.cat([self._logs(logits, classes[places]), states.double()], 1)
            further.append((places, made.cpu().numpy()))
            return decisions(levels, logits)

        answers = self._of_all(file, mask, None, np.int64, decided)
        places, made = (np.concatenate(parts) for parts in zip(*further, strict=True))
        made = made[np.argsort(places)]
        return Reading(answers, made[:, : len(levels)], made[:, len(levels) :])

    def _logs(self, logits: tuple[Tensor, ...], classes: np.ndarray) -> Tensor:
        """The log-probabilities of the classes of a batch, int64 and float64 (batch, levels)."""
        given = on_device(classes, self.device).unsqueeze(1)
        wide = tuple(part.double() for part in logits)
        return class_log_probabilities(self.explanandum.levels, wide, given)[:, 0]

    def _of_all(self, file: TokenFile, mask: np.ndarray, rows, kind, answer) -> np.ndarray:
        rows = np.arange(len(file)) if rows is None else rows
        made = np.empty((len(rows), len(file.ranks)), kind)
        for places, batch in batches(file, self.batch_size, self.device, rows):
            states = self.states(batch, mask[rows[places], : batch.ids.shape[1]])
            made[places] = answer(self._logits_of(states), places, states).cpu().numpy()
        return made
