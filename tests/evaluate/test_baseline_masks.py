import numpy as np
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

from whatyouread.data.six_mers import CLS, FIRST_KMER
from whatyouread.evaluate.baseline_masks import Judge, best_by_position, best_constant
from whatyouread.explainers.paper import Settings
from whatyouread.models.inference import Passes

OBJECTIVE = Settings(0.05, 0.3, 1.0, 1.0, 1.0)
WEIGHTED = Settings(0.1, 0.4, 0.5, 2.0, 3.0)


def judge_of(model, objective, file, batch_size):
    return Judge(Passes(model, batch_size, CPU), objective, file)


class Bowl:
    """A judge whose mean objective is known."""

    def __init__(self, function):
        self.function, self.calls = function, []

    def of_constant(self, value, rows, known_classes=False):
        self.calls.append((value, known_classes))
        return {"total": self.function(value)}


@pytest.mark.parametrize("minimum", [0, 0.003, 0.1, 0.37, 0.62, 0.849, 0.997, 1])
def test_best_constant_of_a_known_function(minimum):
    judge = Bowl(lambda value: (value - minimum) ** 2)
    best = best_constant(judge, np.arange(3), known_classes=True)
    assert best == pytest.approx(minimum, abs=0.012)
    assert all(known for _, known in judge.calls)
    assert all(0 <= value <= 1 for value, _ in judge.calls)
    assert len(judge.calls) < 40
    # the best that was looked at, not only near it
    assert judge.function(best) == min(judge.function(value) for value, _ in judge.calls)


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
    judge, rows = judge_of(model, OBJECTIVE, file, 8), np.arange(14)
    best = judge.of_constant(best_constant(judge, rows), rows)["total"]
    grid = [judge.of_constant(value, rows)["total"] for value in np.linspace(0, 1, 51)]
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
@pytest.mark.parametrize("objective", [OBJECTIVE, WEIGHTED])
def test_of_explainer_equals_loops_over_the_formulas(file, model, objective, batch_size):
    explainer = small_explainer(3)

    def masks_of(batch, labels):
        with torch.no_grad():
            scores = explainer(batch)[0].double().numpy()
        own = [labels[i] + sum(list(CLASSES.values())[:i]) for i in range(2)]
        others = [column for column in range(scores.shape[1]) if column not in own]
        return scores[:, own].max(1), scores[:, others].max(1), scores[:, own]

    rows = np.array([0, 3, 4, 9, 13])
    expected = naive_mean(model, objective, file, rows, masks_of)
    made = judge_of(model, objective, file, batch_size).of_explainer(explainer, rows)
    assert made == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("value", [0, 0.3, 1])
def test_of_constant_equals_loops(file, model, value, known):
    def masks_of(batch, labels):
        mask = np.full(batch.ids.shape[1], float(value))
        return mask, mask * (not known), np.stack([mask, mask], axis=1)

    rows = np.arange(6)
    expected = naive_mean(model, WEIGHTED, file, rows, masks_of)
    made = judge_of(model, WEIGHTED, file, 4).of_constant(value, rows, known)
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
    made = judge_of(model, OBJECTIVE, file, 5).of_positions(torch.tensor(values), rows, known)
    assert made == pytest.approx(expected, abs=2e-5)


def test_a_mask_of_ones_is_the_plain_classifier(file, model):
    rows = np.arange(14)
    made = judge_of(model, OBJECTIVE, file, 6).of_constant(1.0, rows)
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
    known = judge_of(model, OBJECTIVE, file, 6).of_constant(1.0, rows, known_classes=True)
    assert made["area"] - known["area"] == pytest.approx(1)  # A(n) is gone
    assert made["classification"] == known["classification"]


def test_padding_is_irrelevant(file, model):
    """A short sequence costs the same beside a long one, whatever the mask says at its padding."""
    short, long = int(file.lengths.argmin()), int(file.lengths.argmax())
    judge = judge_of(model, OBJECTIVE, file, 8)
    values = torch.from_numpy(np.random.default_rng(1).random(file.lengths.max()))
    alone = [judge.of_positions(values, np.array([row])) for row in (short, long)]
    together = judge.of_positions(values, np.array([short, long]))
    for name in together:
        assert together[name] == pytest.approx((alone[0][name] + alone[1][name]) / 2, abs=1e-5)
    changed = values.clone()
    changed[file.lengths[short] :] = 1 - changed[file.lengths[short] :]
    assert judge.of_positions(changed, np.array([short])) == alone[0]
    assert judge.of_positions(changed, np.array([long])) != alone[1]


@pytest.mark.parametrize("known", [False, True])
def test_by_position_is_no_worse_than_where_it_starts(file, model, known):
    judge, rows = judge_of(model, OBJECTIVE, file, 14), np.arange(14)
    start = best_constant(judge, rows, known)
    values = best_by_position(judge, start, 40, 0.1, 0, known)
    assert values.shape == (file.lengths.max(),)
    assert ((values > 0) & (values < 1)).all()
    before = judge.of_constant(min(max(start, 0.02), 0.98), rows, known)["total"]
    assert judge.of_positions(values, rows, known)["total"] < before
    again = best_by_position(judge, start, 40, 0.1, 0, known)
    np.testing.assert_array_equal(values, again)
    assert (best_by_position(judge, start, 40, 0.1, 1, known) != values).any()


def test_no_steps_give_the_start(file, model):
    judge = judge_of(model, OBJECTIVE, file, 4)
    np.testing.assert_allclose(best_by_position(judge, 0.4, 0, 0.1, 0), 0.4, atol=1e-6)


def test_by_position_finds_where_the_signal_is(tmp_path):
    """The third token tells the class; the mask lights it up and dims the rest."""
    rng = np.random.default_rng(0)
    classes = rng.integers(0, 2, 40)
    blank = FIRST_KMER + 50
    sequences = [[CLS, blank, FIRST_KMER + c, blank, blank, blank] for c in classes]
    file = write_tokens(tmp_path / "t.arrow", sequences, classes[:, None], ranks=["rank0"])
    model = Counter([[[2, 0], [0, 2]]], [[0, 0]])
    judge = judge_of(model, Settings(0.05, 0.3, 1.0, 1.0, 0.0), file, 16)
    values = best_by_position(judge, 0.5, 120, 0.2, 0, known_classes=True)
    assert values.argmax() == 2
    assert values[2] > 0.7
    assert values[[0, 1, 3, 4, 5]].max() < 0.2
