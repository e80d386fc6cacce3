"""Batches for training: their order, augmentation, and the workers that make them."""

import pickle
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from helpers_evaluation import random_file, write_tokens

from whatyouread.data.six_mers import FIRST_KMER, VOCABULARY, encode
from whatyouread.data.token_files import TokenFile
from whatyouread.training import batches as batches_module
from whatyouread.training.batches import Batches, EpochSampler, in_turn, loader


def text_of(tokens):
    return "".join(VOCABULARY[token] for token in tokens if token >= FIRST_KMER)


def variants(text):
    """(turned, skipped) -> tokens of the sequence read that way."""
    turned = text.translate(str.maketrans("ACGT", "TGCA"))[::-1]
    return {
        (strand, skip): encode([read[skip:]])[0].tolist()
        for strand, read in enumerate((text, turned))
        for skip in range(6)
    }


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ACGTN"), rng.integers(20, 40))) for _ in range(1500)]
    flat, offsets = encode(texts)
    sequences = [flat[a:b] for a, b in pairwise(offsets)]
    keys = rng.integers(0, 2**63, 1500, dtype=np.uint64)
    path = tmp_path_factory.mktemp("batches") / "t.arrow"
    return write_tokens(path, sequences, np.zeros((1500, 2), int), keys), texts


def test_lengths_are_those_of_what_is_read(many):
    file, _ = many
    rows = [5, 2, 7]
    lengths = Batches(file, 0).__getitems__(rows)["batch"].lengths
    assert isinstance(lengths, np.ndarray)
    np.testing.assert_array_equal(lengths, file.lengths[rows])
    # not of what is in the file
    batch = Batches(file, 3, True, True).__getitems__(list(range(50)))["batch"]
    np.testing.assert_array_equal(batch.lengths, (batch.ids.numpy() != 1).sum(1))
    np.testing.assert_array_equal(batch.lengths, batch.valid.numpy().sum(1))


def rows_of(item):
    return [[t for t in row if t != 1] for row in item["batch"].ids.tolist()]


def test_without_augmentation_nothing_changes(many):
    file, _ = many
    item = Batches(file, 0).__getitems__([5, 2, 1500 + 7, 4 * 1500 + 2])
    np.testing.assert_array_equal(item["batch"].ids, file.batch(np.array([5, 2, 7, 2])).ids)
    assert item["batch"].ids.dtype == item["labels"].dtype == torch.int64
    assert item["labels"].shape == (4, 2)


def test_reads_either_strand_from_any_base(many):
    file, texts = many
    batches = Batches(file, 3, reverse_complement=True, reading_offset=True)
    made = rows_of(batches.__getitems__(list(range(1500))))
    found = [
        next(way for way, tokens in variants(text).items() if tokens == row)
        for text, row in zip(texts, made, strict=True)
    ]
    turned, skipped = np.array(found).T
    assert turned.mean() == pytest.approx(0.5, abs=0.05)
    np.testing.assert_allclose(np.bincount(skipped, minlength=6) / 1500, 1 / 6, atol=0.04)
    # the two draws have nothing to do with each other
    assert abs(np.corrcoef(turned, skipped)[0, 1]) < 0.1


@pytest.mark.parametrize(("turn", "shift"), [(True, False), (False, True)])
def test_each_augmentation_alone(many, turn, shift):
    file, texts = many
    made = rows_of(Batches(file, 3, turn, shift).__getitems__(list(range(300))))
    ways = {
        next(way for way, tokens in variants(text).items() if tokens == row)
        for text, row in zip(texts[:300], made, strict=True)
    }
    assert ways == ({(0, 0), (1, 0)} if turn else {(0, skip) for skip in range(6)})


def test_augmentation_belongs_to_sequence_and_epoch(many):
    file, _ = many
    batches = Batches(file, 3, True, True)
    numbers = [7 * 1500 + row for row in range(40)]
    whole = rows_of(batches.__getitems__(numbers))
    order = np.random.default_rng(1).permutation(40)
    for start in range(0, 40, 13):  # other batches, in another order, among other epochs
        part = order[start : start + 13]
        mixed = [number for i in part for number in (numbers[i], i)]
        made = rows_of(batches.__getitems__(mixed))[::2]
        assert made == [whole[i] for i in part]
    other_epoch = rows_of(batches.__getitems__([8 * 1500 + row for row in range(40)]))
    other_seed = rows_of(Batches(file, 4, True, True).__getitems__(numbers))
    for other in (other_epoch, other_seed):
        assert np.mean([one != two for one, two in zip(whole, other, strict=True)]) > 0.7


def test_labels_go_with_their_sequences(tmp_path):
    file = random_file(tmp_path / "t.arrow", 20)
    batch = Batches(file, 0, True, True).__getitems__([3, 20 + 17, 60 + 0])
    assert batch["labels"].tolist() == file.labels[[3, 17, 0]].tolist()


EVEN = np.full(50, 9)


def flat(sampler):
    return [number for batch in sampler for number in batch]


def test_sampler_covers_all_rows_once_in_every_epoch():
    sampler = EpochSampler(EVEN, 8, 1)
    assert len(sampler) == 7
    orders = []
    for epoch in (0, 1, 7):
        sampler.start_at(epoch)
        batches = list(sampler)
        assert [len(batch) for batch in batches] == [8] * 6 + [2]
        assert list(sampler) == batches
        assert {number // 50 for number in flat(sampler)} == {epoch}
        orders.append([number % 50 for number in flat(sampler)])
        assert sorted(orders[-1]) == list(range(50))
        sampler.start_at(epoch, 5)  # the rest of it
        assert list(sampler) == batches[5:]
    assert orders[0] != orders[1] != orders[2] != orders[0]
    assert orders[0] != list(range(50))
    assert flat(EpochSampler(EVEN, 8, 2)) != orders[0]
    again = EpochSampler(
        EVEN, 5, 1
    )  # the epoch alone counts, not what came before it, nor the size
    again.start_at(7)
    assert [number % 50 for number in flat(again)] == orders[2]


def test_batches_have_sequences_of_like_length():
    """Each pool is the random order's, sorted; its batches come in random order, the smaller one last."""
    rows, size = 2 * batches_module.POOL * 4 + 7, 4
    lengths = np.random.default_rng(0).integers(3, 400, rows)
    drawn = flat(EpochSampler(np.full(rows, 9), size, 1))
    made = list(EpochSampler(lengths, size, 1))
    assert [len(batch) for batch in made] == [size] * (rows // size) + [rows % size]
    turns = set()
    for first in range(0, rows // size, batches_module.POOL):
        pool = made[first : min(first + batches_module.POOL, rows // size)]
        of_pool = flat(pool)
        assert set(of_pool) == set(drawn[first * size : first * size + len(of_pool)])
        by_length = sorted(pool, key=lambda batch: (lengths[batch].min(), lengths[batch].max()))
        ranges = [(lengths[batch].min(), lengths[batch].max()) for batch in by_length]
        assert all(a[1] <= b[0] for a, b in pairwise(ranges))
        turns.add(tuple(by_length.index(batch) for batch in pool))
    assert len(turns) == 3
    padded = sum(len(batch) * lengths[batch].max() for batch in made) / lengths.sum()
    assert padded < 1.2
    sampler = EpochSampler(lengths, size, 1)
    sampler.start_at(1)
    assert sorted(number - rows for number in flat(sampler)) == list(range(rows))
    assert {tuple(batch) for batch in made} != {
        tuple(number - rows for number in batch) for batch in sampler
    }
    sampler.start_at(1, 11)
    rest = list(sampler)
    sampler.start_at(1)
    assert rest == list(sampler)[11:]


@pytest.mark.parametrize("rows", [50, 48, 5])
def test_processes_share_every_batch(rows):
    """The parts are of one size; what fills up the last batch are the rows that came first."""
    alone = list(EpochSampler(np.full(rows, 9), 8, 1))
    parts = [list(EpochSampler(np.full(rows, 9), 8, 1, process, 4)) for process in range(4)]
    assert {len(part) for part in parts} == {len(alone)}
    assert {len(batch) for part in parts for batch in part} == {2}
    together = [flat(batches) for batches in zip(*parts, strict=True)]
    assert together[:-1] == alone[:-1]
    missing = 8 - len(alone[-1])
    order = flat(alone)
    filling = order[:missing] if rows > 8 else (order + order)[:missing]
    assert together[-1] == alone[-1] + filling


def test_processes_share_the_validation_sequences():
    assert in_turn(10, 4) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    parts = [in_turn(9, 4, process, 2) for process in range(2)]
    assert parts == [[[0, 1], [4, 5], [8]], [[2, 3], [6, 7]]]


def small_and_sent(file):
    """A file that another process can open: its pickle holds where it is, not what is in it."""
    sent = pickle.dumps(file)
    assert len(sent) < 1000
    return pickle.loads(sent)


def test_a_token_file_is_sent_by_its_path(many, tmp_path, monkeypatch):
    file, _ = many
    monkeypatch.chdir(file.path.parent)
    here = small_and_sent(TokenFile(file.path.name, file.ranks))
    monkeypatch.chdir(tmp_path)
    for other in (here, small_and_sent(file)):
        assert other.path == file.path
        assert other.ranks == file.ranks
        np.testing.assert_array_equal(other.keys, file.keys)
        np.testing.assert_array_equal(other.batch(np.arange(9)).ids, file.batch(np.arange(9)).ids)


@pytest.mark.parametrize(
    "start",
    [
        "fork",
        # each worker imports torch
        pytest.param("forkserver", marks=pytest.mark.slow),
        pytest.param("spawn", marks=pytest.mark.slow),
    ],
)
def test_workers_do_not_change_the_batches(many, start):
    """However they start; `forkserver` is the default from Python 3.14 on."""
    file, _ = many

    def batches(workers):
        sampler = EpochSampler(file.lengths[:200], 32, 1)
        sampler.start_at(2)
        made = loader(Batches(file, 3, True, True), sampler, workers, pin=False)
        if workers:
            made.multiprocessing_context = start
        return list(made)

    alone, shared = batches(0), batches(2)
    assert len(alone) == len(shared) == 7
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one["batch"].ids, other["batch"].ids)
        assert torch.equal(one["labels"], other["labels"])


OTHER = "import os, sys; os.kill(int(sys.argv[1]), 15)"


@pytest.mark.parametrize("start", ["fork", pytest.param("forkserver", marks=pytest.mark.slow)])
def test_only_the_main_process_ends_a_worker(many, start):
    """With `forkserver` that is not the parent of a worker in the system."""
    made = loader(Batches(many[0], 1), in_turn(20, 2), 1, pin=False)
    made.multiprocessing_context = start
    batches = iter(made)
    next(batches)
    worker = batches._workers[0]
    for _ in range(2):
        subprocess.run([sys.executable, "-S", "-c", OTHER, str(worker.pid)], check=True)
    assert len([next(batches) for _ in range(5)]) == 5
    worker.terminate()
    worker.join(timeout=20)
    assert worker.exitcode == 0
