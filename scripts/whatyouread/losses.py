"""The Explainer's objective (paper, "Methods"; Stalder et al. 2022): four terms, one function each.

Each term is a value per sequence, float (batch,), so that it does not depend on what else is in the
batch; `explainer_loss` adds them. Masks are (batch, length); `valid` is bool (batch, length), true
for tokens that are not padding; Z is the number of these in a sequence.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Loss(NamedTuple):
    """The terms of the objective and their weighted sum, each float (batch,)."""

    total: Tensor
    classification: Tensor  # L_c
    entropy: Tensor  # L_e
    area: Tensor  # L_a
    variation: Tensor  # L_tv


def classification_loss(logits: tuple[Tensor, ...], labels: Tensor) -> Tensor:
    """L_c: the cross-entropy of F(x ⊙ m), summed over the ranks.

    logits: (batch, classes) per rank; labels: int64 (batch, ranks).
    """
    terms = [
        F.cross_entropy(rank, labels[:, i], reduction="none")
        for i, rank in enumerate(_widest(logits))
    ]
    return torch.stack(terms).sum(0)


def entropy_loss(logits: tuple[Tensor, ...], normalised: bool = False) -> Tensor:
    """L_e: (1/C) sum_c p_c log p_c of F(x ⊙ m~), summed over the ranks; smallest when uniform.

    normalised: divided by ln C instead of C, so that it reaches -1 at every rank, whatever the number
    of classes is; as printed it can be -0.004 at most for 1,878 classes.
    """
    terms = []
    for rank in _widest(logits):
        log_p = F.log_softmax(rank, -1)
        negative, classes = (log_p.exp() * log_p).mean(-1), rank.shape[-1]
        terms.append(negative * classes / math.log(classes) if normalised else negative)
    return torch.stack(terms).sum(0)


def area(mask: Tensor, valid: Tensor) -> Tensor:
    """A(m): the mean of the mask over the non-padding tokens."""
    return (mask * valid).sum(1) / valid.sum(1)


def bounding(class_masks: Tensor, valid: Tensor, min_area: float, max_area: float) -> Tensor:
    """B(s): what a class mask lacks of `min_area` and has beyond `max_area`, as shares of Z.

    class_masks: (batch, length, ranks); returns (batch, ranks). The values are sorted downwards and
    compared with masks of 1 on the first round(a Z) and round(b Z) places (halves round up).
    """
    size = valid.sum(1, keepdim=True)  # Z
    place = torch.arange(valid.shape[1], device=valid.device)
    first = (place < _half_up(min_area * size.double())).unsqueeze(-1)  # q_min
    outside = (place >= _half_up(max_area * size.double())) & (place < size)  # 1 - q_max
    # padding sorts to the end, behind every true value
    q = class_masks.masked_fill(~valid.unsqueeze(-1), -1).sort(dim=1, descending=True).values
    too_small = (1 - q).clamp(min=0) * first
    too_large = q.clamp(min=0) * outside.unsqueeze(-1)
    return (too_small + too_large).sum(1) / size


def area_loss(
    target: Tensor,
    non_target: Tensor,
    class_masks: Tensor,
    valid: Tensor,
    min_area: float,
    max_area: float,
) -> Tensor:
    """L_a: A(m) + A(n) + the mean of B(s_c) over the sequence's classes c."""
    bounds = bounding(class_masks, valid, min_area, max_area).mean(-1)
    return area(target, valid) + area(non_target, valid) + bounds


def total_variation(mask: Tensor, valid: Tensor) -> Tensor:
    """(1/Z) sum_i |m[i] - m[i + 1]| over neighbours that are both no padding."""
    both = valid[:, 1:] & valid[:, :-1]
    return ((mask[:, 1:] - mask[:, :-1]).abs() * both).sum(1) / valid.sum(1)


def explainer_loss(
    logits_masked: tuple[Tensor, ...],
    logits_inverted: tuple[Tensor, ...],
    labels: Tensor,
    target: Tensor,
    non_target: Tensor,
    class_masks: Tensor,
    valid: Tensor,
    *,
    min_area: float,
    max_area: float,
    entropy_weight: float = 1.0,
    area_weight: float = 1.0,
    variation_weight: float = 1.0,
    normalised_entropy: bool = False,
) -> Loss:
    """L_E = L_c + λ_e L_e + λ_a L_a + λ_tv L_tv.

    target and non_target: m and n, (batch, length); class_masks: the masks s_c of the sequence's
    classes, (batch, length, ranks). `min_area` and `max_area` are a and b.
    """
    classification = classification_loss(logits_masked, labels)
    entropy = entropy_loss(logits_inverted, normalised_entropy)
    areas = area_loss(target, non_target, class_masks, valid, min_area, max_area)
    variation = total_variation(target, valid) + total_variation(non_target, valid)
    total = (
        classification
        + entropy_weight * entropy
        + area_weight * areas
        + variation_weight * variation
    )
    return Loss(total, classification, entropy, areas, variation)


def standardised(values: Tensor, counted: Tensor) -> Tensor:
    """Mean 0 and variance 1 over the counted tokens of each sequence, 0 elsewhere: (batch, length).

    counted: bool (batch, length). Values that are all the same become 0.
    """
    size = counted.sum(1, keepdim=True).clamp(min=1)
    values = values.masked_fill(~counted, 0)
    centred = (values - values.sum(1, keepdim=True) / size) * counted
    variance = centred.pow(2).sum(1, keepdim=True) / size
    # rsqrt of the smallest normal number is finite: no NaN where nothing varies
    return centred * variance.clamp(min=torch.finfo(variance.dtype).tiny).rsqrt()


def correlation_loss(scores: Tensor, evidence: Tensor, counted: Tensor) -> Tensor:
    """1 - r: r is Pearson's correlation of scores and evidence over a sequence's tokens, (batch,).

    scores, evidence: float (batch, length); counted: bool (batch, length). Only the order and the
    proportions of the evidence within a sequence count, not its size.
    """
    size = counted.sum(1).clamp(min=1)
    both = standardised(scores, counted) * standardised(evidence, counted)
    return 1 - both.sum(1) / size


def _half_up(values: Tensor) -> Tensor:
    """Rounded, halves upwards, also those which a binary fraction like 0.35 misses by a hair."""
    return torch.floor(values + (0.5 + 1e-9))


def _widest(logits: tuple[Tensor, ...]) -> list[Tensor]:
    """Half-precision logits as float32: a softmax over thousands of classes needs it."""
    return [
        rank.float() if rank.dtype in (torch.float16, torch.bfloat16) else rank for rank in logits
    ]
