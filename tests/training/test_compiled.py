"""Every training with `compile: true`, on batches of two lengths: the same steps as without."""

import os
import shutil

import numpy as np
import pytest
import torch
from helpers_evaluation import BACKBONE, CLASSES, random_sequences, small_explanandum, write_tokens
from helpers_training import SETTINGS

from whatyouread.data import batch
from whatyouread.explainers import network
from whatyouread.explainers.objective import NetworkSettings
from whatyouread.explainers.objectives import OBJECTIVES
from whatyouread.models.explanandum import Explanandum
from whatyouread.support.cli import UserError
from whatyouread.training import loop as loops
from whatyouread.training.batches import Batches
from whatyouread.training.classification import ClassificationTask
from whatyouread.training.settings import TrainingSettings
from whatyouread.training.train import train

# name -> (share of occluded sequences, either strand, any offset)
CLASSIFIERS = {
    "plain": (0.0, False, False),
    "occluded, either strand, any offset": (0.5, True, True),
}
EXPLAINERS = {
    "paper": ("paper", {}),
    "relaxed": ("paper", {"operator": "relaxed", "target_mask": "mean", "denominator": "mask"}),
    "sharp, classes": ("sharp", {"target": "class", "reads": "hidden"}),
    "sharp, sequence": ("sharp", {"target": "sequence", "reads": "tokens"}),
    "attnlrp": ("attnlrp", {}),
    "joint": ("joint", {"target": "class"}),
}


@pytest.fixture(scope="module")
def two_lengths(tmp_path_factory):
    """12 sequences of 12 tokens and 12 of up to 20, in batches of either: lengths, sizes, padding."""
    sequences, labels, keys = random_sequences(24, shortest=19, longest=20)
    for row in range(24):
        length = 12 if row % 8 < 4 else 15 + row % 6
        sequences[row] = sequences[row][:length]
    return write_tokens(tmp_path_factory.mktemp("two") / "t.arrow", sequences, labels, keys)


def pinning(values, device):
    """`on_device`; in compiled code also as for a GPU, whose copies are pinned, which cannot be compiled."""
    if torch.compiler.is_compiling():
        batch.on_device(values, "meta")
    return batch.on_device(values, device)


class InTurn(loops.EpochSampler):
    """The same batches in every epoch: rows as they stand, so that lengths alternate."""

    def __iter__(self):
        for start in range(self.first * self.size, self.rows, self.size):
            rows = np.arange(start, min(start + self.size, self.rows))
            yield (rows + self.epoch * self.rows).tolist()


def task_of(name):
    torch.manual_seed(0)
    if name in CLASSIFIERS:
        backbone = BACKBONE | {"hidden_dropout_prob": 0.0}
        return ClassificationTask(Explanandum(backbone, CLASSES), CLASSIFIERS[name][0])
    kind, settings = EXPLAINERS[name]
    objective, explanandum = OBJECTIVES[kind], small_explanandum()
    settings = objective.Settings(**settings)
    explainer = objective.make_explainer(settings, NetworkSettings(6, 5, 2), explanandum)
    return objective(explainer, explanandum, settings, 0)


def play(name, file, folder, compiled):
    turn, shift = CLASSIFIERS[name][1:] if name in CLASSIFIERS else (False, False)
    task = task_of(name)
    settings = TrainingSettings(
        **SETTINGS | {"batch_size": 4, "epochs": 1, "compile": compiled, "learning_rate": 0.001}
    )
    history = train(
        task, settings, Batches(file, 1, turn, shift), Batches(file, 1), folder, {}, seed=3,
        threads=1,
    )  # fmt: skip
    return task, history


def compare(name, file, tmp_path, monkeypatch, backend):
    torch._dynamo.reset()
    compiler = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **kind: compiler(f, backend=backend, **kind))
    monkeypatch.setattr(loops, "EpochSampler", InTurn)
    monkeypatch.setattr(network, "on_device", pinning)
    _, plain = play(name, file, tmp_path / "plain", False)
    _, history = play(name, file, tmp_path / "compiled", True)
    for column in plain:
        tolerance = 1e-4 if backend == "aot_eager" else 1e-3
        np.testing.assert_allclose(history[column], plain[column], rtol=tolerance, err_msg=column)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["occluded, either strand, any offset", *EXPLAINERS])
def test_traced(name, two_lengths, tmp_path, monkeypatch):
    """Traced with symbolic sizes, forwards and backwards, but computed by torch: every training."""
    compare(name, two_lengths, tmp_path, monkeypatch, "aot_eager")


@pytest.mark.slow
def test_compiled(two_lengths, tmp_path, monkeypatch):
    """One training that draws nothing, because inductor draws other numbers; a minute of g++."""
    if not shutil.which(os.environ.get("CXX", "g++")):
        pytest.skip("no C++ compiler")
    compare("plain", two_lengths, tmp_path, monkeypatch, "inductor")


@pytest.mark.parametrize("name", ["plain", "paper"])
def test_no_compiler_is_found_before_training_starts(name, two_lengths, tmp_path, monkeypatch):
    def compiled(*_, **__):
        raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found\n\nSet TORCHDYNAMO")

    monkeypatch.setattr(torch, "compile", lambda f, **_: compiled)
    with pytest.raises(
        UserError, match=r"install a C\+\+ compiler .* or set compile: false"
    ) as caught:
        play(name, two_lengths, tmp_path / "c", True)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "c").exists()
