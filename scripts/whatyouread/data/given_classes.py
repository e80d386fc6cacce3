"""Labels for a classifier that is given: its classes stay as they are, and labels are looked up in them."""

import re
from collections.abc import Mapping, Sequence

import pandas as pd

from whatyouread.data import label_sets
from whatyouread.data.kinds import KINDS, SINGLE
from whatyouread.data.label_source import KEPT, LabelSource
from whatyouread.data.levels import Level
from whatyouread.support.cli import UserError, log
from whatyouread.support.text import named

UNKNOWN = "no class of the classifier"
# what transformers calls classes that nobody has named
_NUMBERED = re.compile(r"LABEL_(\d+)")


def labels_of_classifier(
    labels: pd.DataFrame, source: LabelSource, level: str, known: Level
) -> pd.DataFrame:
    """A label table (`labels.label_table`) whose classes are those of a classifier.

    A label is a class's name; where the classifier's classes are called `LABEL_0`, `LABEL_1`, also its
    number. Keys with any other label are excluded, with `UNKNOWN` as their status. Where the classifier
    names several classes at once, a label is a set of them. Raises UserError where no label is one of the
    classifier's classes, and where several labels are given of which the classifier names one.
    """
    several = level in source.kinds
    if several and known.numbers.alone:
        raise UserError(
            f"labels.multiple names {level}, and the classifier chooses one class there: leave it out"
        )
    path = f"{level}_{source.path}"
    names = {name: name for name in known.names}
    numbered = [_NUMBERED.fullmatch(name) for name in known.names]
    if all(numbered):
        names |= {match[1]: match[0] for match in numbered}
    given = labels[path if several else level].where(labels[path].notna())
    if known.numbers.alone:
        found = given.map(names)
    else:
        of_sets = given.map(label_sets.names_in if several else lambda name: [name], "ignore")
        found = of_sets.map(lambda own: _renamed(own, names), "ignore")
    strange = (labels["status"] == KEPT) & labels[path].notna() & found.isna()
    if strange.any():
        lost = labels.loc[strange, level] if not several else of_sets[strange].explode().dropna()
        others = sorted(set(lost) - names.keys())
        shown = f"{named(others)}; it knows {named(known.names)}"
        if not found.notna().any():
            raise UserError(f"no label is a class of the classifier: the labels are {shown}")
        log.warning("labels that are no class of the classifier are left out: %s", shown)
    shown = found if known.numbers.alone else found.map(label_sets.called, "ignore")
    made = labels.assign(**{path: found, level: shown.fillna("")})
    made.loc[strange, "status"] = UNKNOWN
    return made


def classes_of_classifier(
    labels: pd.DataFrame, path: str, level: str, names: Sequence[str], kind: str = SINGLE.name
) -> pd.DataFrame:
    """The class table (`data.levels`) of a classifier, with the kept sequences of each class.

    labels: see `labels_of_classifier`; path: see `label_source.LabelSource`.
    """
    kept = labels[labels["status"] == KEPT]
    own, usable = kept[level], kept["sequences"] - kept["empty"]
    if not KINDS[kind].alone:
        own = kept[f"{level}_{path}"].map(label_sets.names_in, "ignore").explode()
        usable = usable.reindex(own.index)
    numbers = usable.groupby(own).sum()
    counts = [int(numbers.get(name, 0)) for name in names]
    return class_frame(level, path, names, counts, kind)


def _renamed(own: list[str], names: Mapping[str, str]) -> str | None:
    """The text of a set by the classifier's own names; None where it does not know one."""
    return label_sets.written(names[name] for name in own) if names.keys() >= set(own) else None


def class_frame(
    level: str, path: str, names: Sequence[str], sequences: Sequence[int], kind: str = SINGLE.name
) -> pd.DataFrame:
    """A class table (`data.levels`) of one level whose classes are told apart by their names."""
    numbers = range(len(names))
    columns = {"rank": level, "class": numbers, path: names, "name": names, "sequences": sequences}
    if kind != SINGLE.name:
        columns["kind"] = kind
    return pd.DataFrame(columns)
