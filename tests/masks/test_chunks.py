import json

import numpy as np
import pytest
import torch
from helpers_batches import LETTERS, batch_of, letters
from helpers_batches import PAD as NO_LETTER
from helpers_evaluation import BACKBONE, CLASSES, CPU, Counter, random_file, small_explanandum

from whatyouread.data.six_mers import CLS, FIRST_KMER, PAD, SIX_MERS
from whatyouread.data.tokenizers import TOKENIZERS
from whatyouread.evaluate.chunk_predictions import classify_chunks
from whatyouread.masks.chunks import Chunks, find_chunks
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.inference import Passes


def as_tuples(chunks):
    return list(zip(*(field.tolist() for field in chunks), strict=True))


def places(lengths, first, width):
    """Content from the place `first` up to the lengths, bool (n, width)."""
    place = np.arange(width)
    return (place >= first) & (place < np.asarray(lengths)[:, None])


def passes(model):
    return Passes(model, 8, CPU)


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
        # mask values beyond a length are ignored: 1 there must change nothing
        masks = np.ones((case["B"], case["L"]))
        for i, row in enumerate(case["rows"]):
            masks[i, : len(row["target_mask"])] = row["target_mask"]
        chunks = find_chunks(masks > 0.5, places(case["lengths"], 0, case["L"]))
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
    made = find_chunks(rounded, places(lengths, first, 13))
    assert as_tuples(made) == naive_chunks(rounded, lengths, first)


def test_cls_is_left_out_and_padding_ends_a_chunk():
    rounded = np.array([[1, 1, 0, 0, 1, 1], [1, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]], bool)
    chunks = find_chunks(rounded, places([6, 3, 1], 1, 6))
    assert as_tuples(chunks) == [
        (0, 1, 2, True),
        (0, 2, 4, False),
        (0, 4, 6, True),
        (1, 1, 2, False),
        (1, 2, 3, True),
    ]  # and the third sequence has no token but <cls>


def test_no_chunks_at_all():
    for rounded in (np.ones((2, 1), bool), np.zeros((2, 4), bool)):
        assert as_tuples(find_chunks(rounded, places([1, 1], 1, rounded.shape[1]))) == []


def test_special_tokens_at_both_ends_are_left_out():
    batch = letters("abcd", "ab", "")
    rounded = np.array([[1, 1, 0, 0, 1, 1], [0, 0, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1]], bool)
    assert as_tuples(find_chunks(rounded, batch.content)) == [
        (0, 1, 2, True),
        (0, 2, 4, False),
        (0, 4, 5, True),
        (1, 1, 3, False),
    ]


def test_a_special_token_within_the_content_parts_two_chunks():
    content = np.array([[0, 1, 1, 0, 1, 1]], bool)
    assert as_tuples(find_chunks(np.ones((1, 6), bool), content)) == [
        (0, 1, 3, True),
        (0, 4, 6, True),
    ]


def naive_probabilities(model, tokens, chunks, tokenizer=SIX_MERS):
    """Each chunk alone, in a batch of its own, between special tokens; the mean of the probabilities."""
    result = [np.full((len(tokens), n), np.nan) for n in model.class_counts]
    for row in range(len(tokens)):
        alone = []
        for sequence, start, end, _ in as_tuples(chunks):
            if sequence == row:
                ids = [[*tokenizer.before, *tokens[row, start:end], *tokenizer.after]]
                piece = batch_of(ids, tokenizer).to("cpu")
                with torch.no_grad():
                    alone.append([rank.softmax(-1)[0].numpy() for rank in model(piece)])
        for rank, values in enumerate(zip(*alone, strict=True)):
            result[rank][row] = np.mean(values, axis=0)
    return result


@pytest.fixture(scope="module")
def some(tmp_path_factory):
    file = random_file(tmp_path_factory.mktemp("chunks") / "tokens.arrow", 9)
    batch = file.batch(np.arange(9))
    rounded = np.random.default_rng(1).random(batch.ids.shape) < 0.5
    rounded[4] = True
    return batch.ids, find_chunks(rounded, batch.content)


@pytest.mark.parametrize("relevant", [True, False])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_probabilities_equal_those_of_a_loop(some, relevant, pooling):
    tokens, chunks = some
    model = small_explanandum(3, pooling)
    chosen = Chunks(*(field[chunks.relevant == relevant] for field in chunks))
    made = classify_chunks(passes(model), tokens, chosen, 200)
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
    whole = classify_chunks(passes(model), tokens, chunks, 1000)
    parts = classify_chunks(passes(model), tokens, chunks, batch_tokens)
    for one, other in zip(parts, whole, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


class Watched(Passes):
    """Keeps the shapes of the batches that are classified."""

    def __init__(self, *settings):
        super().__init__(*settings)
        self.shapes = []

    def logits(self, batch, mask=None):
        self.shapes.append(batch.ids.shape)
        assert (batch.ids[:, 0] == self.explanandum.tokenizer.before[0]).all()
        assert mask is None
        return super().logits(batch, mask)


def test_batches_hold_no_more_tokens_than_allowed(some):
    tokens, chunks = some
    watched = Watched(small_explanandum(), 8, CPU)
    assert watched.explanandum.tokenizer.before == (CLS,)
    classify_chunks(watched, tokens, chunks, 40)
    shapes = watched.shapes
    assert sum(rows for rows, _ in shapes) == len(chunks.start)
    assert all(rows * width <= 40 or rows == 1 for rows, width in shapes)
    assert len(shapes) < len(chunks.start) / 2  # short chunks share a batch


@pytest.mark.parametrize("batch_tokens", [1, 13, 10_000])
def test_a_chunk_gets_special_tokens_of_its_own_at_both_ends(monkeypatch, batch_tokens):
    monkeypatch.setitem(TOKENIZERS, "letters", LETTERS)
    torch.manual_seed(1)
    backbone = BACKBONE | {"vocab_size": len(LETTERS), "pad_token_id": NO_LETTER}
    model = Explanandum(backbone | {"initializer_range": 0.4}, CLASSES, tokenizer="letters").eval()
    batch = letters("thequickbrown", "fox", "jumpsoverthe", "x")
    rounded = np.random.default_rng(2).random(batch.ids.shape) < 0.5
    chunks = find_chunks(rounded, batch.content)
    watched = Watched(model, 8, CPU)
    made = classify_chunks(watched, batch.ids, chunks, batch_tokens)
    assert all(rows * width <= batch_tokens or rows == 1 for rows, width in watched.shapes)
    expected = naive_probabilities(model, batch.ids, chunks, LETTERS)
    for one, other in zip(made, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert np.ptp(made[1], axis=0).max() > 0.01  # or the comparison says nothing


def test_average_by_hand():
    # Class 0 for marker 0, class 1 for marker 1; logits 6 x the share of the tokens, <cls> included.
    model = Counter([[[1, 0], [0, 1]]], [[0, 0]])
    a, b = FIRST_KMER, FIRST_KMER + 1
    tokens = np.array([[CLS, a, b, b, a, PAD], [CLS, b, b, b, b, b]])
    chunks = Chunks(*map(np.array, ([0, 0], [1, 2], [2, 4], [True, True])))
    (made,) = classify_chunks(passes(model), tokens, chunks, 100)
    of_a = np.exp(3) / (np.exp(3) + 1)  # [<cls> a]: half of the tokens
    of_bb = np.exp(4) / (np.exp(4) + 1)  # [<cls> b b]: two thirds
    np.testing.assert_allclose(made[0], [(of_a + 1 - of_bb) / 2, (1 - of_a + of_bb) / 2], atol=1e-6)
    assert np.isnan(made[1]).all()
