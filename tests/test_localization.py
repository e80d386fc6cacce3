from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers_evaluation import write_masks, write_tokens

from whatyouread.cli import UserError
from whatyouread.localization import localization, planted_tokens, read_planted
from whatyouread.mask_files import MaskFile
from whatyouread.tokens import VOCABULARY, encode

RANKS = ["genus"]


def token_file(path, texts, ids=None):
    flat, offsets = encode(texts)
    sequences = [flat[a:b] for a, b in pairwise(offsets)]
    labels = np.arange(len(texts))[:, None] % 3
    return write_tokens(path, sequences, labels, ids=ids, ranks=RANKS)


def segments(rows):
    frame = pd.DataFrame(rows, columns=["id", "rank", "start", "end"])
    return frame.astype({"start": int, "end": int})


def naive_planted(file, planted):
    """Walk along the bases of each token, and count those that some segment holds."""
    result = np.zeros((len(file), file.lengths.max()), bool)
    for row, name in enumerate(file.ids.to_pylist()):
        own = planted[planted["id"] == name]
        inside = {b for a, e in zip(own["start"], own["end"], strict=True) for b in range(a, e)}
        base = 0
        for place, token in enumerate(file.tokens(np.array([row]))[0]):
            text = VOCABULARY[token]
            if text.startswith("<"):
                continue
            covered = sum(b in inside for b in range(base, base + len(text)))
            result[row, place] = 2 * covered >= len(text)
            base += len(text)
    return result


def random_texts(rng, n):
    return [
        "".join(rng.choice(list("ACGTN"), size, p=[0.24, 0.24, 0.24, 0.24, 0.04]))
        for size in rng.integers(1, 150, n)
    ]


@pytest.mark.parametrize("seed", range(20))
def test_equal_to_a_loop_over_the_bases(tmp_path, seed):
    rng = np.random.default_rng(seed)
    texts = random_texts(rng, 8)
    file = token_file(tmp_path / "t.arrow", texts, ids=[f"f:{i}" for i in range(8)])
    rows = []
    for _ in range(int(rng.integers(0, 30))):
        i = int(rng.integers(8))
        start, end = sorted(rng.integers(0, len(texts[i]) + 1, 2).tolist())
        rows.append((f"f:{i}", "genus", start, end))
    rows.append(("f:99", "genus", 0, 1000))  # of a sequence that is in another split
    planted = segments(rows).sample(frac=1, random_state=seed)
    np.testing.assert_array_equal(planted_tokens(file, planted), naive_planted(file, planted))


def test_at_least_half_by_hand(tmp_path):
    # <cls> AAAAAA CCCCCC GGGGGG N T T A
    file = token_file(tmp_path / "t.arrow", ["AAAAAACCCCCCGGGGGGNTTA"], ids=["a"])
    assert [VOCABULARY[t] for t in file.tokens(np.array([0]))[0]] == [
        *["<cls>", "AAAAAA", "CCCCCC", "GGGGGG", "N", "T", "T", "A"]
    ]

    def found(*rows):
        planted = segments([("a", "genus", *row) for row in rows])
        return np.flatnonzero(planted_tokens(file, planted)[0]).tolist()

    assert found() == []
    assert found((3, 9)) == [1, 2]  # three bases of each
    assert found((4, 9)) == [2]
    assert found((3, 8)) == [1]
    assert found((0, 22)) == [1, 2, 3, 4, 5, 6, 7]
    assert found((18, 19)) == [4]
    assert found((19, 21)) == [5, 6]
    assert found((21, 22)) == [7]
    assert found((5, 5)) == []
    # two segments that overlap count a base once; two that add up count together
    assert found((6, 8), (6, 8)) == []
    assert found((6, 8), (7, 9)) == [2]
    assert found((6, 7), (8, 9), (10, 11)) == [2]


def test_unknown_tokens_have_no_place(tmp_path):
    file = token_file(tmp_path / "t.arrow", ["AAAAAAXCC"])
    with pytest.raises(UserError, match="<unk>"):
        planted_tokens(file, segments([]))


def test_read_planted_has_the_ids_of_token_files(tmp_path):
    table = {
        "source": pa.array(["a.fa", "a.fa", "b.fa"]).dictionary_encode(),
        "header": ["7 0", "9 1", "7 0"],
        "rank": ["genus", "phylum", "genus"],
        "start": [1, 2, 3],
        "end": [4, 5, 6],
    }
    pq.write_table(pa.table(table), tmp_path / "planted.parquet")
    planted = read_planted(tmp_path / "planted.parquet")
    assert planted["id"].tolist() == ["a.fa:7 0", "a.fa:9 1", "b.fa:7 0"]
    assert planted["end"].tolist() == [4, 5, 6]


def test_simulated_data(tmp_path):
    """The simulator's positions and ids are those of the tokenized sequences."""
    from whatyouread.sequences import read_sequences
    from whatyouread.simulated_archives import write_dataset
    from whatyouread.simulation import Settings, Simulation

    settings = Settings(
        sequences=400, length=300, superkingdoms=4, phyla=8, genera=20, segment_length=40,
        segments_per_phylum=2, segments_per_genus=2, planted_per_sequence=[1, 2],
        mutation_rate=0.0, both_strands=False, superkingdom_spread=0.1, phylum_spread=0.03,
        genus_size_spread=0.4,
    )  # fmt: skip
    made = Simulation(settings, 1)
    write_dataset(made, tmp_path / "dataset.zip", tmp_path / "planted.parquet")
    texts, ids = [], []
    for batch in read_sequences(tmp_path / "dataset.zip"):
        whole = batch.bases.tobytes().decode()
        texts += [whole[a:b] for a, b in pairwise(batch.offsets)]
        ids += [f"{batch.source}:{header}" for header in batch.headers.to_pylist()]
    file = token_file(tmp_path / "t.arrow", texts, ids)
    planted = read_planted(tmp_path / "planted.parquet")
    assert set(planted["id"]) <= set(ids)
    np.testing.assert_array_equal(planted_tokens(file, planted), naive_planted(file, planted))
    # without mutations each segment is the same text wherever it lies, but for an N
    text = dict(zip(ids, texts, strict=True))
    for _, own in planted.groupby("segment"):
        pieces = [text[r["id"]][r["start"] : r["end"]] for r in own.to_dict("records")]
        assert len({piece for piece in pieces if "N" not in piece}) <= 1


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
    masks["labels"][:, 0] = 1 - masks["labels"][:, 0]  # <cls>: of no account
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
