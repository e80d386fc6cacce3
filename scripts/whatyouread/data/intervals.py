"""Intervals of places, 0-based and half-open."""

import numpy as np


def union(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intervals that overlap or touch as one each, in order; int64 (n,) and (k,)."""
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(ends[order])
    first = np.flatnonzero(np.append(True, starts[1:] > ends[:-1])[: len(starts)])
    return starts[first], ends[np.append(first[1:], len(starts))[: len(first)] - 1]


def ranges(starts: np.ndarray, stops: np.ndarray) -> np.ndarray:
    """All places of some intervals, one interval after the other: int64 (total length,)."""
    lengths = stops - starts
    ends = np.cumsum(lengths)
    return np.arange(lengths.sum()) + np.repeat(starts - (ends - lengths), lengths)


def inside(starts: np.ndarray, stops: np.ndarray, size: int) -> np.ndarray:
    """Which of `size` places lie in one of some intervals, which do not overlap: bool (size,)."""
    edges = np.zeros(size + 1, np.int8)
    np.add.at(edges, starts, 1)
    np.add.at(edges, stops, -1)
    return np.cumsum(edges, dtype=np.int8)[:-1] > 0


def runs(flags: np.ndarray) -> np.ndarray:
    """The maximal runs of True in flags, bool (n,), as intervals in order: int64 (k, 2)."""
    edges = np.zeros(len(flags) + 2, bool)
    edges[1:-1] = flags
    return np.flatnonzero(edges[1:] != edges[:-1]).reshape(-1, 2)
