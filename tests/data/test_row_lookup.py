import random
from pathlib import Path

import pyarrow as pa
import pytest

from whatyouread.data.row_lookup import RowLookup, record_ids
from whatyouread.support.cli import UserError

PATH = Path("folder/rows.tsv")


def lookup(rows, **options):
    ids, values = zip(*rows, strict=True) if rows else ((), ())
    return RowLookup(PATH, pa.array(ids, pa.string()), pa.array(values), **options)


def test_the_id_is_the_first_word():
    headers = ["a", "a b", "a\tb c", "", " a", "a|b c", "é x", "a\u00a0b"]
    found = record_ids(pa.array(headers)).to_pylist()
    assert found == ["a", "a", "a", "", "", "a|b", "é", "a\u00a0b"]


def test_values_by_id_and_what_is_left_over():
    rows = lookup([("a", "x"), ("b", "y"), ("c", "x"), ("a", "x"), ("d", "z")])
    assert rows.find(pa.array(["b 1", "a", "q 2", "a 3", "B"])).to_pylist() == [
        "y",
        "x",
        None,
        "x",
        None,
    ]
    assert rows.find(pa.array(["q", "c x"])).to_pylist() == [None, "x"]
    assert rows.summary() == [
        ("rows of the label file", 5, "rows.tsv"),
        ("ids of the label file that no record has", 1, "'d'"),
        ("records whose id is not in the label file", 3, "'q', 'B'"),
    ]


def test_against_a_dictionary():
    rng = random.Random(9)
    for _ in range(50):
        known = {f"s{rng.randrange(60)}": rng.randrange(5) for _ in range(30)}
        rows = lookup(list(known.items()))
        ids = [f"s{rng.randrange(80)}" for _ in range(100)]
        half = rng.randrange(100)
        found = [
            rows.find(pa.array([f"{i} x" for i in part], pa.string()))
            for part in (ids[:half], ids[half:])
        ]
        assert pa.concat_arrays(found).to_pylist() == [known.get(i) for i in ids]
        counts = [number for _, number, _ in rows.summary()]
        assert counts == [len(known), len(set(known) - set(ids)), sum(i not in known for i in ids)]


def test_long_lists_are_cut():
    rows = lookup([(f"s{n}", n) for n in range(100)])
    rows.find(pa.array([f"r{n}" for n in range(100)]))
    [_, unused, strangers] = rows.summary()
    assert unused[1:] == (100, ", ".join(repr(f"s{n}") for n in range(20)) + " and 80 more")
    assert strangers[1] == 100
    assert rows.doubt() == (
        "no record has an id of folder/rows.tsv: the records are called 'r0', 'r1', 'r2',"
        " the rows 's0', 's1', 's2' and 97 more"
    )


def test_ids_may_be_compared_by_less():
    upper = {"same": lambda ids: pa.array([text.upper() for text in ids.to_pylist()], pa.string())}
    rows = lookup([("a", 1), ("A", 1), ("b", 2)], **upper)
    assert rows.find(pa.array(["A", "a x", "B", "c"])).to_pylist() == [1, 1, 2, None]
    with pytest.raises(UserError, match="the id 'A' has two rows that differ, 1 and 2"):
        lookup([("a", 1), ("A", 2)], **upper)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (
            [("a", "x"), ("b", "y"), ("a", "z")],
            r"the id 'a' has two rows that differ, 'x' and 'z': keep",
        ),
        ([("a", 1), ("a", 2), ("b", 1), ("b", 2)], "differ, 1 and 2, and so have 1 other ids"),
        ([("a", "x"), ("", "y")], r"a row without id \(y\)"),
    ],
)
def test_rows_that_are_refused(rows, words):
    with pytest.raises(UserError, match=rf"^folder/rows\.tsv: .*{words}"):
        lookup(rows)
