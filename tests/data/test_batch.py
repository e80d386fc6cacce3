"""Batches: which tokens count, and what stays so when a batch is moved, repeated or cut."""

import dataclasses

import numpy as np
import pytest
import torch
from helpers_batches import CLS, FIRST_LETTER, LETTERS, PAD, SEP, batch_of, letters
from hypothesis import given
from hypothesis import strategies as st

from whatyouread.data.batch import (
    LONG,
    Batch,
    at_once,
    batches_by_length,
    framed,
    padded,
    parts_by_length,
)
from whatyouread.data.six_mers import SIX_MERS, encode

ARRAYS = ("ids", "valid", "content")


def equal(one: Batch, other: Batch) -> bool:
    """Whether two batches say the same, whatever kind of arrays they hold."""
    return (
        all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ARRAYS)
        and np.array_equal(one.lengths, other.lengths)
        and one.whole == other.whole
    )


@pytest.fixture
def tokens():
    """Three sequences of six-mers of 4, 3 and 1 tokens, in numpy arrays."""
    return batch_of([[3, 6, 0, 4106], [3, 2, 9, 1], [3, 1, 1, 1]])


def test_what_is_valid_and_what_is_content(tokens):
    assert tokens.ids.dtype == tokens.lengths.dtype == np.int64
    assert tokens.valid.dtype == tokens.content.dtype == bool
    assert tokens.lengths.tolist() == [4, 3, 1]
    assert tokens.valid.astype(int).tolist() == [[1, 1, 1, 1], [1, 1, 1, 0], [1, 0, 0, 0]]
    # `<unk>` and N are content; `<cls>` and a `<mask>` that is spelt out are not
    assert tokens.content.astype(int).tolist() == [[0, 1, 1, 1], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert not tokens.whole
    assert tokens.states is None
    assert len(tokens) == 3


def test_validity_follows_from_the_lengths_and_not_from_the_padding_token():
    """A `<pad>` that is spelt out in a sequence is a token of it, special, and no padding."""
    spelt, offsets = encode(["ACGTAC<pad>ACGTAC"])
    batch = Batch.of(spelt[None].astype(np.int64), np.diff(offsets), SIX_MERS)
    assert batch.ids.tolist() == [[3, spelt[1], 1, spelt[1]]]
    assert batch.valid.all()
    assert batch.whole
    assert batch.content.tolist() == [[False, True, False, True]]


def test_special_tokens_at_the_end_are_no_content():
    batch = letters("abc", "", "z")
    assert batch.ids[1].tolist() == [CLS, SEP, PAD, PAD, PAD]
    assert batch.lengths.tolist() == [5, 2, 3]
    assert batch.content.astype(int).tolist() == [[0, 1, 1, 1, 0], [0] * 5, [0, 1, 0, 0, 0]]
    assert batch.valid.astype(int).tolist() == [[1] * 5, [1, 1, 0, 0, 0], [1, 1, 1, 0, 0]]


def test_whole_is_a_batch_without_padding():
    assert letters("ab", "cd").whole
    assert not letters("ab", "c").whole
    assert Batch.of(np.zeros((0, 1), np.int64), np.zeros(0, np.int64), SIX_MERS).whole


def test_nothing_can_be_changed(tokens):
    with pytest.raises(dataclasses.FrozenInstanceError):
        tokens.whole = True


def test_to_a_device(tokens, device):
    moved = tokens.to(device)
    for name, dtype in zip(ARRAYS, (torch.int64, torch.bool, torch.bool), strict=True):
        tensor = getattr(moved, name)
        assert tensor.dtype == dtype
        assert tensor.device.type == device.type
        np.testing.assert_array_equal(tensor.cpu(), getattr(tokens, name))
    assert isinstance(moved.lengths, np.ndarray)  # nobody waits for a GPU to know them
    assert moved.device.type == device.type
    assert moved.states is None
    assert equal(moved.to("cpu"), tokens)


def test_states_go_where_their_batch_goes(tokens):
    states = torch.arange(24.0).view(3, 4, 2)
    batch = tokens.to("cpu")
    read = batch.with_states(states)
    assert batch.states is None
    assert torch.equal(read.states, states)
    assert torch.equal(read.to("cpu").states, states)
    assert torch.equal(read.take([2, 0]).states, states[[2, 0]])
    assert torch.equal(read.repeat(2).states, torch.cat([states, states]))
    assert torch.equal(read.alone(1).states, states[1:2, :3])


def test_keys_go_where_their_batch_goes(tokens):
    keys = np.array([2**63 + 5, 1, 9], np.uint64)
    batch = Batch.of(tokens.ids, tokens.lengths, SIX_MERS, keys)
    assert tokens.keys is None
    for made in (batch, batch.to("cpu"), batch.with_states(None)):
        assert made.keys.dtype == np.uint64  # on no device
        assert made.keys.tolist() == keys.tolist()
        assert made.take(np.array([2, 0])).keys.tolist() == [9, 2**63 + 5]
        assert made.alone(1).keys.tolist() == [1]
        assert made.part(np.array([1, 0])).keys.tolist() == [1, 2**63 + 5]
    assert batch.to("cpu").repeat(2).keys.tolist() == keys.tolist() * 2


@pytest.mark.parametrize("times", [1, 2, 3])
def test_repeat_goes_one_round_after_the_other(tokens, times):
    made = tokens.to("cpu").repeat(times)
    assert len(made) == 3 * times
    assert made.lengths.tolist() == [4, 3, 1] * times
    assert not made.whole
    for name in ARRAYS:
        expected = np.concatenate([getattr(tokens, name)] * times)
        np.testing.assert_array_equal(getattr(made, name), expected)
    assert letters("ab", "cd").to("cpu").repeat(times).whole


@pytest.mark.parametrize("torch_tensors", [False, True])
def test_take(tokens, torch_tensors):
    batch = tokens.to("cpu") if torch_tensors else tokens
    rows = np.array([2, 0, 0])
    taken = batch.take(rows)
    assert taken.lengths.tolist() == [1, 4, 4]
    for name in ARRAYS:  # as long as before
        np.testing.assert_array_equal(getattr(taken, name), getattr(tokens, name)[rows])
    assert not taken.whole
    assert batch.take(np.array([0])).whole  # whose padding was that of the others
    assert len(batch.take(np.array([], np.int64))) == 0


@pytest.mark.parametrize("torch_tensors", [False, True])
def test_alone(tokens, torch_tensors):
    batch = tokens.to("cpu") if torch_tensors else tokens
    for row, length in enumerate((4, 3, 1)):
        alone = batch.alone(row)
        expected = batch_of(tokens.ids[row : row + 1, :length])
        assert alone.whole
        assert equal(alone, expected)
        assert alone.lengths.shape == (1,)


def test_padded():
    flat = np.array([9, 3, 10, 11, 12, 3, 3, 13], np.uint16)
    made = padded(flat, np.array([6, 1, 5]), np.array([2, 4, 1]), 1)
    assert made.dtype == np.int64
    assert made.tolist() == [[3, 13, 1, 1], [3, 10, 11, 12], [3, 1, 1, 1]]
    other = padded(flat, np.array([6, 1, 5]), np.array([2, 0, 1]), 7)
    assert other.tolist() == [[3, 13], [7, 7], [3, 7]]
    assert padded(flat, np.array([0]), np.array([0]), 7).tolist() == [[7]]


def test_pieces_are_framed_by_special_tokens_of_their_own():
    flat = np.arange(10, 22)
    starts, lengths = np.array([4, 0, 9]), np.array([2, 3, 0])
    made = framed(flat, starts, lengths, SIX_MERS)
    assert made.ids.tolist() == [[3, 14, 15, 1], [3, 10, 11, 12], [3, 1, 1, 1]]
    assert equal(made, batch_of(made.ids))
    made = framed(flat, starts, lengths, LETTERS)
    assert made.ids.tolist() == [
        [CLS, 14, 15, SEP, PAD],
        [CLS, 10, 11, 12, SEP],
        [CLS, SEP, PAD, PAD, PAD],
    ]
    assert equal(made, batch_of(made.ids, LETTERS))
    assert made.content.sum(1).tolist() == [2, 3, 0]


@given(texts=st.lists(st.text("abcxyz", max_size=8), min_size=1, max_size=6))
def test_framed_pieces_are_what_the_tokenizer_makes_of_them(texts):
    flat = np.array([FIRST_LETTER + ord(c) - ord("a") for c in "".join(texts)] or [0])
    lengths = np.array([len(text) for text in texts])
    made = framed(flat, np.cumsum(lengths) - lengths, lengths, LETTERS)
    text = np.frombuffer("".join(texts).encode(), np.uint8)
    ids, offsets = LETTERS.tokenize(text, np.append(0, np.cumsum(lengths)))
    expected = padded(ids, offsets[:-1], np.diff(offsets), PAD)
    assert equal(made, Batch.of(expected, np.diff(offsets), LETTERS))


@given(
    lengths=st.lists(st.integers(1, 20), max_size=40),
    size=st.integers(1, 9),
)
def test_batches_by_length(lengths, size):
    batches = [batch.tolist() for batch in batches_by_length(np.array(lengths, np.int64), size)]
    rows = [row for batch in batches for row in batch]
    assert sorted(rows) == list(range(len(lengths)))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    # sorted by length, and rows of the same length in their own order: the same every time
    assert rows == sorted(range(len(lengths)), key=lambda row: (lengths[row], row))


@pytest.mark.parametrize("size", [1, 8, 48, 256])
def test_long_sequences_come_in_smaller_batches(size):
    rng = np.random.default_rng(size)
    for _ in range(30):
        lengths = rng.integers(1, rng.choice([300, 513, 2000, 20_002]), rng.integers(1, 600))
        lengths[rng.integers(len(lengths))] = rng.choice([1, 251, 512, 513, 20_001, 100_000])
        batches = list(batches_by_length(lengths, size))
        rows = np.concatenate(batches)
        np.testing.assert_array_equal(rows, np.argsort(lengths, kind="stable"))
        for batch in batches:
            assert len(batch) <= size
            pairs = len(batch) * int(lengths[batch].max()) ** 2
            assert len(batch) == 1 or pairs <= size * LONG**2
        for rows in np.array_split(rng.permutation(len(lengths)), -(-len(lengths) // size)):
            parts = parts_by_length(lengths[rows], size)
            np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(rows)))
            if lengths[rows].max() <= LONG:
                assert len(parts) == 1
                np.testing.assert_array_equal(parts[0], np.arange(len(rows)))


def test_how_many_fit():
    assert at_once(256, 251) == at_once(256, 512) == at_once(256, 1) == 256
    assert at_once(256, 1024) == 64
    # 120 kb, the paper's batch: 128 * 20,001 ** 2 pairs of tokens would be 205 GB for each head
    assert at_once(128, 20_001) == 1
    assert at_once(1, 10**7) == 1


def test_a_part_of_a_batch_is_as_long_as_its_longest():
    ids = np.arange(12).reshape(3, 4) % 3 + FIRST_LETTER
    batch = Batch.of(ids, np.array([4, 2, 2]), LETTERS).to("cpu")
    part = batch.part(np.array([2, 1]))
    assert part.ids.tolist() == ids[[2, 1], :2].tolist()
    assert part.valid.all()
    assert part.whole
    assert part.lengths.tolist() == [2, 2]
    assert batch.part(np.array([0, 1, 2])) is batch
    assert not batch.part(np.array([0, 1])).whole
