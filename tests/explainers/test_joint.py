"""The joint objective: the sum of the sharp one and of FastSHAP, of the same draws."""

import numpy as np
import pytest
import torch
from helpers_batches import keyed

from whatyouread.explainers.fastshap import FastShapObjective
from whatyouread.explainers.joint import JointObjective
from whatyouread.explainers.network import Explainer
from whatyouread.explainers.sharp import SharpObjective
from whatyouread.models.mask_operator import masked_logits
from whatyouread.support.cli import UserError

RANKS = {"superkingdom": 3, "phylum": 5, "genus": 7}
ONE = {"reads": "tokens"}


@pytest.fixture
def parts(tiny_explanandum, token_batch):
    """(objective, settings) -> its values on three sequences, at the scores of one Explainer."""
    torch.manual_seed(1)
    explainer = Explainer(RANKS, 8, 6, 1, target="sequence", gated=True).eval()
    batch = keyed(token_batch([12, 40, 7]))

    def values(made, **changed):
        task = made(explainer, tiny_explanandum, made.Settings(**ONE, **changed), 5).eval()
        with torch.no_grad():
            return task(batch, torch.zeros(3, 3, dtype=torch.long))["values"].double()

    return values


def test_the_loss_is_the_sum_of_both(parts):
    made, sharp, fastshap = (
        parts(one) for one in (JointObjective, SharpObjective, FastShapObjective)
    )
    assert torch.equal(made[:, 1:2], sharp)
    assert torch.equal(made[:, 2:], fastshap)
    by_hand = [
        1 - r + error / (1 + equal)
        for r, error, equal in zip((1 - sharp[:, 0]).tolist(), *fastshap.T.tolist(), strict=True)
    ]
    assert made[:, 0].tolist() == pytest.approx(by_hand, rel=1e-6)


def test_settings_of_both_count(parts):
    usual = parts(JointObjective)
    for changed, same in (
        ({"samples": 8}, 1), ({"value": "probability"}, 1),
        ({"occlusion_areas": [0.5]}, 2), ({"question": "necessary"}, 2),
    ):  # fmt: skip
        made = parts(JointObjective, **changed)
        assert torch.equal(made[:, same], usual[:, same])
        assert not torch.equal(made[:, 3 - same], usual[:, 3 - same])


def test_the_summary_has_both(tiny_explanandum):
    task = JointObjective(
        Explainer(RANKS, 8, 6, 1, "sequence", gated=True), tiny_explanandum,
        JointObjective.Settings(**ONE), 5,
    )  # fmt: skip
    values = np.array([[9, 0.25, 2, 4], [9, 0.75, 1, 2]])
    assert task.summarize(values, None) == {"correlation": 0.5, "explained": 0.5}


def test_a_large_score_for_the_token_that_is_read_serves_both(tiny_explanandum, token_batch):
    """Scores as the exact additive worth of each token lower both parts below those of equal scores."""
    batch = token_batch([9])
    task = JointObjective(
        Explainer(RANKS, 8, 6, 1, "sequence", gated=True), tiny_explanandum,
        JointObjective.Settings(**ONE, samples=64), 5,
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.no_grad():
        logits = masked_logits(tiny_explanandum, batch)
        predicted = tiny_explanandum.predictions(logits)
        evidence = task.evidence(batch, logits, predicted, predicted >= 0, None)
        gradient = evidence[0]
        of_gradient = task.values(gradient, evidence, batch)
        of_opposite = task.values(-gradient, evidence, batch)
    assert float(of_gradient[0, 1]) == pytest.approx(0, abs=1e-5)
    assert float(of_opposite[0, 1]) == pytest.approx(2, abs=1e-5)
    assert float(of_gradient[0, 2]) < float(of_opposite[0, 2])


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"samples": 3}, "even"), ({"question": "why"}, "one of"), ({"reader": "nobody"}, "one of")],
)
def test_settings_of_both_are_checked(changed, said):
    with pytest.raises(UserError, match=said):
        JointObjective.Settings(**changed)
