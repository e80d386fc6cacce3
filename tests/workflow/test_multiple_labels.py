"""A whole tiny run of records with several labels at once, beside a level with one label each."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers_workflow import TINY, snakemake, write_config
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score

from whatyouread.data.kinds import members
from whatyouread.data.levels import read_levels
from whatyouread.data.token_files import TokenFile

pytestmark = pytest.mark.slow

RANKS = ["topic", "register"]
NAMES = ["HI", "ID", "NA", "OP"]
MOTIFS = dict(
    zip(NAMES, ["ACGTTGCAACGG", "TTTCCCGGGAAA", "GATTACAGATTA", "CCATGGCCATGG"], strict=True)
)
CONFIG = {key: value for key, value in TINY.items() if key not in ("simulation", "taxdump")} | {
    "dataset": {"url": "records.jsonl"},
    "labels": {
        "source": "record",
        "hierarchy": False,
        "multiple": ["register"],
        "missing": "keep",
    },
    "ranks": RANKS,
    "split": TINY["split"] | {"explainer_train": 1.0},
    "explanandum": TINY["explanandum"] | {"threshold": 0.4, "epochs": 6, "learning_rate": 0.01},
    "runs": {"number": 1},
    "attributions": TINY["attributions"] | {"methods": {"integrated_gradients": {"steps": 2}}},
    "class_explanations": TINY["class_explanations"] | {"sources": ["explainer_paper"]},
}
FIGURES = ("table1", "confusion", "sequences", "masks", "chunks", "training")
TARGETS = [
    "results/table1.md",
    "results/summary.md",
    "results/comparison.md",
    "results/steering.md",
    "results/class_explanations.tsv",
    "results/explainers/paper/losses.tsv",
    "results/explanandum/0/blank_summary.tsv",
    *(f"results/explainers/paper/figures/{name}.svg" for name in FIGURES),
    "results/figures/keep_remove.svg",
    "results/figures/steering.svg",
    *(f"results/figures/classes_explainer_paper_{rank}.svg" for rank in RANKS),
    "results/explainers/sharp/0/README.md",
    "results/report/table1.html",
    "results/explain/mine/index.html",
]


def records(count: int = 400) -> list[dict]:
    """Random DNA with a motif, several times, for each label that a record has."""
    rng = np.random.default_rng(5)
    made = []
    for number in range(count):
        held = [name for name in NAMES if rng.random() < 0.35]
        words = ["".join(rng.choice(list("ACGT"), 6)) for _ in range(20)]
        text = (
            "".join(words[:10]) + "".join(MOTIFS[name] * 3 for name in held) + "".join(words[10:])
        )
        topic = ("calm", "loud")[int("HI" in held)]
        # the order within a list, and a name that stands twice, mean nothing
        labels = held[::-1] + held[:1]
        record = {"id": f"r{number}", "sequence": text, "topic": topic, "register": labels}
        if number % 20 == 3:
            record["register"] = None
        made.append(record)
    return made


def make(folder: Path) -> Path:
    """A folder to run in."""
    lines = [json.dumps(record) for record in records()]
    (folder / "records.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "mine.fa").write_text(f">one\n{records()[0]['sequence']}\n", encoding="utf-8")
    return write_config(folder, CONFIG | {"explain": {"mine": "mine.fa"}})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = make(tmp_path_factory.mktemp("several"))
    done = snakemake(folder, "--cores", "2", "--", *TARGETS)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def read(folder, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / "results" / name, sep="\t")


def test_sets_in_token_files_are_those_of_the_records(run):
    levels = read_levels(run / "results/taxonomy/classes.tsv")
    assert (levels["topic"].kind, levels["register"].kind) == ("single", "multiple")
    assert list(levels["register"].names) == NAMES
    given = {f"records.jsonl:{record['id']}": record for record in records()}
    for name in ("train", "validation", "test"):
        file = TokenFile(run / f"results/tokens/{name}.arrow", RANKS)
        for id_, (topic, held) in zip(file.ids.to_pylist(), file.labels.tolist(), strict=True):
            record = given[id_]
            assert levels["topic"].names[topic] == record["topic"]
            wanted = record["register"]
            bits = -1 if wanted is None else sum(1 << NAMES.index(one) for one in set(wanted))
            assert held == bits
    summary = read(run, "taxonomy/summary.tsv").set_index("quantity")["value"]
    none = sum(record["register"] == [] for record in records())
    assert int(summary["kept sequences with none of register"]) == none > 0
    assert int(summary["kept sequences without register"]) == 20


@pytest.mark.parametrize("explainer", ["paper", "sharp"])
def test_table1_by_scikit_learn(run, explainer):
    folder = run / "results/explainers" / explainer
    made = pq.read_table(folder / "predictions.parquet").to_pandas()
    table = pd.read_csv(folder / "table1.tsv", sep="\t").set_index("condition")
    for condition in table.index:
        known = made[(made["label_register"] >= 0) & (made[f"{condition}_register"] >= 0)]
        if known.empty:
            continue
        truth = members(known["label_register"].to_numpy(), 4)
        guess = members(known[f"{condition}_register"].to_numpy(), 4)
        said = np.stack(known[f"probabilities_{condition}_register"].to_numpy())
        if not condition.endswith("chunks"):
            assert np.array_equal(guess, said > 0.4)
        present = np.flatnonzero(truth.any(0))
        row = table.loc[condition]
        options = {"labels": present, "average": "macro", "zero_division": 0}
        assert row["register"] == pytest.approx(100 * f1_score(truth, guess, **options), abs=0.006)
        micro = 100 * f1_score(truth, guess, average="micro", zero_division=0)
        assert row["register_micro_f1"] == pytest.approx(micro, abs=0.006)
        both = [c for c in present if not truth[:, c].all()]
        precision = np.mean([average_precision_score(truth[:, c], said[:, c]) for c in both])
        assert row["register_average_precision"] == pytest.approx(100 * precision, abs=0.006)
        topics = made[made[f"{condition}_topic"] >= 0]
        accuracy = balanced_accuracy_score(topics["label_topic"], topics[f"{condition}_topic"])
        assert row["topic"] == pytest.approx(100 * accuracy, abs=0.006)


def test_controls_and_wrong_classes(run):
    folder = run / "results/explainers/paper"
    controls = pd.read_csv(folder / "controls.tsv", sep="\t")
    assert {"register_micro_f1", "register_average_precision"} <= set(controls)
    assert controls[controls["control"] == "shuffled"]["register"].notna().all()
    masks = pq.read_table(folder / "masks.parquet").to_pandas()
    wrong, own = masks["wrong_register"].to_numpy(), masks["label_register"].to_numpy()
    known = own >= 0
    disjoint = (wrong[known] & own[known]) == 0
    counted = controls[controls["control"] == "wrong_class"]["sequences_register"]
    assert (counted == int((disjoint & (wrong[known] > 0)).sum())).all()
    # the mask for no class is empty, where the other level has none either; it never is for a wrong set
    assert (wrong > 0).all()


def test_what_is_shown_speaks_of_macro_f1(run):
    results = run / "results"
    for name in ("table1.md", "summary.md", "comparison.md", "explainers/sharp/0/README.md"):
        text = " ".join((results / name).read_text(encoding="utf-8").split())
        assert "Balanced accuracy / macro F1" in text, name
    assert "micro f1" in (results / "table1.md").read_text(encoding="utf-8")
    page = (results / "explainers/paper/figures/confusion.svg").read_text(encoding="utf-8")
    assert "balanced accuracy" in page or "macro F1" in page
    mine = read(run, "explain/mine/mine.predictions.tsv")
    assert {"register_held", *(f"register_probability_{name}" for name in NAMES)} <= set(mine)
    whole = mine[mine["part"] == "sequence"].iloc[0]
    held = [name for name in NAMES if whole[f"register_probability_{name}"] > 0.4]
    assert whole["register_held"] == (", ".join(held) or "(none)")
    items = read(run, "class_explanations.tsv")
    assert set(items["rank"]) <= set(RANKS)


def test_no_log_has_a_traceback(run):
    for log in (run / "logs").rglob("*.log"):
        assert "Traceback" not in log.read_text(), log.name
