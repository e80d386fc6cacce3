"""What label sources share whose labels are names: classes from the names at the levels.

Records with the same names have the same key, so that there are as many keys as different labels, and
not as many as records.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
import pyarrow as pa

from whatyouread.data import label_sets
from whatyouread.data.kinds import MULTIPLE
from whatyouread.data.label_source import GIVEN_SPLIT, GROUP, KEPT, LabelSource
from whatyouread.data.levels import ALONE
from whatyouread.data.row_lookup import RowLookup
from whatyouread.support.cli import UserError, log
from whatyouread.support.text import named

NOT_FOUND = "?"
"""The key of a record without a row."""
NO_ROW = "not in the label file"
SEPARATOR = ";"
# what other programs write for a missing label
_LIKE_NONE = {"na", "n/a", "nan", "none", "null", "-", ".", "?"}


COMBINATION = pa.field("combination", pa.string())
"""The key of records whose labels are columns or fields: the names at the levels, joined."""


@dataclass(frozen=True)
class ColumnSettings:
    """Of labels that are columns of a table or fields of records.

    hierarchy: the levels lie below each other, in the order in which they are asked for.
    split: the column or field of given splits (`given_splits`), if any. group: that of what stays in one
    split (`splitting.groups`), if any.
    multiple: the levels at which a sequence may have several labels. separator: what divides them in a
    text, blanks where it is empty.
    """

    hierarchy: bool = True
    split: str = ""
    group: str = ""
    multiple: Sequence[str] = ()
    separator: str = ""

    @property
    def carried(self) -> dict[str, str]:
        """The columns that are no labels; what the label table calls them -> what the user does."""
        both = {GIVEN_SPLIT: self.split, GROUP: self.group}
        return {key: name for key, name in both.items() if name}

    @property
    def alone(self) -> bool:
        """Whether a name alone tells the classes of a level apart."""
        return not self.hierarchy or bool(self.multiple)

    def check(self, levels: Sequence[str]) -> dict[str, str]:
        """The kinds of the levels that are not `single`. Raises UserError where they cannot be so."""
        if unknown := [level for level in self.multiple if level not in levels]:
            raise UserError(
                f"labels.multiple names {unknown[0]!r}, which is none of the ranks: {', '.join(levels)}"
            )
        if self.multiple and self.hierarchy and len(levels) > 1:
            raise UserError(
                f"labels.multiple: {self.multiple[0]} cannot lie above or below another level, since a"
                " sequence has several of its classes: set labels.hierarchy: false"
            )
        return dict.fromkeys(self.multiple, MULTIPLE.name)


class NamedLabels(LabelSource):
    """A class is told apart by the names from the top on, or, without a hierarchy, by its name alone.

    lookup: the rows of the records by their ids; None where headers hold the labels.
    """

    path = "path"
    lookup: RowLookup | None = None

    @abstractmethod
    def names(self, keys: list[str], levels: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
        """The names of keys and their problems ("" for none), (keys,).

        The frame has a column for each of the levels, and, from the top on, for all others that tell
        their classes apart; "" where there is no name. Of a level of `kinds`: its set (`label_sets`).
        """

    def carried(self, keys: list[str]) -> dict[str, list[str]]:
        """What the records of each key have in the columns of `ColumnSettings.carried`."""
        return {}

    def labels(self, keys: pa.Array, levels: Sequence[str]) -> pd.DataFrame:
        texts = keys.to_pylist()
        names, problems = self.names(texts, levels)
        problems = pd.Series(problems, dtype=object).where(
            pd.Series(texts, dtype=object) != NOT_FOUND, NO_ROW
        )
        made = pd.DataFrame({self.key.name: texts})
        for name, values in self.carried(texts).items():
            made[name] = values
        paths, ambiguous = (
            (names.where(names != ""), pd.Series("", names.index, dtype=object))
            if self.path == ALONE
            else name_paths(names)
        )
        for level in levels:
            several = level in self.kinds
            made[level] = names[level].map(label_sets.called) if several else names[level]
            made[f"{level}_{self.path}"] = paths[level]
            if several:
                own = names[level].map(label_sets.names_in).explode().dropna()
                _warn_of_names(level, own, own)
            else:
                _warn_of_names(level, names[level], paths[level])
        return made.assign(problem=problems.where(problems != "", ambiguous))

    def summary(self, table, level_rows):
        known = table[table[self.key.name] != NOT_FOUND]
        others = {GIVEN_SPLIT: "given splits", GROUP: "groups"}
        others = [said for name, said in others.items() if name in table]
        of_splits = f", of labels and {' and '.join(others)}" if others else ""
        rows = [
            (f"different {self.key.name}s", len(known), f"in the archive{of_splits}"),
            (f"{self.key.name}s", int((known["status"] == KEPT).sum()), "of kept sequences"),
            *level_rows,
        ]
        return [*rows, *(self.lookup.summary() if self.lookup else [])]

    def doubt(self):
        return self.lookup.doubt() if self.lookup else super().doubt()


def joined(names: Sequence[str]) -> str:
    """Names in one text, from which they could be told again: what divides them is escaped."""
    return SEPARATOR.join(name.replace("\\", r"\\").replace(SEPARATOR, r"\;") for name in names)


def name_paths(names: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """What tells classes of a hierarchy apart: the names from the top on; and what it cannot tell.

    names: a column per level, from the top on, "" for none. The path of a class is missing where its
    name is. Where a name above is missing, the class is the only one of that name that the other names
    fit, if there is one; if there are several, the second result, a text per row, says so.
    """
    paths, ambiguous = pd.DataFrame(index=names.index), pd.Series("", names.index, dtype=object)
    for place, level in enumerate(names.columns):
        above = names.iloc[:, : place + 1]
        number = above.groupby(list(above.columns), sort=False).ngroup().to_numpy()
        different = above.drop_duplicates().itertuples(index=False, name=None)
        different = [tuple(row) for row in different]
        whole: dict[str, list[tuple[str, ...]]] = {}
        for row in different:
            if all(row):
                whole.setdefault(row[-1], []).append(row)
        found, several = [], []
        for row in different:
            fitting = [] if all(row) or not row[-1] else whole.get(row[-1], [])
            fitting = [one for one in fitting if _fits(row, one)]
            found.append(joined(fitting[0] if len(fitting) == 1 else row) if row[-1] else None)
            several.append(f"ambiguous {level}" if len(fitting) > 1 else "")
        paths[level] = pd.array(pd.Series(found, dtype=object).to_numpy()[number], dtype=object)
        said = pd.Series(several, dtype=object).to_numpy()[number]
        ambiguous = ambiguous.where(ambiguous != "", pd.Series(said, names.index))
    return paths, ambiguous


def _fits(row: tuple[str, ...], whole: tuple[str, ...]) -> bool:
    return all(name in ("", other) for name, other in zip(row, whole, strict=True))


def _warn_of_names(level: str, names: pd.Series, paths: pd.Series) -> None:
    """Warn of names that look like missing ones, and of a level that seems to lie below no other."""
    classes = pd.DataFrame({"name": names, "path": paths}).dropna().drop_duplicates()
    if like_none := sorted(n for n in classes["name"].unique() if n.lower() in _LIKE_NONE):
        log.warning(
            "%s: classes are called %s; if that means a missing label, leave the field empty",
            level,
            named([repr(name) for name in like_none]),
        )
    shared = int(classes["name"].duplicated(keep=False).sum())
    if shared > len(classes) / 2:
        log.warning(
            "%s: %d of %d classes share their name with another one, which has other classes above"
            " it; if this level does not lie below the others, set labels.hierarchy: false",
            level,
            shared,
            len(classes),
        )
