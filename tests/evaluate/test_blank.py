import numpy as np
import pandas as pd
import pytest
from helpers_batches import LETTERS, batch_of, letters
from helpers_evaluation import CLASSES, CPU, RANKS, random_file, small_explanandum
from helpers_letters import lettered_explanandum, lettered_file

from whatyouread.data.kinds import SINGLE
from whatyouread.data.six_mers import CLS
from whatyouread.data.tokenizers import TOKENIZERS
from whatyouread.evaluate.blank import blank_probabilities, blank_tables
from whatyouread.models.inference import Passes


def softmax(logits):
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


@pytest.mark.parametrize("classes", [2, 3, 1878])
def test_entropy_of_the_uniform_distribution_is_1(classes):
    assert SINGLE.normalized_entropy(np.full(classes, 1 / classes)) == pytest.approx(1, abs=1e-12)


def test_entropy_of_certainty_is_0():
    assert SINGLE.normalized_entropy(np.array([0.0, 1.0, 0.0])) == 0


def test_entropy_by_hand():
    # -(1/2 ln 1/2 + 2 x 1/4 ln 1/4) / ln 4 = (1.5 ln 2) / (2 ln 2)
    assert SINGLE.normalized_entropy(np.array([0.5, 0.25, 0.25, 0])) == pytest.approx(0.75)


def test_a_rank_of_one_class_is_always_uniform():
    assert SINGLE.normalized_entropy(np.array([1.0])) == 1


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return random_file(tmp_path_factory.mktemp("blank") / "tokens.arrow", 12)


def test_a_masked_sequence_leaves_the_head_biases(file):
    model = small_explanandum()
    made = blank_probabilities(Passes(model, 4, CPU), file, 5, 0)
    assert list(made) == ["blank", "masked"]
    for rank, p in zip(RANKS, made["masked"], strict=True):
        bias = model.heads[rank].bias.detach().double().numpy()
        np.testing.assert_allclose(p, softmax(bias), atol=1e-7)
        assert p.dtype == np.float64


def test_a_blank_sequence_is_cls_alone(file):
    import torch

    model = small_explanandum()
    made = blank_probabilities(Passes(model, 4, CPU), file, 5, 0)
    with torch.no_grad():
        logits = model(batch_of([[CLS]]).to(CPU))
    for expected, p in zip(logits, made["blank"], strict=True):
        np.testing.assert_allclose(p, softmax(expected[0].double().numpy()), atol=1e-6)
    assert not np.allclose(made["blank"][1], made["masked"][1], atol=1e-3)


def test_a_blank_sequence_is_every_special_token_that_frames_a_sequence(monkeypatch, tmp_path):
    import torch

    monkeypatch.setitem(TOKENIZERS, LETTERS.name, LETTERS)
    model = lettered_explanandum()
    made = blank_probabilities(Passes(model, 4, CPU), lettered_file(tmp_path / "t.arrow"), 3, 0)
    with torch.no_grad():
        logits = model(letters("").to(CPU))
    for rank, expected, p in zip(RANKS, logits, made["blank"], strict=True):
        np.testing.assert_allclose(p, softmax(expected[0].double().numpy()), atol=1e-6)
        bias = model.heads[rank].bias.detach().double().numpy()
        assert not np.allclose(p, softmax(bias), atol=1e-3)


def test_with_cls_pooling_masked_sequences_are_averaged(file):
    import torch

    model = small_explanandum(pooling="cls")
    made = blank_probabilities(Passes(model, 4, CPU), file, 3, 0)
    each = []
    for row in range(3):
        batch = file.batch(np.array([row])).to(CPU)
        with torch.no_grad():
            logits = model(batch, torch.zeros(batch.ids.shape))
        each.append([softmax(rank[0].double().numpy()) for rank in logits])
    for rank in range(2):
        expected = np.mean([p[rank] for p in each], axis=0)
        np.testing.assert_allclose(made["masked"][rank], expected, atol=1e-6)


def test_the_masked_sequences_are_drawn(file, monkeypatch):
    """Not the first ones of a file that is sorted by class, and the same again for the same seed."""
    taken = []
    batch = type(file).batch
    monkeypatch.setattr(
        type(file), "batch", lambda own, rows: taken.append(rows) or batch(own, rows)
    )
    model = small_explanandum(pooling="cls")
    for seed in (0, 0, 1, 2):
        blank_probabilities(Passes(model, 4, CPU), file, 4, seed)
    drawn = [tuple(rows.tolist()) for rows in taken]
    assert all(len(set(rows)) == 4 for rows in drawn)
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3
    assert (0, 1, 2, 3) not in drawn


def test_more_sequences_than_there_are(file):
    made = blank_probabilities(Passes(small_explanandum(), 4, CPU), file, 1000, 0)
    assert [len(p) for p in made["masked"]] == list(CLASSES.values())


def class_table():
    rows = [(rank, i, 100 + i, f"{rank} {i}", 5) for rank, n in CLASSES.items() for i in range(n)]
    return pd.DataFrame(rows, columns=["rank", "class", "taxid", "name", "sequences"])


PROBABILITIES = {
    "blank": [np.array([0.5, 0.5]), np.array([0.5, 0.25, 0.25, 0.0])],
    "masked": [np.array([0.0, 1.0]), np.full(4, 0.25)],
}


def test_tables():
    long, summary = blank_tables(PROBABILITIES, class_table(), 0.9)
    assert long.columns.tolist() == ["rank", "class", "name", "input", "probability", "uniform"]
    assert len(long) == 2 * (2 + 4)
    blank_genus = long[(long["input"] == "blank") & (long["rank"] == "genus")]
    assert blank_genus["probability"].tolist() == [0.5, 0.25, 0.25, 0.0]
    assert blank_genus["class"].tolist() == [0, 1, 2, 3]
    assert (blank_genus["uniform"] == 0.25).all()

    assert summary[["input", "rank"]].values.tolist() == [
        ["blank", "kingdom"],
        ["blank", "genus"],
        ["masked", "kingdom"],
        ["masked", "genus"],
    ]
    assert summary["classes"].tolist() == [2, 4, 2, 4]
    assert summary["largest_probability"].tolist() == [0.5, 0.5, 1, 0.25]
    assert summary["uniform_probability"].tolist() == [0.5, 0.25, 0.5, 0.25]
    assert summary["most_probable"].tolist()[1:3] == ["genus 0", "kingdom 1"]
    assert summary["normalized_entropy"].tolist() == pytest.approx([1, 0.75, 0, 1])
    assert summary["uniform"].tolist() == ["yes", "no", "no", "yes"]


@pytest.mark.parametrize(("threshold", "expected"), [(0.7, "yes"), (0.75, "yes"), (0.76, "no")])
def test_threshold(threshold, expected):
    _, summary = blank_tables(PROBABILITIES, class_table(), threshold)
    assert summary["uniform"][1] == expected
