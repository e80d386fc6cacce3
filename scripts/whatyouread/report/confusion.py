"""Confusion matrices: counts of predictions by label, also for many classes."""

import numpy as np

REST = -1
"""Stands for all classes that the figure does not show separately."""


def parents_of(labels: np.ndarray, above: np.ndarray | None) -> np.ndarray | None:
    """The parent of each sequence's class, int64 (n,): the class in the rank above it, -1 if unknown.

    labels, above: int64 (n,), the classes of the sequences in a rank and in the one above it, -1 where a
    label is missing there; no label of the rank itself is. None where there is no rank above, or where
    the ranks are no tree: a class has several parents.
    """
    if above is None:
        return None
    known = above >= 0
    pairs = np.unique(np.stack([labels[known], above[known]], 1), axis=0)
    if len(np.unique(pairs[:, 0])) < len(pairs):
        return None
    parents = np.full(labels.max(initial=0) + 1, -1)
    parents[pairs[:, 0]] = pairs[:, 1]
    return parents[labels]


def order_classes(labels: np.ndarray, parents: np.ndarray | None, largest: int) -> list[int]:
    """Classes with at least one sequence, ordered for a picture; `REST` last where some are left.

    labels, parents: int64 (n,), the class of each sequence in the rank, and its parent (`parents_of`), or
    None where there is none. Classes of the same parent stand together, the parent with most sequences
    first; within it the larger class first. Of more than `largest` classes the largest `largest` are
    kept.
    """
    classes, first, size = np.unique(labels, return_index=True, return_counts=True)
    kept = np.argsort(-size, kind="stable")[:largest]
    above = np.zeros(len(classes), np.int64) if parents is None else parents[first] + 1
    total = np.bincount(above, weights=size, minlength=1) if len(above) else np.zeros(1)
    order = kept[np.lexsort((classes[kept], -size[kept], above[kept], -total[above[kept]]))]
    shown = classes[order].tolist()
    return shown + [REST] * (len(classes) > len(shown))


def set_confusion(labels: np.ndarray, predicted: np.ndarray, classes: list[int]) -> np.ndarray:
    """How many sequences have the class of a row and are predicted that of a column, of sets of classes.

    labels, predicted: bool (n, all classes), what each sequence has, and is predicted to have. int64
    (classes, classes). A sequence counts in every row of a class that it has, and in every column of one
    that is predicted, so that a row may sum to more or less than its class has sequences.
    """
    return labels[:, classes].T.astype(np.int64) @ predicted[:, classes].astype(np.int64)


def confusion(labels: np.ndarray, predicted: np.ndarray, classes: list[int]) -> np.ndarray:
    """Counts, int64 (classes, classes): rows are labels, columns predictions, in the given order.

    Classes that are not in `classes` count as `REST`. Where `REST` is not in `classes` either,
    they have no column, and a row may sum to less than its class has sequences.
    """
    known = np.array([c for c in classes if c != REST], np.int64)
    k = len(known)
    order = np.argsort(known)

    def place(values: np.ndarray) -> np.ndarray:
        at = np.minimum(np.searchsorted(known, values, sorter=order), max(k - 1, 0))
        found = known[order[at]] == values if k else np.zeros(len(values), bool)
        return np.where(found, order[at] if k else 0, k)

    flat = place(labels) * (k + 1) + place(predicted)
    counts = np.bincount(flat, minlength=(k + 1) ** 2).reshape(k + 1, k + 1)
    return counts if REST in classes else counts[:k, :k]


def row_percentages(counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Counts in per cent of the sequences of each row, float64; NaN for a row without any."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(sizes[:, None] > 0, 100 * counts / sizes[:, None], np.nan)
