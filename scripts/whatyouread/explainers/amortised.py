"""Objectives that teach the Explainer to predict, in one pass, scores that are dear to compute."""

import dataclasses
from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor

from whatyouread.data.batch import Batch, on_device
from whatyouread.explainers.network import Explainer
from whatyouread.explainers.objective import NetworkSettings, Objective
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.levels import HeadLevel
from whatyouread.models.mask_operator import read
from whatyouread.models.occlusion import option, picked
from whatyouread.support.cli import UserError
from whatyouread.support.keyed_random import draw

READERS = ("classifier", "judge")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What all amortised objectives can be told (config/README.md, `explainers`)."""

    target: str = "sequence"
    reads: str = "hidden"

    def __post_init__(self):
        """Raise UserError where a value cannot be; classes that inherit add to it."""


@dataclasses.dataclass(frozen=True)
class ReadSettings(Settings):
    """Of objectives that learn from answers to masks of 0 and 1: who gives them, of `READERS`."""

    reader: str = "classifier"

    def __post_init__(self):
        super().__post_init__()
        if self.reader not in READERS:
            raise UserError(f"reader is {self.reader!r}: one of {', '.join(READERS)}")


class Reading(NamedTuple):
    """What the classifier makes of plain sequences.

    states: float (batch, length, hidden), the last hidden ones. logits: a float tensor (batch, classes) for
    each level. factors: of `relevance_pass`, for objectives that go back from these logits; else None.
    """

    states: Tensor
    logits: tuple[Tensor, ...]
    factors: Tensor | None = None


class AmortisedObjective(Objective):
    """Train the Explainer to predict scores that belong to the classifier's answers.

    With one mask per sequence the scores are those of the predicted classes of all levels together: their
    log-probabilities are added. With one mask per class they are those of one class of a randomly drawn
    level: half the time the predicted class, half the time any class; at a level of sets of classes the
    predicted set, whose scores are summed, or any class alone. A level with one class that every sequence
    has shows nothing and is not drawn. The draws average out over many sequences. Labels play no part: the
    classes are the classifier's own, and a sequence whose label is missing teaches as much as another.

    In training all draws differ from step to step. In validation they follow from seed and sequence, so
    that neither the epoch nor the batch nor the number of processes changes the validation loss.
    """

    Settings = Settings
    columns: ClassVar[int] = 1
    """How many `values` has."""

    @classmethod
    def make_explainer(cls, settings, network: NetworkSettings, explanandum):
        """A gated Explainer that starts from the classifier's embeddings and may read its states."""
        size = explanandum.adapter.hidden_size
        return Explainer(
            explanandum.config["classes"], size, network.hidden_size, network.layers,
            settings.target, size if settings.reads == "hidden" else 0, True,
            explanandum.tokenizer.name, explanandum.config.get("kinds"),
        ).start_from(explanandum)  # fmt: skip

    def forward(self, batch, labels):
        reading = self.reading(batch)
        batch = batch.with_states(reading.states.detach())
        keys = None if self.training else batch.keys
        if keys is None and not self.training:
            raise ValueError("a validation batch needs the keys of its sequences")
        classes, chosen = self._asked(self.explanandum.predictions(reading.logits), keys)
        evidence = self.evidence(batch, reading, classes, chosen, keys)
        scores = self.explainer.class_scores(batch, classes.unsqueeze(1))[:, :, 0]
        values = self.values((scores * chosen.unsqueeze(1)).sum(-1), evidence, batch)
        return {"loss": values[:, 0].mean(), "values": values.detach()}

    def reading(self, batch: Batch) -> Reading:
        """The classifier's pass over the plain sequences, of which each step needs one."""
        with torch.no_grad():
            return Reading(*read(self.explanandum, batch))

    @abstractmethod
    def evidence(
        self,
        batch: Batch,
        reading: Reading,
        classes: Tensor,
        chosen: Tensor,
        keys: np.ndarray | None,
    ) -> Any:
        """What the scores are compared with, without a gradient.

        reading: of `reading`; classes: int64 (batch, levels), the answers that are asked about; chosen:
        bool (batch, levels), the levels whose log-probabilities are added up; keys: uint64 (batch,), what
        the draws follow from, or None for other draws at each call.
        """

    @abstractmethod
    def values(self, scores: Tensor, evidence: Any, batch: Batch) -> Tensor:
        """The loss of each sequence, and what else `summarize` needs, float (batch, k).

        scores: float (batch, length), of the asked classes together; evidence: of `evidence`.
        """

    @staticmethod
    def relative(values: Tensor) -> Tensor:
        """The loss of each sequence on a scale that allows a sum with other objectives', (batch,)."""
        return values[:, 0]

    @property
    def reader(self) -> Explanandum:
        """Who reads masked sequences, as `ReadSettings` says: the classifier, or its judge."""
        if self.settings.reader == "classifier":
            return self.explanandum
        if len(self._frozen) < 2:
            raise UserError("reader is judge: give --judge, the folder of train_judge")
        return self._frozen[1]

    def _asked(self, predicted: Tensor, keys: np.ndarray | None) -> tuple[Tensor, Tensor]:
        """Classes, int64 (batch, levels), and the levels that are asked about, bool (batch, levels).

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
