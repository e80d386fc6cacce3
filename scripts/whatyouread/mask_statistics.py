"""What the masks look like as a whole: the numbers behind Figures 6 and 7 of the paper.

`<cls>` and padding are left out of all of them. A chunk here is a run of tokens whose mask is above
0.5, that is an unmasked one.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from whatyouread.chunks import find_chunks
from whatyouread.cli import UserError
from whatyouread.mask_files import THRESHOLD

BINS = 50
"""Bins of the histogram of mask values over [0, 1]; 0.5 is an edge."""
FEW_CHUNKS = 4
_BLOCK = 8192  # sequences in memory at once


class MaskStatistics:
    """Sums over masks that are added block by block.

    sequences: how many; histogram: int64 (BINS,); chunk_counts: int64, its place i says how many
    sequences have i unmasked chunks; chunk_lengths: int64, likewise for chunks of i tokens;
    above_threshold: tokens with a mask above 0.5. `tokens`, `sums`, `squares`, `lowest` and `highest`
    have one entry per position, the first of them the first token after `<cls>`.
    """

    def __init__(self):
        self.sequences = self.above_threshold = 0
        self.histogram = np.zeros(BINS, np.int64)
        self.chunk_counts = self.chunk_lengths = self.tokens = np.zeros(0, np.int64)
        self.sums = self.squares = np.zeros(0)
        self.lowest, self.highest = np.full(0, np.inf), np.full(0, -np.inf)

    def add(self, masks: np.ndarray, lengths: np.ndarray) -> None:
        """Add a block of masks: float (n, longest), `<cls>` at place 0; lengths: int (n,), tokens.

        What a mask holds beyond its length is of no account.
        """
        inside = np.arange(masks.shape[1]) < lengths[:, None]
        inside[:, :1] = False
        values = masks[inside].astype(np.float64)
        self.sequences += len(masks)
        self.above_threshold += int((values > THRESHOLD).sum())
        self.histogram += np.histogram(values, BINS, (0, 1))[0]

        inside, body = inside[:, 1:], masks[:, 1:].astype(np.float64)
        self.tokens = _added(self.tokens, inside.sum(0))
        self.sums = _added(self.sums, np.where(inside, body, 0).sum(0))
        self.squares = _added(self.squares, np.where(inside, body**2, 0).sum(0))
        lowest = np.where(inside, body, np.inf).min(0, initial=np.inf)
        highest = np.where(inside, body, -np.inf).max(0, initial=-np.inf)
        self.lowest = np.minimum(*_same_length(self.lowest, lowest, np.inf))
        self.highest = np.maximum(*_same_length(self.highest, highest, -np.inf))

        chunks = find_chunks(masks > THRESHOLD, lengths)
        per_sequence = np.bincount(chunks.sequence[chunks.relevant], minlength=len(masks))
        self.chunk_counts = _added(self.chunk_counts, np.bincount(per_sequence))
        spans = (chunks.end - chunks.start)[chunks.relevant]
        self.chunk_lengths = _added(self.chunk_lengths, np.bincount(spans))

    def by_position(self) -> pd.DataFrame:
        """position (from 1, the first token after `<cls>`), tokens, mean, sd, minimum, maximum.

        The standard deviation is that of the values themselves, not an estimate (divided by n).
        """
        mean = self.sums / self.tokens
        variance = np.maximum(self.squares / self.tokens - mean**2, 0)
        columns = {
            "position": np.arange(1, len(mean) + 1),
            "tokens": self.tokens,
            "mean": mean,
            "sd": np.sqrt(variance),
            "minimum": self.lowest,
            "maximum": self.highest,
        }
        return pd.DataFrame(columns)

    def summary(self) -> pd.DataFrame:
        """The paper's numbers: quantity, unit, value, n and what n counts. NaN where n is 0."""
        tokens, chunks = int(self.tokens.sum()), int(self.chunk_lengths.sum())
        few = self.chunk_counts[: FEW_CHUNKS + 1].sum()
        length = (self.chunk_lengths * np.arange(len(self.chunk_lengths))).sum()
        rows = [
            ("mean_mask", "", _ratio(self.sums.sum(), tokens), tokens, "tokens"),
            (
                "tokens_above_threshold",
                "%",
                _ratio(100 * self.above_threshold, tokens),
                tokens,
                "tokens",
            ),
            (
                "chunks_per_sequence",
                "",
                _ratio(chunks, self.sequences),
                self.sequences,
                "sequences",
            ),
            (
                f"sequences_with_at_most_{FEW_CHUNKS}_chunks",
                "%",
                _ratio(100 * few, self.sequences),
                self.sequences,
                "sequences",
            ),
            ("chunk_length", "tokens", _ratio(length, chunks), chunks, "chunks"),
        ]
        return pd.DataFrame(rows, columns=["quantity", "unit", "value", "n", "n_of"])


def mask_blocks(path: str | Path, choice: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Masks float32 (n, longest) and lengths int64 (n,) of a file of masks, block by block.

    Only the column of that choice is read. Raises UserError where the file is missing or damaged.
    """
    name = f"mask_{choice}"
    try:
        with pq.ParquetFile(path) as file:
            if name not in file.schema_arrow.names:
                raise UserError(f"{path} has no column {name}: it is no file of masks")
            for batch in file.iter_batches(_BLOCK, columns=[name]):
                lists = batch.column(0)
                lengths = np.diff(lists.offsets.to_numpy()).astype(np.int64)
                inside = np.arange(lengths.max(initial=1)) < lengths[:, None]
                matrix = np.zeros(inside.shape, np.float32)
                matrix[inside] = lists.flatten().to_numpy()
                yield matrix, lengths
    except FileNotFoundError:
        raise UserError(f"{path} is not there") from None
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path} is damaged ({error}): make it again") from None


def read_statistics(path: str | Path, choice: str) -> MaskStatistics:
    """The statistics of a file of masks. Raises UserError also where it holds no sequence."""
    statistics = MaskStatistics()
    for masks, lengths in mask_blocks(path, choice):
        statistics.add(masks, lengths)
    if not statistics.tokens.sum():
        raise UserError(f"{path} holds no masked token: there is nothing to draw")
    return statistics


def beside_paper(summary: pd.DataFrame, paper: str | Path) -> pd.DataFrame:
    """The summary with the paper's value of each quantity: quantity, unit, ours, paper, n, n_of."""
    published = pd.read_csv(paper, sep="\t").rename(columns={"value": "paper"})
    merged = summary.rename(columns={"value": "ours"}).merge(
        published, on="quantity", how="left", validate="one_to_one"
    )
    return merged[["quantity", "unit", "ours", "paper", "n", "n_of"]]


def _same_length(a: np.ndarray, b: np.ndarray, fill) -> tuple[np.ndarray, np.ndarray]:
    """Both arrays, the shorter one filled up."""
    longest = max(len(a), len(b))
    a, b = (np.pad(x, (0, longest - len(x)), constant_values=fill) for x in (a, b))
    return a, b


def _added(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The sum of two arrays of counts or sums, of which either may be the longer."""
    return np.add(*_same_length(a, b, 0))


def _ratio(part, whole) -> float:
    return float(part / whole) if whole else float("nan")
