"""The joint objective: the sum of others, of the same draws."""

import numpy as np
import pytest
import torch
from helpers_batches import keyed

from whatyouread.explainers.joint import PARTS, JointObjective
from whatyouread.explainers.network import Explainer
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


def test_the_loss_is_the_sum_of_all(parts):
    made = parts(JointObjective, learns=["fastshap", "attnlrp", "sharp"])
    sharp, attnlrp, fastshap = (parts(PARTS[name]) for name in ("sharp", "attnlrp", "fastshap"))
    assert torch.equal(made[:, 1:3], fastshap)
    assert torch.equal(made[:, 3:4], attnlrp)
    assert torch.equal(made[:, 4:], sharp)
    by_hand = [
        sum(apart) + error / (1 + equal)
        for *apart, error, equal in torch.cat([sharp, attnlrp, fastshap], 1).tolist()
    ]
    assert made[:, 0].tolist() == pytest.approx(by_hand, rel=1e-6)


def test_by_default_it_learns_gradients_and_relevance(parts):
    made = parts(JointObjective)
    assert torch.equal(made[:, 1:], torch.cat([parts(PARTS["sharp"]), parts(PARTS["attnlrp"])], 1))
    assert torch.equal(made[:, 0], made[:, 1:].float().sum(1).double())


def test_settings_of_all_count(parts):
    learns = {"learns": ["sharp", "fastshap"]}
    usual = parts(JointObjective, **learns)
    for changed, same in (
        ({"samples": 8}, 1), ({"value": "probability"}, 1),
        ({"occlusion_areas": [0.5]}, 2), ({"question": "necessary"}, 2),
    ):  # fmt: skip
        made = parts(JointObjective, **learns, **changed)
        assert torch.equal(made[:, same], usual[:, same])
        assert not torch.equal(made[:, 3 - same], usual[:, 3 - same])


def test_the_summary_has_all(tiny_explanandum):
    task = JointObjective(
        Explainer(RANKS, 8, 6, 1, "sequence", gated=True), tiny_explanandum,
        JointObjective.Settings(**ONE, learns=["attnlrp", "fastshap", "sharp"]), 5,
    )  # fmt: skip
    values = np.array([[9, 0.5, 2, 4, 0.25], [9, 0.25, 1, 2, 0.75]])
    made = {"attnlrp_correlation": 0.625, "fastshap_explained": 0.5, "sharp_correlation": 0.5}
    assert task.summarize(values, None) == made


def test_a_large_score_for_the_token_that_is_read_serves_both(tiny_explanandum, token_batch):
    """Scores as the exact additive worth of each token lower both parts below those of equal scores."""
    batch = token_batch([9])
    task = JointObjective(
        Explainer(RANKS, 8, 6, 1, "sequence", gated=True), tiny_explanandum,
        JointObjective.Settings(**ONE, learns=["sharp", "fastshap"], samples=64), 5,
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.no_grad():
        reading = task.reading(batch)
        predicted = tiny_explanandum.predictions(reading.logits)
        evidence = task.evidence(batch, reading, predicted, predicted >= 0, None)
        gradient = evidence[0]
        of_gradient = task.values(gradient, evidence, batch)
        of_opposite = task.values(-gradient, evidence, batch)
    assert float(of_gradient[0, 1]) == pytest.approx(0, abs=1e-5)
    assert float(of_opposite[0, 1]) == pytest.approx(2, abs=1e-5)
    assert float(of_gradient[0, 2]) < float(of_opposite[0, 2])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"learns": ["sharp", "fastshap"], "samples": 3}, "even"),
        ({"question": "why"}, "one of"),
        ({"learns": ["sharp", "fastshap"], "reader": "nobody"}, "one of"),
        ({"learns": []}, r"learns is \[\]: some of sharp, attnlrp, fastshap"),
        ({"learns": ["sharp", "sharp"]}, "each once"),
        ({"learns": ["sharp", "lime"]}, "'lime'.*: some of"),
        ({"samples": 8}, r"samples is of nothing in learns \['sharp', 'attnlrp'\]"),
        ({"reader": "judge"}, "reader is of nothing"),
        ({"learns": ["attnlrp"], "question": "necessary"}, "question is of nothing"),
    ],
)
def test_settings_of_all_are_checked(changed, said):
    with pytest.raises(UserError, match=said):
        JointObjective.Settings(**changed)
