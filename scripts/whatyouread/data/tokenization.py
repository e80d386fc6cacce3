"""From the dataset's archive to token files, one pass, a block of sequences at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.data.normalisation import Settings
from whatyouread.data.sequences import SequenceBatch, read_sequences
from whatyouread.data.token_files import schema, write_token_files
from whatyouread.data.tokenizer import Tokenizer
from whatyouread.support.cli import UserError, log
from whatyouread.support.files import read_parquet
from whatyouread.support.parallel import in_order
from whatyouread.support.progress import progress

if TYPE_CHECKING:
    import pandas as pd

FAR = 4  # times the median
SHORT = 512  # tokens; up to here no sequence costs much
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
    settings: Settings | None = None,
) -> pd.DataFrame:
    """Tokenize the sequences of `dataset` into the token files `outputs` (keys of `OUTPUTS`).

    sequences, splits: Parquet, one row per record of the dataset, in its order (label_taxonomy,
    split_dataset). settings: those that label_taxonomy read the dataset with. Returns a summary, one
    row per output: `file`, `sequences`, `tokens`, `longest` (in tokens), and where labels are missing
    `sequences_LEVEL`, the sequences with a label at a level. Raises UserError where the tables are damaged
    or the dataset is not the one that they were made from.
    """
    import pandas as pd

    index = read_parquet(sequences, columns=["source", "header", "length", "hash"])
    table = read_parquet(splits, columns=["split", "explainer", *levels])
    if len(table) != len(index):
        raise UserError(
            f"{splits} has {len(table)} rows and {sequences} {len(index)}: run both again"
        )
    changed = UserError(
        f"{dataset}, read with these settings of `sequences`, is not what {sequences} was made from:"
        " run label_taxonomy again"
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
        lengths = np.diff(batch.offsets)
        same = len(own) == len(lengths) and (own["length"].to_numpy() == lengths).all()
        if not same or not own["header"].equals(pa.chunked_array([batch.headers])):
            raise changed
        tokens, offsets = tokenizer.tokenize(batch.bases, batch.offsets)
        lists = pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(tokens))
        ids = pc.binary_join_element_wise(batch.source, batch.headers, ":")
        made = [ids, own["hash"].combine_chunks(), lists]
        made += [column.combine_chunks() for column in classes.itercolumns()]
        made = [column.cast(field.type) for column, field in zip(made, columns, strict=True)]
        return rows, pa.RecordBatch.from_arrays(made, schema=columns), np.diff(offsets)

    row = 0
    used: dict[str, list[np.ndarray]] = {name: [] for name in outputs}
    with (
        write_token_files([outputs[name] for name in OUTPUTS], levels, tokenizer) as writers,
        progress("tokenizing", len(index), "sequences") as bar,
    ):
        for rows, made, lengths in in_order(
            records, _numbered(read_sequences(dataset, settings=settings))
        ):
            for name, writer in zip(OUTPUTS, writers, strict=True):
                chosen = members[name][rows]
                if chosen.any():
                    writer.write_batch(made.filter(pa.array(chosen)))
                    used[name].append(lengths[chosen].astype(np.int32))
            row = rows.stop
            bar.update(len(lengths))
        if row < len(index):
            raise UserError(
                f"{dataset} has {row} records and {sequences} {len(index)}: run label_taxonomy again"
            )
    tokens = {name: np.concatenate([np.zeros(0, np.int32), *used[name]]) for name in outputs}
    counts = [(name, len(n), n.sum(dtype=np.int64), n.max(initial=0)) for name, n in tokens.items()]
    summary = pd.DataFrame(counts, columns=["file", "sequences", "tokens", "longest"])
    labelled = {
        f"sequences_{level}": _labelled(table[level], [members[name] for name in tokens])
        for level in levels
    }
    if any((summary["sequences"] > counts).any() for counts in labelled.values()):
        summary = summary.assign(**labelled)
    log.info("\n%s", summary.to_string(index=False))
    for name, lengths in tokens.items():
        warn_of_long_sequences(name, lengths)
    return summary


def _labelled(classes: pa.ChunkedArray, members: list[np.ndarray]) -> list[int]:
    """How many sequences of each output have a label; classes: of all sequences; members: bool (n,)."""
    known = pc.greater_equal(classes, 0).to_numpy(zero_copy_only=False)
    return [int((known & chosen).sum()) for chosen in members]


def warn_of_long_sequences(name: str, lengths: np.ndarray) -> None:
    """Warn where some of the sequences are far beyond the others, with what they cost.

    lengths: tokens of each sequence of the output `name`, int (n,).
    """
    if not len(lengths):
        return
    median, longest = int(np.median(lengths)), int(lengths.max())
    far = lengths > FAR * median
    if longest < SHORT or not far.any():
        return
    log.warning(
        "%s: %s of %s sequences have more than %d times the tokens of the median, %s; the longest has %s:"
        " attention compares all its pairs of tokens, which takes %s times as long as for the median one"
        " and %.2g GB for each head where all are held at once, for each such sequence of a batch; if they"
        " are no mistake, set sequences.max_length (bases) and sequences.longer (cut, window, leave_out)",
        name,
        f"{int(far.sum()):,}",
        f"{len(lengths):,}",
        FAR,
        f"{median:,}",
        f"{longest:,}",
        f"{(longest / median) ** 2:,.0f}",
        4 * longest**2 / 1e9,
    )


def _numbered(batches: Iterable[SequenceBatch]) -> Iterator[tuple[int, SequenceBatch]]:
    """The batches, each with the number of records before it."""
    before = 0
    for batch in batches:
        yield before, batch
        before += len(batch.headers)
