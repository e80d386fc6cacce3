"""Figures of the comparison."""

import numpy as np
import pandas as pd
import pytest

from whatyouread.report.comparison_figure import MEASURES, draw_cost


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
