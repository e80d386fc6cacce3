"""The classifier's second choice among the lineages there are, and where a class is wrong."""

import numpy as np
import pytest

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
