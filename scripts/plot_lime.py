"""Draw LIME's scores for one sequence at three lower bounds, and an Explainer's mask (Figure 8)."""

from pathlib import Path

from whatyouread.report.options import add_output_options, chosen_rank
from whatyouread.support import cli


def read_plain(path: Path, file):
    """Read the attributions. Raises UserError if they are not for the sampled sequences."""
    from whatyouread.methods.files import read_attributions

    made = read_attributions(path, file.ranks).get("plain")
    if made is None or not (
        made.keys.tolist() == file.keys.tolist() and made.lengths.tolist() == file.lengths.tolist()
    ):
        raise cli.UserError(f"{path} is not of the sequences in {file.path}: make it again")
    return made


def main(args):
    from whatyouread.data.levels import choose_levels
    from whatyouread.data.planted import read_planted
    from whatyouread.data.token_files import TokenFile
    from whatyouread.methods.files import COMBINED
    from whatyouread.report.lime_figure import draw_lime, panels
    from whatyouread.report.shown_sequences import choose_sequences, sequence_view, taxa
    from whatyouread.report.style import save

    file = TokenFile(args.sequences, args.ranks)
    rank = chosen_rank(args.rank, args.ranks, [COMBINED])
    lime, explainer = read_plain(args.lime, file), read_plain(args.explainer, file)
    if not len(file):
        raise cli.UserError(f"{args.sequences} holds no sequence: there is nothing to draw")
    row = choose_sequences(file.keys, lime.labels, lime.predicted, 1, args.seed)[0]
    inside = lime.content[row]
    levels = choose_levels(args.classes, args.ranks)
    known = taxa(levels, lime.labels[row], lime.predicted[row])
    planted = read_planted(args.planted) if args.planted else None
    view = sequence_view(file, row, known, explainer.scores[rank][row, inside], planted)
    bounded = panels("LIME", lime.scores[rank][row, inside], args.bounds)
    default = []
    if args.captum_default:
        score = read_plain(args.captum_default, file).scores[rank][row, inside]
        default = panels("LIME with captum's settings", score, [-1])
    if rank == COMBINED:
        subject = "the predicted classes of all ranks together"
    else:
        subject = f"the prediction {rank} {known[rank][1]}"
    name = args.explainer.stem
    figure = draw_lime(view, name, bounded, default, subject, len(file), args.longest)
    save(figure, [args.svg, args.png])


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--sequences", type=Path, required=True, help="token file of the sample")
    arguments.add_argument("--lime", type=Path, required=True, help="attributions of LIME")
    arguments.add_argument(
        "--explainer", type=Path, required=True, help="attributions of an Explainer, METHOD.parquet"
    )
    arguments.add_argument(
        "--captum-default", type=Path, help="of LIME with captum's settings, for one more panel"
    )
    arguments.add_argument("--classes", type=Path, required=True, help="of label_taxonomy")
    arguments.add_argument("--ranks", nargs="+", required=True)
    arguments.add_argument("--rank", help='rank to explain, or "combined" (default: the second)')
    arguments.add_argument(
        "--bounds", type=float, nargs="+", default=[-1, 0, 0.5],
        help="lower bounds, as shares of the largest absolute score",
    )  # fmt: skip
    arguments.add_argument("--seed", type=int, required=True)
    arguments.add_argument(
        "--planted", type=Path, help="of simulate_dataset or place_positions, to be underlined"
    )
    arguments.add_argument(
        "--longest", type=int, default=345, help="tokens of the sequence in the picture"
    )
    add_output_options(arguments)
    cli.run(arguments, main)
