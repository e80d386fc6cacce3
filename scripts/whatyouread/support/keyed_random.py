"""Random numbers keyed by a sequence: the same in any batch, order, worker or restart.

A draw is a hash of a seed, the sequence's key and a counter (splitmix64, Steele et al. 2014). It has no
state to save or restore.
"""

import numpy as np

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def spread(z: np.ndarray) -> np.ndarray:
    """The finalizer of splitmix64, elementwise, uint64: a bijection that spreads every bit."""
    with np.errstate(over="ignore"):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def mix(values: np.ndarray) -> np.ndarray:
    """One step of splitmix64, elementwise: uint64 -> uint64."""
    with np.errstate(over="ignore"):
        return spread(values + _GAMMA)


def draw(seed: int, purpose: str, keys: np.ndarray, counter: np.ndarray | int = 0) -> np.ndarray:
    """Uniform numbers in [0, 1), float64, with the broadcast shape of `keys` and `counter`.

    keys: uint64; counter: integers; purpose: a name for the draw, which makes draws for different
    purposes independent although they share a seed and a key.
    """
    start = np.array([seed], np.uint64)
    for byte in purpose.encode():
        start = mix(start ^ np.uint64(byte))
    mixed = mix(
        mix(start[0] ^ np.asarray(keys, np.uint64)) ^ mix(np.asarray(counter).astype(np.uint64))
    )
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53
