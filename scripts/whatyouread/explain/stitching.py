"""From windows to what holds per place on the line: masks blended, predictions between windows' edges.

A place is a base, or a token of a protein or a text. Its mask is the weighted mean over the windows that
cover it on a strand. The weight of a token is the distance of its centre from the nearer end of its window,
so that windows fade into one another, and scores do not dip where a window begins. The merged mask is the
mean of the two strands.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from whatyouread.data.intervals import inside, ranges
from whatyouread.explain.intake import Records
from whatyouread.explain.scoring import Block
from whatyouread.explain.tracks import DECIMALS
from whatyouread.explain.windows import REVERSE

_LEAST, _LONGEST = 1 << 18, 1 << 20  # places of a piece


class Segments(NamedTuple):
    """Pieces that the same windows cover, in order: start, stop int64 (k,) on the line.

    probabilities: float64 (k, classes), the mean over the windows that cover a piece.
    """

    start: np.ndarray
    stop: np.ndarray
    probabilities: np.ndarray


class Piece(NamedTuple):
    """What is known of some places, none of which a later window covers.

    start: on the line of all records. values: float32 (strands, n), NaN where there is no score: at N,
    between windows and outside of what is asked for. One row for merged strands or the forward one, two
    (forward, reverse) where they are kept apart. bases: what lies there, see `Records.bases`.
    """

    start: int
    values: np.ndarray
    bases: np.ndarray
    segments: Segments

    @property
    def stop(self) -> int:
        return self.start + self.values.shape[1]


def stitch(blocks: Iterable[Block], records: Records, strands: str) -> Iterator[Piece]:
    """Yield the pieces of all records, in order and without holes."""
    end = int(records.starts[-1])
    blend, spread = _Blend(strands), _Spread()
    following = iter(blocks)
    block = next(following, None)
    while block is not None:
        after = next(following, None)
        # windows come in the order of their starts
        until = end if after is None else int(after.windows.start[0])
        blend.add(block)
        spread.add(block)
        # a long stretch of N lies before the next window
        if until - blend.done >= _LEAST:
            yield from _cut(blend, spread, until, records)
        block = after
    if blend.done < end:
        yield from _cut(blend, spread, end, records)


def _cut(blend: "_Blend", spread: "_Spread", until: int, records: Records) -> Iterator[Piece]:
    while blend.done < until:
        start = blend.done
        stop = min(until, start + _LONGEST)
        bases = records.bases(start, stop)
        values = blend.take(stop)
        outside = records.without_score(bases)
        if records.regions is not None:
            outside |= ~inside(*np.clip(records.shown, start, stop).T - start, stop - start)
        values[:, outside] = np.nan
        segments = spread.take(stop)
        if records.regions is not None:
            segments = _clipped(segments, records.shown)
        yield Piece(start, values, bases, segments)


class _Blend:
    """Sums over windows for the places from `done` on."""

    def __init__(self, strands: str):
        self.strands, self.done = strands, 0
        self.sums = self.weights = np.zeros((2, 0))

    def add(self, block: Block) -> None:
        windows = block.windows
        of = np.repeat(np.arange(len(windows)), np.diff(block.offsets))
        widths = block.widths.astype(np.int64)
        read = np.cumsum(widths)
        before = np.append(0, read)[block.offsets[:-1]]
        low = read - widths - before[of]  # of each token, in the order of reading
        back = windows.strand[of] == REVERSE
        start = np.where(back, windows.stop[of] - low - widths, windows.start[of] + low)
        centre = low + widths / 2
        weight = np.minimum(centre, (windows.stop - windows.start)[of] - centre)

        token = np.repeat(np.arange(len(of)), widths)
        size = int(windows.stop.max()) - self.done
        self._grow(size)
        place = ranges(start, start + widths) - self.done + np.where(back[token], size, 0)
        mask = block.masks.astype(np.float64)
        for sums, values in ((self.sums, weight * mask), (self.weights, weight)):
            sums[:, :size] += np.bincount(place, values[token], 2 * size).reshape(2, size)

    def take(self, stop: int) -> np.ndarray:
        """The mask of the places from `done` to `stop`, float32 (strands, n)."""
        size = stop - self.done
        self._grow(size)
        sums, weights = self.sums[:, :size], self.weights[:, :size]
        with np.errstate(invalid="ignore"):
            values = sums / weights  # NaN where no window is
        self.sums, self.weights = self.sums[:, size:], self.weights[:, size:]
        self.done = stop
        if self.strands == "forward":
            values = values[:1]
        elif self.strands == "merged":
            values = values.mean(0, keepdims=True)
        return np.round(values, DECIMALS).astype(np.float32)

    def _grow(self, size: int) -> None:
        lacking = size - self.sums.shape[1]
        if lacking > 0:
            self.sums, self.weights = (
                np.pad(values, ((0, 0), (0, lacking))) for values in (self.sums, self.weights)
            )


class _Spread:
    """Windows whose predictions hold from `done` on."""

    def __init__(self):
        self.done = 0
        self.start = self.stop = np.zeros(0, np.int64)
        self.probabilities: np.ndarray | None = None

    def add(self, block: Block) -> None:
        windows, own = block.windows, block.probabilities.astype(np.float64)
        self.start = np.concatenate((self.start, windows.start))
        self.stop = np.concatenate((self.stop, windows.stop))
        known = self.probabilities
        self.probabilities = own if known is None else np.concatenate((known, own))

    def take(self, stop: int) -> Segments:
        """The segments from `done` to `stop`."""
        if self.probabilities is None:
            self.done = stop
            return Segments(*np.zeros((2, 0), np.int64), np.zeros((0, 0)))
        low, high = np.maximum(self.start, self.done), np.minimum(self.stop, stop)
        now = low < high
        low, high, said = low[now], high[now], self.probabilities[now]
        edges, place = np.unique(np.concatenate((low, high)), return_inverse=True)
        sums = np.zeros((len(edges), said.shape[1]))
        number = np.zeros(len(edges), np.int64)
        opens, closes = np.split(place, 2)
        np.add.at(sums, opens, said)
        np.subtract.at(sums, closes, said)
        np.add.at(number, opens, 1)
        np.subtract.at(number, closes, 1)
        sums, number = sums.cumsum(0)[:-1], number.cumsum()[:-1]
        covered = np.flatnonzero(number)
        left = self.stop > stop
        self.start, self.stop = self.start[left], self.stop[left]
        self.probabilities = self.probabilities[left]
        self.done = stop
        means = (sums[covered] / number[covered, None]).clip(0, 1)
        return Segments(edges[:-1][covered], edges[1:][covered], means)


def _clipped(segments: Segments, shown: np.ndarray) -> Segments:
    """The parts of segments that lie in one of the intervals, in order."""
    first = np.searchsorted(shown[:, 1], segments.start, side="right")
    last = np.searchsorted(shown[:, 0], segments.stop, side="left")
    number = np.maximum(last - first, 0)
    of = np.repeat(np.arange(len(number)), number)
    interval = ranges(first, first + number)
    low = np.maximum(segments.start[of], shown[interval, 0])
    high = np.minimum(segments.stop[of], shown[interval, 1])
    return Segments(low, high, segments.probabilities[of])
