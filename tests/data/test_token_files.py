import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from helpers_batches import CLS as FIRST
from helpers_batches import PAD as NO_LETTER
from helpers_batches import SEP, Letters

from whatyouread.data.batch import batches_by_length
from whatyouread.data.six_mers import SIX_MERS
from whatyouread.data.token_files import TokenFile, schema, write_token_files
from whatyouread.data.tokenizers import TOKENIZERS
from whatyouread.support.cli import UserError

RANKS = ["superkingdom", "phylum", "genus"]
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


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
        batch = file.batch(rows)
        assert batch.ids.dtype == np.int64
        assert batch.ids.tolist() == [
            sequences[i] + [1] * (width - len(sequences[i])) for i in rows
        ]  # fmt: skip
        assert batch.lengths.tolist() == [len(sequences[i]) for i in rows]
        assert batch.valid.tolist() == [
            [place < len(sequences[i]) for place in range(width)] for i in rows
        ]


def test_no_rows(token_file, sequences):
    file = TokenFile(token_file(sequences), RANKS)
    nothing = np.zeros(0, np.int64)
    assert len(file.batch(nothing)) == 0
    flat, offsets = file.flat_tokens(nothing)
    assert (len(flat), offsets.tolist()) == (0, [0])


def test_a_file_without_sequences(tmp_path):
    path = tmp_path / "empty.arrow"
    with write_token_files([path], RANKS, SIX_MERS):
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
    assert table.schema == schema(RANKS, SIX_MERS)
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
        schema=schema(["phylum"], SIX_MERS),
    )
    path = tmp_path / "some.arrow"
    kept = [2, 4, 5, 9]
    with write_token_files([path], ["phylum"], SIX_MERS) as [writer]:
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
        ({"phylum": pa.array([-1, -2], pa.int32())}, "a class below -1"),
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
    with write_token_files([path], ["phylum"], SIX_MERS) as [writer]:
        writer.write_table(pa.table(columns | change, schema=schema(["phylum"], SIX_MERS)))
    for read in ("batch", "flat_tokens"):
        with pytest.raises(UserError, match=rf"tokens\.arrow is damaged \({words}.*run again"):
            getattr(TokenFile(path, ["phylum"]), read)(np.arange(2))


def test_all_files_or_none(tmp_path):
    paths = [tmp_path / "new" / name for name in ("train.arrow", "validation.arrow", "test.arrow")]
    with write_token_files(paths, RANKS, SIX_MERS) as writers:
        assert len(writers) == 3
        assert not any(path.exists() for path in paths)
    assert sorted(p.name for p in paths[0].parent.iterdir()) == sorted(p.name for p in paths)

    before = [path.read_bytes() for path in paths]
    rows = pa.table(
        [["a"], [1], [[3, 7]], [0], [0], [0]],
        schema=schema(RANKS, SIX_MERS),
    )
    with (  # noqa: PT012
        pytest.raises(RuntimeError, match="stop"),
        write_token_files(paths, RANKS, SIX_MERS) as writers,
    ):
        writers[0].write_table(rows)
        raise RuntimeError("stop")
    assert [path.read_bytes() for path in paths] == before
    assert len(list(paths[0].parent.iterdir())) == 3

    with write_token_files(paths, RANKS, SIX_MERS) as writers:
        writers[1].write_table(rows)
    assert [len(TokenFile(path, RANKS)) for path in paths] == [0, 1, 0]


def test_the_data_modules_do_without_torch():
    data = "batch, labels, sampling, six_mers, token_files, tokenization, tokenizers"
    support = "cli, files, keyed_random, progress"
    code = (
        f"import sys; from whatyouread.data import {data}; from whatyouread.support import {support}; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS).returncode == 0


# The tokenizer of a file


def write(path, sequences, tokenizer, batch_sizes, kind=None):
    kind = pa.list_(kind or pa.from_numpy_dtype(tokenizer.dtype))
    table = pa.table(
        {
            "id": pa.array([f"a.txt:{i}" for i in range(len(sequences))]),
            "key": pa.array(range(len(sequences)), pa.uint64()),
            "tokens": pa.array(sequences, kind),
            "topic": pa.array(range(len(sequences)), pa.int32()),
        },
        schema=schema(["topic"], tokenizer),
    )
    with write_token_files([path], ["topic"], tokenizer) as [writer]:
        start = 0
        for size in batch_sizes:
            writer.write_table(table.slice(start, size))
            start += size
    return path


@pytest.mark.parametrize(("size", "bits"), [(65_536, 16), (65_537, 32), (250_002, 32)])
def test_a_file_of_a_larger_vocabulary(tmp_path, monkeypatch, size, bits):
    tokenizer = Letters(size)
    monkeypatch.setitem(TOKENIZERS, "letters", tokenizer)
    rng = np.random.default_rng(5)
    sequences = [[FIRST, *rng.integers(4, size, n), SEP] for n in (3, 0, 40, 1, 7, 2, 11)]
    sequences[2][20] = size - 1  # the last one there is
    path = write(tmp_path / "tokens.arrow", sequences, tokenizer, [2, 1, 4])
    with pa.OSFile(str(path)) as source:
        table = pa.ipc.open_file(source).read_all()
    assert table.schema.field("tokens").type.value_type.bit_width == bits
    assert table.schema.metadata == {b"tokenizer": b"letters"}
    assert table["tokens"].to_pylist() == sequences

    file = TokenFile(path, ["topic"])
    assert file.tokenizer is tokenizer
    assert file.lengths.tolist() == [len(s) for s in sequences]
    for rows in (np.arange(7), np.array([6, 2, 2, 0]), np.array([1])):
        flat, offsets = file.flat_tokens(rows)
        assert flat.dtype.itemsize * 8 == bits
        assert [flat[a:b].tolist() for a, b in pairwise(offsets)] == [sequences[i] for i in rows]
        batch, width = file.batch(rows), max(len(sequences[i]) for i in rows)
        assert batch.ids.dtype == np.int64
        assert batch.ids.tolist() == [
            sequences[i] + [NO_LETTER] * (width - len(sequences[i])) for i in rows
        ]
        assert batch.content.sum(1).tolist() == [len(sequences[i]) - 2 for i in rows]
    again = tmp_path / "again.arrow"
    with write_token_files([again], ["topic"], tokenizer) as [writer]:
        writer.write_batch(file.record_batch(np.array([4, 2])))
    copied = TokenFile(again, ["topic"])
    assert copied.flat_tokens(np.arange(2))[0].tolist() == [*sequences[4], *sequences[2]]
    assert copied.ids.to_pylist() == ["a.txt:4", "a.txt:2"]


def test_a_token_beyond_the_vocabulary_of_the_file(tmp_path, monkeypatch):
    monkeypatch.setitem(TOKENIZERS, "letters", Letters())
    path = write(tmp_path / "tokens.arrow", [[FIRST, 30, SEP]], Letters(), [1])
    with pytest.raises(UserError, match="there is no token 30"):
        TokenFile(path, ["topic"]).batch(np.arange(1))


def test_a_file_says_which_tokenizer_made_it(token_file, sequences):
    file = TokenFile(token_file(sequences), RANKS)
    assert file.tokenizer is SIX_MERS
    with pa.OSFile(str(file.path)) as source:
        assert pa.ipc.open_file(source).schema.metadata == {b"tokenizer": b"six_mers"}


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        (None, "does not name its tokenizer: delete it and run again"),
        ({"tokenizer": ""}, "does not name its tokenizer: delete it and run again"),
        ({"other": "six_mers"}, "does not name its tokenizer: delete it and run again"),
        ({"tokenizer": "nobodys"}, "there is no tokenizer 'nobodys', only six_mers"),
    ],
)
def test_a_file_without_a_known_tokenizer_is_refused(tmp_path, metadata, words):
    path = tmp_path / "tokens.arrow"
    columns = schema(["phylum"], SIX_MERS).with_metadata(metadata)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, columns) as writer:
        writer.write_table(pa.table([["a"], [1], [[3, 7]], [0]], schema=columns))
    with pytest.raises(UserError, match=words) as error:
        TokenFile(path, ["phylum"])
    assert "\n" not in str(error.value)


def test_a_file_whose_tokens_are_of_another_integer_type(tmp_path):
    """It names six-mers, and holds four bytes for each: two tokens would be read for one."""
    path = tmp_path / "tokens.arrow"
    own = schema(["phylum"], SIX_MERS)
    fields = [pa.field("tokens", pa.list_(pa.uint32())) if f.name == "tokens" else f for f in own]
    columns = pa.schema(fields, own.metadata)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, columns) as writer:
        writer.write_table(pa.table([["a"], [1], [[3, 7]], [0]], schema=columns))
    with pytest.raises(UserError, match="a column is of another type"):
        TokenFile(path, ["phylum"])


def test_a_label_may_be_missing_but_no_class_be_beyond_the_model(token_file, tmp_path):
    labels = [[0, -1, 4], [-1, 2, -1], [-1, -1, -1]]
    file = TokenFile(token_file([[3, 9]] * 3, labels), RANKS)
    assert file.labels.tolist() == labels
    again = tmp_path / "again.arrow"
    with write_token_files([again], RANKS, SIX_MERS) as [writer]:
        writer.write_batch(file.record_batch(np.array([2, 0, 1])))
    assert TokenFile(again, RANKS).labels.tolist() == [labels[2], labels[0], labels[1]]
    file.check_classes([1, 3, 5])
    for counts, words in (
        ([1, 3, 4], "the class 4 of genus"),
        ([1, 2, 5], "the class 2 of phylum"),
    ):
        with pytest.raises(
            UserError, match=rf"tokens\.arrow has {words}, and the classes are 0 to"
        ):
            file.check_classes(counts)
