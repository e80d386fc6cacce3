"""Options that drawing programs share. Nothing heavy is imported here, so that `--help` is quick."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from whatyouread.support.cli import UserError


def add_output_options(arguments: argparse.ArgumentParser, prefix: str = "") -> None:
    """The options `--svg` and `--png`, or with the prefix "cost-" `--cost-svg` and `--cost-png`."""
    for kind in ("svg", "png"):
        arguments.add_argument(
            f"--{prefix}{kind}", type=Path, required=True, help="figure to write"
        )


def chosen_rank(rank: str | None, ranks: list[str], also: Iterable[str] = ()) -> str:
    """The rank to draw: the one that is asked for, else the second, or the only one.

    also: what else may be asked for. Raises UserError for any other name.
    """
    if rank is None:
        return ranks[min(1, len(ranks) - 1)]
    if rank not in (known := [*ranks, *also]):
        raise UserError(f"--rank {rank}: no such rank, only {', '.join(known)}")
    return rank
