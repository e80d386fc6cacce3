"""Tokens as coloured cells with their letters, row by row, in a drawing of fixed size."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from whatyouread.report.style import VERMILION, new_figure

FONT_SIZE = 6.0
LETTERS = 6  # of the longest token in a cell
CELL = (LETTERS * 0.602 * FONT_SIZE + 3.6) / 72, 0.14
"""Width and height of a cell in inches: six letters of the monospaced font and a gap."""
_GUTTER = 0.42  # inches left of the cells, for the number of the first token of a row
_MARGIN = 0.15
_FAINT = "#767676"


class TokenSheet:
    """A figure of blocks of tokens in columns, filled from the top to the bottom.

    Everything has its place in inches: no layout that depends on measuring text is needed.
    columns: blocks beside one another; per_row: tokens in a row of a block; height: inches.
    """

    def __init__(self, columns: int, per_row: int, height: float):
        self.per_row = per_row
        self.block = _GUTTER + per_row * CELL[0]
        self.width = columns * self.block + (columns + 1) * _MARGIN
        self.height = height
        self.figure: Figure = new_figure(self.width, height, layout=None)

    def left(self, column: int) -> float:
        """Where the cells of a column begin, in inches from the left."""
        return _MARGIN + column * (self.block + _MARGIN) + _GUTTER

    def text(self, x: float, top: float, text: str, **options) -> None:
        """Text whose upper left corner is at (x, top), in inches from the upper left corner."""
        place = x / self.width, 1 - top / self.height
        self.figure.text(*place, text, va="top", **options)

    def axes(self, x: float, top: float, width: float, height: float) -> Axes:
        """Axes at a place in inches from the upper left corner."""
        bottom = self.height - top - height
        return self.figure.add_axes(
            (x / self.width, bottom / self.height, width / self.width, height / self.height)
        )

    def tokens(
        self, column: int, top: float, texts: list[str], colours: np.ndarray,
        faint: np.ndarray, underlined: np.ndarray,
    ) -> None:  # fmt: skip
        """A block of tokens.

        colours: float (n, 4), RGBA; faint: bool (n,), letters in grey; underlined: bool (n,).
        """
        rows = -(-len(texts) // self.per_row)
        axes = self.axes(self.left(column), top, self.per_row * CELL[0], max(rows, 1) * CELL[1])
        cells = np.ones((rows * self.per_row, 4))
        cells[: len(texts)] = colours
        axes.pcolormesh(cells.reshape(rows, self.per_row, 4), edgecolors="white", linewidth=0.8)
        font = {"family": "DejaVu Sans Mono", "fontsize": FONT_SIZE, "va": "center_baseline"}
        for i, text in enumerate(texts):
            y, x = divmod(i, self.per_row)
            colour = _FAINT if faint[i] else "black"
            shown = text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"
            axes.text(x + 0.5, y + 0.5, shown, ha="center", color=colour, **font)
        for y in range(rows):
            number = f"{y * self.per_row + 1}"
            axes.text(-0.18, y + 0.5, number, ha="right", color=_FAINT, **font)
        y, x = np.divmod(np.flatnonzero(underlined), self.per_row)
        axes.hlines(y + 0.93, x + 0.05, x + 0.95, color=VERMILION, linewidth=1.1)
        axes.set_xlim(0, self.per_row)
        axes.set_ylim(max(rows, 1), 0)
        axes.set_axis_off()

    def scale(
        self, x: float, top: float, colours, low: float, high: float, ticks: list[float], label: str
    ) -> None:
        """A horizontal colour scale of 1.6 inches with its label on the left."""
        self.text(x, top, label, fontsize=8)
        axes = self.axes(x + 0.068 * len(label) + 0.1, top + 0.005, 1.6, 0.12)
        axes.imshow(
            np.linspace(0, 1, 256)[None], aspect="auto", cmap=colours, extent=(low, high, 0, 1)
        )
        axes.set_yticks([])
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks], fontsize=7)
        axes.tick_params(length=2, pad=1)
        axes.grid(False)
        axes.spines[["top", "right"]].set_visible(True)


def rows_height(tokens: int, per_row: int) -> float:
    """Height of a block in inches."""
    return max(-(-tokens // per_row), 1) * CELL[1]
