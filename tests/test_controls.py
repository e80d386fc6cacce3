import numpy as np
import pytest

from whatyouread.controls import (
    CONTROLS,
    constant,
    other_sequence,
    position_mean,
    shifted,
    shuffled,
)

SEEDS = range(12)


def example(seed, n=9, width=17, shortest=1):
    """Masks with distinct values, zero at padding; lengths with `<cls>`; keys."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(shortest, width + 1, n)
    lengths[rng.integers(n)] = width
    masks = rng.permutation(np.arange(1, n * width + 1)).reshape(n, width) / (n * width + 1)
    masks = np.where(np.arange(width) < lengths[:, None], masks, 0).astype(np.float32)
    return masks, lengths, rng.integers(0, 2**63, n, dtype=np.uint64)


def test_the_controls_are_those_of_the_design():
    assert list(CONTROLS) == ["shuffled", "shifted", "other_sequence", "position_mean", "constant"]


@pytest.mark.parametrize("name", CONTROLS)
@pytest.mark.parametrize("seed", SEEDS)
def test_shape_padding_and_input(name, seed):
    masks, lengths, keys = example(seed)
    before = masks.copy()
    changed = CONTROLS[name](masks, lengths, keys, seed)
    np.testing.assert_array_equal(masks, before)
    assert changed.dtype == np.float32
    assert changed.shape == masks.shape
    inside = np.arange(masks.shape[1]) < lengths[:, None]
    assert (changed[~inside] == 0).all()
    assert ((changed >= 0) & (changed <= 1)).all()


@pytest.mark.parametrize("name", CONTROLS)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_order_of_the_sequences_does_not_matter(name, seed):
    masks, lengths, keys = example(seed)
    order = np.random.default_rng(seed + 100).permutation(len(masks))
    plain = CONTROLS[name](masks, lengths, keys, 3)[order]
    permuted = CONTROLS[name](masks[order], lengths[order], keys[order], 3)
    np.testing.assert_allclose(permuted, plain, atol=1e-7)


@pytest.mark.parametrize("control", [shuffled, shifted, constant])
def test_batches_do_not_matter(control):
    """What happens to a sequence is its own affair: padding and neighbours change nothing."""
    masks, lengths, keys = example(5)
    whole = control(masks, lengths, keys, 3)
    for i in range(len(masks)):
        width = lengths[i]
        alone = control(masks[i : i + 1, :width], lengths[i : i + 1], keys[i : i + 1], 3)
        np.testing.assert_array_equal(alone[0], whole[i, :width])


@pytest.mark.parametrize("control", [shuffled, shifted, other_sequence])
def test_seeds_differ_and_repeat(control):
    masks, lengths, keys = example(1, n=40, width=30, shortest=20)
    one, again, other = (control(masks, lengths, keys, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any(1).mean() > 0.8


@pytest.mark.parametrize("seed", SEEDS)
def test_shuffled_keeps_the_values_and_cls(seed):
    masks, lengths, keys = example(seed)
    changed = shuffled(masks, lengths, keys, seed)
    np.testing.assert_array_equal(changed[:, 0], masks[:, 0])
    for one, other, length in zip(masks, changed, lengths, strict=True):
        assert sorted(one[1:length]) == sorted(other[1:length])


def test_shuffled_reaches_every_place():
    """Over many sequences each of 4 values is about as often at each of 4 places, cls apart."""
    masks = np.tile(np.array([0.9, 0.1, 0.2, 0.3, 0.4], np.float32), (4000, 1))
    keys = np.random.default_rng(0).integers(0, 2**63, 4000, dtype=np.uint64)
    changed = shuffled(masks, np.full(4000, 5), keys, 0)
    for value in masks[0, 1:]:
        share = (changed[:, 1:] == value).mean(0)
        np.testing.assert_allclose(share, 0.25, atol=0.04)


@pytest.mark.parametrize("seed", SEEDS)
def test_shifted_is_a_true_rotation(seed):
    masks, lengths, keys = example(seed)
    changed = shifted(masks, lengths, keys, seed)
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
    changed = shifted(masks, np.full(2000, 6), keys, 0)
    steps = [(row[1:] == np.float32(0.1)).argmax() for row in changed]
    shares = np.bincount(steps, minlength=5) / 2000
    assert shares[0] == 0
    np.testing.assert_allclose(shares[1:], 0.25, atol=0.04)


def test_shifted_keeps_the_runs():
    rng = np.random.default_rng(4)
    masks = (rng.random((50, 40)) < 0.4).astype(np.float32)
    keys = rng.integers(0, 2**63, 50, dtype=np.uint64)
    changed = shifted(masks, np.full(50, 40), keys, 0)

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
    masks, lengths, keys = example(seed, shortest=2)
    changed = other_sequence(masks, lengths, keys, seed)
    donors = [donor(changed[i], masks, lengths[i]) for i in range(len(masks))]
    assert all(len(found) == 1 for found in donors)
    givers = [found[0] for found in donors]
    assert all(giver != i for i, giver in enumerate(givers))
    assert sorted(givers) == list(range(len(masks)))  # each gives its mask once


def test_other_sequence_by_hand():
    masks = np.array([[0.9, 0.1, 0.2, 0, 0, 0], [0.8, 0.3, 0.4, 0.5, 0.6, 0.7]], np.float32)
    changed = other_sequence(masks, np.array([3, 6]), np.array([4, 5], np.uint64), 0)
    expected = [[0.8, 0.3, 0.4, 0, 0, 0], [0.9, 0.1, 0.2, 0.1, 0.2, 0.1]]
    np.testing.assert_array_equal(changed, np.array(expected, np.float32))


def test_other_sequence_of_one_is_its_own():
    masks, lengths, keys = example(0, n=1)
    np.testing.assert_array_equal(other_sequence(masks, lengths, keys, 0), masks)


def test_other_sequence_is_no_copy_of_the_same():
    """Near-copies abound in viral data: an exact copy's mask would be the sequence's own."""
    masks, lengths, keys = example(3, n=6, shortest=17)
    copies = np.array([0, 0, 0, 1, 1, 2, 3, 4, 5, 5])
    changed = other_sequence(masks[copies], lengths[copies], keys[copies], 2)
    assert not (changed == masks[copies]).all(1).any()
    for row in range(10):  # and copies are treated alike
        np.testing.assert_array_equal(changed[row], changed[np.argmax(copies == copies[row])])


@pytest.mark.parametrize("seed", SEEDS)
def test_position_mean_by_a_loop(seed):
    masks, lengths, keys = example(seed)
    changed = position_mean(masks, lengths, keys, seed)
    for i, length in enumerate(lengths):
        for place in range(length):
            there = [float(m[place]) for m, n in zip(masks, lengths, strict=True) if place < n]
            assert changed[i, place] == pytest.approx(sum(there) / len(there), abs=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_constant_has_the_mean_of_the_tokens(seed):
    masks, lengths, keys = example(seed)
    changed = constant(masks, lengths, keys, seed)
    np.testing.assert_array_equal(changed[:, 0], masks[:, 0])
    for one, other, length in zip(masks, changed, lengths, strict=True):
        if length > 1:
            np.testing.assert_allclose(other[1:length], one[1:length].mean(), atol=1e-6)
