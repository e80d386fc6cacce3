"""Read anybody's proteins and texts as records of tokens: FASTA, TSV, CSV or JSONL, plain or packed.

Formats are known by content. What a valid sequence is says `data.normalisation`, as in training; what a
training leaves out has no tokens here, and is counted.
"""

import io
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import numpy as np

from whatyouread.data.archives import Member
from whatyouread.data.normalisation import (
    PROTEIN,
    TEXT,
    Settings,
    normalised,
    number_like_dna,
    refuse_other_alphabet,
)
from whatyouread.data.record_formats import refuse_others
from whatyouread.data.record_tables import kind_by_content, read_table
from whatyouread.data.records import ENOUGH, STANDARD_INPUT, Meter, named_header, opened
from whatyouread.data.sequences import BYTE_ORDER_MARK, SequenceBatch, fasta_batches
from whatyouread.data.tokenizer import Tokenizer
from whatyouread.explain.token_records import TOKEN, TokenRecord, letters_of
from whatyouread.support.cli import UserError
from whatyouread.support.text import first_line

UNKNOWN, LONG, TOKENS = "unknown tokens", "too long", "tokens"
"""What `TokenRecord.counts` counts beside the quantities of `normalisation`."""
_START = 1 << 16  # bytes; enough to tell the formats apart
_AT_ONCE = 1 << 18  # bytes that are tokenized at once
WHAT = {PROTEIN: "proteins", TEXT: "texts"}


class Limit(NamedTuple):
    """How many tokens a window has, without the frame, and whether longer records are cut to it."""

    room: int
    cut: bool = False


def read_token_records(
    source: str, alphabet: str, tokenizer: Tokenizer, meter: Meter, limit: Limit
) -> Iterator[TokenRecord]:
    """Yield the records of a file, or of standard input for "-".

    Raises `UserError` in one line, with the file and where it can with the line, for what is no file of
    these formats, damaged or cut, and for a file of another alphabet, such as a genome for proteins.
    """
    settings, lines = Settings(alphabet=alphabet), {}
    characters = strange = like_dna = 0
    with opened(source if source == STANDARD_INPUT else Path(source), meter) as (stream, label):
        for batch in _batches(stream, label, alphabet):
            characters += len(batch.bases)
            if alphabet == PROTEIN:
                like_dna += number_like_dna(batch.bases)
            names = _names(batch, label, lines)
            batch, others = normalised(batch, settings)
            strange += others
            # what is mostly of another kind need not be waited for
            if characters > ENOUGH:
                _check(alphabet, strange, like_dna, characters, label)
            yield from _records(batch, names, alphabet, tokenizer, limit)
        _check(alphabet, strange, like_dna, characters, label)


def _check(alphabet: str, strange: int, like_dna: int, characters: int, label: str) -> None:
    expected = "this model reads proteins"
    advice = f"Give {WHAT.get(alphabet, 'DNA')}"
    refuse_other_alphabet(alphabet, strange, like_dna, characters, label, advice, expected)


def _batches(stream, label: str, alphabet: str) -> Iterator[SequenceBatch]:
    """What a file holds, as it is there."""
    start = stream.read(_START)
    refuse_others(start, label)
    start = start.removeprefix(BYTE_ORDER_MARK)
    stream = io.BufferedReader(_Again(start, stream))
    text = start.lstrip()
    if not text:
        return
    tables = "TSV or CSV whose first line names a column text, or JSONL"
    if text[:1] in (b">", b";"):
        if alphabet == TEXT:
            raise UserError(f"{label}: this is FASTA, and the model reads texts: give a {tables}")
        made = ((*parts[:4], None) for parts in fasta_batches(stream, label, _AT_ONCE))
    elif kind := kind_by_content(start, label):
        member = Member(label, lambda: stream)
        one_word = alphabet != TEXT
        made = read_table(member, kind, _AT_ONCE, one_word, lambda _: nullcontext(stream))
    else:
        line = 1 + start[: len(start) - len(text)].count(b"\n")
        known = tables if alphabet == TEXT else f"FASTA, or a {tables}"
        what = WHAT.get(alphabet, "DNA")
        raise UserError(
            f"{label}, line {line}: {first_line(text)}: this model reads {what}: give {known}"
        )
    first = 0
    for headers, bases, offsets, numbers, fields in made:
        yield SequenceBatch(label, first, headers, bases, offsets, numbers, fields=fields)
        first += len(headers)


class _Again(io.RawIOBase):
    """A stream of which `start` is already read, from its start. A pipe cannot go back."""

    def __init__(self, start: bytes, stream):
        self._start, self._stream = start, stream

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        data = self._start[: len(buffer)] or self._stream.read(len(buffer))
        self._start = self._start[len(data) :]
        buffer[: len(data)] = data
        return len(data)


def _names(batch: SequenceBatch, label: str, lines: dict) -> list[tuple[str, str]]:
    """Name and description of each record: the id in a table, the first word of a header of FASTA."""
    headers = batch.headers.to_pylist()
    if batch.fields is not None:
        return [(header, "") for header in headers]
    places = batch.lines.tolist()
    return [
        named_header(header.encode("utf-8", "surrogateescape"), label, line, lines)
        for header, line in zip(headers, places, strict=True)
    ]


def _records(
    batch: SequenceBatch,
    names: list[tuple[str, str]],
    alphabet: str,
    tokenizer: Tokenizer,
    limit: Limit,
) -> Iterator[TokenRecord]:
    ids, ends, (starts, stops) = tokenizer.located(batch.bases, batch.offsets)
    tokens = np.empty(len(ids), TOKEN)
    tokens["id"], tokens["start"], tokens["end"] = ids, starts, np.maximum(starts, stops)
    edges = batch.offsets.tolist()
    before, after = len(tokenizer.before), len(tokenizer.after)
    text = batch.bases.tobytes()
    found = [(name, flags) for name, flags in batch.findings.items() if flags.any()]
    for row, (name, description) in enumerate(names):
        letters = letters_of(text[edges[row] : edges[row + 1]], alphabet)
        # a sequence that is not used has no tokens, whatever a tokenizer makes of nothing
        own = tokens[ends[row] + before : ends[row + 1] - after] if len(letters) else tokens[:0]
        counts = {quantity: 1 for quantity, flags in found if flags[row]}
        counts[TOKENS] = len(own)
        if tokenizer.unknown is not None:
            counts[UNKNOWN] = int((own["id"] == tokenizer.unknown).sum())
        counts[LONG] = int(len(own) > limit.room)
        room = limit.room if limit.cut else None
        yield TokenRecord(name, description, letters, own, counts, room)
