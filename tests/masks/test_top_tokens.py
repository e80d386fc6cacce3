"""The top tokens of a score, counted by hand."""

import numpy as np
import torch
from helpers_batches import letters
from helpers_evaluation import CPU, random_file, small_explanandum

from whatyouread.masks.top_tokens import keep_mask, ordered, remove_mask, share
from whatyouread.models.inference import Passes

CONTENT = np.array([[0, 1, 1, 1, 1, 1], [0, 1, 1, 1, 0, 0]], bool)
KEYS = np.array([3, 4], np.uint64)
SCORES = np.array([[9.0, -1.0, 5.0, 0.0, 2.0, 3.0], [9.0, -3.0, -1.0, -2.0, 0.0, 0.0]])


def content_of(*lengths):
    """The content of sequences of so many tokens, `<cls>` included."""
    place = np.arange(max(lengths))
    return (place >= 1) & (place < np.array(lengths)[:, None])


def test_the_highest_come_first_and_cls_and_padding_never():
    order = ordered(SCORES, CONTENT, KEYS, seed=1)
    assert order[0, 1:].tolist() == [4, 0, 3, 2, 1]
    assert order[1, 1:4].tolist() == [2, 0, 1]
    assert order[0, 0] == 5
    assert set(order[1, [0, 4, 5]]) == {3, 4, 5}


def test_keep_and_remove_are_complements_within_the_content():
    order = ordered(SCORES, CONTENT, KEYS, seed=1)
    counts = np.array([2, 1])
    # what they are at padding, the last two places, is ignored
    assert keep_mask(order, CONTENT, counts).tolist() == [[1, 0, 1, 0, 0, 1], [1, 0, 1, 0, 1, 1]]
    assert remove_mask(order, CONTENT, counts).tolist() == [[1, 1, 0, 1, 1, 0], [1, 1, 0, 1, 1, 1]]
    none, everything = np.zeros(2, int), CONTENT.sum(1)

    def within(mask):
        assert mask.dtype == np.float32
        assert (mask[~CONTENT] == 1).all()
        return (mask * CONTENT).sum(1).tolist()

    assert within(keep_mask(order, CONTENT, none)) == [0, 0]
    assert within(remove_mask(order, CONTENT, everything)) == [0, 0]
    assert within(keep_mask(order, CONTENT, everything)) == [5, 3]
    assert within(remove_mask(order, CONTENT, none)) == [5, 3]


def test_padding_of_these_masks_has_no_influence_on_the_classifier(tmp_path):
    file = random_file(tmp_path / "tokens.arrow", 5)
    batch = file.batch(np.arange(5))
    scores = np.random.default_rng(0).normal(size=batch.ids.shape)
    order = ordered(scores, batch.content, file.keys, seed=1)
    counts = share(0.3, batch.content)
    ask = Passes(small_explanandum(), 5, CPU).logits
    for make in (keep_mask, remove_mask):
        mask = make(order, batch.content, counts)
        assert (mask[~batch.valid] == 1).all()
        zero = np.where(batch.valid, mask, 0)
        for one, other in zip(ask(batch, mask), ask(batch, zero), strict=True):
            assert torch.equal(one, other)


def test_special_tokens_at_the_end_are_neither_ranked_nor_masked():
    batch = letters("abcd", "ab")
    scores = np.array([[9.0, 1, 4, 3, 2, 8], [9.0, 1, 2, 8, 7, 7]])
    order = ordered(scores, batch.content, KEYS, seed=1)
    assert order[0, 1:5].tolist() == [3, 0, 1, 2]
    assert set(order[0, [0, 5]]) == {4, 5}
    assert order[1, 1:3].tolist() == [1, 0]
    assert set(order[1, [0, 3, 4, 5]]) == {2, 3, 4, 5}
    counts = share(0.5, batch.content)
    assert counts.tolist() == [2, 1]
    assert keep_mask(order, batch.content, counts)[0].tolist() == [1, 0, 1, 1, 0, 1]
    assert keep_mask(order, batch.content, counts)[1, :4].tolist() == [1, 0, 1, 1]
    assert remove_mask(order, batch.content, counts)[0].tolist() == [1, 1, 0, 0, 1, 1]
    assert remove_mask(order, batch.content, counts)[1, :4].tolist() == [1, 1, 0, 1]


def test_shares_are_rounded_and_never_nothing():
    content = content_of(251, 252, 11, 2, 1)
    assert share(0.1, content).tolist() == [25, 25, 1, 1, 0]
    assert share(0.01, content).tolist() == [3, 3, 1, 1, 0]
    assert share(0.5, content_of(6)).tolist() == [3]  # half of 5, rounded up
    assert share(1.0, content).tolist() == [250, 251, 10, 1, 0]


def test_ties_are_drawn_by_the_sequence():
    flat, content = np.ones((50, 40)), content_of(*[40] * 50)
    keys = np.arange(50, dtype=np.uint64)
    order = ordered(flat, content, keys, seed=1)
    top = (order < 10)[:, 1:]
    assert (top.sum(1) == 10).all()
    assert 5 < top.sum(0).min() <= top.sum(0).max() < 25  # no place is preferred
    turned = ordered(flat[::-1], content, keys[::-1], seed=1)
    np.testing.assert_array_equal(turned[::-1], order)
    assert (ordered(flat, content, keys, seed=2) != order).any()


def test_a_tie_is_no_reason_to_pass_over_a_higher_token():
    scores = np.ones((1, 30))
    scores[0, 17] = 1.5
    assert ordered(scores, content_of(30), KEYS[:1], 5)[0, 17] == 0
