# The functions that rules use, and the constraints of their wildcards.

import importlib.util
import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

# minutes. A training that needs more goes on from its checkpoint in the next attempt (docs/cluster.md)
DAY = 1440


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
    sample=one_of(SAMPLES),


# The environment of all jobs, and neither input nor parameters: a checkout that moves, or is seen
# through a link, must not rerun anything, nor must another number of minutes. Not by `shell.prefix`,
# which a workflow that imports this one would share.
# Rules call `python`. A Snakemake that is called by its path, its environment not activated, means its
# own; one that lives apart from torch (pipx) means that of the environment.
own = Path(sys.executable).parent
found = shutil.which("python")
if found is None or (Path(found).parent != own and importlib.util.find_spec("torch")):
    os.environ.update(PATH=os.pathsep.join([str(own), *os.get_exec_path()]))
# `--attempt` is what Snakemake calls a job of a cluster with.
os.environ.update(
    WHATYOUREAD=str(PROJECT),
    CHECKPOINT_MINUTES=str(config["checkpoint_minutes"]),
    WHATYOUREAD_DEVICE=config["device"],
    WHATYOUREAD_ATTEMPT=dict(zip(sys.argv, sys.argv[1:])).get("--attempt", "1"),
)
# A training step allocates the same large tensors again and again. Unless told otherwise, glibc gives them back
# to the kernel, which hands them out anew, page by page and cleared (docs/speed.md, "Memory that stays").
os.environ.setdefault(
    "GLIBC_TUNABLES",
    "glibc.malloc.hugetlb=1"
    ":glibc.malloc.mmap_threshold=1073741824"
    ":glibc.malloc.trim_threshold=4294967296",
)
# nor must another password
addresses.share([config[section]["url"] for section in SOURCES])


def final_outputs(wildcards):
    """What a plain `snakemake` makes: everything that the configuration has a basis for."""
    samples = expand("results/explain/{sample}/index.html", sample=SAMPLES)
    if not LABELLED:
        return [*of_explainers("0/README.md"), *samples]
    figures = ["table1", "confusion", "sequences", "masks", "chunks"]
    if not GIVEN:  # nobody knows how it was trained
        figures.append("training")
    overall = ["keep_remove", "steering"]
    if "lime" in METHODS:
        overall.append("lime")
    overall += expand("classes_{source}_{rank}", source=CLASS_SOURCES, rank=RANKS)
    overall.append("stability")
    overall += if_kmers("motif_effects")
    return [
        "results/table1.tsv",
        "results/table1.md",
        "results/summary.md",
        "results/run.json",
        *of_explainers("0/README.md"),
        *expand("results/report/{page}.html", page=PAGES),
        *expand(
            "results/explainers/{explainer}/figures/{figure}.svg",
            explainer=EXPLAINERS,
            figure=figures,
        ),
        *expand("results/figures/{figure}.svg", figure=overall),
        *keyword_pages(),
        *samples,
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
        *of_explainers("0/README.md"),
        *keyword_pages(),
    ]


def keyword_pages():
    """Where the items are words, the page of each source and rank."""
    pages = "results/figures/keywords_{source}_{rank}.html"
    return if_words(expand(pages, source=CLASS_SOURCES, rank=RANKS))


def settings(section):
    """A section of the configuration as JSON, for the command line of a program."""
    return json.dumps(config[section], sort_keys=True)


def label_settings(wildcards):
    """The settings that the label source has for itself, as JSON."""
    shared = ("source", "missing", "file")
    own = {k: v for k, v in config["labels"].items() if k not in shared}
    if "given" in config["split"]:
        own["split"] = config["split"]["given"]
    if own_column_of_groups():
        own["group"] = config["split"]["group_by"]
    return json.dumps(
        own | ({"map": PLACED_LABEL_MAP} if PLACED_LABEL_MAP else {}), sort_keys=True
    )


def label_file(wildcards):
    """What the label source reads, as a list: the user's file, NCBI's taxonomy, or nothing."""
    if NEEDS_TAXDUMP:
        return ["resources/taxdump"]
    return [config["labels"]["file"]] if "file" in config["labels"] else []


def given_classes(wildcards):
    """The classes of a classifier that is given, as a list; else the labels make the classes."""
    return ["results/explanandum/classes.tsv"] if GIVEN else []


def label_map(wildcards):
    """The map from ids to taxids, as a list, so that a change in it is seen; else nothing."""
    return [config["labels"]["map"]] if "map" in config["labels"] else []


def split_settings(wildcards):
    """The settings of the splits as JSON; what near-copies are is the matter of `find_copies`."""
    return chosen(config["split"], config["split"].keys() - {"similarity"})


def clusters(wildcards):
    """The clusters of near-copies, where they stay in one split; else nothing."""
    grouped = config["split"]["group_by"] == "cluster"
    return ["results/copies/copies.parquet"] if grouped else []


def chosen(values, keys):
    """Some of the settings in a section as JSON: a job depends on what it uses, and on no more."""
    return json.dumps(
        {key: values[key] for key in keys if key in values}, sort_keys=True
    )


def explainer_settings(wildcards):
    """The settings of an Explainer that enter its training, as JSON."""
    entry = EXPLAINERS[wildcards.explainer]
    unused = UNUSED_IN_TRAINING.get(entry["objective"], GATE_KEYS)
    # no label taught a classifier that is given; none need be there
    own = {"predicted": True} if GIVEN else {}
    return chosen(entry | own, (entry.keys() | own.keys()) - unused)


def judge_settings(wildcards):
    """The settings of the judge's training as JSON: those of the classifier but for its own."""
    return chosen(config["explanandum"] | config["judge"], SHARED_BY_TRAININGS)


def objective_settings(wildcards):
    """The settings that an Explainer's objective has for itself, as JSON."""
    entry = EXPLAINERS[wildcards.explainer]
    return chosen(entry, entry.keys() - {"objective", *config["explainer"]})


def gate_settings(wildcards):
    """The settings of an Explainer's gate as JSON."""
    return chosen(EXPLAINERS[wildcards.explainer], GATE_KEYS)


def method_settings(wildcards):
    """The settings of a method of the comparison as JSON."""
    own = config["attributions"]["methods"].get(
        wildcards.method, {"method": "explainer"}
    )
    if wildcards.method in PLACED_SCORE_FILES:
        own = own | {"file": PLACED_SCORE_FILES[wildcards.method]}
    return chosen(own, own)


def file_of_method(wildcards):
    """The user's file of scores that is a method, as a list, so that a change in it is seen; else nothing."""
    path = SCORE_FILES.get(wildcards.method)
    return [path] if path else []


def selection_settings(wildcards):
    """What decides which items of a sequence are selected, as JSON."""
    keys = {"sequences", "best", "min_probability"}
    if "kmer" in ITEMS:
        keys.add("k")
    if "word" in ITEMS:
        keys.add("words")
    if wildcards.source == "integrated_gradients":
        keys.add("steps")
    # six-mers, and no other items, are what older versions had
    own = {} if ITEMS == ["token", "kmer"] else {"items": ITEMS}
    return chosen(config["class_explanations"] | own, keys | own.keys())


def texts_options(wildcards, input):
    """The options to read the texts behind the tokens again, where words are made of them; else nothing."""
    if not input.dataset:
        return ""
    own = shlex.quote(settings("sequences"))
    return f"--dataset {input.dataset} --sequence-settings {own}"


def stability_settings(wildcards):
    """What decides which of the selected ones are stable, as JSON."""
    keys = {"k", "min_run_share", "min_sequences", "max_q"}
    return chosen(config["class_explanations"], keys)


def local_source(section):
    """The file or folder that a `url` names, as a list; empty when it lies on a server."""
    path = addresses.local_path(config[section]["url"])
    return [] if path is None else [str(path)]


def shown(section):
    """The address of a section without secrets, which programs get whole by their environment.

    That of a local file follows a prefix, as the input does.
    """
    moved = [path for path in local_source(section) if placed(path) != path]
    return placed(moved[0]) if moved else addresses.hide(config[section]["url"])


def backbone_path(wildcards):
    """The local folders of a backbone, so that a change in them is seen; else nothing."""
    tokenizer = BACKBONE.get("tokenizer", "six_mers")
    own = [] if tokenizer in registered("tokenizer") else [tokenizer]
    return own + ([BACKBONE["path"]] if "path" in BACKBONE else [])


def backbone_settings():
    """How to get the backbone, as JSON; a local folder where the input is.

    Not of the input: Snakemake does not compare what follows from it with the last run.
    """
    local = backbone_path(None)
    moved = {key: placed(own) for key, own in BACKBONE.items() if own in local}
    return json.dumps(BACKBONE | moved, sort_keys=True)


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
    return f'python "$WHATYOUREAD/scripts/whatyouread/training/launch.py" {gpus}'


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
    """The file of a split that the models of a run are trained on or explained for; run 0 has the split itself.

    Further runs divide training and validation anew, or everything (`runs.divide`).
    """

    def path(wildcards):
        run = int(wildcards.run)
        own = DIVIDED_ANEW or split in ("train", "validation")
        return (
            f"results/tokens/{run}/{split}.arrow"
            if run and own
            else f"results/tokens/{split}.arrow"
        )

    return path


def explanandum_of(run):
    """The weights of the classifier of a run, which all runs may share."""
    own = int(run) if int(run) in CLASSIFIERS else 0
    return f"results/explanandum/{own}/model.safetensors"


def explanandum_of_run(wildcards):
    return explanandum_of(wildcards.run)


def judge_of_explainer(wildcards):
    """The judge, as a list, where an Explainer learns from what it reads; else nothing."""
    own = EXPLAINERS[wildcards.explainer].get("reader", "classifier")
    return JUDGE if own == "judge" else []


def explainer_of(method, run=0):
    """The weights of the Explainer that is a method or a source of scores, as a list; else nothing."""
    if method not in EXPLAINER_METHODS:
        return []
    name = method.removeprefix("explainer_")
    return [f"results/explainers/{name}/{run}/model.safetensors"]


def gates_of(weights):
    """The settings of the gates of some Explainers, by their weights; the paper's has none."""
    folders = (Path(path).parent for path in weights)
    return [
        str(folder / "gate.json")
        for folder in folders
        if folder.parent.name not in WITH_PAPERS_LOSS
    ]


def explainer_of_method(wildcards):
    return explainer_of(wildcards.method)


def gate_of_method(wildcards):
    return gates_of(explainer_of_method(wildcards))


def gate_of_main_run(wildcards):
    return gates_of(explainer_of(f"explainer_{wildcards.explainer}"))


def gate_of_run(wildcards):
    return gates_of(explainer_of(f"explainer_{wildcards.explainer}", wildcards.run))


def if_measured(name):
    """A table about the masks of an Explainer, for run 0; those of further runs are not evaluated."""

    def path(wildcards):
        own = [f"results/explainers/{wildcards.explainer}/{name}"]
        return own if LABELLED and int(wildcards.run) == 0 else []

    return path


def taxdump_record(wildcards):
    """The record of the taxonomy dump, where the labels come from it; else nothing."""
    return ["resources/taxdump.json"] if NEEDS_TAXDUMP else []


def explainer_of_source(wildcards):
    return explainer_of(wildcards.source, wildcards.run)


def gate_of_source(wildcards):
    return gates_of(explainer_of_source(wildcards))


def runs_of_source(source):
    """The runs that a source of scores for classes differs in: of one classifier, only the first."""
    return RUNS if source in EXPLAINER_METHODS else CLASSIFIERS


def class_selections(wildcards):
    """What `score_classes` selects, by each source in each run."""
    return [
        f"results/classes/{run}/{source}.parquet"
        for run in RUNS
        for source in CLASS_SOURCES
        if run in runs_of_source(source)
    ]


def other_explainers(wildcards):
    """The Explainers of the further runs, for the agreement between seeds."""
    return [path for run in RUNS[1:] for path in explainer_of(wildcards.method, run)]


def other_gates(wildcards):
    """The settings of their gates."""
    return gates_of(other_explainers(wildcards))


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


def if_divided_anew(paths):
    """The files, where each run divides all sequences anew; else nothing."""
    return paths if DIVIDED_ANEW else []


def if_words(paths):
    """The files, where the items of classes are words; else nothing."""
    paths = [paths] if isinstance(paths, str) else paths
    return paths if "word" in ITEMS else []


def if_simulated_words(paths):
    """The files, where it is known which words speak for simulated texts; else nothing."""
    return if_words(paths) if "simulated_texts" in config else []


def if_kmers(paths):
    """The files, where the items of classes are k-mers, too; else nothing."""
    paths = [paths] if isinstance(paths, str) else paths
    return paths if "kmer" in ITEMS else []


def if_known(paths):
    """The files, where positions that matter are known: of simulated data, or a user's; else nothing."""
    paths = [paths] if isinstance(paths, str) else paths
    return paths if "simulation" in config or "positions" in config else []


def known_positions():
    """The table of the positions that are known to matter, as a list; else nothing."""
    if "positions" in config:
        return ["results/positions.parquet"]
    return if_simulated("resources/simulated/planted.parquet")


def user_positions(wildcards):
    """The user's file of positions, as a list; nothing where there is none."""
    return [config["positions"]] if "positions" in config else []


def evidence_summary(wildcards):
    """All methods against a user's positions, as a list; nothing where there are none."""
    return ["results/evidence.md"] if "positions" in config else []


def if_compared(method):
    """The scores of a method, where the configuration has it; else nothing."""
    return [f"results/attributions/{method}.parquet"] if method in METHODS else []


def option(name, values):
    """An option with its values for a command line; nothing where there are none."""
    values = [values] if isinstance(values, str) else values
    return f"{name} {' '.join(map(str, values))}" if values else ""


def beside_paper(name):
    """The option that puts the paper's numbers beside ours, where labels are the paper's kind, NCBI's ranks."""
    file = f'"$WHATYOUREAD/resources/paper/{name}"'
    return f"--paper {file}" if config["labels"]["source"] == "ncbi" else ""


def quoted(paths):
    """Paths as words of a command, in which a name may have a blank."""
    return [shlex.quote(str(path)) for path in paths]


def folders(paths):
    return [str(Path(path).parent) for path in paths]


def sample_explainer(wildcards):
    """The folder of the Explainer of a sample."""
    return f"results/explainers/{SAMPLES[wildcards.sample]['explainer']}/0"


def sample_models(wildcards):
    """What the folder of an Explainer needs to be loaded, and its classifier."""
    folder = sample_explainer(wildcards)
    weights = f"{folder}/model.safetensors"
    return [
        weights,
        f"{folder}/classes.tsv",
        f"{folder}/classifier.json",
        *gates_of([weights]),
        explanandum_of(0),
    ]


def sample_sequences(wildcards):
    """The files of a sample."""
    return SAMPLE_FILES[wildcards.sample]


def sample_annotation(wildcards):
    """The GFF3 of a sample, as a list; else nothing."""
    own = SAMPLES[wildcards.sample]
    return [own["annotation"]] if "annotation" in own else []


def sample_regions(wildcards):
    """The files in BED among the regions of a sample."""
    regions = SAMPLE_REGIONS[wildcards.sample]
    return [region for region, path in regions.items() if Path(path).is_file()]


def sample_options(wildcards):
    """The options of a sample for the command line, but for its files."""
    own = SAMPLES[wildcards.sample]
    names = (
        "strands", "offsets", "window", "longer", "overlap", "gap", "permutations",
    )  # fmt: skip
    words = [[f"--{name}", own[name]] for name in names if name in own]
    lists = {
        "regions": SAMPLE_REGIONS[wildcards.sample].values(),
        "classes": own.get("classes", []),
    }
    words += [[f"--{name}", *values] for name, values in lists.items() if values]
    return [str(word) for option in words for word in option]
