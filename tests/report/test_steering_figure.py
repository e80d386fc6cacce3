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
        for value, (_, measure) in enumerate(list(ROWS)[:6], further)
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
    values = [0, 1, 2, 3, 4, 5, *([101, 102, 103, 104] if "judge" in readers else [])]
    assert drawn == [[[5, value], [10, value]] for value in values]
    judged = [axes.get_ylabel().startswith("judge") for axes in figure.axes]
    assert judged == [value > 100 for value in values]


@pytest.mark.parametrize("ranks", [["answer"], ["phylum", "genus"], ["a", "b", "c", "d"]])
def test_title_and_legend_stay_within_the_figure(ranks):
    methods = ["explainer_paper", "explainer_sharp", "explainer_attnlrp", "explainer_fastshap"]
    methods += ["integrated_gradients", "attnlrp", "lime", "random"]
    names = ["method", "reader", "yardstick", "measure", "control", "percent", "rank"]
    rows = [
        [method, "classifier", "fidelity", measure, control, percent, rank, 50, 40, 60, 96]
        for method in methods
        for (reader, measure) in ROWS
        for control in ("none", "shifted")
        for percent in (5, 10)
        for rank in ranks
        if reader == "classifier"
    ]
    figure = draw_steering(
        pd.DataFrame(rows, columns=[*names, "value", "low", "high", "n"]), methods[:4]
    )
    figure.canvas.draw()
    whole = figure.bbox
    for part in (figure._suptitle, *figure.legends[0].get_texts()):
        own = part.get_window_extent()
        assert whole.x0 <= own.x0
        assert own.x1 <= whole.x1, part.get_text()
