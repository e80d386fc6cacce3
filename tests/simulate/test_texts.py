"""Simulated texts: what is planted is where it is said to be, and nowhere else."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from whatyouread.data.tokenizers import tokenizer_of
from whatyouread.simulate.texts import Settings, simulate, write_texts, write_tokenizer
from whatyouread.support.cli import UserError

SETTINGS = {
    "documents": 300,
    "classes": 4,
    "keywords": 3,
    "planted": 3,
    "words": [12, 40],
    "vocabulary": 300,
    "several": 0.2,
}


@pytest.fixture(scope="module")
def texts():
    return simulate(Settings(**SETTINGS), 1)


def test_keywords_stand_where_they_are_said_to_be_and_nowhere_else(texts):
    owner = {
        word: name for name, own in zip(texts.classes, texts.keywords, strict=True) for word in own
    }
    assert len(owner) == 4 * 3
    for document in texts.documents:
        text = document["text"]
        assert all(text[start:end].lower() == word for start, end, word in document["places"])
        assert Counter(owner[word] for _, _, word in document["places"]) == dict.fromkeys(
            document["labels"], 3
        )
        words = [word.strip(".,!?").lower() for word in text.split()]
        assert 12 <= len(words) <= 40
        assert sum(word in owner for word in words) == len(document["places"])


def test_the_share_of_documents_with_two_labels(texts):
    counts = Counter(len(document["labels"]) for document in texts.documents)
    assert set(counts) == {1, 2}
    assert counts[2] / 300 == pytest.approx(0.2, abs=0.08)
    assert all(
        len(set(document["labels"])) == len(document["labels"]) for document in texts.documents
    )


def test_texts_have_what_real_ones_have(texts):
    text = " ".join(document["text"] for document in texts.documents)
    assert {"å", "é", ".", ",", "!", "?"} <= set(text)
    assert any(word.isdigit() for word in text.split())
    assert all(
        document["text"][0].isupper() or document["text"][0].isdigit()
        for document in texts.documents
    )


def test_the_same_seed_gives_the_same_files(texts, tmp_path):
    for name, made in (("a", texts), ("b", simulate(Settings(**SETTINGS), 1))):
        write_texts(made, *(tmp_path / f"{name}.{kind}" for kind in ("jsonl", "bed", "tsv")))
        write_tokenizer(made, tmp_path / name)
    for kind in ("jsonl", "bed", "tsv"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
    one, two = ((tmp_path / name / "tokenizer.json").read_bytes() for name in "ab")
    assert one == two
    other = simulate(Settings(**SETTINGS), 2)
    assert other.keywords != texts.keywords


def test_the_files(texts, tmp_path):
    write_texts(texts, *(tmp_path / f"a.{kind}" for kind in ("jsonl", "bed", "tsv")))
    records = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [sorted(record) for record in records] == [["id", "labels", "text"]] * 300
    places = pd.read_csv(tmp_path / "a.bed", sep="\t", header=None, keep_default_na=False)
    by_id = {record["id"]: record["text"] for record in records}
    for name, start, end, group in places.itertuples(index=False):
        assert group == "keyword:" + by_id[name][start:end].lower()
    keywords = pd.read_csv(tmp_path / "a.tsv", sep="\t")
    assert keywords.groupby("class").size().tolist() == [3] * 4


def test_words_are_pieces_and_none_is_unknown(texts, tmp_path):
    write_tokenizer(texts, tmp_path)
    tokenizer = tokenizer_of(tmp_path)
    bodies = [document["text"] for document in texts.documents]
    ids, offsets, places = tokenizer.located(*tokenizer.characters(bodies))
    assert not (ids == tokenizer.unknown).any()
    # every keyword begins and ends with a piece and has two or more
    for number, document in enumerate(texts.documents[:50]):
        here = places[:, offsets[number] : offsets[number + 1]]
        for start, end, _ in document["places"]:
            inside = (here[0] >= start) & (here[1] <= end) & (here[1] > here[0])
            assert here[0][inside].min() == start
            assert here[1][inside].max() == end
            assert inside.sum() in (2, 3)
            assert np.all(here[0][inside][1:] == here[1][inside][:-1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": 1}, "`classes` is 1: there must be two"),
        ({"words": [9, 8]}, "`words` is .*, not two counts"),
        ({"words": [5, 9]}, "`planted` keywords do not fit"),
        ({"several": 1.2}, "`several` is 1.2, not a share"),
        ({"documents": 0}, "`documents` is 0, not a count"),
        ({"vocabulary": 100_000}, "too few words: lower `vocabulary`"),
    ],
)
def test_settings_that_cannot_be(change, message):
    with pytest.raises(UserError, match=message):
        Settings(**SETTINGS | change)
