"""Stable items of classes: thresholds, enrichment and the null, on tables small enough to count."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control as scipy_rates
from scipy.stats import fisher_exact

from whatyouread.classes.stable_items import (
    Thresholds,
    candidates,
    corrected,
    enrichment,
    false_discovery,
    null_table,
    pooled,
    relabelled,
    shuffled_labels,
    stable_items,
    summary,
    with_names,
)

LOOSE = Thresholds(min_run_share=0.6, min_sequences=5, max_q=0.01)


def tables(classes: int = 3, per_class: int = 12, runs: int = 3):
    """Every sequence selects its class's own item and a common one; "rare" only in some."""
    selections, sequences = [], []
    for run in range(runs):
        for number in range(classes):
            for i in range(per_class):
                key = np.uint64(1000 * number + i)
                about = {"run": run, "source": "s", "rank": "genus", "class": number, "key": key}
                sequences.append(about)
                items = {f"own{number}": 0.5 + 0.1 * run, "common": 0.9}
                if number == 0 and i < 5:
                    items["five"] = 0.8
                if number == 0 and i < 6:
                    items["six"] = 0.7
                if number == 1 and run == 0:
                    items["once"] = 0.6
                selections += [
                    about | {"kind": "kmer", "item": k, "score": v} for k, v in items.items()
                ]
    return pd.DataFrame(selections), pd.DataFrame(sequences)


def test_counts_are_of_distinct_sequences_over_all_runs():
    table = pooled(*tables()).set_index(["class", "item"])
    own = table.loc[1, "own1"]
    assert own["mean"] == pytest.approx(0.6)
    assert own["sd"] == pytest.approx(np.std([0.5, 0.6, 0.7]))
    counts = ["runs", "support", "elsewhere", "class_sequences", "rank_sequences"]
    assert own[counts].tolist() == [3, 12, 0, 12, 36]
    assert table.loc[1, "common"][counts].tolist() == [3, 12, 24, 12, 36]
    assert table.loc[1, "once"][counts].tolist() == [1, 12, 0, 12, 36]


def test_more_than_five_sequences_and_enough_runs():
    kept = candidates(*tables(), LOOSE)
    assert set(kept.loc[kept["class"] == 0, "item"]) == {"own0", "common", "six"}
    assert set(kept.loc[kept["class"] == 1, "item"]) == {"own1", "common"}
    one_of_three = Thresholds(min_run_share=1 / 3, min_sequences=4, max_q=0.01)
    kept = candidates(*tables(), one_of_three)
    assert {"five", "once"} <= set(kept["item"])


def test_three_of_five_runs_are_sixty_per_cent():
    selections, sequences = tables(runs=5)
    gone = (selections["item"] == "own0") & (selections["run"] >= 3)
    assert "own0" in set(candidates(selections[~gone], sequences, LOOSE)["item"])
    gone = (selections["item"] == "own0") & (selections["run"] >= 2)
    assert "own0" not in set(candidates(selections[~gone], sequences, LOOSE)["item"])


def test_enrichment_is_fishers_exact_test():
    table = pd.DataFrame(
        [[8, 2, 12, 40], [3, 9, 12, 36], [12, 0, 12, 36], [1, 0, 5, 9]],
        columns=["support", "elsewhere", "class_sequences", "rank_sequences"],
    )
    expected = [
        fisher_exact([[s, e], [c - s, r - c - e]], alternative="greater").pvalue
        for s, e, c, r in table.itertuples(index=False)
    ]
    np.testing.assert_allclose(enrichment(table), expected, rtol=1e-9)


def test_false_discovery_rates_by_hand():
    # sorted 0.01 0.02 0.03 0.5: times 4/1, 4/2, 4/3, 4/4 = 0.04 0.04 0.04 0.5
    np.testing.assert_allclose(
        false_discovery(np.array([0.5, 0.02, 0.01, 0.03])), [0.5, 0.04, 0.04, 0.04]
    )
    np.testing.assert_allclose(false_discovery(np.array([0.9, 0.001])), [0.9, 0.002])
    # two more tests, whose p-values are 1: 0.9 * 4 / 2 is above 1, 0.001 * 4 / 1
    np.testing.assert_allclose(false_discovery(np.array([0.9, 0.001]), 4), [1, 0.004])


@pytest.mark.parametrize("seed", range(5))
def test_false_discovery_rates_against_scipy(seed):
    generator = np.random.default_rng(seed)
    p = generator.random(40) ** 3
    whole = np.append(p, np.ones(25))
    np.testing.assert_allclose(false_discovery(whole), scipy_rates(whole, method="bh"))
    np.testing.assert_allclose(false_discovery(p, 65), scipy_rates(whole, method="bh")[:40])


def test_what_all_classes_select_speaks_for_none():
    items = stable_items(candidates(*tables(), LOOSE), LOOSE)
    assert set(items["item"]) == {"own0", "own1", "own2", "six"}
    first = items[items["class"] == 0].set_index("item")["position"]
    assert first.to_dict() == {"six": 1, "own0": 2}


def test_every_class_is_tested_with_every_item_that_could_be_stable():
    """own0 to own2, common, six and once, in three classes; "five" is in five sequences only."""
    selections, sequences = tables()
    table = corrected(selections, sequences, LOOSE)
    assert (table["tests"] == 6 * 3).all()
    assert "five" not in set(table["item"])
    # what too few runs select is tested too: how many do goes with the support
    assert "once" in set(table["item"])
    known = table.set_index(["class", "item"])
    p = [
        enrichment(
            pd.DataFrame(
                {"support": [support], "elsewhere": 12 - support, "class_sequences": 12,
                 "rank_sequences": 36}
            )
        )[0]
        for support in (12, 0)
    ]  # fmt: skip
    assert p[1] == 1  # a pair without a row
    assert known.loc[(1, "own1"), "p"] == pytest.approx(p[0])
    # own0 to own2 and "once" share the smallest p-value: of 18 tests, the fourth place
    assert known.loc[(1, "own1"), "q"] == pytest.approx(p[0] * 18 / 4)


def random_tables(seed: int, planted: int = 0, runs: int = 3):
    """Sequences of 20 classes that select items by chance, alike in all classes.

    3,000 rare items, of which neighbours often go together as overlapping k-mers do, and a frequent
    one. Of the first `planted` classes four in five sequences also select "true0", "true1", ...
    """
    generator = np.random.default_rng(seed)
    n, classes, items = 400, 20, 3000
    frequency = np.append(generator.uniform(0.01, 0.04, items), 0.5)
    labels = generator.integers(0, classes, n)
    chosen = generator.random((n, items + 1)) < frequency
    chosen[:, 1:items:2] |= chosen[:, :items:2] & (generator.random((n, items // 2)) < 0.7)
    own = np.flatnonzero((labels < planted) & (generator.random(n) < 0.8))
    selections, sequences = [], []
    for run in range(runs):
        row, item = np.nonzero(chosen & (generator.random(chosen.shape) < 0.9))
        names = np.char.add("item", item.astype(str))
        row = np.append(row, own)
        names = np.append(names, np.char.add("true", labels[own].astype(str)))
        about = {"run": run, "source": "s", "rank": "genus"}
        keys = np.arange(n, dtype=np.uint64)
        sequences.append(pd.DataFrame(about | {"class": labels, "key": keys}))
        selected = {"class": labels[row], "key": keys[row], "kind": "kmer", "item": names}
        selections.append(pd.DataFrame(about | selected | {"score": 0.5}))
    return pd.concat(selections, ignore_index=True), pd.concat(sequences, ignore_index=True)


@pytest.mark.parametrize("seed", range(5))
def test_without_an_effect_of_the_class_nothing_is_stable(seed):
    selections, sequences = random_tables(seed)
    found = candidates(selections, sequences, LOOSE)
    # corrected among the candidates alone, as it was once, some of them pass
    assert (false_discovery(found["p"].to_numpy()) <= LOOSE.max_q).sum() >= 5
    assert len(stable_items(found, LOOSE)) == 0
    totals, wrong = null_table(selections, sequences, LOOSE, seed)
    assert (
        totals.loc[0, ["stable_items", "stable_items_shuffled"]].tolist()
        == [0, 0]
        == [0, len(wrong)]
    )


@pytest.mark.parametrize("seed", range(2))
def test_planted_items_are_found_among_all_tests_and_only_these(seed):
    selections, sequences = random_tables(seed, planted=6)
    items = stable_items(candidates(selections, sequences, LOOSE), LOOSE)
    assert set(zip(items["class"], items["item"], strict=True)) == {
        (i, f"true{i}") for i in range(6)
    }
    totals, wrong = null_table(selections, sequences, LOOSE, seed)
    assert totals.loc[0, "stable_items"] == 6
    assert len(wrong) == 0
    assert totals.loc[0, "tests"] == items["tests"].iloc[0] > 20 * 200
    mixed = shuffled_labels(sequences, seed)
    again = corrected(relabelled(selections, mixed), relabelled(sequences, mixed), LOOSE)
    assert (again["tests"] == totals.loc[0, "tests"]).all()


def test_too_few_sequences_to_test_anything_are_tables_without_items():
    selections, sequences = tables(per_class=1, classes=2)
    for chosen in (selections, selections.head(0)):
        assert len(stable_items(candidates(chosen, sequences, LOOSE), LOOSE)) == 0
        totals, wrong = null_table(chosen, sequences, LOOSE, seed=3)
        assert len(wrong) == 0
        counts = ["tests", "stable_items", "stable_items_shuffled", "without_test"]
        assert (totals[counts] == 0).all(axis=None)
    assert null_table(selections, sequences, LOOSE, seed=3)[0]["runs"].tolist() == [3]


def test_the_share_of_the_runs_is_of_the_sources_own_runs():
    """A source that is scored once, because its runs would all be of one classifier, has one run."""
    selections, sequences = tables()
    once, looked_at = (
        frame[frame["run"] == 0].assign(source="alone") for frame in (selections, sequences)
    )
    selections = pd.concat([selections, once], ignore_index=True)
    sequences = pd.concat([sequences, looked_at], ignore_index=True)
    items = stable_items(candidates(selections, sequences, LOOSE), LOOSE)
    alone = items[items["source"] == "alone"]
    assert set(alone["item"]) == {"own0", "own1", "own2", "six", "once"}
    assert (alone["runs"] == 1).all()
    assert "once" not in set(items.loc[items["source"] == "s", "item"])
    totals, _ = null_table(selections, sequences, LOOSE, seed=3)
    assert totals.set_index("source")["runs"].to_dict() == {"alone": 1, "s": 3}


def test_shuffled_labels_keep_sizes_and_belong_to_the_sequence():
    selections, sequences = tables()
    labels = shuffled_labels(sequences, seed=4)
    assert labels["class"].value_counts().to_dict() == {0: 12, 1: 12, 2: 12}
    mixed = relabelled(sequences, labels)
    assert (mixed.groupby("key")["class"].nunique() == 1).all()
    true = sequences.drop_duplicates("key").set_index("key")["class"]
    wrong = labels.set_index("key")["class"]
    assert 0.15 < (true == wrong.loc[true.index]).mean() < 0.6
    assert list(relabelled(selections, labels).columns) == list(selections.columns)
    assert not shuffled_labels(sequences, 5)["class"].equals(labels["class"])


def test_with_shuffled_labels_nothing_is_stable():
    selections, sequences = tables()
    totals, wrong = null_table(selections, sequences, LOOSE, seed=3)
    row = totals.iloc[0]
    assert row["stable_items"] == 4
    assert row["stable_items_shuffled"] == 0 == len(wrong)
    # without the test, what every sequence selects speaks for every class
    assert row["without_test"] == 7
    assert row["without_test_shuffled"] >= 3


def test_the_worth_of_a_list():
    selections, sequences = tables()
    # the item of class 1 also stands in half of the sequences of class 2
    more = selections[(selections["item"] == "own2") & (selections["key"] < 2006)]
    selections = pd.concat([selections, more.assign(item="own1")], ignore_index=True)
    items = stable_items(candidates(selections, sequences, LOOSE), LOOSE)
    table = summary(items, items.head(0), selections, sequences).set_index("class")
    assert table["sequences"].tolist() == [12, 12, 12]
    assert table["coverage"].tolist() == [1.0, 1.0, 1.0]
    assert table["cross_coverage"].tolist() == [0.0, 6 / 24, 0.0]
    assert table["distinctiveness"].tolist() == [1.0, 1.0, 1.0]
    shared = pd.concat([items, items[items["item"] == "own1"].assign(**{"class": 2})])
    table = summary(shared, shared.head(0), selections, sequences).set_index("class")
    assert table["distinctiveness"].tolist() == [1.0, 0.0, 0.5]
    assert table["stable_items_shuffled"].tolist() == [0, 0, 0]


def test_a_class_without_a_list_is_still_in_the_summary():
    selections, sequences = tables()
    items = stable_items(candidates(selections, sequences, LOOSE), LOOSE)
    few = items[items["class"] != 2]
    row = summary(few, few.head(0), selections, sequences).set_index("class").loc[2]
    assert row["stable_items"] == 0
    assert np.isnan(row["distinctiveness"])
    assert row["coverage"] == 0


def test_names_stand_beside_the_classes():
    classes = pd.DataFrame({"rank": ["genus"], "class": [1], "taxid": [77], "name": ["Homo"]})
    named = with_names(pd.DataFrame({"rank": ["genus"], "class": [1], "item": ["A"]}), classes)
    assert list(named.columns) == ["rank", "class", "taxid", "name", "item"]
    assert named.loc[0, "name"] == "Homo"
