# The configuration, checked and with its defaults, and the functions that rules use.

import json
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

# key of an older version -> what to do now
RENAMED_KEYS = {
    "scatter": "is now `parts`",
    "explainer.variant": "is gone: the first entry of `explainers` is the main one",
    "explainer.both": "is gone: every entry of `explainers` is trained",
    "explainer.objective": "is now in the entries of `explainers`, as in explainers.paper.min_area",
    "explainer.sharp": "is now in the entries of `explainers`, as in explainers.sharp.area",
    "attributions.methods.explainer": "is gone: every entry of `explainers` joins by itself",
}
# what an older version made in results/ and this one would neither use nor overwrite
OLD_RESULTS = (
    "results/explainer",
    "results/variants",
    "results/runs",
    "results/masks",
    "results/explanandum/model.safetensors",
)


def configured(key):
    """The value of a key like `explainer.both`; None where it is not in the configuration."""
    value = config
    for name in key.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def leftovers():
    """Keys and results of older versions, each as a line that says what to do."""
    for key, advice in RENAMED_KEYS.items():
        if configured(key) is not None:
            yield f"config: {key} {advice} (config/README.md)"
    if "explainer" in (configured("class_explanations.sources") or []):
        yield "config: class_explanations.sources: `explainer` is now `explainer_NAME`, as in explainer_paper"
    for path in filter(os.path.exists, OLD_RESULTS):
        yield (
            f"{path} was made by an older version, whose files lie elsewhere: rename the folder "
            "(mv results old_results) and run again; downloads in resources/ are kept"
        )


def contradictions():
    """What the schema cannot see: values that do not go together, in words."""
    split = config["split"]
    if split["test"] + split["validation"] >= 1:
        yield "split.test and split.validation leave nothing to train on: lower one"
    trained = {"explanandum": config["explanandum"]}
    trained |= {f"explainers.{name}": entry for name, entry in EXPLAINERS.items()}
    for section, entry in trained.items():
        if entry["batch_size"] % entry["gpus"]:
            yield f"{section}: batch_size {entry['batch_size']} is no multiple of gpus {entry['gpus']}"
        if entry.get("min_area", 0) > entry.get("max_area", 1):
            yield f"{section}: min_area is above max_area: exchange them"
    for source in set(CLASS_SOURCES) - {"integrated_gradients", *EXPLAINER_METHODS}:
        yield (
            f"class_explanations.sources: there is no {source}, only integrated_gradients, "
            f"{', '.join(EXPLAINER_METHODS)}"
        )


for line in leftovers():
    raise WorkflowError(line)

try:
    validate(config, "../schemas/config.schema.yaml")
except WorkflowError as error:
    wrong = error.__context__  # of jsonschema, which prints the schema as well
    if not hasattr(wrong, "absolute_path"):
        raise
    key = ".".join(map(str, wrong.absolute_path))
    raise WorkflowError(
        ": ".join(filter(None, ["config", key, wrong.message]))
    ) from None

RANKS = config["ranks"]
# name -> its whole settings, what all of them share included
EXPLAINERS = {
    name: config["explainer"] | own for name, own in config["explainers"].items()
}
MAIN = next(iter(EXPLAINERS))
EXPLAINER_METHODS = [f"explainer_{name}" for name in EXPLAINERS]
METHODS = [*EXPLAINER_METHODS, *config["attributions"]["methods"]]
# those with the loss that `compare_losses` also fits other masks to
WITH_PAPERS_LOSS = [
    name for name, entry in EXPLAINERS.items() if entry["objective"] == "paper"
]
RUNS = range(config["runs"]["number"])
CLASSIFIERS = RUNS if config["runs"]["kind"] == "explanandum" else [0]
PARTS = [f"{number}-of-{config['parts']}" for number in range(1, config["parts"] + 1)]
CLASS_SOURCES = config["class_explanations"].get(
    "sources", ["integrated_gradients", f"explainer_{MAIN}"]
)
# minutes. A training that needs more goes on from its checkpoint in the next attempt (docs/cluster.md)
DAY = 1440
COMPILE = "--compile" if config["evaluation"]["compile"] else ""

for problem in contradictions():
    raise WorkflowError(f"config: {problem}")


def one_of(names):
    """A regular expression for a wildcard that is one of some names, or none where there are none."""
    return "|".join(re.escape(str(name)) for name in names) or "(?!)"


wildcard_constraints:
    explainer=one_of(EXPLAINERS),
    run=one_of(RUNS),
    part=one_of(PARTS),
    method=one_of(METHODS),
    source=one_of(CLASS_SOURCES),
    rank=one_of(RANKS),


# The environment of all jobs, and neither input nor parameters: a checkout that moves, or is seen
# through a link, must not rerun anything, nor must another number of minutes. Not by `shell.prefix`,
# which a workflow that imports this one would share.
PROJECT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parents[1]
if not (PROJECT / "scripts").is_dir():
    raise WorkflowError(
        f"{PROJECT}/scripts is no folder: run or import the workflow from a local checkout"
    )
os.environ.update(
    WHATYOUREAD=str(PROJECT), CHECKPOINT_MINUTES=str(config["checkpoint_minutes"])
)


def final_outputs(wildcards):
    """What a plain `snakemake` makes: everything that the configuration has a basis for."""
    figures = ["training", "table1", "confusion", "sequences", "masks", "chunks"]
    overall = ["keep_remove", "steering"]
    if "lime" in METHODS:
        overall.append("lime")
    overall += expand("classes_{source}_{rank}", source=CLASS_SOURCES, rank=RANKS)
    return [
        "results/table1.tsv",
        "results/table1.md",
        "results/summary.md",
        "results/run.json",
        *expand("results/report/{page}.html", page=PAGES),
        *expand(
            "results/explainers/{explainer}/figures/{figure}.svg",
            explainer=EXPLAINERS,
            figure=figures,
        ),
        *expand("results/figures/{figure}.svg", figure=overall),
    ]


def demo_outputs(wildcards):
    """What `make demo` makes: the Explainers side by side, beside other methods, token by token."""
    return [
        "results/table1.tsv",
        "results/table1.md",
        "results/summary.md",
        "results/comparison.md",
        "results/steering.md",
        *of_explainers("figures/sequences.html"),
        *of_explainers("figures/table1.svg"),
    ]


def settings(section):
    """A section of the configuration as JSON, for the command line of a program."""
    return json.dumps(config[section], sort_keys=True)


def label_settings(wildcards):
    """The settings that the label source has for itself, as JSON."""
    own = {k: v for k, v in config["labels"].items() if k not in ("source", "file")}
    return json.dumps(own, sort_keys=True)


def explainer_settings(wildcards):
    """The whole settings of an Explainer as JSON."""
    return json.dumps(EXPLAINERS[wildcards.explainer], sort_keys=True)


def objective_settings(wildcards):
    """The settings that an Explainer's objective has for itself, as JSON."""
    shared = {"objective", *config["explainer"]}
    entry = EXPLAINERS[wildcards.explainer].items()
    return json.dumps(
        {key: value for key, value in entry if key not in shared}, sort_keys=True
    )


def method_settings(wildcards):
    """The settings of a method of the comparison as JSON."""
    given = config["attributions"]["methods"].get(
        wildcards.method, {"method": "explainer"}
    )
    return json.dumps(given, sort_keys=True)


def local_source(section):
    """The file or folder that a `url` names, as a list; empty when it lies on a server."""
    url = config[section]["url"]
    parts = urlsplit(url)
    if parts.scheme == "file":
        return [unquote(parts.path)]
    return [] if parts.scheme in ("http", "https", "ftp") else [url]


def backbone_path(wildcards):
    """The local folder of a backbone, so that a change in it is seen; else nothing."""
    return [config["backbone"]["path"]] if "path" in config["backbone"] else []


def checks(section):
    """The options for the digest and the size, where the configuration gives them."""
    given = config[section]
    return [f"--{key}={given[key]}" for key in ("sha256", "size") if key in given]


def training_entry(wildcards):
    """The settings of the model that a job trains: an Explainer, or the classifier."""
    if "explainer" in wildcards.keys():
        return EXPLAINERS[wildcards.explainer]
    return config["explanandum"]


def launcher(wildcards):
    """How a training is started: by torchrun where it uses several GPUs."""
    gpus = training_entry(wildcards)["gpus"]
    if gpus == 1:
        return "python"
    # the dashes end torchrun's own options: it would take --log for one of them
    return f"python -m torch.distributed.run --standalone --nproc-per-node {gpus} --"


def gpus(wildcards):
    """The GPUs to ask a cluster for."""
    return training_entry(wildcards)["gpus"]


def training_threads(wildcards):
    """Eight cores for each GPU."""
    return 8 * gpus(wildcards)


def memory(mb):
    """Memory in MB: as much again with each attempt, up to three times as much."""
    return lambda wildcards, attempt: mb * min(attempt, 3)


def training_memory(wildcards, attempt):
    """A training is also attempted again because its time was up: its memory grows only once."""
    return 16000 * (1 + gpus(wildcards)) * min(attempt, 2)


def minutes(number):
    """A time limit: as much again with each attempt, up to a day, which most partitions allow."""
    return lambda wildcards, attempt: min(number * attempt, DAY)


def run_seed(wildcards):
    """The seed of a run."""
    return config["seed"] + int(wildcards.run)


def tokens_of_run(split):
    """The file that the classifier of a run is trained or validated on; run 0 has the split itself."""

    def path(wildcards):
        run = int(wildcards.run)
        return (
            f"results/tokens/{run}/{split}.arrow"
            if run
            else f"results/tokens/{split}.arrow"
        )

    return path


def explanandum_of(run):
    """The weights of the classifier of a run, which all runs may share."""
    own = int(run) if int(run) in CLASSIFIERS else 0
    return f"results/explanandum/{own}/model.safetensors"


def explanandum_of_run(wildcards):
    return explanandum_of(wildcards.run)


def explainer_of(method, run=0):
    """The weights of the Explainer that is a method or a source of scores, as a list; else nothing."""
    if method not in EXPLAINER_METHODS:
        return []
    name = method.removeprefix("explainer_")
    return [f"results/explainers/{name}/{run}/model.safetensors"]


def explainer_of_method(wildcards):
    return explainer_of(wildcards.method)


def explainer_of_source(wildcards):
    return explainer_of(wildcards.source, wildcards.run)


def other_explainers(wildcards):
    """The Explainers of the further runs, for the agreement between seeds."""
    return [path for run in RUNS[1:] for path in explainer_of(wildcards.method, run)]


def other_explananda(wildcards):
    """The classifiers of the Explainers of the further runs, in the same order."""
    if not other_explainers(wildcards):
        return []
    return [explanandum_of(run) for run in RUNS[1:]]


def of_explainers(name):
    """A file of each Explainer, in their order."""
    return [f"results/explainers/{explainer}/{name}" for explainer in EXPLAINERS]


def if_simulated(paths):
    """The files, where the data are simulated; else nothing."""
    paths = [paths] if isinstance(paths, str) else paths
    return paths if "simulation" in config else []


def if_compared(method):
    """The scores of a method, where the configuration has it; else nothing."""
    return [f"results/attributions/{method}.parquet"] if method in METHODS else []


def option(name, values):
    """An option with its values for a command line; nothing where there are none."""
    values = [values] if isinstance(values, str) else values
    return f"{name} {' '.join(map(str, values))}" if values else ""


def folders(paths):
    return [str(Path(path).parent) for path in paths]
