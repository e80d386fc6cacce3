"""From counts per taxid and lineages to the label table, the classes and their summary."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from whatyouread.cli import UserError, log

KEPT, EMPTY = "kept", "empty sequence"
MOST_NAMED = 20


def label_table(counts: pd.DataFrame, lineages: pd.DataFrame, ranks: Sequence[str]) -> pd.DataFrame:
    """One row per taxid: what it is, how many sequences it has, and whether they are used.

    counts: `taxid`, `sequences`, `empty` (`census.Census.taxids`). lineages: of the same taxids
    (`taxonomy.lineages`). Columns of the result: `taxid`, `resolved_taxid`, each rank's name
    and `<rank>_taxid`, `sequences` (all in the archive), `empty` (those without bases, which are
    never used), `status`. Taxids that are not there are missing (Int64), names "".
    `status` is "kept" or the first cause that excludes: "unknown taxid" or "deleted taxid", then
    the ranks that its lineage lacks ("no phylum and genus"), then "empty sequence".
    """
    table = lineages.merge(counts, on="taxid", how="left", validate="one_to_one")
    lacking = np.stack([table[f"{rank}_taxid"].to_numpy() == 0 for rank in ranks], axis=1)
    without = [_and(np.array(ranks)[row]) for row in lacking]
    table["status"] = np.select(
        [table["problem"] != "", lacking.any(axis=1), table["sequences"] == table["empty"]],
        [table["problem"].astype(object), np.array(without, object), EMPTY],
        KEPT,
    )
    taxid_columns = ["resolved_taxid", *(f"{rank}_taxid" for rank in ranks)]
    for column in taxid_columns:
        table[column] = table[column].astype("Int64").mask(table[column] == 0)
    names = [column for rank in ranks for column in (rank, f"{rank}_taxid")]
    return table[["taxid", "resolved_taxid", *names, "sequences", "empty", "status"]]


def class_table(labels: pd.DataFrame, ranks: Sequence[str]) -> pd.DataFrame:
    """The classes of every rank: `rank`, `class`, `taxid`, `name`, `sequences`.

    `class` counts from 0 within the rank, in the order of name, then taxid. Different taxa of
    one name are different classes, named "NAME (taxid N)". Raises `UserError` when no sequence is
    kept, or when the lowest rank (the last) has more classes than there are taxids.
    """
    kept = labels[labels["status"] == KEPT]
    if kept.empty:
        causes = labels.groupby("status")["sequences"].sum().to_dict()
        found = ", ".join(f"{cause}: {number:,}" for cause, number in causes.items())
        raise UserError(
            f"no sequence has a label at all ranks ({', '.join(ranks)}); excluded: {found};"
            " do the taxids belong to this taxonomy?"
        )
    usable = kept["sequences"] - kept["empty"]
    tables = []
    for rank in ranks:
        one = pd.DataFrame(
            {"taxid": kept[f"{rank}_taxid"], "name": kept[rank], "sequences": usable}
        )
        one = one.groupby(["name", "taxid"], as_index=False)["sequences"].sum()
        same = one["name"].duplicated(keep=False)
        one["name"] = one["name"].where(
            ~same, one["name"] + " (taxid " + one["taxid"].astype(str) + ")"
        )
        tables.append(one.assign(rank=rank, **{"class": np.arange(len(one))}))
    taxids = kept["taxid"].nunique()
    if len(tables[-1]) > taxids:
        raise UserError(
            f"{len(tables[-1])} classes of rank {ranks[-1]} from {taxids} taxids: impossible,"
            " the label table is damaged"
        )
    return pd.concat(tables, ignore_index=True)[["rank", "class", "taxid", "name", "sequences"]]


def summary_table(
    labels: pd.DataFrame,
    classes: pd.DataFrame,
    totals: Mapping[str, int],
    ranks: Sequence[str],
    paper: Mapping[str, int],
) -> pd.DataFrame:
    """Counts beside the published ones: `quantity`, `value`, `paper` (Int64), `detail`.

    totals: quantities counted per sequence (`census.Census.finish`). paper: `published_numbers`.
    """
    kept = labels[labels["status"] == KEPT]
    merged = labels[
        labels["resolved_taxid"].notna() & (labels["resolved_taxid"] != labels["taxid"])
    ]
    totals = dict(totals)
    whole = "sequences in the archive"
    rows = [
        (whole, totals.pop(whole), ""),
        ("sequences", _usable(kept), "kept: labelled at all ranks, not empty"),
    ]
    top = classes[classes["rank"] == ranks[0]]
    for name, number in zip(top["name"], top["sequences"], strict=True):
        rows.append((name, number, f"kept sequences of this {ranks[0]}"))
    rows.append(("taxids in the archive", len(labels), ""))
    rows.append(("taxids", len(kept), "of kept sequences, as in the headers"))
    rows.append(("taxids after merging", kept["resolved_taxid"].nunique(), "of kept sequences"))
    for rank in ranks:
        rows.append((rank, int((classes["rank"] == rank).sum()), "classes"))
    merges = [
        f"{old} -> {new}"
        for old, new in zip(merged["taxid"], merged["resolved_taxid"], strict=True)
    ]
    rows.append(("merged taxids followed", len(merged), named(merges)))
    partly = (labels["status"] == KEPT) & (labels["empty"] > 0)
    dropped = pd.DataFrame(
        {
            "taxid": labels["taxid"],
            "cause": labels["status"].mask(partly, EMPTY),
            "number": labels["sequences"].mask(partly, labels["empty"]),
        }
    )
    for cause, part in dropped[dropped["cause"] != KEPT].groupby("cause"):
        taxids = [f"{t} ({n})" for t, n in zip(part["taxid"], part["number"], strict=True)]
        rows.append((f"dropped: {cause}", int(part["number"].sum()), named(taxids)))
    rows += [(quantity, number, "of all in the archive") for quantity, number in totals.items()]
    return beside_paper(rows, paper)


def published_numbers(path: Path) -> dict[str, int]:
    """The paper's numbers by quantity, from a TSV with the columns `quantity` and `value`."""
    table = pd.read_csv(path, sep="\t")
    return dict(zip(table["quantity"], table["value"].astype(int), strict=True))


def beside_paper(rows: Sequence[tuple[str, int, str]], paper: Mapping[str, int]) -> pd.DataFrame:
    """A summary table from rows of quantity, value and detail."""
    quantities, values, details = zip(*rows, strict=True)
    published = pd.array([paper.get(quantity) for quantity in quantities], dtype="Int64")
    return pd.DataFrame(
        {"quantity": quantities, "value": values, "paper": published, "detail": details}
    )


def log_summary(summary: pd.DataFrame) -> None:
    """Write a summary table to the log, one line per quantity."""
    for row in summary.itertuples():
        beside = "" if pd.isna(row.paper) else f" (paper: {row.paper:,})"
        detail = f": {row.detail}" if row.detail else ""
        log.info("%s %s%s%s", f"{row.value:,}", row.quantity, beside, detail)


def read_labels(path: Path) -> pd.DataFrame:
    """The label table that `label_taxonomy` wrote, with its types. UserError where it is damaged."""
    try:
        # Only the empty text is missing: a taxon may well be called "NA" or "null".
        table = pd.read_csv(path, sep="\t", keep_default_na=False, dtype=str)
        for column in table.columns[table.columns.str.endswith("_taxid")]:
            table[column] = pd.to_numeric(table[column].mask(table[column] == "")).astype("Int64")
        return table.astype({"taxid": np.int64, "sequences": np.int64, "empty": np.int64})
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no label table ({error}): label the dataset again") from None


def named(items: Sequence[str], most: int = MOST_NAMED) -> str:
    """The first `most` items in one line, and how many more there are."""
    more = len(items) - most
    return ", ".join(items[:most]) + (f" and {more} more" if more > 0 else "")


def _usable(table: pd.DataFrame) -> int:
    return int((table["sequences"] - table["empty"]).sum())


def _and(words: Sequence[str]) -> str:
    """ "no a", "no a and b", "no a, b and c"; "" for none."""
    if len(words) == 0:
        return ""
    return "no " + " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
