"""What `make findings` runs: its data, its configurations and its tables."""

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from helpers_evaluation import RANKS, random_file, small_explanandum

from whatyouread.evaluate.steering import COLUMNS
from whatyouread.methods.files import COMBINED
from whatyouread.models.inference import Passes

FOLDER = Path(__file__).resolve().parent / "findings"
sys.path.append(str(FOLDER))

import findings  # noqa: E402
import proteins  # noqa: E402
import tables  # noqa: E402

SIGNAL = "S" * 20 + "1" * 80
MEMBRANE = "1" * 40 + "H" * 21 + "2" * 39
PLAIN = "1" * 100


@pytest.fixture
def folds(tmp_path):
    """Four folds of two proteins with a signal peptide, one with a helix and five with neither."""
    folder = tmp_path / "folds"
    folder.mkdir()
    for fold in range(4):
        rows = []
        for number, annotation in enumerate([SIGNAL, SIGNAL, MEMBRANE, *[PLAIN] * 5]):
            sequence = "ACDEFGHIKLMNPQRSTVWY"[number] * 100
            rows += [f">P{number}|EUKARYA|x|{fold}", sequence, annotation]
        with gzip.open(folder / f"cv_0{fold}_a.fasta.gz", "wt") as file:
            file.write("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize(
    ("name", "positives", "span", "length"),
    [("signal", 2, (0, 20), 70), ("helix", 1, (40, 61), 100)],
)
def test_proteins_become_two_classes_with_positions(folds, tmp_path, name, positives, span, length):
    data, known = proteins.write(folds, name, tmp_path, 1)
    rows = [json.loads(line) for line in data.read_text().splitlines()]
    own = {row["id"] for row in rows if row["answer"] == name}
    assert len(rows) == len({row["id"] for row in rows}) == 4 * 3 * positives
    assert len(own) == 4 * positives
    assert {len(row["sequence"]) for row in rows} == {length}
    for fold in "0123":
        assert sum(row["fold"] == fold for row in rows) == 3 * positives
    lines = [line.split("\t") for line in known.read_text().splitlines()]
    assert {line[0] for line in lines} == own
    assert {(int(start), int(end), group) for _, start, end, group in lines} == {(*span, name)}
    again = proteins.write(folds, name, tmp_path, 1)[0].read_text()
    assert again == "".join(json.dumps(row) + "\n" for row in rows)


def test_residues_that_are_cut_short_belong_to_no_class(folds, tmp_path):
    with gzip.open(folds / "cv_00_a.fasta.gz", "wt") as file:
        file.write(f">A|x\n{'A' * 80}\n{'1' * 64 + 'S' * 16}\n>B|x\n{'C' * 80}\n{'S' * 80}\n")
    data, _ = proteins.write(folds, "signal", tmp_path, 1)
    first = [row for row in map(json.loads, data.read_text().splitlines()) if row["fold"] == "0"]
    assert [row["id"] for row in first] == ["B_0_1"]


@pytest.mark.parametrize("text", [">A\nACD\n", ">A\nACD\nSS\n", "ACD\nSSS\n>A\n"])
def test_other_files_are_no_proteins(tmp_path, text):
    with gzip.open(tmp_path / "cv_00.fasta.gz", "wt") as file:
        file.write(text)
    with pytest.raises(ValueError, match="does not begin a protein"):
        proteins.write(tmp_path, "signal", tmp_path, 1)
    (tmp_path / "cv_00.fasta.gz").unlink()
    with pytest.raises(ValueError, match="no cv_0N"):
        proteins.write(tmp_path, "signal", tmp_path, 1)


def planned(*arguments) -> str:
    command = [sys.executable, FOLDER / "findings.py", *arguments, "--", "--cores", "1", "-n"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("layers", [1, 12])
def test_rivals_are_planned(tmp_path, layers):
    made = planned("rivals", "--layers", layers, "--seed", 7, "--runs", tmp_path)
    assert re.search(r"train_explainer +9\n", made)
    written = yaml.safe_load((tmp_path / f"rivals_{layers}_7/config.yaml").read_text())
    assert (written["backbone"]["num_hidden_layers"], written["seed"]) == (layers, 7)
    assert not (tmp_path / f"rivals_{layers}_7/tables.md").exists()


def test_real_sequences_are_planned(tmp_path):
    files = [tmp_path / "sequences.zip", tmp_path / "taxonomy.zip"]
    for file in files:
        file.write_bytes(b"")
    made = planned("real", "--dataset", files[0], "--taxdump", files[1], "--runs", tmp_path)
    assert re.search(r"train_explainer +3\n", made)
    assert re.search(r"marginalize_motifs +1\n", made)
    written = yaml.safe_load((tmp_path / "real/config.yaml").read_text())
    assert written["dataset"] == {"url": str(files[0])}
    assert written["backbone"]["num_hidden_layers"] == 2
    with pytest.raises(SystemExit):
        findings.parsed(["real", "--dataset", "x"])


def test_proteins_are_planned(folds, tmp_path):
    (tmp_path / "esm").mkdir()
    given = ["--proteins", folds, "--encoder", tmp_path / "esm", "--runs", tmp_path / "runs"]
    made = planned("helix", *given)
    assert re.search(r"train_explainer +6\n", made)
    assert "helix/helix.jsonl" in made
    with pytest.raises(SystemExit):
        findings.parsed(["helix", "--proteins", "x"])


def test_deeper_encoders_differ_in_what_is_said():
    one, four = (findings.configuration("rivals", layers, 42) for layers in (1, 4))
    assert one["explanandum"]["learning_rate"] == 2 * four["explanandum"]["learning_rate"]
    epochs = [
        {name: own["epochs"] for name, own in made["explainers"].items()} for made in (one, four)
    ]
    assert epochs[0].pop("paper") == epochs[1].pop("paper") == 2
    assert [set(own.values()) for own in epochs] == [{4}, {3}]


def row(measure, control="none", percent=10, rank="genus", value=1.0, reader="classifier"):
    return [
        "explainer_mine",
        reader,
        "fidelity",
        measure,
        control,
        percent,
        rank,
        value,
        0.4,
        9.6,
        5,
    ]


def test_numbers_stand_where_they_belong():
    rows = [
        row(measure, control, percent, rank, 10 * i + j, reader)
        for i, (measure, control) in enumerate(tables.SHARES)
        for j, rank in enumerate(["phylum", "genus"])
        for percent in (10, 20)
        for reader in ("classifier", "judge")
    ]
    table = pd.DataFrame(rows, columns=COLUMNS)
    table.loc[(table["percent"] != 10) | (table["reader"] == "judge"), "value"] = -1
    made = tables.fidelity(table, ["explainer_mine"], "classifier", 10)
    assert made[0][:3] == ["method", "kept", "kept, shifted"]
    assert made[1] == ["mine", *(f"{10 * i} / {10 * i + 1} (0-10)" for i in range(7))]


def test_what_is_given_away_stands_beside_chance():
    def rows(reader, yardstick, measure, control, rank, value):
        return ["explainer_mine", reader, yardstick, measure, control, 10, rank, value, 0, 0, 5]

    measures = ("leakage", "unordered", "learned_along")
    made = [
        rows(
            "none",
            "accuracy",
            measure,
            control,
            rank,
            10 * i + j + (50 if control == "chance" else 0),
        )
        for i, measure in enumerate(measures)
        for j, rank in enumerate(["phylum", "genus"])
        for control in ("none", "chance")
    ]
    made += [
        rows("classifier", "distribution", f"distance_{action}", control, "all", value)
        for action, value in (("kept", 7), ("removed", 8))
        for control in ("none", "shifted")
    ]
    table = pd.DataFrame(made, columns=COLUMNS)
    assert tables.given_away(table, ["explainer_mine"]) == [
        ["method", *measures, "distance_kept, classifier", "distance_removed, classifier"],
        ["mine", "0 / 1", "10 / 11", "20 / 21", "7", "8"],
        ["chance", "50 / 51", "", "", "", ""],
    ]


def test_costs_are_compared_with_fifty_steps(tmp_path):
    folder = tmp_path / "results/attributions"
    folder.mkdir(parents=True)
    given = {
        "integrated_gradients": (0.4, 20.0),
        "explainer_mine": (0.002, 1.0),
        "file": (None, None),
    }
    for name, (seconds, passes) in given.items():
        record = {"seconds": seconds, "forward_passes": passes}
        (folder / f"{name}.json").write_text(json.dumps(record))
    made = tables.costs(tmp_path, list(given))
    assert made[1:] == [
        ["integrated gradients", "0.4000", "2.5"], ["mine", "0.0020", "500"], ["file", "-", "-"]
    ]  # fmt: skip


def test_runs_are_counted_in_the_content(tmp_path):
    file = random_file(tmp_path / "tokens.arrow", 12, shortest=30, longest=40)
    passes = Passes(small_explanandum(), 4, torch.device("cpu"))
    content = file.batch(np.arange(12)).content
    place = np.broadcast_to(np.arange(content.shape[1], dtype=np.float32), content.shape)

    class Own:
        keys, scores = file.keys, {COMBINED: place.copy()}
        predicted = passes.predict(file, np.ones(content.shape, np.float32))

    Own.content = content
    made = list(tables._kept(Own, file, passes))
    # the last tokens: one run in each sequence, however smooth the scores
    expected = 12 * 250 / content.sum()
    assert [float(cell.partition(":")[0]) for cell in made] == pytest.approx(
        [expected] * len(made), abs=0.05
    )
    assert all(len(cell.split(" / ")) == len(RANKS) for cell in made)
