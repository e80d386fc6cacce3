"""Windows put together to texts, and samples of whole texts, by hand and by counting."""

from pathlib import Path

import numpy as np
import pytest
from helpers_evaluation import write_tokens
from helpers_programs import run_here

from whatyouread.data.residues import RESIDUES
from whatyouread.data.sampling import sample_of_texts, stratified_sample
from whatyouread.data.six_mers import CLS
from whatyouread.data.token_files import TokenFile
from whatyouread.data.whole_texts import WholeTexts

PROGRAM = Path(__file__).resolve().parents[2] / "scripts" / "sample_sequences.py"


def texts_file(path, sizes, labels):
    """Texts of so many windows each, of two tokens."""
    rows = [(f"f:{i}", n, w) for i, n in enumerate(sizes) for w in range(n)]
    names = [f"{i} tokens {2 * w + 1}-{2 * w + 2}" if n > 1 else i for i, n, w in rows]
    own = np.repeat(labels, sizes)[:, None]
    return write_tokens(path, [[CLS, 9, 9]] * len(rows), own, None, names, ["genus"])


@pytest.mark.parametrize("seed", range(5))
def test_a_sample_of_texts_has_all_their_windows(tmp_path, seed):
    rng = np.random.default_rng(seed)
    sizes, labels = rng.integers(1, 6, 30), np.arange(30) % 3
    file = texts_file(tmp_path / "t.arrow", sizes, labels)
    texts = WholeTexts(file)
    assert texts.windows.tolist() == sizes.tolist()
    size = 40
    rows = sample_of_texts(texts, file.labels[:, 0], size, seed)
    assert (np.diff(rows) > 0).all()
    taken, counts = np.unique(texts.of[rows], return_counts=True)
    np.testing.assert_array_equal(counts, sizes[taken])
    assert size - 5 < len(rows) <= size
    of_class = np.bincount(labels[taken], minlength=3)
    assert of_class.max() - of_class.min() <= 1
    everything = sample_of_texts(texts, file.labels[:, 0], 1000, seed)
    assert everything.tolist() == list(range(len(file)))


def test_where_too_few_whole_texts_fit(tmp_path):
    file = texts_file(tmp_path / "t.arrow", [9, 9], [0, 1])
    assert sample_of_texts(WholeTexts(file), file.labels[:, 0], 17, 1) is None
    assert len(sample_of_texts(WholeTexts(file), file.labels[:, 0], 18, 1)) == 18


def test_without_windows_the_sample_is_that_of_sequences(tmp_path):
    file = texts_file(tmp_path / "t.arrow", [1] * 40, np.arange(40) % 3)
    texts = WholeTexts(file)
    assert texts.alone
    rows = sample_of_texts(texts, file.labels[:, 0], 11, 4)
    assert rows.tolist() == stratified_sample(file.labels[:, 0], file.keys, 11, 4).tolist()


def test_a_header_that_only_looks_like_a_window(tmp_path):
    """It says five tokens, and has two; and a text that is there twice is two texts."""
    names = [
        "f:a tokens 1-5",
        "f:b tokens 1-2",
        "f:b tokens 3-4",
        "f:b tokens 1-2",
        "f:b tokens 3-4",
    ]
    file = write_tokens(
        tmp_path / "t.arrow", [[CLS, 9, 9]] * 5, np.zeros((5, 1), int), None, names, ["genus"]
    )
    texts = WholeTexts(file)
    assert texts.ids.tolist() == ["f:a tokens 1-5", "f:b", "f:b"]
    assert texts.of.tolist() == [0, 1, 1, 2, 2]
    values = np.arange(15).reshape(5, 3)
    assert texts.put(values).tolist() == [[0, 1, 2, 0, 0], [3, 4, 5, 7, 8], [9, 10, 11, 13, 14]]


def test_a_frame_at_both_ends_stays_at_the_ends_of_the_text(tmp_path):
    first, last = *RESIDUES.before, *RESIDUES.after
    names = ["f:b", "f:a tokens 2-3", "f:a tokens 4-4", "f:a tokens 6-6"]
    sequences = [[first, 9, last], [first, 9, 9, last], *[[first, 9, last]] * 2]
    file = write_tokens(
        tmp_path / "t.arrow", sequences, np.zeros((4, 1), int), None, names, ["genus"], RESIDUES
    )
    texts = WholeTexts(file)
    values = np.arange(1, 17).reshape(4, 4)
    # 2 3, 4, a free place for the missing 5, 6
    assert texts.put(values).tolist() == [[1, 2, 3, 0, 0, 0, 0], [5, 6, 7, 10, 0, 14, 15]]


@pytest.mark.parametrize(
    ("size", "options", "number", "said"),
    [
        (10, ["--whole-texts"], 9, "are taken, with all their windows"),
        (2, ["--whole-texts"], 2, "too few for whole sequences of several classes"),
        (10, [], 10, ""),
    ],
)
def test_the_program_takes_whole_texts(tmp_path, monkeypatch, size, options, number, said):
    """Texts of three windows of six-mers each."""
    file = texts_file(tmp_path / "t.arrow", [3] * 6, np.arange(6) % 2)
    usual = ["--test", file.path, "--ranks", "genus", "--size", size, "--again", 2, "--seed", 1]
    usual += ["--sequences", tmp_path / "s.arrow", "--substituted", tmp_path / "x.arrow"]
    assert run_here(monkeypatch, PROGRAM, *usual, *options, "--log", tmp_path / "log") is None
    made = TokenFile(tmp_path / "s.arrow", ["genus"])
    assert len(made) == number
    assert said in (tmp_path / "log").read_text(encoding="utf-8")
    if said.startswith("are"):
        texts = WholeTexts(made)
        assert texts.windows.tolist() == [3] * len(texts)
        assert not texts.missing(file).any()
