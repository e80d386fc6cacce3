"""Several labels in one field: what is a set of names, what is missing, and what is refused."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from whatyouread.data import labels as label_tables
from whatyouread.data.label_sets import NotNames, called, numbers_of, read_sets, written
from whatyouread.data.labels import class_table, label_sequences, label_table
from whatyouread.data.levels import Level
from whatyouread.data.normalisation import Settings
from whatyouread.data.record_labels import RecordLabels
from whatyouread.data.record_tables import SEVERAL
from whatyouread.data.sequences import read_sequences
from whatyouread.data.table_labels import TableLabels
from whatyouread.support.cli import UserError


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("NA OP", ["NA", "OP"]),
        (" OP  NA\tOP ", ["NA", "OP"]),
        ('["OP", "NA"]', ["NA", "OP"]),
        (SEVERAL + '["a b", 3]', ["3", "a b"]),
        ("[]", []),
        (SEVERAL + "[]", []),
        ("ä", ["ä"]),
    ],
)
def test_a_field_names_a_set(text, names):
    [made] = read_sets(pa.array([text])).to_pylist()
    assert json.loads(made) == names
    assert made == written(names)


def test_an_empty_field_is_missing_and_none_is_an_answer():
    assert read_sets(pa.array(["", None, "  ", "[]"])).to_pylist() == ["", "", "", "[]"]
    assert [called(text) for text in ("", "[]", '["a", "b"]')] == ["", "(none)", "a, b"]


def test_a_separator_leaves_blanks_within_names():
    made = read_sets(pa.array(["New York; Rome ;", "New York"]), ";").to_pylist()
    assert made == [written(["New York", "Rome"]), written(["New York"])]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('["a", ""]', "an empty label"),
        ('["a", null]', "an empty label"),
        ('["a", ["b"]]', "no list of labels"),
        (SEVERAL + '{"a": 1}', "no list of labels"),
        ('["a"', "is no list: close it"),
    ],
)
def test_what_names_no_labels_is_refused_with_its_row(text, words):
    with pytest.raises(NotNames, match=words) as caught:
        read_sets(pa.array(["a", "b", text, text]))
    assert caught.value.row == 2


def test_numbers():
    texts = [written(["b"]), "", "[]", written(["a", "c"]), written(["a", "z"])]
    assert numbers_of(texts, ["a", "b", "c"]).tolist() == [0b010, -1, 0, 0b101, -2]


def batch(tmp_path, *rows):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": "a"} | row) + "\n" for row in rows))
    [made] = read_sequences(path, settings=Settings(alphabet="text"))
    return made


def test_from_records_to_numbers(tmp_path):
    """Keys, the label table, the class table and the number of each sequence."""
    rows = [["NA", "OP"], ["OP"], [], None, ["OP", "NA"], "HI OP"]
    source = RecordLabels(None, RecordLabels.Settings(multiple=("register",)))
    source.prepare(["register"], None)
    keys = source.keys(batch(tmp_path, *({"labels": row} for row in rows)))
    counts = pd.Series(keys.to_pylist()).value_counts().sort_index()
    counts = pa.table(
        {
            "combination": list(counts.index),
            "sequences": pa.array(counts.to_numpy()),
            "empty": pa.array(np.zeros(len(counts), np.int64)),
        }
    )
    table = label_table(counts, source, ["register"], "exclude")
    status = dict(zip(table["register"], table["status"], strict=True))
    assert status.pop("") == "no register"
    assert status == dict.fromkeys(["NA, OP", "OP", "(none)", "HI, OP"], "kept")
    classes = class_table(table, source, ["register"])
    assert classes["name"].tolist() == ["HI", "NA", "OP"]
    assert classes["sequences"].tolist() == [1, 2, 4]
    assert set(classes["kind"]) == {"multiple"}
    level = Level("register", "label", *([("HI", "NA", "OP")] * 2), "multiple")
    index = pa.table({"combination": keys, "length": pa.array([1] * len(rows), pa.int32())})
    made = label_sequences(index, table.fillna(""), [level]).classes["register"]
    assert made.tolist() == [0b110, 0b100, 0, -1, 0b110, 0b101]
    assert made.dtype == np.int64
    summary = label_tables.summary_table(
        table, classes, {"sequences in the archive": 6}, source, ["register"], {}
    )
    rows = summary.set_index("quantity")["value"]
    assert rows["kept sequences with none of register"] == 1


def test_from_a_table(tmp_path):
    path = tmp_path / "labels.tsv"
    path.write_text("id\ttopic\tregister\na\tx\tNA,OP\nb\ty\t\nc\tx\t[]\n")
    settings = TableLabels.Settings(hierarchy=False, multiple=("register",), separator=",")
    source = TableLabels(path, settings)
    source.prepare(["topic", "register"], None)
    found = source.labels(source.lookup.find(pa.array(["a", "b", "c"])), ["topic", "register"])
    assert found["topic_label"].tolist() == ["x", "y", "x"]
    assert found["register"].tolist() == ["NA, OP", "", "(none)"]
    assert found["register_label"].fillna("").tolist() == ['["NA", "OP"]', "", "[]"]
    path.write_text('id\tregister\na\tx\nb\t["x", ""]\n')
    with pytest.raises(UserError, match=r"labels.tsv, row 2, register: .*an empty label"):
        TableLabels(path, TableLabels.Settings(multiple=("register",))).prepare(["register"], None)


@pytest.mark.parametrize(
    ("levels", "settings", "words"),
    [
        (["a", "b"], {"multiple": ("b",)}, "set labels.hierarchy: false"),
        (["a"], {"multiple": ("z",)}, "'z', which is none of the ranks: a"),
    ],
)
def test_levels_that_cannot_be_multiple(levels, settings, words):
    source = RecordLabels(None, RecordLabels.Settings(**settings))
    with pytest.raises(UserError, match=words):
        source.prepare(levels, None)


def test_too_many_classes_are_refused(tmp_path):
    names = [f"n{number:02}" for number in range(63)]
    source = RecordLabels(None, RecordLabels.Settings(multiple=("tag",)))
    source.prepare(["tag"], None)
    for count, fits in ((62, True), (63, False)):
        keys = source.keys(batch(tmp_path, {"tag": names[:count]}))
        counts = pa.table({"combination": keys, "sequences": [1], "empty": [0]})
        table = label_table(counts, source, ["tag"])
        if fits:
            assert len(class_table(table, source, ["tag"])) == 62
        else:
            with pytest.raises(UserError, match=r"level tag has 63 classes, .* holds 62 at most"):
                class_table(table, source, ["tag"])
