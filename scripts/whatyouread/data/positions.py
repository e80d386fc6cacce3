"""Positions that a user knows to matter: a file in BED, set against the records of the dataset.

The first field is the id of a record, the first word of its header; start and end count its characters
(bases, residues, letters) from 0, half-open. The name up to its first ":" is the group of the position:
`tRNA` of `tRNA:tRNA-Trp`. What comes out has the columns of the simulator's table of planted segments, so
that `data.planted` reads both.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.data.bed import read_bed
from whatyouread.data.normalisation import CUT, WINDOW, Settings
from whatyouread.data.row_lookup import record_ids
from whatyouread.data.sequences import read_sequences
from whatyouread.data.splitting import SPLITS, TEST
from whatyouread.support.cli import UserError, log
from whatyouread.support.text import counted, has_controls, named

ANY = "any"
"""What all groups together are called."""
UNNAMED = "known"
"""The group of positions without a name."""
OF_TEST, OF_OTHERS = "positions in test sequences", "positions in what is no test sequence"
UNKNOWN = "positions of ids that no record has"
CUT_OFF = "positions that end behind where their sequence was cut"
_WINDOW = r"(?s)^(?P<header>.*) (?P<low>[0-9]{1,15})-(?P<high>[0-9]{1,15})$"
_SHOWN = 20  # ids named in a summary


def read_positions(path: Path) -> pd.DataFrame:
    """The positions of a file in BED: `line`, `id`, `start`, `end`, `segment` (its name), `rank` (its group).

    Raises UserError for a line that is none, one in blocks, and a group that cannot be told from others.
    """
    rows = []
    for number, name, start, end, fields in read_bed(path, "position"):
        segment = fields[3].strip() if len(fields) > 3 else ""
        segment = UNNAMED if segment in ("", ".") else segment
        group = segment.partition(":")[0].strip()
        wrong = ""
        if len(fields) > 9 and fields[9] not in ("1", "0", "", "."):
            wrong = f"{fields[9][:20]} blocks: give each a line of its own (bedtools bed12tobed6)"
        elif not group or group.casefold() == ANY or has_controls(segment):
            wrong = f"the group of the name {segment[:60]!r} is {group[:60]!r}: rename it"
        if wrong:
            raise UserError(f"{path}, line {number}: {wrong}")
        rows.append((number, name, start, end, segment, group))
    return pd.DataFrame(rows, columns=["line", "id", "start", "end", "segment", "rank"])


def placed_positions(
    positions: pd.DataFrame, index: pa.Table, splits: pa.Table, settings: Settings, path: Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The positions that lie in test sequences, and what became of all of them.

    positions: of `read_positions`. index: `source`, `header` and `length` (in characters) of each sequence
    of the dataset; splits: `split`, in the same order. settings: those that the dataset was read with: a
    position in a record that was divided into windows is divided like it. path: of the file, for messages.

    Returns a table with `source`, `header`, `rank`, `segment`, `start` and `end`, and a summary: `quantity`,
    `value`, `detail`. Positions of other records than test sequences are left out and counted. Raises
    UserError where none is left, where an id belongs to several records, one of them a test sequence, and
    for a position that ends behind its record.
    """
    if len(index) != len(splits):
        raise UserError(
            f"{len(splits):,} sequences in the splits and {len(index):,} in the index: run"
            " split_dataset again"
        )
    pieces = _pieces(index, splits, positions["id"].unique(), settings)
    records = pieces.groupby("record", sort=False).agg(
        id=("id", "first"), source=("source", "first"), header=("name", "first"), test=("test", "any"),
        length=("stop", "max"),
    )  # fmt: skip
    _refuse_ambiguous(records, path)
    tested = records[records["test"]].set_index("id")
    of_test = positions["id"].isin(tested.index)
    unknown = ~positions["id"].isin(records["id"])
    own = positions[of_test]
    length = tested["length"].reindex(own["id"]).to_numpy()
    behind = own["end"].to_numpy() > length
    cut = np.zeros(len(own), bool)
    if settings.longer == CUT and settings.max_length:
        cut = behind & (length == settings.max_length)
    _refuse_behind(own[behind & ~cut], length[behind & ~cut], path)
    # a record is one piece, or its windows; those outside the test split have no positions
    parts = own.reset_index(drop=True).merge(pieces[pieces["test"]], on="id")
    start = np.maximum(parts["start"], parts["low"]) - parts["low"]
    end = np.minimum(parts["end"], parts["stop"]) - parts["low"]
    parts = parts.assign(start=start, end=end)[start < end].sort_values(["row", "start", "line"])
    if parts.empty:
        raise UserError(_none(positions, unknown, index, path))
    used = parts["line"].nunique()
    quantities = [
        ("positions in the file", len(positions), path.name),
        (OF_TEST, used, ""),
        (OF_OTHERS, len(positions) - used - int(unknown.sum()), "left out"),
        (UNKNOWN, int(unknown.sum()), _shown(positions["id"][unknown])),
        (CUT_OFF, int(cut.sum()), _shown(own["id"][cut])),
        ("test sequences with positions", parts["row"].nunique(), ""),
    ]
    for group, those in parts.groupby("rank", sort=True):
        quantities.append((f"positions of {group}", those["line"].nunique(), "in test sequences"))
    columns = ["source", "header", "rank", "segment", "start", "end"]
    summary = pd.DataFrame(quantities, columns=["quantity", "value", "detail"])
    return parts[columns].reset_index(drop=True), summary


def character_lengths(dataset: Path, settings: Settings) -> np.ndarray:
    """How many characters each sequence of a dataset of texts has, int64 (n,).

    The index counts bytes, of which a character of UTF-8 has up to four.
    """
    lengths = [np.zeros(0, np.int64)]
    for batch in read_sequences(dataset, settings=settings):
        begun = np.append(0, np.cumsum(batch.bases & 0xC0 != 0x80))
        lengths.append(np.diff(begun[batch.offsets]))
    return np.concatenate(lengths)


def log_positions(summary: pd.DataFrame) -> None:
    """Log the counts; warn of positions that cannot be used though the user may think so."""
    for row in summary.itertuples():
        text = f"{row.value:,} {row.quantity}" + (f" ({row.detail})" if row.detail else "")
        doubtful = row.quantity in (UNKNOWN, CUT_OFF) and row.value
        (log.warning if doubtful else log.info)("%s", text)


def _pieces(
    index: pa.Table, splits: pa.Table, ids: Sequence[str], settings: Settings
) -> pd.DataFrame:
    """The sequences of some ids, and where in its record each lies: `low`, `stop`; `record`: its number."""
    own = record_ids(index["header"].combine_chunks())
    rows = pc.indices_nonzero(pc.is_in(own, pa.array(ids, pa.string()))).to_numpy().astype(np.int64)
    taken = index.take(pa.array(rows))
    split = splits["split"].take(pa.array(rows)).cast(pa.string()).to_numpy(zero_copy_only=False)
    made = pd.DataFrame(
        {
            "row": rows,
            "id": own.take(pa.array(rows)).to_numpy(zero_copy_only=False),
            "source": taken["source"].cast(pa.string()).to_numpy(zero_copy_only=False),
            "header": taken["header"].to_numpy(zero_copy_only=False),
            "test": split == SPLITS[TEST],
            "low": 0,
            "stop": taken["length"].to_numpy().astype(np.int64),
        }
    ).astype({"id": object, "source": object, "header": object})
    made = made.assign(name=made["header"], record=np.arange(len(made)))
    if settings.longer != WINDOW or not settings.max_length or made.empty:
        return made
    found = made["header"].str.extract(_WINDOW)
    low, high = (pd.to_numeric(found[name]).fillna(0).astype(np.int64) for name in ("low", "high"))
    window = (high >= low) & (low > 0) & (high - low < settings.max_length)
    # windows of a record follow each other without a gap; a header may end like theirs by chance
    same = (found["header"] == found["header"].shift()) & (made["source"] == made["source"].shift())
    follows = window & same & (low == high.shift() + 1) & (made["row"] == made["row"].shift() + 1)
    record = (~follows).cumsum()
    several = record.groupby(record).transform("size") > 1
    divided = several & (low.groupby(record).transform("first") == 1)
    return made.assign(
        record=(~(follows & divided)).cumsum(),
        name=made["name"].where(~divided, found["header"]),
        low=np.where(divided, low - 1, 0),
        stop=np.where(divided, high, made["stop"]),
    )


def _refuse_ambiguous(records: pd.DataFrame, path: Path) -> None:
    several = records.groupby("id", sort=False).agg(n=("test", "size"), test=("test", "any"))
    several = several[(several["n"] > 1) & several["test"]]
    if len(several):
        first = several.index[0]
        both = records[records["id"] == first]
        names = " and ".join(repr(f"{r.source}:{r.header}") for r in both.head(2).itertuples())
        more = f", and {counted(len(several) - 1, 'other id')} likewise" if len(several) > 1 else ""
        raise UserError(
            f"{path}: the id {first!r} is that of {len(both)} records ({names}{more}), so that its"
            " positions may be of either: give each record an id of its own"
        )


def _refuse_behind(behind: pd.DataFrame, lengths: np.ndarray, path: Path) -> None:
    if len(behind):
        first = behind.iloc[0]
        more = f", and so do {len(behind) - 1:,} more" if len(behind) > 1 else ""
        raise UserError(
            f"{path}, line {first['line']}: {first['start']}-{first['end']} ends behind the record"
            f" {first['id']!r}, which has {lengths[0]:,} characters{more}: correct it, or take it out"
        )


def _none(positions: pd.DataFrame, unknown: pd.Series, index: pa.Table, path: Path) -> str:
    if unknown.all():
        records = record_ids(index["header"].combine_chunks().slice(0, 3)).to_pylist()
        return (
            f"{path}: no record has one of its ids: the records are called"
            f" {', '.join(map(repr, records))}, the positions {_shown(positions['id'], 3)}"
        )
    return (
        f"{path}: none of its {counted(len(positions), 'position')} lies in a test sequence: give"
        " positions of more records, or a larger split.test"
    )


def _shown(ids: pd.Series, most: int = _SHOWN) -> str:
    return named([repr(text) for text in ids.unique()], most)
