"""Control masks: what a mask must beat to have said anything about the sequence.

Each control has the signature (masks, lengths, keys, seed) -> masks, all float32 (n, length), and
keeps the amount of mask but not its place. `<cls>`, at place 0, keeps its own value where the
control moves values within a sequence. Draws belong to the sequence's key, not to its row.
"""

import numpy as np

from whatyouread.draws import draw


def shuffled(masks: np.ndarray, lengths: np.ndarray, keys: np.ndarray, seed: int) -> np.ndarray:
    """The same values in a random order along the sequence."""
    place = np.arange(masks.shape[1])
    score = draw(seed, "shuffle", keys[:, None], place)
    score = np.where(place < lengths[:, None], score, 2.0)  # padding stays behind
    score[:, 0] = -1.0  # and <cls> in front
    return np.take_along_axis(masks, np.argsort(score, axis=1, kind="stable"), axis=1)


def shifted(masks: np.ndarray, lengths: np.ndarray, keys: np.ndarray, seed: int) -> np.ndarray:
    """The same mask moved round the sequence: same area, same runs but for one cut."""
    tokens = np.maximum(lengths - 1, 1)[:, None]
    # at least one and at most all but one token further, where there is more than one
    steps = 1 + np.floor(draw(seed, "shift", keys)[:, None] * (tokens - 1)).astype(np.int64)
    place = np.arange(masks.shape[1])
    source = 1 + (place - 1 - steps) % tokens
    inside = (place >= 1) & (place < lengths[:, None])
    return np.take_along_axis(masks, np.where(inside, source, place), axis=1)


def other_sequence(
    masks: np.ndarray, lengths: np.ndarray, keys: np.ndarray, seed: int
) -> np.ndarray:
    """The mask of another sequence, cut or repeated to the length of this one."""
    # exact copies of a sequence share a partner, or they would be one another's
    _, first, member = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(draw(seed, "partner", keys[first]), kind="stable")
    partner = np.empty_like(order)
    partner[order] = np.roll(order, 1)
    partner = first[partner][member]
    place = np.arange(masks.shape[1])
    own, others = lengths[:, None], np.maximum(lengths[partner] - 1, 1)[:, None]
    source = np.where(place == 0, 0, np.minimum(1 + (place - 1) % others, masks.shape[1] - 1))
    taken = masks[partner[:, None], source]
    return np.where(place < own, taken, 0).astype(masks.dtype)


def position_mean(
    masks: np.ndarray, lengths: np.ndarray, keys: np.ndarray, seed: int
) -> np.ndarray:
    """The average mask by position, the same for every sequence."""
    inside = np.arange(masks.shape[1]) < lengths[:, None]
    total = np.where(inside, masks, 0).sum(0, dtype=np.float64)
    mean = total / np.maximum(inside.sum(0), 1)
    return np.where(inside, mean, 0).astype(masks.dtype)


def constant(masks: np.ndarray, lengths: np.ndarray, keys: np.ndarray, seed: int) -> np.ndarray:
    """Each token the mean of the sequence's mask."""
    place = np.arange(masks.shape[1])
    tokens = (place >= 1) & (place < lengths[:, None])
    mean = np.where(tokens, masks, 0).sum(1, dtype=np.float64) / np.maximum(lengths - 1, 1)
    return np.where(tokens, mean[:, None], masks).astype(masks.dtype)


CONTROLS = {
    "shuffled": shuffled,
    "shifted": shifted,
    "other_sequence": other_sequence,
    "position_mean": position_mean,
    "constant": constant,
}
"""The controls that follow from the masks alone; a wrong class's mask comes from the Explainer."""
