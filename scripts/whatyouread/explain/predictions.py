"""What the classifier says of each window, and of each sequence as a whole."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from whatyouread.explain.intake import Records
from whatyouread.explain.scoring import Block
from whatyouread.models.levels import HeadLevel, decided, first_and_second


@dataclass(frozen=True)
class Predictions:
    """The most probable class at each level, and the runner-up, of n sequences or windows.

    classes: int64 (n, levels, 2), -1 where there is none. probabilities: float64 (n, levels, 2), NaN
    where there is none. windows: int64 (n,), how many windows speak; 0 where nothing is read. Of each
    level at which several classes may hold, by its place: each, the probability of every class, float64
    (n, classes), NaN where no window speaks; sets, which are held, int64 (n,) as in `data.kinds`, or -1.
    """

    classes: np.ndarray
    probabilities: np.ndarray
    windows: np.ndarray
    each: Mapping[int, np.ndarray] = field(default_factory=dict)
    sets: Mapping[int, np.ndarray] = field(default_factory=dict)

    def take(self, rows: np.ndarray) -> "Predictions":
        """Those of some sequences or windows."""
        of_levels = ({i: own[rows] for i, own in one.items()} for one in (self.each, self.sets))
        return Predictions(
            self.classes[rows], self.probabilities[rows], self.windows[rows], *of_levels
        )

    def explained(self, asked: np.ndarray) -> np.ndarray:
        """The classes that are explained: those that are asked for, else the predicted ones.

        asked: int64 (levels,), -1 for the predicted one. Returns int64 (n, levels).
        """
        return np.where((asked >= 0) & (self.windows[:, None] > 0), asked, self.classes[:, :, 0])


def of_windows(probabilities: np.ndarray, levels: Sequence[HeadLevel]) -> Predictions:
    """The predictions of some windows or segments; probabilities: float (n, classes)."""
    whole = torch.tensor(probabilities, dtype=torch.float64)
    classes, found = first_and_second(levels, whole)
    parts = whole.split([level.classes for level in levels], 1)
    held = decided(levels, parts).numpy()
    several = [i for i, level in enumerate(levels) if not level.of_one]
    return Predictions(
        classes.numpy(),
        found.numpy(),
        np.ones(len(classes), np.int64),
        {i: parts[i].numpy() for i in several},
        {i: held[:, i] for i in several},
    )


def of_records(
    blocks: Iterable[Block], records: Records, levels: Sequence[HeadLevel]
) -> Predictions:
    """The predictions of whole records: the mean over their windows, weighted by their lengths."""
    n = len(records)
    classes = np.full((n, len(levels), 2), -1, np.int64)
    probabilities = np.full((n, len(levels), 2), np.nan)
    windows = np.zeros(n, np.int64)
    several = {i: level.classes for i, level in enumerate(levels) if not level.of_one}
    each = {i: np.full((n, count), np.nan) for i, count in several.items()}
    sets = {i: np.full(n, -1, np.int64) for i in several}
    # of the record that the last block ended in
    left: tuple[int, np.ndarray, float] | None = None

    def decide(rows: np.ndarray, sums: np.ndarray, weights: np.ndarray) -> None:
        said = of_windows(sums / weights[:, None], levels)
        classes[rows], probabilities[rows] = said.classes, said.probabilities
        for i in several:
            each[i][rows], sets[i][rows] = said.each[i], said.sets[i]

    for block in blocks:
        of = records.of(block.windows.start)
        rows, place, number = np.unique(of, return_inverse=True, return_counts=True)
        windows[rows] += number
        weight = (block.windows.stop - block.windows.start).astype(np.float64)
        sums = np.zeros((len(rows), block.probabilities.shape[1]))
        np.add.at(sums, place, weight[:, None] * block.probabilities)
        weights = np.bincount(place, weight)
        if left is not None and left[0] == rows[0]:
            sums[0] += left[1]
            weights[0] += left[2]
        elif left is not None:
            decide(np.array([left[0]]), left[1][None], np.array([left[2]]))
        decide(rows[:-1], sums[:-1], weights[:-1])
        left = int(rows[-1]), sums[-1], float(weights[-1])
    if left is not None:
        decide(np.array([left[0]]), left[1][None], np.array([left[2]]))
    return Predictions(classes, probabilities, windows, each, sets)
