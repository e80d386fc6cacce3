"""The objective that learns AttnLRP (Achtibat et al. 2024; `models/relevance.py`)."""

import torch

from whatyouread.explainers import amortised
from whatyouread.explainers.amortised import Reading
from whatyouread.explainers.sharp import SharpObjective
from whatyouread.models.occlusion import chosen_log_probability
from whatyouread.models.relevance import relevance_pass


class RelevanceObjective(SharpObjective):
    """Train the Explainer to predict the relevance of each token by AttnLRP.

    It takes one pass forwards and one backwards for each sequence and step, and is the same each time. The
    Explainer reads the states of that pass. With one mask per sequence it keeps what speaks for the predicted
    classes, and has no mask for another class that could steer.
    """

    Settings = amortised.Settings

    @torch.compiler.disable  # the rules replace parts of a model that would be compiled already
    def reading(self, batch):
        """The pass over the plain sequences, under the rules of AttnLRP."""
        factors, states, logits = relevance_pass(self.explanandum, batch)
        return Reading(states, logits, factors)

    @torch.compiler.disable  # it goes back through that pass
    def evidence(self, batch, reading, classes, chosen, keys):
        """The relevance of each token for the asked classes together, float (batch, length)."""
        with torch.enable_grad():
            logs = chosen_log_probability(self.explanandum, reading.logits, classes, chosen)
            return torch.autograd.grad(logs.sum(), reading.factors)[0].detach()
