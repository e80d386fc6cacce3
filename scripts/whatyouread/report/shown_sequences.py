"""Choose the few sequences that a figure shows, and collect what it shows about their tokens."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from whatyouread.data.levels import Level
from whatyouread.data.planted import planted_in, planted_names, word_for
from whatyouread.data.token_files import TokenFile
from whatyouread.masks.choices import UNCOUNTED
from whatyouread.report.sequence_page import SequenceView
from whatyouread.support.keyed_random import draw


def choose_sequences(
    keys: np.ndarray, labels: np.ndarray, predicted: np.ndarray, count: int, seed: int
) -> np.ndarray:
    """Rows of `count` sequences, or fewer where there are no more: a draw by key.

    Correctly classified ones come first, then those of classes that were chosen least often, from
    the highest rank to the lowest. Equal sequences are chosen once at most. keys: uint64 (n,);
    labels, predicted: int64 (n, ranks). A missing label (-1) is not wrong, and counts as one more class, as
    each set of classes (`data.kinds`) does, which is wrong where it differs.
    """
    _, rows = np.unique(keys, return_index=True)
    luck = draw(seed, "figure", keys[rows])
    wrong = ((predicted != labels) & (labels != UNCOUNTED))[rows].any(1)
    places = np.stack([np.unique(own, return_inverse=True)[1] for own in labels.T], 1)
    used = [np.zeros(column.max(initial=0) + 1, np.int64) for column in places.T]
    chosen = []
    for _ in range(min(count, len(rows))):
        often = [times[places[rows, i]] for i, times in enumerate(used)]
        best = np.lexsort((luck, *reversed(often), wrong))[0]
        chosen.append(rows[best])
        for i, times in enumerate(used):
            times[places[rows[best], i]] += 1
        rows, luck, wrong = (np.delete(x, best) for x in (rows, luck, wrong))
    return np.array(chosen, np.int64)


def taxa(
    levels: Sequence[Level], labels: np.ndarray, predicted: np.ndarray
) -> dict[str, tuple[str | None, str]]:
    """rank -> the names of the label and of the prediction; int64 (ranks,) in the order of `levels`.

    None for a label that is missing (-1).
    """
    return {
        level.name: (level.called(label) if label >= 0 else None, level.called(guess))
        for level, label, guess in zip(levels, labels, predicted, strict=True)
    }


def sequence_view(
    file: TokenFile, row: int, known: dict[str, tuple[str | None, str]], mask: np.ndarray,
    planted: pd.DataFrame | None,
) -> SequenceView:  # fmt: skip
    """One sequence of a token file with the mask of its content, float (tokens,).

    known: of `taxa`; planted: of `read_planted`, to name the segments in which tokens lie.
    Raises UserError where it is not known where a piece of a long sequence lies in it.
    """
    batch = file.batch(np.array([row]))
    tokens = batch.ids[0][batch.content[0]]
    name = file.ids[row].as_py()
    starts, ends = (places[0][batch.content[0]] for places in file.spans(np.array([row])))
    view = SequenceView(name, known, tokens, mask, file.tokenizer, places=(starts, ends))
    if planted is not None:
        view.planted = planted_names(starts, ends, planted_in(file, planted, np.array([row])))
        view.word = word_for(planted)
    return view
