"""Maps from ids of records to taxids, for the labels of NCBI."""

import gzip
import json

import pyarrow as pa
import pytest
from tests.data.test_label_files import written
from tests.data.test_table_labels import classes_of, counts_of, label, split, write_fasta
from tests.data.test_taxonomy import write_dump

from whatyouread.data import ncbi_labels
from whatyouread.data.ncbi_labels import taxid_map
from whatyouread.support.cli import UserError

RANKS = ["superkingdom", "phylum", "genus"]
HEAD = ["accession", "accession.version", "taxid", "gi"]
ACCESSIONS = [
    HEAD,
    ["NC_1", "NC_1.2", "562", "7"],
    ["NC_2", "NC_2.1", "582", "8"],
    ["NC_3", "NC_3.1", "90709", "0"],
    ["NC_4", "NC_4.1", "0", "0"],
]


def mapped(path, ids):
    return taxid_map(path, pa.array(ids)).find(pa.array(ids)).to_pylist()


def test_krakens_map(tmp_path):
    rows = [
        ["a", "562"],
        ["kraken:taxid|9606|b", "9606"],
        ["c", "2147483647"],
        ["", "1"],
        ["7", "8"],
    ]
    path = written(tmp_path / "seqid2taxid.map", rows)
    ids = ["7", "kraken:taxid|9606|b", "a", "B", "c"]
    assert mapped(path, ids) == [8, 9606, 562, None, 2147483647]


@pytest.mark.parametrize("pack", [lambda data: data, gzip.compress])
def test_ncbis_map_knows_ids_with_and_without_version(tmp_path, pack):
    path = written(tmp_path / "accession2taxid", ACCESSIONS, pack=pack)
    ids = ["NC_2.1", "NC_1", "NC_1.2", "NC_1.1", "NC_3", "562", "NC_4"]
    assert mapped(path, ids) == [582, 562, 562, None, 90709, None, 0]


def test_the_short_map_of_ncbi(tmp_path):
    path = written(tmp_path / "x", [["accession.version", "taxid"], ["A.1", "5"]])
    assert mapped(path, ["A.1", "A"]) == [5, None]


def test_a_map_is_read_in_blocks_and_only_the_wanted_stay(tmp_path, monkeypatch):
    rows = [[f"s{n}", str(n + 1)] for n in range(5000)]
    path = written(tmp_path / "map", rows)
    read = ncbi_labels.read_batches
    sizes = []

    def small(*args, block_bytes):
        for batch in read(*args, block_bytes=4096):
            sizes.append(len(batch))
            yield batch

    monkeypatch.setattr(ncbi_labels, "read_batches", small)
    wanted = [f"s{n}" for n in range(0, 6000, 7)]
    found = taxid_map(path, pa.array(wanted))
    assert found.find(pa.array(wanted)).to_pylist() == [
        n + 1 if n < 5000 else None for n in range(0, 6000, 7)
    ]
    assert len(sizes) > 5
    assert found.rows == len([n for n in range(0, 6000, 7) if n < 5000])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([["a", "1"], ["b", "2"], ["a", "3"]], "the id 'a' has two rows that differ, 1 and 3"),
        ([["a", "x"]], "'x', the taxid of 'a', is no number of a taxid"),
        ([["a", "-1"]], "'-1', the taxid of 'a'"),
        ([["a", "2147483648"]], "'2147483648', the taxid"),
        ([["a", "1", "2"]], "no map to taxids: two columns expected"),
        ([["a"]], "no map to taxids"),
        ([["name", "taxid"], ["a", "1"]], "no map to taxids"),
        ([["a", "1"], ["b"]], "row 2: 1 fields"),
    ],
)
def test_maps_that_are_refused(tmp_path, rows, words):
    path = written(tmp_path / "m.map", rows)
    with pytest.raises(UserError, match=words) as error:
        taxid_map(path, pa.array(["a", "b"]))
    assert "m.map" in str(error.value)


def run(folder, *ids, **settings):
    write_fasta(folder / "x.fa", [i for i in ids for _ in range(20)])
    options = (
        "--label-file",
        "taxdmp.zip",
        "--source-settings",
        json.dumps({"map": "m.map"} | settings),
    )
    return label(folder, "ncbi", *options, ranks=RANKS)


def test_a_map_to_splits(tmp_path):
    """Ids of the map, a tag of Kraken that is not in it, and what has no taxid."""
    write_dump(tmp_path)
    written(tmp_path / "m.map", ACCESSIONS)
    ids = ("NC_1.2", "NC_2", "kraken:taxid|90709|x", "NC_9.1", "562", "NC_4.1")
    status, said = run(tmp_path, *ids)
    assert status == 1
    assert (
        "x.fa, line 121: no taxid in m.map, nor 'kraken:taxid|TAXID' in the header; labels." in said
    )
    status, said = run(tmp_path, *ids, without_taxid="exclude")
    assert status == 0
    counts = counts_of(tmp_path)
    assert counts["value"]["sequences"] == 60
    assert counts["value"]["dropped: header without taxid"] == 40
    assert counts["value"]["dropped: taxid 0"] == 20
    assert counts["value"]["records whose id is not in the label file"] == 60
    assert classes_of(tmp_path)["genus"] == [
        "Escherichia", "Morganella (taxid 581)", "Morganella (taxid 90708)"
    ]  # fmt: skip
    made, _ = split(tmp_path, RANKS)
    assert made["genus"].tolist() == [0] * 20 + [1] * 20 + [2] * 20 + [-1] * 60


def test_a_header_and_the_map_may_not_differ(tmp_path):
    write_dump(tmp_path)
    written(tmp_path / "m.map", [["a", "562"], ["kraken:taxid|582|b", "562"]])
    status, said = run(tmp_path, "a", "kraken:taxid|582|b")
    assert status == 1
    assert "x.fa, line 41: taxid 562 in m.map and 582 in the header: mend one" in said
