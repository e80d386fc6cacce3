"""Lineages as GTDB, QIIME and SILVA write them, in a table or in headers."""

import gzip
import io
import random
import zipfile

import pandas as pd
import pyarrow as pa
import pytest
from tests.data.test_labels import SHARED
from tests.data.test_table_labels import (
    classes_of,
    counts_of,
    label,
    split,
    write_fasta,
    write_rows,
)

from whatyouread.data.levels import read_classes
from whatyouread.data.lineage_labels import LineageLabels, header_lineages, without_database
from whatyouread.data.normalisation import Settings
from whatyouread.data.sequences import read_sequences
from whatyouread.support.cli import UserError

RANKS = ["domain", "phylum", "genus"]
ECOLI = "d__Bacteria;p__Pseudomonadota;c__C;o__O;f__F;g__Escherichia;s__Escherichia coli"
BACILLUS = "d__Bacteria;p__Bacillota_A;c__C;o__O;f__F;g__Bacillus;s__Bacillus subtilis"
NO_GENUS = "d__Archaea;p__Halobacteriota;c__X;o__Y;f__;g__;s__"


def labelled(lineages, levels, file=None):
    source = LineageLabels(None, LineageLabels.Settings())
    table = source.labels(pa.array(lineages), levels)
    table = table.astype(object).where(table.notna(), None)
    return [tuple(row) for row in table.drop(columns="lineage").itertuples(index=False)]


def test_the_ranks_of_lineages():
    genus = "Bacteria;Pseudomonadota;C;O;F;Escherichia"
    assert labelled([ECOLI, BACILLUS, NO_GENUS], ["phylum", "genus"]) == [
        ("Pseudomonadota", "Bacteria;Pseudomonadota", "Escherichia", genus, ""),
        ("Bacillota_A", "Bacteria;Bacillota_A", "Bacillus", "Bacteria;Bacillota_A;C;O;F;Bacillus", ""),
        ("Halobacteriota", "Archaea;Halobacteriota", "", None, ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        ECOLI,
        ECOLI.replace(";", "; "),
        ECOLI + ";",
        ECOLI.replace("d__", "D__").replace("D__", "d__ "),
        ECOLI.rsplit(";", 1)[0],
    ],
)
def test_blanks_and_ends_do_not_matter(text):
    [(name, path, problem)] = labelled([text], ["genus"])
    assert (name, problem) == ("Escherichia", "")
    assert path == "Bacteria;Pseudomonadota;C;O;F;Escherichia"


def test_other_first_ranks():
    assert labelled([ECOLI], ["superkingdom"]) == [("Bacteria", "Bacteria", "")]
    greengenes = "k__Bacteria; p__Firmicutes; c__; o__; f__; g__; s__"
    assert labelled([greengenes], ["kingdom", "phylum"]) == [
        ("Bacteria", "Bacteria", "Firmicutes", "Bacteria;Firmicutes", "")
    ]


def test_what_is_no_lineage_has_a_problem():
    found = labelled([ECOLI, "", "Unclassified", "?"], ["genus"])
    assert [row[-1] for row in found] == ["", "no lineage", "no lineage", "not in the label file"]


def test_names_alone_for_as_many_levels():
    levels = ["top", "mid", "low"]
    found = labelled(["A;b;c", "A; b;", "A;;c", "A", "A;b;c;d", "B;b;c"], levels)
    assert found == [
        ("A", "A", "b", "A;b", "c", "A;b;c", ""),
        ("A", "A", "b", "A;b", "", None, ""),
        ("A", "A", "", None, "c", "A;b;c", ""),
        ("A", "A", "", None, "", None, ""),
        ("", None, "", None, "", None, "a lineage of 4 names"),
        ("B", "B", "b", "B;b", "c", "B;b;c", ""),
    ]


@pytest.mark.parametrize(
    ("lineage", "levels", "words"),
    [
        (
            "d__A;x__B",
            ["genus"],
            r"^headers: the lineage 'd__A;x__B': 'x__B' does not begin with one of d__",
        ),
        ("d__A;B", ["genus"], "'B' does not begin"),
        ("d__A;p__B;p__C", ["genus"], "ranks twice, or in another order than d k p c o f g s"),
        ("p__B;d__A", ["genus"], "ranks twice, or in another order"),
        (ECOLI, ["genus", "phylum"], r"highest to the lowest: \[phylum, genus\]"),
        (ECOLI, ["strain"], "a lineage has no strain; it has domain, kingdom, phylum"),
        (ECOLI, ["domain", "superkingdom"], "a lineage has no superkingdom"),
    ],
)
def test_lineages_and_ranks_that_are_refused(lineage, levels, words):
    with pytest.raises(UserError, match=words):
        labelled([lineage], levels)


def test_random_lineages_against_a_plain_reader():
    rng = random.Random(11)
    letters = "dpcofgs"
    names = ["domain", "phylum", "class", "order", "family", "genus", "species"]
    for _ in range(200):
        values = [rng.choice(["", "A", "B b", "C_A", "D__x"]) for _ in letters]
        text = ";".join(f"{letter}__{value}" for letter, value in zip(letters, values, strict=True))
        levels = sorted(rng.sample(names, rng.randrange(1, 8)), key=names.index)
        [row] = labelled([text], levels)
        for place, level in enumerate(levels):
            at = names.index(level)
            name, path = row[2 * place : 2 * place + 2]
            assert name == values[at]
            # a rank that no lineage has divides nothing
            above = [v for n, v in zip(names[:at], values[:at], strict=True) if v or n in levels]
            assert path == (";".join([*above, name]) if name else None)


def test_the_lineage_of_a_header():
    headers = [
        "id " + ECOLI,
        f"id {ECOLI} [location=1..1532] [ssu_len=1532]",
        "id",
        "",
        "id\t d__A  ",
        "i [x]",
    ]
    assert header_lineages(pa.array(headers)).to_pylist() == [ECOLI, ECOLI, "", "", "d__A", ""]


def test_windows_have_the_lineage_of_their_sequence(tmp_path):
    (tmp_path / "x.fa").write_text(f">a {ECOLI}\n{'ACGT' * 5}\n>b d__A;s__B 1-5\nACGT\n")
    source = LineageLabels(None, LineageLabels.Settings())
    settings = Settings(max_length=10, longer="window")
    [batch] = read_sequences(tmp_path / "x.fa", settings=settings)
    assert batch.headers[1].as_py() == f"a {ECOLI} 11-20"
    assert source.keys(batch).to_pylist() == [ECOLI, ECOLI, "d__A;s__B 1-5"]


def test_accessions_with_and_without_their_database():
    ids = ["RS_GCF_1.1", "GB_GCA_2.1", "GCF_1.1", "RS_x", "XRS_GCF_1.1", "GCF_1"]
    found = without_database(pa.array(ids)).to_pylist()
    assert found == ["GCF_1.1", "GCA_2.1", "GCF_1.1", "RS_x", "XRS_GCF_1.1", "GCF_1"]


def test_a_table_of_accessions(tmp_path):
    """With and without RS_ or GB_ on either side; another version is another assembly."""
    ids = ["RS_GCF_1.1", "GCA_2.1", "GB_GCA_3.1", "GCF_1.2", "GCF_1"] * 12
    write_fasta(tmp_path / "x.fa", ids)
    rows = [
        ("RS_GCF_1.1", ECOLI),
        ("GB_GCA_2.1", BACILLUS),
        ("GCA_3.1", NO_GENUS),
        ("RS_GCF_9.1", ECOLI),
    ]
    text = "".join("\t".join(row) + "\n" for row in rows)
    (tmp_path / "t.tsv.gz").write_bytes(gzip.compress(text.encode()))
    assert label(tmp_path, "lineage", "--label-file", "t.tsv.gz", ranks=RANKS)[0] == 0
    assert classes_of(tmp_path) == {
        "domain": ["Bacteria"],
        "phylum": ["Bacillota_A", "Pseudomonadota"],
        "genus": ["Bacillus", "Escherichia"],
    }
    counts = counts_of(tmp_path)
    assert counts["value"]["dropped: no genus"] == 12
    assert counts["value"]["dropped: not in the label file"] == 24
    assert counts["detail"]["records whose id is not in the label file"] == "'GCF_1.2', 'GCF_1'"
    assert counts["detail"]["ids of the label file that no record has"] == "'GCF_9.1'"
    made, _ = split(tmp_path, RANKS)
    assert made["genus"].tolist() == [1, 0, -1, -1, -1] * 12


def test_lineages_in_headers_to_splits(tmp_path):
    ids = [f"s{n} {(ECOLI, BACILLUS, 'no lineage')[n % 3]}" for n in range(60)]
    write_fasta(tmp_path / "x.fa", ids)
    text = (tmp_path / "x.fa").read_text().replace(" of number ", " [n=")
    (tmp_path / "x.fa").write_text(text)
    status, said = label(tmp_path, "lineage", ranks=["superkingdom", "genus"])
    assert status == 0
    assert "20 dropped: no lineage: no lineage (20)" in said
    made, _ = split(tmp_path, ["superkingdom", "genus"])
    assert made["genus"].tolist() == [1, 0, -1] * 20


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([("a", ECOLI), ("a", BACILLUS)], "the id 'a' has two rows that differ"),
        (
            [("RS_GCF_1.1", ECOLI), ("GCF_1.1", BACILLUS)],
            "the id 'GCF_1.1' has two rows that differ",
        ),
        ([("a", "b", ECOLI)], "two columns expected, accession and lineage"),
        ([], "two columns expected"),
        ([("Feature ID", "Taxon")], "no row in it"),
        (
            [("a", ECOLI), ("b", "d__A;z__B")],
            "t.tsv: the lineage 'd__A;z__B': 'z__B' does not begin",
        ),
    ],
)
def test_tables_of_lineages_that_are_refused(tmp_path, rows, words):
    write_fasta(tmp_path / "x.fa", ["a", "b"])
    write_rows(tmp_path / "t.tsv", rows[1:], rows[0] if rows else ())
    status, said = label(tmp_path, "lineage", "--label-file", "t.tsv", ranks=RANKS)
    assert status == 1
    assert len(said.splitlines()) == 1
    assert words in said
    assert {file.name for file in tmp_path.iterdir()} == {"x.fa", "t.tsv", "label.log"}


def test_real_fragments_with_the_lineages_of_gtdb(tmp_path):
    """The fragments of species that GTDB names, by a table from their taxids to its lineages."""
    real, gtdb = SHARED / "data" / "real", SHARED / "data" / "dna" / "gtdb"
    if not (real.exists() and gtdb.exists()):
        pytest.skip("the real fragments or GTDB's lineages, ../shared/data, are not here")
    dump = zipfile.ZipFile(real / "taxdmp_mini.zip").read("names.dmp").decode()
    rows = [line.split("\t|\t") for line in dump.splitlines()]
    names = {row[0]: row[1] for row in rows if row[3].startswith("scientific name")}
    lineages = {}
    for name in ("ar122_taxonomy_r89.tsv", "bac120_taxonomy_r89_n10k.tsv.gz"):
        text = (gtdb / name).read_bytes()
        text = gzip.decompress(text) if name.endswith("gz") else text
        for line in io.StringIO(text.decode()):
            lineage = line.rstrip("\n").split("\t")[1]
            lineages[lineage.rpartition("s__")[2]] = lineage
    expected = pd.read_csv(real / "expected.tsv", sep="\t", dtype=str, keep_default_na=False)
    pairs = zip(expected["taxid"], expected["resolved_taxid"], strict=True)
    of_taxid = {t: lineages[names[r]] for t, r in pairs if names[r] in lineages}
    assert len(of_taxid) > 10
    write_rows(tmp_path / "t.tsv", list(of_taxid.items())[1:], next(iter(of_taxid.items())))
    ranks = ["domain", "phylum", "class", "order", "genus"]
    options = ("--label-file", "t.tsv")
    assert (
        label(tmp_path, "lineage", *options, ranks=ranks, dataset=real / "bertax_like.zip")[0] == 0
    )
    numbers = expected.set_index("taxid")["n_fragments"].astype(int)
    counts = counts_of(tmp_path)["value"]
    assert counts["sequences"] == sum(numbers[taxid] for taxid in of_taxid)
    assert counts["records whose id is not in the label file"] == 17909 - counts["sequences"]
    genera = {lineage.split(";")[5].removeprefix("g__") for lineage in of_taxid.values()}
    assert classes_of(tmp_path)["genus"] == sorted(genera)
    made, _ = split(tmp_path, ranks)
    index = pd.read_parquet(tmp_path / "sequences.parquet")
    table = read_classes(tmp_path / "classes.tsv")
    for rank, letter in zip(ranks, "dpcog", strict=True):
        of_class = table[table["rank"] == rank].set_index("class")["name"]
        taxids = index["header"].str.split().str[0]
        wanted = taxids.map(
            {
                t: dict(f.split("__", 1) for f in text.split(";"))[letter]
                for t, text in of_taxid.items()
            }
        )
        assert (made[rank].map(of_class).fillna("") == wanted.fillna("")).all()
