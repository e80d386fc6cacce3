"""What a user asks for: which files, regions of sequences, classes in place of the predicted ones."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from whatyouread.data.bed import LARGEST, read_bed
from whatyouread.data.intervals import union
from whatyouread.data.levels import Level
from whatyouread.support.cli import UserError
from whatyouread.support.text import named


@dataclass(frozen=True)
class Request:
    """What the command line of `explain_sequences` asks for; see its help."""

    model: str
    fasta: list[str]
    output_dir: Path
    sample: str | None = None
    classifier: Path | None = None
    regions: list[str] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    annotation: Path | None = None
    strands: str = "merged"
    offsets: int = 1
    window: int | None = None
    overlap: float = 0.5
    gap: int = 10
    longer: str = "window"
    permutations: int = 1000
    seed: int = 42
    batch_size: int = 64
    precision: str = "fp32"
    device: str | None = None
    threads: int = 1
    work_dir: Path | None = None
    restart: bool = False


TO_THE_END = np.iinfo(np.int64).max


def read_regions(given: Iterable[str]) -> dict[str, np.ndarray]:
    """Regions by the names of their sequences, int64 (k, 2), 0-based, half-open, merged, in order.

    given: each a file in BED, or `NAME:START-END`, 1-based with both ends, as samtools has it; `NAME:START`
    reaches to the end of the sequence, here `TO_THE_END`. Raises UserError for anything else.
    """
    found: dict[str, list[tuple[int, int]]] = {}
    for text in given:
        is_file = Path(text).is_file()
        lines = [line[1:4] for line in read_bed(Path(text))] if is_file else [_region(text)]
        for name, start, stop in lines:
            found.setdefault(name, []).append((start, stop))
    return {
        name: np.stack(union(*np.array(own, np.int64).T), axis=1) for name, own in found.items()
    }


def _region(text: str) -> tuple[str, int, int]:
    match = re.fullmatch(r"(.+):([\d,]+)(?:-([\d,]+))?", text)
    numbers = [
        int(part.replace(",", "") or 0) for part in (match.groups()[1:] if match else ()) if part
    ]
    if not match or numbers[0] < 1 or (len(numbers) > 1 and numbers[1] < numbers[0]):
        raise UserError(
            f"--regions: {text!r} is neither a file in BED nor a region like chr1:1001-2000 (the first"
            " and the last base, counted from 1)"
        )
    start, *stop = (min(number, LARGEST) for number in numbers)
    return match[1], start - 1, stop[0] if stop else TO_THE_END


def asked_classes(given: Sequence[str], levels: Sequence[Level]) -> np.ndarray:
    """For each level the number of the class that is asked for, -1 where none is; int64 (levels,).

    given: `LEVEL=CLASS`, or `CLASS` alone where one level has it; a class by its name or by what tells
    it apart, such as its taxid. Raises UserError for a class that is not there, and for two of a level.
    """
    asked = np.full(len(levels), -1, np.int64)
    for text in given:
        wanted, found = [(None, text)], []
        if "=" in text:
            wanted.append(tuple(text.split("=", 1)))
        for name, called in wanted:
            for i, level in enumerate(levels):
                if name in (None, level.name):
                    found += [(i, n) for n in _numbers(level, called)]
        if len(found) != 1:
            raise UserError(f"--classes: {_complaint(text, found, levels)}")
        place, number = found[0]
        if asked[place] not in (-1, number):
            raise UserError(f"--classes: two classes of the level {levels[place].name}: give one")
        asked[place] = number
    return asked


def _numbers(level: Level, called: str) -> list[int]:
    return [
        n for n, words in enumerate(zip(level.names, level.paths, strict=True)) if called in words
    ]


def _complaint(text: str, found: list, levels: Sequence[Level]) -> str:
    if found:
        where = ", ".join(f"{levels[i].name}={levels[i].paths[n]}" for i, n in found)
        return f"{text!r} is the name of several classes: give one of {where}"
    known = "; ".join(f"{level.name}: {named(level.names, 5)}" for level in levels)
    return f"the model has no class {text!r}; it has {known}"
