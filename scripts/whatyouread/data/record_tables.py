"""Texts with their labels in tables: TSV, CSV and JSONL, read as a stream.

TSV and CSV begin with a line that names the columns; JSONL has an object in each line. The column `text`
(or `sequence`) is the text, `id` the header (else the number of the row, from 1), all others are fields
of the record, which the label source `record` reads. CSV is quoted by the rules of CSV, so that a text may
hold line ends; TSV has no quoting: tabs and line ends divide, and all else is text.
"""

import csv
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

from whatyouread.support.cli import UserError
from whatyouread.support.text import has_controls

TSV, CSV, JSONL = "tsv", "csv", "jsonl"
KINDS = {".tsv": TSV, ".tab": TSV, ".csv": CSV, ".jsonl": JSONL, ".ndjson": JSONL}
TEXT, ID = ("text", "sequence"), "id"
SEVERAL = "\0"
"""What the value of a field begins with that is no single value: a list or an object, as JSON."""
_LONGEST_FIELD = 1 << 30
_START = 1 << 16  # bytes; the first line of a table is not longer


def kind_of(member, opened) -> str | None:
    """Of `KINDS` where the name of a member ends so and it has a column of texts; else None.

    opened: a context that gives the stream of a member, as for `read_table`.
    """
    kind = next((kind for end, kind in KINDS.items() if member.name.lower().endswith(end)), None)
    if kind is None:
        return None
    with opened(member) as stream:
        start = stream.peek(_START)[:_START].lstrip(b"\r\n\t ")
    return kind if _begins_so(start.splitlines()[0] if start else b"", kind) else None


def kind_by_content(start: bytes, name: str) -> str | None:
    """Of `KINDS` what a file is that begins with these bytes; None for no table with a column of texts.

    name: of the file; it tells a TSV from a CSV where its first line has one column.
    """
    start = start.lstrip(b"\r\n\t ")
    line = start.splitlines()[0] if start else b""
    if line.startswith(b"{"):
        return JSONL
    own = next((kind for end, kind in KINDS.items() if name.lower().endswith(end)), TSV)
    kinds = dict.fromkeys((own, TSV, CSV))
    return next((k for k in kinds if k != JSONL and _begins_so(line, k)), None)


def _begins_so(line: bytes, kind: str) -> bool:
    """Whether a first line is that of a table of this kind with a column of texts."""
    try:
        if kind == JSONL:
            # the first record may be longer than what was looked at
            return any(b'"%s"' % name.encode() in line for name in TEXT)
        names = next(_rows(io.StringIO(line.decode()), kind), [])
    except (ValueError, csv.Error):
        return False
    return _column_of_text(names) is not None


def read_table(member, kind: str, block_bytes: int, one_word: bool, opened) -> Iterator[tuple]:
    """The records of a table, in batches of at least `block_bytes` or all: what `SequenceBatch` has.

    one_word: the texts are sequences of letters: white space around them is left out, white space within
    them and what is not ASCII is refused. Raises `UserError` for a row that cannot be read, with the file
    and the line.
    """
    with opened(member) as stream, _decoded(stream, member.name) as lines:
        records = (_objects if kind == JSONL else _cells)(lines, kind, member.name)
        size, texts, headers, numbers, fields = 0, [], [], [], []
        for row, (line, text, name, values) in enumerate(records, 1):
            texts.append(_bytes(text, one_word, member.name, line))
            headers.append(_header(name, row, member.name, line))
            numbers.append(line)
            fields.append(values)
            size += len(texts[-1])
            if size >= block_bytes:
                yield _batch(texts, headers, numbers, fields)
                size, texts, headers, numbers, fields = 0, [], [], [], []
        if texts:
            yield _batch(texts, headers, numbers, fields)


def _batch(texts: list[bytes], headers: list[str], lines: list[int], fields: list[dict]) -> tuple:
    names = dict.fromkeys(name for record in fields for name in record)
    kinds = {name: [record.get(name) for record in fields] for name in names}
    table = pa.table({name: pa.array(values, pa.string()) for name, values in kinds.items()})
    offsets = np.cumsum([0, *map(len, texts)])
    bases = np.frombuffer(b"".join(texts), np.uint8)
    return pa.array(headers, pa.string()), bases, offsets, np.array(lines), table


def _cells(lines, kind: str, name: str) -> Iterator[tuple]:
    """(line, text, id, fields by name) of each row of a TSV or CSV."""
    csv.field_size_limit(_LONGEST_FIELD)
    rows = _rows(lines, kind)
    before = 0
    try:
        names = [column.strip() for column in next(rows)]
        text = _column_of_text(names)
        if twice := sorted({one for one in names if names.count(one) > 1}):
            raise UserError(f"{name}, line 1: two columns are called {twice[0]!r}: rename one")
        number = next((i for i, one in enumerate(names) if one.lower() == ID), None)
        others = [i for i in range(len(names)) if i not in (text, number)]
        before = rows.line_num
        for row in rows:
            line, before = before + 1, rows.line_num
            if not row:
                if len(names) > 1:  # an empty line is an empty text where the text is all there is
                    continue
                row = [""]
            if len(row) != len(names):
                raise UserError(
                    f"{name}, line {line}: {len(row)} columns, and the first line names {len(names)}"
                    f" ({', '.join(names)})"
                )
            header = row[number] if number is not None else None
            yield line, row[text], header, {names[i]: _value(row[i]) for i in others}
    except csv.Error as error:
        raise UserError(f"{name}, line {before + 1}: {error}: is it a {kind.upper()}?") from None


def _objects(lines, kind: str, name: str) -> Iterator[tuple]:
    """The same of each line of a JSONL."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            raise UserError(f"{name}, line {number}: this is no JSON ({error})") from None
        if not isinstance(record, dict):
            raise UserError(f'{name}, line {number}: expected an object, {{"text": …}}')
        column = next((one for one in TEXT if one in record), None)
        if column is None or not isinstance(record[column], str):
            raise UserError(f'{name}, line {number}: it has no text: expected {{"text": "…"}}')
        text, header = record.pop(column), record.pop(ID, None)
        if isinstance(header, (list, dict, float)):
            raise UserError(f"{name}, line {number}: the id is no text and no whole number")
        header = None if header is None else str(header)
        yield number, text, header, {key: _value(value) for key, value in record.items()}


def _value(value) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or isinstance(value, str):
        return (value or "").replace(SEVERAL, "") or None
    if isinstance(value, (list, dict)):
        return SEVERAL + json.dumps(value, ensure_ascii=False)
    return str(value)


def _rows(lines, kind: str):
    if kind == TSV:
        return csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
    return csv.reader(lines, strict=True)


def _column_of_text(names: list[str]) -> int | None:
    lowered = [name.strip().lower() for name in names]
    return next((lowered.index(name) for name in TEXT if name in lowered), None)


def _bytes(text: str, one_word: bool, name: str, line: int) -> bytes:
    if one_word:
        text = text.strip()
        if not text.isascii() or len(text.split()) > 1:
            what = "white space" if text.isascii() else "a letter that is not ASCII"
            raise UserError(f"{name}, line {line}: {what} inside a sequence")
    try:
        return text.encode()
    except UnicodeEncodeError:  # JSON can name half a character
        raise UserError(f"{name}, line {line}: half a character (a lone surrogate)") from None


def _header(name: str | None, row: int, source: str, line: int) -> str:
    if name is None:
        return str(row)
    if not name.strip() or has_controls(name):
        raise UserError(f"{source}, line {line}: the id {name!r} is empty or holds line ends")
    return name


@contextmanager
def _decoded(stream, name: str):
    lines = io.TextIOWrapper(stream, encoding="utf-8", newline="")
    try:
        yield lines
    except UnicodeDecodeError as error:
        raise UserError(
            f"{name}: a byte that is no UTF-8 ({error.reason}): convert the file to UTF-8"
        ) from None
    finally:
        lines.detach()
