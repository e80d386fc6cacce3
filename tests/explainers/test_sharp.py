"""The sharp Explainer's training: what it learns, from what, and for which classes."""

import dataclasses

import numpy as np
import pytest
import torch
from helpers_batches import batch_of, keyed

from whatyouread.explainers.network import Explainer
from whatyouread.explainers.sharp import Settings, SharpObjective
from whatyouread.models.mask_operator import masked_logits
from whatyouread.models.occlusion import keyed_occlusions, masked_gradient
from whatyouread.support.cli import UserError

RANKS = {"superkingdom": 3, "phylum": 5, "genus": 7}


def settings(**changed):
    given = {
        "target": "sequence", "reads": "tokens",
        "occlusion_areas": [0.3], "occlusion_windows": [1],
    }  # fmt: skip
    return Settings(**given | changed)


def task_of(explanandum, **changed):
    torch.manual_seed(1)
    explainer = Explainer(
        RANKS, 8, 6, 1, target=changed.get("target", "sequence"), gated=True
    ).attach(explanandum)
    return SharpObjective(explainer, explanandum, settings(**changed), seed=5)


def test_the_loss_is_one_minus_the_correlation_with_the_evidence(tiny_explanandum, token_batch):
    tokens = keyed(token_batch([12, 20, 7]))
    task = task_of(tiny_explanandum).eval()
    labels = torch.zeros(3, 3, dtype=torch.long)
    made = task(tokens, labels)
    mask = keyed_occlusions(tokens, tokens.keys, 5, [0.3] * 3, [1])
    predicted = torch.stack([x.argmax(1) for x in masked_logits(tiny_explanandum, tokens)], 1)
    chosen = torch.ones(3, 3, dtype=torch.bool)
    evidence = masked_gradient(tiny_explanandum, tokens, predicted, mask, chosen, True)
    with torch.no_grad():
        scores = task.explainer.class_scores(tokens, predicted[:, None])[:, :, 0, 0]
    for row in range(3):
        own = tokens.content[row].numpy()
        r = np.corrcoef(scores[row].numpy()[own], evidence[row].numpy()[own])[0, 1]
        assert float(made["values"][row, 0]) == pytest.approx(1 - r, abs=1e-5)
    assert made["loss"].item() == pytest.approx(made["values"].mean().item())


def test_sequences_of_one_validation_get_different_occlusions(tiny_explanandum):
    """All areas and windows occur within a batch, at the same places of different batches too."""
    task = task_of(tiny_explanandum, occlusion_areas=[0.1, 0.3, 0.9], occlusion_windows=[1, 8])
    batch = keyed(batch_of(np.full((300, 41), 100)).to("cpu"))
    mask = task.masks(batch, batch.keys)
    counts = mask.sum(1).int().tolist()
    assert set(counts) == {4, 12, 37}
    assert min(counts.count(count) for count in set(counts)) > 70
    assert len(set(map(tuple, mask.tolist()))) > 280
    later = dataclasses.replace(batch, keys=batch.keys + np.uint64(1000))
    assert (task.masks(later, later.keys) != mask).any(1).float().mean() > 0.95


@pytest.mark.parametrize(
    ("question", "shares"),
    [("sufficient", {4, 12}), ("necessary", {37, 40}), ("both", {4, 12, 37})],
)
def test_questions_are_asked_by_what_occlusions_keep(tiny_explanandum, question, shares):
    given = Settings(reads="tokens", question=question)
    explainer = Explainer(RANKS, 8, 6, 1, target="sequence", gated=True)
    task = SharpObjective(explainer, tiny_explanandum, given, seed=5)
    batch = keyed(batch_of(np.full((200, 41), 100)).to("cpu"))
    for keys in (None, batch.keys):
        kept = (task.masks(batch, keys) * batch.content).sum(1)
        assert set(kept.int().tolist()) == shares
    own = Settings(question=question, occlusion_areas=[0.5])
    assert own.areas == [0.5]
    with pytest.raises(UserError, match="one of sufficient, necessary, both"):
        Settings(question="why")
