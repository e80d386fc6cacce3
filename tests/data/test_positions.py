"""Positions of a user against the records of a dataset, by hand and against a loop over characters."""

import gzip
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers_workflow import PROJECT

from whatyouread.data.normalisation import Settings
from whatyouread.data.positions import (
    CUT_OFF,
    OF_OTHERS,
    OF_TEST,
    UNKNOWN,
    log_positions,
    placed_positions,
    read_positions,
)
from whatyouread.support.cli import UserError

RECORDS = [  # source, header, length, split
    ("a.fa", "one first of all", 20, "train"),
    ("a.fa", "two", 30, "test"),
    ("b.fa", "three\ttabbed", 40, "test"),
    ("b.fa", "four 7", 0, "none"),
]


def tables(records):
    source, header, length, split = zip(*records, strict=True)
    index = {
        "source": pa.array(source).dictionary_encode(),
        "header": pa.array(header),
        "length": pa.array(length, pa.int32()),
    }
    return pa.table(index), pa.table({"split": pa.array(split).dictionary_encode()})


def placed(tmp_path, text, records=RECORDS, **settings):
    path = tmp_path / "known.bed"
    path.write_text(text)
    made, summary = placed_positions(
        read_positions(path), *tables(records), Settings(**settings), path
    )
    counts = dict(zip(summary["quantity"], summary["value"], strict=True))
    return made.to_numpy().tolist(), counts


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_in_bed(tmp_path, packed):
    text = (
        b"# made by hand\ntrack name=x\ntwo\t0\t7\ttRNA:tRNA-Trp\t0\t+\r\n\ntwo 5 6 a:b:c\n"
        b"x\t1\t2\ny\t0\t1\t.\n"
    )
    path = tmp_path / ("known.bed" + ".gz" * packed)
    path.write_bytes(gzip.compress(text) if packed else text)
    assert read_positions(path).to_numpy().tolist() == [
        [3, "two", 0, 7, "tRNA:tRNA-Trp", "tRNA"],
        [5, "two", 5, 6, "a:b:c", "a"],
        [6, "x", 1, 2, "known", "known"],
        [7, "y", 0, 1, "known", "known"],
    ]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("two\t5\t5\tx", "not a line of BED"),
        ("two\t6\t5\tx", "not a line of BED"),
        ("two\t-1\t5\tx", "not a line of BED"),
        ("two\t1.0\t5\tx", "not a line of BED"),
        ("two\t5", "not a line of BED"),
        ("two\t0\t9\tx\t0\t+\t0\t9\t0\t2\t2,3\t0,6", "2 blocks"),
        ("two\t0\t9\t:x", "rename it"),
        ("two\t0\t9\tAny:x", "rename it"),
        ("two\t0\t9\ta\x0bb", "rename it"),
    ],
)
def test_a_bad_line_is_refused_by_its_number(tmp_path, line, complaint):
    path = tmp_path / "known.bed"
    path.write_text(f"two\t0\t7\ttRNA\n{line}\n")
    with pytest.raises(UserError, match=f"known.bed, line 2: .*{complaint}") as error:
        read_positions(path)
    assert "\n" not in str(error.value)
    path.write_text("# nothing\n")
    with pytest.raises(UserError, match="no position in it"):
        read_positions(path)


def test_positions_of_test_sequences_are_kept_and_all_others_counted(tmp_path):
    text = (
        "three\t39\t40\tb\ntwo\t0\t30\ta:x\none\t3\t9\ta\nfour\t0\t1\ta\n"
        "five\t0\t5\ta\ntwo\t4\t6\tb\nthre\t0\t5\tb\nfive\t0\t5\ta\n"
    )
    made, counts = placed(tmp_path, text)
    assert made == [
        ["a.fa", "two", "a", "a:x", 0, 30],
        ["a.fa", "two", "b", "b", 4, 6],
        ["b.fa", "three\ttabbed", "b", "b", 39, 40],
    ]
    assert counts == {
        "positions in the file": 8,
        OF_TEST: 3,
        OF_OTHERS: 2,
        UNKNOWN: 3,
        CUT_OFF: 0,
        "test sequences with positions": 2,
        "positions of a": 1,
        "positions of b": 2,
    }


def test_unknown_ids_are_named_in_a_warning(tmp_path, caplog):
    path = tmp_path / "known.bed"
    path.write_text("two\t0\t1\nfive\t0\t1\nsix\t0\t1\nfive\t2\t3\n")
    summary = placed_positions(read_positions(path), *tables(RECORDS), Settings(), path)[1]
    log_positions(summary)
    [warning] = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert warning == f"3 {UNKNOWN} ('five', 'six')"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("two\t0\t31\n", "line 1: 0-31 ends behind the record 'two', which has 30 characters: "),
        ("two\t0\t3\ntwo\t30\t31\nthree\t0\t41\n", "line 2: 30-31 ends behind .*and so do 1 more"),
        (
            "Two\t0\t3\ntwo,\t0\t3\n",
            "are called 'one', 'two', 'three', the positions 'Two', 'two,'",
        ),
        ("one\t0\t3\nfive\t0\t3\n", "none of its 2 positions lies in a test sequence"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path, text, complaint):
    with pytest.raises(UserError, match=complaint) as error:
        placed(tmp_path, text)
    assert "\n" not in str(error.value)


def test_an_id_of_two_records_is_refused_where_one_is_a_test_sequence(tmp_path):
    records = [*RECORDS, ("c.fa", "two again", 30, "train"), ("c.fa", "one", 20, "validation")]
    with pytest.raises(
        UserError, match=r"'two' is that of 2 records \('a\.fa:two' and 'c\.fa:two ag"
    ):
        placed(tmp_path, "two\t0\t3\n", records)
    # nobody asks which of them it is
    made, _ = placed(tmp_path, "three\t0\t3\none\t0\t3\n", records)
    assert len(made) == 1


def test_what_was_cut_off_is_counted(tmp_path):
    text = "two\t25\t35\ta\ntwo\t30\t40\ta\nthree\t0\t3\ta\n"
    made, counts = placed(tmp_path, text, max_length=30)
    assert [row[4:] for row in made] == [[25, 30], [0, 3]]
    assert (counts[OF_TEST], counts[CUT_OFF], counts[OF_OTHERS]) == (2, 2, 1)
    with pytest.raises(UserError, match="ends behind"):  # not cut: it has 30 bases, the limit is 40
        placed(tmp_path, text, max_length=40)


WINDOWED = [
    ("a.fa", "w of three 1-10", 10, "test"),
    ("a.fa", "w of three 11-20", 0, "none"),
    ("a.fa", "w of three 21-29", 9, "test"),
    ("a.fa", "v 1-10", 10, "test"),  # a header that ends like a window's
    ("a.fa", "u 11-20", 7, "test"),
]


def test_windows_keep_the_positions_of_their_record(tmp_path):
    text = "w\t8\t23\ta\nw\t28\t29\tb\nw\t12\t20\ta\nv\t9\t10\ta\nu\t0\t7\ta\n"
    made, counts = placed(tmp_path, text, WINDOWED, max_length=10, longer="window")
    assert made == [
        ["a.fa", "w of three 1-10", "a", "a", 8, 10],
        ["a.fa", "w of three 21-29", "a", "a", 0, 3],
        ["a.fa", "w of three 21-29", "b", "b", 8, 9],
        ["a.fa", "v 1-10", "a", "a", 9, 10],
        ["a.fa", "u 11-20", "a", "a", 0, 7],
    ]
    assert (counts[OF_TEST], counts[OF_OTHERS], counts["positions of a"]) == (4, 1, 3)
    with pytest.raises(UserError, match="'w', which has 29 characters"):
        placed(tmp_path, "w\t28\t30\n", WINDOWED, max_length=10, longer="window")
    with pytest.raises(UserError, match="'w' is that of 3 records"):  # without windows
        placed(tmp_path, "w\t0\t1\n", WINDOWED)


@pytest.mark.parametrize("seed", range(10))
def test_against_a_loop_over_characters(tmp_path, seed):
    """Each character of each test sequence or window is known or not, as in the user's coordinates."""
    rng = np.random.default_rng(seed)
    records, truth, lines = [], {}, []
    for i in range(12):
        length = int(rng.integers(1, 40))
        known = np.zeros(length, bool)
        for _ in range(int(rng.integers(0, 3))):
            start = int(rng.integers(0, length))
            end = int(rng.integers(start + 1, length + 1))
            known[start:end] = True
            lines.append(f"r{i}\t{start}\t{end}\tg{i % 2}:x\n")
        pieces = -(-length // 10)
        for j in range(pieces):
            low, high = j * length // pieces, (j + 1) * length // pieces
            header = f"r{i} text" + (f" {low + 1}-{high}" if pieces > 1 else "")
            split = str(rng.choice(["test", "train"]))
            records.append(("a.fa", header, high - low, split))
            if split == "test":
                truth[header] = known[low:high]
    rng.shuffle(lines)
    if not any(known.any() for known in truth.values()):
        pytest.skip("nothing known in the test split")
    made, _ = placed(tmp_path, "".join(lines), records, max_length=10, longer="window")
    found = {header: np.zeros(len(known), bool) for header, known in truth.items()}
    for _, header, _, _, start, end in made:
        assert 0 <= start < end <= len(found[header])
        found[header][start:end] = True
    for header, known in truth.items():
        np.testing.assert_array_equal(found[header], known)


def test_the_program_counts_the_characters_of_texts(tmp_path):
    """An "é" is one character and two bytes; a position may end with the last one, and not behind it."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "t.tsv").write_text("id\ttext\na\tééééé\nb\tx\n", encoding="utf-8")
    index, splits = tables([("t.tsv", "a", 10, "test"), ("t.tsv", "b", 1, "train")])
    pq.write_table(index, tmp_path / "sequences.parquet")
    pq.write_table(splits, tmp_path / "splits.parquet")

    def run(text):
        (tmp_path / "known.bed").write_text(text)
        return subprocess.run(
            [sys.executable, PROJECT / "scripts" / "place_positions.py", "--positions", "known.bed",
             "--dataset", "data", "--sequences", "sequences.parquet", "--splits", "splits.parquet",
             "--sequence-settings", '{"alphabet": "text"}', "--placed", "placed.parquet",
             "--summary", "summary.tsv"],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip

    done = run("a\t4\t6\n")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "'a', which has 5 characters" in done.stderr
    assert not (tmp_path / "placed.parquet").exists()
    done = run("a\t4\t5\n")
    assert done.returncode == 0, done.stderr
    made = pd.read_parquet(tmp_path / "placed.parquet")
    assert made[["header", "start", "end"]].to_numpy().tolist() == [["a", 4, 5]]
    assert pd.read_csv(tmp_path / "summary.tsv", sep="\t")["value"].iloc[0] == 1
