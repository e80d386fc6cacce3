import csv
import gzip
import json
import random
import subprocess
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers_warm import python
from tests.data.test_taxonomy import write_dump

from whatyouread.data import tokenization
from whatyouread.data.normalisation import Settings
from whatyouread.data.sequences import read_sequences
from whatyouread.data.six_mers import FIRST_BASE, SIX_MERS, SixMers, decode, encode
from whatyouread.data.token_files import TokenFile
from whatyouread.data.tokenization import OUTPUTS, tokenize_dataset
from whatyouread.data.tokenizers import TOKENIZERS
from whatyouread.support.cli import UserError

RANKS = ["phylum", "genus"]
# file, header, sequence, split, explainer, phylum, genus
RECORDS = [
    ("a.fa", "562 0", "ACGTACGTACGTA", "train", "train", 0, 3),
    ("a.fa", "28901 1", "NNACGTTTGANNAC", "train", "none", 0, 4),
    ("a.fa", "562 2", "GGGGGGCCCCCC", "test", "none", 1, 5),
    ("a.fa", "9606 3", "ACGTRYACGT", "none", "none", -1, -1),
    ("a.fa", "562 4", "ACGT" * 30, "validation", "validation", 1, 5),
    ("b.fa", "7 0", "T", "validation", "none", 0, 3),
    ("b.fa", "8 1 and more", "ACGTACGTACGTACGTACGTAC", "train", "train", 1, 6),
    ("b.fa", "9 2", "NACGNT", "test", "none", 0, 4),
]


def dictionary(values):
    return pa.array(list(values)).dictionary_encode()


def write_tables(folder, records=RECORDS):
    sources, headers, texts, splits, explainers, phyla, genera = zip(*records, strict=True)
    sequences = {
        "source": dictionary(sources),
        "header": headers,
        "taxid": pa.array([int(h.split()[0]) for h in headers], pa.int32()),
        "length": pa.array([len(t) for t in texts], pa.int32()),
        "hash": pa.array([2**63 + 1000 * i for i in range(len(records))], pa.uint64()),
    }
    pq.write_table(pa.table(sequences), folder / "sequences.parquet")
    split = {
        "split": dictionary(splits),
        "explainer": dictionary(explainers),
        "phylum": pa.array(phyla, pa.int16()),
        "genus": pa.array(genera, pa.int16()),
    }
    pq.write_table(pa.table(split), folder / "splits.parquet")


def write_dataset(folder, records=RECORDS):
    folder.mkdir(exist_ok=True)
    for name in {record[0] for record in records}:
        text = "".join(f">{r[1]}\n{r[2]}\n" for r in records if r[0] == name)
        (folder / name).write_text(text)


@pytest.fixture
def inputs(tmp_path):
    write_dataset(tmp_path / "dataset")
    write_tables(tmp_path)
    return tmp_path


def tokenize(folder, out="out"):
    outputs = {name: folder / out / f"{name}.arrow" for name in OUTPUTS}
    tables = folder / "sequences.parquet", folder / "splits.parquet"
    return tokenize_dataset(folder / "dataset", *tables, RANKS, outputs, SIX_MERS), outputs


MEMBERS = {
    "train": [0, 1, 6],
    "validation": [4, 5],
    "test": [2, 7],
    "explainer_train": [0, 6],
    "explainer_validation": [4],
}


def check(outputs):
    for name, members in MEMBERS.items():
        file = TokenFile(outputs[name], RANKS)
        assert len(file) == len(members)
        for row, member in enumerate(members):
            source, header, text, _, _, phylum, genus = RECORDS[member]
            expected, _ = encode([text])
            found, _ = file.flat_tokens(np.array([row]))
            np.testing.assert_array_equal(found, expected)
            assert file.ids[row].as_py() == f"{source}:{header}"
            assert int(file.keys[row]) == 2**63 + 1000 * member
            assert file.labels[row].tolist() == [phylum, genus]


def test_token_files_hold_what_they_should(inputs):
    _, outputs = tokenize(inputs)
    check(outputs)
    assert sorted(p.name for p in (inputs / "out").iterdir()) == sorted(
        f"{name}.arrow" for name in OUTPUTS
    )


def test_blocks_do_not_matter(inputs, monkeypatch):
    monkeypatch.setattr(tokenization, "read_sequences", partial(read_sequences, block_bytes=40))
    assert len(list(read_sequences(inputs / "dataset", 40))) > 4
    _, outputs = tokenize(inputs)
    check(outputs)


def test_an_index_without_taxids_will_do(inputs):
    """What a header means is up to the label source."""
    table = pq.read_table(inputs / "sequences.parquet").drop_columns("taxid")
    pq.write_table(table, inputs / "sequences.parquet")
    _, outputs = tokenize(inputs)
    check(outputs)


def test_another_tokenizer(inputs, monkeypatch):
    class Letters(SixMers):
        name = "letters"

        def tokenize(self, text, offsets):
            return text.astype(self.dtype) % 4 + FIRST_BASE, offsets

    letters = Letters()
    monkeypatch.setitem(TOKENIZERS, letters.name, letters)
    outputs = {name: inputs / f"{name}.arrow" for name in OUTPUTS}
    tables = inputs / "sequences.parquet", inputs / "splits.parquet"
    summary = tokenize_dataset(inputs / "dataset", *tables, RANKS, outputs, tokenizer=letters)
    file = TokenFile(outputs["train"], RANKS)
    assert file.tokenizer is letters
    assert file.lengths.tolist() == [13, 14, 22]
    assert summary["tokens"].tolist() == [13 + 14 + 22, 120 + 1, 12 + 6, 13 + 22, 120]


def test_gzipped_files_give_the_same_tokens(inputs):
    text = (inputs / "dataset" / "b.fa").read_bytes()
    (inputs / "dataset" / "b.fa").unlink()
    (inputs / "dataset" / "b.fa.gz").write_bytes(gzip.compress(text))
    _, outputs = tokenize(inputs)
    check(outputs)


def test_summary(inputs):
    summary, _ = tokenize(inputs)
    assert summary.columns.tolist() == [
        "file",
        "sequences",
        "tokens",
        "longest",
        "unknown",
        "too_long",
    ]
    assert summary["file"].tolist() == list(OUTPUTS)
    # tokens with <cls>: 13 bp 2+1+1; NN ACGTTT G A NN A C: 10; 22 bp 3+4+1; 12 bp 3; 120 bp 21;
    # 1 bp 2; N A C G N T 7
    assert summary["sequences"].tolist() == [3, 2, 2, 2, 1]
    assert summary["tokens"].tolist() == [4 + 10 + 8, 21 + 2, 3 + 7, 4 + 8, 21]
    assert summary["longest"].tolist() == [10, 21, 7, 8, 21]


def refuses(folder, match):
    with pytest.raises(UserError, match=match) as caught:
        tokenize(folder)
    assert "\n" not in str(caught.value)
    assert list((folder / "out").rglob("*") if (folder / "out").exists() else []) == []


def test_tables_of_different_length_are_refused(inputs):
    table = pq.read_table(inputs / "splits.parquet")
    pq.write_table(table.slice(1), inputs / "splits.parquet")
    refuses(inputs, "7 rows.* 8: run both again")


@pytest.mark.parametrize("name", ["sequences.parquet", "splits.parquet"])
def test_damaged_tables_are_refused(inputs, name):
    whole = (inputs / name).read_bytes()
    for content in (b"", whole[:-1], whole[: len(whole) // 2], b"<html>" + whole[6:-4], b"PAR1"):
        (inputs / name).write_bytes(content)
        refuses(inputs, f"{name} is damaged .*: delete it and run again")
    (inputs / name).unlink()
    refuses(inputs, f"{name} is not there")
    pq.write_table(pa.table({"x": [1]}), inputs / name)
    refuses(inputs, f"{name} has no column .*: make it again")


def test_another_dataset_is_refused(inputs):
    records = [list(record) for record in RECORDS]
    records[6][1] = "8000 1"
    write_dataset(inputs / "dataset", records)
    refuses(inputs, "is not what .* was made from: run label_taxonomy again")


def test_a_dataset_whose_headers_have_changed_is_refused(inputs):
    records = [list(record) for record in RECORDS]
    records[6][1] = "8 1 and less"  # the same taxid
    write_dataset(inputs / "dataset", records)
    refuses(inputs, "is not what .* was made from: run label_taxonomy again")


def test_a_dataset_with_more_records_is_refused(inputs):
    write_dataset(inputs / "dataset", [*RECORDS, ("b.fa", "9 3", "ACGT")])
    refuses(inputs, "is not what .* was made from: run label_taxonomy again")


def test_a_dataset_with_fewer_records_is_refused(inputs):
    write_dataset(inputs / "dataset", RECORDS[:-1])
    refuses(inputs, "has 7 records and .* 8: run label_taxonomy again")


def test_what_was_there_stays_when_it_fails(inputs):
    _, outputs = tokenize(inputs)
    before = outputs["train"].read_bytes()
    write_dataset(inputs / "dataset", RECORDS[:-1])
    with pytest.raises(UserError):
        tokenize(inputs)
    assert outputs["train"].read_bytes() == before
    check(outputs)


def retokenize(folder, texts, settings=None):
    """The tokens of `texts` of one split, after the index was made with `settings`."""
    records = [("a.fa", f"9 {n}", text, "train", "none", 0, 0) for n, text in enumerate(texts)]
    write_dataset(folder / "dataset", records)
    write_tables(folder, records)
    outputs = {name: folder / "out" / f"{name}.arrow" for name in OUTPUTS}
    tables = folder / "sequences.parquet", folder / "splits.parquet"
    return tokenize_dataset(folder / "dataset", *tables, RANKS, outputs, SIX_MERS, settings)


def test_other_settings_than_those_of_the_index_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"settings of `sequences`, is not what .* was made from"):
        retokenize(tmp_path, ["ACGT" * 9, "ACGT"], Settings(max_length=20))
    with pytest.raises(UserError, match=r"is not what .* was made from"):
        retokenize(tmp_path, ["ACGT" * 9, "ACGT"], Settings(max_length=20, longer="window"))
    with pytest.raises(UserError, match=r"is not what .* was made from"):
        retokenize(tmp_path, ["ACGTNNNN"], Settings(max_n_share=0.4))


def test_masked_sequences_and_those_with_u_have_the_tokens_of_their_bases(tmp_path):
    text = "ACGTTGCAACGGTTACGATCCA" * 60
    masked = text[:450].lower() + text[450:]
    retokenize(tmp_path, [text, masked, text.lower(), text.replace("T", "U"), "acguACGU"])
    file = TokenFile(tmp_path / "out" / "train.arrow", RANKS)
    first, *same, last = (file.flat_tokens(np.array([row]))[0].tolist() for row in range(5))
    assert len(first) == 1 + len(text) // 6
    assert same == [first] * 3
    assert last == encode(["ACGTACGT"])[0].tolist()


@pytest.mark.parametrize("longest", [1, 4, 250, 511])
def test_no_warning_of_usual_sequences(caplog, longest):
    tokenization.warn_of_long_sequences("train", np.array([2, 2, 2, longest], np.int32))
    tokenization.warn_of_long_sequences("train", np.array([600, 700, 1000, 2800], np.int32))
    tokenization.warn_of_long_sequences("train", np.zeros(0, np.int32))
    assert not caplog.records


def test_long_sequences_among_others_are_warned_of_with_their_cost(tmp_path, caplog):
    with caplog.at_level("WARNING", "whatyouread"):
        retokenize(tmp_path, ["ACGTTG" * 250] * 9 + ["ACGTTG" * 20_000] * 2)
    [warning] = [entry.message for entry in caplog.records]
    assert warning.startswith("train: 2 of 11 sequences have more than 4 times the tokens of the")
    assert "median, 251; the longest has 20,001: " in warning
    assert "6,350 times as long" in warning  # (20001 / 251) ** 2
    assert "1.6 GB for each head" in warning  # 4 * 20001 ** 2
    assert "sequences.max_length" in warning


PROGRAMS = Path(__file__).resolve().parents[2] / "scripts"
CLADES = ["superkingdom", "phylum", "genus"]


def run(program, folder, *options):
    command = [python(), PROGRAMS / f"{program}.py", *options]
    made = subprocess.run(command, capture_output=True, text=True, cwd=folder)
    assert "Traceback" not in made.stderr
    return made


def label(folder, settings):
    return run(
        "label_taxonomy", folder, "--dataset", "dataset", "--taxdump", "taxdump",
        "--ranks", *CLADES, "--labels", "labels.tsv", "--classes", "classes.tsv",
        "--summary", "summary.tsv", "--sequences", "sequences.parquet",
        "--sequence-settings", json.dumps(settings),
    )  # fmt: skip


def all_stages(folder, settings):
    """Label, split, tokenize; the summary of labelling and the texts of all token files by id."""
    labelled = label(folder, settings)
    assert labelled.returncode == 0, labelled.stderr
    sizes = {"test": 0.25, "validation": 0.25, "explainer_train": 1.0, "explainer_validation": 1.0}
    split = run(
        "split_dataset", folder, "--sequences", "sequences.parquet", "--labels", "labels.tsv",
        "--classes", "classes.tsv", "--ranks", *CLADES, "--seed", "1", "--splits",
        "splits.parquet", "--summary", "b.tsv",
        "--settings", json.dumps(sizes),
    )  # fmt: skip
    assert split.returncode == 0, split.stderr
    outputs = [o for name in OUTPUTS for o in (f"--{name.replace('_', '-')}", f"{name}.arrow")]
    tokenized = run(
        "tokenize_sequences", folder, "--dataset", "dataset", "--sequences", "sequences.parquet",
        "--splits", "splits.parquet", "--ranks", *CLADES, "--tokenizer", "six_mers",
        "--summary", "c.tsv", "--sequence-settings", json.dumps(settings), *outputs,
    )  # fmt: skip
    assert tokenized.returncode == 0, tokenized.stderr
    texts = {}
    for name in ("train", "validation", "test"):
        file = TokenFile(folder / f"{name}.arrow", CLADES)
        bases, ends = decode(*file.flat_tokens(np.arange(len(file))))
        for row, id in enumerate(file.ids.to_pylist()):
            texts[id] = bases[ends[row] : ends[row + 1]].tobytes().decode()
    with open(folder / "summary.tsv", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    return {row["quantity"]: (int(row["value"]), row["detail"]) for row in rows}, texts, labelled


def test_all_stages_agree_on_what_a_valid_record_is(tmp_path):
    (tmp_path / "taxdump").mkdir()
    write_dump(tmp_path / "taxdump")
    (tmp_path / "dataset").mkdir()
    rng = random.Random(5)
    expected, lines = {}, []
    for n in range(60):
        taxid = (562, 582, 90709)[n % 3]
        text = "".join(rng.choices("ACGT", k=40))
        if n < 30:
            expected[f"{taxid} {n}"] = text
            text = text if n % 2 else text.lower().replace("t", "u")
        elif n < 36:
            text = ["", "N" * 40, "n" * 9, "RYRY", "--", "*"][n - 30]
        elif n < 40:
            text = text[:4] + "N" * 36
        else:
            text = text * 9
            for at in range(0, 360, 40):
                expected[f"{taxid} {n} {at + 1}-{at + 40}"] = text[at : at + 40]
        lines += [f">{taxid} {n}", text]
    (tmp_path / "dataset" / "x.txt").write_text("\n".join(lines))
    (tmp_path / "dataset" / "checksums.md5").write_text("0 x.txt\n")
    settings = {"max_n_share": 0.5, "max_length": 40, "longer": "window"}
    summary, texts, labelled = all_stages(tmp_path, settings)
    assert texts == {f"x.txt:{header}": text for header, text in expected.items()}
    assert summary["sequences in the archive"][0] == 60
    assert summary["sequences"][0] == len(expected)
    assert summary["empty sequences"][0] == 1
    assert summary["sequences without a base"][0] == 5
    assert summary["sequences with too many N"][0] == 4
    assert summary["sequences divided into windows"][0] == 20
    assert summary["further windows of them"][0] == 20 * 8
    assert summary["sequences with lower case"][0] == 15 + 1
    assert summary["sequences with U"][0] == 15
    assert summary["dropped: no sequence to use"][0] == 1 + 5 + 4
    assert summary["files skipped"] == (1, "checksums.md5")
    for quantity in ("5 sequences without a base", "4 sequences with too many N", "checksums.md5"):
        assert f"WARNING {quantity}" in labelled.stderr or f": {quantity}" in labelled.stderr


@pytest.mark.parametrize(("longer", "sequences"), [("cut", 40), ("leave_out", 20)])
def test_a_maximal_length_through_all_stages(tmp_path, longer, sequences):
    (tmp_path / "taxdump").mkdir()
    write_dump(tmp_path / "taxdump")
    (tmp_path / "dataset").mkdir()
    texts = {f"{(562, 582)[n % 2]} {n}": "ACGTTGCA" * (n + 1) for n in range(40)}
    fasta = "".join(f">{header}\n{text}\n" for header, text in texts.items())
    (tmp_path / "dataset" / "x.fa").write_text(fasta)
    summary, found, _ = all_stages(tmp_path, {"max_length": 160, "longer": longer})
    assert len(found) == summary["sequences"][0] == sequences
    assert found == {f"x.fa:{h}": texts[h][:160] for h in list(texts)[:sequences]}


def test_a_protein_stops_labelling_in_one_line(tmp_path):
    (tmp_path / "taxdump").mkdir()
    write_dump(tmp_path / "taxdump")
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "x.fa").write_text(">562 0\nMKVLAAGIVGLLLAQW\n>582 1\nMKKLERTYI\n")
    made = label(tmp_path, {})
    assert made.returncode == 1
    assert made.stderr.strip().splitlines()[-1].endswith("Take the file out of the dataset")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset", "taxdump"]


def test_missing_labels_are_kept_and_counted(tmp_path):
    records = [list(record) for record in RECORDS]
    records[0][5] = records[1][6] = records[7][6] = -1
    write_dataset(tmp_path / "dataset", records)
    write_tables(tmp_path, records)
    summary, outputs = tokenize(tmp_path)
    summary = summary.set_index("file")
    # train: 0, 1, 6; validation: 4, 5; test: 2, 7; explainer_train: 0, 6; explainer_validation: 4
    assert summary["sequences_phylum"].to_dict() == {
        "train": 2, "validation": 2, "test": 2, "explainer_train": 1, "explainer_validation": 1,
    }  # fmt: skip
    assert summary["sequences_genus"].to_dict() == {
        "train": 2, "validation": 2, "test": 1, "explainer_train": 2, "explainer_validation": 1,
    }  # fmt: skip
    assert TokenFile(outputs["train"], RANKS).labels.tolist() == [[-1, 3], [0, -1], [1, 6]]
    write_tables(tmp_path)
    write_dataset(tmp_path / "dataset")
    whole, _ = tokenize(tmp_path)
    assert not [name for name in whole if name.startswith("sequences_")]
