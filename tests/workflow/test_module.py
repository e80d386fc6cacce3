"""The workflow from elsewhere: imported by another one, and without its programs."""

import re
import shutil
from pathlib import Path

import pytest
import yaml
from helpers_workflow import JOBS, PROJECT, SNAKEFILE, TINY, jobs, snakemake, write_config

IMPORTING = """
configfile: "config.yaml"


shell.prefix("export SCRIPTS=mine; ")


rule all:
    input:
        "table1_and_scripts.txt",


module wyr:
    snakefile: "{snakefile}"
    config: config


use rule * from wyr as wyr_*


rule with_what_was_made:
    input:
        rules.wyr_copy_table1.output.table,
    output:
        "table1_and_scripts.txt",
    shell:
        'cat {{input}} > {{output}} && echo "$SCRIPTS" >> {{output}}'
"""
SMALLER = TINY | {
    "simulation": TINY["simulation"] | {"sequences": 300},
    "explanandum": TINY["explanandum"] | {"epochs": 1},
    "explainers": {"sharp": {"objective": "sharp"}},
}


@pytest.fixture
def importing(tmp_path) -> Path:
    """A folder with a workflow that imports this one."""
    folder = tmp_path / "other"
    (folder / "workflow").mkdir(parents=True)
    (folder / "workflow" / "Snakefile").write_text(IMPORTING.format(snakefile=SNAKEFILE))
    (folder / "config.yaml").write_text(yaml.safe_dump(SMALLER, sort_keys=False))
    return folder


def test_another_workflow_may_import_it(importing):
    snakefile = importing / "workflow" / "Snakefile"
    arguments = ("--quiet", "host", "--dry-run", "--printshellcmds")
    # its first rule is the one that is made
    done = snakemake(importing, *arguments, snakefile=snakefile)
    planned = jobs(done)
    assert {"all", "with_what_was_made", "wyr_train_explainer", "wyr_copy_table1"} <= set(planned)
    assert str(PROJECT) not in done.stdout.replace(str(SNAKEFILE), "")
    everything = jobs(snakemake(importing, *arguments, "wyr_all", snakefile=snakefile))
    assert {"wyr_plot_training", "wyr_render_table", "wyr_localize_masks"} <= set(everything)


def test_all_that_it_writes_follows_a_prefix(importing):
    snakefile = importing / "workflow" / "Snakefile"
    text = snakefile.read_text().replace("config: config", 'config: config\n    prefix: "theirs"')
    snakefile.write_text(text)
    old = importing / "theirs" / "results" / "table1_controls.tsv"
    arguments = ("--quiet", "host", "--dry-run", "--printshellcmds")
    done = snakemake(importing, *arguments, snakefile=snakefile)
    assert "wyr_train_explainer" in jobs(done)
    found = re.findall(r"(?<![\w/])(?:resources|results|checkpoints|logs)/\S*", done.stdout)
    assert [path for path in found if not path.startswith("resources/paper/")] == []
    assert "--url theirs/resources/simulated/dataset.zip" in done.stdout
    assert "--checkpoints theirs/checkpoints/explainers/sharp/0" in done.stdout
    (importing / "theirs" / "encoder").mkdir(parents=True)
    for name in ("a.fa", "b.fa", "some.bed"):
        (importing / "theirs" / name).write_text("")
    sample = {"sequences": "*.fa", "annotation": "a.fa", "regions": ["some.bed", "a:1-2"]}
    own = {"backbone": {"path": "encoder"}, "explain": {"mine": sample}}
    own["attributions"] = {"methods": {"mine": {"file": "scores.parquet"}}}
    (importing / "config.yaml").write_text(yaml.safe_dump(SMALLER | own))
    planned = snakemake(importing, *arguments, snakefile=snakefile)
    assert '--settings \'{"path": "theirs/encoder"}\'' in planned.stdout
    page = "theirs/results/explain/mine/index.html"
    planned = snakemake(importing, *arguments, page, snakefile=snakefile)
    assert "--fasta theirs/a.fa theirs/b.fa --annotation theirs/a.fa " in planned.stdout
    assert "--regions theirs/some.bed a:1-2 " in planned.stdout
    assert "--model theirs/results/explainers/sharp/0 " in planned.stdout
    (importing / "theirs" / "scores.parquet").write_text("")
    scores = "theirs/results/attributions/mine.parquet"
    planned = snakemake(importing, *arguments, scores, snakefile=snakefile)
    assert '{"file": "theirs/scores.parquet", "method": "file"}' in planned.stdout
    (importing / "theirs" / "map.tsv").write_text("")
    labelled = SMALLER | {"labels": {"map": "map.tsv"}}
    (importing / "config.yaml").write_text(yaml.safe_dump(labelled))
    planned = snakemake(importing, *arguments, snakefile=snakefile)
    assert '{"map": "theirs/map.tsv"' in planned.stdout, planned.stdout + planned.stderr
    old.parent.mkdir(parents=True)
    old.write_text("old")
    done = snakemake(importing, *arguments, snakefile=snakefile)
    assert "theirs/results/table1_controls.tsv was made by an older" in done.stdout + done.stderr


def test_an_import_without_validation_is_refused(importing):
    """The schema also holds the defaults."""
    snakefile = importing / "workflow" / "Snakefile"
    text = snakefile.read_text()
    snakefile.write_text(
        text.replace("config: config", "config: config\n    skip_validation: True")
    )
    done = snakemake(importing, "--dry-run", snakefile=snakefile)
    assert done.returncode == 1
    assert "import the workflow without it" in done.stdout + done.stderr


def test_rules_without_the_programs_are_refused(tmp_path):
    shutil.copytree(PROJECT / "workflow", tmp_path / "alone" / "workflow")
    snakefile = tmp_path / "alone" / "workflow" / "Snakefile"
    done = snakemake(write_config(tmp_path, TINY), "--dry-run", snakefile=snakefile)
    assert done.returncode == 1
    assert "run or import the workflow from a local checkout" in done.stdout + done.stderr


@pytest.mark.slow
def test_an_importing_workflow_runs(importing):
    snakefile = importing / "workflow" / "Snakefile"
    done = snakemake(importing, *JOBS, snakefile=snakefile)
    assert done.returncode == 0, done.stderr[-4000:]
    table = (importing / "results" / "table1.tsv").read_text()
    assert table.count("\n") == 8
    # the two workflows have their own settings of the shell
    assert (importing / "table1_and_scripts.txt").read_text() == table + "mine\n"
