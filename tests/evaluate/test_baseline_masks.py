import dataclasses
from argparse import Namespace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers_evaluation import (
    CLASSES,
    CPU,
    Counter,
    random_file,
    small_explainer,
    small_explanandum,
    write_tokens,
)
from helpers_training import SETTINGS, program

from whatyouread.data.sampling import random_sample
from whatyouread.data.six_mers import CLS, FIRST_KMER
from whatyouread.evaluate.baseline_masks import MeanLoss, best_by_position, best_constant
from whatyouread.explainers.network import Explainer
from whatyouread.explainers.paper import PaperObjective, Settings
from whatyouread.models.inference import Passes
from whatyouread.models.saving import load_model, save_model
from whatyouread.training.batches import Batches
from whatyouread.training.loop import Loop
from whatyouread.training.settings import TrainingSettings

OBJECTIVE = Settings(0.05, 0.3, 1.0, 1.0, 1.0)
WEIGHTED = Settings(0.1, 0.4, 0.5, 2.0, 3.0)


def loss_of(model, objective, file, batch_size):
    return MeanLoss(Passes(model, batch_size, CPU), objective, file)


class Bowl:
    """A loss whose mean is known."""

    def __init__(self, function):
        self.function, self.calls = function, []

    def of_constant(self, value, rows, known_classes=False):
        self.calls.append((value, known_classes))
        return {"total": self.function(value)}


@pytest.mark.parametrize("minimum", [0, 0.003, 0.1, 0.37, 0.62, 0.849, 0.997, 1])
def test_best_constant_of_a_known_function(minimum):
    measured = Bowl(lambda value: (value - minimum) ** 2)
    best = best_constant(measured, np.arange(3), known_classes=True)
    assert best == pytest.approx(minimum, abs=0.012)
    assert all(known for _, known in measured.calls)
    assert all(0 <= value <= 1 for value, _ in measured.calls)
    assert len(measured.calls) < 40
    # the best that was looked at, not only near it
    assert measured.function(best) == min(measured.function(value) for value, _ in measured.calls)


def test_best_constant_of_a_slope_is_an_end():
    assert best_constant(Bowl(lambda value: value), np.arange(1)) == 0
    assert best_constant(Bowl(lambda value: -value), np.arange(1)) == 1


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return random_file(tmp_path_factory.mktemp("judge") / "tokens.arrow", 14, seed=5)


@pytest.fixture(scope="module")
def model():
    return small_explanandum(2)


def test_best_constant_of_a_model_is_that_of_a_fine_grid(file, model):
    measured, rows = loss_of(model, OBJECTIVE, file, 8), np.arange(14)
    best = measured.of_constant(best_constant(measured, rows), rows)["total"]
    grid = [measured.of_constant(value, rows)["total"] for value in np.linspace(0, 1, 51)]
    assert best <= min(grid) + 2e-3
    assert max(grid) - min(grid) > 0.1


def naive_loss(objective, labels, logits, inverted_logits, target, others, own):
    """The objective of one sequence without padding, from the paper's formulas, in loops."""

    def softmax(x):
        powers = np.exp(x - x.max())
        return powers / powers.sum()

    z = len(target)
    classification = -sum(
        np.log(softmax(rank)[label]) for rank, label in zip(logits, labels, strict=True)
    )
    entropy = sum(np.mean([p * np.log(p) for p in softmax(rank)]) for rank in inverted_logits)
    bounds = []
    for mask in own.T:
        values = sorted(mask, reverse=True)
        least = int(np.floor(objective.min_area * z + 0.5))
        most = int(np.floor(objective.max_area * z + 0.5))
        lacking = sum(1 - value for value in values[:least])
        beyond = sum(values[most:])
        bounds.append((lacking + beyond) / z)
    area = np.mean(target) + np.mean(others) + np.mean(bounds)
    variation = sum(
        sum(abs(mask[i] - mask[i + 1]) for i in range(z - 1)) / z for mask in (target, others)
    )
    return {
        "total": classification
        + objective.entropy_weight * entropy
        + objective.area_weight * area
        + objective.variation_weight * variation,
        "classification": classification,
        "entropy": entropy,
        "area": area,
        "variation": variation,
        "mask_mean": np.mean(target),
    }


def logits_of(model, batch, mask):
    with torch.no_grad():
        made = model(batch, torch.tensor(mask, dtype=torch.float32)[None])
    return [rank[0].double().numpy() for rank in made]


def naive_mean(model, objective, file, rows, masks_of):
    """`masks_of(batch, labels)` gives target, others and own; one sequence at a time."""
    found = []
    for row in rows:
        batch = file.batch(np.array([row])).to(CPU)
        target, others, own = masks_of(batch, file.labels[row])
        logits = logits_of(model, batch, target), logits_of(model, batch, 1 - target)
        found.append(naive_loss(objective, file.labels[row], *logits, target, others, own))
    return {name: np.mean([loss[name] for loss in found]) for name in found[0]}


@pytest.mark.parametrize("batch_size", [1, 5, 64])
@pytest.mark.parametrize(
    "objective", [OBJECTIVE, WEIGHTED, dataclasses.replace(WEIGHTED, target_mask="mean")]
)
def test_of_explainer_equals_loops_over_the_formulas(file, model, objective, batch_size):
    explainer = small_explainer(3)

    def masks_of(batch, labels):
        with torch.no_grad():
            scores = explainer(batch)[0].double().numpy()
        own = [labels[i] + sum(list(CLASSES.values())[:i]) for i in range(2)]
        others = [column for column in range(scores.shape[1]) if column not in own]
        merge = np.mean if objective.target_mask == "mean" else np.max
        return merge(scores[:, own], 1), scores[:, others].max(1), scores[:, own]

    rows = np.array([0, 3, 4, 9, 13])
    expected = naive_mean(model, objective, file, rows, masks_of)
    made = loss_of(model, objective, file, batch_size).of_explainer(explainer, rows)
    assert made == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("value", [0, 0.3, 1])
def test_of_constant_equals_loops(file, model, value, known):
    def masks_of(batch, labels):
        mask = np.full(batch.ids.shape[1], float(value))
        return mask, mask * (not known), np.stack([mask, mask], axis=1)

    rows = np.arange(6)
    expected = naive_mean(model, WEIGHTED, file, rows, masks_of)
    made = loss_of(model, WEIGHTED, file, 4).of_constant(value, rows, known)
    assert made == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("known", [False, True])
def test_of_positions_equals_loops(file, model, known):
    values = np.random.default_rng(0).random(20)

    def masks_of(batch, labels):
        # a sequence that is longer than any in training goes on with the last value
        mask = np.array([values[min(i, 19)] for i in range(batch.ids.shape[1])])
        return mask, mask * (not known), np.stack([mask, mask], axis=1)

    assert file.lengths.max() > 20 > file.lengths.min()
    rows = np.arange(14)
    expected = naive_mean(model, OBJECTIVE, file, rows, masks_of)
    made = loss_of(model, OBJECTIVE, file, 5).of_positions(torch.tensor(values), rows, known)
    assert made == pytest.approx(expected, abs=2e-5)


def test_a_mask_of_ones_is_the_plain_classifier(file, model):
    rows = np.arange(14)
    made = loss_of(model, OBJECTIVE, file, 6).of_constant(1.0, rows)
    plain = 0
    for row in rows:
        batch = file.batch(np.array([row])).to(CPU)
        with torch.no_grad():
            for i, logits in enumerate(model(batch)):
                label = torch.tensor([file.labels[row, i]])
                plain += torch.nn.functional.cross_entropy(logits, label).item()
    assert made["classification"] == pytest.approx(plain / 14, abs=1e-5)
    assert made["variation"] == 0
    assert made["mask_mean"] == 1
    known = loss_of(model, OBJECTIVE, file, 6).of_constant(1.0, rows, known_classes=True)
    assert made["area"] - known["area"] == pytest.approx(1)  # A(n) is gone
    assert made["classification"] == known["classification"]


def test_padding_is_irrelevant(file, model):
    """A short sequence costs the same beside a long one, whatever the mask says at its padding."""
    short, long = int(file.lengths.argmin()), int(file.lengths.argmax())
    measured = loss_of(model, OBJECTIVE, file, 8)
    values = torch.from_numpy(np.random.default_rng(1).random(file.lengths.max()))
    alone = [measured.of_positions(values, np.array([row])) for row in (short, long)]
    together = measured.of_positions(values, np.array([short, long]))
    for name in together:
        assert together[name] == pytest.approx((alone[0][name] + alone[1][name]) / 2, abs=1e-5)
    changed = values.clone()
    changed[file.lengths[short] :] = 1 - changed[file.lengths[short] :]
    assert measured.of_positions(changed, np.array([short])) == alone[0]
    assert measured.of_positions(changed, np.array([long])) != alone[1]


@pytest.mark.parametrize("known", [False, True])
def test_by_position_is_no_worse_than_where_it_starts(file, model, known):
    measured, rows = loss_of(model, OBJECTIVE, file, 14), np.arange(14)
    start = best_constant(measured, rows, known)
    values = best_by_position(measured, start, 40, 0.1, 0, known)
    assert values.shape == (file.lengths.max(),)
    assert ((values > 0) & (values < 1)).all()
    before = measured.of_constant(min(max(start, 0.02), 0.98), rows, known)["total"]
    assert measured.of_positions(values, rows, known)["total"] < before
    again = best_by_position(measured, start, 40, 0.1, 0, known)
    np.testing.assert_array_equal(values, again)
    assert (best_by_position(measured, start, 40, 0.1, 1, known) != values).any()


def test_no_steps_give_the_start(file, model):
    measured = loss_of(model, OBJECTIVE, file, 4)
    np.testing.assert_allclose(best_by_position(measured, 0.4, 0, 0.1, 0), 0.4, atol=1e-6)


def test_by_position_finds_where_the_signal_is(tmp_path):
    """The third token tells the class; the mask lights it up and dims the rest."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 2, 40)
    blank = FIRST_KMER + 50
    sequences = [[CLS, blank, FIRST_KMER + c, blank, blank, blank] for c in classes]
    file = write_tokens(tmp_path / "t.arrow", sequences, classes[:, None], ranks=["rank0"])
    model = Counter([[[2, 0], [0, 2]]], [[0, 0]])
    measured = loss_of(model, Settings(0.05, 0.3, 1.0, 1.0, 0.0), file, 16)
    values = best_by_position(measured, 0.5, 120, 0.2, 0, known_classes=True)
    assert values.argmax() == 2
    assert values[2] > 0.7
    assert values[[0, 1, 3, 4, 5]].max() < 0.2


def random_settings(seed: int) -> Settings:
    """Settings of the paper's objective, each at random."""
    rng = np.random.default_rng(seed)
    low, high = np.sort(rng.uniform(0.01, 0.9, 2)).tolist()
    weights = rng.uniform(0.1, 4, 3).tolist()
    options = (
        ("exact", "relaxed"),
        ("mean", "normalised"),
        ("maximum", "mean"),
        ("tokens", "mask"),
    )
    return Settings(low, high, *weights, *(str(rng.choice(option)) for option in options))


ONE_CLASS = [{"kingdom": 1, "genus": 4}, {"kingdom": 2, "genus": 4}, {"kingdom": 1, "genus": 2}]


@pytest.mark.parametrize("seed", range(12))
def test_the_judge_is_the_loss_of_the_training(tmp_path, seed):
    """Whatever the settings and the numbers of classes: what picks the best weights is what judges."""
    objective, classes = random_settings(seed), ONE_CLASS[seed % 3]
    file = random_file(tmp_path / "t.arrow", 14, seed)
    file.labels = file.labels % list(classes.values())
    model, explainer = small_explanandum(seed, classes=classes), small_explainer(seed, classes)
    task = PaperObjective(explainer, model, objective, 0)
    settings = TrainingSettings(**SETTINGS | {"batch_size": 5})
    expected = Loop(task, settings, Batches(file, 1), Batches(file, 1), tmp_path, 1, 1)._evaluate()
    made = loss_of(model, objective, file, 4).of_explainer(explainer, np.arange(14))
    assert made["total"] == pytest.approx(expected["validation_loss"], abs=2e-5)
    for term in task.tracked:
        assert made[term] == pytest.approx(expected[f"validation_{term}"], abs=2e-5)
    assert np.isfinite(list(made.values())).all()


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Settings)])
def test_every_setting_of_the_objective_reaches_the_judge(file, model, field):
    changed = {
        "min_area": 0.25, "max_area": 0.8, "entropy_weight": 3.0, "area_weight": 0.2,
        "variation_weight": 0.3, "operator": "relaxed", "entropy": "normalised",
        "target_mask": "mean", "denominator": "mask",
    }[field]  # fmt: skip
    explainer, rows = small_explainer(3), np.arange(14)
    totals = [
        loss_of(model, settings, file, 8).of_explainer(explainer, rows)["total"]
        for settings in (Settings(), dataclasses.replace(Settings(), **{field: changed}))
    ]
    assert abs(totals[0] - totals[1]) > 1e-3


def sorted_file(path, n, seed):
    """Sequences sorted by class, as in the token files; the counted token tells the class."""
    rng = np.random.default_rng(seed)
    classes = np.sort(rng.integers(0, 4, n))
    sequences = [
        [CLS, *np.where(rng.random(12) < 0.3, FIRST_KMER + c, FIRST_KMER + 50)] for c in classes
    ]
    keys = rng.integers(0, 2**63, n, dtype=np.uint64)
    return write_tokens(path, sequences, np.stack([classes // 2, classes], axis=1), keys)


def compared(folder, objective, batch_size=16, explainer=None, classes=CLASSES, constant=None):
    """What the program `compare_losses` writes: its table, and the rows that it searched on.

    constant: taken for the best one.
    """
    for name, model in (
        ("explanandum", small_explanandum(2, classes=classes)),
        ("explainer", explainer or small_explainer(3, classes)),
    ):
        (folder / name).mkdir(exist_ok=True)
        save_model(folder / name, model)
    settings = {"search_sequences": 40, "position_steps": 2, "position_learning_rate": 0.1}
    made = program("compare_losses")
    searched = []
    search_best = made.best_constant
    made.best_constant = lambda measured, rows, known: (
        searched.append(rows) or constant or search_best(measured, rows, known)
    )
    made.main(
        Namespace(
            explanandum=folder / "explanandum", explainer=folder / "explainer",
            train=folder / "train.arrow", validation=folder / "validation.arrow",
            objective=objective, settings=settings, batch_size=batch_size, seed=7, threads=1,
            losses=folder / "losses.tsv", positions=folder / "positions.tsv",
        )
    )  # fmt: skip
    return pd.read_csv(folder / "losses.tsv", sep="\t", index_col="mask"), searched


@pytest.mark.parametrize("batch_size", [3, 16])
def test_the_constant_is_searched_on_a_draw_of_all_classes(tmp_path, batch_size):
    """The first 40 of 400 sorted sequences are of one class."""
    train = sorted_file(tmp_path / "train.arrow", 400, 0)
    sorted_file(tmp_path / "validation.arrow", 20, 1)
    assert set(train.labels[:40, 1]) == {0}
    _, searched = compared(tmp_path, {}, batch_size)
    assert len(searched) == 2
    for rows in searched:  # whatever the batch size
        assert rows.tolist() == random_sample(train.keys, 40, 7).tolist()
        assert np.bincount(train.labels[rows, 1], minlength=4).min() > 3


def test_losses_and_the_warning_are_of_the_objective_that_was_trained(tmp_path, caplog):
    """An Explainer whose loss by the maximum is above that of a mask of 0.66, and by the mean below."""
    sorted_file(tmp_path / "train.arrow", 60, 0)
    sorted_file(tmp_path / "validation.arrow", 30, 1)
    explainer = small_explainer(3)
    with torch.no_grad():  # masks of 0 for every kingdom, and of sigmoid(1) = 0.73 for every genus
        explainer.dense.weight.zero_()
        explainer.dense.bias.copy_(torch.tensor([-9.0, -9.0, 1.0, 1.0, 1.0, 1.0]))
    totals, warned = {}, {}
    for target in ("maximum", "mean"):
        caplog.clear()
        table, _ = compared(tmp_path, {"target_mask": target}, explainer=explainer, constant=0.66)
        totals[target] = table["total"]["explainer"]
        warned[target] = [row.args for row in caplog.records if "learned nothing" in row.msg]
        worse = table.index[table["explainer_is_better"] == "no"].tolist()
        assert [args[1] for args in warned[target]] == worse
        assert all(args[0] == pytest.approx(totals[target], abs=1e-6) for args in warned[target])
    assert table["mask_mean"]["explainer"] == pytest.approx(1 / (1 + np.exp(-1)) / 2, abs=1e-4)
    assert totals["mean"] < table["total"]["constant"] < totals["maximum"]
    assert warned["maximum"]
    assert not warned["mean"]


@pytest.mark.parametrize("entropy", ["mean", "normalised"])
def test_a_rank_with_one_class_is_judged(tmp_path, entropy):
    for name, n in (("train", 30), ("validation", 12)):
        file = sorted_file(tmp_path / f"{name}.arrow", n, 0)
        labels = np.stack([np.zeros(n, np.int64), file.labels[:, 0]], axis=1)
        tokens = [file.batch(np.array([i])).ids[0] for i in range(n)]
        write_tokens(tmp_path / f"{name}.arrow", tokens, labels, file.keys)
    classes = {"kingdom": 1, "genus": 2}
    table, _ = compared(tmp_path, {"entropy": entropy}, classes=classes)
    assert np.isfinite(table.drop(columns="explainer_is_better").to_numpy(float)).all()
    assert load_model(Explainer, tmp_path / "explainer").config["classes"] == classes
