"""FastSHAP: predict Shapley values of the tokens (Jethani et al. 2022), a rival of the sharp objective."""

import dataclasses
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from whatyouread.explainers import amortised
from whatyouread.models.mask_operator import masked_logits
from whatyouread.models.occlusion import chosen_log_probability, coalitions
from whatyouread.models.precision import without_autocast
from whatyouread.support.cli import UserError

VALUES = ("log_probability", "probability")


@dataclasses.dataclass(frozen=True)
class Settings(amortised.ReadSettings):
    """Settings for training by FastSHAP (config/README.md, `explainers`)."""

    samples: int = 4
    value: str = "log_probability"

    def __post_init__(self):
        super().__post_init__()
        if self.samples < 2 or self.samples % 2:
            raise UserError(f"samples is {self.samples}: masks come in pairs, give an even number")
        if self.value not in VALUES:
            raise UserError(f"value is {self.value!r}: one of {', '.join(VALUES)}")


class Coalitions(NamedTuple):
    """What some coalitions of tokens are worth.

    members: float (samples, batch, length), 1 for the content that takes part; worth: float
    (samples, batch), the value of the coalition minus that of none; whole: float (batch,), the same of all.
    """

    members: Tensor
    worth: Tensor
    whole: Tensor


class FastShapObjective(amortised.AmortisedObjective):
    """Train the Explainer by the weighted least squares whose solution are Shapley values.

    A sequence gets `samples` random coalitions in each step, each with its complement: their sizes follow
    Shapley's kernel. The value of a coalition is the log-probability, or the probability, of the asked
    classes when the classifier sees its tokens alone, beside the special ones. No gradient passes through
    the classifier, and its masks are 0 or 1. The paper's surrogate, which has been trained on masks, is the
    judge (`reader`); by default the classifier itself reads them.
    """

    Settings = Settings
    columns = 2

    def evidence(self, batch, reading, classes, chosen, keys):
        """`Coalitions` and their values, without a gradient."""
        kept = coalitions(batch, self.settings.samples, keys, self.seed)
        empty = (batch.valid & ~batch.content).float()[None]
        rounds = len(kept) + 1
        with torch.no_grad():
            masked = masked_logits(
                self.reader, batch.repeat(rounds), torch.cat([kept, empty]).flatten(0, 1)
            )
            asked = classes.repeat(rounds, 1), chosen.repeat(rounds, 1)
            worth = self._value(masked, *asked).view(rounds, -1)
            whole = reading.logits
            if self.reader is not self.explanandum:
                whole = masked_logits(self.reader, batch)
            whole = self._value(whole, classes, chosen)
        none = worth[-1]
        return Coalitions(kept * batch.content, worth[:-1] - none, whole - none)

    def _value(self, logits, classes, chosen) -> Tensor:
        """The value of each sequence, float (batch,)."""
        logs = chosen_log_probability(self.explanandum, logits, classes, chosen)
        return logs if self.settings.value == "log_probability" else logs.exp()

    def values(self, scores, evidence, batch):
        """The squared error of the scores, and that of equal scores for all tokens, (batch, 2)."""
        efficient = additive(scores, evidence.whole, batch.content)
        equal = additive(torch.zeros_like(scores), evidence.whole, batch.content)
        return torch.stack([_error(efficient, evidence), _error(equal, evidence)], 1)

    @staticmethod
    def relative(values):
        """The error as a share of that of equal scores plus one squared nat.

        Without the division, sequences whose answer hardly depends on the tokens would count most.
        """
        error, equal = values.unbind(1)
        return error / (1 + equal)

    def summarize(self, values, labels):
        """The share of the coalitions' worth that the scores explain beyond equal scores."""
        error, equal = values.astype(np.float64).mean(0)
        return {"explained": float(1 - error / equal) if equal else 0.0}


def additive(scores: Tensor, whole: Tensor, content: Tensor) -> Tensor:
    """Scores that add up to the worth of the whole sequence (additive efficient normalization).

    scores: float (batch, length); whole: float (batch,); content: bool (batch, length). What is missing
    is divided equally among the content. Returns float (batch, length), 0 outside of it.
    """
    own = scores.masked_fill(~content, 0)
    missing = whole - own.sum(1)
    return own + content * (missing / content.sum(1).clamp(min=1)).unsqueeze(1)


def _error(scores: Tensor, evidence: Coalitions) -> Tensor:
    """The mean squared error of the scores' sums over the coalitions, float (batch,)."""
    with without_autocast(scores.device):
        sums = torch.einsum("sbl,bl->sb", evidence.members, scores)
    return (sums - evidence.worth).square().mean(0)
