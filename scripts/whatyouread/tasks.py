"""What the two trainings optimize, as modules for `training.train`."""

import dataclasses

import numpy as np
import torch
from torch import Tensor, nn

from whatyouread.explainer import Explainer
from whatyouread.explanandum import Explanandum, predictions
from whatyouread.losses import Loss, classification_loss, explainer_loss
from whatyouread.masking import inverted, masked_logits, non_target_mask, target_mask
from whatyouread.metrics import balanced_accuracy
from whatyouread.tokens import PAD


class ClassificationTask(nn.Module):
    """Fine-tune the Explanandum: the cross-entropies of the ranks, summed (paper, "Explanandum")."""

    tracked = ()

    def __init__(self, explanandum: Explanandum):
        super().__init__()
        self.explanandum = explanandum

    def forward(self, tokens: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.explanandum(tokens)
        loss = classification_loss(logits, labels).mean()
        return {"loss": loss, "values": predictions(logits)}

    def track(self, values: Tensor) -> Tensor:
        """Nothing but the loss is logged while training."""
        return values.new_zeros(0)

    def summarize(self, values: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Balanced accuracy of each rank on the validation sequences, in [0, 1]."""
        return {
            f"{rank}_balanced_accuracy": balanced_accuracy(labels[:, i], values[:, i])
            for i, rank in enumerate(self.explanandum.ranks)
        }


@dataclasses.dataclass(frozen=True)
class Objective:
    """The constants of the Explainer's objective (paper: all weights 1; Stalder et al.: a, b)."""

    min_area: float
    max_area: float
    entropy_weight: float
    area_weight: float
    variation_weight: float

    def loss(
        self, explanandum: Explanandum, tokens: Tensor, labels: Tensor,
        target: Tensor, non_target: Tensor, class_masks: Tensor,
    ) -> Loss:  # fmt: skip
        """The loss of given masks, per sequence: both passes of the Explanandum in one batch.

        target, non_target: m and n, (batch, length); class_masks: (batch, length, ranks).
        """
        both = torch.cat([target, inverted(target)])
        logits = masked_logits(explanandum, tokens.repeat(2, 1), both)
        halves = [rank.chunk(2) for rank in logits]
        return explainer_loss(
            tuple(half[0] for half in halves),
            tuple(half[1] for half in halves),
            labels, target, non_target, class_masks, tokens != PAD,
            **dataclasses.asdict(self),
        )  # fmt: skip


def training_masks(
    explainer: Explainer, tokens: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """What the objective judges: m, n, both (batch, length), and s_c, (batch, length, ranks)."""
    scores = explainer(tokens)
    classes = explainer.columns(labels)
    own = scores.gather(-1, classes.unsqueeze(1).expand(-1, scores.shape[1], -1))
    return target_mask(own), non_target_mask(scores, classes), own


class ExplainerTask(nn.Module):
    """Train the Explainer against the frozen Explanandum (paper, equation for L_E)."""

    tracked = tuple(field for field in Loss._fields if field != "total")

    def __init__(self, explainer: Explainer, explanandum: Explanandum, objective: Objective):
        super().__init__()
        self.explainer, self.objective = explainer, objective
        # Not a submodule: `train()` must not wake its dropout, checkpoints need not hold it.
        self._frozen = (explanandum.freeze(),)

    def forward(self, tokens: Tensor, labels: Tensor) -> dict[str, Tensor]:
        explanandum = self._frozen[0].to(tokens.device)
        target, others, own = training_masks(self.explainer, tokens, labels)
        loss = self.objective.loss(explanandum, tokens, labels, target, others, own)
        return {"loss": loss.total.mean(), "values": torch.stack(loss[1:], dim=1)}

    def track(self, values: Tensor) -> Tensor:
        """The mean of each term over the batch."""
        return values.mean(0)

    def summarize(self, values: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """The mean of each term over the validation sequences."""
        means = values.astype(np.float64).mean(0)
        return dict(zip(self.tracked, means.tolist(), strict=True))
