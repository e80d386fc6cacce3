"""What a tokenizer tells the rest of the pipeline.

A tokenizer is a module of its own beside this one and a line in `tokenizers.TOKENIZERS`.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np

from whatyouread.support.cli import UserError

WHITE = [9, 10, 11, 12, 13, 28, 29, 30, 31, 32, 0x85, 0xA0]
"""White space in Latin-1, as Python's `str.split` sees it."""


class NothingToExchange(ValueError):
    """A sequence of a batch has nothing that `Tokenizer.substitute` could exchange."""

    def __init__(self, row: int, lacking: str):
        self.row, self.lacking = row, lacking
        super().__init__(f"sequence {row} has no {lacking}")


class Tokenizer(ABC):
    """From text to ids and back, a whole batch of sequences at a time.

    A batch is two arrays: the characters (or ids) of all its sequences back to back, and offsets, so
    that sequence i is `values[offsets[i]:offsets[i + 1]]`. Characters are bytes in `encoding`; where a
    character is one byte, as in Latin-1, they are those of the file, unchanged.

    name: what token files and models call it, the same only for tokenizers that do the same. vocabulary:
    the text of each token, by id. pad: the id that fills sequences up. special: ids that stand for no
    text; they are no content, which is what is ranked, counted and shown. unknown: the id of text that
    has no token of its own, if there is one. before, after: the special ids that frame every sequence;
    `tokenize` puts them there. frames: the number of reading frames, such as 6 for six-mers.
    unit: what a character is, for people.
    definition: what a tokenizer that is not in `tokenizers.TOKENIZERS` is made of, the text of a
    `tokenizer.json`. stores_spans: ids do not tell how many characters a token covers, so token files
    hold the places of `located`.
    """

    name: str
    vocabulary: Sequence[str]
    pad: int
    special: tuple[int, ...]
    unknown: int | None = None
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    frames: int = 1
    unit: ClassVar[str] = "character"
    encoding: ClassVar[str] = "latin-1"
    definition: str = ""
    stores_spans: ClassVar[bool] = False

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

    def located(
        self, text: np.ndarray, offsets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`tokenize`, and where in its sequence each token lies: int32 (2, total tokens).

        First character and the one after the last, 0-based; the same for special tokens of the frame. This
        is by the widths of tokens. Raises UserError where one does not tell its width.
        """
        ids, ends = self.tokenize(text, offsets)
        widths = self.widths(ids)
        if (widths < 0).any():
            raise UserError(f"{self.name} tokens do not tell which characters they cover")
        read = np.append(0, np.cumsum(widths))
        stops = read[1:] - np.repeat(read[ends[:-1]], np.diff(ends))
        return ids, ends, np.stack([stops - widths, stops]).astype(np.int32)

    def characters(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Some texts as `tokenize` takes them; what `encoding` does not have becomes "?"."""
        encoded = [text.encode(self.encoding, "replace") for text in texts]
        offsets = np.cumsum([0, *map(len, encoded)])
        return np.frombuffer(b"".join(encoded), np.uint8), offsets

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


def spelled_out(
    text: np.ndarray, offsets: np.ndarray, spellings: Sequence[str]
) -> Iterator[tuple[int, int, int]]:
    """Where special tokens like "<pad>" are spelled out within a sequence: (number, start, end).

    No spelling may be part of another one.
    """
    boundary = np.zeros(len(text) + 1, bool)
    boundary[offsets] = True
    for number, spelling in enumerate(spellings):
        pattern = np.frombuffer(spelling.encode(), np.uint8)
        if len(text) < len(pattern):
            continue
        windows = np.lib.stride_tricks.sliding_window_view(text, len(pattern))
        crosses = np.lib.stride_tricks.sliding_window_view(boundary[:-1], len(pattern))
        for start in np.flatnonzero((windows == pattern).all(1) & ~crosses[:, 1:].any(1)):
            yield number, int(start), int(start) + len(pattern)


def spans(tokenizer: Tokenizer, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First character and the one after the last of each token, 0-based, by the widths of tokens.

    ids: (..., length). Returns int64 (..., length) each, the same for tokens of no width, such as special
    ones; all are -1 in a sequence with a token that does not tell how many characters it covers.
    """
    widths = tokenizer.widths(ids)
    ends = widths.cumsum(-1)
    told = (widths >= 0).all(-1, keepdims=True)
    return np.where(told, ends - widths, -1), np.where(told, ends, -1)
