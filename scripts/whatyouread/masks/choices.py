"""Draw classes that a sequence does not belong to, for masks that should fail.

What is wrong at the lowest rank may be right at a higher one: another genus can share the phylum. So
whatever judges masks for other classes counts, at each rank, only the sequences whose other class is wrong
there (`wrong_at`). Where a rank has one class only, there is none. Where a sequence has no label, nobody
knows what is wrong, and it does not count either.
"""

from collections.abc import Sequence

import numpy as np

from whatyouread.data.kinds import SINGLE, Single, all_single
from whatyouread.support.cli import UserError, log
from whatyouread.support.keyed_random import draw

CHOICES = ("labels", "predicted", "wrong")
"""The classes that choose a mask: the true, the predicted, or wrong ones."""
THRESHOLD = 0.5
"""Mask values above this are rounded to 1 (paper, "Results")."""
OTHERS = ("wrong", "runner_up")
"""A class drawn at random, and the classifier's second choice."""
UNCOUNTED = -1
"""Stands in for a class where a sequence does not count, as one whose label is missing;
`statistics.balanced_accuracy` leaves it out."""


def class_lineages(labels: np.ndarray, of: object) -> np.ndarray:
    """The class combinations that exist, int64 (k, ranks), sorted: those of sequences with all labels.

    labels: int64 (n, ranks), -1 where one is missing; of: the file they are of, for the complaint. Raises
    UserError where no sequence has a label at every rank.
    """
    complete = labels[(labels != UNCOUNTED).all(1)]
    if not len(complete):
        raise UserError(
            f"{of}: none of its {len(labels)} sequences has a label at every level, and so no wrong classes"
            " can be drawn from those that go together: label some at every level, or choose fewer levels"
        )
    return np.unique(complete, axis=0)


def scored(truth: np.ndarray, ranks: list[str]) -> dict[str, int]:
    """`sequences_RANK`, the number of sequences that count at each rank; truth: int64 (n, ranks)."""
    counts = (truth != UNCOUNTED).sum(0).tolist()
    return {f"sequences_{rank}": count for rank, count in zip(ranks, counts, strict=True)}


def wrong_at(
    asked: np.ndarray, labels: np.ndarray, kinds: Sequence[Single] | None = None
) -> np.ndarray:
    """Whether the classes that chose a mask are wrong, bool (n, ranks), for each rank by itself.

    asked, labels: int64 (n, ranks), whose meaning `kinds` says (`data.kinds`; all `single` by default). Not
    where the label is missing. A set of classes is wrong where it shares none with the labels.
    """
    kinds = all_single(range(labels.shape[1])) if kinds is None else kinds
    columns = zip(kinds, asked.T, labels.T, strict=True)
    made = [kind.wrong(own, label) for kind, own, label in columns]
    return np.stack(made, 1) if made else np.zeros(labels.shape, bool)


def where_wrong(
    classes: np.ndarray,
    asked: np.ndarray,
    labels: np.ndarray,
    kinds: Sequence[Single] | None = None,
) -> np.ndarray:
    """The classes that predictions are compared with, `UNCOUNTED` where `asked` is not wrong.

    classes: int64 (n, ranks), `labels` or `asked`, whichever is looked for in the predictions.
    """
    return np.where(wrong_at(asked, labels, kinds), classes, UNCOUNTED)


def warn_of_none_wrong(
    asked: np.ndarray,
    labels: np.ndarray,
    ranks: list[str],
    cells: str,
    kinds: Sequence[Single] | None = None,
) -> None:
    """Say at which ranks no sequence has a wrong class, so that `cells` are empty there."""
    for rank, wrong in zip(ranks, wrong_at(asked, labels, kinds).T, strict=True):
        if not wrong.any():
            log.warning(
                "%s: no sequence was given a wrong class at this rank, which may have one class only"
                "%s: %s are empty there", rank,
                "" if UNCOUNTED not in labels else ", or labels too few", cells,
            )  # fmt: skip


def wrong_classes(labels: np.ndarray, predicted: np.ndarray, keys: np.ndarray, seed: int,
                  lineages: np.ndarray, kind: Single = SINGLE) -> np.ndarray:  # fmt: skip
    """Draw classes of another lineage for each sequence, int64 (n, ranks).

    labels, predicted: int64 (n, ranks); lineages: of `class_lineages`. At the lowest rank the result
    differs from the label and, if there are at least three classes, from the prediction; where the label
    is missing, from the prediction. All classes of a sequence are those of one lineage.

    kind: of the lowest rank. Of sets of classes the result is one of those that some sequence has, and
    shares no class with the label and the prediction, where there is one; else none with the label; else it
    differs, and is not counted as wrong.
    """
    lowest = lineages[:, -1]
    if len(np.unique(lowest)) < 2:
        raise UserError("there is one class only at the lowest rank: no wrong class can be drawn")
    allowed = kind.allowed(lowest, [_label_or_prediction(labels, predicted), predicted[:, -1]])
    if allowed is not None:
        place = (draw(seed, "wrong class", keys, 0) * allowed.sum(1)).astype(np.int64)
        return lineages[(allowed.cumsum(1) > place[:, None]).argmax(1)]
    avoid = [_label_or_prediction(labels, predicted)] + (
        [predicted[:, -1]] if len(np.unique(lowest)) > 2 else []
    )
    chosen = np.full(len(labels), -1)
    attempt = 0
    while (open_ := np.flatnonzero(chosen < 0)).size:
        tried = (draw(seed, "wrong class", keys[open_], attempt) * len(lineages)).astype(np.int64)
        good = np.logical_and.reduce([lowest[tried] != other[open_] for other in avoid])
        chosen[open_[good]] = tried[good]
        attempt += 1
    return lineages[chosen]


def runner_up_classes(
    labels: np.ndarray,
    predicted: np.ndarray,
    logits: np.ndarray,
    lineages: np.ndarray,
    kind: Single = SINGLE,
) -> np.ndarray:
    """The most probable classes of another lineage than the label's and the prediction's.

    labels, predicted: int64 (n, ranks); logits: float (n, classes of the lowest rank); lineages: of
    `class_lineages`. With only two classes, the result is the class other than the label, or than the
    prediction where the label is missing. Returns int64 (n, ranks); all classes of a sequence are those
    of one lineage, the first that has its lowest class. kind: of the lowest rank; of sets of classes the
    most probable one of those that `wrong_classes` may draw.
    """
    lowest = lineages[:, -1]
    if len(np.unique(lowest)) < 2:
        raise UserError("there is one class only at the lowest rank: there is no runner-up")
    score = kind.lineage_scores(logits, lowest)
    allowed = kind.allowed(lowest, [_label_or_prediction(labels, predicted), predicted[:, -1]])
    if allowed is not None:
        return lineages[np.where(allowed, score, -np.inf).argmax(1)]
    if len(np.unique(lowest)) > 2:
        score[lowest == predicted[:, -1:]] = -np.inf
    score[lowest == _label_or_prediction(labels, predicted)[:, None]] = -np.inf
    return lineages[score.argmax(1)]


def _label_or_prediction(labels: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """The class at the lowest rank, int64 (n,): the label's, or the predicted one where it is missing."""
    return np.where(labels[:, -1] != UNCOUNTED, labels[:, -1], predicted[:, -1])


def column(choice: str, rank: str) -> str:
    """The name of the column with the classes of a choice."""
    return f"{'label' if choice == 'labels' else choice}_{rank}"
