"""Attributions: a method's scores per token, in one Parquet schema for all methods.

One row per sequence and variant: `id`, `key`, `variant`; for each rank the classes `label_RANK`,
`predicted_RANK`, `wrong_RANK` and `runner_up_RANK`; `content`, a list of bool, true for tokens that are
neither special nor padding. Scores are lists of float32 with one value per token, including special
tokens: `score_RANK` is the evidence for the predicted class of that rank, `score_combined` that for the
predicted classes of all ranks together, and `score_wrong` and `score_runner_up` that for the other
classes.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from whatyouread.data.kinds import Single
from whatyouread.data.token_files import label_fields
from whatyouread.masks.choices import OTHERS, column
from whatyouread.masks.mask_files import lists, matrix
from whatyouread.support.files import atomic, read_parquet

VARIANTS = ("plain", "substituted", "randomised")
"""Plain sequences; sequences with one base substituted; an Explanandum with random weights."""
COMBINED = "combined"
CLASSES = ("labels", "predicted", *OTHERS)
"""The sets of classes in a file, each int64 (n, ranks)."""
COSTS = ("forward_passes", "backward_passes", "seconds")
"""What the record beside a file says that a sequence cost; null where nobody knows."""


@dataclasses.dataclass
class Attributions:
    """The scores of one method for n sequences.

    keys: uint64 (n,); lengths: int64 (n,), in tokens; content: bool (n, longest); labels, predicted,
    wrong, runner_up: int64 (n, ranks); scores: name (see `score_names`) -> float32 (n, longest), zero
    at padding.
    """

    ids: pa.Array
    keys: np.ndarray
    lengths: np.ndarray
    content: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray
    wrong: np.ndarray
    runner_up: np.ndarray
    scores: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.keys)


def score_names(ranks: list[str]) -> list[str]:
    """The names of the scores: the predicted class of each rank, all together, other classes."""
    return [*ranks, COMBINED, *OTHERS]


def attribution_schema(ranks: list[str], kinds: Sequence[Single] | None = None) -> pa.Schema:
    """The columns of an attributions file; kinds: of the ranks (`data.kinds`), all `single` by default."""
    columns = [
        pa.field(name, kind)
        for name, kind in (("id", pa.string()), ("key", pa.uint64()), ("variant", pa.string()))
    ]
    for choice in CLASSES:
        columns += label_fields([column(choice, rank) for rank in ranks], kinds)
    columns.append(("content", pa.list_(pa.bool_())))
    scores = [(f"score_{name}", pa.list_(pa.float32())) for name in score_names(ranks)]
    return pa.schema([*columns, *scores])


def write_attributions(
    path: str | Path, ranks: list[str], variants: dict, kinds: Sequence[Single] | None = None
) -> None:
    """Write `variants`, a dict from names in `VARIANTS` to `Attributions`, atomically."""
    schema = attribution_schema(ranks, kinds)
    with atomic(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as out:
        for variant, made in variants.items():
            columns = [made.ids, pa.array(made.keys), pa.array([variant] * len(made), pa.string())]
            for choice in CLASSES:
                numbers = enumerate(getattr(made, choice).T, len(columns))
                columns += [pa.array(own, schema.field(place).type) for place, own in numbers]
            columns.append(lists(made.content, made.lengths))
            columns += [lists(made.scores[name], made.lengths) for name in score_names(ranks)]
            out.write_table(pa.table(columns, schema=schema))


def read_attributions(path: str | Path, ranks: list[str]) -> dict[str, Attributions]:
    """Read an attributions file, by variant. Raises UserError if it is damaged or of another kind."""
    table = read_parquet(path, attribution_schema(ranks).names)
    return {
        variant: _variant(part, ranks)
        for variant in VARIANTS
        if len(part := table.filter(pc.field("variant") == variant))
    }


def _variant(table: pa.Table, ranks: list[str]) -> Attributions:
    content, lengths = matrix(table["content"].combine_chunks(), bool)
    scores = {
        name: matrix(table[f"score_{name}"].combine_chunks(), np.float32)[0]
        for name in score_names(ranks)
    }
    classes = (
        np.stack([table[column(choice, rank)].to_numpy() for rank in ranks], 1).astype(np.int64)
        for choice in CLASSES
    )
    ids = table["id"].combine_chunks()
    return Attributions(ids, table["key"].to_numpy(), lengths, content, *classes, scores)
