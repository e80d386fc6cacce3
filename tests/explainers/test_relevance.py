"""The objective that learns AttnLRP: its evidence is the method's scores."""

from unittest import mock

import numpy as np
import pytest
import torch

from whatyouread.explainers.network import Explainer
from whatyouread.explainers.objective import NetworkSettings
from whatyouread.explainers.objectives import find_objective
from whatyouread.explainers.relevance import RelevanceObjective
from whatyouread.methods.attnlrp import attnlrp
from whatyouread.methods.gradients import gradient_x_input
from whatyouread.methods.question import Question
from whatyouread.models.mask_operator import read

RANKS = {"superkingdom": 3, "phylum": 5, "genus": 7}


def test_its_evidence_is_what_the_method_says(tiny_explanandum, token_batch):
    """Of all levels together, and of the levels that are asked about."""
    batch = token_batch([12, 20, 7])
    settings = RelevanceObjective.Settings(reads="tokens")
    explainer = Explainer(RANKS, 8, 6, 1, target="sequence", gated=True)
    task = RelevanceObjective(explainer, tiny_explanandum, settings, 5)
    states, logits = read(tiny_explanandum, batch)
    predicted = tiny_explanandum.predictions(logits)
    keys = np.arange(3, dtype=np.uint64)
    question = Question(tiny_explanandum, batch, predicted, None, keys, 5, 64)
    expected, other = attnlrp(question), gradient_x_input(question)
    with torch.no_grad():
        for levels in ([0, 1, 2], [1]):
            chosen = torch.zeros_like(predicted, dtype=torch.bool)
            chosen[:, levels] = True
            reading = task.reading(batch)
            made = task.evidence(batch, reading, predicted, chosen, None)
            # what the Explainer reads is of the same pass
            assert torch.equal(reading.states, states)
            assert all(map(torch.equal, reading.logits, logits))
            assert not made.requires_grad
            assert torch.allclose(
                made * batch.valid, expected[..., levels].sum(-1), rtol=1e-4, atol=1e-6
            )
            assert not torch.allclose(made * batch.valid, other[..., levels].sum(-1), rtol=0.1)
    assert all(parameter.grad is None for parameter in tiny_explanandum.parameters())


@pytest.mark.parametrize(("objective", "passes"), [("attnlrp", 1), ("joint", 2), ("sharp", 2)])
def test_a_step_reads_the_plain_sequences_once(objective, passes, tiny_explanandum, token_batch):
    """And the occluded ones, where `sharp` has a part; the Explainer reads states of the first pass."""
    made = find_objective(objective)
    settings = made.Settings(reads="hidden")
    task = made(
        made.make_explainer(settings, NetworkSettings(8, 6, 1), tiny_explanandum),
        tiny_explanandum, settings, 5,
    )  # fmt: skip
    with mock.patch.object(
        tiny_explanandum.encoder, "forward", side_effect=tiny_explanandum.encoder.forward
    ) as forward:
        task(token_batch([12, 20, 7]), None)["loss"].backward()
    assert forward.call_count == passes
    assert task.explainer.embedding.weight.grad.any()
