"""The top tokens of a score, counted by hand."""

import numpy as np

from whatyouread.top_tokens import keep_mask, ranking, remove_mask, share

LENGTHS = np.array([6, 4])
KEYS = np.array([3, 4], np.uint64)
SCORES = np.array([[9.0, -1.0, 5.0, 0.0, 2.0, 3.0], [9.0, -3.0, -1.0, -2.0, 0.0, 0.0]])


def test_the_highest_come_first_and_cls_and_padding_never():
    rank = ranking(SCORES, LENGTHS, KEYS, seed=1)
    assert rank[0, 1:].tolist() == [4, 0, 3, 2, 1]
    assert rank[1, 1:4].tolist() == [2, 0, 1]
    assert rank[0, 0] == 5
    assert set(rank[1, [0, 4, 5]]) == {3, 4, 5}


def test_keep_and_remove_are_complements_but_for_cls_and_padding():
    rank = ranking(SCORES, LENGTHS, KEYS, seed=1)
    counts = np.array([2, 1])
    assert keep_mask(rank, LENGTHS, counts).tolist() == [[1, 0, 1, 0, 0, 1], [1, 0, 1, 0, 0, 0]]
    assert remove_mask(rank, LENGTHS, counts).tolist() == [[1, 1, 0, 1, 1, 0], [1, 1, 0, 1, 0, 0]]
    none, everything = np.zeros(2, int), LENGTHS - 1
    assert keep_mask(rank, LENGTHS, none).sum(1).tolist() == [1, 1]
    assert remove_mask(rank, LENGTHS, everything).sum(1).tolist() == [1, 1]
    assert keep_mask(rank, LENGTHS, everything).sum(1).tolist() == [6, 4]


def test_shares_are_rounded_and_never_nothing():
    lengths = np.array([251, 252, 11, 2, 1])
    assert share(0.1, lengths).tolist() == [25, 25, 1, 1, 0]
    assert share(0.01, lengths).tolist() == [3, 3, 1, 1, 0]
    assert share(0.5, np.array([6])).tolist() == [3]  # half of 5, rounded up
    assert share(1.0, lengths).tolist() == [250, 251, 10, 1, 0]


def test_ties_are_drawn_by_the_sequence():
    flat, lengths = np.ones((50, 40)), np.full(50, 40)
    keys = np.arange(50, dtype=np.uint64)
    rank = ranking(flat, lengths, keys, seed=1)
    top = (rank < 10)[:, 1:]
    assert (top.sum(1) == 10).all()
    assert 5 < top.sum(0).min() <= top.sum(0).max() < 25  # no place is preferred
    turned = ranking(flat[::-1], lengths, keys[::-1], seed=1)
    np.testing.assert_array_equal(turned[::-1], rank)
    assert (ranking(flat, lengths, keys, seed=2) != rank).any()


def test_a_tie_is_no_reason_to_pass_over_a_higher_token():
    scores = np.ones((1, 30))
    scores[0, 17] = 1.5
    assert ranking(scores, np.array([30]), KEYS[:1], 5)[0, 17] == 0
