"""What the tests of whole runs share: a tiny configuration, and Snakemake as a process."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import yaml
from helpers_warm import python

PROJECT = Path(__file__).resolve().parents[1]
SNAKEFILE = PROJECT / "workflow" / "Snakefile"

_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 1))
_CORES = max(1, (os.cpu_count() or 1) // _WORKERS)
JOBS = ("--cores", f"{_CORES}", "--resources", f"gpu_jobs={_CORES}", "--max-threads", "1")
"""Options for a run on a test's share of the cores: a job on each, in one thread, as in `make demo`."""
PLAN = ("--quiet", "host", "--dry-run", "--printshellcmds")
"""Options that print what would be run."""

TINY = {
    "seed": 7,
    "simulation": {
        "sequences": 600,
        "length": 300,
        "superkingdoms": 4,
        "phyla": 8,
        "genera": 20,
        "segment_length": 30,
        "segments_per_phylum": 1,
        "segments_per_genus": 1,
        "planted_per_sequence": [1, 3],
        "mutation_rate": 0.0,
        "both_strands": False,
        "superkingdom_spread": 0.2,
        "phylum_spread": 0.05,
        "genus_size_spread": 0.2,
    },
    "dataset": {"url": "file:resources/simulated/dataset.zip"},
    "taxdump": {"url": "file:resources/simulated/taxdmp.zip"},
    "backbone": {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    },
    "split": {"test": 0.2, "validation": 0.1, "explainer_train": 0.3, "explainer_validation": 1.0},
    "explanandum": {"epochs": 2, "batch_size": 32, "learning_rate": 0.005, "reading_offset": True},
    "explainer": {"epochs": 1, "hidden_size": 8, "learning_rate": 0.005},
    "baselines": {"search_sequences": 16, "position_steps": 3},
    "runs": {"number": 2},
    "attributions": {
        "sequences": 12,
        "again": 3,
        "methods": {
            "integrated_gradients": {"steps": 2},
            "gradient_x_input": {},
            "ablation_window": {"method": "ablation", "window": 10},
            "lime": {"samples": 20},
            "kernel_shap": {"samples": 20},
            "occlusion_gradients": {"samples": 2},
            "attention_rollout": {},
            "random": {},
        },
    },
    "judge": {"epochs": 1},
    "faithfulness": {"curve_points": 4, "infidelity_samples": 3, "resamples": 20},
    "class_explanations": {"sequences": 60, "steps": 2, "min_probability": 0.0},
    "figures": {"sequences": 2, "classes": 4},
}


def snakemake(
    folder: Path,
    *arguments: str,
    snakefile: Path = SNAKEFILE,
    cold: bool = False,
    **environment: str,
) -> subprocess.CompletedProcess:
    """Run Snakemake in a folder, without a GPU; it and its jobs start warm, or cold as for a user."""
    started = sys.executable if cold else python()
    command = [started, "-m", "snakemake", "--snakefile", snakefile, "--directory", folder]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [*map(str, command), *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": path, "CUDA_VISIBLE_DEVICES": ""} | environment,
        stdin=subprocess.DEVNULL,
    )


def jobs(done: subprocess.CompletedProcess) -> dict[str, int]:
    """The planned jobs of each rule, by the table of a dry run."""
    assert done.returncode == 0, done.stderr + done.stdout
    found = re.findall(r"^(\w+) +(\d+)$", done.stdout + done.stderr, re.MULTILINE)
    return {rule: int(count) for rule, count in found if rule != "total"}


def write_config(folder: Path, config: dict) -> Path:
    """Write FOLDER/config/config.yaml, which Snakemake finds by itself there; returns the folder."""
    path = folder / "config" / "config.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    return folder


def copy_checkout(folder: Path) -> Path:
    """Copy what the workflow needs of this checkout into a new folder; returns its Snakefile."""
    for name in ("workflow", "scripts", "envs", "resources/paper"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT / name, folder / name, ignore=ignored)
    return folder / "workflow" / "Snakefile"


def complaint(folder: Path, *targets: str, files: list[Path] = (), values: list[str] = ()) -> str:
    """What planning some targets says where it fails, else nothing; in this process, so quickly.

    files, values: as for --configfile and --config.
    """
    from snakemake.exceptions import RuleException, WorkflowError
    from snakemake.settings.types import DAGSettings

    with _workflow(folder, files, values) as workflow:
        try:
            dag = workflow.dag(dag_settings=DAGSettings(targets=set(targets)))
            dag.execute_workflow(executor="dryrun")
        except (RuleException, WorkflowError) as error:
            return str(error)
    return ""


def understood(folder: Path, files: list[Path] = (), values: list[str] = ()) -> dict:
    """The variables of the workflow, such as `config` and `MAIN`, after it has read all of these.

    Its functions are to be called before the next workflow is read: all share their global variables.
    """
    with _workflow(folder, files, values) as workflow:
        return dict(workflow._workflow.globals)


@contextmanager
def _workflow(folder, files, values):
    from snakemake.api import SnakemakeApi
    from snakemake.cli import parse_config
    from snakemake.settings.types import ConfigSettings, OutputSettings, ResourceSettings

    with SnakemakeApi(OutputSettings(quiet={"all"}, dryrun=True)) as api:
        yield api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(config=parse_config(values), configfiles=files),
            snakefile=SNAKEFILE,
            workdir=folder,
        )


CONDA = """#!/bin/sh
case "$1" in
info) echo '{"conda_prefix": "/nowhere", "platform": "linux-64"}';;
config) echo '{"get": {"channel_priority": "strict"}}';;
*) echo 'conda 26.1.0';;
esac
"""


class StubConda:
    """A folder to plan in with a conda on PATH that only says that it is there.

    Snakemake asks for its version even in a dry run. Further programs can be added.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.add("conda", CONDA)

    def add(self, name: str, text: str) -> None:
        """Put a program on PATH."""
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755)

    def run(self, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
        """Run a command in the folder."""
        path = [self.folder / "bin", Path(python()).parent, Path(sys.executable).parent]
        return subprocess.run(
            list(map(str, command)),
            cwd=cwd or self.folder,
            capture_output=True,
            text=True,
            env=os.environ | {"PATH": os.pathsep.join(map(str, [*path, os.environ["PATH"]]))},
            stdin=subprocess.DEVNULL,
        )

    def snakemake(self, *arguments: str) -> subprocess.CompletedProcess:
        """Run Snakemake in the folder."""
        return self.run("snakemake", "--snakefile", SNAKEFILE, *arguments)
