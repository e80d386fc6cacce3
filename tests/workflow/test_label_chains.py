"""Anybody's labels, each kind through the whole chain to Table 1: what comes out is known by hand."""

import csv
import html
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers_workflow import TINY, snakemake, write_config
from tests.data.test_table_labels import label, split
from tests.data.test_taxonomy import write_dump

from whatyouread.data.levels import class_counts, read_classes
from whatyouread.data.token_files import TokenFile
from whatyouread.report.confusion_figure import LONGEST_NAME
from whatyouread.support.files import read_json
from whatyouread.support.text import escape_markdown, told_apart

pytestmark = pytest.mark.slow

CONFIG = {
    "seed": 7,
    "dataset": {"url": "file:data.fa"},
    "split": {"test": 0.2, "validation": 0.1, "explainer_train": 0.5, "explainer_validation": 1.0},
    "explanandum": {"epochs": 1, "batch_size": 16, "learning_rate": 0.01},
    "explainer": {"epochs": 1, "hidden_size": 4, "learning_rate": 0.005},
    "explainers": {"paper": {"objective": "paper"}},
    "runs": {"number": 1},
    "figures": {"sequences": 40, "classes": 4},
    "backbone": TINY["backbone"],
}
TARGETS = [
    "results/table1.tsv",
    "results/summary.md",
    "results/explainers/paper/controls.tsv",
    "results/explainers/paper/0/README.md",
    "results/explainers/paper/figures/confusion.svg",
    "results/explainers/paper/figures/sequences.html",
]


@dataclass(frozen=True)
class Kind:
    """A kind of labels, and what must come of it.

    write: makes the files of a data set in a folder. classes: level -> its classes in order, and their
    sequences. truth: the first word of a record's header -> its class at each level, each of them None
    where it has none; None for records that are in no split. tested: sequences of the test split, then how
    many of them have a label at each level. divided: sequences in some split. summary: quantities of the
    summary of labels.
    """

    write: Callable[[Path], None]
    config: dict
    classes: dict[str, dict[str, int]]
    truth: Callable[[str], list[str | None] | None]
    tested: tuple[int, ...]
    divided: int
    summary: dict[str, int] = field(default_factory=dict)

    @property
    def levels(self) -> list[str]:
        return list(self.classes)


def dna(seed: int, count: int) -> list[str]:
    """Sequences of unlike lengths, some of whose six-mers repeat: classes differ by the seed."""
    rng = np.random.default_rng(seed)
    word = "".join(rng.choice(list("ACGT"), 12))
    return [
        "".join(rng.choice(list("ACGT"), rng.integers(60, 120))) + word * 4 for _ in range(count)
    ]


def write_fasta(path: Path, headers: list[str]) -> None:
    """A record for each header; those of the same first word have the same word in their sequences."""
    words = list(dict.fromkeys(header.split()[0] for header in headers))
    records = []
    for seed, word in enumerate(words):
        own = [header for header in headers if header.split()[0] == word]
        pairs = zip(own, dna(seed, len(own)), strict=True)
        records += [f">{header}\n{text}\n" for header, text in pairs]
    path.write_text("".join(records))


# GTDB: accessions with and without their database, suffixes, empty ranks, a genus in two domains

LINEAGES = {
    "GCF_000000001.1": "d__Bacteria;p__Bacillota;c__Bacilli;o__Bacillales;f__Bacillaceae;g__Bacillus;"
    "s__Bacillus subtilis",
    "GCA_000000002.1": "d__Bacteria;p__Bacillota_A;c__Clostridia;o__Eubacteriales;f__Clostridiaceae;"
    "g__Bacillus_A;s__Bacillus_A sp000000002",
    "GCF_000000003.1": "d__Archaea;p__Halobacteriota;c__Halobacteria;o__Halobacteriales;"
    "f__Haloarculaceae;g__Bacillus;s__",
    "GCF_000000004.1": "d__Bacteria;p__Bacillota_A;c__Clostridia;o__Eubacteriales;f__;g__;s__",
}
BACILLI = {  # by accession
    "1": "Bacillus (path Bacteria;Bacillota;Bacilli;Bacillales;Bacillaceae;Bacillus)",
    "3": "Bacillus (path Archaea;Halobacteriota;Halobacteria;Halobacteriales;Haloarculaceae;Bacillus)",
}
GTDB_TRUTH = {
    "1": ["Bacteria", "Bacillota", "Bacilli", "Bacillaceae", BACILLI["1"]],
    "2": ["Bacteria", "Bacillota_A", "Clostridia", "Clostridiaceae", "Bacillus_A"],
    "3": ["Archaea", "Halobacteriota", "Halobacteria", "Haloarculaceae", BACILLI["3"]],
    "4": ["Bacteria", "Bacillota_A", "Clostridia", None, None],
}


def write_gtdb(folder: Path) -> None:
    in_table = {"1": "RS_{}", "2": "GB_{}", "3": "{}", "4": "RS_{}"}
    in_headers = {"1": "{}", "2": "GB_{}", "3": "RS_{}", "4": "RS_{}"}
    rows, headers = [], []
    for accession, lineage in LINEAGES.items():
        number = accession.split(".")[0][-1]
        rows.append(f"{in_table[number].format(accession)}\t{lineage}\n")
        headers += [f"{in_headers[number].format(accession)} {i}" for i in range(20)]
    # another version is another assembly
    headers += [f"GCF_000000001.2 {i}" for i in range(3)]
    (folder / "gtdb.tsv").write_text("".join(rows))
    write_fasta(folder / "data.fa", headers)


GTDB = Kind(
    write=write_gtdb,
    config={
        "ranks": ["domain", "phylum", "class", "family", "genus"],
        "labels": {"source": "lineage", "file": "gtdb.tsv", "missing": "keep"},
    },
    classes={
        "domain": {"Archaea": 20, "Bacteria": 60},
        "phylum": {"Bacillota": 20, "Bacillota_A": 40, "Halobacteriota": 20},
        "class": {"Bacilli": 20, "Clostridia": 40, "Halobacteria": 20},
        "family": {"Bacillaceae": 20, "Clostridiaceae": 20, "Haloarculaceae": 20},
        "genus": {BACILLI["3"]: 20, BACILLI["1"]: 20, "Bacillus_A": 20},
    },
    truth=lambda word: None if word.endswith(".2") else GTDB_TRUTH[word.split(".")[0][-1]],
    # a fifth of each genus, and of the sequences without one
    tested=(16, 16, 16, 16, 12, 12),
    divided=80,
    summary={
        "sequences in the archive": 83,
        "sequences": 80,
        "kept sequences without family": 20,
        "kept sequences without genus": 20,
        "records whose id is not in the label file": 3,
        "dropped: not in the label file": 3,
    },
)

# two columns, one level, names that CSV must quote

SHAPES = ["rods, long", 'rods, "short"', "cocci"]


def shape(word: str) -> list[str]:
    return [SHAPES[int(word[1:]) % 3]]


def shapes() -> list[tuple[str, str]]:
    return [(f"s{i}", shape(f"s{i}")[0]) for i in range(60)]


def write_two_columns(folder: Path) -> None:
    with open(folder / "labels.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([("id", "label"), *shapes()])
    assert 's1,"rods, ""short"""' in (folder / "labels.csv").read_text()
    write_fasta(folder / "data.fa", [name for name, _ in shapes()])


TWO_COLUMNS = Kind(
    write=write_two_columns,
    config={
        "ranks": ["label"],
        "labels": {"source": "table", "file": "labels.csv", "hierarchy": False},
    },
    classes={"label": {"cocci": 20, 'rods, "short"': 20, "rods, long": 20}},
    truth=shape,
    tested=(12, 12),
    divided=60,
    summary={"sequences in the archive": 60, "sequences": 60, "rows of the label file": 60},
)

# a map from accessions to taxids, Kraken's tag, and a genus in two domains of a made-up taxonomy

MORGANELLAE = ["Morganella (taxid 581)", "Morganella (taxid 90708)"]
TAXA = {
    "562": ["Bacteria", "Escherichia"],
    "469598": ["Bacteria", "Escherichia"],  # merged into 562
    "582": ["Bacteria", MORGANELLAE[0]],
    "90709": ["Eukaryota", MORGANELLAE[1]],
}


def write_map(folder: Path) -> None:
    mapped, headers = [], []
    for taxid, count in (("562", 15), ("469598", 5), ("582", 20), ("90709", 20)):
        for i in range(count):
            accession = f"NC_{taxid}x{i}.1"
            if taxid == "582" and i % 2:
                headers.append(f"kraken:taxid|582|{accession} by its tag")
                continue
            mapped.append(f"{accession}\t{taxid}\n")
            headers.append(f"{accession} by the map")
    headers += ["NC_unknown.1", "NC_unknown.2"]
    (folder / "seqid2taxid.map").write_text("".join(mapped))
    write_fasta(folder / "data.fa", headers)
    write_dump(folder)


def taxa_of(word: str) -> list[str] | None:
    found = re.search(r"NC_(\d+)x", word)
    return TAXA[found[1]] if found else None


MAP = Kind(
    write=write_map,
    config={
        "taxdump": {"url": "file:taxdmp.zip"},
        "ranks": ["superkingdom", "genus"],
        "labels": {"source": "ncbi", "map": "seqid2taxid.map", "without_taxid": "exclude"},
    },
    classes={
        "superkingdom": {"Bacteria": 40, "Eukaryota": 20},
        "genus": {"Escherichia": 20, MORGANELLAE[0]: 20, MORGANELLAE[1]: 20},
    },
    truth=taxa_of,
    tested=(12, 12, 12),
    divided=60,
    summary={
        "sequences in the archive": 62,
        "sequences": 60,
        "rows of the label file": 50,
        "records whose id is not in the label file": 12,
        "merged taxids followed": 1,
        "dropped: header without taxid": 2,
    },
)

# records with fields: a genus in two kingdoms by its names, and splits that are given

LIVES = {
    "gannet": ("Animalia", "Morus"),
    "cow": ("Animalia", "Bos"),
    "mulberry": ("Plantae", "Morus"),
    "rose": ("Plantae", "Rosa"),
}
FOLDS = ["train"] * 12 + ["val"] * 3 + ["test"] * 4 + ["none"]


def lives() -> list[tuple[str, str, str, str]]:
    """id, kingdom, genus and fold of 80 records; of each kind the last one is in no split."""
    rows = [(kind, i) for kind in LIVES for i in range(20)]
    return [(f"{kind}{i}", *LIVES[kind], FOLDS[i]) for kind, i in rows]


def life(word: str) -> list[str] | None:
    kind, number = re.fullmatch(r"([a-z]+)(\d+)", word).groups()
    kingdom, genus = LIVES[kind]
    name = f"Morus (path {kingdom};Morus)" if genus == "Morus" else genus
    return None if FOLDS[int(number)] == "none" else [kingdom, name]


def write_records(folder: Path) -> None:
    texts = [text for seed in range(4) for text in dna(seed, 20)]
    with open(folder / "data.jsonl", "w") as stream:
        for (name, kingdom, genus, fold), text in zip(lives(), texts, strict=True):
            # one label may stand in a list
            record = {"id": name, "sequence": text, "kingdom": [kingdom], "genus": genus}
            stream.write(json.dumps(record | {"fold": fold}) + "\n")


RECORDS = Kind(
    write=write_records,
    config={
        "dataset": {"url": "file:data.jsonl"},
        "ranks": ["kingdom", "genus"],
        "labels": {"source": "record"},
        "split": {"given": "fold", "explainer_train": 0.5, "explainer_validation": 1.0},
    },
    classes={
        "kingdom": {"Animalia": 40, "Plantae": 40},
        "genus": {
            "Bos": 20,
            "Morus (path Animalia;Morus)": 20,
            "Morus (path Plantae;Morus)": 20,
            "Rosa": 20,
        },
    },
    truth=life,
    tested=(16, 16, 16),
    divided=76,
    summary={"sequences in the archive": 80, "sequences": 80},
)
KINDS = {"gtdb": GTDB, "two_columns": TWO_COLUMNS, "map": MAP, "records": RECORDS}


@pytest.fixture(scope="module", params=KINDS)
def chain(request, tmp_path_factory):
    """A kind, and the folder in which everything was made."""
    kind = KINDS[request.param]
    folder = tmp_path_factory.mktemp(request.param)
    kind.write(folder)
    write_config(folder, CONFIG | kind.config)
    done = snakemake(folder, "--cores", "1", "--", *TARGETS)
    assert done.returncode == 0, done.stderr[-4000:]
    return kind, folder


def read(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / "results" / name, sep="\t", keep_default_na=False)


def test_the_classes_are_known_by_hand(chain):
    kind, folder = chain
    table = read_classes(folder / "results/taxonomy/classes.tsv")
    found = {
        level: dict(zip(part["name"], part["sequences"], strict=True))
        for level, part in table.groupby("rank", sort=False)
    }
    # in order, too: a class is a number
    assert json.dumps(found) == json.dumps(kind.classes)
    own = folder / "results/explainers/paper/0/classes.tsv"
    assert own.read_bytes() == (folder / "results/taxonomy/classes.tsv").read_bytes()
    counts = {level: len(classes) for level, classes in kind.classes.items()}
    assert class_counts(own) == counts
    assert read_json(folder / "results/explanandum/0/config.json")["classes"] == counts
    summary = read(folder, "taxonomy/summary.tsv").set_index("quantity")["value"]
    assert {name: int(summary[name]) for name in kind.summary} == kind.summary


def test_every_sequence_has_the_labels_of_its_record(chain):
    kind, folder = chain
    names = [list(classes) for classes in kind.classes.values()]
    seen = 0
    for part in ("train", "validation", "test"):
        file = TokenFile(folder / f"results/tokens/{part}.arrow", kind.levels)
        seen += len(file)
        for name, labels in zip(file.ids.to_pylist(), file.labels, strict=True):
            own = [
                known[label] if label >= 0 else None
                for known, label in zip(names, labels, strict=True)
            ]
            assert own == kind.truth(word_of(name)), name
        if part == "test":
            known = (file.labels >= 0).sum(0)
            assert (len(file), *known.tolist()) == kind.tested
            lowest = file.labels[:, -1]
            assert np.bincount(lowest[lowest >= 0]).tolist() == [4] * len(names[-1])
    assert seen == kind.divided


def word_of(name: str) -> str:
    """The first word of a record's header, from the name of its sequence."""
    return name.split(":", 1)[1].split()[0]


def test_table1_is_that_of_the_predictions(chain):
    kind, folder = chain
    table = read(folder, "table1.tsv")
    assert [level for level in table.columns if level in kind.levels] == kind.levels
    tests, *labelled = kind.tested
    counts = [f"sequences_{level}" for level in kind.levels]
    some_lack = tests not in labelled or len({*labelled}) > 1
    made = pq.read_table(folder / "results/explainers/paper/predictions.parquet").to_pandas()
    for row in table.iloc[:5].to_dict("records"):
        assert row["sequences"] == tests
        if some_lack:
            assert [row[name] for name in counts] == labelled
        else:
            assert not {*counts} & row.keys()
        for level in kind.levels:
            known = made[made[f"label_{level}"] >= 0]
            right = known[f"{row['condition']}_{level}"] == known[f"label_{level}"]
            recall = right.groupby(known[f"label_{level}"]).mean()
            assert len(recall) == len(kind.classes[level])
            assert float(row[level]) == pytest.approx(100 * recall.mean(), abs=0.006)
    controls = read(folder, "explainers/paper/controls.tsv")
    plain = controls[(controls["control"] == "none") & (controls["condition"] == "masks")]
    assert plain[["sequences", *counts]].astype(int).values.tolist() == [list(kind.tested)]


def test_texts_name_the_levels_and_the_classes(chain):
    kind, folder = chain
    tests, *labelled = kind.tested
    with_label = (
        "" if {tests} == {*labelled} else f" (with a label: {' / '.join(map(str, labelled))})"
    )
    summary = " ".join((folder / "results/summary.md").read_text().split())
    assert f"per cent ({' / '.join(kind.levels)}) on {tests} test sequences{with_label}" in summary
    given = (
        "The splits are given by the column fold (split.given): 48 train, 12 validation, 16 test"
    )
    assert (f"{given} sequences, and 4 in no split." in summary) == (kind is RECORDS)
    assert ("splits are given" in summary) == (kind is RECORDS)
    card = (folder / "results/explainers/paper/0/README.md").read_text()
    for level, classes in kind.classes.items():
        example = escape_markdown(", ".join(list(classes)[:3]))
        assert f"| {level} | {len(classes)} | {example} |" in card
    assert f"labels: {kind.config['labels']['source']}" in card


def test_pictures_and_pages_tell_the_classes_apart(chain):
    kind, folder = chain
    figures = folder / "results/explainers/paper/figures"
    drawn = kind.levels[min(1, len(kind.levels) - 1)]
    sizes = pd.Series(kind.classes[drawn]) // 5
    picture = html.unescape((figures / "confusion.svg").read_text())
    assert f"<!-- true {drawn} (sequences) -->" in picture
    called = told_apart(list(sizes.index), LONGEST_NAME)
    assert len({*called}) == len(sizes)
    for name, size in zip(called, sizes, strict=True):
        assert f"<!-- {name} ({size}) -->" in picture
    page = (figures / "sequences.html").read_text()
    assert page.count("<section>") == kind.tested[0]
    for level, classes in kind.classes.items():
        for name, size in classes.items():
            row = f"<tr><th>{level}</th><td>{html.escape(name)}</td>"
            assert page.count(row) == size // 5
    assert "cls" not in page


def test_no_log_has_a_traceback_or_a_warning_that_is_not_due(chain):
    kind, folder = chain
    for log in (folder / "logs").rglob("*.log"):
        assert "Traceback" not in log.read_text(), log.name
    said = (folder / "logs/label_taxonomy.log").read_text()
    due = [
        f" {number} {name}: "
        for name, number in kind.summary.items()
        if name.startswith("dropped") or " without " in name
    ]
    for words in due:
        assert words in said
    # of a level most of whose names stand at two places, and of the first record without taxid
    due += ["classes share their name", "left out, and so is every other such record"]
    for line in said.splitlines():
        assert " WARNING " not in line or any(words in line for words in due)


def tables() -> dict[str, tuple[str, Callable[[Path], None], dict]]:
    """Other forms of the same labels: of which kind, what writes them, and their configuration."""

    def tsv(folder):
        write_two_columns(folder)
        lines = ["id\tlabel", *("\t".join(row) for row in shapes())]
        (folder / "labels.tsv").write_text("\n".join(lines) + "\n")

    def parquet(folder):
        write_two_columns(folder)
        names, labels = zip(*shapes(), strict=True)
        pq.write_table(
            pa.table({"id": names, "label": pa.array(labels).dictionary_encode()}),
            folder / "labels.parquet",
        )

    def split_table(folder):
        names, kingdoms, genera, folds = zip(*lives(), strict=True)
        # another order of the rows and the columns, and a column that nobody asks for
        table = pa.table(
            {"id": names, "fold": folds, "genus": genera, "kingdom": kingdoms, "n": range(80)}
        )
        pq.write_table(table.take(list(range(79, -1, -1))), folder / "labels.parquet")
        write_fasta(folder / "data.fa", list(names))

    flat = TWO_COLUMNS.config["labels"]
    given = {"labels": {"source": "table", "file": "labels.parquet"}, "dataset": CONFIG["dataset"]}
    return {
        "tsv": ("two_columns", tsv, {"labels": flat | {"file": "labels.tsv"}}),
        "parquet": ("two_columns", parquet, {"labels": flat | {"file": "labels.parquet"}}),
        "parquet_with_splits": ("records", split_table, given),
    }


@pytest.mark.parametrize("form", tables())
def test_other_forms_of_a_table_make_the_same_splits(form, tmp_path):
    """From there on nothing knows the table, so that the rest of the chain is that of the kind."""
    name, write, config = tables()[form]
    kind = KINDS[name]
    write(tmp_path)
    labels = {"hierarchy": True} | config["labels"]
    given = {"given": "fold"} if kind is RECORDS else {}
    own = {"hierarchy": labels["hierarchy"]} | ({"split": "fold"} if given else {})
    options = ("--label-file", labels["file"], "--source-settings", json.dumps(own))
    status, said = label(tmp_path, labels["source"], *options, ranks=kind.levels, dataset="data.fa")
    assert status == 0, said
    table = read_classes(tmp_path / "classes.tsv")
    assert table[["rank", "name", "sequences"]].values.tolist() == [
        [level, *row] for level, classes in kind.classes.items() for row in classes.items()
    ]
    made, _ = split(tmp_path, kind.levels, **given)
    assert (made["split"] == "test").sum() == kind.tested[0]
    assert (made["split"] != "none").sum() == kind.divided
    index = pq.read_table(tmp_path / "sequences.parquet").to_pandas()
    for header, row in zip(index["header"], made.to_dict("records"), strict=True):
        truth = kind.truth(header.split()[0])
        assert (truth is None) == (row["split"] == "none")
        if truth is not None:
            assert [list(kind.classes[level])[row[level]] for level in kind.levels] == truth
