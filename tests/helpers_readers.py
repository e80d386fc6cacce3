"""Untrained classifiers and Explainers that read proteins or texts, in folders like those of a run."""

from pathlib import Path

import torch
from helpers_families import FAMILIES
from helpers_saved import NAMES
from helpers_tokenizers import tokenizer_folder

from whatyouread.data.residues import RESIDUES
from whatyouread.data.tokenizers import tokenizer_of
from whatyouread.explainers.network import Explainer
from whatyouread.models.classifier_record import write_classifier_record
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.saving import save_model
from whatyouread.support.files import sha256, write_json

FAMILY_OF = {
    "residues": "esm2",
    "word_pieces": "bert",
    "unigram": "xlm_roberta",
    "bytes": "roberta",
}
"""A family for each kind of tokenizer."""


def write_reader(run: Path, kind: str, seed: int = 0, alphabet: str = "", **backbone) -> Path:
    """Write RUN/results/explanandum/0 and RUN/results/explainers/sharp/0; return the latter.

    kind: "residues", or one of `helpers_tokenizers.KINDS`. backbone: changes of its configuration. The
    masks are anything but all alike.
    """
    classifier, folder = run / "results/explanandum/0", run / "results/explainers/sharp/0"
    for place in (classifier, folder):
        place.mkdir(parents=True)
    tokenizer = RESIDUES if kind == "residues" else tokenizer_of(tokenizer_folder(run / "t", kind))
    config = FAMILIES[FAMILY_OF[kind]] | {"pad_token_id": tokenizer.pad} | backbone
    if kind != "residues":
        config |= {"vocab_size": len(tokenizer)}
    classes = {level: len(names) for level, names in NAMES.items()}
    torch.manual_seed(seed)
    explanandum = Explanandum(config, classes, "cls", tokenizer).freeze()
    save_model(classifier, explanandum)
    explainer = Explainer(classes, 16, 5, 1, reads=16, tokenizer=tokenizer.name)
    explainer.start_from(explanandum)
    with torch.no_grad():
        explainer.dense.weight.mul_(8)
    save_model(folder, explainer)
    lines = ["rank\tclass\ttaxid\tname\tsequences"]
    for rank, names in NAMES.items():
        lines += [f"{rank}\t{i}\t{i + 7}\t{name}\t9" for i, name in enumerate(names)]
    (folder / "classes.tsv").write_text("\n".join(lines) + "\n")
    write_json(folder / "gate.json", {"area": 0.4, "smoothing": 3})
    digest = sha256(classifier / "model.safetensors")
    write_classifier_record(folder, classifier, digest, 9, tokenizer.name, alphabet)
    return folder
