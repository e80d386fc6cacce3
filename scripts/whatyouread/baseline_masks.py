"""Masks that know nothing of the sequence, fitted to the Explainer's objective.

An Explainer whose loss is not below theirs has learned nothing from the sequences.
"""

import numpy as np
import torch
from torch import Tensor

from whatyouread.explainer import Explainer
from whatyouread.explanandum import Explanandum
from whatyouread.losses import Loss
from whatyouread.tasks import Objective, training_masks
from whatyouread.token_files import TokenFile, batches_by_length
from whatyouread.tokens import PAD

GOLDEN = (5**0.5 - 1) / 2


class Judge:
    """The Explainer's objective for any mask, averaged over sequences of a token file."""

    def __init__(
        self, explanandum: Explanandum, objective: Objective, file: TokenFile, batch_size: int,
        device: torch.device,
    ):  # fmt: skip
        self.explanandum, self.objective = explanandum.to(device).freeze(), objective
        self.file, self.batch_size, self.device = file, batch_size, device

    def batch(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Tokens int64 (batch, length) and labels int64 (batch, ranks) of some rows."""
        tokens, labels = self.file.tokens(rows), self.file.labels[rows]
        return torch.from_numpy(tokens).to(self.device), torch.from_numpy(labels).to(self.device)

    def loss(self, tokens: Tensor, labels: Tensor, mask: Tensor, known_classes: bool) -> Loss:
        """The loss of one mask (batch, length) for all classes alike: m = n = s_c.

        With `known_classes` the non-target mask is 0, as if the mask knew the sequence's classes,
        which takes reading the sequence: the stricter comparison.
        """
        others = torch.zeros_like(mask) if known_classes else mask
        own = mask.unsqueeze(-1).expand(-1, -1, labels.shape[1])
        return self.objective.loss(self.explanandum, tokens, labels, mask, others, own)

    @torch.no_grad()
    def mean(self, make_loss, rows: np.ndarray) -> dict[str, float]:
        """The mean of `make_loss(tokens, labels) -> (Loss, mask)` over rows, and of the mask."""
        sums = np.zeros(len(Loss._fields) + 1)
        for batch in batches_by_length(self.file.lengths[rows], self.batch_size):
            tokens, labels = self.batch(rows[batch])
            loss, mask = make_loss(tokens, labels)
            valid = tokens != PAD
            area = (mask * valid).sum(1) / valid.sum(1)
            sums += [part.double().sum().item() for part in (*loss, area)]
        return dict(zip((*Loss._fields, "mask_mean"), (sums / len(rows)).tolist(), strict=True))

    def of_constant(
        self, value: float, rows: np.ndarray, known_classes: bool = False
    ) -> dict[str, float]:
        """The objective of a mask that has one value everywhere."""
        return self.of_positions(torch.tensor([value]), rows, known_classes)

    def of_positions(
        self, values: Tensor, rows: np.ndarray, known_classes: bool = False
    ) -> dict[str, float]:
        """The objective of a mask by position, (longest,) or one value for all positions."""
        values = values.to(self.device)

        def make_loss(tokens, labels):
            mask = _spread(values, tokens)
            return self.loss(tokens, labels, mask, known_classes), mask

        return self.mean(make_loss, rows)

    def of_explainer(self, explainer: Explainer, rows: np.ndarray) -> dict[str, float]:
        """The objective of the Explainer's own masks."""
        explainer = explainer.to(self.device).eval()

        def make_loss(tokens, labels):
            target, others, own = training_masks(explainer, tokens, labels)
            return self.objective.loss(
                self.explanandum, tokens, labels, target, others, own
            ), target

        return self.mean(make_loss, rows)


def best_constant(judge: Judge, rows: np.ndarray, known_classes: bool = False) -> float:
    """The value in [0, 1] with the lowest mean objective: a grid, then a golden-section search."""
    totals: dict[float, float] = {}

    def total(value: float) -> float:
        if value not in totals:
            totals[value] = judge.of_constant(value, rows, known_classes)["total"]
        return totals[value]

    grid = np.linspace(0, 1, 11).tolist()
    best = int(np.argmin([total(value) for value in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    for _ in range(6):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        low, high = (low, right) if total(left) < total(right) else (left, high)
    return min(totals, key=totals.get)


def best_by_position(
    judge: Judge,
    start: float,
    steps: int,
    learning_rate: float,
    seed: int,
    known_classes: bool = False,
) -> Tensor:
    """The mask by position, float (longest,), after `steps` steps of Adam from a constant mask."""
    start = min(max(start, 0.02), 0.98)  # a sigmoid has no gradient at its ends
    longest = int(judge.file.lengths.max())
    logits = torch.full((longest,), float(np.log(start / (1 - start))), device=judge.device)
    logits.requires_grad_(True)
    optimizer = torch.optim.Adam([logits], lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(steps, 1))
    generator = np.random.default_rng(seed)
    for _ in range(steps):
        rows = generator.integers(len(judge.file), size=judge.batch_size)
        tokens, labels = judge.batch(rows)
        mask = _spread(logits.sigmoid(), tokens)
        optimizer.zero_grad()
        judge.loss(tokens, labels, mask, known_classes).total.mean().backward()
        optimizer.step()
        schedule.step()
    return logits.detach().sigmoid()


def _spread(values: Tensor, tokens: Tensor) -> Tensor:
    """A mask by position for a batch; places beyond the longest training sequence get the last value."""
    place = torch.arange(tokens.shape[1], device=tokens.device).clamp(max=len(values) - 1)
    return values[place].expand(tokens.shape)
