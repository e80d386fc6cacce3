"""Read the sequences of a dataset as a stream of numpy batches.

Three layouts, in everything that `archives.members` opens (a zip, a folder, packed or plain files):
multi-FASTA (each file that begins with ">", under any name), the "fragments" layout, `X_fragments.json` (a
JSON list of sequences) beside `X_species_picked.txt` (a word per line, in the same order; a record's header
is its word and its index), and tables with a column `text` (`record_tables`: TSV, CSV, JSONL). What a
header or a field means is up to the label source, what a valid sequence is to `normalisation`. Whole
blocks of FASTA are parsed at once: 5 million sequences take half a minute.
"""

import re
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.data import archives, record_tables
from whatyouread.data.intervals import ranges
from whatyouread.data.normalisation import (
    PROTEIN,
    TEXT,
    WINDOWS,
    Settings,
    normalised,
    number_like_dna,
    refuse_other_alphabet,
)
from whatyouread.data.packing import BYTE_ORDER_MARK, WIDE_MARKS
from whatyouread.support.cli import UserError, log
from whatyouread.support.text import alike_until, decoded, first_line, named

FASTA_ENDINGS = (".fa", ".fasta", ".fna", ".fas", ".ffn", ".fsa", ".frn", ".mfa")
FRAGMENTS, PICKED = "_fragments.json", "_species_picked.txt"
_NEWLINE, _HEADER, _QUOTE, _SPACE, _TAB = b'\n>" \t'


class SequenceBatch(NamedTuple):
    """Consecutive records of one member of the dataset.

    source: name of the member. first: index of the first record within the member.
    headers: strings (n,), the text after ">": UTF-8, or Latin-1 where its bytes are no UTF-8.
    bases: uint8 (total length,), the text of all sequences back to back, see `normalisation.normalised`.
    offsets: int64 (n + 1,); sequence i is `bases[offsets[i]:offsets[i + 1]]`.
    lines: int64 (n,), the line of each header, from 1.
    listed_in: the member that holds the headers where it is another one, as in the fragments layout.
    windows: whether the lines end as on Windows.
    fields: what a table says of the records beside their text, a column of strings for each field, missing
    where a record lacks it; None where the member is no table.
    findings: what was found, bool (n,) by quantity, see `normalisation.normalised`.
    """

    source: str
    first: int
    headers: pa.StringArray
    bases: np.ndarray
    offsets: np.ndarray
    lines: np.ndarray
    listed_in: str = ""
    windows: bool = False
    findings: Mapping[str, np.ndarray] = MappingProxyType({})
    fields: pa.Table | None = None

    def header_text(self) -> tuple[np.ndarray, np.ndarray]:
        """The headers back to back, uint8 (total length,), and their offsets, int64 (n + 1,)."""
        _, offsets, text = self.headers.buffers()
        offsets = np.frombuffer(offsets, np.int32)[self.headers.offset :][: len(self.headers) + 1]
        text = np.frombuffer(text or b"", np.uint8)[offsets[0] : offsets[-1]]
        return text, offsets.astype(np.int64) - offsets[0]

    def whole_headers(self) -> pa.StringArray:
        """The headers as they are in the file: without the place that a window has after its own."""
        windows = [self.findings[name] for name in WINDOWS if name in self.findings]
        if not any(flags.any() for flags in windows):
            return self.headers
        cut = pc.replace_substring_regex(self.headers, r" [0-9]+-[0-9]+$", "")
        return pc.if_else(pa.array(np.logical_or.reduce(windows)), cut, self.headers)

    def error(self, row: int, problem: str) -> UserError:
        """What to raise where the header of a record is wrong: the file, the line, the record."""
        header, line = self.headers[row].as_py(), self.lines[row]
        if self.listed_in:
            word = header.rpartition(" ")[0]
            return UserError(
                f"{self.listed_in}, line {line}: {first_line(word.encode())}: {problem}"
            )
        return UserError(
            f"{self.source}, line {line}: {problem}, record {first_line(b'>' + header.encode())}"
        )


def read_sequences(
    path: Path,
    block_bytes: int = 16 << 20,
    settings: Settings | None = None,
    skipped: list[str] | None = None,
) -> Iterator[SequenceBatch]:
    """Yield every record of the dataset at `path`, members in the order of their names.

    A batch holds the records that end within one block of `block_bytes`, at least one. A sequence that
    is not used has length 0. Names of files that hold no sequences are appended to `skipped`. Raises
    `UserError` for a broken file, with the member's name and the place, for a file whose characters are
    mostly no bases, and for a dataset without records.
    """
    settings = Settings() if settings is None else settings
    skipped = [] if skipped is None else skipped
    records = 0
    for source, batches in _readers(Path(path), block_bytes, skipped, settings):
        first = characters = strange = like_dna = 0
        for headers, *parts in batches:
            raw = SequenceBatch(source, first, headers, *parts[:5])
            if len(parts) > 5:
                raw = raw._replace(fields=parts[5])
            batch, others = normalised(raw, settings)
            first += len(batch.headers)
            characters += len(parts[0])
            strange += others
            if settings.alphabet == PROTEIN:
                like_dna += number_like_dna(parts[0])
            yield batch
        advice = "Take the file out of the dataset"
        refuse_other_alphabet(settings.alphabet, strange, like_dna, characters, source, advice)
        if not first:
            skipped.append(source)
        log.info("%s: %s sequences", source, f"{first:,}")
        records += first
    if not records:
        raise UserError(f"{path}: the dataset holds no sequence at all")
    if skipped:
        skipped.sort()
        log.warning(
            "%d files of the dataset are skipped, since they hold no sequences that can be read here"
            " (FASTA, fragments or tables with a column text): %s",
            len(skipped),
            named(skipped),
        )


def _readers(
    path: Path, block_bytes: int, skipped: list[str], settings: Settings
) -> list[tuple[str, Iterator]]:
    members = {member.name: member for member in archives.members(path, skipped)}
    fragments = [name for name in members if name.endswith(FRAGMENTS)]
    picked = {name: _picked_of(name, members) for name in fragments}
    readers = []
    for name, member in members.items():
        if name in picked:
            reader = _read_fragments(member, members[picked[name]], block_bytes)
            readers.append((name, reader))
        elif name.lower().endswith(FASTA_ENDINGS) or (
            name not in picked.values() and begins_like_fasta(member)
        ):
            readers.append((name, _read_fasta(member, block_bytes)))
        elif kind := record_tables.kind_of(member, _opened):
            letters = settings.alphabet != TEXT
            reader = record_tables.read_table(member, kind, block_bytes, letters, _opened)
            readers.append((name, ((*four, "", False, fields) for *four, fields in reader)))
        elif name not in picked.values():
            skipped.append(name)
    if not readers:
        raise UserError(
            f"{path}: no file that begins with '>' (FASTA), no *{FRAGMENTS} and no table with a column"
            " text (.tsv, .csv, .jsonl) in it,"
            f" only: {named(sorted({*members, *skipped})) or 'nothing'}"
        )
    return sorted(readers, key=lambda reader: reader[0])


def begins_like_fasta(member) -> bool:
    """Whether the first character of a member that is no white space is ">".

    Raises `UserError` for FASTA in UTF-16, as every reader of a member does.
    """
    with _opened(member) as stream:
        start = stream.read(1 << 12)
        while start and not start.strip():
            start = stream.read(1 << 12)
        return start.lstrip()[:1] == b">"


def begins_like_fragments(member, names: Container[str]) -> bool:
    """Whether a member is called like a list of fragments, and begins with one.

    names: of all members; raises `UserError` where the file that lists its records is not among them.
    """
    if not member.name.endswith(FRAGMENTS):
        return False
    with _opened(member) as stream:
        begins = re.match(rb'\s*\[\s*"', stream.read(1 << 12))
    return begins is not None and _picked_of(member.name, names) in names


def begins_like_table(member) -> bool:
    """Whether a member is called like a table and has a column of texts (`record_tables`)."""
    return record_tables.kind_of(member, _opened) is not None


def _picked_of(name: str, names: Container[str]) -> str:
    picked = name.removesuffix(FRAGMENTS) + PICKED
    if picked not in names:
        raise UserError(f"{name}: {picked}, the file that lists its records, is not there")
    return picked


@contextmanager
def _opened(member) -> Iterator:
    """The stream of a member, after its byte order mark, if it has one."""
    with member.open() as stream:
        start = stream.peek(4)[:4]
        if start.startswith(WIDE_MARKS) and b">" in start:
            raise UserError(f"{member.name}: text in UTF-16: convert it to UTF-8 or ASCII")
        if start.startswith(BYTE_ORDER_MARK):
            stream.read(len(BYTE_ORDER_MARK))
        yield stream


def _read_fasta(member, block_bytes: int) -> Iterator[tuple]:
    with _opened(member) as stream:
        yield from fasta_batches(stream, member.name, block_bytes)


def fasta_batches(stream, name: str, block_bytes: int) -> Iterator[tuple]:
    """What `SequenceBatch` has from `headers` to `windows`, of a stream of FASTA, in batches."""
    line = 1
    for chunk in _record_chunks(stream, name, block_bytes):
        yield from _parse_fasta(chunk, name, line)
        line += chunk.count(b"\n")


def _record_chunks(stream, name: str, block_bytes: int) -> Iterator[bytes]:
    """Cut a FASTA stream before the last header of each block."""
    pieces: list[bytes] = []
    begun = False
    while block := stream.read(block_bytes):
        if not begun and (text := block.lstrip(b"\r\n")):
            begun = True
            if not text.startswith(b">"):
                line = 1 + b"".join([*pieces, block[: -len(text)]]).count(b"\n")
                raise UserError(
                    f"{name}, line {line}: {first_line(text)} before the first '>': this is not FASTA"
                )
        start = block.rfind(b"\n>") + 1
        cut = start > 0 or (block[:1] == b">" and pieces and pieces[-1][-1:] == b"\n")
        if cut and len(block) == block_bytes:  # a shorter block is the last one
            yield b"".join([*pieces, block[:start]])
            pieces = [block[start:]]
        else:
            pieces.append(block)  # joined once, at the end of the record: it may take many blocks
    yield b"".join(pieces)


def _parse_fasta(chunk: bytes, name: str, line: int) -> Iterator[tuple]:
    """Yield a `SequenceBatch` of whole records from its headers on; nothing for blank lines alone."""

    def fail(position: int, problem: str):
        start = max(chunk.rfind(b"\n>", 0, position + 1) + 1, 0)
        here = line + chunk.count(b"\n", 0, position)
        raise UserError(f"{name}, line {here}: {problem}, record {first_line(chunk[start:])}")

    windows = b"\r" in chunk
    chunk = _unix_lines(chunk, name)
    text = np.frombuffer(chunk, np.uint8)
    line_stops = np.flatnonzero(text == _NEWLINE)
    line_starts = np.concatenate(([0], line_stops[:-1] + 1))[: len(line_stops)]
    header_lines = np.flatnonzero(text[line_starts] == _HEADER)
    if len(header_lines) == 0:
        return
    starts, stops = line_starts[header_lines], line_stops[header_lines]
    headers = _strings(text, starts + 1, stops)
    drop = np.concatenate((ranges(starts, stops), line_stops))
    bases = _without(text, drop)

    def refuse(bad: np.ndarray, problem: str):
        keep = _without(np.arange(len(text)), drop)
        fail(int(keep[np.argmax(bad)]), problem)

    if len(bases) and bases.max() > 127:
        refuse(bases > 127, "a byte that is not ASCII inside a sequence")
    # a header may hold more than one
    if chunk.count(b">") > len(header_lines) and (bases == _HEADER).any():
        refuse(
            bases == _HEADER,
            "a '>' inside a sequence (were files joined whose last line had no line end? begin a new"
            " line before it)",
        )
    if len(bases) and bases.min() <= _SPACE:
        refuse(bases <= _SPACE, "white space or a control character in a sequence: take it out")
    # the lines of a record after its header have a line end each
    lines = np.diff(header_lines, append=len(line_stops)) - 1
    lengths = np.append(starts[1:], len(text)) - stops - 1 - lines
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    yield headers, bases, offsets, line + header_lines, "", windows


def _read_fragments(member, picked, block_bytes: int) -> Iterator[tuple]:
    words, lines = _read_picked(picked)
    records = 0
    begin = b"["
    with _opened(member) as stream:
        for chunk, last in _string_chunks(stream, block_bytes):
            end = b"]" if last else b""
            bases, offsets = _parse_strings(chunk, begin, end, member.name, records)
            begin = b""
            first, records = records, records + len(offsets) - 1
            if records == first or records > len(words):
                continue
            index = pa.array(np.arange(first, records)).cast(pa.string())
            headers = pc.binary_join_element_wise(words[first:records], index, " ")
            yield headers, bases, offsets, lines[first:records], picked.name
    if records != len(words):
        raise UserError(
            f"{member.name} holds {records} sequences, but {picked.name} lists {len(words)}:"
            " they must be the same number, in the same order"
        )


def _string_chunks(stream, block_bytes: int) -> Iterator[tuple[bytes, bool]]:
    """Cut a JSON list of strings before the last opening quote of each block."""
    pieces: list[bytes] = []
    inside = False
    while block := stream.read(block_bytes):
        inside ^= block.count(b'"') % 2 == 1
        cut = block.rfind(b'"')
        if cut >= 0 and not inside:
            cut = block.rfind(b'"', 0, cut)
        if cut < 0:
            pieces.append(block)
            continue
        yield b"".join([*pieces, block[:cut]]), False
        pieces = [block[cut:]]
    yield b"".join(pieces), True


def _parse_strings(chunk: bytes, begin: bytes, end: bytes, name: str, first: int) -> tuple:
    """Bases and offsets of the strings of a piece of the list; `first` strings came before it."""
    text = np.frombuffer(chunk, np.uint8)
    quotes = np.flatnonzero(text == _QUOTE)
    if len(quotes) % 2:
        raise UserError(f"{name}: the file ends within sequence {first + len(quotes) // 2}")
    opens, closes = quotes[::2], quotes[1::2]
    count = len(opens)
    drop = ranges(np.append(0, closes), np.append(opens + 1, len(text)))
    bases = _without(text, drop)
    good = not len(bases) or (bases.min() > _SPACE and bases.max() < 127)
    if not good or b"\\" in chunk or b">" in chunk:
        bad = (bases <= _SPACE) | (bases >= 127) | (bases == ord("\\")) | (bases == _HEADER)
        ends = np.cumsum(closes - opens - 1)
        for place in np.flatnonzero(bad):
            record, byte = np.searchsorted(ends, place, side="right"), bytes(bases[[place]])
            raise UserError(f"{name}: {byte!r} inside sequence {first + int(record)}")
    # Without the content of its strings, a list is ["","",...,""]; pieces end before a quote.
    found = text[drop].tobytes().translate(None, b" \t\r\n")
    expected = begin + b'"",' * count
    if end:
        expected = expected.removesuffix(b",") + end
    if found != expected:
        same = alike_until(found, expected)
        rest = "the end of the file" if end else "a string"
        raise UserError(
            f"{name}: {first_line(found[same:]) if found[same:] else rest} after sequence"
            f" {first + (same - len(begin) + 1) // 3}: expected a JSON list of strings, no more"
        )
    return bases, np.append(0, np.cumsum(closes - opens - 1))


def _read_picked(picked) -> tuple[pa.StringArray, np.ndarray]:
    """The first word of every line that is not empty, and the number of that line, from 1."""
    with _opened(picked) as stream:
        text = np.frombuffer(_unix_lines(stream.read(), picked.name), np.uint8)
    line_stops = np.flatnonzero(text == _NEWLINE)
    line_starts = np.append(0, line_stops[:-1] + 1)[: len(line_stops)]
    filled = line_stops > line_starts
    starts, lines = line_starts[filled], np.flatnonzero(filled) + 1
    ends = np.flatnonzero((text == _SPACE) | (text == _TAB) | (text == _NEWLINE))
    stops = ends[np.searchsorted(ends, starts)]
    return _strings(text, starts, stops), lines


def _strings(text: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> pa.StringArray:
    """The pieces of a text, uint8, as strings: UTF-8, or Latin-1 where a piece is no UTF-8."""
    offsets = np.concatenate(([0], np.cumsum(stops - starts))).astype(np.int32)
    pieces = text[ranges(starts, stops)]
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(pieces)]
    strings = pa.StringArray.from_buffers(len(starts), *buffers[1:])
    if pieces.max(initial=0) > 127:
        try:
            strings.validate(full=True)
        except pa.ArrowInvalid:
            as_bytes = pa.BinaryArray.from_buffers(pa.binary(), len(starts), buffers)
            return pa.array(map(decoded, as_bytes.to_pylist()), pa.string())
    return strings


def _unix_lines(text: bytes, name: str) -> bytes:
    """`text` with line ends of one byte, also after the last line."""
    if b"\r" in text:
        text = text.removesuffix(b"\r").replace(b"\r\n", b"\n")
        if b"\r" in text:
            raise UserError(
                f"{name}: carriage returns that end no line (a file of classic Mac OS?):"
                " convert it to Unix line ends"
            )
    return text if text.endswith(b"\n") or not text else text + b"\n"


def _without(values: np.ndarray, drop: np.ndarray) -> np.ndarray:
    keep = np.ones(len(values), bool)
    keep[drop] = False
    return values[keep]
