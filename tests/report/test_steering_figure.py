"""Which rows of the table the figure of steering shows."""

import pandas as pd
import pytest

from whatyouread.report.steering_figure import ROWS, draw_steering


@pytest.mark.parametrize("readers", [["classifier"], ["classifier", "judge"]])
def test_each_panel_shows_fidelity_by_its_reader(readers):
    rows = [
        ["lime", reader, yardstick, measure, "none", percent, "genus", value + 100 * i, 0, 0, 9]
        for i, reader in enumerate(readers)
        for yardstick, further in (("fidelity", 0), ("accuracy", 50))
        for value, (_, measure) in enumerate(list(ROWS)[:5], further)
        for percent in (5, 10)
    ]
    for yardstick, value in (("fidelity", 98), ("accuracy", 48)):
        rows.append(
            ["lime", "classifier", yardstick, "whole", "none", 100, "genus", value, 0, 0, 9]
        )
    rows.append(["lime", "none", "accuracy", "leakage", "none", 10, "genus", 7, 0, 0, 9])
    names = ["method", "reader", "yardstick", "measure", "control", "percent", "rank"]
    figure = draw_steering(
        pd.DataFrame(rows, columns=[*names, "value", "low", "high", "n"]), ["lime"]
    )
    drawn = [axes.lines[0].get_xydata().tolist() for axes in figure.axes]
    values = [0, 1, 2, 3, 4, *([101, 102, 103] if "judge" in readers else [])]
    assert drawn == [[[5, value], [10, value]] for value in values]
    judged = [axes.get_ylabel().startswith("judge") for axes in figure.axes]
    assert judged == [value > 100 for value in values]
