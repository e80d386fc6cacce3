"""Texts that were read in windows count as one, and runs are put together: on paper, and as if at once."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers_evaluation import write_tokens
from helpers_planted import segments
from helpers_programs import run_here

from whatyouread.data.kinds import MULTIPLE, SINGLE
from whatyouread.data.residues import RESIDUES
from whatyouread.evaluate.evidence_table import evidence_table, markdown
from whatyouread.evaluate.evidence_values import evidence_values, pooled, read_values, write_values
from whatyouread.masks.controls import shifted
from whatyouread.methods.files import Attributions
from whatyouread.support.cli import UserError

PROGRAM = Path(__file__).resolve().parents[2] / "scripts" / "pool_evidence.py"
RANKS = ["genus"]
CLS, EOS = *RESIDUES.before, *RESIDUES.after


def residues(path, contents, labels, keys, ids):
    """A token file of residues, one letter each, between two special tokens."""
    sequences = [[CLS, *own, EOS] for own in contents]
    return write_tokens(path, sequences, labels, keys, ids, RANKS, RESIDUES)


def attributions(file, scores, predicted=None):
    """scores: float (n, longest)."""
    batch = file.batch(np.arange(len(file)))
    scores = np.where(batch.valid, scores, 0).astype(np.float32)
    predicted = file.labels if predicted is None else np.asarray(predicted).reshape(len(file), -1)
    named = {"genus": scores, "combined": scores, "wrong": 1 - scores, "runner_up": scores / 2}
    return Attributions(
        file.ids.combine_chunks(), file.keys, file.lengths, batch.content, file.labels, predicted,
        predicted, predicted, named,
    )  # fmt: skip


def measured(values, method="m", control="none", group="any"):
    own = values.measures
    own = own[(own["method"] == method) & (own["control"] == control) & (own["evidence"] == group)]
    return own.set_index(values.texts["id"].to_numpy()[own["text"]])


def two_texts(path, order=(0, 1, 2, 3)):
    """Two texts of two windows each: of 2 and 3, and of 3 and 3 tokens."""
    names = ["f:a tokens 1-2", "f:a tokens 3-5", "f:b tokens 1-3", "f:b tokens 4-6"]
    contents = [[10] * n for n in (2, 3, 3, 3)]
    labels = np.array([[0], [0], [1], [1]])[list(order)]
    keys, ids = [11 + i for i in order], [names[i] for i in order]
    return residues(path, [contents[i] for i in order], labels, keys, ids)


SCORES = np.array(
    [
        [9, 0.1, 0.9, -1, -1],  # a: 1 2
        [9, 0.8, 0.2, 0.3, 9],  # a: 3 4 5
        [9, 0.7, 0.1, 0.2, 9],  # b: 1 2 3
        [9, 0.6, 0.4, 0.9, 9],  # b: 4 5 6
    ],
    np.float32,
)
# a: its tokens 2 and 3, which lie in both windows. b: 4, 5 and 6
EVIDENCE = [("f:a", "x", 1, 3), ("f:b", "x", 3, 6)]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 0, 2, 1), (1, 0, 3, 2)])
def test_on_paper(tmp_path, order):
    """The text a has the scores .1 .9 .8 .2 .3 and b .7 .1 .2 .6 .4 .9; evidence 01100 and 000111."""
    file = two_texts(tmp_path / "t.arrow", order)
    predicted = np.array([0, 1, 1, 0])[list(order)]
    methods = {"m": attributions(file, SCORES[list(order)], predicted)}
    values = evidence_values(file, methods, segments(EVIDENCE), ["m"], 1)
    assert sorted(values.texts["id"]) == ["f:a", "f:b"]
    assert (values.texts["windows"] == 2).all()
    texts = values.texts.set_index("id")
    # the key of a text is that of its first window
    assert texts["key"].to_dict() == {"f:a": 11, "f:b": 13}
    # a: 2 tokens for class 0, 3 for 1. b: 3 for either, and the lower class
    assert dict(zip(values.texts["id"], values.predicted[:, 0], strict=True)) == {
        "f:a": 1,
        "f:b": 0,
    }
    assert not texts["right"].any()
    own = measured(values)
    assert own.loc["f:a", "share"] == pytest.approx(2 / 5)
    assert own.loc["f:b", "share"] == pytest.approx(3 / 6)
    # a: both come first. b: .9 (first), .6 (third), .4 (fourth)
    assert own.loc["f:a", "auprc"] == pytest.approx(1)
    assert own.loc["f:b", "auprc"] == pytest.approx((1 + 2 / 3 + 3 / 4) / 3)
    # 45 %: 2 of 5 (2.25) and 3 of 6 (2.7). a: 2 3, right. b: 1 4 6, of 4 5 6
    assert own.loc["f:a", "token_f1"] == pytest.approx(1)
    assert own.loc["f:b", "token_f1"] == pytest.approx(2 / 3)
    # a: one span across the border of the windows. b: 1, 4 and 6, each a third of 4-6
    assert own.loc["f:a", "iou_f1"] == pytest.approx(1)
    assert own.loc["f:b", "iou_f1"] == 0
    # above 0.5: a 2 3. b: 1 4 6 again
    assert own.loc["f:a", "mask_iou_f1"] == pytest.approx(1)
    assert own.loc["f:b", "mask_token_f1"] == pytest.approx(2 / 3)
    table = evidence_table(values, 50, 1)
    first = table.iloc[0]
    assert (first["sequences"], first["windows"], first["incomplete"]) == (2, 4, 0)
    row = table.iloc[1]
    assert (row["sequences"], row["share"]) == (2, pytest.approx(0.45))
    assert row["base_rate"] == pytest.approx(0.45)
    assert row["auprc"] == pytest.approx((1 + 29 / 36) / 2)
    said = " ".join(markdown(table, RANKS).split())
    assert "2 of 2 compared test sequences (read in 4 windows" in said
    # the control is turned around within the whole text
    whole = np.array([[9, 0.1, 0.9, 0.8, 0.2, 0.3, 9]], np.float32)
    content = np.array([[False, *[True] * 5, False]])
    turned = shifted(whole, content, np.array([11], np.uint64), 1)[0, 1:6]
    place = np.flatnonzero(np.argsort(np.argsort(-turned)) < 2)
    assert measured(values, control="shifted").loc["f:a", "token_f1"] == pytest.approx(
        len({1, 2} & set(place.tolist())) / 2
    )


def test_a_window_that_is_missing_ends_a_span_and_is_counted(tmp_path, caplog):
    """Of the tokens 1-2, 3-5 and 6-7 of a text the middle ones are missing."""
    names = ["f:a tokens 1-2", "f:a tokens 3-5", "f:a tokens 6-7", "f:b"]
    contents = [[10] * n for n in (2, 3, 2, 2)]
    labels = np.array([[0], [0], [0], [1]])
    whole = residues(tmp_path / "w.arrow", contents, labels, None, names)
    left = [0, 2, 3]
    file = residues(
        tmp_path / "t.arrow", [contents[i] for i in left], labels[left], [1, 3, 4],
        [names[i] for i in left],
    )  # fmt: skip
    scores = np.array([[9, 0, 1, 9], [9, 0, 0, 9], [9, 1, 0, 9]], np.float32)
    planted = segments([("f:a", "x", 1, 6)])  # the tokens 2 to 6, of which 2 and 6 are there
    with caplog.at_level(logging.WARNING):
        values = evidence_values(file, {"m": attributions(file, scores)}, planted, ["m"], 1, whole)
    assert "of 1 sequence, 1 of the windows are not among the compared ones" in caplog.text
    own = measured(values).loc["f:a"]
    assert own["share"] == pytest.approx(2 / 4)
    # 1 of 1 is right, of two spans; were these one, it would be half of it, and all that there is
    assert own["mask_iou_f1"] == pytest.approx(2 * 0.5 / 1.5)
    table = evidence_table(values, 20, 1)
    assert table.loc[0, "incomplete"] == 1
    assert "1 sequence without some of the windows" in " ".join(markdown(table, RANKS).split())


def divided(file, path, rng, longest):
    """The same sequences in windows of up to `longest` tokens, mixed; and where each token came from."""
    rows = []
    for row, name in enumerate(file.ids.to_pylist()):
        size = int(file.lengths[row]) - 2
        tokens = file.batch(np.array([row])).ids[0, 1 : 1 + size].tolist()
        number = max(1, -(-size // longest))
        for i in range(number):
            a, b = i * size // number, (i + 1) * size // number
            own = f"{name} tokens {a + 1}-{b}" if number > 1 else name
            key = int(file.keys[row]) if i == 0 else int(rng.integers(1 << 40, 1 << 50))
            rows.append((row, a, b, own, key, tokens[a:b]))
    rows = [rows[i] for i in rng.permutation(len(rows))]
    labels = file.labels[[r[0] for r in rows]]
    keys, names = [r[4] for r in rows], [r[3] for r in rows]
    return residues(path, [r[5] for r in rows], labels, keys, names), rows


def in_windows(scores, rows):
    made = np.full((len(rows), 2 + max(len(r[5]) for r in rows)), 0.25, np.float32)
    for i, (row, a, b, *_) in enumerate(rows):
        made[i, 1 : 1 + b - a] = scores[row, 1 + a : 1 + b]
    return made


@pytest.mark.parametrize("seed", range(4))
def test_windows_are_scored_as_if_the_text_were_read_at_once(tmp_path, seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(4, 40, 20)
    file = residues(
        tmp_path / "t.arrow", [rng.integers(5, 20, n).tolist() for n in sizes],
        np.arange(20)[:, None] % 3, None, [f"f:{i}" for i in range(20)],
    )  # fmt: skip
    rows = []
    for i in range(20):
        for group in ("p", "q"):
            if i % 4:
                start = int(rng.integers(0, sizes[i] - 2))
                rows.append((f"f:{i}", group, start, start + int(rng.integers(1, 9))))
    truth = np.zeros((20, 2 + sizes.max()), bool)
    for name, _, start, end in rows:
        i = int(name[2:])
        truth[i, 1 + start : 1 + min(end, sizes[i])] = True
    planted = segments(rows)
    scores = (np.round(6 * rng.random(truth.shape) + 2 * truth) / 8).astype(np.float32)
    scores[:, 0] = scores[np.arange(20), sizes + 1] = 0.25  # of special tokens, as in windows
    other, rows = divided(file, tmp_path / "w.arrow", rng, int(rng.integers(2, 7)))
    assert len(other) > 30
    methods = {"m": attributions(file, scores), "n": attributions(file, -scores)}
    once = evidence_values(file, methods, planted, ["m"], 3)
    mixed = in_windows(scores, rows)
    methods = {"m": attributions(other, mixed), "n": attributions(other, -mixed)}
    apart = evidence_values(other, methods, planted, ["m"], 3)
    # the texts come in the order of their first row
    order = pd.Series(once.texts.index, once.texts["id"])[apart.texts["id"]].to_numpy()
    assert (apart.texts["key"].to_numpy() == once.texts["key"].to_numpy()[order]).all()
    np.testing.assert_array_equal(apart.labels, once.labels[order])
    np.testing.assert_array_equal(apart.predicted, once.predicted[order])
    names = ["share", "auprc", "token_f1", "iou_f1", "mask_token_f1", "mask_iou_f1"]
    for method in ("m", "n"):
        for control in once.measures["control"].unique():
            for group in ("any", "p", "q"):
                one, two = (measured(v, method, control, group)[names] for v in (once, apart))
                np.testing.assert_allclose(two.loc[one.index], one, rtol=1e-5, err_msg=control)


def parts_of(tmp_path, cuts, seed=5):
    """The values of all sequences at once, and those of each part, as runs have them."""
    rng = np.random.default_rng(seed)
    sizes = 2 * rng.integers(2, 7, 24)
    ids = [f"f:{i}" for i in range(24)]
    # half of each is evidence: the number of chosen tokens is the same in all parts
    planted = segments([(i, "x", 0, n // 2) for i, n in zip(ids, sizes, strict=True)])
    scores = np.round(8 * rng.random((24, 14))) / 8
    said = np.where(rng.random(24) < 0.8, np.arange(24) % 3, rng.integers(0, 3, 24))
    made = []
    for name, own in (("all", range(24)), *((f"p{i}", c) for i, c in enumerate(cuts))):
        own = list(own)
        contents, names = [[10] * int(sizes[i]) for i in own], [ids[i] for i in own]
        labels, keys = np.array(own)[:, None] % 3, [i + 1 for i in own]
        file = residues(tmp_path / f"{name}.arrow", contents, labels, keys, names)
        given = scores[own][:, : int(file.lengths.max())].astype(np.float32)
        methods = {"m": attributions(file, given, said[own]), "n": attributions(file, 1 - given)}
        made.append(evidence_values(file, methods, planted, ["m"], 3))
    return made


CUTS = [range(0, 9), range(9, 11), range(11, 24)]
OF_ALL = ("other_sequence", "position_mean")
"""Controls that are made of the other sequences of a run, and so are another thing in another run."""


def test_runs_together_are_all_texts_at_once(tmp_path):
    once, *parts = parts_of(tmp_path, CUTS)
    for i, part in enumerate(parts):  # as they come from files
        write_values(tmp_path / f"{i}.parquet", part)
    parts = [read_values(tmp_path / f"{i}.parquet") for i in range(3)]
    made = evidence_table(pooled(parts, ["a", "b", "c"]), 200, 3)
    expected = evidence_table(once, 200, 3)
    assert made.loc[0, "runs"] == 3
    assert "(of 3 runs)" in " ".join(markdown(made, RANKS).split())
    made, expected = (
        t[~t["control"].isin(OF_ALL)].reset_index(drop=True)
        for t in (made.drop(columns="runs"), expected)
    )
    pd.testing.assert_frame_equal(made, expected, check_exact=True)
    assert made["auprc"].nunique() > 3


def test_the_order_of_runs_changes_no_mean(tmp_path):
    _, *parts = parts_of(tmp_path, CUTS)
    one = evidence_table(pooled(parts, "abc"), 20, 3)
    two = evidence_table(pooled(parts[::-1], "cba"), 20, 3)
    for name in ("sequences", "auprc", "token_f1", "base_rate", "accuracy_genus", "chance_genus"):
        np.testing.assert_allclose(one[name], two[name], err_msg=name)


@pytest.fixture
def folders(tmp_path):
    """Three runs, as their folders."""
    _, *parts = parts_of(tmp_path, CUTS)
    made = []
    for i, part in enumerate(parts):
        made.append(tmp_path / f"fold_{i}")
        (made[-1] / "results" / "taxonomy").mkdir(parents=True)
        write_values(made[-1] / "results" / "evidence_values.parquet", part)
        (made[-1] / "results" / "taxonomy" / "classes.tsv").write_text("rank\tclass\n")
    return made


def program(folder, monkeypatch, runs):
    options = ["--runs", *runs, "--resamples", 20, "--seed", 3, "--log", folder / "log"]
    options += ["--table", folder / "e.tsv", "--markdown", folder / "e.md"]
    return run_here(monkeypatch, PROGRAM, *options)


def test_the_program(tmp_path, folders, monkeypatch):
    assert program(tmp_path, monkeypatch, folders) is None
    values = [read_values(f / "results" / "evidence_values.parquet") for f in folders]
    expected = evidence_table(pooled(values, folders), 20, 3)
    made = pd.read_csv(tmp_path / "e.tsv", sep="\t", keep_default_na=False, na_values=[""])
    assert made.columns.tolist() == expected.columns.tolist()
    np.testing.assert_allclose(
        made.select_dtypes("number"), expected.select_dtypes("number"), rtol=1e-4
    )
    assert (tmp_path / "e.md").read_text(encoding="utf-8") == markdown(expected, RANKS)


def _other(folder, **changes):
    """The values of a run with other contents."""
    path = folder / "results" / "evidence_values.parquet"
    values = read_values(path)
    measures = values.measures
    for column, (old, new) in changes.items():
        measures = measures.assign(**{column: measures[column].replace(old, new)})
    write_values(path, type(values)(
        values.ranks, values.kinds, values.texts, values.labels, values.predicted, measures
    ))  # fmt: skip


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: f.append(f[1]), "have both tested 2 texts ('f:9', 'f:10')"),
        (lambda f: _other(f[1], method=("n", "o")), "has the methods m, n, and"),
        (lambda f: _other(f[2], control=("shifted", "moved")), "has the controls none, shuffled"),
        (lambda f: (f[2] / "results/taxonomy/classes.tsv").write_text("x"), "classes.tsv differs"),
        (lambda f: (f[0] / "results/evidence_values.parquet").unlink(), "has no results/evidence_"),
        (lambda f: (f[0] / "results/evidence_values.parquet").write_text("x"), "evidence_values"),
    ],
)
def test_runs_that_do_not_go_together(tmp_path, folders, monkeypatch, spoil, said):
    spoil(folders)
    assert program(tmp_path, monkeypatch, folders) == 1
    log = (tmp_path / "log").read_text(encoding="utf-8")
    assert said in log
    assert "Traceback" not in log
    assert len(log.strip().splitlines()) == 2  # the command, and what is wrong
    assert not (tmp_path / "e.tsv").exists()


def test_runs_of_other_levels(tmp_path):
    _, one, two, _ = parts_of(tmp_path, CUTS)
    other = type(two)(["phylum"], two.kinds, two.texts, two.labels, two.predicted, two.measures)
    with pytest.raises(UserError, match=r"a has the levels genus .single., and b phylum"):
        pooled([one, other], "ab")


def test_the_answer_for_a_whole():
    numbers = np.array([3, 1, 1, 0, 2, 2])
    of, weights = np.array([0, 0, 0, 1, 1, 2]), np.array([5, 2, 2, 1, 1, 7])
    assert SINGLE.together(numbers, of, weights).tolist() == [3, 0, 2]
    # bits 0 and 1 of three parts: 0 has 5 + 2 of 9, 1 has 5; half is not enough
    sets = np.array([0b11, 0b01, 0b00, 0b10, 0b00, 0b101])
    assert MULTIPLE.together(sets, of, weights).tolist() == [0b11, 0, 0b101]
