"""The classifier on many masks of the same sequences: log-probabilities and predicted classes."""

from collections.abc import Iterable

import numpy as np
import torch

from whatyouread.explanandum import Explanandum, predictions
from whatyouread.predict import classify
from whatyouread.token_files import TokenFile, batches_by_length


class Runs:
    """Runs masks, float32 (n, longest), of all sequences of a token file."""

    def __init__(
        self, explanandum: Explanandum, file: TokenFile, batch_size: int, device: torch.device
    ):
        self.explanandum = explanandum.to(device).freeze()
        self.file, self.batch_size, self.device = file, batch_size, device

    def log_probabilities(self, masks: Iterable[np.ndarray], classes: np.ndarray) -> np.ndarray:
        """Of given classes, int64 (n, ranks), under each mask: float64 (masks, n, ranks)."""
        return np.stack([self._run(mask, classes) for mask in masks])

    def predict(self, mask: np.ndarray) -> np.ndarray:
        """The predicted classes under a mask, int64 (n, ranks)."""
        return self._run(mask, None)

    def _run(self, mask: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
        made = np.empty(
            (len(self.file), len(self.file.ranks)), np.int64 if classes is None else float
        )
        for rows in batches_by_length(self.file.lengths, self.batch_size):
            tokens = self.file.tokens(rows)
            own = np.ascontiguousarray(mask[rows, : tokens.shape[1]])
            logits = classify(self.explanandum, tokens, own, self.device)
            if classes is None:
                made[rows] = predictions(logits).cpu().numpy()
                continue
            for i, rank in enumerate(logits):
                given = torch.from_numpy(classes[rows, i]).to(self.device).unsqueeze(1)
                logs = rank.double().log_softmax(-1).gather(1, given)
                made[rows, i] = logs.squeeze(1).cpu().numpy()
        return made
