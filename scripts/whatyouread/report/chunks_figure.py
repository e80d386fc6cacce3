"""The unmasked chunks: how many there are in a sequence, and how long they are (paper, Figure 7)."""

import numpy as np
import pandas as pd

from whatyouread.evaluate.mask_statistics import MaskStatistics
from whatyouread.masks.choices import THRESHOLD
from whatyouread.report.style import (
    BLUE,
    ORANGE,
    new_figure,
    panel_title,
)
from whatyouread.support.text import counted

_MOST_BINS = 60


def draw_chunks(statistics: MaskStatistics, table: pd.DataFrame):
    """table: of `mask_statistics.beside_paper`, for the means."""
    figure = new_figure(10, 3.7)
    left, right = figure.subplots(1, 2)
    means = table.set_index("quantity")[["ours", "paper"]]
    sequences, chunks = statistics.sequences, int(statistics.chunk_lengths.sum())
    _counts(
        left, statistics.chunk_counts, 0, means.loc["chunks_per_sequence"],
        "unmasked chunks in a sequence", f"sequences (% of {sequences:,})",
    )  # fmt: skip
    panel_title(left, "a", "Unmasked chunks per sequence")
    _counts(
        right, statistics.chunk_lengths, 1, means.loc["chunk_length"],
        "length of the chunk (tokens)", f"chunks (% of {chunks:,})",
    )  # fmt: skip
    panel_title(right, "b", "Lengths of unmasked chunks")
    n = f"{counted(sequences, 'test sequence')}, {counted(chunks, 'chunk')}"
    title = f"Unmasked chunks: runs of tokens with a mask above {THRESHOLD}; {n}"
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def _counts(
    axes, counts: np.ndarray, first: int, mean: pd.Series, xlabel: str, ylabel: str
) -> None:
    """A bar for each number from `first` on, or for several numbers together where there are many."""
    counts = counts[first:]
    if not counts.sum():
        axes.text(0.5, 0.5, "none", ha="center", va="center", transform=axes.transAxes)
        axes.set(xlabel=xlabel, ylabel=ylabel, xticks=[], yticks=[])
        return
    width = -(-len(counts) // _MOST_BINS)
    starts = np.arange(0, len(counts), width)
    gap = 0.1 * width if len(starts) <= 12 else 0
    share = 100 * np.add.reduceat(counts, starts) / counts.sum()
    axes.bar(
        first + starts - 0.5 + gap,
        share,
        width - 2 * gap,
        align="edge",
        color=BLUE,
        edgecolor="white",
        lw=0.3,
    )
    axes.axvline(mean["ours"], color=ORANGE, linewidth=2, label=f"mean, {mean['ours']:.2f}")
    if pd.notna(mean["paper"]):
        label = f"mean in the paper, {mean['paper']:.2f}"
        axes.axvline(mean["paper"], color="black", ls="--", linewidth=1.2, label=label)
    axes.set_xlim(first - 0.5, max(first + len(starts) * width, mean.max() + 0.5 * width) - 0.5)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel(xlabel + (f", bars of {width}" if width > 1 else ""))
    axes.set_ylabel(ylabel)
    axes.legend(loc="best")
