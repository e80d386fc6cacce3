"""Agreement of lists: of halves of the runs and of two sources, on tables small enough to count."""

import numpy as np
import pandas as pd
import pytest

from whatyouread.classes.agreement import agreement_of_sources, sizes, stability_curve
from whatyouread.classes.stable_items import Thresholds

THRESHOLDS = Thresholds(min_run_share=0.6, min_sequences=5, max_q=0.01)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [(1, []), (2, [1]), (3, [1]), (4, [1, 2]), (7, [1, 2, 3]), (10, [1, 2, 5]),
     (100, [1, 2, 5, 10, 20, 50])],
)  # fmt: skip
def test_how_many_runs_are_compared(runs, expected):
    assert sizes(runs) == expected


def tables(runs: int, flickering: bool = False, classes: int = 3, per_class: int = 12):
    """Each class has an item that all runs select, and one that only run 0 selects, if it flickers."""
    selections, sequences = [], []
    for run in range(runs):
        for number in range(classes):
            for i in range(per_class):
                key = np.uint64(1000 * number + i)
                about = {"run": run, "source": "s", "rank": "genus", "class": number, "key": key}
                sequences.append(about)
                items = [f"own{number}"] + [f"once{number}"] * (flickering and run == 0)
                selections += [about | {"kind": "word", "item": x, "score": 0.5} for x in items]
    return pd.DataFrame(selections), pd.DataFrame(sequences)


def test_lists_that_no_run_changes_agree_wholly():
    curve = stability_curve(*tables(4), THRESHOLDS, seed=1)
    assert curve["runs"].tolist() == [1, 2]
    assert (curve[["items", "halves", "kept"]] == 1).all(axis=None)
    assert (curve["items_shuffled"] == 0).all()
    assert curve["halves_shuffled"].isna().all()


def test_what_one_run_selects_is_on_the_list_of_that_run_alone():
    """Of two runs: the list of run 0 has two items a class, that of run 1 one; together one.

    With share 0.6 an item needs both runs, so that the list of all runs has the common item alone.
    Halves: 1 of 2. Kept: of 2 + 1 items the common one twice, so 2 of 3. Mean length 1.5.
    """
    curve = stability_curve(*tables(2, flickering=True), THRESHOLDS, seed=1)
    assert curve["runs"].tolist() == [1]
    row = curve.iloc[0]
    assert row[["items", "halves", "kept"]].tolist() == pytest.approx([1.5, 0.5, 2 / 3])


def test_one_run_has_no_curve():
    assert len(stability_curve(*tables(1), THRESHOLDS, seed=1)) == 0


def items(source: str, lists: dict[int, list[str]]) -> pd.DataFrame:
    rows = [
        {"source": source, "kind": "word", "rank": "r", "class": c, "item": x, "mean": 1 - i / 10}
        for c, own in lists.items()
        for i, x in enumerate(own)
    ]
    return pd.DataFrame(rows)


def test_agreement_of_two_sources_by_hand():
    one = items("a", {0: ["v", "w", "x", "y"], 1: ["u"], 2: ["s"]})
    two = items("b", {0: ["w", "x", "v"], 1: ["u", "t"], 3: ["s"]})
    made = agreement_of_sources(pd.concat([two, one])).set_index("class")
    assert made["source"].unique().tolist() == ["a"]
    assert made["other"].unique().tolist() == ["b"]
    # class 0: ranks of v, w, x are 3, 2, 1 and 1, 3, 2: 1 - 6 (4 + 1 + 1) / (3 * 8) = -0.5
    names = ["items", "items_other", "common", "share", "correlation"]
    assert made.loc[0, names].tolist() == pytest.approx([4, 3, 3, 3 / 4, -0.5])
    assert made.loc[1, names[:4]].tolist() == pytest.approx([1, 2, 1, 1 / 2])
    assert made.loc[2, names[:4]].tolist() == [1, 0, 0, 0]
    assert made.loc[3, names[:4]].tolist() == [0, 1, 0, 0]
    assert made.loc[1:, "correlation"].isna().all()


def test_a_source_alone_agrees_with_none():
    assert len(agreement_of_sources(items("a", {0: ["v"]}))) == 0
    assert "share" in agreement_of_sources(items("a", {0: ["v"]}).head(0)).columns
