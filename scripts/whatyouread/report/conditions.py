"""Names of the results in figures and texts, and the test whether a mask beats its controls."""

import numpy as np

CONDITIONS = {
    "explanandum": ("no mask", 0),
    "masks": ("masks", 1),
    "inverted_masks": ("inverted masks", -1),
    "rounded_masks": ("rounded masks", 1),
    "inverted_rounded_masks": ("inverted rounded masks", -1),
    "relevant_chunks": ("relevant chunks", 0),
    "irrelevant_chunks": ("irrelevant chunks", 0),
}
"""Condition -> its name, and 1 if a truthful mask exceeds its controls, -1 if it falls below them."""

CHOSEN_BY = {
    "labels": "the true classes",
    "predicted": "the predicted classes",
    "wrong": "wrong classes",
}
"""Choice of masks (`masks.choices.CHOICES`) -> the classes by which they are chosen, in words."""


def beaten(ours: float, controls: np.ndarray, direction: int) -> int:
    """Count the controls that the masks beat: those below, or those above if less is better."""
    return int((direction * (ours - controls) > 0).sum())


def is_clear(ours: float, controls: np.ndarray, direction: int, n: int) -> bool:
    """Whether the masks beat every control by more than two standard errors.

    ours, controls: per cent. The error is that of a share of n sequences; a share of all or none
    has the error of one sequence more or less. A balanced accuracy's own error is about the same
    where classes are of like size, and larger where they are not.
    """
    one = 100 / n
    error = np.sqrt(max(ours * (100 - ours), one * (100 - one)) / n)
    return bool((direction * (ours - controls) > 2 * error).all())
