"""Chunks of a rounded mask (paper, "Results").

A chunk is a maximal stretch of a sequence's content (no special tokens, no padding) where the rounded
mask is all 1 (relevant) or all 0 (irrelevant).
"""

from typing import NamedTuple

import numpy as np


class Chunks(NamedTuple):
    """Chunks in the order of the sequences; all arrays have one entry per chunk."""

    sequence: np.ndarray  # int64, row of the mask
    start: np.ndarray  # int64, first token
    end: np.ndarray  # int64, one after the last token
    relevant: np.ndarray  # bool


def find_chunks(rounded: np.ndarray, content: np.ndarray) -> Chunks:
    """Find the maximal stretches of equal values within the content; both bool (n, length)."""
    edge = np.zeros((len(content), 1), bool)
    same = (rounded[:, 1:] == rounded[:, :-1]) & content[:, 1:] & content[:, :-1]
    sequence, start = np.nonzero(content & ~np.append(edge, same, axis=1))
    end = np.nonzero(content & ~np.append(same, edge, axis=1))[1] + 1
    return Chunks(sequence, start, end, rounded[sequence, start])


def count_runs(chosen: np.ndarray) -> int:
    """Count the maximal stretches of True; chosen: bool (n,)."""
    return int(chosen[:1].sum() + (chosen[1:] & ~chosen[:-1]).sum())
