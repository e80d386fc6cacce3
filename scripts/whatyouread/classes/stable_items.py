"""Items (tokens, k-mers, words) that speak for a class as a whole: several runs select them in its sequences.

Stable Attribution Class Explanation (Rönnqvist et al. 2022) pools the best items of each sequence over
runs, keeps items that enough runs and enough sequences select, and orders them by mean score. This
module adds one condition: an item must be selected in a larger share of the class's sequences than of
the other classes' sequences.

Every class is tested with every item, and q-values count all these tests. Only items that too few
sequences of all classes together select are left out, because that number knows no class. The numbers of
runs and of the class's sequences do: they are thresholds for what was tested. Chosen by them before,
tests with small p-values would be common by chance alone.
"""

import dataclasses

import numpy as np
import pandas as pd

from whatyouread.data.levels import COLUMNS
from whatyouread.support.keyed_random import draw

GROUP = ["source", "kind", "rank"]


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """The conditions for a stable item; the keys are those of the configuration."""

    min_run_share: float
    min_sequences: int
    max_q: float


def pooled(selections: pd.DataFrame, sequences: pd.DataFrame) -> pd.DataFrame:
    """One row per source, kind, rank, class and item, over all runs.

    selections: run, source, rank, class, key, kind, item, score; sequences: run, source, rank, class,
    key. The columns are the mean and sd of the scores, and these counts: `runs` that select the item;
    `support`, the distinct sequences of the class in which it is selected; `elsewhere`, those of other
    classes; `class_sequences` and `rank_sequences`, all distinct sequences of the class and the rank.
    """
    by_class = [*GROUP, "class", "item"]
    # numbers instead of text, because pandas would hash the text for every column
    coded = selections.assign(
        item=selections["item"].astype("category"), score=selections["score"].astype(np.float64)
    )
    groups = coded.groupby(by_class, sort=True, observed=True)
    table = pd.DataFrame(
        {
            "mean": groups["score"].mean(),
            "sd": groups["score"].std(ddof=0),
            "runs": groups["run"].nunique(),
            "support": groups["key"].nunique(),
        }
    ).reset_index()
    table["item"] = table["item"].astype(selections["item"].dtype)
    distinct = sequences.drop_duplicates(["source", "rank", "class", "key"])
    sizes = distinct.groupby(["source", "rank", "class"]).size().rename("class_sequences")
    totals = distinct.groupby(["source", "rank"]).size().rename("rank_sequences")
    table = table.merge(sizes.reset_index(), on=["source", "rank", "class"])
    table = table.merge(totals.reset_index(), on=["source", "rank"])
    everywhere = table.groupby([*GROUP, "item"])["support"].transform("sum")
    return table.assign(elsewhere=everywhere - table["support"])


def enrichment(table: pd.DataFrame) -> np.ndarray:
    """One-sided p-value of Fisher's exact test that a class's sequences select the item more often.

    table: `support`, `elsewhere`, `class_sequences`, `rank_sequences`. Returns float64 (n,).
    """
    from scipy.stats import hypergeom

    selected = table["support"] + table["elsewhere"]
    return hypergeom.sf(
        table["support"] - 1, table["rank_sequences"], selected, table["class_sequences"]
    )


def false_discovery(p: np.ndarray, tests: int | None = None) -> np.ndarray:
    """The q-value of each p-value by Benjamini and Hochberg, float64 (n,).

    tests: the number of all tests, n by default; the p-values of those that are not given are 1.
    """
    order = np.argsort(p)[::-1]
    scaled = p[order] * (tests or len(p)) / np.arange(len(p), 0, -1)
    q = np.empty(len(p))
    q[order] = np.minimum(np.minimum.accumulate(scaled), 1)
    return q


def corrected(
    selections: pd.DataFrame, sequences: pd.DataFrame, thresholds: Thresholds
) -> pd.DataFrame:
    """The rows of `pooled` that are tested, with their p- and q-values and the number of `tests`.

    `tests` is the number of items times the number of classes. It includes the pairs that have no row,
    because no sequence of the class selects the item: their p-value is 1. Items that are selected in
    `min_sequences` sequences or fewer, whatever their class, cannot be stable and are not tested.
    """
    table = pooled(selections, sequences)
    table = table[table["support"] + table["elsewhere"] > thresholds.min_sequences].copy()
    classes = sequences.groupby(["source", "rank"])["class"].nunique().rename("classes")
    items = table.drop_duplicates([*GROUP, "item"]).groupby(GROUP).size().rename("items")
    table = table.join(classes, on=["source", "rank"]).join(items, on=GROUP)
    table["tests"] = table.pop("items") * table.pop("classes")
    table["p"] = enrichment(table)
    table["q"] = 1.0
    for _, part in table.groupby(GROUP):
        table.loc[part.index, "q"] = false_discovery(part["p"].to_numpy(), part["tests"].iloc[0])
    return table


def candidates(
    selections: pd.DataFrame, sequences: pd.DataFrame, thresholds: Thresholds
) -> pd.DataFrame:
    """The items that enough runs and sequences of the class select, with the columns of `corrected`."""
    return _agreed(corrected(selections, sequences, thresholds), sequences, thresholds)


def _agreed(table: pd.DataFrame, sequences: pd.DataFrame, thresholds: Thresholds) -> pd.DataFrame:
    # the tolerance absorbs rounding: 0.6 of 5 runs is 3, not 3.0000000000000004
    runs = table[["source"]].join(runs_of(sequences).rename("made"), on="source")["made"]
    needed = thresholds.min_run_share * runs - 1e-9
    return table[(table["runs"] >= needed) & (table["support"] > thresholds.min_sequences)]


def runs_of(sequences: pd.DataFrame) -> pd.Series:
    """source -> the number of runs that it was scored in; sources may differ."""
    return sequences.groupby("source")["run"].nunique()


def stable_items(table: pd.DataFrame, thresholds: Thresholds) -> pd.DataFrame:
    """The enriched candidates, best first within each class, with their `position`."""
    kept = table[table["q"] <= thresholds.max_q]
    kept = kept.sort_values(
        [*GROUP, "class", "mean", "support", "item"],
        ascending=[True] * 4 + [False, False, True],
    )
    position = kept.groupby([*GROUP, "class"]).cumcount() + 1
    return kept.assign(position=position).reset_index(drop=True)


def shuffled_labels(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Permute the classes among the sequences of each source and rank.

    frame: selections or sequences, with source, rank, class and key. All rows of a sequence get the
    same new class, or the same new ones where sequences have several, and every class keeps its number
    of sequences. Returns source, rank, key and class.
    """
    classes = frame[["source", "rank", "class", "key"]].drop_duplicates()
    known = classes[["source", "rank", "key"]].drop_duplicates()
    drawn = draw(seed, "shuffled labels", known["key"].to_numpy())
    known = known.assign(drawn=drawn).sort_values(["source", "rank", "key"])
    giver = known.sort_values(["source", "rank", "drawn"])["key"].to_numpy()
    known = known.drop(columns="drawn").assign(giver=giver)
    own = classes.rename(columns={"key": "giver"})
    return known.merge(own, on=["source", "rank", "giver"])[["source", "rank", "key", "class"]]


def relabelled(frame: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Replace the classes in the frame by those in `labels` (source, rank, key, class)."""
    columns = list(frame.columns)
    return frame.drop(columns="class").merge(labels, on=["source", "rank", "key"])[columns]


def null_table(
    selections: pd.DataFrame, sequences: pd.DataFrame, thresholds: Thresholds, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Count the stable items with true and with shuffled labels.

    Returns totals per source, kind and rank: `runs` of the source, `tests` (see `corrected`), and the items
    with and without the test of enrichment; and the stable items for the shuffled labels.
    """
    labels, counts = shuffled_labels(sequences, seed), {}
    frames = {
        "": (selections, sequences),
        "_shuffled": (relabelled(selections, labels), relabelled(sequences, labels)),
    }
    for name, (chosen, looked_at) in frames.items():
        table = corrected(chosen, looked_at, thresholds)
        kept = _agreed(table, looked_at, thresholds)
        items = stable_items(kept, thresholds)
        # shuffling changes neither the classes nor the items: both have as many tests
        counts["tests"] = table.groupby(GROUP)["tests"].first()
        counts["without_test" + name] = kept.groupby(GROUP).size()
        counts["stable_items" + name] = items.groupby(GROUP).size()
    groups = selections.drop_duplicates(GROUP).sort_values(GROUP)[GROUP]
    frame = groups.set_index(GROUP).assign(**counts).fillna(0).astype(int).reset_index()
    frame["runs"] = frame["source"].map(runs_of(sequences))
    order = ["runs", "tests", "stable_items", "stable_items_shuffled"]
    order += ["without_test", "without_test_shuffled"]
    return frame[[*GROUP, *order]], items


def summary(
    items: pd.DataFrame, wrong: pd.DataFrame, selections: pd.DataFrame, sequences: pd.DataFrame
) -> pd.DataFrame:
    """The quality of the list of items for each source, kind, rank and class.

    The columns are `sequences`; `stable_items`; `stable_items_shuffled`, the number with shuffled labels;
    `distinctiveness`, the share of the items that no other class's list has; `coverage`, the share of
    the class's sequences in which at least one item was selected; `cross_coverage`, the same share for
    the sequences of other classes. A share is NaN if its denominator is 0.
    """
    by_class = [*GROUP, "class"]
    distinct = sequences.drop_duplicates(["source", "rank", "class", "key"])
    sizes = distinct.groupby(["source", "rank", "class"]).size().rename("sequences").reset_index()
    kinds = selections[["source", "kind"]].drop_duplicates()
    table = sizes.merge(kinds, on="source")[[*by_class, "sequences"]]

    lists = items.groupby([*GROUP, "item"])["class"].transform("nunique")
    own = items.assign(alone=lists == 1).groupby(by_class)
    # sequences that select any item of a class's list; `class` is the class of the list
    chosen = selections[[*GROUP, "item", "class", "key"]].drop_duplicates()
    hits = items[[*by_class, "item"]].merge(
        chosen, on=[*GROUP, "item"], suffixes=("", "_of_sequence")
    )
    hits = hits.drop_duplicates([*by_class, "key"])
    inside = hits["class"] == hits["class_of_sequence"]
    columns = {
        "stable_items": own.size(),
        "stable_items_shuffled": wrong.groupby(by_class).size(),
        "distinctiveness": own["alone"].mean(),
        "covered": hits[inside].groupby(by_class).size(),
        "crossed": hits[~inside].groupby(by_class).size(),
    }
    table = table.set_index(by_class).assign(**columns).reset_index()
    counts = ["stable_items", "stable_items_shuffled", "covered", "crossed"]
    table[counts] = table[counts].fillna(0).astype(int)
    others = table.groupby(GROUP)["sequences"].transform("sum") - table["sequences"]
    table["coverage"] = table["covered"] / table["sequences"]
    table["cross_coverage"] = table["crossed"] / others.where(others > 0)
    return table.drop(columns=["covered", "crossed"]).sort_values(by_class).reset_index(drop=True)


def with_names(table: pd.DataFrame, classes: pd.DataFrame) -> pd.DataFrame:
    """Insert what tells the classes apart (NCBI: `taxid`) and `name` after `class`.

    classes: see `levels.read_classes`.
    """
    added = [*(column for column in classes.columns if column not in COLUMNS), "name"]
    named = table.merge(classes[["rank", "class", *added]], on=["rank", "class"], how="left")
    columns = list(table.columns)
    place = columns.index("class") + 1
    return named[[*columns[:place], *added, *columns[place:]]]
