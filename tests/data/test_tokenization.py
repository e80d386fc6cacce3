import gzip
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whatyouread.data import tokenization
from whatyouread.data.sequences import read_sequences
from whatyouread.data.six_mers import FIRST_BASE, SIX_MERS, SixMers, encode
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
    assert summary.columns.tolist() == ["file", "sequences", "tokens", "longest"]
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
