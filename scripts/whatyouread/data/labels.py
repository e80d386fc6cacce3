"""From counts per key and the labels of keys to the label table, the classes and their summary.

The label table has one row per key: the key, what the label source adds, each level's name and path,
`sequences`, `empty`, `status`. Its columns are named by the label source (`label_source.LabelSource`).
"""

import itertools
import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.data import label_sets
from whatyouread.data.kinds import SINGLE
from whatyouread.data.label_source import KEPT, LabelSource
from whatyouread.data.levels import ALONE, Level, check_names, check_number
from whatyouread.support.cli import UserError, log
from whatyouread.support.files import read_tsv
from whatyouread.support.text import named

UNUSED = "no sequence to use"
DROPPED = "dropped: "
WITHOUT = "kept sequences without "
EXCLUDE, KEEP = "exclude", "keep"
_SHOWN = 20  # keys named in a summary


def label_table(
    counts: pa.Table, source: LabelSource, levels: Sequence[str], missing: str = EXCLUDE
) -> pd.DataFrame:
    """The labels of every key, its number of sequences, and whether they are used.

    counts: see `census.Census.counts`. `sequences` are all in the archive, `empty` those that are
    never used, such as those without bases (`normalisation.EXCLUDED`). `status` is "kept" or the first
    cause that excludes: the problem that the label source found, then the levels that have no class ("no
    phylum and genus"), then "no sequence to use". missing: "exclude" a key without a class at one of
    the levels, or "keep" one with a class at one of them at least. Raises `UserError` for a level that
    is named twice, and for labels that are no tree (`check_tree`).
    """
    check_names(levels)
    if missing not in (EXCLUDE, KEEP):
        raise UserError(f"labels.missing is {missing!r}: give {EXCLUDE} or {KEEP}")
    found = source.labels(counts[source.key.name].combine_chunks(), levels)
    table = found.merge(counts.to_pandas(), on=source.key.name, how="left", validate="one_to_one")
    paths = [f"{level}_{source.path}" for level in levels]
    lacking = table[paths].isna().to_numpy()
    # few different rows, of many keys
    different, row = np.unique(lacking, axis=0, return_inverse=True)
    without = np.array([_and(np.array(levels)[one]) for one in different], object)
    excluded = lacking.any(axis=1) if missing == EXCLUDE else lacking.all(axis=1)
    excluded &= source.labelled
    table["status"] = np.select(
        [table["problem"] != "", excluded, table["sequences"] == table["empty"]],
        [table["problem"].astype(object), without[row], UNUSED],
        KEPT,
    )
    of_levels = [column for pair in zip(levels, paths, strict=True) for column in pair]
    own = [column for column in found.columns if column not in (*of_levels, "problem")]
    if len(set(of_levels)) < len(of_levels) or source.key.name in levels:
        raise UserError(
            f"the levels {', '.join(levels)}: one of them is called like another column of the label"
            f" table ({', '.join([source.key.name, *paths])}): rename it"
        )
    table = table[[*own, *of_levels, "sequences", "empty", "status"]]
    check_tree(table, source.path, levels)
    return table


def check_tree(labels: pd.DataFrame, path: str, levels: Sequence[str]) -> None:
    """Raise `UserError` where a class of the kept keys lies in two classes of the level above it.

    labels: see `label_table`; path: see `label_source.LabelSource`. Such labels are wrong somewhere,
    or the levels are not given from the highest to the lowest. Levels that do not lie below each other
    pass.
    """
    if path == ALONE:
        return
    kept = labels[labels["status"] == KEPT]

    def called(level: str, key) -> str:
        names = kept[level][kept[f"{level}_{path}"] == key]
        return f"{names.iloc[0]} ({path} {key})"

    for above, level in itertools.pairwise(levels):
        pairs = kept[[f"{level}_{path}", f"{above}_{path}"]].drop_duplicates()
        pairs.columns = ["class", "parent"]
        pairs = pairs[~_missing(pairs).any(axis=1)]
        again = pairs[pairs["class"].duplicated(keep=False)]
        if len(again):
            first = again["class"].iloc[0]
            parents = [called(above, key) for key in again["parent"][again["class"] == first]]
            more = again["class"].nunique() - 1
            raise UserError(
                f"the {level} {called(level, first)} lies in several classes of the level {above}:"
                f" {named(parents)}"
                + (f", and so do {more} other classes of {level}" if more else "")
                + f"; give the ranks from the highest to the lowest ({', '.join(levels)} are given),"
                " or mend the labels"
            )


def class_table(labels: pd.DataFrame, source: LabelSource, levels: Sequence[str]) -> pd.DataFrame:
    """The classes of every level (`levels.COLUMNS` and the source's path), with their sequences.

    `class` counts from 0 within the level, in the order of name, then path. Classes that differ but
    share a name are called "NAME (taxid N)". A column `kind` is there where a level is not `single`: at
    one of sets a sequence counts for each class that it has. Raises `UserError` when no sequence is kept,
    when none of these has a class of some level, or when the lowest level (the last) has more classes than
    there are keys.
    """
    kept = labels[labels["status"] == KEPT]
    if kept.empty:
        causes = labels.groupby("status")["sequences"].sum().to_dict()
        found = ", ".join(f"{cause}: {number:,}" for cause, number in causes.items())
        raise UserError(
            f"no sequence has a label at all levels ({', '.join(levels)}); excluded: {found};"
            f" {source.doubt()}"
        )
    usable = kept["sequences"] - kept["empty"]
    path, tables = source.path, []
    for level in levels:
        one = pd.DataFrame(
            {path: kept[f"{level}_{path}"], "name": kept[level], "sequences": usable}
        )
        one = one[one[path].notna()]
        if level in source.kinds:
            one = one.assign(**{path: one[path].map(label_sets.names_in)})
            one = one.explode(path).dropna(subset=path)
            one = one.assign(name=one[path])
        one = one.groupby(["name", path], as_index=False)["sequences"].sum()
        if one.empty:
            raise UserError(
                f"no sequence has a label of the level {level}: leave it out of the ranks"
            )
        same = one["name"].duplicated(keep=False)
        one["name"] = one["name"].where(
            ~same, one["name"] + f" ({path} " + one[path].astype(str) + ")"
        )
        kind = source.kinds.get(level, SINGLE.name)
        check_number(level, kind, len(one))
        tables.append(one.assign(rank=level, **{"class": np.arange(len(one))}, kind=kind))
    keys = kept[source.key.name].nunique()
    if len(tables[-1]) > keys and levels[-1] not in source.kinds:
        raise UserError(
            f"{len(tables[-1])} classes of the level {levels[-1]} from {keys} {source.key.name}s:"
            " impossible, the label table is damaged"
        )
    columns = ["rank", "class", path, "name", "sequences", *(["kind"] if source.kinds else [])]
    return pd.concat(tables, ignore_index=True)[columns]


def summary_table(
    labels: pd.DataFrame,
    classes: pd.DataFrame,
    totals: Mapping[str, int],
    source: LabelSource,
    levels: Sequence[str],
    paper: Mapping[str, int],
    skipped: Sequence[str] = (),
) -> pd.DataFrame:
    """Counts beside the published ones: `quantity`, `value`, `paper` (Int64), `detail`.

    totals: quantities counted per sequence (`census.Census.finish`). paper: `published_numbers`.
    skipped: files of the dataset that hold no sequences.
    """
    kept = labels[labels["status"] == KEPT]
    totals = dict(totals)
    whole = "sequences in the archive"
    lacking = [(level, kept[kept[f"{level}_{source.path}"].isna()]) for level in levels]
    some = any(len(without) for _, without in lacking)
    labelled = "labelled at one rank at least" if some else "labelled at all ranks"
    rows = [
        (whole, totals.pop(whole), ""),
        (
            "sequences",
            _usable(kept),
            f"kept: {labelled if source.labelled else 'of no label'}, not empty",
        ),
    ]
    top = classes[classes["rank"] == levels[0]]
    for name, number in zip(top["name"], top["sequences"], strict=True):
        rows.append((name, number, f"kept sequences of this {levels[0]}"))
    of_level = [(level, int((classes["rank"] == level).sum()), "classes") for level in levels]
    rows += source.summary(labels, of_level)
    for level in source.kinds:
        none = kept[kept[f"{level}_{source.path}"] == label_sets.written([])]
        rows.append(
            (f"kept sequences with none of {level}", _usable(none), "the set without a class")
        )
    if some:
        rows += [(WITHOUT + level, _usable(without), "class -1") for level, without in lacking]
    partly = (labels["status"] == KEPT) & (labels["empty"] > 0)
    dropped = pd.DataFrame(
        {
            "key": labels[source.key.name],
            "cause": labels["status"].mask(partly, UNUSED),
            "number": labels["sequences"].mask(partly, labels["empty"]),
        }
    )
    for cause, part in dropped[dropped["cause"] != KEPT].groupby("cause"):
        first = part[:_SHOWN]
        keys = [f"{k} ({n})" for k, n in zip(first["key"], first["number"], strict=True)]
        shown = named(keys, _SHOWN, len(part))
        rows.append((f"{DROPPED}{cause}", int(part["number"].sum()), shown))
    rows += [(quantity, number, "of all in the archive") for quantity, number in totals.items()]
    rows.append(("files skipped", len(skipped), named(skipped)))
    return beside_paper(rows, paper)


class Labelled(NamedTuple):
    """The classes of every sequence of the index, in its order.

    used: bool (n,), whether the sequence is kept and not empty. classes: level -> the number of its
    class (`kinds`), of the level's type (n,), -1 where it is not used, or has no label of this level.
    """

    levels: list[Level]
    used: np.ndarray
    classes: dict[str, np.ndarray]

    @property
    def lowest(self) -> Level:
        """The level with the finest classes: the last one."""
        return self.levels[-1]


def label_rows(index: pa.Table, labels: pd.DataFrame) -> np.ndarray:
    """The row of the label table that each sequence of an index belongs to: int (n,).

    labels: see `read_labels`. Raises UserError where the tables do not belong together.
    """
    key = labels.columns[0]
    try:
        known = pa.array(labels[key]).cast(index.schema.field(key).type)
    except pa.ArrowInvalid as error:
        raise UserError(f"no {key} of the label table: {error}; label the dataset again") from None
    rows = pc.index_in(index[key], value_set=known)
    if rows.null_count:
        missing = index[key].filter(pc.is_null(rows))[0]
        raise UserError(f"the {key} {missing} is not in the label table: label the dataset again")
    return rows.to_numpy()


def label_sequences(index: pa.Table, labels: pd.DataFrame, levels: Sequence[Level]) -> Labelled:
    """Look up the classes of the sequences of an index (`census.index_schema`).

    labels: see `read_labels`; levels: see `levels.read_levels`. Raises UserError where the tables do
    not belong together, or the labels are no tree (`check_tree`).
    """
    rows = label_rows(index, labels)
    if levels:
        check_tree(labels, levels[0].path, [level.name for level in levels])
    kept = (labels["status"] == KEPT).to_numpy()
    used = kept[rows] & (index["length"].to_numpy() > 0)
    classes = {}
    for level in levels:
        paths = labels[f"{level.name}_{level.path}"]
        numbers = _numbers(level, paths)
        kind = np.dtype(level.numbers.column).type
        classes[level.name] = np.where(used, numbers.astype(kind)[rows], kind(-1))
        if ((numbers < 0) & kept & (paths != "").to_numpy()).any():
            raise UserError("the class table does not fit the label table: label the dataset again")
    return Labelled(list(levels), used, classes)


def _numbers(level: Level, paths: pd.Series) -> np.ndarray:
    """The number of each path at a level, (n,); below 0 where there is none."""
    if level.numbers.alone:
        return pd.Index(level.paths, dtype=object).get_indexer(paths.astype(object))
    return label_sets.numbers_of(paths.tolist(), level.paths)


def published_numbers(path: Path) -> dict[str, int]:
    """The paper's numbers by quantity, from a TSV with the columns `quantity` and `value`."""
    table = read_tsv(path)
    return dict(zip(table["quantity"], table["value"].astype(int), strict=True))


def beside_paper(rows: Sequence[tuple[str, int, str]], paper: Mapping[str, int]) -> pd.DataFrame:
    """A summary table from rows of quantity, value and detail."""
    quantities, values, details = zip(*rows, strict=True)
    published = pd.array([paper.get(quantity) for quantity in quantities], dtype="Int64")
    return pd.DataFrame(
        {"quantity": quantities, "value": values, "paper": published, "detail": details}
    )


def log_summary(summary: pd.DataFrame, doubtful: Collection[str] = ()) -> None:
    """Log a summary table, one line per quantity; what is dropped or doubtful is a warning."""
    for row in summary.itertuples():
        beside = "" if pd.isna(row.paper) else f" (paper: {row.paper:,})"
        detail = f": {row.detail}" if row.detail else ""
        counted = row.quantity in doubtful or row.quantity.startswith((DROPPED, WITHOUT))
        warned = row.value and counted
        level = logging.WARNING if warned else logging.INFO
        log.log(level, "%s %s%s%s", f"{row.value:,}", row.quantity, beside, detail)


def read_labels(path: Path) -> pd.DataFrame:
    """The label table that `label_taxonomy` wrote; keys, names and paths as text.

    Raises UserError where it is damaged.
    """
    try:
        # Only the empty text is missing: a class may well be called "NA" or "null".
        table = pd.read_csv(path, sep="\t", keep_default_na=False, dtype=str)
        if "status" not in table:
            raise ValueError("it has no column status")
        return table.astype({"sequences": np.int64, "empty": np.int64})
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no label table ({error}): label the dataset again") from None


def _missing(paths: pd.DataFrame) -> pd.DataFrame:
    """Where a path is missing, also as `read_labels` has it."""
    return paths.isna() | (paths == "")


def _usable(table: pd.DataFrame) -> int:
    return int((table["sequences"] - table["empty"]).sum())


def _and(words: Sequence[str]) -> str:
    """ "no a", "no a and b", "no a, b and c"; "" for none."""
    if len(words) == 0:
        return ""
    return "no " + " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
