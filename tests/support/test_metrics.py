import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score

from whatyouread.support.statistics import average_precision, balanced_accuracy


@pytest.mark.parametrize("seed", range(20))
def test_equals_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(2, 12))
    labels = rng.choice(classes, 300, p=rng.dirichlet(np.ones(classes)))
    predicted = np.where(rng.random(300) < 0.6, labels, rng.integers(0, classes, 300))
    predicted = np.where(np.isin(predicted, labels), predicted, labels)
    expected = balanced_accuracy_score(labels, predicted)
    assert balanced_accuracy(labels, predicted) == pytest.approx(expected, abs=1e-12)


def test_mean_recall_by_hand():
    # class 0: 3 of 4, class 2: 1 of 2, class 7: 0 of 1
    labels = np.array([0, 0, 0, 0, 2, 2, 7])
    predicted = np.array([0, 0, 0, 2, 2, 0, 0])
    assert balanced_accuracy(labels, predicted) == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)


def test_a_class_that_is_only_predicted_does_not_count():
    labels, predicted = np.array([0, 0, 1, 1]), np.array([0, 5, 1, 5])
    assert balanced_accuracy(labels, predicted) == 0.5
    assert balanced_accuracy(labels, np.array([0, -1, 1, -1])) == 0.5


def test_rare_classes_weigh_as_much_as_frequent_ones():
    labels = np.array([0] * 99 + [1])
    assert balanced_accuracy(labels, np.zeros(100, int)) == 0.5


def test_nothing_to_judge_is_nan():
    nothing = np.zeros(0, np.int64)
    assert math.isnan(balanced_accuracy(nothing, nothing))


@pytest.mark.parametrize("seed", range(4))
def test_labels_below_0_do_not_count(seed):
    generator = np.random.default_rng(seed)
    labels, predicted = generator.integers(0, 5, (2, 60))
    labels[generator.random(60) < 0.4] = -1
    counted = labels >= 0
    expected = balanced_accuracy_score(labels[counted], predicted[counted])
    assert balanced_accuracy(labels, predicted) == pytest.approx(expected, abs=1e-12)
    assert math.isnan(balanced_accuracy(np.full(60, -1), predicted))


@pytest.mark.parametrize("seed", range(20))
def test_average_precision_equals_scikit_learns(seed):
    """With ties, places that do not count, and rows of which nothing or all is true."""
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 1 + seed, (40, 25)) / (1 + seed) - 0.3
    scores = scores.astype(rng.choice(["float32", "float64"]))
    counted = rng.random((40, 25)) < rng.random((40, 1))
    truth = rng.random((40, 25)) < 0.5 * rng.random((40, 1))
    truth[:3], truth[3:5], counted[5] = False, True, False
    made = average_precision(scores, truth, counted)
    for row in range(40):
        own = truth[row, counted[row]]
        if own.any() and not own.all():
            expected = average_precision_score(own, scores[row, counted[row]])
            assert made[row] == pytest.approx(expected, abs=1e-12)
        else:
            assert math.isnan(made[row])


def test_average_precision_by_hand():
    scores = np.array([[0.9, 0.8, 0.7, 0.1], [0.5, 0.5, 0.5, 0.9], [0.2, 0.9, 0.3, 0.8]])
    truth = np.array([[1, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 1]]).astype(bool)
    counted = np.array([[1, 1, 1, 1], [1, 1, 1, 1], [1, 0, 1, 1]]).astype(bool)
    # 1 of 1 and 2 of 3; 1 of 4 with all ties; 1 of 1, where the highest score does not count
    assert average_precision(scores, truth, counted) == pytest.approx([(1 + 2 / 3) / 2, 1 / 4, 1])
    assert average_precision(-scores, truth, counted) == pytest.approx(
        [(1 / 2 + 2 / 4) / 2, 1 / 3, 1 / 3]
    )
    assert (
        average_precision(np.zeros((0, 4)), np.zeros((0, 4), bool), np.zeros((0, 4), bool)).size
        == 0
    )
