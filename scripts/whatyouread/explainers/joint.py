"""The joint objective: occlusions' gradients and Shapley values at once (FINDINGS.md)."""

import dataclasses

import numpy as np
import torch

from whatyouread.explainers import fastshap, sharp


@dataclasses.dataclass(frozen=True)
class Settings(sharp.Settings, fastshap.Settings):
    """Settings of both objectives, for training by their sum (config/README.md, `explainers`)."""


class JointObjective(sharp.SharpObjective, fastshap.FastShapObjective):
    """Train the Explainer by the sharp objective and by FastSHAP at the same time.

    The gradient under an occlusion says something about every token, in one pass, and is only as true as
    the relaxed operator. Answers to coalitions are what masking really does, and say something about sums of
    scores alone. Both are noisy, and their noise has nothing in common. The first loss ignores the scale of
    the scores, which the second sets, so that one score per token can serve both.

    The second loss is the squared error of the coalitions' worth, divided by that of equal scores for all
    tokens plus one squared nat: without it, sequences whose answer hardly depends on the tokens would count
    most.
    """

    Settings = Settings

    def evidence(self, batch, logits, classes, chosen, keys):
        """The gradient under an occlusion, and `Coalitions` with their worth."""
        asked = batch, logits, classes, chosen, keys
        shapley = fastshap.FastShapObjective.evidence(self, *asked)
        return sharp.SharpObjective.evidence(self, *asked), shapley

    def values(self, scores, evidence, batch):
        """The sum of both losses, 1 - r, the squared error and that of equal scores, (batch, 4)."""
        gradient, shapley = evidence
        apart = sharp.SharpObjective.values(self, scores, gradient, batch)
        error, equal = fastshap.FastShapObjective.values(self, scores, shapley, batch).split(1, 1)
        return torch.cat([apart + error / (1 + equal), apart, error, equal], 1)

    def summarize(self, values: np.ndarray, labels):
        """What both objectives say of the validation sequences."""
        of_sharp = sharp.SharpObjective.summarize(self, values[:, 1:2], labels)
        return of_sharp | fastshap.FastShapObjective.summarize(self, values[:, 2:], labels)
