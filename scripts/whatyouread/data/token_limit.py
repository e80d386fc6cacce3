"""Sequences with more tokens than a model reads: cut, divided into windows, or left out.

`sequences.longer` says which, as for `sequences.max_length`; the limit of a model is in tokens, since
tokens differ in length. The special tokens that frame a sequence stay, and frame each window.
"""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.data.intervals import ranges
from whatyouread.data.normalisation import CUT, LEAVE_OUT, WINDOW
from whatyouread.data.tokenizer import Tokenizer
from whatyouread.support.cli import UserError
from whatyouread.support.keyed_random import spread

DONE = {CUT: "cut", WINDOW: "divided into windows", LEAVE_OUT: "left out"}
"""What became of sequences with too many tokens, by `sequences.longer`."""

PIECE = r"(?s)^(?P<id>.*) tokens (?P<first>[0-9]{1,15})-(?P<last>[0-9]{1,15})$"
"""The id of a window (`named_pieces`): that of its sequence, and its first token, from 1."""


class Limited(NamedTuple):
    """What is left of a batch of n sequences, m pieces of them.

    of: int64 (m,), the sequence of each piece. number: int64 (m,), of the piece within its sequence, from
    0. first, stop: int64 (m,), which tokens of the content the piece holds. where: int64, the tokens that
    stay. offsets: int64 (m + 1,), of the pieces in these. long: bool (n,), which sequences had too many.
    """

    of: np.ndarray
    number: np.ndarray
    first: np.ndarray
    stop: np.ndarray
    where: np.ndarray
    offsets: np.ndarray
    long: np.ndarray


def limited(offsets: np.ndarray, tokenizer: Tokenizer, longest: int, longer: str) -> Limited:
    """What is left of framed sequences where a model reads at most `longest` tokens, the frame included.

    offsets: int64 (n + 1,), as `Tokenizer.tokenize` gives them. longer: "cut", "window", "leave_out".
    """
    before, after = len(tokenizer.before), len(tokenizer.after)
    room = longest - before - after
    sizes = np.diff(offsets) - before - after
    long = sizes > room
    pieces = np.ones_like(sizes)
    if longer == WINDOW:
        pieces = np.maximum(1, -(-sizes // room))
    elif longer == LEAVE_OUT:
        pieces[long] = 0
    of = np.repeat(np.arange(len(sizes)), pieces)
    number = np.arange(len(of)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    # windows of like length, as of bases
    first, stop = (n * sizes[of] // pieces[of] for n in (number, number + 1))
    if longer == CUT:
        stop = np.minimum(stop, room)
    start, end = offsets[:-1][of], offsets[1:][of]
    starts = np.stack([start, start + before + first, end - after], axis=1)
    stops = np.stack([start + before, start + before + stop, end], axis=1)
    ends = np.append(0, np.cumsum((stops - starts).sum(1)))
    return Limited(of, number, first, stop, ranges(starts.ravel(), stops.ravel()), ends, long)


def named_pieces(
    ids: pa.Array, keys: pa.Array, left: Limited, longer: str
) -> tuple[pa.Array, pa.Array]:
    """The ids and keys of pieces, from those of their sequences, given once for each piece.

    Windows are named by their tokens, "ID tokens 1-510"; each has draws of its own, as if it were another
    sequence.
    """
    if longer != WINDOW:
        return ids, keys
    ends = [pa.array(end).cast(pa.string()) for end in (left.first + 1, left.stop)]
    named = pc.binary_join_element_wise(ids, pc.binary_join_element_wise(*ends, "-"), " tokens ")
    moved = spread(keys.to_numpy() + left.number.astype(np.uint64))
    own = np.where(left.number > 0, moved, keys.to_numpy())
    return pc.if_else(pa.array(left.long[left.of]), named, ids), pa.array(own)


def check_limit(longest: int, tokenizer: Tokenizer) -> None:
    """Raise `UserError` for a limit that leaves no room for a token beside the frame."""
    frame = len(tokenizer.before) + len(tokenizer.after)
    if longest < 0 or 0 < longest <= frame:
        raise UserError(
            f"--longest is {longest}: give more tokens than the {frame} that frame every sequence, or 0"
        )
