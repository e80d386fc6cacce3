import numpy as np
import pyarrow as pa
import pytest

from whatyouread.data import census
from whatyouread.data.sequences import SequenceBatch, read_sequences

MODULUS = 2**64
TAXID = pa.field("taxid", pa.int32())


def pack(sequences):
    """Bases and offsets of a list of bytes."""
    lengths = [len(sequence) for sequence in sequences]
    return (
        np.frombuffer(b"".join(sequences), np.uint8),
        np.concatenate(([0], np.cumsum(lengths))).astype(np.int64),
    )


def naive_hash(sequence):
    """The documented hash with Python's integers and loops."""
    low = np.random.PCG64(1).random_raw(65536).tolist()
    high = [1, *(number | 1 for number in np.random.PCG64(2).random_raw(10).tolist()[1:])]
    value = sum(
        low[place % 65536] * high[place // 65536] * (byte + 1)
        for place, byte in enumerate(sequence)
    )
    value = (value + len(sequence) * 0x9E3779B97F4A7C15) % MODULUS
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        value = (value ^ (value >> shift)) * factor % MODULUS
    return value ^ (value >> 31)


def taxids(batch):
    """The numbers before the first space of every header, in plain Python."""
    return pa.array([int(header.split()[0]) for header in batch.headers.to_pylist()], pa.int32())


def random_sequences(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [bytes(rng.choice(list(b"ACGTN"), length).astype(np.uint8)) for length in lengths]


@pytest.mark.parametrize(
    "lengths",
    [
        [40, 40, 40],
        [1],
        [0, 3, 0, 0, 50, 1, 0],
        [0, 0],
        [],
        [70_000, 5, 140_001, 0, 300_000],  # over pages of the table and over chunks
        [65_536, 65_536],
        [65_537, 65_537],
    ],
)
def test_hash_is_the_documented_one(lengths):
    sequences = random_sequences(lengths)
    hashes = census.sequence_hashes(*pack(sequences))
    assert hashes.dtype == np.uint64
    assert hashes.tolist() == [naive_hash(sequence) for sequence in sequences]


def test_hash_does_not_depend_on_what_stands_beside(monkeypatch):
    sequences = random_sequences([30] * 50)
    together = census.sequence_hashes(*pack(sequences))
    mixed = census.sequence_hashes(*pack([*sequences, b"ACG"]))[:-1]
    monkeypatch.setattr(census, "_BASES_AT_ONCE", 64)
    in_small_steps = census.sequence_hashes(*pack(sequences))
    mixed_in_small_steps = census.sequence_hashes(*pack([*sequences, b"ACG"]))[:-1]
    assert len(np.unique(together)) == 50
    for other in (mixed, in_small_steps, mixed_in_small_steps):
        np.testing.assert_array_equal(other, together)


def test_hash_sees_every_byte_order_case_and_length():
    one = b"ACGTACGT"
    variants = {one, one.lower(), one[::-1], one + b"A", one[:-1], b"A" * 8, b"A" * 9, b"", b"\0"}
    variants |= {one[:i] + b"N" + one[i + 1 :] for i in range(8)}
    assert len(set(census.sequence_hashes(*pack(sorted(variants))).tolist())) == len(variants)


def test_counts_of_a_small_archive(tmp_path):
    (tmp_path / "a.fa").write_text(
        ">7 0\nACGTAC\n>7 1\nACGTA\n>9 2\n\n>7 3\nacgtac\n>9 4\nNNNACGT\n>9 5\nACrTAC\n"
    )
    (tmp_path / "b.fa").write_text(">11 0\nACGTAC\n>11 1\nACGTAC\n>11 2\n")
    for block_bytes in (1, 20, 1 << 20):
        counted = census.Census(TAXID)
        index = pa.concat_tables(
            [counted.add(batch, taxids(batch)) for batch in read_sequences(tmp_path, block_bytes)]
        )
        assert counted.finish() == {
            "sequences in the archive": 9,
            "empty sequences": 2,
            "sequences shorter than 6 bases": 1,
            "sequences without a base": 0,
            "sequences with characters other than ACGT": 2,
            "sequences with characters other than ACGTUN": 1,
            "sequences with lower case": 2,
            "sequences with U": 0,
            "sequences with line ends of Windows": 0,
            "sequences with the header of an earlier one": 0,
            "exact duplicates": 3,  # ACGTAC four times, once masked; empty ones are no copies
        }
        assert counted.counts().to_pydict() == {
            "taxid": [7, 9, 11],
            "sequences": [3, 3, 3],
            "empty": [0, 1, 1],
        }
        assert index.schema == census.index_schema(TAXID)
        assert index.column("source").to_pylist() == ["a.fa"] * 6 + ["b.fa"] * 3
        assert index.column("header").to_pylist()[4:8] == ["9 4", "9 5", "11 0", "11 1"]
        assert index.column("taxid").to_pylist() == [7, 7, 9, 7, 9, 9, 11, 11, 11]
        assert index.column("length").to_pylist() == [6, 5, 0, 6, 7, 6, 6, 6, 0]
        hashes = index.column("hash").to_pylist()
        assert hashes[0] == hashes[3] == hashes[6] == hashes[7] == naive_hash(b"ACGTAC")


def test_line_ends_of_windows_and_repeated_headers_are_counted(tmp_path):
    (tmp_path / "a.fa").write_bytes(b">7 0\r\nAC\r\nGT\r\n>7 0\r\nAC\r\n>70\r\nA\r\n>7 0 \r\nA\r\n")
    (tmp_path / "b.fa").write_text(">7 0\nAC\n>7\nAC\n>7\nAC\n>7\nAC\n")
    for block_bytes in (1, 20, 1 << 20):
        counted = census.Census(TAXID)
        for batch in read_sequences(tmp_path, block_bytes):
            counted.add(batch, taxids(batch))
        totals = counted.finish()
        assert totals["sequences with line ends of Windows"] == 4
        # an id is the file and the header: the first of b.fa is another one
        assert totals["sequences with the header of an earlier one"] == 3


def test_keys_may_be_text():
    counted = census.Census(pa.field("group", pa.string()))
    for groups in (["b", "a", "b"], ["\u00e9", "a", "b"]):
        bases, offsets = pack([b"AC", b"", b"GT"])
        headers = pa.array(["x", "y", "z"])
        batch = SequenceBatch("x", 0, headers, bases, offsets, np.arange(1, 4))
        index = counted.add(batch, pa.array(groups))
        assert index.schema.names == ["source", "header", "group", "length", "hash"]
        assert index["group"].to_pylist() == groups
    assert counted.counts().to_pydict() == {
        "group": ["a", "b", "\u00e9"],
        "sequences": [2, 3, 1],
        "empty": [2, 0, 0],
    }
