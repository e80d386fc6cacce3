import json
import random
from itertools import pairwise, product

import numpy as np
import pytest
from Bio.Seq import Seq
from hypothesis import given, settings
from hypothesis import strategies as st

from whatyouread.data import six_mers as t
from whatyouread.data.six_mers import (
    SIX_MERS,
    SPECIAL,
    VOCABULARY,
    augment,
    decode,
    encode,
    tokenize,
)

SPACES = " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u2028\u3000"
ALPHABETS = [
    "ACGT",
    "ACGT",
    "ACGTN",
    "ACGTACGTN",
    "ACGTNRYSWKMBDHVU-*.",
    "acgtnACGTN",
    "ACGTACGTACGT" + SPACES,
    "<>padmskclneobu ACGTN",
    "ACGTNé\xff\x80λЖ😀?_" + SPACES,
    "".join(map(chr, range(128))),
]

bases = st.text("ACGTN", max_size=40)
anything = st.lists(
    st.one_of(
        st.text("ACGT", max_size=20),
        bases,
        st.text("ACGTNRYacgt-<>", max_size=10),
        st.text(SPACES, max_size=3),
        st.sampled_from([*SPECIAL, "<pad", "<<cls>", "mask>", "<PAD>", "< pad >"]),
        st.text(max_size=5),
    ),
    max_size=6,
).map("".join)


def own(sequences: list[str]) -> list[list[int]]:
    tokens, offsets = encode(sequences)
    assert tokens.dtype == np.uint16
    assert offsets.dtype == np.int64
    assert (offsets[0], offsets[-1], len(offsets)) == (0, len(tokens), len(sequences) + 1)
    return [tokens[a:b].tolist() for a, b in pairwise(offsets)]


def augmented(sequences, reverse, skip):
    tokens, offsets = augment(*encode(sequences), np.array(reverse, bool), np.array(skip, int))
    return [tokens[a:b].tolist() for a, b in pairwise(offsets)]


@pytest.fixture(scope="module")
def esm(tmp_path_factory):
    """Hugging Face's tokenizer, configured as in the published tokenizer_config.json."""
    from transformers import EsmTokenizer

    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join(VOCABULARY), encoding="utf-8")
    tokenizer = EsmTokenizer(str(path), eos_token=None, bos_token=None, model_max_length=2048)
    assert tokenizer.vocab_size == 4107
    assert tokenizer.eos_token_id is None
    return lambda text: tokenizer(text)["input_ids"]


def test_the_vocabulary_is_laid_out_as_published():
    assert len(VOCABULARY) == 4107 == len(set(VOCABULARY))
    assert VOCABULARY[:6] == ["<unk>", "<pad>", "<mask>", "<cls>", "<eos>", "<bos>"]
    assert (t.UNK, t.PAD, t.MASK, t.CLS, t.EOS, t.BOS) == (0, 1, 2, 3, 4, 5)
    assert VOCABULARY[6:12] == ["AAAAAA", "AAAAAT", "AAAAAC", "AAAAAG", "AAAATA", "AAAATT"]
    assert set(VOCABULARY[6:4102]) == set(map("".join, product("ACGT", repeat=6)))
    assert VOCABULARY[4102:] == ["A", "T", "C", "G", "N"]
    assert (t.FIRST_KMER, t.FIRST_BASE, t.N) == (6, 4102, 4106)


def test_the_vocabulary_is_that_of_the_reference(shared):
    path = shared / "data" / "reference" / "nt_v2_tiny" / "vocab.txt"
    assert path.read_text().split() == VOCABULARY


def test_reference_tokens(shared):
    path = shared / "data" / "reference" / "nt_v2_tiny" / "tokens.json"
    cases = json.loads(path.read_text())
    assert len(cases) == 15
    assert own([case["sequence"] for case in cases]) == [case["input_ids"] for case in cases]


@pytest.mark.slow
def test_100_000_random_strings_like_esm_tokenizer(esm):
    draws = random.Random(20241201)

    def text():
        alphabet = draws.choice(ALPHABETS)
        made = "".join(draws.choices(alphabet, k=draws.randint(0, 45)))
        if draws.random() < 0.2:
            for _ in range(draws.randint(1, 3)):
                place = draws.randint(0, len(made))
                made = made[:place] + draws.choice(SPECIAL) + made[place:]
        return made

    texts = [text() for _ in range(100_000)]
    different = [
        (text, ours, theirs)
        for text, ours in zip(texts, own(texts), strict=True)
        if ours != (theirs := esm(text))
    ]
    assert different[:5] == []


@settings(max_examples=200, deadline=None)
@given(text=anything)
def test_any_text_like_esm_tokenizer(esm, text):
    assert own([text]) == [esm(text)]


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(anything, max_size=8))
def test_a_sequence_has_the_same_tokens_in_any_batch(texts):
    assert own(texts) == [own([text])[0] for text in texts]


@pytest.mark.parametrize("at_once", [1, 2, 7, 30])
@given(texts=st.lists(anything, max_size=8))
def test_pieces_of_a_batch_do_not_matter(texts, at_once):
    whole = own(texts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(t, "_AT_ONCE", at_once)
        assert own(texts) == whole


def test_batches_that_could_leak_between_sequences():
    # six-mers, runs of N, unknown characters and spelt-out tokens that would join if one let them
    texts = [
        "ACG",
        "TAC",
        "",
        "N",
        "N",
        "RY",
        "RY",
        "<pa",
        "d>",
        "",
        "<cls>",
        "<cls>",
        "ACGTAC",
        "",
    ]
    assert own(texts) == [own([text])[0] for text in texts]
    assert own(texts)[7:9] == [[3, 0], [3, 0]]
    assert [len(tokens) for tokens in own(texts)] == [4, 4, 1, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 1]


def test_worked_example():
    def ids(*words):
        return [[VOCABULARY.index(word) for word in words]]

    assert own(["ACGTACGTNNACGTACT"]) == ids(
        "<cls>", "ACGTAC", "G", "T", "N", "N", "ACGTAC", "T"
    )  # fmt: skip
    assert own(["ACGTACrrACG TA"]) == ids(
        "<cls>", "ACGTAC", "<unk>", "A", "C", "G", "T", "A"
    )  # fmt: skip
    assert own(["R RR"]) == ids("<cls>", "<unk>", "<unk>")
    assert own(["ACGTAC<mask>A"]) == ids("<cls>", "ACGTAC", "<mask>", "A")


def test_1500_bases_are_251_tokens_and_an_n_makes_more():
    sequence = "ACGTTGCA" * 187 + "ACGT"
    assert len(own([sequence])[0]) == 251
    assert len(own([sequence[:700] + "N" + sequence[701:]])[0]) > 251


def test_nothing():
    assert own([]) == []
    assert own([""]) == [[t.CLS]]
    assert own(["", ""]) == [[t.CLS]] * 2
    assert own([" \n"]) == [[t.CLS]]
    tokens, offsets = tokenize(np.zeros(0, np.uint8), np.zeros(1, np.int64))
    assert (len(tokens), offsets.tolist()) == (0, [0])
    no_skip = np.zeros(0, np.int64)
    for made in (decode(tokens, offsets), augment(tokens, offsets, np.zeros(0, bool), no_skip)):
        assert len(made[0]) == 0
        assert made[1].tolist() == [0]


def test_bases_per_token():
    spans = dict(zip(VOCABULARY, t.BASES_PER_TOKEN.tolist(), strict=True))
    for token, span in spans.items():
        if token == "<unk>":
            assert span == 1  # stands for one run of other characters, and is written as one "?"
        else:
            assert span == (0 if token in SPECIAL else len(token))


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(bases, max_size=8))
def test_decode_inverts(texts):
    letters, offsets = decode(*encode(texts))
    assert letters.dtype == np.uint8
    assert [letters[a:b].tobytes().decode() for a, b in pairwise(offsets)] == texts


def test_decode_of_what_is_no_base():
    letters, offsets = decode(*encode(["ACGTACrYAC", "<pad>G<mask>", "", "N"]))
    assert letters.tobytes() == b"ACGTAC?ACGN"
    assert offsets.tolist() == [0, 9, 10, 10, 11]


@settings(max_examples=200, deadline=None)
@given(
    drawn=st.lists(st.tuples(bases, st.booleans(), st.integers(0, 5)), max_size=8),
)
def test_augment_reads_the_other_strand_from_another_base(drawn):
    expected = [
        (str(Seq(text).reverse_complement()) if reverse else text)[skip:]
        for text, reverse, skip in drawn
    ]
    texts, reverse, skip = ([column[i] for column in drawn] for i in range(3))
    assert augmented(texts, reverse, skip) == own(expected)


def test_augment_one_thing_at_a_time():
    text = "ACGTACGGTTNNACCCATGAC"
    turned = str(Seq(text).reverse_complement())
    assert augmented([text], [False], [0]) == own([text])
    assert augmented([text], [True], [0]) == own([turned])
    for skip in range(6):
        assert augmented([text], [False], [skip]) == own([text[skip:]])
        assert augmented([text], [True], [skip]) == own([turned[skip:]])
    # an unknown character stays one, on either strand
    assert augmented(["ACGRTT"], [True], [2]) == own(["?CGT"])


def test_augment_never_skips_into_the_next_sequence():
    assert augmented(["AC", "", "GGGGGGT"], [True, False, False], [5, 3, 1]) == own(
        ["", "", "GGGGGT"]
    )


# As a tokenizer


def test_six_mers_are_a_tokenizer():
    assert (SIX_MERS.name, len(SIX_MERS), SIX_MERS.dtype) == ("six_mers", 4107, np.uint16)
    assert SIX_MERS.vocabulary is VOCABULARY
    assert (SIX_MERS.pad, SIX_MERS.before, SIX_MERS.after, SIX_MERS.frames) == (1, (3,), (), 6)
    # `<unk>` stands for characters of the sequence, and is content
    assert np.flatnonzero(SIX_MERS.is_special).tolist() == [1, 2, 3, 4, 5]


@settings(max_examples=50, deadline=None)
@given(drawn=st.lists(st.tuples(bases, st.booleans(), st.integers(0, 5)), max_size=5))
def test_the_tokenizer_reads_as_the_functions_do(drawn):
    texts, reverse, skip = ([column[i] for column in drawn] for i in range(3))
    text = np.frombuffer("".join(texts).encode(), np.uint8)
    offsets = np.append(0, np.cumsum([len(t) for t in texts])).astype(np.int64)
    made = SIX_MERS.tokenize(text, offsets)
    for one, other in zip(made, encode(texts), strict=True):
        np.testing.assert_array_equal(one, other)
    turned = np.array(reverse, bool), np.array(skip, int)
    for one, other in zip(SIX_MERS.augment(*made, *turned), augment(*made, *turned), strict=True):
        np.testing.assert_array_equal(one, other)


def test_widths_are_the_bases_of_a_token_unless_it_does_not_tell():
    tokens, _ = encode(["ACGTACrrACN<mask>"])
    assert SIX_MERS.widths(tokens).tolist() == [0, 6, -1, 1, 1, 1, 0]
    assert SIX_MERS.widths(np.array([[3, 6], [1, 4106]])).tolist() == [[0, 6], [0, 1]]
