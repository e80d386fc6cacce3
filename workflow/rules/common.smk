# Validation of the configuration, and the functions that rules use.

import json
import shlex
from pathlib import Path
from urllib.parse import unquote, urlsplit

from snakemake.utils import validate

validate(config, "../schemas/config.schema.yaml")

PROJECT = Path(workflow.basedir).parent
PAPER = PROJECT / "resources" / "paper"
RANKS = config["ranks"]

# Neither a file to watch nor a parameter: a checkout that moves must not rerun a training.
shell.prefix(f"export SCRIPTS={shlex.quote(str(PROJECT / 'scripts'))}; ")


def settings(section):
    """A section of the configuration as JSON, for the command line of a script."""
    return json.dumps(config[section], sort_keys=True)


def local_source(section):
    """The file or folder that a `url` names, as a list; empty when it lies on a server."""
    url = config[section]["url"]
    parts = urlsplit(url)
    if parts.scheme == "file":
        return [unquote(parts.path)]
    return [] if parts.scheme in ("http", "https", "ftp") else [url]


def checks(section):
    """The options for the digest and the size, where the configuration gives them."""
    given = config[section]
    return [f"--{key}={given[key]}" for key in ("sha256", "size") if key in given]


def launcher(section):
    """How a training is started: by torchrun where it is to use several GPUs."""
    gpus = config[section]["gpus"]
    if gpus == 1:
        return "python"
    # the dashes end torchrun's own options: it would take --log for one of them
    return f"python -m torch.distributed.run --standalone --nproc-per-node {gpus} --"


def number_of_gpus(section):
    """The GPUs to ask a cluster for."""
    return config[section]["gpus"]


def backbone_path(wildcards):
    """The local folder of a backbone, so that a change in it is seen; else nothing."""
    return [config["backbone"]["path"]] if "path" in config["backbone"] else []


def final_outputs():
    """What a plain `snakemake` makes: everything that the configuration has a basis for."""
    wanted = [
        "results/table1.tsv",
        "results/table1.md",
        "results/table1_controls.tsv",
        "results/explanandum/blank.tsv",
        "results/explainer/losses.tsv",
        "results/run.json",
    ]
    if "simulation" in config:
        wanted.append("results/localization.tsv")
    return wanted
