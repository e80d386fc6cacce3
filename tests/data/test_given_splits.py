"""Splits that somebody else made, from the column to the summary."""

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers_splitting import rng, settings, tables
from tests.data.test_table_labels import label, split, write_fasta, write_rows

from whatyouread.data import split_summary, splitting
from whatyouread.data.given_splits import WORDS, given_splits, word_of
from whatyouread.data.label_source import GIVEN_SPLIT
from whatyouread.data.labels import label_sequences
from whatyouread.data.splitting import NONE, TEST, TRAIN, VALIDATION
from whatyouread.support.cli import UserError

TEXTS = ("--sequence-settings", json.dumps({"alphabet": "text"}))


def made(rows, used=(), **changed):
    """The index, labels, and what is given of (genus, word) for each sequence.

    Every pair of genus and word is a key of its own, as the label sources make them.
    """
    pairs = pd.DataFrame(rows, columns=["genus", "word"])
    keys = pairs.groupby(["genus", "word"]).ngroup().to_numpy()
    lengths = np.full(len(rows), 9)
    lengths[list(used)] = 0
    index, labels, levels = tables(keys, lengths=lengths)
    of_key = pairs.groupby(["genus", "word"]).size().reset_index(name="sequences")
    names = sorted(set(pairs["genus"]))
    labels = labels[["taxid", "status"]].assign(sequences=of_key["sequences"])
    labels[GIVEN_SPLIT] = of_key["word"]
    labels["genus_taxid"] = of_key["genus"]
    level = levels[1]._replace(paths=tuple(names), names=tuple(names))
    labelled = label_sequences(index, labels, [level])
    return index, labels, labelled, settings(given="fold", **changed)


def divide(index, labels, labelled, sizes, seed=1):
    given = given_splits(index, labels, sizes)
    return splitting.divide(index, labelled, sizes, seed, given=given)


def rows_of(data, division):
    table = split_summary.summary_table(data[0], division, data[2], {})
    return table.set_index("quantity")


WHOLE = [("a", "train")] * 4 + [("b", "Train")] * 3 + [("a", "TEST"), ("b", "test"), ("b", " dev ")]


@pytest.mark.parametrize(
    ("word", "place"),
    [
        *(("Train", TRAIN), ("Test", TEST), ("none", NONE), ("None", NONE), ("", NONE)),
        *((word, VALIDATION) for word in ("validation", "val", "VALID", "dev")),
    ],
)
def test_the_words_that_are_understood(word, place):
    index, labels, _, sizes = made([*WHOLE, ("a", word)])
    given = given_splits(index, labels, sizes)
    assert given.split.dtype == np.int8
    assert given.split.tolist() == [TRAIN] * 7 + [TEST] * 2 + [VALIDATION, place]
    assert set(WORDS.values()) == {TRAIN, VALIDATION, TEST, NONE}


def test_splits_are_used_as_they_are_given():
    data = made([*WHOLE, ("a", "none"), ("b", "test"), ("c", "test")], used=[11], test=0.9)
    division = divide(*data)
    expected = [TRAIN] * 7 + [TEST] * 2 + [VALIDATION, NONE, NONE, TEST]
    assert division.split.tolist() == expected
    # 0.5 of 7 training sequences, halves up; all of the one in validation
    assert [(division.explainer == part).sum() for part in (TRAIN, VALIDATION, TEST)] == [4, 1, 0]
    assert (division.explainer == TRAIN)[:7].sum() == 4
    assert "together" not in splitting.split_table(division, data[2]).column_names
    table = rows_of(data, division)
    for quantity, value in {
        "train sequences": 7,
        "validation sequences": 1,
        "test sequences": 3,
        "sequences in no split": 2,
        "sequences whose split is given": 11,
        "dropped: no split": 1,
        "given train sequences that are not used": 0,
        "given validation sequences that are not used": 0,
        "given test sequences that are not used": 1,
        "classes of rank genus that training has none of": 1,
        "test sequences of a genus that training has none of": 1,
        "classes of rank genus without a sequence of the test split": 0,
    }.items():
        assert table["value"][quantity] == value, quantity
    detail = table["detail"]
    assert detail["sequences whose split is given"] == "by the column fold (split.given)"
    assert detail["classes of rank genus that training has none of"] == "c"
    assert set(split_summary.doubtful(table.reset_index())) == {
        *(f"given {name} sequences that are not used" for name in ("train", "validation", "test")),
        "classes of rank genus that training has none of",
        "test sequences of a genus that training has none of",
    }


@pytest.mark.parametrize("seed", range(8))
def test_a_validation_split_that_is_not_given_is_drawn_from_train(seed):
    random = rng(seed)
    rows = [(g, w) for g in "abc" for w in ("train", "test")]
    rows += [
        (str(random.choice(["a", "b", "c"])), str(random.choice(["train", "test", "none"])))
        for _ in range(100)
    ]
    data = made(rows)
    index, labels, labelled, sizes = data
    given = given_splits(index, labels, sizes).split
    division = divide(*data, seed=seed)
    split = division.split
    for part in (TEST, NONE):
        assert ((split == part) == (given == part)).all()
    # 0.2 of those that are in a split, as where all splits are drawn
    assert (split == VALIDATION).sum() == int(0.2 * (given != NONE).sum() + 0.5)
    genus = labelled.classes["genus"]
    assert set(genus[split == TRAIN]) == {0, 1, 2}
    assert (divide(*data, seed=seed).split == split).all()
    assert (divide(*data, seed=seed + 100).split != split).any()
    detail = rows_of(data, division)["detail"]["sequences whose split is given"]
    assert detail.endswith("; the validation split is drawn from train")


def test_other_words_are_refused_by_name_with_their_numbers():
    index, labels, _, sizes = made([*WHOLE, ("a", "fold 3"), ("b", "fold 3"), ("a", "held out")])
    with pytest.raises(UserError, match=r"'fold 3' \(2\), 'held out' \(1\); understood are train"):
        given_splits(index, labels, sizes)


@pytest.mark.parametrize(
    ("rows", "used", "words"),
    [
        ([("a", "test"), ("b", "test"), ("a", "dev")], (), "no sequence into the train split"),
        ([("a", "train"), ("b", "train")], (), "no sequence into the test split"),
        (WHOLE, (9,), r"validation split is empty .*none of the sequences that the column fold"),
        (WHOLE, (7, 8), "test split is empty .*fold"),
        (WHOLE, (7,), r"one genus only \(b\), and so no wrong classes: the column fold"),
        ([("a", x) for x in ("train", "dev", "test")], (), "column fold .*a single genus"),
        (
            [("a", "train"), ("b", "train"), ("a", "test"), ("b", "test")],
            (),
            "validation split is empty with 4 sequences: give it a larger fraction",
        ),
    ],
)
def test_splits_that_cannot_be_used(rows, used, words):
    with pytest.raises(UserError, match=words):
        divide(*made(rows, used))


def test_settings_that_contradict_and_a_table_without_the_column():
    with pytest.raises(UserError, match=r"split\.given is 'x' and split\.group_by 'cluster'"):
        settings(given="x", group_by="cluster")
    assert settings(given="x", test=0.9, validation=0.9).given == "x"  # test is not used
    index, labels, _, sizes = made(WHOLE)
    with pytest.raises(UserError, match="'fold', and the label table has no splits"):
        given_splits(index, labels.drop(columns=GIVEN_SPLIT), sizes)
    assert given_splits(index, labels, settings()) is None


KINDS = ["train"] * 5 + ["Valid"] * 2 + ["test"] * 2 + [""]
PLACES = {"train": "train", "Valid": "validation", "test": "test", "": "none"}


@pytest.mark.parametrize("column", ["split", "status", "my fold"])
def test_a_column_of_a_table(tmp_path, column):
    """Any name does; two records with the same labels and another split are not one."""
    rows = [(f"s{i}", ("red", "blue")[i % 2], KINDS[i // 2 % 10], str(i)) for i in range(40)]
    write_rows(tmp_path / "t.tsv", rows, ("id", "colour", column, "other"))
    write_fasta(tmp_path / "x.fa", [*(row[0] for row in rows), "stranger"])
    options = ("--label-file", "t.tsv", "--source-settings", json.dumps({"split": column}))
    status, said = label(tmp_path, "table", *options, ranks=["colour"])
    assert status == 0, said
    made, summary = split(tmp_path, ["colour"], given=column)
    wanted = [PLACES[row[2]] for row in rows]
    assert made["split"].tolist() == [*wanted, "none"]
    assert made["colour"].tolist()[:6] == [1, 0, 1, 0, 1, 0]
    assert (made["colour"][40], summary["dropped: no split"]) == (-1, 4)
    assert summary["sequences in no split"] == 5
    table = pd.read_csv(tmp_path / "labels.tsv", sep="\t", keep_default_na=False)
    assert len(table) == 9  # two colours and four words, and the stranger
    classes = pd.read_csv(tmp_path / "classes.tsv", sep="\t")
    assert classes[["name", "sequences"]].to_numpy().tolist() == [["blue", 20], ["red", 20]]


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_field_of_the_records(tmp_path, kind):
    rows = [
        {"text": f"{i} words", "label": "ab"[i % 2], "split": KINDS[i // 2 % 10]} for i in range(40)
    ]
    if kind == "csv":
        pd.DataFrame(rows).to_csv(tmp_path / "x.csv", index=False)
    else:
        lines = [json.dumps({k: v or None for k, v in row.items()}) + "\n" for row in rows]
        (tmp_path / "x.jsonl").write_text("".join(lines))
    options = (
        *("--source-settings", json.dumps({"split": "split"})),
        *TEXTS,
    )
    status, said = label(tmp_path, "record", *options, ranks=["letter"], dataset=f"x.{kind}")
    assert status == 0, said
    made, summary = split(tmp_path, ["letter"], given="split")
    assert made["split"].tolist() == [PLACES[row["split"]] for row in rows]
    assert made["letter"].tolist() == [0, 1] * 20
    assert summary["test sequences"] == 8
    assert summary["train classes of rank letter"] == 2


def test_a_column_that_is_not_there(tmp_path):
    write_rows(tmp_path / "t.tsv", [("s1", "a")], ("id", "colour"))
    write_fasta(tmp_path / "x.fa", ["s1"])
    options = ("--label-file", "t.tsv", "--source-settings", json.dumps({"split": "fold"}))
    status, said = label(tmp_path, "table", *options, ranks=["colour"])
    assert status == 1
    assert "t.tsv has no column fold (split.given)" in said
    (tmp_path / "x.csv").write_text("text,label\none,a\n")
    options = (*options[2:], *TEXTS)
    status, said = label(tmp_path, "record", *options, ranks=["x"], dataset="x.csv")
    assert status == 1
    assert "no record has a field fold (split.given), only label" in said


# numbers of folds

FOLDS = [("a", "0")] * 4 + [("b", "1")] * 3 + [("a", "2"), ("b", "3"), ("a", " 3 "), ("a", "none")]


def test_folds_of_the_test_and_of_validation():
    index, labels, labelled, sizes = made(FOLDS, folds={"test": [3], "validation": ["2"]})
    division = divide(index, labels, labelled, sizes)
    expected = [TRAIN] * 7 + [VALIDATION, TEST, TEST, NONE]
    assert division.split.tolist() == expected


def test_without_a_fold_for_validation_it_is_drawn_from_training():
    index, labels, labelled, sizes = made(FOLDS, folds={"test": [2, 3]}, validation=0.2)
    split = divide(index, labels, labelled, sizes).split
    assert split[7:].tolist() == [TEST, TEST, TEST, NONE]
    assert (split[:7] == VALIDATION).sum() == 2  # a fifth of ten
    assert set(split[:7]) == {TRAIN, VALIDATION}


@pytest.mark.parametrize(
    ("folds", "message"),
    [
        ({"test": [4]}, "split.folds.test: the column fold .* has no '4', only '0', '1', '2', '3'"),
        ({"test": [3], "validation": [3]}, "3 is for test and for validation"),
    ],
)
def test_folds_that_cannot_be(folds, message):
    index, labels, _, sizes = made(FOLDS, folds=folds)
    with pytest.raises(UserError, match=message):
        given_splits(index, labels, sizes)


def test_folds_are_of_a_column():
    with pytest.raises(UserError, match=r"split\.folds are of a column"):
        settings(folds={"test": [1]})


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("train.jsonl", "train"),
        ("data/swedish_dev.tsv", "dev"),
        ("x/test-00000-of-00001.jsonl", "test"),
        (r"C:\sets\Validation.csv", "validation"),
        ("train_or_test.csv", "train_or_test"),
        ("training.csv", "training"),
        ("all.csv", "all"),
    ],
)
def test_the_word_in_the_name_of_a_file(name, word):
    assert word_of(name) == word


def test_files_that_are_splits(tmp_path):
    (tmp_path / "set").mkdir()
    for name, number in (("train", 6), ("dev", 2), ("test", 3)):
        rows = [
            {"id": f"{name}{i}", "text": f"{name} {i}", "label": "ab"[i % 2]} for i in range(number)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "set" / f"sv_{name}.jsonl").write_text(text)
    options = ("--source-settings", json.dumps({"split": "file"}), *TEXTS)
    status, said = label(tmp_path, "record", *options, ranks=["letter"], dataset="set")
    assert status == 0, said
    made, summary = split(tmp_path, ["letter"], given="file")
    headers = pq.read_table(tmp_path / "sequences.parquet")["header"].to_pylist()
    places = {"train": "train", "dev": "validation", "test": "test"}
    assert made["split"].tolist() == [places[header[:-1]] for header in headers]
    assert (summary["train sequences"], summary["test sequences"]) == (6, 3)


# groups by a column of one's own


@pytest.mark.parametrize("source", ["table", "record"])
@pytest.mark.parametrize("name", ["patient", "status"])
def test_a_column_of_ones_own_keeps_groups_together(tmp_path, source, name):
    # "status" is also a column of the label table, which this is not
    rows = [(f"s{i}", "ab"[i % 2], f"p{i // 2 % 10}") for i in range(60)]
    if source == "table":
        write_fasta(tmp_path / "x.fa", [row[0] for row in rows])
        write_rows(tmp_path / "t.tsv", rows, ("id", "colour", name))
        options = ("--label-file", "t.tsv")
    else:
        frame = pd.DataFrame(rows, columns=["id", "colour", name])
        frame.assign(text="some words").to_csv(tmp_path / "x.csv", index=False)
        options = TEXTS
    options = (*options, "--source-settings", json.dumps({"group": name}))
    status, said = label(
        tmp_path,
        source,
        *options,
        ranks=["colour"],
        dataset="x.fa" if source == "table" else "x.csv",
    )
    assert status == 0, said
    made, _ = split(tmp_path, ["colour"], group_by=name)
    of_groups = made.assign(group=[row[2] for row in rows]).groupby("group")["split"]
    assert of_groups.nunique().tolist() == [1] * 10
    assert set(made["split"]) == {"train", "validation", "test"}
    assert made["colour"].tolist() == [0, 1] * 30
