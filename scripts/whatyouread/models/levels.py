"""Loss, probabilities and decision of a level, computed from the classifier's logits.

A level is a taxonomic rank or another set of classes; one head of the classifier chooses from it. No
other module calls softmax, or argmax of logits.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from whatyouread.masks.choices import UNCOUNTED
from whatyouread.models.precision import widest


class Single:
    """Exactly one class of the level is right: softmax, cross-entropy, the most probable class.

    logits: float (batch, classes); labels: int64 (batch,), -1 where the label is missing. Softmaxes run
    in float32 or wider, because a softmax over thousands of classes needs it.
    """

    @staticmethod
    def log_probabilities(logits: Tensor) -> Tensor:
        """float (batch, classes)."""
        return F.log_softmax(widest(logits), -1)

    @staticmethod
    def probabilities(logits: Tensor) -> Tensor:
        """float (batch, classes)."""
        return widest(logits).softmax(-1)

    @staticmethod
    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        """The cross-entropy of each sequence, float (batch,); 0 without a gradient for a missing label.

        Every label counts alike: what takes the mean divides by all sequences, not by the labelled ones
        of a batch. Their number differs from batch to batch, and a label would count more where it has
        less company; means of batches or of processes would not add up to that of the whole either.
        """
        return F.cross_entropy(widest(logits), labels, reduction="none", ignore_index=UNCOUNTED)

    @classmethod
    def negative_entropy(cls, logits: Tensor, normalised: bool) -> Tensor:
        """The mean of p log p over the classes C, float (batch,); normalised: their sum over ln C.

        0 where there is only one class: it is always certain.
        """
        log_p = cls.log_probabilities(logits)
        negative, classes = (log_p.exp() * log_p).mean(-1), logits.shape[-1]
        if not normalised or classes == 1:  # ln 1 is 0
            return negative
        return negative * classes / math.log(classes)

    @staticmethod
    def decision(logits: Tensor) -> Tensor:
        """The most probable class, int64 (batch,)."""
        return logits.argmax(-1)

    @staticmethod
    def order(probabilities: Tensor) -> Tensor:
        """The classes from the most probable one on, int64 (batch, classes)."""
        return probabilities.sort(dim=-1, descending=True, stable=True).indices


KINDS = {"single": Single}
"""Kinds of levels by their names in a model's configuration."""


class HeadLevel(NamedTuple):
    """The level of one head of the classifier: its name, its number of classes, its kind."""

    name: str
    classes: int
    kind: str = "single"


def _means(levels: Sequence[HeadLevel], logits: Sequence[Tensor]):
    return ((KINDS[level.kind], part) for level, part in zip(levels, logits, strict=True))


def decisions(levels: Sequence[HeadLevel], logits: Sequence[Tensor]) -> Tensor:
    """The predicted class at each level, int64 (batch, levels)."""
    return torch.stack([kind.decision(part) for kind, part in _means(levels, logits)], dim=1)


def probabilities(levels: Sequence[HeadLevel], logits: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Class probabilities, float (batch, classes) for each level."""
    return tuple(kind.probabilities(part) for kind, part in _means(levels, logits))


def first_and_second(levels: Sequence[HeadLevel], probabilities: Tensor) -> tuple[Tensor, Tensor]:
    """The most probable class and the runner-up at each level, and their probabilities.

    probabilities: float (n, classes), those of all levels side by side. Returns int64 and float
    (n, levels, 2); -1 and NaN for the runner-up of a level with one class.
    """
    classes, values = [], []
    for level, part in zip(
        levels, probabilities.split([level.classes for level in levels], dim=1), strict=True
    ):
        order = KINDS[level.kind].order(part)[:, :2]
        found = part.gather(1, order)
        lacking = (0, 2 - order.shape[1])
        classes.append(F.pad(order, lacking, value=-1))
        values.append(F.pad(found, lacking, value=math.nan))
    return torch.stack(classes, dim=1), torch.stack(values, dim=1)


def class_log_probabilities(
    levels: Sequence[HeadLevel], logits: Sequence[Tensor], classes: Tensor
) -> Tensor:
    """The log-probability of one class of each level, float (batch, sets, levels).

    classes: int64 (batch, sets, levels).
    """
    columns = [
        kind.log_probabilities(part).gather(1, classes[:, :, i])
        for i, (kind, part) in enumerate(_means(levels, logits))
    ]
    return torch.stack(columns, dim=-1)


def mean_over(values: Tensor, known: Tensor) -> Tensor:
    """The mean over the levels (last dimension) at which `known`, a bool that broadcasts; 0 without any.

    Where all are known it equals `values.mean(-1)` to the last bit.
    """
    share = known.sum(-1).to(values.dtype) / known.shape[-1]
    return values.masked_fill(~known, 0).mean(-1) / share.masked_fill(share == 0, 1)


def level_losses(
    levels: Sequence[HeadLevel], logits: Sequence[Tensor], labels: Tensor
) -> list[Tensor]:
    """The loss of each sequence at each level, float (batch,) each; labels: int64 (batch, levels).

    0 where the label is missing.
    """
    return [kind.loss(part, labels[:, i]) for i, (kind, part) in enumerate(_means(levels, logits))]


def level_entropies(
    levels: Sequence[HeadLevel], logits: Sequence[Tensor], normalised: bool
) -> list[Tensor]:
    """The negative entropy of each sequence at each level, float (batch,) each."""
    return [kind.negative_entropy(part, normalised) for kind, part in _means(levels, logits)]
