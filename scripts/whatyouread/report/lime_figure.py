"""LIME's scores of one sequence from three lower bounds up, beside an Explainer's mask (Figure 8)."""

import numpy as np

from whatyouread.masks.choices import THRESHOLD
from whatyouread.report.sequence_page import SequenceView, count_runs
from whatyouread.report.style import MASK_COLOURS, SIGNED_COLOURS
from whatyouread.report.token_sheet import TokenSheet, rows_height
from whatyouread.support.text import counted, plain

PER_ROW = 15
LONGEST = 100  # characters of an id


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


def draw_lime(
    view: SequenceView, explainer: str, bounded: list, default: list, subject: str, n: int,
    longest: int,
):  # fmt: skip
    """Panels of signed scores, the mask of `view`, and further panels of signed scores.

    explainer: the method that made the mask; bounded, default: titles and scores in [-1, 1];
    subject: what is explained; n: size of the sample.
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
    mask_of = f"the mask of {explainer.replace('_', ' ')}"
    title = f"LIME beside {mask_of}: 1 of {counted(n, 'sampled test sequence')}{cut}"
    sheet.text(left, 0.15, title, fontsize=11)
    sheet.text(left, 0.42, plain(view.id, LONGEST), fontsize=9, weight="bold")
    sheet.text(
        left,
        0.62,
        f"{plain(view.description(), 2 * LONGEST)}. Explained: {plain(subject, LONGEST)}.",
        fontsize=8,
    )
    label = "LIME's score / the largest absolute one"
    sheet.scale(left, 0.9, SIGNED_COLOURS, -1, 1, [-1, 0, 1], label)
    sheet.scale(left + 4.9, 0.9, MASK_COLOURS, 0, 1, [0, 0.5, 1], "mask value")
    if view.planted is not None:
        sheet.text(left + 7.9, 0.9, f"Underlined: {view.segments()}s.", fontsize=8)
    on = view.mask > THRESHOLD
    found = (
        f"{counted(int(on.sum()), 'token')} above {THRESHOLD} in {counted(count_runs(on), 'run')}"
    )
    drawn = [(f"{mask_of}: {found}", MASK_COLOURS(view.mask), np.zeros_like(on))]
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
