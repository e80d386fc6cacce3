"""Which row of somebody's table belongs to a record: the one with the record's id, its first word."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.support.cli import UserError
from whatyouread.support.text import named

_SHOWN = 20  # ids named in a summary


def record_ids(headers: pa.StringArray) -> pa.StringArray:
    """The first word of every header, (n,): what comes before the first blank; "" for none."""
    return pc.replace_substring_regex(headers, r"(?s)\s.*$", "")


class RowLookup:
    """The values of records by their id, and what of the table and of the records was left over.

    path: of the table. ids: strings (n,); values: (n,), of any type, without nulls. same: what turns an
    id into the one that is compared, of the table and of the records alike. Rows that say the same
    twice are one. Raises UserError for a table without rows, a row without id, and an id whose rows
    differ.
    """

    def __init__(
        self,
        path: Path,
        ids: pa.StringArray,
        values: pa.Array,
        same: Callable[[pa.StringArray], pa.StringArray] = lambda ids: ids,
    ):
        self._same, self._path = same, path
        self._values = values.dictionary_encode()
        rows = pd.DataFrame({"id": _objects(same(ids)), "value": self._values.indices.to_numpy()})
        self.rows = len(rows)
        if len(nameless := np.flatnonzero(rows["id"] == "")):
            value = values[int(nameless[0])]
            raise UserError(f"{path}: a row without id ({value}): fill it in, or take the row out")
        rows = rows.drop_duplicates()
        if len(twice := np.flatnonzero(rows["id"].duplicated())):
            first = rows["id"].iloc[twice[0]]
            both = self._values.dictionary.take(pa.array(rows["value"][rows["id"] == first]))
            more = f", and so have {len(twice) - 1} other ids" if len(twice) > 1 else ""
            raise UserError(
                f"{path}: the id {first!r} has two rows that differ,"
                f" {' and '.join(map(repr, both.to_pylist()[:2]))}{more}: keep one"
            )
        # a hash table that stays; the texts are held by the index alone
        self._index = pd.Index(rows["id"], dtype=object)
        self._codes = rows["value"].to_numpy()
        self._used = np.zeros(len(rows), bool)
        self._without = 0
        self._strangers: dict[str, None] = {}

    def find(self, headers: pa.StringArray) -> pa.Array:
        """The values of records, (n,), null where the table has no row; counts both."""
        ids = record_ids(headers)
        rows = self._index.get_indexer(pd.Index(_objects(self._same(ids)), dtype=object))
        there = rows >= 0
        self._used[rows[there]] = True
        if not there.all():
            self._without += int((~there).sum())
            if len(self._strangers) < _SHOWN:
                of_strangers = pc.unique(ids.filter(pa.array(~there)))[:_SHOWN].to_pylist()
                self._strangers |= dict.fromkeys(of_strangers)
        codes = pa.array(self._codes[rows], mask=~there)
        return self._values.dictionary.take(codes)

    def summary(self) -> list[tuple[str, int, str]]:
        """What was left over, as rows of a summary: quantity, value, detail."""
        unused = np.flatnonzero(~self._used)
        strangers = named([repr(text) for text in self._strangers])
        return [
            ("rows of the label file", self.rows, self._path.name),
            ("ids of the label file that no record has", len(unused), self._examples(unused)),
            ("records whose id is not in the label file", self._without, strangers),
        ]

    def doubt(self) -> str:
        """What to say where no record is labelled."""
        if self._used.any():
            return f"see what the rows of {self._path} say"
        records = ", ".join(list(map(repr, self._strangers))[:3])
        return (
            f"no record has an id of {self._path}: the records are called {records}, the rows"
            f" {self._examples(np.arange(len(self._used)), 3)}"
        )

    def _examples(self, rows: np.ndarray, most: int = _SHOWN) -> str:
        return named([repr(text) for text in self._index[rows[:most]]], most, len(rows))


def _objects(texts: pa.Array) -> np.ndarray:
    return texts.to_numpy(zero_copy_only=False)
