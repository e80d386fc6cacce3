"""Tokenizers of models' folders: the ids of transformers, spans that give back the text."""

import gzip
import json
import pickle
import random
import re
from itertools import pairwise

import numpy as np
import pytest
from helpers_tokenizers import KINDS, PIECES, tokenizer_folder

from whatyouread.data import folder_tokenizer, six_mers
from whatyouread.data.folder_tokenizer import FolderTokenizer, longest
from whatyouread.data.tokenizers import (
    RESIDUES,
    SIX_MERS,
    SIX_MERS_V1,
    defined,
    find_tokenizer,
    is_name,
    tokenizer_beside,
    tokenizer_of,
)
from whatyouread.support.cli import UserError

TEXTS = [
    "The quick brown fox, jumps over the lazy dog.",
    "",
    "zzz qqq",
    "Café  \t the\nfox中a",
    "[SEP] the </s> fox <pad>",
    "ﬁ the ½",
    "a" * 50,
    "the 🦊 fox",
]


def own(tokenizer, texts):
    ids, offsets = tokenizer.tokenize(*tokenizer.characters(texts))
    assert ids.dtype == tokenizer.dtype
    return [ids[a:b].tolist() for a, b in pairwise(offsets)]


def places(tokenizer, texts):
    ids, offsets, where = tokenizer.located(*tokenizer.characters(texts))
    assert where.dtype == np.int32
    return [(ids[a:b], *where[:, a:b]) for a, b in pairwise(offsets)]


def random_texts(number=300):
    draws = random.Random(11)
    words = [
        "the",
        "quick",
        "Brown",
        "fox",
        "jumps",
        "é",
        "中",
        ",",
        "<mask>",
        "[UNK]",
        "🦊",
        "\u200b",
        "b",
    ]
    return [
        "".join(
            draws.choice(words) + draws.choice(["", " ", "  "]) for _ in range(draws.randint(0, 12))
        )
        for _ in range(number)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_ids_and_spans_like_transformers(tmp_path, kind):
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(str(tokenizer_folder(tmp_path, kind)))
    tokenizer, texts = tokenizer_of(tmp_path), TEXTS + random_texts()
    expected = theirs(texts, return_offsets_mapping=True)
    assert own(tokenizer, texts) == expected["input_ids"]
    found = places(tokenizer, texts)
    assert [ids.tolist() for ids, _, _ in found] == expected["input_ids"]
    spans = [list(zip(a.tolist(), b.tolist(), strict=True)) for _, a, b in found]
    assert spans == expected["offset_mapping"]
    assert len(tokenizer) == len(theirs)
    assert tokenizer.pad == theirs.pad_token_id
    special = {theirs.convert_tokens_to_ids(token) for token in theirs.all_special_tokens}
    assert set(tokenizer.special) == special - {theirs.unk_token_id}
    assert tokenizer.unknown == theirs.unk_token_id


@pytest.mark.parametrize(
    ("kind", "before", "after", "pad", "unknown"),
    [("word_pieces", (2,), (3,), 0, 1), ("unigram", (0,), (2,), 1, 3), ("bytes", (), (), 0, None)],
)
def test_the_frame_is_found(tmp_path, kind, before, after, pad, unknown):
    tokenizer = tokenizer_of(tokenizer_folder(tmp_path, kind))
    assert (tokenizer.before, tokenizer.after) == (before, after)
    assert (tokenizer.pad, tokenizer.unknown) == (pad, unknown)
    assert own(tokenizer, [""]) == [[*before, *after]]


def test_spans_give_back_the_text(tmp_path):
    tokenizer = tokenizer_of(tokenizer_folder(tmp_path))
    for text, (ids, starts, ends) in zip(
        random_texts(), places(tokenizer, random_texts()), strict=True
    ):
        pieces = [text[a:b].lower() for a, b in zip(starts, ends, strict=True)]
        for token, piece in zip(ids[1:-1], pieces[1:-1], strict=True):
            name = PIECES[token].removeprefix("##")
            if not name.startswith("["):
                assert piece in (name, "é"), text
        # what lies between tokens is white space, or has no width
        covered = np.zeros(len(text), bool)
        for a, b in zip(starts, ends, strict=True):
            covered[a:b] = True
        rest = [c for c, flag in zip(text, covered, strict=True) if not flag]
        assert set(rest) <= {" ", "\u200b"}


def test_spans_count_characters_and_not_bytes(tmp_path):
    tokenizer = tokenizer_of(tokenizer_folder(tmp_path))
    [(ids, starts, ends)] = places(tokenizer, ["中 🦊 the"])
    assert [PIECES[i] for i in ids] == ["[CLS]", "中", "[UNK]", "the", "[SEP]"]
    assert starts.tolist() == [0, 0, 2, 4, 0]
    assert ends.tolist() == [0, 1, 3, 7, 0]


@pytest.mark.parametrize("at_once", [1, 10, 200])
def test_blocks_do_not_matter(tmp_path, monkeypatch, at_once):
    tokenizer = tokenizer_of(tokenizer_folder(tmp_path))
    whole = own(tokenizer, TEXTS), places(tokenizer, TEXTS)
    monkeypatch.setattr(folder_tokenizer, "_AT_ONCE", at_once)
    assert own(tokenizer, TEXTS) == whole[0]
    for one, other in zip(places(tokenizer, TEXTS), whole[1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_text_at_all(tmp_path):
    tokenizer = tokenizer_of(tokenizer_folder(tmp_path))
    assert own(tokenizer, []) == []
    assert places(tokenizer, []) == []


def test_the_definition_is_the_identity(tmp_path):
    first = tokenizer_of(tokenizer_folder(tmp_path / "a"))
    # the settings of cutting and padding say nothing of what tokens are
    library = KINDS["word_pieces"]()
    library.enable_truncation(5)
    library.enable_padding(pad_id=0, pad_token="[PAD]", length=9)
    folder = tokenizer_folder(tmp_path / "b")
    library.save(str(folder / "tokenizer.json"))
    assert len(own(tokenizer_of(folder), ["the " * 20])[0]) == 22
    assert tokenizer_of(tokenizer_folder(tmp_path / "c")) is first is find_tokenizer(first.name)
    assert tokenizer_of(tokenizer_folder(tmp_path / "d", "unigram")).name != first.name
    assert re.fullmatch("tokenizer.json:[0-9a-f]{16}", first.name)
    again = pickle.loads(pickle.dumps(first))
    assert (again.name, again.special, again.before) == (first.name, first.special, first.before)
    assert FolderTokenizer(first.definition).name == first.name == defined(first.definition).name


def test_a_saved_folder_defines_its_tokenizer(tmp_path, monkeypatch):
    from whatyouread.data import tokenizers

    made = tokenizer_of(tokenizer_folder(tmp_path / "a"))
    other = tokenizer_of(tokenizer_folder(tmp_path / "b", "unigram"))
    monkeypatch.setattr(tokenizers, "_defined", {})
    assert is_name(made.name)
    with pytest.raises(UserError, match=r"there is no tokenizer 'tokenizer.json:.*is not there"):
        find_tokenizer(made.name)
    tokenizer_beside(tmp_path, made.name)  # nothing there: whoever looks for it says so
    (tmp_path / "tokenizer.json").write_text(made.definition, encoding="utf-8")
    tokenizer_beside(tmp_path, made.name)
    assert find_tokenizer(made.name).vocabulary == made.vocabulary
    with pytest.raises(UserError, match=r"tokenizer.json is not the model's"):
        tokenizer_beside(tmp_path, other.name)


@pytest.mark.parametrize(
    "name", ["words", "tokenizer.json", "tokenizer.json:12", 3, None, ["six_mers"]]
)
def test_what_is_no_name(name):
    assert not is_name(name)


def test_built_in_tokenizers_are_known_by_their_vocabulary(tmp_path):
    for tokenizer in (SIX_MERS, RESIDUES, SIX_MERS_V1):
        (tmp_path / "vocab.txt").write_text("\n".join(tokenizer.vocabulary))
        assert tokenizer_of(tmp_path) is tokenizer
    (tmp_path / "vocab.txt").write_text("\n".join([*SIX_MERS.vocabulary, "R"]))
    with pytest.raises(UserError, match=f"{re.escape(str(tmp_path))} has no tokenizer.json"):
        tokenizer_of(tmp_path)


def test_the_first_nucleotide_transformer(tmp_path):
    """4105 ids: those of the second without `<eos>` and `<bos>`."""
    from transformers import EsmTokenizer

    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(SIX_MERS_V1.vocabulary), encoding="utf-8")
    theirs = EsmTokenizer(str(path), eos_token=None)
    assert len(SIX_MERS_V1) == theirs.vocab_size == 4105
    draws = random.Random(1)
    texts = [
        "".join(draws.choices("ACGTN", (9, 9, 9, 9, 1), k=draws.randint(0, 60))) for _ in range(200)
    ]
    texts += ["ACRRGT", "<pad>ACGTAC<mask>", "TTTTTTGGGGGGN"]
    assert own(SIX_MERS_V1, texts) == [theirs(text)["input_ids"] for text in texts]
    text, offsets = SIX_MERS_V1.characters(["ACGTACGTTAAC"])
    ids, ends = SIX_MERS_V1.tokenize(text, offsets)
    turned, _ = SIX_MERS_V1.augment(ids, ends, np.array([True]), np.array([1]))
    assert [SIX_MERS_V1.vocabulary[i] for i in turned] == [
        "<cls>",
        "TTAACG",
        "T",
        "A",
        "C",
        "G",
        "T",
    ]
    assert SIX_MERS_V1.widths(turned).tolist() == [0, 6, 1, 1, 1, 1, 1]
    changed = SIX_MERS_V1.substitute(ids, ends, np.array([0.0]), np.array([0.0]))
    expected = six_mers.substitute(
        six_mers.tokenize(text, offsets)[0], ends, np.array([0.0]), np.array([0.0])
    )
    assert [SIX_MERS_V1.vocabulary[i] for i in changed] == [
        SIX_MERS.vocabulary[i] for i in expected
    ]


@pytest.mark.parametrize("lower", [True, False])
def test_word_pieces_without_tokenizer_json(tmp_path, lower):
    from transformers import BertTokenizerFast

    (tmp_path / "vocab.txt").write_text("\n".join(PIECES), encoding="utf-8")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    settings = {"tokenizer_class": "BertTokenizer", "do_lower_case": lower}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    theirs = BertTokenizerFast.from_pretrained(str(tmp_path))
    tokenizer, texts = tokenizer_of(tmp_path), TEXTS + random_texts()
    assert own(tokenizer, texts) == theirs(texts)["input_ids"]
    assert tokenizer.special == (0, 2, 3, 4)


def test_what_needs_transformers_and_cannot_be_had(tmp_path):
    (tmp_path / "sentencepiece.bpe.model").write_bytes(b"nonsense")
    (tmp_path / "config.json").write_text('{"model_type": "xlm-roberta"}')
    with pytest.raises(UserError, match=r"has no tokenizer\.json, and it cannot be made") as caught:
        tokenizer_of(tmp_path)
    assert "save_pretrained" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "tokenizer.json is no tokenizer"),
        ("nonsense", "tokenizer.json is no tokenizer"),
        (b"\xff\xfe", "tokenizer.json is no text"),
    ],
)
def test_a_damaged_tokenizer(tmp_path, text, message):
    (tmp_path / "tokenizer.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=message):
        tokenizer_of(tmp_path)


def test_a_folder_without_a_tokenizer(tmp_path):
    with pytest.raises(UserError, match=r"no tokenizer.json and no vocabulary there"):
        tokenizer_of(tmp_path)


def test_a_tokenizer_without_padding(tmp_path):
    library = KINDS["word_pieces"]()
    definition = json.loads(library.to_str().replace("[PAD]", "[FILL]"))
    (tmp_path / "tokenizer.json").write_text(json.dumps(definition))
    with pytest.raises(UserError, match="no token to fill sequences up with"):
        tokenizer_of(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"pad_token": {"content": "[FILL]"}}')
    assert tokenizer_of(tmp_path).pad == 0


def test_exchanging_a_token_leaves_special_ones(tmp_path):
    tokenizer = tokenizer_of(tokenizer_folder(tmp_path))
    ids, offsets = tokenizer.tokenize(*tokenizer.characters(["the fox", "dog"]))
    half = np.array([0.5, 0.5])
    changed = tokenizer.substitute(ids, offsets, half, half)
    assert np.flatnonzero(changed != ids).tolist() == [2, 5]
    assert not tokenizer.is_special[changed[[2, 5]]].any()


@pytest.mark.parametrize(
    ("config", "settings", "limit"),
    [
        ({}, {}, 0),
        ({"max_position_embeddings": 512, "model_type": "bert"}, {}, 512),
        ({"max_position_embeddings": 514, "model_type": "xlm-roberta", "pad_token_id": 1}, {}, 512),
        ({"max_position_embeddings": 514, "model_type": "camembert", "pad_token_id": 1}, {}, 512),
        # rotary positions have no end: what the tokenizer says counts
        (
            {
                "max_position_embeddings": 1026,
                "position_embedding_type": "rotary",
                "model_type": "esm",
            },
            {},
            0,
        ),
        (
            {
                "max_position_embeddings": 1026,
                "position_embedding_type": "rotary",
                "model_type": "esm",
            },
            {"model_max_length": 1024},
            1024,
        ),
        ({"max_position_embeddings": 1002, "model_type": "esm", "pad_token_id": 1}, {}, 1000),
        ({"max_position_embeddings": 512, "model_type": "bert"}, {"model_max_length": 10**30}, 512),
        ({"max_position_embeddings": 512, "model_type": "bert"}, {"model_max_length": 256}, 256),
    ],
)
def test_how_much_a_model_reads(tmp_path, config, settings, limit):
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert longest(tmp_path) == limit


def test_the_whole_tokenizer_of_xlm_r(shared, tmp_path):
    packed = shared / "data" / "models" / "xlmr_tokenizer" / "tokenizer.json.gz"
    (tmp_path / "tokenizer.json").write_bytes(gzip.decompress(packed.read_bytes()))
    tokenizer = tokenizer_of(tmp_path)
    assert len(tokenizer) == 250_002
    assert tokenizer.dtype == np.uint32
    assert (tokenizer.before, tokenizer.after, tokenizer.pad, tokenizer.unknown) == (
        (0,),
        (2,),
        1,
        3,
    )
    # the ids that the published model's card and tests give for this sentence
    assert own(tokenizer, ["Hello World!"]) == [[0, 35378, 6661, 38, 2]]
    texts = ["En mening på svenska, med åäö.", "ท้องฟ้า", "日本語のテキスト", "😀 ok"]
    import tokenizers

    library = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert own(tokenizer, texts) == [library.encode(text).ids for text in texts]
    [(_, starts, ends)] = places(tokenizer, [texts[0]])
    text = "".join(texts[0][a:b] for a, b in zip(starts, ends, strict=True))
    assert text.replace(" ", "") == texts[0].replace(" ", "")


def test_the_small_xlm_r_like_transformers(shared):
    from transformers import AutoTokenizer

    folder = shared / "data" / "models" / "xlmr_e5_small_32k"
    theirs, texts = AutoTokenizer.from_pretrained(str(folder)), TEXTS + random_texts(50)
    expected = theirs(texts, return_offsets_mapping=True)
    tokenizer = tokenizer_of(folder)
    assert own(tokenizer, texts) == expected["input_ids"]
    spans = [list(zip(a.tolist(), b.tolist(), strict=True)) for _, a, b in places(tokenizer, texts)]
    assert spans == expected["offset_mapping"]
