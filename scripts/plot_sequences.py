"""Show a few test sequences with their masks, token by token (paper, Figure 5)."""

from pathlib import Path

import numpy as np

from whatyouread import cli, files
from whatyouread.figures import MASK_COLOURS, add_output_options, save
from whatyouread.localization import read_planted
from whatyouread.mask_files import CHOICES, THRESHOLD
from whatyouread.sequence_view import SequenceView, html_page
from whatyouread.shown_sequences import (
    choose_sequences,
    planted_names,
    read_masks,
    read_predictions,
    taxa,
    taxon_names,
)
from whatyouread.token_drawing import TokenSheet, rows_height
from whatyouread.token_files import TokenFile

PER_ROW = 15
CHOSEN_BY = {
    "labels": "the true classes",
    "predicted": "the predicted classes",
    "wrong": "wrong classes",
}


def make_views(args, file: TokenFile) -> list[SequenceView]:
    """The chosen sequences, with their names, masks and planted segments."""
    predicted = read_predictions(args.masks, file)
    rows = choose_sequences(file.keys, file.labels, predicted, args.count, args.seed)
    masks = read_masks(args.masks, args.choice, rows)
    names = taxon_names(args.classes, file.ranks)
    planted = read_planted(args.planted) if args.planted else None
    views = []
    for row in rows.tolist():
        tokens = file.tokens(np.array([row]))[0]
        if len(masks[row]) != len(tokens):
            raise cli.UserError(f"{args.masks} is not of the sequences in {file.path}")
        name = file.ids[row].as_py()
        own = None if planted is None else planted[planted["id"] == name]
        underlined = None if own is None else planted_names(tokens[1:], own)
        known = taxa(names, file.labels[row], predicted[row])
        views.append(SequenceView(name, known, tokens[1:], masks[row][1:], underlined))
    return views


def draw_sequences(views: list[SequenceView], choice: str, n: int, longest: int):
    """Each sequence in a row of the figure: the mask on the left, rounded on the right."""
    heights = [rows_height(min(len(view.tokens), longest), PER_ROW) for view in views]
    head, above, below = 1.0, 0.6, 0.4  # inches
    sheet = TokenSheet(2, PER_ROW, head + sum(heights) + len(views) * (above + below) - below + 0.2)
    left, right = sheet.left(0), sheet.left(1)
    title = f"{len(views)} of {n:,} test sequences and their masks, chosen by {CHOSEN_BY[choice]}"
    sheet.text(left, 0.15, title, fontsize=11)
    sheet.scale(left, 0.5, MASK_COLOURS, 0, 1, [0, 0.5, 1], "mask value")
    notes = "Each word is a token; the numbers on the left count them, <cls> left out."
    if any(view.planted is not None for view in views):
        notes += " Underlined: planted segments."
    sheet.text(left + 3, 0.5, notes, fontsize=8)
    top = head
    for i, (view, height) in enumerate(zip(views, heights, strict=True), 1):
        shown = slice(longest)
        sheet.text(left, top, f"{i}.  {view.id}", fontsize=9, weight="bold")
        sheet.text(left, top + 0.2, view.description(), fontsize=8)
        cut = f" (the first {longest:,} shown)" if len(view.tokens) > longest else ""
        sheet.text(left, top + 0.4, f"a)  the mask: {view.numbers()}{cut}", fontsize=8)
        sheet.text(right, top + 0.4, f"b)  rounded: 1 above {THRESHOLD}, else 0", fontsize=8)
        top += above
        texts, mask, underlined = view.texts()[shown], view.mask[shown], view.underlined()[shown]
        on = mask > THRESHOLD
        sheet.tokens(0, top, texts, MASK_COLOURS(mask), np.zeros_like(on), underlined)
        sheet.tokens(1, top, texts, MASK_COLOURS(on.astype(float)), ~on, underlined)
        top += height + below
    return sheet.figure


def main(args):
    file = TokenFile(args.test, args.ranks)
    if not len(file):
        raise cli.UserError(f"{args.test} holds no sequence: there is nothing to draw")
    views = make_views(args, file)
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
    arguments.add_argument("--planted", type=Path, help="of simulate_dataset, to be underlined")
    arguments.add_argument(
        "--longest", type=int, default=345, help="tokens of a sequence in the picture"
    )
    arguments.add_argument("--html", type=Path, required=True, help="page to write")
    add_output_options(arguments)
    cli.run(arguments, main)
