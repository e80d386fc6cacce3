"""When a mask does better than its controls."""

import numpy as np
import pytest

from whatyouread.report.conditions import beaten, is_clear


def test_controls_that_are_beaten():
    controls = np.array([50.0, 60, 70])
    assert beaten(65, controls, 1) == 2
    assert beaten(65, controls, -1) == 1
    assert beaten(60, controls, 1) == 1  # as good as one of them is not better
    # Wilson's interval of two standard errors of 80 % in 400 goes from 75.7 to 83.7:
    # (0.8 + 4 / 800 ± 2 sqrt(0.8 * 0.2 / 400 + 4 / 400**2 / 4)) / 1.01
    assert is_clear(80, np.array([60.0, 75.6]), 1, 400)
    assert not is_clear(80, np.array([60.0, 75.8]), 1, 400)
    assert is_clear(80, np.array([83.8]), -1, 400)
    assert not is_clear(80, np.array([83.6]), -1, 400)
    assert not is_clear(80, np.array([83.8]), 1, 400)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("ours", [0.0, 50.0, 100.0])
@pytest.mark.parametrize("control", [0.0, 20.0, 50.0, 100.0])
def test_of_a_handful_of_sequences_nothing_is_clear(n, ours, control):
    assert not is_clear(ours, np.array([control]), 1, n)
    assert not is_clear(ours, np.array([control]), -1, n)


@pytest.mark.parametrize(("ours", "direction"), [(100.0, 1), (0.0, -1)])
@pytest.mark.parametrize("n", [6, 30, 100, 3000])
def test_a_share_of_all_or_none_has_an_error(n, ours, direction):
    """All differences speak for the masks, so that a sign test asks for six of them."""
    fewer, enough = (ours - direction * 100 * np.array([k / n]) for k in (5, 6))
    assert not is_clear(ours, fewer, direction, n)
    assert is_clear(ours, enough, direction, n)
    assert is_clear(ours, np.round(enough, 2), direction, n)  # as tables have it


def test_a_missing_number_is_not_beaten():
    assert not is_clear(80, np.array([20.0, np.nan]), 1, 400)
    assert not is_clear(np.nan, np.array([20.0]), 1, 400)
    assert not is_clear(80, np.array([]), 1, 400)
    assert not is_clear(80, np.array([20.0]), 1, 0)
    assert beaten(80, np.array([20.0, np.nan]), 1) == 1
