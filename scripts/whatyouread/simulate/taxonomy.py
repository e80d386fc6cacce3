"""A made-up mini taxonomy below the four real superkingdoms, as the rows of NCBI's taxdump."""

from dataclasses import dataclass, field

import numpy as np

ROOT, CELLULAR = 1, 131567
# name: taxid, parent, division, genetic code, mitochondrial code, common name
SUPERKINGDOMS = {
    "Archaea": (2157, CELLULAR, 0, 11, 0, "archaea"),
    "Bacteria": (2, CELLULAR, 0, 11, 0, "eubacteria"),
    "Eukaryota": (2759, CELLULAR, 1, 1, 1, "eukaryotes"),
    "Viruses": (10239, ROOT, 9, 1, 0, "viruses"),
}
SPECIES_PER_GENUS = (2, 5)  # fewest and most species of a genus that has sequences
NEAR_EMPTY = (3, 1)  # sequences of the two near-empty genera
_ONSETS = (*"bcdfghlmnprstvz", "th", "ch")
_GENUS_ENDINGS = {
    "Archaea": ("oglobus", "oplasma", "oarchaeum", "ococcus"),
    "Bacteria": ("obacter", "omonas", "ococcus", "ella"),
    "Eukaryota": ("ina", "omyces", "ophora", "us"),
    "Viruses": ("virus",),
}
_ENDINGS = {"phylum": "ota", "class": "ia", "order": "ales", "family": "aceae"}
_VIRAL_ENDINGS = {"phylum": "viricota", "class": "viricetes", "order": "virales"}
_VIRAL_ENDINGS["family"] = "viridae"
# what stands between superkingdom and phylum; the clade only for every other phylum
_UPPER = {
    "Archaea": (("clade", "arch group"),),
    "Bacteria": (("clade", "ibacteria group"),),
    "Eukaryota": (("clade", "ozoa"), ("kingdom", "ae")),
    "Viruses": (("clade", "iviria"), ("kingdom", "ivirae")),
}


@dataclass(frozen=True)
class Clade:
    """A phylum or a genus that owns signature segments; `parent` counts in the list above it."""

    taxid: int
    name: str
    parent: int


@dataclass(frozen=True)
class Leaf:
    """A taxid in the headers. `phylum` and `genus` are list indices, -1 where there is none.

    `fate`: regular, sparse (of a near-empty genus), merged, no_genus, no_phylum, deleted, unknown.
    """

    taxid: int
    fate: str
    superkingdom: int
    phylum: int = -1
    genus: int = -1


@dataclass
class Taxonomy:
    """The tree as rows of the dump, and the facts that the simulator of sequences needs.

    nodes: the 13 columns of nodes.dmp, by taxid. names: the 4 of names.dmp, by taxid, a taxid's
    scientific name first. merged: old and new taxid. leaves: the taxids of the headers.
    """

    nodes: list[tuple] = field(default_factory=list)
    names: list[tuple] = field(default_factory=list)
    merged: list[tuple[int, int]] = field(default_factory=list)
    deleted: list[int] = field(default_factory=list)
    phyla: list[Clade] = field(default_factory=list)
    genera: list[Clade] = field(default_factory=list)
    leaves: list[Leaf] = field(default_factory=list)


def build(rng: np.random.Generator, superkingdoms: int, phyla: int, genera: int) -> Taxonomy:
    """Grow a taxonomy with that many superkingdoms (1 to 4), phyla and genera.

    The last two genera are the near-empty ones. On top of them come a species without genus, a
    viral-style genus without phylum, a merged, a deleted and an unknown taxid, and species that
    no header uses.
    """
    return _Grower(rng).grow(superkingdoms, phyla, genera)


class _Grower:
    def __init__(self, rng: np.random.Generator):
        self.rng, self.made = rng, Taxonomy()
        # above the taxids used by name, and within the range in use in December 2024
        self.taxids = iter((rng.permutation(3_000_000) + 200_000).tolist())
        self.used_stems: set[str] = set()
        self.inner: dict[tuple, int] = {}
        self.name_of: dict[int, str] = {}

    def grow(self, superkingdoms: int, phyla: int, genera: int) -> Taxonomy:
        self.kingdoms = list(SUPERKINGDOMS)[:superkingdoms]
        self._add(ROOT, ROOT, "no rank", "root", (8, 1, 0), inherits=0)
        self._add(CELLULAR, ROOT, "no rank", "cellular organisms", (8, 1, 0))
        self._alias(CELLULAR, "biota", "synonym")
        for name in self.kingdoms:
            taxid, parent, *codes, common = SUPERKINGDOMS[name]
            self._add(taxid, parent, "superkingdom", name, tuple(codes), inherits=0)
            self._alias(taxid, common, "genbank common name")
        for phylum in range(phyla):
            self._phylum(phylum, (1 + phylum) % superkingdoms)
        # some phyla have one genus, some several, as in nature
        parents = np.append(np.arange(phyla), self.rng.integers(phyla, size=genera - phyla))
        for genus, parent in enumerate(parents.tolist()):
            self._genus(genus, parent, sparse=genus >= genera - len(NEAR_EMPTY))
        self._irregular()
        self.made.nodes.sort()
        self.made.names.sort(key=lambda row: row[0])
        self.made.merged.sort()
        self.made.deleted.sort(reverse=True)
        return self.made

    def _phylum(self, phylum: int, superkingdom: int) -> None:
        kingdom = self.kingdoms[superkingdom]
        parent = SUPERKINGDOMS[kingdom][0]
        for rank, ending in _UPPER[kingdom]:
            if rank != "clade" or phylum % 2:
                parent = self._new(parent, rank, self._stem() + ending, kingdom)
        stem = self._stem()
        name = stem + self._ending(kingdom, "phylum")
        taxid = self._new(parent, "phylum", name, kingdom)
        if kingdom != "Viruses":
            self._alias(taxid, stem + "aeota", "synonym")
        self.made.phyla.append(Clade(taxid, name, superkingdom))

    def _genus(self, genus: int, phylum: int, sparse: bool) -> None:
        kingdom = self.kingdoms[self.made.phyla[phylum].parent]
        sisters = sum(other.parent == phylum for other in self.made.genera)
        stem = self._stem()
        parent = self._family(phylum, kingdom, sisters // 2, stem)
        name = stem + str(self.rng.choice(_GENUS_ENDINGS[kingdom]))
        taxid = self._new(parent, "genus", name, kingdom)
        self.made.genera.append(Clade(taxid, name, phylum))
        low, high = SPECIES_PER_GENUS
        count = 1 if sparse else int(self.rng.integers(low, high + 1))
        place = (self.made.phyla[phylum].parent, phylum, genus)
        for which in range(count):
            leaf = self._species(taxid, name, kingdom, unnamed=genus % 3 == 1 and which == 1)
            if genus % 2 and which == 0:
                strain = f"{self.name_of[leaf]} str. {self._code()}"
                leaf = self._new(leaf, "strain", strain, kingdom)
            self.made.leaves.append(Leaf(leaf, "sparse" if sparse else "regular", *place))
        unused = self._species(taxid, name, kingdom)
        self._alias(unused, f"{name} {self._code()}", "equivalent name")

    def _family(self, phylum: int, kingdom: str, family: int, stem: str) -> int:
        """Class, order and family of a phylum's genera, named after the first genus in each."""
        parent = self.made.phyla[phylum].taxid
        for rank, number in (("class", family // 4), ("order", family // 2), ("family", family)):
            key = (phylum, rank, number)
            if key not in self.inner:
                name = stem + self._ending(kingdom, rank)
                self.inner[key] = self._new(parent, rank, name, kingdom)
            parent = self.inner[key]
        return parent

    def _species(self, genus: int, name: str, kingdom: str, unnamed: bool = False) -> int:
        if unnamed:
            group = self._new(genus, "no rank", f"unclassified {name}", kingdom)
            return self._new(group, "species", f"{name} sp. {self._code()}", kingdom)
        epithet = self._stem().lower() + str(self.rng.choice(["um", "ensis", "is", "i"]))
        taxid = self._new(genus, "species", f"{name} {epithet}", kingdom)
        if self.rng.random() < 0.3:
            self._alias(taxid, f"{self._stem()}us {epithet}", "synonym")
        return taxid

    def _irregular(self) -> None:
        """The taxids that a labelling step must follow, drop or report."""
        made, last = self.made, len(self.kingdoms) - 1
        # a species right below the family of the first phylum's first genus
        superkingdom, family = made.phyla[0].parent, self.inner[0, "family", 0]
        name = f"{self.name_of[family]} sp. {self._code()}"
        species = self._new(family, "species", name, self.kingdoms[superkingdom])
        made.leaves.append(Leaf(species, "no_genus", superkingdom, 0))
        # a genus whose lineage has no phylum, as some viruses have
        kingdom, stem = self.kingdoms[last], self._stem()
        clade = self._new(SUPERKINGDOMS[kingdom][0], "clade", stem + "ia", kingdom)
        family = self._new(clade, "family", stem + self._ending(kingdom, "family"), kingdom)
        name = stem + _GENUS_ENDINGS[kingdom][0]
        genus = self._new(family, "genus", name, kingdom)
        made.leaves.append(Leaf(self._species(genus, name, kingdom), "no_phylum", last))
        # merged: into a species of the first genus, which also has sequences of its own
        target = next(leaf for leaf in made.leaves if leaf.genus == 0)
        old = next(self.taxids)
        made.merged += [(old, target.taxid), (next(self.taxids), target.taxid)]
        place = (target.superkingdom, target.phylum, target.genus)
        made.leaves.append(Leaf(old, "merged", *place))
        made.deleted += [next(self.taxids) for _ in range(4)]
        made.leaves.append(Leaf(made.deleted[0], "deleted", 0))
        made.leaves.append(Leaf(next(self.taxids), "unknown", last // 2))

    def _new(self, parent: int, rank: str, name: str, kingdom: str) -> int:
        taxid = next(self.taxids)
        self._add(taxid, parent, rank, name, SUPERKINGDOMS[kingdom][2:5])
        return taxid

    def _add(self, taxid, parent, rank, name, codes: tuple, inherits: int = 1) -> None:
        division, code, mitochondrial = codes
        species = rank in ("species", "strain")
        letters = "".join(word[0] for word in name.split()[:2]).upper() if species else ""
        hidden = int(species or (rank in ("clade", "no rank") and taxid != ROOT))
        comment = "code compliant; specified" if species else ""
        node = (taxid, parent, rank, letters, division, inherits, code, inherits)
        self.made.nodes.append((*node, mitochondrial, inherits, hidden, 0, comment))
        self.made.names.append((taxid, name, "", "scientific name"))
        self.name_of[taxid] = name

    def _alias(self, taxid: int, name: str, kind: str) -> None:
        self.made.names.append((taxid, name, "", kind))

    def _stem(self) -> str:
        while True:
            syllables = self.rng.choice(_ONSETS, size=2), self.rng.choice(list("aeiou"), size=2)
            stem = "".join(map("".join, zip(*syllables, strict=True)))
            stem = (stem + str(self.rng.choice(list("lmnrst")))).capitalize()
            if stem not in self.used_stems:
                self.used_stems.add(stem)
                return stem

    def _code(self) -> str:
        letters = self.rng.choice(list("ABCDEFGHKLMNPRSTW"), size=2)
        return "".join(letters) + str(self.rng.integers(10, 1000))

    def _ending(self, kingdom: str, rank: str) -> str:
        return (_VIRAL_ENDINGS if kingdom == "Viruses" else _ENDINGS)[rank]
