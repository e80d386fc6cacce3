"""Planted truth: where the simulated segments lie, as tokens, names and text."""

from pathlib import Path

import numpy as np
import pandas as pd

from whatyouread.data.six_mers import COMPLEMENT, LETTERS, decode
from whatyouread.data.token_files import TokenFile
from whatyouread.support.cli import UserError
from whatyouread.support.files import read_parquet


def planted_segments(file: TokenFile, planted: pd.DataFrame) -> pd.DataFrame:
    """The text of each planted segment, by majority over its copies in the file's sequences.

    planted: see `read_planted`. Returns rank, taxid, segment and `bases`, uint8 arrays.
    Raises UserError when no copy lies in the file.
    """
    rows = pd.Series(np.arange(len(file)), index=file.ids.to_pylist())
    own = planted[planted["id"].isin(rows.index)]
    if not len(own):
        raise UserError(f"{file.path} has no sequence with a planted segment")
    bases, ends = decode(*file.flat_tokens(np.arange(len(file))))
    begin = ends[rows.loc[own["id"]].to_numpy()] + own["start"].to_numpy()
    found = []
    for key, part in own.assign(begin=begin).groupby(["rank", "taxid", "segment"], sort=True):
        length = int((part["end"] - part["start"]).iloc[0])
        copies = bases[part["begin"].to_numpy()[:, None] + np.arange(length)]
        turned = (part["strand"] == "-").to_numpy()
        copies[turned] = COMPLEMENT[copies[turned, ::-1]]
        votes = np.stack([(copies == letter).sum(0) for letter in LETTERS.encode()])
        text = np.frombuffer(LETTERS.encode(), np.uint8)[votes.argmax(0)]
        found.append((*key, text))
    return pd.DataFrame(found, columns=["rank", "taxid", "segment", "bases"])


def planted_names(starts: np.ndarray, ends: np.ndarray, segments: pd.DataFrame) -> list[str]:
    """For each token the planted segments in which at least half of its bases lie, "" for none.

    starts, ends: int64 (n,), where the content of a sequence lies in it, -1 where that is not known;
    segments: `start`, `end` (bases, 0-based, half-open), `segment` and `rank`, those of this sequence.
    """
    if (starts < 0).any():
        return [""] * len(starts)
    covered = np.zeros(ends.max(initial=0), bool)
    for start, end in zip(segments["start"], segments["end"], strict=True):
        covered[start:end] = True
    before = np.append(0, covered.cumsum())
    inside = (before[ends] - before[starts]) * 2 >= ends - starts
    names = [""] * len(starts)
    for row in segments.itertuples():
        for i in np.flatnonzero(inside & (starts < row.end) & (ends > row.start)):
            names[i] += ("; " if names[i] else "") + f"{row.segment} ({row.rank})"
    return names


def planted_tokens(file: TokenFile, planted: pd.DataFrame) -> np.ndarray:
    """Which tokens lie in planted segments: at least half of their bases do.

    planted: one row per segment with `id` (as in the token file), `start` and `end` (bases, 0-based,
    half-open). Returns bool (n, longest); special tokens and padding are False. Raises UserError for
    sequences with tokens like `<unk>`, whose place is not certain.
    """
    starts, ends = file.spans(np.arange(len(file)))
    if (starts < 0).any():
        raise UserError(f"{file.path} has <unk> tokens: their place in the sequence is not known")
    widths, bases = ends - starts, int(ends.max(initial=0))
    row = pd.Series(np.arange(len(file)), index=file.ids.to_pylist())
    own = planted[planted["id"].isin(row.index)]
    at = row.loc[own["id"]].to_numpy()
    # +1 where a segment starts and -1 where it ends; the running sum is the cover
    edge = np.zeros((len(file), bases + 1), np.int32)
    np.add.at(edge, (at, own["start"].to_numpy()), 1)
    np.add.at(edge, (at, own["end"].to_numpy()), -1)
    covered = np.zeros((len(file), bases + 1), np.int32)
    np.cumsum(edge.cumsum(1)[:, :-1] > 0, axis=1, out=covered[:, 1:])
    inside = np.take_along_axis(covered, ends, 1)
    inside = inside - np.take_along_axis(covered, starts, 1)
    return (2 * inside >= widths) & (widths > 0)


def read_planted(path: str | Path) -> pd.DataFrame:
    """The simulator's table with the `id` of token files."""
    frame = read_parquet(path).to_pandas()
    return frame.assign(id=frame["source"].astype(str) + ":" + frame["header"].astype(str))
