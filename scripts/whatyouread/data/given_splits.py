"""Splits that somebody else made: a column of the labels says where each sequence goes."""

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


def given_splits(index: pa.Table, labels: pd.DataFrame, settings: Settings) -> Given | None:
    """The splits of the sequences of an index that `settings.given` names; None where it names none.

    labels: see `labels.read_labels`, with the column `label_source.GIVEN_SPLIT`. Raises `UserError` where
    it lacks that, for a value that is none of `WORDS`, and where no sequence is for training, or none for
    the test.
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
    places = values.str.lower().map(WORDS)
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
