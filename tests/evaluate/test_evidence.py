"""Measures of agreement with evidence: by hand, by scikit-learn, and by loops over sets of tokens."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from whatyouread.evaluate.evidence import evidence_share, iou_f1, token_f1, top_tokens


def flags(*rows):
    """Rows of 0 and 1 in text; "-" is no content."""
    chosen = np.array([[c == "1" for c in row] for row in rows])
    return chosen, np.array([[c != "-" for c in row] for row in rows])


@pytest.mark.parametrize(
    ("chosen", "evidence", "token", "iou"),
    [
        ("0110000", "0110000", 1, 1),
        ("0110000", "0000110", 0, 0),
        # tokens: P 2/3, R 2/4. Spans: 2 of 5 in common, below one half
        ("0111000", "0011110", 2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4), 0),
        # 2 of 4 in common: one half is enough
        ("0011000", "0111100", 2 * 1 * 0.5 / 1.5, 1),
        # one token less in common: 2 of 5
        ("0011000", "0111110", 2 * 1 * 0.4 / 1.4, 0),
        # two spans, one of them right, of three: P 1/2, R 1/3. Tokens: 2 of 3, 2 of 4
        ("1100010", "1100101", 4 / 7, 2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3)),
        # two halves of a span: each has 2 of 5
        ("1101100", "1111100", 2 * 4 / 9, 0),
        # one span over two of the evidence: 3 of 7 with the larger
        ("1111111", "1110111", 2 * 6 / 13, 0),
        # one span over two: 4 of 6 with the larger, and one of the two is found
        ("1111110", "1111010", 2 * 5 / 11, 2 * 1 * 0.5 / 1.5),
        # what is no content does not count, on either side, and ends no span by itself
        ("-11000-", "-11100-", 2 * 2 / 5, 1),
        ("0000000", "0110000", 0, 0),
        ("0110000", "0000000", np.nan, np.nan),
    ],
)
def test_by_hand(chosen, evidence, token, iou):
    chosen, content = flags(chosen)
    evidence, _ = flags(evidence)
    assert token_f1(chosen, evidence, content) == pytest.approx([token], nan_ok=True)
    assert iou_f1(chosen, evidence, content) == pytest.approx([iou], nan_ok=True)


def test_special_tokens_and_padding_are_left_out():
    chosen, _ = flags("1110001", "1111111")
    evidence, _ = flags("1110001", "0011111")
    content = np.array([[0, 1, 1, 1, 1, 1, 0], [0, 1, 1, 0, 0, 0, 0]], bool)
    # the second: 2 chosen, 1 marked, 1 of both; as spans 1 of 2, which is enough
    np.testing.assert_allclose(token_f1(chosen, evidence, content), [1, 2 / 3])
    np.testing.assert_allclose(iou_f1(chosen, evidence, content), [1, 1])


def spans(row):
    """Sets of places, one for each run."""
    found, before = [], False
    for place, inside in enumerate(row):
        if inside and not before:
            found.append(set())
        if inside:
            found[-1].add(place)
        before = inside
    return found


def iou_f1_by_sets(chosen, evidence):
    own, other = spans(chosen), spans(evidence)
    if not other:
        return np.nan
    right = sum(max((len(a & b) / len(a | b) for b in other), default=0) >= 0.5 for a in own)
    if not right:
        return 0.0
    precision, recall = right / len(own), right / len(other)
    return 2 * precision * recall / (precision + recall)


@pytest.mark.parametrize("seed", range(12))
def test_against_sets_and_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    n, length = int(rng.integers(1, 40)), int(rng.integers(1, 30))
    # runs: each token is like the one before, or drawn anew
    share, stay = rng.random(), 0.7 * rng.random()
    chosen, evidence = rng.random((2, n, length)) < share
    for place in range(1, length):
        for made in (chosen, evidence):
            same = rng.random(n) < stay
            made[same, place] = made[same, place - 1]
    near = rng.random(n) < 0.5  # where they differ by some tokens only
    evidence[near] = chosen[near] ^ (rng.random((near.sum(), length)) < 0.15)
    sizes = rng.integers(0, length + 1, n)
    content = np.arange(length) < sizes[:, None]
    tokens, found = token_f1(chosen, evidence, content), iou_f1(chosen, evidence, content)
    for row, size in enumerate(sizes):
        own, other = chosen[row, :size], evidence[row, :size]
        expected = f1_score(other, own, zero_division=0) if other.any() else np.nan
        np.testing.assert_allclose(tokens[row], expected)
        np.testing.assert_allclose(found[row], iou_f1_by_sets(own, other))
    # other rows make no difference
    for row in (0, n - 1):
        one = slice(row, row + 1)
        np.testing.assert_array_equal(iou_f1(chosen[one], evidence[one], content[one]), found[one])


def test_as_many_tokens_as_people_mark_on_average():
    """1 of 4 and 3 of 4 are one half; the third has none, and the fourth all of its two."""
    evidence, content = flags("1000--", "1110--", "000000")
    assert evidence_share(evidence, content) == pytest.approx(1 / 2)
    evidence, content = flags("1000--", "1110--", "000000", "11----")
    assert evidence_share(evidence, content) == pytest.approx((1 / 4 + 3 / 4 + 1) / 3)
    assert evidence_share(~content, content) == 0
    scores = np.array([[-3, -1, -2, -4, 9, 9], [1, 2, 3, 4, 9, 9], [6, 5, 4, 3, 2, 1]], float)
    _, content = flags("0000--", "0000--", "000000")
    best = top_tokens(scores, content, np.arange(3).astype(np.uint64), 1, 0.5)
    expected, _ = flags("0110--", "0011--", "111000")
    np.testing.assert_array_equal(best, expected)
    least = top_tokens(scores, content, np.arange(3).astype(np.uint64), 1, 0.01)
    assert least.sum(1).tolist() == [1, 1, 1]


def test_equal_scores_are_ordered_at_random_and_by_the_sequence():
    content = np.ones((200, 20), bool)
    keys = np.arange(200).astype(np.uint64)
    best = top_tokens(np.zeros((200, 20)), content, keys, 4, 0.25)
    assert (best.sum(1) == 5).all()
    assert np.abs(best.mean(0) - 0.25).max() < 0.12
    again = top_tokens(np.zeros((3, 20)), content[:3], keys[7:10], 4, 0.25)
    np.testing.assert_array_equal(again, best[7:10])
