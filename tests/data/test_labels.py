import json
import os
import random
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers_warm import python
from tests.data.test_taxonomy import NODES, SILVA, write_dump

from whatyouread.data import labels
from whatyouread.data.label_source import LabelSource
from whatyouread.data.levels import choose_levels, read_classes, read_levels
from whatyouread.data.ncbi_labels import NcbiLabels
from whatyouread.support.cli import UserError

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
PAPER = Path(__file__).resolve().parents[2] / "resources" / "paper" / "dataset.tsv"
SHARED = Path(__file__).resolve().parents[3] / "shared"
RANKS = ["superkingdom", "phylum", "genus"]

COUNTS = {  # taxid: (sequences, of which empty)
    100: (7, 0),  # no genus
    101: (5, 1),  # no phylum, no genus
    103: (3, 0),  # no phylum
    555: (2, 0),  # deleted
    561: (4, 4),  # nothing but empty sequences
    562: (10, 1),
    582: (20, 0),
    90709: (30, 0),
    469598: (6, 0),  # merged into 562
    123456: (1, 0),  # unknown
}


@pytest.fixture
def source(tmp_path):
    return NcbiLabels(write_dump(tmp_path), NcbiLabels.Settings())


@pytest.fixture
def made(source):
    return labels.label_table(counts(COUNTS, source), source, RANKS)


def counts(given, source):
    """The table that `Census.counts` gives."""
    numbers = zip(*given.values(), strict=True)
    columns = [pa.array(given, source.key.type), *map(pa.array, numbers)]
    return pa.Table.from_arrays(columns, [source.key.name, "sequences", "empty"])


class Keywords(LabelSource):
    """A source for tests: the key is text, the levels are what a dictionary says."""

    key = pa.field("word", pa.string())
    path = "key"

    def __init__(self, given):
        self.given = given

    def keys(self, batch):
        return batch.headers

    def labels(self, keys, levels):
        found = [self.given.get(word) for word in keys.to_pylist()]
        table = pd.DataFrame({"word": keys.to_pylist()})
        table["problem"] = ["unknown word" if one is None else "" for one in found]
        for place, level in enumerate(levels):
            of_level = [one[place] if one else "" for one in found]
            table[level] = of_level
            table[f"{level}_key"] = [one.lower() or None for one in of_level]
        return table


def test_every_taxid_is_kept_or_has_a_reason(made):
    assert dict(zip(made["taxid"], made["status"], strict=True)) == {
        100: "no genus",
        101: "no phylum and genus",
        103: "no phylum",
        555: "deleted taxid",
        561: "no sequence to use",
        562: "kept",
        582: "kept",
        90709: "kept",
        469598: "kept",
        123456: "unknown taxid",
    }
    row = made.set_index("taxid").loc[101]
    assert row[["superkingdom", "phylum", "genus"]].tolist() == ["Bacteria", "", ""]
    assert row["superkingdom_taxid"] == 2
    assert pd.isna(row["genus_taxid"])
    assert made.columns.tolist() == [
        *["taxid", "resolved_taxid", "superkingdom", "superkingdom_taxid", "phylum"],
        *["phylum_taxid", "genus", "genus_taxid", "sequences", "empty", "status"],
    ]


def test_all_levels_missing_are_named():
    source = Keywords({"x": ("", "", "")})
    table = labels.label_table(counts({"x": (1, 0)}, source), source, list("abc"))
    assert table["status"].tolist() == ["no a, b and c"]


def test_a_source_with_keys_of_text(tmp_path):
    """Nothing of the tables is NCBI's: another source, from its counts to the classes of sequences."""
    source = Keywords({"01": ("Red", "Dark"), "1": ("Red", "dark"), "2": ("Blue", "")})
    levels = ["colour", "shade"]
    numbers = {"01": (3, 0), "1": (2, 1), "2": (4, 0), "3": (1, 0)}
    table = labels.label_table(counts(numbers, source), source, levels)
    assert table.columns.tolist() == [
        *["word", "colour", "colour_key", "shade", "shade_key"],
        *["sequences", "empty", "status"],
    ]
    assert table["status"].tolist() == ["kept", "kept", "no shade", "unknown word"]
    classes = labels.class_table(table, source, levels)
    assert classes.values.tolist() == [
        ["colour", 0, "red", "Red", 4],
        ["shade", 0, "dark", "Dark", 3],
        ["shade", 1, "dark", "dark", 1],
    ]
    summary = labels.summary_table(
        table, classes, {"sequences in the archive": 10}, source, levels, {}
    )
    assert summary["quantity"].tolist() == [
        *["sequences in the archive", "sequences", "Red", "words in the archive", "words"],
        *["colour", "shade", "dropped: no sequence to use", "dropped: no shade"],
        *["dropped: unknown word", "files skipped"],
    ]
    assert summary["detail"].tolist()[-4:] == ["1 (1)", "2 (4)", "3 (1)", ""]


def table_of(given, levels):
    source = Keywords(given)
    return labels.label_table(counts(dict.fromkeys(given, (1, 0)), source), source, levels)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (
            {"1": ("Red", "Dark"), "2": ("Blue", "Dark"), "3": ("Red", "Pale")},
            r"^the shade Dark \(key dark\) lies in several classes of the level colour:"
            r" Red \(key red\), Blue \(key blue\); give the ranks .* \(colour, shade are given\)",
        ),
        # from low to high
        (
            {
                "1": ("Dark", "Red"),
                "2": ("Pale", "Red"),
                "3": ("Deep", "Blue"),
                "4": ("Sky", "Blue"),
            },
            r"^the shade Red .* Dark \(key dark\), Pale \(key pale\), and so do 1 other classes of",
        ),
        # the name may differ, the key counts
        ({"1": ("Red", "Dark"), "2": ("Blue", "DARK")}, r"^the shade Dark .*Red .*Blue"),
    ],
)
def test_a_class_with_two_parents_is_refused_whatever_the_source(given, words):
    with pytest.raises(UserError, match=words):
        table_of(given, ["colour", "shade"])


def test_two_parents_do_not_matter_among_what_is_not_kept():
    given = {"1": ("Red", "Dark", "x"), "2": ("Blue", "Dark", ""), "3": ("", "Dark", "y")}
    assert (table_of(given, list("abc"))["status"] == "kept").tolist() == [True, False, False]


def test_the_parent_is_that_of_the_level_above():
    rng = random.Random(3)
    for _ in range(50):
        parents = [rng.randrange(3) for _ in range(4)]
        given = {str(n): (f"a{parents[n % 4]}", f"b{n % 4}", f"c{n}") for n in range(9)}
        assert len(table_of(given, list("xyz"))) == 9
        [moved] = rng.sample(range(4, 8), 1)
        wrong = f"a{(parents[moved % 4] + 1) % 3}"
        given[str(moved)] = (wrong, *given[str(moved)][1:])
        with pytest.raises(UserError, match=rf"the y b{moved % 4} .*level x: a\d .*, a\d") as error:
            table_of(given, list("xyz"))
        assert wrong in str(error.value)


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        (["a", "b", "a"], "the level a is named twice: a, b, a"),
        (["a", "status"], "a level cannot be called 'status'"),
        (["combined"], "a level cannot be called 'combined'"),
        (["a", "runner_up"], "a level cannot be called 'runner_up'"),
        (["hash"], "a level cannot be called 'hash'"),
        (["a", " "], "a level cannot be called ' '"),
    ],
)
def test_names_of_levels(levels, words):
    with pytest.raises(UserError, match=words):
        table_of({"1": ("x", "y", "z")}, levels)


def test_a_split_by_the_wrong_level_is_refused(made, source, tmp_path):
    made.to_csv(tmp_path / "labels.tsv", sep="\t", index=False)
    labels.class_table(made, source, RANKS).to_csv(tmp_path / "classes.tsv", sep="\t", index=False)
    table = labels.read_labels(tmp_path / "labels.tsv")
    with pytest.raises(
        UserError, match=r"the phylum Pseudomonadota .* level genus: Escherichia .*Morg"
    ):
        labels.label_sequences(
            index(source, [562], [9]), table, choose_levels(tmp_path / "classes.tsv", RANKS[::-1])
        )
    with pytest.raises(UserError, match="the level genus is named twice"):
        choose_levels(tmp_path / "classes.tsv", ["genus", "genus"])


def index(source, keys, lengths):
    return pa.table(
        {
            source.key.name: pa.array(keys, source.key.type),
            "length": pa.array(lengths, pa.int32()),
        }
    )


def test_the_classes_of_sequences(made, source, tmp_path):
    made.to_csv(tmp_path / "labels.tsv", sep="\t", index=False)
    labels.class_table(made, source, RANKS).to_csv(tmp_path / "classes.tsv", sep="\t", index=False)
    levels = list(read_levels(tmp_path / "classes.tsv").values())
    taxids = [562, 100, 90709, 562, 469598, 561]
    found = labels.label_sequences(
        index(source, taxids, [9, 9, 9, 0, 9, 0]),
        labels.read_labels(tmp_path / "labels.tsv"),
        levels,
    )
    assert found.levels == levels
    assert found.lowest.name == "genus"
    assert found.used.tolist() == [True, False, True, False, True, False]
    assert {level: numbers.tolist() for level, numbers in found.classes.items()} == {
        "superkingdom": [0, -1, 1, -1, 0, -1],
        "phylum": [1, -1, 0, -1, 1, -1],
        "genus": [0, -1, 2, -1, 0, -1],
    }
    assert {numbers.dtype for numbers in found.classes.values()} == {np.dtype(np.int32)}


def test_keys_that_are_no_keys_are_refused(made, source, tmp_path):
    made.astype({"taxid": object}).replace({"taxid": {562: "E. coli"}}).to_csv(
        tmp_path / "labels.tsv", sep="\t", index=False
    )
    with pytest.raises(UserError, match=r"no taxid of the label table: .*label the dataset again"):
        labels.label_sequences(
            index(source, [582], [9]), labels.read_labels(tmp_path / "labels.tsv"), []
        )


def test_classes_are_sorted_and_homonyms_stay_apart(made, source):
    classes = labels.class_table(made, source, RANKS)
    assert classes.values.tolist() == [
        ["superkingdom", 0, 2, "Bacteria", 35],
        ["superkingdom", 1, 2759, "Eukaryota", 30],
        ["phylum", 0, 5204, "Basidiomycota", 30],
        ["phylum", 1, 1224, "Pseudomonadota", 35],
        ["genus", 0, 561, "Escherichia", 15],  # 10 - 1 empty, and 6 under a merged taxid
        ["genus", 1, 581, "Morganella (taxid 581)", 20],
        ["genus", 2, 90708, "Morganella (taxid 90708)", 30],
    ]


def test_the_summary_adds_up(made, source):
    totals = {"sequences in the archive": 88, "empty sequences": 6, "exact duplicates": 3}
    classes = labels.class_table(made, source, RANKS)
    paper = labels.published_numbers(PAPER)
    summary = labels.summary_table(made, classes, totals, source, RANKS, paper)
    assert summary.columns.tolist() == ["quantity", "value", "paper", "detail"]
    values = dict(zip(summary["quantity"], summary["value"], strict=True))
    assert values == {
        "sequences in the archive": 88,
        "sequences": 65,
        "Bacteria": 35,
        "Eukaryota": 30,
        "taxids in the archive": 10,
        "taxids": 4,
        "taxids after merging": 3,
        "superkingdom": 2,
        "phylum": 2,
        "genus": 3,
        "merged taxids followed": 1,
        "dropped: deleted taxid": 2,
        "dropped: no genus": 7,
        "dropped: no phylum": 3,
        "dropped: no phylum and genus": 5,
        "dropped: unknown taxid": 1,
        "files skipped": 0,
        "dropped: no sequence to use": 5,  # those whose taxid has no other problem
        "empty sequences": 6,
        "exact duplicates": 3,
    }
    dropped = sum(value for name, value in values.items() if name.startswith("dropped"))
    assert dropped + values["sequences"] == values["sequences in the archive"]
    rows = summary.set_index("quantity")
    assert rows.loc["dropped: unknown taxid", "detail"] == "123456 (1)"
    assert rows.loc["dropped: no sequence to use", "detail"] == "561 (4), 562 (1)"
    assert rows.loc["merged taxids followed", "detail"] == "469598 -> 562"
    assert rows["paper"].dropna().to_dict() == {
        "sequences": 5181880,
        "Bacteria": 1828018,
        "Eukaryota": 2601890,
        "taxids": 1573,
        "superkingdom": 4,
        "phylum": 55,
        "genus": 1878,
    }


def test_the_published_superkingdoms_sum_to_the_published_total():
    paper = labels.published_numbers(PAPER)
    parts = [paper[name] for name in ("Eukaryota", "Bacteria", "Archaea", "Viruses")]
    assert sum(parts) == paper["sequences"]
    assert round(paper["sequences"] * 0.02) == paper["test sequences"]


def test_nothing_kept_and_impossible_classes_stop_the_run(made, source):
    with pytest.raises(UserError, match=r"no sequence has a label .* no genus: 7"):
        labels.class_table(made[made["status"] != "kept"], source, RANKS)
    one = made[made["taxid"] == 582]
    damaged = pd.concat([one, one.assign(genus_taxid=9), one.assign(genus_taxid=8)])
    with pytest.raises(UserError, match="3 classes of the level genus from 1 taxids: impossible"):
        labels.class_table(damaged, source, RANKS)


def test_tables_survive_being_written(made, source, tmp_path):
    made.loc[made["taxid"] == 582, "genus"] = "NA \"x\" 'y'"
    made.to_csv(tmp_path / "labels.tsv", sep="\t", index=False)
    as_text = made.astype({column: str for column in made if column.endswith("taxid")})
    pd.testing.assert_frame_equal(
        labels.read_labels(tmp_path / "labels.tsv"), as_text.fillna(""), check_dtype=False
    )
    classes = labels.class_table(made, source, RANKS)
    classes.to_csv(tmp_path / "classes.tsv", sep="\t", index=False)
    pd.testing.assert_frame_equal(
        read_classes(tmp_path / "classes.tsv"), classes, check_dtype=False
    )


def run_script(script, folder, *options):
    """Run a script of the project with `folder` as working directory and as home."""
    return subprocess.run(
        [python(), SCRIPTS / script, *map(str, options)],
        cwd=folder,
        env={**os.environ, "HOME": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def label_options(dataset, taxdump):
    return [
        *("--dataset", dataset, "--taxdump", taxdump, "--ranks", *RANKS, "--paper", PAPER),
        *("--labels", "labels.tsv", "--classes", "classes.tsv", "--summary", "summary.tsv"),
        *("--sequences", "sequences.parquet", "--log", "label.log"),
    ]


def test_the_script_on_real_fragments(tmp_path):
    real = SHARED / "data" / "real"
    if not real.exists():
        pytest.skip("the real fragments, ../shared/data/real, are not here")
    options = label_options(real / "bertax_like.zip", real / "taxdmp_mini.zip")
    result = run_script("label_taxonomy.py", tmp_path, *options)
    assert result.returncode == 0
    # what is dropped is warned of
    assert [
        line.split(" WARNING ")[1].rsplit(": ", 1)[0] for line in result.stderr.splitlines()
    ] == [*("70 dropped: no genus", "110 dropped: no phylum and genus")]
    made = labels.read_labels(tmp_path / "labels.tsv")
    expected = pd.read_csv(real / "expected.tsv", sep="\t", keep_default_na=False)
    assert made["taxid"].astype(int).tolist() == expected["taxid"].tolist()
    assert made["resolved_taxid"].astype(int).tolist() == expected["resolved_taxid"].tolist()
    assert made["sequences"].tolist() == expected["n_fragments"].tolist()
    for rank in RANKS:
        assert made[rank].tolist() == expected[rank].tolist()
    complete = (expected[RANKS] != "").all(axis=1)
    assert ((made["status"] == "kept") == complete).all()
    classes = read_classes(tmp_path / "classes.tsv")
    for rank in RANKS:
        names = classes[classes["rank"] == rank]["name"].tolist()
        assert names == sorted(set(expected[complete][rank]))
    summary = pd.read_csv(tmp_path / "summary.tsv", sep="\t").set_index("quantity")["value"]
    assert summary["sequences in the archive"] == 17909
    assert summary["sequences"] == 17729
    assert summary["dropped: no genus"] == 70
    assert summary["dropped: no phylum and genus"] == 110
    assert summary["merged taxids followed"] == 4
    assert summary["sequences with characters other than ACGT"] == 127
    index = pq.read_table(tmp_path / "sequences.parquet")
    assert len(index) == 17909
    assert np.all(index.column("length").to_numpy() == 1500)

    settings = {"test": 0.02, "validation": 0.1, "explainer_train": 0.5}
    settings |= {"explainer_validation": 1}
    result = run_script(
        "split_dataset.py",
        tmp_path,
        *("--sequences", "sequences.parquet", "--labels", "labels.tsv"),
        *("--classes", "classes.tsv", "--ranks", *RANKS, "--settings", json.dumps(settings)),
        *("--seed", 42, "--splits", "splits.parquet", "--summary", "split_summary.tsv"),
        *("--paper", PAPER, "--log", "split.log"),
    )
    assert (result.returncode, result.stderr) == (0, "")
    splits = pq.read_table(tmp_path / "splits.parquet").to_pandas()
    assert splits["split"].value_counts().to_dict() == {
        "train": 17729 - 355 - 1773,
        "validation": 1773,
        "test": 355,
        "none": 180,
    }
    # the class numbers lead back to the expected names
    taxids = pd.Series(index.column("taxid").to_numpy())
    for rank in RANKS:
        names = classes[classes["rank"] == rank].set_index("class")["name"]
        used = splits[rank] >= 0
        wanted = taxids.map(expected.set_index("taxid")[rank])
        assert (splits[rank][used].map(names) == wanted[used]).all()
    # nothing else was written, neither here nor at home
    assert {file.name for file in tmp_path.iterdir()} == {
        *("labels.tsv", "classes.tsv", "summary.tsv", "sequences.parquet", "label.log"),
        *("splits.parquet", "split_summary.tsv", "split.log"),
    }


OUTPUTS = {"labels.tsv", "classes.tsv", "summary.tsv", "sequences.parquet", "label.log"}


@pytest.mark.parametrize("exclude", [False, True])
def test_sequences_without_a_certain_label(tmp_path, exclude):
    """Stopped by default; excluded, counted and warned of where the key says so."""
    write_dump(tmp_path, nodes=SILVA)
    records = [">562 0", ">582\t1", ">NC_1|kraken:taxid|90709", ">10090", ">kraken:taxid|10091|x"]
    records += [">10090 b", ">kraken:taxid|0|x", ">NC_7 Homo", ">", ">999"]
    (tmp_path / "x.fa").write_text("".join(f"{record}\nACGTACGT\n" for record in records))
    settings = {"without_taxid": "exclude", "rank_twice": "exclude"} if exclude else {}
    options = [*label_options("x.fa", "taxdmp.zip"), "--source-settings", json.dumps(settings)]
    result = run_script("label_taxonomy.py", tmp_path, *options)
    there = {file.name for file in tmp_path.iterdir()} - {"x.fa", "taxdmp.zip"}
    if not exclude:
        assert result.returncode == 1
        assert len(result.stderr.splitlines()) == 1
        assert "x.fa, line 13: a taxid that is not between 1" in result.stderr
        assert there == {"label.log"}
        options[-1] = json.dumps({"without_taxid": "exclude"})
        result = run_script("label_taxonomy.py", tmp_path, *options)
        assert result.returncode == 1
        [_, line] = result.stderr.splitlines()
        assert "taxid 10090 has the rank superkingdom 2 times, Eukaryota (taxid 2759) > Hol" in line
        assert {file.name for file in tmp_path.iterdir()} - {"x.fa", "taxdmp.zip"} == {"label.log"}
        return
    assert result.returncode == 0
    assert there == OUTPUTS
    made = labels.read_labels(tmp_path / "labels.tsv").set_index("taxid")["status"]
    twice = "rank superkingdom twice: Eukaryota > Holozoa"
    assert made.to_dict() == {
        **dict.fromkeys(["562", "582", "90709"], "kept"),
        **dict.fromkeys(["10090", "10091"], twice),
        **{"0": "taxid 0", "-1": "header without taxid", "999": "deleted taxid"},
    }
    summary = pd.read_csv(tmp_path / "summary.tsv", sep="\t").set_index("quantity")
    assert summary.loc[["sequences in the archive", "sequences"], "value"].tolist() == [10, 3]
    assert summary.loc[["taxids in the archive", "taxids"], "value"].tolist() == [6, 3]
    assert summary.loc[f"dropped: {twice}", ["value", "detail"]].tolist() == [
        3,
        "10090 (2), 10091 (1)",
    ]
    assert summary.loc["dropped: taxid 0", "value"] == 1
    assert summary.loc["dropped: header without taxid", "value"] == 2
    for line in ("3 dropped: " + twice, "1 dropped: taxid 0", "2 dropped: header without taxid"):
        assert f"WARNING {line}" in result.stderr
    assert "WARNING left out, and so is every other such record: x.fa, line 13" in result.stderr


@pytest.mark.parametrize(
    ("ranks", "words"),
    [
        (["genus", "phylum", "superkingdom"], "ranks: [superkingdom, phylum, genus]"),
        (["phylum", "phylum"], "the level phylum is named twice"),
        (["superkingdom", "no rank"], "'no rank' is no rank to classify"),
        (
            ["Phylum", "genus"],
            "no lineage has the rank 'Phylum'; the ranks of taxdmp.zip are: clade",
        ),
    ],
)
def test_ranks_that_are_refused_leave_no_table(tmp_path, ranks, words):
    write_dump(tmp_path, nodes=SILVA)
    (tmp_path / "x.fa").write_text(">562 0\nACGT\n>582\nACGT\n")
    options = label_options("x.fa", "taxdmp.zip")
    at = options.index("--ranks") + 1
    options[at : at + len(RANKS)] = ranks
    result = run_script("label_taxonomy.py", tmp_path, *options)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert words in result.stderr
    assert {file.name for file in tmp_path.iterdir()} == {"taxdmp.zip", "x.fa", "label.log"}


def test_species_groups_and_classes_are_ranks(tmp_path):
    nodes = [*SILVA, (1236, 1224, "class", "Gammaproteobacteria")]
    nodes = [(t, 1236 if t in (561, 581) else p, r, n) for t, p, r, n in nodes]
    nodes += [(1398, 561, "species group", "other group"), (1399, 1398, "species", "other")]
    write_dump(tmp_path, nodes=nodes)
    text = "".join(f">{taxid} {n}\n{'ACGT' * 9}\n" for n in range(40) for taxid in (1397, 1399))
    (tmp_path / "x.fa").write_text(text)
    ranks = ["class", "species group"]
    options = label_options("x.fa", "taxdmp.zip")
    at = options.index("--ranks") + 1
    options[at : at + len(RANKS)] = ranks
    result = run_script("label_taxonomy.py", tmp_path, *options)
    assert (result.returncode, result.stderr) == (0, "")
    classes = read_classes(tmp_path / "classes.tsv")
    assert classes[["rank", "class", "name", "sequences"]].values.tolist() == [
        ["class", 0, "Gammaproteobacteria", 80],
        ["species group", 0, "Bacillus cereus group", 40],
        ["species group", 1, "other group", 40],
    ]
    settings = {"test": 0.2, "validation": 0.1, "explainer_train": 0.5}
    result = run_script(
        "split_dataset.py",
        tmp_path,
        *("--sequences", "sequences.parquet", "--labels", "labels.tsv", "--classes", "classes.tsv"),
        *("--ranks", *ranks, "--settings", json.dumps(settings | {"explainer_validation": 1})),
        *("--seed", 42, "--splits", "splits.parquet", "--summary", "split_summary.tsv"),
    )
    assert result.returncode == 0
    splits = pq.read_table(tmp_path / "splits.parquet").to_pandas()
    tested = splits[splits["split"] == "test"]
    assert tested["species group"].value_counts().to_dict() == {0: 8, 1: 8}
    assert tested["class"].unique().tolist() == [0]


def test_a_failed_run_leaves_no_table(tmp_path):
    write_dump(tmp_path, nodes=[node for node in NODES if node[0] != 561])
    (tmp_path / "x.fa").write_text(">562 0\nACGT\n")
    result = run_script("label_taxonomy.py", tmp_path, *label_options("x.fa", "taxdmp.zip"))
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "561, the parent of 562, is not there" in result.stderr
    left = {file.name for file in tmp_path.iterdir()}
    assert left == {"taxdmp.zip", "x.fa", "label.log"}
