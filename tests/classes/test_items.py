"""From scores per token to items of a sequence, by hand and against plain loops."""

import numpy as np
import pandas as pd
import pytest
from helpers_batches import batch_of

from whatyouread.classes.items import (
    Kmers,
    Tokens,
    best_of_documents,
    kmers,
    normalised,
    read_counts,
    read_selections,
    select_items,
    write_selections,
)
from whatyouread.data.batch import Batch, padded
from whatyouread.data.residues import RESIDUES
from whatyouread.data.six_mers import SIX_MERS, SIX_MERS_V1
from whatyouread.support.cli import UserError

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def canonical(kmer: str) -> str:
    return min(kmer, kmer.translate(COMPLEMENT)[::-1])


both_vocabularies = pytest.mark.parametrize("tokenizer", [SIX_MERS, SIX_MERS_V1])


def tokenized(sequences: list[str], tokenizer=SIX_MERS) -> Batch:
    text = np.frombuffer("".join(sequences).encode(), np.uint8)
    ends = np.append(0, np.cumsum([len(sequence) for sequence in sequences]))
    tokens, offsets = tokenizer.tokenize(text, ends)
    lengths = np.diff(offsets)
    ids = padded(tokens, offsets[:-1], lengths, tokenizer.pad)
    return Batch.of(ids, lengths, tokenizer)


def select(
    batch, scores, kind="kmer", keys=None, k=4, best=1000, min_score=0.0, seed=1, tokenizer=SIX_MERS
):
    keys = np.arange(len(batch), dtype=np.uint64) if keys is None else keys
    items = Kmers(k, tokenizer) if kind == "kmer" else Tokens(tokenizer)
    rows = np.arange(len(batch))
    row, code, score = select_items(
        items, rows, batch, scores, keys, best=best, min_score=min_score, seed=seed
    )
    return row, items.names(code), score


def test_the_norm_leaves_out_cls_and_padding():
    scores = np.array([[9.0, 3.0, -4.0, 7.0], [1.0, 0.0, 0.0, 0.0]])
    content = np.array([[False, True, True, False], [False, True, True, True]])
    made = normalised(scores, content)
    np.testing.assert_allclose(made, [[0, 0.6, -0.8, 0], [0, 0, 0, 0]], atol=1e-6)


@pytest.mark.parametrize("k", [1, 3, 8, 31])
def test_kmers_are_canonical_and_skip_other_letters(k):
    generator = np.random.default_rng(k)
    text = "".join(generator.choice(list("ACGTN"), 400, p=[0.24, 0.25, 0.25, 0.25, 0.01]))
    starts, codes = kmers(np.frombuffer(text.encode(), np.uint8), k)
    expected = [i for i in range(len(text) - k + 1) if "N" not in text[i : i + k]]
    assert starts.tolist() == expected
    assert Kmers(k).names(codes) == [canonical(text[i : i + k]) for i in expected]


def test_a_sequence_and_its_reverse_complement_have_the_same_kmers():
    text = "ATTGCCATAGGCTTACGAT"
    turned = text.translate(COMPLEMENT)[::-1]
    one, other = (kmers(np.frombuffer(t.encode(), np.uint8), 5)[1].tolist() for t in (text, turned))
    assert one == other[::-1]


@both_vocabularies
def test_kmers_against_plain_loops(tokenizer):
    generator = np.random.default_rng(5)
    sequences = [
        "".join(generator.choice(list("ACGTN"), n, p=[0.24, 0.24, 0.24, 0.24, 0.04]))
        for n in (53, 20, 3, 71)
    ] + ["ACGTXXACGTACGA"]
    batch = tokenized(sequences, tokenizer)
    scores = generator.normal(size=batch.ids.shape)
    row, names, score = select(batch, scores, k=4, tokenizer=tokenizer)
    got = {(r, n): s for r, n, s in zip(row, names, score, strict=True)}
    expected = {}
    for r in range(len(sequences)):
        letters, values, length = "", [], batch.lengths[r]
        for token, value in zip(batch.ids[r, :length], scores[r, :length], strict=True):
            spelt = tokenizer.vocabulary[token]
            if spelt == "<cls>":
                continue
            spelt = "?" if spelt.startswith("<") else spelt
            letters += spelt
            values += [value] * len(spelt)
        for i in range(len(letters) - 3):
            word = letters[i : i + 4]
            mean = np.mean(values[i : i + 4])
            if set(word) <= set("ACGT") and mean > 0:
                key = (r, canonical(word))
                expected[key] = max(expected.get(key, -1), mean)
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        assert got[key] == pytest.approx(value, abs=1e-5)


@both_vocabularies
def test_tokens_are_items_as_they_are_read(tokenizer):
    batch = tokenized(["ATCGATGGGGGGATCGATNCC"], tokenizer)
    scores = np.array([[50.0, 2.0, -1.0, 5.0, 9.0, 9.0, 9.0]])
    row, names, score = select(batch, scores, kind="token", tokenizer=tokenizer)
    # the higher of two places; neither <cls>, nor N, nor single bases, nor what is below zero
    assert names == ["ATCGAT"]
    assert score.tolist() == [5.0]
    assert row.tolist() == [0]


def test_the_best_of_each_sequence_are_taken_and_ties_are_drawn():
    generator = np.random.default_rng(2)
    tokens = generator.permutation(np.arange(6, 4102))[:400].reshape(4, 100)
    tokens[:, 0] = 3
    batch = batch_of(tokens)
    scores = generator.normal(size=tokens.shape)
    row, names, score = select(batch, scores, kind="token", best=7)
    assert np.bincount(row).tolist() == [7] * 4
    for r in range(4):
        best = np.argsort(-scores[r, 1:])[:7] + 1
        assert [SIX_MERS.vocabulary[t] for t in tokens[r, best]] == names[7 * r : 7 * r + 7]
        assert (np.diff(score[row == r]) <= 0).all()
    flat = np.ones(tokens.shape)
    first, second = (select(batch, flat, "token", best=7, seed=s)[1] for s in (1, 2))
    assert first != second
    assert first == select(batch, flat, "token", best=7, seed=1)[1]
    alphabetical = sorted(SIX_MERS.vocabulary[t] for t in tokens[0, 1:])
    assert sorted(first[:7]) not in (alphabetical[:7], alphabetical[-7:])


def test_what_is_selected_does_not_depend_on_the_neighbours():
    generator = np.random.default_rng(3)
    batch = tokenized(["".join(generator.choice(list("ACGT"), n)) for n in (60, 120, 90)])
    scores = generator.integers(0, 3, batch.ids.shape).astype(float)
    keys = np.array([7, 8, 9], np.uint64)
    row, names, score = select(batch, scores, keys=keys, best=10)
    alone = select(batch.alone(2), scores[2:, : batch.lengths[2]], keys=keys[2:], best=10)
    assert alone[1] == [n for n, r in zip(names, row, strict=True) if r == 2]
    np.testing.assert_array_equal(alone[2], score[row == 2])
    assert (batch.ids[0, batch.lengths[0] :] == SIX_MERS.pad).all()


def test_only_what_is_above_the_minimum():
    batch = tokenized(["ATCGATGGGGGG"])
    scores = np.array([[0.9, 0.5, 0.6]])
    assert select(batch, scores, "token", min_score=0.5)[1] == ["GGGGGG"]


def test_selections_are_kept(tmp_path):
    about = {"run": 1, "source": "explainer", "rank": "genus", "class": 3}
    sequences = pd.DataFrame([about | {"key": np.uint64(2**63 + 5)}, about | {"key": np.uint64(7)}])
    chosen = pd.DataFrame(
        [about | {"key": np.uint64(7), "kind": "kmer", "item": "ACGT", "score": np.float32(0.5)}]
    )
    path = tmp_path / "selections.parquet"
    write_selections(path, chosen, sequences)
    read, looked_at = read_selections([path, path])
    assert len(read) == 2
    assert read.loc[0].to_dict() == chosen.loc[0].to_dict()
    assert looked_at["key"].tolist() == [2**63 + 5, 7] * 2
    with pytest.raises(UserError, match="is not there"):
        read_selections([tmp_path / "no.parquet"])
    path.write_bytes(b"nonsense")
    with pytest.raises(UserError, match="is damaged"):
        read_selections([path])


def test_what_was_left_out_is_kept_beside_the_selections(tmp_path):
    about = {"run": 0, "source": "s", "rank": "genus", "class": 3, "key": np.uint64(7)}
    chosen = pd.DataFrame([about | {"kind": "word", "item": "hus", "score": np.float32(0.5)}])
    paths = [tmp_path / f"{number}.parquet" for number in range(3)]
    for path, words in zip(paths, (2, 5, None), strict=True):
        counts = words and {"source": "s", "kind": "word", "words": words, "numbers": 1}
        write_selections(path, chosen, pd.DataFrame([about]), counts)
    total = read_counts(paths)
    assert total.to_dict("records") == [{"source": "s", "kind": "word", "words": 7, "numbers": 2}]
    assert read_counts(paths[2:]) is None


def test_the_best_items_of_a_text_in_windows():
    """Key 1 has two windows: b counts once, with its higher score, and the best two are b and c."""
    about = {"rank": "register", "class": 0, "kind": "word"}
    rows = [
        (1, "a", 0.1),
        (1, "b", 0.2),
        (1, "c", 0.4),
        (1, "b", 0.5),
        (2, "a", 0.1),
        (2, "d", 0.05),
    ]
    frame = pd.DataFrame([about | {"key": k, "item": i, "score": s} for k, i, s in rows])
    kept = best_of_documents(frame, {"word": 2})
    assert list(zip(kept["key"], kept["item"], kept["score"], strict=True)) == [
        (1, "c", 0.4), (1, "b", 0.5), (2, "a", 0.1), (2, "d", 0.05)
    ]  # fmt: skip
    other = frame.assign(**{"class": [0, 0, 0, 1, 0, 0]})
    assert len(best_of_documents(other, {"word": 9})) == 6


def test_wrong_settings_are_errors():
    batch = tokenized(["ATCGATGGGGGG"])
    with pytest.raises(UserError, match="1 to 31"):
        select(batch, np.ones(batch.ids.shape), k=40)
    with pytest.raises(UserError, match="k-mers are made of six-mers"):
        Kmers(8, RESIDUES)
