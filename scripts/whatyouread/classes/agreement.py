"""How far lists of stable items agree: of two halves of the runs, of fewer and all runs, of two sources."""

from itertools import combinations

import numpy as np
import pandas as pd

from whatyouread.classes.stable_items import (
    GROUP,
    Thresholds,
    candidates,
    relabelled,
    shuffled_labels,
    stable_items,
)
from whatyouread.support.keyed_random import draw

DRAWS = 5
"""How often the runs are divided for each number of runs."""
LEAST_COMMON = 3  # items that a rank correlation is computed of


def sizes(runs: int) -> list[int]:
    """The numbers of runs on the curve: 1, 2, 5, 10, 20, 50, ... up to a half of them, and that half."""
    steps = (factor * 10**power for power in range(6) for factor in (1, 2, 5))
    half = runs // 2
    return sorted({step for step in steps if step <= half} | ({half} if half else set()))


def stability_curve(
    selections: pd.DataFrame, sequences: pd.DataFrame, thresholds: Thresholds, seed: int
) -> pd.DataFrame:
    """How far the lists agree, by the number of runs that they are made of.

    selections, sequences: see `stable_items.pooled`. For each number n of runs up to a half of a source's,
    `DRAWS` times two sets of n runs without a common one are drawn. One row per source, kind, rank and n:
    `items`, the mean length of a class's list; `halves`, the items that both lists have over those that one
    of them has (Jaccard's index), the mean over classes and draws; `kept`, the share of the items of a list
    that are on the list of all runs, too. `items_shuffled` and `halves_shuffled` are the same with shuffled
    labels. Classes without an item on either list do not count; NaN where none does. No row for a source
    with one run.
    """
    labels = shuffled_labels(sequences, seed)
    frames = {
        "": (selections, sequences),
        "_shuffled": (relabelled(selections, labels), relabelled(sequences, labels)),
    }
    rows = []
    for source, looked_at in sequences.groupby("source"):
        runs = np.sort(looked_at["run"].unique())
        groups = selections.loc[selections["source"] == source, GROUP].drop_duplicates()
        classes = looked_at.groupby("rank")["class"].nunique()
        values: dict[tuple, dict[str, list[float]]] = {}
        for name, frame in frames.items():
            lists = _Lists(*(part[part["source"] == source] for part in frame), thresholds)
            for n in sizes(len(runs)):
                for number in range(DRAWS):
                    drawn = draw(seed, f"halves {n} {number}", runs.astype(np.uint64))
                    order = runs[np.argsort(drawn, kind="stable")]
                    sets = [order[:n], order[n : 2 * n], *([] if name else [runs])]
                    found = [lists.of(own) for own in sets]
                    for group in groups.itertuples(index=False, name=None):
                        own = values.setdefault((group, n), {})
                        for key, value in _compared(group, found, classes[group[2]]).items():
                            own.setdefault(key + name, []).append(value)
        for (group, n), own in values.items():
            means = {key: _mean(part) for key, part in own.items()}
            rows.append(dict(zip(GROUP, group, strict=True)) | {"runs": n} | means)
    columns = ["items", "halves", "kept", "items_shuffled", "halves_shuffled"]
    made = pd.DataFrame(rows, columns=[*GROUP, "runs", *columns])
    return made.sort_values([*GROUP, "runs"]).reset_index(drop=True)


class _Lists:
    """The stable items of some runs alone: source, kind, rank, class, item; each made once."""

    def __init__(self, selections: pd.DataFrame, sequences: pd.DataFrame, thresholds: Thresholds):
        self.frames, self.thresholds = (selections, sequences), thresholds
        self.made: dict[frozenset, pd.DataFrame] = {}

    def of(self, runs: np.ndarray) -> pd.DataFrame:
        own = frozenset(runs.tolist())
        if own not in self.made:
            frames = (part[part["run"].isin(own)] for part in self.frames)
            found = stable_items(candidates(*frames, self.thresholds), self.thresholds)
            self.made[own] = found[[*GROUP, "class", "item"]]
        return self.made[own]


def _compared(group: tuple, lists: list[pd.DataFrame], classes: int) -> dict[str, float]:
    """lists: of two sets of runs, and of all runs where their items are looked up there."""
    one, other, *whole = (
        part[(part[GROUP] == list(group)).all(axis=1)][["class", "item"]] for part in lists
    )
    both = one.merge(other, on=["class", "item"]).groupby("class").size()
    lengths = [part.groupby("class").size() for part in (one, other)]
    either = lengths[0].add(lengths[1], fill_value=0).sub(both, fill_value=0)
    listed = len(one) + len(other)
    made = {
        "items": listed / (2 * classes),
        "halves": (both.reindex(either.index, fill_value=0) / either).mean(),
    }
    for total in whole:
        kept = sum(len(part.merge(total, on=["class", "item"])) for part in (one, other))
        made["kept"] = kept / listed if listed else np.nan
    return made


def _mean(values: list[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else np.nan


def agreement_of_sources(items: pd.DataFrame) -> pd.DataFrame:
    """How far the lists of every two sources agree, class by class.

    items: see `stable_items.stable_items`. One row per kind, rank, class and pair of sources, where either
    has an item: `source`, `other`; `items`, `items_other`, the lengths of their lists; `common`; `share`,
    the common items over those on either list; `correlation`, Spearman's of the mean scores of the common
    items, NaN for fewer than three.
    """
    rows = []
    own = ["kind", "rank", "class"]
    for source, other in combinations(sorted(items["source"].unique()), 2):
        one, two = (items[items["source"] == name] for name in (source, other))
        lengths = pd.DataFrame(
            {"items": one.groupby(own).size(), "items_other": two.groupby(own).size()}
        )
        common = one.merge(two, on=[*own, "item"], suffixes=("", "_other"))
        shared = {
            key: (len(part), _spearman(part["mean"], part["mean_other"]))
            for key, part in common.groupby(own)
        }
        for key, counts in lengths.fillna(0).astype(int).iterrows():
            number, correlation = shared.get(key, (0, np.nan))
            about = {"source": source, "other": other} | dict(zip(own, key, strict=True))
            share = number / (counts["items"] + counts["items_other"] - number)
            found = {"common": number, "share": share, "correlation": correlation}
            rows.append(about | counts.to_dict() | found)
    columns = ["items", "items_other", "common", "share", "correlation"]
    return pd.DataFrame(rows, columns=["source", "other", *own, *columns])


def _spearman(one: pd.Series, other: pd.Series) -> float:
    if len(one) < LEAST_COMMON:
        return np.nan
    return float(one.rank().corr(other.rank()))
