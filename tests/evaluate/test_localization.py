"""Masks against the planted truth."""

import numpy as np
import pytest
from helpers_evaluation import write_masks
from helpers_planted import RANKS, naive_planted, random_texts, segments, token_file
from sklearn.metrics import average_precision_score

from whatyouread.data.token_files import TokenFile
from whatyouread.evaluate.localization import localization
from whatyouread.masks.controls import shifted
from whatyouread.masks.mask_files import MaskFile


def scored(tmp_path, seed=0, masks_of=None):
    rng = np.random.default_rng(seed)
    texts = random_texts(rng, 30)
    ids = [f"f:{i}" for i in range(30)]
    file = token_file(tmp_path / "t.arrow", texts, ids)
    rows = []
    for i, text in enumerate(texts):
        for rank in ("phylum", "genus"):
            if len(text) > 40:
                start = int(rng.integers(0, len(text) - 30))
                rows.append((ids[i], rank, start, start + 25))
    planted = segments(rows)
    truth = naive_planted(file, planted)
    masks = masks_of(truth, rng)
    masks["labels"][:, 0] = 1 - masks["labels"][:, 0]  # <cls> is not counted
    classes = {choice: np.zeros((30, 1), int) for choice in masks}
    lists = {
        choice: [mask[i, :length] for i, length in enumerate(file.lengths)]
        for choice, mask in masks.items()
    }
    write_masks(tmp_path / "m.parquet", file, classes, lists)
    read = MaskFile(tmp_path / "m.parquet", RANKS)
    table = localization(file, read, planted, 3)
    return table.set_index(["classes", "control", "planted"]), file, truth, read


def simple(truth, rng):
    return {
        "labels": truth.astype(float),
        "predicted": np.full(truth.shape, 0.5),
        "wrong": 1.0 - truth,
    }


def test_perfect_constant_and_inverted_masks(tmp_path):
    table, file, truth, _ = scored(tmp_path, masks_of=simple)
    tokens = int((file.lengths - 1).sum())  # without <cls> and padding
    base_rate = truth.sum() / tokens
    assert 0.05 < base_rate < 0.8
    perfect, constant, inverted = (
        table.loc[choice, "none", "any"] for choice in ("labels", "predicted", "wrong")
    )
    assert (perfect["auprc"], perfect["auroc"]) == (1, 1)
    assert constant["auprc"] == pytest.approx(base_rate)
    assert constant["auroc"] == 0.5
    assert inverted["auroc"] == 0
    assert inverted["auprc"] == pytest.approx(base_rate)  # two values: all or nothing
    assert table.loc[:, "tokens"].unique().tolist() == [tokens]
    assert table.loc[:, "sequences"].unique().tolist() == [30]
    assert perfect["base_rate"] == pytest.approx(base_rate)
    for control in ("shuffled", "shifted", "other_sequence", "position_mean"):
        assert table.loc["labels", control, "any"]["auroc"] < 0.75


def test_rows(tmp_path):
    table, _, _, _ = scored(tmp_path, masks_of=simple)
    controls = ["none", "shuffled", "shifted", "other_sequence", "position_mean", "constant"]
    expected = {
        (classes, control, truth)
        for classes in ("labels", "predicted", "wrong")
        for control in controls
        if classes != "wrong" or control == "none"
        for truth in ("any", "phylum", "genus")
    }
    assert len(table) == len(expected)
    assert set(table.index) == expected
    assert (table.loc["labels", "none", "phylum"]["base_rate"]
            < table.loc["labels", "none", "any"]["base_rate"])  # fmt: skip


def test_areas_by_loops(tmp_path):
    """AUROC by comparing all pairs, AUPRC as the mean precision at the planted tokens."""

    def noisy(truth, rng):
        # few different values: ties matter
        return {
            choice: np.round(4 * rng.random(truth.shape) + truth) / 8
            for choice in ("labels", "predicted", "wrong")
        }

    table, file, truth, masks = scored(tmp_path, 2, noisy)
    y, s = [], []
    for row, length in enumerate(file.lengths):
        for place in range(1, length):
            y.append(bool(truth[row, place]))
            s.append(float(masks.masks["predicted"][row, place]))
    y, s = np.array(y), np.array(s)
    pairs = s[y][:, None] - s[~y][None]
    auroc = ((pairs > 0) + 0.5 * (pairs == 0)).mean()
    area, recalled = 0.0, 0.0
    for threshold in sorted(set(s), reverse=True):
        chosen = s >= threshold
        recall = y[chosen].sum() / y.sum()
        area += (recall - recalled) * y[chosen].mean()
        recalled = recall
    made = table.loc["predicted", "none", "any"]
    assert made["auroc"] == pytest.approx(auroc, abs=1e-9)
    assert made["auprc"] == pytest.approx(area, abs=1e-9)
    assert 0.55 < auroc < 0.95


def test_where_nothing_is_planted_there_is_nothing_to_find(tmp_path):
    _, file, _truth, read = scored(tmp_path, masks_of=simple)
    for planted in (segments([]), segments([("elsewhere", "phylum", 3, 20)])):
        table = localization(file, read, planted, 3)
        assert table["auprc"].isna().all()
        assert table["auroc"].isna().all()
        assert (table["base_rate"] == 0).all()


def test_masks_for_labels_are_judged_where_there_is_a_label(tmp_path):
    read = scored(tmp_path, masks_of=simple)[3]
    file = TokenFile(tmp_path / "t.arrow", RANKS)
    rows = [(f"f:{i}", RANKS[0], 0, 12) for i in range(0, 30, 2)]
    full = localization(file, read, segments(rows), 3).set_index(["classes", "control", "planted"])
    file.labels[:10] = -1
    made = localization(file, read, segments(rows), 3).set_index(["classes", "control", "planted"])
    assert (made.loc["labels", "sequences"] == 20).all()
    assert (made.loc["predicted", "sequences"] == 30).all()
    assert made.loc["predicted"].equals(full.loc["predicted"])
    tokens = int((file.lengths[10:] - 1).sum())
    assert (made.loc["labels", "tokens"] == tokens).all()
    planted = naive_planted(file, segments(rows))[10:].sum()
    for truth_name in ("any", RANKS[0]):
        row = made.loc["labels", "none", truth_name]
        assert row["base_rate"] == pytest.approx(planted / tokens)


def noise(truth, rng):
    return {
        choice: np.round(4 * rng.random(truth.shape) + truth) / 8
        for choice in ("labels", "predicted", "wrong")
    }


@pytest.mark.parametrize("seed", range(3))
def test_the_mean_over_the_sequences_against_scikit_learn(tmp_path, seed):
    table, file, truth, read = scored(tmp_path, seed, noise)
    moved = shifted(read.masks["predicted"], read.content, read.keys, 3)
    for control, mask in (("none", read.masks["predicted"]), ("shifted", moved)):
        values, shares = [], []
        for row, length in enumerate(file.lengths):
            own = truth[row, 1:length]
            if own.any() and not own.all():
                values.append(average_precision_score(own, mask[row, 1:length]))
                shares.append(own.mean())
        made = table.loc["predicted", control, "any"]
        assert 10 < len(values) < 30
        assert made["mean_sequences"] == len(values)
        assert made["mean_auprc"] == pytest.approx(np.mean(values))
        assert made["mean_base_rate"] == pytest.approx(np.mean(shares))
        error = np.std(values) / len(values) ** 0.5
        assert made["mean_auprc"] - made["mean_low"] == pytest.approx(2 * error, rel=0.25)
        assert made["mean_high"] - made["mean_auprc"] == pytest.approx(2 * error, rel=0.25)
    own, control = (table.loc["predicted", name, "any"] for name in ("none", "shifted"))
    assert own["mean_auprc"] > control["mean_auprc"]


def test_long_sequences_do_not_outweigh_short_ones_in_the_mean(tmp_path):
    """One known token of two and one of twenty: 1 and 1/20 have the mean 0.525."""
    ids = ["f:short", "f:long"]
    file = token_file(tmp_path / "t.arrow", ["A" * 12, "A" * 120], ids)
    short, long = np.array([1, 0.9, 0.1]), np.append(1, np.linspace(0.1, 0.9, 20))
    masks = {choice: [short, long] for choice in ("labels", "predicted", "wrong")}
    write_masks(tmp_path / "m.parquet", file, dict.fromkeys(masks, np.zeros((2, 1), int)), masks)
    rows = [("f:short", "tRNA", 0, 6), ("f:long", "rRNA", 0, 6)]
    table = localization(file, MaskFile(tmp_path / "m.parquet", RANKS), segments(rows), 3)
    table = table.set_index(["classes", "control", "planted"]).loc["labels", "none"]
    assert table["mean_auprc"].to_dict() == pytest.approx(
        {"any": 0.525, "tRNA": 1.0, "rRNA": 1 / 20}
    )
    assert table["mean_base_rate"].to_dict() == pytest.approx(
        {"any": (1 / 2 + 1 / 20) / 2, "tRNA": 1 / 2, "rRNA": 1 / 20}
    )
    assert table["mean_sequences"].to_dict() == {"any": 2, "tRNA": 1, "rRNA": 1}
    assert table["mean_low"].isna().tolist() == [False, True, True]  # one value has no spread


def test_sequences_of_unknown_places_do_not_count(tmp_path):
    file = token_file(tmp_path / "t.arrow", ["A" * 12, "A" * 12 + "X"], ["f:0", "f:1"])
    made = [np.array([1, 0.9, 0.1]), np.array([1, 0.1, 0.9, 0.9])]
    masks = dict.fromkeys(("labels", "predicted", "wrong"), made)
    write_masks(tmp_path / "m.parquet", file, dict.fromkeys(masks, np.zeros((2, 1), int)), masks)
    rows = [("f:0", "a", 0, 6), ("f:1", "a", 0, 6)]
    table = localization(file, MaskFile(tmp_path / "m.parquet", RANKS), segments(rows), 3)
    assert (table["sequences"] == 1).all()
    assert (table["tokens"] == 2).all()
    assert (table["base_rate"] == 0.5).all()
