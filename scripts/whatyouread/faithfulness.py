"""How faithful scores are to the classifier: each measure is one function, one value per sequence.

Probabilities and log-probabilities are those of the predicted class of each rank; arrays of them end
in (n, ranks). Scores are float (n, length), zero at padding.
"""

from collections.abc import Iterator

import numpy as np

from whatyouread.draws import draw
from whatyouread.top_tokens import share, token_places


def comprehensiveness(whole: np.ndarray, without: np.ndarray) -> np.ndarray:
    """How far the probability falls when the top tokens go, mean over the shares (DeYoung et al. 2020).

    whole: (n, ranks), of the plain sequences; without: (shares, n, ranks). Higher is better.
    """
    return (whole - without).mean(0)


def sufficiency(whole: np.ndarray, alone: np.ndarray) -> np.ndarray:
    """How far the probability falls when the top tokens are all there is (DeYoung et al. 2020).

    alone: (shares, n, ranks). Lower is better.
    """
    return (whole - alone).mean(0)


def curve_area(curve: np.ndarray) -> np.ndarray:
    """Area under a deletion or insertion curve over the share of tokens (Petsiuk et al. 2018).

    curve: probabilities (points, n, ranks), at shares from 0 to 1 at even distances. By trapezoids.
    Deletion: lower is better; insertion: higher.
    """
    return np.trapezoid(curve, dx=1 / (len(curve) - 1), axis=0)


def infidelity(changes: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Squared error of the scores as a linear forecast of what masking does (Yeh et al. 2019).

    changes: (samples, n, ranks), by how much the log-probability falls when some tokens are masked;
    predicted: like it, the sum of these tokens' scores. Scores are scaled as fits best, like
    captum's `infidelity(normalize=True)`, and the error is divided by the mean squared change, so that
    0 is perfect and 1 is what scores of zero get. NaN where nothing changes anything.
    """
    square = (predicted**2).mean(0)
    scale = np.divide(
        (predicted * changes).mean(0), square, out=np.zeros_like(square), where=square > 0
    )
    error = ((scale * predicted - changes) ** 2).mean(0)
    change = (changes**2).mean(0)
    return np.divide(error, change, out=np.full_like(error, np.nan), where=change > 0)


def spearman(one: np.ndarray, other: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Rank correlation of two scores along each sequence, without `<cls>`: float64 (n,).

    0 where one of them is the same everywhere.
    """
    from scipy.stats import rankdata

    inside = token_places(lengths, one.shape[1])
    count = np.maximum(inside.sum(1, keepdims=True), 1)
    centred = []
    for scores in (one, other):
        ranks = rankdata(np.where(inside, scores, np.inf), axis=1)
        mean = np.where(inside, ranks, 0).sum(1, keepdims=True) / count
        centred.append(np.where(inside, ranks - mean, 0))
    product = (centred[0] * centred[1]).sum(1)
    norm = np.sqrt((centred[0] ** 2).sum(1) * (centred[1] ** 2).sum(1))
    return np.divide(product, norm, out=np.zeros(len(norm)), where=norm > 0)


def overlap(one: np.ndarray, other: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Intersection over union of what two masks keep, without `<cls>`: float64 (n,).

    one, other: bool (n, length). 1 where neither keeps anything.
    """
    inside = token_places(lengths, one.shape[1])
    union = ((one | other) & inside).sum(1)
    shared = (one & other & inside).sum(1)
    return np.divide(shared, union, out=np.ones(len(one)), where=union > 0)


def planted_precision(
    scores: np.ndarray, planted: np.ndarray, lengths: np.ndarray
) -> dict[str, np.ndarray]:
    """Do the scores point at planted tokens? Average precision and AUROC of each sequence.

    planted: bool (n, length). Also the base rate, which is the average precision of scores that know
    nothing. NaN for sequences that have no planted token, or no other.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    inside = token_places(lengths, scores.shape[1])
    made = {name: np.full(len(scores), np.nan) for name in ("auprc", "auroc", "base_rate")}
    for row in range(len(scores)):
        truth, own = planted[row, inside[row]], scores[row, inside[row]]
        if truth.all() or not truth.any():
            continue
        made["auprc"][row] = average_precision_score(truth, own)
        made["auroc"][row] = roc_auc_score(truth, own)
        made["base_rate"][row] = truth.mean()
    return made


def top_masks(rank: np.ndarray, lengths: np.ndarray, shares: list[float], mask) -> Iterator:
    """The keep or remove masks of some shares of the tokens; mask: one of `top_tokens`'."""
    for fraction in shares:
        yield mask(rank, lengths, share(fraction, lengths))


def curve_masks(rank: np.ndarray, lengths: np.ndarray, points: int, mask) -> Iterator[np.ndarray]:
    """The masks along a curve, from no token to all of them, at even distances."""
    tokens = np.maximum(lengths - 1, 0)
    for fraction in np.linspace(0, 1, points):
        yield mask(rank, lengths, np.floor(fraction * tokens + 0.5).astype(np.int64))


def random_masks(
    lengths: np.ndarray, keys: np.ndarray, width: int, samples: int, seed: int
) -> Iterator[np.ndarray]:
    """Masks in which a random share of the tokens is 0, the same for every method.

    The share is uniform in [0, 1), drawn anew for each sample and sequence. float32 (n, width).
    """
    place, inside = np.arange(width), token_places(lengths, width)
    for sample in range(samples):
        area = draw(seed, "perturbed share", keys, sample)[:, None]
        gone = draw(seed, "perturbed tokens", keys[:, None], sample * width + place) < area
        mask = (inside & ~gone).astype(np.float32)
        mask[:, 0] = 1
        yield mask


MEASURES = {
    "comprehensiveness": "higher",
    "sufficiency": "lower",
    "deletion_auc": "lower",
    "insertion_auc": "higher",
    "infidelity": "lower",
    "stability": "higher",
    "randomised_model": "lower",
    "auprc": "higher",
    "auroc": "higher",
    "base_rate": "none",
    "seed_agreement": "higher",
    "seed_overlap": "higher",
}
"""The measures and whether higher or lower is better."""
