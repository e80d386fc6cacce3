"""Counts over the sequences while the dataset streams by, and a hash that finds copies."""

import numpy as np
import pyarrow as pa

from whatyouread.data.normalisation import ALPHABETS, EMPTY, FURTHER_WINDOWS, Settings
from whatyouread.data.sequences import SequenceBatch
from whatyouread.support.keyed_random import spread

SHORTEST_WORD = 6  # bases in a token; a shorter sequence is read base by base
_BASES_AT_ONCE = 1 << 18  # the working set of the hash stays in the processor's cache
_PAGE = 1 << 16


def index_schema(key: pa.Field) -> pa.Schema:
    """The columns of the index of sequences, of which one is the label source's key."""
    return pa.schema(
        [
            ("source", pa.dictionary(pa.int32(), pa.string())),
            ("header", pa.string()),
            key,
            ("length", pa.int32()),
            ("hash", pa.uint64()),
        ]
    )


class Census:
    """Counts over the batches given to `add`.

    key: name and type of the label source's key (`LabelSource.key`). settings: those that the batches
    were read with. `totals` maps a quantity to its number of sequences; `counts()` gives the numbers
    per key.
    """

    def __init__(self, key: pa.Field, settings: Settings | None = None):
        self.schema = index_schema(key)
        settings = Settings() if settings is None else settings
        self._short = f"sequences shorter than {SHORTEST_WORD} {ALPHABETS[settings.alphabet].unit}"
        self.totals = dict.fromkeys(
            (
                "sequences in the archive",
                EMPTY,
                self._short,
                *settings.quantities(),
                "sequences with line ends of Windows",
                "sequences with the header of an earlier one",
                "exact duplicates",
            ),
            0,
        )
        self._key = key.name
        self._counts: list[pa.Table] = []
        self._hashes: list[np.ndarray] = []
        self._headers: list[np.ndarray] = []

    def add(self, batch: SequenceBatch, keys: pa.Array) -> pa.Table:
        """Count a batch and return its rows of the index of sequences (`index_schema`).

        keys: the key of every record, of the type given to the census.
        """
        lengths = np.diff(batch.offsets)
        hashes = sequence_hashes(batch.bases, batch.offsets)
        self._hashes.append(hashes[lengths > 0])
        self._headers.append(_header_hashes(batch))
        self._count(batch, lengths)
        sequences = pa.array(np.ones_like(lengths))
        empty = pa.array((lengths == 0).astype(np.int64))
        self._counts.append(self._sums([keys, sequences, empty]))
        source = pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(len(lengths), np.int32)), pa.array([batch.source])
        )
        columns = [source, batch.headers, keys, pa.array(lengths, pa.int32()), pa.array(hashes)]
        return pa.Table.from_arrays(columns, schema=self.schema)

    def counts(self) -> pa.Table:
        """One row per key, ascending: the key, `sequences`, `empty` (those not used), both int64."""
        return self._sums(pa.concat_tables(self._counts).columns).sort_by(self._key)

    def _sums(self, columns: list[pa.Array]) -> pa.Table:
        """Columns of keys and of numbers of sequences, summed over every key."""
        names = [self._key, "sequences", "empty"]
        grouped = pa.Table.from_arrays(columns, names).group_by(self._key, use_threads=False)
        sums = grouped.aggregate([("sequences", "sum"), ("empty", "sum")])
        return sums.select([self._key, "sequences_sum", "empty_sum"]).rename_columns(names)

    def finish(self) -> dict[str, int]:
        """`totals`, with the numbers of sequences that repeat an earlier one or its header."""
        self.totals["exact duplicates"] = _repeated(self._hashes)
        self.totals["sequences with the header of an earlier one"] = _repeated(self._headers)
        return self.totals

    def _count(self, batch: SequenceBatch, lengths: np.ndarray) -> None:
        for quantity, flags in batch.findings.items():
            self.totals[quantity] += int(flags.sum())
        further = batch.findings.get(FURTHER_WINDOWS, np.zeros(0))
        self.totals["sequences in the archive"] += len(lengths) - int(further.sum())
        self.totals["sequences with line ends of Windows"] += len(lengths) * batch.windows
        self.totals[self._short] += int(((lengths > 0) & (lengths < SHORTEST_WORD)).sum())


def _repeated(hashes: list[np.ndarray]) -> int:
    whole = np.concatenate([np.zeros(0, np.uint64), *hashes])
    return len(whole) - len(np.unique(whole))


def _header_hashes(batch: SequenceBatch) -> np.ndarray:
    """A hash of the id of every sequence, its source and header: uint64 (n,)."""
    source = np.frombuffer(batch.source.encode(), np.uint8)
    [of_source] = sequence_hashes(source, np.array([0, len(source)]))
    return spread(sequence_hashes(*batch.header_text()) ^ of_source)


def sequence_hashes(bases: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """A 64-bit hash of every sequence: uint64 (n,).

    `bases` is uint8, `offsets` int64 (n + 1,), as in `SequenceBatch`. The hash is multilinear,
    the sum over i of W[i] * (byte[i] + 1) modulo 2^64 with fixed random W (Carter and Wegman 1979),
    then mixed with the length. Two different sequences of 1500 bp have the same hash with a
    probability of about 2^-57, so among 5 million a collision is very unlikely.
    """
    lengths = np.diff(offsets)
    sums = np.zeros(len(lengths), np.uint64)
    if len(lengths) and lengths.min() == lengths.max() and 0 < lengths[0] <= _PAGE:
        length = int(lengths[0])
        rows = bases.reshape(-1, length)
        step = max(1, _BASES_AT_ONCE // length)
        weights = _LOW[:length]
        for start in range(0, len(rows), step):
            # unsigned arithmetic wraps around, which is the reduction modulo 2^64
            sums[start : start + step] = rows[start : start + step].astype(np.uint64) @ weights
        sums += weights.sum()
    else:
        high = _weights(2, int(lengths.max(initial=0)) // _PAGE + 1) | np.uint64(1)
        high[0] = 1
        for start in range(0, len(bases), _BASES_AT_ONCE):
            stop = min(start + _BASES_AT_ONCE, len(bases))
            first = np.searchsorted(offsets, start, side="right") - 1
            last = np.searchsorted(offsets, stop, side="left")
            owners = np.arange(first, last)
            owners = owners[lengths[owners] > 0]
            begins = np.maximum(offsets[owners], start)
            ends = np.minimum(offsets[owners + 1], stop)
            places = np.arange(start, stop) - np.repeat(offsets[owners], ends - begins)
            weights = _LOW[places % _PAGE] * high[places // _PAGE]
            terms = (bases[start:stop].astype(np.uint64) + np.uint64(1)) * weights
            sums[owners] += np.add.reduceat(terms, begins - start)
    return spread(sums + lengths.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))


def _weights(seed: int, count: int) -> np.ndarray:
    """Fixed random uint64 numbers; the first ones do not depend on `count`.

    W[i] is `_LOW[i % 65536]` times an odd number for i // 65536, so that the table stays small even
    for chromosomes.
    """
    return np.random.PCG64(seed).random_raw(count)


_LOW = _weights(1, _PAGE)
