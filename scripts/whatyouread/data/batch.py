"""A batch of sequences: ids, and which of them count. Arrays of numpy or of torch."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from whatyouread.data.tokenizer import Tokenizer

LONG = 512
"""Tokens up to which a batch is as large as asked for; the paper's sequences have 251."""


@dataclasses.dataclass(frozen=True)
class Batch:
    """n sequences of tokens, computed once and passed as one thing.

    ids: int64 (n, length), padded. valid: bool (n, length), no padding. content: bool (n, length),
    valid and not special: what may be masked, ranked and counted. lengths: int64 (n,), valid tokens,
    always a numpy array, so that nobody waits for a GPU to know them. whole: there is no padding.
    keys: uint64 (n,), always a numpy array: the seeds of random draws for the sequences, where they
    are known.
    states: the classifier's last hidden states of the plain sequences (n, length, hidden), where they
    are at hand.
    """

    ids: Any
    valid: Any
    content: Any
    lengths: np.ndarray
    whole: bool
    states: Any = None
    keys: np.ndarray | None = None

    @classmethod
    def of(
        cls,
        ids: np.ndarray,
        lengths: np.ndarray,
        tokenizer: Tokenizer,
        keys: np.ndarray | None = None,
    ) -> "Batch":
        """The batch of some ids, int64 (n, length), of which the first `lengths` are valid."""
        valid = np.arange(ids.shape[1]) < np.asarray(lengths)[:, None]
        content = valid & ~tokenizer.is_special[ids]
        return cls(ids, valid, content, np.asarray(lengths), bool(valid.all()), keys=keys)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def device(self):
        """Where the torch tensors are."""
        return self.ids.device

    def to(self, device) -> "Batch":
        """The same batch as torch tensors on a device, see `on_device`."""
        return self._with(lambda values: None if values is None else on_device(values, device))

    def pin_memory(self) -> "Batch":
        """The same batch in memory from which a GPU copies without waiting."""
        return self._with(lambda values: None if values is None else values.pin_memory())

    def repeat(self, times: int) -> "Batch":
        """All sequences `times` times, one round after the other; torch tensors."""
        if times == 1:
            return self
        repeated = self._with(
            lambda values: (
                None if values is None else values.repeat(times, *(1,) * (values.ndim - 1))
            )
        )
        keys = None if self.keys is None else np.tile(self.keys, times)
        return dataclasses.replace(repeated, lengths=np.tile(self.lengths, times), keys=keys)

    def take(self, rows) -> "Batch":
        """Some of the sequences, as long as before; rows: int64 (m,)."""
        taken = self._rows(rows, None, False)
        return dataclasses.replace(taken, whole=bool(taken.valid.all()))

    def part(self, rows: np.ndarray) -> "Batch":
        """Some of the sequences, as long as the longest of them; rows: int64 (m,)."""
        if len(rows) == len(self):
            return self
        longest = int(self.lengths[rows].max())
        return self._rows(rows, longest, bool((self.lengths[rows] == longest).all()))

    def alone(self, row: int) -> "Batch":
        """One sequence without its padding."""
        return self._rows(slice(row, row + 1), int(self.lengths[row]), True)

    def with_states(self, states) -> "Batch":
        """The same batch with the classifier's last hidden states (n, length, hidden)."""
        return dataclasses.replace(self, states=states)

    def _rows(self, rows, length: int | None, whole: bool) -> "Batch":
        made = self._with(lambda values: None if values is None else values[rows, :length])
        keys = None if self.keys is None else self.keys[rows]
        return dataclasses.replace(made, lengths=self.lengths[rows], keys=keys, whole=whole)

    def _with(self, change) -> "Batch":
        changed = {
            name: change(getattr(self, name)) for name in ("ids", "valid", "content", "states")
        }
        return dataclasses.replace(self, **changed)


def on_device(values, device):
    """An array of numpy, or a tensor, on a device; the program does not wait for the work queued there.

    A GPU copies without a wait from pinned memory only. Copying small arrays into such memory first costs
    little; each wait costs all that the GPU could do while the next work is prepared. Compiled code cannot
    pin memory, and waits.
    """
    import torch

    tensor = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
    stays = tensor.device.type != "cpu" or torch.device(device).type == "cpu"
    if stays or torch.compiler.is_compiling():
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def padded(flat: np.ndarray, starts: np.ndarray, lengths: np.ndarray, pad: int) -> np.ndarray:
    """Pieces of a flat array as one int64 matrix (n, longest), filled up with `pad`."""
    place = np.arange(lengths.max(initial=1))
    inside = place < lengths[:, None]
    where = np.where(inside, starts[:, None] + place, 0)
    return np.where(inside, flat[where], pad).astype(np.int64)


def framed(
    flat: np.ndarray, starts: np.ndarray, lengths: np.ndarray, tokenizer: Tokenizer
) -> Batch:
    """Pieces of a flat array of ids as sequences of their own, in numpy arrays.

    Piece i is `flat[starts[i]:starts[i] + lengths[i]]`, without special tokens; it gets those that
    frame every sequence.
    """
    first, last = len(tokenizer.before), len(tokenizer.after)
    inner = padded(flat, starts, lengths, tokenizer.pad)[:, : lengths.max(initial=0)]
    ids = np.pad(inner, ((0, 0), (first, last)), constant_values=tokenizer.pad)
    ids[:, :first] = tokenizer.before
    ids[np.arange(len(ids))[:, None], first + lengths[:, None] + np.arange(last)] = tokenizer.after
    return Batch.of(ids, lengths + first + last, tokenizer)


def at_once(size: int, longest: int) -> int:
    """How many sequences of a length fit into a batch of `size`: fewer above `LONG` tokens, at least 1.

    Attention compares all pairs of tokens, so the room is that of `size` sequences of `LONG` tokens.
    """
    return min(size, max(1, size * LONG**2 // max(int(longest), 1) ** 2))


def batches_by_length(lengths: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Row numbers in batches of at most `size`, sequences of like length together.

    Batches of long sequences are smaller, see `at_once`.
    """
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        batch = order[start : start + size]
        # the longest is the last one
        fits = np.arange(1, len(batch) + 1) * lengths[batch].astype(np.int64) ** 2
        batch = batch[: max(1, np.searchsorted(fits, size * LONG**2, side="right"))]
        yield batch
        start += len(batch)


def parts_by_length(lengths: np.ndarray, size: int) -> list[np.ndarray]:
    """Rows of one batch in parts that fit, all in their order where they fit together."""
    if len(lengths) <= at_once(size, lengths.max(initial=0)):
        return [np.arange(len(lengths))]
    return list(batches_by_length(lengths, size))
