"""Figures of the comparison."""

import numpy as np
import pandas as pd
import pytest

from whatyouread.report.comparison_figure import MEASURES, draw_cost
from whatyouread.report.style import method_looks


@pytest.mark.parametrize(
    ("low", "high"), [(0.3, 0.5), (0.41, 0.5), (0.3, 0.39), (0.4, 0.4), (np.nan, np.nan)]
)
def test_an_interval_is_drawn_where_it_lies(low, high):
    """With few resamples a percentile interval may leave out the mean of 0.4."""
    names = ["explainer_a", "lime"]
    costs = pd.DataFrame({"method": names, "control": "none", "seconds_per_sequence": [0.01, 2.0]})
    rows = [
        {"method": name, "metric": measure, "rank": "mean", "value": 0.4, "low": low, "high": high, "n": 2}
        for measure in MEASURES
        for name in names
    ]  # fmt: skip
    figure = draw_cost(costs, pd.DataFrame(rows), ["explainer_a"])
    for axes in figure.axes:
        [first, _] = axes.collections
        segment = first.get_segments()[0]
        # nothing of an interval that is not known
        assert segment.tolist() == ([] if np.isnan(low) else [[0.01, low], [0.01, high]])
    figure.canvas.draw()


def test_a_method_without_a_cost_is_left_out_and_takes_no_colour():
    """Scores that somebody gave have none; the others look as in the curves."""
    names = ["explainer_a", "mine", "lime"]
    rows = [
        {"method": name, "metric": measure, "rank": "mean", "value": 0.4, "low": 0.3, "high": 0.5, "n": 2}
        for measure in MEASURES
        for name in names
    ]  # fmt: skip
    colours = []
    for methods, seconds in ((names, [0.01, np.nan, 2.0]), (["explainer_a", "lime"], [0.01, 2.0])):
        costs = pd.DataFrame(
            {
                "method": ["unmasked", *methods], "control": "none",
                "seconds_per_sequence": [np.nan, *seconds],
            }
        )  # fmt: skip
        figure = draw_cost(costs, pd.DataFrame(rows), ["explainer_a"])
        for axes in figure.axes:
            assert {text.get_text() for text in axes.texts} == {"explainer a", "lime"}
        colours.append([line.get_color() for line in figure.axes[0].lines])
    looks = method_looks(names, ["explainer_a"])
    assert colours[0] == [looks["explainer_a"]["color"], looks["lime"]["color"]]
    assert colours[0] != colours[1]
