"""Statistics over all masks: the numbers behind Figures 6 and 7 of the paper.

All statistics leave out special tokens and padding. A chunk here is an unmasked one: a stretch of tokens
with mask values above 0.5.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from whatyouread.masks.choices import THRESHOLD
from whatyouread.masks.chunks import find_chunks
from whatyouread.masks.mask_files import mask_blocks
from whatyouread.support.cli import UserError
from whatyouread.support.files import read_tsv

BINS = 50
"""Bins of the histogram of mask values over [0, 1]; 0.5 is an edge."""
FEW_CHUNKS = 4


class MaskStatistics:
    """Sums over masks, added block by block.

    sequences: the number of sequences; histogram: int64 (BINS,); chunk_counts: int64, entry i is the
    number of sequences with i unmasked chunks; chunk_lengths: int64, entry i is the number of chunks of
    i tokens; above_threshold: the number of tokens with a mask above 0.5. `tokens`, `sums`, `squares`,
    `lowest` and `highest` have one entry per position of the content.
    """

    def __init__(self):
        self.sequences = self.above_threshold = 0
        self.histogram = np.zeros(BINS, np.int64)
        self.chunk_counts = self.chunk_lengths = self.tokens = np.zeros(0, np.int64)
        self.sums = self.squares = np.zeros(0)
        self.lowest, self.highest = np.full(0, np.inf), np.full(0, -np.inf)

    def add(self, masks: np.ndarray, content: np.ndarray) -> None:
        """Add a block of masks, float (n, longest); content: bool (n, longest).

        Positions count the tokens of the content.
        """
        values = masks[content].astype(np.float64)
        self.sequences += len(masks)
        self.above_threshold += int((values > THRESHOLD).sum())
        self.histogram += np.histogram(values, BINS, (0, 1))[0]

        # move the content of each sequence to the front
        inside = np.arange(content.shape[1]) < content.sum(1, keepdims=True)
        inside = inside[:, : int(content.sum(1).max(initial=0))]
        body = np.zeros(inside.shape)
        body[inside] = values
        self.tokens = _added(self.tokens, inside.sum(0))
        self.sums = _added(self.sums, body.sum(0))
        self.squares = _added(self.squares, (body**2).sum(0))
        lowest = np.where(inside, body, np.inf).min(0, initial=np.inf)
        highest = np.where(inside, body, -np.inf).max(0, initial=-np.inf)
        self.lowest = np.minimum(*_same_length(self.lowest, lowest, np.inf))
        self.highest = np.maximum(*_same_length(self.highest, highest, -np.inf))

        chunks = find_chunks(masks > THRESHOLD, content)
        per_sequence = np.bincount(chunks.sequence[chunks.relevant], minlength=len(masks))
        self.chunk_counts = _added(self.chunk_counts, np.bincount(per_sequence))
        spans = (chunks.end - chunks.start)[chunks.relevant]
        self.chunk_lengths = _added(self.chunk_lengths, np.bincount(spans))

    def by_position(self) -> pd.DataFrame:
        """position (from 1, the first token of the content), tokens, mean, sd, minimum, maximum.

        `sd` is the population standard deviation (divided by n).
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
        """The quantities of the paper: quantity, unit, value, n, and the unit of n. NaN if n is 0."""
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


def read_statistics(path: str | Path, choice: str) -> MaskStatistics:
    """The statistics of a mask file. Raises UserError if it is missing, damaged or empty."""
    statistics = MaskStatistics()
    for masks, content in mask_blocks(path, choice):
        statistics.add(masks, content)
    if not statistics.tokens.sum():
        raise UserError(f"{path} holds no masked token: there is nothing to draw")
    return statistics


def beside_paper(summary: pd.DataFrame, paper: str | Path | None) -> pd.DataFrame:
    """The summary with the paper's value of each quantity: quantity, unit, ours, paper, n, n_of.

    Without its file the column is empty.
    """
    summary = summary.rename(columns={"value": "ours"})
    if paper is None:
        published = summary[["quantity"]].assign(paper=np.nan)
    else:
        published = read_tsv(paper).rename(columns={"value": "paper"})
    merged = summary.merge(published, on="quantity", how="left", validate="one_to_one")
    return merged[["quantity", "unit", "ours", "paper", "n", "n_of"]]


def _same_length(a: np.ndarray, b: np.ndarray, fill) -> tuple[np.ndarray, np.ndarray]:
    """Return both arrays, the shorter one extended with `fill`."""
    longest = max(len(a), len(b))
    a, b = (np.pad(x, (0, longest - len(x)), constant_values=fill) for x in (a, b))
    return a, b


def _added(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Add two arrays of counts or sums that may differ in length."""
    return np.add(*_same_length(a, b, 0))


def _ratio(part, whole) -> float:
    return float(part / whole) if whole else float("nan")
