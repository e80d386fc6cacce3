"""Statistics for judging predictions and masks."""

import numpy as np

BLOCK = 1 << 24  # draws in memory at once


def balanced_accuracy(labels: np.ndarray, predicted: np.ndarray) -> float:
    """The mean recall over the classes present in the labels, in [0, 1]; NaN without labels.

    labels, predicted: integers (n,).
    """
    if len(labels) == 0:
        return float("nan")
    present, member = np.unique(labels, return_inverse=True)
    hits = np.bincount(member, weights=labels == predicted, minlength=len(present))
    return float((hits / np.bincount(member, minlength=len(present))).mean())


def interval(
    values: np.ndarray, resamples: int, seed: int, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of `values`, float (n,); NaN if n is 0."""
    if len(values) == 0:
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
