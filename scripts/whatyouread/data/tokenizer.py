"""What a tokenizer tells the rest of the pipeline.

A tokenizer is a module of its own beside this one and a line in `tokenizers.TOKENIZERS`.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from whatyouread.support.cli import UserError


class NothingToExchange(ValueError):
    """A sequence of a batch has nothing that `Tokenizer.substitute` could exchange."""

    def __init__(self, row: int, lacking: str):
        self.row, self.lacking = row, lacking
        super().__init__(f"sequence {row} has no {lacking}")


class Tokenizer(ABC):
    """From text to ids and back, a whole batch of sequences at a time.

    A batch is two arrays: the characters (or ids) of all its sequences back to back, and offsets, so
    that sequence i is `values[offsets[i]:offsets[i + 1]]`. Characters are the bytes of the file,
    in Latin-1, unchanged.

    name: what token files and models call it. vocabulary: the text of each token, by id. pad: the id
    that fills sequences up. special: ids that stand for no text; they are no content, which is what is
    ranked, counted and shown. before, after: the special ids that frame every sequence; `tokenize` puts
    them there. frames: the number of reading frames, such as 6 for six-mers.
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
        """The integer type of token files: uint16, or uint32 where that does not hold every id."""
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
        """The same sequences read from the other strand or from another character.

        reverse: bool (n,), read the other strand; skip: int (n,), characters left out at its start.
        Returns ids and offsets. Raises UserError where such a reading makes no sense.
        """
        raise UserError(
            f"{self.name} tokens have no other strand or frame: set explanandum.reverse_complement and "
            "explanandum.reading_offset to false"
        )

    def substitute(
        self, ids: np.ndarray, offsets: np.ndarray, place: np.ndarray, step: np.ndarray
    ) -> np.ndarray:
        """The ids of the same sequences with one token of each exchanged; offsets stay.

        place: float (n,) in [0, 1), which token of the content; step: float (n,) in [0, 1), which other
        one takes its place. A tokenizer whose tokens are fixed in length may exchange one character
        instead. Raises NothingToExchange for a sequence without content.
        """
        ordinary = np.flatnonzero(~self.is_special)
        content = np.flatnonzero(~self.is_special[ids])
        first, ends = np.searchsorted(content, offsets[:-1]), np.searchsorted(content, offsets[1:])
        if (first == ends).any():
            raise NothingToExchange(int((ends - first).argmin()), "content")
        chosen = content[first + np.floor(place * (ends - first)).astype(np.int64)]
        move = 1 + np.floor(step * (len(ordinary) - 1)).astype(np.int64)
        number = np.searchsorted(ordinary, ids[chosen])
        changed = ids.copy()
        changed[chosen] = ordinary[(number + move) % len(ordinary)]
        return changed


def spans(tokenizer: Tokenizer, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """First character and the one after the last of each token of a sequence, 0-based.

    ids: (n,). None where a token does not tell how many characters it covers.
    """
    widths = tokenizer.widths(ids)
    if (widths < 0).any():
        return None
    ends = widths.cumsum()
    return ends - widths, ends
