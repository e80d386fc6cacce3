"""Draw which class is taken for which, without and with the masks."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.colors import LinearSegmentedColormap, PowerNorm

from whatyouread import cli
from whatyouread.confusion import OTHERS, confusion, order_classes, row_percentages
from whatyouread.figures import BLUE, add_output_options, new_figure, panel_title, save
from whatyouread.mask_files import column
from whatyouread.metrics import balanced_accuracy
from whatyouread.shown_sequences import taxon_names

TITLES = {
    "explanandum": "unmasked",
    "masks": "masked",
    "inverted_masks": "complement of the masks",
    "rounded_masks": "rounded masks",
    "inverted_rounded_masks": "complement of the rounded masks",
}
MOST_WITH_NUMBERS = 16  # classes for which there is room for a number in a cell
LONGEST_NAME = 28  # letters
COLOURS = LinearSegmentedColormap.from_list("share", ["#FFFFFF", "#A6CEE8", BLUE, "#003A5C"])
COLOURS.set_bad("#E8E8E8")


def read_columns(path: Path, names: list[str]) -> dict[str, np.ndarray]:
    """Some columns of a Parquet file, int64 (n,) each."""
    try:
        if missing := [name for name in names if name not in pq.read_schema(path).names]:
            raise cli.UserError(f"{path} has no column {missing[0]}")
        table = pq.read_table(path, columns=names)
    except FileNotFoundError:
        raise cli.UserError(f"{path} is not there") from None
    except (pa.ArrowException, OSError) as error:
        raise cli.UserError(f"{path} is damaged ({error}): make it again") from None
    return {name: table[name].to_numpy().astype(np.int64) for name in names}


def draw_confusion(
    labels: np.ndarray, predicted: dict[str, np.ndarray], parents: np.ndarray | None,
    names: list[str], rank: str, largest: int,
):  # fmt: skip
    """labels: int64 (n,); predicted: condition -> int64 (n,); names: of the classes by number."""
    # a class may be predicted without being the label of any sequence: it counts as one of the others
    classes = order_classes(labels, parents, largest)
    stray = any((~np.isin(p, labels)).any() for p in predicted.values())
    classes += [OTHERS] * (stray and OTHERS not in classes)
    known = [c for c in classes if c != OTHERS]
    size = np.bincount(labels, minlength=len(names))
    sizes = np.array([size[c] if c != OTHERS else len(labels) - size[known].sum() for c in classes])
    others = int((size > 0).sum()) - len(known)
    rest = f"{others} others" if others else "others"
    text = [_short(names[c]) if c != OTHERS else rest for c in classes]

    cell = 0.42 if len(classes) <= MOST_WITH_NUMBERS else 0.165
    panel = max(cell * len(classes), 1.8)
    letter_width = 0.075 if len(classes) <= MOST_WITH_NUMBERS else 0.062  # inches
    labelled = letter_width * max(len(f"{t} (10,000)") for t in text) + 0.3
    width = max(labelled + len(predicted) * (panel + 0.3) + 0.9, 6.5)
    figure = new_figure(width, panel + letter_width * max(map(len, text)) + 1.3)
    axes = figure.subplots(1, len(predicted), sharey=True, squeeze=False)[0]
    for letter, ax, (condition, guess) in zip("abcdefgh", axes, predicted.items(), strict=False):
        shares = row_percentages(confusion(labels, guess, classes), sizes)
        image = _matrix(ax, shares, len(classes) <= MOST_WITH_NUMBERS)
        _separate(ax, classes, labels, parents)
        ax.set_xticks(range(len(classes)), text, rotation=90)
        ax.set_xlabel(f"predicted {rank}")
        accuracy = 100 * balanced_accuracy(labels, guess)
        title = f"{TITLES[condition]}; balanced accuracy {accuracy:.1f} %"
        panel_title(ax, letter, title)
    axes[0].set_yticks(
        range(len(classes)), [f"{t} ({n:,})" for t, n in zip(text, sizes, strict=True)]
    )
    axes[0].set_ylabel(f"true {rank} (sequences)")
    bar = figure.colorbar(image, ax=axes, shrink=0.8, pad=0.01, aspect=30)
    bar.set_label("sequences of the row (%)")
    bar.set_ticks([0, 1, 5, 20, 50, 100])
    bar.outline.set_visible(False)
    title = f"Confusion between the classes of the rank {rank}: {len(labels):,} test sequences"
    figure.suptitle(title, x=0.01, ha="left")
    return figure


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


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
    above = [OTHERS if c == OTHERS else int(parents[labels == c][0]) for c in classes]
    for i in range(1, len(above)):
        if above[i] != above[i - 1]:
            for line in (axes.axhline, axes.axvline):
                line(i - 0.5, color="#555555", linewidth=0.9)


def main(args):
    rank = args.rank or args.ranks[min(1, len(args.ranks) - 1)]
    if rank not in args.ranks:
        raise cli.UserError(f"--rank {rank}: no such rank, only {', '.join(args.ranks)}")
    place = args.ranks.index(rank)
    own = column("labels", rank)
    upper = column("labels", args.ranks[place - 1]) if place else None
    guesses = {condition: f"{condition}_{rank}" for condition in args.conditions}
    columns = read_columns(args.predictions, [own, *([upper] if upper else []), *guesses.values()])
    if not len(columns[own]):
        raise cli.UserError(f"{args.predictions} holds no sequence: there is nothing to draw")
    figure = draw_confusion(
        columns[own],
        {condition: columns[name] for condition, name in guesses.items()},
        columns[upper] if upper else None,
        taxon_names(args.classes, [rank])[rank],
        rank,
        args.largest,
    )
    save(figure, [args.svg, args.png])


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--predictions", type=Path, required=True, help="of predict_masked")
    arguments.add_argument("--classes", type=Path, required=True, help="of label_taxonomy")
    arguments.add_argument("--ranks", nargs="+", required=True)
    arguments.add_argument("--rank", help="rank to draw (default: the second)")
    arguments.add_argument(
        "--conditions", nargs="+", default=["explanandum", "masks"], choices=list(TITLES),
        help="conditions side by side",
    )  # fmt: skip
    arguments.add_argument(
        "--largest", type=int, default=30, help="classes to show; the smaller ones are put together"
    )
    add_output_options(arguments)
    cli.run(arguments, main)
