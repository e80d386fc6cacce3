"""The objective that learns Integrated Gradients, a rival of the sharp one."""

import numpy as np
import torch

from whatyouread.data.batch import on_device
from whatyouread.explainers import amortised
from whatyouread.explainers.sharp import SharpObjective
from whatyouread.support.keyed_random import draw


class IntegratedObjective(SharpObjective):
    """Train the Explainer to predict Integrated Gradients (Sundararajan et al. 2017).

    The gradient at a random point of the path from the empty to the full sequence takes the place of the
    mean along it, which it is on average (stochastic amortization, Covert et al. 2024).
    """

    Settings = amortised.Settings
    relaxed = False

    def masks(self, batch, keys):
        """Each whole sequence, dimmed at random."""
        if keys is None:
            place = torch.rand(len(batch), 1, device=batch.device)
        else:
            drawn = draw(self.seed, "place on the path", keys).astype(np.float32)
            place = on_device(drawn, batch.device)[:, None]
        return place * batch.valid
