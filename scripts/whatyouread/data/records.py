"""Read anybody's sequences as a stream of records: FASTA, FASTQ or GenBank, plain or packed.

The input is read once. A long record lies in an unnamed temporary file, so that memory does not grow with its
length. Coordinates are those of the input: every character of a sequence but white space is one base, and
what is no base is read as N.
"""

import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from whatyouread.data.archives import refuse_cut_bgzip
from whatyouread.data.intervals import runs
from whatyouread.data.normalisation import TO_UPPER, refuse_no_dna
from whatyouread.data.packing import Guarded, damage_as_user_error, decompressed
from whatyouread.data.record_formats import Feature, pieces
from whatyouread.support.cli import UserError
from whatyouread.support.text import decoded, first_line, has_controls

STANDARD_INPUT = "-"
ENOUGH = 10_000
"""Characters of a file that tell protein from DNA; the rest need not be waited for."""
KINDS = {
    "lower": "lower case (soft masking), read as upper case",
    "uracil": "U, read as T",
    "n": "N",
    "ambiguous": "codes of IUPAC for several bases (R, Y, S, W, K, M, B, D, H, V), read as N",
    "strange": "other characters (gaps, digits, letters that stand for no base), read as N",
    "blank": "white space within or after a line of a sequence, left out",
}
"""What `Record.counts` counts, in characters, with a line for the user. A lower-case n, r or u is two."""

_BASES = bytes(code if code in b"ACGTN" else ord("N") for code in TO_UPPER)
_BLANKS = b" \t\n"
_REFUSED = re.compile(rb"[^\t\n -=?-~]")  # control characters, '>', and what is not ASCII
_NAME = re.compile("[^ \t]*")
_CODES = np.arange(256, dtype=np.uint8)


def _is_one_of(letters: bytes) -> np.ndarray:
    return np.isin(_CODES, np.frombuffer(letters + letters.lower(), np.uint8))


_OF_KIND = {
    "lower": np.isin(_CODES, np.arange(ord("a"), ord("z") + 1)),
    "uracil": _is_one_of(b"U"),
    "n": _is_one_of(b"N"),
    "ambiguous": _is_one_of(b"RYSWKMBDHV"),
    "strange": ~_is_one_of(b"ACGTUNRYSWKMBDHV \t"),
    "blank": _is_one_of(b" \t"),
}
_KIND_OF_CODE = np.stack([_OF_KIND[kind] for kind in KINDS]).astype(np.int64)


class Record:
    """One sequence. It is valid until the next one is asked for: then its temporary file is closed.

    name: the header up to its first blank (space or tab), as it is: UTF-8, or Latin-1 where its bytes are no
    UTF-8. description: the rest of the header, "" for none; may hold tabs and control characters. length: in
    bases. counts: characters of each of `KINDS`. features: what GenBank's feature table says, else empty.
    """

    __slots__ = (
        "_data", "_gaps", "_keep", "_parts", "_source", "_spool", "counts", "description",
        "features", "length", "name",
    )  # fmt: skip

    def __init__(self, name: str, description: str, source: str, keep: int):
        self.name, self.description = name, description
        self.features: list[Feature] = []
        self.length = 0
        self.counts = dict.fromkeys(KINDS, 0)
        self._source, self._keep = source, keep
        self._parts: list[bytes] = []
        self._gaps: list[np.ndarray] = []
        self._data = self._spool = None

    def bases(self, start: int, stop: int) -> np.ndarray:
        """uint8 (stop - start,), only A, C, G, T, N. Raises `ValueError` outside of the record."""
        if not 0 <= start <= stop <= self.length:
            raise ValueError(f"{start}..{stop} is not within 0..{self.length}")
        if self._spool is None:
            return np.frombuffer(self._data, np.uint8)[start:stop]
        self._spool.seek(start)
        return np.frombuffer(self._spool.read(stop - start), np.uint8)

    def gaps(self) -> np.ndarray:
        """int64 (k, 2): the runs of N (of all that is read as N), 0-based and half-open, in order."""
        if self._spool is None:
            return _runs_of_n(self._data, 0)
        found = np.concatenate([np.empty((0, 2), np.int64), *self._gaps])
        # a run may cross the border of two pieces
        apart = found[1:, 0] > found[:-1, 1]
        starts = found[np.append(True, apart)[: len(found)], 0]
        return np.stack([starts, found[np.append(apart, True)[: len(found)], 1]], axis=1)

    def _add(self, text: bytes, line: int) -> None:
        """Append the text of some lines, the first of which is `line`."""
        if left := text.translate(None, b"ACGT\n"):
            self._count(text, left, line)
        bases = text.translate(_BASES, _BLANKS)
        before, self.length = self.length, self.length + len(bases)
        if self._spool is None:
            self._parts.append(bases)
            if self.length <= self._keep:
                return
            before, bases = 0, b"".join(self._parts)
            self._parts.clear()
        try:
            if self._spool is None:
                self._spool = tempfile.TemporaryFile()  # noqa: SIM115
            self._spool.write(bases)
        except OSError as error:
            raise _no_room(error, self.name) from None
        if len(gaps := _runs_of_n(bases, before)):
            self._gaps.append(gaps)

    def _count(self, text: bytes, left: bytes, line: int) -> None:
        if not left.strip(b"N"):  # a single N in a read is frequent
            self.counts["n"] += len(left)
            return
        if bad := _REFUSED.search(left):
            place = text.index(bad[0])
            if bad[0] == b">":
                problem = (
                    "a '>' inside a sequence (were files joined whose last line had no line end?"
                    " begin a new line before it)"
                )
            elif bad[0] < b" " or bad[0] == b"\x7f":
                problem = "a control character in a sequence: take it out"
            else:
                problem = "a byte that is not ASCII inside a sequence"
            here = line + text.count(b"\n", 0, place)
            raise UserError(
                f"{self._source}, line {here}: {problem}, record {first_line(self.name.encode())}"
            )
        seen = _KIND_OF_CODE @ np.bincount(np.frombuffer(left, np.uint8), minlength=256)
        for kind, number in zip(KINDS, seen.tolist(), strict=True):
            self.counts[kind] += number

    def _end(self) -> "Record":
        if self._spool is None:
            self._data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
            self._parts = []
        else:
            try:
                self._spool.flush()
            except OSError as error:
                raise _no_room(error, self.name) from None
        return self

    def _close(self) -> None:
        if self._spool is not None:
            self._spool.close()


def _no_room(error: OSError, name: str) -> UserError:
    return UserError(
        f"{tempfile.gettempdir()}: the bases of {name} cannot be kept there ({error.strerror}):"
        " make room there, or set TMPDIR to a folder with a byte for each base"
    )


def _runs_of_n(bases: bytes, offset: int) -> np.ndarray:
    if b"N" not in bases:
        return np.empty((0, 2), np.int64)
    return runs(np.frombuffer(bases, np.uint8) == ord("N")) + offset


class Meter:
    """Counts the bytes that are read of one input after the other, packed ones where they are packed."""

    def __init__(self):
        self._before, self._now = 0, None

    def begin(self, raw: Guarded) -> None:
        """Another input begins."""
        self._before, self._now = self.read, raw

    @property
    def read(self) -> int:
        """Bytes so far."""
        return self._before + (0 if self._now is None else self._now.count)


def read_records(
    source: Path | str,
    *,
    keep: int = 16 << 20,
    block_bytes: int = 1 << 20,
    meter: Meter | None = None,
) -> Iterator[Record]:
    """Yield the records of a file, or of standard input for "-", each valid until the next one.

    The file may be packed (gzip, bgzip, bzip2, xz, Zstandard); formats are known by content. keep: how
    many bases stay in memory; a longer record is kept in a temporary file in TMPDIR. block_bytes: how much
    is read at once. meter: counts what is read. A file without records is not an error. Raises `UserError`
    in one line, with the file and, if it can, the line: for a file of another format, a damaged one or one
    that is cut off; for a name that is empty, not unique or holds control characters; and for a file whose
    characters are mostly not bases, at its end or after `ENOUGH` of them.
    """
    lines: dict[str, int] = {}
    record = None
    characters = ambiguous = strange = 0

    def ended(last: bool = False) -> Record:
        nonlocal characters, ambiguous, strange
        characters += record.length
        ambiguous += record.counts["ambiguous"]
        strange += record.counts["strange"]
        # DNA with masked or missing parts has other strange characters than protein
        if last or 10 * ambiguous > characters > ENOUGH:
            refuse_no_dna(strange + ambiguous, characters, label, "Give DNA or RNA")
        return record._end()

    with opened(source, meter or Meter()) as (stream, label):
        try:
            for header, text, line, features in pieces(stream, label, block_bytes):
                if header is not None:
                    if record is not None:
                        yield ended()
                        record._close()
                    record = Record(*named_header(header, label, line, lines), label, keep)
                    record.features.extend(features)
                    line += 1
                if text:
                    record._add(text, line)
            if record is not None:
                yield ended(last=True)
        finally:
            if record is not None:
                record._close()


@contextmanager
def opened(source: Path | str, meter: Meter) -> Iterator[tuple]:
    """The stream of a file or of standard input, unpacked, and its name for messages."""
    if str(source) == STANDARD_INPUT:
        label = "standard input"
        raw = open(sys.stdin.fileno(), "rb", closefd=False)  # noqa: SIM115
    else:
        path, label = Path(source), str(source)
        if path.is_dir():
            raise UserError(f"{label} is a folder: give a file of sequences")
        if not path.exists():
            raise UserError(f"{label}: there is no such file")
        if path.is_file():  # no pipe
            with damage_as_user_error(label):
                refuse_cut_bgzip(path)
        raw = open(path, "rb")  # noqa: SIM115
    guarded = Guarded(raw, label)
    meter.begin(guarded)
    with decompressed(guarded, label) as stream:
        yield stream, label


def named_header(header: bytes, source: str, line: int, lines: dict[str, int]) -> tuple[str, str]:
    """Name and description; the name is added to `lines`, the lines of all names before it."""
    text = decoded(header)
    name = _NAME.match(text)[0]
    if not name:
        raise UserError(
            f"{source}, line {line}: a record without a name, {first_line(header)}: write one right"
            " after the mark that begins its header"
        )
    if has_controls(name):
        raise UserError(
            f"{source}, line {line}: the name {name!r:.80} holds control characters: rename it"
        )
    if (first := lines.setdefault(name, line)) != line:
        raise UserError(
            f"{source}, line {line}: the name {name} is there twice, first in line {first}: rename one"
        )
    return name, text[len(name) :].strip(" \t")
