"""The simulated data: planted where it says, in the formats it imitates, the same every time."""

import json
import subprocess
import sys
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from whatyouread.simulate.archives import segment_table, write_dataset, write_taxdump
from whatyouread.simulate.sequences import Settings, Simulation
from whatyouread.support.cli import UserError

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "simulate_dataset.py"
SETTINGS = Settings(
    sequences=3000,
    length=600,
    superkingdoms=4,
    phyla=9,
    genera=22,
    segment_length=50,
    segments_per_phylum=2,
    segments_per_genus=3,
    planted_per_sequence=[2, 3],
    mutation_rate=0.03,
    both_strands=True,
    superkingdom_spread=0.15,
    phylum_spread=0.03,
    genus_size_spread=0.4,
)
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def write(folder: Path, settings: Settings = SETTINGS, seed: int = 42) -> Path:
    made = Simulation(settings, seed)
    write_dataset(made, folder / "dataset.zip", folder / "planted.parquet")
    write_taxdump(folder / "taxdmp.zip", made.taxonomy)
    segment_table(made).to_csv(folder / "segments.tsv", sep="\t", index=False)
    return folder


def read_fasta(path: Path) -> pd.DataFrame:
    """source, record, taxid, sequence; checks the layout on the way."""
    rows = []
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        for name in archive.namelist():
            lines = archive.read(name).decode("ascii").split("\n")
            assert lines.pop() == ""
            for number, (header, sequence) in enumerate(zip(lines[::2], lines[1::2], strict=True)):
                taxid, index = header.removeprefix(">").split(" ")
                assert header == f">{int(taxid)} {number}"
                assert int(index) == number
                rows.append((name, number, int(taxid), sequence))
    return pd.DataFrame(rows, columns=["source", "record", "taxid", "sequence"])


def read_table(path: Path, name: str, columns: int) -> list[list[str]]:
    with zipfile.ZipFile(path) as archive:
        text = archive.read(name).decode()
    assert text.endswith("\t|\n")
    rows = [line.split("\t|\t") for line in text.removesuffix("\t|\n").split("\t|\n")]
    assert {len(row) for row in rows} == {columns}
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("simulated"))


@pytest.fixture(scope="module")
def records(folder):
    return read_fasta(folder / "dataset.zip")


@pytest.fixture(scope="module")
def planted(folder, records):
    """The planted segments with what the archive holds there, read in the segment's direction."""
    table = pd.read_parquet(folder / "planted.parquet")
    table = table.merge(records, on=["source", "record"], suffixes=("", "_header"), validate="m:1")
    found = [s[a:b] for s, a, b in zip(table.sequence, table.start, table.end, strict=True)]
    table["found"] = [
        text if strand == "+" else text.translate(COMPLEMENT)[::-1]
        for text, strand in zip(found, table.strand, strict=True)
    ]
    truth = pd.read_csv(folder / "segments.tsv", sep="\t")
    keys = ["segment", "rank", "taxid"]
    table = table.drop(columns="sequence").merge(truth, on=keys, how="left", validate="m:1")
    assert table.sequence.notna().all()
    return table


@pytest.fixture(scope="module")
def lineages(folder):
    """Per taxid of the tree: {rank: taxid} on the way to the root."""
    rows = read_table(folder / "taxdmp.zip", "nodes.dmp", 13)
    nodes = {int(row[0]): (int(row[1]), row[2]) for row in rows}
    assert len(nodes) == len(rows)

    def lineage(taxid):
        found = {}
        while taxid != 1:
            parent, rank = nodes[taxid]
            assert rank in ("clade", "no rank") or rank not in found
            found[rank], taxid = taxid, parent
        return found

    return {taxid: lineage(taxid) for taxid in nodes}


def letters(texts) -> np.ndarray:
    return np.array([list(text) for text in texts])


def test_recorded_positions_hold_the_segments_up_to_the_mutation_rate(planted):
    clean = planted[~planted.found.str.contains("N")]
    assert len(clean) > 0.98 * len(planted)
    errors = letters(clean.found) != letters(clean.sequence)
    # 700,000 bases at 3 %: the standard error is 0.0002
    assert errors.mean() == pytest.approx(0.03, abs=0.001)
    # a copy has Binomial(50, 0.03) substitutions: 0.97 ** 50 = 21.8 % of the copies have none
    assert (errors.sum(1) == 0).mean() == pytest.approx(0.97**50, abs=0.015)
    assert errors.sum(1).max() <= 11
    # every place of the segment mutates alike, and every base into each of the other three
    assert errors.mean(0).max() < 0.045
    truth, found = letters(clean.sequence)[errors], letters(clean.found)[errors]
    changes = Counter(zip(truth, found, strict=True))
    assert len(changes) == 12
    shares = [changes[a, b] / (truth == a).sum() for a, b in changes]
    assert shares == pytest.approx([1 / 3] * 12, abs=0.04)


def test_strands(planted, tmp_path):
    assert (planted.strand == "-").mean() == pytest.approx(0.5, abs=0.02)
    write(tmp_path, replace(SETTINGS, both_strands=False))
    forward = pd.read_parquet(tmp_path / "planted.parquet")
    assert set(forward.strand) == {"+"}


def test_segments_lie_within_and_apart(planted):
    assert (planted.end - planted.start == 50).all()
    assert planted.start.min() >= 0
    assert planted.end.max() <= 600
    before = planted.groupby(["source", "record"]).end.shift()
    assert (before.isna() | (before <= planted.start)).all()


def test_positions_are_anywhere_at_any_reading_offset(planted):
    offsets = np.bincount(planted.start % 6, minlength=6)
    expected = len(planted) / 6
    # chi-square with 5 degrees of freedom: 20.5 is its 99.9th percentile
    assert ((offsets - expected) ** 2 / expected).sum() < 20.5
    middle = (planted.start + planted.end) / 2
    assert middle.mean() == pytest.approx(300, abs=5)
    assert planted.start.min() < 10
    assert planted.end.max() > 590
    # a genus's segments stand neither before nor behind the phylum's
    by_rank = middle.groupby(planted["rank"]).mean()
    assert by_rank["phylum"] == pytest.approx(by_rank["genus"], abs=10)


def test_each_sequence_carries_its_own_segments(planted, records, lineages, folder):
    merged = {int(a): int(b) for a, b in read_table(folder / "taxdmp.zip", "merged.dmp", 2)}
    resolved = planted.taxid_header.replace(merged)
    own = [lineages[t].get(rank) for t, rank in zip(resolved, planted["rank"], strict=True)]
    assert own == planted.taxid.tolist()
    header = planted.taxid_header.astype(str) + " " + planted.record.astype(str)
    assert (planted.header == header).all()
    counts = planted.groupby(["source", "record", "rank"]).segment.agg(["size", "nunique"])
    assert (counts.xs("phylum", level="rank") == 2).all(axis=None)
    assert (counts.xs("genus", level="rank") == 3).all(axis=None)
    lines = records.taxid.replace(merged).map(lambda t: lineages.get(t, {}))
    # without a phylum nothing is planted, without a genus only the phylum's
    carriers = {rank: len(counts.xs(rank, level="rank")) for rank in ("phylum", "genus")}
    assert carriers["phylum"] == sum("phylum" in line for line in lines)
    assert carriers["genus"] == sum({"phylum", "genus"} <= set(line) for line in lines)
    owned = planted.groupby(["rank", "taxid"]).segment.nunique()
    assert owned["phylum"].eq(2).all()
    assert owned["genus"].eq(3).all()
    assert (len(owned["phylum"]), len(owned["genus"])) == (9, 22)


def test_every_taxid_meets_its_fate(records, lineages, folder):
    merged = {int(a): int(b) for a, b in read_table(folder / "taxdmp.zip", "merged.dmp", 2)}
    deleted = [int(row[0]) for row in read_table(folder / "taxdmp.zip", "delnodes.dmp", 1)]
    assert deleted == sorted(deleted, reverse=True)
    assert set(merged.values()) <= set(lineages)
    assert not (set(merged) | set(deleted)) & set(lineages)
    counts = records.taxid.value_counts()
    fates = Counter()
    for taxid, count in counts.items():
        line = lineages.get(merged.get(taxid, taxid), {})
        if taxid in merged:
            fates["merged"] += count
        elif taxid in deleted:
            fates["deleted"] += count
        elif not line:
            fates["unknown"] += count
        elif "phylum" not in line:
            assert "genus" in line
            fates["no phylum"] += count
        elif "genus" not in line:
            assert {"family", "species"} <= set(line)
            fates["no genus"] += count
        else:
            assert {"superkingdom", "class", "order", "family", "species"} <= set(line)
            fates["regular"] += count
    odd = {"merged": 12, "deleted": 5, "unknown": 4, "no phylum": 12, "no genus": 12}
    assert fates == odd | {"regular": 3000 - 45}


def test_classes_and_sizes(records, lineages):
    lines = [lineages.get(taxid, {}) for taxid in records.taxid]
    complete = [line for line in lines if {"phylum", "genus"} <= set(line)]
    genera = Counter(line["genus"] for line in complete)
    sizes = sorted(genera.values())
    assert len(genera) == 22
    assert sizes[:2] == [1, 3]
    assert sizes[2] >= 10
    assert sizes[-1] > 1.8 * sizes[2]
    assert len({line["phylum"] for line in complete}) == 9
    assert {line["superkingdom"] for line in complete} == {2, 2157, 2759, 10239}
    assert records.taxid.nunique() > 2 * 22
    # the file of a sequence is its superkingdom's
    expected = {2157: "Archaea.fa", 2: "Bacteria.fa", 2759: "Eukaryota.fa", 10239: "Viruses.fa"}
    for line, source in zip(lines, records.source, strict=True):
        assert not line or expected[line["superkingdom"]] == source


def test_records_are_shuffled(records, lineages):
    genus = records.taxid.map(lambda taxid: lineages.get(taxid, {}).get("genus", 0))
    assert (genus == genus.shift()).mean() < 0.5


def test_irregular_sequences_are_few(records):
    assert set("".join(records.sequence)) == set("ACGTN")
    assert set(records.sequence.str.len()) == {600}
    with_n = records.sequence[records.sequence.str.contains("N")]
    assert 0.003 < len(with_n) / len(records) < 0.015
    longest = with_n.str.findall("N+").map(lambda runs: max(map(len, runs)))
    assert (longest == 1).any()
    assert (longest > 20).any()
    copies = records[records.duplicated("sequence", keep=False)]
    assert 0.002 < len(copies) / len(records) < 0.02
    assert copies.groupby("sequence").taxid.nunique().eq(1).all()
    assert copies.groupby("sequence").source.nunique().eq(1).all()


def test_copies_carry_the_same_truth(records, planted):
    repeated = records.duplicated("sequence", keep=False)
    for _, copies in records[repeated].groupby("sequence"):
        truths = [
            planted[(planted.source == row.source) & (planted.record == row.record)]
            for row in copies.itertuples()
        ]
        columns = ["rank", "taxid", "segment", "start", "end", "strand"]
        pd.testing.assert_frame_equal(*(t[columns].reset_index(drop=True) for t in truths))


def test_composition_tells_superkingdoms_apart_but_not_genera():
    """A nearest-mean classifier on the counts of triplets, on backgrounds without segments."""
    made = Simulation(replace(SETTINGS, planted_per_sequence=[0, 0], length=1500), 3)
    leaves = {leaf.taxid: leaf for leaf in made.taxonomy.leaves}
    sources = list(made.sources())
    assert all(len(source.row) == 0 for source in sources)
    bases = np.concatenate([source.bases for source in sources])
    triplets = np.lib.stride_tricks.sliding_window_view(bases, 3, axis=1) @ [25, 5, 1]
    counts = np.stack([np.bincount(row, minlength=125) for row in triplets])
    of = [leaves[taxid] for source in sources for taxid in source.taxid.tolist()]
    known = np.array([leaf.fate == "regular" for leaf in of])
    train, test = known.copy(), known.copy()
    train[::2], test[1::2] = False, False
    recalls = {}
    for rank in ("superkingdom", "phylum", "genus"):
        label = np.array([getattr(leaf, rank) for leaf in of])
        classes = np.unique(label[train])
        means = np.stack([counts[train & (label == c)].mean(0) for c in classes])
        distance = ((counts[test][:, None] - means) ** 2).sum(-1)
        right = pd.Series(classes[distance.argmin(1)] == label[test])
        recalls[rank] = right.groupby(label[test]).mean().mean()
    assert recalls["superkingdom"] > 0.9
    assert 0.25 < recalls["phylum"] < 0.9
    # who knew the phylum and guessed the genus would be right for 9 of 20 genera
    assert recalls["genus"] < 9 / 20


def test_backgrounds_follow_their_phylums_chain():
    made = Simulation(replace(SETTINGS, planted_per_sequence=[0, 0], superkingdom_spread=0.5), 3)
    phylum_of = {leaf.taxid: leaf.phylum for leaf in made.taxonomy.leaves}
    for source in made.sources():
        phylum = phylum_of[source.taxid[0]]
        bases = source.bases[[phylum_of[taxid] == phylum for taxid in source.taxid.tolist()]]
        counts = np.zeros((5, 5, 5))
        np.add.at(counts, (bases[:, :-2], bases[:, 1:-1], bases[:, 2:]), 1)
        counts = counts[:4, :4, :4].reshape(16, 4)
        found = counts.cumsum(1) / counts.sum(1, keepdims=True)
        np.testing.assert_allclose(found[:, :3], made.chains[phylum], atol=0.02)
        # were the memory of two bases lost, all contexts would look alike
        assert np.ptp(found[:, 0]) > 0.1


def test_the_block_that_is_written_at_a_time_does_not_matter(records, tmp_path, monkeypatch):
    monkeypatch.setattr("whatyouread.simulate.archives._RECORDS_AT_A_TIME", 7)
    pd.testing.assert_frame_equal(read_fasta(write(tmp_path) / "dataset.zip"), records)


def test_dump_is_laid_out_like_ncbis(folder, lineages):
    with zipfile.ZipFile(folder / "taxdmp.zip") as archive:
        assert set(archive.namelist()) == {
            *("citations.dmp", "delnodes.dmp", "division.dmp", "gencode.dmp"),
            *("merged.dmp", "names.dmp", "nodes.dmp", "readme.txt"),
        }
        assert archive.read("nodes.dmp").startswith(
            b"1\t|\t1\t|\tno rank\t|\t\t|\t8\t|\t0\t|\t1\t|\t0\t|\t0\t|\t0\t|\t0\t|\t0\t|\t\t|\n"
            b"2\t|\t131567\t|\tsuperkingdom\t|\t\t|\t0\t|\t0\t|\t11\t|\t0\t|\t0\t|\t0\t|\t0\t|\t0\t|\t\t|\n"
        )
    names = read_table(folder / "taxdmp.zip", "names.dmp", 4)
    scientific = {int(row[0]): row[1] for row in names if row[3] == "scientific name"}
    assert sum(row[3] == "scientific name" for row in names) == len(lineages)
    assert set(scientific) == set(lineages)
    assert len(set(scientific.values())) == len(scientific)
    assert {row[3] for row in names} > {"scientific name", "synonym", "genbank common name"}
    assert all(int(row[0]) in lineages for row in names)
    real = {1: "root", 131567: "cellular organisms", 2157: "Archaea", 2: "Bacteria"}
    real |= {2759: "Eukaryota", 10239: "Viruses"}
    assert {taxid: scientific[taxid] for taxid in real} == real
    assert {t for t in (2157, 2, 2759, 10239) if "no rank" in lineages[t]} == {2157, 2, 2759}
    viral = [line for line in lineages.values() if line.get("superkingdom") == 10239]
    for rank, ending in (("phylum", "viricota"), ("family", "viridae"), ("genus", "virus")):
        named = [scientific[line[rank]] for line in viral if rank in line]
        assert named
        assert all(name.endswith(ending) for name in named)
    ranks = {rank for line in lineages.values() for rank in line}
    assert {"clade", "kingdom", "strain", "no rank"} < ranks
    for name, columns in (("division.dmp", 4), ("gencode.dmp", 5), ("citations.dmp", 7)):
        read_table(folder / "taxdmp.zip", name, columns)


def test_same_seed_same_bytes(folder, tmp_path):
    again = write(tmp_path)
    for name in ("dataset.zip", "planted.parquet", "taxdmp.zip", "segments.tsv"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_other_seed_other_data(folder, tmp_path):
    other = write(tmp_path, seed=43)
    for name in ("dataset.zip", "planted.parquet", "taxdmp.zip", "segments.tsv"):
        assert (other / name).read_bytes() != (folder / name).read_bytes()


@hypothesis_settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    superkingdoms=st.integers(1, 4),
    extra_phyla=st.integers(0, 6),
    extra_genera=st.integers(0, 9),
    planted=st.tuples(st.integers(0, 3), st.integers(0, 3)),
    owned=st.integers(1, 4),
)
def test_any_possible_settings_give_what_they_ask_for(
    seed, superkingdoms, extra_phyla, extra_genera, planted, owned
):
    phyla = superkingdoms + extra_phyla
    settings = replace(
        SETTINGS,
        sequences=300,
        length=6 * 20,
        segment_length=20,
        superkingdoms=superkingdoms,
        phyla=phyla,
        genera=phyla + 2 + extra_genera,
        planted_per_sequence=planted,
        segments_per_phylum=owned,
        segments_per_genus=owned,
        mutation_rate=0,
    )
    made = Simulation(settings, seed)
    sources = list(made.sources())
    assert len(sources) == superkingdoms
    assert sum(len(source.taxid) for source in sources) == 300
    for source in sources:
        at = source.start[:, None] + np.arange(20)
        copies = source.bases[source.row[:, None], at]
        copies = np.where(source.reverse[:, None], 3 - copies[:, ::-1], copies)
        intact = (source.bases[source.row[:, None], at] != 4).all(1)
        np.testing.assert_array_equal(copies[intact], made.segments[source.segment[intact]])


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"length": 249}, "5 segments of 50 bases do not fit into 249"),
        ({"phyla": 3}, "3 phyla do not cover 4 superkingdoms"),
        ({"genera": 10}, "10 genera are too few for 9 phyla"),
        ({"sequences": 200}, "200 sequences are too few for 22 genera"),
        ({"superkingdoms": 5}, "`superkingdoms`"),
        ({"sequences": 0}, "`sequences` must be a count from 1"),
        ({"sequences": 3000.0}, "`sequences` must be a count from 1"),
        ({"mutation_rate": 1.5}, "`mutation_rate`"),
        ({"mutation_rate": -0.1}, "`mutation_rate`"),
        ({"phylum_spread": float("nan")}, "`phylum_spread`"),
        ({"planted_per_sequence": 3}, "`planted_per_sequence` must be two counts"),
        ({"planted_per_sequence": [2, -1]}, "`planted_per_sequence` must be two counts"),
        ({"both_strands": "yes"}, "`both_strands` must be true or false"),
    ],
)
def test_impossible_settings_are_the_users_to_mend(changes, problem):
    with pytest.raises(UserError) as error:
        replace(SETTINGS, **changes)
    assert problem in str(error.value)


def test_the_number_of_sequences_asked_for_is_enough():
    with pytest.raises(UserError, match="set `sequences` to") as error:
        replace(SETTINGS, sequences=1, genera=700)
    needed = int(str(error.value).split()[-3])
    made = Simulation(replace(SETTINGS, sequences=needed, genera=700, length=250), 1)
    assert made.counts.sum() == needed
    assert made.counts.min() == 1


def test_exactly_fitting_segments_fill_the_sequence():
    (source,) = Simulation(replace(SETTINGS, length=250, superkingdoms=1), 7).sources()
    assert set(source.start[source.row == source.row[0]]) == {0, 50, 100, 150, 200}


def run(folder: Path, settings: dict, *options: str) -> subprocess.CompletedProcess:
    outputs = {"dataset": "dataset.zip", "taxdump": "taxdmp.zip", "planted": "planted.parquet"}
    outputs |= {"log": "simulate.log"}
    paths = [part for name, file in outputs.items() for part in (f"--{name}", folder / file)]
    call = [sys.executable, SCRIPT, "--settings", json.dumps(settings), *paths, *options]
    return subprocess.run(call, capture_output=True, text=True, check=False)


def test_program(folder, tmp_path):
    done = run(tmp_path, vars(SETTINGS), "--seed", "42", "--segments", tmp_path / "segments.tsv")
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("dataset.zip", "planted.parquet", "taxdmp.zip", "segments.tsv"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    assert "3000 sequences" in (tmp_path / "simulate.log").read_text()


@pytest.mark.parametrize(
    ("changes", "seed", "problem"),
    [
        ({"genera": 5}, 1, "raise `genera`"),
        ({"colour": 5}, 1, "colour"),
        ({}, -1, "seed must be a number from 0"),
    ],
)
def test_program_refuses_in_one_line(tmp_path, changes, seed, problem):
    done = run(tmp_path, vars(SETTINGS) | changes, f"--seed={seed}")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert problem in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["simulate.log"]
