"""Loss, probabilities and decision of a level, computed from the classifier's logits.

A level is a taxonomic rank or another set of classes; one head of the classifier chooses from it. No
other module calls softmax, or argmax of logits. The numbers of labels and decisions are those of
`data.kinds`: of a class, or of a set of classes.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from whatyouread.data.levels import check_number
from whatyouread.masks.choices import UNCOUNTED
from whatyouread.models.precision import widest
from whatyouread.support.cli import UserError

THRESHOLD = 0.5
"""The probability above which a class of a level of the kind `multiple` is held, where nothing is given."""


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
    def divergence(cls, logits: Tensor, others: Tensor) -> Tensor:
        """The Kullback-Leibler divergence of the answer `others` from the answer `logits`, float (batch,).

        sum p (log p - log q), where p is that of `logits`: 0 where both are equal.
        """
        log_p = cls.log_probabilities(logits)
        return (log_p.exp() * (log_p - cls.log_probabilities(others))).sum(-1)

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

    @classmethod
    def answer_log_probabilities(cls, logits: Tensor, answers: Tensor) -> Tensor:
        """The log-probability of some answers, float (batch, sets); answers: int64 (batch, sets)."""
        return cls.log_probabilities(logits).gather(1, answers)

    @staticmethod
    def decision(logits: Tensor, threshold: float = THRESHOLD) -> Tensor:
        """The most probable class, int64 (batch,); a threshold means nothing here."""
        return logits.argmax(-1)

    @staticmethod
    def decided(probabilities: Tensor, threshold: float = THRESHOLD) -> Tensor:
        """The same of probabilities, float (batch, classes), such as means over parts of a sequence."""
        return probabilities.argmax(-1)

    @staticmethod
    def order(probabilities: Tensor) -> Tensor:
        """The classes from the most probable one on, int64 (batch, classes)."""
        return probabilities.sort(dim=-1, descending=True, stable=True).indices


class Multiple(Single):
    """Any number of classes of the level are right, each by itself: sigmoid, binary cross-entropy.

    logits: float (batch, classes); labels and answers are sets of classes (`data.kinds`), int64, -1 where
    the label is missing. A decision holds the classes that are more probable than a threshold.
    """

    @staticmethod
    def log_probabilities(logits):
        return F.logsigmoid(widest(logits))

    @staticmethod
    def probabilities(logits):
        return widest(logits).sigmoid()

    @staticmethod
    def loss(logits, labels):
        """The binary cross-entropies of all classes, summed, float (batch,); 0 for a missing label.

        That is minus the log-probability of the whole set, as the cross-entropy of one class is minus its
        log-probability.
        """
        logits = widest(logits)
        truth = members(labels, logits.shape[-1]).to(logits.dtype)
        each = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").sum(-1)
        return each.masked_fill(labels == UNCOUNTED, 0)

    @classmethod
    def divergence(cls, logits, others):
        """That of all classes' own answers, yes or no, summed, float (batch,)."""
        pairs = zip(cls._both(logits), cls._both(others), strict=True)
        return sum((own.exp() * (own - other)).sum(-1) for own, other in pairs)

    @classmethod
    def negative_entropy(cls, logits, normalised):
        """The mean over the classes of p log p + (1 - p) log (1 - p), float (batch,).

        normalised: divided by ln 2, so that it is -1 where every p is one half.
        """
        p, yes, no = cls.probabilities(logits), *cls._both(logits)
        negative = (p * yes + (1 - p) * no).mean(-1)
        return negative / math.log(2) if normalised else negative

    @classmethod
    def answer_log_probabilities(cls, logits, answers):
        """The log-probability that all classes of a set are held, float (batch, sets).

        The sum of those of its classes, whatever else is held. Of the set without a class: the
        log-probability that none is held.
        """
        yes, no = cls._both(logits)
        held = members(answers, logits.shape[-1])
        made = torch.where(held, yes.unsqueeze(1), 0).sum(-1)
        return torch.where(answers == 0, no.sum(-1, keepdim=True), made)

    @classmethod
    def decision(cls, logits, threshold=THRESHOLD):
        """The set of the classes whose probability is above the threshold, int64 (batch,)."""
        return cls.decided(cls.probabilities(logits), threshold)

    @staticmethod
    def decided(probabilities, threshold=THRESHOLD):
        return sets_of(probabilities > threshold)

    @staticmethod
    def _both(logits: Tensor) -> tuple[Tensor, Tensor]:
        """The log-probability that each class is held, and that it is not."""
        logits = widest(logits)
        return F.logsigmoid(logits), F.logsigmoid(-logits)


def members(sets: Tensor, classes: int) -> Tensor:
    """Which classes each set holds, bool (..., classes); a missing one, -1, holds none."""
    bits = torch.arange(classes, device=sets.device)
    return ((sets.clamp(min=0).unsqueeze(-1) >> bits) & 1).bool()


def sets_of(held: Tensor) -> Tensor:
    """The set of each row: int64 (...). held: bool (..., classes)."""
    return (held.long() << torch.arange(held.shape[-1], device=held.device)).sum(-1)


KINDS = {"single": Single, "multiple": Multiple}
"""Kinds of levels by their names in a model's configuration."""


class HeadLevel(NamedTuple):
    """The level of one head of the classifier: its name, its number of classes, its kind.

    threshold: the probability above which a class of a `multiple` level is held.
    """

    name: str
    classes: int
    kind: str = "single"
    threshold: float = THRESHOLD

    @property
    def of_one(self) -> bool:
        """Whether one class is right, so that the number of an answer is that of its class."""
        return KINDS[self.kind] is Single

    def held(self, answers: Tensor) -> Tensor:
        """Which classes some answers hold, bool (..., classes); none where an answer is missing (-1)."""
        if not self.of_one:
            return members(answers, self.classes)
        return answers.unsqueeze(-1) == torch.arange(self.classes, device=answers.device)

    def holds(self, answers: Tensor) -> Tensor:
        """Whether an answer holds a class at all, bool (...)."""
        return answers >= 0 if self.of_one else answers > 0

    def alone(self, classes: Tensor) -> Tensor:
        """The answers that hold one class each; classes: int64, their numbers."""
        return classes if self.of_one else torch.ones_like(classes) << classes


def several(kinds: Mapping[str, str] | None) -> dict[str, str]:
    """The levels that are not `single`, with their kinds: what a model's configuration says of them."""
    return {level: kind for level, kind in (kinds or {}).items() if KINDS.get(kind) is not Single}


def head_levels(
    classes: Mapping[str, int], kinds: Mapping[str, str] | None = None, threshold: float = THRESHOLD
) -> list[HeadLevel]:
    """The levels of a model by its configuration; kinds: level -> kind, of those that are not `single`."""
    kinds = kinds or {}
    if unknown := [name for name in kinds if name not in classes or kinds[name] not in KINDS]:
        raise UserError(
            f"kinds: {unknown[0]!r} is no level, or {kinds[unknown[0]]!r} is no kind of level"
        )
    made = [
        HeadLevel(name, count, kinds.get(name, "single"), threshold)
        for name, count in classes.items()
    ]
    for level in made:
        check_number(level.name, level.kind, level.classes)
    return made


def _means(levels: Sequence[HeadLevel], logits: Sequence[Tensor]):
    return ((KINDS[level.kind], part) for level, part in zip(levels, logits, strict=True))


def decisions(levels: Sequence[HeadLevel], logits: Sequence[Tensor]) -> Tensor:
    """The predicted answer at each level, int64 (batch, levels)."""
    made = (
        KINDS[level.kind].decision(part, level.threshold)
        for level, part in zip(levels, logits, strict=True)
    )
    return torch.stack(list(made), dim=1)


def decided(levels: Sequence[HeadLevel], probabilities: Sequence[Tensor]) -> Tensor:
    """The same of class probabilities, float (batch, classes) for each level, that are no longer logits."""
    made = (
        KINDS[level.kind].decided(part, level.threshold)
        for level, part in zip(levels, probabilities, strict=True)
    )
    return torch.stack(list(made), dim=1)


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
    """The log-probability of one answer at each level, float (batch, sets, levels).

    classes: int64 (batch, sets, levels), no label missing.
    """
    columns = [
        kind.answer_log_probabilities(part, classes[:, :, i])
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


def level_divergences(
    levels: Sequence[HeadLevel], logits: Sequence[Tensor], others: Sequence[Tensor]
) -> list[Tensor]:
    """The divergence of other answers from some answers at each level, float (batch,) each."""
    return [
        kind.divergence(part, other)
        for (kind, part), other in zip(_means(levels, logits), others, strict=True)
    ]
