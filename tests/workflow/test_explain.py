"""Samples of a user's own in the workflow."""

import json

import pytest
from helpers_workflow import TINY, complaint, jobs, snakemake, understood, write_config

PLAN = ("--quiet", "host", "--dry-run", "--printshellcmds")


@pytest.fixture
def folder(tmp_path):
    """A folder with two files of sequences and an annotation, one of them with a blank in its name."""
    (tmp_path / "my reads").mkdir()
    for name in ("my reads/a.fa", "my reads/b.fa"):
        (tmp_path / name).write_text(f">{name[-4]}\nACGTACGTACGT\n")
    (tmp_path / "genes.gff3").write_text("##gff-version 3\na\tx\tCDS\t1\t9\t.\t+\t0\tID=1\n")
    (tmp_path / "some.bed").write_text("a\t0\t5\n")
    return tmp_path


def planned(folder, sample, **changes):
    write_config(folder, TINY | {"explain": {"mine": sample}} | changes)
    done = snakemake(folder, *PLAN, "results/explain/mine/index.html")
    assert done.returncode == 0, done.stderr
    [command] = [line for line in done.stdout.splitlines() if "/explain_sequences.py" in line]
    return jobs(done), command


def test_a_sample_needs_the_trained_models_and_nothing_else(folder):
    found, command = planned(folder, "my reads/*.fa")
    assert found["train_explainer"] == found["train_explanandum"] == 1
    assert found["record_classifier"] == found["set_gate"] == found["explain_sequences"] == 1
    assert not [name for name in found if name.startswith(("plot", "generate", "evaluate"))]
    # the first one with the sharp objective
    assert "--model results/explainers/sharp/0 " in command
    assert "--fasta 'my reads/a.fa' 'my reads/b.fa' " in command
    assert "--output-dir results/explain/mine " in command


def test_all_settings_of_a_sample_reach_the_program(folder):
    sample = {
        "sequences": ["my reads/b.fa", "my reads/*.fa"], "annotation": "genes.gff3", "offsets": 6,
        "explainer": "paper", "regions": ["some.bed", "a:3-4"], "classes": "genus=a b",
        "strands": "apart", "overlap": 0.25, "window": 600, "gap": 50, "permutations": 99,
    }  # fmt: skip
    found, command = planned(folder, sample)
    assert "set_gate" not in found  # the paper's masks have no gate
    assert "--model results/explainers/paper/0 " in command
    assert "--fasta 'my reads/b.fa' 'my reads/a.fa' " in command
    for words in (
        "--annotation genes.gff3", "--offsets 6", "--regions some.bed a:3-4", "--strands apart",
        "--classes 'genus=a b'", "--overlap 0.25", "--window 600", "--gap 50", "--permutations 99",
    ):  # fmt: skip
        assert f" {words} " in command


def test_samples_are_part_of_everything(folder):
    write_config(folder, TINY | {"explain": {"one": "my reads/a.fa", "two": ["my reads/b.fa"]}})
    made = understood(folder)["final_outputs"](None)
    assert {f"results/explain/{name}/index.html" for name in ("one", "two")} <= set(made)


@pytest.mark.parametrize(
    ("sample", "said"),
    [
        ("no/such.fa", "explain.mine: no file is called no/such.fa"),
        ("no/*.fa", r"explain.mine: no file is called no/\*.fa"),
        ({"annotation": "genes.gff3"}, "explain.mine: 'sequences' is a required property"),
        (
            {"sequences": "my reads/a.fa", "explainer": "sharq"},
            "there is no Explainer sharq, only paper",
        ),
        ({"sequences": "my reads/a.fa", "offset": 6}, "config: explain.mine: .*'offset'"),
        ({"sequences": "my reads/a.fa", "offsets": 7}, "config: explain.mine.offsets: 7"),
        ({"sequences": "my reads/a.fa", "strands": "both"}, "config: explain.mine.strands: 'both'"),
        ({"sequences": []}, "config: explain.mine.sequences: "),
        (5, "config: explain.mine: 5 is not of type 'object'"),
        (None, "config: explain.mine: nothing is given"),
        ({"sequences": "results/mine.fa"}, "results/mine.fa lies in results/ of this run"),
    ],
)
def test_a_mistake_in_a_sample_stops_at_planning(folder, sample, said):
    import re

    (folder / "results").mkdir()
    (folder / "results" / "mine.fa").write_text(">a\nACGT\n")
    write_config(folder, TINY | {"explain": {"mine": sample}})
    found = complaint(folder, "results/explain/mine/index.html")
    assert re.search(said, found), found
    assert len(found.splitlines()) == 1


def test_the_name_of_a_sample(folder):
    for name in ("a/b", ".hidden", "a b", "", "-x"):
        write_config(folder, TINY | {"explain": {name: "my reads/a.fa"}})
        assert "config: explain: " in complaint(folder, "results/table1.tsv"), name
    write_config(folder, TINY)
    assert "explain" in complaint(folder, "results/explain/other/index.html")


def test_samples_on_the_command_line(folder):
    write_config(folder, TINY)
    values = [
        'explain={"mine": "my reads/a.fa", "two": {"sequences": "my reads/b.fa", "offsets": 2}}'
    ]
    samples = understood(folder, values=values)["SAMPLES"]
    assert samples["mine"]["sequences"] == ["my reads/a.fa"]
    assert json.dumps(samples["two"]["offsets"]) == "2"


@pytest.mark.parametrize(
    ("settings", "own"),
    [
        ({}, ["igv.xml", "spans.bed", "spans.gff3"]),
        ({"sequences": {"alphabet": "protein"}, "tokenizer": "residues"}, ["spans.tsv"]),
        ({"sequences": {"alphabet": "text"}, "tokenizer": "backbone"}, ["spans.tsv"]),
        ({"tokenizer": "backbone"}, []),
    ],
)
def test_what_a_sample_is_made_of_says_which_files_come_of_it(folder, settings, own):
    write_config(folder, TINY | settings | {"explain": {"mine": "my reads/a.fa"}})
    made = understood(folder)["SAMPLE_OUTPUTS"]
    start = "results/explain/{sample}/{sample}."
    assert sorted(made) == [start + end for end in own]
