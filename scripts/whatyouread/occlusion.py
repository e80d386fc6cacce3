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


def draw_occlusions(
    inside: Tensor,
    areas: Sequence[float],
    windows: Sequence[int],
    generator: torch.Generator | None = None,
) -> Tensor:
    """A random mask for each sequence, 0 or 1: float32 (batch, length).

    inside: bool (batch, length), the tokens that may be masked; `<cls>`, at place 0, stays 1, padding
    is 0. Each sequence keeps one of `areas` of its tokens, in runs about as long as one of `windows`.
    """
    batch, length = inside.shape
    place = {"generator": generator, "device": inside.device}
    noise = torch.randn(batch, length + max(windows) - 1, **place)
    # the mean of neighbours makes runs; every window is computed, each sequence takes one
    smooth = torch.stack(
        [F.avg_pool1d(noise[:, None, : length + w - 1], w, 1)[:, 0] * w**0.5 for w in windows]
    )
    rows = torch.arange(batch, device=inside.device)
    noise = smooth[torch.randint(len(windows), (batch,), **place), rows]
    area = torch.tensor(areas, device=inside.device)[torch.randint(len(areas), (batch,), **place)]
    count = (area * inside.sum(1)).round().clamp(min=1)
    order = noise.masked_fill(~inside, -torch.inf).argsort(1, descending=True)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(length, device=inside.device).expand_as(order)
    )
    mask = ((rank < count[:, None]) & inside).float()
    mask[:, 0] = 1
    return mask


def occlusion_gradient(
    explanandum: nn.Module, tokens: Tensor, classes: Tensor, mask: Tensor, chosen: Tensor
) -> Tensor:
    """The gradient, with respect to the mask, of the log-probabilities of classes: (batch, length).

    tokens: int64 (batch, length); classes: int64 (batch, ranks); mask: float (batch, length), zeros
    and ones; chosen: bool (batch, ranks), the ranks whose log-probabilities are added up. The weights
    of the Explanandum get no gradient.
    """
    with torch.enable_grad():
        mask = mask.detach().requires_grad_()
        logits = masked_logits(explanandum, tokens, mask, relaxed=True)
        logs = [
            rank.float().log_softmax(-1).gather(1, classes[:, i : i + 1])
            for i, rank in enumerate(logits)
        ]
        evidence = (torch.cat(logs, 1) * chosen).sum()
        return torch.autograd.grad(evidence, mask)[0].detach()
