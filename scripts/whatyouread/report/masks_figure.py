"""The figure of the distribution of mask values and their dependence on position (paper, Figure 6)."""

import numpy as np

from whatyouread.evaluate.mask_statistics import BINS, MaskStatistics
from whatyouread.masks.choices import THRESHOLD
from whatyouread.report.conditions import CHOSEN_BY
from whatyouread.report.style import (
    BLUE,
    ORANGE,
    SKY,
    VERMILION,
    new_figure,
    panel_title,
)
from whatyouread.support.text import counted

_LEAST_SHARE = 0.05  # of the sequences, that a position must have to be drawn


def draw_masks(statistics: MaskStatistics, choice: str):
    figure = new_figure(10.5, 4)
    left, right = figure.subplots(1, 2, width_ratios=[1, 1.45])
    _histogram(left, statistics)
    _by_position(right, statistics)
    _legend_below(left)
    _legend_below(right)
    n = counted(statistics.sequences, "test sequence")
    figure.suptitle(f"Mask values of {n}; masks chosen by {CHOSEN_BY[choice]}", x=0.01, ha="left")
    return figure


def _legend_below(axes) -> None:
    """The legend under the axes, where no data can be."""
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, columnspacing=1.2)


def _histogram(axes, statistics: MaskStatistics) -> None:
    numbers = statistics.summary().set_index("quantity")["value"]
    tokens = statistics.tokens.sum()
    edges = np.linspace(0, 1, BINS + 1)
    axes.stairs(100 * statistics.histogram / tokens, edges, fill=True, color=BLUE)
    mean, above = numbers["mean_mask"], numbers["tokens_above_threshold"]
    axes.axvline(mean, color=ORANGE, linewidth=2, label=f"mean, {mean:.2f}")
    label = f"threshold for rounding ({above:.1f} % of the tokens lie above)"
    axes.axvline(THRESHOLD, color="black", linestyle="--", linewidth=1.2, label=label)
    axes.set_xlim(0, 1)
    axes.set_xlabel("mask value")
    axes.set_ylabel(f"tokens (% of {tokens:,}, bins of {1 / BINS:g})")
    panel_title(axes, "a", "Histogram")


def _by_position(axes, statistics: MaskStatistics) -> None:
    table = statistics.by_position()
    # leave out positions that only a few sequences reach
    shown = table[table["tokens"] >= max(_LEAST_SHARE * statistics.sequences, 1)]
    x, mean, sd = shown["position"], shown["mean"], shown["sd"]
    low, high = (mean - sd).clip(0), (mean + sd).clip(upper=1)
    axes.fill_between(
        x, shown["minimum"], shown["maximum"], step="mid", color="#CCE5F4", linewidth=0,
        label="minimum to maximum",
    )  # fmt: skip
    axes.fill_between(
        x, low, high, step="mid", color="#F5CF88", linewidth=0,
        label="mean ± one standard deviation (cut at 0 and 1)",
    )  # fmt: skip
    for edge in ("minimum", "maximum"):
        axes.step(x, shown[edge], where="mid", color=SKY, linewidth=0.8)
    axes.step(x, mean, where="mid", color=VERMILION, label="mean")
    axes.set_xlim(0.5, x.iloc[-1] + 0.5)
    axes.set_ylim(0, 1.02)
    left_out = len(table) - len(shown)
    note = f"; {left_out} that under {_LEAST_SHARE:.0%} reach left out" if left_out else ""
    axes.set_xlabel(f"position (tokens from the start, special ones not counted{note})")
    axes.set_ylabel("mask value")
    panel_title(axes, "b", "By position")
