"""The model card of an Explainer: what it explains, how it was trained, what its masks are worth.

Markdown with a YAML header, as the Hugging Face Hub reads it. Whatever comes from data is escaped.
"""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from whatyouread.data.levels import Level, read_levels
from whatyouread.models.classifier_record import CLASSES, find_classifier, read_classifier_record
from whatyouread.report.summary import Measured, measured_as, sentence, sequences
from whatyouread.support import files
from whatyouread.support.addresses import hide, local_path
from whatyouread.support.cli import UserError
from whatyouread.support.text import escape_markdown, markdown_table

CONTROLS = {
    "shuffled": "their values shuffled along the sequence",
    "shifted": "the same masks shifted along the sequence",
    "other_sequence": "the masks of other sequences",
}
SHOWN = ("rounded_masks", "inverted_rounded_masks")
NUCLEOTIDE_TRANSFORMER = "nucleotide-transformer"
# what is read, by the alphabet of the training data, and its tags; an older record says nothing
READ = {
    "dna": ("a DNA sequence", "genomics, dna, taxonomy"),
    "protein": ("a protein", "biology, protein"),
    "text": ("a text", "text-classification"),
    "": ("a sequence", "sequences"),
}
CODE = "The code is under the MIT licence."
DATA = "Whether the licence of the training data lets you publish models of it is yours to check."


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a run knows of a model beyond its folder; each may be unknown (empty or None).

    dataset, taxdump, backbone: the records of what was fetched. simulated: the data are made up. labels:
    the label source.
    tokens: `results/tokens/summary.tsv`, the number of sequences of each split. measured: the results of
    the masks on the test sequences.
    """

    dataset: dict = dataclasses.field(default_factory=dict)
    taxdump: dict = dataclasses.field(default_factory=dict)
    backbone: dict = dataclasses.field(default_factory=dict)
    simulated: bool = False
    labels: str = ""
    tokens: pd.DataFrame | None = None
    measured: Measured | None = None


def model_card(folder: Path, name: str, origin: Origin, classifier: Path | None = None) -> str:
    """The card of the Explainer in `folder`. Raises UserError where the folder is not whole.

    classifier: the folder of its classifier, where it is not where the Explainer's folder says.
    """
    record = read_classifier_record(folder)
    place = find_classifier(folder, classifier)
    config = files.read_json(place / "config.json")
    if not {"backbone", "classes"} <= config.keys():
        raise UserError(f"{place / 'config.json'} is not that of a classifier")
    trained = files.read_json(folder / "run.json") if (folder / "run.json").is_file() else {}
    levels = read_levels(folder / CLASSES)
    derived = is_nucleotide_transformer(origin.backbone, config)
    what, tags = READ[record.alphabet]
    lines = [
        *_header(origin.backbone, derived, tags),
        "",
        f"# {escape_markdown(name)}: which parts of a sequence a classifier reads",
        "",
        f"An Explainer reads {what} once and gives each token a mask value between 0 and 1: how"
        " much its classifier needs that token (Berman et al. 2026, *What You Read is What You"
        " Classify*).",
        "",
        "## What it explains",
        "",
        f"- the classifier with the weights of SHA-256 `{record.sha256}`: {_encoder(config)}",
        f"- tokenizer: `{record.tokenizer}`, sequences of {record.tokens:,} tokens in training (median)",
        "",
        *_classes(levels, list(config["classes"])),
        "",
        "## Training",
        "",
        *(f"- {line}" for line in _training(origin, trained, folder)),
        "",
        "## What its masks are worth",
        "",
        *_figures(origin.measured, list(config["classes"])),
        "",
        "## Intended use and limits",
        "",
        "- It shows what this classifier reads, which need not be what makes the classes differ in"
        " nature. Judge masks by the figures above: they tell something only where they beat the"
        " controls.",
        "- The classes are a closed set: a sequence that belongs to none of them still gets one."
        if not config.get("kinds")
        else "- The classes are a closed set; a class is named where its probability is above"
        f" {config['threshold']:g} ({', '.join(config['kinds'])}).",
        "- On other data than those above, predictions and masks may be worth less. It is no diagnostic.",
        "",
        "## Licences",
        "",
        *(f"- {line}" for line in _licences(origin.backbone, derived)),
    ]
    return "\n".join(lines) + "\n"


def is_nucleotide_transformer(backbone: dict, config: dict) -> bool:
    """Whether a classifier starts from such weights, by the names in its backbone's record and files."""
    return NUCLEOTIDE_TRANSFORMER in json.dumps([backbone, config["backbone"]]).lower()


def _header(backbone: dict, derived: bool, tags: str) -> Iterator[str]:
    yield "---"
    if derived:
        yield "license: cc-by-nc-sa-4.0"
    else:  # of weights trained on somebody's data nobody else can say
        yield "license: other"
        yield "license_name: not-chosen-yet"
    yield "library_name: whatyouread"
    yield f"tags: [explainability, attribution, {tags}]"
    if "repository" in backbone:
        yield f"base_model: {json.dumps(str(backbone['repository']))}"
    yield "---"


def _encoder(config: dict) -> str:
    backbone = config["backbone"]
    kind = escape_markdown(str(backbone.get("model_type", "esm")))
    layers = backbone.get("num_hidden_layers")
    sizes = f"{layers} layer{'' if layers == 1 else 's'} of width {backbone.get('hidden_size')}"
    return f"an encoder ({kind}, {sizes}, pooling `{config.get('pooling', 'mean')}`) with a head per level"


def _classes(levels: dict[str, Level], names: list[str]) -> list[str]:
    rows = [["level", "classes", "for example"]]
    for name in names:
        known = levels[name].names if name in levels else ()
        rows.append([name, f"{len(known):,}", ", ".join(known[:3])])
    return [*markdown_table(rows), "", f"`{CLASSES}` has all of them."]


def _training(origin: Origin, trained: dict, folder: Path) -> Iterator[str]:
    if origin.dataset:
        yield f"data: {'simulated, ' if origin.simulated else ''}{_source(origin.dataset)}"
    if origin.labels:
        dump = f", {_source(origin.taxdump)}" if origin.taxdump else ""
        yield f"labels: {escape_markdown(origin.labels)}{dump}"
    if origin.tokens is not None:
        counts = origin.tokens.set_index("file")["sequences"]
        yield (
            f"sequences: {counts['explainer_train']:,} for the Explainer, {counts['train']:,} for its"
            " classifier"
        )
    backbone = origin.backbone
    if "repository" in backbone:
        revision = escape_markdown(str(backbone.get("revision", "")))
        yield f"the encoder started from {escape_markdown(backbone['repository'])}, commit {revision}"
    elif "path" in backbone:
        yield f"the encoder started from a local folder, {escape_markdown(Path(backbone['path']).name)}"
    elif backbone:
        yield "the encoder was trained from scratch"
    settings = dict(trained.get("settings", {}))
    if "objective" in settings:
        yield f"objective: {escape_markdown(str(settings.pop('objective')))}"
    if settings:
        values = ", ".join(f"{key} {value}" for key, value in sorted(settings.items()))
        yield f"settings: {escape_markdown(values)}"
    if (folder / "gate.json").is_file():
        gate = files.read_json(folder / "gate.json")
        values = ", ".join(f"{key} {value}" for key, value in sorted(gate.items()))
        yield f"gate, which makes masks of its scores: {escape_markdown(values)}"
    if "seed" in trained:
        yield f"seed: {trained['seed']}"
    if not (origin.dataset or trained):
        yield "not recorded"


def _source(record: dict) -> str:
    """The address without secrets, or of a local file the name alone: its path is nobody's business."""
    address = str(record.get("source", ""))
    try:
        local = local_path(address) is not None
    except ValueError:
        local = True
    shown = str(record.get("name", "")) or "a local file" if local else hide(address)
    digest = record.get("sha256")
    ending = f" (SHA-256 `{digest[:16]}…`)" if isinstance(digest, str) else ""
    return f"{escape_markdown(shown)}{ending}"


def _figures(measured: Measured | None, ranks: list[str]) -> list[str]:
    if measured is None:
        return [
            "Not measured. A workflow evaluates its Explainers of run 0 only; their figures are not those"
            " of this one."
        ]
    whole = measured.row("explanandum")
    n, labelled = sequences(whole, ranks)
    rows = [["", "rounded masks ↑", "inverted rounded masks ↓"]]
    rows.append(["this Explainer's masks", *(_cell(measured.row(c), ranks) for c in SHOWN)])
    for control, text in CONTROLS.items():
        cells = (_cell(measured.control(condition, control=control), ranks) for condition in SHOWN)
        rows.append([text, *cells])
    shown = " / ".join(map(escape_markdown, ranks))
    return [
        f"{measured_as(measured.table, ranks)} of the classifier in per cent ({shown}) on {n:,} test"
        f" sequences of the same data{labelled}. Without a mask it is {_cell(whole, ranks)}. A rounded"
        " mask keeps a token or hides it; inverted, it hides what it kept. Masks were chosen by the true"
        " classes.",
        "",
        *markdown_table(rows),
        "",
        escape_markdown(sentence(measured, ranks)),
    ]


def _cell(row: pd.Series, ranks: list[str]) -> str:
    return " / ".join("–" if pd.isna(row[rank]) else f"{row[rank]:.1f}" for rank in ranks)


def _licences(backbone: dict, derived: bool) -> list[str]:
    if derived:
        encoder = (
            "The classifier was made from Nucleotide Transformer weights, which are licensed CC BY-NC-SA"
            " 4.0: no commercial use, and what is made from them is shared alike."
        )
    elif "repository" in backbone or "path" in backbone or not backbone:
        encoder = "The licence of the weights that the classifier started from is yours to check."
    else:
        encoder = "The weights were trained from scratch: their licence is yours to choose."
    return [CODE, encoder, DATA]
