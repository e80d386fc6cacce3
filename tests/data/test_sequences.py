import bz2
import gzip
import io
import json
import lzma
import random
import tarfile
import zipfile

import numpy as np
import pyarrow as pa
import pytest
from Bio.SeqIO.FastaIO import SimpleFastaParser
from hypothesis import given, settings
from hypothesis import strategies as st

from whatyouread.data.sequences import read_sequences
from whatyouread.support.cli import UserError


def records(path, block_bytes=16 << 20):
    """(source, index in the source, header, sequence) of every record."""
    found = []
    for batch in read_sequences(path, block_bytes):
        assert batch.lines.dtype == np.int64
        assert len(batch.headers) == len(batch.lines) == len(batch.offsets) - 1
        text, offsets = batch.header_text()
        assert text.tobytes().decode() == "".join(batch.headers.to_pylist())
        assert np.diff(offsets).tolist() == [
            len(header.encode()) for header in batch.headers.to_pylist()
        ]
        assert batch.bases.dtype == np.uint8
        assert batch.offsets.dtype == np.int64
        assert batch.offsets[0] == 0
        assert batch.offsets[-1] == len(batch.bases)
        for row, header in enumerate(batch.headers.to_pylist()):
            bases = batch.bases[batch.offsets[row] : batch.offsets[row + 1]].tobytes().decode()
            found.append((batch.source, batch.first + row, header, bases))
    return found


def header_lines(path, block_bytes=16 << 20):
    return np.concatenate([batch.lines for batch in read_sequences(path, block_bytes)]).tolist()


def plain(path, **options):
    return [record[2:] for record in records(path, **options)]


record = st.tuples(
    st.sampled_from(
        ["", "9606", "2147483647 0", "NC_1\t5 x", "1 3 >not a record", "  H. sapiens | x"]
    ),
    # the first letter is a base and no more than half are none, or the record would not be used
    st.text("ACGTNRY*-", max_size=20).map(lambda text: text and "ACGTACGTACGTACGTACGT" + text),
)


@settings(max_examples=150, deadline=None)
@given(
    made=st.lists(record, min_size=1, max_size=8),
    width=st.integers(1, 50),
    blanks=st.lists(st.booleans(), min_size=9, max_size=9),
    windows=st.booleans(),
    ended=st.booleans(),
    block_bytes=st.integers(1, 80),
)
def test_any_fasta_comes_back(tmp_path_factory, made, width, blanks, windows, ended, block_bytes):
    text = ""
    for (header, bases), blank in zip(made, blanks[: len(made)], strict=True):
        lines = [bases[i : i + width] for i in range(0, len(bases), width)]
        text += "\n" * blank + f">{header}\n" + "".join(line + "\n" for line in lines)
    text = text if ended else text.removesuffix("\n")
    path = tmp_path_factory.mktemp("fasta") / "x.fa"
    path.write_bytes(text.replace("\n", "\r\n" if windows else "\n").encode())

    found = plain(path, block_bytes=block_bytes)
    assert found == made
    # Biopython expects the first line to be a header
    expected = list(SimpleFastaParser(io.StringIO(text.lstrip())))
    assert found == expected
    numbered = [n for n, line in enumerate(text.split("\n"), 1) if line.startswith(">")]
    assert header_lines(path, block_bytes) == numbered


def test_batches_follow_blocks_and_count_within_members(tmp_path):
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("b/Viruses.fa", "".join(f">{n + 1} {n}\n{'ACGT' * n}\n" for n in range(9)))
        archive.writestr("b/Archaea.fasta", ">7 0\nAC\n")
        archive.writestr("README.md", "# not sequences")
    found = records(tmp_path / "archive.zip", block_bytes=30)
    assert [(source, first) for source, first, *_ in found] == [
        ("b/Archaea.fasta", 0),
        *[("b/Viruses.fa", n) for n in range(9)],
    ]
    assert [entry[3] for entry in found[1:]] == ["ACGT" * n for n in range(9)]
    assert len(list(read_sequences(tmp_path / "archive.zip", 30))) > 4
    assert len(list(read_sequences(tmp_path / "archive.zip"))) == 2


def test_a_record_much_longer_than_a_block(tmp_path):
    long = "ACGTN" * 2000
    (tmp_path / "x.fna").write_text(f">1 0\nAC\n>2 1\n{long}\n>3 2\nGT\n")
    assert plain(tmp_path, block_bytes=7) == [
        ("1 0", "AC"),
        ("2 1", long),
        ("3 2", "GT"),
    ]


def test_a_gzipped_file_and_a_single_file_of_any_name(tmp_path):
    with gzip.open(tmp_path / "x.fa.gz", "wt") as stream:
        stream.write(">9 0\nACGT\n")
    assert plain(tmp_path / "x.fa.gz") == [("9 0", "ACGT")]
    (tmp_path / "download").write_text("\n>9 0\nACGT\n")
    assert plain(tmp_path / "download") == [("9 0", "ACGT")]


def test_any_header_is_a_header(tmp_path):
    (tmp_path / "x.fa").write_text(">\nAC\n> 5\nGT\n>chr1:3-9(+)\nA\n")
    assert plain(tmp_path) == [("", "AC"), (" 5", "GT"), ("chr1:3-9(+)", "A")]


@pytest.mark.parametrize("block_bytes", [1, 9, 1 << 20])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_headers_of_any_bytes_and_a_byte_order_mark(tmp_path, end, block_bytes):
    lines = [
        b"\xef\xbb\xbf>1 \xc3\xa9\xc2\xa0x ",
        b"AC",
        b">2 \xe9\xa0\xff\t",
        b"",
        b"GT",
        b">3 \x00|",
    ]
    for name in ("x.fa", "no name of FASTA"):
        (tmp_path / name).write_bytes(end.join(lines))
        found = plain(tmp_path / name, block_bytes=block_bytes)
        # what is no UTF-8 is Latin-1
        assert found == [
            ("1 \u00e9\u00a0x ", "AC"),
            ("2 \u00e9\u00a0\u00ff\t", "GT"),
            ("3 \x00|", ""),
        ]


def test_fragments_with_byte_order_marks_and_words_of_any_bytes(tmp_path):
    fragments(tmp_path, ["AC", "GT"], [])
    for path in tmp_path.iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    with open(tmp_path / "Archaea_species_picked.txt", "ab") as stream:
        stream.write(b"5\xc2\xa0x\n6\xa0 y\n")
    assert plain(tmp_path) == [("5\u00a0x 0", "AC"), ("6\u00a0 1", "GT")]


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (b"ACGT\n>1 0\nAC\n", 1, "before the first '>'"),
        (b"\n\r\nACGT\n>1 0\nAC\n", 3, "before the first '>'"),
        (b"\xef\xbb\xbfACGT\n>1 0\nAC\n", 1, "before the first '>'"),
        (b"\xef\xbb\xbf\xef\xbb\xbf>1 0\nAC\n", 1, "before the first '>'"),
        # files joined without a last line end
        (b">1 0\nAC\nGT>2 1\nACGT\n", 3, "a '>' inside a sequence (were files joined"),
        (b">1 0\r\nACGT>2 1\r\nACGT\r\n", 2, "a '>' inside a sequence (were files joined"),
        (b">1 0\nAC\n>2 > 1\nACGT>\n", 4, "a '>' inside a sequence (were files joined"),
        (b">1 0\nAC\n\n>2\nAC>>3\nACGT", 5, "a '>' inside a sequence (were files joined"),
        (b">1 0\nAC\n>2\nACN> 3", 4, "a '>' inside a sequence (were files joined"),
        (b">1 0\nAC\n>2\nA>C\nG T", 4, "a '>' inside a sequence (were files joined"),
        (b">1 0\nAC\n\xef\xbb\xbf>2\nAC\n", 3, "not ASCII"),
        (b">1 0\nAC\n>2 1\nAC\nA C\n", 5, "white space"),
        (b">1 0\nAC\n>2 1\nAC\nAC\t\n", 5, "white space"),
        (b">1 0\nAC\n>2 1\nA\xc3\xa9C\n", 4, "not ASCII"),
        (b">1 0\nAC\n>2 1\nA\xc2\xa0C\n", 4, "not ASCII"),
    ],
)
@pytest.mark.parametrize("block_bytes", [6, 1 << 20])
def test_a_broken_fasta_is_refused_with_its_place(tmp_path, content, line, words, block_bytes):
    (tmp_path / "Viruses.fa").write_bytes(content)
    with pytest.raises(UserError) as error:
        records(tmp_path, block_bytes)
    assert str(error.value).startswith(f"Viruses.fa, line {line}: ")
    assert words in str(error.value)


def test_a_long_header_is_shortened_in_the_message(tmp_path):
    (tmp_path / "x.fa").write_text(">abc" + "d" * 500 + "\nA C\n")
    with pytest.raises(UserError, match=r"'>abcd+\.\.\.'$"):
        records(tmp_path)


def test_line_ends_of_classic_mac_os_are_refused(tmp_path):
    (tmp_path / "x.fa").write_bytes(b">1 0\rACGT\r>2 1\rAC\r")
    with pytest.raises(UserError, match=r"x\.fa: carriage returns"):
        records(tmp_path)


def test_nothing_to_read_is_an_error(tmp_path):
    (tmp_path / "README.txt").write_text("nothing here")
    with pytest.raises(UserError, match=r"no file that begins with '>' .* only: README\.txt"):
        records(tmp_path)
    (tmp_path / "empty.fa").write_text("\n\n")
    with pytest.raises(UserError, match="no sequence at all"):
        records(tmp_path)


def fragments(folder, strings, words, **layout):
    (folder / "Archaea_fragments.json").write_text(json.dumps(strings, **layout))
    lines = "".join(f"{word}\n" for word in words)
    (folder / "Archaea_species_picked.txt").write_text(lines)


@settings(max_examples=100, deadline=None)
@given(
    strings=st.lists(
        st.text("N[],", max_size=15).map(lambda text: text and "ACGTACGTACGTACGT" + text),
        min_size=1,
        max_size=8,
    ),
    indent=st.sampled_from([None, 0, 2]),
    block_bytes=st.integers(1, 60),
)
def test_any_json_list_of_strings_comes_back(tmp_path_factory, strings, indent, block_bytes):
    folder = tmp_path_factory.mktemp("fragments")
    fragments(folder, strings, range(11, 11 + len(strings)), indent=indent)
    found = records(folder, block_bytes)
    assert found == [
        ("Archaea_fragments.json", n, f"{11 + n} {n}", string) for n, string in enumerate(strings)
    ]


@pytest.mark.parametrize("block_bytes", [3, 1 << 20])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"1": "AC"}', r"'\{.*' after sequence 0"),
        ('["AC", 5, "GT"]', "after sequence 1"),
        ('["AC" "GT"]', "after sequence 1"),
        ('["AC", "GT",]', "after sequence 2"),
        ('["AC", "GT"] x', "after sequence 2"),
        ('["AC", "GT"', "the end of the file after sequence 2"),
        ('["AC", "G', "ends within sequence 1"),
        ('["AC", "G\\n"]', "inside sequence 1"),
        ('["AC", "G C"]', "inside sequence 1"),
        ('["AC", "G>562 1"]', "b'>' inside sequence 1"),
        ('["AC", "G"] >', "after sequence 2"),
        ('["AC", "G", \\n]', "after sequence 2"),
        ('["AC", "Gé"]', "inside sequence 1"),
        ('["AC", "GT"]\0', "after sequence 2"),
    ],
)
def test_anything_but_a_json_list_of_strings_is_refused(tmp_path, content, words, block_bytes):
    fragments(tmp_path, [], [1, 2])
    (tmp_path / "Archaea_fragments.json").write_text(content)
    with pytest.raises(UserError, match=r"^Archaea_fragments\.json.*" + words):
        records(tmp_path, block_bytes)


@pytest.mark.parametrize("words", [[5], [5, 6, 7]])
@pytest.mark.parametrize("block_bytes", [4, 1 << 20])
def test_unequal_numbers_of_fragments_and_of_their_words(tmp_path, words, block_bytes):
    fragments(tmp_path, ["AC", "GT"], words)
    with pytest.raises(UserError, match=rf"holds 2 sequences, but .* lists {len(words)}: they"):
        records(tmp_path, block_bytes)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_list_of_fragments_gives_the_first_word_of_each_line(tmp_path, end):
    fragments(tmp_path, ["AC", "", "GT"], [])
    lines = ["", "5", "", "", "chr1\tx y", "7 rest \u00e9"]
    (tmp_path / "Archaea_species_picked.txt").write_bytes(end.join(lines).encode())
    assert plain(tmp_path) == [("5 0", "AC"), ("chr1 1", ""), ("7 2", "GT")]
    assert header_lines(tmp_path) == [2, 5, 6]


def test_fragments_without_a_good_list(tmp_path):
    fragments(tmp_path, ["AC", "GT"], [5, 6])
    (tmp_path / "Archaea_species_picked.txt").unlink()
    with pytest.raises(UserError, match=r"Archaea_species_picked\.txt.* is not there"):
        records(tmp_path)


def test_an_error_says_where_the_record_is(tmp_path):
    (tmp_path / "a.fa").write_text("\n>1 0\nAC\n>" + "x" * 99 + "\nAC\n")
    [batch] = read_sequences(tmp_path)
    problem = str(batch.error(1, "a fault"))
    assert problem == "a.fa, line 4: a fault, record '>" + "x" * 56 + "...'"
    (tmp_path / "a.fa").unlink()
    fragments(tmp_path, ["AC", "GT"], ["5", "x y"])
    *_, batch = read_sequences(tmp_path)
    assert str(batch.error(0, "a fault")) == "Archaea_species_picked.txt, line 2: 'x': a fault"


def zstandard(data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def bgzip(data):
    """Blocks of their own, the last one empty, as bgzip writes them."""
    extra = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0\x1b\0\x03\0\0\0\0\0\0\0\0\0"
    return gzip.compress(data[:5]) + gzip.compress(data[5:]) + extra


FASTA = b">9 0\nACGT\n>9 1\nGGTA\n"
PACKINGS = {
    "gz": gzip.compress,
    "bgz": bgzip,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstandard,
    "zst in two frames": lambda data: zstandard(data[:7]) + zstandard(data[7:]),
    "bz2 in two streams": lambda data: bz2.compress(data[:7]) + bz2.compress(data[7:]),
    "xz in two streams": lambda data: lzma.compress(data[:7]) + lzma.compress(data[7:]),
    "lzma": lambda data: gzip.compress(lzma.compress(data)),
    "plain": bytes,
}


@pytest.mark.parametrize("packing", PACKINGS)
@pytest.mark.parametrize(
    "name",
    [
        "x.fa",
        "x.fsa",
        "x.fasta.txt",
        "x.fa.bz2",
        "x.FNA.GZ",
        "x",
        "x.ffn",
        "x.seq",
        "x.zip",
        "a b.faa",
    ],
)
def test_whatever_begins_like_fasta_is_read(tmp_path, name, packing):
    packed = PACKINGS[packing](FASTA)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / name).write_bytes(packed)
    (tmp_path / "folder" / "other.fa").write_bytes(b">1 0\nAC\n")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(f"in/{name}", packed)
        archive.writestr("other.fa", b">1 0\nAC\n")
    for path in (tmp_path / "folder", tmp_path / "x.zip"):
        assert sorted(plain(path, block_bytes=6)) == [
            ("1 0", "AC"),
            ("9 0", "ACGT"),
            ("9 1", "GGTA"),
        ]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_packed_tar_is_read(tmp_path, mode):
    with tarfile.open(tmp_path / "x", mode) as archive:
        info = tarfile.TarInfo("sub/x.txt")
        info.size = len(FASTA)
        archive.addfile(info, io.BytesIO(FASTA))
    assert plain(tmp_path) == [("9 0", "ACGT"), ("9 1", "GGTA")]


@pytest.mark.parametrize(
    "start", [b"\xef\xbb\xbf", b"\n\n", b"\r\n", b"\xef\xbb\xbf\n\n", b"\n" * 9000]
)
@pytest.mark.parametrize("name", ["x.fa", "x", "x.txt"])
def test_a_byte_order_mark_or_blank_lines_before_the_first_header(tmp_path, name, start):
    (tmp_path / name).write_bytes(start + FASTA)
    assert plain(tmp_path) == [("9 0", "ACGT"), ("9 1", "GGTA")]
    assert header_lines(tmp_path) == [1 + start.count(b"\n"), 3 + start.count(b"\n")]


def inner_zip(data):
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("x.fa", data)
    return made.getvalue()


def inner_tar(data, mode="w"):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as archive:
        info = tarfile.TarInfo("x.fa")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (inner_zip(FASTA), "an archive in an archive"),
        (inner_tar(FASTA), "an archive in an archive"),
        (inner_tar(FASTA, "w:gz"), "an archive in an archive"),
        (inner_tar(FASTA, "w:xz"), "an archive in an archive"),
        (zstandard(inner_tar(FASTA)), "an archive in an archive"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(99), "7z is not supported"),
        (b"Rar!\x1a\x07" + bytes(99), "RAR is not supported"),
        (b"\x04\x22\x4d\x18" + bytes(99), "LZ4 is not supported"),
        (b"\x1f\x9d\x90" + bytes(99), "compress .*is not supported"),
        (b"\x43\x27\x41\x1a" + bytes(99), "2bit is not supported"),
        (FASTA.decode().encode("utf-16"), "UTF-16: convert it"),
    ],
)
def test_what_may_hold_sequences_and_cannot_be_read_is_refused(tmp_path, content, words):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.fa", FASTA)
        archive.writestr("in/b.data", content)
    with pytest.raises(UserError, match=rf"^in/b\.data: .*{words}") as error:
        records(tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("packing", ["gz", "bz2", "xz", "zst"])
def test_damage_of_packed_data_is_no_end(tmp_path, packing):
    whole = PACKINGS[packing](b">1 0\n" + bytes(random.Random(1).choices(b"ACGT", k=5000)) + b"\n")
    second = PACKINGS[packing](FASTA)
    for content in (
        whole[:-1],
        whole[:-9],
        whole[:100],
        whole + second[:9],
        whole + b"x" + second[1:],
    ):
        (tmp_path / "x.fa").write_bytes(content)
        with pytest.raises(UserError, match=r"x\.fa: truncated or damaged"):
            records(tmp_path)


def test_what_is_skipped_is_named(tmp_path, caplog):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name, content in {
            "a.fa": FASTA,
            "README": b"read > me",
            "a.fa.md5": b"d41d8cd98f00b204e9800998ecf8427e  a.fa",
            "a.fa.fai": b"9\t4\t5\t4\t5",
            "reads.fastq": b"@9\nACGT\n+\nIIII\n",
            "genome.gbk": b"LOCUS       X",
            "__MACOSX/._a.fa": b"\0\5\x16\7",
            ".DS_Store": b"\0",
            "sub/.hidden.fa": FASTA,
            "empty.fna": b"\n",
            "nothing": b"",
            "list.json": b'["ACGT"]',
            "Archaea_species_picked.txt": b"562\n",
            "logo.png": b"\x89PNG",
            "sheet.tsv.gz": gzip.compress(b"a\tb"),
        }.items():
            archive.writestr(name, content)
    skipped = []
    with caplog.at_level("WARNING", "whatyouread"):
        batches = list(read_sequences(tmp_path, skipped=skipped))
    assert [batch.source for batch in batches] == ["a.fa"]
    assert skipped == [
        *[".DS_Store", "Archaea_species_picked.txt", "README", "__MACOSX/._a.fa", "a.fa.fai"],
        *["a.fa.md5", "empty.fna", "genome.gbk", "list.json", "logo.png", "nothing"],
        *["reads.fastq", "sheet.tsv", "sub/.hidden.fa"],
    ]
    [warning] = [entry.message for entry in caplog.records]
    assert warning.startswith("14 files of the dataset are skipped")
    assert all(name in warning for name in skipped)


def test_hidden_files_of_a_folder_are_named_too(tmp_path):
    (tmp_path / "a.fa").write_bytes(FASTA)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "x.fa").write_bytes(FASTA)
    (tmp_path / ".snakemake_timestamp").touch()
    (tmp_path / ".b.fa").write_bytes(FASTA)
    skipped = []
    assert len(list(read_sequences(tmp_path, skipped=skipped))) == 1
    assert skipped == [".b.fa", ".git"]


@pytest.mark.parametrize("block_bytes", [9, 1 << 20])
@pytest.mark.parametrize(
    "text",
    [
        "MKVLAAGIVGLLLAQWERTYIPSDFGHKLCVNM",
        "mkvlaagivglllaqwertyipsdfghklcvnm",
        "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVKALPDAQFEVV",
        "ACGT" + "-" * 10,
        "QQQQQ",
        "RYRYRYACG",
        "0123456789",
        "XXXXXXXXXXXXACGTACGT",
        "ACGT.........",
        "hello,world!",
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, text, block_bytes):
    (tmp_path / "a.fna").write_bytes(FASTA)
    (tmp_path / "protein.faa").write_text(f">1 0\n{text}\n" * 3)
    with pytest.raises(UserError, match=r"^protein\.faa: \d+% of its characters are no bases"):
        records(tmp_path, block_bytes)
    fragments(tmp_path, [text], [562])
    (tmp_path / "protein.faa").unlink()
    with pytest.raises(UserError, match=r"^Archaea_fragments\.json: \d+% of its characters"):
        records(tmp_path, block_bytes)


@pytest.mark.parametrize("text", ["NNNNNNNNNNNA", "nnnnacgt", "uuuuu", "ACGTRYKM", "acgtryknn"])
def test_a_file_of_unusual_bases_is_read(tmp_path, text):
    (tmp_path / "x.fna").write_text(f">1 0\n{text}\n")
    assert plain(tmp_path) == [("1 0", text.upper().replace("U", "T"))]


def test_what_is_there_is_listed_once(tmp_path):
    (tmp_path / "reads.fastq").write_bytes(b"@1 0\nACGT\n+\nIIII\n")
    with pytest.raises(UserError, match=r"only: reads\.fastq$"):
        list(read_sequences(tmp_path))
