"""Which tokens were planted, against a loop over their bases."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers_batches import LETTERS
from helpers_letters import TEXTS, lettered_file
from helpers_planted import naive_planted, random_texts, segments, token_file
from helpers_tokenizers import tokenizer_folder

from whatyouread.data.normalisation import Settings
from whatyouread.data.planted import (
    has_places,
    planted_in,
    planted_names,
    planted_tokens,
    read_planted,
    word_for,
)
from whatyouread.data.sequences import read_sequences
from whatyouread.data.six_mers import VOCABULARY
from whatyouread.data.token_files import TokenFile
from whatyouread.data.tokenization import OUTPUTS, tokenize_dataset
from whatyouread.data.tokenizer import spans
from whatyouread.data.tokenizers import TOKENIZERS, tokenizer_of
from whatyouread.data.whole_texts import WholeTexts
from whatyouread.support.cli import UserError


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
    assert [VOCABULARY[t] for t in file.batch(np.array([0])).ids[0]] == [
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


def test_sequences_with_unknown_tokens_have_no_places_and_are_counted(tmp_path, caplog):
    file = token_file(tmp_path / "t.arrow", ["AAAAAAXCC", "AAAAAACC", "XX"], ids=["a", "b", "c"])
    assert has_places(file).tolist() == [False, True, False]
    [warning] = caplog.messages
    assert "2 of 3 sequences have tokens like <unk>" in warning
    everything = segments([(name, "genus", 0, 8) for name in "abc"])
    assert planted_tokens(file, everything).sum(1).tolist() == [0, 3, 0]
    with pytest.raises(UserError, match="<unk>"):
        has_places(token_file(tmp_path / "u.arrow", ["AAAAAAXCC"]))


def test_positions_may_reach_behind_what_was_tokenized(tmp_path):
    """As where a model reads the first tokens of a sequence only."""
    file = token_file(tmp_path / "t.arrow", ["AAAAAACCCCCC", "A"], ids=["a", "b"])
    known = segments([("a", "genus", 8, 40), ("b", "genus", 1, 3), ("b", "genus", 30, 31)])
    assert planted_tokens(file, known).tolist() == [[False, False, True], [False, False, False]]


def spanned_file(path, folder, texts, longest=0):
    """Texts in the tokens of a folder, cut into windows where they have more than `longest` tokens."""
    dataset = path.parent / "texts.tsv"
    lines = (f"t{i}\t{text}" for i, text in enumerate(texts))
    dataset.write_text("\n".join(["id\ttext", *lines]) + "\n", encoding="utf-8")
    settings = Settings(alphabet="text", longer="window")
    [batch] = read_sequences(dataset, settings=settings)
    index = {
        "source": pa.array([batch.source] * len(texts)),
        "header": batch.headers,
        "length": pa.array(np.diff(batch.offsets), pa.int32()),
        "hash": pa.array(np.arange(len(texts)), pa.uint64()),
    }
    pq.write_table(pa.table(index), path.parent / "sequences.parquet")
    splits = {name: pa.array(["test"] * len(texts)) for name in ("split", "explainer")}
    pq.write_table(pa.table(splits), path.parent / "splits.parquet")
    outputs = {name: path.parent / f"{name}.arrow" for name in OUTPUTS} | {"test": path}
    tables = (path.parent / f"{name}.parquet" for name in ("sequences", "splits"))
    tokenize_dataset(dataset, *tables, [], outputs, tokenizer_of(folder), settings, longest)
    return TokenFile(path, [])


def test_tokens_with_stored_spans_whole_and_in_windows(tmp_path):
    """Pieces of words, blanks between them, letters of two bytes, and windows of three tokens."""
    folder = tokenizer_folder(tmp_path / "tokenizer")
    #        01234567890123456789012
    texts = ["the quick foxes jumps", "the, café over the fox"]
    whole = spanned_file(tmp_path / "whole.arrow", folder, texts)
    known = segments(
        [
            ("texts.tsv:t0", "a", 0, 1),  # a third of "the"
            ("texts.tsv:t0", "a", 3, 7),  # a blank, and three of five letters of "quick"
            ("texts.tsv:t0", "a", 20, 21),  # the piece "##s"
            ("texts.tsv:t1", "a", 4, 7),  # two of four letters of "café"
            ("texts.tsv:t1", "a", 20, 99),  # two of three letters of "fox"
        ]
    )

    def found(file):
        """The texts of the known tokens by sequence, by the places that the file has."""
        starts, ends = file.spans(np.arange(len(file)))
        made = {}
        for row, place in np.argwhere(planted_tokens(file, known)):
            name = file.ids[int(row)].as_py().split(" ")[0]
            text = texts[int(name[-1])][starts[row, place] : ends[row, place]]
            made.setdefault(name, []).append(text)
        return made

    expected = {"texts.tsv:t0": ["quick", "s"], "texts.tsv:t1": ["café", "fox"]}
    assert found(whole) == expected
    divided = spanned_file(tmp_path / "divided.arrow", folder, texts, longest=5)
    assert len(divided) > 2
    assert found(divided) == expected
    together = WholeTexts(divided).put(planted_tokens(divided, known))
    np.testing.assert_array_equal(together, planted_tokens(whole, known))
    row = next(
        i for i, name in enumerate(divided.ids.to_pylist()) if name.startswith("texts.tsv:t1 ")
    )
    assert planted_in(divided, known, np.array([row]))["start"].tolist() == [4, 20]


def test_pieces_by_widths_where_tokens_are_of_one_length(monkeypatch, tmp_path):
    monkeypatch.setitem(TOKENIZERS, LETTERS.name, LETTERS)
    file = lettered_file(
        tmp_path / "t.arrow"
    )  # the ids of pieces, as of sequences of which these are
    names = ["a", "b tokens 1-3", "b tokens 4-14", "c tokens 9-16", *"defg"]
    file.ids = pa.chunked_array([names[: len(file)]])
    known = segments([("b", "genus", 2, 5), ("c", "genus", 0, 9), ("a", "genus", 1, 2)])
    made = [np.flatnonzero(row).tolist() for row in planted_tokens(file, known)]
    # "fox" holds the letters 0 to 2 of b, "jumpsoverthe" those from 3 on, "lazydogs" those of c from 8 on
    assert made[:5] == [[2], [3], [1, 2], [1], []]
    # the header of a record may end like the name of a piece
    known = segments([("b tokens 4-14", "genus", 0, 1), ("b", "genus", 0, 1)])
    made = [np.flatnonzero(row).tolist() for row in planted_tokens(file, known)]
    assert made[:4] == [[], [1], [1], []]


def test_pieces_of_six_mers_are_refused(tmp_path):
    """Where the second piece begins is not known: an N before it would be a token of its own."""
    ids = ["a tokens 1-2", "a tokens 3-4", "b"]
    file = token_file(tmp_path / "t.arrow", ["A" * 12] * 3, ids=ids)
    assert planted_tokens(file, segments([("b", "genus", 0, 6)])).sum() == 1
    with pytest.raises(
        UserError, match=r"'a tokens 3-4' lies .*set sequences\.max_length"
    ) as error:
        planted_tokens(file, segments([("a", "genus", 0, 6)]))
    assert "\n" not in str(error.value)


def test_what_segments_are_called():
    assert word_for(segments([]).assign(taxid=1)) == "planted"
    assert word_for(segments([])) == "known"


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
    from whatyouread.data.sequences import read_sequences
    from whatyouread.simulate.archives import write_dataset
    from whatyouread.simulate.sequences import Settings, Simulation

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


def test_tokens_between_special_ones(monkeypatch, tmp_path):
    """A letter a token, `[CLS]` before the first and `[SEP]` after the last."""
    monkeypatch.setitem(TOKENIZERS, LETTERS.name, LETTERS)
    file = lettered_file(tmp_path / "t.arrow")
    whole = segments([(f"a.fa:{i}", "genus", 0, len(text)) for i, text in enumerate(TEXTS)])
    np.testing.assert_array_equal(
        planted_tokens(file, whole), file.batch(np.arange(len(file))).content
    )
    some = segments([("a.fa:1", "genus", 2, 3), ("a.fa:0", "genus", 0, 2)])
    assert [np.flatnonzero(row).tolist() for row in planted_tokens(file, some)[:3]] == [
        [1, 2],
        [3],
        [],
    ]
    batch = file.batch(np.array([1]))
    named = segments([("a.fa:1", "genus", 2, 3)]).assign(segment="s")
    assert planted_names(*spans(LETTERS, batch.ids[batch.content]), named) == ["", "", "s (genus)"]
