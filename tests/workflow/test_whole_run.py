"""A whole tiny run, from simulated archives to the report, and what later runs make of it."""

import filecmp
import re
import shutil

import pandas as pd
import pytest
from helpers_workflow import (
    JOBS,
    PLAN,
    PROJECT,
    TINY,
    copy_checkout,
    jobs,
    snakemake,
    write_config,
)

from whatyouread.explainers.saved import load_explainer

pytestmark = pytest.mark.slow

EXPLAINERS = ("paper", "sharp")
METHODS = {"explainer_paper", "explainer_sharp", *TINY["attributions"]["methods"]}
CONDITIONS = [
    "explanandum",
    "masks",
    "inverted_masks",
    "rounded_masks",
    "inverted_rounded_masks",
    "relevant_chunks",
    "irrelevant_chunks",
]
CONTROLS = {"shuffled", "shifted", "other_sequence", "position_mean", "constant"}


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    """A folder in which everything was made with the tiny configuration; not to be changed."""
    folder = write_config(tmp_path_factory.mktemp("tiny"), TINY)
    done = snakemake(folder, *JOBS)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def read(folder, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / "results" / name, sep="\t")


def test_table_1_of_each_explainer(tiny_run):
    ranks = ["superkingdom", "phylum", "genus"]
    first = None
    for explainer in EXPLAINERS:
        table = read(tiny_run, f"explainers/{explainer}/table1.tsv")
        assert table["condition"].tolist() == CONDITIONS
        assert table.columns[:5].tolist() == ["condition", *ranks, "sequences"]
        assert table[[f"paper_{rank}" for rank in ranks]].notna().all(axis=None)
        first = table.loc[0] if first is None else first
        assert table.loc[0].equals(first)  # the same classifier, unmasked
        controls = read(tiny_run, f"explainers/{explainer}/controls.tsv")
        own = controls[(controls["classes"] == "predicted") & (controls["control"] == "none")]
        assert own["condition"].tolist() == CONDITIONS
        for classes in ("labels", "predicted"):
            names = set(controls.loc[controls["classes"] == classes, "control"]) - {"none"}
            assert names == CONTROLS
        localization = read(tiny_run, f"explainers/{explainer}/localization.tsv")
        assert localization["auprc"].between(0, 1).all()
        assert len(read(tiny_run, f"explainers/{explainer}/mask_statistics.tsv"))
    for name in ("table1.tsv", "table1.md"):
        main = tiny_run / "results/explainers/paper" / name
        assert filecmp.cmp(main, tiny_run / "results" / name, shallow=False)
    summary = (tiny_run / "results/summary.md").read_text()
    assert all(explainer in summary for explainer in EXPLAINERS)


def test_the_papers_loss_is_compared_where_an_explainer_has_it(tiny_run):
    losses = read(tiny_run, "explainers/paper/losses.tsv")
    assert {"explainer", "constant", "by_position"} <= set(losses["mask"])
    assert not (tiny_run / "results/explainers/sharp/losses.tsv").exists()


def test_what_the_classifier_says_about_nothing(tiny_run):
    blank = read(tiny_run, "explanandum/0/blank.tsv")
    sums = blank.groupby(["input", "rank"])["probability"].sum().to_numpy()
    assert sums == pytest.approx(1, abs=1e-4)


def test_all_methods_are_compared(tiny_run):
    comparison = read(tiny_run, "comparison.tsv")
    controls = comparison.groupby("method")["control"].agg(set)
    assert set(controls.index) == {"unmasked", *METHODS}
    others = {f"{o}_class{s}" for o in ("wrong", "runner_up") for s in ("", "_steering")}
    for method, names in controls.drop("unmasked").items():
        assert {"none", *CONTROLS, *others} == names, method
    assert set(read(tiny_run, "steering.tsv")["method"]) == METHODS
    faithfulness = read(tiny_run, "faithfulness.tsv")
    assert set(faithfulness["direction"]) == {"higher", "lower", "none"}
    for method, rows in faithfulness.groupby("method"):
        agreement = {"seed_agreement", "seed_overlap"} & set(rows["metric"])
        assert len(agreement) == (2 if method.startswith("explainer_") else 0), method


def test_classes_are_explained_by_each_source(tiny_run):
    for name in ("class_explanations_summary", "class_explanations_null"):
        table = read(tiny_run, f"{name}.tsv")
        assert set(table["source"]) == {"integrated_gradients", "explainer_paper"}, name


def test_each_explainer_can_be_given_away(tiny_run):
    for name in ("paper", "sharp"):
        folder = tiny_run / "results/explainers" / name / "0"
        saved = load_explainer(folder)
        assert [level.name for level in saved.levels] == ["superkingdom", "phylum", "genus"]
        card = (folder / "README.md").read_text()
        assert f"# {name}: " in card
        assert "the same masks shifted along the sequence" in card


def test_pictures_are_drawn_in_both_formats(tiny_run):
    pictures = [*tiny_run.glob("results/**/figures/*.svg")]
    assert len(pictures) == 2 * 6 + 6 + 2 * 6
    for svg in pictures:
        assert svg.with_suffix(".png").stat().st_size > 5000, svg.name


def test_nothing_is_left_behind(tiny_run):
    for folder in ("checkpoints", "results/explainers/paper/parts", "resources/partial"):
        assert not [path for path in (tiny_run / folder).rglob("*") if path.is_file()], folder
    for log in (tiny_run / "logs").rglob("*.log"):
        assert "Traceback" not in log.read_text(), log.name


def test_nothing_is_left_to_do(tiny_run):
    done = snakemake(tiny_run, "--dry-run")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_a_second_run_makes_the_same_files(tiny_run, tmp_path):
    """Up to what follows from a training; what is measured on it has tests of its own.

    By programs that start cold, and so share no state, such as the seed of `hash`, with those of the first.
    """
    folder = write_config(tmp_path, TINY)
    names = [
        "results/explanandum/0/model.safetensors",
        "results/explainers/paper/0/model.safetensors",
        *(f"results/explainers/paper/{name}.parquet" for name in ("masks", "predictions")),
        *(f"results/explainers/paper/{name}.tsv" for name in ("table1", "controls")),
        "results/explainers/paper/table1.md",
    ]
    done = snakemake(folder, *JOBS, "--", *names, cold=True)
    assert done.returncode == 0, done.stderr[-4000:]
    for name in names:
        assert filecmp.cmp(tiny_run / name, folder / name, shallow=False), name


def test_work_in_parts_makes_the_same_tables(tiny_run, tmp_path):
    folder = tmp_path / "in_parts"
    shutil.copytree(tiny_run, folder)
    write_config(folder, TINY | {"parts": 3})
    results = folder / "results" / "explainers" / "paper"
    for name in ("masks.parquet", "predictions.parquet", "table1.tsv", "controls.tsv"):
        (results / name).unlink()
    done = snakemake(folder, *JOBS, "--", "results/table1.tsv")
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stderr.count("rule generate_masks:") == 3
    assert done.stderr.count("rule predict_masked:") == 3
    assert "rule train_explainer:" not in done.stderr
    for name in ("table1.tsv", "controls.tsv"):
        made = tiny_run / "results" / "explainers" / "paper" / name
        assert filecmp.cmp(made, results / name, shallow=False)
    assert not [path for path in (results / "parts").rglob("*") if path.is_file()]


def test_the_report_holds_every_page_and_figure(tiny_run):
    done = snakemake(tiny_run, "--report", "report.html")
    assert done.returncode == 0, done.stderr[-4000:]
    report = (tiny_run / "report.html").read_text(encoding="utf-8")
    shown = set(re.findall(r'"(results/[^"]+\.(?:svg|html))": \{', report))
    made = {*tiny_run.glob("results/**/figures/*.svg"), *tiny_run.glob("results/report/*.html")}
    made = {str(path.relative_to(tiny_run)) for path in made}
    # of the sequences, the page is shown in place of the picture
    made = {path for path in made if not path.endswith("sequences.svg")}
    made |= {f"results/explainers/{name}/figures/sequences.html" for name in EXPLAINERS}
    assert len(made) > 30
    assert shown >= made
    for category in ("Data", "Models", "Table 1", "Controls", "Masks", "Comparison"):
        assert f'"{category}"' in report, category


def test_a_finished_run_seen_through_links_plans_nothing(tiny_run, tmp_path):
    (tmp_path / "checkout").symlink_to(PROJECT)
    (tmp_path / "run").symlink_to(tiny_run)
    snakefile = tmp_path / "checkout" / "workflow" / "Snakefile"
    for folder in (tiny_run, tmp_path / "run"):
        done = snakemake(folder, "--dry-run", snakefile=snakefile)
        assert "Nothing to be done" in done.stdout + done.stderr


def test_a_finished_run_moved_with_its_checkout_plans_nothing(tiny_run, tmp_path):
    snakefile = copy_checkout(tmp_path / "checkout")
    shutil.copytree(tiny_run, tmp_path / "run")
    done = snakemake(tmp_path / "run", "--dry-run", snakefile=snakefile)
    assert "Nothing to be done" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("change", "rerun", "kept"),
    [
        (
            {"backbone": TINY["backbone"] | {"hidden_dropout_prob": 0.1}},
            {"download_backbone": 1, "train_explanandum": 1, "train_explainer": 4},
            {"label_taxonomy", "tokenize_sequences"},
        ),
        (
            {"device": "cpu", "checkpoint_minutes": 3, "container": "x.sif"},
            {"record_run": 1},
            {"train_explanandum", "train_explainer", "generate_masks", "attribute_tokens"},
        ),
        (
            {"runs": {"number": 3}},
            {"train_explainer": 2, "set_gate": 1, "score_classes": 1, "measure_faithfulness": 2},
            {"train_explanandum", "generate_masks", "attribute_tokens", "measure_steering"},
        ),
        (
            {
                "explainers": {
                    "paper": {"objective": "paper"},
                    "sharp": {"objective": "sharp"},
                    "new": {"objective": "sharp"},
                }
            },
            {"train_explainer": 2, "generate_masks": 1, "attribute_tokens": 1},
            {"train_explanandum", "score_classes", "compare_losses"},
        ),
        (
            {"blank": {"sequences": 65}, "figures": {"sequences": 3}},
            {"check_blank": 1, "plot_sequences": 2},
            {"train_explanandum", "train_explainer", "generate_masks", "attribute_tokens"},
        ),
        (
            {"faithfulness": TINY["faithfulness"] | {"curve_points": 5}},
            {"measure_faithfulness": 10},
            {"train_explainer", "generate_masks", "attribute_tokens", "measure_steering"},
        ),
        (
            {"evaluation": {"batch_size": 100}},
            {"generate_masks": 2, "attribute_tokens": 10},
            {"train_explanandum", "train_explainer", "compare_losses", "check_blank"},
        ),
        (
            {
                "explainers": {
                    "paper": {"objective": "paper"},
                    "sharp": {"objective": "sharp", "area": 0.2},
                }
            },
            {"set_gate": 2, "generate_masks": 1, "attribute_tokens": 1},
            {"train_explainer", "train_explanandum", "explain_classes"},
        ),
        (
            {"explainer": TINY["explainer"] | {"embedding_size": 7}},
            {"train_explainer": 2},
            {"train_explanandum", "set_gate"},
        ),
        (
            {"class_explanations": TINY["class_explanations"] | {"max_q": 0.05}},
            {"explain_classes": 1},
            {"score_classes", "train_explainer", "generate_masks"},
        ),
        (
            {"class_explanations": TINY["class_explanations"] | {"steps": 3}},
            {"score_classes": 1},
            {"train_explainer", "generate_masks"},
        ),
        (
            {"explanandum": TINY["explanandum"] | {"weight_decay": 0, "max_grad_norm": 0.0}},
            {},
            {"train_explanandum", "train_explainer"},
        ),
    ],
)
def test_a_change_reruns_what_uses_it(tiny_run, tmp_path, change, rerun, kept):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    done = snakemake(write_config(run, TINY | change), *PLAN)
    planned = jobs(done)
    assert {rule: planned.get(rule) for rule in rerun} == rerun
    assert not kept & set(planned)
