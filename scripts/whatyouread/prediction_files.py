"""What the Explanandum answers on masked sequences, in Parquet.

One row per sequence, in the order of the token file: `id`, `key`, `label_RANK`, and the predicted
class under every question, -1 where a sequence has no chunk to be asked about. The columns of Table 1
itself are called `CONDITION_RANK`, those of controls `CHOICE_CONTROL_CONDITION_RANK`.
"""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from whatyouread.controls import CONTROLS
from whatyouread.files import read_parquet
from whatyouread.mask_files import THRESHOLD, column

MASK_CONDITIONS = {
    "masks": lambda mask: mask,
    "inverted_masks": lambda mask: 1 - mask,
    "rounded_masks": lambda mask: (mask > THRESHOLD).astype(np.float32),
    "inverted_rounded_masks": lambda mask: 1 - (mask > THRESHOLD).astype(np.float32),
}
CHUNK_CONDITIONS = {"relevant_chunks": True, "irrelevant_chunks": False}


class Question(NamedTuple):
    """By which classes a mask is chosen, what is done to its places, and what to the mask then."""

    choice: str
    control: str
    condition: str

    def column(self, rank: str) -> str:
        """The name of the column with the answers at a rank."""
        own = f"{self.condition}_{rank}"
        return own if self[:2] == ("labels", "none") else f"{self.choice}_{self.control}_{own}"


QUESTIONS = [
    *(
        Question(choice, "none", condition)
        for choice in ("labels", "predicted")
        for condition in ("explanandum", *MASK_CONDITIONS, *CHUNK_CONDITIONS)
    ),
    *(
        Question(choice, control, condition)
        for choice in ("labels", "predicted")
        for control in CONTROLS
        for condition in MASK_CONDITIONS
    ),
    *(Question("wrong", "wrong_class", condition) for condition in MASK_CONDITIONS),
]


@dataclasses.dataclass(frozen=True)
class Predictions:
    """labels: int64 (n, ranks); answers: question -> predicted classes, like them."""

    ids: pa.ChunkedArray
    keys: np.ndarray
    ranks: list[str]
    labels: np.ndarray
    answers: dict[Question, np.ndarray]

    def table(self) -> pa.Table:
        """As it is written."""
        columns = {"id": self.ids, "key": pa.array(self.keys)}
        for i, rank in enumerate(self.ranks):
            columns[column("labels", rank)] = pa.array(self.labels[:, i], pa.int32())
        for question, classes in self.answers.items():
            for i, rank in enumerate(self.ranks):
                columns[question.column(rank)] = pa.array(classes[:, i], pa.int32())
        return pa.table(columns)


def read_predictions(path: str | Path, ranks: list[str]) -> Predictions:
    """Read what `Predictions.table` wrote. Raises UserError where it is damaged or of other ranks."""

    def classes(names: list[str]) -> np.ndarray:
        return np.stack([made[name].to_numpy() for name in names], axis=1).astype(np.int64)

    labels = [column("labels", rank) for rank in ranks]
    answers = {question: [question.column(rank) for rank in ranks] for question in QUESTIONS}
    needed = [name for names in answers.values() for name in names]
    made = read_parquet(path, ["id", "key", *labels, *needed])
    return Predictions(
        made["id"],
        made["key"].to_numpy(),
        ranks,
        classes(labels),
        {question: classes(names) for question, names in answers.items()},
    )
