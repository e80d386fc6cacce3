"""Statistics for judging predictions and masks."""

import numpy as np

BLOCK = 1 << 24  # draws in memory at once


def balanced_accuracy(labels: np.ndarray, predicted: np.ndarray) -> float:
    """The mean recall over the classes present in the labels, in [0, 1]; NaN without labels.

    labels, predicted: integers (n,). Sequences with a label below 0 do not count.
    """
    counted = labels >= 0
    labels, predicted = labels[counted], predicted[counted]
    if len(labels) == 0:
        return float("nan")
    present, member = np.unique(labels, return_inverse=True)
    hits = np.bincount(member, weights=labels == predicted, minlength=len(present))
    return float((hits / np.bincount(member, minlength=len(present))).mean())


def balanced_accuracy_interval(
    labels: np.ndarray, predicted: np.ndarray, resamples: int, seed: int, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the balanced accuracy over sequences drawn anew.

    labels, predicted: integers (n,); sequences with a label below 0 do not count. In a resample without a
    class the mean is over the others. NaN where fewer than two sequences count.
    """
    counted = labels >= 0
    labels, predicted = labels[counted], predicted[counted]
    if len(labels) < 2:
        return float("nan"), float("nan")
    present, member = np.unique(labels, return_inverse=True)
    # what matters of a sequence is its class and whether that is hit: n draws of these
    kinds = np.bincount(2 * member + (labels == predicted), minlength=2 * len(present))
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(len(labels), kinds / len(labels), size=resamples)
    missed, hit = drawn[:, ::2], drawn[:, 1::2]
    recall = np.divide(hit, hit + missed, out=np.zeros(hit.shape), where=hit + missed > 0)
    means = recall.sum(1) / (hit + missed > 0).sum(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def macro_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    """F1, the mean over the classes that some sequence has, in [0, 1]; NaN where there is no such class.

    truth, predicted: bool (n, classes). A class has F1 = 2 hits / (2 hits + false alarms + misses).
    """
    present = truth.any(0)
    if not present.any():
        return float("nan")
    truth, predicted = truth[:, present], predicted[:, present]
    hits = (truth & predicted).sum(0)
    return float((2 * hits / (truth.sum(0) + predicted.sum(0))).mean())


def micro_f1(truth: np.ndarray, predicted: np.ndarray) -> float:
    """F1 of all decisions together, in [0, 1]; NaN where no class is true and none predicted.

    truth, predicted: bool (n, classes).
    """
    both = int(truth.sum()) + int(predicted.sum())
    return 2 * int((truth & predicted).sum()) / both if both else float("nan")


def wilson(share: np.ndarray, n: np.ndarray, z: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's score interval of shares of n sequences, z standard errors to either side.

    share: in [0, 1]; n: above 0. Both may be arrays. Unlike share ± z standard errors, it has a width at
    0 and at 1, and stays between them (Wilson 1927).
    """
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return centre - half, centre + half


def average_precision(scores: np.ndarray, truth: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """How well the scores of each row find what is true: average precision, float64 (n,).

    scores: (n, length); truth, counted: bool (n, length), what is to be found, and what counts at all.
    The precision at each true element, with all whose score is at least its own, averaged over these: as
    scikit-learn's `average_precision_score`, ties included. NaN where nothing that counts is true, or all.
    """
    width = scores.shape[1]
    # what counts comes first, the highest score before
    order = np.lexsort((-scores, ~counted), axis=1)
    ranked, true, inside = (
        np.take_along_axis(values, order, 1) for values in (scores, truth & counted, counted)
    )
    # the last element of each run of equal scores
    last = np.ones(scores.shape, bool)
    last[:, :-1] = (ranked[:, 1:] != ranked[:, :-1]) | (inside[:, 1:] != inside[:, :-1])
    place = np.where(last, np.arange(width), width)
    tied = np.minimum.accumulate(place[:, ::-1], axis=1)[:, ::-1]
    precision = np.take_along_axis(true.cumsum(1), tied, 1) / (tied + 1)
    found, number = true.sum(1), counted.sum(1)
    # one by one, so that what does not count makes no difference in rounding
    total = (precision * true).cumsum(1)[:, -1:].sum(1)
    both = (found > 0) & (found < number)
    return np.divide(total, found, out=np.full(len(total), np.nan), where=both)


def interval(
    values: np.ndarray, resamples: int, seed: int, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of `values`, float (n,).

    NaN if n is below 2: the resamples of one value are that value, whose spread is unknown, not 0.
    """
    if len(values) < 2:
        return float("nan"), float("nan")
    generator = np.random.default_rng(seed)
    step = max(BLOCK // len(values), 1)
    means = [
        values[generator.integers(len(values), size=(min(step, resamples - i), len(values)))].mean(
            1
        )
        for i in range(0, resamples, step)
    ]
    low, high = np.quantile(np.concatenate(means), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def intervals(
    values: np.ndarray, resamples: int, seed: int, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """`interval` of each column of `values`, float (n, columns), float64 (columns,) each.

    NaN does not count. Columns with equally many numbers share their draws, which a call for each would
    make anew.
    """
    known = ~np.isnan(values)
    counts, made = known.sum(0), np.full((2, values.shape[1]), np.nan)
    for n in np.unique(counts[counts > 1]):
        own = np.flatnonzero(counts == n)
        columns = values.T[own][known.T[own]].reshape(len(own), n).T
        generator = np.random.default_rng(seed)
        step, means = max(BLOCK // n, 1), []
        for start in range(0, resamples, step):
            drawn = generator.integers(n, size=(min(step, resamples - start), n))
            # how often each sequence was drawn: one product then serves all columns
            flat = (drawn + n * np.arange(len(drawn))[:, None]).ravel()
            often = np.bincount(flat, minlength=drawn.size).reshape(drawn.shape)
            means.append(often.astype(np.float64) @ columns / n)
        ends = [(1 - level) / 2, (1 + level) / 2]
        made[:, own] = np.quantile(np.concatenate(means), ends, axis=0)
    return made[0], made[1]
