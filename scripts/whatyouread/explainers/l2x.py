"""L2X: learn which few tokens to keep (Chen et al. 2018), a rival of the sharp objective."""

import dataclasses
from typing import NamedTuple

import torch
from torch import Tensor

from whatyouread.explainers import amortised
from whatyouread.explainers.gate import gate
from whatyouread.models.mask_operator import masked_logits
from whatyouread.models.occlusion import chosen_log_probability, occlusion
from whatyouread.support.cli import UserError


@dataclasses.dataclass(frozen=True)
class Settings(amortised.ReadSettings):
    """Settings for training by L2X (config/README.md, `explainers`)."""

    kept: float = 0.1

    def __post_init__(self):
        super().__post_init__()
        if not 0 < self.kept < 1:
            raise UserError(f"kept is {self.kept}: give a share of the tokens between 0 and 1")


class Asked(NamedTuple):
    """What the kept tokens should say: classes, chosen as in `AmortisedObjective.evidence`; and noise.

    noise: float (batch, length), added to the scores before the best are kept, or None.
    """

    classes: Tensor
    chosen: Tensor
    noise: Tensor | None


class L2xObjective(amortised.AmortisedObjective):
    """Train the Explainer to choose the tokens under which the asked classes are most probable.

    A share of the tokens, those of the highest scores after Gumbel noise, is all that the classifier sees.
    The loss is minus the log-probability of the asked classes there. Forwards the mask is 0 or 1; backwards
    the gradient passes through the classifier, by the relaxed operator, and through the gate's soft mask, as
    if that had been used (straight-through). The frozen classifier takes the place of the paper's own
    predictor, which learns along: it could learn to read the choice in place of the tokens (Jethani et al.
    2021). With `reader: judge` it is one that has learned to read any choice, as in REAL-X there. Validation
    is without noise.
    """

    Settings = Settings

    def evidence(self, batch, reading, classes, chosen, keys):
        """What is asked, and Gumbel noise in training."""
        if not self.training:
            return Asked(classes, chosen, None)
        drawn = torch.rand(batch.ids.shape, device=batch.device).clamp(1e-6, 1 - 1e-6)
        return Asked(classes, chosen, -torch.log(-torch.log(drawn)))

    def values(self, scores, evidence, batch):
        """Minus the log-probability of the asked classes when few tokens are left, (batch, 1)."""
        if evidence.noise is not None:
            scores = scores + evidence.noise
        share = torch.full((len(batch),), self.settings.kept, device=batch.device)
        hard = occlusion(batch, scores.detach(), share, None)
        soft = gate(scores, batch.content, batch.valid, self.settings.kept)
        logits = masked_logits(self.reader, batch, hard + soft - soft.detach(), relaxed=True)
        asked = evidence.classes, evidence.chosen
        return -chosen_log_probability(self.explanandum, logits, *asked).unsqueeze(1)

    def summarize(self, values, labels):
        """The mean log-probability of the asked classes by the kept tokens alone."""
        return {"log_probability": -float(values.astype("float64").mean())}
