"""The programs from a classifier of texts to the keywords of its classes, one after the other."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers_evaluation import BACKBONE, CPU
from helpers_tokenizers import text_file

from whatyouread.classes.documents import SCHEMA
from whatyouread.classes.items import read_counts, read_selections
from whatyouread.explainers.network import Explainer
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.saving import save_model
from whatyouread.support.files import read_parquet

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
WORDS = ["the", "Quick", "brown", "FOX", "jumper", "lazy", "dogs", "over", "12", "café", "<b>", "b"]
SOURCES = ("integrated_gradients", "explainer_paper")
RUNPY = """
import runpy, sys
scripts, *jobs = sys.argv[1:]
for job in jobs:
    name, *options = job.split()
    sys.argv = [f"{scripts}/{name}.py", *options, "--log", "log"]
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


def classifier(tokenizer) -> Explanandum:
    torch.manual_seed(3)
    backbone = BACKBONE | {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad}
    model = Explanandum(backbone, {"register": 2}, tokenizer=tokenizer.name).eval()
    with torch.no_grad():
        model.heads["register"].weight.normal_(std=2)
    return model


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with everything; text 0 and text 1 are classified wrongly."""
    folder = tmp_path_factory.mktemp("words")
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(WORDS, 9)) + "." for _ in range(40)]
    (folder / "data").mkdir()
    rows = [f"{i}\t{text}" for i, text in enumerate(texts)]
    (folder / "data" / "t.tsv").write_text("\n".join(["id\ttext", *rows]) + "\n", encoding="utf-8")
    file = text_file(folder, "word_pieces", texts)
    model = classifier(file.tokenizer)
    with torch.no_grad():
        whole = file.batch(np.arange(40)).to(CPU)
        [logits] = model(whole)
        model.heads["register"].bias[1] -= (logits[:, 1] - logits[:, 0]).median()
        labels = model.predictions(model(whole))[:, 0].tolist()
    assert 10 < sum(labels) < 30
    labels[:2] = [1 - label for label in labels[:2]]
    text_file(folder, "word_pieces", texts, labels)
    save_model(folder / "classifier", model)
    explainer = Explainer({"register": 2}, 6, 4, 1, tokenizer=file.tokenizer.name)
    save_model(folder / "explainer", explainer)
    names = [
        "rank\tclass\tlabel\tname\tsequences",
        "register\t0\tx\t<News>\t20",
        "register\t1\ty\tBlog\t20",
    ]
    (folder / "classes.tsv").write_text("\n".join(names) + "\n")
    settings = {"sequences": 40, "best": 3, "min_probability": 0, "steps": 4, "items": ["word"]}
    own = json.dumps(settings | {"words": {"score": "largest"}}, separators=(",", ":"))
    jobs = [
        f"score_classes --run {run} --source {source} --explanandum classifier --explainer explainer"
        f' --test word_pieces.arrow --dataset data --sequence-settings {{"alphabet":"text"}}'
        f" --settings {own} --batch-size 8 --seed {run} --selections {run}_{source}.parquet"
        f" --documents {run}_{source}_documents.parquet"
        for run in range(2)
        for source in SOURCES
    ]
    loose = '{"min_run_share":0.6,"min_sequences":1,"max_q":1.0,"k":8}'
    selections = " ".join(f"{run}_{source}.parquet" for run in range(2) for source in SOURCES)
    jobs.append(
        f"explain_classes --selections {selections} --classes classes.tsv --ranks register"
        f" --settings {loose} --seed 1 --table table.tsv --summary summary.tsv --null null.tsv"
        " --stability stability.tsv --agreement agreement.tsv"
    )
    jobs += [
        f"render_keywords --table table.tsv --summary summary.tsv --rank register --source {source}"
        f" --documents 0_{source}_documents.parquet --html {source}.html"
        for source in SOURCES
    ]
    jobs.append("plot_stability --table stability.tsv --kind word --svg s.svg --png s.png")
    jobs.append(
        "plot_classes --table table.tsv --summary summary.tsv --kind word --rank register --source"
        " explainer_paper --classes-shown 4 --svg c.svg --png c.png"
    )
    done = subprocess.run(
        [sys.executable, "-c", RUNPY, str(SCRIPTS), *jobs],
        cwd=folder, capture_output=True, text=True, env={"PYTHONPATH": str(SCRIPTS), "PATH": "", "HOME": "."},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def test_only_texts_classified_correctly_are_explained(made):
    paths = [made / f"{run}_{source}.parquet" for run in range(2) for source in SOURCES]
    selections, sequences = read_selections(paths)
    assert set(selections["kind"]) == {"word"}
    for _, part in sequences.groupby(["run", "source"]):
        assert sorted(part["key"]) == list(range(3, 41))
    listed = {word.casefold() for word in WORDS if any(letter.isalpha() for letter in word)}
    assert set(selections["item"]) <= listed - {"<b>"}
    assert {"fox", "café", "b"} <= set(selections["item"])
    assert selections.groupby(["run", "source", "key"]).size().max() == 3
    counts = read_counts(paths)
    assert counts["kind"].tolist() == ["word"] * 2
    assert (counts["numbers"] > 20).all()
    assert (counts["pieces_outside"] > 2 * 38).all()  # a full stop each, "12", "<" and ">"


def test_the_texts_of_the_first_run_are_kept(made):
    for source in SOURCES:
        first, second = (
            read_parquet(made / f"{run}_{source}_documents.parquet", SCHEMA.names)
            for run in range(2)
        )
        assert len(first) == 38
        assert len(second) == 0


def test_tables_and_pages(made):
    table = pd.read_csv(made / "table.tsv", sep="\t", keep_default_na=False)
    assert set(table["source"]) == set(SOURCES)
    null = pd.read_csv(made / "null.tsv", sep="\t")
    assert {"words", "numbers", "pieces", "pieces_outside"} <= set(null.columns)
    assert null["words"].notna().all()
    stability = pd.read_csv(made / "stability.tsv", sep="\t")
    assert stability["runs"].tolist() == [1, 1]
    assert stability["halves"].between(0, 1).all()
    agreement = pd.read_csv(made / "agreement.tsv", sep="\t")
    assert set(agreement["source"] + agreement["other"]) == {"explainer_paperintegrated_gradients"}
    assert agreement["share"].between(0, 1).all()
    for source in SOURCES:
        page = (made / f"{source}.html").read_text(encoding="utf-8")
        assert "&lt;News&gt;" in page
        assert "<News>" not in page
        for word in table.loc[table["source"] == source, "item"]:
            assert f"<b>{word}</b>" in page
    assert "Best words, register" in (made / "c.svg").read_text(encoding="utf-8")
