"""The measures of one method, from its scores on, by plain loops."""

import dataclasses

import numpy as np
import pytest
import torch
from helpers_evaluation import CLASSES, CPU, RANKS, random_file, small_explanandum

from whatyouread.evaluate.faithfulness import MEASURES, overlap, spearman
from whatyouread.evaluate.faithfulness_table import (
    by_passes,
    masks_of,
    robustness,
    seed_agreement,
    table,
)
from whatyouread.explainers.network import Explainer
from whatyouread.methods.files import Attributions
from whatyouread.models.inference import Passes

SETTINGS = {"fractions": [0.2, 0.5], "curve_points": 5, "infidelity_samples": 4}


@pytest.fixture
def file(tmp_path):
    return random_file(tmp_path / "tokens.arrow", 9, seed=6)


@pytest.fixture
def passes():
    return Passes(small_explanandum(), 4, CPU)


@pytest.fixture
def plain(file):
    batch, generator = file.batch(np.arange(len(file))), np.random.default_rng(1)
    scores = {
        name: (generator.random(batch.ids.shape) * batch.valid).astype(np.float32)
        for name in (*RANKS, "combined", "wrong", "runner_up")
    }
    others = [(file.labels + step) % np.array(list(CLASSES.values())) for step in (1, 2)]
    predicted = file.labels
    return Attributions(
        file.ids, file.keys, file.lengths, batch.content, file.labels, predicted, *others, scores
    )


def probability(passes, file, row, mask) -> np.ndarray:
    """Of the label's classes, one sequence without padding."""
    batch = file.batch(np.array([row])).to(CPU)
    logits = passes.logits(batch, np.array([mask], np.float32))
    labels = file.labels[row]
    return np.array([float(x.softmax(-1)[0, c]) for x, c in zip(logits, labels, strict=True)])


def test_what_the_classifier_says_by_loops(file, passes, plain):
    made = by_passes(passes, file, plain, SETTINGS, 3)
    assert {values.shape for values in made.values()} == {(len(file), len(RANKS))}
    for row, length in enumerate(file.lengths):
        tokens = length - 1
        best = (np.argsort(-plain.scores["combined"][row, 1:length]) + 1).tolist()

        def kept(count, length=length, best=best):
            return [float(i == 0 or i in best[:count]) for i in range(length)]

        def gone(count, length=length, best=best):
            return [float(i not in best[:count]) for i in range(length)]

        def said(mask, row=row):
            return probability(passes, file, row, mask)

        counts = [max(int(f * tokens + 0.5), 1) for f in SETTINGS["fractions"]]
        whole = said([1.0] * length)
        curve = [int(f * tokens + 0.5) for f in (0, 0.25, 0.5, 0.75, 1)]
        expected = {
            "comprehensiveness": np.mean([whole - said(gone(n)) for n in counts], axis=0),
            "sufficiency": np.mean([whole - said(kept(n)) for n in counts], axis=0),
            "deletion_auc": np.trapezoid([said(gone(n)) for n in curve], dx=0.25, axis=0),
            "insertion_auc": np.trapezoid([said(kept(n)) for n in curve], dx=0.25, axis=0),
        }
        for name, values in expected.items():
            np.testing.assert_allclose(made[name][row], values, atol=1e-5, err_msg=name)
    assert made["infidelity"].min() >= 0
    assert made["infidelity"].max() <= 1 + 1e-9


def test_robustness_compares_the_sequences_that_are_there(plain):
    few = dataclasses.replace(
        plain,
        content=plain.content[:4],
        scores={name: -scores[:4] for name, scores in plain.scores.items()},
    )
    made = robustness({"plain": plain, "substituted": few, "randomised": few})
    np.testing.assert_allclose(made["stability"], [-1] * 4)
    np.testing.assert_allclose(made["randomised_model"], [1] * 4)  # the sign says nothing
    assert robustness({"plain": plain}) == {}  # of scores that somebody gave


def reading_explainer(explanandum, seed):
    torch.manual_seed(seed)
    made = Explainer(CLASSES, 6, 5, 1, target="sequence", reads=16, gated=True)
    return made.attach(explanandum).eval()


def test_masks_are_made_with_the_explainers_own_classifier(file, plain):
    own, other = small_explanandum(1), small_explanandum(2)
    explainer = reading_explainer(own, 5)
    made = masks_of(explainer, file, plain.predicted, 4, CPU)
    for row, length in enumerate(file.lengths):
        batch = file.batch(np.array([row])).to(CPU)
        classes = torch.from_numpy(plain.predicted[[row]]).unsqueeze(1)
        with torch.no_grad():
            mask = explainer.class_masks(batch, classes, smooth=False)[0, :, 0].amax(-1)
        np.testing.assert_allclose(made[row, :length], mask.numpy(), atol=1e-5)
        assert (made[row, length:] == 0).all()
    elsewhere = masks_of(explainer.attach(other), file, plain.predicted, 4, CPU)
    assert np.abs(made - elsewhere).max() > 0.05


def test_agreement_of_runs_is_the_mean_over_their_pairs(file, passes, plain):
    others = [reading_explainer(small_explanandum(seed), seed) for seed in (1, 2)]
    made = seed_agreement(others, file, plain, passes)
    masks = [plain.scores["combined"]]
    masks += [masks_of(one, file, plain.predicted, 4, CPU) for one in others]
    pairs = [(masks[0], masks[1]), (masks[0], masks[2]), (masks[1], masks[2])]
    agreement = [spearman(*pair, plain.content) for pair in pairs]
    shared = [overlap(one > 0.5, two > 0.5, plain.content) for one, two in pairs]
    np.testing.assert_allclose(made["seed_agreement"], np.mean(agreement, axis=0))
    np.testing.assert_allclose(made["seed_overlap"], np.mean(shared, axis=0))
    assert len(set(made["seed_agreement"].round(6))) > 5


def test_table_by_hand():
    values = {
        "infidelity": np.array([[0.1, 0.4], [0.3, np.nan]]),
        "stability": np.array([0.5, 0.5]),
        "auprc": np.array([np.nan, np.nan]),
    }
    made = table("mine", values, RANKS, 50, 1).set_index(["metric", "rank"])
    assert list(made.index) == [
        ("infidelity", "kingdom"),
        ("infidelity", "genus"),
        ("infidelity", "mean"),
        ("stability", "combined"),
        ("auprc", "combined"),
    ]
    assert made["value"].tolist()[:4] == pytest.approx([0.2, 0.4, 0.25, 0.5])
    assert made["n"].tolist() == [2, 1, 1, 2, 0]
    assert np.isnan(made["value"].iloc[-1])
    assert made["direction"].tolist() == [MEASURES[metric] for metric, _ in made.index]
    low, high = made.loc[("infidelity", "kingdom"), ["low", "high"]]
    assert 0.1 <= low <= 0.2 <= high <= 0.3
    assert (made["method"] == "mine").all()
