"""Draw the confusion of classes without and with the masks."""

from pathlib import Path

from whatyouread.report.conditions import CONDITIONS
from whatyouread.report.options import add_output_options, chosen_rank
from whatyouread.support import cli, files

CHOICES = [name for name in CONDITIONS if not name.endswith("_chunks")]
"""Conditions that can be drawn; not chunks, because a sequence without chunks has no prediction."""


def main(args):
    from whatyouread.data.levels import choose_levels
    from whatyouread.masks.choices import column
    from whatyouread.report.confusion_figure import draw_confusion
    from whatyouread.report.style import save

    rank = chosen_rank(args.rank, args.ranks)
    place = args.ranks.index(rank)
    own = column("labels", rank)
    level, *above = choose_levels(args.classes, args.ranks[place - 1 : place + 1][::-1] or [rank])
    # a class lies below no set of classes
    below = bool(above) and level.numbers.alone and above[0].numbers.alone
    upper = column("labels", above[0].name) if below else None
    guesses = {condition: f"{condition}_{rank}" for condition in args.conditions}
    wanted = [own, *([upper] if upper else []), *guesses.values()]
    table = files.read_parquet(args.predictions, wanted)
    columns = {name: table[name].to_numpy().astype("int64") for name in wanted}
    if not (columns[own] >= 0).any():
        raise cli.UserError(
            f"{args.predictions} holds no sequence with a label of the rank {rank}: there is nothing to draw"
        )
    figure = draw_confusion(
        columns[own],
        {condition: columns[name] for condition, name in guesses.items()},
        columns[upper] if upper else None,
        list(level.names),
        rank,
        args.largest,
        level.numbers,
    )
    save(figure, [args.svg, args.png])


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--predictions", type=Path, required=True, help="of predict_masked")
    arguments.add_argument("--classes", type=Path, required=True, help="of label_taxonomy")
    arguments.add_argument("--ranks", nargs="+", required=True)
    arguments.add_argument("--rank", help="rank to draw (default: the second)")
    arguments.add_argument(
        "--conditions", nargs="+", default=["explanandum", "masks"], choices=CHOICES,
        help="conditions side by side",
    )  # fmt: skip
    arguments.add_argument(
        "--largest", type=int, default=30, help="classes to show; smaller ones are put together"
    )
    add_output_options(arguments)
    cli.run(arguments, main)
