"""From the dataset's archive to token files, one pass, a block of sequences at a time."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.cli import UserError, log
from whatyouread.files import read_parquet
from whatyouread.parallel import in_order
from whatyouread.progress import progress
from whatyouread.scatter import WHOLE, Part
from whatyouread.sequences import SequenceBatch, read_sequences
from whatyouread.token_files import schema, write_token_files
from whatyouread.tokens import tokenize

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
    ranks: list[str],
    outputs: dict[str, Path],
    part: Part = WHOLE,
) -> pd.DataFrame:
    """Tokenize the sequences of `dataset` into the token files `outputs` (keys of `OUTPUTS`).

    sequences, splits: Parquet, one row per record of the dataset, in its order (label_taxonomy,
    split_dataset). part: which rows. Returns a summary, one row per output: sequences, tokens, longest.
    """
    index = read_parquet(sequences, columns=["source", "taxid", "hash"])
    table = read_parquet(splits, columns=["split", "explainer", *ranks])
    if len(table) != len(index):
        raise UserError(
            f"{splits} has {len(table)} rows and {sequences} {len(index)}: run both again"
        )
    changed = UserError(
        f"{dataset} is not what {sequences} was made from: run label_taxonomy again"
    )
    taxids, keys = index["taxid"].to_numpy(), index["hash"].to_numpy()
    labels = {rank: table[rank].to_numpy().astype(np.int32) for rank in ranks}
    members = {
        name: pc.equal(table[column], value).to_numpy(zero_copy_only=False)
        for name, (column, value) in OUTPUTS.items()
    }
    first, stop = part.bounds(len(index))
    sources, begins = _sources(index["source"])
    needed = (begins[1:] > first) & (begins[:-1] < stop)
    start = int(begins[:-1][needed].min(initial=stop))
    only = None if part == WHOLE else set(sources[needed])
    batches = read_sequences(dataset, only=only) if first < stop else ()

    def records(batch: SequenceBatch) -> tuple[slice, pa.RecordBatch, np.ndarray]:
        nonlocal start
        rows = slice(start, start + len(batch.taxids))
        start = rows.stop
        if not np.array_equal(taxids[rows], batch.taxids):
            raise changed
        return rows, *_records(batch, keys[rows], {k: v[rows] for k, v in labels.items()}, ranks)

    row = start
    counts = {name: np.zeros(3, np.int64) for name in outputs}
    with (
        write_token_files([outputs[name] for name in OUTPUTS], ranks) as writers,
        progress("tokenizing", stop - first, "sequences") as bar,
    ):
        for rows, made, lengths in in_order(records, batches):
            inside = np.arange(rows.start, rows.stop)
            inside = (inside >= first) & (inside < stop)
            for name, writer in zip(OUTPUTS, writers, strict=True):
                chosen = members[name][rows] & inside
                if chosen.any():
                    writer.write_batch(made.filter(pa.array(chosen)))
                    own = lengths[chosen]
                    counts[name][:2] += len(own), own.sum()
                    counts[name][2] = max(counts[name][2], own.max())
            row = rows.stop
            bar.update(int(inside.sum()))
            if row >= stop < len(index):  # the rest is for others
                break
        if first < stop and row < stop:
            raise UserError(
                f"{dataset} has {row} records and {sequences} {len(index)}: run label_taxonomy again"
            )
    summary = pd.DataFrame.from_dict(
        counts, orient="index", columns=["sequences", "tokens", "longest"]
    )
    log.info("\n%s", summary.to_string())
    return summary.rename_axis("file").reset_index()


def _sources(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """The members in their order, strings (m,), and the row of each one's first record, (m + 1,)."""
    codes = column.combine_chunks()
    numbers = codes.indices.to_numpy()
    first = np.flatnonzero(np.append(True, numbers[1:] != numbers[:-1]))
    names = codes.dictionary.take(pa.array(numbers[first])).to_numpy(zero_copy_only=False)
    return names, np.append(first, len(numbers))


def _records(
    batch: SequenceBatch, keys: np.ndarray, labels: dict[str, np.ndarray], ranks: list[str]
) -> tuple[pa.RecordBatch, np.ndarray]:
    """One batch as rows of a token file, and the number of tokens of each."""
    tokens, offsets = tokenize(batch.bases, batch.offsets)
    lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(tokens))
    ids = pc.binary_join_element_wise(batch.source, batch.headers, ":")
    columns = [ids, pa.array(keys), lists, *(pa.array(labels[rank]) for rank in ranks)]
    return pa.RecordBatch.from_arrays(columns, schema=schema(ranks)), np.diff(offsets)
