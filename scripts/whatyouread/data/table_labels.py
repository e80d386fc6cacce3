"""Labels from a table by sequence id, whose header names the levels."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.data.label_files import columns_of, read_columns
from whatyouread.data.label_sets import NotNames, read_sets
from whatyouread.data.levels import ALONE
from whatyouread.data.named_labels import (
    COMBINATION,
    NOT_FOUND,
    SEPARATOR,
    ColumnSettings,
    NamedLabels,
)
from whatyouread.data.row_lookup import RowLookup
from whatyouread.support.cli import UserError


class TableLabels(NamedLabels):
    """`id<TAB>level<TAB>level…`: the first column is a record's id, its first word.

    The key is the names at the levels that are asked for, and what else is carried, joined. Several labels
    of a level stand in one field (`label_sets.read_sets`).
    """

    Settings = ColumnSettings
    key = COMBINATION

    def __init__(self, file: Path | None, settings: ColumnSettings):
        if file is None:
            raise UserError("a table of labels is asked for: give --label-file")
        self._file, self._carried = Path(file), settings.carried
        self._settings = settings
        if settings.alone:
            self.path = ALONE

    def prepare(self, levels, batches):
        self.kinds = self._settings.check(levels)
        names = columns_of(self._file)
        places = {level_at(self._file, names, level): level for level in levels}
        wanted = {"": 0} | {level: place for place, level in places.items()}
        for key, column in self._carried.items():
            wanted[key] = level_at(self._file, names, column, key)
        table = read_columns(self._file, wanted, header=True)
        if not len(table):
            raise UserError(f"{self._file}: a header and no row: give a row for each sequence")
        held = list(wanted)[1:]
        columns = [self._read(name, table[name].combine_chunks()) for name in held]
        keys = _joined(columns)
        self.lookup = RowLookup(self._file, table[""].combine_chunks(), keys)
        # a row of each key
        frame = pd.DataFrame({name: column.to_numpy(zero_copy_only=False)
                              for name, column in zip(held, columns, strict=True)})  # fmt: skip
        frame.index = pd.Index(keys.to_numpy(zero_copy_only=False), dtype=object)
        self._names = frame[~frame.index.duplicated()]

    def _read(self, level: str, column: pa.Array) -> pa.Array:
        if level not in self.kinds:
            return column
        try:
            return read_sets(column, self._settings.separator)
        except NotNames as error:
            raise UserError(f"{self._file}, row {error.row + 1}, {level}: {error}") from None

    def keys(self, batch):
        return pc.fill_null(self.lookup.find(batch.headers), NOT_FOUND)

    def names(self, keys, levels):
        names = self._names[list(levels)].reindex(pd.Index(keys, dtype=object), fill_value="")
        return names.reset_index(drop=True), [""] * len(keys)

    def carried(self, keys):
        found = self._names[list(self._carried)].reindex(keys, fill_value="")
        return {name: found[name].tolist() for name in found}


def level_at(file: Path, columns: list[str], level: str, key: str = "ranks") -> int:
    """The place of a level among the columns of a table. Raises UserError where it is not there.

    key: of the configuration, which names it.
    """
    if level not in columns[1:]:
        raise UserError(
            f"{file} has no column {level} ({key}); its levels are {', '.join(columns[1:])}"
        )
    return columns.index(level, 1)


def _joined(columns: list[pa.StringArray]) -> pa.StringArray:
    """The names of each row as `named_labels.joined` has them; never NOT_FOUND."""
    escaped = [pc.replace_substring_regex(column, r"[\\;]", r"\\\0") for column in columns]
    texts = pc.binary_join_element_wise(*escaped, SEPARATOR)
    return pc.if_else(pc.equal(texts, NOT_FOUND), "\\" + NOT_FOUND, texts)
