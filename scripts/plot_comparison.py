"""Draw the comparison of methods: keep and remove curves, and cost against faithfulness."""

from pathlib import Path

from whatyouread.report.options import add_output_options
from whatyouread.support import cli


def main(args):
    from whatyouread.report.comparison_figure import draw_cost, draw_curves
    from whatyouread.report.style import save
    from whatyouread.support.files import read_tsv

    curves = read_tsv(args.curves, ["method", "control", "action", "percent", "rank", "accuracy"])
    comparison = read_tsv(
        args.comparison, ["method", "control", "sequences", "seconds_per_sequence"]
    )
    faithfulness = read_tsv(
        args.faithfulness, ["method", "metric", "rank", "value", "low", "high", "n"]
    )
    sequences = int(comparison["sequences"].max())
    # what is measured is said where it is not balanced accuracy
    score = {"score": comparison["score"].iloc[0]} if "score" in comparison else {}
    save(draw_curves(curves, sequences, args.explainers, **score), [args.svg, args.png])
    cost = draw_cost(comparison, faithfulness, args.explainers)
    save(cost, [args.cost_svg, args.cost_png])


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--curves", type=Path, required=True, help="of compare_methods")
    arguments.add_argument("--comparison", type=Path, required=True, help="of compare_methods")
    arguments.add_argument("--faithfulness", type=Path, required=True, help="of compare_methods")
    arguments.add_argument(
        "--explainers", nargs="+", required=True, help="methods of the Explainers, drawn bold"
    )
    add_output_options(arguments)
    add_output_options(arguments, "cost-")
    cli.run(arguments, main)
