"""The sharp objective: predict which tokens count when most of the sequence is gone (FINDINGS.md)."""

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from whatyouread.explainers.losses import correlation_loss
from whatyouread.explainers.network import Explainer
from whatyouread.explainers.objective import NetworkSettings, Objective
from whatyouread.models.mask_operator import read
from whatyouread.models.occlusion import draw_occlusions, draw_options, occlusion_gradient


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings for training a sharp Explainer (config/README.md, `explainers`)."""

    target: str = "sequence"
    reads: str = "hidden"
    occlusion_areas: Sequence[float] = (0.1, 0.3, 0.9)
    occlusion_windows: Sequence[int] = (1, 8)


class SharpObjective(Objective):
    """Train the Explainer to predict the classifier's gradient under a random occlusion.

    Each sequence gets a random occlusion. The gradient under it is the evidence, and the scores should
    correlate with it. With one mask per sequence, the evidence is that for the predicted classes of all
    levels together. With one mask per class, it is that for one class of a randomly drawn level: half
    the time the predicted class, half the time any class. The draws average out over many sequences.
    """

    Settings = Settings

    @classmethod
    def make_explainer(cls, settings, network: NetworkSettings, explanandum):
        size = explanandum.adapter.hidden_size
        return Explainer(
            explanandum.config["classes"], size, network.hidden_size, network.layers,
            settings.target, size if settings.reads == "hidden" else 0, True,
            explanandum.tokenizer.name,
        ).start_from(explanandum)  # fmt: skip

    def forward(self, batch, labels):
        explanandum = self.explanandum_on(batch.device)
        # validation uses the same draws in every epoch
        generator = None if self.training else _generator(self.seed, batch.device)
        with torch.no_grad():
            states, logits = read(explanandum, batch)
        batch = batch.with_states(states)
        classes, chosen = self._asked(explanandum.predictions(logits), generator)
        areas, windows = self.settings.occlusion_areas, self.settings.occlusion_windows
        mask = draw_occlusions(batch, areas, windows, generator)
        evidence = occlusion_gradient(explanandum, batch, classes, mask, chosen)
        scores = self.explainer.class_scores(batch, classes.unsqueeze(1))[:, :, 0]
        scores = (scores * chosen.unsqueeze(1)).sum(-1)
        loss = correlation_loss(scores, evidence, batch.content)
        return {"loss": loss.mean(), "values": loss.detach().unsqueeze(1)}

    def _asked(self, predicted: Tensor, generator) -> tuple[Tensor, Tensor]:
        """Classes, int64 (batch, levels), and the levels that give evidence, bool (batch, levels)."""
        if self.settings.target == "sequence":
            return predicted, torch.ones_like(predicted, dtype=torch.bool)
        batch, levels = predicted.shape
        place = draw_options(predicted.device, generator)
        counts = self.explanandum_on(predicted.device).class_counts
        counts = torch.tensor(counts, device=predicted.device)
        any_class = (torch.rand(batch, levels, **place) * counts).long()
        asked = torch.where(torch.rand(batch, 1, **place) < 0.5, predicted, any_class)
        level = torch.randint(levels, (batch, 1), **place)
        return asked, torch.arange(levels, device=predicted.device) == level

    def summarize(self, values, labels):
        """The mean correlation of scores and evidence on the validation sequences."""
        return {"correlation": 1 - float(values.astype("float64").mean())}


def _generator(seed: int, device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)
