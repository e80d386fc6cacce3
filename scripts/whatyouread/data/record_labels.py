"""Labels that are fields of the records, in tables of texts (`record_tables`: TSV, CSV, JSONL)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.data.given_splits import FILE, word_of
from whatyouread.data.label_sets import NotNames, read_sets
from whatyouread.data.label_source import GIVEN_SPLIT
from whatyouread.data.levels import ALONE
from whatyouread.data.named_labels import COMBINATION, ColumnSettings, NamedLabels, joined
from whatyouread.data.record_tables import SEVERAL
from whatyouread.support.cli import UserError

ONE_LEVEL = ("label", "labels")
"""The fields that a single level may have beside one of its own name."""
_SEVERAL = (
    "several labels at once: name the level in labels.multiple, or give one label to each record"
)


class RecordLabels(NamedLabels):
    """The field of a level is called like it; that of a single level also `label` or `labels`.

    The key is the names at the levels that are asked for, and what else is carried, joined, so that records
    of other splits or groups have other keys. An empty field is a missing label.
    Several labels at once, a list or, in `labels`, words divided by blanks, are refused but at the levels
    that `multiple` names (`label_sets.read_sets`).
    """

    Settings = ColumnSettings
    key = COMBINATION

    def __init__(self, file: Path | None, settings: ColumnSettings):
        self._settings = settings
        if settings.alone:
            self.path = ALONE
        self._carried = settings.carried
        self._names: dict[str, tuple[str, ...]] = {}

    def prepare(self, levels, batches):
        self.kinds = self._settings.check(levels)
        self._levels = list(levels)

    def keys(self, batch):
        if batch.fields is None:
            raise UserError(
                f"{batch.source}: its records have no fields, so labels.source record has no labels for"
                " them: give TSV, CSV or JSONL, or another labels.source"
            )
        columns = [self._labels(batch, level) for level in self._levels]
        columns += [_carried(batch, name, key) for key, name in self._carried.items()]
        # few different ones, of many records
        table = pa.table(columns, names=[str(i) for i in range(len(columns))])
        frame = table.to_pandas()
        numbers = frame.groupby(list(frame.columns), sort=False).ngroup().to_numpy()
        different = [tuple(row) for row in frame.drop_duplicates().itertuples(index=False)]
        keys = [joined(row) for row in different]
        self._names |= dict(zip(keys, different, strict=True))
        return pa.array(keys, pa.string()).take(pa.array(numbers))

    def names(self, keys, levels):
        rows = [self._names[key] for key in keys]
        columns = [*self._levels, *self._carried]
        return pd.DataFrame(rows, columns=columns)[list(levels)], [""] * len(keys)

    def carried(self, keys):
        first = len(self._levels)
        return {
            name: [self._names[key][place] for key in keys]
            for place, name in enumerate(self._carried, first)
        }

    def doubt(self):
        return "do the records have these fields?"

    def _labels(self, batch, level: str) -> pa.Array:
        """The names at a level, "" for none, (n,)."""
        one = len(self._levels) == 1
        fits = [level, *(ONE_LEVEL if one else ())]
        if level not in self.kinds:
            return _column(batch, fits, "ranks")
        name = _field(batch, fits, "ranks")
        try:
            return read_sets(batch.fields[name].combine_chunks(), self._settings.separator)
        except NotNames as error:
            raise batch.error(error.row, f"{name}: {error}") from None


def _carried(batch, name: str, key: str) -> pa.Array:
    """The texts of a field that is no label; of given splits also the word in the file's name, (n,)."""
    if key == GIVEN_SPLIT and name == FILE and FILE not in batch.fields.column_names:
        return pa.array([word_of(batch.source)]).take(pa.array(np.zeros(len(batch.headers), int)))
    return _column(batch, [name], key)


def _field(batch, fits: list[str], key: str) -> str:
    """The first of some fields that is there."""
    known = batch.fields.column_names
    name = next((one for one in fits if one in known), None)
    if name is None:
        raise UserError(
            f"{batch.source}: no record has a field {' or '.join(fits)} ({key}), only"
            f" {', '.join(known) or 'its text'}"
        )
    return name


def _column(batch, fits: list[str], key: str) -> pa.Array:
    """The texts of the first of some fields that is there, "" for none, (n,). key: that asks for it."""
    name = _field(batch, fits, key)
    column = pc.utf8_trim_whitespace(pc.fill_null(batch.fields[name].combine_chunks(), ""))
    lists = pc.starts_with(column, SEVERAL).to_numpy(zero_copy_only=False)
    if lists.any():
        texts = zip(column.to_pylist(), lists, strict=True)
        only = (
            _only(batch, row, name, text) if is_list else text
            for row, (text, is_list) in enumerate(texts)
        )
        column = pa.array(list(only), pa.string())
    elif name == "labels":
        words = pc.match_substring_regex(column, r"\s").to_numpy(zero_copy_only=False)
        if words.any():
            row = int(np.argmax(words))
            raise batch.error(row, f"labels is {column[row].as_py()!r}: {_SEVERAL}")
    return column


def _only(batch, row: int, name: str, text: str) -> str:
    """The one label of a list, "" for none."""
    values = json.loads(text.removeprefix(SEVERAL))
    if isinstance(values, dict) or any(isinstance(value, (list, dict)) for value in values):
        raise batch.error(row, f"{name} is no label: give a text")
    if len(values) > 1:
        raise batch.error(row, f"{name} is {values}: {_SEVERAL}")
    return str(values[0]).strip() if values else ""
