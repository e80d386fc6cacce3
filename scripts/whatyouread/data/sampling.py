"""Samples of the sequences of a token file, and copies with one base or token exchanged."""

import numpy as np

from whatyouread.data.token_files import TokenFile
from whatyouread.data.tokenizer import NothingToExchange
from whatyouread.data.whole_texts import WholeTexts
from whatyouread.support.cli import UserError
from whatyouread.support.keyed_random import draw

_LARGEST = 1 << 31


def random_sample(keys: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Row numbers of `size` sequences, or of all where there are fewer; every sequence is as likely.

    keys: uint64 (n,). Token files are sorted by class, so that their first sequences are no sample.
    Each copy of a sequence has a draw of its own. Ascending.
    """
    order = np.argsort(keys, kind="stable")
    first = np.searchsorted(keys[order], keys)
    copy = np.empty_like(order)
    copy[order] = np.arange(len(keys))
    drawn = draw(seed, "random sample", keys, copy - first)
    return np.sort(np.argsort(drawn, kind="stable")[:size])


def lowest_classes(labels: np.ndarray) -> np.ndarray:
    """A number for each sequence's class at the lowest rank at which it has a label, int64 (n,).

    labels: int64 (n, ranks). Classes of different ranks get different numbers, and sequences without any
    label one of their own. With all labels they are ordered as the classes of the lowest rank.
    """
    if labels.max(initial=0) > _LARGEST:  # sets of classes (`data.kinds`), which leave no room
        labels = np.stack(
            [np.unique(np.append(-1, own), return_inverse=True)[1][1:] - 1 for own in labels.T], 1
        )
    known = labels[:, ::-1] >= 0
    rank = labels.shape[1] - 1 - known.argmax(1)
    classes = np.take_along_axis(labels, rank[:, None], 1)[:, 0]
    above = labels.max(initial=0) + 1
    return np.where(known.any(1), (labels.shape[1] - rank) * above + classes, 0)


def stratified_sample(labels: np.ndarray, keys: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Row numbers of at most `size` sequences, spread as evenly over the classes as possible.

    labels: int64 (n,); keys: uint64 (n,). Every class gives one sequence before any gives a second,
    and so on; in the last round, and within a class, the draw decides. Ascending.
    """
    return np.sort(_stratified_order(labels, keys, seed)[:size])


def sample_of_texts(
    texts: WholeTexts, labels: np.ndarray, size: int, seed: int
) -> np.ndarray | None:
    """Row numbers of at most `size` windows of whole texts, drawn as by `stratified_sample`. Ascending.

    labels: int64 (n,), of the rows of the file. Texts are taken with all their windows, one after the
    other, up to the first that would be too much. None where so few fit that they have one class, and the
    file has several.
    """
    own = labels[texts.first]
    order = _stratified_order(own, texts.keys, seed)
    chosen = order[np.cumsum(texts.windows[order]) <= size]
    if len(np.unique(own[chosen])) < min(2, len(np.unique(own))):
        return None
    return np.flatnonzero(np.isin(texts.of, chosen))


def _stratified_order(labels: np.ndarray, keys: np.ndarray, seed: int) -> np.ndarray:
    drawn = draw(seed, "sample", keys)
    order = np.lexsort((drawn, labels))
    starts = np.flatnonzero(np.append(True, np.diff(labels[order]) != 0))
    counts = np.diff(np.append(starts, len(labels)))
    place = np.arange(len(labels)) - np.repeat(starts, counts)  # within its class
    return order[np.lexsort((drawn[order], place))]


def substituted(file: TokenFile, rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of some rows with a small exchange in each: six-mers one base, others one token.

    What is exchanged is drawn by the sequence's key; the number of tokens stays. Returns tokens back to
    back and offsets, int64 (n + 1,). Raises UserError for a sequence without anything to exchange.
    """
    tokens, offsets = file.flat_tokens(rows)
    place, step = (draw(seed, name, file.keys[rows]) for name in ("place", "base"))
    try:
        return file.tokenizer.substitute(tokens, offsets, place, step), offsets
    except NothingToExchange as error:
        name = file.ids[int(rows[error.row])]
        raise UserError(f"{file.path}: sequence {name} has no {error.lacking}") from None
