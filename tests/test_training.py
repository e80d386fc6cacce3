import importlib.util
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from argparse import Namespace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers_evaluation import (
    BACKBONE,
    CLASSES,
    CPU,
    random_file,
    small_explainer,
    small_explanandum,
    write_tokens,
)
from torch import nn
from torch.utils.data import DataLoader

from whatyouread import checkpoints, training
from whatyouread.baseline_masks import Judge
from whatyouread.batches import Batches, EpochSampler
from whatyouread.cli import UserError
from whatyouread.explainer import Explainer
from whatyouread.explanandum import Explanandum, load_model, save_model
from whatyouread.losses import classification_loss
from whatyouread.tasks import ClassificationTask, ExplainerTask, Objective
from whatyouread.token_files import TokenFile
from whatyouread.tokens import CLS, FIRST_KMER, VOCABULARY, encode
from whatyouread.trainer import is_out_of_patience
from whatyouread.training import TrainingSettings, train

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
OBJECTIVE = {
    "min_area": 0.05,
    "max_area": 0.3,
    "entropy_weight": 1.0,
    "area_weight": 1.0,
    "variation_weight": 1.0,
}
SETTINGS = {
    "learning_rate": 0.01,
    "weight_decay": 0.0,
    "batch_size": 8,
    "epochs": 3,
    "max_grad_norm": 0.0,
    "precision": "fp32",
    "compile": False,
    "gpus": 1,
}
EXPLANANDUM = {
    "pooling": "mean",
    "reverse_complement": True,
    "reading_offset": True,
    "occlusion": 0.0,
}
EXPLAINER = {
    "embedding_size": 6,
    "hidden_size": 5,
    "layers": 2,
    "patience": 5,
    "min_delta": 0.001,
    "objective": OBJECTIVE,
    "variant": "paper",
    "sharp": {
        "target": "sequence",
        "reads": "hidden",
        "area": 0.3,
        "smoothing": 3,
        "epochs": 0,
        "occlusion_areas": [0.2, 0.5],
        "occlusion_windows": [1, 3],
    },
}


# Batches and their order


def text_of(tokens):
    return "".join(VOCABULARY[token] for token in tokens if token >= FIRST_KMER)


def variants(text):
    """(turned, skipped) -> tokens of the sequence read that way."""
    turned = text.translate(str.maketrans("ACGT", "TGCA"))[::-1]
    return {
        (strand, skip): encode([read[skip:]])[0].tolist()
        for strand, read in enumerate((text, turned))
        for skip in range(6)
    }


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ACGTN"), rng.integers(20, 40))) for _ in range(1500)]
    flat, offsets = encode(texts)
    sequences = [flat[a:b] for a, b in pairwise(offsets)]
    keys = rng.integers(0, 2**63, 1500, dtype=np.uint64)
    path = tmp_path_factory.mktemp("batches") / "t.arrow"
    return write_tokens(path, sequences, np.zeros((1500, 2), int), keys), texts


def test_lengths_where_they_are_asked_for(many):
    file, _ = many
    rows = [5, 2, 7]
    lengths = Batches(file, 0, lengths=True).__getitems__(rows)["lengths"]
    assert isinstance(lengths, np.ndarray)
    np.testing.assert_array_equal(lengths, file.lengths[rows])
    # of what is read, not of what is in the file
    batch = Batches(file, 3, True, True, lengths=True).__getitems__(list(range(50)))
    np.testing.assert_array_equal(batch["lengths"], (batch["tokens"].numpy() != 1).sum(1))


def rows_of(batch):
    return [[t for t in row if t != 1] for row in batch["tokens"].tolist()]


def test_without_augmentation_nothing_changes(many):
    file, _ = many
    batch = Batches(file, 0).__getitems__([5, 2, 1500 + 7, 4 * 1500 + 2])
    np.testing.assert_array_equal(batch["tokens"], file.tokens(np.array([5, 2, 7, 2])))
    assert batch["tokens"].dtype == batch["labels"].dtype == torch.int64
    assert batch["labels"].shape == (4, 2)


def test_reads_either_strand_from_any_base(many):
    file, texts = many
    batches = Batches(file, 3, reverse_complement=True, reading_offset=True)
    made = rows_of(batches.__getitems__(list(range(1500))))
    found = [
        next(way for way, tokens in variants(text).items() if tokens == row)
        for text, row in zip(texts, made, strict=True)
    ]
    turned, skipped = np.array(found).T
    assert turned.mean() == pytest.approx(0.5, abs=0.05)
    np.testing.assert_allclose(np.bincount(skipped, minlength=6) / 1500, 1 / 6, atol=0.04)
    # the two draws have nothing to do with each other
    assert abs(np.corrcoef(turned, skipped)[0, 1]) < 0.1


@pytest.mark.parametrize(("turn", "shift"), [(True, False), (False, True)])
def test_each_augmentation_alone(many, turn, shift):
    file, texts = many
    made = rows_of(Batches(file, 3, turn, shift).__getitems__(list(range(300))))
    ways = {
        next(way for way, tokens in variants(text).items() if tokens == row)
        for text, row in zip(texts[:300], made, strict=True)
    }
    assert ways == ({(0, 0), (1, 0)} if turn else {(0, skip) for skip in range(6)})


def test_augmentation_belongs_to_sequence_and_epoch(many):
    file, _ = many
    batches = Batches(file, 3, True, True)
    numbers = [7 * 1500 + row for row in range(40)]
    whole = rows_of(batches.__getitems__(numbers))
    order = np.random.default_rng(1).permutation(40)
    for start in range(0, 40, 13):  # other batches, in another order, among other epochs
        part = order[start : start + 13]
        mixed = [number for i in part for number in (numbers[i], i)]
        made = rows_of(batches.__getitems__(mixed))[::2]
        assert made == [whole[i] for i in part]
    other_epoch = rows_of(batches.__getitems__([8 * 1500 + row for row in range(40)]))
    other_seed = rows_of(Batches(file, 4, True, True).__getitems__(numbers))
    for other in (other_epoch, other_seed):
        assert np.mean([one != two for one, two in zip(whole, other, strict=True)]) > 0.7


def test_labels_go_with_their_sequences(tmp_path):
    file = random_file(tmp_path / "t.arrow", 20)
    batch = Batches(file, 0, True, True).__getitems__([3, 20 + 17, 60 + 0])
    assert batch["labels"].tolist() == file.labels[[3, 17, 0]].tolist()


def test_sampler_covers_all_rows_once_in_every_epoch():
    sampler = EpochSampler(50, 1)
    orders = []
    for epoch in (0, 1, 7):
        sampler.set_epoch(epoch)
        numbers = list(sampler)
        assert list(sampler) == numbers
        assert {number // 50 for number in numbers} == {epoch}
        orders.append([number % 50 for number in numbers])
        assert sorted(orders[-1]) == list(range(50))
    assert len(sampler) == 50
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert orders[0] != list(range(50))
    other = EpochSampler(50, 2)
    assert list(other) != orders[0]
    again = EpochSampler(50, 1)  # the epoch alone counts, not what came before it
    again.set_epoch(7)
    assert [number % 50 for number in again] == orders[2]


def test_workers_do_not_change_the_batches(many):
    file, _ = many

    def batches(workers):
        sampler = EpochSampler(200, 1)
        sampler.set_epoch(2)
        return list(
            DataLoader(
                Batches(file, 3, True, True), 32, sampler=sampler, num_workers=workers,
                collate_fn=lambda batch: batch,
            )
        )  # fmt: skip

    alone, shared = batches(0), batches(2)
    assert len(alone) == len(shared) == 7
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one["tokens"], other["tokens"])
        assert torch.equal(one["labels"], other["labels"])


# Restarts and early stopping, with a task whose validation losses are known


class Killed(BaseException):
    pass


class Scripted(nn.Module):
    """Epoch i has the validation loss `script[i]`; the weights follow from all steps and draws."""

    tracked = ("steps",)

    def __init__(self, script, steps_per_epoch=2, dies_at=None):
        super().__init__()
        self.w = nn.Parameter(torch.ones(3))
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.script, self.steps_per_epoch, self.dies_at = script, steps_per_epoch, dies_at

    def forward(self, tokens, labels):
        if self.training:
            if self.dies_at is not None and self.steps >= self.dies_at:
                raise Killed
            self.steps += 1
            loss = (self.w * torch.rand(3) * tokens.float().mean()).sum() / 1000
        else:
            loss = torch.tensor(self.script[int(self.steps) // self.steps_per_epoch - 1])
        return {"loss": loss, "values": torch.full((len(tokens), 1), float(self.steps))}

    def track(self, values):
        return values.mean(0)

    def summarize(self, values, labels):
        return {"steps": float(values.mean())}


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    return random_file(tmp_path_factory.mktemp("eight") / "t.arrow", 8)


def play(file, folder, script, *, dies_at=None, stamp=None, patience=None, min_delta=0.0, **other):
    torch.manual_seed(0)
    task = Scripted(script, dies_at=dies_at)
    settings = TrainingSettings(**SETTINGS | {"batch_size": 4, "epochs": len(script)} | other)
    history = train(
        task, settings, Batches(file, 1, True, True), Batches(file, 1), folder,
        stamp or {"data": "1"}, seed=3, threads=1, patience=patience, min_delta=min_delta,
    )  # fmt: skip
    return task, history


@pytest.mark.parametrize(
    ("losses", "patience", "min_delta", "expected"),
    [
        ([], 1, 0, False),
        ([5], 1, 0, False),
        ([5, 4, 3, 2], 1, 0, False),
        ([5, 5], 1, 0, True),
        ([5, 6, 4, 5, 5], 2, 0, True),
        ([5, 6, 4, 5], 2, 0, False),
        ([5, 6, 4, 5, 3], 2, 0, False),
        ([5, 4.5, 4], 2, 1, True),  # neither is better than 5 by more than 1
        ([5, 4.5, 3.9], 2, 1, False),  # the small steps add up
        ([5, 6, 7, 1, 1], 2, 0, True),  # it had stopped before
    ],
)
def test_patience(losses, patience, min_delta, expected):
    assert is_out_of_patience(losses, patience, min_delta) is expected


PLATEAU = [1.0, 0.5, 0.6, 0.7, 0.4, 0.45, 0.46, 0.47, 0.3]  # patience 3 ends at the eighth epoch


def test_early_stopping_keeps_the_best(eight, tmp_path):
    task, history = play(eight, tmp_path / "c", PLATEAU, patience=3)
    assert history["epoch"].tolist() == list(range(1, 9))
    assert history["validation_loss"].tolist() == pytest.approx(PLATEAU[:8])
    assert task.steps == 10  # the weights of the fifth epoch
    task, history = play(eight, tmp_path / "d", PLATEAU, patience=3, min_delta=0.2)
    assert len(history) == 5  # 0.4 is no better than 0.5 by 0.2
    assert task.steps == 10  # and yet the best


def test_without_patience_all_epochs(eight, tmp_path):
    task, history = play(eight, tmp_path / "c", PLATEAU)
    assert len(history) == 9
    assert task.steps == 18


@pytest.fixture(scope="module")
def uninterrupted(eight, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted")
    return {
        patience: play(eight, folder / str(patience), PLATEAU, patience=patience)
        for patience in (3, None)
    }


@pytest.mark.parametrize(
    ("dies_at", "patience"), [(1, 3), (5, 3), (12, 3), (14, 3), (15, 3), (2, None), (13, None)]
)
def test_killed_at_any_step(eight, uninterrupted, tmp_path, dies_at, patience):
    """In the first epoch, between epochs, while patience runs out: the end is the same."""
    whole, history = uninterrupted[patience]
    with pytest.raises(Killed):
        play(eight, tmp_path / "killed", PLATEAU, patience=patience, dies_at=dies_at)
    task, resumed = play(eight, tmp_path / "killed", PLATEAU, patience=patience)
    pd.testing.assert_frame_equal(resumed, history, check_exact=True)
    assert torch.equal(task.w, whole.w)
    assert task.steps == whole.steps


@pytest.mark.parametrize("patience", [3, None])
def test_killed_after_the_last_step(eight, tmp_path, patience):
    """Trained to the end, but killed before the results were written."""
    whole, history = play(eight, tmp_path / "c", PLATEAU, patience=patience)
    task, again = play(eight, tmp_path / "c", PLATEAU, patience=patience, dies_at=0)
    pd.testing.assert_frame_equal(again, history, check_exact=True)
    assert torch.equal(task.w, whole.w)


def test_killed_twice_and_while_writing(eight, uninterrupted, tmp_path):
    whole, history = uninterrupted[None]
    for dies_at in (5, 13):
        with pytest.raises(Killed):
            play(eight, tmp_path / "c", PLATEAU, dies_at=dies_at)
    last = tmp_path / "c" / "checkpoint-12"
    for content in (None, "", '{"log_history": [{"ev'):
        (last / "trainer_state.json").unlink(missing_ok=True)
        if content is not None:
            (last / "trainer_state.json").write_text(content)
        assert checkpoints._problem(last) is not None
    task, resumed = play(eight, tmp_path / "c", PLATEAU)
    pd.testing.assert_frame_equal(resumed, history, check_exact=True)
    assert torch.equal(task.w, whole.w)


def test_says_that_it_goes_on_or_starts_afresh(eight, tmp_path, caplog):
    caplog.set_level("INFO", logger="whatyouread")
    folder = tmp_path / "c"
    with pytest.raises(Killed):
        play(eight, folder, PLATEAU[:3], dies_at=5)
    assert "going on" not in caplog.text
    assert "afresh" not in caplog.text
    for other in ({"learning_rate": 0.02}, {"stamp": {"data": "2"}}, {"weight_decay": 0.1}):
        caplog.clear()
        with pytest.raises(Killed):
            play(eight, folder, PLATEAU[:3], dies_at=5, **other)
        assert f"the checkpoints in {folder} are of other settings or data" in caplog.text
        assert "starting afresh" in caplog.text
        assert "going on" not in caplog.text
        task, history = play(eight, folder, PLATEAU[:3], **other)
        assert f"going on from {folder / 'checkpoint-4'}" in caplog.text
    fresh, expected = play(eight, tmp_path / "fresh", PLATEAU[:3], weight_decay=0.1)
    assert torch.equal(task.w, fresh.w)
    pd.testing.assert_frame_equal(history, expected, check_exact=True)


def test_the_last_checkpoint_by_number(tmp_path):
    checkpoints.prepare_checkpoints(tmp_path / "c", {"a": 1, "b": (1, 2)})
    for step in (9, 10, 100):
        (tmp_path / "c" / f"checkpoint-{step}").mkdir()
        state = tmp_path / "c" / f"checkpoint-{step}" / "trainer_state.json"
        state.write_text('{"best_global_step": null}')
        if step != 100:
            checkpoints.seal(state.parent)
    found = checkpoints.prepare_checkpoints(tmp_path / "c", {"b": [1, 2], "a": 1})
    assert found == tmp_path / "c" / "checkpoint-10"
    (tmp_path / "c" / "stamp.json").write_text('{"a')
    assert checkpoints.prepare_checkpoints(tmp_path / "c", {"a": 1}) is None
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["stamp.json"]


def test_precision_must_be_known():
    with pytest.raises(UserError, match="fp32, tf32, bf16"):
        TrainingSettings(**SETTINGS | {"precision": "fp16"})


def test_a_gpu_that_is_not_there(monkeypatch, tmp_path, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    training._arguments(TrainingSettings(**SETTINGS | {"gpus": 2}), tmp_path, 1, 1)
    assert "a GPU was asked for, and none can be used here" in caplog.text
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="gpus is 2, but 1 are visible here: lower it"):
        training._arguments(TrainingSettings(**SETTINGS | {"gpus": 2}), tmp_path, 1, 1)


def test_fingerprint_tells_files_apart(tmp_path):
    one = write_tokens(tmp_path / "a", [[3, 9], [3, 10, 11]], [[0, 1], [1, 2]], [5, 6])
    same = write_tokens(tmp_path / "b", [[3, 9], [3, 10, 11]], [[0, 1], [1, 2]], [5, 6])
    assert checkpoints.fingerprint(one) == checkpoints.fingerprint(same)
    others = [
        write_tokens(tmp_path / "c", [[3, 9], [3, 10, 11]], [[0, 1], [1, 3]], [5, 6]),
        write_tokens(tmp_path / "d", [[3, 9], [3, 10, 11]], [[0, 1], [1, 2]], [5, 7]),
        write_tokens(tmp_path / "e", [[3, 9, 9], [3, 10, 11]], [[0, 1], [1, 2]], [5, 6]),
    ]
    prints = {checkpoints.fingerprint(file) for file in (one, *others)}
    assert len(prints) == 4
    assert checkpoints.fingerprint(one, others[0]) != checkpoints.fingerprint(others[0], one)


# The two trainings through their programs


def program(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def learnable_file(path, n, seed, shift=0):
    """The genus decides how often each of four six-mers occurs; shift: of the labels."""
    rng = np.random.default_rng(seed)
    genus = np.arange(n) % 4
    sequences = []
    for label in genus:
        tokens = rng.integers(FIRST_KMER, FIRST_KMER + 4096, rng.integers(15, 30))
        tokens[rng.random(len(tokens)) < 0.15] = FIRST_KMER + label * 1000
        sequences.append([CLS, *tokens])
    genus = (genus + shift) % 4
    labels = np.stack([genus // 2, genus], axis=1)
    return write_tokens(path, sequences, labels, rng.integers(0, 2**63, n, dtype=np.uint64))


def make_inputs(folder):
    """What both programs read: token files, backbone, table of classes, an Explanandum."""
    learnable_file(folder / "train.arrow", 192, 0)
    learnable_file(folder / "validation.arrow", 37, 1)
    learnable_file(folder / "contrary.arrow", 37, 1, shift=2)
    (folder / "backbone").mkdir()
    (folder / "backbone" / "config.json").write_text(json.dumps(BACKBONE))
    rows = [(rank, i, i + 1, f"{rank}{i}", 9) for rank, n in CLASSES.items() for i in range(n)]
    classes = pd.DataFrame(rows, columns=["rank", "class", "taxid", "name", "sequences"])
    classes.to_csv(folder / "classes.tsv", sep="\t", index=False)
    (folder / "explanandum").mkdir()
    save_model(folder / "explanandum", small_explanandum(4))
    return folder


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("inputs"))


def arguments(name, inputs, folder, **changed):
    """What the program `name` is called with, as a dictionary."""
    own = EXPLANANDUM if name == "train_explanandum" else EXPLAINER
    result = {
        "train": inputs / "train.arrow",
        "validation": inputs / "validation.arrow",
        "settings": SETTINGS | own | changed,
        "seed": 11,
        "threads": 1,
        "checkpoints": folder / "checkpoints",
        "output_dir": folder / "out",
    }
    if name == "train_explanandum":
        return result | {"backbone": inputs / "backbone", "classes": inputs / "classes.tsv"}
    return result | {"explanandum": inputs / "explanandum"}


def command_line(name, inputs, folder, **changed):
    values = arguments(name, inputs, folder, **changed)
    values["settings"] = json.dumps(values["settings"])
    command = [str(SCRIPTS / f"{name}.py"), "--log", str(folder / "train.log")]
    for option, value in values.items():
        command += [f"--{option.replace('_', '-')}", str(value)]
    return command


def run(name, inputs, folder, **changed):
    program(name).main(Namespace(**arguments(name, inputs, folder, **changed)))
    return folder / "out"


@pytest.fixture(scope="module")
def explanandum_run(inputs, tmp_path_factory):
    # whatever is learned is wrong for the validation sequences: the last epoch is not the best
    folder = tmp_path_factory.mktemp("explanandum")
    values = arguments("train_explanandum", inputs, folder, epochs=6)
    values["validation"] = inputs / "contrary.arrow"
    program("train_explanandum").main(Namespace(**values))
    return folder / "out"


@pytest.fixture(scope="module")
def explainer_run(inputs, tmp_path_factory):
    return run("train_explainer", inputs, tmp_path_factory.mktemp("explainer"), learning_rate=0.02)


def read_history(folder):
    return pd.read_csv(folder / "history.tsv", sep="\t")


def test_history_of_the_explanandum(explanandum_run):
    history = read_history(explanandum_run)
    assert history.columns.tolist() == [
        "epoch",
        "learning_rate",
        "training_loss",
        "validation_genus_balanced_accuracy",
        "validation_kingdom_balanced_accuracy",
        "validation_loss",
    ]
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    assert history.notna().all(axis=None)
    # cosine to 0, no warm-up: the rate of the last of the 24 steps of each epoch
    steps = np.arange(1, 7) * 24 - 1
    expected = 0.01 * (1 + np.cos(np.pi * steps / 144)) / 2
    np.testing.assert_allclose(history["learning_rate"], expected, rtol=1e-4)
    assert history["validation_kingdom_balanced_accuracy"].between(0, 1).all()


def validation_loss(model, file):
    """The mean over the sequences, one at a time, and the predictions."""
    losses, predicted = [], []
    for row in range(len(file)):
        with torch.no_grad():
            logits = model(torch.from_numpy(file.tokens(np.array([row]))))
        labels = torch.from_numpy(file.labels[row : row + 1])
        losses.append(classification_loss(logits, labels).item())
        predicted.append([int(rank.argmax()) for rank in logits])
    return np.mean(losses), np.array(predicted)


def test_the_best_explanandum_is_kept(explanandum_run, inputs):
    from sklearn.metrics import balanced_accuracy_score

    history = read_history(explanandum_run)
    best = history["validation_loss"].idxmin()
    assert best != len(history) - 1
    model = load_model(Explanandum, explanandum_run).eval()
    file = TokenFile(inputs / "contrary.arrow", list(CLASSES))
    loss, predicted = validation_loss(model, file)
    assert loss == pytest.approx(history["validation_loss"][best], abs=1e-5)
    for i, rank in enumerate(CLASSES):
        expected = balanced_accuracy_score(file.labels[:, i], predicted[:, i])
        column = f"validation_{rank}_balanced_accuracy"
        assert history[column][best] == pytest.approx(expected, abs=1e-5)


def test_what_the_programs_write(explanandum_run, explainer_run):
    for folder in (explanandum_run, explainer_run):
        names = ["config.json", "history.tsv", "model.safetensors", "run.json"]
        assert sorted(path.name for path in folder.iterdir()) == names
        assert not (folder.parent / "checkpoints").exists()
        record = json.loads((folder / "run.json").read_text())
        assert record["seed"] == 11
        if not torch.cuda.is_available():
            assert re.fullmatch(r"CPU, [A-Z0-9 ]+, threads: 1", record["computed_on"])
        assert str(folder / "model.safetensors") in record["sha256"]


TERMS = ["classification", "entropy", "area", "variation"]


def test_history_of_the_explainer(explainer_run):
    history = read_history(explainer_run)
    values = sorted(["loss", *TERMS])
    assert history.columns.tolist() == [
        "epoch",
        "learning_rate",
        *(f"training_{name}" for name in values),
        *(f"validation_{name}" for name in values),
    ]
    for part in ("training", "validation"):  # with weights of 1 the terms add up
        total = sum(history[f"{part}_{term}"] for term in TERMS)
        np.testing.assert_allclose(history[f"{part}_loss"], total, atol=2e-4)
    assert history["training_loss"].iloc[-1] < history["training_loss"].iloc[0]


def test_the_best_explainer_is_kept(explainer_run, inputs):
    """Its validation loss and terms as `baseline_masks` computes them are those in the history."""
    history = read_history(explainer_run)
    best = history.loc[history["validation_loss"].idxmin()]
    file = TokenFile(inputs / "validation.arrow", list(CLASSES))
    explanandum = load_model(Explanandum, inputs / "explanandum")
    judge = Judge(explanandum, Objective(**OBJECTIVE), file, 16, CPU)
    made = judge.of_explainer(load_model(Explainer, explainer_run), np.arange(len(file)))
    assert made["total"] == pytest.approx(best["validation_loss"], abs=1e-4)
    for term in TERMS:
        assert made[term] == pytest.approx(best[f"validation_{term}"], abs=1e-4)


def test_training_equals_a_plain_loop(inputs, tmp_path):
    """AdamW, cosine, the sampler's order, summed cross-entropies: written out with torch alone."""
    file = TokenFile(inputs / "train.arrow", list(CLASSES))
    backbone = BACKBONE | {"hidden_dropout_prob": 0.0}
    torch.manual_seed(1)
    trained = Explanandum(backbone, CLASSES)
    expected = Explanandum(backbone, CLASSES)
    expected.load_state_dict(trained.state_dict())

    settings = TrainingSettings(**SETTINGS | {"epochs": 2, "batch_size": 64})
    batches = Batches(file, 5)
    train(
        ClassificationTask(trained), settings, batches, batches, tmp_path / "c", {}, seed=5,
        threads=1,
    )  # fmt: skip

    optimizer = torch.optim.AdamW(expected.parameters(), lr=0.01, weight_decay=0.0)
    step = 0
    for epoch in range(2):
        order = np.random.default_rng([5, epoch]).permutation(192)
        for start in range(0, 192, 64):
            rows = order[start : start + 64]
            optimizer.param_groups[0]["lr"] = 0.01 * (1 + math.cos(math.pi * step / 6)) / 2
            optimizer.zero_grad()
            loss = 0
            for i, logits in enumerate(expected(torch.from_numpy(file.tokens(rows)))):
                labels = torch.from_numpy(file.labels[rows, i])
                loss = loss + nn.functional.cross_entropy(logits, labels)
            loss.backward()
            optimizer.step()
            step += 1
    for name, tensor in expected.state_dict().items():
        torch.testing.assert_close(trained.state_dict()[name], tensor, atol=2e-4, rtol=0)


def test_the_same_seed_gives_the_same_weights(inputs, explainer_run, tmp_path):
    again = run("train_explainer", inputs, tmp_path / "again", learning_rate=0.02)
    for name in ("model.safetensors", "history.tsv"):
        assert (again / name).read_bytes() == (explainer_run / name).read_bytes()
    made = []
    for seed in (11, 11, 12):
        training.set_seed(seed)
        made.append(Explainer(CLASSES, 6, 5, 2).dense.weight)
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_the_explanandum_stays_frozen(eight, tmp_path):
    explanandum = small_explanandum().train()
    before = {name: tensor.clone() for name, tensor in explanandum.state_dict().items()}
    modes = []
    explanandum.encoder.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    explainer = small_explainer()
    start = {name: tensor.clone() for name, tensor in explainer.state_dict().items()}
    task = ExplainerTask(explainer, explanandum, Objective(**OBJECTIVE))
    train(
        task, TrainingSettings(**SETTINGS), Batches(eight, 1), Batches(eight, 1), tmp_path / "c",
        {}, seed=1, threads=1,
    )  # fmt: skip
    assert set(modes) == {False}
    assert not any(parameter.requires_grad for parameter in explanandum.parameters())
    assert not any(name.startswith("explanandum") for name in task.state_dict())
    for name, tensor in explanandum.state_dict().items():
        assert torch.equal(tensor, before[name])
    changed = [n for n, t in explainer.state_dict().items() if not torch.equal(t, start[n])]
    assert {"dense.weight", "lstm.weight_ih_l0", "norm.running_mean"} <= set(changed)


def test_half_precision_trains(eight, tmp_path):
    task = ClassificationTask(small_explanandum())
    settings = TrainingSettings(**SETTINGS | {"precision": "bf16", "epochs": 1})
    history = train(
        task, settings, Batches(eight, 1), Batches(eight, 1), tmp_path / "c", {}, seed=1, threads=1
    )
    assert np.isfinite(history["validation_loss"]).all()
    assert all(p.dtype == torch.float32 for p in task.parameters())


@pytest.mark.parametrize("name", ["train_explanandum", "train_explainer"])
def test_a_loss_that_is_no_number_ends_in_one_line(inputs, tmp_path, name):
    with pytest.raises(UserError, match=r"the loss is .* lower the learning rate") as caught:
        run(name, inputs, tmp_path, learning_rate=3e38)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_missing_setting_is_named(inputs, tmp_path):
    values = arguments("train_explainer", inputs, tmp_path)
    del values["settings"]["patience"]
    with pytest.raises(UserError, match="patience"):
        program("train_explainer").main(Namespace(**values))


def kill_after_the_first_checkpoint(command, environment, checkpoints):
    # nicer than this process, which must see the checkpoint in time
    process = subprocess.Popen(["nice", *command], env=environment, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if list(checkpoints.glob("checkpoint-*/trainer_state.json")):
            process.send_signal(signal.SIGKILL)
            process.wait()
        time.sleep(0.002)
    _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors.decode()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("train_explanandum", {}),
        ("train_explanandum", {"occlusion": 0.5}),
        ("train_explainer", {}),
        ("train_explainer", {"variant": "sharp"}),
    ],
)
def test_killed_and_started_again(inputs, tmp_path, caplog, name, more):
    """SIGKILL after the first checkpoint, then the same call: the same bytes as without."""
    changed = {"epochs": 4, "batch_size": 6} | more
    whole = run(name, inputs, tmp_path / "whole", **changed)

    folder = tmp_path / "killed"
    values = arguments(name, inputs, folder, **changed)
    values["settings"] = json.dumps(values["settings"])
    log = tmp_path / "train.log"
    command = [sys.executable, str(SCRIPTS / f"{name}.py"), "--log", str(log)]
    for option, value in values.items():
        command += [f"--{option.replace('_', '-')}", str(value)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "WHATYOUREAD_LOG_LEVEL": "INFO"}
    kill_after_the_first_checkpoint(command, environment, folder / "checkpoints")
    assert not (folder / "out").exists()
    assert "going on" not in log.read_text()

    if name == "train_explanandum":
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        said = log.read_text()
    else:  # within this process: starting another costs seconds
        caplog.set_level("INFO", logger="whatyouread")
        run(name, inputs, folder, **changed)
        said = caplog.text
    assert "going on from" in said
    for file in ("model.safetensors", "history.tsv", "config.json"):
        assert (folder / "out" / file).read_bytes() == (whole / file).read_bytes()
    assert not (folder / "checkpoints").exists()


@pytest.mark.slow
def test_two_processes_train_like_one(inputs, tmp_path):
    """Under torchrun the processes share each batch: the same steps but for the rounding."""
    backbone = tmp_path / "backbone"
    backbone.mkdir()
    # dropout would be drawn anew in each process
    config = json.dumps(BACKBONE | {"hidden_dropout_prob": 0.0})
    (backbone / "config.json").write_text(config)
    changed = {"epochs": 2, "gpus": 2}
    values = arguments("train_explanandum", inputs, tmp_path / "one", **changed)
    program("train_explanandum").main(Namespace(**values | {"backbone": backbone}))

    values = arguments("train_explanandum", inputs, tmp_path / "two", **changed)
    values |= {"backbone": backbone, "settings": json.dumps(values["settings"])}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", "--", str(SCRIPTS / "train_explanandum.py")]
    command += ["--log", str(tmp_path / "train.log")]
    for option, value in values.items():
        command += [f"--{option.replace('_', '-')}", str(value)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    one, two = (read_history(tmp_path / name / "out") for name in ("one", "two"))
    for column in one:
        # the Trainer fills up the last validation batch, and counts the filling in its loss
        near = 5e-3 if column == "validation_loss" else 1e-4
        np.testing.assert_allclose(two[column], one[column], rtol=near, err_msg=column)
