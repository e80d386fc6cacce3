"""Masks of the test sequences in Parquet, written by blocks and read back as a matrix.

One row per sequence, in the order of the token file: `id`, `key`; for each rank the classes
`label_RANK`, `predicted_RANK` and `wrong_RANK`; and for each of the three sets of classes its target
mask, a list of float16 with one value per token, `<cls>` first.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from whatyouread.cli import UserError
from whatyouread.token_files import TokenFile

CHOICES = ("labels", "predicted", "wrong")
"""The classes by which a mask is chosen: the true ones, the predicted ones, and wrong ones."""
THRESHOLD = 0.5
"""A mask is rounded to 1 above it (paper, "Results")."""


def column(choice: str, rank: str) -> str:
    """Name of the column that holds the classes of a choice."""
    return f"{'label' if choice == 'labels' else choice}_{rank}"


def mask_schema(ranks: list[str]) -> pa.Schema:
    """The columns of a file of masks."""
    columns = [("id", pa.string()), ("key", pa.uint64())]
    columns += [(column(choice, rank), pa.int32()) for choice in CHOICES for rank in ranks]
    return pa.schema([*columns, *((f"mask_{c}", pa.list_(pa.float16())) for c in CHOICES)])


def mask_rows(
    file: TokenFile, rows: np.ndarray, classes: np.ndarray, masks: np.ndarray
) -> pa.RecordBatch:
    """The rows of a block: classes int64 (choices, n, ranks), masks float16 (choices, n, length)."""
    inside = np.arange(masks.shape[2]) < file.lengths[rows, None]
    offsets = pa.array(np.append(0, np.cumsum(file.lengths[rows])), pa.int32())
    arrays = [file.ids.take(pa.array(rows)).combine_chunks(), pa.array(file.keys[rows])]
    arrays += [pa.array(column, pa.int32()) for choice in classes for column in choice.T]
    arrays += [pa.ListArray.from_arrays(offsets, pa.array(mask[inside])) for mask in masks]
    return pa.RecordBatch.from_arrays(arrays, schema=mask_schema(file.ranks))


class MaskFile:
    """The masks of one Parquet file: `ids`, `keys`, `lengths`, and for each choice its classes and mask.

    classes: choice -> int64 (n, ranks); masks: choice -> float32 (n, longest), zero at padding.
    """

    def __init__(self, path: str | Path, ranks: list[str]):
        try:
            # columns that a schema asks for in vain would be read as nulls
            if missing := set(mask_schema(ranks).names) - set(pq.read_schema(path).names):
                raise UserError(f"{path} is of other ranks (no {min(missing)}): make it again")
            table = pq.read_table(path, schema=mask_schema(ranks))
        except FileNotFoundError:
            raise UserError(f"{path} is not there") from None
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{path} is damaged ({error}): make it again") from None
        self.ids, self.keys = table["id"], table["key"].to_numpy()
        self.classes = {
            choice: np.stack(
                [table[column(choice, rank)].to_numpy() for rank in ranks], axis=1
            ).astype(np.int64)
            for choice in CHOICES
        }
        first = table["mask_labels"].combine_chunks()
        self.lengths = np.diff(first.offsets.to_numpy()).astype(np.int64)
        inside = np.arange(self.lengths.max(initial=1)) < self.lengths[:, None]
        self.masks = {}
        for choice in CHOICES:
            values = table[f"mask_{choice}"].combine_chunks().flatten().to_numpy()
            matrix = np.zeros(inside.shape, np.float32)
            matrix[inside] = values
            self.masks[choice] = matrix

    def __len__(self) -> int:
        return len(self.keys)

    def check_against(self, file: TokenFile) -> None:
        """Raise UserError unless the masks are those of the sequences of `file`."""
        if not (
            np.array_equal(self.keys, file.keys) and np.array_equal(self.lengths, file.lengths)
        ):
            raise UserError(f"the masks are not of the sequences in {file.path}: make them again")
