import xml.etree.ElementTree as ET

import numpy as np
import pysam
import pytest

from whatyouread.explain.browsers import Reference, Shown, write_igv_session, write_sizes
from whatyouread.support.colours import ORANGE

SIZES = {"b": 1, "empty": 0, "five": 5, "a": 60, "long": 61, "é;": 120, "n": 0, "z": 1_000}


def sequences(generator):
    return {n: bytes(generator.choice(list(b"ACGTN"), size).tolist()) for n, size in SIZES.items()}


def write(path, own, cut):
    with Reference(path) as reference:
        for name, bases in own.items():
            reference.begin(name, "told\tof  it" if name == "a" else "")
            for i in range(0, len(bases), cut):
                piece = bases[i : i + cut]
                reference.add(np.frombuffer(piece, np.uint8) if i % 2 else piece)
    return reference


@pytest.mark.parametrize("cut", [1, 7, 60, 5_000])
def test_pysam_reads_the_sequences_and_would_make_the_same_index(tmp_path, cut):
    own = sequences(np.random.default_rng(0))
    path = tmp_path / "s.fa"
    assert write(path, own, cut).left_out == 2
    text = path.read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) == 60
    assert ">a told of it\n" in text
    made = (tmp_path / "s.fa.fai").read_bytes()
    with pysam.FastaFile(str(path)) as fasta:
        for name, bases in own.items():
            if bases and name.isascii():
                assert fasta.fetch(name) == bases.decode()
                assert fasta.fetch(name, len(bases) - 1, len(bases)) == chr(bases[-1])
    assert [line.split(b"\t")[0].decode() for line in made.splitlines()] == [
        name for name, bases in own.items() if bases
    ]
    (tmp_path / "s.fa.fai").unlink()
    pysam.faidx(str(path))
    assert (tmp_path / "s.fa.fai").read_bytes() == made


def test_no_sequences(tmp_path):
    assert write(tmp_path / "s.fa", {}, 1).left_out == 0
    assert write(tmp_path / "t.fa", {"a": b""}, 1).left_out == 1
    for name in ("s.fa", "s.fa.fai", "t.fa", "t.fa.fai"):
        assert (tmp_path / name).read_bytes() == b""
    write_sizes(tmp_path / "sizes", {})
    assert (tmp_path / "sizes").read_bytes() == b""


def test_a_failure_leaves_nothing(tmp_path):
    def failing():
        with Reference(tmp_path / "s.fa") as reference:
            reference.begin("a")
            reference.add(b"ACGT")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        failing()
    assert not list(tmp_path.iterdir())


def test_sizes(tmp_path):
    write_sizes(tmp_path / "x.chrom.sizes", {"é;b": 7, "a": 0})
    assert (tmp_path / "x.chrom.sizes").read_text(encoding="utf-8") == "é;b\t7\na\t0\n"


def test_a_session_opens_each_track_by_its_relative_path(tmp_path):
    path = tmp_path / "s & 1.igv.xml"
    tracks = [
        Shown(tmp_path / "s & 1.mask.bw", 'mask <"é">\x01', True),
        Shown(tmp_path / "more" / "spans.bed", "spans", False, ORANGE),
    ]
    write_igv_session(path, tmp_path / "s & 1.fa", tracks, "a:1-60")
    root = ET.parse(path).getroot()
    assert root.tag == "Session"
    assert root.attrib == {"version": "8", "locus": "a:1-60", "genome": "s & 1.fa"}
    files = ["s & 1.mask.bw", "more/spans.bed"]
    assert [element.get("path") for element in root.iter("Resource")] == files
    panels = {panel.get("name"): list(panel) for panel in root.iter("Panel")}
    (mask,) = panels["DataPanel"]
    sequence, spans = panels["FeaturePanel"]
    assert sequence.get("id") == "Reference sequence"
    assert [mask.get("id"), spans.get("id")] == files
    assert mask.get("name") == 'mask <"é">\N{REPLACEMENT CHARACTER}'
    assert (mask.get("color"), spans.get("color")) == ("0,114,178", "230,159,0")
    assert mask.get("autoScale") == "false"
    limits = mask.find("DataRange")
    assert (limits.get("minimum"), limits.get("maximum")) == ("0.0", "1.0")
    again = path.read_bytes()
    write_igv_session(path, tmp_path / "s & 1.fa", tracks, "a:1-60")
    assert path.read_bytes() == again
    assert str(tmp_path).encode() not in again


def test_a_session_without_sequences(tmp_path):
    write_igv_session(tmp_path / "s.xml", None, [])
    root = ET.parse(tmp_path / "s.xml").getroot()
    assert root.get("genome") is None
    assert not list(root.iter("Track"))
