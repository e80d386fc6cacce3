"""The Explainer's objective (paper, "Methods"; Stalder et al. 2022): four terms, one function each.

Each term has one value per sequence, float (batch,), which does not depend on the rest of the batch;
`explainer_loss` adds the terms. Masks are (batch, length). `valid` is bool (batch, length) and true
for tokens that are not padding. Z is the number of such tokens in a sequence.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from whatyouread.explainers.gate import standardised
from whatyouread.masks.choices import UNCOUNTED
from whatyouread.models.levels import HeadLevel, level_entropies, level_losses, mean_over


class Loss(NamedTuple):
    """The terms of the objective and their weighted sum, each float (batch,)."""

    total: Tensor
    classification: Tensor  # L_c
    entropy: Tensor  # L_e
    area: Tensor  # L_a
    variation: Tensor  # L_tv


class Masks(NamedTuple):
    """The masks that enter the objective.

    target and non_target: m and n, float (batch, length); own: the masks s_c of the sequence's
    classes, float (batch, length, levels), 0 at a level without a label. known: bool (batch, levels), which
    of these there are; None for those of the levels with a label. Where a sequence has sets of classes, own
    and known have a column for each class instead, and known says which classes it has.
    """

    target: Tensor
    non_target: Tensor
    own: Tensor
    known: Tensor | None = None


def classification_loss(
    levels: Sequence[HeadLevel], logits: tuple[Tensor, ...], labels: Tensor
) -> Tensor:
    """L_c: the loss of F(x ⊙ m), the cross-entropy, summed over the levels with a label.

    logits: (batch, classes) per level; labels: int64 (batch, levels), -1 where one is missing.
    """
    return torch.stack(level_losses(levels, logits, labels)).sum(0)


def entropy_loss(
    levels: Sequence[HeadLevel],
    logits: tuple[Tensor, ...],
    normalised: bool = False,
    known: Tensor | None = None,
) -> Tensor:
    """L_e: (1/C) sum_c p_c log p_c of F(x ⊙ m~), summed over the levels; minimal if all p_c are equal.

    normalised: divide by ln C instead of C. The minimum is then -1 at every level. As printed, the
    minimum shrinks with the number of classes: it is -0.004 for 1,878 classes. known: bool
    (batch, levels), the levels that count, all by default.
    """
    made = torch.stack(level_entropies(levels, logits, normalised))
    return (made if known is None else made.masked_fill(~known.T, 0)).sum(0)


def area(mask: Tensor, valid: Tensor) -> Tensor:
    """A(m): the mean of the mask over the non-padding tokens."""
    return (mask * valid).sum(1) / valid.sum(1)


def bounding(class_masks: Tensor, valid: Tensor, min_area: float, max_area: float) -> Tensor:
    """B(s): how far a class mask stays below `min_area` or exceeds `max_area`, as a share of Z.

    class_masks: (batch, length, levels); returns (batch, levels). The function sorts the mask values in
    descending order and compares them with masks of 1 on the first round(a Z) and round(b Z) places
    (halves round up).
    """
    size = valid.sum(1, keepdim=True)  # Z
    place = torch.arange(valid.shape[1], device=valid.device)
    first = (place < _half_up(min_area * size.double())).unsqueeze(-1)  # q_min
    outside = (place >= _half_up(max_area * size.double())) & (place < size)  # 1 - q_max
    # -1 sorts padding behind every mask value
    q = class_masks.masked_fill(~valid.unsqueeze(-1), -1).sort(dim=1, descending=True).values
    too_small = (1 - q).clamp(min=0) * first
    too_large = q.clamp(min=0) * outside.unsqueeze(-1)
    return (too_small + too_large).sum(1) / size


def area_loss(
    masks: Masks, valid: Tensor, min_area: float, max_area: float, known: Tensor | None = None
) -> Tensor:
    """L_a: A(m) + A(n) + the mean of B(s_c) over the sequence's classes c.

    known: bool (batch, levels), the levels at which the sequence has a class, all by default; as
    `Masks.known`.
    """
    bounds = bounding(masks.own, valid, min_area, max_area)
    bounds = bounds.mean(-1) if known is None else mean_over(bounds, known)
    return area(masks.target, valid) + area(masks.non_target, valid) + bounds


def total_variation(mask: Tensor, valid: Tensor) -> Tensor:
    """(1/Z) sum_i |m[i] - m[i + 1]| over pairs of neighbours without padding, float (batch,)."""
    both = valid[:, 1:] & valid[:, :-1]
    return ((mask[:, 1:] - mask[:, :-1]).abs() * both).sum(1) / valid.sum(1)


def explainer_loss(
    levels: Sequence[HeadLevel],
    logits_masked: tuple[Tensor, ...],
    logits_inverted: tuple[Tensor, ...],
    labels: Tensor,
    masks: Masks,
    valid: Tensor,
    constants,
) -> Loss:
    """L_E = L_c + λ_e L_e + λ_a L_a + λ_tv L_tv.

    constants: a and b (`min_area`, `max_area`), the λ (`entropy_weight`, `area_weight`,
    `variation_weight`) and `entropy`, as in `paper.Settings`.

    A level at which a sequence has no label takes no part in any term: no mask is made to keep or to
    hide what speaks for it. The loss of a sequence without any label is 0.
    """
    known = labels != UNCOUNTED
    classification = classification_loss(levels, logits_masked, labels)
    entropy = entropy_loss(levels, logits_inverted, constants.entropy == "normalised", known)
    own = known if masks.known is None else masks.known
    areas = area_loss(masks, valid, constants.min_area, constants.max_area, own)
    variation = total_variation(masks.target, valid) + total_variation(masks.non_target, valid)
    total = (
        classification
        + constants.entropy_weight * entropy
        + constants.area_weight * areas
        + constants.variation_weight * variation
    )
    return Loss(total, classification, entropy, areas, variation)


def correlation_loss(scores: Tensor, evidence: Tensor, content: Tensor) -> Tensor:
    """1 - r, where r is Pearson's correlation of scores and evidence over the content, (batch,).

    scores, evidence: float (batch, length); content: bool (batch, length). The loss does not depend on
    the scale of the evidence within a sequence.
    """
    size = content.sum(1).clamp(min=1)
    both = standardised(scores, content) * standardised(evidence, content)
    return 1 - both.sum(1) / size


def _half_up(values: Tensor) -> Tensor:
    """Round halves up, also where a product with a binary fraction (0.35) falls just below a half."""
    return torch.floor(values + (0.5 + 1e-9))
