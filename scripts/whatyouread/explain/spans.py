"""Spans: maximal runs of places whose mask lies above the threshold, found piece by piece."""

from typing import NamedTuple

import numpy as np

from whatyouread.explain.stitching import Piece, Segments
from whatyouread.masks.choices import THRESHOLD


class Found(NamedTuple):
    """n spans of one strand's mask, in order; no span crosses the border of two records.

    start, stop: int64 (n,), on the line. score: float64 (n,), the mean of the mask. probabilities:
    float64 (n, classes), those of the segment that the middle of the span lies in.
    """

    start: np.ndarray
    stop: np.ndarray
    score: np.ndarray
    probabilities: np.ndarray


class SpanFinder:
    """The spans of one strand's mask, from pieces that come in order.

    borders: int64, the places on the line where records begin.
    """

    def __init__(self, borders: np.ndarray, strand: int = 0):
        self.borders, self.strand, self._stop = borders, strand, 0
        # start and sum of a span that may go on
        self._open: tuple[int, float] | None = None
        self._kept: list[Segments] = []

    def add(self, piece: Piece) -> Found:
        """The spans that end in this piece, or before it."""
        values = piece.values[self.strand].astype(np.float64)
        above = np.zeros(len(values) + 2, bool)
        above[1:-1] = values > THRESHOLD  # not where there is no score
        begins, ends = above[1:] & ~above[:-1], above[:-1] & ~above[1:]
        low, high = np.searchsorted(self.borders, [piece.start, piece.stop])
        inner = self.borders[low:high] - piece.start
        cut = inner[above[inner] & above[inner + 1]]
        begins[cut] = ends[cut] = True
        start, stop = np.flatnonzero(begins), np.flatnonzero(ends)
        sums = np.append(0, np.cumsum(np.nan_to_num(values)))
        total = sums[stop] - sums[start]
        start, stop = start + piece.start, stop + piece.start
        if self._open is not None:
            if len(start) and start[0] == piece.start and piece.start not in self.borders[low:high]:
                start[0] = self._open[0]
                total[0] += self._open[1]
            else:
                start = np.append(self._open[0], start)
                stop = np.append(piece.start, stop)
                total = np.append(self._open[1], total)
            self._open = None
        if len(stop) and stop[-1] == piece.stop:
            self._open = int(start[-1]), float(total[-1])
            start, stop, total = start[:-1], stop[:-1], total[:-1]
        self._kept.append(piece.segments)
        self._stop = piece.stop
        found = self._described(start, stop, total)
        first = piece.stop if self._open is None else self._open[0]
        self._kept = [kept for kept in self._kept if len(kept.stop) and kept.stop[-1] > first]
        return found

    def end(self) -> Found:
        """The span that the last piece ended in, if it did."""
        start, total = ([self._open[0]], [self._open[1]]) if self._open else ([], [])
        stop = np.full(len(start), self._stop)
        return self._described(np.array(start, np.int64), stop, np.array(total, np.float64))

    def _described(self, start: np.ndarray, stop: np.ndarray, total: np.ndarray) -> Found:
        parts = [segments for segments in self._kept if len(segments.start)]
        if not len(start):
            return Found(start, stop, total, np.zeros((0, 0)))
        begins = np.concatenate([segments.start for segments in parts])
        said = np.concatenate([segments.probabilities for segments in parts])
        place = np.searchsorted(begins, (start + stop - 1) // 2, side="right") - 1
        return Found(start, stop, total / (stop - start), said[place])
