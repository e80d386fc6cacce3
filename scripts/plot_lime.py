"""Show LIME's scores of one sequence from three lower bounds up, and the Explainer's mask (Figure 8)."""

from pathlib import Path

import numpy as np

from whatyouread import cli
from whatyouread.attribution_files import COMBINED, Attributions, read_attributions
from whatyouread.figures import MASK_COLOURS, SIGNED_COLOURS, add_output_options, counted, save
from whatyouread.localization import read_planted
from whatyouread.mask_files import THRESHOLD
from whatyouread.sequence_view import SequenceView, count_runs
from whatyouread.shown_sequences import choose_sequences, planted_names, taxa, taxon_names
from whatyouread.token_drawing import TokenSheet, rows_height
from whatyouread.token_files import TokenFile

PER_ROW = 15


def scaled(scores: np.ndarray) -> np.ndarray:
    """Scores divided by the largest absolute one, so that they lie in [-1, 1]; zeros stay zeros."""
    largest = np.abs(scores).max(initial=0)
    return scores / largest if largest else scores


def panels(name: str, score: np.ndarray, bounds: list[float]) -> list[tuple[str, np.ndarray]]:
    """For each lower bound the title and the scaled scores, zero where they lie below it."""
    score = scaled(score)
    made = []
    for bound in bounds:
        shown = (score >= bound) & (score != 0)
        what = "all scores" if bound <= -1 else f"scores from {bound:g}"
        found = f"{counted(int(shown.sum()), 'token')} in {counted(count_runs(shown), 'run')}"
        made.append((f"{name}, {what}: {found}", np.where(shown, score, 0)))
    return made


def read_plain(path: Path, file: TokenFile) -> Attributions:
    """The scores of the sampled sequences. Raises UserError where they are of others."""
    made = read_attributions(path, file.ranks).get("plain")
    if made is None or not (
        np.array_equal(made.keys, file.keys) and np.array_equal(made.lengths, file.lengths)
    ):
        raise cli.UserError(f"{path} is not of the sequences in {file.path}: make it again")
    return made


def draw_lime(view: SequenceView, bounded: list, default: list, subject: str, n: int, longest: int):
    """Panels of signed scores, the mask of `view`, and further panels of signed scores.

    bounded, default: titles and scores in [-1, 1]; subject: what is explained; n: size of the sample.
    """
    shown = slice(longest)
    texts, underlined = view.texts()[shown], view.underlined()[shown]
    height = rows_height(len(texts), PER_ROW)
    head, above, below = 1.38, 0.2, 0.18  # inches
    rows = -(-(len(bounded) + 1 + len(default)) // 2)
    sheet = TokenSheet(2, PER_ROW, head + rows * (above + height + below))
    left = sheet.left(0)
    cut = (
        f", the first {longest:,} of {len(view.tokens):,} tokens"
        if len(texts) < len(view.tokens)
        else ""
    )
    title = f"LIME beside the Explainer's mask: 1 of {counted(n, 'sampled test sequence')}{cut}"
    sheet.text(left, 0.15, title, fontsize=11)
    sheet.text(left, 0.42, view.id, fontsize=9, weight="bold")
    sheet.text(left, 0.62, f"{view.description()}. Explained: {subject}.", fontsize=8)
    label = "LIME's score / the largest absolute one"
    sheet.scale(left, 0.9, SIGNED_COLOURS, -1, 1, [-1, 0, 1], label)
    sheet.scale(left + 4.9, 0.9, MASK_COLOURS, 0, 1, [0, 0.5, 1], "mask value")
    if view.planted is not None:
        sheet.text(left + 7.9, 0.9, "Underlined: planted segments.", fontsize=8)
    on = view.mask > THRESHOLD
    found = (
        f"{counted(int(on.sum()), 'token')} above {THRESHOLD} in {counted(count_runs(on), 'run')}"
    )
    drawn = [(f"the Explainer's mask: {found}", MASK_COLOURS(view.mask), np.zeros_like(on))]
    before, after = (
        [(name, SIGNED_COLOURS((1 + score) / 2), score == 0) for name, score in signed]
        for signed in (bounded, default)
    )
    drawn = before + drawn + after
    for i, (name, colours, faint) in enumerate(drawn):
        row, column = divmod(i, 2)
        top = head + row * (above + height + below)
        sheet.text(sheet.left(column), top, f"{'abcdefghij'[i]})  {name}", fontsize=8)
        sheet.tokens(column, top + above, texts, colours[shown], faint[shown], underlined)
    return sheet.figure


def main(args):
    file = TokenFile(args.sequences, args.ranks)
    rank = args.rank or args.ranks[min(1, len(args.ranks) - 1)]
    if rank not in (*args.ranks, COMBINED):
        raise cli.UserError(
            f"--rank {rank}: no such rank, only {', '.join(args.ranks)}, {COMBINED}"
        )
    lime, explainer = read_plain(args.lime, file), read_plain(args.explainer, file)
    if not len(file):
        raise cli.UserError(f"{args.sequences} holds no sequence: there is nothing to draw")
    row = choose_sequences(file.keys, lime.labels, lime.predicted, 1, args.seed)[0]
    inside = slice(1, file.lengths[row])
    tokens = file.tokens(np.array([row]))[0, inside]
    names = taxon_names(args.classes, args.ranks)
    known = taxa({rank: names[rank] for rank in args.ranks}, lime.labels[row], lime.predicted[row])
    planted = None
    if args.planted:
        segments = read_planted(args.planted)
        planted = planted_names(tokens, segments[segments["id"] == file.ids[row].as_py()])
    mask = explainer.scores[rank][row, inside]
    view = SequenceView(file.ids[row].as_py(), known, tokens, mask, planted)
    bounded = panels("LIME", lime.scores[rank][row, inside], args.bounds)
    default = []
    if args.captum_default:
        score = read_plain(args.captum_default, file).scores[rank][row, inside]
        default = panels("LIME with captum's settings", score, [-1])
    if rank == COMBINED:
        subject = "the predicted classes of all ranks together"
    else:
        subject = f"the prediction {rank} {known[rank][1]}"
    save(draw_lime(view, bounded, default, subject, len(file), args.longest), [args.svg, args.png])


if __name__ == "__main__":
    arguments = cli.parser(__doc__)
    arguments.add_argument("--sequences", type=Path, required=True, help="token file of the sample")
    arguments.add_argument("--lime", type=Path, required=True, help="attributions of LIME")
    arguments.add_argument("--explainer", type=Path, required=True, help="of the Explainer")
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
    arguments.add_argument("--planted", type=Path, help="of simulate_dataset, to be underlined")
    arguments.add_argument(
        "--longest", type=int, default=345, help="tokens of the sequence in the picture"
    )
    add_output_options(arguments)
    cli.run(arguments, main)
