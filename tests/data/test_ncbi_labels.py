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
)  # fmt: skip


@given(headers=st.lists(header, min_size=1, max_size=8))
def test_any_header_is_read_up_to_white_space(headers):
    def plain(text):
        match = re.match(r"\d{1,10}(?![^ \t])", text)
        return int(match[0]) if match and 0 < int(match[0]) < 2**31 else -1

    offsets = np.cumsum([0, *map(len, headers)])
    found = header_taxids(np.frombuffer("".join(headers).encode(), np.uint8), offsets)
    assert found.dtype == np.int64
    assert found.tolist() == [plain(text) for text in headers]


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
    assert f"{words}; expected '>TAXID INDEX', such as '>380669 0', record '" in str(error.value)
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
