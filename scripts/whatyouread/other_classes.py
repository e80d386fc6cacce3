"""Classes that a sequence does not belong to, for masks that should not speak for them."""

import numpy as np

from whatyouread.cli import UserError
from whatyouread.draws import draw

OTHERS = ("wrong", "runner_up")
"""A class drawn at random, and the one that the classifier would have named next."""


def wrong_classes(labels: np.ndarray, predicted: np.ndarray, keys: np.ndarray, seed: int,
                  lineages: np.ndarray) -> np.ndarray:  # fmt: skip
    """Classes of another lineage, drawn for each sequence.

    labels, predicted: int64 (n, ranks); lineages: int64 (k, ranks), the class combinations there
    are. The lowest rank of the result is neither the label nor, where there are three classes or
    more, the prediction; the ranks above go with it.
    """
    lowest = lineages[:, -1]
    if len(np.unique(lowest)) < 2:
        raise UserError("there is one class only at the lowest rank: no wrong class can be drawn")
    avoid = [labels[:, -1]] + ([predicted[:, -1]] if len(np.unique(lowest)) > 2 else [])
    chosen = np.full(len(labels), -1)
    attempt = 0
    while (open_ := np.flatnonzero(chosen < 0)).size:
        tried = (draw(seed, "wrong class", keys[open_], attempt) * len(lineages)).astype(np.int64)
        good = np.logical_and.reduce([lowest[tried] != other[open_] for other in avoid])
        chosen[open_[good]] = tried[good]
        attempt += 1
    return lineages[chosen]


def runner_up_classes(
    labels: np.ndarray, predicted: np.ndarray, logits: np.ndarray, lineages: np.ndarray
) -> np.ndarray:
    """The most probable classes of another lineage than the label's and the prediction's.

    labels, predicted: int64 (n, ranks); logits: float (n, classes of the lowest rank); lineages:
    int64 (k, ranks). Where there are but two classes, the one that is not the label. Returns int64
    (n, ranks): a lowest class, with the ranks above as they go with it.
    """
    lowest = lineages[:, -1]
    if len(np.unique(lowest)) < 2:
        raise UserError("there is one class only at the lowest rank: there is no runner-up")
    score = logits[:, lowest].astype(np.float64)
    if len(np.unique(lowest)) > 2:
        score[lowest == predicted[:, -1:]] = -np.inf
    score[lowest == labels[:, -1:]] = -np.inf
    return lineages[score.argmax(1)]
