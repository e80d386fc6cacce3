"""A published classifier of proteins through the whole workflow, with labels and without."""

import numpy as np
import pandas as pd
import pytest
import torch
from helpers_families import FAMILIES, save, transformers_model
from helpers_workflow import JOBS, TINY, snakemake, write_config

from whatyouread.data.residues import RESIDUES
from whatyouread.data.token_files import TokenFile
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.saving import load_model
from whatyouread.support.files import read_json

pytestmark = pytest.mark.slow

CONFIG = {
    "seed": 7,
    "dataset": {"url": "file:peptides.tsv"},
    "sequences": {"alphabet": "protein"},
    "tokenizer": "backbone",
    "ranks": ["kind"],
    "labels": {"source": "record"},
    "explanandum": {"classifier": {"path": "published"}},
    "runs": {"kind": "explainer", "number": 1},
    **{name: TINY[name] for name in ("split", "explainer", "baselines", "faithfulness")},
    "attributions": TINY["attributions"] | {"methods": {"integrated_gradients": {"steps": 2}}},
}
NAMES = {0: "no", 1: "yes"}


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A classifier with random weights, as transformers saves it, and peptides that it splits evenly."""
    folder = tmp_path_factory.mktemp("given")
    model = transformers_model(
        FAMILIES["esm2"], "ForSequenceClassification", id2label=NAMES, num_labels=2
    )
    save(folder / "published", model)
    (folder / "published" / "vocab.txt").write_text("\n".join(RESIDUES.vocabulary))
    rng = np.random.default_rng(1)
    texts = ["".join(rng.choice(list("ACDEFGHIKLMNPQRSTVWY"), n)) for n in rng.integers(8, 30, 300)]
    ids = [
        torch.tensor(RESIDUES.tokenize(*as_text(text))[0].astype(np.int64))[None] for text in texts
    ]
    with torch.inference_mode():
        logits = torch.cat([model(input_ids=one).logits for one in ids]).numpy()
    answers = np.where(
        logits[:, 1] - logits[:, 0] > np.median(logits[:, 1] - logits[:, 0]), "yes", "no"
    )
    answers[:5] = "unheard of"
    table = pd.DataFrame({"id": [f"p{i}" for i in range(300)], "text": texts, "kind": answers})
    table.to_csv(folder / "peptides.tsv", sep="\t", index=False)
    return folder, texts, logits


def as_text(text):
    return np.frombuffer(text.encode(), np.uint8), np.array([0, len(text)])


def test_a_classifier_is_explained_as_it_is(published):
    folder, _, logits = published
    write_config(folder, CONFIG)
    targets = ["results/table1.tsv", "results/summary.md", "results/comparison.tsv"]
    targets.append("results/explainers/sharp/0/README.md")
    done = snakemake(folder, *JOBS, "--", *targets)
    assert done.returncode == 0, done.stderr[-4000:]
    explanandum = load_model(Explanandum, folder / "results/explanandum/0").freeze()
    file = TokenFile(folder / "results/tokens/test.arrow", ["kind"])
    batch = file.batch(np.arange(len(file))).to("cpu")
    with torch.inference_mode():
        (made,) = explanandum(batch)
    rows = [int(name.rpartition("p")[2]) for name in file.ids.to_pylist()]
    assert np.abs(made.numpy() - logits[rows]).max() < 1e-5
    assert min(rows) >= 5  # the classes that it does not know are left out, and counted
    summary = pd.read_csv(folder / "results/taxonomy/summary.tsv", sep="\t", index_col="quantity")
    assert summary.loc["dropped: no class of the classifier", "value"] == 5
    # numbers of classes are the classifier's: it knows what it was asked for
    classes = pd.read_csv(folder / "results/taxonomy/classes.tsv", sep="\t")
    assert classes["name"].tolist() == ["no", "yes"]
    table = pd.read_csv(folder / "results/table1.tsv", sep="\t", index_col="condition")
    predicted = made.argmax(1).numpy()
    hits = [(predicted[file.labels[:, 0] == c] == c).mean() for c in (0, 1)]
    assert table.loc["explanandum", "kind"] == pytest.approx(100 * np.mean(hits), abs=0.01)


def test_explainers_of_a_data_set_without_labels(published):
    folder, texts, _ = published
    other = folder / "unlabelled"
    other.mkdir()
    (other / "published").symlink_to(folder / "published")
    (other / "peptides.tsv").write_text(
        "".join(f"{line}\n" for line in ["text", *texts]), encoding="utf-8"
    )
    write_config(other, CONFIG | {"labels": {"source": "none"}})
    done = snakemake(other, *JOBS)
    assert done.returncode == 0, done.stderr[-4000:]
    for name in ("paper", "sharp"):
        record = read_json(other / f"results/explainers/{name}/0/run.json")
        assert record["seed"] == 7
        assert "kind" in (other / f"results/explainers/{name}/0/README.md").read_text()
    history = pd.read_csv(other / "results/explainers/paper/0/history.tsv", sep="\t")
    assert history["validation_classification"].iloc[0] > 0  # it learned something to keep
