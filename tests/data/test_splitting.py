import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from helpers_splitting import data, divide, rng, settings, table_of_copies, tables
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from whatyouread.data import split_summary, splitting
from whatyouread.data.labels import Labelled, label_sequences
from whatyouread.data.levels import Level
from whatyouread.data.splitting import NONE, TEST, TRAIN, VALIDATION
from whatyouread.support.cli import UserError

RANKS = ["phylum", "genus"]


def summary(made, division):
    table = split_summary.summary_table(made[0], division, made[1], {"test sequences": 5})
    return table.set_index("quantity")


@pytest.mark.parametrize(
    ("sizes", "fraction", "counts"),
    [
        ([100, 50, 30, 10, 1], 0.1, [10, 5, 3, 1, 0]),
        ([24, 26, 25], 0.1, [2, 3, 3]),  # 2.4 + 2.6 + 2.5 = 7.5, rounded to 8
        ([24, 26, 24], 0.1, [2, 3, 2]),  # 7.4, rounded to 7
        ([4] * 10, 0.02, [0] * 10),
        ([24, 200], 0.02, [0, 4]),  # 0.48 rounds to 0: too small, although 4.48 would give it 1
        ([25, 174], 0.02, [1, 3]),  # 0.5 and 3.48, together 3.98
        ([2, 2], 0.9, [1, 1]),  # one is left for training
        ([1, 99], 0.9, [0, 90]),
        ([100], 0.07, [7]),  # 7.000000000000001 in floating point
        ([100], 0.29, [29]),  # 28.999999999999996
    ],
)
def test_counts_by_largest_remainder(sizes, fraction, counts):
    assert splitting.stratified_counts(np.array(sizes), fraction, rng()).tolist() == counts


def test_equal_remainders_are_drawn():
    drawn = {
        tuple(splitting.stratified_counts(np.array([15, 15]), 0.1, rng(seed)).tolist())
        for seed in range(20)
    }
    assert drawn == {(1, 2), (2, 1)}


@given(
    sizes=st.lists(st.integers(1, 400), min_size=1, max_size=40),
    fraction=st.sampled_from([0.01, 0.02, 0.1, 0.25, 0.5]),
)
def test_counts_are_floor_or_ceiling_and_sum_to_the_share(sizes, fraction):
    sizes = np.array(sizes)
    counts = splitting.stratified_counts(sizes, fraction, rng())
    able = (sizes * fraction >= 0.5) & (sizes > 1)
    assert (counts[~able] == 0).all()
    assert (np.abs(counts - sizes * fraction)[able] < 1).all()
    assert (counts < sizes).all()
    share = int(np.floor(fraction * sizes.sum() + 0.5))
    upper = np.where(able, np.minimum(np.ceil(sizes * fraction), sizes - 1), 0).sum()
    lower = np.where(able, np.floor(sizes * fraction), 0).sum()
    assert counts.sum() == min(max(share, lower), upper)


def test_sizes_of_the_splits():
    made = data(np.repeat([11, 12, 21], [100, 50, 34]))
    division = divide(*made)
    sizes = np.bincount(division.split, minlength=4).tolist()
    assert sizes == [184 - 18 - 37, 37, 18, 0]
    genus = made[1].classes["genus"]
    assert np.bincount(genus[division.split == TEST]).tolist() == [10, 5, 3]
    assert np.bincount(division.explainer, minlength=4).tolist() == [
        *[65, 37, 0],  # 129 / 2, halves up; everything
        184 - 65 - 37,
    ]
    assert (division.split[division.explainer == TRAIN] == TRAIN).all()
    assert (division.split[division.explainer == VALIDATION] == VALIDATION).all()


def test_class_numbers_follow_the_class_table():
    _, labelled = data([21, 11, 12, 21] * 20)
    assert {level: numbers[:4].tolist() for level, numbers in labelled.classes.items()} == {
        "phylum": [1, 0, 0, 1],
        "genus": [2, 0, 1, 2],
    }


def test_what_is_not_kept_or_empty_is_in_no_split():
    lengths = np.full(90, 9)
    lengths[5] = 0
    taxids = np.repeat([11, 12, 21], 30)
    made = data(taxids, lengths=lengths, statuses=[(12, "no genus")])
    division = divide(*made)
    unused = (taxids == 12) | (lengths == 0)
    assert ((division.split == NONE) == unused).all()
    for numbers in made[1].classes.values():
        assert (numbers[unused] == -1).all()
        assert (numbers[~unused] >= 0).all()
    assert (division.explainer[unused] == NONE).all()


def test_the_order_of_the_archive_does_not_matter_and_the_seed_does():
    index, labelled = data(
        rng(1).choice([11, 12, 21, 22], 300), hashes=rng(2).integers(0, 150, 300)
    )
    for group in ("none", "duplicates"):
        whole = divide(index, labelled, group_by=group)
        order = rng(3).permutation(300)
        reordered = labelled._replace(
            used=labelled.used[order],
            classes={level: numbers[order] for level, numbers in labelled.classes.items()},
        )
        shuffled = divide(index.take(pa.array(order)), reordered, group_by=group)
        np.testing.assert_array_equal(shuffled.split, whole.split[order])
        np.testing.assert_array_equal(shuffled.explainer, whole.explainer[order])
        again = divide(index, labelled, group_by=group)
        np.testing.assert_array_equal(again.split, whole.split)
        other = divide(index, labelled, seed=2, group_by=group)
        assert (other.split != whole.split).sum() > 30


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12), min_size=3, max_size=12),
    copies=st.integers(1, 4),
    group=st.sampled_from(["none", "duplicates"]),
    seed=st.integers(0, 99),
)
def test_every_class_keeps_a_training_sequence(sizes, copies, group, seed):
    taxids = np.repeat(np.arange(11, 11 + len(sizes)), sizes)
    hashes = rng(seed).integers(0, max(2, len(taxids) // copies), len(taxids))
    made = data(taxids, hashes=hashes)
    try:
        division = divide(*made, seed=seed, test=0.3, validation=0.6, group_by=group)
    except UserError as error:
        # honest outcomes for a few sequences
        assert re.search("split is empty|of one genus only", str(error))  # noqa: PT017
        return
    genus = made[1].classes["genus"]
    assert set(genus[division.split == TRAIN]) == set(genus)


def test_small_classes_stay_out_of_the_test_split_and_are_named():
    made = data(np.repeat([11, 12, 13, 21], [60, 1, 4, 60]))
    division = divide(*made)
    table = summary(made, division)
    assert table.loc["classes of rank genus too small for the test split", "value"] == 2
    assert table.loc["classes of rank genus too small for the test split", "detail"] == (
        "genus 012, genus 013"
    )
    assert table.loc["test classes of rank genus", "value"] == 2
    assert table.loc["test classes of rank phylum", "value"] == 2
    assert table.loc["train classes of rank genus", "value"] == 4
    assert table.loc["test sequences", "value"] == 12  # 6 of 60 each: floor and ceiling
    assert table.loc["test sequences", "paper"] == 5
    assert division.split[60] == TRAIN  # the only one of its genus


def test_copies_across_splits_are_counted():
    made = data([11, 11, 11, 12, 12, 12, 12], hashes=[1, 2, 3, 1, 2, 2, 9], lengths=[9] * 6 + [0])
    split = np.array([TRAIN, TRAIN, VALIDATION, TEST, TEST, VALIDATION, NONE], np.int8)
    table = summary(made, splitting.Division(split, np.full(7, NONE, np.int8)))["value"]
    assert table["test sequences with an exact copy in train"] == 2
    assert table["test sequences with an exact copy in validation"] == 1
    assert table["validation sequences with an exact copy in train"] == 1
    assert table["sequences in no split"] == 1


def test_grouped_copies_stay_together_and_sizes_hold_about():
    taxids = np.repeat([11, 12, 21, 22], 500)
    hashes = (taxids * 1000 + rng(4).integers(0, 250, 2000)).astype(np.uint64)
    made = data(taxids, hashes=hashes)
    loose, grouped = (divide(*made, group_by=group) for group in ("none", "duplicates"))
    copies = summary(made, loose).loc["test sequences with an exact copy in train", "value"]
    assert copies > 100
    table = summary(made, grouped)["value"]
    for quantity in table.index[table.index.str.contains("exact copy")]:
        assert table[quantity] == 0
    per_group = pd.Series(grouped.split).groupby(hashes).nunique()
    assert (per_group == 1).all()
    # groups of one sequence are there to fill the shares
    assert np.bincount(made[1].classes["genus"][grouped.split == TEST]).tolist() == [50] * 4
    assert (grouped.split == VALIDATION).sum() == 400


def test_a_number_for_the_explainer(caplog):
    made = data(np.repeat([11, 21], 100))
    division = divide(*made, explainer_train=17, explainer_validation=3)
    assert np.bincount(division.explainer)[:2].tolist() == [17, 3]
    assert "asks for" not in caplog.text
    division = divide(*made, explainer_train=239391, explainer_validation=0.001)
    assert np.bincount(division.explainer)[:2].tolist() == [140, 1]
    assert "split.explainer_train asks for 239391 sequences, the train split has 140" in caplog.text


def test_the_table_that_is_written():
    made = data(np.repeat([11, 21], 20))
    division = divide(*made)
    table = splitting.split_table(division, made[1])
    assert table.schema.names == ["split", "explainer", *RANKS]
    assert table.schema.field("genus").type == pa.int16()
    assert table.column("split").to_pylist() == [splitting.SPLITS[n] for n in division.split]
    assert set(table.column("explainer").to_pylist()) == {"train", "validation", "none"}
    assert table.column("genus").to_pylist() == [0] * 20 + [1] * 20
    made[1].classes["genus"] += 32767
    many = splitting.split_table(division, made[1])
    assert many.schema.field("genus").type == pa.int32()
    assert many.schema.field("phylum").type == pa.int16()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"test": 0}, "split.test is 0"),
        ({"test": 1.0}, "split.test is 1.0"),
        ({"validation": -0.1}, "split.validation is -0.1"),
        ({"test": 0.5, "validation": 0.5}, "together they must stay below 1"),
        ({"explainer_train": 0}, "split.explainer_train is 0"),
        ({"explainer_train": 10.5}, "split.explainer_train is 10.5"),
        ({"explainer_validation": -3}, "split.explainer_validation is -3"),
    ],
)
def test_settings_out_of_range(changed, words):
    with pytest.raises(UserError, match=words):
        settings(**changed)


def test_a_single_class_and_empty_splits_are_errors():
    with pytest.raises(UserError, match="a single genus"):
        divide(*data([11] * 50))
    with pytest.raises(UserError, match="the test split is empty with 8 sequences"):
        divide(*data([11, 12] * 4))
    with pytest.raises(UserError, match="the validation split is empty with 20 sequences"):
        divide(*data([11, 12] * 10), validation=0.02)
    with pytest.raises(UserError, match=r"of one genus only \(genus 011\).* larger split.test"):
        divide(*data([11] * 100 + [12] * 2))


def test_tables_that_do_not_belong_together_are_errors():
    index, labels, levels = tables(np.repeat([11, 21], 20))
    with pytest.raises(UserError, match="the taxid 21 is not in the label table"):
        label_sequences(index, labels[labels["taxid"] != "21"], levels)
    fewer = levels[1]._replace(paths=levels[1].paths[:1])
    with pytest.raises(UserError, match="does not fit the label table"):
        label_sequences(index, labels, [levels[0], fewer])


def random_groups(seed):
    """Classes of many sizes; groups of many sizes, some within a class, some across classes."""
    draws = rng(seed)
    taxids = np.repeat(np.arange(11, 23), draws.integers(1, 60, 12))
    within = taxids * 1000 + draws.integers(0, int(draws.integers(2, 40)), len(taxids))
    across = 10**6 + draws.integers(0, 50, len(taxids))
    return taxids, np.where(draws.random(len(taxids)) < 0.1, across, within)


@pytest.mark.parametrize("seed", range(40))
def test_groups_are_never_divided_and_shares_hold(seed):
    taxids, grouped = random_groups(seed)
    made = data(taxids)
    try:
        division = divide(*made, seed=seed, test=0.15, validation=0.2, group_by=grouped)
    except UserError as error:
        assert re.search("split is empty|of one genus only", str(error))  # noqa: PT017
        return
    frame = pd.DataFrame({"group": grouped, "genus": taxids, "split": division.split})
    assert (frame.groupby("group")["split"].nunique() == 1).all()
    for _, genus in frame.groupby("genus"):
        counts = np.bincount(genus["split"], minlength=3)
        assert counts[TRAIN] >= 1
        assert counts[TEST] <= np.ceil(0.15 * len(genus) + 1e-9)
        assert counts[VALIDATION] <= np.ceil(0.2 * len(genus) + 1e-9)
        # the test split takes what fits: each group that is left is larger than the room that is left,
        # or lies in several classes
        room = np.floor(0.15 * len(genus)) - counts[TEST]
        left = frame[(frame["split"] != TEST) & frame["group"].isin(genus["group"])]
        sizes = left.groupby("group")["genus"].agg(["size", "nunique"])
        assert (sizes["size"][sizes["nunique"] == 1] > room).all() or room < 1 or len(genus) < 4
    assert (frame["split"] == VALIDATION).sum() <= round(0.2 * len(frame))


@pytest.mark.parametrize("seed", range(5))
def test_the_numbers_of_groups_and_the_order_do_not_matter(seed):
    taxids, grouped = random_groups(seed + 100)
    index, labelled = data(taxids)
    options = {"test": 0.3, "validation": 0.2}
    whole = divide(index, labelled, group_by=grouped, **options)
    renamed = np.unique(grouped, return_inverse=True)[1] * 7 % 1009
    order = rng(seed).permutation(len(taxids))
    reordered = labelled._replace(
        used=labelled.used[order],
        classes={level: numbers[order] for level, numbers in labelled.classes.items()},
    )
    again = divide(index.take(pa.array(order)), reordered, group_by=renamed[order], **options)
    np.testing.assert_array_equal(again.split, whole.split[order])
    np.testing.assert_array_equal(again.explainer, whole.explainer[order])


def test_groups_of_one_sequence_fill_the_same_shares():
    made = data(np.repeat([11, 12, 21], [100, 50, 34]))
    division = divide(*made, group_by=np.arange(184))
    genus = made[1].classes["genus"]
    assert np.bincount(genus[division.split == TEST]).tolist() == [10, 5, 3]
    assert (division.split == VALIDATION).sum() == 37


def test_groups_that_are_too_large_stay_in_training(caplog):
    # genus 011: one group of 30 and 20 single ones; 012: one group; 021: two halves
    taxids = np.repeat([11, 12, 21, 22], [50, 40, 60, 50])
    grouped = np.concatenate(
        [
            np.zeros(30),
            1 + np.arange(20),
            np.full(40, 50),
            60 + np.arange(60) // 30,
            100 + np.arange(50),
        ]
    ).astype(int)
    made = data(taxids)
    division = divide(*made, group_by=grouped, test=0.1, validation=0.1)
    genus = made[1].classes["genus"]
    assert np.bincount(genus[division.split == TEST], minlength=4).tolist() == [5, 0, 0, 5]
    assert (division.split[:30] == TRAIN).all()
    assert (division.split[50:150] == TRAIN).all()
    assert (
        "10 sequences go to the test split, less than its share of 20: split.group_by (cluster)"
        in caplog.text
    )
    table = summary(made, division)
    assert table.loc["groups", "value"] == 1 + 20 + 1 + 2 + 50
    assert table.loc["groups of several sequences", "value"] == 4
    assert table.loc["groups of several sequences", "detail"] == "130 sequences"
    assert table.loc["sequences of the largest group", "value"] == 40
    large = table.loc["groups larger than the share of a class in the test split"]
    assert large["value"] == 4
    assert large["detail"] == "130 sequences, which stay out of it"
    untested = table.loc[
        "classes of rank genus too small, or of too large groups, for the test split"
    ]
    assert (untested["value"], untested["detail"]) == (2, "genus 012, genus 021")
    # with a larger fraction one half is tested
    division = divide(*made, group_by=grouped, test=0.5, validation=0.1)
    assert np.bincount(genus[division.split == TEST], minlength=4)[[1, 2]].tolist() == [0, 30]
    assert "together" in splitting.split_table(division, made[1]).column_names


def test_classes_of_one_group_each_are_an_error():
    made = data(np.repeat([11, 12, 21], 50))
    with pytest.raises(UserError, match="split is empty with 150 sequences in 3 groups, which"):
        divide(*made, group_by=made[0]["taxid"].to_numpy())


def test_what_is_kept_together():
    index, labels, _ = tables([11, 12, 11, 13, 13], hashes=[5, 6, 5, 7, 6])
    labels["host"] = ["dog", "", "dog"]
    found = {
        by: splitting.groups(
            index, labels, settings(group_by=by), table_of_copies([4, 4, 2, 0, -1])
        )
        for by in ("none", "duplicates", "cluster", "taxid", "phylum_taxid", "host")
    }
    assert found.pop("none") is None
    found = {by: pd.factorize(numbers)[0].tolist() for by, numbers in found.items()}
    assert found == {
        "duplicates": [0, 1, 0, 2, 1],
        "cluster": [0, 0, 1, 2, 3],
        "taxid": [0, 1, 0, 2, 2],
        "phylum_taxid": [0, 0, 0, 0, 0],
        "host": [0, 1, 0, 0, 0],  # one without a value is alone
    }
    labels["host"] = ""
    of_none = splitting.groups(index, labels, settings(group_by="host"))
    assert len(set(of_none)) == 5
    with pytest.raises(UserError, match=r"group_by is 'hots': give none, .* \(taxid, status, "):
        splitting.groups(index, labels, settings(group_by="hots"))
    with pytest.raises(UserError, match="give --copies"):
        splitting.groups(index, labels, settings(group_by="cluster"))
    with pytest.raises(UserError, match="not of these sequences"):
        splitting.groups(index, labels, settings(), table_of_copies([0] * 4))
    other = table_of_copies([0] * 5).set_column(0, "length", pa.array([9, 9, 9, 9, 8], pa.int32()))
    with pytest.raises(UserError, match="not of these sequences"):
        splitting.groups(index, labels, settings(), other)


def test_sets_of_classes_are_strata():
    """Each set gives its share to the test; one that is too rare stays in training, and is counted."""
    sets = np.repeat([0b001, 0b011, 0b000, 0b110], [100, 50, 30, 3]).astype(np.int64)
    level = Level("register", "label", ("HI", "NA", "OP"), ("HI", "NA", "OP"), "multiple")
    index, _ = data(np.arange(len(sets)))
    labelled = Labelled([level], np.ones(len(sets), bool), {"register": sets})
    made = divide(index, labelled)
    table = splitting.split_table(made, labelled)
    assert table.schema.field("register").type == pa.int64()
    tested = table["register"].to_numpy()[made.split == splitting.TEST]
    assert np.unique(tested, return_counts=True)[1].tolist() == [3, 10, 5]
    assert 0b110 not in tested
    summary = split_summary.summary_table(index, made, labelled, {}).set_index("quantity")
    row = summary.loc["sets of classes of rank register too small for the test split"]
    assert (row["value"], row["detail"]) == (1, "NA, OP")
    assert summary.loc["test classes of rank register", "value"] == 2
    assert summary.loc["train classes of rank register", "value"] == 3
