"""Intervals: bootstrap, and Wilson's of a share."""

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap, norm

from whatyouread.support.statistics import (
    balanced_accuracy,
    balanced_accuracy_interval,
    interval,
    intervals,
    wilson,
)


def test_a_constant_has_no_spread():
    assert interval(np.full(20, 0.7), 100, 1) == pytest.approx((0.7, 0.7))


def test_against_scipy():
    values = np.random.default_rng(3).exponential(size=80)
    low, high = interval(values, 5000, 1)
    other = bootstrap((values,), np.mean, method="percentile", n_resamples=5000, rng=2)
    assert low == pytest.approx(other.confidence_interval.low, abs=0.02)
    assert high == pytest.approx(other.confidence_interval.high, abs=0.02)
    assert low < values.mean() < high


def test_the_same_seed_gives_the_same_interval_in_blocks_of_any_size(monkeypatch):
    from whatyouread.support import statistics as module

    values = np.random.default_rng(3).normal(size=50)
    whole = interval(values, 400, 7)
    assert whole == interval(values, 400, 7) != interval(values, 400, 8)
    monkeypatch.setattr(module, "BLOCK", 50 * 37)
    assert interval(values, 400, 7) == whole


def test_of_nothing():
    assert np.isnan(interval(np.zeros(0), 10, 1)).all()


def test_one_value_has_no_known_spread():
    assert np.isnan(interval(np.ones(1), 10, 1)).all()


@pytest.mark.parametrize("block", [1 << 24, 30 * 7])
def test_intervals_of_columns_are_those_of_each(monkeypatch, block):
    from whatyouread.support import statistics as module

    values = np.random.default_rng(3).normal(size=(30, 6))
    values[:7, 1] = values[-7:, 2] = values[:, 3] = values[1:, 4] = np.nan
    each = [interval(own[~np.isnan(own)], 100, 5) for own in values.T]
    monkeypatch.setattr(module, "BLOCK", block)
    np.testing.assert_allclose(np.transpose(intervals(values, 100, 5)), each, rtol=1e-12)
    assert np.isnan(each[3:5]).all()
    hits = 100.0 * (values[:, :1] > 0)  # sums of whole numbers are exact
    assert np.transpose(intervals(hits, 100, 5)).tolist() == [list(interval(hits[:, 0], 100, 5))]
    assert np.shape(intervals(values[:, :0], 100, 5)) == (2, 0)


@pytest.mark.parametrize("n", [1, 2, 7, 48, 1000])
def test_wilsons_interval_against_scipy(n):
    hits = np.unique(np.linspace(0, n, 9).astype(int))
    for z in (1.0, 1.96, 2.0):
        low, high = wilson(hits / n, n, z)
        for k, below, above in zip(hits, low, high, strict=True):
            level = 1 - 2 * norm.sf(z)
            other = binomtest(int(k), n).proportion_ci(level, method="wilson")
            assert (below, above) == pytest.approx((other.low, other.high), abs=1e-12)
            assert below < above


def resampled_by_loops(labels, predicted, resamples, rng):
    """Balanced accuracy of sequences drawn anew, one resample after the other."""
    values = []
    for _ in range(resamples):
        rows = rng.integers(len(labels), size=len(labels))
        values.append(balanced_accuracy(labels[rows], predicted[rows]))
    return np.quantile(values, [0.025, 0.975])


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_of_balanced_accuracy_against_loops(seed):
    rng = np.random.default_rng(seed)
    labels = rng.choice(4, 90, p=[0.6, 0.3, 0.07, 0.03]) * 5
    predicted = np.where(rng.random(90) < 0.6, labels, rng.integers(0, 4, 90) * 5)
    made = balanced_accuracy_interval(labels, predicted, 4000, 1)
    assert made == pytest.approx(resampled_by_loops(labels, predicted, 4000, rng), abs=0.025)
    assert made[0] < balanced_accuracy(labels, predicted) < made[1]
    missing = np.append(labels, [-1, -1]), np.append(predicted, [0, -1])
    assert balanced_accuracy_interval(*missing, 4000, 1) == made
    assert made == balanced_accuracy_interval(labels, predicted, 4000, 1)
    assert made != balanced_accuracy_interval(labels, predicted, 4000, 2)


def test_a_constant_answer_has_no_spread_and_a_single_sequence_no_known_one():
    labels = np.repeat([0, 1, 2], 30)
    assert balanced_accuracy_interval(labels, np.ones(90, int), 500, 1) == pytest.approx(
        [1 / 3] * 2
    )
    assert balanced_accuracy_interval(labels, labels, 500, 1) == (1, 1)
    assert np.isnan(balanced_accuracy_interval(labels[:1], labels[:1], 500, 1)).all()
    assert np.isnan(balanced_accuracy_interval(np.full(5, -1), np.zeros(5), 500, 1)).all()
