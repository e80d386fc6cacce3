"""Masks, their extraction and the Explainer's losses, beside the same in plain loops, on one core."""

from functools import partial
from pathlib import Path

import torch
from measure import Figure, seconds
from torch import Tensor

from whatyouread.explainers.losses import Loss, Masks, explainer_loss
from whatyouread.explainers.paper import Settings
from whatyouread.models.levels import HeadLevel
from whatyouread.models.mask_operator import own_and_other_masks, target_mask

SECTION = "Masks and losses"
LENGTH, CLASSES, BATCH = 251, (4, 55, 1_878), 48
LEVELS = [HeadLevel(f"level{i}", classes) for i, classes in enumerate(CLASSES)]
A, B = 0.05, 0.3


def vectorised(scores: Tensor, labels: Tensor, logits: tuple, logits_inverted: tuple) -> Loss:
    """The project's: scores (batch, length, classes of all levels), labels (batch, levels)."""
    first = torch.tensor([0, *torch.tensor(CLASSES).cumsum(0)[:-1]])
    own, others = own_and_other_masks(scores, labels + first)
    valid = torch.ones(scores.shape[:2], dtype=torch.bool)
    masks = Masks(target_mask(own), others, own)
    return explainer_loss(LEVELS, logits, logits_inverted, labels, masks, valid, Settings(A, B))


def loops(scores: Tensor, labels: Tensor, logits: tuple, logits_inverted: tuple) -> Loss:
    """The same as one would write it down from the paper: a sequence, a class at a time."""
    first = [0, CLASSES[0], CLASSES[0] + CLASSES[1]]
    length = scores.shape[1]
    q_min = torch.cat([torch.ones(round(A * length)), torch.zeros(length - round(A * length))])
    q_max = torch.cat([torch.ones(round(B * length)), torch.zeros(length - round(B * length))])
    rows = []
    # unbound first: a gradient through each `scores[i, :, c]` would fill a whole matrix
    for i, sequence in enumerate(scores.unbind(0)):
        own = [start + int(label) for start, label in zip(first, labels[i], strict=True)]
        target = non_target = torch.zeros(length)
        bounds = []
        for c, mask in enumerate(sequence.unbind(1)):
            if c in own:
                target = torch.maximum(target, mask)
                q = mask.sort(descending=True).values
                too_small = (q_min - q).clamp(min=0)
                too_large = (q - q_max).clamp(min=0)
                bounds.append(too_small.mean() + too_large.mean())
            else:
                non_target = torch.maximum(non_target, mask)
        classification = entropy = torch.zeros(())
        for rank in range(len(CLASSES)):
            classification = classification - logits[rank][i].log_softmax(-1)[labels[i, rank]]
            log_p = logits_inverted[rank][i].log_softmax(-1)
            entropy = entropy + (log_p.exp() * log_p).mean()
        areas = target.mean() + non_target.mean() + sum(bounds) / len(bounds)
        variation = (target[1:] - target[:-1]).abs().sum() / length
        variation = variation + (non_target[1:] - non_target[:-1]).abs().sum() / length
        total = classification + entropy + areas + variation
        rows.append(torch.stack([total, classification, entropy, areas, variation]))
    return Loss(*torch.stack(rows).T)


def run(quick: bool, scratch: Path) -> list[Figure]:
    """Forward and backward of one batch; the values are compared first."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    batch = 2 if quick else BATCH
    raw = torch.randn(batch, LENGTH, sum(CLASSES))
    labels = torch.stack([torch.randint(n, (batch,)) for n in CLASSES], dim=1)
    logits = [tuple(torch.randn(batch, n) for n in CLASSES) for _ in range(2)]

    scores = raw.sigmoid().requires_grad_()

    def step(function, backward: bool = True):
        scores.grad = None
        made = function(scores, labels, *logits)
        if backward:
            made.total.mean().backward()
        return made, scores.grad

    one, one_gradient = step(vectorised)
    other, other_gradient = step(loops)
    for name, ours, theirs in zip(Loss._fields, one, other, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5, msg=name)
    torch.testing.assert_close(one_gradient, other_gradient, rtol=1e-4, atol=1e-7)

    figures = []
    for backward in (False, True):
        what = "forward and backward" if backward else "forward"
        ours = seconds(partial(step, vectorised, backward), repeat=5)
        theirs = seconds(partial(step, loops, backward), repeat=1 if quick else 3, warm_up=0)
        figures.append(
            Figure(
                SECTION, f"mask extraction and losses, {what}, batch {batch}", "ms",
                1e3 * ours, 1e3 * theirs, "loops over sequences and classes", theirs / ours,
                "20 times", None if quick else theirs / ours >= 20, "equal values and gradients",
            )
        )  # fmt: skip
    return figures
