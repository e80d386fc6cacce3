"""FastSHAP: coalitions by Shapley's kernel, and a loss whose least squares are Shapley values."""

import itertools
import math

import numpy as np
import pytest
import torch

from whatyouread.explainers.fastshap import FastShapObjective, Settings, additive
from whatyouread.explainers.network import Explainer
from whatyouread.models.levels import class_log_probabilities
from whatyouread.models.mask_operator import masked_logits
from whatyouread.models.occlusion import coalitions, kernel_sizes
from whatyouread.support.cli import UserError

RANKS = {"superkingdom": 3, "phylum": 5, "genus": 7}


def test_sizes_follow_shapleys_kernel():
    drawn = torch.arange(6000).double() / 6000
    for tokens in (2, 3, 5, 40):
        sizes = kernel_sizes(torch.full((6000,), tokens), drawn, 64)
        # all coalitions of k of n tokens: (n - 1) / (C(n, k) k (n - k)) each, C(n, k) of them
        weights = np.array([(tokens - 1) / (k * (tokens - k)) for k in range(1, tokens)])
        seen = np.bincount(sizes.numpy(), minlength=tokens)[1:tokens]
        assert int(sizes.min()) >= 1
        assert int(sizes.max()) <= tokens - 1
        assert seen / 6000 == pytest.approx(weights / weights.sum(), abs=1e-3)
    assert kernel_sizes(torch.tensor([1, 2]), torch.tensor([0.9, 0.9]), 4).tolist() == [1, 1]


def test_a_coalition_comes_with_its_complement(token_batch):
    batch, keys = token_batch([12, 41, 7], width=45), np.array([4, 2**63 + 2, 9], np.uint64)
    for given in (None, keys):
        made = coalitions(batch, 6, given, 3)
        assert made.shape == (6, 3, 45)
        assert set(made.unique().tolist()) == {0, 1}
        assert (made[:, :, 0] == 1).all()  # special tokens stay
        assert not made[:, ~batch.valid].any()
        for one, other in zip(made[::2], made[1::2], strict=True):
            assert torch.equal((one + other) * batch.content, batch.content.float())
        assert not torch.equal(made[0], made[2])
        size = (made * batch.content).sum(2)
        assert ((size >= 1) & (size < batch.content.sum(1))).all()
    for row, length in enumerate((12, 41, 7)):  # alone, and without padding
        alone = coalitions(batch.alone(row), 6, keys[row : row + 1], 3)
        assert torch.equal(alone[:, 0], made[:, row, :length])
    assert not torch.equal(coalitions(batch, 6, keys, 4), made)


def test_scores_add_up_to_the_whole():
    scores = torch.tensor([[9.0, 1, 2, 4], [9, 3, 9, 9]])
    content = torch.tensor([[False, True, True, True], [False, True, False, False]])
    made = additive(scores, torch.tensor([1.0, -2.0]), content)
    assert made.tolist() == [[0, -1, 0, 2], [0, -2, 0, 0]]


def shapley_values(value, players: int) -> np.ndarray:
    """By definition: the mean over all orders of what a player adds to those before it."""
    made = np.zeros(players)
    for order in itertools.permutations(range(players)):
        for place, player in enumerate(order):
            made[player] += value(frozenset(order[: place + 1])) - value(frozenset(order[:place]))
    return made / math.factorial(players)


@pytest.mark.parametrize("kind", ["log_probability", "probability"])
def test_the_best_scores_are_shapley_values(tiny_explanandum, token_batch, kind):
    """Of five tokens beside the special one, of the classifier's own answers at all three levels."""
    batch, draws = token_batch([6]), 4000
    with torch.no_grad():
        predicted = tiny_explanandum.predictions(masked_logits(tiny_explanandum, batch))

        def value(coalition):
            mask = torch.zeros(1, 6)
            mask[0, [0, *(player + 1 for player in coalition)]] = 1
            masked = masked_logits(tiny_explanandum, batch, mask)
            logs = class_log_probabilities(
                tiny_explanandum.levels, masked, predicted[:, None]
            ).sum()
            return float(logs if kind == "log_probability" else logs.exp())

        expected = shapley_values(value, 5)
        settings = Settings(reads="tokens", samples=2 * draws, value=kind)
        explainer = Explainer(RANKS, 8, 6, 1, target="sequence", gated=True)
        task = FastShapObjective(explainer, tiny_explanandum, settings, 5)
        torch.manual_seed(2)
        every = torch.ones_like(predicted, dtype=torch.bool)
        evidence = task.evidence(batch, task.reading(batch), predicted, every, None)
    assert float(evidence.whole) == pytest.approx(expected.sum(), abs=1e-6)
    scores = torch.zeros(1, 6, requires_grad=True)
    optimizer = torch.optim.LBFGS([scores], max_iter=200)

    def loss():
        optimizer.zero_grad()
        made = task.values(scores, evidence, batch)[:, 0].sum()
        made.backward()
        return made

    optimizer.step(loss)
    made = additive(scores.detach(), evidence.whole, batch.content)[0, 1:].numpy()
    assert made == pytest.approx(expected, abs=0.03 * np.abs(expected).max())
    assert np.abs(expected - expected.mean()).max() > 0.1 * np.abs(expected).max()
    # better than equal scores, which the second column is the error of
    error, equal = task.values(scores.detach(), evidence, batch)[0].tolist()
    assert error < equal
    summary = task.summarize(np.array([[error, equal]]), np.zeros((1, 3)))
    assert summary == {"explained": pytest.approx(1 - error / equal)}


@pytest.fixture
def given(tiny_explanandum, token_batch):
    """A task, a batch and its evidence."""
    batch = token_batch([12, 20, 7])
    task = FastShapObjective(
        Explainer(RANKS, 8, 6, 1, target="sequence", gated=True), tiny_explanandum, Settings(), 5
    )
    reading = task.reading(batch)
    predicted = tiny_explanandum.predictions(reading.logits)
    evidence = task.evidence(batch, reading, predicted, predicted >= 0, None)
    return task, batch, evidence


def test_the_error_is_not_rounded_to_half_precision(given):
    task, batch, evidence = given
    scores = torch.randn(3, 20, generator=torch.Generator().manual_seed(1))
    expected = task.values(scores, evidence, batch)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(task.values(scores, evidence, batch), expected)


def test_equal_scores_explain_nothing_more_than_equal_scores(given):
    task, batch, evidence = given
    values = task.values(torch.full((3, 20), 7.0), evidence, batch)
    assert torch.allclose(values[:, 0], values[:, 1], rtol=1e-4)
    assert task.summarize(values.numpy(), None)["explained"] == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"samples": 3}, "even"), ({"samples": 0}, "even"), ({"value": "logit"}, "one of")],
)
def test_settings_that_cannot_be_are_one_line(changed, said):
    with pytest.raises(UserError, match=said):
        Settings(**changed)
