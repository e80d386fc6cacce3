"""A further objective is a module, a line in the registry, and an entry in the configuration."""

import json
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from helpers_workflow import PROJECT, TINY, copy_checkout, snakemake, write_config

MODULE = '''
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
        explanandum = self.explanandum_on(batch.device)
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
EXPLAINERS = {"few": {"objective": "sparse", "sparsity": 2.0, "learning_rate": 0.01}}


@pytest.mark.slow
def test_a_new_objective_needs_no_further_change(tmp_path):
    snakefile = copy_checkout(tmp_path / "checkout")
    explainers = tmp_path / "checkout" / "scripts" / "whatyouread" / "explainers"
    (explainers / "sparse.py").write_text(MODULE.lstrip())
    registry = explainers / "objectives.py"
    text = registry.read_text().replace(
        "OBJECTIVES: dict[str, type[Objective]] = {",
        "from whatyouread.explainers.sparse import SparseObjective\n\n"
        'OBJECTIVES: dict[str, type[Objective]] = {\n    "sparse": SparseObjective,',
    )
    assert "SparseObjective" in text
    registry.write_text(text)
    config = TINY | {
        "simulation": TINY["simulation"] | {"sequences": 300},
        "explainers": EXPLAINERS,
        "attributions": TINY["attributions"] | {"methods": {"random": {}}},
    }
    folder = write_config(tmp_path / "run", config)
    wanted = ("results/table1.tsv", "results/summary.md", "results/comparison.tsv")
    options = ("--cores", "2", "--resources", "gpu_jobs=2", "--", *wanted)
    done = snakemake(folder, *options, snakefile=snakefile)
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
    command = [sys.executable, PROJECT / "scripts" / "train_explainer.py"]
    for name, value in options.items():
        command += [f"--{name}", value]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert done.stderr.count("ERROR") == 1
    assert "Traceback" not in done.stderr
