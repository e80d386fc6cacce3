"""Chunks: the maximal runs of a rounded mask, each classified alone (paper, "Results").

A chunk is a stretch of a sequence's tokens, without `<cls>`, on which the rounded mask is all 1
(relevant) or all 0 (irrelevant).
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from whatyouread.token_files import pad
from whatyouread.tokens import CLS

if TYPE_CHECKING:
    import torch


class Chunks(NamedTuple):
    """Runs in the order of the sequences; all arrays have one entry per run."""

    sequence: np.ndarray  # int64, row of the mask
    start: np.ndarray  # int64, first token
    end: np.ndarray  # int64, one after the last token
    relevant: np.ndarray  # bool


def find_chunks(rounded: np.ndarray, lengths: np.ndarray, first: int = 1) -> Chunks:
    """The maximal runs of equal values.

    rounded: bool (n, length); lengths: int (n,), tokens that are no padding; first: tokens left out
    at the start of each row (1: `<cls>`).
    """
    place = np.arange(rounded.shape[1])
    inside = (place >= first) & (place < lengths[:, None])
    begins = inside & (place == first)
    begins[:, 1:] |= inside[:, 1:] & (rounded[:, 1:] != rounded[:, :-1])
    sequence, start = np.nonzero(begins)
    last = np.append(sequence[1:] != sequence[:-1], True)[: len(sequence)]
    end = np.where(last, lengths[sequence], np.append(start[1:], 0)[: len(start)])
    return Chunks(sequence, start, end, rounded[sequence, start])


def classify_chunks(
    explanandum: "torch.nn.Module",
    tokens: np.ndarray,
    chunks: Chunks,
    batch_tokens: int,
    device: "torch.device",
    precision: str = "fp32",
) -> tuple[np.ndarray, ...]:
    """Class probabilities averaged over the chunks of each sequence, float32 (n, classes) per rank.

    tokens: int64 (n, length). Each chunk is classified behind a `<cls>` of its own, unmasked. A
    sequence without a chunk gets NaN.
    """
    import torch

    from whatyouread.predict import classify

    n, width = tokens.shape
    sums = [torch.zeros(n, c, dtype=torch.float64) for c in explanandum.class_counts]
    lengths = chunks.end - chunks.start
    order = np.argsort(lengths, kind="stable")
    begin = 0
    while begin < len(order):
        # as many of the next chunks as fit, padded to the longest of them
        longest = lengths[order[begin:]] + 1
        fits = np.flatnonzero(longest * np.arange(1, len(longest) + 1) <= batch_tokens)
        take = order[begin : begin + (fits[-1] + 1 if len(fits) else 1)]
        begin += len(take)
        alone = pad(
            tokens.ravel(), chunks.sequence[take] * width + chunks.start[take], lengths[take]
        )
        alone = np.pad(alone, ((0, 0), (1, 0)), constant_values=CLS)
        rows = torch.from_numpy(chunks.sequence[take])
        for total, logits in zip(
            sums, classify(explanandum, alone, None, device, precision), strict=True
        ):
            total.index_add_(0, rows, logits.float().softmax(-1).cpu().double())
    count = torch.from_numpy(np.bincount(chunks.sequence, minlength=n)).unsqueeze(1)
    return tuple((total / count).float().numpy() for total in sums)
