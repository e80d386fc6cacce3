"""How sure a mean over sequences is."""

import numpy as np

BLOCK = 1 << 24  # draws that are held at once


def interval(
    values: np.ndarray, resamples: int, seed: int, level: float = 0.95
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of `values`, float (n,); NaN where n is 0."""
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
