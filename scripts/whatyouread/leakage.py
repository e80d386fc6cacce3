"""What a mask alone, without the sequence, tells about the label.

A small classifier sees where the kept tokens lie and in how long runs, and nothing of the sequence.
What it gets right above chance is in the mask itself, put there by whatever made it.
"""

import numpy as np

from whatyouread.top_tokens import token_places

PLACES = 20
"""Parts of a sequence in which the kept tokens are counted."""
RUNS = (1, 2, 3, 5, 9, 17)
"""Shortest runs of the bins in which runs of kept tokens are counted."""
FOLDS = 5


def mask_features(kept: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Where the kept tokens lie and in what runs: float64 (n, PLACES + len(RUNS)).

    kept: bool or 0/1 (n, length); lengths: int64 (n,), tokens. The first columns are the shares of
    the kept tokens in equal parts of the sequence, the last ones the shares in runs by their length.
    `<cls>` and padding are left out.
    """
    inside = token_places(lengths, kept.shape[1])
    kept = np.asarray(kept).astype(bool) & inside
    row, place = np.nonzero(kept)
    part = (place - 1) * PLACES // np.maximum(lengths[row] - 1, 1)
    total = np.maximum(kept.sum(1), 1)
    places = np.bincount(row * PLACES + part, minlength=len(kept) * PLACES)
    edges = np.diff(kept.astype(np.int8), axis=1, prepend=0, append=0)
    run_row, start = np.nonzero(edges == 1)
    size = np.nonzero(edges == -1)[1] - start
    column = np.searchsorted(RUNS, size, side="right") - 1
    runs = np.bincount(run_row * len(RUNS) + column, weights=size, minlength=len(kept) * len(RUNS))
    return np.concatenate(
        [part.reshape(len(kept), -1) / total[:, None] for part in (places, runs)], axis=1
    )


def label_leakage(features: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, int]:
    """How well the label is told from the features: a value per sequence, and the classes told apart.

    features: float (n, columns); labels: int64 (n,). A logistic regression, cross-validated. The
    values, float64 (n,), are 0 where it is wrong and the inverse share of the class, over the number of
    classes, where it is right: their mean is the balanced accuracy, and chance is 1 / classes.
    Sequences of classes with fewer than `FOLDS` sequences are left out, as NaN.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    values = np.full(len(labels), np.nan)
    _, member, counts = np.unique(labels, return_inverse=True, return_counts=True)
    used = np.flatnonzero(counts[member] >= FOLDS)
    present = np.unique(member[used])
    if len(present) < 2:
        return values, len(present)
    model = make_pipeline(
        StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000)
    )
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    told = cross_val_predict(model, features[used], member[used], cv=folds)
    weight = len(used) / (len(present) * counts[member[used]])
    values[used] = weight * (told == member[used])
    return values, len(present)
