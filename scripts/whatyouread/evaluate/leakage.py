"""How much a mask alone, without the sequence, reveals about the label.

A small classifier sees the places of the kept tokens and the lengths of kept stretches, but not the
sequence. Its accuracy above chance comes from the mask itself.
"""

import numpy as np

PLACES = 20
"""The number of equal parts of a sequence in which kept tokens are counted."""
RUN_LENGTHS = (1, 2, 3, 5, 9, 17)
"""The shortest length in each bin for stretches of kept tokens."""
FOLDS = 5


def mask_features(kept: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Places and stretch lengths of the kept tokens: float64 (n, PLACES + len(RUN_LENGTHS)).

    kept: bool or 0/1 (n, length); content: bool (n, length). The first columns are the shares of the
    kept tokens in equal parts of the content, the last ones the shares in stretches of each length bin.
    """
    kept = np.asarray(kept).astype(bool) & content
    row, place = np.nonzero(kept)
    number = np.cumsum(content, axis=1)[row, place] - 1  # counted within the content
    part = number * PLACES // np.maximum(content.sum(1)[row], 1)
    total = np.maximum(kept.sum(1), 1)
    places = np.bincount(row * PLACES + part, minlength=len(kept) * PLACES)
    edges = np.diff(kept.astype(np.int8), axis=1, prepend=0, append=0)
    run_row, start = np.nonzero(edges == 1)
    size = np.nonzero(edges == -1)[1] - start
    column = np.searchsorted(RUN_LENGTHS, size, side="right") - 1
    runs = np.bincount(
        run_row * len(RUN_LENGTHS) + column, weights=size, minlength=len(kept) * len(RUN_LENGTHS)
    )
    return np.concatenate(
        [part.reshape(len(kept), -1) / total[:, None] for part in (places, runs)], axis=1
    )


def label_leakage(features: np.ndarray, labels: np.ndarray, seed: int) -> tuple[np.ndarray, int]:
    """Predict the label from the features: one value per sequence, and the number of classes used.

    features: float (n, columns); labels: int64 (n,). The predictor is a cross-validated logistic
    regression. Values, float64 (n,), are 0 for a wrong prediction; for a right one they are the inverse
    share of the class, divided by the number of classes. Their mean is the balanced accuracy; chance is
    1 / classes. Sequences of classes with fewer than `FOLDS` sequences, and without a label (-1), get NaN.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    values = np.full(len(labels), np.nan)
    _, member, counts = np.unique(labels, return_inverse=True, return_counts=True)
    used = np.flatnonzero((counts[member] >= FOLDS) & (labels >= 0))
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
