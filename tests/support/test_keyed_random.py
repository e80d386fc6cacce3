import numpy as np
import pytest

from whatyouread.support.keyed_random import draw, mix

MASK = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15


def splitmix64(state: int) -> int:
    """One output of splitmix64, in Python's integers (Steele, Lea and Flood 2014)."""
    z = (state + GAMMA) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def drawn(seed: int, purpose: str, key: int, counter: int) -> float:
    start = seed
    for byte in purpose.encode():
        start = splitmix64(start ^ byte)
    return (splitmix64(splitmix64(start ^ key) ^ splitmix64(counter)) >> 11) / 2**53


@pytest.mark.parametrize(
    ("seed", "published"),
    [
        (
            1234567,
            [
                6457827717110365317,
                3203168211198807973,
                9817491932198370423,
                4593380528125082431,
                16408922859458223821,
            ],
        ),
        (0, [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F, 0xF88BB8A8724C81EC]),
    ],
)
def test_published_outputs_of_splitmix64(seed, published):
    states = [(seed + i * GAMMA) & MASK for i in range(len(published))]
    assert [splitmix64(state) for state in states] == published
    mixed = mix(np.array(states, np.uint64))
    assert mixed.dtype == np.uint64
    assert mixed.tolist() == published


def test_draws_worked_out_in_plain_integers():
    keys = np.array([0, 1, 2**63, MASK, 123456789], np.uint64)
    for seed, purpose in ((0, "order"), (42, "reverse complement"), (2**32 - 1, "é")):
        for counter in (0, 1, 7):
            values = draw(seed, purpose, keys, counter)
            assert values.dtype == np.float64
            assert values.tolist() == [drawn(seed, purpose, k, counter) for k in keys.tolist()]


def test_shapes_broadcast():
    keys = np.arange(5, dtype=np.uint64)
    table = draw(3, "x", keys[:, None], np.arange(4))
    assert table.shape == (5, 4)
    assert table.tolist() == [[drawn(3, "x", k, c) for c in range(4)] for k in range(5)]
    assert draw(3, "x", keys[:0]).shape == (0,)


def test_a_sequence_draws_the_same_in_any_order_and_batch():
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 2**64, 1000, dtype=np.uint64)
    counters = rng.integers(0, 50, 1000)
    whole = draw(9, "mask", keys, counters)
    order = rng.permutation(1000)
    assert np.array_equal(draw(9, "mask", keys[order], counters[order]), whole[order])
    parts = [draw(9, "mask", keys[i : i + 7], counters[i : i + 7]) for i in range(0, 1000, 7)]
    assert np.array_equal(np.concatenate(parts), whole)


N = 100_000
SEQUENTIAL = np.arange(N, dtype=np.uint64)
RANDOM = np.random.default_rng(1).integers(0, 2**64, N, dtype=np.uint64)


@pytest.mark.parametrize(
    ("keys", "counter"),
    [
        pytest.param(SEQUENTIAL, 0, id="keys in a row"),
        pytest.param(SEQUENTIAL << np.uint64(40), 0, id="keys that differ in high bits"),
        pytest.param(RANDOM, 3, id="random keys"),
        pytest.param(np.uint64(77), np.arange(N), id="counters in a row"),
    ],
)
def test_uniform(keys, counter):
    values = draw(5, "uniform", keys, counter)
    assert values.shape == (N,)
    assert values.min() >= 0
    assert values.max() < 1
    counts = np.histogram(values, bins=100, range=(0, 1))[0]
    # chi-square with 99 degrees of freedom: mean 99, standard deviation 14
    assert 40 < ((counts - N / 100) ** 2 / (N / 100)).sum() < 180
    # neighbours have nothing to do with each other: standard deviation of r 0.003
    assert abs(np.corrcoef(values[:-1], values[1:])[0, 1]) < 0.016


def test_seed_purpose_key_and_counter_each_matter():
    reference = draw(5, "uniform", RANDOM, 0)
    others = [
        draw(6, "uniform", RANDOM, 0),
        draw(5, "uniforn", RANDOM, 0),
        draw(5, "uniforn", RANDOM, 1),
        draw(5, "mrofinu", RANDOM, 0),  # the same letters
        draw(5, "uniform", RANDOM ^ np.uint64(1), 0),
        draw(5, "uniform", RANDOM, 1),
        draw(5, "uniform", RANDOM, 2),
        draw(5, "", RANDOM, 0),
    ]
    every = np.stack([reference, *others])
    correlations = np.corrcoef(every) - np.eye(len(every))
    assert np.abs(correlations).max() < 0.016
    assert (every[:, None] == every).all(-1).sum() == len(every)
