"""The objective that learns Integrated Gradients: the path, and the gradients on it."""

import dataclasses

import numpy as np
import torch

from whatyouread.explainers.integrated import IntegratedObjective
from whatyouread.explainers.network import Explainer
from whatyouread.methods.gradients import integrated_gradients
from whatyouread.methods.question import Question

RANKS = {"superkingdom": 3, "phylum": 5, "genus": 7}


def test_the_mean_of_its_evidence_is_integrated_gradients(tiny_explanandum, token_batch):
    """On the plain operator, from the empty sequence (special tokens masked too) to the full one."""
    batch, draws = token_batch([12, 20, 7]), 600
    settings = IntegratedObjective.Settings(reads="tokens")
    explainer = Explainer(RANKS, 8, 6, 1, target="sequence", gated=True)
    task = IntegratedObjective(explainer, tiny_explanandum, settings, 5)
    predicted = tiny_explanandum.predictions(task.reading(batch).logits)
    many, classes = batch.repeat(draws), predicted.repeat(draws, 1)
    chosen = torch.ones_like(classes, dtype=torch.bool)
    many = dataclasses.replace(many, keys=np.arange(3 * draws, dtype=np.uint64))
    question = Question(tiny_explanandum, batch, predicted, None, batch.keys, 5, 64)
    expected = integrated_gradients(question, steps=50).sum(-1)
    for keys in (None, many.keys):
        torch.manual_seed(0)
        mask = task.masks(many, keys)
        assert not mask[~many.valid].any()
        made = task.evidence(many, task.reading(many), classes, chosen, keys)
        made = (made * many.valid).view(draws, 3, -1).mean(0)
        scale = expected.abs().max()
        assert (made - expected).abs().max() < 0.05 * scale
        assert (made[:, 0] - expected[:, 0]).abs().max() < 0.05 * scale
