"""Intervals of places, 0-based and half-open."""

import numpy as np


def union(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intervals that overlap or touch as one each, in order; int64 (n,) and (k,)."""
    order = np.argsort(starts, kind="stable")
    starts, ends = starts[order], np.maximum.accumulate(ends[order])
    first = np.flatnonzero(np.append(True, starts[1:] > ends[:-1])[: len(starts)])
    return starts[first], ends[np.append(first[1:], len(starts))[: len(first)] - 1]
