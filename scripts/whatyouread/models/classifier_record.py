"""What an Explainer's folder says of its classifier, and where that is found. No torch.

`classifier.json` holds the place of the classifier's folder, from the Explainer's own, the digest of its
weights, and what the Explainer was trained on: the tokenizer, and the usual length of a sequence.
"""

import dataclasses
import os
import re
from pathlib import Path

from whatyouread.data.normalisation import ALPHABETS
from whatyouread.data.tokenizers import is_name
from whatyouread.support import files
from whatyouread.support.cli import UserError

NAME = "classifier.json"
CLASSES = "classes.tsv"
"""The table of the classes, beside it (`data.levels`)."""
WEIGHTS = "model.safetensors"
OPTION = "--classifier FOLDER"
"""Of programs that find the classifier by the Explainer's folder."""


@dataclasses.dataclass(frozen=True)
class ClassifierRecord:
    """path: of the classifier's folder, relative to the Explainer's. sha256: of its weights, in hex.

    tokens: the median number of tokens of its training sequences, special ones included. tokenizer: its
    name. alphabet: what the sequences are made of (`normalisation.ALPHABETS`), "" where an older version
    did not write it.
    """

    path: str
    sha256: str
    tokens: int
    tokenizer: str
    alphabet: str = ""


def write_classifier_record(
    folder: Path, classifier: Path, sha256: str, tokens: int, tokenizer: str, alphabet: str = ""
) -> None:
    """Write `classifier.json` into an Explainer's folder; `classifier` is the classifier's folder."""
    path = Path(os.path.relpath(classifier, folder)).as_posix()
    record = dataclasses.asdict(ClassifierRecord(path, sha256, tokens, tokenizer, alphabet))
    files.write_json(Path(folder) / NAME, {k: v for k, v in record.items() if v != ""})


def read_classifier_record(folder: str | Path) -> ClassifierRecord:
    """Read `classifier.json` in an Explainer's folder. Raises UserError if it is missing or damaged."""
    folder = Path(folder)
    path = folder / NAME
    if not path.is_file():
        if not folder.is_dir():
            reason = "there is no such folder"
        elif not (folder / WEIGHTS).is_file():
            reason = f"no {NAME} and no {WEIGHTS} there, so this is no Explainer's folder"
        else:
            reason = (
                f"no {NAME} there: give a folder that train_explainer has made "
                "(results/explainers/NAME/0) and that record_classifier has added it to"
            )
        raise UserError(f"{folder}: {reason}")
    values = files.read_json(path)
    names = [field.name for field in dataclasses.fields(ClassifierRecord)]
    if missing := [name for name in names if name not in values and name != "alphabet"]:
        raise UserError(
            f"{path} has no {missing[0]}: run record_classifier again, or get the folder again"
        )
    record = ClassifierRecord(**{name: values[name] for name in names if name in values})
    good = {
        "path": isinstance(record.path, str) and record.path and not os.path.isabs(record.path),
        "sha256": re.fullmatch("[0-9a-f]{64}", str(record.sha256)),
        "tokens": type(record.tokens) is int and record.tokens > 0,
        "tokenizer": is_name(record.tokenizer),
        "alphabet": record.alphabet in ("", *ALPHABETS),
    }
    if wrong := [name for name, fits in good.items() if not fits]:
        raise UserError(f"{path}: {wrong[0]} cannot be {values[wrong[0]]!r}: get the folder again")
    return record


def find_classifier(folder: str | Path, given: str | Path | None = None) -> Path:
    """The folder of the classifier that the Explainer in `folder` explains, or the one that is given.

    Raises UserError where it is not there, or where its weights are those of another classifier.
    """
    folder, record = Path(folder), read_classifier_record(folder)
    if given is not None:
        places = [Path(given)]
    else:
        # the second: the Explainer's folder may be a link to where both lie
        places = [Path(os.path.normpath(folder.absolute() / record.path))]
        places.append(Path(os.path.normpath(folder.resolve() / record.path)))
    found = [place for place in places if (place / WEIGHTS).is_file()]
    if not found:
        raise UserError(
            f"{folder}: its classifier is not in {_shown(places[0])} (no {WEIGHTS} there): "
            f"say where it is by {OPTION}"
        )
    check_classifier(folder, found[0])
    return found[0]


def check_classifier(folder: str | Path, classifier: str | Path, option: str = OPTION) -> None:
    """Raise UserError unless the Explainer in `folder` explains the classifier in that other folder.

    option: by which the user gives the classifier.
    """
    record, digest = read_classifier_record(folder), files.sha256(Path(classifier) / WEIGHTS)
    if digest != record.sha256:
        raise UserError(
            f"{folder} explains another classifier than that in {_shown(classifier)}: the SHA-256 of "
            f"its weights is {digest[:12]}…, not {record.sha256[:12]}…; give the right one's folder by "
            f"{option}"
        )


def _shown(place: str | Path) -> str:
    """A path as short as it can be said from here."""
    place = Path(place)
    return str(place.relative_to(Path.cwd()) if place.is_relative_to(Path.cwd()) else place)
