"""The tokens of proteins: those of Hugging Face's `EsmTokenizer`."""

import random
from itertools import pairwise

import numpy as np
import pytest

from whatyouread.data.residues import RESIDUES, UNK, VOCABULARY
from whatyouread.data.tokenizer import spans
from whatyouread.data.tokenizers import tokenizer_of
from whatyouread.support.cli import UserError

SPECIAL = ["<cls>", "<pad>", "<eos>", "<unk>", "<null_1>", "<mask>"]


def own(texts):
    ids, offsets = RESIDUES.tokenize(*RESIDUES.characters(texts))
    assert ids.dtype == RESIDUES.dtype == np.uint16
    return [ids[a:b].tolist() for a, b in pairwise(offsets)]


@pytest.fixture(scope="module")
def esm(tmp_path_factory):
    from transformers import EsmTokenizer

    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join(VOCABULARY), encoding="utf-8")
    tokenizer = EsmTokenizer(str(path))
    return lambda text: tokenizer(text)["input_ids"]


def test_a_token_for_each_residue_between_cls_and_eos():
    assert own(["MKJ-", ""]) == [[0, 20, 15, 3, 30, 2], [0, 2]]
    assert own([]) == []
    assert len(RESIDUES) == 33
    assert [VOCABULARY[i] for i in RESIDUES.special] == [
        "<cls>",
        "<pad>",
        "<eos>",
        "<null_1>",
        "<mask>",
    ]


def test_the_vocabulary_and_the_peptides_of_the_published_model(shared):
    import csv

    from transformers import EsmTokenizer

    folder = shared / "data" / "models" / "esm2_t6_8M_hemolysis"
    assert (folder / "vocab.txt").read_text().split() == VOCABULARY
    assert tokenizer_of(folder) is RESIDUES
    theirs = EsmTokenizer.from_pretrained(str(folder))
    path = shared / "data" / "protein" / "hemolysis" / "independent_dataset.csv"
    with open(path, encoding="utf-8", newline="") as stream:
        texts = [row["SEQUENCE"] for row in csv.DictReader(stream)]
    assert len(texts) == 386
    assert own(texts) == theirs(texts)["input_ids"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "JJ<cls>JJ",
        "<unk>J",
        "J<unk>",
        "mKV",
        "<null_1>",
        "A\N{NO-BREAK SPACE}A",
        "é",
        "J J",
        "JJAjJ",
    ],
)
def test_special_symbols_small_letters_and_unknown_ones(esm, text):
    assert own([text]) == [esm(text)]


def test_random_texts_in_one_batch_like_esm_tokenizer(esm):
    draws, texts = random.Random(33), []
    for _ in range(2000):
        alphabet = draws.choice(["ACDEF", "ACJjj<> .-*", "<cls>ACJ \t", "acdX", "J"])
        text = "".join(draws.choices(alphabet, k=draws.randint(0, 30)))
        if draws.random() < 0.3:
            place = draws.randint(0, len(text))
            text = text[:place] + draws.choice(SPECIAL) + text[place:]
        texts.append(text)
    assert own(texts) == [esm(text) for text in texts]


def test_spans_are_the_residues():
    ids, _ = RESIDUES.tokenize(*RESIDUES.characters(["MKVX"]))
    starts, ends = spans(RESIDUES, ids)
    assert starts.tolist() == [0, 0, 1, 2, 3, 4]
    assert ends.tolist() == [0, 1, 2, 3, 4, 4]
    assert RESIDUES.widths(np.array([UNK])).tolist() == [-1]


def test_no_other_strand():
    nothing = np.zeros(0, np.int64)
    with pytest.raises(UserError, match="residues tokens have no other strand"):
        RESIDUES.augment(nothing, np.zeros(1, np.int64), nothing.astype(bool), nothing)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("MKV", [(0, 1), (1, 2), (2, 3)]),
        ("MJJ1K", [(0, 1), (1, 4), (4, 5)]),
        ("JJ", [(0, 2)]),
        ("J J", [(0, 1), (2, 3)]),
        ("A<mask>JK", [(0, 1), (1, 7), (7, 8), (8, 9)]),
        ("J<unk>J", [(0, 1), (1, 6), (6, 7)]),
        ("  A  ", [(2, 3)]),
        ("", []),
    ],
)
def test_tokens_tell_where_they_lie_unknown_ones_too(text, places):
    texts = ["JJ", text, "JM"]
    ids, offsets, where = RESIDUES.located(*RESIDUES.characters(texts))
    plain, ends = RESIDUES.tokenize(*RESIDUES.characters(texts))
    assert ids.tolist() == plain.tolist()
    assert offsets.tolist() == ends.tolist()
    own = where[:, offsets[1] + 1 : offsets[2] - 1].T.tolist()
    assert own == [list(place) for place in places]
    assert (where[:, [*offsets[:-1], *(offsets[1:] - 1)]] == 0).all()


def test_places_of_random_letters_are_those_of_a_plain_loop():
    rng = np.random.default_rng(3)
    for _ in range(50):
        texts = ["".join(rng.choice(list("MKVJj1 "), rng.integers(0, 9))) for _ in range(4)]
        _, offsets, where = RESIDUES.located(*RESIDUES.characters(texts))
        for text, low, high in zip(texts, offsets[:-1], offsets[1:], strict=True):
            expected, unknown = [], False
            for i, letter in enumerate(text):
                if letter in "Jj1":
                    if unknown:
                        expected[-1][1] = i + 1
                    else:
                        expected.append([i, i + 1])
                    unknown = True
                else:
                    unknown = False
                    if letter != " ":
                        expected.append([i, i + 1])
            assert where[:, low + 1 : high - 1].T.tolist() == expected, text
