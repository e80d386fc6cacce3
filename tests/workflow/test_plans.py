"""What Snakemake plans for a configuration, and which targets it refuses."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from helpers_workflow import (
    PROJECT,
    SNAKEFILE,
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


def test_the_slurm_profile_plans_the_papers_run(papers_folder):
    (papers_folder / "slurm").symlink_to(PROJECT / "slurm")
    conda = papers_folder / "bin" / "conda"  # Snakemake asks for its version even in a dry run
    conda.parent.mkdir()
    conda.write_text(
        '#!/bin/sh\ncase "$1" in\n'
        'info) echo \'{"conda_prefix": "/nowhere", "platform": "linux-64"}\';;\n'
        'config) echo \'{"get": {"channel_priority": "strict"}}\';;\n'
        "*) echo 'conda 26.1.0';;\nesac\n"
    )
    conda.chmod(0o755)
    path = (
        f"{conda.parent}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    )
    more = papers_folder / "more.yaml"
    more.write_text("explainers: {sharp: {gpus: 4}}")
    for arguments in (["--profile", "slurm"], ["--use-conda", "-j1", "results/summary.md"]):
        command = [sys.executable, "-m", "snakemake", "--snakefile", SNAKEFILE, "-n"]
        done = subprocess.run(
            [*map(str, command), *arguments, "--configfile", str(more)],
            cwd=papers_folder,
            capture_output=True,
            text=True,
            env=os.environ | {"PATH": path},
        )
        assert done.returncode == 0, done.stderr + done.stdout
        # not cut to what one machine may do at a time
        for wildcards, gpus in (("explainer=sharp, run=0", 4), ("explainer=paper, run=0", 1)):
            job = next(
                block
                for block in re.split(r"\n(?=rule |localrule )", done.stdout)
                if block.startswith("rule train_explainer:") and f"wildcards: {wildcards}" in block
            )
            assert f"gpu={gpus}" in re.search(r"resources: (.*)", job)[1].split(", ")


def test_ranks_with_a_blank_are_one_word_of_every_command(tmp_path):
    ranks = ["genus", "species group", "species"]
    write_config(tmp_path, TINY | {"ranks": ranks})
    done = snakemake(tmp_path, *PLAN)
    assert jobs(done)["plot_classes"] == 6  # two sources, three ranks
    asked = set()
    for line in filter(re.compile(r".*scripts/\w+\.py").match, done.stdout.splitlines()):
        words = shlex.split(line)
        if "--ranks" in words:
            at = words.index("--ranks") + 1
            assert words[at : at + 3] == ranks
            asked.add(re.search(r"scripts/(\w+)\.py", line)[1])
        if "--rank" in words:
            rank = words[words.index("--rank") + 1]
            assert words[words.index("--svg") + 1].endswith(f"_{rank}.svg")
            assert words[words.index("--logo-png") + 1].endswith(f"_{rank}.png")
            assert words[words.index("--log") + 1].endswith(f"_{rank}.log")
            asked.add(rank)
    assert asked >= {*ranks, "label_taxonomy", "split_dataset", "tokenize_sequences"}
    # the rules that this configuration does not need
    rules = "".join(path.read_text() for path in (PROJECT / "workflow" / "rules").glob("*.smk"))
    assert rules.count("{params.ranks:q}") == rules.count("ranks=RANKS,")
    assert "{params.ranks}" not in rules


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"ranks": ["phylum", "Genus"]}, "config: ranks.1: 'Genus' does not match"),
        ({"ranks": ["phylum", " genus"]}, "config: ranks.1: ' genus' does not match"),
        ({"ranks": ["genus", "genus"]}, "config: ranks: ['genus', 'genus'] has non-unique"),
        ({"ranks": []}, "config: ranks: [] "),
        (
            {"labels": {"without_taxid": "drop"}},
            "config: labels.without_taxid: 'drop' is not one of",
        ),
        (
            {"labels": {"source": "ncbi", "rank_twice": True}},
            "config: labels.rank_twice: True is not",
        ),
        ({"labels": {"whithout_taxid": "stop"}}, "('whithout_taxid' was unexpected)"),
    ],
)
def test_ranks_and_labels_that_are_refused(tmp_path, keys, words):
    assert words in complaint(write_config(tmp_path, TINY | keys))
