"""Settings, inputs and a task with known losses that the tests of training share."""

import importlib.util
import json
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from helpers_evaluation import BACKBONE, CLASSES, small_explanandum, write_tokens
from torch import nn

from whatyouread.data.six_mers import CLS, FIRST_KMER
from whatyouread.models.saving import save_model

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
LAUNCHER = [sys.executable, str(SCRIPTS / "whatyouread" / "training" / "launch.py")]
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
    "objective": "paper",
}
TERMS = ["classification", "entropy", "area", "variation"]


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

    def forward(self, batch, labels):
        if self.training:
            if self.dies_at is not None and self.steps >= self.dies_at:
                raise Killed
            self.steps += 1
            loss = (self.w * torch.rand(3) * batch.ids.float().mean()).sum() / 1000
        else:
            loss = torch.tensor(self.script[int(self.steps) // self.steps_per_epoch - 1])
        return {"loss": loss, "values": torch.full((len(batch), 1), float(self.steps))}

    def track(self, values):
        return values.mean(0)

    def summarize(self, values, labels):
        return {"steps": float(values.mean())}


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


def arguments(name, inputs, folder, **changed):
    """What the program `name` is called with, as a dictionary."""
    own = {"train_explanandum": EXPLANANDUM, "train_explainer": EXPLAINER}.get(name, {})
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
    result |= {"explanandum": inputs / "explanandum"}
    return result | ({"judge": None} if name == "train_explainer" else {})


def command_line(name, inputs, folder, **changed):
    values = arguments(name, inputs, folder, **changed)
    values["settings"] = json.dumps(values["settings"])
    command = [str(SCRIPTS / f"{name}.py"), "--log", str(folder / "train.log")]
    for option, value in values.items():
        if value is not None:
            command += [f"--{option.replace('_', '-')}", str(value)]
    return command


def run(name, inputs, folder, **changed):
    program(name).main(Namespace(**arguments(name, inputs, folder, **changed)))
    return folder / "out"


def read_history(folder):
    return pd.read_csv(folder / "history.tsv", sep="\t")
