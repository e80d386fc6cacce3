"""Scores of somebody's own tool: whose they are, what is refused, and that they count like any method's."""

import json
from argparse import Namespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from helpers_evaluation import RANKS, random_file, random_sequences, small_explanandum, write_tokens
from helpers_training import program

from whatyouread.methods.files import read_attributions
from whatyouread.methods.given_scores import given_scores
from whatyouread.models.saving import save_model
from whatyouread.support.cli import UserError

NAMES = [*RANKS, "combined", "wrong", "runner_up"]


@pytest.fixture
def file(tmp_path):
    sequences, labels, keys = random_sequences(7, seed=3)
    keys[2:4] += np.uint64(2**63)  # beyond int64
    return write_tokens(tmp_path / "sequences.arrow", sequences, labels, keys)


def numbers(file, offset=0.0):
    """For token j of sequence i the score i + j / 64 + offset, which float32 holds."""
    rows = enumerate(file.lengths)
    return [[i + j / 64 + offset for j in range(length)] for i, length in rows]


def table_of(file, **columns):
    ids = {"id": file.ids.to_pylist(), "key": file.keys.tolist()}
    return {"scores": numbers(file)} | ids | columns


def written(path, columns, order=None):
    """A file with some columns, rows in an order, as its ending says."""
    rows = pd.DataFrame(columns)
    rows = rows if order is None else rows.iloc[order]
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows.to_dict("records")))
    else:
        rows.to_parquet(path, index=False)
    return path


def check(made, file, offset=0.0):
    for row, expected in enumerate(numbers(file, offset)):
        assert made[row, : len(expected)].tolist() == expected
        assert (made[row, len(expected) :] == 0).all()


@pytest.mark.parametrize("name", ["mine.parquet", "mine.jsonl"])
@pytest.mark.parametrize("identity", [["id"], ["key"], ["id", "key"]])
def test_rows_are_found_by_id_or_key_in_any_order(file, tmp_path, identity, name):
    columns = table_of(file)
    columns["id"] += ["other", "other"]  # two sequences that were not drawn
    columns["key"] = np.append(file.keys, np.array([5, 5], np.uint64))
    columns["scores"] += [[1.0], [2.0]]
    columns = {name: columns[name] for name in (*identity, "scores")}
    made = given_scores(written(tmp_path / name, columns, [8, 3, 0, 6, 2, 1, 5, 7, 4]), file)
    assert list(made) == NAMES
    for scores in made.values():
        assert scores.dtype == np.float32
        assert scores.shape == (7, file.lengths.max())
        check(scores, file)


def test_columns_of_classes_take_the_place_of_the_common_ones(file, tmp_path, caplog):
    own = {"score_genus": numbers(file, 10), "score_wrong": numbers(file, 20)}
    columns = table_of(file, **own, score_genera=numbers(file))
    made = given_scores(written(tmp_path / "mine.parquet", columns, [*range(7)][::-1]), file)
    offsets = dict.fromkeys(NAMES, 0) | {"genus": 10, "wrong": 20}
    for name, offset in offsets.items():
        check(made[name], file, offset)
    [line] = [record.getMessage() for record in caplog.records]
    assert "score_genera is not used" in line
    columns["score_combined"] = numbers(file, 30)
    made = given_scores(written(tmp_path / "mine.parquet", columns), file)
    check(made["combined"], file, 30)
    check(made["kingdom"], file)
    del columns["scores"]
    made = given_scores(written(tmp_path / "mine.parquet", columns), file)
    check(made["kingdom"], file, 30)


@pytest.mark.parametrize("kind", [pa.float64(), pa.float16(), pa.int64()])
@pytest.mark.parametrize("lists", [pa.list_, pa.large_list])
def test_lists_of_any_numbers_are_read(file, tmp_path, kind, lists):
    whole = [[i] * length for i, length in enumerate(file.lengths)]
    ids = pa.array(file.ids.to_pylist(), pa.large_string())
    table = pa.table({"id": ids, "scores": pa.array(whole, pa.list_(pa.int64())).cast(lists(kind))})
    pq.write_table(table, tmp_path / "mine.parquet")
    made = given_scores(tmp_path / "mine.parquet", file)["genus"]
    assert [row[:n].tolist() for row, n in zip(made, file.lengths, strict=True)] == whole


def test_sequences_with_the_same_id_need_the_key(tmp_path):
    """And those that are the same in both, in this order, or all by one row."""
    sequences, labels, keys = random_sequences(4, seed=3)
    sequences[3], keys[3] = sequences[0], keys[0]
    file = write_tokens(tmp_path / "t", sequences, labels, keys, ids=["a", "a", "b", "a"])
    columns = table_of(file)
    path = written(tmp_path / "mine.parquet", columns, [1, 2, 0, 3])
    check(given_scores(path, file)["genus"], file)
    once = given_scores(written(path, columns, [1, 2, 0]), file)["genus"]
    np.testing.assert_array_equal(once[3], once[0])
    columns.pop("key")
    with pytest.raises(UserError, match=r"3 of the 4 sequences of .*, the first 'a': .*column key"):
        given_scores(written(path, columns), file)


def changed(value, row=2):
    """(a function of the file's columns) -> with another value in a row of `scores`."""

    def change(file, columns):
        columns["scores"][row] = value(columns["scores"][row])

    return change


WRONG = {
    "short": (changed(lambda own: own[1:]), r"scores of 'a.fa:2 2' has {less} numbers, .* {n} tok"),
    "long": (changed(lambda own: [*own, 1.0]), r"scores of 'a.fa:2 2' has {more} numbers, .* {n} t"),
    "nan": (changed(lambda own: [np.nan, *own[1:]]), r"'a.fa:2 2' has a number that is missing, NaN"),
    "inf": (changed(lambda own: [*own[1:], -np.inf]), "'a.fa:2 2' has a number .* or infinite"),
    "lacks": (changed(lambda own: [None, *own[1:]]), "'a.fa:2 2' has a number that is missing"),
    "empty": (changed(lambda own: None), "scores of 'a.fa:2 2' is empty"),
    "id": (lambda file, c: c.update(id=["x", "y", *c["id"][2:]]), "2 of the 7 .* first 'a.fa:0 0'"),
    "key": (lambda file, c: c["key"].__setitem__(1, 1), "lacks 1 of the 7 .* 'a.fa:1 1': .*id and k"),
    "no id": (lambda file, c: c["id"].__setitem__(1, None), "1 row without id"),
    "no column": (lambda file, c: [c.pop("id"), c.pop("key")], "has no column id, nor key"),
    "no scores": (lambda file, c: c.pop("scores"), "has no column scores"),
    "texts": (lambda file, c: c.update(scores=["high"] * 7), "scores is .*string, not lists of numbers"),
    "rounded": (lambda file, c: c.update(key=file.keys.astype(float)), "key is double, not uint64"),
    "names": (lambda file, c: c.update(key=["k"] * 7), "key is .*string, not uint64"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_used_is_one_line(file, tmp_path, case):
    change, words = WRONG[case]
    columns = table_of(file)
    change(file, columns)
    path = written(tmp_path / "mine.parquet", columns)
    n = int(file.lengths[2])
    words = words.format(n=n, less=n - 1, more=n + 1) if "{" in words else words
    with pytest.raises(UserError, match=words) as caught:
        given_scores(path, file)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_two_rows_of_one_sequence_are_refused(file, tmp_path):
    path = written(tmp_path / "mine.parquet", table_of(file), [0, 1, 2, 3, 4, 5, 6, 4])
    with pytest.raises(UserError, match=r"too many rows for 1 of .* 'a.fa:4 4': keep one"):
        given_scores(path, file)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("mine.parquet", None, "mine.parquet is not there"),
        ("mine.jsonl", None, "mine.jsonl is not there"),
        ("mine.parquet", b"id\tscores\n", "mine.parquet is damaged"),
        ("mine.jsonl", b"id\tscores\n", "mine.jsonl cannot be read as JSON Lines"),
        ("mine.jsonl", b"", "mine.jsonl cannot be read as JSON Lines"),
    ],
)
def test_files_that_are_no_tables(file, tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        given_scores(tmp_path / name, file)


@pytest.fixture
def attributed(tmp_path):
    """(name, settings) -> runs attribute_tokens on the same sequences."""
    (tmp_path / "model").mkdir()
    save_model(tmp_path / "model", small_explanandum(pooling="cls"))
    random_file(tmp_path / "plain", 9, 3)
    random_file(tmp_path / "substituted", 4, 3)

    def run(name, **settings):
        program("attribute_tokens").main(
            Namespace(
                method=name, settings=settings, explanandum=tmp_path / "model", explainer=None,
                sequences=tmp_path / "plain", substituted=tmp_path / "substituted", batch_size=16,
                precision="fp32", compile=False, seed=1, threads=1,
                scores=tmp_path / f"{name}.parquet", cost=tmp_path / f"{name}.json",
            )
        )  # fmt: skip

    return run


def test_a_methods_own_file_counts_as_the_method_does(attributed, tmp_path):
    """In all programs that read scores; but what asks the method again, or its cost, is not known."""
    attributed("made", method="gradient_x_input")
    own = pq.read_table(tmp_path / "made.parquet")
    assert pc.count_distinct(own["variant"]).as_py() == 3
    pq.write_table(own.take(pa.array([*range(len(own))][::-1])), tmp_path / "theirs.parquet")
    attributed("mine", method="file", file=str(tmp_path / "theirs.parquet"))
    made, mine = (read_attributions(tmp_path / f"{n}.parquet", RANKS) for n in ("made", "mine"))
    assert list(mine) == ["plain"]
    made, mine = made["plain"], mine["plain"]
    assert mine.ids.to_pylist() == made.ids.to_pylist()
    for field in ("keys", "lengths", "content", "labels", "predicted", "wrong", "runner_up"):
        np.testing.assert_array_equal(getattr(mine, field), getattr(made, field))
    for name, scores in made.scores.items():
        np.testing.assert_array_equal(mine.scores[name], scores)
    assert json.loads((tmp_path / "mine.json").read_text()) == {
        "method": "mine", "sequences": 9, "forward_passes": None, "backward_passes": None,
        "seconds": None,
    }  # fmt: skip

    common = {
        "sequences": tmp_path / "plain", "explanandum": tmp_path / "model", "batch_size": 16,
        "seed": 1, "threads": 1,
    }  # fmt: skip
    settings = {"fractions": [0.2], "curve_points": 4, "infidelity_samples": 3, "resamples": 20}
    for method in ("made", "mine"):
        program("measure_faithfulness").main(
            Namespace(
                method=method, attributions=tmp_path / f"{method}.parquet", settings=settings,
                planted=None, other_explainers=None, other_explananda=None,
                table=tmp_path / f"{method}.tsv", **common,
            )
        )  # fmt: skip
    both = {"attributions": [tmp_path / "made.parquet", tmp_path / "mine.parquet"]}
    program("compare_methods").main(
        Namespace(
            faithfulness=[tmp_path / "made.tsv", tmp_path / "mine.tsv"], explainer="made",
            costs=[tmp_path / "made.json", tmp_path / "mine.json"], explainers=["made"],
            faithfulness_table=tmp_path / "faithfulness.tsv", comparison=tmp_path / "comparison.tsv",
            curves=tmp_path / "curves.tsv", markdown=tmp_path / "comparison.md", **both, **common,
        )
    )  # fmt: skip
    program("measure_steering").main(
        Namespace(
            explainers=["made"], judge=None, resamples=20, table=tmp_path / "steering.tsv",
            differences=tmp_path / "differences.tsv",
            markdown=tmp_path / "steering.md", **both, **common,
        )
    )  # fmt: skip
    for name in ("comparison", "curves", "steering", "faithfulness"):
        table = pd.read_csv(tmp_path / f"{name}.tsv", sep="\t").groupby("method")
        rows = [
            table.get_group(m).drop(columns="method").reset_index(drop=True)
            for m in ("made", "mine")
        ]
        if name == "faithfulness":
            again = rows[0]["metric"].isin(["stability", "randomised_model"])
            assert again.sum() == 2
            rows[0] = rows[0][~again].reset_index(drop=True)
        if name == "comparison":
            unknown = [
                "stability", "randomised_model", "forward_passes", "backward_passes",
                "seconds_per_sequence", "times_the_explainer",
            ]  # fmt: skip
            assert rows[0].loc[0, unknown].notna().all()
            assert rows[1][unknown].isna().all(axis=None)
            rows = [own.drop(columns=unknown) for own in rows]
        pd.testing.assert_frame_equal(*rows)
    [line] = [
        line for line in (tmp_path / "comparison.md").read_text().splitlines() if "| mine" in line
    ]
    assert [cell.strip() for cell in line.split("|")][-3:-1] == ["-", "-"]


def test_a_mistake_in_a_file_is_said_before_anything_is_written(attributed, tmp_path):
    pq.write_table(pa.table({"id": ["x"], "scores": [[1.0]]}), tmp_path / "theirs.parquet")
    with pytest.raises(UserError, match="lacks 9 of the 9 sequences"):
        attributed("mine", method="file", file=str(tmp_path / "theirs.parquet"))
    assert not (tmp_path / "mine.parquet").exists()
