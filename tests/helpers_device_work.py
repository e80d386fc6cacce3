"""Everything that computes on a device, small: what runs, in how many units, on any device.

A piece of work is a function (device, `Inputs`) -> (call, units). What it prepares, such as moving models, is
not counted; `call()` is, and returns the values by which two devices are compared.
"""

import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
import torch
from helpers_device import pretended
from helpers_evaluation import (
    BACKBONE,
    CLASSES,
    RANKS,
    random_file,
    small_explainer,
    small_explanandum,
)
from helpers_families import ELECTRA, FAMILIES, Ids, ids_batch
from helpers_saved import write_models
from helpers_training import SETTINGS
from helpers_waits import Wait, noted

from whatyouread.classes.marginalization import Marginalization, backgrounds, known_lengths
from whatyouread.classes.scores import class_scores
from whatyouread.data.kinds import MULTIPLE, SINGLE
from whatyouread.data.token_files import TokenFile, write_token_files
from whatyouread.evaluate import faithfulness_table
from whatyouread.evaluate.baseline_masks import MeanLoss, best_by_position
from whatyouread.evaluate.blank import blank_probabilities
from whatyouread.evaluate.masked_predictions import MaskedSequences
from whatyouread.evaluate.prediction_files import CASES, CHUNK_CONDITIONS
from whatyouread.explain import run as explaining
from whatyouread.explain.requests import Request
from whatyouread.explainers import paper
from whatyouread.explainers.generation import generate_masks
from whatyouread.explainers.network import Explainer
from whatyouread.explainers.objectives import OBJECTIVES
from whatyouread.explainers.saved import load_explainer
from whatyouread.masks.mask_files import MaskFile
from whatyouread.methods.registry import METHODS, ONE_BY_ONE, WITH_GRADIENTS, Attributor
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.inference import Passes
from whatyouread.models.levels import class_log_probabilities
from whatyouread.models.mask_operator import masked_logits
from whatyouread.training import loop
from whatyouread.training.batches import Batches
from whatyouread.training.classification import ClassificationTask
from whatyouread.training.judging import JudgeTask
from whatyouread.training.settings import TrainingSettings

SIZE, ROWS = 4, 8
BATCHES = ROWS // SIZE
KINDS = {"genus": "multiple"}
RELAXED = {"operator": "relaxed", "entropy": "normalised", "target_mask": "mean"}
Prepared = tuple[Callable[[], list], int]


class Inputs(NamedTuple):
    """What the work reads: a file with padding in every batch, one without, one of sets of classes."""

    folder: Path
    padded: TokenFile
    whole: TokenFile
    sets: TokenFile
    model: Path


def make_inputs(folder: Path) -> Inputs:
    padded = random_file(folder / "padded.arrow", ROWS)
    whole = random_file(folder / "whole.arrow", ROWS, 1, shortest=20, longest=21)
    sets = random_file(folder / "plain.arrow", ROWS, 2)
    sets.labels[:, 1] = np.random.default_rng(0).integers(0, 2 ** CLASSES["genus"], ROWS)
    sets.kinds, path = [SINGLE, MULTIPLE], folder / "sets.arrow"
    with write_token_files([path], sets.ranks, sets.tokenizer, sets.kinds) as [writer]:
        writer.write_batch(sets.record_batch(np.arange(ROWS)))
    model = write_models(folder / "run")
    return Inputs(folder, padded, whole, TokenFile(path, RANKS), model)


def undropped(module: torch.nn.Module) -> torch.nn.Module:
    """Without dropout: a device draws it otherwise, and the values are to be compared."""
    for part in module.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    return module


def classifier(kinds: dict | None = None, pooling: str = "mean") -> Explanandum:
    if not kinds:
        return undropped(small_explanandum(pooling=pooling))
    torch.manual_seed(3)
    model = undropped(Explanandum(BACKBONE, CLASSES, kinds=kinds))
    with torch.no_grad():
        for head in model.heads.values():
            head.weight.normal_(std=2)
    return model.eval()


def explainer(kind: str, explanandum: Explanandum, kinds: dict | None = None) -> Explainer:
    """A paper's Explainer, or a sharp one with one mask for all classes or one for each."""
    if kind == "paper" and not kinds:
        return small_explainer().attach(explanandum)
    torch.manual_seed(5)
    if kind == "paper":
        return Explainer(CLASSES, 6, 5, 2, kinds=kinds).attach(explanandum)
    made = Explainer(CLASSES, 16, 5, 2, kind, 16, True, kinds=kinds)
    return made.start_from(explanandum)


def task(name: str, kinds: dict | None = None) -> torch.nn.Module:
    """A task of training by its name in `TASKS`."""
    kind, _, how = name.partition(", ")
    if kind == "classifier":
        model = classifier(kinds, "cls" if how == "cls" else "mean")
        return ClassificationTask(model, 0.5 if how == "occluded" else 0.0)
    frozen = classifier(kinds)
    if kind == "judge":
        return JudgeTask(classifier(kinds), frozen, 7)
    if kind == "paper":
        settings = paper.Settings(**(RELAXED if how == "relaxed" else {}))
        predicted = how == "predicted"
        made = explainer("paper", frozen, kinds)
        return OBJECTIVES["paper"](made, frozen, settings, 7, predicted)
    made = OBJECTIVES[kind]
    areas = (
        {"occlusion_areas": [0.2, 0.5], "occlusion_windows": [1, 3]}
        if kind in ("sharp", "joint")
        else {}
    )
    return made(explainer(how, frozen, kinds), frozen, made.Settings(how, "hidden", **areas), 7)


TASKS = (
    "classifier", "classifier, cls", "classifier, occluded",
    "paper, exact", "paper, relaxed", "paper, predicted", "sharp, sequence", "sharp, class",
    "joint, class", "fastshap, sequence", "fastshap, class", "integrated, class", "attnlrp, class",
    "l2x, class", "judge",
)  # fmt: skip


def a_loop(device, made: torch.nn.Module, file: TokenFile, folder: Path, **changed) -> loop.Loop:
    """A training on a device that `choose_device` does not know of."""
    settings = SETTINGS | {"batch_size": SIZE, "epochs": 1, "max_grad_norm": 1.0} | changed
    batches = Batches(file, 1)
    with mock.patch.object(loop, "choose_device", return_value=device):
        return loop.Loop(made, TrainingSettings(**settings), batches, batches, folder, 3, 1)


def weights(module: torch.nn.Module) -> list[np.ndarray]:
    return [value.cpu().numpy() for value in module.state_dict().values()]


def training(device, inputs: Inputs, name: str, file: str, precision: str = "fp32") -> Prepared:
    """The first step of an epoch; the weights after it, or in bf16 the loss and its terms."""
    read = getattr(inputs, file)
    made = task(name, KINDS if file == "sets" else None)
    own = a_loop(device, made, read, inputs.folder / "training", precision=precision)
    item = next(own.rest_of_epoch())

    def call():
        own.step(item)
        return [own.sums] if precision == "bf16" else made

    return call, 1


def evaluation(device, inputs: Inputs, name: str, file: str) -> Prepared:
    """The validation after an epoch; its numbers."""
    read = getattr(inputs, file)
    made = task(name, KINDS if file == "sets" else None)
    own = a_loop(device, made, read, inputs.folder / "training")
    return lambda: [np.array(list(own._evaluate().values()))], len(own.validation)


def passes_of(
    device, explanandum: Explanandum, precision: str = "fp32", size: int = SIZE
) -> Passes:
    return Passes(explanandum, size, device, precision)


def masks(device, inputs: Inputs, kind: str, file: str, precision: str = "fp32") -> Prepared:
    read, kinds = getattr(inputs, file), KINDS if file == "sets" else None
    frozen = classifier(kinds)
    made, path = explainer(kind, frozen, kinds).to(device), inputs.folder / f"{kind}-{file}.parquet"
    passes = passes_of(device, frozen, precision)

    def call():
        generate_masks(made, passes, read, path, seed=1)
        table = pq.read_table(path).drop_columns(["id", "key"])
        return [
            np.concatenate(column.to_pylist()) if column.type.__class__.__name__ == "ListType"
            else column.to_numpy() for column in table.columns
        ]  # fmt: skip

    return call, BATCHES


def table1(device, inputs: Inputs, chunks: bool) -> Prepared:
    """All cases of Table 1 with controls: those of masks, or those of chunks."""
    path = inputs.folder / "paper-padded.parquet"
    if not path.exists():
        masks(torch.device("cpu"), inputs, "paper", "padded")[0]()
    every = [case for case in CASES if case.choice == "labels" and case.condition != "explanandum"]
    cases = [case for case in every if (case.condition in CHUNK_CONDITIONS) == chunks]
    # all conditions of the mask itself, and one of a control
    cases = [case for case in cases if case.control in ("none", "shifted")]
    cases = [case for case in cases if case.control == "none" or case.condition == "masks"]
    own = MaskedSequences(
        passes_of(device, classifier()), inputs.padded, MaskFile(path, RANKS), seed=1
    )
    # all chunks of a block are waited for at once, however many batches they make
    units = len(cases) * (1 if chunks else BATCHES)

    def call():
        table = own.answers(cases).table().drop_columns(["id"])
        return [column.to_numpy() for column in table.columns]

    return call, units


def attributing(device, inputs: Inputs, name: str, file: str = "padded") -> Prepared:
    frozen = classifier()
    settings = {
        "integrated_gradients": {"steps": 2}, "lime": {"samples": 6}, "ablation": {"window": 4},
        "kernel_shap": {"samples": 12}, "occlusion_gradients": {"samples": 2},
    }.get(name, {})  # fmt: skip
    passes = passes_of(device, frozen, size=4 * SIZE if name in WITH_GRADIENTS else SIZE)
    own = Attributor(name, settings, passes, explainer("sequence", frozen), seed=9)
    read, rows = getattr(inputs, file), np.arange(2 if own.question_size == 1 else ROWS)
    classes = own.classes(read, np.unique(read.labels, axis=0))
    units = len(rows) if own.question_size == 1 else BATCHES
    return lambda: list(own.explain(read, rows, classes).scores.values()), units


def asking(device, inputs: Inputs) -> Prepared:
    """The classes that methods are asked about."""
    own = Attributor("random", {}, passes_of(device, classifier()), None, seed=9)
    lineages = np.unique(inputs.padded.labels, axis=0)
    return lambda: list(own.classes(inputs.padded, lineages).values()), BATCHES


def judging(device, inputs: Inputs, what: str) -> Prepared:
    frozen = classifier()
    loss = MeanLoss(passes_of(device, frozen), paper.Settings(), inputs.padded)
    rows, made = np.arange(ROWS), explainer("paper", frozen).to(device)
    if what == "position":
        return lambda: [best_by_position(loss, 0.5, 2, 0.1, 0)], 2
    calls = {
        "constant": lambda: loss.of_constant(0.3, rows, True),
        "explainer": lambda: loss.of_explainer(made, rows),
        "positions": lambda: loss.of_positions(torch.linspace(0, 1, 20, device=device), rows),
    }
    return lambda: [np.array(list(calls[what]().values()))], 1


def scoring_classes(device, inputs: Inputs, source: str, file: str = "padded") -> Prepared:
    kinds = KINDS if file == "sets" else None
    frozen, read = classifier(kinds), getattr(inputs, file)
    made = explainer("paper", frozen, kinds).to(device)

    def call():
        found = class_scores(
            source, passes, made, read, np.arange(ROWS), steps=2, min_probability=0.0, seed=1
        )
        return [scores for _, _, scores, _ in found]

    passes = passes_of(device, frozen, size=SIZE if source.startswith("explainer") else 4 * SIZE)
    return call, BATCHES


def marginalizing(device, inputs: Inputs) -> Prepared:
    passes = passes_of(device, classifier())
    random = backgrounds(inputs.padded, known_lengths(inputs.padded), ROWS, 8, 1)
    levels, classes = np.array([0, 1]), np.array([1, 0])
    tokenizer = inputs.padded.tokenizer
    made = Marginalization(passes, tokenizer, random, ["ACGTTGCA", "TTGAC"], levels, classes, 1)

    def call():
        found = made.after(shuffled=True)
        return [torch.from_numpy(found.log_probabilities), torch.from_numpy(found.says)]

    return call, -(-2 * len(random.keys) // made.size)


def blank(device, inputs: Inputs) -> Prepared:
    passes = passes_of(device, classifier())

    def call():
        found = blank_probabilities(passes, inputs.padded, SIZE, 0)
        return [p for levels in found.values() for p in levels]

    return call, 1


def explaining_fasta(device, inputs: Inputs) -> Prepared:
    """A whole run of `explain_sequences`: every window in one batch, and its results."""
    fasta, target = inputs.folder / "given.fa", inputs.folder / f"explained-{device.type}"
    letters = np.random.default_rng(0).choice(list("ACGT"), 300)
    fasta.write_text(">one\n" + "".join(letters) + "\n>two\n" + "".join(letters[:70]) + "\n")
    request = Request(str(inputs.model), [str(fasta)], target, sample="s", batch_size=64)
    saved = load_explainer(inputs.model)
    saved.explainer.to(device)
    saved.explanandum.to(device)

    def call():
        with (
            mock.patch.object(explaining, "choose_device", return_value=device),
            mock.patch.object(explaining, "load_explainer", return_value=saved),
        ):
            explaining.explain(request)
        table = pq.read_table(target / "s.masks.parquet")
        return [np.concatenate(table["mask"].to_pylist()), np.array(table["start"])]

    return call, 1


def faithful(device, inputs: Inputs, what: str) -> Prepared:
    frozen = classifier()
    passes, file = passes_of(device, frozen), inputs.padded
    mask = np.random.default_rng(0).random((ROWS, int(file.lengths.max())), np.float32)
    classes = file.labels
    if what == "predict":
        return lambda: [passes.predict(file, mask)], BATCHES
    if what == "log_probabilities":
        return lambda: [passes.log_probabilities(file, [mask], classes)], BATCHES
    if what == "both":
        return lambda: list(passes.read(file, mask, classes)), BATCHES
    made = explainer("sequence", frozen).to(device)
    return lambda: [faithfulness_table.masks_of(made, file, classes, SIZE, device)], BATCHES


def family(device, inputs: Inputs, name: str) -> Prepared:
    """The operators of a family, and the gradients of weights and mask."""
    config = (FAMILIES | {"nt_v2": BACKBONE | {"add_bias_fnn": False}, "electra": ELECTRA})[name]
    torch.manual_seed(2)
    model = undropped(Explanandum(config, CLASSES, tokenizer=Ids(config))).to(device).train()
    batch = ids_batch(config, [9, 14, 5]).to(device)
    mask = torch.linspace(0.1, 1, 3 * 14).reshape(3, 14).to(device).requires_grad_()
    classes = torch.tensor([[[0, 1]], [[1, 2]], [[1, 3]]]).to(device)

    def call():
        made = []
        # a family without an adapter of its own has no relaxed operator
        for relaxed in (False, True)[: 1 if name == "electra" else 2]:
            logits = masked_logits(model, batch, mask, relaxed=relaxed)
            class_log_probabilities(model.levels, logits, classes).sum().backward()
            made += [part.detach() for part in logits]
        return [*made, mask.grad, *(p.grad for p in model.parameters() if p.grad is not None)]

    return call, 1


class Work(NamedTuple):
    """A row of docs/gpu.md: what is done, what its waits are counted by, and how to prepare it."""

    title: str
    unit: str
    prepare: Callable[..., Prepared]
    arguments: tuple = ()


FILES = ("padded", "whole", "sets")
THREE = ("classifier", "paper, exact", "sharp, class")
STEPS = [
    Work(f"training: {name}; {file}", "step", training, (name, file))
    for name, file in [*product(TASKS, ["padded"]), *product(THREE, ["whole", "sets"])]
]
STEPS += [
    Work(f"training in bf16: {name}; padded", "step", training, (name, "padded", "bf16"))
    for name in [*THREE, "fastshap, class", "attnlrp, class"]
]
EVALUATIONS = [
    Work(f"validation: {name}; {file}", "batch", evaluation, (name, file))
    for name, file in [
        ("classifier", "padded"),
        ("paper, exact", "whole"),
        ("paper, exact", "sets"),
        ("sharp, class", "padded"),
        ("judge", "padded"),
    ]
]
EVALUATIONS += [
    Work(f"masks: {kind}; {file}", "batch", masks, (kind, file))
    for kind, file in [
        *(("paper", file) for file in FILES),
        ("sequence", "padded"),
        ("class", "padded"),
    ]
]
EVALUATIONS += [
    Work("masks in bf16: paper; padded", "batch", masks, ("paper", "padded", "bf16")),
    Work("Table 1 and controls: masked sequences", "batch", table1, (False,)),
    Work("Table 1 and controls: chunks", "block", table1, (True,)),
    Work("methods: the classes they are asked about", "batch", asking),
]
EVALUATIONS += [
    Work(f"methods: {name}", "sequence" if name in ONE_BY_ONE else "batch", attributing, (name,))
    for name in METHODS
]
EVALUATIONS += [
    Work("baselines: the loss of an Explainer", "run", judging, ("explainer",)),
    Work("baselines: the loss of a mask by position", "run", judging, ("positions",)),
    Work("baselines: fitting a mask by position", "step", judging, ("position",)),
    Work("baselines: the loss of a constant mask", "run", judging, ("constant",)),
    Work("class scores: integrated_gradients", "batch", scoring_classes, ("integrated_gradients",)),
    Work("class scores: explainer", "batch", scoring_classes, ("explainer_mine",)),
    Work("class scores: explainer; sets", "batch", scoring_classes, ("explainer_mine", "sets")),
    Work("class motifs in random sequences", "batch", marginalizing),
    Work("the blank and its check", "run", blank),
    Work("explaining a FASTA", "batch", explaining_fasta),
    Work("faithfulness: predictions under a mask", "batch", faithful, ("predict",)),
    Work("faithfulness: log-probabilities", "batch", faithful, ("log_probabilities",)),
    Work("steering: answers, log-probabilities and states", "batch", faithful, ("both",)),
    Work("faithfulness: masks of another run", "batch", faithful, ("masks",)),
]
EVALUATIONS += [
    Work(f"family {name}, padded", "pass", family, (name,))
    for name in ("esm2", "nt_v1", "nt_v2", "bert", "roberta", "electra")
]
WORK = STEPS + EVALUATIONS


def counted(waits: list[Wait], units: int) -> list[tuple[str, str, float]]:
    """(what, where, how often in each unit) of waits, those of one function together."""
    found = Counter((one.what, f"{one.place.file}: {one.place.function}") for one in waits)
    return [(what, where, number / units) for (what, where), number in sorted(found.items())]


def row(work: Work, waits: list[Wait], units: int) -> str:
    """A row of the table in docs/gpu.md."""
    each = counted(waits, units)
    number = sum(number for *_, number in each)
    where = "; ".join(
        f"{number:g} {what}, `{where.removeprefix('scripts/whatyouread/')}`"
        for what, where, number in each
    )
    return f"| {work.title} | {work.unit} | {number:g} | {where} |"


def main() -> None:
    """Print the table of docs/gpu.md, or the rows whose titles hold the first argument."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    with tempfile.TemporaryDirectory() as folder:
        inputs = make_inputs(Path(folder))
        for work in [work for work in WORK if wanted in work.title]:
            with pretended() as device:
                call, units = work.prepare(device, inputs, *work.arguments)
                with noted() as waits:
                    call()
            print(row(work, waits, units), flush=True)


if __name__ == "__main__":
    main()
