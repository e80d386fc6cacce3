"""The loop with a task whose validation losses are known: early stopping, restarts between epochs."""

import numpy as np
import pandas as pd
import pytest
import torch
from helpers_evaluation import small_explanandum, write_tokens
from helpers_training import SETTINGS, Killed, Scripted
from torch.overrides import TorchFunctionMode

from whatyouread.data import batch
from whatyouread.data.six_mers import CLS, FIRST_KMER
from whatyouread.explainers.objective import NetworkSettings
from whatyouread.explainers.objectives import OBJECTIVES
from whatyouread.training import checkpoints
from whatyouread.training.batches import Batches
from whatyouread.training.classification import ClassificationTask
from whatyouread.training.loop import Loop, is_out_of_patience, parameter_groups
from whatyouread.training.settings import TrainingSettings
from whatyouread.training.train import train


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


def test_progress_counts_sequences(eight, tmp_path, caplog):
    caplog.set_level("INFO", logger="whatyouread")
    with pytest.raises(Killed):
        play(eight, tmp_path / "c", PLATEAU[:3], dies_at=5)
    assert "training: 20 of 24 sequences in " in caplog.text
    assert "validation after epoch 2: 8 of 8 sequences in " in caplog.text
    assert "epoch 2 of at most 3: learning_rate " in caplog.text
    caplog.clear()
    play(eight, tmp_path / "c", PLATEAU[:3])
    assert "training: 8 of 8 sequences in " in caplog.text  # what is left after the second epoch
    assert "validation after epoch 3: 8 of 8 sequences in " in caplog.text
    assert "epoch 2 of" not in caplog.text


def test_what_has_no_device_stays_where_it_is(eight, tmp_path):
    kinds = []

    class Task(Scripted):
        def forward(self, batch, labels, extra):
            kinds.append(type(extra))
            return super().forward(batch, labels)

    class WithExtra(Batches):
        def __getitems__(self, numbers):
            return super().__getitems__(numbers) | {"extra": np.array(numbers)}

    settings = TrainingSettings(**SETTINGS | {"batch_size": 4, "epochs": 1})
    batches = WithExtra(eight, 1)
    train(Task([1.0]), settings, batches, batches, tmp_path / "c", {}, seed=3, threads=1)
    assert kinds == [np.ndarray] * 4


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
    for content in (None, "", '{"history": [{"va'):
        (last / "state.json").unlink(missing_ok=True)
        if content is not None:
            (last / "state.json").write_text(content)
        assert checkpoints._problem(last) is not None
    task, resumed = play(eight, tmp_path / "c", PLATEAU)
    pd.testing.assert_frame_equal(resumed, history, check_exact=True)
    assert torch.equal(task.w, whole.w)


@pytest.mark.parametrize("begun_on", ["cpu", "cuda"])
def test_a_gpu_goes_on_where_a_cpu_began(eight, tmp_path, monkeypatch, begun_on):
    """The state of its random numbers comes from a GPU's checkpoint, if that is what there is."""
    given = []
    state = torch.arange(16, dtype=torch.uint8)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda: state)
    monkeypatch.setattr(torch.cuda, "set_rng_state", given.append)

    def loop():
        settings = TrainingSettings(**SETTINGS | {"batch_size": 4, "epochs": 1})
        batches = Batches(eight, 1)
        return Loop(Scripted([1.0]), settings, batches, batches, tmp_path / "c", 1, threads=1)

    first, then = loop(), loop()
    first.step(next(first.rest_of_epoch()))
    first.device, then.device = torch.device(begun_on), torch.device("cuda")
    then.load(first.save())
    assert then.steps == 1
    assert torch.equal(then.task.w, first.task.w)
    assert len(given) == (begun_on == "cuda")
    assert all(torch.equal(one, state) for one in given)


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


@pytest.mark.parametrize("name", ["explanandum", *OBJECTIVES])
def test_weight_decay_is_for_matrices(name):
    """The same parameters as transformers' Trainer decays: no bias, nothing of a normalization."""
    explanandum = small_explanandum()
    if name == "explanandum":
        task = ClassificationTask(explanandum)
    else:
        settings = OBJECTIVES[name].Settings()
        explainer = OBJECTIVES[name].make_explainer(settings, NetworkSettings(6, 5, 2), explanandum)
        task = OBJECTIVES[name](explainer, explanandum, settings, 0)
    decayed, others = (
        {id(parameter) for parameter in group["params"]} for group in parameter_groups(task, 0.3)
    )
    assert [group["weight_decay"] for group in parameter_groups(task, 0.3)] == [0.3, 0.0]
    plain = {
        id(parameter)
        for name, parameter in task.named_parameters()
        if "bias" in name or "norm" in name.lower()
    }
    assert others == plain
    assert others
    assert decayed == {id(parameter) for parameter in task.parameters()} - plain


def one_step(file, folder, task, rows):
    """The parameters' gradients, the loss and the terms after one step with a batch of `rows`."""
    settings = TrainingSettings(**SETTINGS | {"batch_size": len(rows)})
    batches = Batches(file, 1)
    loop = Loop(task, settings, batches, batches, folder, seed=3, threads=1)
    kept = []
    loop.optimizer.step = lambda: kept.extend(p.grad.clone() for p in task.parameters())
    loop.step(batches.__getitems__(list(rows)))
    return kept, loop.sums, loop


@pytest.mark.parametrize("rows", [[0, 1, 2, 3], [7, 2, 5, 0, 6, 1, 3, 4], [3]])
@pytest.mark.parametrize("room", [1, 8, 16])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(eight, tmp_path, monkeypatch, rows, room):
    seen = []

    class Task(ClassificationTask):
        def forward(self, batch, labels):
            seen.append(batch.ids.shape)
            return super().forward(batch, labels)

    model = small_explanandum()  # no dropout
    whole, sums, _ = one_step(eight, tmp_path, Task(model), rows)
    assert seen == [(len(rows), eight.lengths[rows].max())]
    seen.clear()
    monkeypatch.setattr(batch, "LONG", room)
    parts, others, loop = one_step(eight, tmp_path, Task(model), rows)
    assert sum(n for n, _ in seen) == len(rows)
    assert all(n == 1 or n * longest**2 <= len(rows) * room**2 for n, longest in seen)
    assert loop.divided == (len(seen) > 1) == (len(rows) > 1)
    for one, other in zip(parts, whole, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(others, sums)


@pytest.mark.parametrize("name", ["explanandum", *OBJECTIVES])
def test_validation_in_parts_gives_the_same_numbers(eight, tmp_path, monkeypatch, name):
    """Also where they follow from draws: each part has the keys of its sequences."""
    made, model = [], small_explanandum()
    if name == "explanandum":
        task = ClassificationTask(model)
    else:
        settings = OBJECTIVES[name].Settings()
        explainer = OBJECTIVES[name].make_explainer(settings, NetworkSettings(6, 5, 1), model)
        task = OBJECTIVES[name](explainer, model, settings, seed=1)
    batches, settings = Batches(eight, 1), TrainingSettings(**SETTINGS)
    for room in (512, 12, 5):
        monkeypatch.setattr(batch, "LONG", room)
        loop = Loop(task, settings, batches, batches, tmp_path, seed=3, threads=1)
        made.append(loop._evaluate())
        assert loop.divided == (room < 512)
    assert made[0] == pytest.approx(made[1], abs=1e-6)
    assert made[0] == pytest.approx(made[2], abs=1e-6)


class Copies(TorchFunctionMode):
    """Notes the tensors that are made of numbers for a device: on a GPU each waits for its queue."""

    def __init__(self):
        super().__init__()
        self.made = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function in (torch.tensor, torch.as_tensor) and "device" in kwargs:
            self.made.append(args)
        return function(*args, **kwargs)


@pytest.mark.parametrize(
    "changed", [None, {}, {"target": "class"}, {"target": "class", "reads": "tokens"}]
)
def test_the_draws_of_a_step_wait_for_no_gpu(eight, tmp_path, changed):
    model = small_explanandum()
    if changed is None:
        task = ClassificationTask(model, occlusion=0.5).train()
    else:
        objective = OBJECTIVES["sharp"]
        settings = objective.Settings(**changed)
        explainer = objective.make_explainer(settings, NetworkSettings(6, 5, 1), model)
        task = objective(explainer, model, settings, seed=1).train()
    with Copies() as copies:
        one_step(eight, tmp_path, task, range(8))
    assert copies.made == []


def test_the_explainer_trains_with_one_long_sequence(tmp_path, monkeypatch):
    """The long one is computed alone, and no other is padded to its length."""
    file = write_tokens(
        tmp_path / "t.arrow",
        [[CLS, *[FIRST_KMER + n] * (2000 if n == 2 else 20)] for n in range(6)],
        np.zeros((6, 2), np.int64),
        np.arange(6, dtype=np.uint64),
    )
    shapes = []
    model = small_explanandum()
    encode = model.adapter.encode
    monkeypatch.setattr(
        model.adapter,
        "encode",
        lambda given, *rest, **named: (
            shapes.append(tuple(given.shape[:2])) or encode(given, *rest, **named)
        ),
    )
    for name in ("paper", "sharp"):
        shapes.clear()
        objective = OBJECTIVES[name]
        settings = objective.Settings()
        explainer = objective.make_explainer(settings, NetworkSettings(6, 5, 1), model)
        task = objective(explainer, model, settings, seed=1)
        _, sums, _ = one_step(file, tmp_path, task, range(6))
        assert torch.isfinite(sums).all()
        assert {length for _, length in shapes} == {21, 2001}
        assert max(n for n, length in shapes if length == 2001) <= 2  # both passes of the paper's
