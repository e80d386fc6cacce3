"""Control masks: a mask is informative about its sequence only if it beats these.

Each control has the signature (masks, content, keys, seed) -> masks, float32 (n, length). It keeps the
size of the masks, each mask's own or that of all together, but changes the places. content: bool (n,
length), the tokens that are neither special nor padding. Controls that move values within a sequence leave
those of special tokens in place. Draws depend on the sequence's key, not on its row.
"""

import numpy as np

from whatyouread.support.keyed_random import draw


def _places(content: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The places of each sequence's content in order, int64 (n, length), and their number.

    All other places follow after the content.
    """
    return np.argsort(~content, axis=1, kind="stable"), content.sum(1)


def _moved(masks: np.ndarray, content: np.ndarray, source: np.ndarray) -> np.ndarray:
    """Give the i-th token of the content the mask value at place `source[:, i]`."""
    places, count = _places(content)
    inside = np.arange(masks.shape[1]) < count[:, None]
    made = masks.copy()
    rows = np.nonzero(inside)[0]
    made[rows, places[inside]] = masks[rows, source[inside]]
    return made


def shuffled(masks: np.ndarray, content: np.ndarray, keys: np.ndarray, seed: int) -> np.ndarray:
    """The same values in a random order along the sequence."""
    drawn = draw(seed, "shuffle", keys[:, None], np.arange(masks.shape[1]))
    order = np.argsort(np.where(content, drawn, 2.0), axis=1, kind="stable")
    return _moved(masks, content, order)


def shifted(masks: np.ndarray, content: np.ndarray, keys: np.ndarray, seed: int) -> np.ndarray:
    """The same mask rotated along the sequence: same area, same chunks except for one cut."""
    places, count = _places(content)
    tokens = np.maximum(count, 1)[:, None]
    # rotate by at least one token and less than a full turn, if there is more than one token
    steps = 1 + np.floor(draw(seed, "shift", keys)[:, None] * (tokens - 1)).astype(np.int64)
    source = (np.arange(masks.shape[1]) - steps) % tokens
    return _moved(masks, content, np.take_along_axis(places, source, axis=1))


def other_sequence(
    masks: np.ndarray, content: np.ndarray, keys: np.ndarray, seed: int
) -> np.ndarray:
    """The mask of another sequence, cut or repeated to this one's length, including special tokens."""
    # exact copies of a sequence share a partner, so that they are not paired with each other
    _, first, member = np.unique(keys, return_index=True, return_inverse=True)
    order = np.argsort(draw(seed, "partner", keys[first]), kind="stable")
    partner = np.empty_like(order)
    partner[order] = np.roll(order, 1)
    partner = first[partner][member]
    places, count = _places(content)
    source = np.arange(masks.shape[1]) % np.maximum(count[partner], 1)[:, None]
    source = np.take_along_axis(places[partner], source, axis=1)
    taken = np.take_along_axis(masks[partner], source, axis=1)
    taken[count[partner] == 0] = 0  # a partner without content has no mask to give
    # the special tokens before the content; a sequence without content keeps its own mask
    leading = (np.cumsum(content, axis=1) == 0) & content.any(1, keepdims=True)
    made = np.where(leading, masks[partner], masks)
    inside = np.arange(masks.shape[1]) < count[:, None]
    made[np.nonzero(inside)[0], places[inside]] = taken[inside]
    return made


def position_mean(
    masks: np.ndarray, content: np.ndarray, keys: np.ndarray, seed: int
) -> np.ndarray:
    """The average mask by position, the same for every sequence."""
    means = []
    for counted in (content, ~content & (masks != 0)):  # masks are 0 at padding
        total = np.where(counted, masks, 0).sum(0, dtype=np.float64)
        means.append(total / np.maximum(counted.sum(0), 1))
    mean = np.where(content, *means)
    return np.where(content | (masks != 0), mean, 0).astype(masks.dtype)


def constant(masks: np.ndarray, content: np.ndarray, keys: np.ndarray, seed: int) -> np.ndarray:
    """The mean of the sequence's mask at every token."""
    total = np.where(content, masks, 0).sum(1, dtype=np.float64)
    mean = total / np.maximum(content.sum(1), 1)
    return np.where(content, mean[:, None], masks).astype(masks.dtype)


CONTROLS = {
    "shuffled": shuffled,
    "shifted": shifted,
    "other_sequence": other_sequence,
    "position_mean": position_mean,
    "constant": constant,
}
"""The controls made from masks alone; only an Explainer can make the masks of wrong classes."""
