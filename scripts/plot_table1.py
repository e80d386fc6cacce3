"""Draw Table 1: our balanced accuracies, the paper's, and those of the control masks."""

from pathlib import Path

from whatyouread.report.options import add_output_options
from whatyouread.support import cli


def main(args):
    from whatyouread.data.levels import read_levels
    from whatyouread.report.style import save
    from whatyouread.report.table1_figure import draw_table1, table_of
    from whatyouread.support.files import read_tsv

    table = read_tsv(args.table, ["condition", "sequences", *args.ranks])
    controls = read_tsv(args.controls, ["classes", "control", "condition", *args.ranks])
    table = table_of(table, controls, args.choice)
    levels = read_levels(args.classes).values() if args.classes else []
    # what a guess reaches depends on how often each class is true where a sequence has several
    chance = {level.name: 100 / len(level.names) for level in levels if level.numbers.alone}
    figure = draw_table1(table, controls, args.ranks, args.choice, chance)
    save(figure, [args.svg, args.png])


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--table", type=Path, required=True, help="table1.tsv")
    arguments.add_argument("--controls", type=Path, required=True, help="controls.tsv")
    arguments.add_argument("--classes", type=Path, help="of label_taxonomy, for what a guess gives")
    arguments.add_argument("--ranks", nargs="+", required=True)
    arguments.add_argument(
        "--choice", choices=["labels", "predicted"], default="labels",
        help="classes that choose the masks",
    )  # fmt: skip
    add_output_options(arguments)
    cli.run(arguments, main)
