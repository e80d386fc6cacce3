"""The classifier's second choice among the lineages there are, and where a class is wrong."""

import numpy as np
import pytest

from whatyouread.data.kinds import MULTIPLE, SINGLE
from whatyouread.masks.choices import (
    UNCOUNTED,
    class_lineages,
    runner_up_classes,
    scored,
    warn_of_none_wrong,
    where_wrong,
    wrong_at,
    wrong_classes,
)
from whatyouread.support.cli import UserError

LINEAGES = np.array([[0, 0, 0], [0, 1, 2], [1, 2, 3]])


def test_the_runner_up_is_the_next_class_that_is_wrong():
    logits = np.array([[5.0, 99, 4, 3], [1, 99, 6, 7], [9, 99, 1, 2]])
    labels = np.array([[0, 0, 0], [0, 1, 2], [0, 0, 0]])
    predicted = np.array([[0, 0, 0], [1, 2, 3], [0, 0, 0]])
    made = runner_up_classes(labels, predicted, logits, LINEAGES)
    # class 1 is of no lineage; in the second row label and prediction are both left out
    assert made.tolist() == [[0, 1, 2], [0, 0, 0], [1, 2, 3]]


def test_of_two_classes_it_is_the_one_that_is_not_the_label():
    lineages = LINEAGES[:2]
    made = runner_up_classes(
        np.array([[0, 0, 0]]), np.array([[0, 1, 2]]), np.array([[0.0, 0, 0, 0]]), lineages
    )
    assert made.tolist() == [[0, 1, 2]]


def test_a_single_class_has_none():
    with pytest.raises(UserError, match="one class only"):
        runner_up_classes(LINEAGES[:1], LINEAGES[:1], np.zeros((1, 4)), LINEAGES[:1])


def test_a_class_is_wrong_at_the_ranks_where_it_is_not_the_true_one(caplog):
    labels = np.array([[0, 0, 0], [0, 1, 2]])
    asked = np.array([[0, 1, 2], [0, 1, 3]])
    assert wrong_at(asked, labels).tolist() == [[False, True, True], [False, False, True]]
    no = UNCOUNTED
    assert where_wrong(asked, asked, labels).tolist() == [[no, 1, 2], [no, no, 3]]
    assert where_wrong(labels, asked, labels).tolist() == [[no, 0, 0], [no, no, 2]]
    warn_of_none_wrong(asked, labels, ["kingdom", "phylum", "genus"], "some rows")
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["kingdom"]
    assert "some rows are empty there" in caplog.text


def test_nothing_is_wrong_where_the_label_is_missing(caplog):
    labels = np.array([[0, -1, 2], [-1, -1, -1], [1, 2, -1]])
    asked = np.array([[0, 1, 3], [0, 0, 0], [0, 1, 2]])
    yes, no = True, False
    assert wrong_at(asked, labels).tolist() == [[no, no, yes], [no, no, no], [yes, yes, no]]
    assert where_wrong(asked, asked, labels).tolist() == [[-1, -1, 3], [-1, -1, -1], [0, 1, -1]]
    assert where_wrong(labels, asked, labels).tolist() == [[-1, -1, 2], [-1, -1, -1], [1, 2, -1]]
    warn_of_none_wrong(asked[:2], labels[:2], ["kingdom", "phylum", "genus"], "some rows")
    assert "or labels too few: some rows are empty there" in caplog.text
    assert scored(labels, ["a", "b", "c"]) == {"sequences_a": 2, "sequences_b": 1, "sequences_c": 1}


def test_lineages_are_those_of_whole_rows():
    labels = np.array([[1, 2, 3], [0, 0, 0], [0, -1, 4], [-1, 1, 2], [0, 0, 0], [0, 0, -1]])
    assert class_lineages(labels, "x").tolist() == [[0, 0, 0], [1, 2, 3]]
    with pytest.raises(
        UserError, match=r"test\.arrow: none of its 2 sequences has a label at every level"
    ):
        class_lineages(labels[2:4], "test.arrow")


@pytest.mark.parametrize("genera", [2, 3, 7])
def test_wrong_classes_are_of_one_lineage_and_neither_the_label_nor_the_prediction(genera):
    rng = np.random.default_rng(genera)
    lineages = np.stack([np.arange(genera) // 2, np.arange(genera)], 1)
    labels = lineages[rng.integers(genera, size=300)]
    whole = labels.copy()
    labels[rng.random(labels.shape) < 0.4] = -1
    predicted = lineages[rng.integers(genera, size=300)]
    keys = rng.integers(0, 2**63, 300, dtype=np.uint64)
    logits = rng.normal(size=(300, genera))
    known = labels[:, 1] >= 0
    for made in (
        wrong_classes(labels, predicted, keys, 5, lineages),
        runner_up_classes(labels, predicted, logits, lineages),
    ):
        assert (lineages[made[:, 1]] == made).all()
        assert (made[known, 1] != labels[known, 1]).all()
        assert (made[~known, 1] != predicted[~known, 1]).all()
        if genera > 2:
            assert (made[:, 1] != predicted[:, 1]).all()
    # a label that is there draws the same, whatever other labels are missing
    full = wrong_classes(whole, predicted, keys, 5, lineages)
    assert (full[known] == wrong_classes(labels, predicted, keys, 5, lineages)[known]).all()


def test_levels_that_are_no_tree_draw_combinations_that_exist():
    """Two answers of yes or no: all but one of the combinations exist."""
    lineages = np.array([[0, 0], [0, 1], [1, 0]])
    labels = np.array([[0, 1], [1, 0], [-1, 1], [1, -1]] * 20)
    predicted = np.zeros_like(labels)
    made = wrong_classes(labels, predicted, np.arange(80, dtype=np.uint64), 3, lineages)
    assert {tuple(row) for row in made.tolist()} <= {tuple(row) for row in lineages.tolist()}
    lowest = np.where(labels[:, 1] < 0, predicted[:, 1], labels[:, 1])
    assert (made[:, 1] == 1 - lowest).all()


def test_wrong_sets_share_no_class_with_label_and_prediction():
    """By a plain loop over the sets that there are, for many draws."""
    rng = np.random.default_rng(0)
    lineages = np.array([[0], [0b001], [0b010], [0b011], [0b100], [0b1000], [0b1100]])
    labels, predicted = rng.integers(0, 16, (2, 300, 1))
    labels[::10] = -1
    keys = np.arange(300, dtype=np.uint64)
    made = wrong_classes(labels, predicted, keys, 1, lineages, MULTIPLE)
    seen = set()
    for label, guess, wrong in zip(labels[:, 0], predicted[:, 0], made[:, 0], strict=True):
        own = guess if label < 0 else label
        best = [s for s in lineages[:, 0] if s and not s & (own | guess)]
        best = best or [s for s in lineages[:, 0] if s and not s & own]
        best = best or [s for s in lineages[:, 0] if s and s != own]
        assert wrong in best
        seen.add(int(wrong))
    assert seen == set(lineages[:, 0].tolist()) - {0}
    half = wrong_classes(labels[::2], predicted[::2], keys[::2], 1, lineages, MULTIPLE)
    assert np.array_equal(half, made[::2])  # the other sequences do not matter
    wrong = wrong_at(made, labels, [MULTIPLE])[:, 0]
    expected = [bool(label >= 0 and not label & s) for label, s in zip(labels[:, 0], made[:, 0],
                strict=True)]  # fmt: skip
    assert wrong.tolist() == expected
    assert where_wrong(made, made, labels, [MULTIPLE])[~wrong].tolist() == [[-1]] * (~wrong).sum()


def test_the_runner_up_is_the_most_probable_set_that_is_wrong():
    lineages = np.array([[0b001], [0b010], [0b110], [0b100]])
    logits = np.array([[9.0, 1, 2], [9, 3, 2]])
    labels, predicted = np.array([[0b001], [0b010]]), np.array([[0b001], [0b001]])
    made = runner_up_classes(labels, predicted, logits, lineages, MULTIPLE)
    assert made.tolist() == [[0b100], [0b100]]


def test_kinds_of_ranks_side_by_side():
    labels, asked = np.array([[1, 0b01], [1, 0b11]]), np.array([[1, 0b10], [2, 0b10]])
    made = wrong_at(asked, labels, [SINGLE, MULTIPLE])
    assert made.tolist() == [[False, True], [True, False]]
