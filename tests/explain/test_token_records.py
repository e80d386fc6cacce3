"""Proteins and texts as records of tokens on a line."""

import numpy as np
import pytest
from helpers_explain import Letters
from helpers_tokenizers import tokenizer_folder

from whatyouread.data.normalisation import PROTEIN, TEXT
from whatyouread.data.residues import CLS, EOS, RESIDUES
from whatyouread.data.tokenizers import tokenizer_of
from whatyouread.explain.intake import Records, blocks
from whatyouread.explain.token_records import TOKEN, TokenRecord, TokenRecords, letters_of, text_of
from whatyouread.explain.windows import Layout
from whatyouread.support.cli import UserError

LAYOUT = Layout(4, 2, 1, strands="forward")


def record(name: str, text: str, tokenizer, alphabet: str, **more) -> TokenRecord:
    ids, _, where = tokenizer.located(*tokenizer.characters([text]))
    before, after = len(tokenizer.before), len(ids) - len(tokenizer.after)
    tokens = np.zeros(after - before, TOKEN)
    tokens["id"] = ids[before:after]
    tokens["start"], tokens["end"] = where[:, before:after]
    return TokenRecord(name, "", letters_of(text.encode(), alphabet), tokens, **more)


@pytest.mark.parametrize("text", ["", "abc", "é\u0301中👩\u200d👧", "a\x00\n\t"])
def test_letters_are_characters_of_unicode(text):
    letters = letters_of(text.encode(), TEXT)
    assert len(letters) == len(text)
    assert letters.tolist() == [ord(letter) for letter in text]
    assert text_of(letters) == text
    assert text_of(letters_of(b"MKV", PROTEIN)) == "MKV"


def test_windows_are_read_with_the_special_tokens_of_both_ends(tmp_path):
    with TokenRecords(tmp_path, PROTEIN, None) as kept:
        given = [record("a", "MKVLAAG", RESIDUES, PROTEIN), record("b", "WY", RESIDUES, PROTEIN)]
        [windows] = blocks(iter(given), LAYOUT, kept)
        made = kept.read(windows, RESIDUES)
        places = kept.within(windows.start, windows.stop)
        assert [text_of(kept.letters(i)) for i in (1, 0)] == ["WY", "MKVLAAG"]
    texts = ["MKVL", "VLAA", "LAAG", "WY"]
    assert list(zip(*places, strict=True)) == [(0, 4), (2, 6), (3, 7), (0, 2)]
    ids, offsets = RESIDUES.tokenize(*RESIDUES.characters(texts))
    assert made.ids.tolist() == ids.tolist()
    assert made.offsets.tolist() == offsets.tolist()
    assert made.told.tolist() == [token not in (CLS, EOS) for token in ids]
    assert made.ids.dtype == RESIDUES.dtype
    assert made.widths.tolist() == [1] * 14


@pytest.mark.parametrize("kind", ["word_pieces", "unigram", "bytes"])
@pytest.mark.parametrize("seed", range(4))
def test_windows_of_texts_are_where_their_tokens_are(tmp_path, kind, seed):
    tokenizer = tokenizer_of(tokenizer_folder(tmp_path / "t", kind))
    rng = np.random.default_rng(seed)
    words = ["the", "fox", " ", "\n", "é", "cafe\u0301", "👍🏽", "中", "<mask>", "", "."]
    texts = [" ".join(rng.choice(words, rng.integers(0, 12))) for _ in range(8)]
    given = [record(f"r{i}", text, tokenizer, TEXT) for i, text in enumerate(texts)]
    with TokenRecords(tmp_path, TEXT, None) as kept:
        found = list(blocks(iter(given), LAYOUT, kept))
        assert kept.lengths.tolist() == [len(text) for text in texts]
        for windows in found:
            made = kept.read(windows, tokenizer)
            starts, stops = kept.within(windows.start, windows.stop)
            for i, of in enumerate(kept.of(windows.start).tolist()):
                tokens = given[of].tokens
                low, high = (place[i] - kept.starts[of] for place in (windows.start, windows.stop))
                own = made.ids[made.offsets[i] : made.offsets[i + 1]].tolist()
                inner = tokens["id"][low:high].tolist()
                assert own == [*tokenizer.before, *inner, *tokenizer.after]
                assert starts[i] == tokens["start"][low]
                assert stops[i] >= tokens["end"][high - 1]
        seen = {int(of) for windows in found for of in kept.of(windows.start)}
    assert seen == {i for i, one in enumerate(given) if len(one.tokens)}


def test_what_is_cut_off_is_a_gap():
    one = record("a", "MKVLAAG", RESIDUES, PROTEIN, room=5)
    assert one.gaps().tolist() == [[5, 7]]
    assert record("a", "MKVLA", RESIDUES, PROTEIN, room=5).gaps().shape == (0, 2)
    assert record("a", "MKVLA", RESIDUES, PROTEIN).gaps().shape == (0, 2)


def test_widths_that_a_token_does_not_tell_are_no_large_numbers(tmp_path):
    with Records(tmp_path / "bases") as kept:
        [windows] = blocks(iter([Letters("a", "MKJJVL")]), LAYOUT, kept)
        with pytest.raises(
            UserError, match="residues tokens do not tell how many bases they cover"
        ):
            kept.read(windows, RESIDUES)
