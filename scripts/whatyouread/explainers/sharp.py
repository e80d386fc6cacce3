"""The sharp objective: predict which tokens count when most of the sequence is gone (FINDINGS.md)."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from whatyouread.data.batch import Batch, on_device
from whatyouread.explainers.losses import correlation_loss
from whatyouread.explainers.network import Explainer
from whatyouread.explainers.objective import NetworkSettings, Objective
from whatyouread.models.levels import HeadLevel
from whatyouread.models.mask_operator import read
from whatyouread.models.occlusion import (
    draw_occlusions,
    keyed_occlusions,
    occlusion_gradient,
    option,
    picked,
)
from whatyouread.support.keyed_random import draw


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
    the time the predicted class, half the time any class; at a level of sets of classes the predicted set,
    whose scores are summed, or any class alone. A level with one class that every sequence has shows no
    evidence and is not drawn. The draws average out over many sequences. Labels play no part: the classes
    are the classifier's own, and a sequence whose label is missing teaches as much as another.

    In training they differ from step to step. In validation they follow from seed and sequence, so
    that neither the epoch nor the batch nor the number of processes changes the validation loss.
    """

    Settings = Settings

    @classmethod
    def make_explainer(cls, settings, network: NetworkSettings, explanandum):
        size = explanandum.adapter.hidden_size
        return Explainer(
            explanandum.config["classes"], size, network.hidden_size, network.layers,
            settings.target, size if settings.reads == "hidden" else 0, True,
            explanandum.tokenizer.name, explanandum.config.get("kinds"),
        ).start_from(explanandum)  # fmt: skip

    def forward(self, batch, labels):
        explanandum = self.explanandum
        with torch.no_grad():
            states, logits = read(explanandum, batch)
        batch = batch.with_states(states)
        keys = None if self.training else batch.keys
        if keys is None and not self.training:
            raise ValueError("a validation batch needs the keys of its sequences")
        classes, chosen = self._asked(explanandum.predictions(logits), keys)
        mask = self._occlusions(batch, keys)
        evidence = occlusion_gradient(explanandum, batch, classes, mask, chosen)
        scores = self.explainer.class_scores(batch, classes.unsqueeze(1))[:, :, 0]
        scores = (scores * chosen.unsqueeze(1)).sum(-1)
        loss = correlation_loss(scores, evidence, batch.content)
        return {"loss": loss.mean(), "values": loss.detach().unsqueeze(1)}

    def _occlusions(self, batch: Batch, keys: np.ndarray | None) -> Tensor:
        areas, windows = self.settings.occlusion_areas, self.settings.occlusion_windows
        if keys is None:
            return draw_occlusions(batch, areas, windows)
        own = picked(areas, draw(self.seed, "occlusion area", keys))
        return keyed_occlusions(batch, keys, self.seed, own, windows)

    def _asked(self, predicted: Tensor, keys: np.ndarray | None) -> tuple[Tensor, Tensor]:
        """Classes, int64 (batch, levels), and the levels that give evidence, bool (batch, levels).

        keys: uint64 (batch,), or None for other draws at each call.
        """
        if self.settings.target == "sequence":
            return predicted, torch.ones_like(predicted, dtype=torch.bool)
        (batch, levels), device = predicted.shape, predicted.device
        counts = self.explanandum.class_counts
        useful = [
            i for i, level in enumerate(self._levels) if level.classes > 1 or not level.of_one
        ] or list(range(levels))
        if keys is None:
            any_class, own = (torch.rand(batch, n, device=device) for n in (levels, 1))
            place = torch.randint(len(useful), (batch, 1), device=device)
        else:
            drawn = draw(self.seed, "class", keys[:, None], np.arange(levels))
            any_class = on_device(drawn, device)
            own = on_device(draw(self.seed, "predicted class", keys), device)[:, None]
            drawn = picked(range(len(useful)), draw(self.seed, "level", keys))
            place = on_device(drawn, device)[:, None]
        any_class = torch.stack(
            [x * n for x, n in zip(any_class.unbind(1), counts, strict=True)], 1
        )
        # nothing speaks for a set without a class, as there is no mask for it
        own = (own < 0.5) & self._holds(predicted)
        asked = torch.where(own, predicted, self._alone(any_class.long()))
        return asked, torch.arange(levels, device=device) == option(useful, place)

    @property
    def _levels(self) -> list[HeadLevel]:
        return self.explanandum.levels

    def _holds(self, answers: Tensor) -> Tensor:
        """Whether each answer holds a class, bool (batch, levels)."""
        columns = zip(self._levels, answers.unbind(1), strict=True)
        return torch.stack([level.holds(one) for level, one in columns], 1)

    def _alone(self, classes: Tensor) -> Tensor:
        """The answers that hold one class each; classes: int64 (batch, levels)."""
        columns = zip(self._levels, classes.unbind(1), strict=True)
        return torch.stack([level.alone(one) for level, one in columns], 1)

    def summarize(self, values, labels):
        """The mean correlation of scores and evidence on the validation sequences."""
        return {"correlation": 1 - float(values.astype("float64").mean())}
