"""Texts of DNA for the tests of sketches and copies, and programs as they are."""

import subprocess
from pathlib import Path

import numpy as np
from helpers_warm import python

COMPLEMENT = bytes.maketrans(b"ACGT", b"TGCA")


def together(*texts):
    """Texts back to back, and their offsets."""
    offsets = np.append(0, np.cumsum([len(text) for text in texts], dtype=np.int64))
    return np.frombuffer(b"".join(texts), np.uint8), offsets


def random_dna(rng, length, letters=b"ACGT"):
    return bytes(rng.choice(np.frombuffer(letters, np.uint8), length))


def other_strand(text):
    return text.translate(COMPLEMENT)[::-1]


def run(program, folder, *options):
    """A program in a folder, without a traceback."""
    path = Path(__file__).resolve().parents[1] / "scripts" / f"{program}.py"
    command = [python(), path, *map(str, options), "--log", "log"]
    made = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert "Traceback" not in made.stderr
    return made
