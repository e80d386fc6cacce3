"""L2X: what the classifier sees of the chosen tokens, and where the gradient comes from."""

import pytest
import torch

from whatyouread.explainers.gate import gate
from whatyouread.explainers.l2x import Asked, L2xObjective, Settings
from whatyouread.explainers.network import Explainer
from whatyouread.models.mask_operator import masked_logits
from whatyouread.models.occlusion import masked_gradient
from whatyouread.support.cli import UserError

RANKS = {"superkingdom": 3, "phylum": 5, "genus": 7}


@pytest.fixture
def given(tiny_explanandum, token_batch):
    """A task, a batch, scores and the predicted classes of all levels."""
    batch = token_batch([12, 20, 7])
    task = L2xObjective(
        Explainer(RANKS, 8, 6, 1, target="sequence", gated=True),
        tiny_explanandum,
        Settings(kept=0.2),
        5,
    ).eval()
    predicted = tiny_explanandum.predictions(masked_logits(tiny_explanandum, batch))
    scores = torch.randn(3, 20, generator=torch.Generator().manual_seed(1)).requires_grad_()
    return task, batch, scores, predicted


def test_the_classifier_sees_the_best_tokens_alone(given, tiny_explanandum):
    task, batch, scores, predicted = given
    made = task.values(scores.detach(), Asked(predicted, predicted >= 0, None), batch)
    for row, kept in enumerate((2, 4, 1)):  # a fifth of 11, 19 and 6
        own = batch.alone(row)
        mask = torch.zeros(own.ids.shape)
        mask[0, 0] = 1
        mask[0, 1 + scores[row, 1 : own.ids.shape[1]].topk(kept).indices] = 1
        logits = masked_logits(tiny_explanandum, own, mask)
        asked = zip(logits, predicted[row], strict=True)
        expected = -sum(part.log_softmax(1)[0, said] for part, said in asked)
        assert float(made[row, 0]) == pytest.approx(float(expected), rel=1e-5)


def test_the_gradient_is_that_of_the_mask_through_the_gate(given, tiny_explanandum):
    task, batch, scores, predicted = given
    every = predicted >= 0
    task.values(scores, Asked(predicted, every, None), batch).sum().backward()
    soft_scores = scores.detach().clone().requires_grad_()
    soft = gate(soft_scores, batch.content, batch.valid, 0.2)
    hard = (soft > 0.5).float()
    of_mask = masked_gradient(tiny_explanandum, batch, predicted, hard, every, True)
    soft.backward(-of_mask)
    assert torch.allclose(scores.grad, soft_scores.grad, atol=1e-6)
    assert scores.grad.abs().sum() > 0
    assert not scores.grad[~batch.content].any()


def test_noise_changes_what_is_kept_in_training_only(given):
    task, batch, scores, predicted = given
    asked = (batch, None, predicted, predicted >= 0, None)
    assert task.evidence(*asked).noise is None
    task.train()
    noise = [task.evidence(*asked).noise for _ in range(400)]
    values = torch.stack(noise)
    # a standard Gumbel variable: mean 0.5772, variance pi^2 / 6
    assert float(values.mean()) == pytest.approx(0.5772, abs=0.03)
    assert float(values.var()) == pytest.approx(1.645, abs=0.06)
    seen = {
        float(task.values(scores, Asked(predicted, predicted >= 0, one), batch)[1])
        for one in noise[:9]
    }
    assert len(seen) > 1


@pytest.mark.parametrize("kept", [0, 1, -0.1])
def test_a_share_that_cannot_be_is_one_line(kept):
    with pytest.raises(UserError, match="share"):
        Settings(kept=kept)
