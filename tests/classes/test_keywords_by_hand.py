"""The procedure of Rönnqvist et al. (2022) on five documents and three runs, worked out on paper."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from whatyouread.classes.items import normalised, select_items
from whatyouread.classes.stable_items import (
    Thresholds,
    candidates,
    corrected,
    pooled,
    stable_items,
    summary,
)
from whatyouread.classes.words import Words

A, B = 0, 1
# Five documents of two words each; every word has two pieces, its first letter and the rest.
TEXTS = {1: "Sun sea", 2: "sun rain", 3: "the SUN", 4: "sun tax", 5: "the tax."}
CLASSES = {1: A, 2: A, 3: A, 4: B, 5: B}
# Scores of the four pieces. Each row has the L2 norm 5, and the largest score of two pieces counts:
FIRST = [4, 0, 3, 0]  # words 0.8 and 0.6: the first is the best
SECOND = [3, 0, 0, 4]  # words 0.6 and 0.8: the second
ONLY = [0, 0, 4, -3]  # words 0 and 0.8 (4 is further from zero than -3): the second
AGAINST = [0, -4, 3, 0]  # words -0.8 and 0.6: the second, since the first speaks against the class
# Every run explains other documents. One word of each is selected (`best: 1`). In run 1 document 4 was
# classified wrongly, and does not count.
RUNS = [
    {1: SECOND, 2: FIRST, 4: SECOND, 5: FIRST},  # sea 0.8, sun 0.8; tax 0.8, the 0.8
    {1: SECOND, 3: AGAINST, 5: AGAINST},  #         sea 0.8, sun 0.6; tax 0.6
    {2: AGAINST, 3: ONLY, 5: SECOND, 4: FIRST},  #  rain 0.6, sun 0.8; tax 0.8, sun 0.8
]


class Places:
    """In place of a token file: where the pieces of each document lie, a full stop the fifth."""

    def spans(self, rows):
        starts, ends = [], []
        for row in rows.tolist():
            text = TEXTS[row]
            blank, end = text.index(" "), len(text.rstrip("."))
            starts.append([0, 1, blank + 1, blank + 2, end])
            ends.append([1, blank, blank + 2, end, len(text)])
        return np.array(starts), np.array(ends)


def selected() -> tuple[pd.DataFrame, pd.DataFrame]:
    selections, sequences = [], []
    items = Words(Places(), TEXTS, "largest", fold_case=True)
    for run, documents in enumerate(RUNS):
        rows = np.array(list(documents))
        ids = np.zeros((len(rows), 5), np.int64)
        stops = np.array([TEXTS[row].endswith(".") for row in documents])
        content = np.column_stack([np.ones((len(rows), 4), bool), stops])
        scores = np.array([[*values, 0] for values in documents.values()], float)
        batch = SimpleNamespace(ids=ids, content=content)
        keys = rows.astype(np.uint64)
        row, code, score = select_items(
            items, rows, batch, normalised(scores, content), keys, best=1, min_score=0, seed=1
        )
        about = {"run": run, "source": "s", "rank": "register"}
        classes = np.array([CLASSES[r] for r in documents])
        sequences.append(pd.DataFrame(about | {"class": classes, "key": keys}))
        own = {"class": classes[row], "key": keys[row], "kind": "word"}
        selections.append(pd.DataFrame(about | own | {"item": items.names(code), "score": score}))
    assert items.counts == {"words": 22, "numbers": 0, "pieces": 47, "pieces_outside": 3}
    return pd.concat(selections, ignore_index=True), pd.concat(sequences, ignore_index=True)


def test_the_words_that_each_run_selects():
    selections, sequences = selected()
    made = selections.groupby(["run", "key"])["item"].agg(list).to_dict()
    assert made == {
        (0, 1): ["sea"], (0, 2): ["sun"], (0, 4): ["tax"], (0, 5): ["the"],
        (1, 1): ["sea"], (1, 3): ["sun"], (1, 5): ["tax"],
        (2, 2): ["rain"], (2, 3): ["sun"], (2, 4): ["sun"], (2, 5): ["tax"],
    }  # fmt: skip
    assert len(sequences) == 11


def test_mean_deviation_runs_and_support():
    """The scores of "sun" in A: 0.8 (run 0, document 2), 0.6 (run 1, 3), 0.8 (run 2, 3).

    Mean 2.2 / 3 = 0.7333. Deviations 0.0667, -0.1333, 0.0667, their squares 0.00444, 0.01778, 0.00444, the
    mean of these 0.00889, its root 0.0943. "tax" in B has the same three: documents 4, 5, 5.
    """
    table = pooled(*selected()).set_index(["class", "item"])
    for key in ((A, "sun"), (B, "tax")):
        row = table.loc[key]
        assert row["mean"] == pytest.approx(0.73333, abs=1e-4)
        assert row["sd"] == pytest.approx(0.09428, abs=1e-4)
        assert row[["runs", "support"]].tolist() == [3, 2]
    # sea: two runs, but one document; sun in B: one run
    assert table.loc[A, "sea"][["runs", "support"]].tolist() == [2, 1]
    assert table.loc[B, "sun"][["runs", "support", "elsewhere"]].tolist() == [1, 1, 2]
    assert table["rank_sequences"].unique().tolist() == [5]


def test_the_q_values():
    """Five documents, three of A; more than one document selects an item that is tested: sun (3), tax (2).

    Two items and two classes are four tests, of which three have a row:
    sun in A: of 3 selected documents 2 or 3 are of A: (C(3,2) C(2,1) + C(3,3)) / C(5,3) = 7/10
    sun in B: 1 or 2 are of B: 1 - C(3,3) / C(5,3) = 9/10
    tax in B: both are of B: 1 / C(5,2) = 1/10
    q of Benjamini and Hochberg: 0.1 * 4/1 = 0.4; 0.7 * 4/2 = 1.4 and 0.9 * 4/3 = 1.2, which are 1.
    """
    table = corrected(*selected(), Thresholds(0.6, 1, 1.0)).set_index(["class", "item"])
    assert len(table) == 3
    expected = {(A, "sun"): (0.7, 1.0), (B, "sun"): (0.9, 1.0), (B, "tax"): (0.1, 0.4)}
    for key, (p, q) in expected.items():
        assert table.loc[key, ["p", "q"]].tolist() == pytest.approx([p, q])


def test_keywords_and_their_worth():
    """In 0.6 of three runs (1.8, so two) and in two documents: sun for A, tax for B.

    A has documents 1, 2 and 3; 2 and 3 select sun: coverage 2/3. Of the other two, document 4 does, in run
    2: cross-coverage 1/2. B has 4 and 5, both select tax: 1; none of the others does: 0.
    """
    selections, sequences = selected()
    published = Thresholds(min_run_share=0.6, min_sequences=1, max_q=1.0)
    items = stable_items(candidates(selections, sequences, published), published)
    assert items[["class", "item", "position"]].values.tolist() == [[A, "sun", 1], [B, "tax", 1]]
    worth = summary(items, items.head(0), selections, sequences).set_index("class")
    names = ["sequences", "stable_items", "distinctiveness", "coverage", "cross_coverage"]
    assert worth.loc[A, names].tolist() == pytest.approx([3, 1, 1, 2 / 3, 1 / 2])
    assert worth.loc[B, names].tolist() == pytest.approx([2, 1, 1, 1, 0])
    # at this false discovery rate tax alone is left; with one document more than needed, nothing
    for stricter, left in ((Thresholds(0.6, 1, 0.41), ["tax"]), (Thresholds(0.6, 2, 1.0), [])):
        kept = stable_items(candidates(selections, sequences, stricter), stricter)
        assert kept["item"].tolist() == left
