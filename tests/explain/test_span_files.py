import re
import shutil
import subprocess
from urllib.parse import unquote

import numpy as np
import pysam
import pytest

from whatyouread.explain.span_files import SpanFiles, Spans, escape_gff, taken_for_comments
from whatyouread.support.colours import BLUE, GREY, ORANGE

LEVELS = ("phylum", "Genus; of=it")
SIZES = {"b": 7, "empty": 0, "a": 100, "NC_1.1|x": 50}
COLOURS = {"Pyro": BLUE, "Thermo": ORANGE}
SEQID = re.compile(r"(?:[a-zA-Z0-9.:^*$@!+_?|-]|%[0-9A-F]{2})+")
VALUE = re.compile(r"(?:[^\x00-\x1f\x7f%;=&,]|%[0-9A-F]{2})+")
needs_bedtools = pytest.mark.skipif(shutil.which("bedtools") is None, reason="no bedtools")


def spans(rows, strand="."):
    """rows: start, end, score, phylum, genus."""
    starts, ends, score, high, low = zip(*rows, strict=True) if rows else [()] * 5
    return Spans(
        np.array(starts, np.int64),
        np.array(ends, np.int64),
        np.array(score, np.float64),
        strand,
        {LEVELS[0]: high, LEVELS[1]: low},
        {LEVELS[0]: np.full(len(rows), 0.75), LEVELS[1]: np.full(len(rows), 0.125)},
    )


def write(folder, calls, sizes=SIZES):
    bed, gff = folder / "s.bed", folder / "s.gff3"
    with SpanFiles(bed, gff, sizes, LEVELS, COLOURS) as files:
        for name, own in calls:
            files.add(name, own)
    return bed, gff


CALLS = [
    ("b", spans([(0, 1, 1, "E", "Pyro"), (6, 7, 0.5004, "E", "Thermo")], "+")),
    ("a", spans([(0, 100, 0.9996, "E", "other")], "+")),
    ("b", spans([(0, 7, 0.5, "E", "Pyro")], "-")),  # another strand comes when it comes
    ("a", spans([])),
    ("NC_1.1|x", spans([(49, 50, 0, "E", "Pyro")], "-")),
]


def read_gff(path, sizes):
    """Rows of GFF3, by what its specification asks for."""
    lines = path.read_bytes().decode("utf-8").split("\n")
    assert lines.pop() == ""
    assert lines[0] == "##gff-version 3"
    regions = [line.split(" ") for line in lines if line.startswith("##sequence-region")]
    assert [(unquote(r[1]), *map(int, r[2:])) for r in regions] == [
        (name, 1, length) for name, length in sizes.items() if length
    ]
    assert all(SEQID.fullmatch(region[1]) for region in regions)
    rows, ids, order = [], set(), {name: i for i, name in enumerate(sizes)}
    for line in lines[1 + len(regions) :]:
        seqid, source, kind, start, end, score, strand, phase, attributes = line.split("\t")
        assert SEQID.fullmatch(seqid)
        assert (source, kind, phase) == ("whatyouread", "sequence_feature", ".")
        assert strand in "+-."
        assert 1 <= int(start) <= int(end) <= sizes[unquote(seqid)]
        assert 0 <= float(score) <= 1
        pairs = [pair.split("=") for pair in attributes.split(";")]
        assert all(VALUE.fullmatch(text) for pair in pairs for text in pair)
        assert all(len(pair) == 2 for pair in pairs)
        said = {unquote(key): unquote(value) for key, value in pairs}
        assert len(said) == len(pairs)
        assert {key for key in said if key[0].isupper()} == {"ID", "Name"}
        assert said["ID"] not in ids
        ids.add(said["ID"])
        rows.append((unquote(seqid), int(start), int(end), float(score), strand, said))
    assert rows == sorted(rows, key=lambda row: (order[row[0]], row[1], row[2]))
    return rows


def test_bed_on_paper(tmp_path):
    bed, _ = write(tmp_path, CALLS)
    assert bed.read_text() == (
        "b\t0\t1\tPyro\t1000\t+\t0\t1\t0,114,178\n"
        "b\t0\t7\tPyro\t500\t-\t0\t7\t0,114,178\n"
        "b\t6\t7\tThermo\t500\t+\t6\t7\t230,159,0\n"
        "a\t0\t100\tother\t1000\t+\t0\t100\t138,138,138\n"
        "NC_1.1|x\t49\t50\tPyro\t0\t-\t49\t50\t0,114,178\n"
    )


def test_gff_says_the_same_counted_from_1(tmp_path):
    _, gff = write(tmp_path, CALLS)
    rows = read_gff(gff, SIZES)
    assert [row[:5] for row in rows] == [
        ("b", 1, 1, 1, "+"),
        ("b", 1, 7, 0.5, "-"),
        ("b", 7, 7, 0.5004, "+"),
        ("a", 1, 100, 0.9996, "+"),
        ("NC_1.1|x", 50, 50, 0, "-"),
    ]
    assert rows[0][5] == {
        "ID": "span1",
        "Name": "Pyro",
        "class_phylum": "E",
        "probability_phylum": "0.7500",
        "class_Genus; of=it": "Pyro",
        "probability_Genus; of=it": "0.1250",
        "color": BLUE,
    }
    assert rows[3][5]["color"] == GREY


def test_a_strand_per_span(tmp_path):
    rows = [(0, 3, 1, "E", "Pyro"), (2, 5, 1, "E", "Pyro"), (5, 6, 1, "E", "Pyro")]
    bed, _ = write(tmp_path, [("a", spans(rows, np.array(["+", "-", "+"])))])
    found = [line.split("\t") for line in bed.read_text().splitlines()]
    assert [(row[1], row[2], row[5]) for row in found] == [
        ("0", "3", "+"),
        ("2", "5", "-"),
        ("5", "6", "+"),
    ]


GREY_RGB = "138,138,138"
HOSTILE = [
    "a\tb",
    "a\nb",
    "a;b=c,d&e%f",
    "%3B",
    "é~Ω",
    "a\r\nb",
    "\x01\x02",
    "",
    " ",
    "\u2028",
    "x" * 400,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_of_classes_hold_anything(tmp_path, name):
    bed, gff = write(tmp_path, [("a", spans([(3, 9, 0.5, name, name)]))])
    row = read_gff(gff, SIZES)[0]
    assert row[5]["class_phylum"] == row[5]["Name"] == (name or ".")
    (line,) = bed.read_bytes().decode().rstrip("\n").split("\n")
    fields = line.split("\t")
    assert len(fields) == 9
    assert fields[3].isprintable()
    assert 1 <= len(fields[3]) <= 255
    assert fields[3] == " ".join(fields[3].split())
    packed = pysam.tabix_index(str(bed), preset="bed")
    with pysam.TabixFile(packed, encoding="utf-8", parser=pysam.asBed()) as table:
        (row,) = table.fetch("a", 8, 9)
        assert (row.contig, row.start, row.end, row.score, row.strand) == ("a", 3, 9, 500, ".")
        assert (row.thickStart, row.thickEnd, row.itemRGB) == (3, 9, GREY_RGB)
        assert row.name == fields[3]


@pytest.mark.parametrize(
    "name", ["a;b", "a=b", "a%3Bb", "é", "#x", ">x", "a,b", "a&b", "a~b", "a/b"]
)
def test_names_of_sequences_are_kept(tmp_path, name):
    sizes = {name: 9}
    bed, gff = write(tmp_path, [(name, spans([(0, 9, 0.5, "E", "Pyro")]))], sizes)
    assert bed.read_bytes().decode().split("\t")[0] == name
    assert read_gff(gff, sizes)[0][:3] == (name, 1, 9)
    assert not re.search("[;=,&~/>#]", gff.read_text().splitlines()[-1].split("\t")[0])


@pytest.mark.parametrize("text", ["a~b", "é", "a b", "a|b"])
def test_gff_escapes_only_what_it_must(text):
    assert escape_gff(text) == text


@needs_bedtools
def test_names_that_bedtools_passes_over(tmp_path, caplog):
    names = ["#x", "track", "tracks1", "Browser", "chrom", "chrom1", "chr1", "x#y", "a", '"q"']
    sizes = dict.fromkeys(names, 9)
    bed, _ = write(tmp_path, [(n, spans([(0, 9, 1, "E", "Pyro")])) for n in names], sizes)
    command = ["bedtools", "intersect", "-a", bed, "-b", bed]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seen = [line.split("\t")[0] for line in done.stdout.splitlines()]
    assert seen == ["chrom1", "chr1", "x#y", "a", '"q"']
    assert taken_for_comments(names) == ["#x", "track", "tracks1", "Browser", "chrom"]
    assert "5 sequences have names that programs take for a comment" in caplog.text


@needs_bedtools
def test_bedtools_reads_the_spans(tmp_path):
    generator = np.random.default_rng(0)
    sizes = {"s2": 10_000, "s1": 6}
    calls = []
    for strand in "+-":
        edges = np.sort(generator.choice(10_001, 200, replace=False))
        edges[[0, -1]] = 0, 10_000
        rows = [(a, b, 0.5, "E", "Pyro") for a, b in edges.reshape(-1, 2).tolist()]
        calls += [("s2", spans(rows, strand)), ("s1", spans([(0, 6, 1, "E", "Pyro")], strand))]
    bed, gff = write(tmp_path, calls, sizes)
    genome = tmp_path / "sizes"
    genome.write_text("s2\t10000\ns1\t6\n")
    own = bed.read_text()

    def bedtools(*command):
        done = subprocess.run(["bedtools", *command], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout

    def places(text):
        return [line.split("\t")[:2] for line in text.splitlines()]

    # which sorts by sequence and start alone
    assert places(bedtools("sort", "-g", genome, "-i", bed)) == places(own)
    assert bedtools("intersect", "-sorted", "-g", genome, "-a", bed, "-b", bed, "-s", "-u") == own
    # GFF3 and BED say the same, as bedtools reads them
    assert bedtools("subtract", "-a", bed, "-b", gff, "-s") == ""
    assert bedtools("subtract", "-b", bed, "-a", gff, "-s") == ""
    assert bedtools("intersect", "-a", bed, "-b", gff, "-s", "-f", "1", "-r", "-u") == own
    inside = bedtools("slop", "-b", "0", "-i", bed, "-g", genome)
    assert inside == own


BAD = {
    "unknown name": [("c", spans([(0, 1, 1, "E", "P")]))],
    "outside": [("b", spans([(0, 8, 1, "E", "P")]))],
    "overlapping": [("a", spans([(0, 8, 1, "E", "P"), (7, 9, 1, "E", "P")]))],
    "of the sequence before": [("a", spans([(0, 8, 1, "E", "P")])), ("b", spans([(0, 1, 1, "E", "P")]))],
    "strand": [("a", spans([(0, 8, 1, "E", "P")], "?"))],
    "score": [("a", spans([(0, 8, 1.01, "E", "P")]))],
    "no score": [("a", spans([(0, 8, np.nan, "E", "P")]))],
}  # fmt: skip


@pytest.mark.parametrize("calls", BAD.values(), ids=BAD)
def test_what_does_not_fit_is_refused(tmp_path, calls):
    with pytest.raises(ValueError, match=repr(calls[-1][0])):
        write(tmp_path, calls)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("sizes", [{}, {"a": 0}, {"a": 7}])
def test_no_span_at_all(tmp_path, sizes):
    bed, gff = write(tmp_path, [], sizes)
    assert bed.read_bytes() == b""
    assert read_gff(gff, sizes) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.bed", "s.gff3"]


def test_equal_bytes_wherever_the_spans_are_cut(tmp_path):
    rows = [(i, i + 2, i / 100, "E", "Pyro") for i in range(0, 98, 3)]
    made = set()
    for cut in (1, 2, 50):
        folder = tmp_path / str(cut)
        calls = [("a", spans(rows[i : i + cut], "-")) for i in range(0, len(rows), cut)]
        calls += [("a", spans(rows, "+"))]
        made.add(tuple(path.read_bytes() for path in write(folder, calls)))
    assert len(made) == 1
