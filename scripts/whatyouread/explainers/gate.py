"""The gate turns scores per token into a mask that keeps a given share of the tokens."""

import torch
import torch.nn.functional as F
from torch import Tensor

STEEPNESS = 3.0
"""The slope of a gated mask at its threshold, per standard deviation of the scores.

With a steeper gate the highest scores would all become 1 in half precision and lose their order.
"""


def smoothed(scores: Tensor, content: Tensor, window: int) -> Tensor:
    """Replace each score by the mean over its neighbours in the content: (batch, length).

    content: bool (batch, length); window: the number of tokens in the mean, odd.
    """
    if window == 1:
        return scores
    pad = window // 2

    def sums(values: Tensor) -> Tensor:
        return F.avg_pool1d(F.pad(values[:, None], (pad, pad)), window, 1)[:, 0]

    return sums(scores * content) / sums(content.to(scores.dtype)).clamp(min=1e-6) * content


def gate(scores: Tensor, content: Tensor, valid: Tensor, area: float) -> Tensor:
    """Return a mask that is above 0.5 on the highest-scoring share `area` of the content.

    scores: float (batch, length); content, valid: bool (batch, length), see `Batch`. The mask is a
    steep sigmoid. Its centre lies halfway between the last score that is kept and the next one. The
    mask is 1 on special tokens and 0 at padding. It keeps fewer tokens only where scores at the
    threshold are equal.
    """
    scores = standardised(scores, content)
    count = (area * content.sum(1, keepdim=True)).round().long().clamp(min=1)
    order = scores.masked_fill(~content, -torch.inf).sort(1, descending=True).values
    last = order.gather(1, count - 1)
    following = F.pad(order, (0, 1), value=-torch.inf).gather(1, count)
    # if the gate keeps every token, there is no next score: put the threshold below the last one
    following = torch.where(following.isinf(), last - 1, following)
    mask = (STEEPNESS * (scores - (last + following) / 2)).sigmoid()
    return torch.where(content, mask, valid.to(mask.dtype))


def standardised(values: Tensor, content: Tensor) -> Tensor:
    """Scale values to mean 0 and variance 1 over each sequence's content: (batch, length).

    content: bool (batch, length); the result is 0 outside of it. Equal values all become 0.
    """
    size = content.sum(1, keepdim=True).clamp(min=1)
    values = values.masked_fill(~content, 0)
    centred = (values - values.sum(1, keepdim=True) / size) * content
    variance = centred.pow(2).sum(1, keepdim=True) / size
    # the clamp keeps rsqrt finite where all values are equal
    return centred * variance.clamp(min=torch.finfo(variance.dtype).tiny).rsqrt()
