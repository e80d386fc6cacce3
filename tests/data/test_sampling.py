"""The sample of test sequences, and copies with one base substituted."""

from itertools import pairwise

import numpy as np
import pytest
from helpers_batches import LETTERS
from helpers_batches import UNK as UNKNOWN

from whatyouread.data.sampling import (
    lowest_classes,
    random_sample,
    stratified_sample,
    substituted,
)
from whatyouread.data.six_mers import UNK, N, decode, encode
from whatyouread.data.token_files import TokenFile
from whatyouread.data.tokenizer import NothingToExchange
from whatyouread.support.cli import UserError


def test_every_class_gives_one_before_any_gives_a_second():
    labels = np.repeat([0, 1, 2, 3], [100, 50, 2, 1])
    keys = np.arange(len(labels), dtype=np.uint64)
    for size, counts in ((4, [1, 1, 1, 1]), (7, [2, 2, 2, 1]), (11, [4, 4, 2, 1])):
        rows = stratified_sample(labels, keys, size, seed=1)
        assert np.bincount(labels[rows], minlength=4).tolist() == counts
        assert (np.diff(rows) > 0).all()
    assert len(stratified_sample(labels, keys, 1000, seed=1)) == len(labels)


def test_the_last_round_is_drawn_and_not_by_number_of_class():
    labels = np.repeat(np.arange(20), 5)
    keys = np.arange(100, dtype=np.uint64)
    seconds = set()
    for seed in range(10):
        chosen = labels[stratified_sample(labels, keys, 25, seed)]
        seconds.update(np.flatnonzero(np.bincount(chosen) == 2).tolist())
    assert len(seconds) > 15


def test_the_sample_belongs_to_the_keys_and_not_to_the_order():
    labels = np.arange(60) % 7
    keys = np.arange(60, dtype=np.uint64) * 977
    order = np.random.default_rng(0).permutation(60)
    one = keys[stratified_sample(labels, keys, 20, 3)]
    other = keys[order][stratified_sample(labels[order], keys[order], 20, 3)]
    assert set(one) == set(other)
    assert set(one) != set(keys[stratified_sample(labels, keys, 20, 4)])


@pytest.mark.parametrize("seed", range(5))
def test_a_random_sample_is_none_of_the_first(seed):
    """Of a file sorted by class each class gives about its share, and each half of the file its half."""
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    keys = np.random.default_rng(seed).integers(0, 2**64, 1000, dtype=np.uint64)
    rows = random_sample(keys, 500, seed)
    assert len(np.unique(rows)) == 500
    assert (np.diff(rows) > 0).all()
    assert np.bincount(labels[rows]) == pytest.approx([300, 150, 50], abs=45)
    assert set(rows) != set(random_sample(keys, 500, seed + 1))
    # a smaller sample is a part of a larger one, and the order of the file is no matter
    assert set(random_sample(keys, 40, seed)) < set(rows)
    order = np.random.default_rng(seed + 1).permutation(1000)
    assert set(keys[order][random_sample(keys[order], 500, seed)]) == set(keys[rows])


@pytest.mark.parametrize(("n", "size"), [(0, 5), (1, 5), (7, 7), (7, 100), (7, 0)])
def test_no_more_than_there_are(n, size):
    rows = random_sample(np.arange(n, dtype=np.uint64), size, 0)
    assert rows.tolist() == list(range(n))[: min(n, size)]


def test_copies_are_drawn_one_by_one():
    """A quarter of the file is one sequence: about a quarter of the sample, and neither all nor none."""
    rng = np.random.default_rng(3)
    keys = rng.integers(0, 2**64, 400, dtype=np.uint64)
    keys[rng.permutation(400)[:100]] = 5
    for seed in range(5):
        assert (keys[random_sample(keys, 100, seed)] == 5).sum() == pytest.approx(25, abs=14)


@pytest.fixture
def file(token_file):
    sequences = ["ATCGGATTACANNGATC" * 3, "GGGGGG", "ATCGAT" * 50 + "CG", "N" * 5 + "A"]
    tokens, offsets = encode(sequences)
    rows = [tokens[a:b].tolist() for a, b in pairwise(offsets)]
    return sequences, TokenFile(token_file(rows, ranks=["genus"]), ["genus"])


def text(tokens, offsets):
    bases, ends = decode(tokens, offsets)
    whole = bases.tobytes().decode()
    return [whole[a:b] for a, b in pairwise(ends)]


def test_one_base_differs_and_never_an_n(file):
    sequences, tokens = file
    places = set()
    for seed in range(60):
        changed = text(*substituted(tokens, np.arange(4), seed))
        for old, new in zip(sequences, changed, strict=True):
            differ = [i for i in range(len(old)) if old[i] != new[i]]
            assert len(old) == len(new)
            assert len(differ) == 1
            assert old[differ[0]] != "N"
            assert new[differ[0]] in "ACGT"
        places.update(i for i in range(6) if changed[1][i] != "G")
    assert places == set(range(6))


def test_the_substitution_belongs_to_the_key(file):
    _, tokens = file
    whole = text(*substituted(tokens, np.arange(4), 5))
    assert text(*substituted(tokens, np.array([2, 0]), 5)) == [whole[2], whole[0]]


def test_a_sequence_without_bases_is_an_error(token_file):
    tokens = TokenFile(token_file([[3, N, N], [3, UNK]], ranks=["genus"]), ["genus"])
    with pytest.raises(UserError, match=r"a\.fa:0 has no bases"):
        substituted(tokens, np.arange(2), 1)


def test_of_other_tokens_a_whole_one_is_exchanged():
    tokens, offsets = LETTERS.tokenize(np.frombuffer(b"abcz!", np.uint8), np.array([0, 3, 5]))
    seen = set()
    for place in np.arange(0.05, 1, 0.1):
        for step in np.arange(0.01, 1, 0.02):
            draws = np.full(2, place), np.full(2, step)
            changed = LETTERS.substitute(tokens, offsets, *draws)
            [first, second] = np.flatnonzero(changed != tokens)
            assert first in (1, 2, 3)
            assert second in (6, 7)
            seen.update(changed[[first, second]].tolist())
    assert seen == set(range(UNKNOWN, len(LETTERS)))  # every ordinary token, and no special one
    # [CLS] a b c [SEP] [CLS] z ! [SEP]: a becomes b, and z the first ordinary token
    made = LETTERS.substitute(tokens, offsets, np.zeros(2), np.zeros(2))
    assert made.tolist() == [1, 5, 5, 6, 2, 1, 3, 3, 2]


def test_a_sequence_of_special_tokens_is_an_error():
    with pytest.raises(NothingToExchange, match="sequence 1 has no content"):
        LETTERS.substitute(np.array([1, 4, 2, 1, 2]), np.array([0, 3, 5]), *np.zeros((2, 2)))


def test_a_sequence_is_of_the_class_of_its_lowest_label():
    labels = np.array([[0, 2], [0, -1], [1, -1], [1, 2], [-1, 0], [-1, -1], [0, -1]])
    made = lowest_classes(labels)
    # equal: 0 and 3; 1 and 6; a kingdom is no genus, and no label is neither
    assert made[0] == made[3]
    assert made[1] == made[6]
    assert len(set(made.tolist())) == 5
    keys = np.arange(7, dtype=np.uint64)
    drawn = stratified_sample(made, keys, 5, 1)
    assert len(set(made[drawn].tolist())) == 5


@pytest.mark.parametrize("levels", [1, 3, 5])
def test_with_all_labels_the_sample_is_that_of_the_lowest_rank(levels):
    rng = np.random.default_rng(levels)
    labels, keys = rng.integers(0, 9, (200, levels)), rng.integers(0, 99, 200, dtype=np.uint64)
    one = stratified_sample(lowest_classes(labels), keys, 40, 3)
    assert (one == stratified_sample(labels[:, -1], keys, 40, 3)).all()
