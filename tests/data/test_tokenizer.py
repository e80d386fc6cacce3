"""What every tokenizer tells, from what it says of its vocabulary."""

import numpy as np
import pytest
from helpers_batches import CLS, LETTERS, SEP, UNK, Letters

from whatyouread.data.six_mers import SIX_MERS, encode
from whatyouread.data.tokenizer import Tokenizer, spans
from whatyouread.data.tokenizers import TOKENIZERS, find_tokenizer
from whatyouread.support.cli import UserError


@pytest.mark.parametrize(
    ("size", "dtype"),
    [
        (30, np.uint16),  # never less than two bytes
        (256, np.uint16),
        (257, np.uint16),
        (65_535, np.uint16),
        (65_536, np.uint16),  # the last id is 65,535
        (65_537, np.uint32),
        (250_002, np.uint32),  # XLM-R
    ],
)
def test_the_integer_type_holds_every_id(size, dtype):
    tokenizer = Letters(size)
    assert len(tokenizer) == size == len(tokenizer.vocabulary)
    assert tokenizer.dtype == dtype
    assert np.iinfo(tokenizer.dtype).max >= size - 1
    assert tokenizer.is_special.shape == (size,)
    assert np.flatnonzero(tokenizer.is_special).tolist() == [0, 1, 2]


def test_a_tokenizer_by_its_name(monkeypatch):
    assert find_tokenizer("six_mers") is SIX_MERS
    with pytest.raises(
        UserError, match="there is no tokenizer 'letters', only six_mers, six_mers_v1, residues"
    ):
        find_tokenizer("letters")
    monkeypatch.setitem(TOKENIZERS, "letters", LETTERS)
    assert find_tokenizer("letters") is LETTERS
    with pytest.raises(
        UserError, match="no tokenizer 'words', only six_mers, six_mers_v1, residues, letters"
    ):
        find_tokenizer("words")


def test_what_a_tokenizer_must_tell():
    with pytest.raises(TypeError, match=r"abstract.*tokenize.*widths"):
        Tokenizer()


def test_a_text_that_has_no_other_strand():
    nothing = np.zeros(0, np.int64)
    with pytest.raises(UserError, match="letters tokens have no other strand or frame"):
        LETTERS.augment(nothing, np.zeros(1, np.int64), nothing.astype(bool), nothing)


def test_spans_of_tokens_in_the_text():
    starts, ends = spans(SIX_MERS, encode(["ACGTACNAC"])[0])
    assert starts.tolist() == [0, 0, 6, 7, 8]
    assert ends.tolist() == [0, 6, 7, 8, 9]
    text = "ACGTACNAC"
    assert [text[a:b] for a, b in zip(starts, ends, strict=True)] == ["", "ACGTAC", "N", "A", "C"]
    starts, ends = spans(LETTERS, np.array([CLS, 4, UNK, 6, SEP]))
    assert starts.tolist() == [0, 0, 1, 2, 3]
    assert ends.tolist() == [0, 1, 2, 3, 3]


def test_no_spans_where_a_token_does_not_tell_its_width():
    assert (np.array(spans(SIX_MERS, encode(["ACGTACrrAC"])[0])) == -1).all()
