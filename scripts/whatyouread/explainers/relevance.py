"""The objective that learns AttnLRP (Achtibat et al. 2024; `models/relevance.py`)."""

import torch

from whatyouread.explainers import amortised
from whatyouread.explainers.sharp import SharpObjective
from whatyouread.models.occlusion import chosen_log_probability
from whatyouread.models.relevance import relevance_pass


class RelevanceObjective(SharpObjective):
    """Train the Explainer to predict the relevance of each token by AttnLRP.

    It takes one pass forwards and one backwards for each sequence and step, and is the same each time. With
    one mask per sequence the Explainer keeps what speaks for the predicted classes, and has no mask for
    another class that could steer.
    """

    Settings = amortised.Settings

    @torch.compiler.disable  # the rules replace parts of a model that would be compiled already
    def evidence(self, batch, logits, classes, chosen, keys):
        """The relevance of each token for the asked classes together, float (batch, length)."""
        with relevance_pass(self.explanandum, batch) as (factors, logits):
            asked = chosen_log_probability(self.explanandum, logits, classes, chosen).sum()
            return torch.autograd.grad(asked, factors)[0].detach()
