"""Splits that somebody else made: a column of the labels says where each sequence goes."""

import re

import numpy as np
import pandas as pd
import pyarrow as pa

from whatyouread.data.label_source import GIVEN_SPLIT
from whatyouread.data.labels import label_rows
from whatyouread.data.splitting import NONE, SPLITS, TEST, TRAIN, VALIDATION, Given, Settings
from whatyouread.support.cli import UserError
from whatyouread.support.text import named

WORDS = {
    **{"train": TRAIN, "test": TEST, "none": NONE, "": NONE},
    **dict.fromkeys(("validation", "val", "valid", "dev"), VALIDATION),
}
"""What a value means, in lower case."""
FILE = "file"
"""As `split.given`: the names of the files say it, where the records have no field of that name."""


def word_of(name: str) -> str:
    """The word of `WORDS` in the name of a file, such as data/swedish_train-00000.jsonl; else its stem."""
    stem = name.replace("\\", "/").rpartition("/")[2].partition(".")[0]
    found = {word for word in re.split(r"[^a-z]+", stem.lower()) if word and word in WORDS}
    return found.pop() if len(found) == 1 else stem


def given_splits(index: pa.Table, labels: pd.DataFrame, settings: Settings) -> Given | None:
    """The splits of the sequences of an index that `settings.given` names; None where it names none.

    labels: see `labels.read_labels`, with the column `label_source.GIVEN_SPLIT`. Raises `UserError` where
    it lacks that, for a value that is none of `WORDS`, or none of `settings.folds` that are given, and where
    no sequence is for training, or none for the test.
    """
    if not settings.given:
        return None
    if GIVEN_SPLIT not in labels:
        raise UserError(
            f"split.given is {settings.given!r}, and the label table has no splits: label the dataset"
            " again, from a table or from fields of the records (labels.source)"
        )
    column = f"the column {settings.given} (split.given)"
    values = labels[GIVEN_SPLIT].str.strip()
    places = _of_folds(values, settings) if settings.folds else values.str.lower().map(WORDS)
    if (wrong := places.isna()).any():
        counts = labels["sequences"][wrong].groupby(values[wrong]).sum()
        counts = counts.sort_index().sort_values(ascending=False, kind="stable")
        found = named([f"{value!r} ({number:,})" for value, number in counts.items()])
        raise UserError(
            f"{column} has values that are no splits, with their sequences: {found}; understood are"
            " train, validation (val, valid, dev), test, and none or an empty field"
        )
    split = places.to_numpy(np.int8)[label_rows(index, labels)]
    for part in (TRAIN, TEST):
        if not (split == part).any():
            raise UserError(
                f"{column} puts no sequence into the {SPLITS[part]} split: write {SPLITS[part]} for some,"
                " or leave split.given out"
            )
    return Given(settings.given, split)


def _of_folds(values: pd.Series, settings: Settings) -> pd.Series:
    """The place of each value where `settings.folds` says which are for the test and for validation."""
    places = values.str.lower().map({"": NONE, "none": NONE}).fillna(TRAIN)
    taken: dict[str, str] = {}
    for name, part in (("test", TEST), ("validation", VALIDATION)):
        for fold in map(str, settings.folds.get(name, [])):
            if fold in taken:
                raise UserError(
                    f"split.folds: {fold} is for {taken[fold]} and for {name}: leave one out"
                )
            taken[fold] = name
            if not (values == fold).any():
                raise UserError(
                    f"split.folds.{name}: the column {settings.given} (split.given) has no {fold!r}, only "
                    f"{named(sorted(map(repr, values.unique())))}"
                )
            places[values == fold] = part
    return places
