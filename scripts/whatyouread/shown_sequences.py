"""The few sequences that a figure shows: which they are, and what is known of their tokens."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from whatyouread.classes import read_classes
from whatyouread.cli import UserError
from whatyouread.draws import draw
from whatyouread.mask_files import column
from whatyouread.mask_statistics import mask_blocks
from whatyouread.token_files import TokenFile
from whatyouread.tokens import BASES_PER_TOKEN, UNK


def choose_sequences(
    keys: np.ndarray, labels: np.ndarray, predicted: np.ndarray, count: int, seed: int
) -> np.ndarray:
    """Rows of `count` sequences, or fewer where there are no more: a draw by key.

    Correctly classified ones come first, then those of classes that were chosen least often, from
    the highest rank to the lowest. Of equal sequences one is chosen at most. keys: uint64 (n,);
    labels, predicted: int64 (n, ranks).
    """
    _, rows = np.unique(keys, return_index=True)
    luck = draw(seed, "figure", keys[rows])
    wrong = (labels[rows] != predicted[rows]).any(1)
    used = [np.zeros(column.max(initial=0) + 1, np.int64) for column in labels.T]
    chosen = []
    for _ in range(min(count, len(rows))):
        often = [times[labels[rows, i]] for i, times in enumerate(used)]
        best = np.lexsort((luck, *reversed(often), wrong))[0]
        chosen.append(rows[best])
        for i, times in enumerate(used):
            times[labels[rows[best], i]] += 1
        rows, luck, wrong = (np.delete(x, best) for x in (rows, luck, wrong))
    return np.array(chosen, np.int64)


def base_spans(tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """First base and the one after the last of each token, 0-based; None where `<unk>` hides them."""
    if (tokens == UNK).any():
        return None
    ends = BASES_PER_TOKEN[tokens].cumsum()
    return ends - BASES_PER_TOKEN[tokens], ends


def planted_names(tokens: np.ndarray, segments: pd.DataFrame) -> list[str]:
    """For each token the planted segments in which at least half of its bases lie, "" for none.

    tokens: int64 (n,), without `<cls>`; segments: `start`, `end` (bases, 0-based, half-open),
    `segment` and `rank`, those of this sequence.
    """
    spans = base_spans(tokens)
    if spans is None:
        return [""] * len(tokens)
    starts, ends = spans
    covered = np.zeros(int(ends[-1]) if len(ends) else 0, bool)
    for start, end in zip(segments["start"], segments["end"], strict=True):
        covered[start:end] = True
    before = np.append(0, covered.cumsum())
    inside = (before[ends] - before[starts]) * 2 >= ends - starts
    names = [""] * len(tokens)
    for row in segments.itertuples():
        for i in np.flatnonzero(inside & (starts < row.end) & (ends > row.start)):
            names[i] += ("; " if names[i] else "") + f"{row.segment} ({row.rank})"
    return names


def taxon_names(path: str | Path, ranks: list[str]) -> dict[str, list[str]]:
    """rank -> the names of its classes by number. Raises UserError for a rank that is not there."""
    frame = read_classes(path)
    names = {str(rank): part["name"].tolist() for rank, part in frame.groupby("rank", sort=False)}
    for rank in ranks:
        if rank not in names:
            raise UserError(f"{path} has no classes of the rank {rank}")
    return names


def taxa(
    names: dict[str, list[str]], labels: np.ndarray, predicted: np.ndarray
) -> dict[str, tuple[str, str]]:
    """rank -> the names of the label and of the prediction; int64 (ranks,) in the order of `names`."""
    return {
        rank: (known[label], known[guess])
        for (rank, known), label, guess in zip(names.items(), labels, predicted, strict=True)
    }


def read_predictions(path: Path, file: TokenFile) -> np.ndarray:
    """The predicted classes of a file of masks, int64 (n, ranks), if it is of these sequences."""
    names = ["key", *(column("predicted", rank) for rank in file.ranks)]
    try:
        table = pq.read_table(path, columns=names)
        columns = [table[name].to_numpy().astype(np.int64) for name in names[1:]]
    except FileNotFoundError:
        raise UserError(f"{path} is not there") from None
    except (pa.ArrowException, OSError, KeyError) as error:
        raise UserError(f"{path} is no file of masks ({error}): make it again") from None
    if not np.array_equal(table["key"].to_numpy(), file.keys):
        raise UserError(f"{path} is not of the sequences in {file.path}: make it again")
    return np.stack(columns, axis=1)


def read_masks(path: Path, choice: str, rows: np.ndarray) -> dict[int, np.ndarray]:
    """The masks of some rows; the others are read past."""
    masks, first = {}, 0
    for block, lengths in mask_blocks(path, choice):
        for row in rows[(rows >= first) & (rows < first + len(block))]:
            masks[int(row)] = block[row - first, : lengths[row - first]]
        first += len(block)
    return masks
