import itertools
import json
import logging

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers_copies import other_strand, random_dna, run, together

from whatyouread.data import copies, sketches
from whatyouread.data.sequences import SequenceBatch, read_sequences
from whatyouread.support.cli import UserError

RANKS = ["superkingdom", "phylum", "genus"]


def batch(*texts):
    bases, offsets = together(*texts)
    headers = pa.array([str(i) for i in range(len(texts))])
    return SequenceBatch("a.fa", 0, headers, bases, offsets, np.arange(len(texts)))


def cluster(*texts, **options):
    return copies.find_copies([batch(*texts)], **options)["cluster"].to_numpy()


def sets(numbers):
    """The partition that numbers stand for; without what is not used."""
    found = {}
    for row, number in enumerate(numbers):
        if number >= 0:
            found.setdefault(number, set()).add(row)
    return {frozenset(rows) for rows in found.values()}


def mutated(rng, text, rate):
    """Every base another one with this probability."""
    codes = np.searchsorted(np.frombuffer(b"ACGT", np.uint8), np.frombuffer(text, np.uint8))
    change = rng.random(len(codes)) < rate
    codes = (codes + change * rng.integers(1, 4, len(codes))) % 4
    return np.frombuffer(b"ACGT", np.uint8)[codes].tobytes()


def kmers(text):
    """The set of its 21-mers of one strand, by plain Python."""
    windows = (text[i : i + 21] for i in range(len(text) - 20))
    return {min(kmer, other_strand(kmer)) for kmer in windows if not kmer.strip(b"ACGT")}


def partition(texts, similarity):
    """The clusters by the exact shares of all pairs: another hand, without sketches."""
    whole = [kmers(text) for text in texts]
    label = list(range(len(texts)))
    for i, j in itertools.combinations(range(len(texts)), 2):
        fewer = min(len(whole[i]), len(whole[j]))
        same = texts[i] in (texts[j], other_strand(texts[j]))
        if same or (fewer and len(whole[i] & whole[j]) >= similarity * fewer):
            label = [label[i] if one == label[j] else one for one in label]
    return sets(label)


def test_exact_reverse_short_and_empty():
    rng = np.random.default_rng(0)
    one, two, three = (random_dna(rng, 200) for _ in range(3))
    texts = [one, b"", two, one, other_strand(two), three, b"ACG", b"CGT", b"ACC", b"NNA", b"TNN"]
    found = cluster(*texts)
    assert found[1] == -1
    assert sets(found) == set(map(frozenset, [{0, 3}, {2, 4}, {5}, {6, 7}, {8}, {9, 10}]))


def test_the_hash_of_the_other_strand():
    from whatyouread.data.census import sequence_hashes

    rng = np.random.default_rng(1)
    texts = [random_dna(rng, int(n)) for n in rng.integers(0, 90, 30)]
    table = copies.find_copies([batch(*texts[:7]), batch(*texts[7:])])
    expected = sequence_hashes(*together(*map(other_strand, texts)))
    assert table["reverse"].to_numpy().tolist() == expected.tolist()
    assert table["length"].to_pylist() == list(map(len, texts))


@pytest.mark.parametrize(
    ("rate", "similarity", "low", "high"),
    [
        # of 21-mers (1 - rate)**21 are whole: 0.81, 0.34, 0.11, 0.01
        (0.01, 0.5, 0.99, 1.0),
        (0.05, 0.5, 0.0, 0.1),
        (0.05, 0.2, 0.9, 1.0),
        (0.10, 0.5, 0.0, 0.0),
        (0.10, 0.2, 0.0, 0.25),
        (0.20, 0.2, 0.0, 0.0),
    ],
)
def test_mutated_copies(rate, similarity, low, high):
    rng = np.random.default_rng(int(rate * 100))
    texts = [random_dna(rng, 1500) for _ in range(200)]
    changed = [mutated(rng, text, rate) for text in texts]
    changed[::2] = map(other_strand, changed[::2])
    found = cluster(*texts, *changed, similarity=similarity)
    assert low <= (found[:200] == found[200:]).mean() <= high
    # and never two that have nothing in common
    assert len(np.unique(found[:200])) == 200


def families(rng):
    """Texts of several families, with what makes it hard: overlaps, strands, N, pieces, repeats."""
    texts = []
    for _ in range(12):
        root = random_dna(rng, int(rng.integers(300, 1500)))
        for _ in range(int(rng.integers(1, 6))):
            text = mutated(rng, root, 0.004)
            start = int(rng.integers(0, len(text) // 10))
            text = text[start : len(text) - int(rng.integers(0, len(text) // 10))]
            text = other_strand(text) if rng.random() < 0.5 else text
            place = int(rng.integers(len(text)))
            texts.append(text[:place] + b"N" + text[place + 1 :] if rng.random() < 0.3 else text)
    rng.shuffle(texts)
    return [*texts, b"A" * 300, b"AC" * 200, b"ACG", b""]


@pytest.mark.parametrize("seed", range(8))
def test_like_all_pairs_by_hand(seed):
    texts = families(np.random.default_rng(seed))
    assert sets(cluster(*texts)) == partition(texts[:-1], 0.5)


@pytest.mark.parametrize("seed", range(4))
def test_neither_order_nor_batches_nor_parts_matter(seed, monkeypatch):
    rng = np.random.default_rng(seed)
    texts = families(rng)
    whole = cluster(*texts)
    order = rng.permutation(len(texts))
    cuts = sorted(rng.integers(0, len(texts), 3))
    parts = [[texts[i] for i in rows] for rows in np.split(order, cuts)]
    monkeypatch.setattr(copies, "_ENTRIES", 100)  # many parts
    monkeypatch.setattr(copies, "_ROWS", 7)
    monkeypatch.setattr(copies, "_PAIRS", 5)
    again = copies.find_copies([batch(*part) for part in parts])["cluster"].to_numpy()
    # the very same numbers, which depend on the sequences only
    assert again.tolist() == whole[order].tolist()


def test_a_kmer_that_all_have_joins_nobody_and_costs_little():
    """A repeat of 200 bp in 3,000 sequences of 1,500 bp; among them 300 pairs of near-copies."""
    rng = np.random.default_rng(7)
    repeat = random_dna(rng, 200)
    texts = [random_dna(rng, 1300) + repeat for _ in range(2700)]
    texts += [mutated(rng, text, 0.005) for text in texts[:300]]
    compared = []
    shared = copies.shared

    def counted(matrix, numbers, one, other):
        compared.append(len(one))
        return shared(matrix, numbers, one, other)

    copies.shared = counted
    try:
        found = cluster(*texts)
    finally:
        copies.shared = shared
    assert (found[:300] == found[2700:]).mean() > 0.98
    assert len(np.unique(found)) == pytest.approx(2700, abs=6)
    # about four of the 32 k-mers of each are in the repeat: all pairs would be 4.5 million
    assert sum(compared) < 3000 * 5 * 8


def test_a_large_family_is_one_cluster_with_few_comparisons():
    rng = np.random.default_rng(8)
    root = random_dna(rng, 1500)
    texts = [mutated(rng, root, 0.01) for _ in range(2000)]
    assert len(np.unique(cluster(*texts))) == 1


def test_shares_by_hand():
    none = int(sketches.NONE)
    matrix = np.array(
        [
            [1, 2, 3, 4, 5, 6, 7, 8],
            [2, 4, 6, 8, 10, 12, 14, 16],  # up to 8: four, too few
            [1, 2, 3, 4, 5, 6, 90, 91],  # up to 8: six, all of them common
            [1, 2, 3, none, none, none, none, none],  # whole, against one that is not: three
            [2, 3, 9, none, none, none, none, none],  # whole against whole
            [none] * 8,
            [1, 2, 30, 40, 50, 60, 70, 80],
            [4, 5, 6, 7, 8, none, none, none],
        ],
        np.uint64,
    )

    numbers = np.array([100, 100, 50, 3, 3, 0, 100, 5])

    def share(*pair):
        found, back = copies.shared(matrix, numbers, np.array(pair), np.array(pair[::-1]))
        assert found == back
        return found

    assert share(0, 1) == 0
    # up to 8: six in common, of 8 + 6 of which a third belongs to the one with 50 of 150
    assert share(0, 2) == 1
    assert share(0, 3) == 0
    assert share(3, 4) == pytest.approx(2 / 3)
    assert share(3, 5) == share(5, 5) == 0
    assert share(0, 6) == 0  # up to 8: two
    assert share(2, 6) == pytest.approx(2 / ((6 + 8) / 3))  # up to 80
    assert share(1, 1) == 1
    assert share(0, 7) == 1  # up to 8: five in common
    assert share(0, 0) == 1


@pytest.mark.parametrize("longer", [2, 4, 20])
def test_a_piece_of_a_longer_sequence(longer):
    """Found up to about four times the length, not far beyond: there too few k-mers are compared."""
    rng = np.random.default_rng(longer)
    whole = [random_dna(rng, 500 * longer) for _ in range(60)]
    found = cluster(*whole, *(text[100:600] for text in whole))
    share = (found[:60] == found[60:]).mean()
    assert share > 0.9 if longer < 20 else share < 0.1


def test_a_chain_is_one_cluster_and_named(caplog):
    rng = np.random.default_rng(9)
    genome = random_dna(rng, 6000)
    windows = [genome[start : start + 1000] for start in range(0, 5001, 200)]
    with caplog.at_level(logging.INFO, "whatyouread"):
        found = cluster(*windows, random_dna(rng, 700))
    assert len(np.unique(found)) == 2
    assert "one cluster holds 26 of 27 sequences (96 %)" in caplog.text
    assert "27 sequences, 2 clusters; 26 sequences in 1 clusters of several" in caplog.text
    caplog.clear()
    cluster(*(random_dna(rng, 700) for _ in range(4)))
    assert "one cluster holds" not in caplog.text


def test_from_files_with_lower_case(tmp_path):
    rng = np.random.default_rng(10)
    texts = [random_dna(rng, 300) for _ in range(5)]
    for name, own in (("a.fa", texts), ("b.fa", [text.lower() for text in texts])):
        records = (b">%d x\n%s\n" % (i, text) for i, text in enumerate(own, 1))
        (tmp_path / name).write_bytes(b"".join(records))
    found = copies.find_copies(read_sequences(tmp_path, block_bytes=700))["cluster"].to_numpy()
    assert (found[:5] == found[5:]).all()
    assert len(np.unique(found)) == 5


@pytest.mark.parametrize("similarity", [0, -0.1, 1.1])
def test_a_similarity_out_of_range(similarity):
    with pytest.raises(UserError, match=r"split\.similarity is"):
        copies.find_copies([], similarity)


def real_copies(shared, folder):
    real = shared / "data" / "real"
    if not real.is_dir():
        pytest.skip("the real fragments are not there")
    options = ["--dataset", real / "bertax_like.zip", "--copies", "copies.parquet"]
    found = run("find_copies", folder, *options)
    assert (found.returncode, found.stderr) == (0, "")
    found = run(
        "label_taxonomy", folder, "--dataset", real / "bertax_like.zip",
        "--taxdump", real / "taxdmp_mini.zip", "--ranks", *RANKS, "--labels", "labels.tsv",
        "--classes", "classes.tsv", "--summary", "a.tsv", "--sequences", "sequences.parquet",
    )  # fmt: skip
    assert found.returncode == 0


def split(folder, **settings):
    sizes = {"test": 0.06, "validation": 0.06, "explainer_train": 6000, "explainer_validation": 0.5}
    done = run(
        "split_dataset", folder, "--sequences", "sequences.parquet", "--labels", "labels.tsv",
        "--classes", "classes.tsv", "--ranks", *RANKS, "--copies", "copies.parquet", "--seed", 42,
        "--settings", json.dumps(sizes | settings), "--splits", "splits.parquet",
        "--summary", "b.tsv",
    )  # fmt: skip
    counted = run(
        "count_copies", folder, "--sequences", "sequences.parquet", "--splits", "splits.parquet",
        "--copies", "copies.parquet", "--classes", "classes.tsv", "--level", RANKS[0],
        "--table", "c.tsv",
    )  # fmt: skip
    assert counted.returncode == 0, counted.stderr
    tables = [pd.read_csv(folder / name, sep="\t") for name in ("b.tsv", "c.tsv")]
    whole = pd.concat(tables).drop_duplicates("quantity").set_index("quantity")["value"]
    done.stderr += counted.stderr
    return done, whole


def test_the_real_fragments(tmp_path, shared):
    """The figures of FINDINGS.md, and clusters beside exact shares of k-mers of the viruses."""
    real_copies(shared, tmp_path)
    done, table = split(tmp_path)
    near = "test sequences with a near-copy in train"
    assert "164 of 1,064 test sequences (15 %) have a near-copy in the training" in done.stderr
    found = {name: table.get(f"{near}, {name}") for name in ("Viruses", "Eukaryota", "Bacteria")}
    assert found == {"Viruses": 106, "Eukaryota": 48, "Bacteria": 8}
    assert table["test sequences with an exact copy in train"] == 0
    done, grouped = split(tmp_path, group_by="cluster")
    assert (done.returncode, done.stderr) == (0, "")
    assert (grouped[grouped.index.str.contains("near-copy")] == 0).all()
    assert grouped["test sequences"] == 1063
    done, table = split(tmp_path, group_by="taxid")
    assert "17 sequences go to the test split, less than its share of 1,064" in done.stderr
    assert table["groups larger than the share of a class in the test split"] == 74


def test_real_viruses_beside_exact_shares(shared):
    """Sketches tell shares to about 0.07, so that a few clusters are joined or divided."""
    path = shared / "data" / "real" / "bertax_like.zip"
    if not path.is_file():
        pytest.skip("the real fragments are not there")
    [viruses] = (one for one in read_sequences(path) if one.source == "Viruses.fa")
    text, ends = viruses.bases.tobytes(), viruses.offsets.tolist()
    texts = [text[a:b] for a, b in itertools.pairwise(ends[:251])]
    exact, found = partition(texts, 0.5), sets(cluster(*texts))
    assert len(exact) < 235  # there is something to find
    assert len(exact & found) / len(exact | found) > 0.9


def test_the_splits_of_further_runs_keep_groups_whole(tmp_path):
    """A table of groups and token files in its order; the programs as they are."""
    from whatyouread.data.six_mers import SIX_MERS
    from whatyouread.data.token_files import TokenFile, schema, write_token_files

    rng = np.random.default_rng(3)
    groups, where = rng.integers(0, 60, 600), rng.choice(["train", "validation", "test"], 600)
    table = pa.table({"split": pa.array(where).dictionary_encode(), "together": groups})
    pq.write_table(table, tmp_path / "splits.parquet")
    of = {}
    for name in ("train", "validation"):
        rows = np.flatnonzero(where == name)
        of |= {f"a:{row}": groups[row] for row in rows}
        columns = [[f"a:{row}" for row in rows], rows, [[3, 7]] * len(rows), [0] * len(rows)]
        made = pa.table(columns, schema=schema(["genus"], SIX_MERS))
        with write_token_files([tmp_path / f"{name}.arrow"], ["genus"], SIX_MERS) as [writer]:
            writer.write_table(made)
    options = ["--train", "train.arrow", "--validation", "validation.arrow", "--ranks", "genus"]
    options += ["--seed", 5, "--new-train", "t.arrow", "--new-validation", "v.arrow"]
    done = run("resplit_tokens", tmp_path, *options, "--splits", "splits.parquet")
    assert done.returncode == 0, done.stderr
    sides = [
        TokenFile(tmp_path / name, ["genus"]).ids.to_pylist() for name in ("t.arrow", "v.arrow")
    ]
    assert sorted(sides[0] + sides[1]) == sorted(of)
    assert len(sides[0]) > len(sides[1]) * 0.3 > 0
    apart = [{of[one] for one in side} for side in sides]
    assert not apart[0] & apart[1]
    # without groups each sequence is drawn for itself
    done = run("resplit_tokens", tmp_path, *options)
    sides = [
        TokenFile(tmp_path / name, ["genus"]).ids.to_pylist() for name in ("t.arrow", "v.arrow")
    ]
    assert {of[one] for one in sides[0]} & {of[one] for one in sides[1]}
    pq.write_table(table.slice(3), tmp_path / "splits.parquet")
    done = run("resplit_tokens", tmp_path, *options, "--splits", "splits.parquet")
    assert done.returncode == 1
    assert "do not fit: run tokenize_sequences again" in done.stderr
