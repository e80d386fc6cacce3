import numpy as np
import pytest
from helpers_batches import letters

from whatyouread.masks.controls import (
    CONTROLS,
    constant,
    other_sequence,
    position_mean,
    shifted,
    shuffled,
)

SEEDS = range(12)


def content_of(lengths, width):
    """The content of sequences of so many tokens, `<cls>` included."""
    place = np.arange(width)
    return (place >= 1) & (place < np.asarray(lengths)[:, None])


def example(seed, n=9, width=17, shortest=1):
    """Masks with distinct values, zero at padding; their content, behind `<cls>`; keys; lengths."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(shortest, width + 1, n)
    lengths[rng.integers(n)] = width
    masks = rng.permutation(np.arange(1, n * width + 1)).reshape(n, width) / (n * width + 1)
    masks = np.where(np.arange(width) < lengths[:, None], masks, 0).astype(np.float32)
    keys = rng.integers(0, 2**63, n, dtype=np.uint64)
    return masks, content_of(lengths, width), keys, lengths


def test_the_controls_are_those_of_the_design():
    assert list(CONTROLS) == ["shuffled", "shifted", "other_sequence", "position_mean", "constant"]


@pytest.mark.parametrize("name", CONTROLS)
@pytest.mark.parametrize("seed", SEEDS)
def test_shape_padding_and_input(name, seed):
    masks, content, keys, lengths = example(seed)
    before = masks.copy()
    changed = CONTROLS[name](masks, content, keys, seed)
    np.testing.assert_array_equal(masks, before)
    assert changed.dtype == np.float32
    assert changed.shape == masks.shape
    inside = np.arange(masks.shape[1]) < lengths[:, None]
    assert (changed[~inside] == 0).all()
    assert ((changed >= 0) & (changed <= 1)).all()


@pytest.mark.parametrize("name", CONTROLS)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_the_sequences_does_not_matter(name, seed):
    masks, content, keys, _ = example(seed)
    order = np.random.default_rng(seed + 100).permutation(len(masks))
    plain = CONTROLS[name](masks, content, keys, 3)[order]
    permuted = CONTROLS[name](masks[order], content[order], keys[order], 3)
    np.testing.assert_allclose(permuted, plain, atol=1e-7)


@pytest.mark.parametrize("control", [shuffled, shifted, constant])
def test_batches_do_not_matter(control):
    """What happens to a sequence does not depend on its padding and its neighbours."""
    masks, content, keys, lengths = example(5)
    whole = control(masks, content, keys, 3)
    for i in range(len(masks)):
        width = lengths[i]
        own = slice(i, i + 1)
        alone = control(masks[own, :width], content[own, :width], keys[own], 3)
        np.testing.assert_array_equal(alone[0], whole[i, :width])


@pytest.mark.parametrize("control", [shuffled, shifted, other_sequence])
def test_seeds_differ_and_repeat(control):
    masks, content, keys, _ = example(1, n=40, width=30, shortest=20)
    one, again, other = (control(masks, content, keys, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any(1).mean() > 0.8


@pytest.mark.parametrize("seed", SEEDS)
def test_shuffled_keeps_the_values_and_cls(seed):
    masks, content, keys, lengths = example(seed)
    changed = shuffled(masks, content, keys, seed)
    np.testing.assert_array_equal(changed[:, 0], masks[:, 0])
    for one, other, length in zip(masks, changed, lengths, strict=True):
        assert sorted(one[1:length]) == sorted(other[1:length])


def test_shuffled_reaches_every_place():
    """Over many sequences each of 4 values is about as often at each of 4 places, cls apart."""
    masks = np.tile(np.array([0.9, 0.1, 0.2, 0.3, 0.4], np.float32), (4000, 1))
    keys = np.random.default_rng(0).integers(0, 2**63, 4000, dtype=np.uint64)
    changed = shuffled(masks, content_of([5] * 4000, 5), keys, 0)
    for value in masks[0, 1:]:
        share = (changed[:, 1:] == value).mean(0)
        np.testing.assert_allclose(share, 0.25, atol=0.04)


@pytest.mark.parametrize("seed", SEEDS)
def test_shifted_is_a_true_rotation(seed):
    masks, content, keys, lengths = example(seed)
    changed = shifted(masks, content, keys, seed)
    np.testing.assert_array_equal(changed[:, 0], masks[:, 0])
    for one, other, length in zip(masks, changed, lengths, strict=True):
        one, other = one[1:length], other[1:length]
        rotations = [k for k in range(max(len(one), 1)) if np.array_equal(np.roll(one, k), other)]
        if len(one) > 1:  # the values are distinct: one rotation, and not the identity
            assert len(rotations) == 1
            assert rotations != [0]
        else:
            assert rotations == [0]


def test_shifted_by_every_amount():
    masks = np.tile(np.array([0.9, 0.1, 0.2, 0.3, 0.4, 0.5], np.float32), (2000, 1))
    keys = np.random.default_rng(0).integers(0, 2**63, 2000, dtype=np.uint64)
    changed = shifted(masks, content_of([6] * 2000, 6), keys, 0)
    steps = [(row[1:] == np.float32(0.1)).argmax() for row in changed]
    shares = np.bincount(steps, minlength=5) / 2000
    assert shares[0] == 0
    np.testing.assert_allclose(shares[1:], 0.25, atol=0.04)


def test_shifted_keeps_the_runs():
    rng = np.random.default_rng(4)
    masks = (rng.random((50, 40)) < 0.4).astype(np.float32)
    keys = rng.integers(0, 2**63, 50, dtype=np.uint64)
    changed = shifted(masks, content_of([40] * 50, 40), keys, 0)

    def borders(values):  # on the circle
        return (values != np.roll(values, 1, axis=1)).sum(1)

    np.testing.assert_array_equal(borders(masks[:, 1:]), borders(changed[:, 1:]))


def donor(changed, masks, length):
    """The sequences whose masks, cut or repeated, give `changed`."""
    found = []
    for i, mask in enumerate(masks):
        tokens = mask[1:][mask[1:] > 0]  # the values of the example are above zero
        if len(tokens) and mask[0] == changed[0]:
            tiled = [tokens[k % len(tokens)] for k in range(length - 1)]
            if np.array_equal(tiled, changed[1:length]):
                found.append(i)
    return found


@pytest.mark.parametrize("seed", SEEDS)
def test_other_sequence_is_anothers_and_fits(seed):
    masks, content, keys, lengths = example(seed, shortest=2)
    changed = other_sequence(masks, content, keys, seed)
    donors = [donor(changed[i], masks, lengths[i]) for i in range(len(masks))]
    assert all(len(found) == 1 for found in donors)
    givers = [found[0] for found in donors]
    assert all(giver != i for i, giver in enumerate(givers))
    assert sorted(givers) == list(range(len(masks)))  # each gives its mask once


def test_other_sequence_by_hand():
    masks = np.array([[0.9, 0.1, 0.2, 0, 0, 0], [0.8, 0.3, 0.4, 0.5, 0.6, 0.7]], np.float32)
    changed = other_sequence(masks, content_of([3, 6], 6), np.array([4, 5], np.uint64), 0)
    expected = [[0.8, 0.3, 0.4, 0, 0, 0], [0.9, 0.1, 0.2, 0.1, 0.2, 0.1]]
    np.testing.assert_array_equal(changed, np.array(expected, np.float32))


def test_other_sequence_of_a_sequence_without_content():
    """It keeps its own mask and its padding, and what it gives is nothing, not its `<cls>`."""
    masks = np.array([[0.9, 0, 0], [0.8, 0.3, 0.4]], np.float32)
    changed = other_sequence(masks, content_of([1, 3], 3), np.array([4, 5], np.uint64), 0)
    np.testing.assert_array_equal(changed, np.array([[0.9, 0, 0], [0.9, 0, 0]], np.float32))


def test_other_sequence_of_one_is_its_own():
    masks, content, keys, _ = example(0, n=1)
    np.testing.assert_array_equal(other_sequence(masks, content, keys, 0), masks)


def test_other_sequence_is_no_copy_of_the_same():
    """Near-copies abound in viral data: an exact copy's mask would be the sequence's own."""
    masks, content, keys, _ = example(3, n=6, shortest=17)
    copies = np.array([0, 0, 0, 1, 1, 2, 3, 4, 5, 5])
    changed = other_sequence(masks[copies], content[copies], keys[copies], 2)
    assert not (changed == masks[copies]).all(1).any()
    for row in range(10):  # and copies are treated alike
        np.testing.assert_array_equal(changed[row], changed[np.argmax(copies == copies[row])])


@pytest.mark.parametrize("seed", SEEDS)
def test_position_mean_by_a_loop(seed):
    masks, content, keys, lengths = example(seed)
    changed = position_mean(masks, content, keys, seed)
    for i, length in enumerate(lengths):
        for place in range(length):
            there = [float(m[place]) for m, n in zip(masks, lengths, strict=True) if place < n]
            assert changed[i, place] == pytest.approx(sum(there) / len(there), abs=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_constant_has_the_mean_of_the_tokens(seed):
    masks, content, keys, lengths = example(seed)
    changed = constant(masks, content, keys, seed)
    np.testing.assert_array_equal(changed[:, 0], masks[:, 0])
    for one, other, length in zip(masks, changed, lengths, strict=True):
        if length > 1:
            np.testing.assert_allclose(other[1:length], one[1:length].mean(), atol=1e-6)


# Sequences that also end in a special token


def framed_example(seed, n=9, width=17):
    """Masks of sequences between `[CLS]` and `[SEP]`: their batch, and what `example` gives."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, width - 1, n)
    counts[rng.integers(n)] = width - 2
    batch = letters(*("a" * count for count in counts))
    masks = rng.permutation(np.arange(1, n * width + 1)).reshape(n, width) / (n * width + 1)
    masks = np.where(batch.valid, masks, 0).astype(np.float32)
    return batch, masks, rng.integers(0, 2**63, n, dtype=np.uint64)


@pytest.mark.parametrize("control", [shuffled, shifted, constant])
@pytest.mark.parametrize("seed", SEEDS)
def test_special_tokens_keep_their_values_and_give_none(control, seed):
    batch, masks, keys = framed_example(seed)
    changed = control(masks, batch.content, keys, seed)
    special = batch.valid & ~batch.content
    assert special.sum() == 2 * len(masks)
    np.testing.assert_array_equal(changed[special], masks[special])
    assert not changed[~batch.valid].any()
    # and the content has what it has between other special tokens
    others = np.where(special, 0.5, masks).astype(np.float32)
    again = control(others, batch.content, keys, seed)
    np.testing.assert_array_equal(again[batch.content], changed[batch.content])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_content_moves_as_it_does_without_a_special_token_at_the_end(seed):
    batch, masks, keys = framed_example(seed)
    for control in (shuffled, shifted, other_sequence):
        changed = control(masks, batch.content, keys, seed)
        # the same sequences without `[SEP]`
        shorter = np.where(np.arange(masks.shape[1]) < batch.lengths[:, None] - 1, masks, 0)
        plain = control(shorter, batch.content, keys, seed)
        np.testing.assert_array_equal(changed[batch.content], plain[batch.content])
        np.testing.assert_array_equal(changed[:, 0], plain[:, 0])


def test_other_sequence_between_special_tokens_by_hand():
    batch = letters("ab", "abcde")
    masks = [[0.9, 0.1, 0.2, 0.95, 0, 0, 0], [0.8, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85]]
    changed = other_sequence(
        np.array(masks, np.float32), batch.content, np.array([4, 5], np.uint64), 0
    )
    # `[CLS]` comes with the mask, `[SEP]` stays where the own sequence ends
    expected = [[0.8, 0.3, 0.4, 0.95, 0, 0, 0], [0.9, 0.1, 0.2, 0.1, 0.2, 0.1, 0.85]]
    np.testing.assert_array_equal(changed, np.array(expected, np.float32))


@pytest.mark.parametrize("seed", SEEDS)
def test_position_mean_does_not_mix_content_and_special_tokens(seed):
    batch, masks, keys = framed_example(seed)
    changed = position_mean(masks, batch.content, keys, seed)
    special = batch.valid & ~batch.content
    assert not changed[~batch.valid].any()
    for alike in (batch.content, special):
        for i, place in zip(*np.nonzero(alike), strict=True):
            there = [float(m[place]) for m, a in zip(masks, alike, strict=True) if a[place]]
            assert changed[i, place] == pytest.approx(sum(there) / len(there), abs=1e-6)
