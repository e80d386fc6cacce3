"""The sharp objective: predict which tokens count when most of the sequence is gone (FINDINGS.md)."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from whatyouread.data.batch import Batch
from whatyouread.explainers import amortised
from whatyouread.explainers.losses import correlation_loss
from whatyouread.models.occlusion import (
    draw_occlusions,
    keyed_occlusions,
    masked_gradient,
    picked,
)
from whatyouread.support.cli import UserError
from whatyouread.support.keyed_random import draw

QUESTIONS = {"sufficient": (0.1, 0.3), "necessary": (0.9, 0.97), "both": (0.1, 0.3, 0.9)}
"""What scores should tell, and the shares of the tokens that occlusions keep to teach it.

Which tokens suffice shows where few are left; which are needed shows where few are gone.
"""


@dataclasses.dataclass(frozen=True)
class Settings(amortised.Settings):
    """Settings for training a sharp Explainer (config/README.md, `explainers`).

    occlusion_areas: in place of those of the question.
    """

    question: str = "both"
    occlusion_areas: Sequence[float] | None = None
    occlusion_windows: Sequence[int] = (1, 8)

    def __post_init__(self):
        super().__post_init__()
        if self.question not in QUESTIONS:
            raise UserError(f"question is {self.question!r}: one of {', '.join(QUESTIONS)}")

    @property
    def areas(self) -> Sequence[float]:
        """The shares of the content that occlusions keep."""
        return QUESTIONS[self.question] if self.occlusion_areas is None else self.occlusion_areas


class SharpObjective(amortised.AmortisedObjective):
    """Train the Explainer to predict the classifier's gradient under a random occlusion.

    Each sequence gets a random occlusion. The gradient under it is the evidence, and the scores should
    correlate with it.
    """

    Settings = Settings
    relaxed = True
    """Whether attention feels a mask between 0 and 1 (`masked_logits`)."""

    def evidence(self, batch, reading, classes, chosen, keys):
        """The gradient with respect to a random mask, float (batch, length)."""
        mask = self.masks(batch, keys)
        return masked_gradient(self.explanandum, batch, classes, mask, chosen, self.relaxed)

    def values(self, scores, evidence, batch):
        """1 - r of scores and evidence, (batch, 1)."""
        return correlation_loss(scores, evidence, batch.content).unsqueeze(1)

    def masks(self, batch: Batch, keys: np.ndarray | None) -> Tensor:
        """The masks where the gradient is taken, float (batch, length)."""
        areas, windows = self.settings.areas, self.settings.occlusion_windows
        if keys is None:
            return draw_occlusions(batch, areas, windows)
        own = picked(areas, draw(self.seed, "occlusion area", keys))
        return keyed_occlusions(batch, keys, self.seed, own, windows)

    def summarize(self, values, labels):
        """The mean correlation of scores and evidence on the validation sequences."""
        return {"correlation": 1 - float(values.astype("float64").mean())}
