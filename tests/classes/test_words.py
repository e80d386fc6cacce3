"""Words of texts and their scores, by hand and against plain loops."""

import unicodedata
from itertools import pairwise

import numpy as np
import pytest
from helpers_evaluation import write_tokens
from helpers_tokenizers import text_file

from whatyouread.classes.words import (
    JOINERS,
    Words,
    find_words,
    spelled,
    word_scores,
)
from whatyouread.support.cli import UserError


def words_of(text: str) -> list[str]:
    found = find_words([text])
    for word, start, end in zip(found.words.to_pylist(), found.starts, found.ends, strict=True):
        assert text[start:end] == word
    return found.words.to_pylist()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The fox, the dog.", ["The", "fox", "the", "dog"]),
        ("don't l’homme rock-’n’-roll", ["don't", "l’homme", "rock", "n", "roll"]),
        ("co-op -dash- a--b it's'", ["co-op", "dash", "a", "b", "it's"]),
        ("1998 4,5 % A4 3rd", ["A4", "3rd"]),
        ("Åsa åt ÄPPLEN", ["Åsa", "åt", "ÄPPLEN"]),
        ("cafe\u0301 naïve", ["cafe\u0301", "naïve"]),
        ("snake_case a.b@c.de", ["snake", "case", "a", "b", "c", "de"]),
        ("ex\u00adtra", ["ex\u00adtra"]),
        ("слово, 中文 हिन्दी", ["слово", "中文", "हिन्दी"]),
        ("😀 a😀b", ["a", "b"]),
        ("'quoted'", ["quoted"]),
        ("", []),
        (" \n\t.", []),
        ("x", ["x"]),
    ],
)
def test_words_by_hand(text, expected):
    assert words_of(text) == expected


def plain_words(text: str) -> list[tuple[int, int]]:
    """The definition, character by character."""
    own = [unicodedata.category(c)[0] in "LMN" for c in text]
    whole = [
        is_own or (c in JOINERS and 0 < i < len(text) - 1 and own[i - 1] and own[i + 1])
        for i, (c, is_own) in enumerate(zip(text, own, strict=True))
    ]
    edges = [
        i for i in range(len(text) + 1) if (i > 0 and whole[i - 1]) != (i < len(text) and whole[i])
    ]
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return [(s, e) for s, e in pairs if any(c.isalpha() for c in text[s:e])]


def test_words_of_any_text_against_the_definition():
    rng = np.random.default_rng(4)
    alphabet = list("abÅ1 9.,'’-‑\u00ad_ \n中😀é\u0301٣")
    texts = ["".join(rng.choice(alphabet, rng.integers(0, 30))) for _ in range(300)]
    found = find_words(texts)
    made = list(zip(found.of.tolist(), found.starts.tolist(), found.ends.tolist(), strict=True))
    assert made == [(i, s, e) for i, text in enumerate(texts) for s, e in plain_words(text)]
    assert found.words.to_pylist() == [texts[i][s:e] for i, s, e in made]
    assert len(found.numbers) > 20
    for i, start in zip(found.numbers_of, found.numbers, strict=True):
        assert not texts[i][start].isalpha()


def scores(text, pieces, values, how="largest", of=None):
    starts, ends = np.array(pieces).reshape(-1, 2).T
    of = np.zeros(len(starts), np.int64) if of is None else np.array(of)
    texts = [text] if isinstance(text, str) else text
    return word_scores(find_words(texts), of, starts, ends, np.array(values), how)


def test_scores_by_hand():
    """Pieces of "unhappy, man": un 0.2, happ -0.5, y 0.4, comma 0.9, man 0.3."""
    text, pieces = "unhappy, man", [(0, 2), (2, 6), (6, 7), (7, 8), (9, 12)]
    values = [0.2, -0.5, 0.4, 0.9, 0.3]
    made, has, outside = scores(text, pieces, values)
    assert made.tolist() == [-0.5, 0.3]  # the furthest from zero keeps its sign
    assert has.tolist() == [True, True]
    assert outside == 1
    made, _, _ = scores(text, pieces, values, "sum")
    np.testing.assert_allclose(made, [0.2 - 0.5 + 0.4, 0.3])


@pytest.mark.parametrize(
    ("pieces", "values", "expected"),
    [
        ([(0, 4), (4, 8)], [1, 2], [1, 2]),  # a blank before or behind belongs to a piece
        ([(0, 3), (3, 7)], [1, 2], [1, 2]),
        ([(0, 7)], [5], [5, 5]),  # one piece of two words
        ([(0, 3)], [5], [5, None]),  # cut: the second word has no piece
        ([(3, 4), (4, 7)], [9, 2], [None, 2]),  # the blank alone is of no word
        (
            [(0, 2), (2, 3), (2, 3), (4, 7)],
            [1, -2, 2, 0],
            [2, 0],
        ),  # as far from zero: the positive one
        ([(-1, -1), (4, 7)], [9, 1], [None, 1]),  # a place that is not known
        ([(0, 0), (3, 3), (4, 7)], [9, 9, 1], [None, 1]),  # no characters
    ],
)
def test_which_pieces_a_word_has(pieces, values, expected):
    made, has, _ = scores("abc def", pieces, values)
    assert [value if own else None for value, own in zip(made, has, strict=True)] == expected


def test_texts_do_not_mix():
    made, has, _ = scores(["ab", "cd ef"], [(0, 2), (0, 2), (3, 5)], [1, 2, 3], of=[0, 1, 1])
    assert made.tolist() == [1, 2, 3]
    made, has, outside = scores(["ab", "cd"], [(5, 7)], [1], of=[0])
    assert not has.any()
    assert outside == 1


@pytest.mark.parametrize("how", ["largest", "sum"])
def test_scores_against_plain_loops(how):
    rng = np.random.default_rng(8)
    alphabet = list("abc .,-'1 ")
    for _ in range(40):
        texts = ["".join(rng.choice(alphabet, 25)) for _ in range(3)]
        pieces, of = [], []
        for i in range(3):
            cuts = [0, *sorted(rng.choice(np.arange(1, 25), 9, replace=False)), 25]
            pieces += list(pairwise(cuts))
            of += [i] * 10
        values = rng.integers(-9, 9, len(pieces)) / 4
        made, has, outside = scores(texts, pieces, values, how, of)
        expected, used = [], set()
        for i, text in enumerate(texts):
            for s, e in plain_words(text):
                own = [k for k, (a, b) in enumerate(pieces) if of[k] == i and a < e and b > s]
                used |= set(own)
                best = max((values[k] for k in own), key=lambda v: (abs(v), v))
                expected.append(sum(values[k] for k in own) if how == "sum" else best)
        assert has.all()
        np.testing.assert_allclose(made, expected)
        assert outside == len(pieces) - len(used)


def test_another_way_to_score_is_one_line():
    with pytest.raises(UserError, match="'mean': one of largest, sum"):
        scores("a", [(0, 1)], [1], "mean")


def test_how_words_are_spelled():
    assert spelled("STRASSE", True) == spelled("straße", True) == "strasse"
    assert spelled("É", True) == spelled("e\u0301", True) == "é"
    assert spelled("ex\u00adtra", True) == "extra"
    assert spelled("É", False) == "É"


TEXTS = ["The quick Foxs, the DOG!", "café jumper 12; the end"]


@pytest.mark.parametrize("kind", ["word_pieces", "unigram", "bytes"])
@pytest.mark.parametrize("fold", [True, False])
def test_every_tokenizer_makes_the_same_words(tmp_path, kind, fold):
    """Each content token scores its place: a word has the score of its last piece."""
    file = text_file(tmp_path, kind, TEXTS)
    rows = np.array([1, 0])
    batch = file.batch(rows)
    items = Words(file, dict(enumerate(TEXTS)), "largest", fold)
    place = np.broadcast_to(np.arange(1.0, batch.ids.shape[1] + 1), batch.ids.shape)
    row, code, score = items.items(rows, batch, place)
    expected = ["café", "jumper", "the", "end", "The", "quick", "Foxs", "the", "DOG"]
    names = items.names(code)
    assert names == [word.casefold() if fold else word for word in expected]
    assert row.tolist() == [0] * 4 + [1] * 5
    starts, ends = file.spans(rows)
    found = find_words([TEXTS[row] for row in rows])
    for i, s, e, value in zip(found.of, found.starts, found.ends, score, strict=True):
        own = batch.content[i] & (starts[i] < e) & (ends[i] > s)
        assert value == place[i][own].max()
    # "the" is one item wherever it stands, and in another call
    again = Words(file, dict(enumerate(TEXTS)), "largest", fold).items(
        rows[1:], file.batch(rows[1:]), place
    )
    assert again[1][-2] == code[2]
    assert items.counts["words"] == 9
    assert items.counts["numbers"] == 1
    assert items.counts["pieces"] == batch.content.sum()
    assert 0 < items.counts["pieces_outside"] < batch.content.sum() / 2


def test_six_mers_have_places_too(tmp_path):
    file = write_tokens(tmp_path / "t.arrow", [[3, 10, 11]], [[0]], ranks=["a"])
    items = Words(file, {0: "abcdef GHIJK"}, "sum", True)
    batch = file.batch(np.array([0]))
    _row, code, score = items.items(np.array([0]), batch, np.array([[9.0, 1.0, 2.0]]))
    assert items.names(code) == ["abcdef", "ghijk"]
    assert score.tolist() == [1.0, 2.0]


def test_no_texts_have_no_words(tmp_path):
    assert len(find_words([]).words) == 0
    file = text_file(tmp_path, "word_pieces", TEXTS)
    rows, batch = np.array([], np.int64), file.batch(np.array([0])).take(np.array([], np.int64))
    items = Words(file, {}, "largest", True)
    row, code, score = items.items(rows, batch, np.zeros((0, batch.ids.shape[1])))
    assert len(row) == len(code) == len(score) == 0
    assert items.names(code) == []
    assert items.counts == dict.fromkeys(items.counts, 0)
    silent = Words(file, {0: "...", 1: "12 3"}, "largest", True)
    rows = np.array([0, 1])
    row, _, _ = silent.items(rows, file.batch(rows), np.zeros(file.batch(rows).ids.shape))
    assert len(row) == 0
