"""How far masked sequences lie from whole ones, beside scipy and scikit-learn."""

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf

from whatyouread.evaluate.distance import WholeSequences, fit_classes, squared_distances


def drawn(n, hidden, classes=3, seed=0):
    """States with a full covariance around one mean for each class, and the classes."""
    generator = np.random.default_rng(seed)
    own = np.arange(n) % classes
    mixed = generator.normal(size=(n, hidden)) @ generator.normal(size=(hidden, hidden))
    return mixed + 9 * generator.normal(size=(classes, hidden))[own], own


def expected(fitted, classes, states):
    """By loops: scikit-learn's covariance, scipy's distance to each mean; classes of one have none."""
    means = {c: fitted[classes == c].mean(0) for c in classes if (classes == c).sum() > 1}
    rest = fitted.mean(0)
    centred = [row - means.get(c, rest) for row, c in zip(fitted, classes, strict=True)]
    inverse = LedoitWolf(assume_centered=True).fit(np.array(centred)).get_precision()
    known = [*means.values(), *([rest] if set(classes) - set(means) else [])]
    return [min(mahalanobis(row, mean, inverse) ** 2 for mean in known) for row in states]


@pytest.mark.parametrize(
    ("n", "hidden", "classes"), [(60, 4, 3), (60, 4, 1), (12, 30, 3), (9, 5, 9), (9, 5, 8)]
)
def test_distances_are_those_of_scipy_and_scikit_learn(n, hidden, classes):
    fitted, own = drawn(n, hidden, classes)
    states = drawn(7, hidden, seed=1)[0]
    found = squared_distances(states, fit_classes(fitted, own))
    np.testing.assert_allclose(found, expected(fitted, own, states), rtol=1e-6)


def test_distances_by_hand():
    # two classes around (0, 0) and (10, 0); the covariance is (1, 4) on the diagonal, and not shrunk
    corners = np.array([[1, 2], [1, -2], [-1, 2], [-1, -2]])
    states = np.concatenate([np.tile(corners, (5000, 1)) + shift for shift in ([0, 0], [10, 0])])
    normal = fit_classes(states, np.repeat([0, 1], 20000))
    found = squared_distances(np.array([[3, 0], [0, 4], [8, 0], [10, 2]]), normal)
    np.testing.assert_allclose(found, [9, 4, 4, 1], rtol=1e-3)


def test_whole_sequences_have_one_half_on_average():
    states, own = drawn(50, 4)
    among = WholeSequences(states, own, 1)
    found = among.shares_within(states)
    assert found.mean() == pytest.approx(0.5)
    np.testing.assert_allclose(np.sort(found), (np.arange(50) + 0.5) / 50)
    np.testing.assert_array_equal(among.shares_within(states + 1e6), np.ones(50))


def test_no_sequence_is_close_because_it_was_fitted_itself():
    """New sequences of the same distribution lie as far out as the whole ones, although they are few."""
    states, own = drawn(200, 30, classes=1)
    among = WholeSequences(states[:100], own[:100], 1)
    assert among.shares_within(states[100:]).mean() == pytest.approx(0.5, abs=0.07)
    fitted = fit_classes(states[:100], own[:100])  # what would come of the same sequences
    near, far = (squared_distances(part, fitted).mean() for part in (states[:100], states[100:]))
    assert near < 0.8 * far


def test_a_masked_sequence_is_judged_without_its_own_whole_one():
    """One far from all others: masked by nothing, it is as far out as any."""
    states, own = drawn(40, 3, classes=1)
    states[7] += 1000
    assert WholeSequences(states, own, 1).shares_within(states)[7] == 39.5 / 40


@pytest.mark.parametrize("value", [0.0, 0.3, -70.1])
def test_sequences_that_tie_count_half(value):
    states = np.full((11, 6), value, np.float32)
    among = WholeSequences(states, np.arange(11) % 2, 1)
    np.testing.assert_array_equal(among.shares_within(states), np.full(11, 0.5))
    np.testing.assert_array_equal(among.shares_within(states + 1), np.ones(11))


def test_rounding_errors_are_no_distance():
    """Equal states, whose means differ from them by rounding errors, tie."""
    states = np.tile(np.random.default_rng(0).normal(size=40), (103, 1))
    among = WholeSequences(states, np.arange(103) % 3, 1)
    np.testing.assert_array_equal(among.shares_within(states), np.full(103, 0.5))


@pytest.mark.parametrize("classes", [1, 2, 5])
def test_five_sequences_are_enough_and_fewer_have_no_distances(classes):
    states, own = drawn(5, 12, classes)
    assert WholeSequences(states, own, 1).shares_within(states).mean() == pytest.approx(0.5)
    fewer = WholeSequences(states[:4], own[:4], 1)
    assert np.isnan(fewer.shares_within(states[:4])).all()
