"""How much a mask, and the tokens that it keeps, reveal about the label.

Small classifiers, trained on the masks of other sequences, see parts of what is kept. *Leakage*: the places
of the kept tokens and the lengths of kept stretches, but no token; accuracy above chance comes from the mask
itself. *Unordered*: only which tokens are kept. *Learned along*: both, as a predictor sees them that is
trained together with the masks (L2X, Chen et al. 2018; INVASE, Yoon et al. 2019) and therefore rewards a
mask that encodes the label (Jethani et al. 2021).
"""

import numpy as np
from scipy import sparse

PLACES = 20
"""The number of equal parts of a sequence in which kept tokens are counted."""
RUN_LENGTHS = (1, 2, 3, 5, 9, 17)
"""The shortest length in each bin for stretches of kept tokens."""
FOLDS = 5
TOKENS = 2048
"""How many different tokens count at most: those that are kept most often."""
LEAKAGE, UNORDERED, LEARNED_ALONG = "leakage", "unordered", "learned_along"


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


def token_features(kept: np.ndarray, content: np.ndarray, ids: np.ndarray) -> sparse.csr_array:
    """Which tokens are kept, whatever their places: float64 (n, at most TOKENS), sparse.

    kept, content: as for `mask_features`; ids: int64 (n, length). Counts of the tokens that are kept most
    often in all sequences together. Each row has the length that a row of standardised `mask_features` has on
    average, so that neither outweighs the other in one regression; a row without a kept token is 0.
    """
    from sklearn.preprocessing import normalize

    kept = np.asarray(kept).astype(bool) & content
    row, place = np.nonzero(kept)
    tokens, column, often = np.unique(ids[row, place], return_inverse=True, return_counts=True)
    counts = sparse.csr_array(
        (np.ones(len(row)), (row, column)), shape=(len(kept), max(len(tokens), 1))
    )  # adds up what is kept several times
    if len(tokens) > TOKENS:
        counts = counts[:, np.sort(np.argsort(-often, kind="stable")[:TOKENS])]
    return sparse.csr_array(normalize(counts)) * np.sqrt(PLACES + len(RUN_LENGTHS))


def kept_features(
    kept: np.ndarray, content: np.ndarray, ids: np.ndarray
) -> dict[str, np.ndarray | sparse.csr_array]:
    """What each small classifier sees of the kept tokens: its name -> float64 (n, columns).

    kept, content, ids: as for `token_features`.
    """
    from sklearn.preprocessing import StandardScaler

    places, tokens = mask_features(kept, content), token_features(kept, content, ids)
    scaled = sparse.csr_array(StandardScaler().fit_transform(places))
    both = sparse.hstack([scaled, tokens], format="csr")
    return {LEAKAGE: places, UNORDERED: tokens, LEARNED_ALONG: both}


def label_leakage(
    features: np.ndarray | sparse.csr_array, labels: np.ndarray, seed: int
) -> tuple[np.ndarray, int]:
    """Predict the label from the features: one value per sequence, and the number of classes used.

    features: float (n, columns), of which dense ones are standardised and sparse ones are taken as they are,
    because centred they would not be sparse; labels: int64 (n,). The predictor is a cross-validated logistic
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
    scaler = None if sparse.issparse(features) else StandardScaler()
    model = make_pipeline(scaler, LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    told = cross_val_predict(model, features[used], member[used], cv=folds)
    weight = len(used) / (len(present) * counts[member[used]])
    values[used] = weight * (told == member[used])
    return values, len(present)
