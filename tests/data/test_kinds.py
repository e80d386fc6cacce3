"""Sets of classes as numbers: what they hold, how two agree, and their scores by scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score

from whatyouread.data.kinds import (
    KINDS,
    MOST,
    MULTIPLE,
    SINGLE,
    kinds_of,
    kinds_of_scores,
    macro_average_precision,
    members,
    score_words,
    sets_of,
)


def test_bits():
    held = members(np.array([0, 1, 6, 1 << 61, -1]), MOST)
    assert [np.flatnonzero(row).tolist() for row in held] == [[], [0], [1, 2], [61], []]
    assert sets_of(held).tolist() == [0, 1, 6, 1 << 61, 0]
    assert sets_of(held).dtype == np.int64


@pytest.mark.parametrize("seed", range(5))
def test_sets_and_members_are_each_other_s_inverse(seed):
    rng = np.random.default_rng(seed)
    classes = int(rng.integers(1, MOST + 1))
    held = rng.random((50, classes)) < rng.random()
    sets = sets_of(held)
    assert np.array_equal(members(sets, classes), held)
    assert (sets < MULTIPLE.limit(classes)).all()
    assert (sets >= 0).all()
    assert MULTIPLE.held(sets).tolist() == np.flatnonzero(held.any(0)).tolist()
    names = [f"n{c}" for c in range(classes)]
    wanted = [", ".join(n for n, own in zip(names, row, strict=True) if own) for row in held]
    assert [MULTIPLE.called(int(s), names) for s in sets] == [w or "(none)" for w in wanted]


def test_a_set_is_wrong_where_it_shares_no_class():
    labels = np.array([0b01, 0b01, 0b11, 0, -1, 0b100, 0])
    asked = np.array([0b10, 0b11, 0b01, 0b1, 0b1, 0, 0])
    assert MULTIPLE.wrong(asked, labels).tolist() == [True, False, False, True, False, False, False]
    assert SINGLE.wrong(np.array([1, 2, 0]), np.array([1, 1, -1])).tolist() == [False, True, False]


def test_agreement_is_the_f1_of_two_sets():
    said = np.array([0b011, 0b001, 0b110, 0, 0, 0b1, -1])
    asked = np.array([0b011, 0b011, 0b011, 0, 0b1, 0, 0b1])
    made = MULTIPLE.agreement(said, asked)
    assert made.tolist() == pytest.approx([1, 2 / 3, 0.5, 1, 0, 0, 0])
    assert SINGLE.agreement(np.array([0, 1]), np.array([0, 2])).tolist() == [1, 0]


def test_scores_on_paper():
    # class 0: 1 hit, 1 miss; class 1: 1 hit, 1 false alarm; class 2 is only predicted
    labels, said = np.array([0b01, 0b01, 0b10, 0]), np.array([0b01, 0b100, 0b10, 0b10])
    assert MULTIPLE.score(labels, said) == pytest.approx((2 / 3 + 2 / 3) / 2)
    further = MULTIPLE.further_scores(labels, said, None)
    assert further["micro_f1"] == pytest.approx(2 * 2 / (3 + 4))
    assert np.isnan(further["average_precision"])
    # the second row does not count
    labels[1] = -1
    assert MULTIPLE.score(labels, said) == pytest.approx((1 + 2 / 3) / 2)
    assert np.isnan(MULTIPLE.score(np.array([0, -1]), np.array([1, 1])))
    # class 0: found at the places 1 and 3; class 1 is held by all and class 2 by none: neither counts
    truth = np.array([[1, 1, 0], [0, 1, 0], [1, 1, 0]], bool)
    said = np.array([[0.9, 0.5, 0.1], [0.8, 0.5, 0.2], [0.7, 0.5, 0.3]])
    assert macro_average_precision(truth, said) == pytest.approx((1 + 2 / 3) / 2)


@pytest.mark.parametrize("seed", range(8))
def test_scores_by_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    n, classes = 60, int(rng.integers(2, 9))
    truth = rng.random((n, classes)) < 0.3
    said = np.round(rng.random((n, classes)), 1)  # with ties
    guess = said > 0.6
    labels, predicted = sets_of(truth), sets_of(guess)
    missing = rng.random(n) < 0.2
    labels[missing] = -1
    truth, guess, said_there = truth[~missing], guess[~missing], said[~missing]
    present = np.flatnonzero(truth.any(0))
    macro = f1_score(truth, guess, labels=present, average="macro", zero_division=0)
    assert MULTIPLE.score(labels, predicted) == pytest.approx(macro)
    further = MULTIPLE.further_scores(labels, predicted, said)
    assert further["micro_f1"] == pytest.approx(f1_score(truth, guess, average="micro"))
    both = [c for c in present if not truth[:, c].all()]
    expected = np.mean([average_precision_score(truth[:, c], said_there[:, c]) for c in both])
    assert further["average_precision"] == pytest.approx(expected)


def test_what_may_be_drawn_as_wrong():
    candidates = np.array([0, 0b001, 0b010, 0b100, 0b011])
    labels = np.array([0b001, 0b011, 0b111, 0])
    predicted = np.array([0b010, 0b100, 0b001, 0])
    made = MULTIPLE.allowed(candidates, [labels, predicted])
    assert made.tolist() == [
        [False, False, False, True, False],  # neither the label's nor the prediction's
        [False, False, False, True, False],  # none is without both: without the label's
        [False, True, True, True, True],  # none is without the label's: any that differs
        [False, True, True, True, True],
    ]
    assert SINGLE.allowed(candidates, [labels]) is None


def test_how_probable_sets_are():
    logits = np.log(np.array([[3.0, 1.0, 1 / 3]]))  # probabilities 3/4, 1/2, 1/4
    made = MULTIPLE.lineage_scores(logits, np.array([0, 0b1, 0b101]))
    np.testing.assert_allclose(np.exp(made), [[0.25 * 0.5 * 0.75, 0.75, 0.75 * 0.25]])
    assert SINGLE.lineage_scores(logits, np.array([2, 0])).tolist() == [logits[0, [2, 0]].tolist()]


def test_files_and_tables_say_which_kinds_they_have():
    assert kinds_of(["int16", "int64", "int32"]) == [SINGLE, MULTIPLE, SINGLE]
    assert [kind.column for kind in KINDS.values()] == ["int32", "int64"]
    kinds = kinds_of_scores(["a", "b"], ["condition", "a", "b", "b_micro_f1"])
    assert kinds == [SINGLE, MULTIPLE]
    assert score_words(kinds) == "balanced accuracy / macro F1"


def test_a_classifier_is_undecided_where_each_class_is_at_one_half():
    assert (SINGLE.undecided(4), MULTIPLE.undecided(4)) == (0.25, 0.5)
    assert MULTIPLE.normalized_entropy(np.array([0.5, 0.5, 0.5])) == 1
    assert MULTIPLE.normalized_entropy(np.array([0.0, 1.0])) == 0
    quarter = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    assert MULTIPLE.normalized_entropy(np.array([0.25, 0.5])) == pytest.approx((quarter + 1) / 2)


def test_how_many_sequences_have_each_class():
    assert MULTIPLE.counts(np.array([0b11, 0b10, 0, -1, 1 << 40]), 41).tolist() == [
        1,
        2,
        *[0] * 38,
        1,
    ]
    assert SINGLE.counts(np.array([2, 0, -1, 2]), 4).tolist() == [1, 0, 2, 0]
    assert MULTIPLE.has(np.array([0b11, 0b100, -1, 0]), [0, 2]).tolist() == [
        True,
        True,
        False,
        False,
    ]
    assert MULTIPLE.has(np.array([0b11]), []).tolist() == [False]


def test_what_a_constant_answer_gets():
    labels = np.array([0b01, 0b11, 0, 0b01, -1])
    # class 0: 3 of 4, F1 6/7; class 1: 1 of 4, F1 2/5
    assert MULTIPLE.constant_score(labels) == pytest.approx((6 / 7 + 2 / 5) / 2)
    assert SINGLE.constant_score(np.array([0, 2, 2, -1])) == 0.5
    assert np.isnan(MULTIPLE.constant_score(np.array([-1])))
    low, high = MULTIPLE.score_interval(labels, labels, 50, 1)
    assert (low, high) == (1, 1)
    said = np.array([0b01, 0b01, 0, 0, 0])
    low, high = MULTIPLE.score_interval(labels, said, 200, 1)
    assert 0 <= low < MULTIPLE.score(labels, said) < high <= 1
    assert np.isnan(MULTIPLE.score_interval(labels[:1], said[:1], 9, 1)[0])
