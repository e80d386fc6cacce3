"""FASTA, FASTQ and GenBank as pieces of text, known by content, in blocks of bytes.

Nothing here knows what a base is; `records` makes records of the pieces. Memory does not grow with the
length of a sequence, but a GenBank record is parsed whole.
"""

import io
import re
import warnings
from collections.abc import Iterator
from itertools import chain
from typing import NamedTuple

from whatyouread.data.archives import ZIP_MAGIC, is_tar, refuse_unsupported
from whatyouread.data.packing import BYTE_ORDER_MARK, WIDE_MARKS
from whatyouread.support.cli import UserError, log
from whatyouread.support.text import decoded, first_line

START = 1 << 12  # bytes; enough to tell the formats apart
TAR_HEADER = 512
LONGEST_HEADER = 1 << 20  # bytes
_BLANKS = b" \t"
_COMMENT = re.compile(rb"^;[^\n]*", re.MULTILINE)
_LINE_END = re.compile(rb"\r+\n?|\n")
_ALIGNED = re.compile(rb"@(HD|SQ|RG|PG|CO)\t|BAM\x01|CRAM")
_WIDE = re.compile(rb"\0[ -~]\0[ -~]|[ -~]\0[ -~]\0")
_LOCUS = re.compile(rb"^LOCUS[ \t]", re.MULTILINE)
_LENGTH = re.compile(rb"^LOCUS[^\n]*[ \t](\d+) (?:bp|rc)\b", re.MULTILINE)
_VERSION = re.compile(rb"^VERSION[ \t]+([^\s.]\S*)", re.MULTILINE)
_ENTRY_END = re.compile(rb"^//[ \t]*\n", re.MULTILINE)


class Feature(NamedTuple):
    """A span of a feature of GenBank; one that is joined of several spans gives as many.

    type: as in the feature table (CDS, gene, tRNA). start, end: 0-based, half-open. strand: "+", "-", or "."
    for none. name: its gene, else its locus tag, else its label, else "". product: "" for none.
    """

    type: str
    start: int
    end: int
    strand: str
    name: str
    product: str


class Piece(NamedTuple):
    """A piece of the text of a sequence, perhaps with line ends.

    header: what begins a new record, without the mark in front; None where the last one goes on. line: of the
    header if there is one, from 1, and then `text` begins on the next line; else the first one of `text`.
    """

    header: bytes | None
    text: bytes
    line: int
    features: tuple[Feature, ...] = ()


def pieces(stream, name: str, block_bytes: int) -> Iterator[Piece]:
    """The pieces of what `stream` holds, plain text, from its current position to its end.

    Yields nothing for blank lines alone. Raises `UserError` with `name` and the line for what is none of
    the formats, and for a file that ends within a record of FASTQ or GenBank.
    """
    start = stream.read(START)
    refuse_others(start, name)
    start = start.removeprefix(BYTE_ORDER_MARK)
    blocks = _unix_blocks(_cut(start, stream, block_bytes), name)
    first, start = [], b""
    for block in blocks:
        first.append(block)
        start += block
        if len(start.lstrip()) >= START // 2:
            break
    text = start.lstrip()
    if text[:1] in (b">", b";"):
        reader = _fasta
    elif text[:1] == b"@":
        reader = _fastq
    elif _LOCUS.search(text):
        reader = _genbank
    elif text:
        line = 1 + start[: -len(text)].count(b"\n")
        raise UserError(
            f"{name}, line {line}: {first_line(text)}: neither FASTA, FASTQ nor GenBank"
        )
    else:
        return
    yield from reader(chain(first, blocks), name)


def refuse_others(start: bytes, name: str) -> None:
    """Raise UserError where a file begins like an archive, wide text, or aligned reads."""
    refuse_unsupported(start, name)
    if start.startswith(ZIP_MAGIC) or is_tar(start[:TAR_HEADER]):
        raise UserError(f"{name}: an archive of files: unpack it and give the files in it")
    if start.startswith(WIDE_MARKS) or _WIDE.match(start):
        raise UserError(f"{name}: text in UTF-16: convert it to UTF-8 or ASCII")
    if _ALIGNED.match(start):
        raise UserError(f"{name}: this is SAM, BAM or CRAM: convert it by `samtools fastq`")


def _cut(start: bytes, stream, block_bytes: int) -> Iterator[bytes]:
    """Blocks of a stream of which `start` is already read."""
    for at in range(0, len(start), block_bytes):
        yield start[at : at + block_bytes]
    while block := stream.read(block_bytes):
        yield block


def _unix_blocks(blocks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """Blocks of text with line ends of one byte, also after the last line.

    The first line end of a file tells whether it is one of classic Mac OS, where "\\r" ends a line.
    """
    mac = None
    held, last, line = b"", b"\n", 1
    for block in blocks:
        whole = held + block
        block = whole.rstrip(b"\r") if whole.endswith(b"\r") else whole
        held = whole[len(block) :]
        if mac is None and (end := _LINE_END.search(block)):
            mac = not end[0].endswith(b"\n")
        block = _unix_ends(block, mac, name, line)
        if block:
            line += block.count(b"\n")
            last = block[-1:]
            yield block
    if last != b"\n":
        yield b"\n"


def _unix_ends(block: bytes, mac: bool | None, name: str, line: int) -> bytes:
    if b"\r" not in block:
        stray = block.find(b"\n") if mac else -1
    elif mac:
        stray = block.find(b"\n")
        block = block.replace(b"\r", b"\n")
    else:
        while b"\r\n" in block:
            block = block.replace(b"\r\n", b"\n")
        stray = block.find(b"\r")
    if stray >= 0:
        line += block.count(b"\n", 0, stray)
        raise UserError(
            f"{name}, line {line}: carriage returns that end no line beside line ends:"
            " convert the file to Unix line ends"
        )
    return block


def _fasta(blocks: Iterator[bytes], name: str) -> Iterator[Piece]:
    carry, line = b"", 1
    begun = middle = False  # a record; within a line of a sequence
    for block in blocks:
        if middle:
            text, end, block = block.partition(b"\n")
            if begun:
                yield Piece(None, text, line)
            else:
                _refuse_before(text, name, line)
            middle, line = not end, line + len(end)
        text = carry + block
        last = text.rfind(b"\n") + 1
        carry = text[last:]
        if carry[:1] in (b">", b";"):
            text = text[:last]
            _refuse_long(carry, name, line + text.count(b"\n"))
        else:
            middle, carry = middle or carry != b"", b""
        ends = text.count(b"\n")
        if text.startswith(b";") or b"\n;" in text:
            text = _COMMENT.sub(b"", text)  # its line end stays, for the line numbers
        first, *records = (b"\n" + text).split(b"\n>")
        if begun:
            yield Piece(None, first[1:], line)
        else:
            _refuse_before(first[1:], name, line)
        header_line = line + first.count(b"\n")
        for record in records:
            header, _, sequence = record.partition(b"\n")
            yield Piece(header, sequence, header_line)
            header_line += 1 + record.count(b"\n")
            begun = True
        line += ends


def _refuse_before(text: bytes, name: str, line: int) -> None:
    if stray := text.lstrip():
        line += text[: -len(stray)].count(b"\n")
        raise UserError(
            f"{name}, line {line}: {first_line(stray)} before the first '>': this is not FASTA"
        )


def _fastq(blocks: Iterator[bytes], name: str) -> Iterator[Piece]:
    """Records of four lines, or of more where sequence and qualities are wrapped."""
    inside = ""  # the sequence or the qualities
    fresh = middle = False  # a header without its piece; within a line of a sequence
    carry = header = b""
    begun = letters = qualities = 0
    line = 1

    def fail(problem: str):
        where = f", record {first_line(header)}" if header else ""
        raise UserError(f"{name}, line {line}: {problem}{where}: get the file again")

    for block in blocks:
        lines = (carry + block).split(b"\n")
        carry = b""
        for ahead, text in zip(range(len(lines) - 1, -1, -1), lines, strict=True):
            ended = ahead > 0  # the last one is a part of a line
            if not (ended or text):
                break
            marked = inside == "sequence" and not middle and text[:1] == b"+"
            if not ended and (marked or not inside):
                _refuse_long(text, name, line)
                carry = text
                break
            if marked:
                if fresh:
                    yield Piece(header, b"", begun)
                if text[1:].strip() not in (b"", header.strip(), *header.split()[:1]):
                    fail(f"{first_line(text)} is not the header again")
                inside = "qualities"
            elif inside == "sequence":
                yield Piece(header, text, begun) if fresh else Piece(None, text, line)
                letters += len(text.translate(None, _BLANKS))
                fresh, middle = False, not ended
            elif inside:
                qualities += len(text.translate(None, _BLANKS))
                if qualities > letters:
                    fail(f"{letters} bases, but more qualities")
            elif text[:1] == b"@":
                header, begun, letters, qualities = text[1:], line, 0, 0
                inside, fresh = "sequence", True
            elif text.strip():
                fail(f"{first_line(text)} where a record should begin with '@'")
            if ended:
                line += 1
                if inside == "qualities" and qualities == letters:
                    inside = ""
    if inside == "qualities":
        fail(f"the file ends after {qualities} of {letters} qualities")
    elif inside:
        fail("the file ends before the '+' and the qualities")


def _refuse_long(header: bytes, name: str, line: int) -> None:
    if len(header) > LONGEST_HEADER:
        raise UserError(
            f"{name}, line {line}: a header of more than {LONGEST_HEADER:,} bytes,"
            f" {first_line(header)}: is the line end after it lost?"
        )


def _genbank(blocks: Iterator[bytes], name: str) -> Iterator[Piece]:
    held: list[bytes] = []
    carry, line = b"", 1
    for block in blocks:
        text = carry + block
        last = text.rfind(b"\n") + 1
        text, carry = text[:last], text[last:]
        while end := _ENTRY_END.search(text):
            entry = b"".join([*held, text[: end.end()]])
            held, text = [], text[end.end() :]
            yield from _entry(entry, name, line)
            line += entry.count(b"\n")
        held.append(text)
    rest = b"".join(held)
    if stray := rest.lstrip():
        line += rest[: -len(stray)].count(b"\n")
        raise UserError(
            f"{name}: the file ends within the record that begins in line {line}, before its '//':"
            " get it again"
        )


def _entry(entry: bytes, name: str, line: int) -> Iterator[Piece]:
    """A record of GenBank. Its lower case is the format's own, and becomes upper case here."""
    start = _LOCUS.search(entry)
    line += entry.count(b"\n", 0, start.start() if start else 0)
    entry = entry[start.start() :] if start else entry
    where = f"{name}, line {line}"
    try:
        from Bio import SeqIO
    except ImportError:
        raise UserError(
            f"{name}: GenBank is read by biopython, which is not there: pip install biopython"
        ) from None
    with warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always")
        try:
            record = SeqIO.read(io.StringIO(decoded(entry)), "genbank")
        except Exception as error:  # the parser has no kind of its own
            said = " ".join(str(error).split())[:200] or type(error).__name__
            raise UserError(
                f"{where}: not a record of GenBank that can be read ({said}): get it again"
            ) from None
    if record.annotations.get("molecule_type", "").lower() == "protein":
        raise UserError(f"{where}: {record.name} is protein: give DNA or RNA")
    if record.seq is None or not record.seq.defined:
        raise UserError(
            f"{where}: {record.name} holds no sequence (only the CONTIG line?): get the full record,"
            " `gbwithparts` at NCBI"
        )
    stated = _LENGTH.search(entry)
    if stated and int(stated[1]) != len(record.seq):  # a line lost: all coordinates would shift
        raise UserError(
            f"{where}: {record.name} has {len(record.seq)} bases, but its LOCUS line says"
            f" {int(stated[1])}: get it again, or correct that line"
        )
    for doubt in dict.fromkeys(" ".join(str(doubt.message).split()) for doubt in doubts):
        log.warning("%s: %s", where, doubt[:300])
    version = _VERSION.search(entry)
    header = version[1] if version else record.name.encode()
    description = "" if record.description.startswith("<unknown") else record.description
    yield Piece(header + b" " + description.encode(), b"", line, _features(record, where))
    line += 1 + entry.count(b"\n", 0, entry.rfind(b"\nORIGIN") + 1)
    yield Piece(None, bytes(record.seq).upper(), line)


def _features(record, where: str) -> tuple[Feature, ...]:
    """All spans on the record itself, in the order of the table and within a feature by place."""
    made, left_out = [], 0
    length = len(record.seq)
    for feature in record.features:
        found = []
        for part in getattr(feature.location, "parts", ()):
            try:
                start, end = int(part.start), int(part.end)
            except TypeError:  # an unknown position
                continue
            if part.ref is None and 0 <= start <= end <= length:
                found.append((start, end, {1: "+", -1: "-"}.get(part.strand, ".")))
        left_out += not found or len(found) < len(feature.location.parts)
        values = feature.qualifiers
        name = next((values[key][0] for key in ("gene", "locus_tag", "label") if key in values), "")
        product = values.get("product", [""])[0]
        name, product = (" ".join(text.split()) for text in (name, product))
        made += [Feature(feature.type, *span, name, product) for span in sorted(found)]
    if left_out:
        log.warning(
            "%s: spans of %d features are left out: on another record, or outside of this one",
            where,
            left_out,
        )
    return tuple(made)
