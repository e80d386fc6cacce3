"""Load a trained Explainer: by its folder alone, or for a classifier that is loaded already."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from whatyouread.data.batch import Batch, padded
from whatyouread.data.levels import Level, levels_of
from whatyouread.data.normalisation import DNA, PROTEIN, TEXT
from whatyouread.data.tokenizer import Tokenizer
from whatyouread.explainers.network import Explainer
from whatyouread.masks.gate_settings import read_gate
from whatyouread.models.classifier_record import (
    CLASSES,
    NAME,
    check_classifier,
    find_classifier,
    read_classifier_record,
)
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.mask_operator import read, target_mask
from whatyouread.models.saving import load_model
from whatyouread.support.cli import UserError

_ALPHABET_OF = {"base": DNA, "residue": PROTEIN}
"""By `Tokenizer.unit`."""


@dataclasses.dataclass(frozen=True)
class SavedExplainer:
    """An Explainer, ready to use on the CPU, with all that its folder says.

    explanandum: the classifier that it explains, frozen. levels: what the classifier chooses from, in
    the order of its heads, with the names of the classes. tokens: the median number of tokens of the
    Explainer's training sequences, special ones included. folder, classifier: where the two were read from.
    alphabet: what these sequences were made of (`normalisation.ALPHABETS`).
    """

    explainer: Explainer
    explanandum: Explanandum
    levels: list[Level]
    tokens: int
    folder: Path
    classifier: Path
    alphabet: str = DNA

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer of both models."""
        return self.explanandum.tokenizer

    def batch(self, texts: Sequence[str]) -> Batch:
        """Some sequences as the models read them, on the CPU; what the tokenizer does not know is unknown."""
        ids, offsets = self.tokenizer.tokenize(*self.tokenizer.characters(texts))
        lengths = np.diff(offsets)
        ids = padded(ids, offsets[:-1], lengths, self.tokenizer.pad)
        return Batch.of(ids, lengths, self.tokenizer).to("cpu")

    @torch.inference_mode()
    def explain(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The predicted classes, int64 (n, levels), and the masks for them, float32 (n, length).

        A mask is the maximum over the levels; it is 0 at padding. The batch is where both models are.
        """
        states, logits = read(self.explanandum, batch)
        predicted = self.explanandum.predictions(logits)
        masks = self.explainer.class_masks(batch.with_states(states), predicted[:, None])
        return predicted, target_mask(masks)[:, :, 0]


def load_explainer(folder: str | Path, classifier: str | Path | None = None) -> SavedExplainer:
    """Read a trained Explainer and the classifier that its folder names, or that is given.

    Raises UserError for files that are missing or damaged, and for a classifier with other weights than
    those that the Explainer was trained for.
    """
    folder = Path(folder)
    record, place = read_classifier_record(folder), find_classifier(folder, classifier)
    explanandum = load_model(Explanandum, place)
    levels = levels_of(folder / CLASSES, explanandum.config["classes"])
    explainer = _load(folder, explanandum).eval()
    for key in ("classes", "kinds"):
        if explainer.config.get(key) != explanandum.config.get(key):
            raise UserError(
                f"{folder / 'config.json'} has other {key} than the classifier in {place}"
            )
    names = {"classifier": explanandum.tokenizer.name, NAME: record.tokenizer}
    for source, name in names.items():
        if name != explainer.tokenizer.name:
            raise UserError(
                f"{folder}: the Explainer reads {explainer.tokenizer.name} tokens, its {source} "
                f"{name}: get the folder again"
            )
    # an older version did not write it: then the tokens tell what they are for
    alphabet = record.alphabet or _ALPHABET_OF.get(explainer.tokenizer.unit, TEXT)
    return SavedExplainer(explainer, explanandum, levels, record.tokens, folder, place, alphabet)


def load_attached(folder: str | Path, explanandum: Explanandum) -> Explainer:
    """Read a trained Explainer with its gate, and attach the Explanandum it explains.

    Raises UserError for missing or damaged files, and where the Explainer is another classifier's.
    """
    if explanandum.folder is not None and (Path(folder) / NAME).is_file():
        check_classifier(folder, explanandum.folder, "--explanandum FOLDER")
    return _load(folder, explanandum)


def _load(folder: str | Path, explanandum: Explanandum) -> Explainer:
    explainer = load_model(Explainer, folder)
    explainer.gate = read_gate(folder)
    if explainer.reads and explainer.reads != explanandum.adapter.hidden_size:
        raise UserError(f"the Explainer in {folder} was trained for another Explanandum")
    return explainer.attach(explanandum)
