"""What the labels of sequences come from.

A label source is a module of its own beside this one and a line in `label_sources.LABEL_SOURCES`.
It is the only place that knows what a header means. Everything after it knows keys, levels and classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from whatyouread.data.sequences import SequenceBatch

KEPT = "kept"
"""The status of a key whose sequences are used."""
GIVEN_SPLIT, GROUP = "split.given", "split.group_by"
"""The column of the label table for splits that somebody else made; no level can be called so."""


class LabelSource(ABC):
    """From a record to its labels at every level, in two steps, both a whole array at a time.

    While the dataset streams by, every record gets a key; records with the same key have the same
    labels. Then the distinct keys get their labels.

    Settings: a frozen dataclass with the settings of this source, every one with a default. key: name
    and Arrow type of the key, a column of the index of sequences and of the label table. path: what
    tells the classes of a level apart, since a name alone does not: the same one occurs at several
    levels and below several parents. `<level>_<path>` is a column of the label table, `path` one of
    the class table; it is none of `levels.COLUMNS`. `levels.ALONE` where the levels do not lie below
    each other. labelled: a record without any label is left out. kinds: level -> kind, of those that are
    not `single`; the path of one of sets of classes is that of `label_sets`.
    """

    Settings: ClassVar[type]
    key: ClassVar[pa.Field]
    path: str
    labelled: ClassVar[bool] = True
    kinds: Mapping[str, str] = MappingProxyType({})

    @abstractmethod
    def __init__(self, file: Path | None, settings):
        """file: what the source reads its labels from, if anything. settings: of type `Settings`."""

    def prepare(  # noqa: B027 - most sources need not
        self, levels: Sequence[str], batches: Callable[[], Iterator[SequenceBatch]]
    ) -> None:
        """Called once, before the first record, with the levels that will be asked for.

        batches: reads the dataset beforehand, for a source that must know its records. What is wrong
        with the source's file is best said here: reading the dataset takes a while.
        """

    @abstractmethod
    def keys(self, batch: SequenceBatch) -> pa.Array:
        """The key of every record, (n,), of the type of `key`.

        Raises `batch.error(row, why)` for a record that has none.
        """

    @abstractmethod
    def labels(self, keys: pa.Array, levels: Sequence[str]) -> pd.DataFrame:
        """The labels of distinct keys: one row per key, in their order.

        Columns: the key; columns of the source's own, if any; for each level its class's name (str, ""
        for none) and its path `<level>_<path>` (missing for none); `problem`, "" or why the key has no
        labels at all. Raises UserError for a level that the source does not have.
        """

    def summary(
        self, table: pd.DataFrame, level_rows: list[tuple[str, int, str]]
    ) -> list[tuple[str, int, str]]:
        """The rows of the summary about keys (quantity, value, detail), including those about levels.

        table: see `labels.label_table`.
        """
        return [
            (f"{self.key.name}s in the archive", len(table), ""),
            (
                f"{self.key.name}s",
                int((table["status"] == KEPT).sum()),
                "of kept sequences, as in the headers",
            ),
            *level_rows,
        ]

    def doubt(self) -> str:
        """What to say, after the causes, where no sequence has a label."""
        return f"do the {self.key.name}s of the dataset belong to these labels?"
