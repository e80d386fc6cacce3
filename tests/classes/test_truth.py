"""Planted segments read back from the sequences, and the k-mers that come from them."""

from itertools import pairwise, product

import numpy as np
import pandas as pd
import pytest

from whatyouread.classes.items import kmers
from whatyouread.classes.truth import (
    number_of_kmers,
    planted_kmers,
    planted_table,
    planted_words,
)
from whatyouread.data.planted import planted_segments
from whatyouread.data.six_mers import SIX_MERS, SIX_MERS_V1
from whatyouread.data.token_files import TokenFile
from whatyouread.support.cli import UserError

COMPLEMENT = str.maketrans("ACGT", "TGCA")
SEGMENTS = {("phylum", 10): "ACGTTGCAAT", ("genus", 11): "GGATCCTTAC"}


@pytest.fixture(params=[SIX_MERS, SIX_MERS_V1], ids=lambda tokenizer: tokenizer.name)
def world(token_file, request):
    """Five sequences with both segments; one copy is mutated, one stands on the other strand."""
    generator = np.random.default_rng(0)
    sequences, rows = [], []
    for i in range(5):
        text = "".join(generator.choice(list("ACGT"), 60))
        for place, ((rank, taxid), segment) in zip((5, 31), SEGMENTS.items(), strict=True):
            copy = "T" + segment[1:] if i == 1 else segment
            strand = "-" if i == 2 else "+"
            copy = copy.translate(COMPLEMENT)[::-1] if strand == "-" else copy
            text = text[:place] + copy + text[place + 10 :]
            rows.append([f"a.fa:{i}", rank, taxid, f"{rank}_1", place, place + 10, strand])
        sequences.append(text)
    text = np.frombuffer("".join(sequences).encode(), np.uint8)
    tokens, offsets = request.param.tokenize(text, np.arange(6) * 60)
    flat = [tokens[a:b].tolist() for a, b in pairwise(offsets)]
    ranks = ["phylum", "genus"]
    file = TokenFile(token_file(flat, [[0, 0]] * 5, ranks, tokenizer=request.param), ranks)
    columns = ["id", "rank", "taxid", "segment", "start", "end", "strand"]
    return file, pd.DataFrame(rows, columns=columns)


def test_segments_are_read_by_majority_on_their_own_strand(world):
    segments = planted_segments(*world)
    found = {(r.rank, r.taxid): r.bases.tobytes().decode() for r in segments.itertuples()}
    assert found == SEGMENTS


def test_a_file_without_them_is_an_error(world):
    file, planted = world
    with pytest.raises(UserError, match="no sequence with a planted segment"):
        planted_segments(file, planted.assign(id="other"))


@pytest.mark.parametrize("k", [1, 2, 3, 4, 5])
def test_the_number_of_canonical_kmers(k):
    spelt = np.frombuffer("N".join(map("".join, product("ACGT", repeat=k))).encode(), np.uint8)
    assert number_of_kmers(k) == len(np.unique(kmers(spelt, k)[1]))


def test_classes_are_judged_by_their_own_segments_and_those_above(world):
    segments = planted_segments(*world)
    assert len(planted_kmers(segments, [10], 6)) == 5
    classes = pd.DataFrame(
        {"rank": ["phylum", "genus", "genus"], "class": [0, 0, 1], "taxid": [10, 11, 12],
         "name": "x"}
    )  # fmt: skip
    rows = [
        ["genus", 0, 1, "ACGTTG"],  # its phylum's
        ["genus", 0, 2, "AAGGAT"],  # its own, on the other strand
        ["genus", 0, 3, "CCCCCC"],
        ["genus", 0, 6, "GGATCC"],  # not among the best five
        ["genus", 1, 1, "GGATCC"],  # another genus's
        ["phylum", 0, 1, "GGATCC"],  # of a genus below
    ]
    items = pd.DataFrame(rows, columns=["rank", "class", "position", "item"]).assign(source="s")
    lineages = np.array([[0, 0], [0, 1]])
    table = planted_table(items, classes, segments, lineages, ["phylum", "genus"], 6)
    table = table.set_index(["rank", "class"])
    assert table.loc[("genus", 0), ["listed", "planted"]].tolist() == [3, 2]
    assert table.loc[("genus", 1), ["listed", "planted"]].tolist() == [1, 0]
    assert table.loc[("phylum", 0), ["listed", "planted"]].tolist() == [1, 0]
    assert table.loc[("genus", 0), "chance"] == pytest.approx(10 / 2080)
    assert table.loc[("phylum", 0), "chance"] == pytest.approx(5 / 2080)


def test_planted_words_by_hand():
    """Class 0 lists its own, one of class 1, a free word and its own; class 1 nothing at all."""
    words = ["sol", "regn", "och", "hav", "x", "strand"]
    items = pd.DataFrame(
        {
            "source": "s",
            "kind": "word",
            "rank": "r",
            "class": 0,
            "item": words,
            "position": range(1, 7),
        }
    )
    classes = pd.DataFrame({"rank": "r", "class": [0, 1, 2], "name": ["A", "B", "C"]})
    keywords = pd.DataFrame(
        {"class": ["A", "A", "A", "B"], "keyword": ["sol", "hav", "strand", "regn"]}
    )
    made = planted_words(items, classes, keywords)
    assert made[["class", "listed", "planted", "others", "first"]].values.tolist() == [
        [0, 5, 2, 1, True],  # strand is the sixth
        [1, 0, 0, 0, False],
    ]
    turned = items.assign(position=items["position"].replace({1: 3, 3: 1}))
    assert planted_words(turned, classes, keywords)["first"].tolist() == [False, False]
