"""Labels for a classifier that is given: its classes stay as they are, and labels are looked up in them."""

import re
from collections.abc import Sequence

import pandas as pd

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
    number. Keys with any other label are excluded, with `UNKNOWN` as their status. Raises UserError
    where no label is one of the classifier's classes.
    """
    path = f"{level}_{source.path}"
    names = {name: name for name in known.names}
    numbered = [_NUMBERED.fullmatch(name) for name in known.names]
    if all(numbered):
        names |= {match[1]: match[0] for match in numbered}
    found = labels[level].where(labels[path].notna()).map(names)
    strange = (labels["status"] == KEPT) & labels[path].notna() & found.isna()
    if strange.any():
        others = sorted(labels.loc[strange, level].unique())
        shown = f"{named(others)}; it knows {named(known.names)}"
        if not found.notna().any():
            raise UserError(f"no label is a class of the classifier: the labels are {shown}")
        log.warning("labels that are no class of the classifier are left out: %s", shown)
    made = labels.assign(**{path: found, level: found.fillna("")})
    made.loc[strange, "status"] = UNKNOWN
    return made


def classes_of_classifier(
    labels: pd.DataFrame, path: str, level: str, names: Sequence[str]
) -> pd.DataFrame:
    """The class table (`data.levels`) of a classifier, with the kept sequences of each class.

    labels: see `labels_of_classifier`; path: see `label_source.LabelSource`.
    """
    kept = labels[labels["status"] == KEPT]
    numbers = (kept["sequences"] - kept["empty"]).groupby(kept[level]).sum()
    return class_frame(level, path, names, [int(numbers.get(name, 0)) for name in names])


def class_frame(
    level: str, path: str, names: Sequence[str], sequences: Sequence[int]
) -> pd.DataFrame:
    """A class table (`data.levels`) of one level whose classes are told apart by their names."""
    numbers = range(len(names))
    columns = {"rank": level, "class": numbers, path: names, "name": names, "sequences": sequences}
    return pd.DataFrame(columns)
