import json

import numpy as np
import pytest
import torch
from helpers_evaluation import CPU, Counter, random_file, small_explanandum

from whatyouread.chunks import Chunks, classify_chunks, find_chunks
from whatyouread.tokens import CLS, FIRST_KMER, PAD


def as_tuples(chunks):
    return list(zip(*(field.tolist() for field in chunks), strict=True))


def naive_chunks(rounded, lengths, first):
    found = []
    for row, length in enumerate(lengths):
        start = first
        for i in range(first, length):
            if i + 1 == length or rounded[row][i + 1] != rounded[row][i]:
                found.append((row, start, i + 1, bool(rounded[row][i])))
                start = i + 1
    return found


def test_reference_chunks(shared):
    cases = json.loads((shared / "data/reference/losses.json").read_text())["cases"]
    for case in cases:
        # what the masks say beyond a length is of no account: 1 there must change nothing
        masks = np.ones((case["B"], case["L"]))
        for i, row in enumerate(case["rows"]):
            masks[i, : len(row["target_mask"])] = row["target_mask"]
        chunks = find_chunks(masks > 0.5, np.array(case["lengths"]), first=0)
        expected = [
            (i, start, end, bool(relevant))
            for i, row in enumerate(case["rows"])
            for start, end, relevant in row["chunks"]
        ]
        assert as_tuples(chunks) == expected


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("seed", range(30))
def test_equal_to_a_loop(seed, first):
    rng = np.random.default_rng(seed)
    rounded = rng.random((7, 13)) < rng.choice([0.1, 0.5, 0.9])
    lengths = rng.integers(1, 14, 7)
    lengths[rng.integers(7)] = 13
    assert as_tuples(find_chunks(rounded, lengths, first)) == naive_chunks(rounded, lengths, first)


def test_cls_is_left_out_and_padding_ends_a_chunk():
    rounded = np.array([[1, 1, 0, 0, 1, 1], [1, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]], bool)
    chunks = find_chunks(rounded, np.array([6, 3, 1]))
    assert as_tuples(chunks) == [
        (0, 1, 2, True),
        (0, 2, 4, False),
        (0, 4, 6, True),
        (1, 1, 2, False),
        (1, 2, 3, True),
    ]  # and the third sequence has no token but <cls>


def test_no_chunks_at_all():
    for rounded in (np.ones((2, 1), bool), np.zeros((2, 4), bool)):
        assert as_tuples(find_chunks(rounded, np.array([1, 1]))) == []


def naive_probabilities(model, tokens, chunks):
    """Each chunk alone, in a batch of its own, behind a <cls>; the mean of the probabilities."""
    result = [np.full((len(tokens), n), np.nan) for n in model.class_counts]
    for row in range(len(tokens)):
        alone = []
        for sequence, start, end, _ in as_tuples(chunks):
            if sequence == row:
                piece = torch.tensor([[CLS, *tokens[row, start:end]]])
                with torch.no_grad():
                    alone.append([rank.softmax(-1)[0].numpy() for rank in model(piece)])
        for rank, values in enumerate(zip(*alone, strict=True)):
            result[rank][row] = np.mean(values, axis=0)
    return result


@pytest.fixture(scope="module")
def some(tmp_path_factory):
    file = random_file(tmp_path_factory.mktemp("chunks") / "tokens.arrow", 9)
    tokens = file.tokens(np.arange(9))
    rounded = np.random.default_rng(1).random(tokens.shape) < 0.5
    rounded[4] = True
    chunks = find_chunks(rounded, file.lengths)
    return tokens, chunks


@pytest.mark.parametrize("relevant", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_probabilities_equal_those_of_a_loop(some, relevant, pooling):
    tokens, chunks = some
    model = small_explanandum(3, pooling)
    chosen = Chunks(*(field[chunks.relevant == relevant] for field in chunks))
    made = classify_chunks(model, tokens, chosen, 200, CPU)
    expected = naive_probabilities(model, tokens, chosen)
    for one, other in zip(made, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
        assert one.dtype == np.float32
    # a sequence without a chunk has no answer; the others have probabilities
    without = ~np.isin(np.arange(len(tokens)), chosen.sequence)
    assert without[4] == (not relevant)
    assert np.isnan(made[0][without]).all()
    np.testing.assert_allclose(made[0][~without].sum(1), 1, atol=1e-5)


@pytest.mark.parametrize("batch_tokens", [1, 17, 64, 100_000])
def test_the_size_of_the_batches_does_not_matter(some, batch_tokens):
    tokens, chunks = some
    model = small_explanandum(3)
    whole = classify_chunks(model, tokens, chunks, 1000, CPU)
    parts = classify_chunks(model, tokens, chunks, batch_tokens, CPU)
    for one, other in zip(parts, whole, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_batches_hold_no_more_tokens_than_allowed(some, monkeypatch):
    from whatyouread import predict as module

    tokens, chunks = some
    shapes = []
    classify = module.classify

    def watched(model, batch, *rest):
        shapes.append(batch.shape)
        assert (batch[:, 0] == CLS).all()
        return classify(model, batch, *rest)

    monkeypatch.setattr(module, "classify", watched)
    classify_chunks(small_explanandum(), tokens, chunks, 40, CPU)
    assert sum(rows for rows, _ in shapes) == len(chunks.start)
    assert all(rows * width <= 40 or rows == 1 for rows, width in shapes)
    assert len(shapes) < len(chunks.start) / 2  # short chunks share a batch


def test_average_by_hand():
    # Class 0 for marker 0, class 1 for marker 1; logits 6 x the share of the tokens, <cls> included.
    model = Counter([[[1, 0], [0, 1]]], [[0, 0]])
    a, b = FIRST_KMER, FIRST_KMER + 1
    tokens = np.array([[CLS, a, b, b, a, PAD], [CLS, b, b, b, b, b]])
    chunks = Chunks(*map(np.array, ([0, 0], [1, 2], [2, 4], [True, True])))
    (made,) = classify_chunks(model, tokens, chunks, 100, CPU)
    of_a = np.exp(3) / (np.exp(3) + 1)  # [<cls> a]: half of the tokens
    of_bb = np.exp(4) / (np.exp(4) + 1)  # [<cls> b b]: two thirds
    np.testing.assert_allclose(made[0], [(of_a + 1 - of_bb) / 2, (1 - of_a + of_bb) / 2], atol=1e-6)
    assert np.isnan(made[1]).all()
