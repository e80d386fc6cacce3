"""From the dataset's archive to token files, one pass, a block of sequences at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.data.kinds import kinds_of
from whatyouread.data.normalisation import Settings
from whatyouread.data.sequences import SequenceBatch, read_sequences
from whatyouread.data.token_files import lists, schema, write_token_files
from whatyouread.data.token_limit import DONE, check_limit, limited, named_pieces
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
    longest: int = 0,
) -> pd.DataFrame:
    """Tokenize the sequences of `dataset` into the token files `outputs` (keys of `OUTPUTS`).

    sequences, splits: Parquet, one row per record of the dataset, in its order (label_taxonomy,
    split_dataset). settings: those that label_taxonomy read the dataset with. longest: how many tokens
    the model reads at most, special ones included, 0 for any number; `settings.longer` says what becomes
    of a sequence with more (`token_limit`). Returns a summary, one row per output: `file`, `sequences`,
    `tokens`, `longest` (in tokens), `unknown` (tokens that stand for text without a token of its own),
    `too_long` (sequences that had more tokens than the model reads), and where labels are missing
    `sequences_LEVEL`, those with a label at a level. Raises UserError where the tables are damaged or the
    dataset is not the one that they were made from.
    """
    import pandas as pd

    settings = Settings() if settings is None else settings
    check_limit(longest, tokenizer)
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
    kinds = kinds_of(table.schema.field(level).type for level in levels)
    columns = schema(levels, tokenizer, kinds)

    def records(given: tuple[int, SequenceBatch]) -> _Tokenized:
        start, batch = given
        rows = slice(start, start + len(batch.headers))
        own, classes = (t.slice(start, len(batch.headers)) for t in (index, labels))
        lengths = np.diff(batch.offsets)
        same = len(own) == len(lengths) and (own["length"].to_numpy() == lengths).all()
        if not same or not own["header"].equals(pa.chunked_array([batch.headers])):
            raise changed
        ids = pc.binary_join_element_wise(batch.source, batch.headers, ":")
        made = [ids, own["hash"].combine_chunks()]
        made += [column.combine_chunks() for column in classes.itercolumns()]
        return _tokenized(batch, rows, made, columns, tokenizer, longest, settings.longer)

    row = 0
    counts = {name: _Counts(levels) for name in outputs}
    with (
        write_token_files([outputs[name] for name in OUTPUTS], levels, tokenizer, kinds) as writers,
        progress("tokenizing", len(index), "sequences") as bar,
    ):
        for made in in_order(records, _numbered(read_sequences(dataset, settings=settings))):
            for name, writer in zip(OUTPUTS, writers, strict=True):
                if (member := members[name][made.rows]).any():
                    chosen = member[made.of]
                    writer.write_batch(made.batch.filter(pa.array(chosen)))
                    counts[name].add(made, member, chosen)
            row = made.rows.stop
            bar.update(len(made.long))
        if row < len(index):
            raise UserError(
                f"{dataset} has {row} records and {sequences} {len(index)}: run label_taxonomy again"
            )
    summary = pd.DataFrame([{"file": name} | counts[name].row() for name in outputs])
    labelled = pd.DataFrame([counts[name].labelled for name in outputs]).add_prefix("sequences_")
    if labelled.lt(summary["sequences"], axis=0).any(axis=None):
        summary = summary.join(labelled)
    log.info("\n%s", summary.to_string(index=False))
    for name in outputs:
        counts[name].warn(name, longest, settings.longer)
    return summary


class _Tokenized(NamedTuple):
    """A batch as it goes into token files: m pieces of n sequences.

    rows: of the sequences in the tables. of: int64 (m,), the sequence of each piece within the batch.
    lengths, unknown: int64 (m,), numbers of tokens and of unknown ones. long: bool (n,), which sequences
    had more tokens than the model reads.
    """

    rows: slice
    batch: pa.RecordBatch
    of: np.ndarray
    lengths: np.ndarray
    unknown: np.ndarray
    long: np.ndarray


def _tokenized(
    batch: SequenceBatch,
    rows: slice,
    others: list[pa.Array],
    columns: pa.Schema,
    tokenizer: Tokenizer,
    longest: int,
    longer: str,
) -> _Tokenized:
    """others: the columns that are no lists: id, key, and a class per level."""
    places: Sequence[np.ndarray] = ()
    if tokenizer.stores_spans:
        tokens, offsets, places = tokenizer.located(batch.bases, batch.offsets)
    else:
        tokens, offsets = tokenizer.tokenize(batch.bases, batch.offsets)
    of = np.arange(len(offsets) - 1)
    long = np.zeros(len(of), bool)
    if longest and np.diff(offsets).max(initial=0) > longest:
        left = limited(offsets, tokenizer, longest, longer)
        of, long, offsets = left.of, left.long, left.offsets
        tokens, places = tokens[left.where], [ends[left.where] for ends in places]
        others = [column.take(pa.array(of)) for column in others]
        others[:2] = named_pieces(*others[:2], left, longer)
    made = [*others[:2], *(lists(x, offsets) for x in (tokens, *places)), *others[2:]]
    made = [column.cast(field.type) for column, field in zip(made, columns, strict=True)]
    unknown = np.zeros(len(of), np.int64)
    if tokenizer.unknown is not None:
        found = np.flatnonzero(tokens == tokenizer.unknown)
        unknown = np.bincount(np.searchsorted(offsets, found, side="right") - 1, minlength=len(of))
    done = pa.RecordBatch.from_arrays(made, schema=columns)
    return _Tokenized(rows, done, of, np.diff(offsets), unknown, long)


class _Counts:
    """What goes into one token file."""

    def __init__(self, levels: Sequence[str]):
        self._lengths = [np.zeros(0, np.int32)]
        self._unknown = self._long = 0
        self.labelled = dict.fromkeys(levels, 0)

    def add(self, made: _Tokenized, member: np.ndarray, chosen: np.ndarray) -> None:
        """member: bool (n,), which sequences go there; chosen: bool (m,), which pieces."""
        self._lengths.append(made.lengths[chosen].astype(np.int32))
        self._unknown += int(made.unknown[chosen].sum())
        self._long += int((made.long & member).sum())
        for level in self.labelled:
            known = pc.greater_equal(made.batch[level], 0).to_numpy(zero_copy_only=False)
            self.labelled[level] += int((known & chosen).sum())

    def row(self) -> dict[str, int]:
        """A row of the summary."""
        lengths = np.concatenate(self._lengths)
        self._lengths = [lengths]
        return {
            "sequences": len(lengths),
            "tokens": int(lengths.sum(dtype=np.int64)),
            "longest": int(lengths.max(initial=0)),
            "unknown": self._unknown,
            "too_long": self._long,
        }

    def warn(self, name: str, longest: int, longer: str) -> None:
        """Warn of what a user should know of; name: of the file."""
        [lengths] = self._lengths
        if self._unknown:
            log.warning(
                "%s: %s of %s tokens are unknown: they stand for text that has no token of its own",
                name,
                f"{self._unknown:,}",
                f"{lengths.sum(dtype=np.int64):,}",
            )
        if self._long:
            log.warning(
                "%s: %s sequences had more than the %s tokens that the model reads and were %s"
                " (sequences.longer: cut, window, leave_out)",
                name,
                f"{self._long:,}",
                f"{longest:,}",
                DONE[longer],
            )
        warn_of_long_sequences(name, lengths)


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
