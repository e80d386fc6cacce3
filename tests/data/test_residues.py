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
