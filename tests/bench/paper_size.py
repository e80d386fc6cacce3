"""A data set and a taxonomy dump of the paper's size, made up, and written as streams.

The archive is a zip of four FASTA files of 1,500 bp each with headers `>TAXID INDEX`, the dump has
NCBI's files, columns and separators. Both are for measuring time and memory only: the sequences are
random and teach nothing.
"""

import zipfile
from pathlib import Path

import numpy as np

SEQUENCES, LENGTH = 5_181_880, 1_500
NODES, MERGED, DELETED = 2_600_000, 80_000, 600_000
CLASSES = {"superkingdom": 4, "phylum": 55, "genus": 1_878}
TAXIDS = 2_000  # of the data set; more than the paper's 1,573, which cannot have 1,878 genera

_TOP = {"Archaea": 2157, "Bacteria": 2, "Eukaryota": 2759, "Viruses": 10239}
_SHARES = {"Archaea": 0.07, "Bacteria": 0.55, "Eukaryota": 0.30, "Viruses": 0.08}
# ranks below the top, and about how many nodes NCBI has of them
_LEVELS = {"phylum": 300, "class": 1_000, "order": 4_000, "family": 15_000, "genus": 110_000}
_CELLULAR, _ROOT = 131567, 1
_LARGEST = 3_400_000
_AT_ONCE = 1 << 13  # sequences
# four bases in each byte of a random number
_FOUR = np.frombuffer(b"ACGT", np.uint8)[
    (np.arange(256)[:, None] >> np.array([0, 2, 4, 6])) & 3
].view(np.uint32)[:, 0]


def write_dump(path: Path, nodes: int = NODES, seed: int = 0) -> dict[str, np.ndarray]:
    """Write a dump of about `nodes` nodes; returns superkingdom -> taxids for the data set.

    The returned taxids have 55 phyla and 1,878 genera together (fewer genera in a dump of less than
    200,000 nodes), and are species, as most of the real ones are.
    """
    rng = np.random.default_rng(seed)
    scale = min(1.0, nodes / NODES)
    sizes, least = {}, CLASSES["phylum"] + 5
    for rank, number in _LEVELS.items():
        sizes[rank] = least = max(least, int(number * scale))
    sizes["species"] = nodes - 6 - sum(sizes.values())
    fixed = [_ROOT, _CELLULAR, *_TOP.values()]
    free = np.setdiff1d(np.arange(3, _LARGEST), fixed)
    drawn = rng.choice(free, nodes - len(fixed) + MERGED + DELETED, replace=False)
    taxids, retired = np.split(drawn, [nodes - len(fixed)])

    # place of the parent of every node, in the order of `own`: fixed nodes, then level by level
    own = np.concatenate([fixed, taxids])
    parent = np.concatenate([[0, 0], [1, 1, 1, 0], np.zeros(len(taxids), np.int64)])
    rank_of = np.concatenate([["no rank", "no rank"], ["superkingdom"] * 4]).tolist()
    above, first = np.arange(2, 6), len(fixed)
    for rank, number in sizes.items():
        here = np.arange(first, first + number)
        # each of the nodes above has a child, the rest is drawn
        parent[here] = np.concatenate(
            [above[: len(here)], rng.choice(above, max(0, len(here) - len(above)))]
        )
        rank_of += [rank] * number
        above, first = here, first + number
    _write_dump_files(path, own, parent, rank_of, retired)
    return _taxids_for_data(rng, own, parent, sizes)


def _taxids_for_data(rng, own, parent, sizes) -> dict[str, np.ndarray]:
    starts = np.cumsum([6, *sizes.values()])
    level = {rank: np.arange(*starts[i : i + 2]) for i, rank in enumerate(sizes)}
    phyla = rng.permutation(level["phylum"])
    by_top = [phyla[parent[phyla] == top] for top in range(2, 6)]
    # a phylum of each superkingdom first, so that there are four
    first = [p[0] for p in by_top]
    phyla = np.concatenate([first, phyla[~np.isin(phyla, first)]])[: CLASSES["phylum"]]
    genera = rng.permutation(level["genus"])
    phylum = genera
    for _ in range(4):
        phylum = parent[phylum]
    inside = np.isin(phylum, phyla)
    genera, phylum = genera[inside], phylum[inside]
    one_of_each = np.unique(phylum, return_index=True)[1]
    rest = np.setdiff1d(np.arange(len(genera)), one_of_each)
    chosen = np.concatenate([one_of_each, rest])[: CLASSES["genus"]]
    genera, phylum = genera[chosen], phylum[chosen]
    species = level["species"]
    species = species[np.isin(parent[species], genera)]
    one_of_each = np.unique(parent[species], return_index=True)[1]
    rest = rng.permutation(np.setdiff1d(np.arange(len(species)), one_of_each))
    species = species[np.concatenate([one_of_each, rest])[:TAXIDS]]
    top = species
    for _ in range(6):
        top = parent[top]
    return {name: own[species[top == place]] for place, name in enumerate(_TOP, 2)}


def _write_dump_files(path, own, parent, rank_of, retired) -> None:
    order = np.argsort(own)
    parents = own[parent]
    tail = "\t|\t".join(["", "0", "1", "11", "1", "0", "1", "1", "0", ""])
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        with archive.open("nodes.dmp", "w", force_zip64=True) as stream:
            for part in np.array_split(order, 1 + len(order) // 100_000):
                rows = zip(own[part].tolist(), parents[part].tolist(), part.tolist(), strict=True)
                lines = [f"{t}\t|\t{p}\t|\t{rank_of[i]}\t|\t{tail}\t|\n" for t, p, i in rows]
                stream.write("".join(lines).encode())
        tops = {taxid: name for name, taxid in _TOP.items()}
        tops |= {_ROOT: "root", _CELLULAR: "cellular organisms"}
        with archive.open("names.dmp", "w", force_zip64=True) as stream:
            for part in np.array_split(order, 1 + len(order) // 100_000):
                lines = []
                for taxid, place in zip(own[part].tolist(), part.tolist(), strict=True):
                    name = tops.get(taxid) or f"Fictitia {rank_of[place]}{taxid}"
                    # NCBI has about 1.6 names for a node
                    if taxid % 5 < 3:
                        lines.append(
                            f"{taxid}\t|\tAlias {taxid} Smith, 1999\t|\t\t|\tauthority\t|\n"
                        )
                    lines.append(f"{taxid}\t|\t{name}\t|\t\t|\tscientific name\t|\n")
                stream.write("".join(lines).encode())
        old, deleted = np.sort(retired[:MERGED]), np.sort(retired[MERGED:])[::-1]
        into = own[order[np.linspace(6, len(own) - 1, len(old)).astype(int)]]
        rows = zip(old.tolist(), into.tolist(), strict=True)
        archive.writestr("merged.dmp", "".join(f"{o}\t|\t{n}\t|\n" for o, n in rows))
        archive.writestr("delnodes.dmp", "".join(f"{t}\t|\n" for t in deleted.tolist()))


def write_archive(
    path: Path, taxids: dict[str, np.ndarray], sequences: int = SEQUENCES, seed: int = 0
) -> int:
    """Write a zip of one FASTA file per superkingdom; returns the bytes of text in it.

    taxids: superkingdom -> taxids. The sequences of a taxid lie together; their numbers differ as
    those of real taxa do. One in two hundred holds a run of N.
    """
    written = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for number, (name, own) in enumerate(taxids.items()):
            rng = np.random.default_rng([seed, number])
            count = round(sequences * _SHARES[name])
            if name == list(taxids)[-1]:
                count = sequences - sum(round(sequences * _SHARES[n]) for n in list(taxids)[:-1])
            weights = rng.lognormal(sigma=0.5, size=len(own))
            owner = np.sort(rng.choice(own, count, p=weights / weights.sum()))
            owner[: min(3 * len(own), count)] = np.resize(own, min(3 * len(own), count))
            with archive.open(f"{name}.fa", "w", force_zip64=True) as stream:
                for start in range(0, count, _AT_ONCE):
                    text = _records(rng, owner[start : start + _AT_ONCE], start)
                    stream.write(text)
                    written += len(text)
    return written


def _records(rng: np.random.Generator, taxids: np.ndarray, first: int) -> bytes:
    numbers = np.frombuffer(rng.bytes(len(taxids) * LENGTH // 4), np.uint8)
    rows = _FOUR[numbers].view(np.uint8).reshape(len(taxids), LENGTH)
    for row in np.flatnonzero(rng.random(len(rows)) < 0.005):
        begin = rng.integers(LENGTH - 20)
        rows[row, begin : begin + rng.integers(1, 20)] = ord("N")
    text = rows.tobytes()
    return b"".join(
        b">%d %d\n%b\n" % (taxid, index, text[at : at + LENGTH])
        for index, taxid, at in zip(
            range(first, first + len(taxids)),
            taxids.tolist(),
            range(0, len(text), LENGTH),
            strict=True,
        )
    )
