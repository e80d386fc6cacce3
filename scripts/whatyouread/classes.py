"""The table of classes: which index stands for which taxon, in each rank."""

from pathlib import Path

import pandas as pd

from whatyouread.cli import UserError


def read_classes(path: str | Path) -> pd.DataFrame:
    """The table that label_taxonomy writes: rank, class, taxid, name, sequences.

    `class` counts from 0 within each rank. Raises UserError when it is missing or damaged.
    """
    try:
        frame = pd.read_csv(path, sep="\t", keep_default_na=False)
        numbered = frame.groupby("rank", sort=False)["class"].agg(list)
    except FileNotFoundError:
        raise UserError(f"{path} is not there") from None
    except (KeyError, ValueError) as error:
        raise UserError(f"{path} is not a table of classes: {error}") from None
    for rank, numbers in numbered.items():
        if numbers != list(range(len(numbers))):
            raise UserError(f"{path}: the classes of {rank} are not numbered 0, 1, 2, ...")
    return frame


def class_counts(path: str | Path) -> dict[str, int]:
    """Number of classes of each rank, in the order of the table."""
    counts = read_classes(path).groupby("rank", sort=False).size()
    return {str(rank): int(n) for rank, n in counts.items()}
