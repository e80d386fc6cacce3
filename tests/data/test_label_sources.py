"""A label source is a module and a line in the registry: nothing else of `data` changes."""

import importlib.util
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from whatyouread.data.label_source import LabelSource
from whatyouread.data.label_sources import LABEL_SOURCES, find_label_source
from whatyouread.data.ncbi_labels import NcbiLabels
from whatyouread.data.token_files import TokenFile
from whatyouread.data.tokenization import OUTPUTS
from whatyouread.support.cli import UserError

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
LEVELS = ["colour", "shade"]


class Lineages(LabelSource):
    """Headers `ID COLOUR/SHADE`; the key is the text after the space."""

    @dataclass(frozen=True)
    class Settings:
        separator: str = ";"

    key = pa.field("lineage", pa.string())
    path = "lineage"

    def __init__(self, file, settings):
        self.separator = settings.separator

    def keys(self, batch):
        return pc.list_element(pc.split_pattern(batch.headers, " ", max_splits=1), 1)

    def labels(self, keys, levels):
        table = pd.DataFrame({"lineage": keys.to_pylist()})
        parts = [text.split(self.separator) for text in table["lineage"]]
        table["problem"] = ["" if len(part) == len(levels) else "no lineage" for part in parts]
        for place, level in enumerate(levels):
            table[level] = [part[place] if place < len(part) else "" for part in parts]
            table[f"{level}_lineage"] = [
                self.separator.join(part[: place + 1]) if place < len(part) else None
                for part in parts
            ]
        return table


def test_the_registry():
    assert find_label_source("ncbi") is LABEL_SOURCES["ncbi"] is NcbiLabels
    with pytest.raises(
        UserError, match="there is no label source 'gtdb', only ncbi, table, lineage"
    ):
        find_label_source("gtdb")


def run(program, **arguments):
    spec = importlib.util.spec_from_file_location(program, SCRIPTS / f"{program}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(Namespace(**arguments))


def test_another_source_from_the_archive_to_token_files(tmp_path, monkeypatch):
    monkeypatch.setitem(LABEL_SOURCES, "lineages", Lineages)
    lineages = ["Red/Dark", "Blue/Dark", "Red/Pale", "Blue/Pale", "nothing"]
    records = [(f"s{n}", lineages[n % 5]) for n in range(200)]
    (tmp_path / "x.fa").write_text("".join(f">{n} {text}\nACGTAC{n}\n" for n, text in records))
    labels, classes = tmp_path / "labels.tsv", tmp_path / "classes.tsv"
    sequences, splits = tmp_path / "sequences.parquet", tmp_path / "splits.parquet"
    run(
        "label_taxonomy",
        dataset=tmp_path / "x.fa", source="lineages", label_file=None,
        source_settings={"separator": "/"}, sequence_settings={}, ranks=LEVELS,
        missing="exclude", classes_of=None, labels=labels, classes=classes,
        summary=tmp_path / "summary.tsv", sequences=sequences, paper=None,
    )  # fmt: skip
    # one name below two parents is two classes
    table = pd.read_csv(classes, sep="\t")
    assert table.columns.tolist() == ["rank", "class", "lineage", "name", "sequences"]
    assert table.values.tolist() == [
        ["colour", 0, "Blue", "Blue", 80],
        ["colour", 1, "Red", "Red", 80],
        ["shade", 0, "Blue/Dark", "Dark (lineage Blue/Dark)", 40],
        ["shade", 1, "Red/Dark", "Dark (lineage Red/Dark)", 40],
        ["shade", 2, "Blue/Pale", "Pale (lineage Blue/Pale)", 40],
        ["shade", 3, "Red/Pale", "Pale (lineage Red/Pale)", 40],
    ]
    summary = pd.read_csv(tmp_path / "summary.tsv", sep="\t").set_index("quantity")
    assert summary.loc["lineages in the archive", "value"] == 5
    assert summary.loc["lineages", "value"] == 4
    assert summary.loc["dropped: no lineage", "detail"] == "nothing (40)"
    settings = {"test": 0.2, "validation": 0.1, "explainer_train": 1, "explainer_validation": 1}
    run(
        "split_dataset",
        sequences=sequences, labels=labels, classes=classes, copies=None, ranks=LEVELS,
        seed=1, paper=None,
        settings=settings, splits=splits,
        summary=tmp_path / "split_summary.tsv",
    )  # fmt: skip
    made = pq.read_table(splits).to_pandas()
    numbers = {"Blue/Dark": 0, "Red/Dark": 1, "Blue/Pale": 2, "Red/Pale": 3}
    assert made["shade"].tolist() == [numbers.get(text, -1) for _, text in records]
    assert (made["split"] == "none").tolist() == [text == "nothing" for _, text in records]
    test = made[made["split"] == "test"]
    assert np.bincount(test["shade"]).tolist() == [8, 8, 8, 8]
    run(
        "tokenize_sequences",
        dataset=tmp_path / "x.fa", sequences=sequences, splits=splits, ranks=LEVELS,
        **{name: tmp_path / f"{name}.arrow" for name in OUTPUTS},
        summary=tmp_path / "tokens.tsv", tokenizer="six_mers", sequence_settings={}, longest=0, backbone=None,
    )  # fmt: skip
    file = TokenFile(tmp_path / "test.arrow", LEVELS)
    assert file.ids.to_pylist() == [f"x.fa:{records[n][0]} {records[n][1]}" for n in test.index]
    assert file.labels.tolist() == test[LEVELS].to_numpy().tolist()
