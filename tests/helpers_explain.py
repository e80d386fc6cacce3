"""Records and scored blocks without files and models, for tests of what is made of them."""

import re
from dataclasses import dataclass, field

import numpy as np

from whatyouread.data.six_mers import SIX_MERS
from whatyouread.explain.intake import BLOCK
from whatyouread.explain.scoring import Block
from whatyouread.explain.windows import Windows, texts


@dataclass
class Letters:
    """A record of some letters, as `data.records` gives it."""

    name: str
    text: str
    description: str = ""
    counts: dict = field(default_factory=dict)
    features: list = field(default_factory=list)

    @property
    def length(self) -> int:
        return len(self.text)

    def bases(self, start: int, stop: int) -> np.ndarray:
        return np.frombuffer(self.text[start:stop].encode(), np.uint8)

    def gaps(self) -> np.ndarray:
        runs = [match.span() for match in re.finditer("N+", self.text)]
        return np.array(runs, np.int64).reshape(-1, 2)


def random_text(rng: np.random.Generator, length: int, letters: str = "ACGT") -> str:
    return "".join(rng.choice(list(letters), length))


def complement(text: str) -> str:
    return text[::-1].translate(str.maketrans("ACGT", "TGCA"))


def made_up(windows: Windows, bases: np.ndarray, classes: int = 5, levels: int = 1) -> Block:
    """A block whose masks and probabilities follow from what is read, and from nothing else.

    bases: uint8, all that the places of the windows count in.
    """
    text, ends = texts(bases, windows)
    ids, offsets = SIX_MERS.tokenize(text, ends)
    content = ~SIX_MERS.is_special[ids]
    number = np.add.reduceat(content, offsets[:-1], dtype=np.int64)
    ids = ids[content].astype(np.int64)
    starts = np.append(0, np.cumsum(number))
    place = np.arange(len(ids)) - np.repeat(starts[:-1], number)
    sums = np.add.reduceat(ids, starts[:-1])
    said = (sums[:, None] * (1 + np.arange(classes)) % 97 + 1).astype(np.float32)
    return Block(
        windows,
        starts,
        SIX_MERS.widths(ids).astype(np.uint8),
        ((ids * 31 + place * 7) % 101 / 100).astype(np.float16),
        said / said.sum(1, keepdims=True),
        np.zeros((len(windows), levels), np.int32),
    )


def in_blocks(windows: list[Windows], bases: np.ndarray, **options) -> list[Block]:
    assert all(len(block) == BLOCK for block in windows[:-1])
    return [made_up(block, bases, **options) for block in windows]
