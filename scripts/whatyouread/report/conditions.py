"""Names of the results in figures and texts, and the test whether a mask beats its controls."""

import numpy as np

from whatyouread.support.statistics import wilson

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


FEWEST = 6
"""Sequences that a difference must be worth: fewer are chance even if all of them speak for the masks (sign
test: 2**-6 is below the 2.3 % beyond two standard errors, 2**-5 is above)."""


def beaten(ours: float, controls: np.ndarray, direction: int) -> int:
    """Count the controls that the masks beat: those below, or those above if less is better."""
    return int((direction * (ours - controls) > 0).sum())


def is_clear(ours: float, controls: np.ndarray, direction: int, n: int) -> bool:
    """Whether the masks beat every control, of which there is one at least, by more than chance.

    ours, controls: per cent of the same n sequences. A control must lie outside Wilson's interval of two
    standard errors around ours, and at least `FEWEST` sequences from it. A balanced accuracy's own error
    is about the same where classes are of like size, and larger where they are not. False where a number
    is missing.
    """
    controls = np.asarray(controls, np.float64)
    if not n or not len(controls):
        return False
    low, high = wilson(ours / 100, n)
    gains = direction * (ours - controls)
    beyond = gains > abs(100 * (low if direction > 0 else high) - ours)
    # tables have two decimals
    return bool((beyond & (gains + 0.01 >= 100 * FEWEST / n)).all())
