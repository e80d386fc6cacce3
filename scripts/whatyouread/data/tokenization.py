"""From the dataset's archive to token files, one pass, a block of sequences at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.data.sequences import SequenceBatch, read_sequences
from whatyouread.data.token_files import schema, write_token_files
from whatyouread.data.tokenizer import Tokenizer
from whatyouread.support.cli import UserError, log
from whatyouread.support.files import read_parquet
from whatyouread.support.parallel import in_order
from whatyouread.support.progress import progress

if TYPE_CHECKING:
    import pandas as pd

# output -> (column of the split table, its value)
OUTPUTS = {
    "train": ("split", "train"),
    "validation": ("split", "validation"),
    "test": ("split", "test"),
    "explainer_train": ("explainer", "train"),
    "explainer_validation": ("explainer", "validation"),
}


def tokenize_dataset(
    dataset: Path,
    sequences: Path,
    splits: Path,
    levels: list[str],
    outputs: dict[str, Path],
    tokenizer: Tokenizer,
) -> pd.DataFrame:
    """Tokenize the sequences of `dataset` into the token files `outputs` (keys of `OUTPUTS`).

    sequences, splits: Parquet, one row per record of the dataset, in its order (label_taxonomy,
    split_dataset). Returns a summary, one row per output: `file`, `sequences`,
    `tokens`, `longest` (in tokens). Raises UserError where the tables are damaged or the dataset is
    not the one that they were made from.
    """
    import pandas as pd

    index = read_parquet(sequences, columns=["source", "header", "hash"])
    table = read_parquet(splits, columns=["split", "explainer", *levels])
    if len(table) != len(index):
        raise UserError(
            f"{splits} has {len(table)} rows and {sequences} {len(index)}: run both again"
        )
    changed = UserError(
        f"{dataset} is not what {sequences} was made from: run label_taxonomy again"
    )
    members = {
        name: pc.equal(table[column], value).to_numpy(zero_copy_only=False)
        for name, (column, value) in OUTPUTS.items()
    }
    labels = table.select(levels)
    columns = schema(levels, tokenizer)

    def records(given: tuple[int, SequenceBatch]) -> tuple[slice, pa.RecordBatch, np.ndarray]:
        """The rows of a batch in the tables, what goes into token files, the numbers of tokens."""
        start, batch = given
        rows = slice(start, start + len(batch.headers))
        own, classes = (t.slice(start, len(batch.headers)) for t in (index, labels))
        if not own["header"].equals(pa.chunked_array([batch.headers])):
            raise changed
        tokens, offsets = tokenizer.tokenize(batch.bases, batch.offsets)
        lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(tokens))
        ids = pc.binary_join_element_wise(batch.source, batch.headers, ":")
        made = [ids, own["hash"].combine_chunks(), lists]
        made += [column.combine_chunks() for column in classes.itercolumns()]
        made = [column.cast(field.type) for column, field in zip(made, columns, strict=True)]
        return rows, pa.RecordBatch.from_arrays(made, schema=columns), np.diff(offsets)

    row = 0
    counts = {name: np.zeros(3, np.int64) for name in outputs}
    with (
        write_token_files([outputs[name] for name in OUTPUTS], levels, tokenizer) as writers,
        progress("tokenizing", len(index), "sequences") as bar,
    ):
        for rows, made, lengths in in_order(records, _numbered(read_sequences(dataset))):
            for name, writer in zip(OUTPUTS, writers, strict=True):
                chosen = members[name][rows]
                if chosen.any():
                    writer.write_batch(made.filter(pa.array(chosen)))
                    own = lengths[chosen]
                    counts[name][:2] += len(own), own.sum()
                    counts[name][2] = max(counts[name][2], own.max())
            row = rows.stop
            bar.update(len(lengths))
        if row < len(index):
            raise UserError(
                f"{dataset} has {row} records and {sequences} {len(index)}: run label_taxonomy again"
            )
    summary = pd.DataFrame.from_dict(
        counts, orient="index", columns=["sequences", "tokens", "longest"]
    )
    log.info("\n%s", summary.to_string())
    return summary.rename_axis("file").reset_index()


def _numbered(batches: Iterable[SequenceBatch]) -> Iterator[tuple[int, SequenceBatch]]:
    """The batches, each with the number of records before it."""
    before = 0
    for batch in batches:
        yield before, batch
        before += len(batch.headers)
