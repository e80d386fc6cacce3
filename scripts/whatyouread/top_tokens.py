"""Which tokens of a sequence score highest, and the masks that keep or remove them."""

import numpy as np

from whatyouread.draws import draw


def token_places(lengths: np.ndarray, width: int) -> np.ndarray:
    """Where there are tokens other than `<cls>` and padding: bool (n, width)."""
    place = np.arange(width)
    return (place >= 1) & (place < np.asarray(lengths)[:, None])


def ranking(scores: np.ndarray, lengths: np.ndarray, keys: np.ndarray, seed: int) -> np.ndarray:
    """The place of each token in the order of the scores, 0 for the highest: int64 (n, length).

    scores: float (n, length). Ties are broken by draws that belong to the sequence, so that a score
    which is the same everywhere orders the tokens at random. `<cls>` and padding come last.
    """
    tie = draw(seed, "ties", keys[:, None], np.arange(scores.shape[1]))
    inside = token_places(lengths, scores.shape[1])
    order = np.lexsort((tie, np.where(inside, -scores.astype(np.float64), np.inf)), axis=1)
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(scores.shape[1])[None], axis=1)
    return rank


def share(fraction: float, lengths: np.ndarray) -> np.ndarray:
    """How many tokens a share of each sequence is, int64 (n,): rounded, and one at least."""
    tokens = np.maximum(lengths - 1, 0)
    return np.minimum(np.maximum(np.floor(fraction * tokens + 0.5), 1), tokens).astype(np.int64)


def keep_mask(rank: np.ndarray, lengths: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """1 on `<cls>` and on the `counts` highest tokens of each sequence, else 0: float32 (n, length)."""
    mask = (rank < counts[:, None]) & token_places(lengths, rank.shape[1])
    mask[:, 0] = True
    return mask.astype(np.float32)


def remove_mask(rank: np.ndarray, lengths: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """0 on the `counts` highest tokens of each sequence and on padding, else 1: float32 (n, length)."""
    mask = (rank >= counts[:, None]) & token_places(lengths, rank.shape[1])
    mask[:, 0] = True
    return mask.astype(np.float32)
