"""Intervals: bootstrap, and Wilson's of a share."""

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap, norm

from whatyouread.support.statistics import interval, wilson


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
