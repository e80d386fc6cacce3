"""Motifs put together from overlapping k-mers."""

import io

import numpy as np
import pandas as pd
from Bio import motifs as bio

from whatyouread.classes.motifs import assemble, class_motifs, meme
from whatyouread.data.six_mers import LETTERS

COMPLEMENT = str.maketrans("ACGT", "TGCA")


def text(counts):
    return "".join(LETTERS[i] for i in counts.argmax(1))


def turned(word):
    return word.translate(COMPLEMENT)[::-1]


def test_overlapping_kmers_make_up_what_they_come_from():
    segment = "ATTGCCGATAGACCTTGA"
    kmers = [segment[i : i + 8] for i in range(len(segment) - 7)]
    mixed = [kmer if i % 2 else turned(kmer) for i, kmer in enumerate(kmers)]
    order = np.random.default_rng(1).permutation(len(mixed))
    made = assemble([mixed[i] for i in order], [2.0] * len(mixed), 6)
    assert len(made) == 1
    assert text(made[0]) in (segment, turned(segment))
    np.testing.assert_allclose(made[0].sum(1).max(), 2.0 * 8)
    np.testing.assert_allclose(made[0].sum(), 2.0 * 8 * len(kmers))


def test_kmers_that_do_not_agree_stay_apart():
    made = assemble(["AAAAAAAA", "CCCCCCCC", "AAAAAACC"], [3.0, 2.0, 1.0], 6)
    assert [text(counts) for counts in made] == ["AAAAAAAACC", "CCCCCCCC"]
    assert made[0][:, 0].tolist() == [3, 3, 4, 4, 4, 4, 4, 4, 0, 0]
    assert made[0][:, 1].tolist() == [0] * 8 + [1, 1]


def items():
    return pd.DataFrame(
        [
            ["ig", "kmer", "genus", 0, 1, "ATCGGATT", 9],
            ["ig", "kmer", "genus", 0, 2, "TCGGATTC", 6],
            ["ig", "kmer", "genus", 2, 1, "GGGGCCAA", 7],
            ["ig", "token", "genus", 0, 1, "ATCGGA", 30],
        ],
        columns=["source", "kind", "rank", "class", "position", "item", "support"],
    )


def test_only_kmers_of_one_class_go_together():
    made = class_motifs(items())
    assert list(made) == [("ig", "genus", 0), ("ig", "genus", 2)]
    assert [text(counts) for counts in made["ig", "genus", 0]] == ["ATCGGATTC"]


def test_biopython_reads_the_file():
    classes = pd.DataFrame({"rank": "genus", "class": [0, 1, 2], "name": ["Homo", "x", "Pan sp."]})
    written = meme(items(), classes)
    read = bio.parse(io.StringIO(written), "minimal")
    assert [motif.name for motif in read] == ["ig_genus_Homo_1", "ig_genus_Pan_sp__1"]
    assert str(read[0].consensus) == "ATCGGATTC"
    assert read[0].length == 9
    # 6 + 9 sequences say T at the second place; 0.25 of each letter is added
    assert " 0.015625  0.015625  0.015625  0.953125\n" in written


def test_no_items_make_an_empty_file_that_is_still_one():
    classes = pd.DataFrame({"rank": [], "class": [], "name": []})
    assert list(bio.parse(io.StringIO(meme(items().head(0), classes)), "minimal")) == []
