"""Measures of how faithful scores are to the classifier: one function each, one value per sequence.

Probabilities and log-probabilities belong to the predicted class of each rank; their arrays end in
(n, ranks). Scores are float (n, length), zero at padding.
"""

from collections.abc import Iterator

import numpy as np

from whatyouread.masks.controls import shifted
from whatyouread.masks.top_tokens import share
from whatyouread.support.keyed_random import draw
from whatyouread.support.statistics import average_precision


def comprehensiveness(whole: np.ndarray, without: np.ndarray) -> np.ndarray:
    """The fall of the probability without the top tokens, mean over the shares (DeYoung et al. 2020).

    whole: (n, ranks), for the plain sequences; without: (shares, n, ranks). Higher is better.
    """
    return (whole - without).mean(0)


def sufficiency(whole: np.ndarray, alone: np.ndarray) -> np.ndarray:
    """The fall of the probability with only the top tokens, mean over the shares (DeYoung et al. 2020).

    alone: (shares, n, ranks). Lower is better.
    """
    return (whole - alone).mean(0)


def curve_area(curve: np.ndarray) -> np.ndarray:
    """Area under a deletion or insertion curve over the share of tokens (Petsiuk et al. 2018).

    curve: probabilities (points, n, ranks) at evenly spaced shares from 0 to 1. Uses the trapezoidal
    rule. Lower is better for deletion, higher for insertion.
    """
    return np.trapezoid(curve, dx=1 / (len(curve) - 1), axis=0)


def infidelity(changes: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Squared error of the scores as a linear prediction of the effect of masking (Yeh et al. 2019).

    changes: (samples, n, ranks), the fall of the log-probability when some tokens are masked;
    predicted: (samples, n, ranks), the sum of these tokens' scores. Scores are scaled for the best fit,
    like in captum's `infidelity(normalize=True)`. The error is divided by the mean squared change: 0 is
    perfect, and scores of zero get 1. NaN if all changes are zero.
    """
    square = (predicted**2).mean(0)
    scale = np.divide(
        (predicted * changes).mean(0), square, out=np.zeros_like(square), where=square > 0
    )
    error = ((scale * predicted - changes) ** 2).mean(0)
    change = (changes**2).mean(0)
    return np.divide(error, change, out=np.full_like(error, np.nan), where=change > 0)


def spearman(one: np.ndarray, other: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Spearman's correlation of two scores over the content of each sequence: float64 (n,).

    0 if one of the scores is the same everywhere.
    """
    from scipy.stats import rankdata

    count = np.maximum(content.sum(1, keepdims=True), 1)
    centred = []
    for scores in (one, other):
        ranks = rankdata(np.where(content, scores, np.inf), axis=1)
        mean = np.where(content, ranks, 0).sum(1, keepdims=True) / count
        centred.append(np.where(content, ranks - mean, 0))
    product = (centred[0] * centred[1]).sum(1)
    norm = np.sqrt((centred[0] ** 2).sum(1) * (centred[1] ** 2).sum(1))
    return np.divide(product, norm, out=np.zeros(len(norm)), where=norm > 0)


def overlap(one: np.ndarray, other: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Intersection over union of the content that two masks keep: float64 (n,).

    one, other: bool (n, length). 1 if neither mask keeps a token.
    """
    union = ((one | other) & content).sum(1)
    shared = (one & other & content).sum(1)
    return np.divide(shared, union, out=np.ones(len(one)), where=union > 0)


def planted_precision(
    scores: np.ndarray, planted: np.ndarray, content: np.ndarray, keys: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """How well scores find tokens that are known to matter: average precision and AUROC of each sequence.

    planted: bool (n, length); keys: uint64 (n,). Also returns the average precision of the same scores
    moved along the sequence, as the control `shifted` moves masks, and the base rate, the average precision
    of random scores. NaN for sequences whose tokens are all planted or all not planted.
    """
    from sklearn.metrics import roc_auc_score

    auroc, base_rate = np.full((2, len(scores)), np.nan)
    for row in range(len(scores)):
        truth, own = planted[row, content[row]], scores[row, content[row]]
        if truth.all() or not truth.any():
            continue
        auroc[row] = roc_auc_score(truth, own)
        base_rate[row] = truth.mean()
    moved = shifted(scores, content, keys, seed)
    return {
        "auprc": average_precision(scores, planted, content),
        "auprc_shifted": average_precision(moved, planted, content),
        "auroc": auroc,
        "base_rate": base_rate,
    }


def top_masks(order: np.ndarray, content: np.ndarray, shares: list[float], mask) -> Iterator:
    """Yield the keep or remove mask for each share of the tokens; mask: a function of `top_tokens`."""
    for fraction in shares:
        yield mask(order, content, share(fraction, content))


def curve_masks(order: np.ndarray, content: np.ndarray, points: int, mask) -> Iterator[np.ndarray]:
    """Yield the masks along a curve, evenly spaced from no token to all tokens."""
    tokens = content.sum(1)
    for fraction in np.linspace(0, 1, points):
        yield mask(order, content, np.floor(fraction * tokens + 0.5).astype(np.int64))


def random_masks(
    content: np.ndarray, keys: np.ndarray, samples: int, seed: int
) -> Iterator[np.ndarray]:
    """Yield masks with a random share of the content at 0, the same masks for every method.

    The share is uniform in [0, 1) and drawn for each sample and sequence. float32 (n, length).
    """
    width = content.shape[1]
    for sample in range(samples):
        area = draw(seed, "perturbed share", keys, sample)[:, None]
        drawn = draw(seed, "perturbed tokens", keys[:, None], sample * width + np.arange(width))
        yield (~content | (drawn >= area)).astype(np.float32)


MEASURES = {
    "comprehensiveness": "higher",
    "sufficiency": "lower",
    "deletion_auc": "lower",
    "insertion_auc": "higher",
    "infidelity": "lower",
    "stability": "higher",
    "randomised_model": "lower",
    "auprc": "higher",
    "auprc_shifted": "none",
    "auroc": "higher",
    "base_rate": "none",
    "seed_agreement": "higher",
    "seed_overlap": "higher",
}
"""Each measure, and whether higher or lower is better."""
