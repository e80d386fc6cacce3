"""Labels that are looked up in the classes of a classifier."""

import pandas as pd
import pyarrow as pa
import pytest

from whatyouread.data.given_classes import UNKNOWN, classes_of_classifier, labels_of_classifier
from whatyouread.data.labels import label_table
from whatyouread.data.levels import Level, read_levels
from whatyouread.data.no_labels import NoLabels
from whatyouread.data.record_labels import RecordLabels
from whatyouread.support.cli import UserError
from whatyouread.support.files import write_tsv

NAMED = Level("kind", "label", ("b", "a", "c"), ("b", "a", "c"))
NUMBERED = Level("kind", "label", ("LABEL_0", "LABEL_1"), ("LABEL_0", "LABEL_1"))


def table(names, sequences=None):
    """A label table of one level, a row per name; "" is a missing label."""
    return pd.DataFrame(
        {
            "combination": names,
            "kind": names,
            "kind_path": [name or None for name in names],
            "sequences": sequences or [10] * len(names),
            "empty": 1,
            "status": ["kept" if name else "no kind" for name in names],
        }
    )


SOURCE = RecordLabels(None, RecordLabels.Settings())


def test_classes_keep_the_numbers_of_the_classifier(tmp_path, caplog):
    made = labels_of_classifier(table(["a", "b", "d", ""], [5, 7, 3, 2]), SOURCE, "kind", NAMED)
    assert made["status"].tolist() == ["kept", "kept", UNKNOWN, "no kind"]
    assert made["kind_path"].fillna("-").tolist() == ["a", "b", "-", "-"]
    assert (
        "labels that are no class of the classifier are left out: d; it knows b, a, c"
        in caplog.text
    )
    classes = classes_of_classifier(made, SOURCE.path, "kind", NAMED.names)
    assert classes["name"].tolist() == ["b", "a", "c"]
    assert classes["sequences"].tolist() == [6, 4, 0]  # one of each is empty
    write_tsv(tmp_path / "classes.tsv", classes)
    assert read_levels(tmp_path / "classes.tsv")["kind"].names == NAMED.names


@pytest.mark.parametrize(("given", "found"), [("1", "LABEL_1"), ("LABEL_0", "LABEL_0")])
def test_a_class_without_a_name_is_known_by_its_number(given, found):
    made = labels_of_classifier(table([given]), SOURCE, "kind", NUMBERED)
    assert made["kind_path"].tolist() == [found]
    assert made["status"].tolist() == ["kept"]


def test_numbers_are_no_names_where_classes_have_names():
    with pytest.raises(UserError, match="the labels are 0, 1; it knows b, a, c"):
        labels_of_classifier(table(["0", "1"]), SOURCE, "kind", NAMED)


def test_records_without_any_label_are_kept_where_there_are_no_labels():
    source = NoLabels(None, NoLabels.Settings())
    counts = pa.table({"combination": [""], "sequences": [9], "empty": [2]})
    made = label_table(counts, source, ["kind"])
    assert made["status"].tolist() == ["kept"]
    made = labels_of_classifier(made, source, "kind", NAMED)
    assert made["status"].tolist() == ["kept"]
    assert made[f"kind_{source.path}"].isna().all()
    assert classes_of_classifier(made, source.path, "kind", NAMED.names)["sequences"].sum() == 0


def test_a_file_is_refused_where_there_are_no_labels(tmp_path):
    with pytest.raises(UserError, match="reads no file"):
        NoLabels(tmp_path / "labels.tsv", NoLabels.Settings())


SEVERAL = NAMED._replace(kind="multiple")


def test_several_labels_of_a_classifier_that_names_several():
    source = RecordLabels(None, RecordLabels.Settings(multiple=("kind",)))
    source.prepare(["kind"], None)
    made = table(['["a", "b"]', "[]", '["a", "z"]', ""], [5, 3, 4, 2])
    made = labels_of_classifier(
        made.rename(columns={"kind_path": "kind_label"}), source, "kind", SEVERAL
    )
    assert made["status"].tolist() == ["kept", "kept", UNKNOWN, "no kind"]
    assert made["kind_label"].fillna("-").tolist() == ['["a", "b"]', "[]", "-", "-"]
    assert made["kind"].tolist() == ["a, b", "(none)", "", ""]
    classes = classes_of_classifier(made, "label", "kind", SEVERAL.names, "multiple")
    assert classes["sequences"].tolist() == [4, 4, 0]
    assert set(classes["kind"]) == {"multiple"}


def test_one_label_of_a_classifier_that_names_several_is_a_set():
    made = labels_of_classifier(table(["a", "z", ""]), SOURCE, "kind", SEVERAL)
    assert made["kind_path"].fillna("-").tolist() == ['["a"]', "-", "-"]
    assert made["status"].tolist() == ["kept", UNKNOWN, "no kind"]


def test_several_labels_of_a_classifier_that_names_one():
    source = RecordLabels(None, RecordLabels.Settings(multiple=("kind",)))
    source.prepare(["kind"], None)
    with pytest.raises(
        UserError, match=r"labels.multiple names kind, and the classifier chooses one"
    ):
        labels_of_classifier(table(["a"]), source, "kind", NAMED)
