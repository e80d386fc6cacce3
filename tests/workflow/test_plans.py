"""What Snakemake plans for a configuration, and which targets it refuses."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers_workflow import (
    PLAN,
    PROJECT,
    SNAKEFILE,
    TINY,
    complaint,
    jobs,
    snakemake,
    understood,
    write_config,
)

RULES = re.findall(
    r"^rule (\w+):",
    "".join(path.read_text() for path in (PROJECT / "workflow" / "rules").glob("*.smk")),
    re.MULTILINE,
)
# simulated data or positions of a user; runs that train another classifier; samples; a given classifier;
# words of texts
ABSENT = {
    "render_keywords",
    "simulate_dataset",
    "simulate_texts",
    "localize_masks",
    "place_positions",
    "score_evidence",
    "resplit_tokens",
    "explain_sequences",
    "adopt_classifier",
}


def test_the_papers_run_is_planned(papers_folder):
    done = snakemake(papers_folder, *PLAN)
    planned = jobs(done)
    assert set(planned) == {"all", *RULES} - ABSENT
    assert planned["train_explainer"] == 6  # two Explainers, three seeds
    assert planned["train_explanandum"] == 1
    assert planned["compare_losses"] == 1  # for the objective that has this loss
    assert planned["generate_masks"] == planned["predict_masked"] == planned["plot_training"] == 2
    # the paper's numbers beside labels, and beside both Explainers' Table 1 and chunks
    assert done.stdout.count('--paper "$WHATYOUREAD/resources/paper/') == 1 + 2 * 2
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


def test_model_cards_have_the_figures_of_their_own_run(tmp_path):
    labels = tmp_path / "labels.tsv"
    labels.write_text("")
    for change in ({}, {"labels": {"file": str(labels)}}):
        write_config(tmp_path, TINY | change)
        wanted = [f"results/explainers/sharp/{run}/README.md" for run in (0, 1)]
        done = snakemake(tmp_path, *PLAN, *wanted)
        assert jobs(done)["write_model_card"] == 2
        first, second = (
            next(
                line
                for line in done.stdout.splitlines()
                if "/write_model_card.py" in line and f"--card {card}" in line
            )
            for card in wanted
        )
        table = "--table results/explainers/sharp/table1.tsv"
        assert table in first
        assert "--controls results/explainers/sharp/controls.tsv" in first
        assert "--table" not in second
        assert "--controls" not in second
        for command in (first, second):
            assert "--classifier results/explanandum/0 " in command
            assert "--simulated" in command
            assert ("--taxdump" in command) == (not change)


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
    assert "--splits results/split/splits.parquet" not in "".join(resplits(done))
    # near-copies are counted, and the splits do not wait for that: a run of an older version stays as it is
    [command] = [line for line in done.stdout.splitlines() if "split_dataset.py" in line]
    assert "copies" not in command
    assert "similarity" not in command


def resplits(done):
    return [line for line in done.stdout.splitlines() if "resplit_tokens.py" in line]


def test_groups_stay_whole_in_further_divisions(tmp_path):
    split = TINY["split"] | {"group_by": "cluster", "similarity": 0.3}
    write_config(tmp_path, TINY | {"runs": {"kind": "explanandum", "number": 2}, "split": split})
    done = snakemake(tmp_path, *PLAN)
    assert done.returncode == 0, done.stderr
    [command] = resplits(done)
    assert "--splits results/split/splits.parquet" in command
    [command] = [line for line in done.stdout.splitlines() if "find_copies.py" in line]
    assert "--similarity 0.3 " in command
    [command] = [line for line in done.stdout.splitlines() if "split_dataset.py" in line]
    assert "--copies results/copies/copies.parquet" in command
    assert '"group_by": "cluster"' in command


@pytest.mark.parametrize(("kind", "by_gradients"), [("explainer", [0]), ("explanandum", [0, 1, 2])])
def test_runs_that_share_a_classifier_are_one_run_of_what_explains_it(tmp_path, kind, by_gradients):
    write_config(tmp_path, TINY | {"runs": {"kind": kind, "number": 3}})
    done = snakemake(tmp_path, *PLAN, "results/class_explanations.tsv")
    assert done.returncode == 0, done.stderr
    command = next(line for line in done.stdout.splitlines() if "explain_classes.py" in line)
    found = re.search("--selections (.*?) --", command)[1].split()
    expected = {f"results/classes/{run}/integrated_gradients.parquet" for run in by_gradients}
    expected |= {f"results/classes/{run}/explainer_paper.parquet" for run in range(3)}
    assert set(found) == expected
    assert len(found) == len(expected)


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


def test_a_snakemake_that_is_called_by_its_path_uses_its_own_python(tmp_path):
    """The `python` first in the search path may be another one, without torch."""
    write_config(tmp_path, TINY)
    other = tmp_path / "bin" / "python"
    other.parent.mkdir()
    other.write_text("#!/bin/sh\necho no torch here >&2\nexit 1\n")
    other.chmod(0o755)
    wanted = "results/explainers/sharp/0/gate.json"
    command = [sys.executable, "-m", "snakemake", "--snakefile", SNAKEFILE, "-j1", wanted]
    done = subprocess.run(
        list(map(str, command)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": f"{other.parent}{os.pathsep}/usr/bin{os.pathsep}/bin"},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / wanted).read_text()) == {"area": 0.3, "smoothing": 5}


def test_jobs_keep_their_memory_unless_the_user_says_otherwise(tmp_path, monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    understood(write_config(tmp_path, TINY))
    made = os.environ["GLIBC_TUNABLES"]
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.check=0")
    understood(tmp_path)
    assert os.environ["GLIBC_TUNABLES"] == "glibc.malloc.check=0"

    loader = Path("/lib64/ld-linux-x86-64.so.2")
    if not loader.exists():
        pytest.skip("no glibc of this processor that could say what it understands")
    known = subprocess.run(
        [loader, "--list-tunables"], capture_output=True, text=True, env={"GLIBC_TUNABLES": made}
    )
    if "glibc.malloc.hugetlb" not in known.stdout:
        pytest.skip("huge pages need glibc 2.35")
    for entry in made.split(":"):
        name, _, value = entry.partition("=")
        assert f"{name}: {int(value):#x} " in known.stdout


SECTION = {
    "area": ("explainers", {"sharp": {"objective": "sharp", "area": 0.2}}),
    "smoothing": ("explainers", {"sharp": {"objective": "sharp", "smoothing": 1}}),
    "embedding_size": ("explainer", TINY["explainer"] | {"embedding_size": 7}),
}


@pytest.mark.parametrize("key", SECTION)
def test_a_training_depends_on_what_it_uses_and_on_no_more(tmp_path, key):
    """Changed, none of these keys gives the sharp Explainer other weights."""
    section, values = SECTION[key]
    given = TINY | {"explainers": {name: {"objective": name} for name in ("sharp", "paper")}}
    changed = given | {section: given.get(section, {}) | values}

    def settings(name, config):
        found = understood(write_config(tmp_path / name, config))
        wildcards = [SimpleNamespace(explainer=name) for name in ("sharp", "paper")]
        trained = [found["explainer_settings"](one) for one in wildcards]
        return *trained, found["gate_settings"](wildcards[0])

    pairs = zip(settings("before", given), settings("after", changed), strict=True)
    sharp, paper, gate = (one == other for one, other in pairs)
    assert sharp
    assert paper == (key != "embedding_size")
    assert gate == (key == "embedding_size")


@pytest.mark.parametrize(
    ("key", "selection", "stability"),
    [
        ("max_q", False, False), ("min_sequences", False, False), ("min_run_share", False, False),
        ("sequences", True, True), ("best", True, True), ("min_probability", True, True),
        ("steps", True, False),
    ],
)  # fmt: skip
def test_selections_depend_on_what_they_use(tmp_path, key, selection, stability):
    """selection: whether Integrated Gradients select others; stability: whether an Explainer does."""
    changed = TINY["class_explanations"] | {key: 1}

    def settings(name, config):
        found = understood(write_config(tmp_path / name, config))
        sources = ("integrated_gradients", "explainer_paper")
        selected = [found["selection_settings"](SimpleNamespace(source=one)) for one in sources]
        return *selected, found["stability_settings"](None)

    before = settings("before", TINY)
    after = settings("after", TINY | {"class_explanations": changed})
    gradients, explainer, stable = (a == b for a, b in zip(before, after, strict=True))
    assert gradients != selection
    assert explainer != stability
    assert stable == (key not in ("max_q", "min_sequences", "min_run_share"))


def test_another_backbone_is_got_anew(tmp_path):
    """Snakemake does not compare parameters that follow from the input, which this one once was."""
    done = snakemake(write_config(tmp_path, TINY), "--cores", "1", "resources/backbone.json")
    assert done.returncode == 0, done.stderr
    assert jobs(snakemake(tmp_path, *PLAN, "resources/backbone.json")) == {}
    write_config(tmp_path, TINY | {"backbone": TINY["backbone"] | {"hidden_dropout_prob": 0.1}})
    assert jobs(snakemake(tmp_path, *PLAN, "resources/backbone.json")) == {"download_backbone": 1}


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
        ({"ranks": ["phylum", "-genus"]}, "config: ranks.1: '-genus' does not match"),
        ({"ranks": ["phylum", "a/b"]}, "config: ranks.1: 'a/b' does not match"),
        ({"ranks": ["phylum", "a.b"]}, "config: ranks.1: 'a.b' does not match"),
        ({"ranks": ["phylum", "a\nb"]}, "config: ranks.1: 'a\\nb' does not match"),
        ({"ranks": ["Genus", "genus"]}, "config: ranks: genus is there twice, but for its case"),
        (
            {
                "ranks": ["b_c", "c"],
                "explainers": {"a": {"objective": "sharp"}, "a_b": {"objective": "sharp"}},
                "class_explanations": {"sources": ["explainer_a", "explainer_a_b"]},
            },
            "config: ranks: two figures would be called classes_explainer_a_b_c.svg",
        ),
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
        ({"labels": {"missing": "drop"}}, "config: labels.missing: 'drop' is not one of"),
        ({"labels": {"hierarchy": True}}, "('hierarchy' was unexpected)"),
        ({"labels": {"source": "table"}}, "config: labels: 'file' is a required property"),
        (
            {"labels": {"source": "lineage", "without_taxid": "stop"}},
            "('without_taxid' was unexpected)",
        ),
        (
            {"labels": {"source": "lineage"}},
            "config: labels.source: simulated data have the labels of ncbi",
        ),
        (
            {"labels": {"map": "results/x.map"}},
            "config: labels.map: results/x.map lies in results/",
        ),
    ],
)
def test_ranks_and_labels_that_are_refused(tmp_path, keys, words):
    assert words in complaint(write_config(tmp_path, TINY | keys))


def own_data(folder: Path, **labels) -> dict:
    """A configuration without simulation and without a taxonomy dump; its dataset is there."""
    (folder / "my data").mkdir()
    (folder / "my data" / "x.fa").write_text(">s1\nACGT\n")
    config = TINY | {"dataset": {"url": "my data/x.fa"}, "labels": labels}
    return {k: v for k, v in config.items() if k not in ("simulation", "taxdump")}


def words_of(done, program: str) -> list[str]:
    """The words of the command that calls a program."""
    [line] = re.findall(rf".*scripts/{program}\.py.*", done.stdout)
    return shlex.split(line)


def test_labels_of_a_table_need_no_taxonomy(tmp_path):
    """From the table to Table 1 and all else, with odd names of levels."""
    config = own_data(
        tmp_path, source="table", file="my data/labels.csv", missing="keep", hierarchy=False
    )
    config["ranks"] = ["Top-1", "2nd Level"]
    (tmp_path / "my data" / "labels.csv").write_text(
        "\ufeffid,2nd Level,other,Top-1\r\ns1,a,b,c\r\n"
    )
    done = snakemake(write_config(tmp_path, config), *PLAN)
    planned = jobs(done)
    assert "download_taxdump" not in planned
    assert set(planned) == {"all", *RULES} - ABSENT - {"download_taxdump"}
    assert "taxdump" not in done.stdout
    words = words_of(done, "label_taxonomy")
    assert "--label-file=my data/labels.csv" in words
    assert words[words.index("--source-settings") + 1] == '{"hierarchy": false}'
    assert words[words.index("--missing") + 1] == "keep"
    assert words[words.index("--source") + 1] == "table"
    assert "--paper" not in words  # its ranks are NCBI's
    for rank in config["ranks"]:
        assert f"results/figures/classes_explainer_paper_{rank}.svg" in done.stdout


def test_positions_of_a_user_stand_for_planted_segments(tmp_path):
    """But for the k-mers of classes, which have segments in simulated data only."""
    config = own_data(tmp_path, source="table", file="labels.tsv")
    (tmp_path / "labels.tsv").write_text("id\tgenus\ns1\ta\n")
    (tmp_path / "known to matter.bed").write_text("s1\t0\t3\ta\n")
    config |= {"ranks": ["genus"], "positions": "known to matter.bed"}
    done = snakemake(write_config(tmp_path, config), *PLAN)
    planned = jobs(done)
    assert planned["place_positions"] == 1
    assert planned["localize_masks"] == planned["plot_sequences"] == 2  # two Explainers
    words = words_of(done, "place_positions")
    assert words[words.index("--positions") + 1] == "known to matter.bed"
    commands = re.findall(r"^.*--planted.*$", done.stdout, re.MULTILINE)
    assert len(commands) == 2 + 2 + 1 + planned["measure_faithfulness"] + planned["plot_lime"]
    for command in commands:
        words = shlex.split(command)
        assert words[words.index("--planted") + 1] == "results/positions.parquet"
    words = words_of(done, "summarize_run")
    assert words[words.index("--localizations") + 1].endswith("paper/localization.tsv")
    assert words[words.index("--evidence") + 1] == "results/evidence.md"
    words = words_of(done, "score_evidence")
    masks = words.index("--masks")
    assert words[masks + 1 : masks + 3] == ["explainer_paper", "explainer_sharp"]
    scores = [word for word in words if word.startswith("results/attributions/")]
    assert len(scores) == planned["attribute_tokens"] + 1
    for page in ("localization", "evidence"):
        assert f"results/report/{page}.html" in done.stdout
    assert "planted" not in " ".join(words_of(done, "explain_classes"))


def test_simulated_data_are_planned_as_ever_and_know_their_positions(tmp_path):
    done = snakemake(write_config(tmp_path, TINY), *PLAN)
    planned = jobs(done)
    assert planned["localize_masks"] == 2
    assert not {"place_positions", "score_evidence"} & planned.keys()
    assert "--planted --localizations" in done.stdout
    assert "--planted resources/simulated/planted.parquet" in done.stdout
    (tmp_path / "x.bed").write_text("s1\t0\t3\ta\n")
    line = complaint(write_config(tmp_path, TINY | {"positions": "x.bed"}))
    assert "positions: of simulated data they are known" in line
    assert "\n" not in line


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("results/x.bed", "config: positions: results/x.bed lies in results/"),
        ("", "config: positions: "),
        (3, "config: positions: 3 is not of type 'string'"),
        ("nowhere.bed", "nowhere.bed"),
    ],
)
def test_positions_that_cannot_be_stop_at_planning(tmp_path, given, words):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "x.bed").write_text("s1\t0\t3\ta\n")
    (tmp_path / "labels.tsv").write_text("id\tgenus\ns1\ta\n")
    config = own_data(tmp_path, source="table", file="labels.tsv")
    write_config(tmp_path, config | {"ranks": ["genus"], "positions": given})
    assert words in complaint(tmp_path, "results/positions.tsv")


def test_scores_of_a_user_join_the_comparison(tmp_path):
    (tmp_path / "mine 1.parquet").write_text("")
    attributions = TINY["attributions"] | {
        "methods": {"random": {}, "mine": {"file": "mine 1.parquet"}}
    }
    done = snakemake(write_config(tmp_path, TINY | {"attributions": attributions}), *PLAN)
    assert jobs(done)["attribute_tokens"] == jobs(done)["measure_faithfulness"] == 2 + 2
    commands = [
        shlex.split(line) for line in re.findall(r"^.*--method .*$", done.stdout, re.MULTILINE)
    ]
    settings = {
        words[words.index("--method") + 1]: words for words in commands if "--cost" in words
    }
    own = settings["mine"]
    given = {"file": "mine 1.parquet", "method": "file"}
    assert json.loads(own[own.index("--settings") + 1]) == given
    for program in ("compare_methods", "measure_steering"):
        assert "results/attributions/mine.parquet" in words_of(done, program)
    planned = jobs(snakemake(tmp_path, *PLAN, "results/attributions/mine.parquet"))
    assert planned["attribute_tokens"] == 1
    assert "train_explainer" not in planned


JUDGED = {"paper": {"objective": "paper"}, "shap": {"objective": "fastshap", "reader": "judge"}}


def test_the_judge_is_trained_where_the_configuration_asks_for_it(tmp_path):
    own = {"judge": {"epochs": 2, "learning_rate": 0.5}, "explainers": JUDGED}
    done = snakemake(write_config(tmp_path, TINY | own), *PLAN)
    assert jobs(done)["train_judge"] == 1
    words = words_of(done, "train_judge")
    settings = json.loads(words[words.index("--settings") + 1])
    expected = {"learning_rate": 0.5, "epochs": 2, "batch_size": TINY["explanandum"]["batch_size"]}
    assert settings | expected == settings
    words = words_of(done, "measure_steering")
    assert words[words.index("--judge") + 1] == "results/judge"
    trained = [line for line in done.stdout.splitlines() if "/train_explainer.py" in line]
    assert {"--judge results/judge " in line for line in trained if "fastshap" in line} == {True}
    assert not any("--judge" in line for line in trained if "fastshap" not in line)


def test_without_a_judge_none_is_trained_and_none_can_be_read(tmp_path):
    config = {key: value for key, value in TINY.items() if key != "judge"}
    done = snakemake(write_config(tmp_path, config), *PLAN)
    assert "train_judge" not in jobs(done)
    assert "--judge" not in done.stdout
    said = complaint(write_config(tmp_path, config | {"explainers": JUDGED}))
    assert "explainers.shap.reader: there is no judge: set judge, or leave `reader` out" in said
    several = TINY | {"explainers": JUDGED, "runs": {"kind": "explanandum", "number": 2}}
    assert "the judge is that of run 0 alone" in complaint(write_config(tmp_path, several))


def test_positions_without_labels_are_refused(tmp_path):
    (tmp_path / "x.bed").write_text("s1\t0\t3\ta\n")
    config = own_data(tmp_path, source="none") | {"positions": "x.bed"}
    assert "config: positions: masks are scored where there are labels" in complaint(
        write_config(tmp_path, config)
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            "id\tfamily\tgenus\ns1\ta\tb\n",
            "labels.tsv has no column superkingdom; give some of its levels, from the highest to the"
            " lowest: ranks: [family, genus]",
        ),
        ("id\n", "config: labels.file: labels.tsv: one column only, 'id'"),
        ("", "config: labels.file: labels.tsv: the file is empty"),
    ],
)
def test_a_table_without_the_levels_stops_at_planning(tmp_path, content, words):
    (tmp_path / "labels.tsv").write_text(content)
    config = own_data(tmp_path, source="table", file="labels.tsv")
    assert words in complaint(write_config(tmp_path, config))


def test_the_column_of_given_splits_reaches_both_programs(tmp_path):
    (tmp_path / "labels.tsv").write_text("id\tgenus\tsplit\ns1\ta\ttest\n")
    config = own_data(tmp_path, source="table", file="labels.tsv", hierarchy=False)
    # test is not used, so that any sum does
    config |= {"ranks": ["genus"], "split": {"given": "split", "test": 0.5, "validation": 0.6}}
    done = snakemake(write_config(tmp_path, config), *PLAN, "results/split/splits.parquet")
    words = words_of(done, "label_taxonomy")
    own = json.loads(words[words.index("--source-settings") + 1])
    assert own == {"hierarchy": False, "split": "split"}
    words = words_of(done, "split_dataset")
    assert json.loads(words[words.index("--settings") + 1])["given"] == "split"
    without = config | {"split": {}}
    done = snakemake(write_config(tmp_path, without), *PLAN, "results/split/splits.parquet")
    words = words_of(done, "label_taxonomy")
    assert words[words.index("--source-settings") + 1] == '{"hierarchy": false}'
    words = words_of(done, "split_dataset")
    assert "given" not in json.loads(words[words.index("--settings") + 1])


@pytest.mark.parametrize(
    ("source", "given", "words"),
    [
        ("table", {"given": "fold"}, "labels.tsv has no column fold, only genus, split"),
        ("table", {"given": "genus"}, "split.given: genus is one of the ranks"),
        ("table", {"given": ""}, "config: split.given: '' should be non-empty"),
        ("record", {"given": "split", "group_by": "cluster"}, "and group_by cluster would make"),
        ("lineage", {"given": "split"}, "split.given: labels.source lineage has no column split"),
        ("ncbi", {"given": "split"}, "split.given: labels.source ncbi has no column split"),
    ],
)
def test_splits_that_cannot_be_given(tmp_path, source, given, words):
    (tmp_path / "labels.tsv").write_text("id\tgenus\tsplit\ns1\ta\ttest\n")
    file = {"file": "labels.tsv"} if source == "table" else {}
    config = own_data(tmp_path, source=source, **file) | {"ranks": ["genus"], "split": given}
    config |= {"taxdump": TINY["taxdump"]} if source == "ncbi" else {}
    assert words in complaint(write_config(tmp_path, config))


def test_labels_of_headers_and_a_map_reach_the_program(tmp_path):
    write_config(tmp_path, own_data(tmp_path, source="lineage"))
    words = words_of(snakemake(tmp_path, *PLAN, "results/taxonomy/labels.tsv"), "label_taxonomy")
    assert not [word for word in words if "--label-file" in word]
    (tmp_path / "a b.map").write_text("s1\t562\n")
    config = TINY | {"labels": {"map": "a b.map"}}
    done = snakemake(write_config(tmp_path, config), *PLAN, "results/taxonomy/labels.tsv")
    words = words_of(done, "label_taxonomy")
    assert words[words.index("--source-settings") + 1] == '{"map": "a b.map"}'
    assert "--label-file=resources/taxdump" in words


def test_the_taxonomy_is_asked_for_where_it_is_needed(tmp_path):
    config = own_data(tmp_path)
    assert "config: 'taxdump' is a required property" in complaint(write_config(tmp_path, config))


GIVEN = {
    "dataset": {"url": "file:peptides.tsv"},
    "taxdump": None,
    "sequences": {"alphabet": "protein"},
    "tokenizer": "backbone",
    "ranks": ["kind"],
    "explanandum": {"classifier": {"path": "published"}},
    "labels": {"source": "record"},
    "runs": {"kind": "explainer", "number": 1},
}


def given_config(folder, **changed):
    (folder / "published").mkdir()
    (folder / "peptides.tsv").write_text("id\ttext\tkind\na\tMKV\tyes\n")
    config = {key: value for key, value in (TINY | GIVEN | changed).items() if value is not None}
    return write_config(
        folder, {key: value for key, value in config.items() if key != "simulation"}
    )


def test_a_given_classifier_is_adopted_and_not_trained(tmp_path):
    done = snakemake(given_config(tmp_path), *PLAN)
    assert done.returncode == 0, done.stderr
    planned = jobs(done)
    assert planned["adopt_classifier"] == 1
    assert planned["train_explainer"] == 2
    assert not {"train_explanandum", "plot_training", "download_taxdump"} & set(planned)
    [command] = [line for line in done.stdout.splitlines() if "label_taxonomy.py" in line]
    assert "--classes-of results/explanandum/classes.tsv" in command
    trained = [line for line in done.stdout.splitlines() if "train_explainer.py" in line]
    assert all('"predicted": true' in line for line in trained)
    # the folder that is fetched is the classifier's
    [command] = [line for line in done.stdout.splitlines() if "download_backbone.py" in line]
    assert '"path": "published"' in command


def test_without_labels_the_explainers_are_all_that_is_made(tmp_path):
    done = snakemake(given_config(tmp_path, labels={"source": "none"}), *PLAN)
    assert done.returncode == 0, done.stderr
    planned = jobs(done)
    assert planned["train_explainer"] == planned["write_model_card"] == 2
    assert not {"evaluate_masks", "generate_masks", "compare_methods"} & set(planned)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"ranks": ["phylum", "genus"]}, "ranks: a classifier that is given has one level"),
        ({"tokenizer": "six_mers"}, "set tokenizer: backbone"),
        ({"runs": {"kind": "explanandum", "number": 2}}, "set runs.kind: explainer"),
        ({"explanandum": {"classifier": {}}}, "explanandum.classifier"),
        ({"explanandum": {"classifier": {"repository": "a/b"}}}, "'revision' is a required"),
        ({"explanandum": {}, "labels": {"source": "none"}}, "give explanandum.classifier"),
    ],
)
def test_what_a_given_classifier_cannot_have_is_refused(tmp_path, changed, said):
    assert said in complaint(given_config(tmp_path, **changed))


TEXTS = {
    "ranks": ["register"],
    "labels": {"source": "record"},
    "sequences": {"alphabet": "text", "longer": "window"},
    "tokenizer": "backbone",
    "backbone": {"path": "model"},
    "dataset": {"url": "texts.tsv"},
    "runs": {"kind": "explanandum", "divide": "all", "number": 3},
}


def text_config(folder: Path, **changed) -> Path:
    (folder / "texts.tsv").write_text("text\tregister\nhello\tnews\n", encoding="utf-8")
    (folder / "model").mkdir(exist_ok=True)
    return write_config(folder, TEXTS | changed)


def commands(done, program: str) -> list[str]:
    return [line for line in done.stdout.splitlines() if f"{program}.py" in line]


def test_words_speak_for_classes_of_texts(tmp_path):
    """Each run has documents of its own, which its classifier and its Explainers have never seen."""
    done = snakemake(text_config(tmp_path, explanandum={"patience": 2}), *PLAN)
    planned = jobs(done)
    assert all('"patience": 2' in command for command in commands(done, "train_explanandum"))
    assert planned["score_classes"] == 6  # three runs, two sources
    assert planned["render_keywords"] == 2
    for command in commands(done, "score_classes"):
        run = re.search(r"--run (\d)", command)[1]
        own = "" if run == "0" else f"{run}/"
        assert f"--test results/tokens/{own}test.arrow " in command
        assert '"items": ["word"]' in command
        assert '"words": {"fold_case": true, "score": "largest"}' in command
        assert '"k"' not in command
        assert "--dataset resources/dataset --sequence-settings '{" in command
        assert re.search(rf"--documents results/classes/{run}/\w+_documents.parquet", command)
    trained = [
        line for line in commands(done, "train_explainer") if " results/explanandum/2 " in line
    ]
    assert len(trained) == 2
    for command in trained:
        assert "--train results/tokens/2/explainer_train.arrow" in command
        assert "--validation results/tokens/2/explainer_validation.arrow" in command
    splits = ("test", "explainer_train", "explainer_validation")
    for run, command in zip((1, 2), sorted(resplits(done), key=lambda c: c[-9:]), strict=True):
        for option, folder in (("--whole", ""), ("--new-whole", f"{run}/")):
            files = " ".join(f"results/tokens/{folder}{split}.arrow" for split in splits)
            assert f"{option} {files}" in command
    [command] = commands(done, "explain_classes")
    assert "--motifs" not in command
    assert not {"marginalize_motifs", "plot_motifs"} & set(planned)
    for command in commands(done, "plot_classes"):
        assert " --kind word " in command
        assert "--logo" not in command
    assert "--kind word" in commands(done, "plot_stability")[0]


def test_the_plan_of_six_mers_says_nothing_of_words(tmp_path):
    done = snakemake(write_config(tmp_path, TINY), *PLAN)
    assert "render_keywords" not in jobs(done)
    assert '"patience"' not in commands(done, "train_explanandum")[0]
    for command in commands(done, "score_classes"):
        assert not {"--dataset", "--documents", "words", "items"} & set(
            re.findall(r"-*\w+", command)
        )
        assert '"k": 8' in command
    for command in commands(done, "plot_classes"):
        assert "--logo-svg results/figures/logos_" in command
        assert "--kind" not in command
    assert "--motifs results/class_explanations.meme" in commands(done, "explain_classes")[0]
    [command] = commands(done, "marginalize_motifs")
    assert "--explanandum results/explanandum/0 --test results/tokens/test.arrow" in command
    assert '"motifs": 3, "sequences": 100' in command
    assert jobs(done)["plot_motifs"] == 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"class_explanations": {"items": ["kmer"]}},
            "k-mers are made of six-mers: leave kmer out",
        ),
        ({"class_explanations": {"items": ["words"]}}, "class_explanations.items"),
        ({"class_explanations": {"words": {"score": "mean"}}}, "class_explanations.words.score"),
        (
            {"sequences": {}, "class_explanations": {"items": ["word"]}},
            "dna has no words: leave word",
        ),
        ({"tokenizer": "residues"}, "words need tokens whose places in the text are known"),
        ({"runs": {"divide": "all"}}, "all needs a classifier for each run: set runs.kind"),
        ({"split": {"given": "fold"}}, "runs.divide: the splits are given"),
    ],
)
def test_what_words_and_divisions_cannot_be_is_refused(tmp_path, changed, said):
    assert said in complaint(text_config(tmp_path, **changed))


def test_tokens_speak_for_classes_of_anything_else(tmp_path):
    known = understood(text_config(tmp_path, sequences={"alphabet": "protein"}))
    assert known["ITEMS"] == ["token"]
    assert known["SHOWN_ITEMS"] == "token"


@pytest.mark.parametrize(
    ("labels", "ranks", "words"),
    [
        ({"source": "record", "multiple": ["b"]}, ["a", "b"], "set labels.hierarchy: false"),
        (
            {"source": "record", "multiple": ["z"]},
            ["a"],
            "labels.multiple: z is none of the ranks: a",
        ),
        ({"source": "lineage", "multiple": ["a"]}, ["a"], "a sequence has one class at a level"),
        ({"source": "record", "separator": ";"}, ["a"], "labels.separator: it divides several"),
        (
            {"source": "record", "multiple": "a"},
            ["a"],
            "config: labels.multiple: 'a' is not of type",
        ),
    ],
)
def test_several_labels_that_cannot_be(tmp_path, labels, ranks, words):
    config = own_data(tmp_path, **labels) | {"ranks": ranks}
    assert words in complaint(write_config(tmp_path, config))


@pytest.mark.parametrize("threshold", [0, 1, "half"])
def test_a_threshold_that_is_no_probability(tmp_path, threshold):
    config = TINY | {"explanandum": TINY["explanandum"] | {"threshold": threshold}}
    assert "config: explanandum.threshold: " in complaint(write_config(tmp_path, config))


def test_several_labels_reach_the_program(tmp_path):
    given = {"multiple": ["b"], "separator": ";", "hierarchy": False}
    config = own_data(tmp_path, source="record", **given) | {"ranks": ["a", "b"]}
    done = snakemake(write_config(tmp_path, config), *PLAN, "results/split/splits.parquet")
    words = words_of(done, "label_taxonomy")
    assert json.loads(words[words.index("--source-settings") + 1]) == given


def test_registers_are_planned_when_the_encoders_commit_is_given(tmp_path):
    (tmp_path / "registers.tsv").write_text("id\ttext\tregister\na\tone two\tNA OP\n")
    asked = ("--configfile", str(PROJECT / "config" / "registers.yaml"), "--config")
    data = "dataset={url: registers.tsv}"
    done = snakemake(tmp_path, *PLAN, "all", *asked, data)
    assert done.returncode != 0
    assert "config: backbone: 'revision' is a required property" in done.stdout + done.stderr
    planned = jobs(
        snakemake(tmp_path, *PLAN, "all", *asked, data, f"backbone={{revision: {'a' * 40}}}")
    )
    assert planned["train_explanandum"] == 100
    assert planned["resplit_tokens"] == 99
    assert planned["score_classes"] == 300  # of three sources
    assert planned["render_keywords"] == 3
