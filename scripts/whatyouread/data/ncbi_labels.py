"""Labels from NCBI's taxonomy: headers give a taxid, and the levels are taxonomic ranks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.data.label_files import first_fields, read_batches
from whatyouread.data.label_source import KEPT, LabelSource
from whatyouread.data.row_lookup import RowLookup, record_ids
from whatyouread.data.sequences import SequenceBatch
from whatyouread.data.taxonomy import NO_TAXID, lineages, read_taxdump
from whatyouread.support.cli import UserError, log
from whatyouread.support.text import named

LARGEST_TAXID = 2**31 - 1
NONE = -1
"""The key of a header that has no taxid."""
STOP, EXCLUDE = "stop", "exclude"
ZERO, WITHOUT = "taxid 0", "header without taxid"
# what ends a taxid: white space of Unicode, and what has no width
_BLANK = r"\s\x0b\x1c-\x1f\x{85}\p{Z}\x{200b}-\x{200d}\x{2060}\x{feff}"
_FIRST = rf"^0*(?P<taxid>[0-9]{{1,10}})(?:[{_BLANK}]|$)"
_TAG = "kraken:taxid|"
_TAGGED = rf"(?:^|[|{_BLANK}])kraken:taxid\|0*(?P<taxid>[0-9]{{1,10}})(?:[|{_BLANK}]|$)"


class NcbiLabels(LabelSource):
    """Headers with a taxid (`header_taxids`), or a map from their ids to taxids, and a taxonomy dump.

    With a map, a record has the taxid that the map gives its id, or else that of Kraken's tag in its
    header; a number at its beginning is an id. The label table has a column of its own,
    `resolved_taxid`: the taxid after merging. Headers without taxid have the key -1 there, where they
    are excluded.
    """

    @dataclass(frozen=True)
    class Settings:
        """What is done, "stop" or "exclude", with sequences that have no label for certain.

        without_taxid: their header has no taxid, or 0. rank_twice: their lineage has two classes of
        one of the ranks. Sequences that are excluded are counted and warned of. map: a file, see
        `taxid_map`.
        """

        without_taxid: str = STOP
        rank_twice: str = STOP
        map: str = ""

        def __post_init__(self):
            for name in ("without_taxid", "rank_twice"):
                value = getattr(self, name)
                if value not in (STOP, EXCLUDE):
                    raise UserError(f"labels.{name} is {value!r}: give {STOP} or {EXCLUDE}")

    key = pa.field("taxid", pa.int32())
    path = "taxid"

    def __init__(self, file: Path | None, settings: Settings):
        if file is None:
            raise UserError("the labels of NCBI need its taxonomy: give --taxdump")
        self._settings = settings
        self._warned = False
        self._map: RowLookup | None = None
        self._dump = read_taxdump(file)

    def prepare(self, levels, batches):
        if self._settings.map:
            # the map of all accessions has hundreds of millions: the records say which ones to keep
            ids = [pc.unique(record_ids(batch.headers)) for batch in batches()]
            wanted = pc.unique(pa.chunked_array(ids))
            self._map = taxid_map(Path(self._settings.map), wanted)

    def keys(self, batch: SequenceBatch) -> pa.Array:
        taxids = header_taxids(batch.headers) if self._map is None else self._mapped(batch)
        wrong = np.flatnonzero(taxids <= 0)
        if len(wrong) and not self._warned:
            error = batch.error(wrong[0], self._why(batch.headers[wrong[0]].as_py()))
            if self._settings.without_taxid == STOP:
                raise error
            log.warning("left out, and so is every other such record: %s", error)
            self._warned = True
        return pa.array(taxids, self.key.type)

    def _mapped(self, batch: SequenceBatch) -> np.ndarray:
        """The taxids of records by the map, or by the tag in their header, int64 (n,)."""
        mapped = pc.fill_null(self._map.find(batch.headers), NONE).to_numpy()
        tagged = _numbers(batch.headers, _TAGGED)
        if len(twice := np.flatnonzero((mapped >= 0) & (tagged >= 0) & (mapped != tagged))):
            row = twice[0]
            raise batch.error(
                row,
                f"taxid {mapped[row]} in {self._settings.map} and {tagged[row]} in the header:"
                " mend one",
            )
        return np.where(mapped >= 0, mapped, tagged)

    def _why(self, header: str) -> str:
        if self._map is None:
            return _why(header)
        return (
            f"no taxid in {self._settings.map}, nor '{_TAG}TAXID' in the header;"
            f" labels.without_taxid: {EXCLUDE} leaves such records out"
        )

    def labels(self, keys: pa.Array, levels: Sequence[str]) -> pd.DataFrame:
        exclude_twice = self._settings.rank_twice == EXCLUDE
        table = lineages(self._dump, keys.to_numpy(), levels, exclude_twice)
        for taxid, problem in ((NO_TAXID, ZERO), (NONE, WITHOUT)):
            table.loc[table["taxid"] == taxid, "problem"] = problem
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
        rows = super().summary(table[table["taxid"] > 0], [after, *level_rows])
        rows.append(("merged taxids followed", len(merged), named(merges)))
        return [*rows, *(self._map.summary() if self._map else [])]

    def doubt(self):
        return self._map.doubt() if self._map else super().doubt()


def taxid_map(path: Path, wanted: pa.StringArray) -> RowLookup:
    """The taxids of the wanted ids, int64, from a map of a file, which is read as a stream.

    The file: Kraken's seqid2taxid.map (id, taxid), or NCBI's accession2taxid, whose header names
    `accession`, `accession.version` and `taxid`: an id with a version is looked for among the latter,
    one without among the former. Raises UserError for another file and for an id with two taxids.
    """
    names = [field.strip() for field in first_fields(path)]
    if "taxid" in names:
        places = [names.index(name) for name in ("accession.version", "accession") if name in names]
        taxid, header = names.index("taxid"), True
    else:
        places, taxid, header = [0] if len(names) == 2 else [], 1, False
    if not places:
        raise UserError(
            f"{path}: no map to taxids: two columns expected, id and taxid with a tab between, or a"
            " header with accession, accession.version and taxid"
        )
    index = pd.Index(wanted.to_numpy(zero_copy_only=False), dtype=object)
    columns = {"taxid": taxid} | {str(place): place for place in places}
    ids, taxids = [], []
    for batch in read_batches(path, columns, block_bytes=64 << 20):
        batch = batch.slice(int(header))
        header = False
        for place in places:
            own = pc.utf8_trim_whitespace(batch[str(place)])
            there = index.get_indexer(pd.Index(own.to_numpy(zero_copy_only=False), dtype=object))
            there = pa.array(there >= 0)
            ids.append(own.filter(there))
            taxids.append(pc.utf8_trim_whitespace(batch["taxid"].filter(there)))
    ids = pa.chunked_array(ids, pa.string()).combine_chunks()
    texts = pa.chunked_array(taxids, pa.string()).combine_chunks()
    digits = pc.match_substring_regex(texts, "^[0-9]{1,10}$")
    numbers = pc.if_else(digits, texts, "-1").cast(pa.int64())
    good = pc.and_(pc.greater_equal(numbers, 0), pc.less_equal(numbers, LARGEST_TAXID))
    if not pc.all(good, min_count=0).as_py():
        row = pc.index(good, False).as_py()
        raise UserError(
            f"{path}: {texts[row].as_py()!r}, the taxid of {ids[row].as_py()!r}, is no number of a taxid"
        )
    return RowLookup(path, ids, numbers)


def header_taxids(headers: pa.StringArray) -> np.ndarray:
    """The taxids of headers: int64 (n,), -1 where there is none.

    `TAXID anything`: the number that the header begins with, up to its end or to white space. Or, as
    Kraken writes it, `kraken:taxid|TAXID` at the start of the header or after white space or `|`, up to
    its end, white space or `|`. A header with two different taxids has none: the first one may be the
    number of a read.
    """
    first = _numbers(headers, _FIRST)
    tags = pc.count_substring(headers, _TAG).to_numpy()
    if not tags.any():
        return first
    tagged = _numbers(headers, _TAGGED)
    taxids = np.where(first < 0, tagged, first)
    taxids[(first >= 0) & (tagged >= 0) & (first != tagged)] = NONE
    for row in np.flatnonzero(tags > 1):
        if len(_all_taxids(headers[row].as_py())) > 1:
            taxids[row] = NONE
    return taxids


def _numbers(headers: pa.StringArray, pattern: str) -> np.ndarray:
    digits = pc.struct_field(pc.extract_regex(headers, pattern), "taxid")
    numbers = pc.fill_null(digits.cast(pa.int64()), NONE).to_numpy()
    return np.where(numbers > LARGEST_TAXID, NONE, numbers)


def _all_taxids(header: str) -> set[str]:
    """The number that a header begins with, and those of its tags."""
    first = re.match(r"0*([0-9]+)(?!\S)", header)
    tags = re.findall(r"kraken:taxid\|0*([0-9]+)", header)
    return {*tags, *([first[1]] if first else [])}


def _why(header: str) -> str:
    """What is wrong with a header that has no valid taxid."""
    rule = (
        f"expected '>TAXID INDEX', such as '>380669 0', or '{_TAG}380669';"
        f" labels.without_taxid: {EXCLUDE} leaves such records out"
    )
    several = sorted(_all_taxids(header), key=int)
    if len(several) > 1:
        return f"two taxids, {' and '.join(several)}; {rule}"
    if not several and not header[:1].strip():
        return f"a header without taxid; {rule}"
    word = several[0] if several else header.split()[0]
    if not word.lstrip("+-").isdigit():
        return f"a taxid that is not a number; {rule}"
    return f"a taxid that is not between 1 and {LARGEST_TAXID}; {rule}"
