"""Tables that somebody else made: what divides them, what they are packed in, and what is refused."""

import bz2
import gzip
import lzma
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whatyouread.data.label_files import columns_of, first_fields, read_batches, read_columns
from whatyouread.support.cli import UserError

ROWS = [["id", "top level", "genus"], ["s1", "A", "Aus bus"], ["s2", "", "NA"], ["3", "Ä", "x;y"]]


def written(path, rows, delimiter="\t", end="\n", before=b"", pack=lambda data: data):
    text = "".join(delimiter.join(row) + end for row in rows)
    path.write_bytes(pack(before + text.encode()))
    return path


def read(path, header=True):
    names = [f"c{place}" for place in range(len(first_fields(path)))]
    table = read_columns(path, {name: place for place, name in enumerate(names)}, header)
    assert set(table.schema.types) == {pa.string()}
    return [list(row.values()) for row in table.to_pylist()]


@pytest.mark.parametrize("delimiter", ["\t", ","])
@pytest.mark.parametrize("end", ["\n", "\r\n", " \n", "\n\n"])
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\n\r\n"])
def test_text_in_any_dress(tmp_path, delimiter, end, before):
    path = written(tmp_path / "any.name", ROWS, delimiter, end, before)
    assert columns_of(path) == ROWS[0]
    assert read(path) == ROWS[1:]


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, bz2.compress, lzma.compress, lambda data: data],
    ids=lambda f: f.__module__,
)
def test_packed_whatever_it_is_called(tmp_path, pack):
    path = written(tmp_path / "labels.tsv", ROWS, pack=pack)
    assert columns_of(path) == ROWS[0]
    assert read(path) == ROWS[1:]


def test_a_table_without_a_header_and_without_a_last_line_end(tmp_path):
    path = tmp_path / "x"
    path.write_text("a\t1\nb\t2")
    assert read(path, header=False) == [["a", "1"], ["b", "2"]]


def test_semicolons_divide_where_nothing_else_does(tmp_path):
    assert read(written(tmp_path / "x.csv", [["id", "a"], ["s", "b,c"]], ";")) == [["s", "b,c"]]


def test_quoted_fields(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text('"id","the ""one"""\ns1,"a, b"\ns2,5" thick\n')
    assert columns_of(path) == ["id", 'the "one"']
    assert read(path) == [["s1", "a, b"], ["s2", '5" thick']]


def test_parquet(tmp_path):
    table = pa.table(
        {
            "id": pa.array([7, 8], pa.int64()),
            "skipped": pa.array([[1], [2]]),
            "kind": pa.array([" a ", None]).dictionary_encode(),
            "flag": [True, None],
        }
    )
    pq.write_table(table, path := tmp_path / "labels.tsv")
    assert columns_of(path) == ["id", "skipped", "kind", "flag"]
    made = read_columns(path, {"x": 0, "y": 3, "z": 2}, header=True)
    assert made.to_pydict() == {"x": ["7", "8"], "y": ["true", ""], "z": ["a", ""]}
    with pytest.raises(
        UserError, match=r"the column skipped is of type list.*: give one text per row"
    ):
        read_columns(path, {"x": 0, "y": 1}, header=True)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match="damaged"):
        columns_of(path)


def test_any_rows_come_back(tmp_path):
    """Random fields, in blocks of any size, against the rows that were written."""
    rng = random.Random(4)
    letters = "abcXYZ019 .-_()éß字'#|"
    for _ in range(40):
        width = rng.randrange(2, 6)
        rows = [
            [
                "".join(rng.choices(letters, k=rng.randrange(1, 9))).strip() or "x"
                for _ in range(width)
            ]
            for _ in range(rng.randrange(1, 60))
        ]
        path = written(tmp_path / "t", rows, end=rng.choice(["\n", "\r\n"]))
        assert read(path, header=False) == rows
        places = {"b": width - 1, "a": 0}
        longest = max(len("\t".join(row).encode()) for row in rows) + 3
        batches = read_batches(path, places, block_bytes=rng.choice([longest, 1 << 20]))
        found = [tuple(row.values()) for batch in batches for row in batch.to_pylist()]
        assert [(b.strip(), a.strip()) for b, a in found] == [(row[-1], row[0]) for row in rows]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"\n\n", "the file is empty"),
        (b"id\n", "one column only, 'id'"),
        (b">s1\nACGT\n", "one column only, '>s1'"),
        (b"id\ta\ta \n", "two columns are called 'a'"),
        (b"id\t\tb\n", "column 2 of the header has no name"),
        (b"id\ta\ns1\tx\ty\n", r"row 2: 3 fields, where the first row has 2: 's1\\tx\\ty'"),
        (b"id\ta\tb\ns1\tx\ty\ns2\tx\n", r"row 3: 2 fields, where the first row has 3: 's2\\tx'"),
        (b"id\ta\ns1\t\xe9\n", "cannot be read as a table in UTF-8"),
        (b"\xff\xfei\x00d\x00", "UTF-16: convert it"),
        (b"id\xe9\ta\n", "no text in UTF-8"),
        (b'id\ta\ns1\t"x\ns2\ty\ns3\tz"\n', "a quotation mark open there"),
        (b'id\ta\ns1\t"x\ns2\ty\n', "a quotation mark open there"),
        (b'id\ta\ns1\t"x\ty"\n', "a tab or a line end within a value"),
        (gzip.compress(b"id\ta\ns1\tx\n")[:-9], "truncated or damaged"),
    ],
)
def test_what_is_refused(tmp_path, content, words):
    (path := tmp_path / "labels.tsv").write_bytes(content)

    def whole():
        names = columns_of(path)
        read_columns(path, {name: place for place, name in enumerate(names)}, header=True)

    with pytest.raises(UserError, match=words) as error:
        whole()
    assert "labels.tsv" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_row_of_a_later_block_is_named(tmp_path):
    rows = [["id", "a"], *([f"s{n}", "x"] for n in range(2, 900)), ["s900"], ["s901", "x"]]
    path = written(tmp_path / "t", rows)
    with pytest.raises(UserError, match=r"row 900: 1 fields, where the first row has 2: 's900'"):
        list(read_batches(path, {"a": 0}, block_bytes=64))


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(UserError, match="a folder: give a file"):
        columns_of(tmp_path)
