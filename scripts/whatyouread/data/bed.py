"""Files in BED: places on named sequences, 0-based and half-open."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from whatyouread.data.packing import open_plain
from whatyouread.support.cli import UserError
from whatyouread.support.text import decoded

_HEADER = re.compile(r"(track|browser)(\s|$)")
LARGEST = 10**15  # a place beyond all sequences, and far from the end of int64


class Line(NamedTuple):
    """A line: its number from 1, the sequence, first character and the one after the last, all fields."""

    number: int
    sequence: str
    start: int
    end: int
    fields: list[str]


def read_bed(path: Path, what: str = "region") -> Iterator[Line]:
    """The lines of a file in BED, packed or not, without comments and the lines for browsers.

    what: a line, for people. Raises UserError for a line that is none, and for a file without one.
    """
    found = False
    with open_plain(path, str(path)) as stream:
        for number, line in enumerate(stream, 1):
            text = decoded(line).rstrip("\r\n").removeprefix("\ufeff")
            fields = text.split("\t") if "\t" in text else text.split()
            numbers = fields[1:3]
            good = len(numbers) == 2 and all(re.fullmatch("[0-9]+", part) for part in numbers)
            # a sequence may be called "track1", or "track"
            if not text.strip() or text[0] == "#" or (not good and _HEADER.match(text)):
                continue
            start, stop = (min(int(part), LARGEST) for part in numbers) if good else (0, 0)
            if start >= stop:
                raise UserError(
                    f"{path}, line {number}: not a line of BED (name, start from 0, end above it,"
                    f" with tabs between): {text[:60]!r}"
                )
            found = True
            yield Line(number, fields[0], start, stop, fields)
    if not found:
        raise UserError(f"{path}: no {what} in it: give a file in BED")
