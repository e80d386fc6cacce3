"""Make one folder of an Explainer and its classifier, fit to be given away or uploaded to the Hub."""

import os
import shutil
from pathlib import Path

from whatyouread.data.transfer import refuse_full_disk
from whatyouread.models import classifier_record
from whatyouread.models.classifier_record import find_classifier, read_classifier_record
from whatyouread.models.hub import CLASSIFIER_FOLDER, MODEL_FILES
from whatyouread.support import files
from whatyouread.support.cli import UserError

NEEDED = ("config.json", "model.safetensors")
CARD = "README.md"


def publish(folder: Path, target: Path, card: str, classifier: Path | None = None) -> None:
    """Copy an Explainer to `target`, which is made, and its classifier to a folder in there.

    card: the model card, used where the Explainer's folder has none. classifier: the folder of its
    classifier, where it is not where the Explainer's folder says. Raises UserError where a file is
    missing, and where `target` is there and not empty.
    """
    refuse_used(target)
    place, record = find_classifier(folder, classifier), read_classifier_record(folder)
    copied = _files(folder, [*NEEDED, classifier_record.CLASSES])
    copied |= {f"{CLASSIFIER_FOLDER}/{name}": path for name, path in _files(place, NEEDED).items()}
    needed = sum(path.stat().st_size for path in copied.values())
    refuse_full_disk(target, needed, str(folder))
    with files.atomic(target) as temporary:
        (temporary / CLASSIFIER_FOLDER).mkdir(parents=True)
        for name, path in copied.items():
            shutil.copyfile(path, temporary / name)
        if CARD not in copied:
            (temporary / CARD).write_text(card, encoding="utf-8")
        classifier_record.write_classifier_record(
            temporary,
            temporary / CLASSIFIER_FOLDER,
            record.sha256,
            record.tokens,
            record.tokenizer,
            record.alphabet,
        )


def refuse_used(target: Path) -> None:
    """Raise UserError where a folder to be made is there, unless it is an empty folder."""
    if not os.path.lexists(target):
        return
    if target.is_symlink() or not target.is_dir() or any(target.iterdir()):
        raise UserError(
            f"{target}: it is there and no empty folder: nothing is overwritten; give another "
            "--output-dir, or move it away yourself"
        )


def _files(folder: Path, needed: list[str] | tuple[str, ...]) -> dict[str, Path]:
    """The files of a model's folder that are published, by name; not `classifier.json`, made anew."""
    for name in needed:
        if not (folder / name).is_file():
            raise UserError(f"{folder / name} is not there: has the training rule run?")
    names = [name for name in MODEL_FILES if name != classifier_record.NAME]
    return {name: folder / name for name in names if (folder / name).is_file()}
