"""What Snakemake plans for a configuration, and which targets it refuses."""

import re
from pathlib import Path

import pytest
from helpers_workflow import (
    PROJECT,
    TINY,
    complaint,
    jobs,
    snakemake,
    write_config,
)

PLAN = ("--quiet", "host", "--dry-run", "--printshellcmds")
RULES = re.findall(
    r"^rule (\w+):",
    "".join(path.read_text() for path in (PROJECT / "workflow" / "rules").glob("*.smk")),
    re.MULTILINE,
)


def test_the_papers_run_is_planned(papers_folder):
    done = snakemake(papers_folder, *PLAN)
    planned = jobs(done)
    # simulated data only; runs that train another classifier
    absent = {"simulate_dataset", "localize_masks", "resplit_tokens"}
    assert set(planned) == {"all", *RULES} - absent
    assert planned["train_explainer"] == 6  # two Explainers, three seeds
    assert planned["train_explanandum"] == 1
    assert planned["compare_losses"] == 1  # for the objective that has this loss
    assert planned["generate_masks"] == planned["predict_masked"] == planned["plot_training"] == 2
    # no command, input or parameter holds the path of the checkout
    assert done.stdout.count("$WHATYOUREAD/scripts/") > 80
    assert str(PROJECT) not in done.stdout


def test_table_1_alone_needs_one_explainer_and_nothing_beside(papers_folder):
    planned = jobs(snakemake(papers_folder, *PLAN, "results/table1.tsv"))
    assert planned["train_explainer"] == planned["generate_masks"] == 1
    needless = ("plot_", "render_", "compare_", "explain_", "score_", "check_", "attribute_")
    assert not [rule for rule in planned if rule.startswith(needless)]


def test_the_demo_shows_all_explainers_beside_the_other_methods(tmp_path):
    planned = jobs(snakemake(write_config(tmp_path, TINY), *PLAN, "demo"))
    assert planned["train_explainer"] == 4  # two Explainers, two seeds
    assert planned["plot_sequences"] == 2
    assert planned["summarize_run"] == planned["copy_table1"] == planned["compare_methods"] == 1
    assert planned["attribute_tokens"] == 2 + len(TINY["attributions"]["methods"])
    assert not {"score_classes", "explain_classes", "render_table", "plot_lime"} & set(planned)


def test_the_first_explainer_is_the_main_one_and_may_be_the_only_one(tmp_path):
    write_config(tmp_path, TINY | {"explainers": {"sharp": {"objective": "sharp"}}})
    done = snakemake(tmp_path, *PLAN)
    planned = jobs(done)
    assert planned["train_explainer"] == 2  # the seeds
    assert "compare_losses" not in planned
    assert "cp results/explainers/sharp/table1.tsv results/table1.tsv" in done.stdout
    assert '"objective": "paper"' not in done.stdout


def test_scores_need_an_explainer_only_where_they_are_of_one(tmp_path):
    write_config(tmp_path, TINY)
    wanted = ("results/attributions/lime.parquet", "results/classes/0/integrated_gradients.parquet")
    assert "train_explainer" not in jobs(snakemake(tmp_path, *PLAN, *wanted))
    wanted = (
        "results/attributions/explainer_sharp.parquet",
        "results/classes/1/explainer_paper.parquet",
    )
    done = snakemake(tmp_path, *PLAN, *wanted)
    assert jobs(done)["train_explainer"] == 2
    assert "--explainer results/explainers/paper/1 " in done.stdout
    assert "--explainer results/explainers/sharp/0 " in done.stdout


def test_work_in_parts(tmp_path):
    write_config(tmp_path, TINY | {"parts": 3})
    done = snakemake(tmp_path, *PLAN, "results/table1.tsv")
    planned = jobs(done)
    assert planned["generate_masks"] == planned["predict_masked"] == 3
    assert planned["gather_parts"] == 2
    assert (
        "--part 2-of-3 --masks results/explainers/paper/parts/2-of-3/masks.parquet" in done.stdout
    )


def other_runs(folder: Path, method: str) -> list[list[str]]:
    """The other Explainers, and their classifiers, that `measure_faithfulness` is given."""
    done = snakemake(folder, *PLAN, f"results/faithfulness/{method}.tsv")
    assert done.returncode == 0, done.stderr
    command = next(line for line in done.stdout.splitlines() if "measure_faithfulness.py" in line)
    options = (f"--other-{models} (.*?) --" for models in ("explainers", "explananda"))
    return [found[1].split() for option in options if (found := re.search(option, command))]


@pytest.mark.parametrize(("kind", "classifiers"), [("explainer", [0, 0]), ("explanandum", [1, 2])])
def test_the_explainer_of_a_run_is_asked_with_the_classifier_of_that_run(
    tmp_path, kind, classifiers
):
    write_config(tmp_path, TINY | {"runs": {"kind": kind, "number": 3}})
    assert other_runs(tmp_path, "explainer_sharp") == [
        ["results/explainers/sharp/1", "results/explainers/sharp/2"],
        [f"results/explanandum/{run}" for run in classifiers],
    ]
    assert other_runs(tmp_path, "lime") == []


def test_runs_may_train_another_classifier_on_another_split(tmp_path):
    write_config(tmp_path, TINY | {"runs": {"kind": "explanandum", "number": 3}})
    done = snakemake(tmp_path, *PLAN)
    planned = jobs(done)
    assert planned["resplit_tokens"] == 2
    assert planned["train_explanandum"] == 3
    assert planned["train_explainer"] == 6
    command = next(
        line for line in done.stdout.splitlines() if "--output-dir results/explanandum/2" in line
    )
    assert "--train results/tokens/2/train.arrow" in command
    assert "--validation results/tokens/2/validation.arrow" in command


@pytest.mark.parametrize(
    "target",
    [
        "results/explainers/shrap/table1.tsv",
        "results/explainers/paper/2/model.safetensors",
        "results/explainers/sharp/losses.tsv",
        "results/explainers/paper/parts/2-of-2/masks.parquet",
        "results/explainers/paper/mask.parquet",
        "results/explanandum/1/model.safetensors",
        "results/tokens/1/train.arrow",
        "results/attributions/lime_captum_default.parquet",
        "results/faithfulness/explainer.tsv",
        "results/classes/0/explainer_sharp.parquet",
        "results/figures/classes_explainer_paper_species.svg",
        "results/report/table2.html",
    ],
)
def test_a_misspelt_target_is_an_error(tmp_path, target):
    """TINY has two runs, one classifier, one part, and explains classes by the main Explainer."""
    assert f"No rule to produce {target}" in complaint(write_config(tmp_path, TINY), target)
