"""What the places of the kept tokens tell about the label."""

import numpy as np
import pytest
from scipy import stats

from whatyouread.evaluate import leakage
from whatyouread.evaluate.leakage import (
    PLACES,
    kept_features,
    label_leakage,
    mask_features,
    token_features,
)


def content_of(width, lengths):
    """All tokens but `<cls>` of sequences of these lengths."""
    place = np.arange(width)
    return (place > 0) & (place < np.array(lengths)[:, None])


def test_features_of_a_mask_by_hand():
    kept = np.zeros((2, 42))
    kept[0, [0, 1, 2, 3, 40]] = 1  # `<cls>`, a run of three, a run of one
    kept[1, 5:8] = 1  # only the first five tokens are there
    made = mask_features(kept, content_of(42, [41, 6]))
    places, runs = made[:, :PLACES], made[:, PLACES:]
    # two tokens a part: three of four kept ones in the first two parts, one in the last
    assert places[0].tolist() == [0.5, 0.25] + [0] * 17 + [0.25]
    assert runs[0].tolist() == [0.25, 0, 0.75, 0, 0, 0]
    assert runs[1].tolist() == [1, 0, 0, 0, 0, 0]
    assert mask_features(np.zeros((1, 9)), content_of(9, [9])).tolist() == [[0] * 26]


def masks(labels, leaking):
    generator = np.random.default_rng(0)
    kept = generator.random((len(labels), 101)) < 0.1
    if leaking:
        for row, label in enumerate(labels):
            kept[row, 10 + 20 * label : 16 + 20 * label] = True
    return mask_features(kept, content_of(101, [101] * len(labels)))


def test_a_mask_that_tells_the_label_is_found_out():
    labels = np.repeat([0, 1, 2, 3], 25)
    values, classes = label_leakage(masks(labels, True), labels, 1)
    assert classes == 4
    assert values.mean() > 0.9


def test_a_mask_that_tells_nothing_is_at_chance():
    labels = np.repeat([0, 1, 2, 3], 50)
    values, _ = label_leakage(masks(labels, False), labels, 1)
    # 200 guesses of four classes
    assert stats.binomtest(round(values.sum()), 200, 0.25).pvalue > 0.01


def test_classes_count_alike_and_small_ones_are_left_out():
    labels = np.repeat([0, 1, 2], [60, 20, 4])
    values, classes = label_leakage(masks(labels, True), labels, 1)
    assert classes == 2
    assert np.isnan(values[80:]).all()
    right = values[:80] > 0
    recalls = [right[:60].mean(), right[60:].mean()]
    assert np.nanmean(values) == pytest.approx(np.mean(recalls))


def test_one_class_tells_nothing():
    values, classes = label_leakage(masks(np.zeros(20, int), False), np.zeros(20, int), 1)
    assert classes == 1
    assert np.isnan(values).all()


def test_sequences_without_a_label_are_no_class():
    labels = np.repeat([0, 1, 2, 3], 25)
    features = masks(labels, True)
    known = np.arange(100) % 3 > 0
    made, classes = label_leakage(features, np.where(known, labels, -1), 1)
    alone, _ = label_leakage(features[known], labels[known], 1)
    assert classes == 4
    assert np.isnan(made[~known]).all()
    np.testing.assert_array_equal(made[known], alone)


def test_features_of_tokens_by_hand():
    ids = np.array([[0, 7, 9, 7, 5], [0, 5, 9, 5, 5], [0, 9, 9, 9, 9]])
    kept = np.array([[1, 1, 1, 1, 0], [1, 0, 0, 1, 1], [1, 0, 0, 0, 0]])
    made = token_features(kept, content_of(5, [5, 5, 5]), ids)
    # <cls> is no content; 5, 7, 9 are kept; each row is as long as 26 standardised columns
    long = np.sqrt(26)
    expected = [[0, 2 * long / np.sqrt(5), long / np.sqrt(5)], [long, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(made.toarray(), expected)
    turned = token_features(
        kept[:, [0, 3, 2, 1, 4]], content_of(5, [5, 5, 5]), ids[:, [0, 3, 2, 1, 4]]
    )
    np.testing.assert_array_equal(made.toarray(), turned.toarray())  # no place


def test_the_tokens_that_are_kept_most_often_count(monkeypatch):
    monkeypatch.setattr(leakage, "TOKENS", 2)
    ids = np.array([[0, 3, 4, 4, 8], [0, 4, 8, 8, 3]])
    kept = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])
    made = token_features(kept, content_of(5, [5, 5]), ids).toarray()
    assert made.shape == (2, 2)
    assert made[0, 0] == pytest.approx(2 * made[0, 1])  # two 4, one 8
    assert 2 * made[1, 0] == pytest.approx(made[1, 1])


def told(cheats: bool, tells: bool, n: int = 240, classes: int = 4) -> dict[str, float]:
    """Balanced accuracies on 10 of 100 random tokens of each sequence.

    cheats: a run of them stands where the class says; tells: one is a token that only this class has.
    """
    generator = np.random.default_rng(3)
    labels = np.repeat(np.arange(classes), n // classes)
    ids = generator.integers(20, 520, (n, 101))
    start = 1 + (25 * labels if cheats else generator.integers(0, 91, n))
    places = start[:, None] + np.arange(10)
    if tells:
        np.put_along_axis(ids, places[:, [4]], labels[:, None], 1)
    kept = np.zeros((n, 101))
    np.put_along_axis(kept, places, 1, 1)
    seen = kept_features(kept, content_of(101, [101] * n), ids)
    return {name: label_leakage(own, labels, 1)[0].mean() for name, own in seen.items()}


def near_chance(share: float, n: int = 240, classes: int = 4) -> bool:
    return stats.binomtest(round(share * n), n, 1 / classes).pvalue > 0.01


def test_who_cheats_by_places_comes_first_by_what_is_learned_along():
    cheating, honest, both = told(True, False), told(False, True), told(True, True)
    assert cheating["leakage"] > 0.95
    assert near_chance(cheating["unordered"])
    assert honest["unordered"] > 0.95
    assert near_chance(honest["leakage"])
    assert min(both["leakage"], both["unordered"]) > 0.95
    assert cheating["learned_along"] >= honest["learned_along"] - 0.02
    assert min(made["learned_along"] for made in (cheating, honest, both)) > 0.95
    assert all(map(near_chance, told(False, False).values()))


def test_sequences_that_keep_nothing_tell_nothing():
    labels = np.repeat([0, 1], 20)
    nothing = np.zeros((40, 9))
    for own in kept_features(nothing, content_of(9, [9] * 40), np.zeros((40, 9), int)).values():
        assert near_chance(label_leakage(own, labels, 1)[0].mean(), 40, 2)
