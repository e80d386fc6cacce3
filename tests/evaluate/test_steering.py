"""Steering: what masks make a classifier and its judge say, on readers that count tokens."""

import copy
import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from helpers_evaluation import CPU, Counter, small_explanandum, write_tokens
from helpers_programs import run_here

from whatyouread.data.kinds import MULTIPLE, SINGLE
from whatyouread.data.six_mers import CLS, FIRST_KMER
from whatyouread.data.token_files import TokenFile
from whatyouread.evaluate.distance import WholeSequences
from whatyouread.evaluate.steering import COLUMNS, MOVED, PERCENTS, Steering, hits, net_hits
from whatyouread.masks.top_tokens import keep_mask, remove_mask
from whatyouread.methods.files import Attributions, write_attributions
from whatyouread.models.inference import Passes
from whatyouread.models.mask_operator import masked_logits
from whatyouread.models.saving import save_model
from whatyouread.support.statistics import interval

RANKS = {"superkingdom": 3, "phylum": 5, "genus": 7}
PROGRAM = Path(__file__).resolve().parents[2] / "scripts/measure_steering.py"
INDEX = COLUMNS[1:7]  # without the method: one is measured

# By hand: a rank with three classes, and tokens that speak for one each. The places of tokens count from the
# first after <cls>. Ten tokens: one is 5 and 10 % of them, two are 20 %. Five tokens: one is 5 to 20 %.
A, B, C, N = range(FIRST_KMER, FIRST_KMER + 4)
TEXTS = [[A, A, B] + 7 * [N], [A, A, B] + 7 * [N], [B, C, C, C, C] + 5 * [N], [B] + 4 * [N]]
LABELS, PREDICTED = [0, 1, -1, 1], [0, 0, 2, 1]
WRONG, RUNNER_UP = [1, 2, 0, 0], [1, 0, 1, 1]
TOP = {"combined": [0, 2, 1, 0], "wrong": [2, 3, 1, 1], "runner_up": [4, 0, 0, 2]}
"""The place of each sequence's top token."""
CLASSIFIER = [[2, 0, 0, 0], [0, 3, 0, 0], [0, 0, 1.5, 0]]
JUDGE = [[0, 0, 0, 0], [2, 1, 0, 0], [0, 0, 3, 0]]
BIAS = [0, 0, 0.05]


def passes_of(weights) -> Passes:
    return Passes(Counter([weights], [BIAS]), 3, CPU)


def log_probability(weights, tokens: list[int], of: list[int], answer: int) -> float:
    """Of some tokens of a sequence `of`; the mean is over its own tokens and <cls>."""
    total = [BIAS[c] + 6 * sum(weights[c][t - A] for t in tokens) / (len(of) + 1) for c in range(3)]
    return total[answer] - math.log(sum(map(math.exp, total)))


def by_hand(tmp_path, padding=0.0) -> tuple[TokenFile, Attributions]:
    file = write_tokens(
        tmp_path / "t.arrow", [[CLS, *text] for text in TEXTS], LABELS, ranks=["rank0"]
    )
    content = np.asarray(file.batch(np.arange(4)).content)
    inside = np.arange(11) < file.lengths[:, None]
    scores = {}
    for name, tops in TOP.items():
        scores[name] = np.where(inside, 0, padding).astype(np.float32)
        scores[name][range(4), [1 + top for top in tops]] = 1
    chosen = {"labels": LABELS, "predicted": PREDICTED, "wrong": WRONG, "runner_up": RUNNER_UP}
    chosen = {name: np.array(own)[:, None] for name, own in chosen.items()}
    scores["rank0"] = scores["combined"]
    return file, Attributions(file.ids, file.keys, file.lengths, content, scores=scores, **chosen)


def measured(file, method, judge=None) -> pd.DataFrame:
    passes = passes_of(CLASSIFIER)
    table, _ = Steering(passes, file, {"mine": method}, 3, 50, judge).tables()
    return table.set_index(INDEX)


def value(table, *key) -> tuple[float, int]:
    reader, yardstick, measure = key
    row = table.sort_index().loc[(reader, yardstick, measure, "none", 10, "rank0")]
    return row["value"], row["n"]


def test_fidelity_is_against_the_prediction_and_accuracy_against_the_label(tmp_path):
    table = measured(*by_hand(tmp_path))
    # the top tokens A, B, C, B say 0, 1, 2, 1
    assert value(table, "classifier", "fidelity", "kept") == pytest.approx((75, 4))
    assert value(table, "classifier", "accuracy", "kept") == pytest.approx((100, 3))
    # without them 1, 0, 2 and, of what says nothing, 2
    assert value(table, "classifier", "fidelity", "removed") == pytest.approx((50, 4))
    assert value(table, "classifier", "accuracy", "removed") == pytest.approx((0, 3))
    whole = table.xs(("whole", "none", 100, "rank0"), level=(2, 3, 4, 5))["value"]
    assert whole["classifier", "fidelity"] == 100
    assert whole["classifier", "accuracy"] == pytest.approx(200 / 3)


def test_net_of_steering_is_paired_and_counts_what_is_wrong_by_its_yardstick(tmp_path):
    table = measured(*by_hand(tmp_path))
    # the masks for 1, 2, 0, 0 make it say 1, 2, 2, 2
    assert value(table, "classifier", "fidelity", "steered_wrong") == pytest.approx((50, 4))
    assert value(table, "classifier", "fidelity", "net_wrong") == pytest.approx((25, 4))
    assert value(table, "classifier", "accuracy", "steered_wrong") == pytest.approx((200 / 3, 3))
    assert value(table, "classifier", "accuracy", "net_wrong") == pytest.approx((100 / 3, 3))
    # those for 1, 0, 1, 1 make it say 2, 0, 1, 2: no prediction are the first and the third, of which it is
    # steered in the third; kept there are both, where 75 % are of all. No label are the first two.
    assert value(table, "classifier", "fidelity", "steered_runner_up") == pytest.approx((50, 2))
    assert value(table, "classifier", "fidelity", "net_runner_up") == pytest.approx((50, 2))
    assert value(table, "classifier", "accuracy", "net_runner_up") == pytest.approx((50, 2))


@pytest.mark.parametrize("reader", ["classifier", "judge"])
def test_log_probabilities_change_from_those_of_the_same_readers_whole_sequence(tmp_path, reader):
    weights = {"classifier": CLASSIFIER, "judge": JUDGE}[reader]
    table = measured(*by_hand(tmp_path), passes_of(JUDGE))
    kept, removed = [], []
    for text, top, answer in zip(TEXTS, TOP["combined"], PREDICTED, strict=True):
        rest = text[:top] + text[top + 1 :]
        whole = log_probability(weights, text, text, answer)
        kept.append(log_probability(weights, [text[top]], text, answer) - whole)
        removed.append(log_probability(weights, rest, text, answer) - whole)
    for measure, expected in (("kept", kept), ("removed", removed)):
        found = value(table, reader, "log_probability", measure)
        assert found == pytest.approx((np.mean(expected), 4), abs=1e-5)
    if reader == "classifier":
        assert np.mean(removed) < 0


def test_the_judge_reads_the_same_masks_for_the_classifiers_answers(tmp_path):
    file, method = by_hand(tmp_path)
    table = measured(file, method, passes_of(JUDGE))
    # to the judge, A, B, C, B say 1, 1, 2, 1, and the whole sequences the same
    assert value(table, "judge", "fidelity", "kept") == pytest.approx((50, 4))
    assert value(table, "judge", "accuracy", "kept") == pytest.approx((200 / 3, 3))
    assert table.loc[("judge", "fidelity", "whole", "none", 100, "rank0"), "value"] == 50
    # without them 1, 1, 2, 2; masks for other classes make it say 1, 2, 2, 2
    assert value(table, "judge", "fidelity", "removed") == pytest.approx((25, 4))
    assert value(table, "judge", "fidelity", "net_wrong") == pytest.approx((0, 4))
    alone = measured(file, method)
    assert set(alone.index.get_level_values("reader")) == {"classifier", "none"}
    pd.testing.assert_frame_equal(alone, table.drop("judge", level="reader"))


def test_padding_is_nothing(tmp_path):
    judge = passes_of(JUDGE)
    plain = measured(*by_hand(tmp_path), judge)
    pd.testing.assert_frame_equal(plain, measured(*by_hand(tmp_path, padding=9.0), judge))


def test_each_mask_is_read_once(tmp_path):
    class Counting(Passes):
        passes = 0

        def states(self, batch, mask=None):
            self.passes += len(batch.ids)
            return super().states(batch, mask)

    file, method = by_hand(tmp_path)
    readers = [Counting(Counter([w], [BIAS]), 3, CPU) for w in (CLASSIFIER, JUDGE)]
    Steering(readers[0], file, {"mine": method}, 3, 50, readers[1]).tables()
    masks = 1 + len(PERCENTS) * (2 * (1 + len(MOVED)) + 2)  # whole; kept and removed; other classes
    assert [reader.passes for reader in readers] == 2 * [masks * len(file)]


def test_differences_are_of_pairs_of_sequences(tmp_path):
    file, method = by_hand(tmp_path)
    _, other = by_hand(tmp_path)
    other.scores["combined"] = other.scores["wrong"]
    steering = Steering(passes_of(CLASSIFIER), file, {"explainer_x": method, "lime": other}, 3, 50)
    table, made = steering.tables(["explainer_x"])
    assert made["rival"].unique().tolist() == ["lime"]
    assert made["explainer"].unique().tolist() == ["explainer_x"]
    made = made.set_index(["reader", "measure"])
    # kept 1, 0, 1, 1; the rival's tokens say 1, 2, 2, 2, which is right in the third only
    row = made.loc[("classifier", "net_wrong")]
    pairs = np.array([100.0, 0, 0, 100])
    assert row["difference"] == 50
    assert (row["low"], row["high"]) == pytest.approx(interval(pairs, 50, 3))
    assert row["n"] == 4
    # removed 0, 1, 1, 0; without the rival's it says 0, 0, 2, 1, which is all right
    assert made.loc[("classifier", "removed"), "difference"] == -50
    assert made.loc[("classifier", "net_runner_up"), "n"] == 2
    means = table.set_index(["method", *INDEX])["value"]
    key = ("classifier", "fidelity", "removed", "none", 10, "rank0")
    assert means["explainer_x", *key] - means["lime", *key] == -50


def test_differences_of_two_explainers_are_there_once(tmp_path):
    file, method = by_hand(tmp_path)
    _, other = by_hand(tmp_path)
    other.scores["combined"] = other.scores["wrong"]
    methods = {"explainer_x": method, "explainer_y": other, "lime": other}
    steering = Steering(passes_of(CLASSIFIER), file, methods, 3, 50)
    made = steering.tables(["explainer_x", "explainer_y"])[1]
    pairs = made[["explainer", "rival"]].drop_duplicates().to_numpy().tolist()
    expected = [("explainer_x", "explainer_y"), ("explainer_x", "lime"), ("explainer_y", "lime")]
    assert sorted(map(tuple, pairs)) == expected
    means = made.set_index(["explainer", "rival", "measure"])["difference"]
    assert means["explainer_x", "explainer_y", "removed"] == -50
    assert means["explainer_y", "lime", "removed"] == 0


def test_net_hits_by_hand():
    right = np.array([[True, True], [False, True]])
    steered = np.array([[1.0, 0.0], [1.0, np.nan]])
    np.testing.assert_array_equal(net_hits(right, steered), [[0, 1], [-1, np.nan]])


def test_one_mask_for_all_ranks_is_read_once_for_all(steering, monkeypatch):
    own = steering.methods["mine"]
    steering.methods["one"] = dataclasses.replace(
        own, scores=own.scores | dict.fromkeys(RANKS, own.scores["combined"])
    )
    table = steering.tables()[0]
    one = table[table["method"] == "one"].set_index(INDEX)["value"].sort_index()
    for yardstick in ("fidelity", "accuracy", "log_probability"):
        made = one["classifier", yardstick]
        for control in ("none", "shifted"):
            left, right = made["removed_by_level", control], made["removed", control]
            np.testing.assert_array_equal(left, right)
    counted = []
    read = Passes.read
    monkeypatch.setattr(Passes, "read", lambda *args: counted.append(1) or read(*args))
    numbers = []
    for name in ("mine", "one"):
        counted.clear()
        list(steering.measures("classifier", steering.methods[name]))
        numbers.append(len(counted))
    assert numbers[0] - numbers[1] == 2 * len(PERCENTS) * len(RANKS)


def test_what_is_removed_level_by_level_changes_the_log_probability(steering):
    table = steering.tables()[0].set_index(INDEX)["value"].sort_index()
    file, own = steering.file, steering.methods["mine"]
    passes = steering.readers["classifier"]
    whole = passes.read(file, np.ones(steering.content.shape, np.float32), own.predicted)
    for i, rank in enumerate(RANKS):
        for percent, mask in steering.masks(own.scores[rank], remove_mask):
            said = passes.read(file, mask, own.predicted)
            expected = (said.log_probabilities - whole.log_probabilities)[:, i].mean()
            key = ("classifier", "log_probability", "removed_by_level", "none", percent, rank)
            assert table[key] == pytest.approx(expected)


def test_agreement_of_sets_of_classes_is_their_f1():
    said, asked = (
        np.array([[0b011, 1], [0, 1], [0b100, 1]]),
        np.array([[0b001, 1], [0, 2], [-1, 1]]),
    )
    made = hits(said, asked, kinds=[MULTIPLE, SINGLE])
    np.testing.assert_allclose(made, [[2 / 3, 1], [1, 0], [np.nan, 1]])


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
        file.ids, file.keys, file.lengths, content, file.labels, file.labels, *others, scores=scores
    )
    return Steering(Passes(tiny_explanandum, 4, CPU), file, {"mine": method}, seed=3, resamples=50)


def test_a_cell_is_what_the_classifier_says(steering):
    """The top tokens by plain loops, for the predicted and for a wrong class."""
    table = steering.tables()[0].set_index(INDEX)["value"].sort_index()["classifier", "accuracy"]
    file, own = steering.file, steering.methods["mine"]

    def said(scores, keep):
        mask = np.zeros(scores.shape, np.float32)
        for row, length in enumerate(file.lengths):
            count = max(int(0.3 * (length - 1) + 0.5), 1)
            best = set(np.argsort(-scores[row, 1:length])[:count] + 1)
            for place in range(1, length):
                mask[row, place] = (place in best) == keep
        mask[:, 0] = 1
        return steering.readers["classifier"].predict(file, mask)

    right = said(own.scores["combined"], True) == file.labels
    steered = said(own.scores["wrong"], True) == own.wrong
    left = said(own.scores["combined"], False) == file.labels
    by_level = [
        said(own.scores[rank], False)[:, i] == file.labels[:, i] for i, rank in enumerate(RANKS)
    ]
    assert (np.stack(by_level, 1) != left).any()
    for i, rank in enumerate(RANKS):
        counted = slice(3 if i == 0 else 0, None)
        assert table["kept", "none", 30, rank] == pytest.approx(100 * right[:, i].mean())
        assert table["removed", "none", 30, rank] == pytest.approx(100 * left[:, i].mean())
        found = table["removed_by_level", "none", 30, rank]
        assert found == pytest.approx(100 * by_level[i].mean())
        rate = 100 * steered[counted, i].mean()
        assert table["steered_wrong", "none", 30, rank] == pytest.approx(rate)
        net = 100 * right[counted, i].mean() - rate
        assert table["net_wrong", "none", 30, rank] == pytest.approx(net)


def test_every_measure_stands_for_every_share_and_rank(steering):
    table, differences = steering.tables()
    assert list(table) == COLUMNS
    assert table["yardstick"].drop_duplicates().tolist() == [
        "fidelity", "log_probability", "accuracy", "distribution"
    ]  # fmt: skip
    assert not len(differences)
    shares = [p for p in PERCENTS for _ in RANKS]
    far = table[table["yardstick"] == "distribution"]
    counts = far.groupby(["measure", "control"])["percent"].agg(list)
    assert set(far["rank"]) == {"all"}
    assert set(counts.index) == {
        (f"distance_{measure}", control)
        for measure in ("kept", "removed")
        for control in ("none", "shifted")
    }
    assert all(own == list(PERCENTS) for own in counts)
    for yardstick, own in table[table["yardstick"] != "distribution"].groupby("yardstick"):
        counts = own.groupby(["measure", "control"])["percent"].agg(list)
        for measure in ("kept", "removed"):
            for control in ("none", *MOVED):
                assert counts[measure, control] == shares
        for control in ("none", "shifted"):
            assert counts["removed_by_level", control] == shares
        for other in ("wrong", "runner_up"):
            for what in ("steered", "net"):
                found = (f"{what}_{other}", "none") in counts
                assert found == (yardstick != "log_probability")
                assert not found or counts[f"{what}_{other}", "none"] == shares
    known = table[table["reader"] != "none"]
    assert (known["low"] <= known["value"] + 1e-9).all()
    assert (known["value"] <= known["high"] + 1e-9).all()
    fewer = known["measure"].isin(["steered_wrong", "net_wrong"])
    fewer &= known["rank"] == "superkingdom"
    assert (known.loc[~fewer, "n"] == 8).all()
    assert (known.loc[fewer, "n"] == 5).all()
    told = table[table["reader"] == "none"]
    assert pd.isna(told["value"]).all()  # too few sequences
    counts = told.groupby(["yardstick", "measure", "control"]).size()
    assert dict(counts) == {
        ("accuracy", measure, control): len(RANKS)
        for measure in ("leakage", "unordered", "learned_along")
        for control in ("none", "chance")
    }


def test_distances_are_of_the_states_of_the_same_masks(steering):
    table = steering.tables()[0].set_index(INDEX)["value"]
    file, own = steering.file, steering.methods["mine"]
    passes = steering.readers["classifier"]
    ones = np.ones(steering.content.shape, np.float32)
    whole = passes.read(file, ones, own.predicted).states
    among = WholeSequences(whole, own.predicted[:, -1], steering.seed)
    for measure, action in (("kept", keep_mask), ("removed", remove_mask)):
        for percent, mask in steering.masks(own.scores["combined"], action):
            states = passes.read(file, mask, own.predicted).states
            expected = 100 * among.shares_within(states).mean()
            key = ("classifier", "distribution", f"distance_{measure}", "none", percent, "all")
            assert table[key] == pytest.approx(expected)


def test_the_distances_of_a_judge_are_by_its_own_states(steering):
    """A judge whose states do not depend on the mask sees whole sequences, and the classifier does not."""

    class Blind(Passes):
        def states(self, batch, mask=None):
            return super().states(batch, np.ones_like(mask))

    model = copy.deepcopy(steering.readers["classifier"].explanandum)
    with torch.no_grad():  # its states are elsewhere, and it would be far from the classifier's
        for weight in model.parameters():
            weight.add_(1)
    steering.readers["judge"] = Blind(model, 4, CPU)
    table = steering.tables()[0].set_index(INDEX)["value"].sort_index()
    known = table.xs("distribution", level="yardstick")
    assert known["judge"].to_numpy() == pytest.approx(50)
    assert np.abs(known["classifier"] - 50).max() > 10


def test_what_the_kept_tokens_tell(tmp_path):
    """One method shows the class by the place, the other one a token of the class in any place."""
    generator = np.random.default_rng(4)
    labels, rows = np.repeat([0, 1, 2], 20), np.arange(60)
    ids = generator.integers(FIRST_KMER + 10, FIRST_KMER + 3000, (60, 40))
    telling = generator.integers(0, 40, 60)
    ids[rows, telling] = FIRST_KMER + labels
    file = write_tokens(tmp_path / "t.arrow", [[CLS, *row] for row in ids], labels, ranks=["rank0"])
    content, classes = np.asarray(file.batch(rows).content), labels[:, None]
    methods = {}
    for name, best in (("cheating", 6 + 13 * labels), ("honest", telling)):
        scores = -np.abs(np.arange(41) - 1.0 - best[:, None]).astype(np.float32) * content
        if name == "honest":  # the other three anywhere
            scores = generator.random((60, 41), np.float32) * content
            scores[rows, 1 + best] = 2
        own = dict.fromkeys(("rank0", "combined", "wrong", "runner_up"), scores)
        methods[name] = Attributions(
            file.ids, file.keys, file.lengths, content, *4 * [classes], scores=own
        )
    made = Steering(passes_of(CLASSIFIER), file, methods, 3, 50)
    table = made.tables(["honest"])[0].query("reader == 'none'")
    told = table[table["control"] == "none"].set_index(["method", "measure"])["value"]
    assert told["cheating", "leakage"] == told["cheating", "learned_along"] == 100
    assert told["cheating", "unordered"] < 60
    assert told["honest", "leakage"] < 60
    assert told["honest", "unordered"] == 100
    chance = table[table["control"] == "chance"]["value"]
    assert chance.to_numpy() == pytest.approx(6 * [100 / 3])


def test_what_the_classifier_says_without_a_label_is_neither_right_nor_wrong(steering):
    labels = steering.file.labels.copy()
    made = hits(labels, np.where(labels == 0, -1, labels))
    np.testing.assert_array_equal(made, np.where(labels == 0, np.nan, 1))
    assert hits(np.array([[1, 2]]), np.array([[1, 3]])).tolist() == [[1, 0]]

    whole = steering.tables()[0].set_index(INDEX)
    missing = np.zeros(labels.shape, bool)
    missing[[0, 3], 2] = missing[:, 1] = True  # two genera, and every phylum
    steering.file.labels = np.where(missing, -1, labels)
    table = steering.tables()[0].set_index(INDEX)
    pd.testing.assert_frame_equal(  # no label counts
        table.xs("fidelity", level="yardstick"), whole.xs("fidelity", level="yardstick")
    )
    table, whole = (one.sort_index().loc[("classifier", "accuracy")] for one in (table, whole))
    for measure in ("kept", "removed", "steered_wrong", "net_runner_up"):
        counts = [table.loc[(measure, "none", 10, rank), "n"] for rank in RANKS]
        assert counts[1:] == [0, 6], measure
        assert np.isnan(table.loc[(measure, "none", 10, "phylum"), "value"])
    first = ("kept", "none", 10, "superkingdom")
    assert table.loc[first].equals(whole.loc[first])
    # what is kept of sequences 0 and 3 no longer counts
    percent, mask = next(steering.masks(steering.methods["mine"].scores["combined"], keep_mask))
    right = (steering.readers["classifier"].predict(steering.file, mask) == labels)[:, 2]
    expected = 100 * np.delete(right, [0, 3]).mean()
    assert table.loc[("kept", "none", percent, "genus"), "value"] == pytest.approx(expected)


def files_of(tmp_path) -> list:
    """What the program reads, with a classifier and a judge; returns its options."""
    file = write_tokens(
        tmp_path / "t.arrow", [[CLS, *text] for text in TEXTS], [[0, 0], [0, 1], [1, 2], [1, 3]]
    )
    model, content = small_explanandum(), np.asarray(file.batch(np.arange(4)).content)
    save_model(tmp_path / "classifier", model)
    save_model(tmp_path / "judge", small_explanandum(seed=1))
    ones = np.ones(content.shape, np.float32)
    predicted = Passes(model, 3, CPU).predict(file, ones)
    generator = np.random.default_rng(1)
    for name in ("explainer_x", "lime"):
        scores = {
            score: generator.random(content.shape, np.float32)
            for score in ("kingdom", "genus", "combined", "wrong", "runner_up")
        }
        classes = file.labels, predicted, 1 - file.labels % 2, (file.labels + 1) % [2, 4]
        own = Attributions(file.ids, file.keys, file.lengths, content, *classes, scores)
        write_attributions(tmp_path / f"{name}.parquet", file.ranks, {"plain": own})
    outputs = ("table", "differences", "markdown")
    return [
        "--attributions", *(tmp_path / f"{name}.parquet" for name in ("explainer_x", "lime")),
        "--sequences", tmp_path / "t.arrow", "--explanandum", tmp_path / "classifier",
        "--explainers", "explainer_x", "--resamples", 20, "--batch-size", 3, "--seed", 1,
        *(word for name in outputs for word in (f"--{name}", tmp_path / name)),
    ]  # fmt: skip


def test_the_program_writes_all_by_both_readers(tmp_path, monkeypatch):
    options = files_of(tmp_path)
    assert not run_here(monkeypatch, PROGRAM, *options)
    alone = pd.read_csv(tmp_path / "table", sep="\t")
    assert set(alone["reader"]) == {"classifier", "none"}
    assert "judge" not in (tmp_path / "markdown").read_text()
    assert not run_here(monkeypatch, PROGRAM, *options, "--judge", tmp_path / "judge")
    table = pd.read_csv(tmp_path / "table", sep="\t")
    own = table[table["reader"] != "judge"].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, alone)
    counts = table["reader"].value_counts()
    assert counts["judge"] == counts["classifier"]
    logs = table.query("yardstick == 'log_probability' and measure == 'kept'").groupby("reader")
    ours, theirs = (
        logs.get_group(reader)["value"].to_numpy() for reader in ("classifier", "judge")
    )
    assert (ours != theirs).mean() > 0.9
    differences = pd.read_csv(tmp_path / "differences", sep="\t")
    assert len(differences) == 2 * 4 * 2  # readers, measures, ranks
    assert "| kept | judge |" in (tmp_path / "markdown").read_text()


@pytest.mark.parametrize(
    "classes", [{"kingdom": 2, "genus": 5}, {"genus": 4, "kingdom": 2}, {"kingdom": 2}]
)
def test_a_judge_of_other_classes_is_refused(tmp_path, monkeypatch, capfd, classes):
    options = files_of(tmp_path)
    save_model(tmp_path / "judge", small_explanandum(classes=classes))
    assert run_here(monkeypatch, PROGRAM, *options, "--judge", tmp_path / "judge") == 1
    said = capfd.readouterr().err.strip().splitlines()[-1]
    assert "its classes" in said
    assert "are not those of the classifier" in said
    assert not (tmp_path / "table").exists()
