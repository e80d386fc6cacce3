import io
import os
import random
import tarfile
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whatyouread.data import taxonomy
from whatyouread.support.cli import UserError

RANKS = ["superkingdom", "phylum", "genus"]

# taxid, parent, rank, scientific name: a real corner of NCBI's taxonomy, and some of our own
NODES = [
    (1, 1, "no rank", "root"),
    (131567, 1, "no rank", "cellular organisms"),
    (2, 131567, "superkingdom", "Bacteria"),
    (2759, 131567, "superkingdom", "Eukaryota"),
    (10239, 1, "superkingdom", "Viruses"),
    (1224, 2, "phylum", "Pseudomonadota"),
    (561, 1224, "genus", "Escherichia"),
    (562, 561, "species", "Escherichia coli"),
    (581, 1224, "genus", "Morganella"),
    (582, 581, "species", "Morganella morganii"),
    (5204, 2759, "phylum", "Basidiomycota"),
    (90708, 5204, "genus", "Morganella"),
    (90709, 90708, "species", 'Morganella "sp." A|B'),
    (100, 1224, "species", "Gammaproteobacterium bare"),
    (101, 2, "species", "bacterium barer"),
    (102, 10239, "genus", "Barevirus"),
    (103, 102, "species", "Barevirus one"),
]
SYNONYMS = [(562, "Bacillus coli", "synonym"), (562, "E. coli", "genbank common name")]
MERGED = [(469598, 562), (777, 778), (778, 582), (888, 999), (889, 4444)]
DELETED = [555, 999]


def lines(rows):
    return "".join("\t|\t".join(map(str, row)) + "\t|\n" for row in rows)


def dump_files(nodes=NODES, merged=MERGED, deleted=DELETED, names=None):
    """The text of every .dmp file, in NCBI's format."""
    names = names or [
        *[(taxid, name, "", "scientific name") for taxid, _, _, name in nodes],
        *[(taxid, name, "", kind) for taxid, name, kind in SYNONYMS],
    ]
    rest = ("", 0, 1, 11, 1, 0, 1, 1, 0, "code compliant; specified")
    return {
        "nodes.dmp": lines((*node[:3], *rest) for node in nodes),
        "names.dmp": lines(sorted(names)),
        "merged.dmp": lines(merged),
        "delnodes.dmp": lines((taxid,) for taxid in deleted),
        "readme.txt": "not a table",
    }


def write_dump(folder, **options):
    with zipfile.ZipFile(Path(folder, "taxdmp.zip"), "w") as archive:
        for name, text in dump_files(**options).items():
            archive.writestr(name, text)
    return Path(folder)


def look_up(folder, taxids, ranks=RANKS):
    found = taxonomy.lineages(taxonomy.read_taxdump(folder), np.array(taxids), ranks)
    assert found["taxid"].tolist() == list(taxids)
    return found.set_index("taxid")


def test_names_and_taxids_of_the_ranks(tmp_path):
    found = look_up(write_dump(tmp_path), [562, 90709, 582, 2])
    assert found[RANKS].values.tolist() == [
        ["Bacteria", "Pseudomonadota", "Escherichia"],
        ["Eukaryota", "Basidiomycota", "Morganella"],
        ["Bacteria", "Pseudomonadota", "Morganella"],
        ["Bacteria", "", ""],
    ]
    assert found[[f"{rank}_taxid" for rank in RANKS]].values.tolist() == [
        [2, 1224, 561],
        [2759, 5204, 90708],
        [2, 1224, 581],
        [2, 0, 0],
    ]
    assert (found["problem"] == "").all()


def test_other_ranks(tmp_path):
    found = look_up(write_dump(tmp_path), [562, 561], ["phylum", "species"])
    assert found[["phylum", "species"]].values.tolist() == [
        ["Pseudomonadota", "Escherichia coli"],
        ["Pseudomonadota", ""],
    ]


# A corner of SILVA's taxonomy, a species group, and what is no rank at all.
SILVA = [
    *NODES,
    (33511, 2759, "superkingdom", "Holozoa"),
    (33208, 33511, "phylum", "Metazoa"),
    (10088, 33208, "genus", "Mus"),
    (10090, 10088, "species", "Mus musculus"),
    (10091, 10088, "species", "Mus castaneus"),
    (1396, 561, "species group", "Bacillus cereus group"),
    (1397, 1396, "species", "Bacillus cereus"),
    (200, 2, "clade", "upper clade"),
    (201, 200, "clade", "lower clade"),
    (202, 201, "species", "clade species"),
]


def renamed(names, nodes=SILVA):
    """The nodes, of which some have another rank."""
    return [(taxid, parent, names.get(taxid, rank), name) for taxid, parent, rank, name in nodes]


def test_a_rank_that_is_twice_in_a_lineage_stops(tmp_path):
    write_dump(tmp_path, nodes=SILVA)
    words = (
        r"the lineage of taxid 10090 has the rank superkingdom 2 times, Eukaryota \(taxid 2759\) >"
        r" Holozoa \(taxid 33511\), and so do those of 1 other taxids: .*rank_twice: exclude\)$"
    )
    with pytest.raises(UserError, match=words):
        look_up(tmp_path, [562, 10090, 10091])
    # where none of its lineages is asked for, or another rank, there is no doubt
    assert look_up(tmp_path, [562, 90709])["superkingdom"].tolist() == ["Bacteria", "Eukaryota"]
    assert look_up(tmp_path, [10090], ["phylum", "genus"]).loc[10090, "genus"] == "Mus"


def test_a_rank_that_is_twice_can_be_a_problem_of_its_taxids(tmp_path):
    dump = taxonomy.read_taxdump(write_dump(tmp_path, nodes=SILVA))
    found = taxonomy.lineages(dump, np.array([562, 10090, 90709, 10091, 7]), RANKS, True)
    twice = "rank superkingdom twice: Eukaryota > Holozoa"
    assert found["problem"].tolist() == ["", twice, "", twice, "unknown taxid"]
    assert found["superkingdom"].tolist() == ["Bacteria", "", "Eukaryota", "", ""]
    assert found["superkingdom_taxid"].tolist() == [2, 0, 2759, 0, 0]


@pytest.mark.parametrize(
    ("ranks", "asked", "expected"),
    [
        # Eukaryota, Holozoa, then what is asked for
        (("domain", "superkingdom"), "superkingdom", "Holozoa"),
        (("domain", "superkingdom"), "domain", "Eukaryota"),
        (("superkingdom", "domain"), "superkingdom", "Eukaryota"),
        (("superkingdom", "domain"), "domain", "Holozoa"),
        (("acellular root", "domain"), "domain", "Holozoa"),
        (("domain", "kingdom"), "superkingdom", "Eukaryota"),
        (("kingdom", "domain"), "superkingdom", "Holozoa"),
    ],
)
def test_the_exact_rank_comes_before_its_alias(tmp_path, ranks, asked, expected):
    nodes = renamed(dict(zip((2759, 33511), ranks, strict=True)))
    found = look_up(write_dump(tmp_path, nodes=nodes), [10090, 562], [asked, "genus"])
    # Bacteria have only the alias
    assert found[asked].tolist() == [expected, "Bacteria"]


@pytest.mark.parametrize(
    ("ranks", "asked", "taxids"),
    [
        # two aliases, and none of them is asked for
        (("domain", "superkingdom"), "acellular root", [10090]),
        # a fungus would be Eukaryota by the alias, and a mouse Holozoa, which is a part of them
        (("domain", "superkingdom"), "superkingdom", [10090, 90709]),
    ],
)
def test_aliases_that_are_classes_within_classes(tmp_path, ranks, asked, taxids):
    nodes = renamed(dict(zip((2759, 33511), ranks, strict=True)))
    write_dump(tmp_path, nodes=nodes)
    with pytest.raises(UserError, match=f"10090 has the rank {asked} 2 times, Eukaryota .*Holozoa"):
        look_up(tmp_path, taxids, [asked, "genus"])


def test_two_names_of_the_top_rank_are_two_ranks_if_both_are_asked_for(tmp_path):
    write_dump(tmp_path, nodes=renamed({2759: "domain", 2: "domain"}))
    found = look_up(tmp_path, [10090, 562], ["domain", "superkingdom"])
    assert found["domain"].tolist() == ["Eukaryota", "Bacteria"]
    assert found["superkingdom"].tolist() == ["Holozoa", ""]
    write_dump(tmp_path)
    with pytest.raises(UserError, match="no lineage has the rank 'domain'"):
        look_up(tmp_path, [562], ["superkingdom", "domain"])


def test_a_species_group_is_a_rank(tmp_path):
    ranks = ["genus", "species group", "species"]
    found = look_up(write_dump(tmp_path, nodes=SILVA), [1397, 562], ranks)
    assert found[ranks].values.tolist() == [
        ["Escherichia", "Bacillus cereus group", "Bacillus cereus"],
        ["Escherichia", "", "Escherichia coli"],
    ]


@pytest.mark.parametrize("rank", ["clade", "no rank"])
@pytest.mark.parametrize("exclude_twice", [False, True])
def test_what_is_no_rank_is_refused(tmp_path, rank, exclude_twice):
    dump = taxonomy.read_taxdump(write_dump(tmp_path, nodes=SILVA))
    words = f"'{rank}' is no rank to classify: .* genus, phylum, species, species group, superk"
    with pytest.raises(UserError, match=words):
        taxonomy.lineages(dump, np.array([562, 202]), [rank, "species"], exclude_twice)


@pytest.mark.parametrize("rank", ["Genus", "genera", "species_group", " genus", "class", ""])
def test_a_rank_that_the_dump_lacks_is_refused_with_those_it_has(tmp_path, rank):
    with pytest.raises(UserError, match=f"'{rank}'; the ranks of .*genus.* species group, superk"):
        look_up(write_dump(tmp_path, nodes=SILVA), [562], [rank])


def test_ranks_must_be_in_the_order_of_the_lineages(tmp_path):
    write_dump(tmp_path, nodes=SILVA)
    right = ["superkingdom", "phylum", "genus", "species group", "species"]
    look_up(tmp_path, [562, 1397], right)
    rng = random.Random(7)
    for _ in range(12):
        ranks = [rank for rank in right if rng.random() < 0.7] or right[:2]
        given = rng.sample(ranks, len(ranks))
        if given == ranks:
            assert (look_up(tmp_path, [562, 1397], given).loc[1397, given] != "").all()
            continue
        with pytest.raises(UserError) as error:
            look_up(tmp_path, [562, 1397], given)
        assert str(error.value).startswith(f"ranks: [{', '.join(given)}]: in ")
        assert str(error.value).endswith(f"highest to the lowest, ranks: [{', '.join(ranks)}]")


def test_a_wrong_order_names_two_classes(tmp_path):
    words = r"phylum\]: in .* genus Escherichia \(taxid 561\) does not stand above phylum Pseudomonadota"
    with pytest.raises(UserError, match=words):
        look_up(write_dump(tmp_path), [562], ["superkingdom", "genus", "phylum"])


def test_ranks_that_have_no_order(tmp_path):
    nodes = [
        *NODES,
        (300, 2, "genus", "Top"),
        (301, 300, "phylum", "Low"),
        (302, 301, "species", "x"),
    ]
    for ranks in (RANKS, ["genus", "phylum"]):
        with pytest.raises(UserError, match="elsewhere it does, so they have no order"):
            look_up(write_dump(tmp_path, nodes=nodes), [562, 302], ranks)


def test_merged_deleted_and_unknown_taxids(tmp_path):
    found = look_up(write_dump(tmp_path), [777, 469598, 562, 999, 555, 888, 889, 123456789])
    assert found["resolved_taxid"].tolist() == [582, 562, 562, 0, 0, 0, 0, 0]
    assert found["problem"].tolist() == [
        *["", "", ""],
        *["deleted taxid"] * 3,  # 888 was merged into one that was deleted later
        *["unknown taxid"] * 2,
    ]
    assert found["genus"].tolist() == ["Morganella", "Escherichia", "Escherichia", *[""] * 5]


def test_only_unknown_taxids(tmp_path):
    found = look_up(write_dump(tmp_path), [7, 8])
    assert found["problem"].tolist() == ["unknown taxid"] * 2
    assert found["genus_taxid"].tolist() == [0, 0]


@pytest.mark.parametrize("wanted", ["superkingdom", "domain", "acellular root"])
@pytest.mark.parametrize("year", [2024, 2025])
def test_the_top_rank_goes_by_three_names(tmp_path, wanted, year):
    renamed = {2: "domain", 2759: "domain", 10239: "acellular root", 131567: "cellular root"}
    nodes = NODES if year == 2024 else [(t, p, renamed.get(t, r), n) for t, p, r, n in NODES]
    found = look_up(write_dump(tmp_path, nodes=nodes), [562, 103, 90709], [wanted, "genus"])
    assert found[wanted].tolist() == ["Bacteria", "Viruses", "Eukaryota"]
    assert found[f"{wanted}_taxid"].tolist() == [2, 10239, 2759]


def test_a_tar_gz_and_a_folder_of_plain_files(tmp_path):
    expected = look_up(write_dump(tmp_path), [562, 469598, 555])
    for layout in ("plain", "tar"):
        (tmp_path / layout).mkdir()
    with tarfile.open(tmp_path / "tar" / "taxdump.tar.gz", "w:gz") as tar:
        for name, text in dump_files().items():
            (tmp_path / "plain" / name).write_text(text)
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    for layout in ("plain", "tar"):
        assert look_up(tmp_path / layout, [562, 469598, 555]).equals(expected)


def test_merged_and_deleted_may_be_missing_or_empty(tmp_path):
    for name, text in dump_files(merged=[], deleted=[]).items():
        (tmp_path / name).write_text(text)
    assert look_up(tmp_path, [562, 469598])["problem"].tolist() == ["", "unknown taxid"]
    (tmp_path / "merged.dmp").unlink()
    (tmp_path / "delnodes.dmp").unlink()
    assert look_up(tmp_path, [562, 469598])["problem"].tolist() == ["", "unknown taxid"]


def test_ete_leaves_nothing_behind(tmp_path, monkeypatch, capfd):
    write_dump(tmp_path)
    home = tmp_path / "home"
    here = tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    look_up(tmp_path / "taxdmp.zip", [562, 469598])
    assert list(home.iterdir()) == []
    assert list(here.iterdir()) == []
    assert os.getcwd() == str(here)
    assert capfd.readouterr() == ("", "")


def test_a_rank_that_is_nowhere_is_an_error(tmp_path):
    with pytest.raises(UserError, match=r"no lineage has the rank 'phylm'.* genus, no rank"):
        look_up(write_dump(tmp_path), [562], ["phylm"])


@pytest.mark.parametrize("name", ["nodes.dmp", "names.dmp"])
def test_missing_files(tmp_path, name):
    for other, text in dump_files().items():
        if other != name:
            (tmp_path / other).write_text(text)
    with pytest.raises(UserError, match=f"there is no {name}"):
        taxonomy.read_taxdump(tmp_path)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("nodes.dmp", lambda text: text[:-20]),
        ("nodes.dmp", lambda text: text.replace("\t|\t", "|")),
        ("nodes.dmp", lambda text: text.replace("562", "x62")),
        ("names.dmp", lambda text: text[:-15]),
        ("merged.dmp", lambda text: text[:-6]),
        ("delnodes.dmp", lambda text: text.replace("999", "n")),
    ],
)
def test_damaged_tables(tmp_path, name, change):
    for other, text in dump_files().items():
        (tmp_path / other).write_text(change(text) if other == name else text)
    with pytest.raises(UserError, match=f"^{name} is cut short or not in NCBI's format"):
        look_up(tmp_path, [562])


def changed(taxid, parent):
    return [(t, parent if t == taxid else p, r, n) for t, p, r, n in NODES]


@pytest.mark.parametrize(
    ("nodes", "words"),
    [
        (changed(1224, 562), "does not end at the root"),  # 562 -> 561 -> 1224 -> 562
        (changed(1224, 1224), "does not end at the root"),
        (changed(1, 562), "does not end at the root"),
        (changed(1224, 4321), "4321, the parent of 1224, is not there"),
        ([*NODES, NODES[7]], "562 is there twice"),
    ],
)
def test_damaged_lineages(tmp_path, nodes, words):
    with pytest.raises(UserError, match=words):
        look_up(write_dump(tmp_path, nodes=nodes), [562])


@settings(max_examples=25, deadline=None)
@given(
    parents=st.lists(st.integers(0, 30), min_size=1, max_size=12),
    ranks=st.lists(st.sampled_from(["clade", *RANKS, "domain"]), min_size=12, max_size=12),
    names=st.lists(st.text("Aa é|'\"%;", min_size=1, max_size=6), min_size=12, max_size=12),
    old=st.lists(st.integers(0, 11), max_size=3),
)
def test_any_tree(tmp_path_factory, parents, ranks, names, old):
    """Nodes 10, 11, ... hang below the root or one another; 500, 501, ... were merged into some."""
    nodes = [(1, 1, "no rank", "root")]
    for i, parent in enumerate(parents):
        name = f"x{names[i]}x"  # ETE takes white space from the ends
        nodes.append((10 + i, nodes[parent % len(nodes)][0], ranks[i], name))
    merged = [(500 + i, 10 + target % len(parents)) for i, target in enumerate(old)]
    known = {node[0]: node for node in nodes}
    path = write_dump(tmp_path_factory.mktemp("tree"), nodes=nodes, merged=merged, deleted=[])
    dump = taxonomy.read_taxdump(path)
    taxids = [*(node[0] for node in nodes[1:]), *(pair[0] for pair in merged), 99]
    tops = {"superkingdom", "domain"}
    there = {node[2] for node in nodes}
    for rank in RANKS:
        if not there & (tops if rank in tops else {rank}):
            continue
        expected, chosen, above = {}, set(), {}
        for taxid in taxids:
            node, way = dict(merged).get(taxid, taxid), []
            while node in known and node != 1:
                way.append(known[node])
                node = way[-1][1]
            exact = [one for one in way if one[2] == rank]
            fitting = exact or [one for one in way if rank in tops and one[2] in tops]
            chosen |= {one[0] for one in fitting}
            above[taxid] = [one[0] for one in reversed(way)]
            expected[taxid] = (
                (fitting[0][3].replace("|", "/"), fitting[0][0]) if fitting else ("", 0)
            )
        found = taxonomy.lineages(dump, np.array(taxids), [rank], True).set_index("taxid")
        for taxid in taxids:
            row = found.loc[taxid]
            if len(twice := [node for node in above[taxid] if node in chosen]) > 1:
                expected[taxid] = ("", 0)
                text = " > ".join(known[node][3].replace("|", "/") for node in twice)
                assert row["problem"] == f"rank {rank} twice: {text}"
            else:
                assert row["problem"] == ("unknown taxid" if taxid == 99 else "")
            assert (row[rank], row[f"{rank}_taxid"]) == expected[taxid]


def test_two_answers_for_one_taxid(tmp_path):
    twice = [*MERGED, (777, 562)]
    with pytest.raises(UserError, match=r"merged\.dmp: the taxid 777 is merged into two others"):
        look_up(write_dump(tmp_path, merged=twice), [562])
    look_up(write_dump(tmp_path, merged=[*MERGED, MERGED[0]]), [562])
    names = [(t, n, "", "scientific name") for t, _, _, n in NODES]
    other = [*names, (561, "Shigella", "", "scientific name")]
    with pytest.raises(UserError, match=r"names\.dmp: the taxid 561 has two scientific names"):
        look_up(write_dump(tmp_path, names=other), [562])
    look_up(write_dump(tmp_path, names=[*names, names[6]]), [562])


def test_damage_elsewhere_does_not_matter(tmp_path):
    assert look_up(write_dump(tmp_path, nodes=changed(10239, 4321)), [562])["genus"].item()


def test_a_node_without_scientific_name(tmp_path):
    names = [(t, n, "", "synonym" if t == 561 else "scientific name") for t, _, _, n in NODES]
    with pytest.raises(UserError, match=r"names\.dmp: no scientific name for taxid 561"):
        look_up(write_dump(tmp_path, names=names), [562])


def test_a_rank_that_is_twice_in_many_lineages_takes_no_quadratic_time(tmp_path):
    """A loop over the taxids that compares each with all took 25 s for 8,000."""
    species = range(100, 8100)
    nodes = [(1, 1, "no rank"), (2, 1, "superkingdom"), (3, 2, "superkingdom"), (4, 3, "genus")]
    nodes += [(taxid, 4, "species") for taxid in species]
    (tmp_path / "nodes.dmp").write_text(
        "".join(f"{taxid}\t|\t{parent}\t|\t{rank}\t|\n" for taxid, parent, rank in nodes)
    )
    (tmp_path / "names.dmp").write_text(
        "".join(f"{node[0]}\t|\tn{node[0]}\t|\t\t|\tscientific name\t|\n" for node in nodes)
    )
    dump = taxonomy.read_taxdump(tmp_path)
    taxonomy.lineages(dump, np.array([100]), ["genus"])  # imports ETE
    begin = time.process_time()
    table = taxonomy.lineages(dump, np.array(species), ["superkingdom", "genus"], True)
    assert time.process_time() - begin < 10
    assert (table["problem"] == "rank superkingdom twice: n2 > n3").all()


def test_a_blank_name_is_none(tmp_path):
    (tmp_path / "nodes.dmp").write_text("1\t|\t1\t|\tno rank\t|\n5\t|\t1\t|\tgenus\t|\n")
    (tmp_path / "names.dmp").write_text(
        "1\t|\troot\t|\t\t|\tscientific name\t|\n5\t|\t  \t|\t\t|\tscientific name\t|\n"
    )
    with pytest.raises(UserError, match="no scientific name for taxid 5"):
        taxonomy.lineages(taxonomy.read_taxdump(tmp_path), np.array([5]), ["genus"])
