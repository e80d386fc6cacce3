"""What the two trainings optimize, as modules for `training.train`."""

import dataclasses

import numpy as np
import torch
from torch import Tensor, nn

from whatyouread.explainer import Explainer
from whatyouread.explanandum import Explanandum, predictions
from whatyouread.losses import Loss, classification_loss, correlation_loss, explainer_loss
from whatyouread.masking import (
    inverted,
    masked_logits,
    mean_mask,
    own_and_other_masks,
    read,
    target_mask,
    unpadded,
)
from whatyouread.metrics import balanced_accuracy
from whatyouread.occlusion import body, draw_occlusions, occlusion_gradient
from whatyouread.tokens import PAD

OCCLUDED_AREAS, OCCLUDED_WINDOWS = (0.1, 0.3, 0.6), (1, 8)
"""What an occluded training sequence of the Explanandum keeps, and in runs of what length."""


class ClassificationTask(nn.Module):
    """Fine-tune the Explanandum: the cross-entropies of the ranks, summed (paper, "Explanandum").

    occlusion: the share of the training sequences of which only some tokens are left, 0 in the paper,
    so that the classifier has seen what masks will show it.
    """

    tracked = ()

    def __init__(self, explanandum: Explanandum, occlusion: float = 0.0):
        super().__init__()
        self.explanandum, self.occlusion = explanandum, occlusion

    def forward(
        self, tokens: Tensor, labels: Tensor, lengths: np.ndarray | None = None
    ) -> dict[str, Tensor]:
        mask = None
        if self.training and self.occlusion:
            mask = draw_occlusions(body(tokens), OCCLUDED_AREAS, OCCLUDED_WINDOWS)
            whole = torch.rand(len(tokens), 1, device=tokens.device) >= self.occlusion
            mask = torch.where(whole, torch.ones_like(mask), mask)
        logits = masked_logits(self.explanandum, tokens, mask, whole=unpadded(tokens, lengths))
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
    """The constants of the Explainer's objective (paper: all weights 1; Stalder et al.: a, b).

    The four choices after them have the paper's reading first: "exact" or "relaxed" masking, the
    "mean" or the "normalised" entropy, the "maximum" or the "mean" of the class masks as target, and
    "tokens" or "mask" as the denominator of the pooling (config/README.md, `explainer.objective`).
    """

    min_area: float
    max_area: float
    entropy_weight: float
    area_weight: float
    variation_weight: float
    operator: str = "exact"
    entropy: str = "mean"
    target_mask: str = "maximum"
    denominator: str = "tokens"

    def loss(
        self, explanandum: Explanandum, tokens: Tensor, labels: Tensor,
        target: Tensor, non_target: Tensor, class_masks: Tensor, whole: bool = False,
    ) -> Loss:  # fmt: skip
        """The loss of given masks, per sequence: both passes of the Explanandum in one batch.

        target, non_target: m and n, (batch, length); class_masks: (batch, length, ranks);
        whole: as for `masked_logits`.
        """
        both = torch.cat([target, inverted(target)])
        logits = masked_logits(
            explanandum, tokens.repeat(2, 1), both,
            relaxed=self.operator == "relaxed", by_mask=self.denominator == "mask",
            whole=whole,
        )  # fmt: skip
        halves = [rank.chunk(2) for rank in logits]
        return explainer_loss(
            tuple(half[0] for half in halves),
            tuple(half[1] for half in halves),
            labels, target, non_target, class_masks, tokens != PAD,
            min_area=self.min_area, max_area=self.max_area, entropy_weight=self.entropy_weight,
            area_weight=self.area_weight, variation_weight=self.variation_weight,
            normalised_entropy=self.entropy == "normalised",
        )  # fmt: skip


def training_masks(
    explainer: Explainer,
    tokens: Tensor,
    labels: Tensor,
    target=target_mask,
    lengths: np.ndarray | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """What the objective judges: m, n, both (batch, length), and s_c, (batch, length, ranks).

    target: how the masks of the sequence's classes become one; lengths: as for `Explainer.features`.
    """
    scores = explainer(tokens, lengths)
    own, others = own_and_other_masks(scores, explainer.columns(labels))
    return target(own), others, own


class ExplainerTask(nn.Module):
    """Train the Explainer against the frozen Explanandum (paper, equation for L_E)."""

    tracked = tuple(field for field in Loss._fields if field != "total")

    def __init__(self, explainer: Explainer, explanandum: Explanandum, objective: Objective):
        super().__init__()
        self.explainer, self.objective = explainer, objective
        # Not a submodule: `train()` must not wake its dropout, checkpoints need not hold it.
        self._frozen = (explanandum.freeze(),)

    def forward(
        self, tokens: Tensor, labels: Tensor, lengths: np.ndarray | None = None
    ) -> dict[str, Tensor]:
        explanandum = self._frozen[0].to(tokens.device)
        merge = mean_mask if self.objective.target_mask == "mean" else target_mask
        target, others, own = training_masks(self.explainer, tokens, labels, merge, lengths)
        whole = unpadded(tokens, lengths)
        loss = self.objective.loss(explanandum, tokens, labels, target, others, own, whole)
        return {"loss": loss.total.mean(), "values": torch.stack(loss[1:], dim=1)}

    def track(self, values: Tensor) -> Tensor:
        """The mean of each term over the batch."""
        return values.mean(0)

    def summarize(self, values: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """The mean of each term over the validation sequences."""
        means = values.astype(np.float64).mean(0)
        return dict(zip(self.tracked, means.tolist(), strict=True))


@dataclasses.dataclass(frozen=True)
class SharpSettings:
    """How the sharp Explainer is trained and made into masks (config/README.md, `explainer.sharp`)."""

    target: str
    reads: str
    area: float
    smoothing: int
    epochs: int
    occlusion_areas: list[float]
    occlusion_windows: list[int]


class SharpTask(nn.Module):
    """Train the Explainer to foresee which tokens count when most of the sequence is gone.

    For each sequence an occlusion is drawn, and the gradient under it is the evidence that the scores
    should correlate with: for the classes that the Explanandum predicts, all ranks together, when one
    mask is made per sequence; else for the class of one rank, drawn anew each time, which is the
    predicted one or, half the time, any. Over many sequences the draws average out.
    """

    tracked = ()

    def __init__(
        self, explainer: Explainer, explanandum: Explanandum, settings: SharpSettings, seed: int
    ):
        super().__init__()
        self.explainer, self.settings, self.seed = explainer, settings, seed
        self._frozen = (explanandum.freeze(),)

    def forward(
        self, tokens: Tensor, labels: Tensor, lengths: np.ndarray | None = None
    ) -> dict[str, Tensor]:
        explanandum = self._frozen[0].to(tokens.device)
        whole = unpadded(tokens, lengths)
        # what is drawn for validation is the same in every epoch
        generator = None if self.training else _generator(self.seed, tokens.device)
        with torch.no_grad():
            hidden, logits = read(explanandum, tokens, whole)
        classes, chosen = self._asked(predictions(logits), generator)
        inside = body(tokens)
        mask = draw_occlusions(
            inside, self.settings.occlusion_areas, self.settings.occlusion_windows, generator
        )
        evidence = occlusion_gradient(explanandum, tokens, classes, mask, chosen, whole)
        scores = self.explainer.class_scores(tokens, classes.unsqueeze(1), hidden, lengths)
        scores = scores[:, :, 0]
        scores = (scores * chosen.unsqueeze(1)).sum(-1)
        loss = correlation_loss(scores, evidence, inside)
        return {"loss": loss.mean(), "values": loss.detach().unsqueeze(1)}

    def _asked(self, predicted: Tensor, generator) -> tuple[Tensor, Tensor]:
        """Classes int64 (batch, ranks), and of which ranks the evidence is wanted, bool like it."""
        if self.settings.target == "sequence":
            return predicted, torch.ones_like(predicted, dtype=torch.bool)
        batch, ranks = predicted.shape
        place = {"generator": generator, "device": predicted.device}
        counts = torch.tensor(self._frozen[0].class_counts, device=predicted.device)
        any_class = (torch.rand(batch, ranks, **place) * counts).long()
        asked = torch.where(torch.rand(batch, 1, **place) < 0.5, predicted, any_class)
        rank = torch.randint(ranks, (batch, 1), **place)
        return asked, torch.arange(ranks, device=predicted.device) == rank

    def track(self, values: Tensor) -> Tensor:
        """Nothing but the loss is logged while training."""
        return values.new_zeros(0)

    def summarize(self, values: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        """The mean correlation of scores and evidence on the validation sequences."""
        return {"correlation": 1 - float(values.astype(np.float64).mean())}


def _generator(seed: int, device: torch.device) -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)
