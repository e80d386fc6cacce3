"""The style of the figures, and a writer that gives the same bytes for the same data."""

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from whatyouread.support.cli import UserError
from whatyouread.support.colours import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PALETTE,
    PURPLE,
    SKY,
    VERMILION,
)
from whatyouread.support.files import atomic
from whatyouread.support.text import plain, without_controls

matplotlib.use("Agg")


EXPLAINER_COLOURS = (BLACK, VERMILION, PURPLE, SKY, GREEN, ORANGE, BLUE)
"""Colours of the first Explainer, the second, and so on; other methods take the remaining ones."""
LINES = ("-", "--", "-.")
MASK_GREEN, AGAINST_PURPLE = "#2FB383", "#B28AC9"
"""Black text is legible on both: contrast 7.8 and 7.4 to 1."""
MASK_COLOURS = LinearSegmentedColormap.from_list("mask", ["#FFFFFF", MASK_GREEN])
SIGNED_COLOURS = LinearSegmentedColormap.from_list(
    "signed", [AGAINST_PURPLE, "#FFFFFF", MASK_GREEN]
)
STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#444444",
    "axes.grid": True,
    "axes.labelsize": 9,
    "axes.prop_cycle": matplotlib.cycler(color=PALETTE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "figure.titlesize": 11,
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it is the same everywhere
    "font.size": 9,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.6,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "savefig.dpi": 160,
    "svg.fonttype": "path",  # looks the same on a machine without the font
    "svg.hashsalt": "whatyouread",  # without it the ids in the file are random
    "text.parse_math": False,  # a dollar sign in a name is a dollar sign
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# matplotlib would write the date and its version into each file.
_METADATA = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}}


def new_figure(width: float, height: float, **options) -> Figure:
    """An empty figure in the style of the project; width and height in inches.

    Settings of a user's matplotlibrc are ignored.
    """
    matplotlib.rcdefaults()
    matplotlib.rcParams.update(STYLE)
    return Figure(figsize=(width, height), **{"layout": "constrained"} | options)


def save(figure: Figure, paths: list[Path]) -> None:
    """Write the figure to each path, SVG or PNG by its ending, atomically.

    Raises UserError for another ending.
    """
    for path in map(Path, paths):
        metadata = _METADATA.get(path.suffix)
        if metadata is None:
            raise UserError(f"{path}: figures are written as .svg or .png")
        with atomic(path) as temporary:
            figure.savefig(temporary, format=path.suffix[1:], metadata=metadata)
            if path.suffix == ".svg":  # matplotlib repeats each text in a comment, as it is
                text = temporary.read_bytes().decode("utf-8", "surrogatepass")
                temporary.write_text(without_controls(text), encoding="utf-8", newline="")


def method_looks(methods: list[str], explainers: list[str]) -> dict[str, dict]:
    """The line styles of the methods: Explainers bold, random scores grey and dotted.

    Explainers and other methods have different colours; lines that reuse a colour are dashed. Raises
    UserError if an Explainer is not among the methods.
    """
    if missing := [name for name in explainers if name not in methods]:
        raise UserError(
            f"--explainers: {missing[0]} is not among the methods ({', '.join(methods)})"
        )
    own = EXPLAINER_COLOURS[: max(len(explainers), 2)]
    left = [colour for colour in PALETTE if colour not in own] or list(PALETTE)
    others = [name for name in methods if name not in (*explainers, "random")]
    made = {name: _line(i, left) for i, name in enumerate(others)}
    bold = {"lw": 2.4, "zorder": 5}
    made |= {name: _line(i, own) | bold for i, name in enumerate(explainers)}
    return made | {"random": {"color": GREY, "ls": ":"}}


def _line(number: int, colours: Sequence[str]) -> dict:
    times, place = divmod(number, len(colours))
    return {"color": colours[place], "ls": LINES[times % len(LINES)]}


def panel_title(axes: Axes, letter: str, title: str) -> None:
    """The title of a panel, with its letter in bold before it."""
    text = plain(title).replace("$", r"\$")
    axes.set_title(rf"$\bf{{{letter}}}$  {text}", loc="left", parse_math=True)


def power_of_ten(value: float, place: int | None = None) -> str:
    """The label of a tick at a power of ten, "10⁻³"; "" at other values. For a `FuncFormatter`.

    Matplotlib's own labels of logarithmic axes are mathematics, which text is never read as here.
    """
    power = round(math.log10(value))
    return "10" + str(power).translate(_RAISED) if math.isclose(value, 10.0**power) else ""
