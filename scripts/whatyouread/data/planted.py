"""What is known to matter in sequences: simulated segments, or a user's positions, as tokens and names."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.data.six_mers import COMPLEMENT, LETTERS
from whatyouread.data.token_files import TokenFile
from whatyouread.data.token_limit import PIECE
from whatyouread.support.cli import UserError, log
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
    bases, ends = file.tokenizer.decode(*file.flat_tokens(np.arange(len(file))))
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
    """For each token the planted segments in which at least half of its characters lie, "" for none.

    starts, ends: int64 (n,), where the content of a sequence lies in it, -1 where that is not known;
    segments: `start`, `end` (characters, 0-based, half-open), `segment` and `rank`, those of this sequence,
    such as `planted_in` gives them.
    """
    names = [""] * len(starts)
    if (starts < 0).any():
        return names
    begin, stop = segments["start"].to_numpy(), segments["end"].to_numpy()
    half = _half_inside(starts[None], ends[None], np.zeros(len(begin), np.int64), begin, stop)[0]
    for row in segments.itertuples():
        for i in np.flatnonzero(half & (starts < row.end) & (ends > row.start)):
            names[i] += ("; " if names[i] else "") + f"{row.segment} ({row.rank})"
    return names


def planted_tokens(file: TokenFile, planted: pd.DataFrame) -> np.ndarray:
    """Which tokens lie in planted segments: at least half of their characters do.

    planted: one row per segment with `id` (as in the token file), `start` and `end` (characters, 0-based,
    half-open). Returns bool (n, longest); special tokens and padding are False, and so are all tokens of
    sequences of which `has_places` is false.
    """
    starts, ends = file.spans(np.arange(len(file)))
    own = planted_in(file, planted)
    places = (own[name].to_numpy() for name in ("row", "start", "end"))
    return _half_inside(starts, ends, *places) & (starts >= 0)


def has_places(file: TokenFile) -> np.ndarray:
    """Of which sequences it is known where their tokens lie, bool (n,); warns of the others.

    Raises UserError where it is known of none.
    """
    known = (file.spans(np.arange(len(file)))[0] >= 0).all(1)
    if len(known) and not known.any():
        raise UserError(f"{file.path} has <unk> tokens: their place in the sequence is not known")
    if not known.all():
        log.warning(
            "%s: %s of %s sequences have tokens like <unk>, whose place in the sequence is not known: they"
            " are left out where tokens are compared with known positions",
            file.path,
            f"{int((~known).sum()):,}",
            f"{len(known):,}",
        )
    return known


def planted_in(file: TokenFile, planted: pd.DataFrame, rows: np.ndarray | None = None):
    """The segments that lie in the sequences of a file, or in some of its rows, as a DataFrame.

    That is `planted` with the column `row`, and with `start` and `end` as `TokenFile.spans` counts: in a
    piece of a long sequence ("ID tokens 511-1020") other tokenizers than those that store spans begin anew.
    Raises UserError where it is not known how many characters lie before such a piece.
    """
    rows = np.arange(len(file)) if rows is None else rows
    ids = file.ids.take(pa.array(rows)).combine_chunks()
    wanted = pa.array(planted["id"].unique(), pa.string())
    pieces = pc.extract_regex(ids, PIECE)
    # the header of a record may end like the name of a piece
    whole = pc.or_(pc.is_in(ids, wanted), pc.is_null(pieces))
    own = pd.DataFrame(
        {
            "row": rows,
            "id": pc.if_else(whole, ids, pc.struct_field(pieces, "id")).to_numpy(
                zero_copy_only=False
            ),
            "before": pc.if_else(whole, "1", pc.struct_field(pieces, "first"))
            .cast(pa.int64())
            .to_numpy()
            - 1,
        }
    ).astype({"id": object})
    found = own.merge(planted, on="id").sort_values("row", kind="stable")
    if file.tokenizer.stores_spans or not found["before"].any():
        return found
    widths = np.unique(file.tokenizer.widths(np.flatnonzero(~file.tokenizer.is_special)))
    if len(widths := widths[widths >= 0]) != 1:
        name = file.ids[int(found["row"][found["before"] > 0].iloc[0])].as_py()
        raise UserError(
            f"{file.path}: where {name!r} lies in its sequence is not known, since tokens of"
            f" {file.tokenizer.name} differ in length: set sequences.max_length, so that windows are cut"
            " before the tokens are made"
        )
    moved = found["before"] * int(widths[0])
    return found.assign(start=found["start"] - moved, end=found["end"] - moved)


def _half_inside(
    starts: np.ndarray, ends: np.ndarray, row: np.ndarray, begin: np.ndarray, stop: np.ndarray
) -> np.ndarray:
    """Which tokens have at least half of their characters within intervals of their sequence.

    starts, ends: int64 (n, length), of tokens; row, begin, stop: int64 (m,), of intervals, which may overlap
    and reach beyond the sequence. Tokens without characters are False.
    """
    starts, ends = np.maximum(starts, 0), np.maximum(ends, 0)
    last = int(ends.max(initial=0))
    # +1 where a segment starts and -1 where it ends; the running sum is the cover
    edge = np.zeros((len(starts), last + 1), np.int32)
    np.add.at(edge, (row, np.clip(begin, 0, last)), 1)
    np.add.at(edge, (row, np.clip(stop, 0, last)), -1)
    covered = np.zeros((len(starts), last + 1), np.int32)
    np.cumsum(edge.cumsum(1)[:, :-1] > 0, axis=1, out=covered[:, 1:])
    within = np.take_along_axis(covered, ends, 1) - np.take_along_axis(covered, starts, 1)
    return (2 * within >= ends - starts) & (ends > starts)


def read_planted(path: str | Path) -> pd.DataFrame:
    """The simulator's table, or that of place_positions, with the `id` of token files."""
    frame = read_parquet(path).to_pandas()
    return frame.assign(id=frame["source"].astype(str) + ":" + frame["header"].astype(str))


def word_for(planted: pd.DataFrame) -> str:
    """What these segments are called: "planted" where they are simulated, else "known"."""
    return "planted" if "taxid" in planted else "known"
