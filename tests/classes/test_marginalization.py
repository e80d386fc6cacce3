"""Motifs put into random sequences: against plain loops, one sequence and one motif at a time."""

import logging

import numpy as np
import pandas as pd
import pytest
import torch
from helpers_evaluation import BACKBONE, CLASSES, CPU, random_file, small_explanandum, write_tokens

from whatyouread.classes import marginalization
from whatyouread.classes.marginalization import (
    Backgrounds,
    Marginalization,
    backgrounds,
    chosen_motifs,
    effects,
    fitting,
    known_lengths,
)
from whatyouread.classes.motifs import meme
from whatyouread.data.batch import Batch
from whatyouread.data.six_mers import SIX_MERS, SIX_MERS_V1, encode
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.inference import Passes

MOTIFS = ["ACGTTGCAAT", "TTGACA", "GGGGCCCCTTAAACG"]
LEVELS, NUMBERS = np.array([1, 0, 1]), np.array([3, 1, 0])


def drawn(file, number, shortest, seed) -> Backgrounds:
    return backgrounds(file, known_lengths(file), number, shortest, seed)


def text_of(random: Backgrounds, row: int) -> str:
    return random.bases[row, : random.lengths[row]].tobytes().decode()


@pytest.fixture
def file(tmp_path):
    return random_file(tmp_path / "tokens.arrow", 30, seed=3, shortest=4, longest=12)


@pytest.fixture
def random(file):
    return drawn(file, 12, 15, 5)


def marginal(random, model=None, size=4, motifs=MOTIFS, levels=LEVELS, numbers=NUMBERS, seed=5):
    passes = Passes(model or small_explanandum(), size, CPU)
    return Marginalization(passes, SIX_MERS, random, motifs, levels, numbers, seed)


@pytest.mark.parametrize("tokenizer", [SIX_MERS, SIX_MERS_V1])
def test_backgrounds_have_the_letters_of_sequences_in_another_order(tmp_path, tokenizer):
    texts = ["ACGTTGCAATGGCATTA", "CCCCCGGATNNACGATTACATTC", "GATTACA"]
    tokens = [tokenizer.tokenize(np.frombuffer(t.encode(), np.uint8), np.array([0, len(t)]))[0]
              for t in texts]  # fmt: skip
    file = write_tokens(tmp_path / "t.arrow", tokens, [[0, 0]] * 3, tokenizer=tokenizer)
    made = drawn(file, 3, 7, 1)
    assert made.lengths.tolist() == [17, 21, 7]
    assert made.keys.tolist() == file.keys.tolist()
    for row, text in enumerate(texts):
        found = text_of(made, row)
        assert sorted(found) == sorted(text.replace("N", ""))
        assert found != text.replace("N", "")
        assert (made.bases[row, made.lengths[row] :] == 0).all()
    again, other = drawn(file, 3, 7, 1), drawn(file, 3, 7, 2)
    assert (again.bases == made.bases).all()
    assert (other.bases != made.bases).any()
    # the order of a sequence is its own: not that of its company
    alone = drawn(write_tokens(tmp_path / "u.arrow", tokens[1:2], [[0, 0]], keys=[2],
                               tokenizer=tokenizer), 1, 7, 1)  # fmt: skip
    assert text_of(alone, 0) == text_of(made, 1)


def test_sequences_shorter_than_the_motif_make_room_for_others(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(marginalization, "BLOCK", 3)
    texts = ["ACGTA" if row % 3 else "ACGTACGNAC" for row in range(12)]
    tokens = [encode([text])[0] for text in texts]
    file = write_tokens(tmp_path / "t.arrow", tokens, [[0, 0]] * 12)
    lengths = known_lengths(file)
    assert lengths.tolist() == [5 if row % 3 else 9 for row in range(12)]
    with caplog.at_level(logging.WARNING):
        long = backgrounds(file, lengths, 4, 6, 1)
        assert not caplog.records
        fewer = backgrounds(file, lengths, 5, 6, 1)
    assert long.keys.tolist() == fewer.keys.tolist() == file.keys[::3].tolist()
    assert "there are 4 random sequences, not 5" in caplog.text
    assert len(backgrounds(file, lengths, 5, 5, 1).keys) == 5


def test_motifs_without_room_are_left_out_and_told(caplog):
    motifs = pd.DataFrame(
        {"motif": ["a", "a", "b", "b"], "letters": ["ACGTA"] * 2 + ["ACGTAC"] * 2}
    )
    with caplog.at_level(logging.WARNING):
        assert fitting(motifs, np.array([6, 9, 9, 2])).equals(motifs)
        assert not caplog.records
        assert fitting(motifs, np.array([5, 9, 5, 2]))["motif"].tolist() == ["a", "a"]
    assert "1 motif left out, longer than half of the test sequences (5 bases): b" in caplog.text


def test_a_motif_stands_once_and_nothing_else_changes(random):
    made, before = marginal(random), random.bases.copy()
    motif, row = (place.ravel() for place in np.indices((3, len(random.keys))))
    whole, shuffled = (made.planted(motif, row, own) for own in (False, True))
    starts = {}
    for job, (own, background) in enumerate(zip(motif, row, strict=True)):
        letters, plain = MOTIFS[own], text_of(random, background)
        text = whole[job, : random.lengths[background]].tobytes().decode()
        assert len(text) == len(plain)
        size = len(letters)
        start = next(i for i in range(len(text)) if text == plain[:i] + letters + plain[i + size :])
        starts.setdefault(int(own), set()).add(start)
        other = shuffled[job, : random.lengths[background]].tobytes().decode()
        assert other[:start] == plain[:start]
        assert other[start + size :] == plain[start + size :]
        assert sorted(other[start : start + size]) == sorted(letters)
    assert (whole != shuffled).any(1).mean() > 0.9
    assert all(len(own) > 4 for own in starts.values())  # at random places
    assert (random.bases == before).all()


def test_a_motif_may_be_as_long_as_the_sequence():
    bases = np.full((1, 6), ord("A"), np.uint8)
    random = Backgrounds(bases, np.array([6]), np.array([7], np.uint64))
    made = marginal(random, motifs=["CCGGTT"], levels=np.array([0]), numbers=np.array([0]))
    assert made.planted(np.array([0]), np.array([0]), False).tobytes() == b"CCGGTT"


@pytest.mark.parametrize("kinds", [None, {"genus": "multiple"}])
def test_effects_against_plain_loops(random, kinds):
    model = small_explanandum()
    if kinds:
        torch.manual_seed(2)
        model = Explanandum(BACKBONE, CLASSES, kinds=kinds).eval()
        for head in model.heads.values():
            torch.nn.init.normal_(head.weight, std=2)
    made = marginal(random, model)
    before, whole, shuffled = made.before(), made.after(), made.after(shuffled=True)

    def said(text: str, level: int, number: int) -> tuple[float, bool]:
        tokens, _ = encode([text])
        batch = Batch.of(tokens[None].astype(np.int64), np.array([len(tokens)]), SIX_MERS)
        logits = made.passes.logits(batch)[level][0].double()
        if kinds and level == 1:
            return float(logits[number].sigmoid().log()), bool(logits[number] > 0)
        return float(logits.softmax(-1)[number].log()), int(logits.argmax()) == number

    for i in range(3):
        for row in range(len(random.keys)):
            jobs = np.array([i]), np.array([row])
            texts = [text_of(random, row)]
            texts += [made.planted(*jobs, own)[0, : random.lengths[row]].tobytes().decode()
                      for own in (False, True)]  # fmt: skip
            for text, answers in zip(texts, (before, whole, shuffled), strict=True):
                log_probability, says = said(text, LEVELS[i], NUMBERS[i])
                assert answers.log_probabilities[i, row] == pytest.approx(log_probability, abs=1e-5)
                assert answers.says[i, row] == says
    assert 0 < whole.says.mean() < 1
    table = effects(made, 200)
    change = (whole.log_probabilities - before.log_probabilities).mean(1)
    np.testing.assert_allclose(table["effect"], change)
    np.testing.assert_allclose(table["difference"], table["effect"] - table["shuffled"])
    assert (table["effect_low"] < table["effect"]).all()
    assert (table["effect"] < table["effect_high"]).all()
    np.testing.assert_allclose(table["says"], 100 * whole.says.mean(1))
    np.testing.assert_allclose(table["says_before"], 100 * before.says.mean(1))
    np.testing.assert_allclose(table["says_shuffled"], 100 * shuffled.says.mean(1))


def test_batches_change_nothing(random):
    one, many = (effects(marginal(random, size=size), 50) for size in (1, 64))
    for name, values in one.items():
        np.testing.assert_allclose(values, many[name], atol=1e-5)
    few = marginal(random, motifs=MOTIFS[1:], levels=LEVELS[1:], numbers=NUMBERS[1:])
    np.testing.assert_allclose(effects(few, 50)["effect"], one["effect"][1:], atol=1e-5)


def test_long_sequences_make_smaller_batches(random, monkeypatch):
    monkeypatch.setattr(marginalization, "at_once", lambda size, longest: 100 // longest)
    made = marginal(random, size=64)
    longest = 1 + max(n // 6 + n % 6 for n in random.lengths.tolist())
    assert made.size == 100 // longest


def test_without_motifs_there_are_no_rows(random):
    empty = np.zeros(0, np.int64)
    table = effects(marginal(random, motifs=[], levels=empty, numbers=empty), 50)
    assert len(table) == 12
    assert all(values.shape == (0,) for values in table.values())


def test_the_longest_motifs_of_a_class_on_both_strands():
    kmers = ["AAAACCCC", "AAACCCCG", "GATTACAA", "TGTGTGTG"]
    items = pd.DataFrame(
        {
            "source": "mine", "kind": "kmer", "rank": "genus", "class": [2, 2, 2, 2],
            "position": [3, 4, 2, 1], "item": kmers, "support": [5.0, 5.0, 7.0, 6.0],
        }
    )  # fmt: skip
    classes = pd.DataFrame({"rank": ["genus"], "class": [2], "name": ["A. b"]})
    made = chosen_motifs(items, classes, 2)
    # the longest first; of equal lengths that with more behind it
    assert made[["strand", "letters"]].to_numpy().tolist() == [
        ["+", "AAAACCCCG"],
        ["-", "CGGGGTTTT"],
        ["+", "GATTACAA"],
        ["-", "TTGTAATC"],
    ]
    assert set(made["class"]) == {2}
    # named as in the MEME file, by the place of their best k-mer
    assert made["motif"].tolist() == ["mine_genus_A__b_3"] * 2 + ["mine_genus_A__b_2"] * 2
    assert all(f"MOTIF {name}\n" in meme(items, classes) for name in made["motif"])
    assert chosen_motifs(items.assign(kind="token"), classes, 2).columns.tolist()[0] == "source"
