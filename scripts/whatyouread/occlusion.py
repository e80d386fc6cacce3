"""Occlusions: random masks of 0 and 1, and what the classifier's gradient says under them.

A classifier shows what it reads when much of it is gone: with a tenth of the tokens left, each of
them counts. The gradient of the log-probabilities with respect to such a mask, by the relaxed
operator, says of every token at once what it adds, or would add if it came back. It is the evidence
that the sharp Explainer learns to foresee.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from whatyouread.masking import masked_logits
from whatyouread.tokens import PAD


def body(tokens: Tensor) -> Tensor:
    """Where there are tokens other than `<cls>`, at place 0, and padding: bool (batch, length)."""
    inside = tokens != PAD
    inside[:, 0] = False
    return inside


def occlusion(inside: Tensor, noise: Tensor, area: Tensor, window: Tensor) -> Tensor:
    """Masks that keep the highest places of smoothed noise, 0 or 1: float32 (batch, length).

    inside: bool (batch, length), the tokens that may be masked; `<cls>`, at place 0, stays 1, padding
    is 0. noise: float (batch, length); area: float (batch,), the share of the tokens that each
    sequence keeps, one at least; window: int64 (batch,), tokens over which its noise is averaged, which
    makes runs about as long.
    """
    length = inside.shape[1]
    place = torch.arange(length, device=inside.device)
    # the mean of `window` neighbours, by a running sum, up to the end of the sequence
    total = F.pad(noise.cumsum(1), (1, 0))
    end = torch.minimum(place + window.unsqueeze(1), inside.sum(1, keepdim=True) + 1)
    smooth = (total.gather(1, end) - total[:, :-1]) / (end - place).clamp(min=1).sqrt()
    order = smooth.masked_fill(~inside, -torch.inf).argsort(dim=1, descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(1, order, place.expand_as(order))
    count = (area * inside.sum(1)).round().clamp(min=1)
    mask = ((rank < count.unsqueeze(1)) & inside).float()
    return torch.cat([torch.ones_like(mask[:, :1]), mask[:, 1:]], dim=1)


def draw_occlusions(
    inside: Tensor,
    areas: Sequence[float],
    windows: Sequence[int],
    generator: torch.Generator | None = None,
) -> Tensor:
    """An `occlusion` of each sequence, with one of `areas` and one of `windows`, all drawn."""
    batch, place = len(inside), {"generator": generator, "device": inside.device}
    noise = torch.randn(inside.shape, **place)
    area = torch.tensor(areas, device=inside.device)[torch.randint(len(areas), (batch,), **place)]
    window = torch.tensor(windows, device=inside.device)
    window = window[torch.randint(len(windows), (batch,), **place)]
    return occlusion(inside, noise, area, window)


def occlusion_gradient(
    explanandum: nn.Module,
    tokens: Tensor,
    classes: Tensor,
    mask: Tensor,
    chosen: Tensor,
    whole: bool = False,
) -> Tensor:
    """The gradient, with respect to the mask, of the log-probabilities of classes: (batch, length).

    tokens: int64 (batch, length); classes: int64 (batch, ranks); mask: float (batch, length), zeros
    and ones; chosen: bool (batch, ranks), the ranks whose log-probabilities are added up. The weights
    of the Explanandum get no gradient. whole: as for `masked_logits`.
    """
    with torch.enable_grad():
        mask = mask.detach().requires_grad_()
        logits = masked_logits(explanandum, tokens, mask, relaxed=True, whole=whole)
        logs = [
            rank.float().log_softmax(-1).gather(1, classes[:, i : i + 1])
            for i, rank in enumerate(logits)
        ]
        evidence = (torch.cat(logs, 1) * chosen).sum()
        return torch.autograd.grad(evidence, mask)[0].detach()
