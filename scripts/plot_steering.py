"""Draw fidelity with top tokens kept, net of steering, and with them removed, and the steering rate."""

from pathlib import Path

from whatyouread.report.options import add_output_options
from whatyouread.support import cli


def main(args):
    from whatyouread.report.steering_figure import draw_steering
    from whatyouread.report.style import save
    from whatyouread.support.files import read_tsv

    columns = ["method", "reader", "yardstick", "measure", "control", "percent", "rank"]
    columns += ["value", "low", "high", "n"]
    table = read_tsv(args.steering, columns)
    save(draw_steering(table, args.explainers), [args.svg, args.png])


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--steering", type=Path, required=True, help="of measure_steering")
    arguments.add_argument(
        "--explainers", nargs="+", required=True,
        help="methods of the Explainers, drawn bold and with intervals",
    )  # fmt: skip
    add_output_options(arguments)
    cli.run(arguments, main)
