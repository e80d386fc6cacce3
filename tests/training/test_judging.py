"""The judge: what it learns to say of masked sequences, and that it learns it."""

import dataclasses
import shutil

import numpy as np
import pytest
import torch
from helpers_evaluation import CLASSES, random_sequences, small_explanandum, write_tokens
from helpers_training import learnable_file, make_inputs, read_history, run
from torch.distributions import Categorical, kl_divergence

from whatyouread.models.explanandum import Explanandum
from whatyouread.models.mask_operator import masked_logits
from whatyouread.models.occlusion import occlusions_of_all_sizes
from whatyouread.models.saving import load_model
from whatyouread.training.judging import WINDOWS, JudgeTask


@pytest.fixture
def batch(tmp_path):
    sequences, labels, keys = random_sequences(12, seed=3)
    file = write_tokens(tmp_path / "some.arrow", sequences, labels, keys)
    return file.batch(np.arange(12)).to("cpu")


def task_of():
    return JudgeTask(small_explanandum(1), small_explanandum(2), 7)


def test_the_loss_is_the_divergence_from_the_answer_to_the_whole(batch):
    task, labels = task_of().eval(), torch.zeros(12, 2, dtype=torch.long)
    mask = occlusions_of_all_sizes(batch, batch.keys, 7, WINDOWS)
    with torch.no_grad():
        made = task(batch, labels)
        whole = masked_logits(task.explanandum, batch)
        own, others = (
            masked_logits(model, batch, mask) for model in (task.judge, task.explanandum)
        )
    for place, masked in enumerate((own, others)):
        expected = sum(
            kl_divergence(Categorical(logits=p), Categorical(logits=q))
            for p, q in zip(whole, masked, strict=True)
        )
        assert torch.allclose(made["values"][:, place], expected, atol=1e-6)
        for level in range(2):
            same = (masked[level].argmax(1) == whole[level].argmax(1)).float()
            assert torch.equal(made["values"][:, 2 + 2 * place + level], same)
    assert made["loss"].item() == pytest.approx(made["values"][:, 0].mean().item(), rel=1e-6)
    summary = task.summarize(made["values"].numpy(), labels.numpy())
    wanted = [f"{level}_{who}" for who in ("judge", "classifier") for level in CLASSES]
    assert list(summary) == ["loss_of_classifier", *wanted]
    assert summary["genus_classifier"] == pytest.approx(made["values"][:, 5].mean().item())


def test_validation_follows_from_the_keys_and_training_does_not(batch):
    task, labels = task_of().eval(), torch.zeros(12, 2, dtype=torch.long)
    with torch.no_grad():
        whole = task(batch, labels)["values"]
        assert torch.equal(task(batch, labels)["values"], whole)
        alone = torch.cat([task(batch.alone(row), labels[:1])["values"] for row in range(12)])
        assert torch.allclose(alone, whole, atol=1e-5)
        moved = dataclasses.replace(batch, keys=batch.keys + np.uint64(100))
        assert not torch.equal(task(moved, labels)["values"], whole)
        for module in task.modules():  # dropout aside
            module.training = module is task
        assert not torch.equal(task(batch, labels)["loss"], task(batch, labels)["loss"])


def test_shares_of_all_sizes(token_batch):
    batch = token_batch([41] * 2000)
    for keys in (None, np.arange(2000, dtype=np.uint64)):
        kept = (occlusions_of_all_sizes(batch, keys, 1, WINDOWS) * batch.content).sum(1) / 40
        assert np.quantile(kept, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.05)


def test_only_the_judge_learns(batch):
    task = task_of().train()
    assert task.judge.training
    assert not task.explanandum.training
    task(batch, torch.zeros(12, 2, dtype=torch.long))["loss"].backward()
    assert all(p.grad is None for p in task.explanandum.parameters())
    assert all(p.grad is not None for p in task.judge.heads.parameters())
    assert {name.partition(".")[0] for name in task.state_dict()} == {"judge"}


def test_a_judge_agrees_more_than_the_classifier_that_it_is_a_copy_of(tmp_path):
    """The program, on a classifier that knows the classes; what it writes is a classifier."""
    inputs = make_inputs(tmp_path)
    learnable_file(inputs / "train.arrow", 600, 0)
    classifier = run("train_explanandum", inputs, tmp_path / "first", epochs=6)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(classifier / name, inputs / "explanandum" / name)
    folder = run("train_judge", inputs, tmp_path / "second", learning_rate=0.001)
    history = read_history(folder)
    best = history.loc[history["validation_loss"].idxmin()]
    assert best["validation_loss"] < best["validation_loss_of_classifier"]
    assert best["validation_genus_judge"] > best["validation_genus_classifier"]
    assert history["validation_loss_of_classifier"].nunique() == 1  # it stays as it is
    own, judge = (load_model(Explanandum, place) for place in (classifier, folder))
    assert judge.config == own.config
    assert not torch.equal(judge.heads["genus"].weight, own.heads["genus"].weight)
