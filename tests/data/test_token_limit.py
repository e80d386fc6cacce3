"""Sequences with more tokens than a model reads, beside a plain loop."""

import random
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from helpers_batches import CLS, LETTERS, SEP

from whatyouread.data.six_mers import SIX_MERS
from whatyouread.data.token_limit import check_limit, limited, named_pieces
from whatyouread.support.cli import UserError


def plain(sequence, room, longer):
    """The content of the pieces of one sequence, worked out by hand: (first, stop)."""
    size = len(sequence) - 2
    if size <= room:
        return [(0, size)]
    if longer == "cut":
        return [(0, room)]
    if longer == "leave_out":
        return []
    number = -(-size // room)
    return [(i * size // number, (i + 1) * size // number) for i in range(number)]


@pytest.mark.parametrize("longer", ["cut", "window", "leave_out"])
def test_any_sequences_are_those_of_a_plain_loop(longer):
    draws = random.Random(longer)
    for _ in range(200):
        longest = draws.randint(3, 9)
        sequences = [
            [CLS, *(draws.randint(4, 29) for _ in range(draws.randint(0, 25))), SEP]
            for _ in range(draws.randint(1, 6))
        ]
        tokens = np.array([token for sequence in sequences for token in sequence])
        offsets = np.cumsum([0, *map(len, sequences)])
        left = limited(offsets, LETTERS, longest, longer)
        pieces = [
            (row, number, first, stop)
            for row, sequence in enumerate(sequences)
            for number, (first, stop) in enumerate(plain(sequence, longest - 2, longer))
        ]
        assert [*zip(left.of, left.number, left.first, left.stop, strict=True)] == pieces
        expected = [
            [CLS, *sequences[row][1 + first : 1 + stop], SEP] for row, _, first, stop in pieces
        ]
        kept, ends = tokens[left.where], left.offsets
        assert [kept[a:b].tolist() for a, b in pairwise(ends)] == expected
        assert left.long.tolist() == [len(sequence) > longest for sequence in sequences]
        assert max(map(len, expected), default=0) <= longest


def test_a_frame_at_one_end_alone():
    left = limited(np.array([0, 8]), SIX_MERS, 4, "window")
    assert left.where.tolist() == [0, 1, 2, 0, 3, 4, 0, 5, 6, 7]
    assert left.offsets.tolist() == [0, 3, 6, 10]


def test_windows_have_names_and_draws_of_their_own():
    left = limited(np.array([0, 7, 11]), LETTERS, 5, "window")
    ids, keys = pa.array(["a:x", "a:y"]), pa.array([7, 7], pa.uint64())
    names, own = named_pieces(*(x.take(pa.array(left.of)) for x in (ids, keys)), left, "window")
    assert names.to_pylist() == ["a:x tokens 1-2", "a:x tokens 3-5", "a:y"]
    first, second, other = own.to_pylist()
    assert first == other == 7 != second
    names, _ = named_pieces(ids, keys, limited(np.array([0, 7, 11]), LETTERS, 5, "cut"), "cut")
    assert names.to_pylist() == ["a:x", "a:y"]


@pytest.mark.parametrize("longest", [-1, 1, 2])
def test_no_room_beside_the_frame(longest):
    with pytest.raises(UserError, match=f"--longest is {longest}: give more tokens than the 2"):
        check_limit(longest, LETTERS)
    check_limit(0, LETTERS)
    check_limit(3, LETTERS)
