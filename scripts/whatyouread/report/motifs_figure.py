"""The figure of what motifs do in random sequences, beside what their letters in random order do."""

import pandas as pd

from whatyouread.report.style import BLUE, GREY, new_figure
from whatyouread.support.text import plain

COLUMNS = ("source", "rank", "name", "motif", "strand", "effect", "shuffled", "difference_low")
NAMED = 4
"""The classes of a panel whose names stand beside the motif that does most for them."""
LONGEST_NAME = 20  # characters
MARKERS = {"+": "o", "-": "x"}


def draw_effects(table: pd.DataFrame, ranks: list[str]):
    """A row of panels for each source, a column for each rank; table: of marginalize_motifs."""
    sources = list(table["source"].unique()) or [""]
    figure = new_figure(0.8 + 3.4 * len(ranks), 1.4 + 2.9 * len(sources))
    panels = figure.subplots(len(sources), len(ranks), squeeze=False)
    for row, source in zip(panels, sources, strict=True):
        for axes, rank in zip(row, ranks, strict=True):
            part = table[(table["source"] == source) & (table["rank"] == rank)]
            _panel(axes, part)
            more = part.loc[part["difference_low"] > 0, "motif"].nunique()
            count = f"{more} of {part['motif'].nunique()} motifs do more than their letters"
            axes.set_title(f"{rank}, by {source.replace('_', ' ')}\n{count}" if len(part) else rank)
        row[0].set_ylabel("motif: change of the\nlog-probability (nats)")
    for axes in panels[-1]:
        axes.set_xlabel("its letters in random order")
    for strand, marker in MARKERS.items():
        panels[0, 0].scatter([], [], color=GREY, marker=marker, s=14, label=f"strand {strand}")
    panels[0, 0].scatter([], [], color=BLUE, s=14, label="more than its letters (95 %)")
    figure.legend(*panels[0, 0].get_legend_handles_labels(), loc="outside lower left", ncols=3)
    short = "" if len(table) else ": there are none"
    figure.suptitle(f"Motifs of the classes in random sequences{short}", x=0.01, ha="left")
    return figure


def _panel(axes, part: pd.DataFrame) -> None:
    for strand, marker in MARKERS.items():
        own = part[part["strand"] == strand]
        colours = [BLUE if low > 0 else GREY for low in own["difference_low"]]
        axes.scatter(own["shuffled"], own["effect"], c=colours, marker=marker, s=14, lw=0.8)
    axes.axline((0, 0), slope=1, color="#444444", lw=0.8, ls=":")
    best = part.sort_values("effect", ascending=False).drop_duplicates("name")
    for own in best.head(NAMED).itertuples():
        axes.annotate(
            plain(str(own.name), LONGEST_NAME), (own.shuffled, own.effect),
            xytext=(4, 2), textcoords="offset points", fontsize=7,
        )  # fmt: skip
