"""How many sequences of one split have a near-copy in another, or a copy of the other strand."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.data.levels import Level
from whatyouread.data.split_summary import across
from whatyouread.data.splitting import MANY, SPLITS, TEST, TRAIN, VALIDATION
from whatyouread.support.cli import UserError, log

NEAR = "a near-copy"
NEAR_COPIED = f"test sequences with {NEAR} in train"
CLASSES_SHOWN = 20


def copies_table(
    index: pa.Table, splits: pa.Table, copies: pa.Table, highest: Level
) -> pd.DataFrame:
    """Copies across the splits: `quantity`, `value`, `detail`.

    index: with `hash` (`census.index_schema`); splits: see `splitting.split_table`, with the column of the
    level `highest`, whose classes are shown; copies: see `copies.SCHEMA`. All have a row per sequence, in
    the same order. Raises UserError where they have not.
    """
    if not len(index) == len(splits) == len(copies):
        raise UserError(
            f"{len(splits):,} sequences in the splits and {len(copies):,} in the table of copies: run"
            " find_copies again"
        )
    split = _places(splits["split"])
    rows = [(f"{SPLITS[part]} sequences", int((split == part).sum()), "")
            for part in (TRAIN, VALIDATION, TEST)]  # fmt: skip
    hashes, reverse = index["hash"].to_numpy(), copies["reverse"].to_numpy()
    strands = across("a reverse-complement copy", reverse, hashes, split)
    rows += [(quantity, int(found.sum()), "") for quantity, found in strands]
    cluster = copies["cluster"].to_numpy()
    detail = "of one cluster; exact and reverse-complement copies included"
    for quantity, found in across(NEAR, cluster, cluster, split):
        rows.append((quantity, int(found.sum()), detail))
        if quantity == NEAR_COPIED:
            numbers = splits[highest.name].to_numpy()[split == TEST]
            rows += _by_class(numbers, found, highest)
    return pd.DataFrame(rows, columns=["quantity", "value", "detail"])


def _places(column: pa.ChunkedArray) -> np.ndarray:
    """The splits as places in `SPLITS`, int8 (n,)."""
    return pc.index_in(column.cast(pa.string()), pa.array(SPLITS)).to_numpy().astype(np.int8)


def _by_class(
    numbers: np.ndarray, found: np.ndarray, level: Level
) -> Iterator[tuple[str, int, str]]:
    tested, copied = (
        level.numbers.counts(some, len(level.names)) for some in (numbers, numbers[found])
    )
    shown = np.argsort(-copied, kind="stable")[:CLASSES_SHOWN]
    for number in shown[copied[shown] > 0]:
        detail = f"of {tested[number]:,}, {copied[number] / tested[number]:.1%}"
        yield f"{NEAR_COPIED}, {level.names[number]}", int(copied[number]), detail


def log_copies(table: pd.DataFrame) -> None:
    """Log the counts; warn where many test sequences have a near-copy in the training split."""
    for row in table.itertuples():
        log.info("%s %s%s", f"{row.value:,}", row.quantity, f": {row.detail}" if row.detail else "")
    values = table.set_index("quantity")["value"]
    copied, tested = int(values[NEAR_COPIED]), int(values["test sequences"])
    if copied > MANY * tested:
        log.warning(
            "%s of %s test sequences (%.0f %%) have a near-copy in the training split, so that accuracies"
            " are better than for new sequences; split.group_by: cluster keeps near-copies in one split",
            f"{copied:,}",
            f"{tested:,}",
            100 * copied / tested,
        )
