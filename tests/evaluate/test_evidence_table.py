"""The table of all methods against evidence, by hand and by loops, and the program that writes it."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers_planted import naive_planted, random_texts, segments, token_file
from helpers_programs import run_here
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score

from whatyouread.evaluate.evidence import iou_f1
from whatyouread.evaluate.evidence_table import (
    NO_CLAIM,
    at_chance,
    classifier_row,
    markdown,
)
from whatyouread.evaluate.evidence_table import evidence_table as table_of_values
from whatyouread.evaluate.evidence_values import evidence_values, read_values
from whatyouread.masks.controls import CONTROLS, shifted
from whatyouread.methods.files import Attributions, write_attributions

PROGRAM = Path(__file__).resolve().parents[2] / "scripts" / "score_evidence.py"
RANKS = ["genus"]


def evidence_table(file, methods, planted, masks, resamples, seed):
    return table_of_values(evidence_values(file, methods, planted, masks, seed), resamples, seed)


def attributions(file, scores, predicted=None, others=None):
    """What a method says of a file; others: its scores for other classes."""
    batch, n = file.batch(np.arange(len(file))), len(file)
    scores = np.where(batch.valid, scores, 0).astype(np.float32)
    other = np.zeros_like(scores) if others is None else others.astype(np.float32)
    predicted = file.labels if predicted is None else np.asarray(predicted).reshape(n, -1)
    named = {"genus": scores, "combined": scores, "wrong": other, "runner_up": other}
    return Attributions(
        file.ids.combine_chunks(), file.keys, file.lengths, batch.content, file.labels, predicted,
        (predicted + 1) % 3, (predicted + 2) % 3, named,
    )  # fmt: skip


def made_up(tmp_path, seed=0, n=24):
    """Sequences of which three in four have evidence of two groups, and scores that know something."""
    rng = np.random.default_rng(seed)
    texts = [text + "ACGTAC" * 3 for text in random_texts(rng, n)]
    ids = [f"f:{i}" for i in range(n)]
    file = token_file(tmp_path / "t.arrow", texts, ids)
    rows = []
    for i in range(0, n):
        for group in ("tRNA", "rRNA"):
            if i % 4 and rng.random() < 0.8:
                start = int(rng.integers(0, len(texts[i]) - 7))
                rows.append((ids[i], group, start, start + int(rng.integers(3, 25))))
    planted = segments(rows)
    truth = naive_planted(file, planted)
    scores = np.round(6 * rng.random(truth.shape) + 2 * truth) / 8  # few values: ties matter
    predicted = np.where(rng.random(n) < 0.7, file.labels[:, 0], rng.integers(0, 3, n))
    return file, planted, truth, scores, predicted


def keyed(table):
    return table.set_index(["method", "control", "evidence", "classified"])


def test_by_hand(tmp_path):
    """Two sequences of four tokens: one token and three are evidence, of which masks find some."""
    file = token_file(tmp_path / "t.arrow", ["A" * 24, "A" * 24, "A" * 24], ["f:0", "f:1", "f:2"])
    planted = segments([("f:0", "a", 6, 12), ("f:1", "a", 0, 18)])
    scores = np.array(
        [[9, 0.9, 0.8, 0.1, 0.6], [9, 0.2, 0.9, 0.7, 0.4], [9, 1, 1, 1, 1]], np.float32
    )
    # evidence: token 2 of the first; 1, 2 and 3 of the second. Their share: (1/4 + 3/4) / 2
    methods = {
        "mask": attributions(file, scores, others=1 - scores),
        "other": attributions(file, -scores),
    }
    table = evidence_table(file, methods, planted, ["mask"], 200, 1)
    made = keyed(table).loc["mask", "none", "any", "all"]
    assert (made["sequences"], made["auprc_sequences"]) == (2, 2)
    assert made["share"] == pytest.approx(0.5)
    assert made["base_rate"] == pytest.approx((1 / 4 + 3 / 4) / 2)
    # 1/2; tokens 2 and 3 come first, then 4, then 1: (1 + 1 + 3/4) / 3
    assert made["auprc"] == pytest.approx((1 / 2 + 2.75 / 3) / 2)
    # the two best tokens: 1 and 2, one right of one; 2 and 3, both right of three
    first, second = 2 * (1 / 2) * 1 / (3 / 2), 2 * 1 * (2 / 3) / (5 / 3)
    assert made["token_f1"] == pytest.approx((first + second) / 2)
    # spans: 1 of 2, which is enough; 2 of 3
    assert made["iou_f1"] == pytest.approx(1)
    # above 0.5: tokens 1, 2 and 4, one right of one; 2 and 3
    first = 2 * (1 / 3) * 1 / (4 / 3)
    assert made["mask_token_f1"] == pytest.approx((first + second) / 2)
    # spans 1-2, which is right, and 4: P 1/2, R 1; 2 of 3
    assert made["mask_iou_f1"] == pytest.approx((2 * 0.5 / 1.5 + 1) / 2)
    assert table["evidence"].unique().tolist() == ["", "any"]  # one group: it is all there is
    other = keyed(table).loc["other", "none", "any", "all"]
    assert np.isnan(other[["mask_token_f1", "mask_iou_f1"]].to_numpy(float)).all()
    assert other["auprc"] == pytest.approx((1 / 3 + (1 + 2 / 3 + 3 / 4) / 3) / 2)
    wrong = keyed(table).loc["mask", "wrong_class", "any", "all"]
    assert wrong["auprc"] == pytest.approx(other["auprc"])


@pytest.mark.parametrize("seed", range(3))
def test_against_loops(tmp_path, seed):
    file, planted, _, scores, predicted = made_up(tmp_path, seed)
    methods = {
        "m": attributions(file, scores, predicted),
        "n": attributions(file, scores[::-1] * 2),
    }
    table = keyed(evidence_table(file, methods, planted, ["m"], 300, 3))
    right = predicted == file.labels[:, 0]
    assert 3 < right.sum() < len(file) - 2
    batch = file.batch(np.arange(len(file)))
    moved = shifted(methods["m"].scores["combined"], batch.content, file.keys, 3)
    for group in ("any", "tRNA", "rRNA"):
        truth = naive_planted(
            file, planted if group == "any" else planted[planted["rank"] == group]
        )
        for control, given in (("none", scores), ("shifted", moved)):
            for name, chosen in (("all", np.ones(len(file), bool)), ("right", right)):
                row = table.loc["m", control, group, name]
                areas, f1, spans, shares = [], [], [], []
                for i in np.flatnonzero(chosen & truth.any(1)):
                    own, s = truth[i, 1 : file.lengths[i]], given[i, 1 : file.lengths[i]]
                    f1.append(f1_score(own, s > 0.5, zero_division=0))
                    whole = np.ones_like(own)[None]
                    spans.append(iou_f1((s > 0.5)[None], own[None], whole)[0])
                    if not own.all():
                        areas.append(average_precision_score(own, s))
                        shares.append(own.mean())
                assert row["sequences"] == len(f1) > 2
                assert row["auprc_sequences"] == len(areas)
                assert row["auprc"] == pytest.approx(np.mean(areas))
                assert row["base_rate"] == pytest.approx(np.mean(shares))
                assert row["mask_token_f1"] == pytest.approx(np.mean(f1))
                assert row["mask_iou_f1"] == pytest.approx(np.mean(spans))
                error = np.std(f1) / len(f1) ** 0.5
                assert row["mask_token_f1"] - row["mask_token_f1_low"] == pytest.approx(
                    2 * error, rel=0.35
                )
                assert row["auprc_low"] < row["auprc"] < row["auprc_high"]
    own, control = (table.loc["m", name, "any", "all"] for name in ("none", "shifted"))
    assert own["auprc"] > control["auprc"]
    assert own["token_f1"] > control["token_f1"]


def test_rows(tmp_path):
    file, planted, _, scores, predicted = made_up(tmp_path)
    methods = {
        "m": attributions(file, scores, predicted),
        "n": attributions(file, scores, predicted),
    }
    table = evidence_table(file, methods, planted, ["m"], 20, 3)
    controls = ["none", *CONTROLS, "wrong_class", "runner_up_class"]
    expected = {
        (method, control, group, name)
        for method in methods
        for control in controls
        for group in ("any", "tRNA", "rRNA")
        for name in ("all", "right")
    }
    assert len(table) == len(expected) + 1
    assert set(keyed(table[1:]).index) == expected
    constant = keyed(table).loc["n", "constant", "any", "all"]
    assert constant["auprc"] == pytest.approx(constant["base_rate"])
    first = table.iloc[0]
    assert (first["method"], first["sequences"]) == ("unmasked", len(file))
    labels = file.labels[:, 0]
    assert first["accuracy_genus"] == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert first["accuracy_genus_low"] < first["accuracy_genus"] < first["accuracy_genus_high"]
    assert first["chance_genus"] == pytest.approx(1 / 3)
    assert table["accuracy_genus"].notna().sum() == 1


def test_missing_labels_do_not_make_a_sequence_wrong(tmp_path):
    file, planted, truth, scores, _ = made_up(tmp_path)
    file.labels[:8] = -1
    table = keyed(
        evidence_table(
            file, {"m": attributions(file, scores, file.labels * 0 + 1)}, planted, [], 20, 3
        )
    )
    made = {name: table.loc[("m", "none", "any", name), "sequences"] for name in ("all", "right")}
    assert made["all"] == truth.any(1).sum()
    assert made["right"] == (truth.any(1) & (file.labels[:, 0] == 1)).sum() > 0


@pytest.mark.parametrize(
    ("predicted", "chance"),
    [
        (np.zeros(60, int), True),  # constant: 1/3, of which nothing is known but that
        (np.arange(60) % 3, False),
        (np.arange(60) // 20, True),  # as likely right as wrong
        (np.where(np.arange(60) % 10 < 7, np.arange(60) % 3, 0), False),
        ((np.arange(60) + 1) % 3, True),  # always wrong is no better
    ],
)
def test_no_claim_at_chance(predicted, chance):
    labels = (np.arange(60) % 3)[:, None]
    row = pd.Series(classifier_row(labels, predicted[:, None], RANKS, 500, 1))
    assert row["chance_genus"] == pytest.approx(1 / 3)
    assert at_chance(row, "genus") == chance
    # chance is that of the classes that are there, of two of three here
    some = labels[:, 0] < 2
    row = pd.Series(classifier_row(labels[some], predicted[some, None], RANKS, 500, 1))
    assert row["chance_genus"] == 1 / 2


def test_without_labels_nothing_is_claimed():
    row = pd.Series(classifier_row(np.full((5, 1), -1), np.zeros((5, 1), int), RANKS, 50, 1))
    assert np.isnan([row["accuracy_genus"], row["chance_genus"]]).all()
    assert at_chance(row, "genus")


def test_sequences_without_evidence_are_not_judged(tmp_path, caplog):
    file, _, _, scores, predicted = made_up(tmp_path)
    elsewhere = segments([("f:99", "tRNA", 0, 9)])
    methods = {"m": attributions(file, scores, predicted)}
    with caplog.at_level(logging.WARNING):
        table = evidence_table(file, methods, elsewhere, ["m"], 20, 3)
    assert "0 of 24 compared sequences have evidence" in caplog.text
    assert (table["sequences"][1:] == 0).all()
    assert table["auprc"].isna().all()
    assert "0 of 24 compared test sequences" in markdown(table, RANKS)


def test_evidence_behind_the_last_token_is_counted(tmp_path, caplog):
    file = token_file(tmp_path / "t.arrow", ["A" * 24, "A" * 12], ["f:0", "f:1"])
    methods = {"m": attributions(file, np.ones((2, 5)))}
    planted = segments([("f:0", "a", 6, 12), ("f:1", "a", 12, 18), ("f:0", "a", 23, 30)])
    evidence_table(file, methods, planted, [], 20, 3)
    assert "1 of 3 pieces of evidence lie behind the tokens that the model reads" in caplog.text
    caplog.clear()
    evidence_table(file, methods, planted[:1], [], 20, 3)
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


def test_what_a_reader_sees(tmp_path):
    file, planted, truth, scores, predicted = made_up(tmp_path, 1)
    methods = {
        "explainer_paper": attributions(file, scores, predicted),
        "lime": attributions(file, truth.astype(float), predicted),
    }
    table = evidence_table(file, methods, planted, ["explainer_paper"], 100, 3)
    text = markdown(table, RANKS)
    lines = text.splitlines()
    cells = {line.split("|")[1].strip(): [c.strip() for c in line.split("|")[2:-1]]
             for line in lines if line.startswith("|")}  # fmt: skip
    assert set(cells) >= {"explainer paper", "explainer paper, mask", "lime"}
    row = keyed(table).loc["explainer_paper", "none", "any", "all"]
    moved = keyed(table).loc["explainer_paper", "shifted", "any", "all"]
    whole = f"{row['auprc']:.2f} ({row['auprc_low']:.2f}-{row['auprc_high']:.2f})"
    assert cells["explainer paper"][:2] == [whole, f"{moved['auprc']:.2f}"]
    assert cells["explainer paper, mask"][2].startswith(f"{row['mask_token_f1']:.2f} (")
    assert cells["explainer paper, mask"][5] == f"{moved['mask_iou_f1']:.2f}"
    assert cells["lime"][0] == "1.00 (1.00-1.00)"
    assert max(map(len, lines)) <= 110
    judged = int(truth.any(1).sum())
    assert f"{judged} of 24 compared test sequences have evidence" in text
    assert (NO_CLAIM in " ".join(text.split())) == at_chance(table.iloc[0], "genus")
    methods = {name: attributions(file, scores, predicted * 0) for name in methods}
    text = markdown(evidence_table(file, methods, planted, [], 100, 3), RANKS)
    assert "genus: balanced accuracy of the classifier on these sequences 33.3 %" in text
    assert NO_CLAIM in " ".join(text.split())


def program(folder, monkeypatch, *options):
    usual = ["--log", folder / "log", "--ranks", *RANKS, "--resamples", 20, "--seed", 3]
    usual += [
        "--values",
        folder / "e.parquet",
        "--table",
        folder / "e.tsv",
        "--markdown",
        folder / "e.md",
    ]
    return run_here(monkeypatch, PROGRAM, *usual, *options)


def test_the_program(tmp_path, monkeypatch):
    file, planted, _, scores, predicted = made_up(tmp_path)
    methods = {"explainer_a": attributions(file, scores, predicted)}
    methods["random"] = attributions(file, scores[::-1], predicted)
    for name, made in methods.items():
        write_attributions(tmp_path / f"{name}.parquet", RANKS, {"plain": made})
    placed = planted.assign(source="f", header=planted["id"].str.removeprefix("f:"), segment="s")
    import pyarrow as pa

    pq.write_table(pa.Table.from_pandas(placed.drop(columns="id")), tmp_path / "placed.parquet")
    options = ["--sequences", file.path, "--planted", tmp_path / "placed.parquet"]
    options += ["--attributions", *(tmp_path / f"{name}.parquet" for name in methods)]
    assert program(tmp_path, monkeypatch, *options, "--masks", "explainer_a") is None
    written = pd.read_csv(tmp_path / "e.tsv", sep="\t", keep_default_na=False, na_values=[""])
    expected = evidence_table(file, methods, planted, ["explainer_a"], 20, 3)
    assert written.columns.tolist() == expected.columns.tolist()
    np.testing.assert_allclose(
        written.select_dtypes("number"), expected.select_dtypes("number"), rtol=1e-4
    )
    assert (tmp_path / "e.md").read_text(encoding="utf-8") == markdown(expected, RANKS)
    again = table_of_values(read_values(tmp_path / "e.parquet"), 20, 3)
    pd.testing.assert_frame_equal(again, expected, check_exact=True)
    (tmp_path / "e.tsv").unlink()
    other = token_file(tmp_path / "o.arrow", ["A" * 12] * 3, ["f:0", "f:1", "f:2"])
    options[1] = other.path
    assert program(tmp_path, monkeypatch, *options) == 1
    assert "explainer_a.parquet is not of the sequences in" in (tmp_path / "log").read_text()
    assert not (tmp_path / "e.tsv").exists()
