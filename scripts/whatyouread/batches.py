"""Batches of a token file for training: their order, and augmentation of what is read."""

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from whatyouread import tokens as vocabulary
from whatyouread.draws import draw
from whatyouread.token_files import TokenFile, pad
from whatyouread.tokens import PAD


class Batches(Dataset):
    """Whole batches of a token file, by row number; nothing happens once per sequence.

    A row number carries the epoch (row + epoch * rows, see `EpochSampler`), so that augmentation is
    drawn for the sequence and the epoch, whatever worker makes the batch. lengths: add the number of
    tokens of each sequence, int64 (n,), as an array that stays with the CPU, where it is needed.
    """

    def __init__(
        self,
        file: TokenFile,
        seed: int,
        reverse_complement: bool = False,
        reading_offset: bool = False,
        lengths: bool = False,
    ):
        self.file, self.seed, self.lengths = file, seed, lengths
        self.reverse_complement, self.reading_offset = reverse_complement, reading_offset

    def __len__(self) -> int:
        return len(self.file)

    def __getitems__(self, numbers: list[int]) -> dict[str, torch.Tensor | np.ndarray]:
        epoch, rows = np.divmod(np.asarray(numbers), len(self))
        if self.reverse_complement or self.reading_offset:
            tokens = self._augmented(rows, epoch)
        else:
            tokens = self.file.tokens(rows)
        batch = {
            "tokens": torch.from_numpy(tokens),
            "labels": torch.from_numpy(self.file.labels[rows]),
        }
        return batch | ({"lengths": (tokens != PAD).sum(1)} if self.lengths else {})

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
