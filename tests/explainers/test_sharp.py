"""The sharp Explainer's training: what it learns, from what, and for which classes."""

import numpy as np
import pytest
import torch
from helpers_batches import batch_of
from torch import nn

from whatyouread.explainers.network import Explainer
from whatyouread.explainers.sharp import Settings, SharpObjective
from whatyouread.masks.gate_settings import GateSettings
from whatyouread.models.levels import HeadLevel, decisions
from whatyouread.models.mask_operator import masked_logits
from whatyouread.models.occlusion import draw_occlusions, occlusion_gradient

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
    tokens = token_batch([12, 20, 7])
    task = task_of(tiny_explanandum).eval()
    labels = torch.zeros(3, 3, dtype=torch.long)
    made = task(tokens, labels)
    mask = draw_occlusions(tokens, [0.3], [1], torch.Generator().manual_seed(5))
    predicted = torch.stack([x.argmax(1) for x in masked_logits(tiny_explanandum, tokens)], 1)
    chosen = torch.ones(3, 3, dtype=torch.bool)
    evidence = occlusion_gradient(tiny_explanandum, tokens, predicted, mask, chosen)
    with torch.no_grad():
        scores = task.explainer.class_scores(tokens, predicted[:, None])[:, :, 0, 0]
    for row in range(3):
        own = tokens.content[row].numpy()
        r = np.corrcoef(scores[row].numpy()[own], evidence[row].numpy()[own])[0, 1]
        assert float(made["values"][row, 0]) == pytest.approx(1 - r, abs=1e-5)
    assert made["loss"].item() == pytest.approx(made["values"].mean().item())


def test_validation_draws_the_same_and_training_does_not(tiny_explanandum, token_batch):
    tokens, labels = token_batch([40, 30]), torch.zeros(2, 3, dtype=torch.long)
    task = task_of(tiny_explanandum).eval()
    assert torch.equal(task(tokens, labels)["values"], task(tokens, labels)["values"])
    task.train()
    task.explainer.eval()  # batch norm aside
    assert not torch.equal(task(tokens, labels)["values"], task(tokens, labels)["values"])


def test_the_explanandum_gets_no_gradient(tiny_explanandum, token_batch):
    task = task_of(tiny_explanandum).train()
    task(token_batch([20, 9]), torch.zeros(2, 3, dtype=torch.long))["loss"].backward()
    assert all(p.grad is None for p in tiny_explanandum.parameters())
    assert not any(name.startswith("_frozen") for name in task.state_dict())
    assert task.explainer.dense.weight.grad.abs().sum() > 0


def test_for_classes_any_class_is_asked_for(tiny_explanandum):
    task = task_of(tiny_explanandum, target="class").train()
    torch.manual_seed(0)
    predicted = torch.tensor([[1, 2, 3]]).repeat(4000, 1)
    asked, chosen = task._asked(predicted, None)
    assert (chosen.sum(1) == 1).all()
    assert chosen.float().mean(0).numpy() == pytest.approx([1 / 3] * 3, abs=0.04)
    own = (asked == predicted).all(1).float().mean()
    assert 0.5 <= own < 0.55
    assert set(asked[:, 2].tolist()) == set(range(7))
    assert asked[:, 0].max() == 2


class Spotter(nn.Module):
    """Reads one six-mer: the logit of class 1 is the mean of its masked places, of each rank."""

    pooling, class_counts, ranks, levels = "mean", [2], ["rank"], [HeadLevel("rank", 2)]

    def embed(self, tokens):
        return (tokens.unsqueeze(-1) == 100).float()

    def encode(self, embeddings, batch):
        return embeddings

    def encode_relaxed(self, embeddings, mask, batch):
        return embeddings * mask.unsqueeze(-1)

    def predictions(self, logits):
        return decisions(self.levels, logits)

    def classify(self, pooled):
        return (torch.cat([torch.full_like(pooled, 0.1), 20 * pooled], dim=1),)

    def freeze(self):
        return self.eval()


def test_it_learns_which_token_is_read():
    """From sequences in which one six-mer of several decides, to sequences it has not seen."""
    torch.manual_seed(0)
    explainer = Explainer({"rank": 2}, 8, 8, 1, target="sequence", gated=True)
    explainer.gate = GateSettings(0.2, 1)
    task = SharpObjective(explainer, Spotter(), settings(occlusion_areas=[0.2, 0.5]), 1).train()
    optimizer = torch.optim.Adam(task.parameters(), 0.02)

    def batch():
        tokens = torch.randint(90, 110, (32, 21))
        tokens[:, 0] = 3
        tokens[:, 1:4] = 100
        shuffled = tokens[:, 1:][:, torch.randperm(20)]
        return batch_of(torch.cat([tokens[:, :1], shuffled], dim=1)).to("cpu")

    for _ in range(60):
        optimizer.zero_grad()
        task(batch(), torch.ones(32, 1, dtype=torch.long))["loss"].backward()
        optimizer.step()
    tokens = batch()
    with torch.inference_mode():
        masks = explainer.eval()(tokens)[..., 0]
    read = (tokens.ids == 100) & tokens.content
    assert (masks[read] > 0.5).float().mean() > 0.9
    assert masks[read].mean() > masks[~read & tokens.content].mean() + 0.5
