"""Running the Explanandum on masked sequences, under every question of Table 1 and its controls."""

from collections.abc import Iterable

import numpy as np
import torch

from whatyouread.chunks import classify_chunks, find_chunks
from whatyouread.controls import CONTROLS
from whatyouread.explanandum import Explanandum, predictions
from whatyouread.mask_files import THRESHOLD, MaskFile
from whatyouread.predict import classify
from whatyouread.prediction_files import (
    CHUNK_CONDITIONS,
    MASK_CONDITIONS,
    QUESTIONS,
    Predictions,
    Question,
)
from whatyouread.progress import progress
from whatyouread.scatter import WHOLE, Part
from whatyouread.token_files import TokenFile, batches_by_length

CHUNK_BLOCK = 4096  # sequences whose class probabilities are held at once


class MaskedSequences:
    """The test sequences, or a part of them, to be classified under masks of all of them."""

    def __init__(
        self, explanandum: Explanandum, file: TokenFile, masks: MaskFile, *,
        batch_size: int, seed: int, device: torch.device, precision: str, part: Part = WHOLE,
    ):  # fmt: skip
        masks.check_against(file)
        self.explanandum = explanandum.to(device).freeze()
        self.file, self.masks = file, masks
        self.batch_size, self.seed = batch_size, seed
        self.device, self.precision = device, precision
        self.rows = part.rows(len(file))

    def predict(self, mask: np.ndarray) -> np.ndarray:
        """The classes of the masked sequences of this part, int64 (rows, ranks).

        mask: float32 (n, longest), of all sequences.
        """
        result = np.empty((len(self.rows), len(self.file.ranks)), np.int64)
        for batch in batches_by_length(self.file.lengths[self.rows], self.batch_size):
            rows = self.rows[batch]
            tokens = self.file.tokens(rows)
            logits = classify(
                self.explanandum, tokens, mask[rows, : tokens.shape[1]], self.device, self.precision
            )
            result[batch] = predictions(logits).cpu().numpy()
        return result

    def predict_chunks(self, mask: np.ndarray, relevant: bool) -> np.ndarray:
        """The classes by the averaged probabilities of the chunks, int64 (rows, ranks).

        A sequence without such a chunk has -1.
        """
        result = np.full((len(self.rows), len(self.file.ranks)), -1)
        for start in range(0, len(self.rows), CHUNK_BLOCK):
            rows = self.rows[start : start + CHUNK_BLOCK]
            tokens = self.file.tokens(rows)
            lengths = self.file.lengths[rows]
            chunks = find_chunks(mask[rows, : tokens.shape[1]] > THRESHOLD, lengths)
            chosen = chunks.relevant == relevant
            chunks = type(chunks)(*(field[chosen] for field in chunks))
            probabilities = classify_chunks(
                self.explanandum,
                tokens,
                chunks,
                self.batch_size * int(lengths.max()),
                self.device,
                self.precision,
            )
            classes = np.stack([p.argmax(1) for p in probabilities], axis=1)
            found = np.bincount(chunks.sequence, minlength=len(rows)) > 0
            result[start : start + len(rows)] = np.where(found[:, None], classes, -1)
        return result

    def answer(self, question: Question, mask: np.ndarray) -> np.ndarray:
        """The predicted classes under one question, int64 (rows, ranks).

        mask: float32 (n, longest), of the question's choice, after its control.
        """
        if question.condition == "explanandum":
            return self.masks.classes["predicted"][self.rows]
        if question.condition in CHUNK_CONDITIONS:
            return self.predict_chunks(mask, CHUNK_CONDITIONS[question.condition])
        return self.predict(MASK_CONDITIONS[question.condition](mask))

    def answers(self, questions: Iterable[Question] = QUESTIONS) -> Predictions:
        """The predicted classes under each question."""
        made, questions = {}, list(questions)
        masks = self.masks
        last, mask = None, None
        with progress("conditions", len(questions), "conditions") as bar:
            for question in questions:
                if question[:2] != last:
                    last, mask = question[:2], masks.masks[question.choice]
                    if question.control in CONTROLS:
                        control = CONTROLS[question.control]
                        mask = control(mask, masks.lengths, masks.keys, self.seed)
                made[question] = self.answer(question, mask)
                bar.update(1)
        return Predictions(
            self.file.ids.take(self.rows), self.file.keys[self.rows], self.file.ranks,
            self.file.labels[self.rows], made,
        )  # fmt: skip
