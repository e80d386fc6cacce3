"""The figure of how far lists of stable items agree, by the number of runs."""

import pandas as pd

from whatyouread.report.style import BLUE, GREY, VERMILION, new_figure

LINES = {
    "halves": ("two lists of different runs: items in common", {"color": BLUE, "marker": "o"}),
    "kept": ("items that are on the list of all runs", {"color": VERMILION, "marker": "s"}),
    "halves_shuffled": ("two lists, labels shuffled", {"color": GREY, "ls": ":", "marker": "o"}),
}


def draw_stability(table: pd.DataFrame, kind: str):
    """A row of panels for each source, a column for each rank; table: of explain_classes."""
    table = table[table["kind"] == kind]
    sources = list(table["source"].unique()) or [""]
    ranks = list(table["rank"].unique()) or [""]
    figure = new_figure(0.8 + 3.4 * len(ranks), 1.2 + 2.3 * len(sources))
    panels = figure.subplots(len(sources), len(ranks), sharex=True, sharey=True, squeeze=False)
    for row, source in zip(panels, sources, strict=True):
        for axes, rank in zip(row, ranks, strict=True):
            part = table[(table["source"] == source) & (table["rank"] == rank)]
            for column, (label, look) in LINES.items():
                axes.plot(part["runs"], 100 * part[column], ms=3, label=label, **look)
            axes.set_title(f"{rank}, by {source.replace('_', ' ')}" if source else "")
            axes.set_ylim(-3, 103)
            axes.set_xscale("log")
            ticks = sorted(table["runs"].unique()) or [1]
            axes.set_xticks(ticks, [str(tick) for tick in ticks])
            axes.minorticks_off()
        row[0].set_ylabel("share of the items (%)")
    for axes in panels[-1]:
        axes.set_xlabel("runs behind a list")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower left", ncols=1)
    what = {"kmer": "k-mers"}.get(kind, f"{kind}s")
    short = "" if len(table) else ": too few runs to compare"
    figure.suptitle(f"How stable are the {what} of the classes?{short}", x=0.01, ha="left")
    return figure
