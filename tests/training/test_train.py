"""The two trainings, through their programs: what they learn, keep and write."""

import json
import math
import re
import shutil
import subprocess
from argparse import Namespace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers_evaluation import (
    BACKBONE,
    CLASSES,
    CPU,
    RANKS,
    small_explainer,
    small_explanandum,
    write_tokens,
)
from helpers_training import (
    LAUNCHER,
    SCRIPTS,
    SETTINGS,
    TERMS,
    arguments,
    learnable_file,
    program,
    read_history,
    run,
)
from torch import nn

from whatyouread.data.token_files import TokenFile, write_token_files
from whatyouread.evaluate.baseline_masks import MeanLoss
from whatyouread.explainers.losses import classification_loss
from whatyouread.explainers.network import Explainer
from whatyouread.explainers.objective import NetworkSettings
from whatyouread.explainers.paper import PaperObjective, Settings
from whatyouread.explainers.saved import load_explainer
from whatyouread.explainers.sharp import Settings as SharpSettings
from whatyouread.explainers.sharp import SharpObjective
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.inference import Passes
from whatyouread.models.saving import load_model
from whatyouread.support.cli import UserError
from whatyouread.support.files import sha256
from whatyouread.training.batches import Batches, EpochSampler, in_turn
from whatyouread.training.classification import ClassificationTask
from whatyouread.training.settings import TrainingSettings
from whatyouread.training.train import train


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
            logits = model(file.batch(np.array([row])).to(CPU))
        labels = torch.from_numpy(file.labels[row : row + 1])
        losses.append(classification_loss(model.levels, logits, labels).item())
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


def test_the_explanandum_runs_out_of_patience(explanandum_run, inputs, tmp_path):
    """The same training, until the validation loss has not improved for one epoch."""
    values = arguments("train_explanandum", inputs, tmp_path, epochs=6, patience=1)
    values["validation"] = inputs / "contrary.arrow"
    program("train_explanandum").main(Namespace(**values))
    whole, short = (read_history(folder) for folder in (explanandum_run, tmp_path / "out"))
    losses = whole["validation_loss"].to_numpy()
    first = int(np.argmax(np.diff(losses) >= 0)) + 2  # the first epoch that is no better
    assert first < 6
    pd.testing.assert_frame_equal(short, whole.head(first))


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
    loss = MeanLoss(Passes(explanandum, 16, CPU), Settings(), file)
    made = loss.of_explainer(load_model(Explainer, explainer_run), np.arange(len(file)))
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
    sampler = EpochSampler(file.lengths, 64, 5)
    step = 0
    for epoch in range(2):
        sampler.start_at(epoch)
        for numbers in sampler:
            rows = np.array(numbers) - 192 * epoch
            optimizer.param_groups[0]["lr"] = 0.01 * (1 + math.cos(math.pi * step / 6)) / 2
            optimizer.zero_grad()
            loss = 0
            for i, logits in enumerate(expected(file.batch(rows).to(CPU))):
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
        torch.manual_seed(seed)
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
    task = PaperObjective(explainer, explanandum, Settings(), 0)
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


@pytest.fixture(scope="module")
def one_class(tmp_path_factory):
    """What the programs read where one rank has one class and the other two; a trained Explanandum."""
    folder = tmp_path_factory.mktemp("one_class")
    for name, n in (("train", 64), ("validation", 19)):
        file = learnable_file(folder / f"{name}.arrow", n, 0)
        labels = np.stack([np.zeros(n, np.int64), file.labels[:, 0]], axis=1)
        sequences = [file.batch(np.array([row])).ids[0] for row in range(n)]
        write_tokens(folder / f"{name}.arrow", sequences, labels, file.keys)
    (folder / "backbone").mkdir()
    (folder / "backbone" / "config.json").write_text(json.dumps(BACKBONE))
    rows = [("kingdom", 0, 1, "all", 64), ("genus", 0, 2, "a", 32), ("genus", 1, 3, "b", 32)]
    classes = pd.DataFrame(rows, columns=["rank", "class", "taxid", "name", "sequences"])
    classes.to_csv(folder / "classes.tsv", sep="\t", index=False)
    run("train_explanandum", folder, folder, epochs=2, occlusion=0.5).rename(folder / "explanandum")
    return folder


def test_a_classifier_with_a_rank_of_one_class(one_class):
    history = read_history(one_class / "explanandum")
    assert history.notna().all(axis=None)
    assert (history["validation_kingdom_balanced_accuracy"] == 1).all()
    program("check_blank").main(
        Namespace(
            explanandum=one_class / "explanandum", validation=one_class / "validation.arrow",
            classes=one_class / "classes.tsv", sequences=4, min_entropy=0.9, seed=1, threads=1,
            probabilities=one_class / "blank.tsv", summary=one_class / "summary.tsv",
        )
    )  # fmt: skip
    summary = pd.read_csv(one_class / "summary.tsv", sep="\t").set_index("rank").loc["kingdom"]
    assert (summary["normalized_entropy"] == 1).all()
    assert (summary["uniform"] == "yes").all()


@pytest.mark.parametrize(
    "changed",
    [
        {"entropy": "mean"},
        {"entropy": "normalised"},
        {"entropy": "normalised", "target_mask": "mean", "operator": "relaxed"},
        {"entropy": "normalised", "denominator": "mask", "precision": "bf16"},
        {"objective": "sharp"},
        {"objective": "sharp", "target": "class", "reads": "tokens"},
        {"objective": "joint"},
        {"objective": "fastshap"},
        {"objective": "integrated"},
        {"objective": "attnlrp"},
        {"objective": "l2x"},
    ],
    ids=lambda changed: "-".join(changed.values()),
)
def test_an_explainer_with_a_rank_of_one_class(one_class, tmp_path, changed):
    """No advice to lower the learning rate: no term of the loss is ln 1 divided by itself."""
    out = run("train_explainer", one_class, tmp_path, epochs=2, learning_rate=0.001, **changed)
    history = read_history(out)
    assert np.isfinite(history).all(axis=None)
    weights = load_model(Explainer, out).state_dict().values()
    assert all(torch.isfinite(w).all() for w in weights)
    if changed.get("entropy") == "normalised":  # the two classes of the genus alone: -1 to 0
        assert history["validation_entropy"].between(-1.001, 0).all()
        assert (history["validation_entropy"] < -0.01).all()


def test_a_missing_setting_is_named(inputs, tmp_path):
    values = arguments("train_explainer", inputs, tmp_path)
    del values["settings"]["patience"]
    with pytest.raises(UserError, match="patience"):
        program("train_explainer").main(Namespace(**values))


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3, 4])
def test_several_processes_train_like_one(inputs, tmp_path, monkeypatch, count):
    """The processes share each batch, and those with long sequences compute their shares in parts.

    The same steps but for the rounding.
    """
    backbone = tmp_path / "backbone"
    backbone.mkdir()
    # dropout would be drawn anew in each process
    config = json.dumps(BACKBONE | {"hidden_dropout_prob": 0.0})
    (backbone / "config.json").write_text(config)
    file = TokenFile(inputs / "train.arrow", RANKS)
    sequences = [file.batch(np.array([row])).ids[0] for row in range(len(file))]
    for row in range(9, len(file), 8):  # two batches: long ones stand together
        sequences[row] = [*sequences[row], *np.tile(sequences[row][1:], 90)][:1500]
    write_tokens(tmp_path / "train.arrow", sequences, file.labels, file.keys)
    changed = {"epochs": 2, "gpus": count, "batch_size": 12}
    given = {"backbone": backbone, "train": tmp_path / "train.arrow"}
    monkeypatch.setenv("WHATYOUREAD_DEVICE", "cpu")
    values = arguments("train_explanandum", inputs, tmp_path / "one", **changed) | given
    program("train_explanandum").main(Namespace(**values))

    values = arguments("train_explanandum", inputs, tmp_path / "several", **changed) | given
    values["settings"] = json.dumps(values["settings"])
    log = tmp_path / "train.log"
    command = [*LAUNCHER, str(count), str(SCRIPTS / "train_explanandum.py"), "--log", str(log)]
    for option, value in values.items():
        command += [f"--{option.replace('_', '-')}", str(value)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "are computed in parts" in log.read_text()
    one, several = (read_history(tmp_path / name / "out") for name in ("one", "several"))
    for column in one:
        np.testing.assert_allclose(several[column], one[column], rtol=1e-4, err_msg=column)


def recorded(folder, inputs, **changed):
    values = {
        "explainer": folder,
        "explanandum": inputs / "explanandum",
        "classes": inputs / "classes.tsv",
        "train": inputs / "train.arrow",
        "alphabet": "protein",
    }
    program("record_classifier").main(Namespace(**values | changed))


def test_an_explainer_gets_its_classes_and_the_place_of_its_classifier(
    explainer_run, inputs, tmp_path
):
    folder = tmp_path / "model"
    shutil.copytree(explainer_run, folder)
    recorded(folder, inputs)
    record = json.loads((folder / "classifier.json").read_text())
    classifier = inputs / "explanandum"
    assert (folder / record["path"]).resolve() == classifier.resolve()
    assert record["sha256"] == sha256(classifier / "model.safetensors")
    usual = int(np.median(TokenFile(inputs / "train.arrow", RANKS).lengths))
    assert (record["tokens"], record["tokenizer"]) == (usual, "six_mers")
    assert record["alphabet"] == "protein"
    assert (folder / "classes.tsv").read_bytes() == (inputs / "classes.tsv").read_bytes()
    saved = load_explainer(folder)
    assert saved.alphabet == "protein"
    assert [level.names for level in saved.levels] == [
        ("kingdom0", "kingdom1"), ("genus0", "genus1", "genus2", "genus3"),
    ]  # fmt: skip


def test_classes_of_another_classifier_are_not_recorded(inputs, one_class, tmp_path):
    with pytest.raises(UserError, match="1 classes of the level kingdom, and the classifier 2"):
        recorded(tmp_path, inputs, classes=one_class / "classes.tsv")
    table = tmp_path / "some.tsv"
    lines = (inputs / "classes.tsv").read_text().splitlines()
    table.write_text("\n".join(line for line in lines if not line.startswith("genus")))
    with pytest.raises(UserError, match="has no classes of the level genus"):
        recorded(tmp_path, inputs, classes=table)
    assert not (tmp_path / "classifier.json").exists()


@pytest.fixture(scope="module")
def partly(inputs, tmp_path_factory):
    """The token files of `inputs` in which every third sequence lacks a label."""
    folder = tmp_path_factory.mktemp("partly")
    shutil.copytree(inputs, folder, dirs_exist_ok=True)
    for name in ("train", "validation"):
        file = TokenFile(inputs / f"{name}.arrow", RANKS)
        labels = file.labels.copy()
        labels[::3, 0] = labels[1::3, 1] = -1
        file.labels = labels
        with write_token_files([folder / f"{name}.arrow"], RANKS, file.tokenizer) as [writer]:
            writer.write_batch(file.record_batch(np.arange(len(file))))
    return folder


def tasks_of_each_kind():
    explanandum = small_explanandum(4)
    paper = {"a": Settings(), "b": Settings(target_mask="mean", entropy="normalised")}
    tasks = {n: PaperObjective(small_explainer(2), explanandum, s, 11) for n, s in paper.items()}
    sharp = SharpObjective.make_explainer(SharpSettings(), NetworkSettings(6, 5, 1), explanandum)
    tasks["sharp"] = SharpObjective(sharp, explanandum, SharpSettings(), 11)
    return tasks | {"classification": ClassificationTask(small_explanandum(5))}


@pytest.mark.parametrize("name", ["a", "b", "sharp", "classification"])
def test_the_loss_with_missing_labels_does_not_depend_on_the_batches(partly, name):
    task = tasks_of_each_kind()[name].eval()
    file = TokenFile(partly / "validation.arrow", RANKS)
    made = Batches(file, 1)

    def loss(size):
        parts = [made.__getitems__(rows) for rows in in_turn(len(file), size)]
        with torch.no_grad():
            sums = [float(task(**part)["loss"]) * len(part["labels"]) for part in parts]
        return sum(sums) / len(file)

    whole = loss(len(file))
    assert math.isfinite(whole)
    assert [loss(size) for size in (1, 5, 8)] == pytest.approx([whole] * 3, rel=1e-5)


@pytest.mark.parametrize(
    "objective", ["paper", "sharp", "joint", "fastshap", "integrated", "attnlrp", "l2x"]
)
def test_an_explainer_learns_with_missing_labels(partly, tmp_path, objective):
    history = read_history(
        run("train_explainer", partly, tmp_path, objective=objective, learning_rate=0.02, epochs=2)
    )
    assert history["training_loss"].iloc[-1] < history["training_loss"].iloc[0]
    assert history.notna().all(axis=None)


def test_labels_that_are_missing_are_not_scored_in_validation(partly, tmp_path):
    history = read_history(run("train_explanandum", partly, tmp_path))
    model = load_model(Explanandum, tmp_path / "out")
    file = TokenFile(partly / "validation.arrow", RANKS)
    predicted = Passes(model, 8, CPU).predict(file, np.ones((len(file), file.lengths.max()), "f4"))
    best = history.loc[history["validation_loss"].idxmin()]
    for i, rank in enumerate(RANKS):
        known = file.labels[:, i] >= 0
        labels, said = file.labels[known, i], predicted[known, i]
        recall = np.mean([(said[labels == c] == c).mean() for c in np.unique(labels)])
        # the file has six digits
        assert best[f"validation_{rank}_balanced_accuracy"] == pytest.approx(recall, rel=1e-5)


def test_a_class_beyond_the_classifiers_is_one_line(partly, tmp_path):
    file = TokenFile(partly / "train.arrow", RANKS)
    file.labels[3, 1] = 4
    folder = tmp_path / "in"
    shutil.copytree(partly, folder)
    with write_token_files([folder / "train.arrow"], RANKS, file.tokenizer) as [writer]:
        writer.write_batch(file.record_batch(np.arange(len(file))))
    for name in ("train_explanandum", "train_explainer", "train_judge"):
        with pytest.raises(UserError, match="the class 4 of genus, and the classes are 0 to 3"):
            run(name, folder, tmp_path / name)
