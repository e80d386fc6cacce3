"""Show a few test sequences with their masks, token by token (paper, Figure 5)."""

from pathlib import Path

from whatyouread.masks.choices import CHOICES
from whatyouread.report.options import add_output_options
from whatyouread.support import cli, files


def main(args):
    from whatyouread.data.levels import choose_levels
    from whatyouread.data.planted import read_planted
    from whatyouread.data.token_files import TokenFile
    from whatyouread.masks.mask_files import read_masks, read_predicted_classes
    from whatyouread.report.conditions import CHOSEN_BY
    from whatyouread.report.sequence_page import html_page
    from whatyouread.report.sequences_figure import draw_sequences
    from whatyouread.report.shown_sequences import choose_sequences, sequence_view, taxa
    from whatyouread.report.style import save

    file = TokenFile(args.test, args.ranks)
    if not len(file):
        raise cli.UserError(f"{args.test} holds no sequence: there is nothing to draw")
    predicted = read_predicted_classes(args.masks, file)
    rows = choose_sequences(file.keys, file.labels, predicted, args.count, args.seed)
    masks = read_masks(args.masks, args.choice, rows)
    levels = choose_levels(args.classes, file.ranks)
    planted = read_planted(args.planted) if args.planted else None
    views = []
    for row in rows.tolist():
        known = taxa(levels, file.labels[row], predicted[row])
        views.append(sequence_view(file, row, known, masks[row], planted))
        if len(views[-1].mask) != len(views[-1].tokens):
            raise cli.UserError(f"{args.masks} is not of the sequences in {args.test}")
    figure = draw_sequences(views, args.choice, len(file), args.longest)
    save(figure, [args.svg, args.png])
    with files.atomic(args.html) as temporary:
        temporary.write_text(html_page(views, CHOSEN_BY[args.choice], len(file)), encoding="utf-8")


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--test", type=Path, required=True, help="token file")
    arguments.add_argument("--masks", type=Path, required=True, help="of generate_masks")
    arguments.add_argument("--classes", type=Path, required=True, help="of label_taxonomy")
    arguments.add_argument("--ranks", nargs="+", required=True)
    arguments.add_argument(
        "--choice", choices=CHOICES, default="labels", help="classes that choose the mask"
    )
    arguments.add_argument("--count", type=int, default=4, help="sequences to show")
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument(
        "--planted", type=Path, help="of simulate_dataset or place_positions, to be underlined"
    )
    arguments.add_argument(
        "--longest", type=int, default=345, help="tokens of a sequence in the picture"
    )
    arguments.add_argument("--html", type=Path, required=True, help="page to write")
    add_output_options(arguments)
    cli.run(arguments, main)
