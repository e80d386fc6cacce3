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
import texts  # noqa: E402

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
def test_proteins_become_two_classes_with_positions(folds, name, positives, span, length):
    rows, positions = proteins.dataset(folds, name, 1)
    own = {row["id"] for row in rows if row["answer"] == name}
    assert len(rows) == len({row["id"] for row in rows}) == 4 * 3 * positives
    assert len(own) == 4 * positives
    assert {len(row["sequence"]) for row in rows} == {length}
    for fold in "0123":
        assert sum(row["fold"] == fold for row in rows) == 3 * positives
    lines = [line.split("\t") for line in positions]
    assert {line[0] for line in lines} == own
    assert {(int(start), int(end), group) for _, start, end, group in lines} == {(*span, name)}
    assert proteins.dataset(folds, name, 1) == (rows, positions)


def test_residues_that_are_cut_short_belong_to_no_class(folds):
    with gzip.open(folds / "cv_00_a.fasta.gz", "wt") as file:
        file.write(f">A|x\n{'A' * 80}\n{'1' * 64 + 'S' * 16}\n>B|x\n{'C' * 80}\n{'S' * 80}\n")
    rows, _ = proteins.dataset(folds, "signal", 1)
    assert [row["id"] for row in rows if row["fold"] == "0"] == ["B_0_1"]


@pytest.mark.parametrize("text", [">A\nACD\n", ">A\nACD\nSS\n", "ACD\nSSS\n>A\n"])
def test_other_files_are_no_proteins(tmp_path, text):
    with gzip.open(tmp_path / "cv_00.fasta.gz", "wt") as file:
        file.write(text)
    with pytest.raises(ValueError, match="does not begin a protein"):
        proteins.dataset(tmp_path, "signal", 1)
    (tmp_path / "cv_00.fasta.gz").unlink()
    with pytest.raises(ValueError, match="no cv_0N"):
        proteins.dataset(tmp_path, "signal", 1)


SENTENCES = [
    ("1", "you cannot trust them , ever", "0 1 1 0 0 1"),
    ("0", "it rained", "0 0"),
    ("0", "marked and yet none", "1 0 0 0"),
    ("1", "not marked at all", "0 0 0 0"),
    ("1", " ".join(["w"] * texts.WORDS) + " trust", " ".join(["0"] * texts.WORDS) + " 1"),
    ("1", " ".join(["w"] * texts.WORDS) + " trust", " ".join(["1"] * texts.WORDS) + " 1"),
]


@pytest.fixture
def sentences(tmp_path):
    """Of two classes: those with marked words that are read, and the label 1, and those with neither."""
    folder = tmp_path / "sentences"
    folder.mkdir()
    for part in texts.PARTS:
        for name, places in (("txt", (0, 1)), ("txt.block", (2,))):
            with gzip.open(folder / f"lies_{part}.{name}.gz", "wt") as file:
                file.writelines("\t".join(one[i] for i in places) + "\n" for one in SENTENCES)
    return folder


def test_sentences_become_two_classes_with_positions(sentences):
    rows, positions = texts.dataset(sentences, "lies", 1)
    assert {(row["id"], row["answer"], row["part"]) for row in rows} == {
        (f"{part}_{number}", answer, split)
        for part, split in (("train", "train"), ("dev", "test"))
        for number, answer in ((0, "lies"), (1, "none"), (5, "lies"))
    }
    read = {row["id"]: row["text"] for row in rows}
    lines = [line.split("\t") for line in positions]
    marked = [(own, read[own][int(start) : int(end)]) for own, start, end, _ in lines]
    all_read = " ".join(["w"] * texts.WORDS)
    assert sorted(marked) == sorted(
        (f"{part}_{number}", words)
        for part in ("train", "dev")
        for number, words in ((0, "cannot trust"), (0, "ever"), (5, all_read))
    )
    assert {line[3] for line in lines} == {"lies"}
    assert texts.dataset(sentences, "lies", 1) == (rows, positions)


def test_no_more_sentences_are_trained_on_than_said(sentences, monkeypatch):
    monkeypatch.setattr(texts, "TRAINED", 1)
    rows, _ = texts.dataset(sentences, "lies", 1)
    assert sorted((row["part"], row["answer"]) for row in rows) == [
        ("test", "lies"), ("test", "lies"), ("test", "none"), ("train", "lies"), ("train", "none")
    ]  # fmt: skip


@pytest.mark.parametrize("line", ["2\tit rained\n", "0\tit rained here\n", "0\n", "0\tit\n" * 2])
def test_other_files_are_no_sentences(sentences, line):
    with gzip.open(sentences / "lies_train.txt.gz", "wt") as file:
        file.write(line)
    with gzip.open(sentences / "lies_train.txt.block.gz", "wt") as file:
        file.write("0 0\n" if "rained" in line else "0\n")
    with pytest.raises(ValueError, match=f"line {line.count(chr(10))} is not a label"):
        texts.dataset(sentences, "lies", 1)


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
    written = yaml.safe_load((tmp_path / "real_42/config.yaml").read_text())
    assert written["dataset"] == {"url": str(files[0])}
    assert written["backbone"]["num_hidden_layers"] == 2
    with pytest.raises(SystemExit):
        findings.parsed(["real", "--dataset", "x"])


def test_proteins_are_planned(folds, tmp_path):
    (tmp_path / "esm").mkdir()
    given = ["--data", folds, "--encoder", tmp_path / "esm", "--runs", tmp_path / "runs"]
    made = planned("helix", *given)
    assert re.search(r"train_explainer +6\n", made)
    assert "helix_42/helix.jsonl" in made
    with pytest.raises(SystemExit):
        findings.parsed(["helix", "--data", "x"])


@pytest.mark.parametrize("part", ["signal", "propaganda"])
def test_other_folders_end_in_a_line(tmp_path, part):
    given = [part, "--data", tmp_path, "--encoder", tmp_path, "--runs", tmp_path / "runs"]
    done = subprocess.run(
        [sys.executable, FOLDER / "findings.py", *given], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert re.fullmatch(rf"findings.py: .*{re.escape(str(tmp_path))}.*\n", done.stderr)
    assert not (tmp_path / "runs").exists()


def test_sentences_are_planned(sentences, tmp_path):
    for file in sentences.iterdir():
        file.rename(file.with_name(file.name.replace("lies", "propaganda")))
    (tmp_path / "xlmr").mkdir()
    given = ["--data", sentences, "--encoder", tmp_path / "xlmr", "--runs", tmp_path / "runs"]
    made = planned("propaganda", *given)
    assert re.search(r"train_explainer +4\n", made)
    assert "propaganda_42/propaganda.jsonl" in made


def test_a_million_sequences_are_planned(tmp_path):
    made = planned("length", "--layers", 4, "--runs", tmp_path)
    assert re.search(r"train_explainer +3\n", made)
    assert "measure_steering" not in made
    written = yaml.safe_load((tmp_path / "length_4_42/config.yaml").read_text())
    assert written["backbone"]["num_hidden_layers"] == 4
    longest = max(own["epochs"] for own in written["explainers"].values())
    assert longest * written["split"]["explainer_train"] == 1_000_000


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


def test_longer_training_stands_beside_its_moved_masks(tmp_path):
    names = {"paper_8": 10, "paper_50": 30}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"explainers": names}, sort_keys=False))
    for name, value in names.items():
        folder = tmp_path / "results/explainers" / name
        folder.mkdir(parents=True)
        pd.DataFrame(
            {
                "condition": ["masks", "relevant_chunks"],
                "phylum": [value, value + 1.4],
                "genus": [value + 2.4, value + 3],
                "paper_phylum": [1, 1],
                "paper_genus": [1, 1],
            }
        ).to_csv(folder / "table1.tsv", sep="\t", index=False)
        pd.DataFrame(
            {
                "classes": ["labels", "labels", "predicted"],
                "control": ["shuffled", "shifted", "shifted"],
                "condition": ["masks"] * 3,
                "phylum": [-1, value + 5, -1],
                "genus": [-1, value + 6, -1],
            }
        ).to_csv(folder / "controls.tsv", sep="\t", index=False)
    made = tables.length(tmp_path).splitlines()
    assert made[0] == "|  | paper 8 | paper 50 |"
    assert made[2:] == [
        "| masks | 10 / 12 (15 / 16) | 30 / 32 (35 / 36) |",
        "| relevant chunks | 11 / 13 | 31 / 33 |",
    ]


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
