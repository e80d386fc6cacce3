# Validation of the configuration, and the functions that rules use.

import json
import shlex
from pathlib import Path
from urllib.parse import unquote, urlsplit

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate


def contradictions():
    """What the schema cannot see: values that do not go together, in words."""
    split, area = config["split"], config["explainer"]["objective"]
    if split["test"] + split["validation"] >= 1:
        yield "split.test and split.validation leave nothing to train on: lower one"
    if area["min_area"] > area["max_area"]:
        yield "explainer.objective.min_area is above max_area: exchange them"
    for section in ("explanandum", "explainer"):
        batch, gpus = (config[section][key] for key in ("batch_size", "gpus"))
        if batch % gpus:
            yield f"{section}.batch_size {batch} is no multiple of {section}.gpus {gpus}"


validate(config, "../schemas/config.schema.yaml")
for problem in contradictions():
    raise WorkflowError(f"config: {problem}")

PROJECT = Path(workflow.basedir).parent
PAPER = PROJECT / "resources" / "paper"
RANKS = config["ranks"]
VARIANT = config["explainer"]["variant"]
OTHER_VARIANT = {"paper": "sharp", "sharp": "paper"}[VARIANT]
OTHERS = [OTHER_VARIANT] if config["explainer"]["both"] else []
METHODS = [*config["attributions"]["methods"], *(f"explainer_{v}" for v in OTHERS)]
# the method of the comparison that the sharp variant is
SHARP = "explainer" if VARIANT == "sharp" or not OTHERS else "explainer_sharp"
COMPILE = "--compile" if config["evaluation"]["compile"] else ""
RUNS = range(config["runs"]["number"])
CLASS_SOURCES = config["class_explanations"]["sources"]

# Neither a file to watch nor parameters: a checkout that moves must not rerun a training, and how
# often a training is written down changes no result.
shell.prefix(
    f"export SCRIPTS={shlex.quote(str(PROJECT / 'scripts'))}"
    f" CHECKPOINT_MINUTES={config['checkpoint_minutes']}; "
)


def settings(section):
    """A section of the configuration as JSON, for the command line of a script."""
    return json.dumps(config[section], sort_keys=True)


def explainer_settings(variant):
    """The Explainer's section, for one of its variants."""
    given = {key: value for key, value in config["explainer"].items() if key != "both"}
    return json.dumps(given | {"variant": variant}, sort_keys=True)


def variant_settings(wildcards):
    return explainer_settings(wildcards.variant)


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
        "results/run.json",
    ]
    if "simulation" in config:
        wanted.append("results/localization.tsv")
    wanted += [f"results/report/{page}.html" for page in PAGES]
    figures = [
        "training",
        "table1",
        "confusion",
        "sequences",
        "masks",
        "chunks",
        "keep_remove",
        "steering",
    ]
    if "lime" in METHODS:
        figures.append("lime")
    figures += expand("classes_{source}_{rank}", source=CLASS_SOURCES, rank=RANKS)
    wanted += [f"results/figures/{name}.svg" for name in figures]
    wanted += expand(
        "results/variants/{variant}/figures/{name}.svg",
        variant=OTHERS,
        name=["sequences", "table1"],
    )
    return wanted


def run_seed(wildcards):
    """The seed of a further run."""
    return config["seed"] + int(wildcards.run)


def model_of_run(model, run):
    """The weights of the Explanandum or the Explainer that a run uses; run 0 has those of the chain."""
    again = int(run) > 0 and (
        model == "explainer" or config["runs"]["kind"] == "explanandum"
    )
    return (
        f"results/runs/{run}/{model}/model.safetensors"
        if again
        else f"results/{model}/model.safetensors"
    )


def explanandum_of_run(wildcards):
    return model_of_run("explanandum", wildcards.run)


def explainer_of_run(wildcards):
    return model_of_run("explainer", wildcards.run)


def other_explainers(wildcards):
    """The Explainers of the further runs, for the agreement between seeds; only the Explainer's."""
    if not wildcards.method.startswith("explainer"):
        return []
    return [explainer_of_method(wildcards, run) for run in RUNS if run]


def explainer_of_method(wildcards, run=0):
    """The Explainer that a method of the comparison asks, where it asks one."""
    variant = wildcards.method.removeprefix("explainer_")
    if variant in OTHERS:
        return f"results/variants/{variant}/runs/{run}/explainer/model.safetensors"
    return model_of_run("explainer", run)


def method_settings(wildcards):
    """The settings of a method of the comparison as JSON."""
    # the other variant is in no configuration: it is asked as the first one is
    given = config["attributions"]["methods"].get(
        wildcards.method, {"method": "explainer"}
    )
    return json.dumps(given, sort_keys=True)


def if_simulated(path):
    """The file, where the data are simulated; else nothing."""
    return [path] if "simulation" in config else []


def planted_options(wildcards, input, output):
    """The options of explain_classes for simulated data."""
    if not input.planted:
        return ""
    return f"--planted {input.planted} --test {input.test} --planted-table {output.planted}"


def option(name, values):
    """An option with its values for a command line; nothing where there are none."""
    values = [values] if isinstance(values, str) else values
    return f"{name} {' '.join(map(str, values))}" if values else ""


def part_option(wildcards):
    """Which part of the work a job of a scattered rule does (scatter.smk)."""
    return option("--part", wildcards.get("scatteritem"))


def planted_option(wildcards, input):
    return option("--planted", input.planted)


def explainers_option(wildcards, input):
    return option("--explainers", [Path(path).parent for path in input.explainers])


def if_compared(method):
    """The scores of a method, where the configuration has it; else nothing."""
    return [f"results/attributions/{method}.parquet"] if method in METHODS else []


def default_option(wildcards, input):
    return option("--captum-default", input.default)
