"""The task of training a judge: a copy of the classifier that is at home on masked sequences."""

import numpy as np
import torch
from torch import Tensor

from whatyouread.data.batch import Batch
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.frozen import BesideFrozen
from whatyouread.models.levels import level_divergences
from whatyouread.models.mask_operator import masked_logits
from whatyouread.models.occlusion import occlusions_of_all_sizes

WINDOWS = (1, 8)
"""The length of kept stretches, in tokens; one is drawn for each sequence."""


class JudgeTask(BesideFrozen):
    """Fine-tune a copy of the classifier to say of masked sequences what the classifier says of whole ones.

    A classifier that has never seen masked sequences may answer to the mask itself. The judge has seen
    random masks of all sizes, so what it says of a masked sequence is what the visible tokens tell (EVAL-X,
    Jethani et al. 2021; F-Fidelity, Zheng et al. 2024). The loss is the Kullback-Leibler divergence of the
    judge's answer to x ⊙ s from the classifier's answer to x, summed over the levels, for a random mask s
    of 0 and 1. Labels play no part.

    In validation the masks follow from seed and sequence.
    """

    tracked = ()

    def __init__(self, judge: Explanandum, explanandum: Explanandum, seed: int):
        super().__init__(explanandum)
        self.judge, self.seed = judge, seed

    def forward(self, batch: Batch, labels: Tensor) -> dict[str, Tensor]:
        """The loss; in validation also that of the classifier, masked alike, and where both agree."""
        explanandum, keys = self.explanandum, None if self.training else batch.keys
        mask = occlusions_of_all_sizes(batch, keys, self.seed, WINDOWS)
        with torch.no_grad():
            whole = masked_logits(explanandum, batch)
        logits = masked_logits(self.judge, batch, mask)
        values = losses = self._divergences(whole, logits)
        if not self.training:
            said, masked = explanandum.predictions(whole), masked_logits(explanandum, batch, mask)
            agreed = [(explanandum.predictions(own) == said).float() for own in (logits, masked)]
            both = torch.stack([losses, self._divergences(whole, masked)], 1)
            values = torch.cat([both, *agreed], 1)
        return {"loss": losses.mean(), "values": values.detach()}

    def _divergences(self, whole, masked) -> Tensor:
        """Of answers to masked sequences from those to the whole ones, summed over the levels, (batch,)."""
        return torch.stack(level_divergences(self.explanandum.levels, whole, masked)).sum(0)

    def track(self, values: Tensor) -> Tensor:
        """No values: the training logs only the loss."""
        return values.new_zeros(0)

    def summarize(self, values: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """The loss with the classifier in the judge's place, and how often both agree with the whole.

        The latter at each level, as the share of masked sequences, in [0, 1].
        """
        levels = self.explanandum.ranks
        names = ["loss_of_classifier"]
        names += [f"{level}_{who}" for who in ("judge", "classifier") for level in levels]
        return dict(zip(names, values[:, 1:].astype(np.float64).mean(0).tolist(), strict=True))
