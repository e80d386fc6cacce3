"""Run the Explanandum on masked sequences, for every case of Table 1 and its controls."""

from collections.abc import Iterable

import numpy as np
import torch

from whatyouread.data.batch import LONG
from whatyouread.data.token_files import TokenFile
from whatyouread.evaluate.chunk_predictions import classify_chunks
from whatyouread.evaluate.prediction_files import (
    CASES,
    CHUNK_CONDITIONS,
    MASK_CONDITIONS,
    Case,
    Predictions,
)
from whatyouread.masks.choices import THRESHOLD
from whatyouread.masks.chunks import find_chunks
from whatyouread.masks.controls import CONTROLS
from whatyouread.masks.mask_files import MaskFile
from whatyouread.models.inference import Passes
from whatyouread.models.levels import decided
from whatyouread.support.parts import WHOLE, Part
from whatyouread.support.progress import progress

CHUNK_BLOCK = 4096  # sequences whose class probabilities are held at once


class MaskedSequences:
    """Classifies the test sequences, or a part of them, under masks given for all of them."""

    def __init__(
        self, passes: Passes, file: TokenFile, masks: MaskFile, *, seed: int, part: Part = WHOLE
    ):
        masks.check_against(file)
        self.passes, self.file, self.masks, self.seed = passes, file, masks, seed
        self.rows = part.rows(len(file))

    def predict(self, mask: np.ndarray) -> np.ndarray:
        """The predicted classes of the masked sequences in this part, int64 (rows, ranks).

        mask: float32 (n, longest), of all sequences.
        """
        return self.said(mask)[0]

    def said(self, mask: np.ndarray) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        """The same, with the probabilities that `Passes.answers` gives."""
        return self.passes.answers(self.file, mask, self.rows)

    def predict_chunks(self, mask: np.ndarray, relevant: bool) -> np.ndarray:
        """The classes that the probabilities averaged over chunks decide for, int64 (rows, ranks).

        A sequence without such a chunk gets -1.
        """
        return self.said_of_chunks(mask, relevant)[0]

    def said_of_chunks(
        self, mask: np.ndarray, relevant: bool
    ) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        """The same, with these probabilities as in `said`; NaN for a sequence without such a chunk."""
        result = np.full((len(self.rows), len(self.file.ranks)), -1)
        levels = self.passes.explanandum.levels
        said = {
            i: np.full((len(self.rows), level.classes), np.nan, np.float32)
            for i, level in enumerate(levels)
            if not level.of_one
        }
        for start in range(0, len(self.rows), CHUNK_BLOCK):
            rows = self.rows[start : start + CHUNK_BLOCK]
            batch = self.file.batch(rows)
            chunks = find_chunks(mask[rows, : batch.ids.shape[1]] > THRESHOLD, batch.content)
            chosen = chunks.relevant == relevant
            chunks = type(chunks)(*(field[chosen] for field in chunks))
            tokens = self.passes.batch_size * min(int(batch.lengths.max()), LONG)
            probabilities = classify_chunks(self.passes, batch.ids, chunks, tokens)
            # averaged probabilities are not logits, so `levels.decisions` does not apply
            classes = decided(levels, [torch.from_numpy(p) for p in probabilities]).numpy()
            found = np.bincount(chunks.sequence, minlength=len(rows)) > 0
            result[start : start + len(rows)] = np.where(found[:, None], classes, -1)
            for i, values in said.items():
                values[start : start + len(rows)] = probabilities[i]
        return result, said

    def answer(self, case: Case, mask: np.ndarray) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        """The predicted classes in one case, int64 (rows, ranks), and as `Passes.answers` probabilities.

        mask: float32 (n, longest), for the case's choice of classes, with its control applied.
        """
        if case.condition == "explanandum":
            said = {}
            if any(kind.further for kind in self.file.kinds):
                said = self.said(np.ones(mask.shape, np.float32))[1]
            return self.masks.classes["predicted"][self.rows], said
        if case.condition in CHUNK_CONDITIONS:
            return self.said_of_chunks(mask, CHUNK_CONDITIONS[case.condition])
        return self.said(MASK_CONDITIONS[case.condition](mask))

    def answers(self, cases: Iterable[Case] = CASES) -> Predictions:
        """The predicted classes in each case."""
        made, said, cases = {}, {}, list(cases)
        masks = self.masks
        last, mask = None, None
        total = len(cases) * len(self.rows)
        with progress("Table 1 and controls", total, "masked sequences") as bar:
            for case in cases:
                if case[:2] != last:
                    last, mask = case[:2], masks.masks[case.choice]
                    if case.control in CONTROLS:
                        control = CONTROLS[case.control]
                        mask = control(mask, masks.content, masks.keys, self.seed)
                made[case], said[case] = self.answer(case, mask)
                bar.update(len(self.rows))
        return Predictions(
            self.file.ids.take(self.rows), self.file.keys[self.rows], self.file.ranks,
            self.file.labels[self.rows], made, self.file.kinds, said,
        )  # fmt: skip
