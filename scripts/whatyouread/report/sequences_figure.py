"""A few test sequences with their masks, token by token (paper, Figure 5)."""

import numpy as np

from whatyouread.masks.choices import THRESHOLD
from whatyouread.report.conditions import CHOSEN_BY
from whatyouread.report.sequence_page import SequenceView
from whatyouread.report.style import MASK_COLOURS
from whatyouread.report.token_sheet import TokenSheet, rows_height
from whatyouread.support.text import plain

PER_ROW = 15
LONGEST = 100  # characters of an id


def draw_sequences(views: list[SequenceView], choice: str, n: int, longest: int):
    """Each sequence in a row of the figure: the mask on the left, rounded on the right."""
    heights = [rows_height(min(len(view.tokens), longest), PER_ROW) for view in views]
    head, above, below = 1.0, 0.6, 0.4  # inches
    sheet = TokenSheet(2, PER_ROW, head + sum(heights) + len(views) * (above + below) - below + 0.2)
    left, right = sheet.left(0), sheet.left(1)
    title = f"{len(views)} of {n:,} test sequences and their masks, chosen by {CHOSEN_BY[choice]}"
    sheet.text(left, 0.15, title, fontsize=11)
    sheet.scale(left, 0.5, MASK_COLOURS, 0, 1, [0, 0.5, 1], "mask value")
    notes = "Each word is a token; the numbers on the left count them, special ones left out."
    if underlined := next((view.segments() for view in views if view.planted is not None), None):
        notes += f" Underlined: {underlined}s."
    sheet.text(left + 3, 0.5, notes, fontsize=8)
    top = head
    for i, (view, height) in enumerate(zip(views, heights, strict=True), 1):
        shown = slice(longest)
        sheet.text(left, top, f"{i}.  {plain(view.id, LONGEST)}", fontsize=9, weight="bold")
        sheet.text(left, top + 0.2, plain(view.description(), 2 * LONGEST), fontsize=8)
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
