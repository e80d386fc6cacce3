"""Methods that read gradients of the mask vector: one forward pass for all targets together.

Every function takes a `Question` and returns scores, float32 (sequences, length, targets), zero at padding.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from whatyouread.methods.question import Question
from whatyouread.models.occlusion import keyed_occlusions
from whatyouread.support.cli import UserError

OPERATORS = ("exact", "relaxed")


def integrated_gradients(question: Question, steps: int = 16, operator: str = "exact") -> Tensor:
    """Integrated Gradients from the empty to the full sequence (Sundararajan et al. 2017).

    The integral is that of captum: Gauss-Legendre quadrature with `steps` nodes. operator: "exact", or
    "relaxed", where attention also responds to masks between 0 and 1.
    """
    if operator not in OPERATORS:
        raise UserError(f"operator is {operator!r}: one of {', '.join(OPERATORS)}")
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    places, shares = ((nodes + 1) / 2).tolist(), (weights / 2).tolist()
    scores, ones = question.empty(), question.ones
    rounds = max(1, question.batch_size // len(question.batch))
    for start in range(0, steps, rounds):
        part = slice(start, start + rounds)
        masks = torch.cat([ones * place for place in places[part]])
        gradients = _gradients(question, masks, operator == "relaxed").split(len(ones))
        for gradient, share in zip(gradients, shares[part], strict=True):
            scores += gradient * share
    return scores * question.batch.valid.unsqueeze(-1)


def gradient_x_input(question: Question) -> Tensor:
    """The gradient at the full sequence, times the mask (which is 1 there)."""
    return _gradients(question, question.ones) * question.batch.valid.unsqueeze(-1)


def occlusion_gradients(
    question: Question,
    samples: int = 24,
    areas: Sequence[float] = (0.1, 0.3, 0.9),
    windows: Sequence[int] = (1, 8),
) -> Tensor:
    """The mean gradient under random occlusions, which the sharp Explainer learns to predict.

    samples: the number of occlusions per sequence; they take the shares in `areas` in turn.
    """
    batch, scores = question.batch, question.empty()
    for sample in range(samples):
        own = [areas[sample % len(areas)]] * len(batch)
        mask = keyed_occlusions(batch, question.keys, question.seed, own, windows, sample)
        scores += _gradients(question, mask, relaxed=True) / samples
    return scores * batch.valid.unsqueeze(-1)


def _gradients(question: Question, masks: Tensor, relaxed: bool = False) -> Tensor:
    """The gradient of each target at some masks (n, length): float32 (n, length, targets)."""
    masks = masks.detach().requires_grad_()
    return gradients_of(question.targets(masks, relaxed=relaxed), masks)


def gradients_of(targets: Tensor, masks: Tensor) -> Tensor:
    """The gradient of each target, (n, targets), by the masks (n, length): float32 (n, length, targets)."""
    sums = targets.sum(0).unbind()
    last = len(sums) - 1
    made = [
        torch.autograd.grad(own, masks, retain_graph=number < last)[0]
        for number, own in enumerate(sums)
    ]
    return torch.stack(made, -1).float()
