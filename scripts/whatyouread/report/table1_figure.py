"""Table 1: our balanced accuracies, the paper's, and what the control masks reach."""

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from whatyouread.data.kinds import kinds_of_scores
from whatyouread.report.conditions import CHOSEN_BY, CONDITIONS, beaten, is_clear
from whatyouread.report.style import BLUE, ORANGE, new_figure

_BAR = 0.36
PAPER_GREY, DARK_GREEN = "#C9C9C9", "#00694D"


def table_of(table: pd.DataFrame, controls: pd.DataFrame, choice: str) -> pd.DataFrame:
    """The rows of Table 1 for one choice of masks, with the paper's values where there are any.

    table: Table 1, of masks chosen by the labels; controls: what else `evaluate.table1` counts.
    """
    if choice == "labels":
        return table
    own = (controls["classes"] == choice) & (controls["control"] == "none")
    paper = table[["condition", *(name for name in table if name.startswith("paper_"))]]
    return controls[own].merge(paper, on="condition", how="left")


def control_values(controls: pd.DataFrame, choice: str, condition: str, rank: str) -> np.ndarray:
    """What the controls of masks of that choice reach, float64, one value per control."""
    those = (controls["classes"] == choice) & (controls["control"] != "none")
    return controls.loc[those & (controls["condition"] == condition), rank].dropna().to_numpy()


def draw_table1(
    table: pd.DataFrame, controls: pd.DataFrame, ranks: list[str], choice: str, chance: dict
):
    """chance: rank -> balanced accuracy of a guess, in per cent, of ranks with one class per sequence."""
    kinds = dict(zip(ranks, kinds_of_scores(ranks, table.columns), strict=True))
    figure = new_figure(2.6 + 3.1 * len(ranks), 1.4 + 0.62 * len(table))
    panels = figure.subplots(1, len(ranks), sharey=True, squeeze=False)[0]
    for axes, rank in zip(panels, ranks, strict=True):
        _rank(axes, table, controls, rank, choice)
        if rank in chance:
            axes.axvline(chance[rank], color="black", ls=":", lw=1.2, zorder=1)
        axes.set_xlim(0, 124)
        axes.set_xticks(range(0, 101, 20))
        axes.set_xlabel(f"{kinds[rank].score_name} (%)")
        axes.set_title(rank)
        axes.spines["bottom"].set_bounds(0, 100)
        axes.grid(axis="y", visible=False)
    names = []
    for condition in table["condition"]:
        name, direction = CONDITIONS.get(condition, (condition, 0))
        names.append(name + {1: "\n(more is better)", -1: "\n(less is better)", 0: ""}[direction])
    panels[0].set_yticks(range(len(names)), names, fontsize=9)
    panels[0].set_ylim(len(names) - 0.45, -0.55)
    _legend(figure, any(f"paper_{rank}" in table for rank in ranks), bool(chance))
    n = int(table["sequences"].max())
    figure.suptitle(
        f"Table 1: {n:,} test sequences; masks and controls by {CHOSEN_BY[choice]}",
        x=0.01,
        ha="left",
    )
    return figure


def _legend(figure, has_paper: bool, has_chance: bool) -> None:
    handles = [Patch(color=BLUE, label="here")]
    if has_paper:
        handles.append(Patch(color=PAPER_GREY, label="in the paper"))
    handles.append(
        Line2D([], [], color=ORANGE, lw=2.5, marker="|", mec="black", ms=9, label="control masks")
    )
    if has_chance:
        handles.append(Line2D([], [], color="black", ls=":", lw=1.2, label="guessing"))
    note = "numbers: controls beaten; green: all of them, by more than two standard errors (Wilson)"
    handles.append(Line2D([], [], ls="", label=note))
    figure.legend(handles=handles, loc="outside lower left", ncols=len(handles))


def _rank(axes, table: pd.DataFrame, controls: pd.DataFrame, rank: str, choice: str) -> None:
    places = np.arange(len(table))
    axes.barh(places - _BAR / 2, table[rank], _BAR, color=BLUE)
    if f"paper_{rank}" in table:
        published = table[f"paper_{rank}"]
        axes.barh(places + _BAR / 2, published, _BAR, color=PAPER_GREY)
    counts = table.get(f"sequences_{rank}", table["sequences"])
    rows = zip(places, table["condition"], table[rank], counts, strict=True)
    for place, condition, ours, n in rows:
        direction = CONDITIONS.get(condition, ("", 0))[1]
        reached = control_values(controls, choice, condition, rank)
        if not direction or not len(reached) or np.isnan(ours):
            continue
        y = place - _BAR / 2
        ends = [reached.min(), reached.max()]
        axes.plot(ends, [y, y], color="black", lw=4.5, solid_capstyle="butt", zorder=3)
        axes.plot(ends, [y, y], color=ORANGE, lw=2.5, solid_capstyle="butt", zorder=4)
        axes.plot(reached, np.full(len(reached), y), "|", color="black", ms=9, mew=1.2, zorder=5)
        clear = is_clear(ours, reached, direction, int(n))
        axes.text(
            104, y, f"{beaten(ours, reached, direction)} of {len(reached)}", ha="left",
            va="center", fontsize=8, color=DARK_GREEN if clear else "#666666",
            weight="bold" if clear else "normal",
        )  # fmt: skip
