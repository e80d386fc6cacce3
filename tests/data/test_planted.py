"""Which tokens were planted, against a loop over their bases."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers_batches import LETTERS
from helpers_letters import TEXTS, lettered_file
from helpers_planted import naive_planted, random_texts, segments, token_file

from whatyouread.data.planted import planted_names, planted_tokens, read_planted
from whatyouread.data.six_mers import VOCABULARY
from whatyouread.data.tokenizer import spans
from whatyouread.data.tokenizers import TOKENIZERS
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
