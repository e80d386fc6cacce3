"""Attributions: what a method says each token counts for, in one Parquet schema for all methods.

One row per sequence and variant: `id`, `key`, `variant`; for each rank the classes `label_RANK`,
`predicted_RANK` and `wrong_RANK`; and lists of float32 with one value per token, `<cls>` first:
`score_RANK`, the evidence for the predicted class of that rank, `score_combined`, that for the
predicted classes of all ranks together, and `score_wrong`, that for the wrong classes together.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from whatyouread.cli import UserError
from whatyouread.files import atomic
from whatyouread.mask_files import CHOICES, column

VARIANTS = ("plain", "substituted", "randomised")
"""The sequences as they are; with one base substituted; and under an Explanandum of random weights."""
COMBINED, WRONG = "combined", "wrong"


@dataclasses.dataclass
class Attributions:
    """The scores of one method for n sequences.

    keys: uint64 (n,); lengths: int64 (n,), tokens; labels, predicted, wrong: int64 (n, ranks);
    scores: for each rank, "combined" and "wrong" a float32 (n, longest), zero at padding.
    """

    ids: pa.Array
    keys: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    wrong: np.ndarray
    scores: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.keys)


def attribution_schema(ranks: list[str]) -> pa.Schema:
    """The columns of a file of attributions."""
    columns = [("id", pa.string()), ("key", pa.uint64()), ("variant", pa.string())]
    columns += [(column(choice, rank), pa.int32()) for choice in CHOICES for rank in ranks]
    names = [*ranks, COMBINED, WRONG]
    return pa.schema([*columns, *((f"score_{name}", pa.list_(pa.float32())) for name in names)])


def write_attributions(path: str | Path, ranks: list[str], variants: dict) -> None:
    """Write `variants`, a dict from the names in `VARIANTS` to `Attributions`, atomically."""
    schema = attribution_schema(ranks)
    with atomic(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as out:
        for variant, made in variants.items():
            inside = np.arange(made.scores[COMBINED].shape[1]) < made.lengths[:, None]
            offsets = pa.array(np.append(0, np.cumsum(made.lengths)), pa.int32())
            columns = [made.ids, pa.array(made.keys), pa.array([variant] * len(made), pa.string())]
            for classes in (made.labels, made.predicted, made.wrong):
                columns += [pa.array(classes[:, i], pa.int32()) for i in range(len(ranks))]
            for name in (*ranks, COMBINED, WRONG):
                values = pa.array(made.scores[name][inside], pa.float32())
                columns.append(pa.ListArray.from_arrays(offsets, values))
            out.write_table(pa.table(columns, schema=schema))


def read_attributions(path: str | Path, ranks: list[str]) -> dict[str, Attributions]:
    """What `write_attributions` wrote, by variant. Raises UserError for a damaged or other file."""
    schema = attribution_schema(ranks)
    try:
        # columns that a schema asks for in vain would be read as nulls
        if missing := set(schema.names) - set(pq.read_schema(path).names):
            raise UserError(f"{path} is of other ranks (no {min(missing)}): make it again")
        table = pq.read_table(path, schema=schema)
    except FileNotFoundError:
        raise UserError(f"{path} is not there") from None
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is damaged ({error}): make it again") from None
    return {
        variant: _variant(part, ranks)
        for variant in VARIANTS
        if len(part := table.filter(pc.field("variant") == variant))
    }


def _variant(table: pa.Table, ranks: list[str]) -> Attributions:
    lists = {name: table[f"score_{name}"].combine_chunks() for name in (*ranks, COMBINED, WRONG)}
    lengths = pc.list_value_length(lists[COMBINED]).to_numpy().astype(np.int64)
    inside = np.arange(lengths.max(initial=1)) < lengths[:, None]
    scores = {}
    for name, values in lists.items():
        scores[name] = np.zeros(inside.shape, np.float32)
        scores[name][inside] = values.flatten().to_numpy()
    classes = (
        np.stack([table[column(choice, rank)].to_numpy() for rank in ranks], 1).astype(np.int64)
        for choice in CHOICES
    )
    ids = table["id"].combine_chunks()
    return Attributions(ids, table["key"].to_numpy(), lengths, *classes, scores)
