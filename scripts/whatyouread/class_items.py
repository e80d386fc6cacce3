"""From scores per token to items of a sequence: tokens as they are read, and canonical k-mers.

A k-mer is read in every frame and on both strands; it goes by the smaller of its two spellings. Its
score is the mean over its bases of the score of the token that each base belongs to.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from whatyouread.cli import UserError
from whatyouread.draws import draw
from whatyouread.files import atomic
from whatyouread.tokens import BASES_PER_TOKEN, FIRST_BASE, FIRST_KMER, VOCABULARY, decode

KINDS = ("token", "kmer")
LETTERS = "ACGT"  # in the order of the alphabet, so that numbers are ordered like spellings
_CODE = np.full(256, 255, np.uint8)
_CODE[list(LETTERS.encode())] = range(4)

SELECTIONS = pa.schema(
    [
        ("run", pa.int32()), ("source", pa.string()), ("rank", pa.string()), ("class", pa.int32()),
        ("key", pa.uint64()), ("kind", pa.string()), ("item", pa.string()), ("score", pa.float32()),
    ]
)  # fmt: skip
"""Columns of a file of selections. A sequence that was looked at has a row of kind "sequence"."""


def normalised(scores: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Scores divided by their L2 norm over the sequence's tokens without `<cls>` (Rönnqvist et al.).

    scores: float (n, length); lengths: int (n,). A sequence of zeros stays one.
    """
    place = np.arange(scores.shape[1])
    inside = (place >= 1) & (place < lengths[:, None])
    norm = np.sqrt(np.where(inside, scores.astype(np.float64) ** 2, 0).sum(1, keepdims=True))
    divided = np.divide(scores, norm, out=np.zeros(scores.shape), where=norm > 0)
    return np.where(inside, divided, 0).astype(np.float32)


def token_items(
    tokens: np.ndarray, lengths: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every six-mer token: row int64, code int64 (its id), score float64."""
    place = np.arange(tokens.shape[1])
    taken = (tokens >= FIRST_KMER) & (tokens < FIRST_BASE) & (place < lengths[:, None])
    row, column = np.nonzero(taken)
    return row, tokens[row, column], scores[row, column].astype(np.float64)


def kmer_items(
    tokens: np.ndarray, lengths: np.ndarray, scores: np.ndarray, k: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Every canonical k-mer of A, C, G and T: row int64, code int64 (base 4), score float64."""
    if not 1 <= k <= 31:
        raise UserError(f"class_explanations.k is {k}: k-mers have 1 to 31 bases")
    inside = np.arange(tokens.shape[1]) < lengths[:, None]
    flat = tokens[inside]
    bases, ends = decode(flat, np.append(0, np.cumsum(lengths)))
    each = np.repeat(scores[inside].astype(np.float64), BASES_PER_TOKEN[flat])
    starts, codes = kmers(bases, k)
    total = np.append(0.0, np.cumsum(each))
    row = np.searchsorted(ends, starts, side="right") - 1
    whole = starts + k <= ends[row + 1]  # not across two sequences
    starts, codes, row = starts[whole], codes[whole], row[whole]
    return row, codes, (total[starts + k] - total[starts]) / k


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
    tokens: np.ndarray, lengths: np.ndarray, scores: np.ndarray, keys: np.ndarray, *,
    kind: str, k: int, best: int, min_score: float, seed: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """The `best` items of each sequence with a score above `min_score`.

    tokens: int64 (n, length), padded; lengths: int64 (n,); scores: float (n, length); keys: uint64
    (n,). An item that occurs several times has its highest score; where scores tie, the draw of
    sequence and item decides. Returns row int64, code int64, score float32, sorted by row and score.
    """
    if kind not in KINDS:
        raise UserError(f"items are of the kinds {', '.join(KINDS)}, not {kind!r}")
    if kind == "token":
        row, code, score = token_items(tokens, lengths, scores)
    else:
        row, code, score = kmer_items(tokens, lengths, scores, k)
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


def item_names(codes: np.ndarray, kind: str, k: int) -> list[str]:
    """The spelling of items."""
    if kind == "token":
        return np.array(VOCABULARY)[codes].tolist()
    digits = (np.asarray(codes, np.int64)[:, None] >> (2 * np.arange(k - 1, -1, -1))) & 3
    letters = np.frombuffer(LETTERS.encode(), np.uint8)[digits]
    return [name.decode() for name in np.ascontiguousarray(letters).view(f"S{k}").ravel()]


def write_selections(path: str | Path, selections: pd.DataFrame, sequences: pd.DataFrame) -> None:
    """Write what was selected, and which sequences were looked at (run, source, rank, class, key)."""
    looked_at = sequences.assign(kind="sequence", item="", score=np.float32(0))
    whole = pd.concat([looked_at, selections], ignore_index=True)
    with atomic(path) as temporary:
        table = pa.Table.from_pandas(whole[SELECTIONS.names], SELECTIONS, preserve_index=False)
        pq.write_table(table, temporary, compression="zstd")


def read_selections(paths: list[Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What `write_selections` wrote, of several files: selections, and sequences."""
    parts = []
    for path in paths:
        try:
            parts.append(pq.read_table(path, schema=SELECTIONS).to_pandas())
        except FileNotFoundError:
            raise UserError(f"{path} is not there") from None
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{path} is damaged ({error}): make it again") from None
    whole = pd.concat(parts, ignore_index=True)
    looked_at = whole["kind"] == "sequence"
    sequences = whole.loc[looked_at, ["run", "source", "rank", "class", "key"]]
    return whole[~looked_at].reset_index(drop=True), sequences.reset_index(drop=True)
