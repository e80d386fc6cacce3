"""Attributions: what a method says each token counts for, in one Parquet schema for all methods.

One row per sequence and variant: `id`, `key`, `variant`; for each rank the classes `label_RANK`,
`predicted_RANK`, `wrong_RANK` and `runner_up_RANK`; and lists of float32 with one value per token,
`<cls>` first: `score_RANK`, the evidence for the predicted class of that rank, `score_combined`,
that for the predicted classes of all ranks together, and `score_wrong` and `score_runner_up`, that
for these other classes.
"""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from whatyouread.cli import UserError
from whatyouread.files import atomic
from whatyouread.mask_files import column
from whatyouread.other_classes import OTHERS

VARIANTS = ("plain", "substituted", "randomised")
"""The sequences as they are; with one base substituted; and under an Explanandum of random weights."""
COMBINED = "combined"
CLASSES = ("labels", "predicted", *OTHERS)
"""The classes of a sequence that a file holds, each int64 (n, ranks)."""


@dataclasses.dataclass
class Attributions:
    """The scores of one method for n sequences.

    keys: uint64 (n,); lengths: int64 (n,), tokens; labels, predicted, wrong, runner_up: int64 (n,
    ranks); scores: for each of `score_names` a float32 (n, longest), zero at padding.
    """

    ids: pa.Array
    keys: np.ndarray
    lengths: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    wrong: np.ndarray
    runner_up: np.ndarray
    scores: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.keys)


def score_names(ranks: list[str]) -> list[str]:
    """What there are scores for: the predicted class of each rank, all of them, other classes."""
    return [*ranks, COMBINED, *OTHERS]


def attribution_schema(ranks: list[str]) -> pa.Schema:
    """The columns of a file of attributions."""
    columns = [("id", pa.string()), ("key", pa.uint64()), ("variant", pa.string())]
    columns += [(column(choice, rank), pa.int32()) for choice in CLASSES for rank in ranks]
    scores = [(f"score_{name}", pa.list_(pa.float32())) for name in score_names(ranks)]
    return pa.schema([*columns, *scores])


def write_attributions(path: str | Path, ranks: list[str], variants: dict) -> None:
    """Write `variants`, a dict from the names in `VARIANTS` to `Attributions`, atomically."""
    schema = attribution_schema(ranks)
    with atomic(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as out:
        for variant, made in variants.items():
            inside = np.arange(made.scores[COMBINED].shape[1]) < made.lengths[:, None]
            offsets = pa.array(np.append(0, np.cumsum(made.lengths)), pa.int32())
            columns = [made.ids, pa.array(made.keys), pa.array([variant] * len(made), pa.string())]
            for choice in CLASSES:
                columns += [pa.array(c, pa.int32()) for c in getattr(made, choice).T]
            for name in score_names(ranks):
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
    lists = {name: table[f"score_{name}"].combine_chunks() for name in score_names(ranks)}
    lengths = pc.list_value_length(lists[COMBINED]).to_numpy().astype(np.int64)
    inside = np.arange(lengths.max(initial=1)) < lengths[:, None]
    scores = {}
    for name, values in lists.items():
        scores[name] = np.zeros(inside.shape, np.float32)
        scores[name][inside] = values.flatten().to_numpy()
    classes = (
        np.stack([table[column(choice, rank)].to_numpy() for rank in ranks], 1).astype(np.int64)
        for choice in CLASSES
    )
    ids = table["id"].combine_chunks()
    return Attributions(ids, table["key"].to_numpy(), lengths, *classes, scores)
