import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whatyouread.cli import UserError
from whatyouread.token_files import TokenFile, batches_by_length, pad, schema, write_token_files

RANKS = ["superkingdom", "phylum", "genus"]
SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"


@pytest.fixture
def sequences():
    rng = np.random.default_rng(3)
    return [rng.integers(0, 4107, n).tolist() for n in [251, 1, 7, 0, 254, 3, 33, 2, 5, 5, 11, 1]]


@pytest.mark.parametrize(
    "batch_sizes", [[12], [1] * 12, [1, 2, 3, 6], [5, 7], [11, 1], [3, 0, 9]], ids=str
)
def test_round_trip(token_file, sequences, batch_sizes):
    rng = np.random.default_rng(4)
    n = len(sequences)
    labels = rng.integers(0, 1878, (n, 3))
    keys = rng.integers(0, 2**64, n, dtype=np.uint64, endpoint=False).tolist()
    ids = [f"Bacteria.fa:{i * 'x'}é {i}" for i in range(n)]
    file = TokenFile(
        token_file(sequences, labels, RANKS, batch_sizes=batch_sizes, keys=keys, ids=ids), RANKS
    )
    assert len(file) == n
    assert file.lengths.tolist() == [len(s) for s in sequences]
    assert file.lengths.dtype == file.labels.dtype == np.int64
    assert file.keys.dtype == np.uint64
    assert file.keys.tolist() == keys
    assert file.ids.to_pylist() == ids
    assert np.array_equal(file.labels, labels)

    for rows in (np.arange(n), rng.permutation(n), np.array([6, 6, 0, 3]), np.array([3])):
        flat, offsets = file.flat_tokens(rows)
        assert flat.dtype == np.uint16
        assert [flat[a:b].tolist() for a, b in pairwise(offsets)] == [sequences[i] for i in rows]
        width = max(1, *(len(sequences[i]) for i in rows))
        padded = file.tokens(rows)
        assert padded.dtype == np.int64
        assert padded.tolist() == [
            sequences[i] + [1] * (width - len(sequences[i])) for i in rows
        ]  # fmt: skip


def test_no_rows(token_file, sequences):
    file = TokenFile(token_file(sequences), RANKS)
    nothing = np.zeros(0, np.int64)
    assert file.tokens(nothing).shape[0] == 0
    flat, offsets = file.flat_tokens(nothing)
    assert (len(flat), offsets.tolist()) == (0, [0])


def test_a_file_without_sequences(tmp_path):
    path = tmp_path / "empty.arrow"
    with write_token_files([path], RANKS):
        pass
    file = TokenFile(path, RANKS)
    assert len(file) == 0
    assert file.labels.shape == (0, 3)
    assert list(batches_by_length(file.lengths, 4)) == []


def test_ranks_are_as_many_as_asked_for(token_file, sequences):
    file = TokenFile(token_file(sequences, [[i] for i in range(12)], ["species"]), ["species"])
    assert file.labels.tolist() == [[i] for i in range(12)]
    file = TokenFile(token_file(sequences, ranks=[], name="none.arrow"), [])
    assert file.labels.shape == (12, 0)


def test_any_arrow_library_reads_it(token_file, sequences):
    with pa.OSFile(str(token_file(sequences, batch_sizes=[4, 8]))) as source:
        table = pa.ipc.open_file(source).read_all()
    assert table.schema == schema(RANKS)
    assert table["tokens"].to_pylist() == sequences


def test_filtered_batches(tmp_path, sequences):
    """What tokenize_sequences does: the rows of one split, out of a batch that holds them all."""
    batch = pa.RecordBatch.from_arrays(
        [
            pa.array(list("abcdefghijkl")),
            pa.array(range(12), pa.uint64()),
            pa.array(sequences, pa.list_(pa.uint16())),
            pa.array([1] * 12, pa.int32()),
        ],
        schema=schema(["phylum"]),
    )
    path = tmp_path / "some.arrow"
    kept = [2, 4, 5, 9]
    with write_token_files([path], ["phylum"]) as [writer]:
        writer.write_batch(batch.filter(pa.array([i in kept for i in range(12)])))
        writer.write_batch(batch.slice(6, 3))
    file = TokenFile(path, ["phylum"])
    flat, offsets = file.flat_tokens(np.arange(7))
    assert [flat[a:b].tolist() for a, b in pairwise(offsets)] == [
        sequences[i] for i in [*kept, 6, 7, 8]
    ]


def test_wrong_ranks(token_file, sequences):
    path = token_file(sequences)
    for ranks in (RANKS[:2], [*RANKS, "species"], RANKS[::-1], ["superkingdom", "phylum", "order"]):
        with pytest.raises(UserError, match=r"tokens\.arrow has the columns"):
            TokenFile(path, ranks)


def test_missing(tmp_path):
    with pytest.raises(UserError, match=r"gone\.arrow is not there"):
        TokenFile(tmp_path / "gone.arrow", RANKS)
    with pytest.raises(UserError, match="is damaged"):
        TokenFile(tmp_path, RANKS)


def test_damaged(token_file, sequences):
    path = token_file(sequences, batch_sizes=[5, 7])
    whole = path.read_bytes()
    for size in (0, 1, 7, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"tokens\.arrow is damaged"):
            TokenFile(path, RANKS)
    for other in (b"<html>not found</html>" * 100, whole[:-6] + b"ARROW2", bytes(len(whole))):
        path.write_bytes(other)
        with pytest.raises(UserError, match=r"tokens\.arrow is damaged"):
            TokenFile(path, RANKS)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tokens": pa.array([[3, 4107], [3]], pa.list_(pa.uint16()))}, "there is no token 4107"),
        ({"tokens": pa.array([None, [3]], pa.list_(pa.uint16()))}, "a value is missing"),
        ({"phylum": pa.array([0, None], pa.int32())}, "a value is missing"),
        ({"phylum": pa.array([0, -1], pa.int32())}, "a class below 0"),
    ],
)
def test_values_that_cannot_be(tmp_path, change, words):
    columns = {
        "id": pa.array(["a", "b"]),
        "key": pa.array([1, 2], pa.uint64()),
        "tokens": pa.array([[3, 9], [3]], pa.list_(pa.uint16())),
        "phylum": pa.array([0, 1], pa.int32()),
    }
    path = tmp_path / "tokens.arrow"
    with write_token_files([path], ["phylum"]) as [writer]:
        writer.write_table(pa.table(columns | change, schema=schema(["phylum"])))
    for read in ("tokens", "flat_tokens"):
        with pytest.raises(UserError, match=rf"tokens\.arrow is damaged \({words}.*run again"):
            getattr(TokenFile(path, ["phylum"]), read)(np.arange(2))


def test_all_files_or_none(tmp_path):
    paths = [tmp_path / "new" / name for name in ("train.arrow", "validation.arrow", "test.arrow")]
    with write_token_files(paths, RANKS) as writers:
        assert len(writers) == 3
        assert not any(path.exists() for path in paths)
    assert sorted(p.name for p in paths[0].parent.iterdir()) == sorted(p.name for p in paths)

    before = [path.read_bytes() for path in paths]
    rows = pa.table(
        [["a"], [1], [[3, 7]], [0], [0], [0]],
        schema=schema(RANKS),
    )
    with pytest.raises(RuntimeError, match="stop"), write_token_files(paths, RANKS) as writers:  # noqa: PT012
        writers[0].write_table(rows)
        raise RuntimeError("stop")
    assert [path.read_bytes() for path in paths] == before
    assert len(list(paths[0].parent.iterdir())) == 3

    with write_token_files(paths, RANKS) as writers:
        writers[1].write_table(rows)
    assert [len(TokenFile(path, RANKS)) for path in paths] == [0, 1, 0]


def test_pad():
    flat = np.array([9, 3, 10, 11, 12, 3, 3, 13], np.uint16)
    made = pad(flat, np.array([6, 1, 5]), np.array([2, 4, 1]))
    assert made.dtype == np.int64
    assert made.tolist() == [[3, 13, 1, 1], [3, 10, 11, 12], [3, 1, 1, 1]]


@given(
    lengths=st.lists(st.integers(1, 20), max_size=40),
    size=st.integers(1, 9),
)
def test_batches_by_length(lengths, size):
    batches = [batch.tolist() for batch in batches_by_length(np.array(lengths, np.int64), size)]
    rows = [row for batch in batches for row in batch]
    assert sorted(rows) == list(range(len(lengths)))
    assert [len(batch) for batch in batches[:-1]] == [size] * (len(batches) - 1)
    # sorted by length, and rows of the same length in their own order: the same every time
    assert rows == sorted(range(len(lengths)), key=lambda row: (lengths[row], row))


def test_the_data_modules_do_without_torch():
    modules = "tokens, token_files, draws, classes, files, cli, progress"
    code = f"import sys; from whatyouread import {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS).returncode == 0
