"""Batches made by hand, and a tokenizer whose sequences end in a special token, too."""

import dataclasses
from itertools import pairwise

import numpy as np

from whatyouread.data.batch import Batch
from whatyouread.data.six_mers import SIX_MERS
from whatyouread.data.tokenizer import Tokenizer

PAD, CLS, SEP, UNK = range(4)
"""The special tokens of `Letters`; no id means what it means among the six-mers."""
FIRST_LETTER = 4


class Letters(Tokenizer):
    """A token for each small letter, `[CLS]` before them and `[SEP]` after them.

    size: of the vocabulary; tokens beyond the letters are there to make it larger.
    """

    name = "letters"
    pad = PAD
    special = (PAD, CLS, SEP)
    before = (CLS,)
    after = (SEP,)

    def __init__(self, size: int = FIRST_LETTER + 26):
        names = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *"abcdefghijklmnopqrstuvwxyz"]
        self.vocabulary = [*names, *(f"more{i}" for i in range(len(names), size))]

    def tokenize(self, text, offsets):
        sequences = [text[a:b] for a, b in pairwise(offsets)]
        made = []
        for sequence in sequences:
            letters = sequence.astype(np.int64) - ord("a")
            known = (letters >= 0) & (letters < 26)
            made.append([CLS, *np.where(known, letters + FIRST_LETTER, UNK), SEP])
        ids = np.array([token for tokens in made for token in tokens], self.dtype)
        return ids, np.append(0, np.cumsum([len(tokens) for tokens in made])).astype(np.int64)

    def widths(self, ids):
        return np.where(self.is_special[ids], 0, 1)


LETTERS = Letters()


def batch_of(ids, tokenizer: Tokenizer = SIX_MERS) -> Batch:
    """The batch of padded sequences, (n, length), in numpy arrays."""
    ids = np.asarray(ids, np.int64)
    return Batch.of(ids, (ids != tokenizer.pad).sum(1), tokenizer)


def keyed(batch: Batch) -> Batch:
    """The batch with keys, as validation has them."""
    return dataclasses.replace(batch, keys=np.arange(len(batch), dtype=np.uint64) + 90)


def letters(*texts: str) -> Batch:
    """The batch of some texts as `LETTERS` reads them, in numpy arrays."""
    length = max(map(len, texts)) + 2
    rows = [
        [CLS, *(FIRST_LETTER + ord(c) - ord("a") for c in text), SEP]
        + [PAD] * (length - len(text) - 2)
        for text in texts
    ]
    return batch_of(rows, LETTERS)


def narrowed(batch: Batch, rows, width: int) -> Batch:
    """Some sequences of a batch of torch tensors, with padding up to another width."""
    taken = batch.take(rows)
    kept = min(width, taken.ids.shape[1])
    ids = np.full((len(taken), width), SIX_MERS.pad)
    ids[:, :kept] = taken.ids[:, :kept].cpu()
    return Batch.of(ids, taken.lengths, SIX_MERS).to(batch.device)
