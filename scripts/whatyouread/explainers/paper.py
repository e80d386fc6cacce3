"""The paper's objective: the mask keeps the classifier's answer, and its complement loses it."""

import dataclasses

import torch
from torch import Tensor

from whatyouread.data.batch import Batch
from whatyouread.explainers.losses import Loss, Masks, explainer_loss
from whatyouread.explainers.network import Explainer
from whatyouread.explainers.objective import NetworkSettings, Objective
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.mask_operator import (
    inverted,
    masked_logits,
    mean_mask,
    target_mask,
)
from whatyouread.support.cli import UserError


@dataclasses.dataclass(frozen=True)
class Settings:
    """The constants of the objective (paper: all weights 1; Stalder et al.: a, b).

    Four choices follow; the paper's is always the first: "exact" or "relaxed" masking, the "mean" or
    the "normalised" entropy, the "maximum" or the "mean" of the class masks as the target mask, and
    "tokens" or "mask" as the denominator of the pooling (config/README.md, `explainers`).
    """

    min_area: float = 0.05
    max_area: float = 0.3
    entropy_weight: float = 1.0
    area_weight: float = 1.0
    variation_weight: float = 1.0
    operator: str = "exact"
    entropy: str = "mean"
    target_mask: str = "maximum"
    denominator: str = "tokens"

    def __post_init__(self):
        if self.min_area > self.max_area:
            raise UserError(f"min_area {self.min_area} is above max_area {self.max_area}: lower it")

    def masks(self, explainer: Explainer, batch: Batch, labels: Tensor) -> Masks:
        """The masks that enter the objective; labels: int64 (batch, levels), -1 where one is missing."""
        own, others, known = explainer.own_and_others(batch, labels)
        made = mean_mask(own, known) if self.target_mask == "mean" else target_mask(own)
        return Masks(made, others, own, known)

    def loss(self, explanandum: Explanandum, batch: Batch, labels: Tensor, masks: Masks) -> Loss:
        """The loss of given masks per sequence; one batch holds both passes of the Explanandum."""
        both = torch.cat([masks.target, inverted(masks.target)])
        logits = masked_logits(
            explanandum, batch.repeat(2), both,
            relaxed=self.operator == "relaxed", by_mask=self.denominator == "mask",
        )  # fmt: skip
        kept, left = zip(*(part.chunk(2) for part in logits), strict=True)
        return explainer_loss(explanandum.levels, kept, left, labels, masks, batch.valid, self)


class PaperObjective(Objective):
    """Train the Explainer against the frozen Explanandum (paper, equation for L_E)."""

    Settings = Settings
    tracked = tuple(field for field in Loss._fields if field != "total")

    @classmethod
    def make_explainer(cls, settings, network: NetworkSettings, explanandum):
        classes, tokenizer = explanandum.config["classes"], explanandum.tokenizer.name
        kinds = explanandum.config.get("kinds")
        return Explainer(classes, *network, tokenizer=tokenizer, kinds=kinds)

    def forward(self, batch, labels):
        labels = self.classes(batch, labels)
        masks = self.settings.masks(self.explainer, batch, labels)
        loss = self.settings.loss(self.explanandum, batch, labels, masks)
        return {"loss": loss.total.mean(), "values": torch.stack(loss[1:], dim=1)}

    def track(self, values):
        """The mean of each term over the batch."""
        return values.mean(0)

    def summarize(self, values, labels):
        """The mean of each term over the validation sequences."""
        means = values.astype("float64").mean(0)
        return dict(zip(self.tracked, means.tolist(), strict=True))
