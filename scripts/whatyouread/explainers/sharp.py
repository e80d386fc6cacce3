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
from whatyouread.support.keyed_random import draw


@dataclasses.dataclass(frozen=True)
class Settings(amortised.Settings):
    """Settings for training a sharp Explainer (config/README.md, `explainers`)."""

    occlusion_areas: Sequence[float] = (0.1, 0.3, 0.9)
    occlusion_windows: Sequence[int] = (1, 8)


class SharpObjective(amortised.AmortisedObjective):
    """Train the Explainer to predict the classifier's gradient under a random occlusion.

    Each sequence gets a random occlusion. The gradient under it is the evidence, and the scores should
    correlate with it.
    """

    Settings = Settings
    relaxed = True
    """Whether attention feels a mask between 0 and 1 (`masked_logits`)."""

    def evidence(self, batch, logits, classes, chosen, keys):
        """The gradient with respect to a random mask, float (batch, length)."""
        mask = self.masks(batch, keys)
        return masked_gradient(self.explanandum, batch, classes, mask, chosen, self.relaxed)

    def values(self, scores, evidence, batch):
        """1 - r of scores and evidence, (batch, 1)."""
        return correlation_loss(scores, evidence, batch.content).unsqueeze(1)

    def masks(self, batch: Batch, keys: np.ndarray | None) -> Tensor:
        """The masks where the gradient is taken, float (batch, length)."""
        areas, windows = self.settings.occlusion_areas, self.settings.occlusion_windows
        if keys is None:
            return draw_occlusions(batch, areas, windows)
        own = picked(areas, draw(self.seed, "occlusion area", keys))
        return keyed_occlusions(batch, keys, self.seed, own, windows)

    def summarize(self, values, labels):
        """The mean correlation of scores and evidence on the validation sequences."""
        return {"correlation": 1 - float(values.astype("float64").mean())}
