"""Turn scores per token into scored items of a sequence: tokens, canonical k-mers, or words (`words`).

K-mers come from every frame and both strands. A canonical k-mer is the smaller one of a k-mer and its
reverse complement. Its score is the mean, over its bases, of the score of each base's token.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from whatyouread.data.batch import Batch
from whatyouread.data.six_mers import LETTERS, SIX_MERS, K, SixMers
from whatyouread.data.tokenizer import Tokenizer
from whatyouread.support.cli import UserError
from whatyouread.support.files import atomic, read_parquet
from whatyouread.support.keyed_random import draw

_CODE = np.full(256, 255, np.uint8)
_CODE[list(LETTERS.encode())] = range(4)
SELECTIONS = pa.schema(
    [
        ("run", pa.int32()), ("source", pa.string()), ("rank", pa.string()), ("class", pa.int32()),
        ("key", pa.uint64()), ("kind", pa.string()), ("item", pa.string()), ("score", pa.float32()),
    ]
)  # fmt: skip
"""The columns of a selections file. Every examined sequence has a row of kind "sequence"."""


def normalised(scores: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Scores divided by their L2 norm over the content of the sequence (Rönnqvist et al.).

    scores: float (n, length); content: bool (n, length). A sequence of zeros stays zero.
    """
    norm = np.sqrt(np.where(content, scores.astype(np.float64) ** 2, 0).sum(1, keepdims=True))
    divided = np.divide(scores, norm, out=np.zeros(scores.shape), where=norm > 0)
    return np.where(content, divided, 0).astype(np.float32)


class Kind(Protocol):
    """A kind of items: how they are found in sequences, and what they are called."""

    kind: str

    def items(
        self, rows: np.ndarray, batch: Batch, scores: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Every item: row of the batch int64, code int64, score float64.

        rows: int64 (n,), those of the batch in its token file; scores: float (n, length).
        """

    def names(self, codes: np.ndarray) -> list[str]:
        """The spelling of items by their codes."""


class Tokens:
    """The tokens of the content; of six-mers only those of six bases."""

    kind = "token"

    def __init__(self, tokenizer: Tokenizer = SIX_MERS):
        self.tokenizer = tokenizer

    def items(self, rows, batch, scores):
        taken = batch.content
        if isinstance(self.tokenizer, SixMers):
            taken = taken & (self.tokenizer.widths(batch.ids) == K)
        row, column = np.nonzero(taken)
        return row, batch.ids[row, column], scores[row, column].astype(np.float64)

    def names(self, codes):
        return np.array(self.tokenizer.vocabulary)[codes].tolist()


class Kmers:
    """Every canonical k-mer of A, C, G and T; its code is the number in base 4."""

    kind = "kmer"

    def __init__(self, k: int, tokenizer: SixMers = SIX_MERS):
        if not 1 <= k <= 31:
            raise UserError(f"class_explanations.k is {k}: k-mers have 1 to 31 bases")
        if not isinstance(tokenizer, SixMers):
            raise UserError("class_explanations.items: k-mers are made of six-mers: leave kmer out")
        self.k, self.tokenizer = k, tokenizer

    def items(self, rows, batch, scores):
        k = self.k
        flat = batch.ids[batch.valid]
        bases, edges = self.tokenizer.decode(flat, np.arange(len(flat) + 1))
        ends = edges[np.append(0, np.cumsum(batch.lengths))]
        each = np.repeat(scores[batch.valid].astype(np.float64), np.diff(edges))
        starts, codes = kmers(bases, k)
        total = np.append(0.0, np.cumsum(each))
        row = np.searchsorted(ends, starts, side="right") - 1
        whole = starts + k <= ends[row + 1]  # not across the end of a sequence
        starts, codes, row = starts[whole], codes[whole], row[whole]
        return row, codes, (total[starts + k] - total[starts]) / k

    def names(self, codes):
        digits = (np.asarray(codes, np.int64)[:, None] >> (2 * np.arange(self.k - 1, -1, -1))) & 3
        letters = np.frombuffer(LETTERS.encode(), np.uint8)[digits]
        return [name.decode() for name in np.ascontiguousarray(letters).view(f"S{self.k}").ravel()]


def kmers(bases: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Starts and canonical codes, int64, of all k-mers in `bases` (uint8) without other letters."""
    code = _CODE[bases].astype(np.int64)
    count = max(len(bases) - k + 1, 0)
    bad = np.append(0, np.cumsum(code == 255))
    forward, reverse = np.zeros(count, np.int64), np.zeros(count, np.int64)
    for i in range(k):
        part = code[i : i + count]
        forward = forward * 4 + part
        reverse += (3 - part) << (2 * i)
    good = bad[k : k + count] == bad[:count]
    return np.flatnonzero(good), np.minimum(forward, reverse)[good]


def select_items(
    kind: Kind, rows: np.ndarray, batch: Batch, scores: np.ndarray, keys: np.ndarray, *,
    best: int, min_score: float, seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """The `best` items of each sequence with a score above `min_score`.

    rows: int64 (n,), those of the batch in its token file; batch: of numpy arrays; scores: float (n,
    length); keys: uint64 (n,). An item that occurs several times gets its highest score. A random draw
    keyed by sequence and item breaks ties. Returns row int64, code int64, score float32, sorted by row
    and score.
    """
    row, code, score = kind.items(rows, batch, scores)
    above = score > min_score
    row, code, score = row[above], code[above], score[above].astype(np.float32)
    order = np.lexsort((-score, code, row))
    row, code, score = row[order], code[order], score[order]
    first = np.append(True, (np.diff(row) != 0) | (np.diff(code) != 0))[: len(row)]
    row, code, score = row[first], code[first], score[first]
    tie = draw(seed, "item", keys[row], code)
    order = np.lexsort((tie, -score, row))
    row, code, score = row[order], code[order], score[order]
    starts = np.flatnonzero(np.append(True, np.diff(row) != 0)[: len(row)])
    place = np.arange(len(row)) - np.repeat(starts, np.diff(np.append(starts, len(row))))
    kept = place < best
    return row[kept], code[kept], score[kept]


def best_of_documents(selections: pd.DataFrame, best: dict[str, int]) -> pd.DataFrame:
    """The selections of one run and source with the best items of each key, where it has several windows.

    selections: rank, class, key, kind, item, score. best: kind -> how many of a key. An item has its
    highest score of all windows. Without windows nothing changes.
    """
    own = ["rank", "class", "key", "kind"]
    ordered = selections.sort_values("score", ascending=False, kind="stable")
    ordered = ordered.drop_duplicates([*own, "item"])
    place = ordered.groupby(own, sort=False).cumcount()
    return ordered[place < ordered["kind"].map(best)].sort_index()


def write_selections(
    path: str | Path,
    selections: pd.DataFrame,
    sequences: pd.DataFrame,
    counts: Mapping[str, object] | None = None,
) -> None:
    """Write the selections and the examined sequences (run, source, rank, class, key).

    counts: `source`, `kind`, and numbers of what was found and left out, such as `words.COUNTS`.
    """
    looked_at = sequences.assign(kind="sequence", item="", score=np.float32(0))
    whole = pd.concat([looked_at, selections], ignore_index=True)
    with atomic(path) as temporary:
        table = pa.Table.from_pandas(whole[SELECTIONS.names], SELECTIONS, preserve_index=False)
        if counts:
            table = table.replace_schema_metadata({"counts": json.dumps(dict(counts))})
        pq.write_table(table, temporary, compression="zstd")


def read_selections(paths: list[Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the selections and the examined sequences from several files."""
    parts = [read_parquet(path, SELECTIONS.names).to_pandas() for path in paths]
    whole = pd.concat(parts, ignore_index=True)
    looked_at = whole["kind"] == "sequence"
    sequences = whole.loc[looked_at, ["run", "source", "rank", "class", "key"]]
    return whole[~looked_at].reset_index(drop=True), sequences.reset_index(drop=True)


def read_counts(paths: Iterable[Path]) -> pd.DataFrame | None:
    """What was found and left out, added up by source and kind; None where nothing was counted."""
    rows = []
    for path in paths:
        metadata = pq.read_schema(path).metadata or {}
        if b"counts" in metadata:
            rows.append(json.loads(metadata[b"counts"]))
    if not rows:
        return None
    return pd.DataFrame(rows).groupby(["source", "kind"]).sum().reset_index()
