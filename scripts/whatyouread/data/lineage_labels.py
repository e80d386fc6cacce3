"""Labels from lineages as GTDB, SILVA and QIIME write them, in a table or in the records' headers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.data.label_files import first_fields, read_columns
from whatyouread.data.named_labels import NOT_FOUND, NamedLabels
from whatyouread.data.ranks import TOP_RANKS
from whatyouread.data.row_lookup import RowLookup
from whatyouread.support.cli import UserError

RANKS = {
    "d": "domain",
    "k": "kingdom",
    "p": "phylum",
    "c": "class",
    "o": "order",
    "f": "family",
    "g": "genus",
    "s": "species",
}
"""A prefix letter of a lineage -> its rank, from the top on."""
NO_LINEAGE = "no lineage"
_FIELD = re.compile(r"([A-Za-z])__(.*)", re.DOTALL)
# words of a first line that is no row
_HEADS = {"lineage", "taxonomy", "taxon", "gtdb_taxonomy", "classification"}


class LineageLabels(NamedLabels):
    """`d__…;p__…;…;s__…`, or names with `;` between, as many as there are levels.

    From a table of two columns, accession and lineage, or, without a file, from the header, after the id.
    The key is the lineage as it is written. Its classes are told apart by their whole lineage.
    """

    @dataclass(frozen=True)
    class Settings:
        """There are none."""

    key = pa.field("lineage", pa.string())

    def __init__(self, file: Path | None, settings: Settings):
        self._file = None if file is None else Path(file)

    def prepare(self, levels, batches):
        if self._file is None:
            return
        fields = [field.strip() for field in first_fields(self._file)]
        if len(fields) != 2:
            raise UserError(
                f"{self._file}: two columns expected, accession and lineage, with a tab between;"
                f" its first row has {len(fields)}"
            )
        places = {"accession": 0, "lineage": 1}
        table = read_columns(self._file, places, header=fields[1].lower() in _HEADS)
        if not len(table):
            raise UserError(f"{self._file}: no row in it: give an accession and a lineage in each")
        ids, lineages = (table[name].combine_chunks() for name in places)
        self.lookup = RowLookup(self._file, ids, lineages, without_database)

    def keys(self, batch):
        if self.lookup is not None:
            return pc.fill_null(self.lookup.find(batch.headers), NOT_FOUND)
        return header_lineages(batch.whole_headers())

    def names(self, keys, levels):
        whole = [text if text != NOT_FOUND else "" for text in keys]
        if any(_FIELD.match(text) for text in whole):
            where = "headers" if self._file is None else str(self._file)
            return _of_prefixes(whole, levels, where)
        return _of_fields(whole, levels)


def without_database(ids: pa.StringArray) -> pa.StringArray:
    """Accessions of assemblies without `RS_` or `GB_`, by which GTDB says where it has them from.

    The version stays: another version is another assembly, whose lineage may be another one.
    """
    return pc.replace_substring_regex(ids, r"^(?:RS|GB)_(GC[AF]_)", r"\1")


def header_lineages(headers: pa.StringArray) -> pa.StringArray:
    """What headers hold after their first word, up to ` [`, from where GTDB has other facts; or ""."""
    after = pc.replace_substring_regex(headers, r"(?s)^\S*\s*", "")
    return pc.utf8_trim_whitespace(pc.replace_substring_regex(after, r"(?s)(?:^|\s)\[.*$", ""))


def _of_prefixes(
    lineages: list[str], levels: Sequence[str], where: str
) -> tuple[pd.DataFrame, list[str]]:
    """The names of lineages with prefixes, at all ranks, under the names of the levels."""
    letters = list(RANKS)
    columns = {rank: np.full(len(lineages), "", object) for rank in RANKS.values()}
    problems = []
    for row, text in enumerate(lineages):
        fields = [field for part in text.split(";") if (field := part.strip())]
        found = [_FIELD.fullmatch(field) for field in fields]
        problems.append("" if fields and found[0] else NO_LINEAGE)
        if problems[-1]:
            continue
        order = [letters.index(one[1]) if one and one[1] in RANKS else -1 for one in found]
        if -1 in order:
            wrong = fields[order.index(-1)]
            raise UserError(
                f"{where}: the lineage {text!r}: {wrong!r} does not begin with one of {'__ '.join(letters)}__"
            )
        if order != sorted(set(order)):
            raise UserError(
                f"{where}: the lineage {text!r}: ranks twice, or in another order than {' '.join(letters)}"
            )
        for one in found:
            columns[RANKS[one[1]]][row] = one[2].strip()
    # `superkingdom` is what NCBI called the domain
    called = {}
    for level in levels:
        rank = "domain" if level in TOP_RANKS else level
        if rank not in columns or rank in called:
            raise UserError(f"ranks: a lineage has no {level}; it has {', '.join(columns)}")
        called[rank] = level
    below = [list(columns).index(rank) for rank in called]
    if below != sorted(below):
        right = [called[rank] for rank in columns if rank in called]
        raise UserError(f"give the ranks from the highest to the lowest: [{', '.join(right)}]")
    table = pd.DataFrame(columns).rename(columns=called)
    # a rank that no lineage has divides nothing
    used = [name for name in table if name in levels or (table[name] != "").any()]
    return table[used], problems


def _of_fields(lineages: list[str], levels: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """The names of lineages without prefixes: a field for each level, or fewer where the lowest lack."""
    rows, problems = [], []
    for text in lineages:
        fields = [field.strip() for field in text.removesuffix(";").split(";")]
        long = len(fields) > len(levels)
        problems.append(f"a lineage of {len(fields)} names" if long else "")
        if not any(fields):
            problems[-1] = NO_LINEAGE
        rows.append([] if problems[-1] else fields)
    padded = [[*row, *[""] * (len(levels) - len(row))] for row in rows]
    return pd.DataFrame(padded, columns=list(levels), dtype=object), problems
