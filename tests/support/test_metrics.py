import math

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from whatyouread.support.statistics import balanced_accuracy


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
