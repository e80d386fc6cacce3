"""How well scores and masks agree with evidence that somebody marked, a function for each measure.

The measures are those of ERASER (DeYoung et al. 2020), which ferret (Attanasio et al. 2023) has, too: the
area under the precision-recall curve of scores, F1 of the chosen tokens, and F1 of the chosen spans, which
count where they overlap a span of evidence by half of their union. A span is a maximal run of tokens.
Each gives a value per sequence. Scores and evidence are (n, length); `content`, bool, says which tokens
count.
"""

import numpy as np

from whatyouread.masks.top_tokens import ordered, share

IOU = 0.5
"""The intersection over union from which a span counts as found."""


def token_f1(chosen: np.ndarray, evidence: np.ndarray, content: np.ndarray) -> np.ndarray:
    """F1 of the chosen tokens of each sequence, float64 (n,): the harmonic mean of precision and recall.

    chosen, evidence: bool (n, length). 0 where nothing is chosen, NaN where there is no evidence.
    """
    chosen, evidence = chosen & content, evidence & content
    return _f1((chosen & evidence).sum(1), chosen.sum(1), evidence.sum(1))


def iou_f1(
    chosen: np.ndarray, evidence: np.ndarray, content: np.ndarray, least: float = IOU
) -> np.ndarray:
    """F1 of the chosen spans of each sequence, float64 (n,).

    chosen, evidence: bool (n, length). A chosen span is right where the intersection with a span of the
    evidence, divided by their union, is `least` or more. Precision: the share of the chosen spans that are
    right; recall: their number over that of the evidence's spans. 0 where nothing is chosen, NaN where
    there is no evidence. (ERASER's program takes F1 of the mean precision and recall; here, as for tokens,
    each sequence has its own, so that there is an interval.)
    """
    own, own_row = _runs(chosen & content)
    other, other_row = _runs(evidence & content)
    both = (own >= 0) & (other >= 0)
    # a number for each pair of spans that meet, once for each token that they share
    pairs, shared = np.unique(own[both] * len(other_row) + other[both], return_counts=True)
    i, j = np.divmod(pairs, max(len(other_row), 1))
    union = _sizes(own, own_row)[i] + _sizes(other, other_row)[j] - shared
    right = np.unique(i[shared >= least * union])
    counts = (np.bincount(row, minlength=len(content)) for row in (own_row, other_row))
    return _f1(np.bincount(own_row[right], minlength=len(content)), *counts)


def evidence_share(evidence: np.ndarray, content: np.ndarray) -> float:
    """The mean share of tokens that are evidence, over the sequences that have some; 0 without any."""
    marked, tokens = (evidence & content).sum(1), content.sum(1)
    some = marked > 0
    return float((marked[some] / tokens[some]).mean()) if some.any() else 0.0


def top_tokens(
    scores: np.ndarray, content: np.ndarray, keys: np.ndarray, seed: int, fraction: float
) -> np.ndarray:
    """The tokens with the highest scores, a share of each sequence, at least one: bool (n, length).

    scores: float (n, length); keys: uint64 (n,), which order equal scores at random. `fraction` is that of
    the evidence (`evidence_share`), so that the choice is as large as what people mark on average. It is a
    share, as windows and texts differ in length; ferret takes one number of tokens for all.
    """
    order = ordered(scores, content, keys, seed)
    return content & (order < share(fraction, content)[:, None])


def _f1(right: np.ndarray, chosen: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """2 PR / (P + R) with P = right / chosen and R = right / evidence, which is 2 right / (both)."""
    unknown = np.full(len(right), np.nan)
    return np.divide(2 * right, chosen + evidence, out=unknown, where=evidence > 0)


def _runs(chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The number of the run that each token lies in, int64 (n, length), -1 outside, and each run's row."""
    first = chosen.copy()
    first[:, 1:] &= ~chosen[:, :-1]
    number = first.ravel().cumsum().reshape(first.shape) - 1
    return np.where(chosen, number, -1), np.nonzero(first)[0]


def _sizes(number: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return np.bincount(number[number >= 0], minlength=len(rows))
