"""Which test sequences the methods are compared on, and copies of them with one base substituted."""

import numpy as np

from whatyouread.data.six_mers import ALPHABET, FIRST_BASE, FIRST_KMER, K
from whatyouread.data.token_files import TokenFile
from whatyouread.support.cli import UserError
from whatyouread.support.keyed_random import draw


def stratified_sample(labels: np.ndarray, keys: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Row numbers of at most `size` sequences, as even over the classes as their numbers allow.

    labels: int64 (n,); keys: uint64 (n,). Every class gives one sequence before any gives a second,
    and so on; in the last round, and within a class, the draw decides. Ascending.
    """
    drawn = draw(seed, "sample", keys)
    order = np.lexsort((drawn, labels))
    starts = np.flatnonzero(np.append(True, np.diff(labels[order]) != 0))
    counts = np.diff(np.append(starts, len(labels)))
    place = np.arange(len(labels)) - np.repeat(starts, counts)  # within its class
    chosen = order[np.lexsort((drawn[order], place))[:size]]
    return np.sort(chosen)


def substituted(file: TokenFile, rows: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The tokens of some rows with one base of each exchanged for another.

    The place is drawn among the bases of tokens that stand for bases; the number of tokens stays.
    Returns uint16 tokens back to back and offsets, int64 (n + 1,). Raises UserError for a sequence
    without bases.
    """
    tokens, offsets = file.flat_tokens(rows)
    tokens = tokens.copy()
    kmer = (tokens >= FIRST_KMER) & (tokens < FIRST_BASE)
    single = (tokens >= FIRST_BASE) & (tokens < FIRST_BASE + len(ALPHABET))
    ends = np.append(0, np.cumsum(np.where(kmer, K, single.astype(np.int64))))
    bases = ends[offsets[1:]] - ends[offsets[:-1]]
    if (bases == 0).any():
        raise UserError(f"{file.path}: sequence {file.ids[int(rows[bases.argmin()])]} has no bases")
    keys = file.keys[rows]
    place = ends[offsets[:-1]] + np.floor(draw(seed, "place", keys) * bases).astype(np.int64)
    token = np.searchsorted(ends, place, side="right") - 1
    step = 1 + np.floor(draw(seed, "base", keys) * (len(ALPHABET) - 1)).astype(np.int64)
    # a token's number counts in base 4, its first base counting most
    within = np.where(kmer[token], K - 1 - (place - ends[token]), 0)
    unit = len(ALPHABET) ** within
    first = np.where(kmer[token], FIRST_KMER, FIRST_BASE)
    number = tokens[token].astype(np.int64) - first
    old = number // unit % len(ALPHABET)
    new = (old + step) % len(ALPHABET)
    tokens[token] = (first + number + (new - old) * unit).astype(np.uint16)
    return tokens, offsets
