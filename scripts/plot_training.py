"""Draw the training of a classifier and an Explainer: loss terms and balanced accuracies."""

from pathlib import Path

from whatyouread.report.options import add_output_options
from whatyouread.support import cli


def main(args):
    from whatyouread.report.style import save
    from whatyouread.report.training_figure import draw_training, read_counts, read_history

    explanandum, explainer = read_history(args.explanandum), read_history(args.explainer)
    counts = read_counts(args.counts) if args.counts else {}
    figure = draw_training(explanandum, explainer, args.name, args.ranks, counts)
    save(figure, [args.svg, args.png])


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument(
        "--explanandum", type=Path, required=True, help="history.tsv of the classifier"
    )
    arguments.add_argument("--explainer", type=Path, required=True, help="that of the Explainer")
    arguments.add_argument("--name", required=True, help="of the Explainer")
    arguments.add_argument("--counts", type=Path, help="summary of tokenize_sequences, for the n")
    arguments.add_argument("--ranks", nargs="+", required=True)
    add_output_options(arguments)
    cli.run(arguments, main)
