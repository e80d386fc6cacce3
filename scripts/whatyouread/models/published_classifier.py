"""A published sequence classifier as it is: its encoder, its own head, its names of classes.

These are the `…ForSequenceClassification` of transformers in the families that have an adapter with
`published_head`. The head reads the last state of the first token.
"""

from collections.abc import Sequence
from pathlib import Path

import torch

from whatyouread.data.given_classes import class_frame
from whatyouread.data.kinds import SINGLE
from whatyouread.data.levels import ALONE, check_number
from whatyouread.data.tokenizer import Tokenizer
from whatyouread.models.adapters import ADAPTERS, find_adapter, read_config
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.levels import THRESHOLD
from whatyouread.models.weights import read_tensors
from whatyouread.support import files
from whatyouread.support.cli import UserError

_KIND = "ForSequenceClassification"
_KINDS = {"single_label_classification": "single", "multi_label_classification": "multiple"}
"""The `problem_type` of a config.json -> what the level is."""


def adopt(
    folder: str | Path,
    tokenizer: str | Tokenizer,
    level: str = "class",
    threshold: float = THRESHOLD,
) -> tuple[Explanandum, list[str]]:
    """Make an Explanandum of the published classifier in `folder`; also return the names of its classes.

    tokenizer: the one that the classifier was trained with, or its name. level: the name of the only
    level. threshold: the probability above which it names a class, where it may name several
    (`problem_type: multi_label_classification`). The Explanandum is frozen and gives the classifier's own
    logits. Raises UserError for a folder that is no such classifier, and for one that answers with a number.
    """
    config = read_config(folder)
    _check(config, folder)
    dense, out = find_adapter(config).published_head
    tensors = read_tensors(folder)
    needed = [f"{layer}.{part}" for layer in (dense, out) for part in ("weight", "bias")]
    if missing := [name for name in needed if name not in tensors]:
        raise UserError(
            f"{folder}: {missing[0]} is missing, so this is no classifier with its head"
        )
    classes = len(tensors[f"{out}.weight"])
    kind = _KINDS[config.get("problem_type") or "single_label_classification"]
    check_number(level, kind, classes)
    if classes < 2:
        raise UserError(
            f"{folder}: it has one output, which is a number (regression): not supported yet, only "
            "classifiers that choose one of several classes"
        )
    names = _names(config, classes, folder)
    kept = {key: value for key, value in config.items() if key not in ("id2label", "label2id")}
    explanandum = Explanandum(
        kept, {level: classes}, "cls", tokenizer, "dense_tanh", {level: kind}, threshold
    )
    explanandum.adapter.load(folder)
    head = explanandum.heads[level]
    try:
        with torch.no_grad():
            for own, name in ((head.dense, dense), (head.out, out)):
                own.weight.copy_(tensors[f"{name}.weight"])
                own.bias.copy_(tensors[f"{name}.bias"])
    except RuntimeError as error:  # two shapes in one line
        raise UserError(f"{folder}: the head does not fit the encoder: {error}") from None
    return explanandum.freeze(), names


def write_classes(
    path: str | Path, level: str, names: Sequence[str], kind: str = SINGLE.name
) -> None:
    """Write the class table (`data.levels`) of a classifier.

    How many sequences of a class it learned from is unknown: 0 stands for it.
    """
    files.write_tsv(path, class_frame(level, ALONE, names, [0] * len(names), kind))


def _check(config: dict, folder: str | Path) -> None:
    """Raise UserError where a config.json is not that of a classifier which names classes."""
    named = config.get("architectures") or []
    if named and not str(named[0]).endswith(_KIND):
        raise UserError(
            f"{folder} holds a {named[0]}, and no {_KIND}: give it as `backbone` and train heads for it"
        )
    if find_adapter(config).published_head is None:
        families = [name for name, family in ADAPTERS.items() if family.published_head]
        raise UserError(
            f"{folder}: classifiers of type {config.get('model_type')} are not read as they are, only "
            f"those of {', '.join(families)}: give it as `backbone` and train heads for it"
        )
    problem = config.get("problem_type")
    if problem and problem not in _KINDS:
        raise UserError(
            f"{folder}: its problem_type is {problem}, which is not supported, only {', '.join(_KINDS)}"
        )


def _names(config: dict, classes: int, folder: str | Path) -> list[str]:
    """The names of the classes by number, transformers' own where config.json has none."""
    given = config.get("id2label")
    if given is None:
        return [f"LABEL_{number}" for number in range(classes)]
    named = {str(key): str(name) for key, name in given.items()} if isinstance(given, dict) else {}
    if set(named) != {str(number) for number in range(classes)}:
        raise UserError(
            f"{folder}: id2label in config.json names {len(named)} classes, and the head has {classes}"
        )
    names = [" ".join(named[str(number)].split()) for number in range(classes)]
    if len(set(names)) < classes or "" in names:
        raise UserError(
            f"{folder}: id2label in config.json names two classes alike, or one not at all"
        )
    return names
