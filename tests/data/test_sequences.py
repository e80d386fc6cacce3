import gzip
import io
import json
import zipfile

import numpy as np
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
    st.text("ACGTNacgtRY*->", max_size=40).map(lambda text: text.lstrip(">")),
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
        # a line that starts with ">" would be a header
        lines, left = [], bases
        while left:
            cut = next(n for n in range(width, 99) if left[n : n + 1] != ">")
            lines.append(left[:cut])
            left = left[cut:]
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
        (b"\xff\xfe>\x001\x00", 1, "before the first '>'"),
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
    with pytest.raises(UserError, match=r"no FASTA file .* only: README\.txt"):
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
    strings=st.lists(st.text("ACGTN[],", max_size=30), min_size=1, max_size=8),
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
