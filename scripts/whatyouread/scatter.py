"""One of several jobs' share of the sequences, when a rule is scattered over a cluster."""

import argparse
import dataclasses
import re

import numpy as np


@dataclasses.dataclass(frozen=True)
class Part:
    """Part `number` (from 1) of `of` parts of about the same size, in order."""

    number: int
    of: int

    def bounds(self, total: int) -> tuple[int, int]:
        """The first row of this part of `total` rows, and the one after its last."""
        return total * (self.number - 1) // self.of, total * self.number // self.of

    def rows(self, total: int) -> np.ndarray:
        """The row numbers of this part of `total` rows, int64, consecutive; there may be none."""
        return np.arange(*self.bounds(total))


WHOLE = Part(1, 1)


def part_argument(text: str) -> Part:
    """An option like `--part 2-of-4`, Snakemake's name of a scattered item."""
    found = re.fullmatch(r"([1-9]\d*)-of-([1-9]\d*)", text)
    if not found or int(found[1]) > int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is no part; give one like 2-of-4")
    return Part(int(found[1]), int(found[2]))


def add_part(parser: argparse.ArgumentParser) -> None:
    """The option of programs that can do a part of the work."""
    parser.add_argument(
        "--part", type=part_argument, default=WHOLE, help="of the sequences, like 2-of-4"
    )
