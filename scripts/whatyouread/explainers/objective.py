"""The interface of an objective: the loss that trains an Explainer.

To add an objective, write a module beside this one and add a line to `objectives.OBJECTIVES`. Entries of
`explainers` in the configuration can then name it.
"""

from abc import abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from whatyouread.data.batch import Batch
from whatyouread.explainers.network import Explainer
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.frozen import BesideFrozen
from whatyouread.models.mask_operator import masked_logits


class NetworkSettings(NamedTuple):
    """The sizes that all Explainers share (config/README.md, `explainer`)."""

    embedding_size: int
    hidden_size: int
    layers: int


class Objective(BesideFrozen):
    """A task for `training.train`: an Explainer and its loss.

    `Settings` is a frozen dataclass with the settings of this objective; each has a default.
    `tracked` names the values that the training logs beside the loss.
    """

    Settings: ClassVar[type]
    tracked: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        explainer: Explainer,
        explanandum: Explanandum,
        settings,
        seed: int,
        predicted: bool = False,
        judge: Explanandum | None = None,
    ):
        """predicted: what the classifier predicts takes the place of the labels.

        judge: of `train_judge`, for objectives that can learn from what it reads.
        """
        super().__init__(explanandum, *([] if judge is None else [judge]))
        self.predicted = predicted
        self.explainer, self.settings, self.seed = explainer, settings, seed

    @classmethod
    @abstractmethod
    def make_explainer(
        cls, settings, network: NetworkSettings, explanandum: Explanandum
    ) -> Explainer:
        """Make an untrained Explainer for this objective; settings: an instance of `Settings`."""

    @abstractmethod
    def forward(self, batch: Batch, labels: Tensor) -> dict[str, Tensor]:
        """{"loss": the mean over the batch, a scalar; "values": float (batch, k), per sequence}.

        labels: int64 (batch, levels), -1 where a label is missing: that level counts for nothing there.
        """

    def classes(self, batch: Batch, labels: Tensor) -> Tensor:
        """The classes to explain, int64 (batch, levels): the labels, or what the classifier predicts."""
        if not self.predicted:
            return labels
        with torch.no_grad():
            return self.explanandum.predictions(masked_logits(self.explanandum, batch))

    def track(self, values: Tensor) -> Tensor:
        """One number for each name in `tracked`, for the training log."""
        return values.new_zeros(0)

    @abstractmethod
    def summarize(self, values: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """Named numbers over all validation sequences, for the log."""
