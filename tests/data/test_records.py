import bz2
import gzip
import io
import itertools
import lzma
import os
import random
import re
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from Bio import SeqIO, bgzf
from Bio.Seq import Seq
from Bio.SeqFeature import CompoundLocation, SeqFeature, SimpleLocation
from Bio.SeqIO.FastaIO import SimpleFastaParser
from Bio.SeqIO.QualityIO import FastqGeneralIterator
from Bio.SeqRecord import SeqRecord
from helpers_nasty import NASTY, NASTY_FASTA

from whatyouread.data import record_formats, records
from whatyouread.data.records import KINDS, Feature, Meter, read_records
from whatyouread.support.cli import UserError

BLOCKS = [1, 2, 3, 7, 64, 1 << 20]
IUPAC = "RYSWKMBDHV"


def read(path, **options):
    """(name, description, bases, counts that are not 0, gaps) of each record."""
    found = []
    for record in read_records(path, **options):
        bases = record.bases(0, record.length)
        assert bases.dtype == np.uint8
        assert bases.shape == (record.length,)
        gaps = record.gaps()
        assert gaps.dtype == np.int64
        assert gaps.shape == (len(gaps), 2)
        assert tuple(record.counts) == tuple(KINDS)
        counts = {kind: number for kind, number in record.counts.items() if number}
        text = bases.tobytes().decode()
        found.append((record.name, record.description, text, counts, [*map(tuple, gaps.tolist())]))
    return found


def write(tmp_path, text, name="x"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refused(tmp_path, text, *parts, **options):
    """Reading `text` fails in one line, the same for all sizes of a block."""
    path = write(tmp_path, text, "bad")
    said = set()
    for block_bytes in (1, 7, 64, 1 << 20):
        with pytest.raises(UserError) as caught:
            read(path, block_bytes=block_bytes, **options)
        said.add(str(caught.value))
    # of a line that goes on, a small block shows less
    assert len({re.sub("'[^']*'", "", line) for line in said}) == 1, said
    for line in said:
        assert "\n" not in line
        assert line.startswith(str(path))
        for part in parts:
            assert part in line, line


def plain_bases(text):
    """The bases of the text of a sequence by another way than the tables."""
    return re.sub("[^ACGTN]", "N", text.upper().replace("U", "T"))


def plain_counts(text):
    found = {
        "lower": len(re.findall("[a-z]", text)),
        "uracil": len(re.findall("[Uu]", text)),
        "n": len(re.findall("[Nn]", text)),
        "ambiguous": len(re.findall(f"[{IUPAC}{IUPAC.lower()}]", text)),
        "strange": len(re.findall("[^A-Za-z]|[EFIJLOPQXZ]", text, re.IGNORECASE)),
    }
    return {kind: number for kind, number in found.items() if number}


def plain_gaps(bases):
    return [match.span() for match in re.finditer("N+", bases)]


def expected_of(made):
    return [
        (name, description, plain_bases(text), plain_counts(text), plain_gaps(plain_bases(text)))
        for name, description, text in made
    ]


def random_records(rng, most=12, longest=120):
    """Names, descriptions and texts; more than half of all characters are bases."""
    made = []
    for index in range(rng.randrange(1, most)):
        alphabet = rng.choice(
            ["ACGT", "ACGTN", "acgtnACGTN", "ACGUN", f"ACGTacgtuN{IUPAC}ryk-*.0X"]
        )
        text = "".join(rng.choices(alphabet, k=rng.choice([0, 1, 5, 6, 7, rng.randrange(longest)])))
        if rng.random() < 0.3:
            at = rng.randrange(len(text) + 1)
            text = text[:at] + "N" * rng.randrange(1, 40) + text[at:]
        name = f"r{index}{rng.choice(['', '|x', ':1-5', ';a=b', 'é漢', '>', '@', '+'])}"
        description = rng.choice(["", "", "x", "two words", "tab\there", ">no record", "@ + ;"])
        made.append((name, description, text))
    return [*made, ("last", "", "ACGT" * longest * most)]


def fasta_text(rng, made):
    text = ""
    for name, description, bases in made:
        text += rng.choice(["", "", "\n", "; a comment > here\n"])
        text += f">{name}{rng.choice(' 	') + description if description else ''}\n"
        width = rng.choice([1, 6, 7, 60, 10_000])
        text += "".join(bases[at : at + width] + "\n" for at in range(0, len(bases), width))
    text = text.lstrip("\n")
    return text if rng.random() < 0.5 else text.rstrip("\n")


def fastq_text(rng, made):
    text = ""
    for name, description, bases in made:
        header = f"{name} {description}" if description else name
        qualities = "".join(rng.choices("!@+#>;I~", k=len(bases)))
        wrap = rng.choice([7, 60]) if rng.random() < 0.3 and bases else 10_000
        lines = [
            "".join(line[at : at + wrap] + "\n" for at in range(0, max(len(line), 1), wrap))
            for line in (bases, qualities)
        ]
        text += f"@{header}\n{lines[0]}+{header if rng.random() < 0.3 else ''}\n{lines[1]}"
    return text if rng.random() < 0.5 else text.removesuffix("\n")


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("form", ["fasta", "fastq"])
def test_any_file_comes_back(tmp_path, form, seed):
    rng = random.Random(f"{form} {seed}")
    made = random_records(rng)
    text = (fasta_text if form == "fasta" else fastq_text)(rng, made)
    end = rng.choice(["\n", "\r\n", "\r"])
    path = tmp_path / "x"
    mark = rng.choice([b"", b"\xef\xbb\xbf"])
    path.write_bytes(mark + text.replace("\n", end).encode())
    for block_bytes in BLOCKS:
        keep = rng.choice([0, 1, 50, 1 << 20])
        assert read(path, block_bytes=block_bytes, keep=keep) == expected_of(made)


@pytest.mark.parametrize("seed", range(20))
def test_biopython_reads_the_same(tmp_path, seed):
    rng = random.Random(seed)
    made = random_records(rng)
    text = fasta_text(rng, made)
    without_comments = re.sub("(?m)^;.*\n", "", text)
    found = read(write(tmp_path, text))
    theirs = list(SimpleFastaParser(io.StringIO(without_comments)))
    assert [row[0] for row in found] == [title.split()[0] for title, _ in theirs]
    assert [row[2] for row in found] == [plain_bases(bases) for _, bases in theirs]

    # Biopython takes no empty read in the form of four lines
    made = [row for row in made if row[2]]
    text = fastq_text(rng, made)
    found = read(write(tmp_path, text))
    theirs = list(FastqGeneralIterator(io.StringIO(text)))
    assert [row[0] for row in found] == [title.split()[0] for title, *_ in theirs]
    assert [row[2] for row in found] == [plain_bases(bases) for _, bases, _ in theirs]


@pytest.mark.parametrize("keep", [0, 100, 1 << 24])
@pytest.mark.parametrize("block_bytes", BLOCKS)
def test_the_nasty_ones(tmp_path, block_bytes, keep):
    path = write(tmp_path, NASTY_FASTA)
    assert read(path, block_bytes=block_bytes, keep=keep) == [row[:5] for row in NASTY]
    assert len(NASTY) == len({row.name for row in NASTY}) == 20


@pytest.mark.parametrize("keep", [0, 999, 1000, 1 << 20])
def test_any_piece_of_a_record(tmp_path, keep):
    rng = random.Random(1)
    text = "".join(rng.choices("ACGTN", k=1000))
    path = write(tmp_path, ">a\n" + "\n".join(re.findall(".{1,61}", text)))
    records_seen = 0
    for record in read_records(path, keep=keep, block_bytes=64):
        records_seen += 1
        assert (record._spool is None) == (keep >= 1000)
        for _ in range(200):
            start, stop = sorted(rng.choices(range(1001), k=2))
            assert record.bases(start, stop).tobytes().decode() == text[start:stop]
        for start, stop in [(-1, 5), (0, 1001), (7, 6)]:
            with pytest.raises(ValueError, match="not within"):
                record.bases(start, stop)
        assert [*map(tuple, record.gaps().tolist())] == plain_gaps(text)
    assert records_seen == 1


def test_the_temporary_file_is_closed_when_the_record_ends(tmp_path):
    path = write(tmp_path, ">a\nACGT\n>b\nACGT\n")
    reader = read_records(path, keep=0)
    first = next(reader)
    first.bases(0, 4)
    second = next(reader)
    with pytest.raises(ValueError, match="closed"):
        first.bases(0, 4)
    reader.close()
    with pytest.raises(ValueError, match="closed"):
        second.bases(0, 4)
    # so is one that was begun when the file turned out to be damaged
    spools = []
    with pytest.MonkeyPatch.context() as patch:
        made = records.tempfile.TemporaryFile
        patch.setattr(
            records.tempfile, "TemporaryFile", lambda: spools.append(made()) or spools[-1]
        )
        with pytest.raises(UserError):
            read(write(tmp_path, ">a\nACGT\n>b\nACGT\nAC\1GT"), keep=0, block_bytes=7)
    assert len(spools) == 2
    assert all(spool.closed for spool in spools)


def test_no_room_for_a_long_record(tmp_path, monkeypatch):
    class Full(io.BytesIO):
        def write(self, data):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(records.tempfile, "TemporaryFile", Full)
    monkeypatch.setattr(records.tempfile, "gettempdir", lambda: "/some/folder")
    with pytest.raises(UserError, match=r"^/some/folder: .* of a cannot .*No space left.*TMPDIR"):
        read(write(tmp_path, ">a\nACGT\n"), keep=0)


# Packings


def bgzipped(data):
    made = io.BytesIO()
    writer = bgzf.BgzfWriter(fileobj=made)
    writer.write(data)
    writer.flush()
    return made.getvalue() + bytes.fromhex(
        "1f8b08040000000000ff0600424302001b0003000000000000000000"
    )


def zstandard(data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


PACKINGS = {
    "plain": bytes,
    "gzip": gzip.compress,
    "gzip of many members": lambda data: b"".join(
        gzip.compress(data[at : at + 999]) for at in range(0, len(data), 999)
    ),
    "bgzip": bgzipped,
    "bzip2": lambda data: bz2.compress(data[:7]) + bz2.compress(data[7:]),
    "xz": lzma.compress,
    "zstd": zstandard,
}


def genbank_bytes(*made):
    """`made`: (name, description, bases) or records of Biopython."""
    found = io.StringIO()
    for record in made:
        if isinstance(record, tuple):
            name, description, bases = record
            record = SeqRecord(Seq(bases), id=name, name="LOCUS1", description=description)
            record.annotations["molecule_type"] = "DNA"
        SeqIO.write(record, found, "genbank")
    return found.getvalue().encode()


def formats():
    rng = random.Random(3)
    made = [(f"AB_{i}.{i}", f"number {i}", "".join(rng.choices("ACGTN", k=700))) for i in range(9)]
    fasta = "".join(f">{name} {text}\n{bases}\n" for name, text, bases in made)
    fastq = "".join(f"@{n} {text}\n{bases}\n+\n{'I' * 700}\n" for n, text, bases in made)
    return made, {
        "fasta": fasta.encode(),
        "fastq": fastq.encode(),
        "genbank": genbank_bytes(*made),
        "genbank as released": b"GBBCT1.SEQ   Genetic Sequence Data Bank\n\n"
        + genbank_bytes(*made),
    }


MADE, FORMATS = formats()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("packing", PACKINGS)
def test_packings_and_formats(tmp_path, monkeypatch, packing, form):
    path = write(tmp_path, PACKINGS[packing](FORMATS[form]), "no ending")
    assert read(path) == read(str(path), block_bytes=100) == expected_of(MADE)
    with open(path) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        assert read("-", keep=0) == expected_of(MADE)
        stream.fileno()  # still open


@pytest.mark.parametrize("packing", [name for name in PACKINGS if name != "plain"])
def test_damaged_packings(tmp_path, packing):
    data = PACKINGS[packing](NASTY_FASTA * 1 + b"\n>long\n" + os.urandom(4000).hex().encode())
    for cut in (len(data) // 2, len(data) - 30):
        path = write(tmp_path, data[:cut], "cut")
        if packing == "gzip of many members":
            continue
        with pytest.raises(UserError, match=rf"^{re.escape(str(path))}.*(damaged|truncated)"):
            read(path)


def test_a_bgzip_file_without_its_end(tmp_path):
    data = bgzipped(b">a\nACGT\n")
    assert len(read(write(tmp_path, data))) == 1
    with pytest.raises(UserError, match="end mark of bgzip"):
        read(write(tmp_path, data[:-28]))


def test_a_slow_pipe(tmp_path):
    """Packing and format are known though bytes come one by one."""
    code = (
        "import sys; from whatyouread.data.records import Meter, read_records\n"
        "print([(r.name, r.length) for r in read_records('-')])"
    )
    scripts = Path(records.__file__).parents[2]
    for data in (NASTY_FASTA, gzip.compress(FORMATS["genbank"])):
        process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=scripts, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for byte in data[:20]:
            process.stdin.write(bytes([byte]))
            process.stdin.flush()
            time.sleep(0.005)
        out, _ = process.communicate(data[20:])
        right = NASTY if data is NASTY_FASTA else [(name, "", text) for name, _, text in MADE]
        assert out.decode().strip() == str([(row[0], len(row[2])) for row in right])


# What is read, though it is odd


@pytest.mark.parametrize("text", [b"", b"\n", b"\r\n \n\t\n\n", b"\xef\xbb\xbf", b"\n" * 20_000])
@pytest.mark.parametrize("packing", ["plain", "gzip", "xz"])
def test_nothing(tmp_path, text, packing):
    for block_bytes in (1, 1 << 20):
        assert read(write(tmp_path, PACKINGS[packing](text)), block_bytes=block_bytes) == []


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (b">a", [("a", "", "", {}, [])]),
        (b">a\n>b\n\n>c\n", [(name, "", "", {}, []) for name in "abc"]),
        (b"@a\n\n+\n\n@b\nA\n+\nI\n", [("a", "", "", {}, []), ("b", "", "A", {}, [])]),
        (b"@a\n+\n@b\n+b\n", [("a", "", "", {}, []), ("b", "", "", {}, [])]),
        (b">a  \t two  words \nACGT", [("a", "two  words", "ACGT", {}, [])]),
        (b">a\rAC\rGT\r>b\rA", [("a", "", "ACGT", {}, []), ("b", "", "A", {}, [])]),
        (b">a\r\r\nAC\r\r\nGT\r\r\n", [("a", "", "ACGT", {}, [])]),
        (b">a\nACGT\n\r", None),
        (b">a\nACGT\r", [("a", "", "ACGT", {}, [])]),
        (b">a\r\nACGT\r", [("a", "", "ACGT", {}, [])]),
        (b"\n\n;old\n;FASTA\n>a\nAC\n;within\nGT\n", [("a", "", "ACGT", {}, [])]),
        (b">a\nA C\tG T \n", [("a", "", "ACGT", {"blank": 4}, [])]),
        (b">a\nAC;GT\n", [("a", "", "ACNGT", {"strange": 1}, [(2, 3)])]),
        (b">a\nACGTnryku\n", [
            ("a", "", "ACGTNNNNT",
             {"lower": 5, "n": 1, "ambiguous": 3, "uracil": 1}, [(4, 8)])]),
        (b">a;b\nACGT\n", [("a;b", "", "ACGT", {}, [])]),
        (">café à\nACGT\n".encode(), [("café", "à", "ACGT", {}, [])]),
        (">café à\nACGT\n".encode("latin-1"), [("café", "à", "ACGT", {}, [])]),
        (b">a\nACGT\n>A\nACGT\n>a.1\nA\n", [
            ("a", "", "ACGT", {}, []), ("A", "", "ACGT", {}, []), ("a.1", "", "A", {}, [])]),
        (b">a one\x01b two\nACGT\n", [("a", "one\x01b two", "ACGT", {}, [])]),
        # a quality that looks like a header, and one like the mark of the qualities
        (b"@a\nACGT\n+\n@bcd\n@b\nAC\n+\n+@\n", [("a", "", "ACGT", {}, []), ("b", "", "AC", {}, [])]),
        (b"@a x\nAC\nGT\n+a\nI\nIII\n\n@b\nA\n+\nI", [("a", "x", "ACGT", {}, []), ("b", "", "A", {}, [])]),
        (b"@a\nAC.T \n+\nIIII \n", [("a", "", "ACNT", {"strange": 1, "blank": 1}, [(2, 3)])]),
    ],
)  # fmt: skip
def test_odd_files(tmp_path, text, right):
    if right is None:
        right = [("a", "", "ACGT", {}, [])]
    for block_bytes in BLOCKS:
        for keep in (0, 1 << 20):
            assert read(write(tmp_path, text), block_bytes=block_bytes, keep=keep) == right


def test_a_run_of_n_across_pieces(tmp_path):
    text = "NN" + "ACGT" * 5 + "N" * 300 + "A" + "N"
    path = write(tmp_path, ">a\n" + "\n".join(re.findall(".{1,9}", text)) + "\n")
    for block_bytes in BLOCKS:
        for keep in (0, 1, 150, 1 << 20):
            (row,) = read(path, block_bytes=block_bytes, keep=keep)
            assert row[4] == [(0, 2), (22, 322), (323, 324)]


def test_what_is_counted_is_explained():
    assert set(KINDS) == {"lower", "uracil", "n", "ambiguous", "strange", "blank"}
    assert all(text and "\n" not in text for text in KINDS.values())


def test_every_letter(tmp_path):
    """What each character is: all of the printable ones but '>', which begins a header."""
    for code in range(33, 127):
        letter = chr(code)
        if letter in ">;":
            continue
        (row,) = read(write(tmp_path, f">a\nAC{letter}\n"))
        assert row[2:4] == (plain_bases(f"AC{letter}"), plain_counts(letter)), letter


# What is refused


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (b"ACGT\n", ["line 1", "'ACGT'", "neither FASTA, FASTQ nor GenBank"]),
        (b"\n\nID   X56734; SV 1;\n", ["line 3", "neither FASTA, FASTQ nor GenBank"]),
        (b"##gff-version 3\n", ["##gff-version 3", "neither"]),
        (b"@HD\tVN:1.6\n@SQ\tSN:1\tLN:5\n", ["SAM", "samtools fastq"]),
        (b"BAM\x01\0\0\0\0", ["BAM", "samtools fastq"]),
        (b" >a\nACGT\n", ["line 1", "before the first '>'"]),
        (b";a comment\nACGT\n>a\n", ["line 2", "'A", "before the first '>'"]),
        (b";a\n\n \nAC\n", ["line 4", "'A", "before the first '>'"]),
        (">a\nACGT\n".encode("utf-16"), ["UTF-16"]),
        (">a\nACGT\n".encode("utf-16-le"), ["UTF-16"]),
        (">a\nACGT\n".encode("utf-16-be"), ["UTF-16"]),
        (b">a\nAC>GT\n", ["line 2", "'>' inside a sequence", "'a'"]),
        (b">a\nACGT\nACGT>b\nAC\n", ["line 3", "'>' inside a sequence", "joined"]),
        (b">a\nACGT\n\nAC\xc3\xa9GT\n", ["line 4", "not ASCII"]),
        (b">a\nAC\0GT\n", ["line 2", "control character"]),
        (b">a\nACGT\n;c\nAC\x7fGT\n", ["line 4", "control character"]),
        (b">a\nACGT\n\x1a", ["line 3", "control character"]),
        (b">\nACGT\n", ["line 1", "without a name"]),
        (b">a\nAC\n> b\nACGT\n", ["line 3", "without a name", "' b'"]),
        (b">a\nAC\n>\tb\nACGT\n", ["line 3", "without a name"]),
        (b">a\nAC\n>", ["line 3", "without a name"]),
        (b"@\nA\n+\nI\n", ["line 1", "without a name"]),
        (b">a\nAC\n;x\n>b\nA\n>a again\nACGT\n", ["line 6", "a is there twice", "line 1"]),
        (b"@a 1\nAC\n+\nII\n@a 2\nA\n+\nI\n", ["line 5", "a is there twice", "line 1"]),
        (b">a\x01b\nACGT\n", ["line 1", "control characters", r"a\x01b"]),
        (b">a\x85b\nACGT\n", ["line 1", "control characters"]),
        ("\n>a\u2028b\nACGT\n".encode(), ["line 2", "control characters"]),
        (b">a\nAC\rGT\nACGT\n", ["line 2", "carriage return"]),
        (b">a\rACGT\r\nACGT\r\n", ["carriage return"]),
        (b"@a\nACGT\n+\nIIIII\n", ["line 4", "4 bases, but more qualities", "'a'"]),
        (b"@a\nACGT\n+\nIII\n@b\nACGT\n+\nIIII\n", ["line 5", "4 bases, but more", "'a'"]),
        (b"@a\nACGT\n+\nIII\n", ["ends after 3 of 4 qualities", "'a'"]),
        (b"@a\nACGT\n+\nIIII\n@b\nACGT\n+", ["ends after 0 of 4 qualities", "'b'"]),
        (b"@a\nACGT\n+\nIIII\n@b\nACGT", ["ends before the '+'", "'b'"]),
        (b"@a\nACGT\n+\nIIII\n@b", ["ends before the '+'", "'b'"]),
        (b"@a\nACGT\n+b\nIIII\n", ["line 3", "not the header again", "'a'"]),
        (b"@a\nACGT\n+\nIIII\nACGT\n", ["line 5", "'ACGT'", "begin with '@'"]),
        (b"@a\nACGT\nIIII\n@b\nAC\nII\n", ["ends before the '+'"]),
        (b">a\nMKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQ\n", ["no bases", "protein"]),
        (b">a\n----\n>b\nACG\n", ["57%", "no bases"]),
        (b"7z\xbc\xaf\x27\x1c", ["7z", "unpack"]),
        (b"Rar!\x1a\x07", ["RAR", "unpack"]),
    ],
)  # fmt: skip
def test_refused_files(tmp_path, text, parts):
    refused(tmp_path, text, *parts)


def test_protein_is_refused_before_its_end(tmp_path):
    rng = random.Random(1)
    protein = "".join(
        f">p{i}\n{''.join(rng.choices('ACDEFGHIKLMNPQRSTVWY', k=300))}\n" for i in range(99)
    )
    reader = read_records(write(tmp_path, protein))
    assert sum(1 for _ in itertools.islice(reader, 33)) == 33
    with pytest.raises(UserError, match="protein"):
        next(reader)
    # what is masked by X or by gaps is not protein; the whole file tells
    masked = ">m\n" + "X" * 50_000 + "\n>g\n" + "-" * 50_000 + "\n>a\n" + "ACGT" * 26_000 + "\n"
    assert [row[0] for row in read(write(tmp_path, masked))] == ["m", "g", "a"]


def test_archives_are_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.fa", b">a\nACGT\n")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        info = tarfile.TarInfo("a.fa")
        info.size = 8
        archive.addfile(info, io.BytesIO(b">a\nACGT\n"))
    packed = write(tmp_path, gzip.compress((tmp_path / "a.tar").read_bytes()), "a.tar.gz")
    for path in (tmp_path / "a.zip", tmp_path / "a.tar", packed):
        with pytest.raises(UserError, match=rf"^{re.escape(str(path))}: an archive.*unpack it"):
            read(path)


def test_no_file(tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "*.fa")


def test_a_header_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(record_formats, "LONGEST_HEADER", 100)
    for mark, rest in ((">", "\nACGT\n"), ("@", "\nA\n+\nI\n"), (";", "\n>a\nACGT\n")):
        path = write(tmp_path, f"{mark}a{'x' * 1000}{rest}")
        with pytest.raises(UserError, match="line 1: a header of more than 100 bytes"):
            read(path, block_bytes=64)


# GenBank


def annotated():
    rng = random.Random(5)
    bases = "".join(rng.choices("ACGT", k=500)) + "NNNNNRYK" + "".join(rng.choices("ACGT", k=92))
    record = SeqRecord(Seq(bases), id="AB000001.2", name="AB000001", description="a test, complete")
    record.annotations |= {"molecule_type": "DNA", "topology": "circular"}
    one = SimpleLocation(0, 30, 1)
    joined = CompoundLocation([SimpleLocation(580, 600, 1), SimpleLocation(0, 12, 1)])
    spliced = CompoundLocation([SimpleLocation(200, 221, -1), SimpleLocation(100, 131, -1)])
    record.features = [
        SeqFeature(SimpleLocation(0, 600, 1), "source", qualifiers={"organism": ["X y"]}),
        SeqFeature(one, "gene", qualifiers={"gene": ["abcD"], "locus_tag": ["T_1"]}),
        SeqFeature(one, "CDS", qualifiers={"locus_tag": ["T_1"], "product": ["a very long " * 9]}),
        SeqFeature(joined, "CDS", qualifiers={"gene": ["oriX"]}),
        SeqFeature(spliced, "tRNA", qualifiers={"product": ["tRNA-Ala"]}),
        SeqFeature(SimpleLocation(599, 600, -1), "misc_feature", qualifiers={"label": ["end"]}),
    ]
    return record, bases


def test_genbank(tmp_path):
    record, bases = annotated()
    path = write(tmp_path, genbank_bytes(record, ("ZZ9.1", "another", "ACGT")))
    for block_bytes in (1, 64, 1 << 20):
        for keep in (0, 1 << 20):
            assert read(path, block_bytes=block_bytes, keep=keep) == [
                ("AB000001.2", "a test, complete", plain_bases(bases),
                 {"n": 5, "ambiguous": 3}, [(500, 508)]),
                ("ZZ9.1", "another", "ACGT", {}, []),
            ]  # fmt: skip
    first, second = (list(record.features) for record in read_records(path))
    assert first == [
        ("source", 0, 600, "+", "", ""),
        ("gene", 0, 30, "+", "abcD", ""),
        ("CDS", 0, 30, "+", "T_1", ("a very long " * 9).strip()),
        ("CDS", 0, 12, "+", "oriX", ""),
        ("CDS", 580, 600, "+", "oriX", ""),
        ("tRNA", 100, 131, "-", "", "tRNA-Ala"),
        ("tRNA", 200, 221, "-", "", "tRNA-Ala"),
        ("misc_feature", 599, 600, "-", "end", ""),
    ]
    assert all(isinstance(feature, Feature) for feature in first)
    assert second == []


LOCATIONS = [
    ("<3..>8", [(2, 8, "+")]),
    ("5", [(4, 5, "+")]),
    ("20^21", [(20, 20, "+")]),
    ("complement(1..6)", [(0, 6, "-")]),
    ("order(1..3,7..8)", [(0, 3, "+"), (6, 8, "+")]),
    ("join(complement(7..8),complement(1..3))", [(0, 3, "-"), (6, 8, "-")]),
    ("join(1..3,J00194.1:10..22)", [(0, 3, "+")]),
    ("J00194.1:10..22", []),
    ("30..90", []),
    ("nowhere", []),
]


@pytest.mark.parametrize(("location", "spans"), LOCATIONS)
def test_locations_of_genbank(tmp_path, caplog, location, spans):
    text = genbank_bytes(("AB1.1", "x", "ACGT" * 10)).decode()
    table = "FEATURES             Location/Qualifiers\n"
    assert table in text
    text = text.replace(table, f'{table}     gene            {location}\n{" " * 21}/gene="g"\n')
    with caplog.at_level("WARNING", "whatyouread"):
        (record,) = read_records(write(tmp_path, text))
    assert record.features == [("gene", *span, "g", "") for span in spans]
    # nothing is left out in silence
    left_out = not spans or ":" in location
    assert (["left out" in line for line in caplog.messages].count(True) == 1) == left_out


def test_names_of_genbank(tmp_path):
    """The version; without one, the name of the locus."""
    text = genbank_bytes(("AB1.1", "x", "ACGT" * 10)).decode()
    version = re.search("VERSION.*\n", text)[0]
    for instead in ("", "VERSION\n", "VERSION     .\n"):
        (row,) = read(write(tmp_path, text.replace(version, instead)))
        assert row[0] == "LOCUS1"
    with pytest.raises(UserError, match=r"AB1\.1 is there twice, first in line 1"):
        read(write(tmp_path, text + text))


def test_genbank_that_is_refused(tmp_path):
    text = genbank_bytes(("AB1.1", "x", "ACGT" * 100)).decode()
    end = text.index("//\n")
    refused(tmp_path, "\n" + text[:end], "line 2", "ends within the record")
    refused(tmp_path, text + text[:40], f"line {1 + text.count(chr(10))}", "ends within the record")
    origin = text.index("ORIGIN")
    contig = text[:origin] + "CONTIG      join(J00194.1:1..400)\n//\n"
    refused(tmp_path, contig, "line 1", "no sequence", "gbwithparts")
    protein = SeqRecord(Seq("MKV"), id="P1", name="P1", annotations={"molecule_type": "protein"})
    refused(tmp_path, genbank_bytes(protein), "line 1", "P1 is protein")
    first = text.count("\n", 0, text.index("        1 acgt")) + 1
    refused(tmp_path, text.replace("   1 acgt", "   1 ac>t"), f"line {first}:", "'>' inside")
    refused(tmp_path, text.replace("400 bp", "xxx bp"), "line 1", "not a record of GenBank")
    refused(tmp_path, text.replace("ORIGIN", "ORIGIM"), "line 1", "not a record of GenBank")
    lines = [line for line in text.splitlines(True) if not line.startswith("      121 ")]
    refused(tmp_path, "".join(lines), "line 1", "LOCUS1 has 340 bases", "says 400")
    assert len(read(write(tmp_path, "".join(lines).replace("400 bp", "340 bp")))) == 1
    refused(tmp_path, text + "nonsense\n//\n", "not a record of GenBank")


def test_genbank_without_biopython(tmp_path, monkeypatch):
    path = write(tmp_path, FORMATS["genbank"])
    monkeypatch.setitem(sys.modules, "Bio", None)
    with pytest.raises(UserError, match="pip install biopython"):
        read(path)


def test_biopython_is_imported_for_genbank_alone(tmp_path):
    path = write(tmp_path, NASTY_FASTA)
    code = (
        "import sys; from whatyouread.data.records import Meter, read_records\n"
        f"assert len(list(read_records({str(path)!r}))) == 20\n"
        "assert not {'Bio', 'torch', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path(records.__file__).parents[2], check=True)


# Real data


def test_coli(shared):
    path = shared / "data" / "dna" / "genomes" / "NC_000913.gbk.gz"
    with gzip.open(path, "rt") as stream:
        theirs = SeqIO.read(stream, "genbank")
    for record in read_records(path, keep=1 << 20):
        assert (record.name, record.length) == ("NC_000913.3", 4_641_652)
        assert record.bases(0, record.length).tobytes() == bytes(theirs.seq)
        assert record.bases(4_641_650, 4_641_652).tobytes() == bytes(theirs.seq[-2:])
        assert not any(record.counts.values())
        assert len(record.gaps()) == 0
        parts = Counter()
        for feature in theirs.features:
            parts[feature.type] += len(feature.location.parts)
        assert Counter(feature.type for feature in record.features) == parts
        assert (parts["tRNA"], parts["rRNA"]) == (89, 22)
        assert parts["CDS"] >= 4319
        names = {feature.name for feature in record.features if feature.type == "CDS"}
        assert {"thrL", "lacZ", "rpoB"} <= names


def test_pyrococcus(shared):
    path = shared / "data" / "dna" / "archaea" / "Pyrococcus_furiosus.fa.gz"
    with gzip.open(path, "rt") as stream:
        ((title, bases),) = SimpleFastaParser(stream)
    for keep in (0, 1 << 24):
        (row,) = read(path, keep=keep)
        assert row == ("NC_003413.1", title.partition(" ")[2], plain_bases(bases), {}, [])
        assert len(bases) == 1_908_256


# Size


def memory():
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc")
@pytest.mark.parametrize("form", ["lines", "one line", "fastq"])
def test_memory_does_not_grow_with_the_length(tmp_path, form):
    count = 100_000 if form == "fastq" else 200_000  # 100 and 200 Mbp
    path = tmp_path / "pipe"
    os.mkfifo(path)
    end = b"\n" if form == "lines" else b""

    def feed():
        with open(path, "wb") as stream:
            stream.write(b"@long\n" if form == "fastq" else b">long\n")
            for at in range(count):
                # few gaps: the caller gets all of them at once
                part = b"ACGTTGCANN" if at in (0, count - 1) else b"ACGTTGCATT"
                stream.write(part * 100 + end)
            if form == "fastq":
                stream.write(b"\n+\n")
                for _ in range(count):
                    stream.write(b"I" * 1000)

    writer = threading.Thread(target=feed)
    read(write(tmp_path, NASTY_FASTA), keep=0)
    before = memory()
    writer.start()
    for record in read_records(path):
        assert record.length == count * 1000
        assert record.bases(record.length - 4, record.length).tobytes() == b"CANN"
        assert len(record.gaps()) == 200
        assert record.counts["n"] == 400
        assert memory() - before < 60e6
    writer.join()


def test_speed(tmp_path):
    """Generous bounds; a loop over bases would take minutes."""
    rng = np.random.default_rng(1)
    genome = rng.choice(np.frombuffer(b"ACGTacgtN", np.uint8), 5_000_000).tobytes()
    lines = b"\n".join(genome[at : at + 70] for at in range(0, len(genome), 70))
    path = write(tmp_path, b">g\n" + lines + b"\n")
    reads = b"".join(
        b"@r%d\n%s\n+\n%s\n" % (i, genome[i : i + 150], b"I" * 150) for i in range(20_000)
    )
    other = write(tmp_path, reads, "reads")
    start = time.perf_counter()
    (genome_row,) = read_records(path)
    middle = time.perf_counter()
    assert genome_row.length == 5_000_000
    assert sum(1 for _ in read_records(other)) == 20_000
    stop = time.perf_counter()
    assert middle - start < 2  # 0.1 on an idle core
    assert stop - middle < 4  # 0.3 on an idle core


def test_a_meter_counts_the_packed_bytes_of_all_inputs(tmp_path):
    rng = np.random.default_rng(0)
    text = b"".join(
        b">%d\n%s\n" % (i, bytes(rng.choice(list(b"ACGT"), 500).tolist())) for i in range(2000)
    )
    paths = [tmp_path / "a.fa", tmp_path / "b.fa.gz"]
    paths[0].write_bytes(text)
    paths[1].write_bytes(gzip.compress(text))
    sizes, meter, seen = [path.stat().st_size for path in paths], Meter(), [0]
    for path in paths:
        for _ in read_records(path, block_bytes=1 << 14, meter=meter):
            seen.append(meter.read)
        assert meter.read == sum(sizes[: paths.index(path) + 1])
    assert seen == sorted(seen)
    assert 0 < seen[1] < sizes[0]
    assert sizes[0] < seen[2100] < sum(sizes)
