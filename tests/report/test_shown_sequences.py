"""Which sequences a figure shows, and what is planted in them."""

import itertools

import numpy as np
import pandas as pd
import pytest

from whatyouread.data.levels import Level, choose_levels, class_names
from whatyouread.data.planted import planted_names, planted_tokens
from whatyouread.data.six_mers import CLS, SIX_MERS, UNK, VOCABULARY, encode
from whatyouread.data.token_files import TokenFile
from whatyouread.data.tokenizer import spans
from whatyouread.masks.chunks import count_runs
from whatyouread.report.sequence_page import SequenceView, html_page
from whatyouread.report.shown_sequences import choose_sequences, sequence_view, taxa
from whatyouread.support.cli import UserError


def classes(n: int = 60):
    """Keys, labels and predictions of n sequences: 2 kingdoms, 6 genera, every third one wrong."""
    genus = np.arange(n) % 6
    labels = np.stack([genus // 3, genus], axis=1)
    predicted = labels.copy()
    predicted[::3, 1] += 1
    return np.arange(n, dtype=np.uint64) * 7 + 3, labels, predicted


def test_correct_ones_of_different_classes_come_first():
    keys, labels, predicted = classes()
    rows = choose_sequences(keys, labels, predicted, 4, seed=1)
    assert (labels[rows] == predicted[rows]).all()
    # genera 0 and 3 are always wrong: each of the four others once, the kingdoms by turns
    assert sorted(labels[rows, 1]) == [1, 2, 4, 5]
    assert labels[rows[0], 0] != labels[rows[1], 0]
    assert labels[rows[2], 0] != labels[rows[3], 0]


def test_higher_ranks_are_spread_before_lower_ones():
    genus = np.array([0, 1, 2, 3, 3])
    labels = np.stack([genus // 3, genus], axis=1)
    rows = choose_sequences(np.arange(5, dtype=np.uint64), labels, labels, 4, seed=1)
    # two of each kingdom, though the second has but one genus
    assert sorted(labels[rows, 0]) == [0, 0, 1, 1]


def test_wrong_ones_where_there_is_nothing_else():
    keys, labels, predicted = classes(6)
    rows = choose_sequences(keys, labels, predicted, 10, seed=1)
    assert sorted(rows) == list(range(6))
    assert sorted(rows[4:]) == [0, 3]


def test_choice_follows_the_seed_and_not_the_order():
    keys, labels, predicted = classes(600)
    first = choose_sequences(keys, labels, predicted, 5, seed=1)
    order = np.random.default_rng(0).permutation(600)
    other = choose_sequences(keys[order], labels[order], predicted[order], 5, seed=1)
    assert keys[first].tolist() == keys[order][other].tolist()
    reseeded = choose_sequences(keys, labels, predicted, 5, seed=2)
    assert set(first) != set(reseeded)


def test_equal_sequences_are_shown_once():
    keys, labels, predicted = (np.repeat(x, 2, axis=0) for x in classes(6))
    rows = choose_sequences(keys, labels, predicted, 12, seed=1)
    assert len(rows) == len(set(keys[rows])) == 6


def test_base_spans_of_kmers_and_single_bases():
    tokens, _ = encode(["ACGTACNAC"])
    starts, ends = spans(SIX_MERS, tokens[1:].astype(np.int64))
    assert starts.tolist() == [0, 6, 7, 8]
    assert ends.tolist() == [6, 7, 8, 9]
    unknown = spans(SIX_MERS, np.array([UNK, VOCABULARY.index("A")]))
    assert np.array(unknown).tolist() == [[-1, -1], [-1, -1]]


def segments(rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["segment", "rank", "start", "end"])


def test_planted_names_by_hand():
    tokens = encode(["ACGTAC" * 4])[0][1:].astype(np.int64)
    # half of the first token, two bases of the third, all of the fourth, which is in two segments
    table = segments([("s", "genus", 3, 6), ("t", "phylum", 16, 24), ("u", "genus", 20, 24)])
    named = planted_names(*spans(SIX_MERS, tokens), table)
    assert named == ["s (genus)", "", "", "t (phylum); u (genus)"]
    assert planted_names(*spans(SIX_MERS, tokens), table[:0]) == [""] * 4
    assert planted_names(*spans(SIX_MERS, np.array([UNK])), table) == [""]


def test_planted_names_agree_with_the_localization(token_file):
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("ACGTN"), size)) for size in rng.integers(30, 200, 20)]
    flat, offsets = encode(texts)
    pairs = itertools.pairwise(offsets)
    path = token_file([flat[a:b].tolist() for a, b in pairs], ranks=["genus"])
    file = TokenFile(path, ["genus"])
    parts = []
    for name, text in zip(file.ids.to_pylist(), texts, strict=True):
        starts = rng.integers(0, len(text) - 8, 2)
        part = segments([("s", "genus", start, start + 8) for start in starts])
        parts.append(part.assign(id=name))
    table = pd.concat(parts)
    expected = planted_tokens(file, table)
    for row, name in enumerate(file.ids.to_pylist()):
        tokens = file.batch(np.array([row])).ids[0, 1:]
        named = [
            bool(n) for n in planted_names(*spans(SIX_MERS, tokens), table[table["id"] == name])
        ]
        assert named == expected[row, 1 : 1 + len(tokens)].tolist()


def test_class_names(tmp_path):
    path = tmp_path / "classes.tsv"
    path.write_text(
        "rank\tclass\ttaxid\tname\tsequences\nkingdom\t0\t1\tNA\t5\ngenus\t0\t2\tB\t5\n"
        "genus\t1\t3\tC\t5\n"
    )
    names = class_names(path, ["kingdom", "genus"])
    assert names == {"kingdom": ["NA"], "genus": ["B", "C"]}
    levels = choose_levels(path, ["kingdom", "genus"])
    assert taxa(levels, [0, 1], [0, 0]) == {"kingdom": ("NA", "NA"), "genus": ("C", "B")}
    with pytest.raises(UserError, match="phylum"):
        class_names(path, ["phylum"])


def test_a_view_holds_the_content_of_its_sequence(token_file):
    tokens = encode(["ACGTACGTACGTN", "ACGTAC"])
    rows = [tokens[0][a:b].tolist() for a, b in itertools.pairwise(tokens[1])]
    file = TokenFile(token_file(rows, ranks=["genus"]), ["genus"])
    name = file.ids[0].as_py()
    planted = segments([("s", "genus", 6, 13), ("t", "genus", 0, 6)])
    planted["id"] = [name, "another"]
    known = {"genus": ("A", "A")}
    shown = sequence_view(file, 0, known, np.array([0.1, 0.2, 0.3]), planted)
    assert shown.texts() == ["ACGTAC", "GTACGT", "N"]
    assert shown.id == name
    assert shown.planted == ["", "s (genus)", "s (genus)"]
    assert sequence_view(file, 1, known, np.array([0.1]), None).planted is None
    assert (shown.word, shown.segments()) == ("known", "known position")
    assert '; known: s (genus)"' in html_page([shown], "labels", 2)
    assert "</span>: a known position</span>" in html_page([shown], "labels", 2)
    simulated = sequence_view(file, 0, known, np.array([0.1, 0.2, 0.3]), planted.assign(taxid=1))
    assert '; planted: s (genus)"' in html_page([simulated], "labels", 2)
    assert "</span>: a planted segment</span>" in html_page([simulated], "labels", 2)


@pytest.mark.parametrize(
    ("chosen", "runs"), [([], 0), ([0, 0], 0), ([1], 1), ([1, 1, 0, 1], 2), ([0, 1, 0, 1, 1, 0], 2)]
)
def test_count_runs(chosen, runs):
    assert count_runs(np.array(chosen, bool)) == runs


def view(**changes) -> SequenceView:
    tokens = encode(["ACGTACGTACGTN"])[0][1:].astype(np.int64)
    assert CLS not in tokens
    fields = {
        "id": "a&b:<x>",
        "taxa": {"genus": ("Right", "Wro<ng>")},
        "tokens": tokens,
        "mask": np.array([0.25, 0.5, 0.75]),
        "tokenizer": SIX_MERS,
        "planted": ["", "", 's"1 (genus)'],
        "places": spans(SIX_MERS, tokens),
    }
    return SequenceView(**fields | changes)


def test_lines_about_a_sequence():
    shown = view()
    assert not shown.is_correct
    assert shown.numbers() == "3 tokens; mean mask 0.50; 33% above 0.5, in 1 chunk"
    assert shown.description() == "genus Right (predicted: Wro<ng>)"
    assert shown.underlined().tolist() == [False, False, True]
    correct = view(taxa={"genus": ("A", "A")}, planted=None)
    assert correct.description() == "genus A; classified correctly"
    assert correct.underlined().tolist() == [False] * 3


def test_page_by_hand():
    page = html_page([view()], "the true classes", 9)
    assert "a&amp;b:&lt;x&gt;" in page
    assert '<td class="wrong">Wro&lt;ng&gt;</td>' in page
    assert "1 of 9 test sequences" in page
    token = '<span style="--m:0.250" title="token 1, bases 1–6: mask 0.250">ACGTAC</span>'
    assert token in page
    last = "token 3, base 13: mask 0.750; planted: s&quot;1 (genus)"
    assert f'<span class="planted" style="--m:0.750" title="{last}">N</span>' in page
    assert f'<span class="on planted" title="{last}">N</span>' in page
    assert '<span class="off" title="token 2, bases 7–12: mask 0.500">GTACGT</span>' in page
    assert "planted segment" not in html_page([view(planted=None)], "the true classes", 9)


def test_page_with_unknown_letters_names_no_bases():
    unknown = np.array([UNK, 6, 7])
    page = html_page([view(tokens=unknown, places=spans(SIX_MERS, unknown))], "the true classes", 9)
    assert 'title="token 2: mask 0.500"' in page
    assert "&lt;unk&gt;</span>" in page


def test_a_missing_label_is_not_wrong_and_not_the_last_class():
    keys, labels, predicted = classes()
    labels[:, 0] = -1
    rows = choose_sequences(keys, labels, predicted, 4, seed=1)
    assert (labels[rows, 1] == predicted[rows, 1]).all()
    names = {"kingdom": ("a", "z"), "genus": tuple("ABCDEFGH")}
    levels = [Level(level, "label", own, own) for level, own in names.items()]
    known = taxa(levels, np.array([-1, 2]), np.array([1, 2]))
    assert known == {"kingdom": (None, "z"), "genus": ("C", "C")}
    view = SequenceView("x", known, np.array([CLS]), np.array([0.5]), SIX_MERS)
    assert view.is_correct
    said = view.description()
    assert said == "kingdom without a label (predicted: z), genus C; classified correctly"
    page = html_page([view], "the true classes", 9)
    assert "every rank with a label." in page
    assert '<td><span class="soft">without a label</span></td><td>z</td>' in page
    for known in ({"genus": (None, "C")}, {"genus": (None, "C"), "kingdom": ("a", "z")}):
        assert not SequenceView("x", known, np.array([CLS]), np.array([0.5]), SIX_MERS).is_correct
