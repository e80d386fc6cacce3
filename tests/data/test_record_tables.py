"""Texts in TSV, CSV and JSONL: the text as it is, the id as header, all else as fields."""

import bz2
import csv
import gzip
import io
import itertools
import json
import random

import numpy as np
import pytest

from whatyouread.data.normalisation import Settings
from whatyouread.data.sequences import read_sequences
from whatyouread.support.cli import UserError

TEXT = Settings(alphabet="text")


def records(path, settings=TEXT, **options):
    """(header, text, fields, line) of all records."""
    found = []
    for batch in read_sequences(path, settings=settings, **options):
        raw = batch.bases.tobytes()
        texts = [raw[a:b].decode() for a, b in itertools.pairwise(batch.offsets)]
        fields = batch.fields.to_pylist()
        found += zip(batch.headers.to_pylist(), texts, fields, batch.lines.tolist(), strict=True)
    return found


def write(tmp_path, name, content):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return tmp_path / name


def test_tsv(tmp_path):
    path = write(
        tmp_path, "a.tsv", "id\tlabel\ttext\nx 1\tgood\tHe said \"no\", 'and' left\ny\t\t å \n"
    )
    assert records(path) == [
        ("x 1", "He said \"no\", 'and' left", {"label": "good"}, 2),
        ("y", " å ", {"label": None}, 3),
    ]


def test_csv_is_quoted_by_its_rules(tmp_path):
    path = write(tmp_path, "a.csv", 'text,label\n"one, ""two""\nthree",a\nfour,b\n')
    assert records(path) == [
        ("1", 'one, "two"\nthree', {"label": "a"}, 2),
        ("2", "four", {"label": "b"}, 4),
    ]


def test_jsonl(tmp_path):
    lines = [
        {"text": "tab\tand\nline", "id": 7, "label": "a", "more": 1.5, "flag": True, "none": None},
        {"label": ["a", "b"], "text": "å 🦊"},
    ]
    path = write(tmp_path, "a.jsonl", "\n\n".join(map(json.dumps, lines)))
    first, second = records(path)
    assert first[:2] == ("7", "tab\tand\nline")
    assert first[2] == {"label": "a", "more": "1.5", "flag": "true", "none": None}
    assert second == (
        "2",
        "å 🦊",
        {"label": '\0["a", "b"]', "more": None, "flag": None, "none": None},
        3,
    )


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_packed_and_lines_of_windows_and_a_byte_order_mark(tmp_path, pack, line_end):
    text = "\ufefftext\tlabel\none two\ta\nthree\tb\n".replace("\n", line_end)
    path = write(tmp_path, "a.tsv.gz", pack(text.encode()))
    assert [r[:3] for r in records(path)] == [
        ("1", "one two", {"label": "a"}),
        ("2", "three", {"label": "b"}),
    ]


def test_members_of_a_dataset_beside_others(tmp_path):
    write(tmp_path, "b.tsv", "TEXT\tlabel\nACGT\tx\n")
    write(tmp_path, "a.fa", ">1\nACGTAC\n")
    write(tmp_path, "notes.tsv", "name\tvalue\na\t1\n")  # no column of texts
    skipped = []
    found = list(read_sequences(tmp_path, settings=Settings(), skipped=skipped))
    assert [(b.source, b.fields is None) for b in found] == [("a.fa", True), ("b.tsv", False)]
    assert skipped == ["notes.tsv"]


@pytest.mark.parametrize("size", [1, 7, 40, 1 << 20])
@pytest.mark.parametrize("kind", ["tsv", "csv", "jsonl"])
def test_any_texts_come_back_whatever_the_blocks(tmp_path, kind, size):
    draws = random.Random(f"{kind} {size}")
    letters = "aé中🦊 ,.;\"'\\" + ("\t\n" if kind == "jsonl" else "\n" if kind == "csv" else "")
    texts = ["".join(draws.choices(letters, k=draws.randint(0, 20))) + "." for _ in range(60)]
    labels = [draws.choice(["a", "b c", "ö"]) for _ in texts]
    if kind == "jsonl":
        pairs = zip(texts, labels, strict=True)
        content = "".join(json.dumps({"text": t, "label": x}) + "\n" for t, x in pairs)
    elif kind == "csv":
        stream = io.StringIO()
        csv.writer(stream, lineterminator="\n").writerows(
            [("text", "label"), *zip(texts, labels, strict=True)]
        )
        content = stream.getvalue()
    else:
        rows = [f"{t}\t{x}\n" for t, x in zip(texts, labels, strict=True)]
        content = "text\tlabel\n" + "".join(rows)
    path = write(tmp_path, f"a.{kind}", content)
    found = records(path, block_bytes=size)
    assert [r[1] for r in found] == texts
    assert [r[2]["label"] for r in found] == labels
    assert [r[0] for r in found] == [str(i) for i in range(1, 61)]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "a.tsv",
            "text\tlabel\none\ta\ntwo\n",
            "a.tsv, line 3: 1 columns, and the first line names 2",
        ),
        ("a.tsv", "text\tlabel\none\ta\tb\n", "a.tsv, line 2: 3 columns"),
        ("a.tsv", "text\tx\tx\none\ta\tb\n", "a.tsv, line 1: two columns are called 'x'"),
        ("a.csv", 'text,label\n"one,a\n', "a.csv, line 2: unexpected end of data"),
        ("a.csv", 'text,label\nb,c\n"one"x,a\n', "a.csv, line 3: "),
        ("a.jsonl", '{"text": "a"}\n{"text": \n', "a.jsonl, line 2: this is no JSON"),
        ("a.jsonl", '{"text": "a"}\n["text"]\n', "a.jsonl, line 2: expected an object"),
        ("a.jsonl", '{"text": "a"}\n\n{"label": "a"}\n', "a.jsonl, line 3: it has no text"),
        ("a.jsonl", '{"text": 3}\n', "a.jsonl, line 1: it has no text"),
        ("a.jsonl", '{"text": "\\ud800"}\n', "a.jsonl, line 1: half a character"),
        ("a.jsonl", '{"text": "a", "id": [1]}\n', "a.jsonl, line 1: the id is no text"),
        ("a.jsonl", '{"text": "a", "id": "b\\nc"}\n', r"line 1: the id 'b\\nc' is empty or holds"),
        ("a.tsv", b"text\tlabel\n\xe5\ta\n", "a.tsv: a byte that is no UTF-8"),
    ],
)
def test_rows_that_cannot_be_read(tmp_path, name, content, message):
    with pytest.raises(UserError) as caught:
        records(write(tmp_path, name, content))
    assert "\n" not in str(caught.value)
    assert message.replace(r"\\n", r"\n") in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("AC GT", "white space inside"), ("ACé", "a letter that is not ASCII")],
)
def test_sequences_in_tables_are_one_word(tmp_path, text, message):
    path = write(tmp_path, "a.tsv", f"sequence\tlabel\n ACGT \ta\n{text}\tb\n")
    with pytest.raises(UserError, match=f"a.tsv, line 3: {message}"):
        records(path, Settings())
    path.write_text("sequence\tlabel\n ACGT \ta\n")
    assert [r[1] for r in records(path, Settings())] == ["ACGT"]


def test_texts_of_nothing_are_counted_and_not_used(tmp_path):
    path = write(tmp_path, "a.tsv", "text\tlabel\n\ta\n \ta\nb\ta\n")
    [batch] = read_sequences(path, settings=TEXT)
    assert np.diff(batch.offsets).tolist() == [0, 0, 1]
    assert {k: v.tolist() for k, v in batch.findings.items()} == {
        "empty sequences": [True, False, False],
        "texts of white space alone": [False, True, False],
    }


def test_windows_of_characters_keep_their_fields(tmp_path):
    path = write(tmp_path, "a.tsv", "text\tlabel\né中🦊ab\ta\nxy\tb\n")
    found = records(path, Settings(alphabet="text", max_length=2, longer="window"))
    assert [r[:3] for r in found] == [
        ("1 1-1", "é", {"label": "a"}),
        ("1 2-3", "中🦊", {"label": "a"}),
        ("1 4-5", "ab", {"label": "a"}),
        ("2", "xy", {"label": "b"}),
    ]
    found = records(path, Settings(alphabet="text", max_length=3, longer="cut"))
    assert [r[1] for r in found] == ["é中🦊", "xy"]


@pytest.mark.parametrize(
    ("start", "name", "kind"),
    [
        (b'{"text": "x"}\n', "x.tsv", "jsonl"),
        (b'\n {"sequence": "x"}', "-", "jsonl"),
        (b"text\nx\n", "x.csv", "csv"),
        (b"text\nx\n", "standard input", "tsv"),
        (b"id\tText\n", "standard input", "tsv"),
        (b"id,text\n", "standard input", "csv"),
        (b"id,sequence\n", "x.tsv", "csv"),
        (b"id,text\n", "x.jsonl", "csv"),
        (b"id,label\n", "x.csv", None),
        (b">a\nMKV\n", "x.fa", None),
        (b"\xff\x00text", "x.csv", None),
        (b"", "x.csv", None),
    ],
)
def test_the_kind_of_a_table_by_its_first_line(start, name, kind):
    from whatyouread.data.record_tables import kind_by_content

    assert kind_by_content(start, name) == kind
