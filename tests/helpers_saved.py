"""A classifier and an Explainer of it, untrained, in folders like those of a run."""

from pathlib import Path

import torch
from helpers_evaluation import CLASSES, small_explanandum

from whatyouread.explainers.network import Explainer
from whatyouread.models.classifier_record import write_classifier_record
from whatyouread.models.saving import save_model
from whatyouread.support.files import sha256, write_json

NAMES = {"kingdom": ["Animals", "Plants"], "genus": ["Mus", "Rattus", "Rosa", "Viola"]}
TOKENS = 51


def write_models(run: Path, seed: int = 0) -> Path:
    """Write RUN/results/explanandum/0 and RUN/results/explainers/sharp/0; return the latter."""
    classifier, folder = run / "results/explanandum/0", run / "results/explainers/sharp/0"
    for place in (classifier, folder):
        place.mkdir(parents=True)
    explanandum = small_explanandum(seed)
    save_model(classifier, explanandum)
    torch.manual_seed(seed)
    explainer = Explainer(
        CLASSES, embedding_size=16, hidden_size=5, layers=1, reads=16, gated=True
    ).start_from(explanandum)
    save_model(folder, explainer)
    write_json(folder / "gate.json", {"area": 0.4, "smoothing": 3})
    lines = ["rank\tclass\ttaxid\tname\tsequences"]
    for rank, names in NAMES.items():
        lines += [f"{rank}\t{i}\t{i + 7}\t{name}\t9" for i, name in enumerate(names)]
    (folder / "classes.tsv").write_text("\n".join(lines) + "\n")
    digest = sha256(classifier / "model.safetensors")
    write_classifier_record(folder, classifier, digest, TOKENS, "six_mers")
    return folder
