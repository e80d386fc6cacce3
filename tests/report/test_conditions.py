"""When a mask does better than its controls."""

import numpy as np

from whatyouread.report.conditions import beaten, is_clear


def test_controls_that_are_beaten():
    controls = np.array([50.0, 60, 70])
    assert beaten(65, controls, 1) == 2
    assert beaten(65, controls, -1) == 1
    assert beaten(60, controls, 1) == 1  # as good as one of them is not better
    # two standard errors of 80 % in 400 are 4 per cent
    assert is_clear(80, np.array([60.0, 75.9]), 1, 400)
    assert not is_clear(80, np.array([60.0, 76.1]), 1, 400)
    assert is_clear(80, np.array([84.1]), -1, 400)
    assert not is_clear(80, np.array([84.1]), 1, 400)


def test_a_share_of_all_has_the_error_of_one_sequence():
    # two standard errors of 99 in 100 are 1.99 per cent
    assert is_clear(100, np.array([98.0]), 1, 100)
    assert not is_clear(100, np.array([98.1]), 1, 100)
    assert not is_clear(0, np.array([1.9]), -1, 100)
