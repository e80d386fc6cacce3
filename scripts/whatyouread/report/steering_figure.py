"""The figure of fidelity with top tokens kept, net of steering, and removed, and of the steering rate."""

import textwrap

import pandas as pd

from whatyouread.report.style import method_looks, new_figure
from whatyouread.support.text import counted

YARDSTICK = "fidelity"
NET = "net of steering, {}\n(points, higher is better)"
ROWS = {
    ("classifier", "kept"): "kept: the class of the whole is said\n(%, higher is better)",
    ("classifier", "net_wrong"): NET.format("random class"),
    ("classifier", "net_runner_up"): NET.format("runner-up"),
    ("classifier", "removed"): "removed: the class of the whole is said\n(%, lower is better)",
    ("classifier", "removed_by_level"): "removed, level by level\n(%, lower is better)",
    ("classifier", "steered_wrong"): "steering rate\n(%, lower is better)",
    ("judge", "net_wrong"): f"judge: {NET.format('random class')}",
    ("judge", "net_runner_up"): f"judge: {NET.format('runner-up')}",
    ("judge", "removed"): "judge: removed\n(%, lower is better)",
    ("judge", "removed_by_level"): "judge: removed, level by level\n(%, lower is better)",
}
"""Reader and measure of each row of panels; those that the table lacks are not drawn."""


def draw_steering(table: pd.DataFrame, explainers: list[str]):
    """A row of panels for each of `ROWS`, a column for each rank.

    table: of `measure_steering`; explainers: the methods that are drawn bold and with intervals.
    Hatched: their moved masks.
    """
    table = table[(table["yardstick"] == YARDSTICK) & (table["measure"] != "whole")]
    there = set(zip(table["reader"], table["measure"], strict=True))
    rows = {key: title for key, title in ROWS.items() if key in there}
    ranks, methods = table["rank"].unique(), list(table["method"].unique())
    look = method_looks(methods, explainers)
    one = explainers[0].replace("_", " ")
    moved_masks = f"controls of {one if len(explainers) == 1 else 'the Explainers'}"
    width = 1.4 + 3.1 * len(ranks)
    figure = new_figure(width, 2.5 * len(rows) + 1)
    panels = figure.subplots(len(rows), len(ranks), sharex=True, sharey="row", squeeze=False)
    for row, ((reader, measure), title) in zip(panels, rows.items(), strict=True):
        measured = table[(table["reader"] == reader) & (table["measure"] == measure)]
        for axes, rank in zip(row, ranks, strict=True):
            part = measured[measured["rank"] == rank]
            moved = part[part["method"].isin(explainers) & (part["control"] != "none")]
            moved = moved.groupby("percent")
            if len(moved):
                axes.fill_between(
                    moved["low"].min().index, moved["low"].min(), moved["high"].max(),
                    facecolor="#F3F3F3", edgecolor="#C4C4C4", hatch="////", lw=0, zorder=0,
                    label=moved_masks,
                )  # fmt: skip
            for method in methods:
                line = part[(part["control"] == "none") & (part["method"] == method)]
                label = method.replace("_", " ")
                axes.plot(
                    line["percent"], line["value"], marker="o", ms=3, label=label, **look[method]
                )
                if method in explainers:
                    axes.fill_between(
                        line["percent"], line["low"], line["high"],
                        color=look[method]["color"], alpha=0.15, lw=0,
                    )  # fmt: skip
        row[0].set_ylabel(title)
    for axes, rank in zip(panels[0], ranks, strict=True):
        axes.set_title(rank)
    for axes in panels[-1]:
        axes.set_xlabel("tokens kept or removed (%)")
        axes.set_xticks(sorted(table["percent"].unique()))
    figure.legend(
        *panels[0, 0].get_legend_handles_labels(), loc="outside lower left",
        ncols=min(4, 1 + len(ranks)),
    )  # fmt: skip
    title = (
        f"What masks show, net of what they make the classifier say"
        f" ({counted(int(table['n'].max()), 'test sequence')}; shaded: 95 % bootstrap intervals)"
    )
    figure.suptitle(textwrap.fill(title, int(12 * width)), x=0.01, ha="left")
    return figure
