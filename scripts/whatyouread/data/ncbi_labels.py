"""Labels from NCBI's taxonomy: headers begin with a taxid, and the levels are taxonomic ranks."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from whatyouread.data.label_source import KEPT, LabelSource
from whatyouread.data.labels import named
from whatyouread.data.sequences import SequenceBatch
from whatyouread.data.taxonomy import NO_TAXID, lineages, read_taxdump
from whatyouread.support.cli import UserError

LARGEST_TAXID = 2**31 - 1
_BLANK = tuple(b" \t")


class NcbiLabels(LabelSource):
    """Headers `TAXID INDEX` (anything may follow the taxid) and a taxonomy dump.

    The label table has a column of its own, `resolved_taxid`: the taxid after merging.
    """

    @dataclass(frozen=True)
    class Settings:
        """There is nothing to set."""

    key = pa.field("taxid", pa.int32())
    path = "taxid"

    def __init__(self, file: Path | None, settings: Settings):
        if file is None:
            raise UserError("the labels of NCBI need its taxonomy: give --taxdump")
        self._dump = read_taxdump(file)

    def keys(self, batch: SequenceBatch) -> pa.Array:
        text, offsets = batch.header_text()
        taxids = header_taxids(text, offsets)
        for row in np.flatnonzero(taxids < 0):
            raise batch.error(row, _why(text[offsets[row] : offsets[row + 1]].tobytes()))
        return pa.array(taxids, self.key.type)

    def labels(self, keys: pa.Array, levels: Sequence[str]) -> pd.DataFrame:
        table = lineages(self._dump, keys.to_numpy(), levels)
        for column in ("resolved_taxid", *(f"{level}_{self.path}" for level in levels)):
            table[column] = table[column].astype("Int64").mask(table[column] == NO_TAXID)
        return table

    def summary(self, table, level_rows):
        kept = table[table["status"] == KEPT]
        merged = table[
            table["resolved_taxid"].notna() & (table["resolved_taxid"] != table["taxid"])
        ]
        merges = [
            f"{old} -> {new}"
            for old, new in zip(merged["taxid"], merged["resolved_taxid"], strict=True)
        ]
        after = ("taxids after merging", kept["resolved_taxid"].nunique(), "of kept sequences")
        rows = super().summary(table, [after, *level_rows])
        return [*rows, ("merged taxids followed", len(merged), named(merges))]


def header_taxids(text: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """The numbers that headers begin with, up to white space: int64 (n,), -1 where it is no taxid.

    text, offsets: see `SequenceBatch.header_text`.
    """
    width = len(str(LARGEST_TAXID)) + 1
    places = offsets[:-1, None] + np.arange(width)
    window = np.append(text, np.uint8(0))[np.minimum(places, len(text))]
    blank = np.isin(window, _BLANK) | (places >= offsets[1:, None])
    inside = np.cumsum(blank, axis=1) == 0
    digits = window - np.uint8(ord("0"))
    valid = (inside.any(axis=1) & ~inside[:, -1]) & ~(inside & (digits > 9)).any(axis=1)
    taxids = np.zeros(len(offsets) - 1, np.int64)
    for column in range(width):
        taxids = np.where(inside[:, column], taxids * 10 + digits[:, column], taxids)
    return np.where(valid & (taxids > 0) & (taxids <= LARGEST_TAXID), taxids, -1)


def _why(header: bytes) -> str:
    """What is wrong with a header that has no valid taxid."""
    rule = "expected '>TAXID INDEX', such as '>380669 0'"
    if not header[:1].strip():
        return f"a header without taxid; {rule}"
    word = header.split()[0]
    if not word.lstrip(b"+-").isdigit():
        return f"a taxid that is not a number; {rule}"
    return f"a taxid that is not between 1 and {LARGEST_TAXID}; {rule}"
