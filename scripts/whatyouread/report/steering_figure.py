"""The figure of accuracy with top tokens kept, net of steering, and removed, and of the steering rate."""

import pandas as pd

from whatyouread.report.style import method_looks, new_figure
from whatyouread.support.text import counted

ROWS = {
    "kept": "kept: the true class is said\n(%, higher is better)",
    "net_wrong": "net of steering, random class\n(points, higher is better)",
    "net_runner_up": "net of steering, runner-up\n(points, higher is better)",
    "removed": "removed: the true class is said\n(%, lower is better)",
    "steered_wrong": "steering rate\n(%, lower is better)",
}


def draw_steering(table: pd.DataFrame, explainers: list[str]):
    """A row of panels for each measure of `ROWS`, a column for each rank.

    explainers: the methods that are drawn bold and with intervals. Hatched: their moved masks.
    """
    ranks, methods = table["rank"].unique(), list(table["method"].unique())
    look = method_looks(methods, explainers)
    one = explainers[0].replace("_", " ")
    moved_masks = f"controls of {one if len(explainers) == 1 else 'the Explainers'}"
    figure = new_figure(1.4 + 3.1 * len(ranks), 2.5 * len(ROWS) + 1)
    panels = figure.subplots(len(ROWS), len(ranks), sharex=True, sharey="row", squeeze=False)
    for row, (measure, title) in zip(panels, ROWS.items(), strict=True):
        for axes, rank in zip(row, ranks, strict=True):
            part = table[(table["measure"] == measure) & (table["rank"] == rank)]
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
            if measure == next(iter(ROWS)):
                axes.set_title(rank)
        row[0].set_ylabel(title)
    for axes in panels[-1]:
        axes.set_xlabel("tokens kept or removed (%)")
        axes.set_xticks(sorted(table["percent"].unique()))
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower left", ncols=4)
    figure.suptitle(
        f"What masks show, net of what they make the classifier say"
        f" ({counted(int(table['n'].max()), 'test sequence')}; shaded: 95 % bootstrap intervals)",
        x=0.01, ha="left",
    )  # fmt: skip
    return figure
