"""The texts behind words, with the scores of all their words, and the places where a keyword stands."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from whatyouread.classes.words import Words
from whatyouread.data.batch import Batch
from whatyouread.data.token_files import TokenFile, lists
from whatyouread.support.files import atomic, read_parquet

SCHEMA = pa.schema(
    [
        ("rank", pa.string()), ("class", pa.int32()), ("key", pa.uint64()), ("id", pa.string()),
        ("text", pa.string()), ("starts", pa.list_(pa.int32())), ("ends", pa.list_(pa.int32())),
        ("items", pa.list_(pa.string())), ("scores", pa.list_(pa.float32())),
    ]
)  # fmt: skip
"""One row per text and class that it speaks for; places are characters, scores are of the class."""


class Documents:
    """Gathers the rows of such a file, batch by batch; words: None where there are none to gather."""

    def __init__(self, file: TokenFile, words: Words | None):
        self.file, self.words = file, words
        self.batches: list[pa.RecordBatch] = []

    def add(
        self, rank: str, classes: np.ndarray, rows: np.ndarray, keys: np.ndarray,
        batch: Batch, scores: np.ndarray,
    ) -> None:  # fmt: skip
        """classes, rows: int64 (n,); keys: uint64 (n,); scores: float (n, length), of the tokens."""
        if self.words is None or not len(rows):
            return
        found, codes, made = self.words.located(rows, batch, scores, count=False)
        offsets = np.searchsorted(found.of, np.arange(len(rows) + 1))
        # names by code, each made once
        own, which = np.unique(codes, return_inverse=True)
        names = pa.array(self.words.names(own), pa.string()).take(pa.array(which))
        columns = [
            pa.array([rank] * len(rows), pa.string()),
            pa.array(classes, pa.int32()),
            pa.array(keys),
            self.file.ids.take(pa.array(rows)).combine_chunks(),
            pa.array([self.words.texts[row] for row in rows.tolist()], pa.string()),
            lists(found.starts, offsets, pa.int32()),
            lists(found.ends, offsets, pa.int32()),
            pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), names),
            lists(made.astype(np.float32), offsets),
        ]
        self.batches.append(pa.RecordBatch.from_arrays(columns, schema=SCHEMA))

    def write(self, path: Path) -> None:
        with atomic(path) as temporary:
            table = pa.Table.from_batches(self.batches, schema=SCHEMA)
            pq.write_table(table, temporary, compression="zstd")


def places(
    path: Path, rank: str, keywords: pd.DataFrame, each: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Where the keywords of the classes score highest, `each` documents for each.

    keywords: class, item. Returns the places: class, item, score, document (a row number), start, end;
    best first within an item; and the documents, rows of the file with arrays in them.
    """
    table = read_parquet(path, SCHEMA.names)
    table = table.filter(pc.equal(table["rank"], rank)).combine_chunks()
    counts = pc.list_value_length(table["items"]).to_numpy()
    document = np.repeat(np.arange(len(table)), counts)
    flat = {
        name: pc.list_flatten(table[column]).to_pandas()
        for name, column in (
            ("item", "items"), ("score", "scores"), ("start", "starts"), ("end", "ends"),
        )
    }  # fmt: skip
    frame = pd.DataFrame(flat).assign(
        document=document,
        key=table["key"].to_numpy()[document],
        **{"class": table["class"].to_numpy()[document]},
    )
    frame = frame.merge(keywords[["class", "item"]], on=["class", "item"])
    frame = frame.sort_values(
        ["class", "item", "score", "document", "start"], ascending=[True, True, False, True, True]
    )
    # once for each document, also where it has several windows
    frame = frame.drop_duplicates(["class", "item", "key"])
    frame = frame.groupby(["class", "item"], sort=False).head(each)
    columns = ["class", "item", "score", "document", "start", "end"]
    return frame[columns].reset_index(drop=True), table.to_pandas()
