import bz2
import gzip
import lzma
import subprocess

import numpy as np
import pytest

from whatyouread.explain.annotation import from_features, kind_of, read_annotation
from whatyouread.support.cli import UserError

HEAD = "##gff-version 3\n##sequence-region a 1 100\n##sequence-region nothing 1 5\n"
ROW = "a\tsource\tCDS\t1\t9\t.\t+\t0\tgene=thrA;product=fused%20kinase%3B long\n"


def written(tmp_path, text, pack=bytes):
    path = tmp_path / "genes.gff3"
    path.write_bytes(pack(text.encode()))
    return path


def rows_of(features):
    columns = (features.types, features.starts, features.ends, features.strands)
    return list(zip(*columns, features.names, features.products, strict=True))


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_rows_are_read(tmp_path, pack, end):
    text = HEAD + ROW + "\n#a comment\n" + "b%3Bc\t.\ttRNA\t7\t7\t.\t?\t.\tID=x\n" + ROW[:-1]
    found = read_annotation(written(tmp_path, text.replace("\n", end), pack))
    cds = ("CDS", 0, 9, "+", "thrA", "fused kinase; long")
    assert {name: rows_of(own) for name, own in found.items()} == {
        "a": [cds, cds],
        "nothing": [],
        "b;c": [("tRNA", 6, 7, ".", "x", "")],
    }


@pytest.mark.parametrize("start", ["##FASTA\n", ">a\n"])
def test_sequences_end_the_features(tmp_path, start):
    found = read_annotation(written(tmp_path, HEAD + ROW + start + ">a\nACGT\n" + ROW))
    assert len(found["a"].types) == 1


@pytest.mark.parametrize(
    ("attributes", "name", "product"),
    [
        ("ID=i;Name=n;locus_tag=l;gene=g", "g", ""),
        ("ID=i;Name=n;locus_tag=l", "l", ""),
        ("ID=i; Name=n;Note=told", "n", "told"),
        ("ID=i;gene=;Note=told;product=made", "i", "made"),
        (".", "", ""),
        ("Name=%C3%A9%2C%25", "é,%", ""),
    ],
)
def test_the_name_of_a_feature(tmp_path, attributes, name, product):
    found = read_annotation(written(tmp_path, f"a\t.\tgene\t1\t2\t.\t.\t.\t{attributes}\n"))
    assert rows_of(found["a"]) == [("gene", 0, 2, ".", name, product)]


@pytest.mark.parametrize(
    "attributes", ["pseudo=true", "pseudogene=unknown", "gene_biotype=transcribed_pseudogene"]
)
def test_a_pseudo_gene_is_a_pseudogene(tmp_path, attributes):
    found = read_annotation(written(tmp_path, f"a\t.\tgene\t1\t2\t.\t.\t.\tID=i;{attributes}\n"))
    assert found["a"].types.tolist() == ["pseudogene"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("a\t.\tCDS\t1\t9\t.\t+\t0\n", "8 columns"),
        ("a . CDS 1 9 . + 0 ID=x\n", "1 columns"),
        ("a\t.\tCDS\t0\t9\t.\t+\t0\tID=x\n", "'0-9'"),
        ("a\t.\tCDS\t9\t8\t.\t+\t0\tID=x\n", "'9-8'"),
        ("a\t.\tCDS\t1.5\t8\t.\t+\t0\tID=x\n", "'1.5-8'"),
        ("a\t.\tCDS\t-1\t8\t.\t+\t0\tID=x\n", "'-1-8'"),
        (f"a\t.\tCDS\t1\t{10**30}\t.\t+\t0\tID=x\n", "'1-1000"),
        ("a\t.\tCDS\t1\t8\t.\tplus\t0\tID=x\n", "strand"),
    ],
)
def test_a_line_that_is_no_gff3(tmp_path, line, said):
    path = written(tmp_path, HEAD + ROW + line)
    with pytest.raises(UserError, match=rf"genes.gff3: line 5 is not GFF3 \(.*{said}") as raised:
        read_annotation(path)
    assert "\n" not in str(raised.value)


def test_a_name_in_latin_1_is_the_one_of_the_sequence(tmp_path):
    path = tmp_path / "genes.gff3"
    path.write_bytes((HEAD + ROW).encode().replace(b"a\t", b"\xe4\t", 1))
    assert "ä" in read_annotation(path)


def test_no_features_and_no_file(tmp_path):
    with pytest.raises(UserError, match="no features"):
        read_annotation(written(tmp_path, "##gff-version 3\n"))
    with pytest.raises(UserError, match="is not there"):
        read_annotation(tmp_path / "none")


@pytest.mark.parametrize(
    ("own", "kind"),
    [
        *(("CDS", "CDS"), ("cds", "CDS"), ("rRNA", "rRNA"), ("tRNA", "tRNA"), ("tmRNA", "tmRNA")),
        *(("snoRNA", "ncRNA"), ("SRP_RNA", "ncRNA"), ("RNase_P_RNA", "ncRNA"), ("ncRNA", "ncRNA")),
        *(("direct_repeat", "repeat"), ("mobile_genetic_element", "repeat")),
        *(("mobile_element", "repeat"), ("repeat_region", "repeat"), ("pseudogene", "pseudogene")),
        *(("gene", "gene"), ("exon", "gene"), ("ncRNA_gene", "gene"), ("mRNA", "gene")),
        *(("region", ""), ("sequence_feature", ""), ("origin_of_replication", ""), ("source", "")),
    ],
)
def test_kinds(own, kind):
    assert kind_of(own) == kind
    assert from_features([(own, 0, 1, "+", "", "")]).kinds().tolist() == [kind]


def test_no_features_at_all():
    assert rows_of(from_features([])) == []
    assert from_features([]).kinds().tolist() == []


@pytest.mark.parametrize(
    ("file", "sequence", "length"),
    [
        ("genomes/escherichia_coli.gff.gz", "NC_000913.3", 4_641_652),
        ("archaea/Pyrococcus_furiosus.gff3.gz", "NC_003413.1", 1_908_256),
        ("archaea/Methanocaldococcus_jannaschii.gff3.gz", "NC_000909.1", 1_664_970),
    ],
)
def test_real_annotations(shared, file, sequence, length):
    path = shared / "data" / "dna" / file
    if not path.is_file():
        pytest.skip(f"no {path}")
    found = read_annotation(path)
    assert list(found) == [sequence]
    features = found[sequence]
    assert features.ends.max() == length
    lines = subprocess.run(["zcat", path], capture_output=True, text=True, check=True).stdout
    lines = [line for line in lines.splitlines() if line and line[0] != "#"]
    for own in ("CDS", "tRNA", "rRNA", "pseudogene", "gene"):
        places = [
            (int(c[3]) - 1, int(c[4])) for c in (line.split("\t") for line in lines) if c[2] == own
        ]
        assert len(places) > 3
        mine = features.types == own
        assert list(zip(features.starts[mine], features.ends[mine], strict=True)) == places
    trna = features.types == "tRNA"
    assert all(product.startswith("tRNA-") for product in features.products[trna])
    assert np.isin(features.strands, ["+", "-", "."]).all()
    assert (features.names != "").mean() > 0.99
