"""Every method behind one interface: targets, costs, files."""

import inspect
from argparse import Namespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from helpers_batches import LETTERS
from helpers_evaluation import CLASSES, random_file, small_explanandum
from helpers_letters import TEXTS, lettered_explanandum, lettered_file
from helpers_training import program

from whatyouread.data.token_files import TokenFile
from whatyouread.data.tokenizers import TOKENIZERS
from whatyouread.explainers.network import Explainer
from whatyouread.methods import question
from whatyouread.methods.files import read_attributions, write_attributions
from whatyouread.methods.registry import (
    METHODS,
    WITH_GRADIENTS,
    Attributor,
    reinitialised,
    summed,
)
from whatyouread.models.inference import Passes
from whatyouread.models.saving import save_model
from whatyouread.support import machine
from whatyouread.support.cli import UserError

RANKS = {"superkingdom": 3, "phylum": 5, "genus": 7}
LENGTHS = [8, 5, 11, 6]
SETTINGS = {
    "integrated_gradients": {"steps": 3},
    "ablation": {"window": 2},
    "lime": {"samples": 20},
    "kernel_shap": {"samples": 20},
    "occlusion_gradients": {"samples": 3},
}
CPU = torch.device("cpu")


@pytest.fixture
def file(token_file, token_batch):
    tokens = token_batch(LENGTHS, seed=2)
    rows = [row[:n].tolist() for row, n in zip(tokens.ids, LENGTHS, strict=True)]
    labels = [[0, 1, 2], [1, 2, 3], [2, 4, 6], [0, 1, 5]]
    return TokenFile(token_file(rows, labels), list(RANKS))


@pytest.fixture
def explainer():
    torch.manual_seed(4)
    return Explainer(RANKS, embedding_size=6, hidden_size=4).eval()


def attributor(name, explanandum, explainer, batch_size=16, **settings):
    passes = Passes(explanandum, batch_size, CPU)
    return Attributor(name, SETTINGS.get(name, {}) | settings, passes, explainer, seed=9)


def explained(one, file, rows=None):
    classes = one.classes(file, np.unique(file.labels, axis=0))
    return one.explain(file, np.arange(len(file)) if rows is None else rows, classes)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_scores_every_token_for_every_target(tiny_explanandum, explainer, file, name):
    made = explained(attributor(name, tiny_explanandum, explainer), file)
    assert set(made.scores) == {*RANKS, "combined", "wrong", "runner_up"}
    inside = np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]
    for scores in made.scores.values():
        assert scores.shape == inside.shape
        assert scores.dtype == np.float32
        assert (scores[~inside] == 0).all()
        assert (scores[inside] != 0).mean() > 0.9
    ranks = np.stack([made.scores[rank] for rank in RANKS])
    if name == "explainer":
        np.testing.assert_array_equal(made.scores["combined"], ranks.max(0))
    elif name not in ("attention", "attention_rollout", "random", "cheating"):
        np.testing.assert_allclose(made.scores["combined"], ranks.sum(0), atol=1e-5)
    assert made.ids.to_pylist() == file.ids.to_pylist()
    np.testing.assert_array_equal(made.labels, file.labels)
    for other in (made.wrong, made.runner_up):
        assert (other[:, -1] != made.labels[:, -1]).all()
        assert (other[:, -1] != made.predicted[:, -1]).all()


@pytest.mark.parametrize("name", METHODS)
def test_scores_do_not_depend_on_batches_or_neighbours(tiny_explanandum, explainer, file, name):
    whole = explained(attributor(name, tiny_explanandum, explainer), file)
    rows = np.array([2, 0])
    part = explained(attributor(name, tiny_explanandum, explainer, batch_size=1), file, rows)
    for key, scores in part.scores.items():
        own = whole.scores[key][rows, : scores.shape[1]]
        np.testing.assert_allclose(scores, own, atol=3e-4, rtol=1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_passes_with_gradients_hold_a_fourth_of_a_batch(tiny_explanandum, explainer, file, name):
    """They keep all that they compute; and no method goes back but those that are known to."""
    sizes = {False: [0], True: [0]}

    def noted(module, inputs, made):
        hidden = made.last_hidden_state
        sizes[hidden.requires_grad].append(len(hidden))

    one = attributor(name, tiny_explanandum, explainer, batch_size=8)
    classes = one.classes(file, np.unique(file.labels, axis=0))
    with tiny_explanandum.encoder.register_forward_hook(noted):
        one.explain(file, np.arange(len(file)), classes)
    assert max(sizes[False]) <= 8
    assert max(sizes[True]) == (2 if name in WITH_GRADIENTS else 0)
    assert (one.cost["backward_passes"] > 0) == (name in WITH_GRADIENTS)


@pytest.mark.parametrize("name", ["lime", "kernel_shap", "ablation", "integrated_gradients"])
def test_a_lack_of_memory_names_the_batch_of_perturbed_sequences(
    tiny_explanandum, explainer, file, monkeypatch, name
):
    """And not that of one sequence which they are made of, where no batch size would help."""
    monkeypatch.setattr(machine, "_batch", [])

    def fails(explanandum, batch, *_, **__):
        raise torch.OutOfMemoryError(f"CUDA out of memory for {len(batch)}")

    one = attributor(name, tiny_explanandum, explainer, batch_size=4)
    classes = one.classes(file, np.unique(file.labels, axis=0))
    monkeypatch.setattr(question, "masked_logits", fails)
    with pytest.raises(torch.OutOfMemoryError) as caught:
        one.explain(file, np.array([0]), classes)
    sequences = int(str(caught.value).split()[-1])
    said = machine.trouble(caught.value, "evaluation.batch_size")
    assert f"in a batch of {sequences} sequence" in said
    assert ("lower evaluation.batch_size" in said) == (sequences > 1)


NEED = [
    # name, settings, and of the longest sequence: samples, needed; how many sequences need more
    ("lime", {"samples": 10}, (10, 11, 1)),
    ("lime", {"samples": 7}, (7, 11, 2)),
    ("lime", {"samples": 4}, (4, 11, 4)),
    ("lime", {"samples": 11}, None),
    ("lime", {"samples": 1000, "preset": "captum_default"}, None),  # captum's 25 are enough here
    ("lime", {}, None),
    ("kernel_shap", {"samples": 12}, None),
    ("kernel_shap", {"samples": 11}, (11, 12, 1)),
    ("kernel_shap", {"samples": 8}, (8, 12, 2)),
    ("kernel_shap", {"samples": 1}, (1, 12, 4)),
    ("occlusion_gradients", {"samples": 1}, None),
    ("integrated_gradients", {"steps": 1}, None),
    ("random", {}, None),
]


@pytest.mark.parametrize(("method", "settings", "expected"), NEED)
def test_fewer_samples_than_a_surrogate_needs(
    tiny_explanandum, file, caplog, method, settings, expected
):
    """LIME needs one for each token, Kernel SHAP one more, for the intercept."""
    settings = settings | {"method": method}
    one = Attributor("mine", settings, Passes(tiny_explanandum, 16, CPU), None, seed=9)
    one.warn_of_few_samples(file)
    if expected is None:
        assert not caplog.records
        return
    drawn, needed, short = expected
    [line] = [record.getMessage() for record in caplog.records]
    assert f"mine draws {drawn} samples" in line
    assert f"{short} of 4 sequences need more (up to 11 tokens need {needed})" in line
    assert f"attributions.methods.mine.samples to {needed} or more" in line
    assert caplog.records[0].levelname == "WARNING"


def test_captums_own_lime_draws_too_few_for_long_sequences(
    tiny_explanandum, token_file, token_batch, caplog
):
    from captum.attr import Lime

    drawn = inspect.signature(Lime.attribute).parameters["n_samples"].default
    rows = token_batch([drawn, drawn + 1]).ids
    path = token_file([rows[0, :drawn].tolist(), rows[1].tolist()])
    settings = {"method": "lime", "preset": "captum_default"}
    one = Attributor("theirs", settings, Passes(tiny_explanandum, 16, CPU), None, seed=9)
    one.warn_of_few_samples(TokenFile(path, list(RANKS)))
    [line] = [record.getMessage() for record in caplog.records]
    assert f"theirs draws {drawn} samples" in line
    assert "1 of 2 sequences" in line
    assert "with preset: fair" in line


@pytest.mark.parametrize(("samples", "lines"), [(5, 1), (40, 0)])
def test_a_run_warns_of_few_samples_once(tmp_path, caplog, samples, lines):
    """Though the program explains its sequences three times and more."""
    (tmp_path / "model").mkdir()
    save_model(tmp_path / "model", small_explanandum())
    for name, n in (("plain", 9), ("substituted", 4)):
        random_file(tmp_path / name, n, 3)
    program("attribute_tokens").main(
        Namespace(
            method="lime", settings={"samples": samples}, explanandum=tmp_path / "model",
            explainer=None, sequences=tmp_path / "plain", substituted=tmp_path / "substituted",
            batch_size=16, precision="fp32", compile=False, seed=1, threads=1,
            scores=tmp_path / "scores.parquet", cost=tmp_path / "cost.json",
        )
    )  # fmt: skip
    assert sum("samples" in record.getMessage() for record in caplog.records) == lines


@pytest.mark.parametrize("name", METHODS)
def test_every_method_with_a_level_of_one_class(name, tmp_path):
    """Nothing speaks for the only class of a level: zeros where a method asks for it, never NaN."""
    classes = {"kingdom": 1, "genus": 4}
    file = random_file(tmp_path / "t.arrow", 6, 3)
    file.labels[:, 0] = 0
    torch.manual_seed(4)
    explainer = Explainer(classes, embedding_size=6, hidden_size=4).eval()
    made = explained(attributor(name, small_explanandum(1, classes=classes), explainer), file)
    for scores in made.scores.values():
        assert np.isfinite(scores).all()
    if name not in (
        "explainer",
        "attention",
        "attention_rollout",
        "random",
        "cheating",
    ):  # they know no class, or a mask
        assert np.abs(made.scores["kingdom"]).max() < 1e-6
        np.testing.assert_allclose(made.scores["combined"], made.scores["genus"], atol=1e-6)


@pytest.mark.parametrize("name", METHODS)
def test_a_tokenizer_with_a_token_at_the_end(monkeypatch, tmp_path, name):
    """What is content goes with the scores: whoever reads them need not know the tokenizer."""
    monkeypatch.setitem(TOKENIZERS, LETTERS.name, LETTERS)
    torch.manual_seed(4)
    explanandum, explainer = lettered_explanandum(), Explainer(CLASSES, 6, 4, tokenizer="letters")
    made = explained(attributor(name, explanandum, explainer), lettered_file(tmp_path / "t.arrow"))
    counts = np.array([len(text) for text in TEXTS])[:, None]
    place = np.arange(max(map(len, TEXTS)) + 2)
    np.testing.assert_array_equal(made.content, (place > 0) & (place <= counts))
    for scores in made.scores.values():
        assert (scores[place > counts + 1] == 0).all()
        assert (scores[made.content] != 0).mean() > 0.9
        if name == "ablation":  # special tokens go together
            rows = np.arange(len(TEXTS))
            np.testing.assert_array_equal(scores[:, 0], scores[rows, counts[:, 0] + 1])
    write_attributions(tmp_path / "s.parquet", list(CLASSES), {"plain": made})
    read = read_attributions(tmp_path / "s.parquet", list(CLASSES))["plain"]
    np.testing.assert_array_equal(read.content, made.content)


def test_the_explainers_scores_are_its_masks(tiny_explanandum, explainer, file):
    made = explained(attributor("explainer", tiny_explanandum, explainer), file)
    masks = explainer(file.batch(np.array([2])).to(CPU)).detach().numpy()[0]
    starts = [0, 3, 8]
    for i, rank in enumerate(RANKS):
        expected = masks[:, starts[i] + made.predicted[2, i]]
        np.testing.assert_allclose(made.scores[rank][2], expected, atol=1e-6)
    for name in ("wrong", "runner_up"):
        chosen = getattr(made, name)[2]
        other = masks[:, [start + c for start, c in zip(starts, chosen, strict=True)]].max(1)
        np.testing.assert_allclose(made.scores[name][2], other, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "forward", "backward"),
    [
        ("explainer", 0, 0),
        ("random", 0, 0),
        ("cheating", 0, 0),
        ("attention", 1, 0),
        ("attention_rollout", 1, 0),
        ("gradient_x_input", 1, 5),
        ("attnlrp", 1, 5),
        ("integrated_gradients", 3, 15),
        ("occlusion_gradients", 3, 15),
        ("lime", 20, 0),
        ("kernel_shap", 20, 0),
    ],
)
def test_passes_are_counted(tiny_explanandum, explainer, file, name, forward, backward):
    one = attributor(name, tiny_explanandum, explainer)
    explained(one, file)
    assert one.cost["forward_passes"] == forward
    assert one.cost["backward_passes"] == backward
    assert one.cost["seconds"] > 0


def test_a_sum_over_the_ranks_stands_before_the_other_classes():
    scores = torch.tensor([[[1.0, 2.0, 4.0, 100.0, 200.0]]])
    assert summed(scores)[0, 0].tolist() == [1.0, 2.0, 4.0, 7.0, 100.0, 200.0]


@pytest.mark.parametrize(
    ("name", "settings", "complaint"),
    [
        ("lime", {"sampels": 3}, "sampels"),
        ("my_lime", {}, "no method 'my_lime'"),
        ("mine", {"method": "explainer", "steps": 2}, "steps"),
    ],
)
def test_wrong_settings_are_one_line(tiny_explanandum, explainer, name, settings, complaint):
    with pytest.raises(UserError, match=complaint):
        attributor(name, tiny_explanandum, explainer, **settings)


def test_a_method_may_have_another_name(tiny_explanandum, explainer, file):
    one = attributor("coarse", tiny_explanandum, explainer, method="integrated_gradients", steps=3)
    other = attributor("integrated_gradients", tiny_explanandum, explainer)
    np.testing.assert_array_equal(
        explained(one, file).scores["combined"], explained(other, file).scores["combined"]
    )


def test_a_reinitialised_model_is_another_one_and_always_the_same(tiny_explanandum):
    torch.manual_seed(77)
    before = torch.get_rng_state()
    one, other = (reinitialised(tiny_explanandum, 3) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    for (name, a), b, own in zip(
        one.named_parameters(), other.parameters(), tiny_explanandum.parameters(), strict=True
    ):
        assert torch.equal(a, b), name
        assert a.shape == own.shape
    assert not torch.equal(one.heads["genus"].weight, tiny_explanandum.heads["genus"].weight)


def test_files_keep_everything(tiny_explanandum, explainer, file, tmp_path):
    one = attributor("explainer", tiny_explanandum, explainer)
    plain, again = explained(one, file), explained(one, file, np.array([1, 3]))
    path = tmp_path / "scores.parquet"
    write_attributions(path, list(RANKS), {"plain": plain, "randomised": again})
    read = read_attributions(path, list(RANKS))
    assert list(read) == ["plain", "randomised"]
    for made, got in ((plain, read["plain"]), (again, read["randomised"])):
        assert got.ids.to_pylist() == made.ids.to_pylist()
        for field in ("keys", "lengths", "content", "labels", "predicted", "wrong", "runner_up"):
            np.testing.assert_array_equal(getattr(got, field), getattr(made, field))
        for key, scores in made.scores.items():
            np.testing.assert_array_equal(got.scores[key], scores)


def test_damaged_and_other_files_are_one_line(tmp_path):
    path = tmp_path / "scores.parquet"
    with pytest.raises(UserError, match="is not there"):
        read_attributions(path, ["genus"])
    path.write_bytes(b"PAR1 no")
    with pytest.raises(UserError, match="is damaged"):
        read_attributions(path, ["genus"])
    pq.write_table(pa.table({"id": ["a"]}), path)
    with pytest.raises(UserError, match="no column key"):
        read_attributions(path, ["genus"])
