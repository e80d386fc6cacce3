"""What the places of the kept tokens tell about the label."""

import numpy as np
import pytest
from scipy import stats

from whatyouread.evaluate.leakage import PLACES, label_leakage, mask_features


def content_of(width, lengths):
    """All tokens but `<cls>` of sequences of these lengths."""
    place = np.arange(width)
    return (place > 0) & (place < np.array(lengths)[:, None])


def test_features_of_a_mask_by_hand():
    kept = np.zeros((2, 42))
    kept[0, [0, 1, 2, 3, 40]] = 1  # `<cls>`, a run of three, a run of one
    kept[1, 5:8] = 1  # only the first five tokens are there
    made = mask_features(kept, content_of(42, [41, 6]))
    places, runs = made[:, :PLACES], made[:, PLACES:]
    # two tokens a part: three of four kept ones in the first two parts, one in the last
    assert places[0].tolist() == [0.5, 0.25] + [0] * 17 + [0.25]
    assert runs[0].tolist() == [0.25, 0, 0.75, 0, 0, 0]
    assert runs[1].tolist() == [1, 0, 0, 0, 0, 0]
    assert mask_features(np.zeros((1, 9)), content_of(9, [9])).tolist() == [[0] * 26]


def masks(labels, leaking):
    generator = np.random.default_rng(0)
    kept = generator.random((len(labels), 101)) < 0.1
    if leaking:
        for row, label in enumerate(labels):
            kept[row, 10 + 20 * label : 16 + 20 * label] = True
    return mask_features(kept, content_of(101, [101] * len(labels)))


def test_a_mask_that_tells_the_label_is_found_out():
    labels = np.repeat([0, 1, 2, 3], 25)
    values, classes = label_leakage(masks(labels, True), labels, 1)
    assert classes == 4
    assert values.mean() > 0.9


def test_a_mask_that_tells_nothing_is_at_chance():
    labels = np.repeat([0, 1, 2, 3], 50)
    values, _ = label_leakage(masks(labels, False), labels, 1)
    # 200 guesses of four classes
    assert stats.binomtest(round(values.sum()), 200, 0.25).pvalue > 0.01


def test_classes_count_alike_and_small_ones_are_left_out():
    labels = np.repeat([0, 1, 2], [60, 20, 4])
    values, classes = label_leakage(masks(labels, True), labels, 1)
    assert classes == 2
    assert np.isnan(values[80:]).all()
    right = values[:80] > 0
    recalls = [right[:60].mean(), right[60:].mean()]
    assert np.nanmean(values) == pytest.approx(np.mean(recalls))


def test_one_class_tells_nothing():
    values, classes = label_leakage(masks(np.zeros(20, int), False), np.zeros(20, int), 1)
    assert classes == 1
    assert np.isnan(values).all()


def test_sequences_without_a_label_are_no_class():
    labels = np.repeat([0, 1, 2, 3], 25)
    features = masks(labels, True)
    known = np.arange(100) % 3 > 0
    made, classes = label_leakage(features, np.where(known, labels, -1), 1)
    alone, _ = label_leakage(features[known], labels[known], 1)
    assert classes == 4
    assert np.isnan(made[~known]).all()
    np.testing.assert_array_equal(made[known], alone)
