# The configuration: merged, converted to the types of the schema, checked, and with its defaults.

import ast
import glob
import math
import os
import re
import sys
from collections import Counter
from pathlib import Path

import jsonschema
import yaml
from snakemake.common.configfile import load_configfile
from snakemake.exceptions import WorkflowError
from snakemake.utils import validate

PROJECT = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parents[1]
if not (PROJECT / "scripts").is_dir():
    raise WorkflowError(
        f"{PROJECT}/scripts is no folder: run or import the workflow from a local checkout"
    )
# the part of the library that needs nothing beyond Python
sys.path.insert(0, str(PROJECT / "scripts"))
from whatyouread.data import label_files
from whatyouread.support import addresses
from whatyouread.support.cli import UserError

sys.path.remove(str(PROJECT / "scripts"))

# key of an older version -> what to do now
RENAMED_KEYS = {
    "scatter": "is now `parts`",
    "explainer.variant": "is gone: the first entry of `explainers` is the main one",
    "explainer.both": "is gone: every entry of `explainers` is trained",
    "explainer.objective": "is now in the entries of `explainers`, as in explainers.paper.min_area",
    "explainer.sharp": "is now in the entries of `explainers`, as in explainers.sharp.area",
    "split.group_duplicates": "is gone: for true give split.group_by: duplicates; false is what happens without",
    "attributions.methods.explainer": "is gone: every entry of `explainers` joins by itself",
}
# what an older version made in results/ and this one would neither use nor overwrite; files that a
# workflow which imports this one would not make itself
OLD_RESULTS = (
    "results/explainer/model.safetensors",
    "results/explainer/run.json",
    "results/variants/*/table1.tsv",
    "results/variants/*/runs",
    "results/runs/*/explainer",
    "results/runs/*/explanandum",
    "results/masks/test.parquet",
    "results/explanandum/model.safetensors",
    "results/table1_controls.tsv",
    "results/attributions/explainer.parquet",
)
# key -> the registry that knows its values
REGISTRIES = {
    "tokenizer": "data/tokenizers.py",
    "family": "models/adapters.py",
    "labels.source": "data/label_sources.py",
    "objective": "explainers/objectives.py",
}
# settings of how masks are made of scores
GATE_KEYS = {"area", "smoothing"}
# of `training/settings.py`
SHARED_BY_TRAININGS = (
    "learning_rate",
    "weight_decay",
    "batch_size",
    "epochs",
    "max_grad_norm",
    "precision",
    "compile",
    "gpus",
)
# an Explainer that starts from the classifier's embeddings has their size
UNUSED_IN_TRAINING = {"paper": set()} | dict.fromkeys(
    ("sharp", "joint", "fastshap", "integrated", "attnlrp", "l2x"),
    {*GATE_KEYS, "embedding_size"},
)


# of keys in YAML; not of `<<`, which may come twice
TEXT_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "bool")}
given = workflow.config_settings


def placed(path):
    """A path where a workflow that imports this one with a prefix has it."""
    return str(workflow.modifier.path_modifier.replace_prefix(path))


def look_up(values, key):
    """The value of a key like `explainer.both`; None where there is none."""
    for name in key.split("."):
        values = values.get(name) if isinstance(values, dict) else None
    return values


def layers():
    """What the configuration was merged from: the workflow's file, --configfile, --config, in this order."""
    if (
        workflow.modifier.namespace is not None
    ):  # imported, with a configuration of its own
        return [config]
    return [*map(load_configfile, configuration_files()), dict(given.config)]


def configuration_files():
    """The files of the configuration, in the order in which they are merged."""
    own = workflow.configfiles[len(given.configfiles) :]
    return [*([] if given.replace_workflow_config else own), *given.configfiles]


def keys_given_twice():
    """Keys of which a file has two, the first of which would be lost, in words."""
    for path in configuration_files():
        with open(path, encoding="utf-8-sig") as file:
            # JSON may be indented by tabs, and so be no YAML
            todo = [
                yaml.compose(file.read().replace("\t", " "), Loader=yaml.SafeLoader)
            ]
        for node in todo:  # which grows
            keys = Counter()
            if isinstance(node, yaml.MappingNode):
                keys.update(key.value for key, _ in node.value if key.tag in TEXT_TAGS)
                todo += [value for _, value in node.value]
            elif isinstance(node, yaml.SequenceNode):
                todo += node.value
            for key, number in keys.items():
                if number > 1:
                    line = node.start_mark.line + 1
                    yield f"{path}: the key {key} is there twice (from line {line}): join the two"


def kind_of_backbone(values):
    """Which of the three ways to give a backbone a layer uses."""
    if "path" in values:
        return "path"
    return "repository" if {"repository", "revision"} & values.keys() else "sizes"


def merge():
    """Undo what Snakemake merges wrongly: another way to give the backbone, other methods."""
    backbone, names = {}, []
    for layer in layers():
        own = look_up(layer, "backbone")
        if isinstance(own, dict) and isinstance(backbone, dict):
            same = kind_of_backbone(backbone) == kind_of_backbone(own)
            backbone = backbone | own if same else dict(own)
        elif "backbone" in layer:
            backbone = own
        methods = look_up(layer, "attributions.methods")
        # no dictionary where a later layer has something else, which the schema refuses
        if isinstance(methods, dict) and isinstance(config["attributions"], dict):
            config["attributions"]["methods"] = dict(methods)
        if isinstance(explainers := look_up(layer, "explainers"), dict):
            names += explainers
    if backbone != {}:
        config["backbone"] = backbone
    # Snakemake puts the names of --configfile first, but the first of config.yaml is the main one
    if isinstance(explainers := config.get("explainers"), dict):
        ordered = [name for name in dict.fromkeys(names) if name in explainers]
        config["explainers"] = {name: explainers[name] for name in ordered} | explainers
    if isinstance(methods := look_up(config, "attributions.methods"), dict):
        for name, own in methods.items():
            if isinstance(own, dict):
                kind = "file" if "file" in own else name
                methods[name] = {"method": kind} | own
    if isinstance(samples := config.get("explain"), dict):
        config["explain"] = {name: whole_sample(own) for name, own in samples.items()}


def whole_sample(own):
    """An entry of `explain` with all its keys where it is a path or a list of paths; lists where one is meant."""
    own = {"sequences": own} if isinstance(own, (str, list)) else own
    if not isinstance(own, dict):
        return own
    lists = {"sequences", "regions", "classes"} & own.keys()
    return own | {key: [own[key]] for key in lists if isinstance(own[key], str)}


def plain(value, place="config"):
    """A value with whole numbers as integers. Raises WorkflowError for what JSON cannot hold."""
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise WorkflowError(f"{place}: the key {key} is no text: quote it")
        return {key: plain(own, f"{place}: {key}") for key, own in value.items()}
    if isinstance(value, list):
        return [plain(own, place) for own in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise WorkflowError(f"{place}: {value} is no number that can be used")
        return int(value) if value.is_integer() else value
    return value


def converted(text, error):
    """What the schema wants in place of a text, which a command line gives; None if it is not that."""
    if error.validator == "enum":
        return next((one for one in error.validator_value if str(one) == text), None)
    if error.validator != "type":
        return None
    if error.validator_value == "boolean":
        return {"true": True, "false": False}.get(text.lower())
    if error.validator_value in ("integer", "number"):
        try:
            return int(text) if text.isdecimal() else plain(float(text))
        except (ValueError, WorkflowError):
            pass
    return None


def convert(validator):
    """Give the texts in the configuration the types that the schema asks for."""
    for error in [*validator.iter_errors(config)]:
        if isinstance(error.instance, str):
            *parents, key = error.absolute_path
            value = converted(error.instance, error)
            if value is not None:
                holder = config
                for parent in parents:
                    holder = holder[parent]
                holder[key] = value


def mistakes(validator):
    """What the schema refuses, in words: the first mistake of each section."""
    found = {}
    for error in validator.iter_errors(config):
        found.setdefault((*error.absolute_path, error.validator)[0], []).append(error)
    for errors in found.values():
        # a wrong value makes its key an unknown one, too
        known = [one for one in errors if one.validator != "unevaluatedProperties"]
        error = (known or errors)[0]
        key, message = ".".join(map(str, error.absolute_path)), error.message
        if error.instance is None:
            message = "nothing is given: give a value, {} for an empty section, or leave the key out"
        elif error.validator == "type" and error.validator_value == "string":
            message += ": quote it"
        yield addresses.hide(": ".join(filter(None, ["config", key, message])))


def leftovers():
    """Keys and results of older versions, each as a line that says what to do."""
    for key, advice in RENAMED_KEYS.items():
        if look_up(config, key) is not None:
            yield f"config: {key} {advice} (config/README.md)"
    sources = look_up(config, "class_explanations.sources")
    if isinstance(sources, list) and "explainer" in sources:
        yield "config: class_explanations.sources: `explainer` is now `explainer_NAME`, as in explainer_paper"
    for pattern in OLD_RESULTS:
        for path in glob.glob(placed(pattern)):
            yield (
                f"{path} was made by an older version, whose files lie elsewhere: rename the folder "
                "(mv results old_results) and run again; downloads in resources/ are kept"
            )
            return


def registered(key):
    """The names in a registry, by its text: Snakemake's environment need not have torch."""
    path = PROJECT / "scripts" / "whatyouread" / REGISTRIES[key]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    [table] = (
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict)
    )
    return [name.value for name in table.keys]


def unknown(key, place, value):
    """A line for a value that is in no registry."""
    names = registered(key)
    if value not in names:
        yield f"{place}: {value!r} is none of {', '.join(names)}"


def contradictions():
    """What the schema cannot see: values that do not go together, in words."""
    split, backbone = config["split"], config["backbone"]
    if "given" in split:
        yield from given_splits_that_cannot_be()
    elif "folds" in split:
        yield "split.folds: they are values of a column: name it as split.given"
    elif split["test"] + split["validation"] >= 1:
        yield "split.test and split.validation leave nothing to train on: lower one"
    if not LABELLED and not GIVEN:
        yield "labels.source: without labels no classifier can be trained: give explanandum.classifier"
    if GIVEN:
        if len(RANKS) > 1:
            yield (
                "ranks: a classifier that is given has one level: give it a name, and the labels the same,"
                f" as in ranks: [kind], and not {', '.join(RANKS)}"
            )
        if config["tokenizer"] != "backbone":
            yield "tokenizer: a classifier that is given reads its own tokens: set tokenizer: backbone"
        if config["runs"]["kind"] == "explanandum":
            yield "runs.kind: a classifier that is given is not trained again: set runs.kind: explainer"
    for key in ("explainer_train", "explainer_validation"):
        if split[key] > 1 and split[key] != int(split[key]):
            yield f"split.{key}: {split[key]} is neither a share (up to 1) nor a number of sequences"
    if "family" in backbone:
        yield from unknown("family", "backbone.family", backbone["family"])
        if config["tokenizer"] not in (
            "backbone",
            backbone.get("tokenizer", "six_mers"),
        ):
            yield (
                f"tokenizer: {config['tokenizer']} makes other tokens than backbone.tokenizer: set"
                " tokenizer: backbone"
            )
    elif lone := sorted({"tokenizer", "longest"} & backbone.keys()):
        yield (
            f"backbone.{lone[0]}: only with backbone.family; without it the encoder is Nucleotide"
            " Transformer v2 and reads six-mers"
        )
    heads = backbone.get("num_attention_heads", 1)
    # rotary positions turn pairs of values
    if "family" not in backbone and backbone.get("hidden_size", 0) % (2 * heads):
        yield (
            f"backbone.hidden_size: {backbone['hidden_size']} is no multiple of twice the "
            f"{heads} attention heads"
        )
    if config["tokenizer"] != "backbone":
        yield from unknown("tokenizer", "tokenizer", config["tokenizer"])
    yield from unknown("labels.source", "labels.source", config["labels"]["source"])
    if "simulation" in config and config["labels"]["source"] in (
        "table",
        "lineage",
        "record",
    ):
        yield "labels.source: simulated data have the labels of ncbi: leave `simulation` out"
    if "simulation" in config and "positions" in config:
        yield "positions: of simulated data they are known: leave `positions` or `simulation` out"
    if "positions" in config and not LABELLED:
        yield "positions: masks are scored where there are labels: give `labels`, or leave `positions` out"
    yield from levels_that_cannot_be()
    yield from several_labels_that_cannot_be()
    trained = {"explanandum": config["explanandum"]}
    trained |= {f"explainers.{name}": entry for name, entry in EXPLAINERS.items()}
    for section, entry in trained.items():
        if entry["batch_size"] % entry["gpus"]:
            yield f"{section}: batch_size {entry['batch_size']} is no multiple of gpus {entry['gpus']}"
        if "objective" in entry:
            yield from unknown("objective", f"{section}.objective", entry["objective"])
        if entry.get("reader") == "judge":
            if "judge" not in config:
                yield f"{section}.reader: there is no judge: set judge, or leave `reader` out"
            elif config["runs"]["kind"] == "explanandum":
                yield f"{section}.reader: the judge is that of run 0 alone: set runs.kind: explainer"
        if entry.get("objective") == "paper":
            # what is not given has the default of the program
            low, high = entry.get("min_area", 0.05), entry.get("max_area", 0.3)
            if low > high:
                yield f"{section}: min_area {low} is above max_area {high}: exchange them"
    for source in set(CLASS_SOURCES) - {"integrated_gradients", *EXPLAINER_METHODS}:
        yield (
            f"class_explanations.sources: there is no {source}, only integrated_gradients, "
            f"{', '.join(EXPLAINER_METHODS)}"
        )
    for name, path in SCORE_FILES.items():
        # of a workflow that imports this one, a rule may make it
        if workflow.modifier.namespace is None and not os.path.isfile(path):
            yield (
                f"attributions.methods.{name}.file: no file is called {path}: leave the method out until"
                " the tokens of results/attributions/sequences.arrow are scored"
            )
    if "kmer" in ITEMS and not SIX_MERS:
        yield "class_explanations.items: k-mers are made of six-mers: leave kmer out"
    if "word" in ITEMS and ALPHABET != "text":
        yield f"class_explanations.items: {ALPHABET} has no words: leave word out"
    if "word" in ITEMS and config["tokenizer"] != "backbone":
        yield (
            "class_explanations.items: words need tokens whose places in the text are known: set "
            "tokenizer: backbone"
        )
    if DIVIDED_ANEW:
        if config["runs"]["kind"] != "explanandum":
            yield "runs.divide: all needs a classifier for each run: set runs.kind: explanandum"
        if "given" in split:
            yield "runs.divide: the splits are given, and all would make others: leave one out"
    for name, own in SAMPLES.items():
        if own["explainer"] not in EXPLAINERS:
            yield f"explain.{name}: there is no Explainer {own['explainer']}, only {', '.join(EXPLAINERS)}"
        for path in own["sequences"]:
            if not sequence_files([path]):
                yield f"explain.{name}: no file is called {path}"
    yield from endangered()


def given_splits_that_cannot_be():
    """Why the splits cannot be given by this column, in words."""
    column, source = config["split"]["given"], config["labels"]["source"]
    if source in ("ncbi", "lineage", "none"):
        yield (
            f"split.given: labels.source {source} has no column {column}: the labels must be those of a "
            "table or of fields of the records (table, record)"
        )
    if (by := config["split"]["group_by"]) != "none":
        yield f"split.given: the splits are given, and group_by {by} would make others: leave one out"
    if column in RANKS:
        yield f"split.given: {column} is one of the ranks: a level is no split"


def own_column_of_groups():
    """Whether split.group_by is a column of the user's labels, beside the levels that are asked for."""
    return config["labels"]["source"] in ("table", "record") and config["split"][
        "group_by"
    ] not in ("none", "duplicates", "cluster", *RANKS)


def several_labels_that_cannot_be():
    """Why sequences cannot have several labels at these levels, in words."""
    labels = config["labels"]
    multiple, source = labels.get("multiple", []), labels["source"]
    if multiple and source in ("ncbi", "lineage", "none"):
        yield (
            f"labels.multiple: with labels.source {source} a sequence has one class at a level: give the "
            "labels in a table or in fields of the records (table, record)"
        )
    if source in ("table", "record") and "separator" in labels and not multiple:
        yield "labels.separator: it divides several labels: name their level in labels.multiple"
    for rank in [rank for rank in multiple if rank not in RANKS]:
        yield f"labels.multiple: {rank} is none of the ranks: {', '.join(RANKS)}"
    if multiple and len(RANKS) > 1 and labels.get("hierarchy", True):
        yield (
            f"labels.multiple: {multiple[0]} cannot lie above or below another level, since a sequence has "
            "several of its classes: set labels.hierarchy: false"
        )


def levels_that_cannot_be():
    """Levels that are not in the table of labels, or whose files would overwrite each other, in words."""
    for rank, number in Counter(rank.casefold() for rank in RANKS).items():
        if number > 1:
            yield f"ranks: {rank} is there twice, but for its case: rename one"
    figures = Counter(f"{source}_{rank}" for source in CLASS_SOURCES for rank in RANKS)
    for figure in (name for name, number in figures.items() if number > 1):
        yield f"ranks: two figures would be called classes_{figure}.svg: rename a level or an Explainer"
    if config["labels"]["source"] != "table":
        return
    path = Path(placed(config["labels"]["file"]))
    try:
        columns = label_files.columns_of(path)[1:]
    # Snakemake says that it is not there, and the program, without pyarrow here, what is in a Parquet file
    except (FileNotFoundError, ImportError):
        return
    except (UserError, OSError) as error:
        yield f"labels.file: {error}"
        return
    if lacking := [rank for rank in RANKS if rank not in columns]:
        yield (
            f"ranks: {path} has no column {lacking[0]}; give some of its levels, from the highest to "
            f"the lowest: ranks: [{', '.join(columns)}]"
        )
    asked = {"given": config["split"].get("given")}
    if own_column_of_groups():
        asked["group_by"] = config["split"]["group_by"]
    for key, column in asked.items():
        if column and column not in columns:
            yield f"split.{key}: {path} has no column {column}, only {', '.join(columns)}"


def stop_at(lines):
    """Say everything that is wrong at once."""
    if lines := list(lines):
        raise WorkflowError("\n".join(lines))


SCHEMA = "../schemas/config.schema.yaml"
merge()
config.update(plain(config))
stop_at([*keys_given_twice(), *leftovers()])
validator = jsonschema.Draft202012Validator(
    load_configfile(PROJECT / "workflow" / "rules" / SCHEMA)
)
convert(validator)
stop_at(mistakes(validator))
if workflow.modifier.skip_validation:
    raise WorkflowError(
        "skip_validation also leaves the defaults out: import the workflow without it"
    )
validate(config, SCHEMA)  # which also fills in the defaults

RANKS = config["ranks"]
# whether long sequences become windows
IN_WINDOWS = config["sequences"]["longer"] == "window"
# whether labels come from NCBI's taxonomy as it is fetched
NEEDS_TAXDUMP = config["labels"]["source"] == "ncbi" and "file" not in config["labels"]
# a classifier that is explained as it is; its folder takes the place of the backbone's
GIVEN = "classifier" in config["explanandum"]
# without labels nothing can be scored against them
LABELLED = config["labels"]["source"] != "none"
BACKBONE = config["explanandum"]["classifier"] if GIVEN else config["backbone"]
# what is fetched; the configuration may name a taxonomy that its labels do not need
SOURCES = [section for section in ("dataset", "taxdump") if section in config]
# name -> its whole settings, what all of them share included
EXPLAINERS = {
    name: config["explainer"] | own for name, own in config["explainers"].items()
}
MAIN = next(iter(EXPLAINERS))
EXPLAINER_METHODS = [f"explainer_{name}" for name in EXPLAINERS]
METHODS = [*EXPLAINER_METHODS, *config["attributions"]["methods"]]
# method -> the user's file with its scores
SCORE_FILES = {
    name: os.path.expanduser(own["file"])
    for name, own in config["attributions"]["methods"].items()
    if "file" in own
}
# where users' files lie: a prefix is not known any more when parameters are asked for
PLACED_SCORE_FILES = {name: placed(path) for name, path in SCORE_FILES.items()}
PLACED_LABEL_MAP = "map" in config["labels"] and placed(config["labels"]["map"])
# those with the loss that `compare_losses` also fits other masks to
WITH_PAPERS_LOSS = [
    name for name, entry in EXPLAINERS.items() if entry["objective"] == "paper"
]
JUDGE = ["results/judge/model.safetensors"] if "judge" in config else []
RUNS = range(config["runs"]["number"])
CLASSIFIERS = RUNS if config["runs"]["kind"] == "explanandum" else [0]
# whether the classifier of each run has its own test sequences, too
DIVIDED_ANEW = config["runs"]["divide"] == "all"
SPLITS_DIVIDED_ANEW = ["test", "explainer_train", "explainer_validation"]
PARTS = [f"{number}-of-{config['parts']}" for number in range(1, config["parts"] + 1)]
CLASS_SOURCES = config["class_explanations"].get(
    "sources", ["integrated_gradients", f"explainer_{MAIN}"]
)
# what speaks for a class: k-mers of DNA in six-mers, words of texts, else whatever a token is
SIX_MERS = config["tokenizer"] in ("six_mers", "six_mers_v1")
ALPHABET = config["sequences"]["alphabet"]
ITEMS = config["class_explanations"].get(
    "items",
    ["word"] if ALPHABET == "text" else ["token", "kmer"] if SIX_MERS else ["token"],
)
SHOWN_ITEMS = next((kind for kind in ("kmer", "word") if kind in ITEMS), ITEMS[0])
NAMES_OF_ITEMS = {"kmer": "k-mers", "word": "words", "token": "tokens"}[SHOWN_ITEMS]
# the sharp objective is the one whose masks beat their controls (FINDINGS.md)
EXPLAINS = next(
    (name for name, entry in EXPLAINERS.items() if entry["objective"] == "sharp"), MAIN
)
SAMPLES = {
    name: {"explainer": EXPLAINS} | own for name, own in config["explain"].items()
}
COMPILE = "--compile" if config["evaluation"]["compile"] else ""


include: "sources.smk"


# what the program writes beside: it reads DNA base by base unless the tokens are of a model's folder, whose
# kind is not known yet
SPANS = (
    ["spans.tsv"] if config["sequences"]["alphabet"] != "dna"
    else [] if config["tokenizer"] == "backbone"
    else ["spans.bed", "spans.gff3", "igv.xml"]
)  # fmt: skip
SAMPLE_OUTPUTS = [f"results/explain/{{sample}}/{{sample}}.{end}" for end in SPANS]
# found now: a prefix is not known any more when inputs are asked for
SAMPLE_FILES = {name: sequence_files(own["sequences"]) for name, own in SAMPLES.items()}
# sample -> its regions, and where those that are files lie
SAMPLE_REGIONS = {
    name: {
        region: placed(region) if Path(placed(region)).is_file() else region
        for region in own.get("regions", [])
    }
    for name, own in SAMPLES.items()
}
stop_at(f"config: {problem}" for problem in contradictions())
