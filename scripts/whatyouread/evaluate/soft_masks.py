"""How far an encoder feels a soft mask: what other tokens notice when one token is dimmed.

A norm at the start of an encoder divides by the size of its input. What other tokens read of a dimmed token
may therefore hardly change until it is gone.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from whatyouread.data.batch import Batch
from whatyouread.models.adapter import EncoderAdapter

SCALES = (0.9, 0.5, 0.1, 0.01, 0.0)


@torch.inference_mode()
def change_of_others(
    adapter: EncoderAdapter,
    batch: Batch,
    scales: Sequence[float] = SCALES,
    places: int = 8,
    relaxed: bool = False,
) -> Tensor:
    """How much the *other* tokens' last states change when one token's embedding is scaled.

    The mask is 1 but for one token of the content, and `scales` there; up to `places` tokens of each sequence
    are tried, evenly over its content. relaxed: with the relaxed operator instead of the exact one.

    Returns float64 (tokens tried, scales): the length of the difference between the other valid tokens'
    states and those of the plain sequence. A share of the change at 0 is a column over the last one.
    """

    def states(mask):
        embeddings = adapter.embed(batch.ids)
        if relaxed:
            return adapter.encode_relaxed(embeddings, mask, batch).double()
        return adapter.encode(embeddings * mask.unsqueeze(-1), batch).double()

    ones = torch.ones(batch.ids.shape, device=batch.device)
    plain, tried = states(ones), _places(batch, places)
    made = torch.full((len(scales), *tried.shape), torch.nan, dtype=torch.float64)
    rows = torch.arange(len(batch), device=batch.device)
    for number in range(tried.shape[1]):
        place = torch.from_numpy(tried[:, number]).to(batch.device)
        there = place >= 0
        for i, scale in enumerate(scales):
            mask = ones.clone()
            mask[rows[there], place[there]] = scale
            others = batch.valid.clone()
            others[rows[there], place[there]] = False
            change = ((states(mask) - plain).square().sum(-1) * others).sum(1).sqrt()
            made[i, :, number] = torch.where(there, change, torch.nan).cpu()
    flat = made.flatten(1).T
    return flat[~flat.isnan().any(1)]


def felt(changes: Tensor) -> list[float]:
    """The mean share of the change at the last scale, for each scale; changes: as made above."""
    return (changes / changes[:, -1:]).mean(0).tolist()


def _places(batch: Batch, count: int) -> np.ndarray:
    """Places of content, evenly over it, int64 (batch, count); -1 where a sequence has fewer."""
    made = np.full((len(batch), count), -1)
    for row, content in enumerate(batch.content.cpu().numpy()):
        there = np.flatnonzero(content)
        if len(there) <= count:
            made[row, : len(there)] = there
        else:
            made[row] = there[np.linspace(0, len(there) - 1, count).round().astype(int)]
    return made
