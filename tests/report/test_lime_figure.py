"""The panels of LIME's scores."""

import numpy as np

from whatyouread.report.lime_figure import panels, scaled


def test_panels_by_hand():
    score = np.array([-4.0, 2, 0, 1, 1.9, -1])
    assert scaled(score).tolist() == [-1, 0.5, 0, 0.25, 0.475, -0.25]
    assert scaled(np.zeros(2)).tolist() == [0, 0]
    (everything, a), (positive, b), (large, c) = panels("LIME", score, [-1, 0, 0.5])
    assert everything == "LIME, all scores: 5 tokens in 2 runs"
    assert a.tolist() == [-1, 0.5, 0, 0.25, 0.475, -0.25]
    assert positive == "LIME, scores from 0: 3 tokens in 2 runs"
    assert b.tolist() == [0, 0.5, 0, 0.25, 0.475, 0]
    assert large == "LIME, scores from 0.5: 1 token in 1 run"
    assert c.tolist() == [0, 0.5, 0, 0, 0, 0]
