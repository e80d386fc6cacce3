"""Texts of DNA for the tests of sketches and copies."""

import numpy as np

COMPLEMENT = bytes.maketrans(b"ACGT", b"TGCA")


def together(*texts):
    """Texts back to back, and their offsets."""
    offsets = np.append(0, np.cumsum([len(text) for text in texts], dtype=np.int64))
    return np.frombuffer(b"".join(texts), np.uint8), offsets


def random_dna(rng, length, letters=b"ACGT"):
    return bytes(rng.choice(np.frombuffer(letters, np.uint8), length))


def other_strand(text):
    return text.translate(COMPLEMENT)[::-1]
