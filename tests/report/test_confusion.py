"""Counts of confusions, by hand and against scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from whatyouread.data.kinds import MULTIPLE, members
from whatyouread.report.confusion import (
    REST,
    confusion,
    order_classes,
    parents_of,
    row_percentages,
    set_confusion,
)
from whatyouread.report.confusion_figure import draw_confusion


def test_counts_equal_scikit_learn():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 6, (2, 500))
    order = [3, 0, 5, 1, 4, 2]
    expected = confusion_matrix(labels, predicted, labels=order)
    assert confusion(labels, predicted, order).tolist() == expected.tolist()


def test_other_classes_count_together():
    labels = np.array([7, 7, 2, 9, 4, 4])
    predicted = np.array([7, 2, 2, 4, 9, 11])
    counts = confusion(labels, predicted, [2, 7, REST])
    # rows: 2, 7, and 4 and 9 together
    assert counts.tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 3]]
    assert confusion(labels, predicted, [2, 7]).tolist() == [[1, 0], [1, 1]]


def test_percentages_of_rows():
    counts = np.array([[3, 1], [0, 0]])
    shares = row_percentages(counts, np.array([4, 0]))
    assert shares[0].tolist() == [75, 25]
    assert np.isnan(shares[1]).all()


def test_classes_stand_with_those_of_their_parent_the_larger_first():
    #                  class: size  0: 1  1: 4  2: 2  3: 3  5: 2
    labels = np.repeat([0, 1, 2, 3, 5], [1, 4, 2, 3, 2])
    parents = np.array([1, 0, 1, 1, 0, 0])[labels]  # parent 1 has 0, 2 and 3: 6; 0 has 1 and 5: 6
    assert order_classes(labels, parents, 9) == [1, 5, 3, 2, 0]
    assert order_classes(labels, None, 9) == [1, 3, 2, 5, 0]
    more = np.append(labels, [3, 3])
    assert order_classes(more, np.append(parents, [1, 1]), 9) == [3, 2, 0, 1, 5]


@pytest.mark.parametrize(
    ("largest", "expected"), [(3, [1, 3, 2, REST]), (1, [1, REST]), (5, [1, 3, 2, 5, 0])]
)
def test_the_smallest_are_left_to_the_others(largest, expected):
    labels = np.repeat([0, 1, 2, 3, 5], [1, 4, 2, 3, 2])
    assert order_classes(labels, None, largest) == expected


def test_single_class():
    labels = np.zeros(3, np.int64)
    assert order_classes(labels, labels, 5) == [0]
    assert confusion(labels, np.array([0, 0, 1]), [0, REST]).tolist() == [[2, 1], [0, 0]]


def test_parents_where_labels_are_missing_or_no_tree():
    genus, phylum = np.array([0, 0, 1, 2, 2]), np.array([-1, 4, 3, -1, -1])
    assert parents_of(genus, phylum).tolist() == [4, 4, 3, -1, -1]
    assert parents_of(genus, None) is None
    assert parents_of(genus, np.array([1, 4, 3, -1, -1])) is None  # genus 0 in two phyla
    assert order_classes(genus, parents_of(genus, phylum), 9) == [2, 0, 1]


def test_sequences_without_a_label_are_left_out_of_the_figure():
    labels, predicted = np.array([0, 1, -1, 1, -1]), np.array([0, 1, 1, 0, 0])
    figure = draw_confusion(
        labels, {"explanandum": predicted}, np.array([0, 0, 0, -1, 1]), ["a", "b"], "genus", 9
    )
    assert "3 test sequences (2 without a label left out)" in figure.get_suptitle()
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["50", "50", "100"]  # the larger class first
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert sorted(labels) == ["a (1)", "b (2)"]
    assert "balanced accuracy 75.0 %" in figure.axes[0].get_title(loc="left")


def test_a_row_of_sets_shows_what_is_predicted_for_sequences_of_its_class():
    labels = np.array([0b01, 0b11, 0b10, 0, -1])
    predicted = np.array([0b01, 0b01, 0b10, 0b10, 0b10])
    counts = set_confusion(members(labels, 2), members(predicted, 2), [0, 1])
    assert counts.tolist() == [[2, 0], [1, 1]]
    figure = draw_confusion(
        labels, {"explanandum": predicted}, None, ["a", "b"], "register", 9, MULTIPLE
    )
    title = figure.get_suptitle()
    said = ["4 test sequences", "1 without a label are left out", "1 sequences with none of the"]
    assert all(line.count(words) for line, words in zip(title.split("\n"), said, strict=True))
    assert [text.get_text() for text in figure.axes[0].texts] == ["100", "50", "50"]
    rows = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert rows == ["a (2)", "b (2)"]
    # a: hits 2; b: 1 hit, 1 false alarm, 1 miss
    assert "macro F1 75.0 %" in figure.axes[0].get_title(loc="left")


def test_classes_of_sets_that_are_not_shown_are_counted():
    labels = np.array([0b111, 0b011, 0b001])
    figure = draw_confusion(
        labels, {"explanandum": labels}, None, ["a", "b", "c"], "register", 2, MULTIPLE
    )
    assert figure.get_suptitle().endswith("\n1 smaller classes not shown")
