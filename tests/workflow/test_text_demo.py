"""The text demo with two classes: planted keywords come first, and shuffled labels give nearly none."""

import json

import pandas as pd
import pytest
import yaml
from helpers_workflow import JOBS, PROJECT, snakemake, write_config

pytestmark = pytest.mark.slow

SOURCES = ["integrated_gradients", "explainer_sharp"]
PAGES = [f"results/figures/keywords_{source}_register.html" for source in SOURCES]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = yaml.safe_load((PROJECT / ".test/text/config/config.yaml").read_text("utf-8"))
    config["simulated_texts"] |= {"documents": 900, "classes": 2, "vocabulary": 300}
    config["explanandum"] |= {"epochs": 3}  # two classes are soon learned
    config["explainers"]["sharp"] |= {"epochs": 6}
    config["class_explanations"] |= {"sequences": 100}
    folder = write_config(tmp_path_factory.mktemp("texts"), config)
    targets = [
        "results/class_explanations.tsv",
        "results/explainers/sharp/localization.tsv",
        *PAGES,
    ]
    done = snakemake(folder, *JOBS, "--", *targets)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def read(folder, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / "results" / name, sep="\t")


@pytest.fixture(scope="module")
def planted(run):
    table = pd.read_csv(run / "resources/simulated/keywords.tsv", sep="\t")
    return table.groupby("class")["keyword"].agg(set).to_dict()


@pytest.mark.parametrize("source", SOURCES)
def test_the_first_words_of_each_class_are_the_planted_ones(run, planted, source):
    items = read(run, "class_explanations.tsv")
    words = items[(items["kind"] == "word") & (items["source"] == source)]
    found = dict(list(words.sort_values("mean", ascending=False).groupby("name")["item"]))
    assert set(found) == set(planted) == {"register 01", "register 02"}
    for name, own in planted.items():
        assert found[name].iloc[0] in own
        assert len(set(found[name].head(len(own))) & own) >= len(own) - 1


def test_shuffled_labels_give_nearly_no_words(run):
    table = read(run, "class_explanations_null.tsv")
    words = table[table["kind"] == "word"].set_index("source")
    assert (words["stable_items"] >= 6).all()
    assert (words["stable_items_shuffled"] <= 1).all()


def test_masks_mark_the_places_of_the_keywords(run):
    table = read(run, "explainers/sharp/localization.tsv").set_index(["classes", "control"])
    table = table[table["planted"] == "keyword"]
    own, moved = table.loc[("labels", "none")], table.loc[("labels", "shifted")]
    assert own["auprc"] >= 0.8
    assert moved["auprc"] == pytest.approx(own["base_rate"], abs=0.1)


def test_the_pages_show_the_words_in_texts(run, planted):
    record = json.loads(next((run / "resources/simulated").glob("*.jsonl")).open().readline())
    assert set(record) == {"id", "text", "labels"}
    for page in PAGES:
        text = (run / page).read_text(encoding="utf-8")
        shown = [word for word in set.union(*planted.values()) if word in text]
        assert len(shown) >= 4, page
