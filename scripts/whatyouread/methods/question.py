"""The question that every method answers about a batch: why these classes?"""

import dataclasses

import numpy as np
import torch
from torch import Tensor, nn

from whatyouread.data.batch import Batch
from whatyouread.models.levels import class_log_probabilities
from whatyouread.models.mask_operator import masked_logits
from whatyouread.support.machine import note_batch


@dataclasses.dataclass(frozen=True)
class Question:
    """Why does the Explanandum predict these classes for the sequences of a batch?

    predicted: int64 (batch, levels); others: int64 (batch, sets, levels), other classes to ask for, or
    None; keys: uint64 array (batch,), seeds for random draws; batch_size: masked sequences per forward
    pass. There is one target for the predicted class of each level, and one for each set of other
    classes.
    """

    explanandum: nn.Module
    batch: Batch
    predicted: Tensor
    others: Tensor | None
    keys: np.ndarray
    seed: int
    batch_size: int

    def targets(self, mask: Tensor, relaxed: bool = False) -> Tensor:
        """Log-probabilities (masks, targets); for a set of other classes, their sum.

        mask: float (masks, length), one mask for each sequence of the batch, or several such rounds one
        after the other.
        """
        note_batch(*mask.shape)
        rounds = len(mask) // len(self.batch)
        batch = self.batch.repeat(rounds)
        return self.asked(masked_logits(self.explanandum, batch, mask, relaxed=relaxed))

    def asked(self, logits: tuple[Tensor, ...]) -> Tensor:
        """The same of logits (masks, classes), one tensor for each level."""
        rounds, levels = len(logits[0]) // len(self.batch), self.explanandum.levels
        logits = tuple(part.float() for part in logits)
        predicted = self.predicted.repeat(rounds, 1).unsqueeze(1)
        made = class_log_probabilities(levels, logits, predicted)[:, 0]
        if self.others is None:
            return made
        others = class_log_probabilities(levels, logits, self.others.repeat(rounds, 1, 1))
        return torch.cat([made, others.sum(-1)], dim=1)

    @property
    def target_count(self) -> int:
        """The number of targets."""
        return self.predicted.shape[1] + (0 if self.others is None else self.others.shape[1])

    @property
    def ones(self) -> Tensor:
        """The mask of the plain sequences."""
        return torch.ones(self.batch.ids.shape, device=self.batch.device)

    def empty(self) -> Tensor:
        """Scores of zero, float (batch, length, targets)."""
        return torch.zeros(*self.batch.ids.shape, self.target_count, device=self.batch.device)

    def alone(self, row: int) -> "Question":
        """The question about one sequence, without its padding."""
        own = slice(row, row + 1)
        return dataclasses.replace(
            self,
            batch=self.batch.alone(row),
            predicted=self.predicted[own],
            others=None if self.others is None else self.others[own],
            keys=self.keys[own],
        )
