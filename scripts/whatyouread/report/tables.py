"""Reading the TSV files that figures and pages are made from."""

from pathlib import Path

import pandas as pd

from whatyouread.support.cli import UserError


def read_table(path: str | Path, columns: list[str] = (), **options) -> pd.DataFrame:
    """A TSV file with at least these columns; options: of `pandas.read_csv`.

    Raises UserError where the file is missing or damaged, or lacks a column.
    """
    try:
        table = pd.read_csv(path, sep="\t", **options)
    except FileNotFoundError:
        raise UserError(f"{path} is not there") from None
    except ValueError as error:  # pandas' own errors and wrong encodings are ValueErrors
        raise UserError(f"{path} is not a table ({error}): make it again") from None
    if missing := [name for name in columns if name not in table]:
        raise UserError(f"{path} has no column {missing[0]}: make it again")
    return table
