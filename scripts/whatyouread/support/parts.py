"""Parts of the sequences, one per job, and a function that joins the results."""

import argparse
import contextlib
import dataclasses
import re
from pathlib import Path

import numpy as np

from whatyouread.support.files import atomic, parquet_errors


@dataclasses.dataclass(frozen=True)
class Part:
    """Part `number` (from 1) of `of` parts of about the same size, in order."""

    number: int
    of: int

    def bounds(self, total: int) -> tuple[int, int]:
        """The first row of this part of `total` rows, and the row after its last one."""
        return total * (self.number - 1) // self.of, total * self.number // self.of

    def rows(self, total: int) -> np.ndarray:
        """The consecutive row numbers of this part of `total` rows, int64; possibly empty."""
        return np.arange(*self.bounds(total))


WHOLE = Part(1, 1)


def part_argument(text: str) -> Part:
    """Parse the value of an option like `--part 2-of-4`."""
    found = re.fullmatch(r"([1-9]\d*)-of-([1-9]\d*)", text)
    if not found or int(found[1]) > int(found[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is no part; give one like 2-of-4")
    return Part(int(found[1]), int(found[2]))


def add_part(parser: argparse.ArgumentParser) -> None:
    """Add the option `--part`, for programs that can do one part of the work."""
    parser.add_argument(
        "--part", type=part_argument, default=WHOLE, help="of the sequences, like 2-of-4"
    )


def gather_tables(parts: list[Path], output: Path) -> None:
    """Join the row groups of Parquet files with equal columns into `output`."""
    import pyarrow.parquet as pq

    with atomic(output) as temporary, contextlib.ExitStack() as stack:
        writer = None
        for path in parts:
            with parquet_errors(path), pq.ParquetFile(path) as file:
                if writer is None:
                    writer = pq.ParquetWriter(temporary, file.schema_arrow, compression="zstd")
                    stack.enter_context(writer)
                for number in range(file.num_row_groups):
                    writer.write_table(file.read_row_group(number))
