"""What ARCHITECTURE.md says: to add one's own is a module, a line in a registry, and a configuration."""

import json
import re
import subprocess

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from helpers_warm import python
from helpers_workflow import JOBS, PROJECT, TINY, copy_checkout, snakemake, write_config

OBJECTIVE = '''
"""Keep the classifier's answer with as little mask as possible."""

import dataclasses

import torch

from whatyouread.explainers.network import Explainer
from whatyouread.explainers.objective import Objective
from whatyouread.models.levels import level_losses
from whatyouread.models.mask_operator import masked_logits, own_and_other_masks, target_mask


@dataclasses.dataclass(frozen=True)
class Settings:
    sparsity: float = 1.0


class SparseObjective(Objective):
    Settings = Settings
    tracked = ("size",)

    @classmethod
    def make_explainer(cls, settings, network, explanandum):
        return Explainer(explanandum.config["classes"], *network)

    def forward(self, batch, labels):
        explanandum = self.explanandum
        own, _ = own_and_other_masks(self.explainer(batch), self.explainer.columns(labels))
        mask = target_mask(own)
        logits = masked_logits(explanandum, batch, mask)
        size = (mask * batch.valid).sum(1) / batch.valid.sum(1)
        loss = sum(level_losses(explanandum.levels, logits, labels)) + self.settings.sparsity * size
        return {"loss": loss.mean(), "values": size.detach().unsqueeze(1)}

    def track(self, values):
        return values.mean(0)

    def summarize(self, values, labels):
        return {"size": float(values.mean())}
'''
TOKENIZER = '''
"""A token for each base, `<s>` before them and `</s>` after them."""

import numpy as np

from whatyouread.data.tokenizer import Tokenizer


class Bases(Tokenizer):
    name = "bases"
    vocabulary = ("</s>", "<pad>", "A", "C", "G", "T", "N", "<s>")
    pad = 1
    special = (0, 1, 7)
    before, after = (7,), (0,)

    def tokenize(self, text, offsets):
        of_byte = np.full(256, 6, self.dtype)
        of_byte[list(b"ACGT")] = range(2, 6)
        ids = np.insert(of_byte[text], np.repeat(offsets, 2)[1:-1], np.tile([7, 0], len(offsets) - 1))
        return ids, offsets + 2 * np.arange(len(offsets))

    def widths(self, ids):
        return np.where(self.is_special[ids], 0, 1)


BASES = Bases()
'''
LABELS = '''
"""Labels in the headers: `>FAMILY;GENUS anything`."""

from dataclasses import dataclass

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.data.label_source import LabelSource


class Lineages(LabelSource):
    @dataclass(frozen=True)
    class Settings:
        separator: str = "|"

    key = pa.field("lineage", pa.string())
    path = "names"

    def __init__(self, file, settings):
        self.separator = settings.separator

    def keys(self, batch):
        words = pc.list_element(pc.split_pattern(batch.headers, " "), 0)
        for row, word in enumerate(words.to_pylist()):
            if not word:
                raise batch.error(row, "a header without a lineage")
        return words.cast(self.key.type)

    def labels(self, keys, levels):
        split = [text.split(self.separator) for text in keys.to_pylist()]
        made = {"lineage": keys.to_pylist()}
        for i, level in enumerate(levels):
            made[level] = [names[i] if len(names) > i else "" for names in split]
            paths = [self.separator.join(names[: i + 1]) for names in split]
            made[f"{level}_names"] = [p if n else None for p, n in zip(paths, made[level])]
        return pd.DataFrame(made).assign(problem="")
'''
FAMILY = '''
"""An encoder that reads each token with its two neighbours, twice."""

from types import SimpleNamespace

import torch
from torch import nn

from whatyouread.models.adapter import EncoderAdapter
from whatyouread.models.weights import read_tensors
from whatyouread.support.cli import UserError


class Neighbours(nn.Module):
    def __init__(self, config):
        super().__init__()
        size = config["hidden_size"]
        self.config = SimpleNamespace(hidden_size=size)
        self.words = nn.Embedding(config["vocab_size"], size)
        self.layers = nn.ModuleList(nn.Conv1d(size, size, 3, padding=1) for _ in range(2))

    def forward(self, embeddings, keep):
        hidden = embeddings
        for layer in self.layers:
            hidden = hidden + layer((hidden * keep).transpose(1, 2)).transpose(1, 2).tanh()
        return SimpleNamespace(last_hidden_state=hidden)


class NeighboursAdapter(EncoderAdapter):
    model_type = "neighbours"

    @classmethod
    def check(cls, config, path):
        if "hidden_size" not in config:
            raise UserError(f"{path} has no hidden_size")

    @classmethod
    def build(cls, config):
        return Neighbours(config)

    def load(self, folder):
        tensors = read_tensors(folder)
        self.encoder.load_state_dict(tensors)
        return {"loaded": sorted(tensors), "unused": []}

    def embed(self, ids):
        return self.encoder.words(ids)

    def encode(self, embeddings, batch):
        keep = batch.valid.unsqueeze(-1).to(embeddings.dtype)
        return self.encoder(embeddings, keep).last_hidden_state

    def encode_relaxed(self, embeddings, mask, batch):
        return self.encode(embeddings * mask.unsqueeze(-1), batch)

    def attentions(self, batch):
        raise UserError("this encoder has no attention")
'''
EXPLAINERS = {"few": {"objective": "sparse", "sparsity": 2.0, "learning_rate": 0.01}}


def add(checkout, package, name, module, registry, line):
    """Write a module into a copy of the checkout, and a line into the registry of its package."""
    folder = checkout / "scripts" / "whatyouread" / package
    (folder / f"{name}.py").write_text(module.lstrip())
    path = folder / f"{registry}.py"
    registered = (
        rf'from whatyouread.{package}.{name} import {line}\n\n\1\n    "{name}": {line},\n    '
    )
    text, found = re.subn(
        r"^(\w+: dict\[.*\] = \{)", registered, path.read_text(), flags=re.MULTILINE
    )
    assert found == 1, f"{path} has no registry"
    path.write_text(text)


def lettered_dataset(path, sequences=240, length=60):
    """FASTA of four genera of two families, which a motif in each sequence tells apart."""
    rng = np.random.default_rng(3)
    genera = ["Aus|Aus a", "Aus|Aus b", "Bus|Bus a", "Bus|Bus b"]
    with open(path, "w") as stream:
        for i in range(sequences):
            genus = i % 4
            bases = "".join(rng.choice(list("ACGT"), length))
            place = int(rng.integers(length - 12))
            motif = ["ACACACAC", "AGAGAGAG", "TCTCTCTC", "TGTGTGTG"][genus]
            lineage = genera[genus].replace(" ", "_") if i else "Aus"  # the first has no genus
            bases = bases[:place] + motif + bases[place + 8 :]
            stream.write(f">{lineage} number {i}\n{bases}\n")


def neighbours_backbone(folder):
    """A folder with the configuration and random weights of an encoder of `FAMILY`."""
    from safetensors.torch import save_file

    torch.manual_seed(5)
    folder.mkdir()
    config = {"model_type": "neighbours", "hidden_size": 12, "vocab_size": 8}
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {"words.weight": torch.randn(8, 12)}
    for layer in range(2):
        tensors[f"layers.{layer}.weight"] = torch.randn(12, 12, 3) / 6
        tensors[f"layers.{layer}.bias"] = torch.zeros(12)
    save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.mark.slow
def test_a_tokenizer_a_label_source_and_a_model_family_need_no_further_change(tmp_path):
    snakefile = copy_checkout(tmp_path / "checkout")
    for added in (
        ("data", "bases", TOKENIZER, "tokenizers", "BASES"),
        ("data", "piped", LABELS, "label_sources", "Lineages"),
        ("models", "neighbours", FAMILY, "adapters", "NeighboursAdapter"),
    ):
        add(tmp_path / "checkout", *added)
    lettered_dataset(tmp_path / "own.fasta")
    (tmp_path / "nothing").mkdir()
    config = TINY | {
        "dataset": {"url": str(tmp_path / "own.fasta")},
        "labels": {"source": "piped", "separator": "|", "file": str(tmp_path / "nothing")},
        "tokenizer": "bases",
        "ranks": ["family", "genus"],
        "backbone": {"path": str(neighbours_backbone(tmp_path / "backbone"))},
        "explanandum": {"epochs": 4, "batch_size": 16, "learning_rate": 0.02},
        "explainers": {"sharp": {"objective": "sharp"}},
        "runs": {"number": 2, "kind": "explanandum"},
        "attributions": {"sequences": 8, "again": 2, "methods": {"random": {}}},
    }
    del config["simulation"]
    folder = write_config(tmp_path / "run", config)
    wanted = ("results/table1.tsv", "results/summary.md", "results/comparison.tsv")
    wanted += ("results/explainers/sharp/figures/sequences.svg",)
    done = snakemake(folder, *JOBS, "--", *wanted, snakefile=snakefile)
    assert done.returncode == 0, done.stderr[-4000:]
    labels = pd.read_csv(folder / "results/taxonomy/labels.tsv", sep="\t", index_col="lineage")
    assert labels["status"]["Aus"] == "no genus"
    classes = pd.read_csv(folder / "results/taxonomy/classes.tsv", sep="\t")
    assert list(classes["names"]) == [
        "Aus",
        "Bus",
        "Aus|Aus_a",
        "Aus|Aus_b",
        "Bus|Bus_a",
        "Bus|Bus_b",
    ]
    masks = pd.read_parquet(folder / "results/explainers/sharp/masks.parquet")
    # `<s>` and `</s>` are no content, each base is a token
    content = np.stack(masks["content"])
    assert content.shape[1] == 62
    assert (~content[:, [0, -1]]).all()
    assert content[:, 1:-1].all()
    table = pd.read_csv(folder / "results/table1.tsv", sep="\t")
    assert len(table) == 7
    model = json.loads((folder / "results/explainers/sharp/1/config.json").read_text())
    assert model["tokenizer"] == "bases"


@pytest.mark.slow
def test_a_new_objective_needs_no_further_change(tmp_path):
    snakefile = copy_checkout(tmp_path / "checkout")
    add(tmp_path / "checkout", "explainers", "sparse", OBJECTIVE, "objectives", "SparseObjective")
    config = TINY | {
        "simulation": TINY["simulation"] | {"sequences": 300},
        "explainers": EXPLAINERS,
        "attributions": TINY["attributions"] | {"methods": {"random": {}}},
    }
    folder = write_config(tmp_path / "run", config)
    wanted = ("results/table1.tsv", "results/summary.md", "results/comparison.tsv")
    done = snakemake(folder, *JOBS, "--", *wanted, snakefile=snakefile)
    assert done.returncode == 0, done.stderr[-4000:]
    history = pd.read_csv(folder / "results/explainers/few/0/history.tsv", sep="\t")
    assert {"training_size", "validation_size"} <= set(history.columns)
    table = pd.read_csv(folder / "results/table1.tsv", sep="\t")
    assert len(table) == 7
    comparison = pd.read_csv(folder / "results/comparison.tsv", sep="\t")
    assert {"explainer_few", "random"} <= set(comparison["method"])
    assert "few" in (folder / "results/summary.md").read_text()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"objective": "spars"}, "objective is 'spars': one of paper, sharp"),
        ({"objective": "sharp", "sparsity": 2.0}, "'sparsity'"),
    ],
)
def test_what_the_schema_does_not_know_the_program_does(tmp_path, settings, complaint):
    shared = yaml.safe_load((PROJECT / "config" / "config.yaml").read_text())["explainer"]
    options = {
        "settings": json.dumps(shared | settings), "explanandum": "none", "train": "none",
        "validation": "none", "seed": "1", "checkpoints": "none", "output-dir": "none",
    }  # fmt: skip
    command = [python(), PROJECT / "scripts" / "train_explainer.py"]
    for name, value in options.items():
        command += [f"--{name}", value]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert done.stderr.count("ERROR") == 1
    assert "Traceback" not in done.stderr
