"""Texts with the scores of their words, and the places where a keyword scores highest."""

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers_evaluation import write_tokens

from whatyouread.classes.documents import SCHEMA, Documents, places
from whatyouread.classes.words import Words

TEXTS = {0: "abcdef ghijk", 1: "ABCDEF lmnop", 2: "lmnop? abcde"}


@pytest.fixture
def written(tmp_path):
    """Three texts of two six-mers each, which cover their words; text 1 speaks for two classes."""
    file = write_tokens(tmp_path / "t.arrow", [[3, 10, 11]] * 3, [[0]] * 3, ranks=["register"])
    made = Documents(file, Words(file, TEXTS, "largest", True))
    for rows, classes, values in (
        ([2, 0], [0, 0], [[9, 0.25, 0.5], [9, 1, -2]]),
        ([1], [0], [[9, 3, 4]]),
        ([1], [1], [[9, -5, 6]]),
    ):
        rows = np.array(rows)
        made.add(
            "register", np.array(classes), rows, file.keys[rows], file.batch(rows), np.array(values)
        )
    path = tmp_path / "documents.parquet"
    made.write(path)
    return path


def test_what_is_written(written):
    table = pq.read_table(written)
    assert table.schema.equals(SCHEMA)
    rows = table.to_pylist()
    assert [(row["id"], row["class"], row["key"]) for row in rows] == [
        ("a.fa:2 2", 0, 3), ("a.fa:0 0", 0, 1), ("a.fa:1 1", 0, 2), ("a.fa:1 1", 1, 2)
    ]  # fmt: skip
    assert rows[1]["text"] == TEXTS[0]
    assert rows[1]["items"] == ["abcdef", "ghijk"]
    assert (rows[1]["starts"], rows[1]["ends"]) == ([0, 7], [6, 12])
    assert rows[1]["scores"] == [1, -2]
    assert rows[2]["items"] == ["abcdef", "lmnop"]


def test_the_places_of_keywords(written):
    keywords = pd.DataFrame({"class": [0, 0, 1], "item": ["abcdef", "lmnop", "lmnop"]})
    found, documents = places(written, "register", keywords, each=3)
    assert found.values.tolist() == [
        [0, "abcdef", 3, 2, 0, 6],
        [0, "abcdef", 1, 1, 0, 6],
        [0, "lmnop", 4, 2, 7, 12],
        [0, "lmnop", 0.25, 0, 0, 5],
        [1, "lmnop", 6, 3, 7, 12],
    ]
    for row in found.itertuples():
        text = documents.iloc[row.document]["text"]
        assert text[row.start : row.end].casefold() == row.item
    found, _ = places(written, "register", keywords, each=1)
    assert found["score"].tolist() == [3, 4, 6]
    assert len(places(written, "other", keywords, each=1)[0]) == 0


def test_without_words_the_file_is_empty(tmp_path):
    file = write_tokens(tmp_path / "t.arrow", [[3, 10]], [[0]], ranks=["register"])
    made = Documents(file, None)
    rows = np.array([0])
    made.add("register", rows, rows, file.keys, file.batch(rows), np.ones((1, 2)))
    made.write(tmp_path / "documents.parquet")
    keywords = pd.DataFrame({"class": [0], "item": ["a"]})
    assert len(places(tmp_path / "documents.parquet", "register", keywords, 3)[0]) == 0
