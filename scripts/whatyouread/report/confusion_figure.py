"""The figure of confusion matrices without and with the masks."""

from string import ascii_lowercase

import numpy as np
from matplotlib.colors import LinearSegmentedColormap, PowerNorm

from whatyouread.data.kinds import SINGLE, Single, members
from whatyouread.report.conditions import CONDITIONS
from whatyouread.report.confusion import (
    REST,
    confusion,
    order_classes,
    parents_of,
    row_percentages,
    set_confusion,
)
from whatyouread.report.style import BLUE, new_figure, panel_title
from whatyouread.support.text import told_apart

MOST_WITH_NUMBERS = 16  # classes for which there is room for a number in a cell
LONGEST_NAME = 28  # letters
COLOURS = LinearSegmentedColormap.from_list("share", ["#FFFFFF", "#A6CEE8", BLUE, "#003A5C"])
COLOURS.set_bad("#E8E8E8")


def draw_confusion(
    labels: np.ndarray, predicted: dict[str, np.ndarray], parents: np.ndarray | None,
    names: list[str], rank: str, largest: int, kind: Single = SINGLE,
):  # fmt: skip
    """labels: int64 (n,), -1 where one is missing; predicted: condition -> int64 (n,).

    kind: what these numbers mean (`data.kinds`). Of sets of classes a row shows how often each class is
    predicted for the sequences that have the row's class; sequences with none are counted in the title.

    parents: the labels in the rank above, or None; names: of the classes by number. Sequences without a
    label are not shown, and are counted in the title.
    """
    known = labels >= 0
    missing = int((~known).sum())
    predicted = {condition: guess[known] for condition, guess in predicted.items()}
    labels, parents = labels[known], None if parents is None else parents[known]
    scores = {condition: kind.score(labels, guess) for condition, guess in predicted.items()}
    n, empty = len(labels), 0
    if not kind.alone:
        held = members(labels, len(names))
        empty = int((~held.any(1)).sum())
        counted = {c: (held, members(guess, len(names))) for c, guess in predicted.items()}
        # a place for each class of each sequence; those that are only predicted have no row
        labels, predicted, parents = np.nonzero(held)[1], {}, None
    parents = parents_of(labels, parents)
    # a class may be predicted without being the label of any sequence: it counts as one of the others
    classes = order_classes(labels, parents, largest)
    stray = any((~np.isin(p, labels)).any() for p in predicted.values())
    classes += [REST] * (stray and REST not in classes)
    if not kind.alone:
        classes = [c for c in classes if c != REST]
    known = [c for c in classes if c != REST]
    size = np.bincount(labels, minlength=len(names))
    sizes = np.array([size[c] if c != REST else len(labels) - size[known].sum() for c in classes])
    others = int((size > 0).sum()) - len(known)
    rest = f"{others} others" if others else "others"
    called = dict(zip(known, told_apart([names[c] for c in known], LONGEST_NAME), strict=True))
    text = [called.get(c, rest) for c in classes]

    cell = 0.42 if len(classes) <= MOST_WITH_NUMBERS else 0.165
    panel = max(cell * len(classes), 1.8)
    letter_width = 0.075 if len(classes) <= MOST_WITH_NUMBERS else 0.062  # inches
    labelled = letter_width * max(len(f"{t} (10,000)") for t in text) + 0.3
    width = max(labelled + len(scores) * (panel + 0.3) + 0.9, 6.5)
    figure = new_figure(width, panel + letter_width * max(map(len, text)) + 1.3)
    axes = figure.subplots(1, len(scores), sharey=True, squeeze=False)[0]
    letters = ascii_lowercase[: len(scores)]
    for letter, ax, (condition, score) in zip(letters, axes, scores.items(), strict=True):
        if kind.alone:
            counts = confusion(labels, predicted[condition], classes)
        else:
            counts = set_confusion(*counted[condition], classes)
        shares = row_percentages(counts, sizes)
        image = _matrix(ax, shares, len(classes) <= MOST_WITH_NUMBERS)
        _separate(ax, classes, labels, parents)
        ax.set_xticks(range(len(classes)), text, rotation=90)
        ax.set_xlabel(f"predicted {rank}")
        title = f"{CONDITIONS[condition][0]}; {kind.score_name} {100 * score:.1f} %"
        panel_title(ax, letter, title)
    axes[0].set_yticks(
        range(len(classes)), [f"{t} ({n:,})" for t, n in zip(text, sizes, strict=True)]
    )
    axes[0].set_ylabel(f"true {rank} (sequences)")
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.01, aspect=30)
    bar.set_label("sequences of the row (%)")
    bar.set_ticks([0, 1, 5, 20, 50, 100])
    bar.outline.set_visible(False)
    title = f"Confusion between the classes of the rank {rank}: {n:,} test sequences"
    if kind.alone:
        title += f" ({missing:,} without a label left out)" if missing else ""
    left_out = len(np.unique(labels)) - len(classes)
    notes = [f"{missing:,} without a label are left out"] if missing and not kind.alone else []
    notes += [f"{empty:,} sequences with none of the classes are in no row"] if empty else []
    if not kind.alone and left_out:
        notes.append(f"{left_out:,} smaller classes not shown")
    title += "".join(f"\n{note}" for note in notes)
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def _matrix(axes, shares: np.ndarray, with_numbers: bool):
    # the root lets a few per cent of confusion be seen beside a full diagonal
    image = axes.imshow(shares, cmap=COLOURS, norm=PowerNorm(0.5, 0, 100))
    axes.set_xticks(np.arange(-0.5, len(shares)), minor=True)
    axes.set_yticks(np.arange(-0.5, len(shares)), minor=True)
    axes.grid(False)
    axes.grid(which="minor", color="white", linewidth=0.5)
    axes.tick_params(which="both", length=0, labelsize=8 if with_numbers else 7)
    axes.spines[:].set_visible(False)
    if with_numbers:
        for row, column_ in np.argwhere(shares > 0):
            value = shares[row, column_]
            axes.text(
                column_, row, f"{value:.0f}" if value >= 1 else "<1", ha="center", va="center",
                color="white" if value > 35 else "black", fontsize=7.5,
            )  # fmt: skip
    return image


def _separate(axes, classes: list[int], labels: np.ndarray, parents: np.ndarray | None) -> None:
    """Lines between the classes of different parents."""
    if parents is None:
        return
    above = [REST if c == REST else int(parents[labels == c][0]) for c in classes]
    for i in range(1, len(above)):
        if above[i] != above[i - 1]:
            for line in (axes.axhline, axes.axvline):
                line(i - 0.5, color="#555555", linewidth=0.9)
