"""Masks that do not depend on the sequence, fitted to the Explainer's objective.

An Explainer has learned from the sequences only if its loss is below the loss of these masks.
"""

import numpy as np
import torch
from torch import Tensor

from whatyouread.data.batch import Batch, on_device, parts_by_length
from whatyouread.data.token_files import TokenFile
from whatyouread.explainers.losses import Loss, Masks, area
from whatyouread.explainers.network import Explainer
from whatyouread.explainers.paper import Settings
from whatyouread.models.inference import Passes, batches
from whatyouread.support.machine import note_batch

GOLDEN = (5**0.5 - 1) / 2


class MeanLoss:
    """Computes the objective for any mask, averaged over sequences of a token file.

    objective: the settings with which the Explainer was trained.
    """

    def __init__(self, passes: Passes, objective: Settings, file: TokenFile):
        self.explanandum, self.objective, self.file = passes.explanandum, objective, file
        self.batch_size, self.device = passes.batch_size, passes.device

    def loss(self, batch: Batch, labels: Tensor, mask: Tensor, known_classes: bool) -> Loss:
        """The loss of one mask (batch, length) that all classes share: m = n = s_c.

        With `known_classes` the non-target mask is 0, as if the mask knew the sequence's classes. This
        comparison is stricter, because a mask can know the classes only by reading the sequence.
        """
        others = torch.zeros_like(mask) if known_classes else mask
        own = mask.unsqueeze(-1).expand(-1, -1, labels.shape[1])
        return self.objective.loss(self.explanandum, batch, labels, Masks(mask, others, own))

    @torch.no_grad()
    def mean(self, make_loss, rows: np.ndarray) -> dict[str, float]:
        """The means over rows of the loss and the mask from `make_loss(batch, labels) -> (Loss, mask)`."""
        sums = torch.zeros(len(Loss._fields) + 1, dtype=torch.float64, device=self.device)
        for places, batch in batches(self.file, self.batch_size, self.device, rows):
            labels = on_device(self.file.labels[rows[places]], self.device)
            loss, mask = make_loss(batch, labels)
            parts = (*loss, area(mask, batch.valid))
            sums += torch.stack([part.double().sum() for part in parts])
        names = (*Loss._fields, "mask_mean")
        return dict(zip(names, (sums / len(rows)).tolist(), strict=True))

    def of_constant(
        self, value: float, rows: np.ndarray, known_classes: bool = False
    ) -> dict[str, float]:
        """The objective for a mask with one value everywhere."""
        return self.of_positions(torch.tensor([value]), rows, known_classes)

    def of_positions(
        self, values: Tensor, rows: np.ndarray, known_classes: bool = False
    ) -> dict[str, float]:
        """The objective for a mask by position, (longest,) or one value for all positions."""
        values = on_device(values, self.device)

        def make_loss(batch, labels):
            mask = _spread(values, batch)
            return self.loss(batch, labels, mask, known_classes), mask

        return self.mean(make_loss, rows)

    def of_explainer(self, explainer: Explainer, rows: np.ndarray) -> dict[str, float]:
        """The objective for the Explainer's own masks."""
        explainer = explainer.to(self.device).eval()

        def make_loss(batch, labels):
            masks = self.objective.masks(explainer, batch, labels)
            return self.objective.loss(self.explanandum, batch, labels, masks), masks.target

        return self.mean(make_loss, rows)


def best_constant(measured: MeanLoss, rows: np.ndarray, known_classes: bool = False) -> float:
    """Find the value in [0, 1] with the lowest mean objective by a grid and a golden-section search."""
    totals: dict[float, float] = {}

    def total(value: float) -> float:
        if value not in totals:
            totals[value] = measured.of_constant(value, rows, known_classes)["total"]
        return totals[value]

    grid = np.linspace(0, 1, 11).tolist()
    best = int(np.argmin([total(value) for value in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    for _ in range(6):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        low, high = (low, right) if total(left) < total(right) else (left, high)
    return min(totals, key=totals.get)


def best_by_position(
    measured: MeanLoss,
    start: float,
    steps: int,
    learning_rate: float,
    seed: int,
    known_classes: bool = False,
) -> Tensor:
    """Fit a mask by position, float (longest,), with `steps` steps of Adam from a constant mask."""
    start = min(max(start, 0.02), 0.98)  # a sigmoid has no gradient at its ends
    longest = int(measured.file.lengths.max())
    logits = torch.full((longest,), float(np.log(start / (1 - start))), device=measured.device)
    logits.requires_grad_(True)
    optimizer = torch.optim.Adam([logits], lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    generator = np.random.default_rng(seed)
    for _ in range(steps):
        rows = generator.integers(len(measured.file), size=measured.batch_size)
        optimizer.zero_grad()
        for part in parts_by_length(measured.file.lengths[rows], measured.batch_size):
            own = rows[part]
            batch = measured.file.batch(own).to(measured.device)
            note_batch(*batch.ids.shape)
            labels = on_device(measured.file.labels[own], measured.device)
            mask = _spread(logits.sigmoid(), batch)
            loss = measured.loss(batch, labels, mask, known_classes).total.mean()
            (loss * (len(own) / len(rows))).backward()
        optimizer.step()
        schedule.step()
    return logits.detach().sigmoid()


def _spread(values: Tensor, batch: Batch) -> Tensor:
    """Expand a mask by position to a batch; places beyond its end get the last value."""
    place = torch.arange(batch.ids.shape[1], device=batch.device).clamp(max=len(values) - 1)
    return values[place].expand(batch.ids.shape)
