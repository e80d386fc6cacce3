"""The workflow as a user meets it: plans, configuration errors, and a whole tiny run."""

import filecmp
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[1]
SNAKEFILE = PROJECT / "workflow" / "Snakefile"
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

TINY = {
    "seed": 7,
    "simulation": {
        "sequences": 600,
        "length": 300,
        "superkingdoms": 4,
        "phyla": 8,
        "genera": 20,
        "segment_length": 30,
        "segments_per_phylum": 1,
        "segments_per_genus": 1,
        "planted_per_sequence": [1, 3],
        "mutation_rate": 0.0,
        "both_strands": False,
        "superkingdom_spread": 0.2,
        "phylum_spread": 0.05,
        "genus_size_spread": 0.2,
    },
    "dataset": {"url": "file:resources/simulated/dataset.zip"},
    "taxdump": {"url": "file:resources/simulated/taxdmp.zip"},
    "backbone": {
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    },
    "split": {"test": 0.2, "validation": 0.1, "explainer_train": 0.3, "explainer_validation": 1.0},
    "explanandum": {"epochs": 2, "batch_size": 32, "learning_rate": 0.005, "reading_offset": True},
    "explainer": {"epochs": 1, "hidden_size": 8, "learning_rate": 0.005},
    "baselines": {"search_sequences": 16, "position_steps": 3},
    "runs": {"number": 2},
    "attributions": {
        "sequences": 12,
        "again": 3,
        "methods": {
            "explainer": {},
            "integrated_gradients": {"steps": 2},
            "gradient_x_input": {},
            "ablation_window": {"method": "ablation", "window": 10},
            "lime": {"samples": 20},
            "kernel_shap": {"samples": 20},
            "occlusion_gradients": {"samples": 2},
            "attention_rollout": {},
            "random": {},
        },
    },
    "faithfulness": {"curve_points": 4, "infidelity_samples": 3, "resamples": 20},
    "class_explanations": {"sequences": 60, "steps": 2, "min_probability": 0.0},
    "figures": {"sequences": 2, "classes": 4},
}


def snakemake(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(SNAKEFILE),
        "--directory",
        str(folder),
    ]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [*command, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": path, "CUDA_VISIBLE_DEVICES": ""} | environment,
        stdin=subprocess.DEVNULL,
    )


def write_config(folder: Path, config: dict) -> Path:
    path = folder / "config" / "config.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder


@pytest.fixture
def paper_run(tmp_path):
    shutil.copytree(PROJECT / "config", tmp_path / "config")
    return tmp_path


def rule_blocks() -> dict[str, str]:
    blocks = {}
    for path in (PROJECT / "workflow" / "rules").glob("*.smk"):
        for block in path.read_text(encoding="utf-8").split("\nrule ")[1:]:
            blocks[block.partition(":")[0]] = block
    return blocks


def test_the_papers_run_is_planned(paper_run):
    done = snakemake(paper_run, "--dry-run")
    assert done.returncode == 0, done.stderr
    for rule in rule_blocks():
        assert (f"rule {rule}:" in done.stdout) == (
            # simulated data only; runs that retrain the classifier; scattered work
            rule not in ("simulate_dataset", "localize_masks", "resplit_tokens")
            and not rule.startswith("gather_")
        )


def test_table_1_alone_needs_neither_baselines_nor_blank(paper_run):
    done = snakemake(paper_run, "--dry-run", "results/table1.tsv")
    assert done.returncode == 0, done.stderr
    assert "rule evaluate_masks:" in done.stdout
    for rule in rule_blocks():
        needless = rule.startswith(("plot_", "render_", "compare_", "explain_", "score_"))
        if needless or rule in ("check_blank", "attribute_tokens", "retrain_explainer"):
            assert f"rule {rule}:" not in done.stdout, rule


def test_runs_may_retrain_the_classifier_on_another_split(tmp_path):
    write_config(tmp_path, TINY | {"runs": {"kind": "explanandum", "number": 3}})
    done = snakemake(tmp_path, "--dry-run", "--quiet", "host")
    assert done.returncode == 0, done.stderr
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, re.MULTILINE))
    for rule in ("resplit_tokens", "retrain_explanandum", "retrain_explainer"):
        assert jobs[rule] == "2", rule


def test_the_slurm_profile_plans_the_papers_run(paper_run):
    shutil.copytree(PROJECT / "slurm", paper_run / "slurm")
    conda = paper_run / "bin" / "conda"  # Snakemake asks conda for its version even in a dry run
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
    more = paper_run / "more.yaml"
    more.write_text("explainer: {gpus: 4}")
    for arguments in (["--profile", "slurm"], ["--use-conda", "-j1", "results/table1.tsv"]):
        command = [sys.executable, "-m", "snakemake", "--snakefile", str(SNAKEFILE), "-n"]
        done = subprocess.run(
            [*command, *arguments, "--configfile", str(more)],
            cwd=paper_run,
            capture_output=True,
            text=True,
            env=os.environ | {"PATH": path},
        )
        assert done.returncode == 0, done.stderr + done.stdout
        # not cut to what one machine may do at a time
        for rule, gpus in (("train_explainer", 4), ("generate_masks", 1)):
            planned = re.search(rf"rule {rule}:.*?resources: (.*?)\n", done.stdout, re.DOTALL)
            assert f"gpu={gpus}" in planned[1].split(", ")


def test_the_slurm_profile_knows_the_rules_with_a_gpu():
    profile = yaml.safe_load((PROJECT / "slurm" / "config.yaml").read_text())["set-resources"]
    needing = {rule for rule, block in rule_blocks().items() if "gpu=" in block}
    # each of them, and no other, is one of the few at a time that a machine can do
    assert needing == {r for r, block in rule_blocks().items() if "gpu_jobs=1," in block}
    for path in (PROJECT / "workflow" / "rules").glob("*.smk"):
        for base, rule in re.findall(r"^use rule (\w+) as (\w+)", path.read_text(), re.MULTILINE):
            needing |= {rule} if base in needing else set()
    assert set(profile) == needing
    for rule, resources in profile.items():
        assert resources["slurm_partition"] == "'gpu'", rule
        # time for a checkpoint
        assert ("--signal=B:TERM@120" in resources.get("slurm_extra", "")) == ("train_" in rule)


def test_the_slurm_profile_groups_all_pictures():
    groups = yaml.safe_load((PROJECT / "slurm" / "config.yaml").read_text())["groups"]
    text = "".join(path.read_text() for path in (PROJECT / "workflow" / "rules").glob("*.smk"))
    pictures = set(re.findall(r"^(?:use )?rule (?:\w+ as )?(plot_\w+)", text, re.MULTILINE))
    assert {rule for rule, group in groups.items() if group == "plots"} == pictures


def test_every_rule_has_an_environment_a_script_and_a_log_of_its_own():
    blocks = rule_blocks()
    assert len(blocks) >= 14
    for rule, block in blocks.items():
        assert f'"../../envs/{rule}.yaml"' in block, rule
        assert f"logs/{rule}.log" in block or f"logs/{rule}/" in block, rule
        assert f"$SCRIPTS/{rule}.py" in block, rule
        assert (PROJECT / "scripts" / f"{rule}.py").is_file(), rule
        environment = yaml.safe_load((PROJECT / "envs" / f"{rule}.yaml").read_text())
        assert environment["channels"] == ["conda-forge", "nodefaults"], rule
    assert {path.stem for path in (PROJECT / "envs").glob("*.yaml")} == set(blocks)
    assert {path.stem for path in (PROJECT / "scripts").glob("*.py")} == set(blocks)


def test_no_torch_in_the_environments_of_the_data_rules():
    data = ("download_dataset", "label_taxonomy", "split_dataset", "tokenize_sequences")
    plots = [rule for rule in rule_blocks() if rule.startswith(("plot_", "render_"))]
    assert len(plots) >= 10
    for rule in (*data, *plots, "sample_sequences", "resplit_tokens", "explain_classes"):
        assert "torch" not in (PROJECT / "envs" / f"{rule}.yaml").read_text()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"explainer": {"epoch": 3}}, "epoch"),
        ({"sed": 3}, "sed"),
        ({"explainer": {"objective": {"min_aera": 0.1}}}, "min_aera"),
        ({"split": {"test": 1.5}}, "1.5"),
        ({"explanandum": {"epochs": "five"}}, "five"),
        ({"explanandum": {"precision": "fp16"}}, "fp16"),
        ({"backbone": {"repository": "x/y", "revision": "main"}}, "backbone"),
        ({"seed": -1}, "-1"),
        ({"checkpoint_minutes": 0}, "checkpoint_minutes"),
        ({"split": {"test": 0.6, "validation": 0.5}}, "leave nothing to train on"),
        ({"explainer": {"objective": {"min_area": 0.4}}}, "min_area is above max_area"),
        ({"explainer": {"gpus": 5}}, "explainer.batch_size 48 is no multiple"),
    ],
)
def test_a_wrong_configuration_is_an_error(tmp_path, change, complaint):
    write_config(tmp_path, TINY | change)
    done = snakemake(tmp_path, "--dry-run")
    assert done.returncode != 0
    assert complaint in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_defaults_of_the_schema_are_the_papers_configuration():
    """config.yaml spells out every default; the two must not drift apart."""
    schema = yaml.safe_load((PROJECT / "workflow/schemas/config.schema.yaml").read_text())
    config = yaml.safe_load((PROJECT / "config/config.yaml").read_text())

    def compare(properties, values, where):
        for key, entry in properties.items():
            if "properties" in entry and entry["type"] == "object" and key != "simulation":
                compare(entry["properties"], values[key], f"{where}{key}.")
            elif "default" in entry:
                assert values[key] == entry["default"], where + key

    compare(schema["properties"], config, "")


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory):
    folder = write_config(tmp_path_factory.mktemp("tiny"), TINY)
    done = snakemake(folder, "--cores", "2")
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


@pytest.mark.slow
def test_a_tiny_run_makes_everything(tiny_run):
    table = pd.read_csv(tiny_run / "results/table1.tsv", sep="\t")
    assert table["condition"].tolist() == CONDITIONS
    ranks = ["superkingdom", "phylum", "genus"]
    assert table.columns[:5].tolist() == ["condition", *ranks, "sequences"]
    assert table[[f"paper_{rank}" for rank in ranks]].notna().all(axis=None)
    controls = pd.read_csv(tiny_run / "results/table1_controls.tsv", sep="\t")
    own = controls[(controls["classes"] == "predicted") & (controls["control"] == "none")]
    assert own["condition"].tolist() == CONDITIONS
    for classes in ("labels", "predicted"):
        names = set(controls.loc[controls["classes"] == classes, "control"]) - {"none"}
        assert names == CONTROLS
    losses = pd.read_csv(tiny_run / "results/explainer/losses.tsv", sep="\t")
    assert {"explainer", "constant", "by_position"} <= set(losses["mask"])
    blank = pd.read_csv(tiny_run / "results/explanandum/blank.tsv", sep="\t")
    assert blank.groupby(["input", "rank"])["probability"].sum().to_numpy() == pytest.approx(
        1, abs=1e-4
    )
    comparison = pd.read_csv(tiny_run / "results/comparison.tsv", sep="\t")
    controls = comparison.groupby("method")["control"].agg(set)
    methods = {"explainer_sharp", *TINY["attributions"]["methods"]}
    assert set(controls.index) == {"unmasked", *methods}
    others = {f"{o}_class{s}" for o in ("wrong", "runner_up") for s in ("", "_steering")}
    for method, names in controls.drop("unmasked").items():
        assert {"none", *CONTROLS, *others} == names, method
    steering = pd.read_csv(tiny_run / "results/steering.tsv", sep="\t")
    assert set(steering["method"]) == methods
    sharp = pd.read_csv(tiny_run / "results/variants/sharp/table1.tsv", sep="\t")
    assert sharp["condition"].tolist() == CONDITIONS
    assert sharp.loc[0].equals(table.loc[0])  # the same classifier, unmasked
    faithfulness = pd.read_csv(tiny_run / "results/faithfulness.tsv", sep="\t")
    assert set(faithfulness["direction"]) == {"higher", "lower", "none"}
    for method in ("explainer", "explainer_sharp"):
        metrics = set(faithfulness.loc[faithfulness["method"] == method, "metric"])
        assert {"seed_agreement", "seed_overlap"} <= metrics
    for name in ("class_explanations_summary", "class_explanations_null", "mask_statistics"):
        assert len(pd.read_csv(tiny_run / f"results/{name}.tsv", sep="\t")), name
    for svg in (tiny_run / "results/figures").glob("*.svg"):
        assert svg.with_suffix(".png").stat().st_size > 5000, svg.name
    localization = pd.read_csv(tiny_run / "results/localization.tsv", sep="\t")
    assert localization["auprc"].between(0, 1).all()
    assert not [path for path in (tiny_run / "checkpoints").rglob("*") if path.is_file()]
    for log in (tiny_run / "logs").rglob("*.log"):
        assert "Traceback" not in log.read_text(), log.name


@pytest.mark.slow
def test_a_second_run_makes_the_same_files(tiny_run, tmp_path):
    folder = write_config(tmp_path, TINY)
    done = snakemake(folder, "--cores", "2")
    assert done.returncode == 0, done.stderr[-4000:]
    for name in (
        "results/table1.tsv",
        "results/table1_controls.tsv",
        "results/table1.md",
        "results/localization.tsv",
        "results/explainer/model.safetensors",
        "results/explanandum/model.safetensors",
        "results/masks/test.parquet",
        "results/run.json",
        "results/comparison_curves.tsv",
        "results/faithfulness.tsv",
        "results/steering.tsv",
        "results/variants/sharp/table1.tsv",
        "results/variants/sharp/runs/0/explainer/model.safetensors",
        "results/class_explanations.tsv",
        "results/class_explanations.meme",
        "results/figures/sequences.html",
        "results/figures/keep_remove.svg",
        "results/figures/masks.png",
    ):
        assert filecmp.cmp(tiny_run / name, folder / name, shallow=False), name


@pytest.mark.slow
def test_nothing_is_left_to_do_after_a_run(tiny_run):
    done = snakemake(tiny_run, "--dry-run")
    assert "Nothing to be done" in done.stdout + done.stderr


def test_scattered_work_is_planned(tmp_path):
    write_config(tmp_path, TINY | {"scatter": 3})
    done = snakemake(tmp_path, "--dry-run", "--quiet", "host")
    assert done.returncode == 0, done.stderr
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, re.MULTILINE))
    scattered = ("generate_masks", "predict_masked", "generate_variant_masks")
    for rule in ("tokenize", *scattered, "predict_variant_masked"):
        assert jobs[f"{rule}_part"] == "3", rule
    assert not {"tokenize_sequences", *scattered} & set(jobs)
    assert jobs["gather_tokens"] == "1"
    assert jobs["gather_tables"] == "4"


@pytest.mark.slow
def test_scattered_evaluation_makes_the_same_tables(tiny_run, tmp_path):
    folder = tmp_path / "scattered"
    shutil.copytree(tiny_run, folder)
    tables = ("table1.tsv", "table1_controls.tsv")
    for name in ("masks/test.parquet", "predictions.parquet", *tables):
        (folder / "results" / name).unlink()
    config = yaml.safe_dump(TINY | {"scatter": 3})
    (folder / "config" / "config.yaml").write_text(config, encoding="utf-8")
    # by age alone: the tokens are those of the run that was copied
    options = ("--cores", "2", "--rerun-triggers", "mtime", "--max-threads", "1")
    done = snakemake(folder, *options, "--resources", "gpu_jobs=2", "--", "results/table1.tsv")
    assert done.returncode == 0, done.stderr[-4000:]
    assert "rule tokenize_part:" not in done.stderr
    assert done.stderr.count("rule generate_masks_part:") == 3
    for name in tables:
        assert filecmp.cmp(tiny_run / "results" / name, folder / "results" / name, shallow=False)
    assert not [path for path in (folder / "results" / "parts").rglob("*") if path.is_file()]


@pytest.mark.slow
def test_the_report_holds_every_page_and_figure(tiny_run):
    done = snakemake(tiny_run, "--report", "report.html")
    assert done.returncode == 0, done.stderr[-4000:]
    report = (tiny_run / "report.html").read_text(encoding="utf-8")
    shown = set(re.findall(r'"(results/[^"]+\.(?:svg|html))": \{', report))
    made = {str(path.relative_to(tiny_run)) for path in tiny_run.glob("results/figures/*.svg")}
    made |= {str(path.relative_to(tiny_run)) for path in tiny_run.glob("results/report/*.html")}
    assert len(made) > 20
    # of the sequences, the page is shown in place of the picture
    assert shown >= made - {"results/figures/sequences.svg"}
    for category in ("Data", "Models", "Table 1", "Controls", "Masks", "Comparison"):
        assert f'"{category}"' in report, category


def test_either_variant_may_be_the_main_one(tmp_path):
    """With `sharp` in front the paper's objective is not judged; alone nothing else is trained."""
    for both, trained in ((True, "2"), (False, None)):
        folder = tmp_path / str(both)
        change = {"explainer": TINY["explainer"] | {"variant": "sharp", "both": both}}
        write_config(folder, TINY | change)
        done = snakemake(folder, "--dry-run", "--printshellcmds", "--quiet", "host")
        assert done.returncode == 0, done.stderr
        jobs = dict(re.findall(r"^(\w+) +(\d+)$", done.stdout, re.MULTILINE))
        assert jobs.get("train_variant") == trained
        assert jobs["retrain_explainer"] == "1"
        assert "compare_losses" not in jobs
        assert ('"variant": "paper"' in done.stdout) == both
