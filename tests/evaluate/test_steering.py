"""Steering: what masks for other classes make a classifier say, on one that reads one token."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from whatyouread.data.token_files import TokenFile
from whatyouread.evaluate.steering import MOVED, PERCENTS, Steering, hits, markdown, net_hits
from whatyouread.masks.top_tokens import keep_mask
from whatyouread.methods.files import Attributions
from whatyouread.models.inference import Passes
from whatyouread.models.mask_operator import masked_logits

RANKS = {"superkingdom": 3, "phylum": 5, "genus": 7}


def test_net_hits_by_hand():
    right = np.array([[True, True], [False, True]])
    steered = np.array([[1.0, 0.0], [1.0, np.nan]])
    np.testing.assert_array_equal(net_hits(right, steered), [[0, 1], [-1, np.nan]])


@pytest.fixture
def steering(tiny_explanandum, token_file, token_batch):
    lengths = [12, 9, 12, 15, 7, 12, 30, 22]
    batch = token_batch(lengths, seed=5)
    rows = [row[:n].tolist() for row, n in zip(batch.ids, lengths, strict=True)]
    labels = torch.stack([x.argmax(1) for x in masked_logits(tiny_explanandum, batch)], 1)
    file = TokenFile(token_file(rows, labels.tolist()), list(RANKS))
    generator = np.random.default_rng(2)
    inside = np.arange(30) < file.lengths[:, None]
    content = inside & (np.arange(30) > 0)
    names = (*RANKS, "combined", "wrong", "runner_up")
    scores = {n: (generator.random(inside.shape) * inside).astype(np.float32) for n in names}
    others = [(file.labels + step) % np.array(list(RANKS.values())) for step in (1, 2)]
    others[0][:3, 0] = file.labels[:3, 0]  # a wrong phylum may be of the same kingdom
    method = Attributions(
        pa.array(file.ids.to_pylist()), file.keys, file.lengths, content, file.labels, file.labels,
        *others, scores=scores,
    )  # fmt: skip
    passes = Passes(tiny_explanandum, 4, torch.device("cpu"))
    return Steering(passes, file, {"mine": method}, seed=3, resamples=50)


def test_a_cell_is_what_the_classifier_says(steering):
    """The top tokens by plain loops, for the predicted and for a wrong class."""
    table = steering.table().set_index(["measure", "control", "percent", "rank"])
    file, own = steering.file, steering.methods["mine"]

    def said(scores, keep):
        mask = np.zeros(scores.shape, np.float32)
        for row, length in enumerate(file.lengths):
            count = max(int(0.3 * (length - 1) + 0.5), 1)
            best = set(np.argsort(-scores[row, 1:length])[:count] + 1)
            for place in range(1, length):
                mask[row, place] = (place in best) == keep
        mask[:, 0] = 1
        return steering.passes.predict(file, mask)

    right = said(own.scores["combined"], True) == file.labels
    steered = said(own.scores["wrong"], True) == own.wrong
    left = said(own.scores["combined"], False) == file.labels
    for i, rank in enumerate(RANKS):
        value = table["value"]
        counted = slice(3 if i == 0 else 0, None)
        assert value["kept", "none", 30, rank] == pytest.approx(100 * right[:, i].mean())
        assert value["removed", "none", 30, rank] == pytest.approx(100 * left[:, i].mean())
        assert value["steered_wrong", "none", 30, rank] == pytest.approx(
            100 * steered[counted, i].mean()
        )
        net = 100 * (right[counted, i].mean() - steered[counted, i].mean())
        assert value["net_wrong", "none", 30, rank] == pytest.approx(net)


def test_every_measure_stands_for_every_share_and_rank(steering):
    table = steering.table()
    counts = table.groupby(["measure", "control"])["percent"].agg(list)
    shares = [p for p in PERCENTS for _ in RANKS]
    for measure in ("kept", "removed"):
        for control in ("none", *MOVED):
            assert counts[measure, control] == shares
    for other in ("wrong", "runner_up"):
        assert counts[f"steered_{other}", "none"] == shares
        assert counts[f"net_{other}", "none"] == shares
    measured = table[table["measure"] != "leakage"]
    assert (measured["low"] <= measured["value"]).all()
    assert (measured["value"] <= measured["high"]).all()
    fewer = measured["measure"].isin(["steered_wrong", "net_wrong"])
    fewer &= measured["rank"] == "superkingdom"
    assert (measured.loc[~fewer, "n"] == 8).all()
    assert (measured.loc[fewer, "n"] == 5).all()
    assert pd.isna(table.loc[table["measure"] == "leakage", "value"]).all()  # too few sequences


def small_table():
    rows = [
        ["explainer_sharp", "kept", 80], ["explainer_sharp", "removed", 30],
        ["explainer_sharp", "net_wrong", 75], ["explainer_sharp", "net_runner_up", 70],
        ["lime", "kept", 90], ["lime", "removed", 40], ["lime", "net_wrong", 20],
        ["lime", "net_runner_up", 70],
    ]  # fmt: skip
    made = [
        [method, measure, control, percent, "genus", value + (percent == 30), 40]
        for method, measure, value in rows
        for control in ("none", "shifted")
        for percent in PERCENTS
    ]
    for method in ("explainer_sharp", "lime"):
        made += [[method, "steered_wrong", "none", p, "genus", 5, 40] for p in PERCENTS]
        for control, value in (("none", 11), ("chance", 10)):
            made.append([method, "leakage", control, 10, "genus", value, 40])
    names = ["method", "measure", "control", "percent", "rank", "value", "n"]
    return pd.DataFrame(made, columns=names)


def test_the_text_says_which_methods_are_ahead_of_an_explainer():
    text = markdown(small_table(), ["explainer_sharp"])
    assert "| explainer sharp | 80 | 75 | 70 | 5 | 30 | 11 | 80 | 30 |" in text
    assert "chance is 10." in text
    lines = text.splitlines()
    assert lines[-4:] == [
        "- explainer sharp, kept: lime (4 of 4, by 10.0).",
        "- explainer sharp, net, random class: none.",
        "- explainer sharp, net, runner-up: none.",
        "- explainer sharp, removed: none.",
    ]


def test_explainers_are_not_set_against_one_another():
    text = markdown(small_table(), ["explainer_sharp", "lime"])
    assert text.count(": none.") == 8


def test_a_point_without_a_number_does_not_count():
    table = small_table()
    here = (table["percent"] == 30) & (table["measure"] == "kept") & (table["method"] == "lime")
    table.loc[here, "value"] = np.nan
    text = markdown(table, ["explainer_sharp"])
    assert "kept: lime (3 of 3, by 10.0)." in text


@pytest.mark.parametrize("method", ["lime", "explainer_sharp"])
@pytest.mark.parametrize("undefined", [1, 2, 3])
def test_points_without_a_number_are_in_no_number(method, undefined):
    """Where no class is wrong, there is nothing to be ahead in, nor to be level in."""
    table = small_table()
    here = (table["measure"] == "net_wrong") & (table["method"] == method)
    table.loc[here & table["percent"].isin(PERCENTS[:undefined]), "value"] = np.nan
    text = markdown(table, ["explainer_sharp"])
    assert f"net, random class: none (of {4 - undefined} points)." in text
    assert "net, runner-up: none." in text
    table.loc[(table["measure"] == "net_wrong") & (table["method"] == "lime"), "value"] += 70
    assert f"net, random class: lime ({4 - undefined} of {4 - undefined}, by 15.0)." in markdown(
        table, ["explainer_sharp"]
    )


def test_without_any_number_nothing_is_said():
    table = small_table()
    table.loc[table["measure"].str.contains("wrong"), "value"] = np.nan
    text = markdown(table, ["explainer_sharp"])
    assert "net, random class: no point has a number." in text
    assert "| explainer sharp | 80 | - | 70 | - | 30 |" in text


def test_what_the_classifier_says_without_a_label_is_neither_right_nor_wrong(steering):
    labels = steering.file.labels.copy()
    made = hits(labels, np.where(labels == 0, -1, labels))
    np.testing.assert_array_equal(made, np.where(labels == 0, np.nan, 1))
    assert hits(np.array([[1, 2]]), np.array([[1, 3]])).tolist() == [[1, 0]]

    whole = steering.table().set_index(["measure", "control", "percent", "rank"])
    missing = np.zeros(labels.shape, bool)
    missing[[0, 3], 2] = missing[:, 1] = True  # two genera, and every phylum
    steering.file.labels = np.where(missing, -1, labels)
    table = steering.table().set_index(["measure", "control", "percent", "rank"])
    for measure in ("kept", "removed", "steered_wrong", "net_runner_up"):
        counts = [table.loc[(measure, "none", 10, rank), "n"] for rank in RANKS]
        assert counts[1:] == [0, 6], measure
        assert np.isnan(table.loc[(measure, "none", 10, "phylum"), "value"])
    assert table.loc[("kept", "none", 10, "superkingdom")].equals(
        whole.loc[("kept", "none", 10, "superkingdom")]
    )
    # what is kept of sequences 0 and 3 no longer counts
    own = steering.methods["mine"]
    said = next(steering.said(own.scores["combined"], keep_mask))  # of 5 %
    right = (said == labels)[:, 2]
    expected = 100 * np.delete(right, [0, 3]).mean()
    assert table.loc[("kept", "none", 5, "genus"), "value"] == pytest.approx(expected)
