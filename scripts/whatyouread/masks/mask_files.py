"""Masks of the test sequences in Parquet, written in blocks and read back as a matrix.

One row per sequence, in the order of the token file. Columns: `id`, `key`; for each rank the classes
`label_RANK` (-1 where it is missing), `predicted_RANK` and `wrong_RANK`; `content`, a list of bool,
true for tokens that are neither special nor padding; and the target mask for each of the three sets of
classes, a list of float16 with one value per token, including special tokens.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from whatyouread.data.kinds import Single, kinds_of
from whatyouread.data.token_files import TokenFile, label_fields
from whatyouread.masks.choices import CHOICES, column
from whatyouread.support.cli import UserError
from whatyouread.support.files import parquet_errors, read_parquet

_BLOCK = 8192  # sequences in memory at once


def mask_schema(ranks: list[str], kinds: Sequence[Single] | None = None) -> pa.Schema:
    """The columns of a mask file; kinds: of the ranks (`data.kinds`), all `single` by default."""
    columns = [pa.field("id", pa.string()), pa.field("key", pa.uint64())]
    for choice in CHOICES:
        columns += label_fields([column(choice, rank) for rank in ranks], kinds)
    columns.append(("content", pa.list_(pa.bool_())))
    return pa.schema([*columns, *((f"mask_{c}", pa.list_(pa.float16())) for c in CHOICES)])


def mask_rows(
    file: TokenFile, rows: np.ndarray, content: np.ndarray, classes: np.ndarray, masks: np.ndarray
) -> pa.RecordBatch:
    """The rows of one block.

    content: bool (n, length); classes: int64 (choices, n, ranks); masks: float16 (choices, n, length).
    """
    lengths = file.lengths[rows]
    arrays = [file.ids.take(pa.array(rows)).combine_chunks(), pa.array(file.keys[rows])]
    schema = mask_schema(file.ranks, file.kinds)
    numbers = [column for choice in classes for column in choice.T]
    arrays += [
        pa.array(own, schema.field(place).type) for place, own in enumerate(numbers, len(arrays))
    ]
    arrays += [lists(values, lengths) for values in (content, *masks)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def lists(values: np.ndarray, lengths: np.ndarray) -> pa.ListArray:
    """Convert a matrix (n, longest) to lists, each row cut to its length."""
    inside = np.arange(values.shape[1]) < lengths[:, None]
    offsets = pa.array(np.append(0, np.cumsum(lengths)), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(values[inside]))


def matrix(column: pa.ListArray, kind: type) -> tuple[np.ndarray, np.ndarray]:
    """Convert lists to a matrix (n, longest), padded with zeros, and their lengths, int64 (n,)."""
    lengths = np.diff(column.offsets.to_numpy()).astype(np.int64)
    inside = np.arange(lengths.max(initial=1)) < lengths[:, None]
    made = np.zeros(inside.shape, kind)
    made[inside] = column.flatten().to_numpy(zero_copy_only=False)
    return made, lengths


class MaskFile:
    """The masks of one Parquet file: `ids`, `keys`, `lengths`, `content`, `classes`, `kinds` and `masks`.

    kinds: what the numbers of each rank mean (`data.kinds`). content: bool (n, longest); classes:
    choice -> int64 (n, ranks); masks: choice -> float32 (n, longest), zero at padding.
    Raises UserError if the file is damaged or has other ranks.
    """

    def __init__(self, path: str | Path, ranks: list[str]):
        table = read_parquet(path, mask_schema(ranks).names)
        self.ids, self.keys = table["id"], table["key"].to_numpy()
        self.kinds = kinds_of(table.schema.field(column(CHOICES[0], rank)).type for rank in ranks)
        self.classes = {
            choice: np.stack(
                [table[column(choice, rank)].to_numpy() for rank in ranks], axis=1
            ).astype(np.int64)
            for choice in CHOICES
        }
        self.content, self.lengths = matrix(table["content"].combine_chunks(), bool)
        self.masks = {
            choice: matrix(table[f"mask_{choice}"].combine_chunks(), np.float32)[0]
            for choice in CHOICES
        }

    def __len__(self) -> int:
        return len(self.keys)

    def check_against(self, file: TokenFile) -> None:
        """Raise UserError if the masks do not belong to the sequences of `file`."""
        if not (
            np.array_equal(self.keys, file.keys) and np.array_equal(self.lengths, file.lengths)
        ):
            raise UserError(f"the masks are not of the sequences in {file.path}: make them again")


def mask_blocks(path: str | Path, choice: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield masks, float32 (n, longest), and content, bool (n, longest), of a mask file in blocks.

    Reads only these columns. Raises UserError if the file is missing or damaged.
    """
    names = [f"mask_{choice}", "content"]
    with parquet_errors(path), pq.ParquetFile(path) as file:
        for name in names:
            if name not in file.schema_arrow.names:
                raise UserError(f"{path} has no column {name}: it is no file of masks")
        for batch in file.iter_batches(_BLOCK, columns=names):
            masks, _ = matrix(batch.column(names[0]), np.float32)
            yield masks, matrix(batch.column(names[1]), bool)[0]


def read_masks(path: Path, choice: str, rows: np.ndarray) -> dict[int, np.ndarray]:
    """Read the masks of some rows on their content: row -> float32 (tokens,)."""
    masks, first = {}, 0
    for block, content in mask_blocks(path, choice):
        for row in rows[(rows >= first) & (rows < first + len(block))]:
            masks[int(row)] = block[row - first][content[row - first]]
        first += len(block)
    return masks


def read_predicted_classes(path: Path, file: TokenFile) -> np.ndarray:
    """Read the predicted classes, int64 (n, ranks), from a mask file that belongs to these sequences."""
    names = [column("predicted", rank) for rank in file.ranks]
    table = read_parquet(path, ["key", *names])
    if not np.array_equal(table["key"].to_numpy(), file.keys):
        raise UserError(f"{path} is not of the sequences in {file.path}: make it again")
    return np.stack([table[name].to_numpy().astype(np.int64) for name in names], axis=1)
