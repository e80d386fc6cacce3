"""The classifier's second choice among the lineages there are, and where a class is wrong."""

import numpy as np
import pytest

from whatyouread.masks.choices import (
    UNCOUNTED,
    runner_up_classes,
    warn_of_none_wrong,
    where_wrong,
    wrong_at,
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
