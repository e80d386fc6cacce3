"""Order the tokens of a sequence by score, and make masks that keep or remove the top ones.

content: bool (n, length), the tokens that are neither special nor padding (see `data.batch.Batch`).
"""

import numpy as np

from whatyouread.support.keyed_random import draw


def ordered(scores: np.ndarray, content: np.ndarray, keys: np.ndarray, seed: int) -> np.ndarray:
    """The place of each token in the order of the scores, 0 for the highest: int64 (n, length).

    scores: float (n, length). Random draws keyed by the sequence break ties, so equal scores give a
    random order. Special tokens and padding come last.
    """
    tie = draw(seed, "ties", keys[:, None], np.arange(scores.shape[1]))
    best_first = np.lexsort((tie, np.where(content, -scores.astype(np.float64), np.inf)), axis=1)
    order = np.empty_like(best_first)
    np.put_along_axis(order, best_first, np.arange(scores.shape[1])[None], axis=1)
    return order


def share(fraction: float, content: np.ndarray) -> np.ndarray:
    """The number of tokens in a share of each sequence, int64 (n,): rounded, at least one."""
    tokens = content.sum(1)
    return np.minimum(np.maximum(np.floor(fraction * tokens + 0.5), 1), tokens).astype(np.int64)


def keep_mask(order: np.ndarray, content: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Keep the `counts` top tokens of each sequence: 1 on them, 0 on other content. Float32 (n, length).

    order: from `ordered`. Special tokens get 1; mask values at padding are ignored.
    """
    return np.where(content, order < counts[:, None], True).astype(np.float32)


def remove_mask(order: np.ndarray, content: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Remove the `counts` top tokens of each sequence: 0 on them, 1 elsewhere. Float32 (n, length).

    order: from `ordered`. Special tokens get 1; mask values at padding are ignored.
    """
    return np.where(content, order >= counts[:, None], True).astype(np.float32)
