"""What a tokenizer tells the rest of the pipeline.

A tokenizer is a module of its own beside this one and a line in `tokenizers.TOKENIZERS`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np


class Tokenizer(ABC):
    """From text to ids and back, a whole batch of sequences at a time.

    A batch is two arrays: the characters (or ids) of all its sequences back to back, and offsets, so
    that sequence i is `values[offsets[i]:offsets[i + 1]]`.

    vocabulary: the text of each token, by id. pad: the id that fills sequences up. special: ids that
    stand for no text; they are never masked, ranked or counted. before, after: the special ids that
    frame every sequence. frames: the characters further on after which a text reads the same again.
    """

    name: ClassVar[str]
    vocabulary: Sequence[str]
    pad: int
    special: tuple[int, ...]
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    frames: int = 1

    def __len__(self) -> int:
        return len(self.vocabulary)

    @property
    def dtype(self) -> np.dtype:
        """The integer type of token files: the smallest unsigned one that holds every id."""
        return np.min_scalar_type(len(self) - 1 if len(self) > 256 else 256)

    @property
    def is_special(self) -> np.ndarray:
        """Which ids are special, bool (vocabulary,)."""
        flags = np.zeros(len(self), bool)
        flags[list(self.special)] = True
        return flags

    @abstractmethod
    def tokenize(self, text: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """uint8 text (total characters,) and its offsets -> ids of `dtype` and theirs, int64 (n + 1,)."""

    @abstractmethod
    def widths(self, ids: np.ndarray) -> np.ndarray:
        """How many characters of the text each token covers, int64 like `ids`.

        0 for special tokens, -1 where the token does not tell.
        """

    def augment(
        self, ids: np.ndarray, offsets: np.ndarray, reverse: np.ndarray, skip: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same sequences read from the other strand or from another character, if that exists."""
        raise NotImplementedError(f"{self.name} tokens cannot be read in another frame")


def spans(tokenizer: Tokenizer, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """First character and the one after the last of each token of a sequence, 0-based.

    ids: (n,). None where a token does not tell how many characters it covers.
    """
    widths = tokenizer.widths(ids)
    if (widths < 0).any():
        return None
    ends = widths.cumsum()
    return ends - widths, ends
