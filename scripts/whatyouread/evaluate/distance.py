"""How far a masked sequence lies from the whole sequences that the classifier knows.

A masked sequence may be unlike anything that the classifier has read, and what it says then may be an answer
to the masking. The distance is that of Lee et al. (2018), *A simple unified framework for detecting
out-of-distribution samples and adversarial attacks*: the squared Mahalanobis distance of the pooled state,
which the heads read, to the closest mean of a class, with one covariance for all classes. A distance alone
says nothing, and is therefore compared with those of whole sequences, each by means and a covariance that
were fitted without it.
"""

from typing import NamedTuple

import numpy as np
from scipy import linalg

from whatyouread.evaluate.leakage import FOLDS

DECIMALS = 6
"""Distances are in variances; what differs less differs by rounding errors, which depend on the batch."""


class Normal(NamedTuple):
    """Normal distributions of classes with one covariance.

    means: float64 (classes, hidden). factor: the lower Cholesky factor of the covariance, float64
    (hidden, hidden).
    """

    means: np.ndarray
    factor: np.ndarray


def fit_classes(states: np.ndarray, classes: np.ndarray) -> Normal:
    """The mean of each class and the covariance within the classes, which they share.

    states: float (n, hidden); classes: int64 (n,). Sequences of classes that have only one are held against
    the mean of all, because its own mean would be itself. The covariance is shrunk as Ledoit and Wolf (2004)
    do, which makes it invertible where there are fewer sequences than dimensions.
    """
    from sklearn.covariance import LedoitWolf

    states = np.asarray(states, np.float64)
    _, member, counts = np.unique(classes, return_inverse=True, return_counts=True)
    frequent = counts > 1
    # the frequent classes first, and after them, if there are any others, the mean of all
    own = np.where(frequent, np.cumsum(frequent) - 1, frequent.sum())[member]
    sums = np.zeros((frequent.sum(), states.shape[1]))
    often = own < len(sums)
    np.add.at(sums, own[often], states[often])
    means = sums / counts[frequent, None]
    if not often.all():
        means = np.concatenate([means, states.mean(0, keepdims=True)])
    covariance = LedoitWolf(assume_centered=True).fit(states - means[own]).covariance_
    # states that do not vary at all would leave no inverse; float32 knows no smaller differences
    single = np.finfo(np.float32)
    least = float(single.eps) ** 2 * np.square(states).mean() + float(single.tiny)
    covariance[np.diag_indices_from(covariance)] += least
    return Normal(means, linalg.cholesky(covariance, lower=True))


def squared_distances(states: np.ndarray, normal: Normal) -> np.ndarray:
    """Squared Mahalanobis distances to the closest mean, float64 (n,); states: float (n, hidden)."""
    from sklearn.metrics.pairwise import euclidean_distances

    centre = normal.means.mean(0)
    own, means = (
        linalg.solve_triangular(normal.factor, (values - centre).T, lower=True).T
        for values in (np.asarray(states, np.float64), normal.means)
    )
    return euclidean_distances(own, means, squared=True).min(1).round(DECIMALS)


class WholeSequences:
    """The distances of whole sequences, with which those of the same sequences masked are compared.

    states: float (n, hidden); classes: int64 (n,), what the classifier says of the whole sequences. In each
    of `FOLDS` parts, drawn by the seed, distances are by the other parts, so that no sequence, whole or
    masked, is close because it was fitted itself. With fewer sequences than parts there are no distances.
    """

    def __init__(self, states: np.ndarray, classes: np.ndarray, seed: int):
        from sklearn.model_selection import KFold

        self.parts = []
        if len(states) >= FOLDS:
            folds = KFold(FOLDS, shuffle=True, random_state=seed).split(states)
            self.parts = [(own, fit_classes(states[rest], classes[rest])) for rest, own in folds]
        self.sorted = np.sort(self._distances(states))

    def shares_within(self, states: np.ndarray) -> np.ndarray:
        """Which share of the whole sequences lies less far out than each of these, float64 (n,), 0 to 1.

        states: float (n, hidden) of the same sequences, masked. Equally far ones count half, so that whole
        sequences have one half on average, however many tie. NaN where there are no distances.
        """
        found = self._distances(states)
        below, upto = (np.searchsorted(self.sorted, found, side) for side in ("left", "right"))
        return np.where(np.isnan(found), np.nan, (below + upto) / (2 * max(len(found), 1)))

    def _distances(self, states: np.ndarray) -> np.ndarray:
        made = np.full(len(states), np.nan)
        for own, normal in self.parts:
            made[own] = squared_distances(states[own], normal)
        return made
