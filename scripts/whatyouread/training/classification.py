"""The task of fine-tuning the Explanandum, a module for `training.train`."""

import numpy as np
import torch
from torch import Tensor, nn

from whatyouread.data.batch import Batch
from whatyouread.data.kinds import KINDS
from whatyouread.explainers.losses import classification_loss
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.mask_operator import masked_logits
from whatyouread.models.occlusion import draw_occlusions

OCCLUDED_AREAS, OCCLUDED_WINDOWS = (0.1, 0.3, 0.6), (1, 8)
"""The share of tokens that an occluded training sequence keeps, and the length of kept stretches."""


class ClassificationTask(nn.Module):
    """Fine-tune the Explanandum by the sum of the ranks' cross-entropies (paper, "Explanandum").

    occlusion: the share of the training sequences that keep only some tokens, 0 in the paper. With
    occlusion the classifier learns from sequences like those that masks leave.
    """

    tracked = ()

    def __init__(self, explanandum: Explanandum, occlusion: float = 0.0):
        super().__init__()
        self.explanandum, self.occlusion = explanandum, occlusion

    def forward(self, batch: Batch, labels: Tensor) -> dict[str, Tensor]:
        mask = None
        if self.training and self.occlusion:
            mask = draw_occlusions(batch, OCCLUDED_AREAS, OCCLUDED_WINDOWS)
            plain = torch.rand(len(batch), 1, device=batch.device) >= self.occlusion
            mask = torch.where(plain, torch.ones_like(mask), mask)
        logits = masked_logits(self.explanandum, batch, mask)
        loss = classification_loss(self.explanandum.levels, logits, labels).mean()
        return {"loss": loss, "values": self.explanandum.predictions(logits)}

    def track(self, values: Tensor) -> Tensor:
        """No values: the training logs only the loss."""
        return values.new_zeros(0)

    def summarize(self, values: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """The score of each rank on the validation sequences, in [0, 1]: balanced accuracy, or macro F1."""
        made = {}
        for i, level in enumerate(self.explanandum.levels):
            kind = KINDS[level.kind]
            name = f"{level.name}_{kind.score_name.lower().replace(' ', '_')}"
            made[name] = kind.score(labels[:, i], values[:, i])
        return made
