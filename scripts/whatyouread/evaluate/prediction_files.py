"""The Explanandum's predictions for masked sequences, in Parquet.

One row per sequence, in the order of the token file: `id`, `key`, `label_RANK`, and the predicted
class in every case, or -1 where a sequence has no chunk. The columns of Table 1 itself are called
`CONDITION_RANK`, those of controls `CHOICE_CONTROL_CONDITION_RANK`. At a rank with sets of classes
(`data.kinds`) these are sets, and `probabilities_` before the name of a column has the probability of each
class, a list of float32.
"""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from whatyouread.data.kinds import Single, all_single, kinds_of
from whatyouread.masks.choices import THRESHOLD, column
from whatyouread.masks.controls import CONTROLS
from whatyouread.support.files import read_parquet

MASK_CONDITIONS = {
    "masks": lambda mask: mask,
    "inverted_masks": lambda mask: 1 - mask,
    "rounded_masks": lambda mask: (mask > THRESHOLD).astype(np.float32),
    "inverted_rounded_masks": lambda mask: 1 - (mask > THRESHOLD).astype(np.float32),
}
PROBABILITIES = "probabilities_"
CHUNK_CONDITIONS = {"relevant_chunks": True, "irrelevant_chunks": False}


class Case(NamedTuple):
    """The classes that choose a mask, the control that changes it, and the condition it is tested in."""

    choice: str
    control: str
    condition: str

    def column(self, rank: str) -> str:
        """The name of the column with the predictions at a rank."""
        own = f"{self.condition}_{rank}"
        return own if self[:2] == ("labels", "none") else f"{self.choice}_{self.control}_{own}"


CASES = [
    *(
        Case(choice, "none", condition)
        for choice in ("labels", "predicted")
        for condition in ("explanandum", *MASK_CONDITIONS, *CHUNK_CONDITIONS)
    ),
    *(
        Case(choice, control, condition)
        for choice in ("labels", "predicted")
        for control in CONTROLS
        for condition in MASK_CONDITIONS
    ),
    *(Case("wrong", "wrong_class", condition) for condition in MASK_CONDITIONS),
]


@dataclasses.dataclass(frozen=True)
class Predictions:
    """labels: int64 (n, ranks); answers: case -> predicted classes, int64 (n, ranks).

    kinds: what these numbers mean at each rank (`data.kinds`), all `single` where it is None.
    probabilities: case -> place of the rank -> float32 (n, classes), of ranks with sets of classes.
    """

    ids: pa.ChunkedArray
    keys: np.ndarray
    ranks: list[str]
    labels: np.ndarray
    answers: dict[Case, np.ndarray]
    kinds: list[Single] | None = None
    probabilities: dict[Case, dict[int, np.ndarray]] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        if self.kinds is None:
            object.__setattr__(self, "kinds", all_single(self.ranks))

    def table(self) -> pa.Table:
        """The predictions as a table in the file's format."""
        columns = {"id": self.ids, "key": pa.array(self.keys)}
        for i, rank in enumerate(self.ranks):
            kind = pa.type_for_alias(self.kinds[i].column)
            columns[column("labels", rank)] = pa.array(self.labels[:, i], kind)
        for case, classes in self.answers.items():
            for i, rank in enumerate(self.ranks):
                kind = pa.type_for_alias(self.kinds[i].column)
                columns[case.column(rank)] = pa.array(classes[:, i], kind)
        for case, of_ranks in self.probabilities.items():
            for i, values in of_ranks.items():
                width = values.shape[1]
                lists = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), width)
                columns[PROBABILITIES + case.column(self.ranks[i])] = lists
        return pa.table(columns)


def read_predictions(path: str | Path, ranks: list[str]) -> Predictions:
    """Read a file of predictions. Raises UserError if it is damaged or has other ranks."""

    def classes(names: list[str]) -> np.ndarray:
        return np.stack([made[name].to_numpy() for name in names], axis=1).astype(np.int64)

    labels = [column("labels", rank) for rank in ranks]
    answers = {case: [case.column(rank) for rank in ranks] for case in CASES}
    needed = [name for names in answers.values() for name in names]
    made = read_parquet(path, ["id", "key", *labels, *needed])
    kinds = kinds_of(made.schema.field(name).type for name in labels)
    several = [i for i, kind in enumerate(kinds) if kind.further]
    lists = {case: {i: PROBABILITIES + case.column(ranks[i]) for i in several} for case in CASES}
    further = [name for names in lists.values() for name in names.values()]
    said = read_parquet(path, further) if further else None
    return Predictions(
        made["id"],
        made["key"].to_numpy(),
        ranks,
        classes(labels),
        {case: classes(names) for case, names in answers.items()},
        kinds,
        {
            case: {i: _matrix(said[own]) for i, own in names.items()}
            for case, names in lists.items()
        },
    )


def _matrix(column: pa.ChunkedArray) -> np.ndarray:
    """Lists of the same length as a matrix, float32 (n, length)."""
    whole = column.combine_chunks()
    return whole.flatten().to_numpy(zero_copy_only=False).reshape(len(whole), -1)
