"""Tables of text that somebody else made: TSV, CSV or Parquet, plain or packed.

All is decided by content, not by the file's ending. Values have no blanks around them; only an empty
one is missing, since a class may well be called "NA". Nothing beyond Python is needed to see the columns
of a text file, so that the workflow can name them when it plans.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from whatyouread.data.packing import BYTE_ORDER_MARK, WIDE_MARKS, open_plain
from whatyouread.support.cli import UserError
from whatyouread.support.text import first_line

if TYPE_CHECKING:
    import pyarrow as pa

_PARQUET = b"PAR1"
_LONGEST_LINE = 1 << 20


def first_fields(path: Path) -> list[str]:
    """The fields of the first line that is not empty, or the columns of a Parquet file; may be [].

    Raises UserError for a file that is no text in UTF-8.
    """
    return _Text(path).fields if not _is_parquet(path) else list(_parquet(path).schema_arrow.names)


def columns_of(path: Path) -> list[str]:
    """The columns of a table with a header, of which the first one is the id.

    Raises UserError where a column has no name, two have the same, or there is only one.
    """
    names = [name.strip() for name in first_fields(path)]
    if not names:
        raise UserError(f"{path}: the file is empty: give a table with a header")
    for place, name in enumerate(names):
        if not name:
            raise UserError(f"{path}: column {place + 1} of the header has no name")
        if name in names[:place]:
            raise UserError(f"{path}: two columns are called {name!r}: rename one")
    if len(names) < 2:
        raise UserError(
            f"{path}: one column only, {names[0][:60]!r}: give a header, and the columns with tabs or"
            " commas between"
        )
    return names


def read_columns(path: Path, places: Mapping[str, int], header: bool) -> pa.Table:
    """Some columns of a table, by their place, under the given names, all of them strings.

    header: whether the first line is one. Raises UserError for a damaged file, a row with more or
    fewer fields than the first, and for what is no text, number or truth value.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from whatyouread.support.files import parquet_errors

    if _is_parquet(path):
        with parquet_errors(path):
            table = _parquet(path).read().select(list(places.values()))
        table = pa.Table.from_arrays(
            [_text(path, *pair) for pair in zip(table.column_names, table.columns, strict=True)],
            list(places),
        )
    else:
        batches = list(read_batches(path, places))
        if not batches:
            return pa.table({name: pa.array([], pa.string()) for name in places})
        table = pa.Table.from_batches(batches).slice(int(header))
    columns = []
    for column in table.columns:
        column = pc.utf8_trim_whitespace(column)
        broken = pc.match_substring_regex(column, "[\\t\\r\\n]")
        if pc.any(broken).as_py():
            text = column.filter(broken)[0].as_py()
            raise UserError(
                f"{path}: a tab or a line end within a value, {text[:60]!r}: is a quotation mark"
                " open there?"
            )
        columns.append(column.combine_chunks())
    return pa.table(dict(zip(places, columns, strict=True)))


def read_batches(
    path: Path, places: Mapping[str, int], block_bytes: int = 16 << 20
) -> Iterator[pa.RecordBatch]:
    """Stream some columns of a text file, the first line included, as strings under the given names."""
    import pyarrow as pa
    import pyarrow.csv

    text = _Text(path)
    if not text.fields:
        return
    wrong = []

    def refuse(row) -> str:
        wrong.append(row)
        return "error"

    kinds = {f"f{place}": pa.string() for place in places.values()}
    try:
        with open_plain(path, path.name) as stream:
            reader = pyarrow.csv.open_csv(
                stream,
                read_options=pyarrow.csv.ReadOptions(
                    autogenerate_column_names=True, use_threads=False, block_size=block_bytes
                ),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=text.delimiter, invalid_row_handler=refuse
                ),
                convert_options=pyarrow.csv.ConvertOptions(
                    column_types=kinds,
                    include_columns=list(kinds),
                    null_values=[],
                    strings_can_be_null=False,
                ),
            )
            for batch in reader:
                yield pa.RecordBatch.from_arrays(batch.columns, list(places))
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        if wrong:
            row = wrong[0]
            raise UserError(
                f"{path}, row {row.number}: {row.actual_columns} fields, where the first row has"
                f" {row.expected_columns}: {first_line(row.text.encode())}"
            ) from None
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: it cannot be read as a table in UTF-8 ({reason})") from None


class _Text:
    """The first line of a text file: its fields and what divides them."""

    def __init__(self, path: Path):
        with open_plain(path, path.name) as stream:
            line = stream.readline(_LONGEST_LINE)
            if line.startswith(WIDE_MARKS):
                raise UserError(f"{path}: text in UTF-16: convert it to UTF-8")
            line = line.removeprefix(BYTE_ORDER_MARK)
            while line and not line.strip(b"\r\n"):
                line = stream.readline(_LONGEST_LINE)
        try:
            text = line.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise UserError(f"{path}: no text in UTF-8: convert it") from None
        # a name may hold a comma, and a lineage semicolons
        self.delimiter = next((one for one in "\t,;" if one in text), "\t")
        self.fields = next(csv.reader([text], delimiter=self.delimiter)) if text.strip() else []


def _is_parquet(path: Path) -> bool:
    if path.is_dir():
        raise UserError(f"{path}: a folder: give a file")
    with open(path, "rb") as stream:
        return stream.read(4) == _PARQUET


def _parquet(path: Path):
    import pyarrow.parquet as pq

    from whatyouread.support.files import parquet_errors

    with parquet_errors(path):
        return pq.ParquetFile(path)


def _text(path: Path, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column of a Parquet file as text, "" where it is missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return pc.fill_null(column.cast(pa.string()), "")
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        raise UserError(
            f"{path}: the column {name} is of type {column.type}: give one text per row"
        ) from None
