"""Tables of an explained sample: predictions of sequences and windows, and the masks of windows."""

import csv
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from whatyouread.data.levels import Level
from whatyouread.explain.intake import Records
from whatyouread.explain.predictions import Predictions, of_windows
from whatyouread.explain.scoring import Block
from whatyouread.models.levels import HeadLevel
from whatyouread.support.files import atomic

STRAND_SIGNS = np.array(["+", "-"])
EXPLAINED, NOT_ASKED = "explained", "not asked for"


def states(records: Records) -> tuple[str, ...]:
    """What may become of a sequence."""
    return EXPLAINED, records.nothing, NOT_ASKED


def status(records: Records, predictions: Predictions) -> np.ndarray:
    """What became of each sequence, text (n,)."""
    starts, shown = records.starts, records.shown
    asked = np.searchsorted(shown[:, 0], starts[1:]) > np.searchsorted(shown[:, 0], starts[:-1])
    if records.regions is None:
        asked[:] = True
    unread = np.where(asked, records.nothing, NOT_ASKED)
    return np.where(predictions.windows > 0, EXPLAINED, unread)


def write_predictions(
    path: Path,
    blocks: Iterable[Block],
    records: Records,
    whole: Predictions,
    levels: Sequence[Level],
    heads: Sequence[HeadLevel],
) -> None:
    """Write `predictions.tsv`: for each sequence a row of its own, then one for each of its windows.

    `start` and `end` are 0-based and half-open. `LEVEL_second` is the runner-up. Of a level at which several
    classes may hold, `LEVEL` is the most probable one, `LEVEL_held` all that hold, and
    `LEVEL_probability_CLASS` the probability of each. `strand` and `offset` are there where windows have
    them.
    """
    lengths, said = records.lengths, status(records, whole)
    names = np.array([*records.names, ""], object)

    def frame(rows, part, low, high, strand, offset, windows, state, predictions) -> pd.DataFrame:
        columns = {
            "sequence": names[rows],
            "part": part,
            "start": low,
            "end": high,
            **({"strand": strand, "offset": offset} if records.stranded else {}),
            "windows": windows,
            "status": state,
        }
        for i, level in enumerate(levels):
            called = np.array([*level.names, ""], object)
            for place, ending in enumerate(("", "_second")):
                columns[level.name + ending] = called[predictions.classes[:, i, place]]
                columns[f"{level.name}{ending}_probability"] = predictions.probabilities[
                    :, i, place
                ]
            if i not in predictions.each:
                continue
            sets, place = np.unique(predictions.sets[i], return_inverse=True)
            own = [level.called(number) if number >= 0 else "" for number in sets.tolist()]
            columns[f"{level.name}_held"] = np.array([*own, ""], object)[place]
            for number, name in enumerate(level.names):
                columns[f"{level.name}_probability_{name}"] = predictions.each[i][:, number]
        return pd.DataFrame(columns)

    def of_whole(rows: np.ndarray) -> pd.DataFrame:
        own = whole.take(rows)
        return frame(rows, "sequence", 0, lengths[rows], "", "", own.windows, said[rows], own)

    with atomic(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:

        def write(table: pd.DataFrame) -> None:
            table.to_csv(
                stream,
                sep="\t",
                index=False,
                header=stream.tell() == 0,
                float_format="%.4g",
                lineterminator="\n",
                quoting=csv.QUOTE_MINIMAL,
            )

        done = 0
        write(of_whole(np.arange(0)))
        for block in blocks:
            windows = block.windows
            of = records.of(windows.start)
            rows = np.arange(done, max(done, int(of[-1]) + 1))
            done += len(rows)
            low, high = records.within(windows.start, windows.stop)
            signs = STRAND_SIGNS[windows.strand]
            own = of_windows(block.probabilities, heads)
            state = said[of]
            each = frame(of, "window", low, high, signs, windows.offset, 1, state, own)
            order = np.argsort(np.concatenate((rows * 2, of * 2 + 1)), kind="stable")
            write(pd.concat([of_whole(rows), each]).iloc[order])
        write(of_whole(np.arange(done, len(records))))


def coded(codes: np.ndarray, called: Callable[[int], str]) -> pa.DictionaryArray:
    """What numbers are called, int (n,), as a column that holds each word once."""
    used, place = np.unique(codes, return_inverse=True)
    own = pa.array([called(code) for code in used.tolist()], pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(place, pa.int32()), own)


def write_masks(
    path: Path, blocks: Iterable[Block], records: Records, levels: Sequence[Level]
) -> None:
    """Write `masks.parquet`: a row per window with the mask of each of its tokens, as they were read.

    Columns: `sequence`, `start`, `end` (0-based, half-open), `strand`, `offset`, for each level the class
    that the mask is for, `bases` (those of each token) and `mask`, lists of uint8 and float16. Tokens of
    the strand "-" come in its own order.
    """
    schema = pa.schema(
        [
            ("sequence", pa.dictionary(pa.int32(), pa.string())),
            ("start", pa.int64()),
            ("end", pa.int64()),
            ("strand", pa.dictionary(pa.int32(), pa.string())),
            ("offset", pa.int8()),
            *((level.name, pa.dictionary(pa.int32(), pa.string())) for level in levels),
            ("bases", pa.list_(pa.uint8())),
            ("mask", pa.list_(pa.float16())),
        ]
    )
    with (
        atomic(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd") as writer,
    ):
        for block in blocks:
            windows, ends = block.windows, pa.array(block.offsets, pa.int32())
            of = records.of(windows.start)
            columns = [
                coded(of, records.names.__getitem__),
                *map(pa.array, records.within(windows.start, windows.stop)),
                coded(windows.strand, STRAND_SIGNS.tolist().__getitem__),
                pa.array(windows.offset, pa.int8()),
                *(coded(block.asked[:, i], level.called) for i, level in enumerate(levels)),
                pa.ListArray.from_arrays(ends, pa.array(block.widths)),
                pa.ListArray.from_arrays(ends, pa.array(block.masks)),
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema), row_group_size=8192)
