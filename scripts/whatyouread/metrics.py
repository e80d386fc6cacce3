"""Numbers by which predictions and masks are judged."""

import numpy as np


def balanced_accuracy(labels: np.ndarray, predicted: np.ndarray) -> float:
    """The mean recall over the classes that are present in the labels, in [0, 1]; NaN if none is.

    labels, predicted: integers (n,).
    """
    if len(labels) == 0:
        return float("nan")
    present, member = np.unique(labels, return_inverse=True)
    hits = np.bincount(member, weights=labels == predicted, minlength=len(present))
    return float((hits / np.bincount(member, minlength=len(present))).mean())
