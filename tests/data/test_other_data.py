"""Proteins and texts from files to token files by the programs, and back without the model's folder."""

import gzip
import json
import random
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers_tokenizers import tokenizer_folder
from helpers_warm import python

from whatyouread.data import tokenizers
from whatyouread.data.residues import RESIDUES
from whatyouread.data.token_files import TokenFile, common_tokenizer, write_token_files
from whatyouread.support.cli import UserError

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
OUTPUTS = ("train", "validation", "test", "explainer_train", "explainer_validation")
SPLIT = {"test": 0.2, "validation": 0.2, "explainer_train": 10, "explainer_validation": 4}
WORDS = ["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dog", ",", "zebra"]


def program(name, *arguments):
    done = subprocess.run(
        [python(), SCRIPTS / f"{name}.py", *map(str, arguments)],
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr


def run(folder, alphabet, *tokenizer, levels=("label",), source=("record",), **settings):
    """label_taxonomy, find_copies, split_dataset, tokenize_sequences; the last line of what failed, or ""."""
    reading = json.dumps({"alphabet": alphabet} | settings)
    made = {name: folder / f"{name}.arrow" for name in OUTPUTS}
    tables = ["--labels", folder / "labels.tsv", "--classes", folder / "classes.tsv"]
    index = ["--sequences", folder / "index.parquet"]
    ranks, copies = ["--ranks", *levels], ["--copies", folder / "copies.parquet"]
    splits = ["--splits", folder / "splits.parquet"]
    dataset = ["--dataset", folder / "data", "--sequence-settings", reading]
    calls = [
        ("label_taxonomy", *dataset, "--source", *source, *ranks, *tables, *index,
         "--summary", folder / "labels_summary.tsv"),
        ("find_copies", *dataset, *copies),
        ("split_dataset", *ranks, *tables, *index, *splits, *copies, "--settings", json.dumps(SPLIT),
         "--seed", 1, "--summary", folder / "split_summary.tsv"),
        ("tokenize_sequences", *dataset, *ranks, *index, *splits, "--tokenizer", *tokenizer,
         "--summary", folder / "tokens.tsv",
         *(x for name, path in made.items() for x in (f"--{name.replace('_', '-')}", path))),
    ]  # fmt: skip
    said = ""
    for call in calls:
        status, text = program(*call)
        said += text
        if status:
            assert status == 1, text
            assert "Traceback" not in text
            return said, None
    return said, {name: TokenFile(path, list(levels)) for name, path in made.items()}


def texts(number=60):
    draws = random.Random(5)
    return [
        (" ".join(draws.choices(WORDS, k=draws.randint(1, 12))), f"class {i % 3}")
        for i in range(number)
    ]


@pytest.mark.parametrize("kind", ["tsv", "jsonl"])
def test_texts(tmp_path, kind, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    if kind == "tsv":
        rows = [f"{text}\t{label}\tn{i}\n" for i, (text, label) in enumerate(texts())]
        (folder / "a.tsv.gz").write_bytes(
            gzip.compress(("text\tlabel\tid\n" + "".join(rows)).encode())
        )
    else:
        rows = [
            json.dumps({"text": text, "label": label, "id": f"n{i}"})
            for i, (text, label) in enumerate(texts())
        ]
        (folder / "a.jsonl").write_text("\n".join(rows))
    model = tokenizer_folder(tmp_path / "model", max_position_embeddings=8, model_type="bert")
    said, files = run(tmp_path, "text", "backbone", "--backbone", model)
    assert files, said
    expected = tokenizers.tokenizer_of(model)
    summary = pd.read_csv(tmp_path / "tokens.tsv", sep="\t").set_index("file")
    found, by_id = 0, {f"a.{kind}:n{i}": row for i, row in enumerate(texts())}
    cut, unknown = 0, 0
    for name in ("train", "validation", "test"):
        file = files[name]
        assert file.tokenizer.name == expected.name
        starts, ends = file.spans(np.arange(len(file)))
        for row in range(len(file)):
            text, label = by_id[file.ids[row].as_py()]
            tokens, _, places = expected.located(*expected.characters([text]))
            own, _ = file.flat_tokens(np.array([row]))
            kept = min(len(tokens), 8)
            assert own.tolist() == [*tokens[: kept - 1], 3]
            assert starts[row][1 : kept - 1].tolist() == places[0][1 : kept - 1].tolist()
            assert ends[row][1 : kept - 1].tolist() == places[1][1 : kept - 1].tolist()
            assert int(file.labels[row, 0]) == int(label[-1])
            cut += len(tokens) > 8
            unknown += (own == expected.unknown).sum()
            found += 1
    assert found == 60
    parts = summary.loc[["train", "validation", "test"]]
    assert parts["too_long"].sum() == cut > 0
    assert parts["unknown"].sum() == unknown > 0
    assert summary["longest"].max() == 8
    assert "more than the 8 tokens that the model reads and were cut" in said
    assert "tokens are unknown" in said
    # the files stand by themselves
    again = TokenFile(files["test"].path, ["label"])
    monkeypatch.setattr(tokenizers, "_defined", {})
    alone = TokenFile(again.path, ["label"])
    assert alone.tokenizer.vocabulary == expected.vocabulary
    rows = np.array([3, 0, 1])
    with write_token_files([tmp_path / "some.arrow"], ["label"], alone.tokenizer) as [writer]:
        writer.write_batch(alone.record_batch(rows))
    some = TokenFile(tmp_path / "some.arrow", ["label"])
    for one, other in zip(some.spans(np.arange(3)), alone.spans(rows), strict=True):
        np.testing.assert_array_equal(one, other)
    assert common_tokenizer(some, alone).name == expected.name


@pytest.mark.parametrize(
    ("longer", "word"), [("window", "divided into windows"), ("leave_out", "left out")]
)
def test_longer_texts(tmp_path, longer, word):
    (tmp_path / "data").mkdir()
    rows = [f"{text}\t{label}\n" for text, label in texts()]
    (tmp_path / "data" / "a.tsv").write_text("text\tlabel\n" + "".join(rows))
    model = tokenizer_folder(tmp_path / "model")
    said, files = run(
        tmp_path, "text", "backbone", "--backbone", model, "--longest", 8, longer=longer
    )
    assert files, said
    summary = pd.read_csv(tmp_path / "tokens.tsv", sep="\t").set_index("file").loc["train"]
    assert word in said
    assert summary["too_long"] > 0
    assert files["train"].lengths.max() == 8
    ids = files["train"].ids.to_pylist()
    tokens = sum(" tokens " in name for name in ids)
    assert (tokens > summary["too_long"]) == (longer == "window")
    assert len(set(ids)) == len(ids) == summary["sequences"]
    tokenizer = files["train"].tokenizer
    for row in range(len(ids)):
        own, _ = files["train"].flat_tokens(np.array([row]))
        assert (own[0], own[-1]) == (*tokenizer.before, *tokenizer.after)


def test_proteins_with_a_table_of_labels(tmp_path):
    draws, folder = random.Random(2), tmp_path / "data"
    folder.mkdir()
    proteins = [
        "".join(draws.choices("ACDEFGHIKLMNPQRSTVWY", k=draws.randint(5, 60))) for _ in range(60)
    ]
    proteins[0] += "*"
    proteins[1] = proteins[1].lower() + "XJ"
    records = [f">p{i} some protein\n{text}\n" for i, text in enumerate(proteins)]
    (folder / "a.fasta").write_text("".join([*records, ">p60\nXXXX\n"]))
    rows = "".join(f"p{i}\t{'in' if i % 2 else 'out'}\n" for i in range(61))
    (tmp_path / "labels_of.tsv").write_text("id\tplace\n" + rows)
    said, files = run(
        tmp_path, "protein", "residues",
        levels=("place",), source=("table", "--label-file", tmp_path / "labels_of.tsv"),
    )  # fmt: skip
    assert files, said
    found = {}
    for name in ("train", "validation", "test"):
        assert files[name].tokenizer is RESIDUES
        for row in range(len(files[name])):
            own, _ = files[name].flat_tokens(np.array([row]))
            assert (own[0], own[-1]) == (0, 2)
            number = int(files[name].ids[row].as_py().split(":p")[1].split()[0])
            found[number] = "".join(RESIDUES.vocabulary[token] for token in own[1:-1])
    expected = {
        i: text.upper().rstrip("*").replace("J", "<unk>") for i, text in enumerate(proteins)
    }
    assert found == expected
    summary = pd.read_csv(tmp_path / "labels_summary.tsv", sep="\t").set_index("quantity")["value"]
    assert summary["sequences with a stop (*) at the end"] == 1
    assert summary["sequences without an amino acid"] == 1
    assert summary["sequences with lower case"] == 1
    assert summary["sequences with characters other than the 20 amino acids"] == 2
    assert (
        summary["sequences with characters other than the 20 amino acids, X, B, Z, U, O and gaps"]
        == 1
    )
    assert pd.read_csv(tmp_path / "tokens.tsv", sep="\t")["unknown"].iloc[:3].sum() == 1


@pytest.mark.parametrize(
    ("alphabet", "text", "message"),
    [
        ("protein", "ACGTTGCAAT" * 30, "it is DNA, and sequences.alphabet is protein"),
        ("protein", "1234/;:1234AC" * 30, "are no amino acids"),
        ("dna", "MKVLLEDFHIPQ" * 30, "are no bases"),
    ],
)
def test_data_of_another_alphabet_stop_the_run(tmp_path, alphabet, text, message):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.tsv").write_text(f"sequence\tlabel\n{text}\ta\n{text}\tb\n")
    said, files = run(tmp_path, alphabet, "residues")
    assert files is None
    assert message in said.splitlines()[-1]
    assert not (tmp_path / "labels.tsv").exists()


def test_a_tokenizer_of_no_folder(tmp_path):
    (tmp_path / "data").mkdir()
    rows = [f"{text}\t{label}\n" for text, label in texts()]
    (tmp_path / "data" / "a.tsv").write_text("text\tlabel\n" + "".join(rows))
    said, files = run(tmp_path, "text", "backbone")
    assert files is None
    assert "give --backbone FOLDER" in said.splitlines()[-1]


def test_two_tokenizers_are_told_apart(tmp_path):
    made = []
    for kind in ("word_pieces", "unigram"):
        tokenizer = tokenizers.tokenizer_of(tokenizer_folder(tmp_path / kind, kind))
        path = tmp_path / f"{kind}.arrow"
        with write_token_files([path], ["label"], tokenizer):
            pass
        made.append(TokenFile(path, ["label"]))
    with pytest.raises(UserError, match="token files of one model need one tokenizer"):
        common_tokenizer(*made)
