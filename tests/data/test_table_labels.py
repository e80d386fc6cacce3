"""A table by sequence id: from rows to classes, and what a table may be wrong in."""

import json
import random

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.data.test_labels import run_script

from whatyouread.data import labels
from whatyouread.data.label_sources import find_label_source
from whatyouread.data.levels import read_classes
from whatyouread.data.named_labels import joined, name_paths
from whatyouread.support.cli import UserError

SPLIT = {"test": 0.2, "validation": 0.1, "explainer_train": 1, "explainer_validation": 1}
LIVES = {  # a genus in two kingdoms, as Morus is: the mulberry and the gannet
    "gannet": ("Animalia", "Chordata", "Morus"),
    "cow": ("Animalia", "Chordata", "Bos"),
    "mulberry": ("Plantae", "Tracheophyta", "Morus"),
    "rose": ("Plantae", "Tracheophyta", "Rosa"),
}
LEVELS = ["kingdom", "phylum", "genus"]


def write_fasta(path, ids, seed=1):
    rng = random.Random(seed)
    text = (
        f">{i} of number {n}\n{''.join(rng.choices('ACGT', k=40))}\n" for n, i in enumerate(ids)
    )
    path.write_text("".join(text))


def write_rows(path, rows, header=("id", *LEVELS)):
    path.write_text("".join("\t".join(row) + "\n" for row in (header, *rows)))


def label(folder, source, *options, ranks=LEVELS, dataset="x.fa"):
    """Run label_taxonomy.py; (its status, what it said on stderr)."""
    done = run_script(
        "label_taxonomy.py",
        folder,
        *("--dataset", dataset, "--source", source, "--ranks", *ranks, "--labels", "labels.tsv"),
        *("--classes", "classes.tsv", "--summary", "summary.tsv", "--log", "label.log"),
        *("--sequences", "sequences.parquet", *options),
    )
    return done.returncode, done.stderr


def split(folder, ranks=LEVELS, **settings):
    """Run split_dataset.py; its splits and the summary by quantity."""
    done = run_script(
        "split_dataset.py",
        folder,
        *("--sequences", "sequences.parquet", "--labels", "labels.tsv", "--classes", "classes.tsv"),
        *("--ranks", *ranks, "--settings", json.dumps(SPLIT | settings), "--seed", 3),
        *("--splits", "splits.parquet", "--summary", "split.tsv"),
    )
    assert done.returncode == 0, done.stderr
    summary = pd.read_csv(folder / "split.tsv", sep="\t", index_col="quantity")["value"]
    return pq.read_table(folder / "splits.parquet").to_pandas(), summary


def classes_of(folder):
    table = read_classes(folder / "classes.tsv")
    return {rank: list(part["name"]) for rank, part in table.groupby("rank", sort=False)}


def counts_of(folder):
    return pd.read_csv(folder / "summary.tsv", sep="\t", index_col="quantity")


@pytest.fixture
def lives(tmp_path):
    """200 records of four kinds, one of which has no row, and a row without a record."""
    kinds = [list(LIVES)[n % 4] for n in range(200)]
    ids = [f"s{n}" for n in range(200)]
    write_fasta(tmp_path / "x.fa", ids)
    rows = [(i, *LIVES[kind]) for i, kind in zip(ids, kinds, strict=True)]
    write_rows(tmp_path / "t.tsv", [*rows[:-1], ("other", "A", "B", "C")])
    return tmp_path


def test_a_name_in_two_kingdoms_is_two_classes(lives):
    status, said = label(lives, "table", "--label-file", "t.tsv")
    assert status == 0
    assert [line.split(" WARNING ")[1] for line in said.splitlines()] == [
        "1 dropped: not in the label file: ? (1)"
    ]
    table = read_classes(lives / "classes.tsv")
    assert list(table.columns) == ["rank", "class", "path", "name", "sequences"]
    assert table[table["rank"] == "genus"].values.tolist() == [
        ["genus", 0, "Animalia;Chordata;Bos", "Bos", 50],
        ["genus", 1, "Animalia;Chordata;Morus", "Morus (path Animalia;Chordata;Morus)", 50],
        ["genus", 2, "Plantae;Tracheophyta;Morus", "Morus (path Plantae;Tracheophyta;Morus)", 50],
        ["genus", 3, "Plantae;Tracheophyta;Rosa", "Rosa", 49],
    ]
    counts = counts_of(lives)
    assert counts["value"][["sequences in the archive", "sequences"]].tolist() == [200, 199]
    assert counts.loc["ids of the label file that no record has", "detail"] == "'other'"
    assert counts.loc["records whose id is not in the label file", "detail"] == "'s199'"
    made, _ = split(lives)
    # gannet 1, cow 0, mulberry 2, rose 3
    assert made["genus"].tolist() == [*([1, 0, 2, 3] * 50)[:-1], -1]
    assert made["kingdom"].tolist() == [*([0, 0, 1, 1] * 50)[:-1], -1]
    assert (made["split"] == "none").tolist() == [False] * 199 + [True]
    tested = made[made["split"] == "test"]["genus"]
    assert np.bincount(tested).tolist() == [10, 10, 10, 10]


def test_without_a_hierarchy_a_name_is_a_class(lives):
    options = ("--label-file", "t.tsv", "--source-settings", '{"hierarchy": false}')
    ranks = ["genus", "kingdom"]
    assert label(lives, "table", *options, ranks=ranks)[0] == 0
    table = read_classes(lives / "classes.tsv")
    assert table[["rank", "label", "name", "sequences"]].values.tolist() == [
        ["genus", "Bos", "Bos", 50],
        ["genus", "Morus", "Morus", 100],
        ["genus", "Rosa", "Rosa", 49],
        ["kingdom", "Animalia", "Animalia", 100],
        ["kingdom", "Plantae", "Plantae", 99],
    ]
    # no level lies below another one, and any order will do
    for ranks in (["genus", "kingdom"], ["kingdom", "genus"]):
        made, _ = split(lives, ranks)
        assert made["genus"].tolist() == [*([1, 0, 1, 2] * 50)[:-1], -1]
    # with one, this order makes each genus of two kingdoms two kingdoms, which is warned of
    options = ("--label-file", "t.tsv")
    status, said = label(lives, "table", *options, ranks=["genus", "kingdom"])
    assert status == 0
    assert "kingdom: 4 of 4 classes share their name" in said
    assert "set labels.hierarchy: false" in said


@pytest.mark.parametrize("levels", [1, 5])
@pytest.mark.parametrize("missing", ["exclude", "keep"])
def test_any_number_of_levels(tmp_path, levels, missing):
    """Names of levels with upper case, digits, blanks and dashes; the lowest has six classes."""
    ranks = ["Top-1", "2nd level", "c_3", "D", "Größe"][5 - levels :]
    ids = [f"s{n}" for n in range(120)]
    write_fasta(tmp_path / "x.fa", ids)
    rows = [(i, *(f"{n % 6 // (levels - k)}" for k in range(levels))) for n, i in enumerate(ids)]
    write_rows(tmp_path / "t.tsv", rows, ("ID", *ranks))
    options = ("--label-file", "t.tsv", "--missing", missing)
    assert label(tmp_path, "table", *options, ranks=ranks)[0] == 0
    of_level = [len(names) for names in classes_of(tmp_path).values()]
    assert of_level[-1] == 6
    assert of_level[0] == {1: 6, 5: 2}[levels]
    made, summary = split(tmp_path, ranks)
    assert made[ranks[-1]].tolist() == [n % 6 for n in range(120)]
    assert summary[f"test classes of rank {ranks[-1]}"] == 6


def test_missing_labels_are_left_out_or_kept(tmp_path):
    """Of 120 records 10 have no genus, 7 no kingdom, 3 neither, and 2 no row."""
    ids = [f"s{n}" for n in range(120)]
    write_fasta(tmp_path / "x.fa", ids)
    rows = []
    for n, i in enumerate(ids[:118]):
        kingdom, genus = (("A", "a"), ("A", "b"), ("B", "c"))[n % 3]
        rows.append((i, "" if n < 7 or n >= 115 else kingdom, "" if n >= 105 else genus))
    write_rows(tmp_path / "t.tsv", rows, ("id", "kingdom", "genus"))
    ranks = ["kingdom", "genus"]
    assert label(tmp_path, "table", "--label-file", "t.tsv", ranks=ranks)[0] == 0
    counts = counts_of(tmp_path)["value"]
    assert counts["sequences"] == 98
    dropped = {name: n for name, n in counts.items() if name.startswith("dropped")}
    assert dropped == {
        "dropped: no genus": 10,
        "dropped: no kingdom": 7,
        "dropped: no kingdom and genus": 3,
        "dropped: not in the label file": 2,
    }
    assert not [name for name in counts.index if "without kingdom" in name]

    options = ("--label-file", "t.tsv", "--missing", "keep")
    status, said = label(tmp_path, "table", *options, ranks=ranks)
    assert status == 0
    assert "WARNING 10 kept sequences without genus" in said
    counts = counts_of(tmp_path)["value"]
    assert counts["sequences"] == 115
    assert counts["kept sequences without kingdom"] == 7
    assert counts["kept sequences without genus"] == 10
    assert counts["dropped: no kingdom and genus"] == 3
    # without its kingdom, a genus is the one of that name
    assert classes_of(tmp_path) == {"kingdom": ["A", "B"], "genus": ["a", "b", "c"]}
    assert read_classes(tmp_path / "classes.tsv")["sequences"].tolist() == [72, 36, 35, 35, 35]
    made, summary = split(tmp_path, ranks)
    expected = [[0, 0], [0, 1], [1, 2]]
    for n, numbers in enumerate(made[ranks].values.tolist()):
        kingdom, genus = expected[n % 3]
        if n >= 115:
            assert numbers == [-1, -1]
            assert made["split"][n] == "none"
        else:
            assert numbers == [-1 if n < 7 else kingdom, -1 if n >= 105 else genus]
            assert made["split"][n] != "none"
    # those without a genus are a stratum of their own: a fifth of each
    tested = made[made["split"] == "test"]
    assert tested["genus"].value_counts().to_dict() == {0: 7, 1: 7, 2: 7, -1: 2}
    assert summary["test classes of rank genus"] == 3
    assert summary["test sequences without genus"] == 2
    without = [
        summary.get(f"{part} sequences without kingdom", 0)
        for part in ("train", "validation", "test")
    ]
    assert sum(without) == 7
    assert summary["classes of rank genus too small for the test split"] == 0


def test_nothing_but_missing_labels(tmp_path):
    write_fasta(tmp_path / "x.fa", ["a", "b"])
    write_rows(tmp_path / "t.tsv", [("a", "x", ""), ("b", "y", "")], ("id", "one", "two"))
    for missing, words in (
        ("exclude", "no two: 2"),
        ("keep", "no sequence has a label of the level two"),
    ):
        options = ("--label-file", "t.tsv", "--missing", missing)
        status, said = label(tmp_path, "table", *options, ranks=["one", "two"])
        assert (status, len(said.splitlines())) == (1, 1)
        assert words in said


@pytest.mark.parametrize(
    ("rows", "ranks", "words"),
    [
        ([("s0", "A"), ("s1", "B")], ["Kingdom"], "no column Kingdom (ranks); its levels are kingdom"),
        ([("s0", "A")], ["number"], "has no column number (ranks)"),
        ([("s0", "A"), ("s0", "B")], ["kingdom"], "the id 's0' has two rows that differ, 'A' and 'B'"),
        ([("s0", "A"), ("", "B")], ["kingdom"], "a row without id (B)"),
        ([], ["kingdom"], "a header and no row"),
        ([("s0", "A"), ("s1",)], ["kingdom"], "row 3: 1 fields, where the first row has 2"),
        ([("t0", "A"), ("t1", "B")], ["kingdom"], "the records are called 's0', 's1', the rows 't0', 't1'"),
        ([("s0", "A"), ("s1", "B")], ["kingdom", "KINGDOM"], "the level KINGDOM is named twice"),
        ([("s0", ""), ("s1", "")], ["kingdom"], "excluded: no kingdom: 2"),
    ],
)  # fmt: skip
def test_tables_that_are_refused_leave_nothing(tmp_path, rows, ranks, words):
    write_fasta(tmp_path / "x.fa", ["s0", "s1"])
    write_rows(tmp_path / "t.tsv", rows, ("id", "kingdom"))
    status, said = label(tmp_path, "table", "--label-file", "t.tsv", ranks=ranks)
    assert status == 1
    assert len(said.splitlines()) == 1
    assert words in said
    assert {file.name for file in tmp_path.iterdir()} == {"x.fa", "t.tsv", "label.log"}


def test_a_table_is_needed_and_a_level_may_not_be_called_like_the_key():
    table = find_label_source("table")
    with pytest.raises(UserError, match="give --label-file"):
        table(None, table.Settings())


@pytest.mark.parametrize("levels", [["combination"], ["a", "a_path"], ["name"], ["condition"]])
def test_names_of_levels_that_columns_have(tmp_path, levels):
    write_fasta(tmp_path / "x.fa", ["s0"])
    write_rows(tmp_path / "t.tsv", [("s0", *levels)], ("id", *levels))
    status, said = label(tmp_path, "table", "--label-file", "t.tsv", ranks=levels)
    assert status == 1
    assert "rename it" in said or "a level cannot be called" in said


def test_labels_in_odd_words(tmp_path):
    """Separators, numbers, what looks like nothing: each is a class of its own, and comes back."""
    names = ["?", "\\?", "a;b", "a", "b", "1", "01", "1.0", "NA", "null", "é", "it's", "-1", "a\\"]
    pairs = [(x, y) for x in names for y in ("a", ";a", "b;", "?")] * 6
    ids = [f"s{n}" for n in range(len(pairs))]
    write_fasta(tmp_path / "x.fa", ids)
    frame = pa.table({"id": ids, "one": [x for x, _ in pairs], "two": [y for _, y in pairs]})
    pq.write_table(frame, tmp_path / "t.parquet")
    status, said = label(tmp_path, "table", "--label-file", "t.parquet", ranks=["one", "two"])
    assert status == 0
    assert "one: classes are called '?', 'NA', 'null'; if that means a missing label" in said
    made, _ = split(tmp_path, ["one", "two"])
    assert len(set(made["two"])) == len(set(pairs))
    of_name = classes_of(tmp_path)["one"]
    assert [of_name[number] for number in made["one"]] == [x for x, _ in pairs]
    assert label(tmp_path, "table", "--label-file", "t.parquet", ranks=["one"])[0] == 0
    assert sorted(classes_of(tmp_path)["one"]) == sorted(names)


def paths(*rows, levels="abc"):
    made, ambiguous = name_paths(pd.DataFrame(rows, columns=list(levels), dtype=object))
    return made.astype(object).where(made.notna(), None).values.tolist(), ambiguous.tolist()


def test_the_path_of_a_class_whose_parent_is_missing():
    made, ambiguous = paths(
        ("A", "x", "1"), ("B", "y", "1"), ("A", "", "1"), ("", "y", "1"), ("", "", "1"), ("", "", "2"),
        ("B", "", ""),
    )  # fmt: skip
    assert made == [
        ["A", "A;x", "A;x;1"],
        ["B", "B;y", "B;y;1"],
        ["A", None, "A;x;1"],
        [None, "B;y", "B;y;1"],
        [None, None, ";;1"],
        [None, None, ";;2"],
        ["B", None, None],
    ]
    assert ambiguous == ["", "", "", "", "ambiguous c", "", ""]


def test_joined_names_can_be_told_apart():
    rng = random.Random(2)
    seen = {}
    for _ in range(3000):
        names = tuple(
            "".join(rng.choices("a;\\", k=rng.randrange(4))) for _ in range(rng.randrange(1, 4))
        )
        assert seen.setdefault(joined(names), names) == names


def test_the_labels_of_many_keys_are_counted_without_a_loop():
    """A million different keys pass in seconds; the summary names twenty of those that are dropped."""
    number = 200_000
    counts = pa.table(
        {"combination": pa.array(map(str, range(number))), "sequences": np.ones(number, np.int64),
         "empty": np.zeros(number, np.int64)}
    )  # fmt: skip

    class Source(find_label_source("table")):
        def __init__(self):
            pass

        def labels(self, keys, levels):
            names = np.where(np.arange(number) % 2, "odd", "")
            made = pd.DataFrame({"combination": keys.to_pandas(), "x": names, "problem": ""})
            return made.assign(x_path=made["x"].where(made["x"] != ""))

    table = labels.label_table(counts, Source(), ["x"])
    assert table["status"].value_counts().to_dict() == {"kept": number // 2, "no x": number // 2}
    classes = labels.class_table(table, Source(), ["x"])
    summary = labels.summary_table(
        table, classes, {"sequences in the archive": number}, Source(), ["x"], {}
    ).set_index("quantity")
    assert summary.loc["dropped: no x", "value"] == number // 2
    shown = ", ".join(f"{2 * n} (1)" for n in range(20))
    assert summary.loc["dropped: no x", "detail"] == f"{shown} and {number // 2 - 20} more"
