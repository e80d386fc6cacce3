"""Each measure of faithfulness where the answer is known."""

import numpy as np
import pytest
import torch
from captum.metrics import infidelity as captum_infidelity
from scipy.stats import spearmanr
from sklearn.metrics import average_precision_score, roc_auc_score

from whatyouread.evaluate.faithfulness import (
    MEASURES,
    comprehensiveness,
    curve_area,
    curve_masks,
    infidelity,
    overlap,
    planted_precision,
    random_masks,
    spearman,
    sufficiency,
    top_masks,
)
from whatyouread.masks.controls import shifted
from whatyouread.masks.top_tokens import keep_mask, ordered, remove_mask

LENGTHS = np.array([8, 5, 11])
CONTENT = (np.arange(11) > 0) & (np.arange(11) < LENGTHS[:, None])  # `<cls>` first
KEYS = np.array([5, 6, 7], np.uint64)


def test_comprehensiveness_and_sufficiency_by_hand():
    whole = np.array([[0.9, 0.8]])
    masked = np.array([[[0.5, 0.8]], [[0.1, 0.6]]])
    np.testing.assert_allclose(comprehensiveness(whole, masked), [[0.6, 0.1]])
    np.testing.assert_allclose(sufficiency(whole, masked), [[0.6, 0.1]])
    assert comprehensiveness(whole, masked + 0.1)[0, 0] < 0.6


def test_the_area_under_a_curve_by_hand():
    np.testing.assert_allclose(curve_area(np.ones((5, 2, 3))), np.ones((2, 3)))
    line = np.linspace(1, 0, 5)[:, None, None]
    np.testing.assert_allclose(curve_area(line), [[0.5]])
    # 1 falls to 0 within the first of four steps
    np.testing.assert_allclose(curve_area(np.array([1, 0, 0, 0, 0.0])[:, None, None]), [[0.125]])


def test_infidelity_is_captums_with_another_denominator():
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(1, 6, generator=generator)
    scores = weights + 0.7 * torch.randn(1, 6, generator=generator)
    inputs = torch.ones(1, 6)
    gone = (torch.rand(40, 6, generator=generator) < 0.4).float()

    def model(x):
        return torch.tanh(x @ weights.T)[:, 0]

    chunks = iter(gone.split(10))

    def perturb(x):
        part = next(chunks)
        return part, x - part

    theirs = captum_infidelity(
        model, perturb, inputs, scores, n_perturb_samples=40, normalize=True,
        max_examples_per_batch=10,
    )  # fmt: skip
    changes = (model(inputs) - model(inputs - gone)).numpy()[:, None, None]
    predicted = (gone * scores).sum(1).numpy()[:, None, None]
    ours = infidelity(changes, predicted)[0, 0]
    assert ours * (changes**2).mean() == pytest.approx(float(theirs), rel=1e-4)


def test_infidelity_of_perfect_empty_and_scaled_scores():
    changes = np.random.default_rng(1).normal(size=(30, 2, 1))
    np.testing.assert_allclose(infidelity(changes, 5 * changes), 0, atol=1e-12)
    np.testing.assert_allclose(infidelity(changes, 0 * changes), 1)
    noisy = changes + np.random.default_rng(2).normal(size=changes.shape)
    assert (infidelity(changes, noisy) > 0.1).all()
    assert np.isnan(infidelity(0 * changes, changes)).all()


def test_spearman_against_scipy_with_padding_and_ties():
    generator = np.random.default_rng(4)
    one, other = (generator.integers(0, 6, (3, 11)).astype(float) for _ in range(2))
    made = spearman(one, other, CONTENT)
    for row, length in enumerate(LENGTHS):
        expected = spearmanr(one[row, 1:length], other[row, 1:length]).statistic
        assert made[row] == pytest.approx(expected)
    np.testing.assert_allclose(spearman(one, -one, CONTENT), -1)
    assert spearman(np.ones((3, 11)), other, CONTENT).tolist() == [0, 0, 0]


def test_planted_precision_against_scikit_learn():
    generator = np.random.default_rng(5)
    scores, planted = generator.normal(size=(3, 11)), generator.random((3, 11)) < 0.4
    planted[1] = False
    made = planted_precision(scores, planted, CONTENT, KEYS, 3)
    for row in (0, 2):
        truth, own = planted[row, 1 : LENGTHS[row]], scores[row, 1 : LENGTHS[row]]
        assert made["auprc"][row] == pytest.approx(average_precision_score(truth, own))
        assert made["auroc"][row] == pytest.approx(roc_auc_score(truth, own))
        assert made["base_rate"][row] == pytest.approx(truth.mean())
    assert all(np.isnan(values[1]) for values in made.values())
    assert set(made) <= set(MEASURES)


def test_each_method_stands_beside_its_scores_moved_round_the_sequence():
    """Perfect scores keep their number at the known tokens, and lose their places."""
    content = np.ones((200, 12), bool)
    content[:, 0] = False
    planted = np.zeros((200, 12), bool)
    planted[:, 3:5] = True
    keys = np.arange(200, dtype=np.uint64)
    made = planted_precision(planted.astype(float), planted, content, keys, 3)
    assert (made["auprc"] == 1).all()
    moved = shifted(planted.astype(float), content, keys, 3)
    # 10 turns by 1 to 10 of 11 places, as likely: by 1 and by 10 one of two stays, and else none
    stays = (moved * planted).sum(1)
    assert 0.1 < (stays == 1).mean() < 0.3
    expected = [average_precision_score(planted[0, 1:], row) for row in moved[:, 1:]]
    np.testing.assert_allclose(made["auprc_shifted"], expected)
    # the draw belongs to the sequence, not to its row
    again = planted_precision(planted.astype(float)[::-1], planted, content, keys[::-1], 3)
    np.testing.assert_array_equal(again["auprc_shifted"], made["auprc_shifted"][::-1])


def test_masks_along_a_curve_go_from_nothing_to_everything():
    order = ordered(np.random.default_rng(1).normal(size=(3, 11)), CONTENT, KEYS, 1)
    inside = np.arange(11) < LENGTHS[:, None]  # mask values at padding are ignored
    kept = np.stack(list(curve_masks(order, CONTENT, 6, keep_mask))) * inside
    gone = np.stack(list(curve_masks(order, CONTENT, 6, remove_mask))) * inside
    assert kept[0].sum(1).tolist() == gone[-1].sum(1).tolist() == [1, 1, 1]
    assert kept[-1].sum(1).tolist() == gone[0].sum(1).tolist() == LENGTHS.tolist()
    assert kept[1].sum(1).tolist() == [2, 2, 3]  # <cls>, and a fifth of 7, 4 and 10 tokens, rounded
    assert (np.diff(kept, axis=0) >= 0).all()
    few = next(top_masks(order, CONTENT, [0.3], keep_mask)) * inside
    assert few.sum(1).tolist() == [1 + 2, 1 + 1, 1 + 3]


def test_random_masks_belong_to_the_sequence():
    masks = np.stack(list(random_masks(CONTENT, KEYS, 200, 3)))
    again = np.stack(list(random_masks(CONTENT[::-1], KEYS[::-1], 200, 3)))
    np.testing.assert_array_equal(masks, again[:, ::-1])
    assert (masks[..., 0] == 1).all()
    kept = masks[:, 2, 1:].mean(1)
    assert 0.4 < kept.mean() < 0.6
    assert kept.min() < 0.1 < 0.9 < kept.max()  # all shares occur


def test_overlap_by_hand():
    one = np.array([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [0, 1, 1, 0, 1]]).astype(bool)
    other = np.array([[0, 1, 0, 1, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]]).astype(bool)
    # `<cls>` is left out, and so is what lies behind three tokens
    place = np.arange(5)
    made = overlap(one, other, (place > 0) & (place < np.array([[5], [5], [3]])))
    assert made.tolist() == pytest.approx([1 / 3, 1, 1])
