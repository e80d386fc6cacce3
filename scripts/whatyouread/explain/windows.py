"""Windows along somebody's sequences: where they lie, and the text that the models read there.

Long runs of N divide a record into stretches. Each stretch is read in overlapping windows of the length
that the models were trained on, from both strands. The windows of the other strand are laid out from its
own first base, so that the reverse complement of a record has the mirrored windows.
"""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from whatyouread.data.intervals import ranges
from whatyouread.data.six_mers import COMPLEMENT
from whatyouread.support.cli import UserError

FORWARD, REVERSE = 0, 1
STRANDS = {"merged": (FORWARD, REVERSE), "apart": (FORWARD, REVERSE), "forward": (FORWARD,)}
"""Which strands are read; `apart` keeps what they say apart."""


@dataclass(frozen=True)
class Layout:
    """How windows lie: lengths in bases.

    window: of a window. step: from one window to the next; both are multiples of `frame`, the length of
    a token, so that the tokens of overlapping windows coincide. offsets: how many reading frames are
    read, from 1 to `frame`. strands: see `STRANDS`. gap: from this length on a run of N divides a record.
    """

    window: int
    step: int
    frame: int
    offsets: int = 1
    strands: str = "merged"
    gap: int = 10

    def __post_init__(self):
        if self.window < self.frame or self.window % self.frame:
            raise UserError(
                f"a window of {self.window} bases: give a multiple of the {self.frame} bases of a token"
            )
        if not 0 < self.step <= self.window or self.step % self.frame:
            raise UserError(
                f"a step of {self.step} bases: give a multiple of {self.frame} up to the length of a"
                f" window, {self.window}"
            )
        if not 1 <= self.offsets <= self.frame:
            raise UserError(f"{self.offsets} offsets: a token has {self.frame} reading frames")
        if self.strands not in STRANDS:
            raise UserError(f"strands: {self.strands!r} is none of {', '.join(STRANDS)}")
        if self.gap < 1:
            raise UserError(f"a gap of {self.gap} N: give 1 or more")


@dataclass(frozen=True)
class Windows:
    """n windows in the order of their starts, those of a record together; int64 (n,) each.

    start, stop: bases, 0-based and half-open, on the forward strand. strand: `FORWARD` or `REVERSE`.
    offset: the reading frame.
    """

    start: np.ndarray
    stop: np.ndarray
    strand: np.ndarray
    offset: np.ndarray

    def __len__(self) -> int:
        return len(self.start)

    def __iter__(self) -> Iterator[np.ndarray]:
        """The columns."""
        return iter(self.columns().values())

    def columns(self) -> dict[str, np.ndarray]:
        """The columns by their names."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def moved(self, bases: int) -> "Windows":
        """The same windows, so many bases further on."""
        return dataclasses.replace(self, start=self.start + bases, stop=self.stop + bases)

    def take(self, rows) -> "Windows":
        """Some of the windows."""
        return Windows(*(column[rows] for column in self))

    def then(self, others: "Windows") -> "Windows":
        """These windows and others after them."""
        return Windows(*map(np.concatenate, zip(self, others, strict=True)))


def stretches(start: int, stop: int, gaps: np.ndarray, smallest: int) -> np.ndarray:
    """What lies between the long runs of N of a record, int64 (k, 2).

    start, stop: where the record lies. gaps: int64 (g, 2), all its maximal runs of N, in order. Runs at
    its ends are no part of a stretch, whatever their length. Empty for a record without bases.
    """
    lengths = gaps[:, 1] - gaps[:, 0]
    cut = gaps[(lengths >= smallest) | (gaps[:, 0] == start) | (gaps[:, 1] == stop)]
    edges = np.concatenate(([start], cut.reshape(-1), [stop])).reshape(-1, 2)
    return edges[edges[:, 0] < edges[:, 1]]


def lay_out(pieces: np.ndarray, layout: Layout) -> Windows:
    """The windows of some stretches, int64 (k, 2) in order and without overlap.

    The last window of a stretch ends with its last base. A stretch that is shorter than a window is one.
    """
    starts, stops = pieces[:, 0], pieces[:, 1]
    of, made = [], []
    for offset in range(layout.offsets):
        lengths = stops - starts - offset
        over = -(-(lengths - layout.window) // layout.frame) * layout.frame
        last = np.maximum(over, 0)
        number = np.where(lengths > 0, -(-last // layout.step) + 1, 0)
        stretch = np.repeat(np.arange(len(pieces)), number)
        place = ranges(np.zeros_like(number), number)
        low = np.minimum(place * layout.step, last[stretch])
        high = np.minimum(low + layout.window, lengths[stretch])
        for strand in STRANDS[layout.strands]:
            if strand == FORWARD:
                places = starts[stretch] + offset + low, starts[stretch] + offset + high
            else:
                places = stops[stretch] - offset - high, stops[stretch] - offset - low
            same = np.full(len(stretch), strand), np.full(len(stretch), offset)
            of.append(stretch)
            made.append(np.stack([*places, *same]))
    columns = np.concatenate(made, axis=1)
    order = np.lexsort((columns[2], columns[3], columns[0], np.concatenate(of)))
    return Windows(*columns[:, order])


def texts(bases: np.ndarray, windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """What the models read in some windows: uint8 text back to back, and its offsets, int64 (n + 1,).

    bases: uint8, what the places of the windows count in.
    """
    lengths = windows.stop - windows.start
    offsets = np.append(0, np.cumsum(lengths))
    within = ranges(np.zeros_like(lengths), lengths)
    back = np.repeat(windows.strand == REVERSE, lengths)
    first = np.where(windows.strand == REVERSE, windows.stop - 1, windows.start)
    read = bases[np.repeat(first, lengths) + np.where(back, -within, within)]
    return np.where(back, COMPLEMENT[read], read), offsets
