"""The figures of class explanations at a rank: the best k-mers, and the motifs that they form."""

import numpy as np
import pandas as pd
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import Affine2D

from whatyouread.classes.motifs import PSEUDOCOUNT, class_motifs, longest
from whatyouread.data.six_mers import LETTERS
from whatyouread.report.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILION,
    new_figure,
)
from whatyouread.support.text import told_apart

COLUMNS = 4
BARS = 8
LONGEST_NAME = 28  # characters
COLOURS = dict(zip(LETTERS, (GREEN, BLUE, ORANGE, VERMILION), strict=True))


def shown_classes(items: pd.DataFrame, summary: pd.DataFrame, count: int) -> list[int]:
    """The classes to draw: the largest of those with items."""
    sizes = summary.set_index("class")["sequences"]
    known = [c for c in sizes.index if c in set(items["class"])]
    return sorted(known, key=lambda c: (-sizes[c], c))[:count]


def grid(count: int, height: float, title: str):
    rows = -(-max(count, 1) // COLUMNS)
    figure = new_figure(3.0 * COLUMNS, 0.7 + height * rows)
    figure.suptitle(title, x=0.01, ha="left")
    panels = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, panels[:count]


def draw_bars(items: pd.DataFrame, classes: list[int], title: str):
    """The best items of each class, blue where no other class of the rank has them."""
    names = _titles(items, classes)
    figure, panels = grid(len(classes), 2.0, title)
    alone = items.groupby("item")["class"].transform("nunique") == 1
    for axes, number in zip(panels, classes, strict=True):
        own = items[items["class"] == number].nsmallest(BARS, "position")
        colours = [BLUE if alone[i] else GREY for i in own.index]
        axes.barh(range(len(own)), own["mean"], xerr=own["sd"], color=colours, error_kw={"lw": 0.8})
        axes.set_yticks(range(len(own)), own["item"], fontfamily="DejaVu Sans Mono", fontsize=7.5)
        axes.set_ylim(BARS - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        first = own.iloc[0]
        axes.set_title(f"{names[number]} (n = {first['class_sequences']:,})", fontsize=9)
        axes.set_xlabel("mean score ± sd", fontsize=8)
    return figure


def draw_logos(items: pd.DataFrame, classes: list[int], title: str):
    """The motif of each class that has the most k-mers behind it, letters by information in bits."""
    figure, panels = grid(len(classes), 1.5, title)
    motifs = {key[2]: made for key, made in class_motifs(items).items()}
    names = _titles(items, classes)
    for axes, number in zip(panels, classes, strict=True):
        logo(axes, motifs[number][longest(motifs[number])[0]])
        axes.set_title(f"{names[number]} ({len(motifs[number])} motifs)", fontsize=9)
    return figure


def _titles(items: pd.DataFrame, classes: list[int]) -> dict[int, str]:
    """The names of classes, short enough for a panel."""
    names = items.drop_duplicates("class").set_index("class")["name"]
    return dict(zip(classes, told_apart(names[classes].tolist(), LONGEST_NAME), strict=True))


def logo(axes, counts: np.ndarray) -> None:
    """A sequence logo (Schneider and Stephens 1990) of weighted counts (length, 4)."""
    share = (counts + PSEUDOCOUNT) / (counts + PSEUDOCOUNT).sum(1, keepdims=True)
    bits = 2 + (share * np.log2(share)).sum(1)
    font = FontProperties(family="DejaVu Sans", weight="bold")
    for place, (row, height) in enumerate(zip(share, bits, strict=True)):
        below = 0.0
        for i in np.argsort(row):
            tall = row[i] * height
            if tall < 0.01:
                continue
            path = TextPath((0, 0), LETTERS[i], size=1, prop=font)
            box = path.get_extents()
            move = (
                Affine2D()
                .translate(-box.x0, -box.y0)
                .scale(0.92 / box.width, tall / box.height)
                .translate(place + 0.04, below)
            )
            axes.add_patch(PathPatch(move.transform_path(path), lw=0, color=COLOURS[LETTERS[i]]))
            below += tall
    axes.set_xlim(0, max(len(counts), 8))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(0, 2)
    axes.set_yticks([0, 1, 2])
    axes.set_ylabel("bits", fontsize=8)
    axes.set_xlabel("base of the motif", fontsize=8)
    axes.grid(visible=False)
