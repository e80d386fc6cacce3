"""Training batches of a token file: their order, their augmentation and their workers."""

import math
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing import resource_tracker

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from whatyouread.data.batch import Batch, padded
from whatyouread.data.token_files import TokenFile
from whatyouread.support.keyed_random import draw

POOL = 8
"""Batches of an epoch, one after the other, whose sequences change places so that little is padded."""

OUTLIVE = hasattr(signal, "sigwaitinfo")  # not on macOS
"""Whether workers outlive a SIGTERM that is not from the main process."""


class Batches(Dataset):
    """Whole batches of a token file by row number, made without a loop over sequences.

    A row number also encodes the epoch (row + epoch * rows, see `EpochSampler`). The augmentation
    therefore depends on the sequence and the epoch, not on the worker. An item is {"batch": `Batch` of
    torch tensors, "labels": int64 (n, ranks)}.
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

    def __getitems__(self, numbers: list[int]) -> dict[str, Batch | torch.Tensor]:
        epoch, rows = np.divmod(np.asarray(numbers), len(self))
        if self.reverse_complement or self.reading_offset:
            batch = self._augmented(rows, epoch)
        else:
            batch = self.file.batch(rows)
        return {"batch": batch.to("cpu"), "labels": torch.from_numpy(self.file.labels[rows])}

    def _augmented(self, rows: np.ndarray, epoch: np.ndarray) -> Batch:
        keys, tokenizer = self.file.keys[rows], self.file.tokenizer
        reverse = np.zeros(len(rows), bool)
        skip = np.zeros(len(rows), np.int64)
        if self.reverse_complement:
            reverse = draw(self.seed, "reverse complement", keys, epoch) < 0.5
        if self.reading_offset:
            drawn = draw(self.seed, "reading offset", keys, epoch)
            skip = (tokenizer.frames * drawn).astype(np.int64)
        flat, offsets = tokenizer.augment(*self.file.flat_tokens(rows), reverse, skip)
        lengths = np.diff(offsets)
        ids = padded(flat, offsets[:-1], lengths, tokenizer.pad)
        return Batch.of(ids, lengths, tokenizer, keys)


class EpochSampler(Sampler[list[int]]):
    """Batches of all rows in an order that depends only on seed and epoch; yields row + epoch * rows.

    lengths: int (rows,), of their sequences. A batch has sequences of like length, so that little is
    padded: those of `POOL` random batches, sorted and divided anew. Batches of one pool come in random
    order. Sequences of one length stay in random batches.

    With several processes, each takes an equal part of every batch. To make that possible, the first
    rows of an epoch also fill up its last batch.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        size: int,
        seed: int,
        process: int = 0,
        processes: int = 1,
    ):
        self.rows, self.size, self.seed = len(lengths), size, seed
        self.lengths = lengths if np.ptp(lengths) else None
        self.process, self.processes = process, processes
        self.start_at(0)

    def start_at(self, epoch: int, first: int = 0) -> None:
        """Make the next iteration start at batch number `first` of `epoch`."""
        self.epoch, self.first = epoch, first

    def __len__(self) -> int:
        """The number of batches in a whole epoch."""
        return math.ceil(self.rows / self.size)

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        order = rng.permutation(self.rows)
        if self.lengths is not None:
            order = self._of_like_length(order, rng)
        numbers = order + self.epoch * self.rows
        for start in range(self.first * self.size, self.rows, self.size):
            batch = numbers[start : start + self.size]
            if self.processes > 1:
                whole = np.resize(np.concatenate([batch, numbers]), self.size)
                batch = np.split(whole, self.processes)[self.process]
            yield batch.tolist()

    def _of_like_length(self, order: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Rows in random order, int64 (rows,), sorted pool by pool, then batches and rows shuffled."""
        batches = np.arange(self.rows) // self.size
        whole = self.rows // self.size  # a smaller last batch stays the last one
        pools = batches // POOL
        order = order[np.lexsort((self.lengths[order], pools, batches >= whole))]
        turns = np.append(rng.random(whole), np.inf)[batches]
        # the rows, too: each process gets long ones and short ones
        return order[np.lexsort((rng.random(self.rows), turns, pools, batches >= whole))]


def in_turn(rows: int, size: int, process: int = 0, processes: int = 1) -> list[list[int]]:
    """Row numbers in order, in batches of `size`; the processes share each batch."""
    batches = np.split(np.arange(rows), range(size, rows, size))
    parts = [np.array_split(batch, processes)[process].tolist() for batch in batches]
    return [part for part in parts if part]


def _unchanged(batch):
    """`Batches` already makes whole batches. A lambda could not be sent to a worker."""
    return batch


def loader(batches: Batches, numbers, workers: int, pin: bool) -> DataLoader:
    """An iterable of batches.

    numbers: the row numbers of each batch, from `EpochSampler` or `in_turn`. workers: the number of
    processes that prepare batches, 0 for none; they may be forked or started afresh. pin: use pinned
    memory, which a GPU copies from without waiting.
    """
    return _Loader(
        batches,
        batch_sampler=numbers,
        collate_fn=_unchanged,
        num_workers=workers,
        persistent_workers=workers > 0,
        worker_init_fn=outlive_sigterm,
        pin_memory=pin,
    )


class _Loader(DataLoader):
    """Starts its workers with SIGTERM blocked, so that all their threads inherit it.

    A library that a worker imports may start a thread before `outlive_sigterm` runs; a signal that one
    thread of a process does not block ends the process.
    """

    def __iter__(self):
        if not self.num_workers or not OUTLIVE:
            return super().__iter__()
        resource_tracker.ensure_running()  # its start would end the blocking
        before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        try:
            return super().__iter__()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def outlive_sigterm(worker: int) -> None:
    """Keep a DataLoader worker alive when a job's processes all get SIGTERM.

    The main process needs its workers until it has written its checkpoint. A worker therefore ends only
    at a SIGTERM from the main process, which with `forkserver` is not its parent in the system.
    """
    if OUTLIVE:
        threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    main = multiprocessing.parent_process()
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != main.pid:
        pass
    os._exit(0)
