"""What is counted of every sequence while the dataset streams by, and a hash to find copies."""

import numpy as np
import pyarrow as pa

from whatyouread.sequences import SequenceBatch

SHORTEST_WORD = 6  # bases in a token; a shorter sequence is read base by base
_BASES_AT_ONCE = 1 << 18  # the working set of the hash stays in the processor's cache
_PAGE = 1 << 16

_OTHER, _LOWER = np.uint8(1), np.uint8(2)
_KIND = np.full(256, _OTHER)
_KIND[list(b"ACGTacgt")] = 0
_KIND[list(range(ord("a"), ord("z") + 1))] |= _LOWER

INDEX_SCHEMA = pa.schema(
    [
        ("source", pa.dictionary(pa.int32(), pa.string())),
        ("header", pa.string()),
        ("taxid", pa.int32()),
        ("length", pa.int32()),
        ("hash", pa.uint64()),
    ]
)


class Census:
    """Counts over the batches given to `add`.

    `totals` maps a quantity to its number of sequences; `taxids()` gives the counts per taxid.
    """

    def __init__(self):
        self.totals = dict.fromkeys(
            (
                "sequences in the archive",
                "empty sequences",
                f"sequences shorter than {SHORTEST_WORD} bases",
                "sequences with characters other than ACGT",
                "sequences with lower case",
                "sequences with line ends of Windows",
                "sequences with the header of an earlier one",
                "exact duplicates",
            ),
            0,
        )
        self._counts: list[tuple] = []
        self._hashes: list[np.ndarray] = []
        self._headers: list[np.ndarray] = []

    def add(self, batch: SequenceBatch) -> pa.Table:
        """Count a batch and return its rows of the index of sequences (`INDEX_SCHEMA`)."""
        lengths = np.diff(batch.offsets)
        hashes = sequence_hashes(batch.bases, batch.offsets)
        self._hashes.append(hashes[lengths > 0])
        self._headers.append(_header_hashes(batch))
        self._count(batch, lengths)
        self._counts.append(_sums_by(batch.taxids, np.ones_like(lengths), lengths == 0))
        source = pa.DictionaryArray.from_arrays(
            pa.array(np.zeros(len(lengths), np.int32)), pa.array([batch.source])
        )
        columns = [source, batch.headers, batch.taxids, lengths, hashes]
        return pa.Table.from_arrays(
            [
                column if isinstance(column, pa.Array) else pa.array(column, field.type)
                for column, field in zip(columns, INDEX_SCHEMA, strict=True)
            ],
            schema=INDEX_SCHEMA,
        )

    def taxids(self):
        """A frame, one row per taxid in ascending order: `taxid`, `sequences`, `empty` (int64)."""
        import pandas as pd

        columns = zip(*self._counts, strict=True)
        taxid, sequences, empty = _sums_by(*(np.concatenate(column) for column in columns))
        return pd.DataFrame({"taxid": taxid, "sequences": sequences, "empty": empty})

    def finish(self) -> dict[str, int]:
        """`totals`, with the numbers of sequences that copy an earlier one or its header exactly."""
        self.totals["exact duplicates"] = _repeated(self._hashes)
        self.totals["sequences with the header of an earlier one"] = _repeated(self._headers)
        return self.totals

    def _count(self, batch: SequenceBatch, lengths: np.ndarray) -> None:
        kinds = _KIND[batch.bases]
        self.totals["sequences in the archive"] += len(lengths)
        self.totals["empty sequences"] += int((lengths == 0).sum())
        self.totals["sequences with line ends of Windows"] += len(lengths) * batch.windows
        self.totals[f"sequences shorter than {SHORTEST_WORD} bases"] += int(
            ((lengths > 0) & (lengths < SHORTEST_WORD)).sum()
        )
        for quantity, kind in (
            ("sequences with characters other than ACGT", _OTHER),
            ("sequences with lower case", _LOWER),
        ):
            places = np.flatnonzero(kinds & kind)
            owners = np.searchsorted(batch.offsets, places, side="right")
            self.totals[quantity] += len(np.unique(owners))


def _sums_by(keys: np.ndarray, *values: np.ndarray) -> tuple[np.ndarray, ...]:
    """The distinct keys, and the sum of each of `values` over every key."""
    distinct, inverse = np.unique(keys, return_inverse=True)
    return distinct, *(
        np.bincount(inverse, value, len(distinct)).astype(np.int64) for value in values
    )


def _repeated(hashes: list[np.ndarray]) -> int:
    whole = np.concatenate([np.zeros(0, np.uint64), *hashes])
    return len(whole) - len(np.unique(whole))


def _header_hashes(batch: SequenceBatch) -> np.ndarray:
    """A hash of the source and the header of every sequence, which are its id: uint64 (n,)."""
    headers = batch.headers.cast(pa.large_binary())
    offsets = np.frombuffer(headers.buffers()[1], np.int64)[headers.offset :][: len(headers) + 1]
    text = np.frombuffer(headers.buffers()[2] or b"", np.uint8)[offsets[0] : offsets[-1]]
    source = np.frombuffer(batch.source.encode(), np.uint8)
    [of_source] = sequence_hashes(source, np.array([0, len(source)]))
    return _mix(sequence_hashes(text, offsets - offsets[0]) ^ of_source)


def sequence_hashes(bases: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """A 64-bit hash of every sequence: uint64 (n,).

    `bases` is uint8, `offsets` int64 (n + 1,), as in `SequenceBatch`. The hash is multilinear,
    the sum over i of W[i] * (byte[i] + 1) modulo 2^64 with fixed random W (Carter and Wegman 1979),
    then mixed with the length. Two different sequences of 1500 bp share it with a probability of
    about 2^-57, so that no two of 5 million should.
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
    return _mix(sums + lengths.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))


def _weights(seed: int, count: int) -> np.ndarray:
    """Fixed random uint64 numbers; the first ones do not depend on `count`.

    W[i] is `_LOW[i % 65536]` times an odd number for i // 65536, which keeps the table small
    for sequences as long as a chromosome.
    """
    return np.random.PCG64(seed).random_raw(count)


_LOW = _weights(1, _PAGE)


def _mix(values: np.ndarray) -> np.ndarray:
    """The finalizer of SplitMix64: a bijection of 64-bit numbers that spreads every bit."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
