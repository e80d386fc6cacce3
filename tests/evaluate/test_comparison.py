"""The comparison of methods, on a classifier that reads one token."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from whatyouread.data.token_files import TokenFile
from whatyouread.evaluate.comparison import Comparison, markdown, with_measures
from whatyouread.methods.files import Attributions
from whatyouread.models.inference import Passes
from whatyouread.models.mask_operator import masked_logits

RANKS = {"superkingdom": 3, "phylum": 5, "genus": 7}
CPU = torch.device("cpu")


@pytest.fixture
def file(tiny_explanandum, token_file, token_batch):
    lengths = [12, 9, 12, 15, 7, 12]
    batch = token_batch(lengths, seed=5)
    rows = [row[:n].tolist() for row, n in zip(batch.ids, lengths, strict=True)]
    labels = torch.stack([x.argmax(1) for x in masked_logits(tiny_explanandum, batch)], 1)
    return TokenFile(token_file(rows, labels.tolist()), list(RANKS))


@pytest.fixture
def passes(tiny_explanandum):
    return Passes(tiny_explanandum, 4, CPU)


def test_passes_equal_the_operator_and_do_not_depend_on_the_batch(file, passes, tiny_explanandum):
    generator = np.random.default_rng(1)
    masks = generator.random((3, len(file), 15)).astype(np.float32)
    classes = np.stack([generator.integers(0, n, len(file)) for n in RANKS.values()], 1)
    logs = passes.log_probabilities(file, masks, classes)
    assert logs.shape == (3, len(file), 3)
    other = Passes(tiny_explanandum, 100, CPU).log_probabilities(file, masks, classes)
    np.testing.assert_allclose(logs, other, atol=1e-5)
    for row in range(len(file)):
        length = file.lengths[row]
        batch = file.batch(np.array([row])).to(CPU)
        with torch.no_grad():
            made = masked_logits(
                tiny_explanandum, batch, torch.from_numpy(masks[1, row : row + 1, :length])
            )
        for i, rank in enumerate(made):
            expected = rank.log_softmax(-1)[0, classes[row, i]]
            assert logs[1, row, i] == pytest.approx(float(expected), abs=1e-5)
        assert passes.predict(file, masks[1])[row].tolist() == [int(rank.argmax()) for rank in made]


def content_of(file):
    """All tokens but `<cls>`."""
    place = np.arange(file.lengths.max())
    return (place > 0) & (place < file.lengths[:, None])


def methods_of(file):
    generator = np.random.default_rng(2)
    inside = np.arange(15) < file.lengths[:, None]
    made = {}
    for name in ("explainer_paper", "other"):
        scores = {
            key: (generator.random((len(file), 15)) * inside).astype(np.float32)
            for key in (*RANKS, "combined", "wrong", "runner_up")
        }
        made[name] = Attributions(
            pa.array(file.ids.to_pylist()), file.keys, file.lengths, content_of(file), file.labels,
            file.labels,
            *((file.labels + step) % np.array(list(RANKS.values())) for step in (1, 2)), scores,
        )  # fmt: skip
    return made


def test_every_method_has_every_control(file, passes):
    methods = methods_of(file)
    table, curves = Comparison(passes, file, methods, seed=3, explainer="explainer_paper").tables()
    assert table.loc[0, "method"] == "unmasked"
    assert table.loc[0, "keep_100_genus"] == 100
    for name in methods:
        rows = table[table["method"] == name]
        assert rows["control"].tolist() == [
            "none", "shuffled", "shifted", "other_sequence", "position_mean", "constant",
            "wrong_class", "wrong_class_steering", "runner_up_class", "runner_up_class_steering",
        ]  # fmt: skip
    wanted = [
        f"{a}_{x}_{r}"
        for a in ("keep", "remove")
        for x in (5, 10, 20, 30, 50, "area")
        for r in RANKS
    ]
    assert table[wanted].iloc[1:].notna().all(axis=None)
    ends = curves.set_index(["method", "control", "action", "percent", "rank"])["accuracy"]
    for name in methods:
        for control in ("none", "shifted"):
            assert ends[name, control, "remove", 0, "genus"] == 100
            assert ends[name, control, "keep", 100, "genus"] == 100


def test_a_row_is_what_the_classifier_says_of_the_top_tokens(file, passes):
    """One cell, from the scores on, by plain loops."""
    methods = methods_of(file)
    table, _ = Comparison(passes, file, methods, seed=3, explainer="explainer_paper").tables()
    mask = np.zeros((len(file), 15), np.float32)
    for row, length in enumerate(file.lengths):
        count = max(int(0.3 * (length - 1) + 0.5), 1)
        best = np.argsort(-methods["other"].scores["combined"][row, 1:length])[:count] + 1
        mask[row, [0, *best]] = 1
    predicted = passes.predict(file, mask)
    recalls = [
        np.mean(predicted[file.labels[:, 2] == c, 2] == c) for c in np.unique(file.labels[:, 2])
    ]
    own = table[(table["method"] == "other") & (table["control"] == "none")].iloc[0]
    assert own["keep_30_genus"] == pytest.approx(100 * np.mean(recalls))


def test_the_area_is_the_explainers_own(file, passes):
    methods = methods_of(file)
    comparison = Comparison(passes, file, methods, seed=3, explainer="explainer_paper")
    own = methods["explainer_paper"].scores["combined"]
    expected = [max(int((own[i, 1:n] > 0.5).sum()), 1) for i, n in enumerate(file.lengths)]
    assert comparison.counts("area").tolist() == expected


def test_steering_is_judged_by_the_wrong_class(file, passes):
    methods = methods_of(file)
    comparison = Comparison(passes, file, methods, seed=3, explainer="explainer_paper")
    truths = {name: truth for name, _, truth in comparison.variants("other")}
    np.testing.assert_array_equal(truths["wrong_class"], file.labels)
    for other in ("wrong", "runner_up"):
        asked = getattr(methods["other"], other)
        np.testing.assert_array_equal(truths[f"{other}_class_steering"], asked)
    scores = {name: scores for name, scores, _ in comparison.variants("other")}
    assert scores["wrong_class"] is methods["other"].scores["wrong"]


def test_what_is_true_at_a_higher_rank_is_not_wrong_there(file, passes):
    """Another genus may share the phylum; here two sequences' other classes share the superkingdom."""
    methods = methods_of(file)
    other, labels = methods["other"], file.labels
    other.wrong[:2, 0] = labels[:2, 0]
    other.runner_up[:, 0] = labels[:, 0]  # one superkingdom
    comparison = Comparison(passes, file, methods, seed=3, explainer="explainer_paper")
    truths = {name: truth for name, _, truth in comparison.variants("other")}
    for name, classes in (("wrong_class", labels), ("wrong_class_steering", other.wrong)):
        assert truths[name][:, 0].tolist() == [-1, -1, *classes[2:, 0]]
        np.testing.assert_array_equal(truths[name][:, 1:], classes[:, 1:])
    table, _ = comparison.tables()
    rows = table[table["method"] == "other"].set_index("control")
    for name in ("runner_up_class", "runner_up_class_steering"):
        assert np.isnan(rows.loc[name, "keep_10_superkingdom"])
        assert rows.loc[name, ["keep_10_phylum", "remove_area_genus"]].notna().all()


def small_table(seconds=1.0):
    rows = []
    for method, keep, shifted in (
        ("explainer_paper", 40, 38),
        ("lime", 60, 30),
        ("random", 35, 36),
    ):
        for control, value in (("none", keep), ("shifted", shifted)):
            rows.append(
                {"method": method, "control": control, "sequences": 9, "keep_10_genus": value,
                 "remove_10_genus": 100 - value}
            )  # fmt: skip
    first = {"method": "unmasked", "control": "none", "sequences": 9, "keep_100_genus": 95}
    faithfulness = pd.DataFrame(
        [
            [method, "comprehensiveness", rank, value]
            for method, value in (("explainer_paper", 0.1), ("lime", 0.3), ("random", 0.05))
            for rank in ("genus", "mean")
        ],
        columns=["method", "metric", "rank", "value"],
    )  # fmt: skip
    costs = {
        m: {"forward_passes": f, "backward_passes": 0, "seconds": s}
        for m, f, s in (("explainer_paper", 0, 0.002), ("lime", 1000, seconds), ("random", 0, 1e-5))
    }
    return with_measures(pd.DataFrame([first, *rows]), faithfulness, costs, "explainer_paper")


def test_costs_and_measures_stand_in_the_row_of_the_method_itself():
    table = small_table().set_index(["method", "control"])
    assert table.loc[("lime", "none"), "times_the_explainer"] == pytest.approx(500)
    assert table.loc[("lime", "none"), "comprehensiveness"] == 0.3
    assert np.isnan(table.loc[("lime", "shifted"), "comprehensiveness"])
    assert np.isnan(table.loc[("unmasked", "none"), "seconds_per_sequence"])


def test_a_cost_that_nobody_knows_is_none_and_not_zero():
    table = small_table(seconds=None)
    row = table.set_index(["method", "control"]).loc[("lime", "none")]
    assert np.isnan(row["seconds_per_sequence"])
    assert np.isnan(row["times_the_explainer"])
    text = markdown(table, ["genus"], "explainer_paper", ["explainer_paper"])
    assert "| lime | 60 | 30 | 40 | 70 | 0.300 | - | - |" in text
    assert "Ahead of explainer paper by keeping the top 10 % (points): lime (20.0)." in text


def test_the_text_says_of_each_explainer_who_is_ahead_and_by_how_much():
    table = small_table()
    text = markdown(table, ["genus"], "explainer_paper", ["explainer_paper", "lime"])
    assert "- explainer paper: its top 10 % of tokens keep 2.0 points more than the same" in text
    assert "removing them costs 2.0 points more than" in text
    assert "Ahead of explainer paper by keeping the top 10 % (points): lime (20.0)." in text
    assert "Ahead of lime by keeping the top 10 % (points): none." in text
    assert "Ahead of lime by removing the top 10 % (points): none." in text
    assert "| × explainer paper |" in text
    assert "| lime | 60 | 30 | 40 | 70 | 0.300 | 1 | 500 |" in text
    table.loc[table["method"] == "explainer_paper", "keep_10_genus"] = 90
    text = markdown(table, ["genus"], "explainer_paper", ["explainer_paper"])
    assert "Ahead of explainer paper by keeping the top 10 % (points): none." in text
    assert "Ahead of lime" not in text


def test_a_method_without_a_number_is_neither_ahead_nor_behind():
    table = small_table()
    table.loc[(table["method"] == "lime") & (table["control"] == "none"), "keep_10_genus"] = np.nan
    text = markdown(table, ["genus"], "explainer_paper", ["explainer_paper", "lime"])
    said = (
        "Ahead of explainer paper by keeping the top 10 % (points): none. Without a number: lime."
    )
    assert said in text
    assert "lime: its top 10 % of tokens keep an unknown number of points" in text
    assert "nan" not in text


def test_sequences_without_a_label_are_not_scored_and_said(file, passes):
    methods = methods_of(file)
    whole, _ = Comparison(passes, file, methods, 3, "explainer_paper").tables()
    names = [f"sequences_{rank}" for rank in RANKS]
    assert not set(names) & set(whole)
    file.labels = file.labels.copy()
    file.labels[[1, 4], 0] = file.labels[:, 2] = -1
    table, curves = Comparison(passes, file, methods, 3, "explainer_paper").tables()
    own = table[table["control"].isin(["none", "shifted"])]
    assert own[names].drop_duplicates().to_numpy().tolist() == [[4, 6, 0]]
    assert own["keep_10_genus"].isna().all()
    row = table[table["control"] == "wrong_class"].iloc[0]
    assert row[names[2]] == 0
    assert row[names[0]] <= 4
    assert table["keep_10_phylum"].equals(whole["keep_10_phylum"])
    assert curves[curves["rank"] == "genus"]["accuracy"].isna().all()
    assert table.loc[0, "keep_100_superkingdom"] == 100  # the labels are what the classifier says
