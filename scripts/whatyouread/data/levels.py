"""Levels, and the table of their classes.

A level is a set of classes that a sequence is sorted into: a taxonomic rank, or any other set of
labels. The class table, TSV, has one row per class. Its columns are `rank` (the level's name), `class`
(the number, from 0 within the level), one that tells the classes of a level apart, named by the label
source (NCBI: `taxid`), `name`, `sequences`, and, for levels of another kind than "single", `kind`.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from whatyouread.data.kinds import KINDS, MOST, MULTIPLE, SINGLE, Single
from whatyouread.support.cli import UserError
from whatyouread.support.files import WORDS, read_tsv

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("rank", "class", "name", "sequences", "kind")
"""The columns of every class table, whatever tells its classes apart."""
ALONE = "label"
"""The column that tells classes apart where a name alone does: the levels do not lie below each other."""
RESERVED = (
    *("problem", "sequences", "empty", "status"),
    *("source", "header", "length", "hash", "split", "explainer", "together"),
    *("id", "key", "tokens", "starts", "ends"),
    *("condition", "classes", "control", "metric", "epoch", *WORDS),
    *("combined", "wrong", "runner_up"),
)
"""Columns of the tables that also have one per level."""


def check_names(names: Sequence[str]) -> None:
    """Raise `UserError` for a level that is named twice, or like a column of the tables of labels.

    Names that differ in case alone are the same: some file systems do not tell them apart.
    """
    folded = [name.casefold() for name in names]
    for place, name in enumerate(names):
        if folded[place] in folded[:place]:
            raise UserError(f"the level {name} is named twice: {', '.join(names)}")
        if name in RESERVED or not name.strip():
            raise UserError(f"a level cannot be called {name!r}: a column of the tables is")


class Level(NamedTuple):
    """A level and its classes, by number.

    path: the column that tells the classes apart ("taxid"). paths: its values, as text. names: of the
    classes, for people; a name alone may be that of a class of another level, too. kind: of `kinds.KINDS`.
    """

    name: str
    path: str
    paths: tuple[str, ...]
    names: tuple[str, ...]
    kind: str = "single"

    @property
    def numbers(self) -> Single:
        """What the number of a sequence means at this level."""
        return KINDS[self.kind]

    def called(self, number: int) -> str:
        """The name of the answer with a number, such as that of a set; the number is not missing."""
        return self.numbers.called(number, self.names)


def check_number(level: str, kind: str, classes: int) -> None:
    """Raise `UserError` where a level has more classes than its kind can hold."""
    if KINDS[kind] is MULTIPLE and classes > MOST:
        raise UserError(
            f"the level {level} has {classes} classes, and one of the kind multiple (labels.multiple) holds"
            f" {MOST} at most: join classes, leave rare ones out, or divide them among several levels"
        )


def read_levels(path: str | Path) -> dict[str, Level]:
    """The levels of a class table by their names, in its order.

    Raises UserError where the table is missing or damaged.
    """
    column, rows = _read(path)
    by_level: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_level.setdefault(row["rank"], []).append(row)
    levels = {}
    for name, classes in by_level.items():
        if [row["class"] for row in classes] != [str(number) for number in range(len(classes))]:
            raise UserError(f"{path}: the classes of {name} are not numbered 0, 1, 2, ...")
        kinds = {row.get("kind", SINGLE.name) for row in classes}
        if len(kinds) > 1 or not kinds <= set(KINDS):
            raise UserError(
                f"{path}: the kind of {name} is {', '.join(sorted(kinds))}, not one of {', '.join(KINDS)}"
            )
        kind = kinds.pop()
        check_number(name, kind, len(classes))
        paths, names = zip(*((row[column], row["name"]) for row in classes), strict=True)
        levels[name] = Level(name, column, paths, names, kind)
    return levels


def choose_levels(path: str | Path, names: Sequence[str]) -> list[Level]:
    """Some levels of a class table, in the given order. Raises UserError for one that is not there.

    Nor may one be named twice.
    """
    check_names(names)
    levels = read_levels(path)
    for name in names:
        if name not in levels:
            raise UserError(f"{path} has no classes of the level {name}")
    return [levels[name] for name in names]


def levels_of(path: str | Path, counts: Mapping[str, int]) -> list[Level]:
    """The levels of a classifier, by its number of classes of each. Raises UserError for another table."""
    levels = choose_levels(path, list(counts))
    for level in levels:
        if len(level.names) != counts[level.name]:
            raise UserError(
                f"{path} has {len(level.names)} classes of the level {level.name}, and the classifier "
                f"{counts[level.name]}: it is the table of another classifier"
            )
    return levels


def class_counts(path: str | Path) -> dict[str, int]:
    """Level -> its number of classes, in the order of the table."""
    return {name: len(level.names) for name, level in read_levels(path).items()}


def class_names(path: str | Path, levels: Sequence[str]) -> dict[str, list[str]]:
    """Level -> the names of its classes by number. Raises UserError for a level that is not there."""
    return {level.name: list(level.names) for level in choose_levels(path, levels)}


def read_classes(path: str | Path) -> pd.DataFrame:
    """The class table as a frame, for tables that name classes; raises what `read_levels` raises."""
    read_levels(path)
    return read_tsv(path)


def _read(path: str | Path) -> tuple[str, list[dict[str, str]]]:
    """The column that tells classes apart, and the rows of a class table."""
    try:
        with open(path, encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream, delimiter="\t", strict=True)
            rows = list(reader)
            columns = reader.fieldnames or []
    except FileNotFoundError:
        raise UserError(f"{path} is not there") from None
    except (csv.Error, ValueError) as error:
        raise UserError(f"{path} is not a table of classes: {error}") from None
    others = [column for column in columns if column not in COLUMNS]
    if not {"rank", "class", "name"} <= set(columns) or len(others) != 1:
        raise UserError(f"{path} is not a table of classes: its columns are {', '.join(columns)}")
    if any(None in row or None in row.values() for row in rows):
        raise UserError(
            f"{path} is not a table of classes: a row is longer or shorter than the first"
        )
    return others[0], rows
