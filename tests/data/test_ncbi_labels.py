import random
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.data.test_sequences import fragments
from tests.data.test_taxonomy import write_dump

from whatyouread.data.ncbi_labels import NcbiLabels, header_taxids
from whatyouread.data.sequences import read_sequences
from whatyouread.support.cli import UserError

RANKS = ["superkingdom", "phylum", "genus"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return NcbiLabels(write_dump(tmp_path_factory.mktemp("dump")), NcbiLabels.Settings())


def taxids(source, path, block_bytes=16 << 20):
    keys = [source.keys(batch) for batch in read_sequences(path, block_bytes)]
    assert {key.type for key in keys} == {source.key.type}
    return pa.concat_arrays(keys).to_pylist()


def test_it_needs_a_dump():
    with pytest.raises(UserError, match="give --taxdump"):
        NcbiLabels(None, NcbiLabels.Settings())


def test_taxids_at_the_ends_of_their_range(source, tmp_path):
    (tmp_path / "x.fa").write_text(">1\nA\n>2147483647\nC\n>0000000562 0\nG")
    assert taxids(source, tmp_path) == [1, 2147483647, 562]


header = st.one_of(
    st.builds("".join, st.tuples(st.integers(0, 2**32).map(str), st.sampled_from(["", " 0", "\t5", "x"]))),
    st.text("0123456789 \t+-a", max_size=14),
    st.builds("".join, st.lists(st.sampled_from(["kraken:taxid|", "12", "|", " ", "x"]), max_size=6)),
)  # fmt: skip


def plain_taxid(header):
    """The taxid of a header, character by character; -1 for none."""
    blank = "\u200b\u200c\u200d\u2060\ufeff"

    def number(text, also=""):
        digits = ""
        while text[:1] and text[0] in "0123456789":
            digits, text = digits + text[0], text[1:]
        ended = not text or text[0].isspace() or text[0] in blank + also
        return int(digits) if digits and ended and int(digits) < 2**31 else -1

    taxids, tag = {number(header)}, "kraken:taxid|"
    for place in range(len(header)):
        before = header[place - 1] if place else "|"
        if header.startswith(tag, place) and (before.isspace() or before in blank + "|"):
            taxids.add(number(header[place + len(tag) :], "|"))
    taxids.discard(-1)
    return taxids.pop() if len(taxids) == 1 else -1


@given(headers=st.lists(header, min_size=1, max_size=8))
def test_any_header_is_read_up_to_white_space(headers):
    found = header_taxids(pa.array(headers, pa.string()))
    assert found.dtype == np.int64
    assert found.tolist() == [plain_taxid(text) for text in headers]


def test_any_bytes_may_follow_a_taxid(source, tmp_path):
    """Random pieces of headers, written as UTF-8 or Latin-1, against a plain reader."""
    pieces = ["562", "0", "09606", " ", "\t", "\u00a0", "\u3000", "|", "x", "\u00e9", "\ufeff", "\x00",
              "kraken:taxid|", "\uff16", "\x1f", "\u2028", "-", ">", "NC_000001.1", "\U0001f9ec"]  # fmt: skip
    rng = random.Random(16)
    headers = ["".join(rng.choices(pieces, k=rng.randrange(7))) for _ in range(5000)]
    expected = [plain_taxid(text) for text in headers]
    assert header_taxids(pa.array(headers)).tolist() == expected
    assert len(set(expected)) > 3
    good = [text for text, taxid in zip(headers, expected, strict=True) if taxid > 0]
    latin = [text for text in good if max(map(ord, text)) < 256]
    for encoding, texts in (("utf-8", good), ("utf-8-sig", good), ("latin-1", latin)):
        for end in ("\n", "\r\n"):
            text = "".join(f">{header}{end}ACGT{end}" for header in texts)
            (tmp_path / "x.fa").write_bytes(text.encode(encoding))
            for block_bytes in (7, 1 << 20):
                assert taxids(source, tmp_path, block_bytes) == list(map(plain_taxid, texts))


@pytest.mark.parametrize(
    ("header", "taxid"),
    [
        (b"9606 Homo sapiens \xe2\x80\x93 \xc3\xa9l\xc3\xa8ve", 9606),
        (b"9606 Caf\xe9", 9606),  # Latin-1
        (b"9606\xc2\xa0Homo sapiens", 9606),
        (b"9606\xa0Homo sapiens", 9606),  # a no-break space in Latin-1
        (b"9606\xef\xbb\xbf", 9606),
        (b"9606\xe2\x80\x8b0", 9606),  # a space without width
        (b"9606   \t ", 9606),
        (b"9606\t\t12", 9606),
        (b"9606\x0b0", 9606),
        (b"9606 \x00\x01\xff\xfe", 9606),
        (b"kraken:taxid|9606|", 9606),
        (b"kraken:taxid|9606", 9606),
        (b"kraken:taxid|9606|NC_000001.1 Homo sapiens", 9606),
        (b"NC_000001.1|kraken:taxid|9606", 9606),
        (b"NC_000001.1|kraken:taxid|9606 Homo sapiens", 9606),
        (b"NC_000001.1|kraken:taxid|9606|chromosome 1", 9606),
        (b"read/1 kraken:taxid|9606", 9606),  # as Kraken writes reads that it classified
        (b"9606 7 kraken:taxid|9606", 9606),
        (b"kraken:taxid|09606|x|kraken:taxid|9606|", 9606),
        (b"1 kraken:taxid|9606", None),  # read 1
        (b"kraken:taxid|9606|x kraken:taxid|562", None),
        (b"kraken:taxid|9606.5", None),
        (b"kraken:taxid|x|9606", None),
        (b"xkraken:taxid|9606", None),
        (b"9606\xef\xbc\x96", None),  # a full-width 6
        (b"9606\xc3\xa9", None),
        (b"\xc2\xa09606", None),
        (b"9606|x", None),
        (b"kraken:taxid|0|x", None),
        (b"00", None),
    ],
)
def test_headers_of_others(source, tmp_path, header, taxid):
    (tmp_path / "x.fa").write_bytes(b">562 0\nA\n>" + header + b"\nAC\n")
    if taxid is None:
        with pytest.raises(UserError, match=r"^x\.fa, line 3: .*taxid.* labels\.without_taxid"):
            taxids(source, tmp_path)
    else:
        assert taxids(source, tmp_path) == [562, taxid]


def test_two_taxids_are_named(source, tmp_path):
    (tmp_path / "x.fa").write_bytes(b">1 kraken:taxid|9606\nAC\n")
    with pytest.raises(UserError, match=r"^x\.fa, line 1: two taxids, 1 and 9606; expected"):
        taxids(source, tmp_path)


def test_headers_without_taxid_can_be_excluded(tmp_path, caplog):
    source = NcbiLabels(write_dump(tmp_path), NcbiLabels.Settings(without_taxid="exclude"))
    (tmp_path / "x.fa").write_bytes(
        b">562 0\nA\n>\nC\n>0\nG\n>kraken:taxid|0|\nT\n>NC_1\nA\n>-5\nG\n>2147483648\nA\n"
    )
    (tmp_path / "taxdmp.zip").unlink()
    assert taxids(source, tmp_path) == [562, -1, 0, 0, -1, -1, -1]
    [record] = caplog.records
    assert record.levelname == "WARNING"
    assert "left out, and so is every other such record: x.fa, line 3: a header" in record.message


@pytest.mark.parametrize("name", ["without_taxid", "rank_twice"])
def test_settings_are_checked(name):
    with pytest.raises(UserError, match=rf"^labels\.{name} is 'drop': give stop or exclude$"):
        NcbiLabels.Settings(**{name: "drop"})


@pytest.mark.parametrize(
    ("content", "line", "words", "record"),
    [
        (b">1 0\nAC\n>\nAC\n", 3, "without taxid", ">"),
        (b">1 0\nAC\n> 5\nAC\n", 3, "without taxid", "> 5"),
        (b">1 0\nA\nC\n>NC_1 x\nAC\n", 4, "not a number", ">NC_1 x"),
        (b">1 0\nA\nC\n>12a x\nAC\n", 4, "not a number", ">12a x"),
        (b">1 0\r\nAC\r\n>-5 1\r\nAC\r\n", 3, "not between 1 and 2147483647", ">-5 1"),
        (b">0 0\nAC\n", 1, "not between 1 and 2147483647", ">0 0"),
        (b">2147483648 0\nAC\n", 1, "not between 1 and 2147483647", ">2147483648 0"),
        (b">99999999999999999999 0\nAC\n", 1, "not between 1 and 2147483647", ">9{20} 0"),
        (b">1\nA\n>kraken:taxid|x|NC\nC\n", 3, "not a number", r">kraken:taxid\|x\|NC"),
        (b">1\nA\n>kraken:taxid|0|NC\nC\n", 3, "not between 1 and", r">kraken:taxid\|0\|NC"),
    ],
)
@pytest.mark.parametrize("block_bytes", [6, 1 << 20])
def test_headers_without_taxid_are_refused_with_their_place(
    source, tmp_path, content, line, words, record, block_bytes
):
    (tmp_path / "Viruses.fa").write_bytes(content)
    with pytest.raises(UserError) as error:
        taxids(source, tmp_path, block_bytes)
    assert str(error.value).startswith(f"Viruses.fa, line {line}: ")
    assert words in str(error.value)
    assert "; expected '>TAXID INDEX', such as '>380669 0', or 'kraken:" in str(error.value)
    assert re.search(rf"record '{record}'$", str(error.value))


def test_fragments_carry_the_taxids_of_their_list(source, tmp_path):
    fragments(tmp_path, ["AC", "GT", "A"], [562, "9606 rest", 7])
    assert taxids(source, tmp_path) == [562, 9606, 7]


def test_fragments_without_good_taxids(source, tmp_path):
    fragments(tmp_path, ["AC", "GT"], [5, "x"])
    with pytest.raises(UserError, match=r"picked\.txt, line 2: 'x': a taxid that is not a number"):
        taxids(source, tmp_path)


def test_labels_of_taxids(source):
    table = source.labels(pa.array([562, 101, 469598, 123], source.key.type), RANKS)
    assert table["taxid"].tolist() == [562, 101, 469598, 123]
    assert table["resolved_taxid"].astype(object).tolist() == [562, 101, 562, pd.NA]
    assert table["problem"].tolist() == ["", "", "", "unknown taxid"]
    assert table[RANKS].values.tolist() == [
        ["Bacteria", "Pseudomonadota", "Escherichia"],
        ["Bacteria", "", ""],
        ["Bacteria", "Pseudomonadota", "Escherichia"],
        ["", "", ""],
    ]
    assert table["genus_taxid"].astype(object).tolist() == [561, pd.NA, 561, pd.NA]
