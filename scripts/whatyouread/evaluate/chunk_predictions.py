"""Classify each chunk of a rounded mask on its own (paper, "Results")."""

import numpy as np
import torch

from whatyouread.data.batch import LONG, framed, on_device
from whatyouread.masks.chunks import Chunks
from whatyouread.models.inference import Passes
from whatyouread.models.levels import probabilities


def classify_chunks(
    passes: Passes, ids: np.ndarray, chunks: Chunks, batch_tokens: int
) -> tuple[np.ndarray, ...]:
    """Class probabilities averaged over the chunks of each sequence, float32 (n, classes) per level.

    ids: int64 (n, length). Each chunk gets its own special tokens and is classified without a mask. A
    sequence without a chunk gets NaN.
    """
    explanandum = passes.explanandum
    tokenizer, levels = explanandum.tokenizer, explanandum.levels
    frame = len(tokenizer.before) + len(tokenizer.after)
    n, width = ids.shape
    # added up where they are computed: to wait for each batch and copy it to the host takes longer
    sums = [
        torch.zeros(n, level.classes, dtype=torch.float64, device=passes.device) for level in levels
    ]
    lengths = chunks.end - chunks.start
    order = np.argsort(lengths, kind="stable")
    begin = 0
    while begin < len(order):
        # take as many chunks as fit when all are padded to the longest
        longest = lengths[order[begin:]] + frame
        # above LONG tokens attention counts more than the rest
        needs = longest * np.maximum(longest, LONG) * np.arange(1, len(longest) + 1)
        fits = np.flatnonzero(needs <= batch_tokens * LONG)
        take = order[begin : begin + (fits[-1] + 1 if len(fits) else 1)]
        begin += len(take)
        starts = chunks.sequence[take] * width + chunks.start[take]
        alone = framed(ids.ravel(), starts, lengths[take], tokenizer)
        rows = on_device(chunks.sequence[take], passes.device)
        for total, part in zip(sums, probabilities(levels, passes.logits(alone)), strict=True):
            total.index_add_(0, rows, part.float().double())
    count = torch.from_numpy(np.bincount(chunks.sequence, minlength=n)).unsqueeze(1)
    return tuple((total.cpu() / count).float().numpy() for total in sums)
