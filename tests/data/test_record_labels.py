"""Labels that are fields of the records."""

import json

import pytest

from whatyouread.data.label_sources import find_label_source
from whatyouread.data.normalisation import Settings
from whatyouread.data.record_labels import RecordLabels
from whatyouread.data.sequences import read_sequences
from whatyouread.support.cli import UserError


def source(*levels, **settings):
    assert find_label_source("record") is RecordLabels
    made = RecordLabels(None, RecordLabels.Settings(**settings))
    made.prepare(levels, None)
    return made


def batch(tmp_path, *rows):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"text": "a"} | row) + "\n" for row in rows))
    [made] = read_sequences(path, settings=Settings(alphabet="text"))
    return made


@pytest.mark.parametrize("name", ["label", "labels", "topic"])
def test_the_field_of_a_single_level(tmp_path, name):
    made = source("topic")
    keys = made.keys(batch(tmp_path, *({name: x} for x in ("b", "a", None, "b", " c ", 3))))
    assert keys.to_pylist() == ["b", "a", "", "b", "c", "3"]
    table = made.labels(keys.unique(), ["topic"])
    assert table["topic"].tolist() == ["b", "a", "", "c", "3"]
    assert table["topic_path"].isna().tolist() == [False, False, True, False, False]
    assert (table["problem"] == "").all()


def test_several_levels_below_each_other(tmp_path):
    rows = [("x", "one"), ("y", "one"), ("x", "two;"), ("x", "one")]
    made = source("top", "low")
    keys = made.keys(batch(tmp_path, *({"top": a, "low": b} for a, b in rows)))
    table = made.labels(keys.unique(), ["top", "low"])
    assert table["low"].tolist() == ["one", "one", "two;"]
    assert table["low_path"].tolist() == ["x;one", "y;one", r"x;two\;"]
    alone = source("top", "low", hierarchy=False)
    keys = alone.keys(batch(tmp_path, *({"top": a, "low": b} for a, b in rows)))
    assert alone.labels(keys.unique(), ["top", "low"])["low_label"].tolist() == [
        "one",
        "one",
        "two;",
    ]


def test_a_list_of_one_label(tmp_path):
    keys = source("label").keys(
        batch(tmp_path, {"labels": ["a b"]}, {"labels": []}, {"labels": "c"})
    )
    assert keys.to_pylist() == ["a b", "", "c"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"labels": ["a", "b"]}, "several labels at once"),
        ({"label": ["a", "b"]}, "several labels at once"),
        ({"labels": "a b"}, "several labels at once"),
        ({"label": {"a": 1}}, "label is no label"),
    ],
)
def test_several_labels_at_once_are_refused_by_name(tmp_path, row, message):
    made = batch(tmp_path, {"labels": "a"} if "labels" in row else {"label": "a"}, row)
    with pytest.raises(UserError, match=f"a.jsonl, line 2: .*{message}"):
        source("topic").keys(made)


def test_blanks_in_a_single_label_are_part_of_it(tmp_path):
    assert source("label").keys(batch(tmp_path, {"label": "New York"})).to_pylist() == ["New York"]


def test_fields_that_are_not_there(tmp_path):
    with pytest.raises(
        UserError, match=r"no record has a field topic or label or labels .*only other"
    ):
        source("topic").keys(batch(tmp_path, {"other": "a"}))
    with pytest.raises(UserError, match=r"no record has a field low \(ranks\), only top"):
        source("top", "low").keys(batch(tmp_path, {"top": "a"}))
    (tmp_path / "b.fa").write_text(">1\nACGT\n")
    [made] = read_sequences(tmp_path / "b.fa")
    with pytest.raises(UserError, match=r"b\.fa: its records have no fields"):
        source("topic").keys(made)
