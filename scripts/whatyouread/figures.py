"""How the figures look, and how they are written: the same bytes from the same data."""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from whatyouread.cli import UserError
from whatyouread.files import atomic

# Okabe and Ito's colours: told apart with any kind of colour blindness
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#E69F00", "#009E73", "#CC79A7"
SKY, VERMILION, BLACK, GREY = "#56B4E9", "#D55E00", "#000000", "#8A8A8A"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, BLACK)
EXPLAINERS = {"explainer": BLACK, "explainer_sharp": VERMILION, "explainer_paper": VERMILION}
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
    "svg.hashsalt": "whatyouread",  # else the ids in the file are drawn anew each time
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}
# Without them a file would tell when and by which version it was made.
_METADATA = {".svg": {"Date": None, "Creator": None}, ".png": {"Software": None}}


def new_figure(width: float, height: float, **options) -> Figure:
    """An empty figure in the style of the project; width and height in inches.

    Whatever matplotlib is set to beforehand, by a user's matplotlibrc or a test, is of no account.
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


def add_output_options(arguments) -> None:
    """The options `--svg` and `--png` of every program that draws."""
    for kind in ("svg", "png"):
        arguments.add_argument(f"--{kind}", type=Path, required=True, help="figure to write")


def method_looks(methods: list[str]) -> dict[str, dict]:
    """How the lines of the methods are drawn: both Explainers bold, random scores grey and dotted.

    The others in the palette's other colours, and dashed the second time round.
    """
    colours = [colour for colour in PALETTE if colour not in EXPLAINERS.values()]
    others = [name for name in methods if name not in (*EXPLAINERS, "random")]
    made = {
        name: {"color": colours[i % len(colours)], "ls": ("-", "--")[i // len(colours) % 2]}
        for i, name in enumerate(others)
    }
    made |= {name: {"color": c, "lw": 2.4, "zorder": 5} for name, c in EXPLAINERS.items()}
    return made | {"random": {"color": GREY, "ls": ":"}}


def panel_title(axes: Axes, letter: str, title: str) -> None:
    """The title of a panel, with its letter in bold before it."""
    axes.set_title(rf"$\bf{{{letter}}}$  {title}", loc="left")


def counted(number: int, noun: str) -> str:
    """A number with its thousands parted and its noun: "1,204 sequences", "1 sequence"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
