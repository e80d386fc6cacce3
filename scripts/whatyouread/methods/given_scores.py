"""Scores per token that somebody made with a tool of their own, read from a table of theirs.

One row per sequence, in any order; rows of other sequences are not used. `id`, `key` or both are those of
the token file and say which sequence a row is of. `scores` are lists of numbers, one per token, special
tokens included: the higher, the more a token speaks for what the classifier says. They are taken for all
classes alike, but where a column `score_NAME` (`files.score_names`) has those for one of them; without
`scores`, `score_combined` stands for what is absent. The files that `files.write_attributions` writes are
such tables: of these the variant `plain` is read.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json

from whatyouread.data.record_tables import JSONL, KINDS
from whatyouread.data.token_files import TokenFile
from whatyouread.masks.mask_files import matrix
from whatyouread.methods.files import COMBINED, VARIANTS, score_names
from whatyouread.support.cli import UserError, log
from whatyouread.support.files import read_parquet
from whatyouread.support.text import counted

FILE = "file"
"""The `method` of an entry of the configuration that names a file."""
SCORES = "scores"
_IDENTITY = {"id": pa.string(), "key": pa.uint64()}
_BLOCK = 1 << 26  # bytes; no line of JSON may be longer


def given_scores(path: Path, file: TokenFile) -> dict[str, np.ndarray]:
    """The scores of the n sequences of a token file: name -> float32 (n, longest), zero at padding.

    path: Parquet, or JSON Lines where its name ends so. Raises UserError for a file that is not there or
    no such table, and for sequences that it lacks, has twice, or scores by more or fewer numbers than they
    have tokens, or by numbers that are not finite.
    """
    table = _table(path)
    names = {name: f"score_{name}" for name in score_names(file.ranks)}
    there = table.column_names
    for name in there:
        if name.startswith("score_") and name not in names.values():
            log.warning(f"{path}: {name} is not used: it is none of {', '.join(names.values())}")
    common = next((name for name in (SCORES, names[COMBINED]) if name in there), None)
    if common is None:
        raise UserError(f"{path} has no column {SCORES}, lists with a number for each token")
    taken = table.take(pa.array(_rows(table, path, file)))
    columns = {name: own if own in there else common for name, own in names.items()}
    read = {name: _values(taken[name], name, path, file) for name in {*columns.values()}}
    return {name: read[own] for name, own in columns.items()}


def _table(path: Path) -> pa.Table:
    """The table, with `id` and `key`, those of them that are there, in their types."""
    table = _json(path) if KINDS.get(path.suffix.lower()) == JSONL else read_parquet(path)
    if "variant" in table.column_names:
        table = table.filter(pc.equal(table["variant"], VARIANTS[0]))
    for name in _IDENTITY.keys() & {*table.column_names}:
        kind = table[name].type
        try:
            if pa.types.is_floating(kind):  # which has not all digits of a key
                raise pa.ArrowTypeError
            own = table[name].cast(_IDENTITY[name])
        except pa.ArrowException:
            raise UserError(f"{path}: {name} is {kind}, not {_IDENTITY[name]}") from None
        if own.null_count:
            raise UserError(f"{path}: {counted(own.null_count, 'row')} without {name}: fill it in")
        table = table.set_column(table.column_names.index(name), name, own)
    return table


def _json(path: Path) -> pa.Table:
    # keys are beyond the integers that pyarrow would take them for
    parsing = pa.json.ParseOptions(explicit_schema=pa.schema(_IDENTITY))
    try:
        table = pa.json.read_json(path, pa.json.ReadOptions(block_size=_BLOCK), parsing)
    except FileNotFoundError:
        raise UserError(f"{path} is not there") from None
    except pa.ArrowException as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} cannot be read as JSON Lines ({reason})") from None
    absent = [name for name in _IDENTITY if table[name].null_count == len(table)]
    return table.drop_columns(absent)


def _rows(table: pa.Table, path: Path, file: TokenFile) -> np.ndarray:
    """The row of each sequence, int64 (n,)."""
    names = [name for name in _IDENTITY if name in table.column_names]
    if not names:
        raise UserError(f"{path} has no column id, nor key, which say of which sequence a row is")
    what = " and ".join(names)

    def refuse(wrong: np.ndarray, said: str, advice: str) -> None:
        if number := int(wrong.sum()):
            first = file.ids[int(wrong.argmax())].as_py()
            of = f"{number:,} of the {len(file):,} sequences of {file.path}, the first {first!r}"
            raise UserError(f"{path} {said} {of}: {advice}")

    wanted = pd.DataFrame({"id": file.ids.to_numpy(), "key": file.keys})
    if names == ["id"]:
        keys = wanted.groupby("id")["key"].transform("nunique").to_numpy()
        refuse(keys > 1, "cannot tell", "others have the same id, give the column key, too")
    wanted = wanted[names]
    own = pd.DataFrame({name: table[name].to_numpy() for name in names})
    # of a sequence that is there several times, the first has the first row, and so on, or all the only one
    index = pd.MultiIndex.from_frame(own.assign(copy=own.groupby(names).cumcount()))

    def find(copy: pd.Series | int) -> np.ndarray:
        return index.get_indexer(pd.MultiIndex.from_frame(wanted.assign(copy=copy)))

    groups = wanted.groupby(names)
    first, rows = find(0), find(groups.cumcount())
    refuse(first < 0, "lacks", f"give each a row with its {what}")
    extra = find(groups[names[0]].transform("size"))
    refuse(extra >= 0, "has too many rows for", f"keep one with the same {what}")
    return np.where(rows < 0, first, rows)


def _values(column: pa.ChunkedArray, name: str, path: Path, file: TokenFile) -> np.ndarray:
    """A column of scores, already in the order of the sequences, float32 (n, longest)."""

    def refuse(wrong: np.ndarray, what: str) -> None:
        """Raise UserError where a sequence is wrong; what: the words behind its name."""
        if len(rows := np.flatnonzero(wrong)):
            more = f" ({counted(len(rows), 'sequence')} so)" if len(rows) > 1 else ""
            raise UserError(
                f"{path}: {name} of {file.ids[int(rows[0])].as_py()!r} {what(rows[0])}{more}"
            )

    refuse(pc.is_null(column).to_numpy(), lambda row: "is empty")
    try:
        own = column.cast(pa.list_(pa.float32()), safe=False).combine_chunks()
    except pa.ArrowException:
        raise UserError(f"{path}: {name} is {column.type}, not lists of numbers") from None
    values, lengths = matrix(own, np.float32)
    refuse(
        lengths != file.lengths,
        lambda row: (
            f"has {lengths[row]:,} numbers, and the sequence {file.lengths[row]:,} tokens, special"
            " ones included: give one for each"
        ),
    )
    refuse(~np.isfinite(values).all(1), lambda row: "has a number that is missing, NaN or infinite")
    return values
