"""Motifs of the classes, assembled from overlapping stable k-mers, in MEME's format."""

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd

from whatyouread.data.six_mers import COMPLEMENT, LETTERS

_CODE = {letter: i for i, letter in enumerate(LETTERS)}
_COMPLEMENT = bytes(COMPLEMENT)
PSEUDOCOUNT = 0.25  # per letter, to avoid zero probabilities


def assemble(kmers: list[str], weights: list[float], min_overlap: int) -> list[np.ndarray]:
    """Assemble motifs as weighted counts of A, C, G and T, float64 (length, 4), best k-mer first.

    kmers: all of one length. The method is greedy. The first unused k-mer starts a motif. Then k-mers
    join on either strand, those with the longest overlap first, as long as one matches the motif's most
    frequent letters at every overlapping place and the overlap has at least `min_overlap` places.
    """
    ends = _Ends(kmers, min_overlap)
    motifs = []
    while ends.left:
        index = min(ends.left)
        counts, text = _counts(kmers[index], weights[index]), kmers[index]
        ends.left.remove(index)
        while (found := ends.best(text)) is not None:
            index, spelt, shift = found
            ends.left.remove(index)
            counts = _add(counts, _counts(spelt, weights[index]), shift)
            text = spelled(counts)
        motifs.append(counts)
    return motifs


def spelled(counts: np.ndarray) -> str:
    """The most frequent letter at each place of a motif, (length, 4)."""
    return "".join(LETTERS[i] for i in counts.argmax(1))


def turned(text: str) -> str:
    """The reverse complement."""
    return text.translate(_COMPLEMENT)[::-1]


class _Ends:
    """The unused k-mers (`left`) on both strands, indexed by their first and last letters."""

    def __init__(self, kmers: list[str], min_overlap: int):
        self.left = set(range(len(kmers)))
        self.k = len(kmers[0]) if kmers else 0
        self.overlaps = range(self.k, min(min_overlap, self.k) - 1, -1)
        self.begin, self.end = defaultdict(list), defaultdict(list)
        for index, kmer in enumerate(kmers):
            for spelt in (kmer, turned(kmer)):
                for overlap in self.overlaps:
                    self.begin[spelt[:overlap]].append((index, spelt))
                    self.end[spelt[-overlap:]].append((index, spelt))

    def best(self, text: str) -> tuple[int, str, int] | None:
        """The k-mer with the longest overlap with `text`, its spelling, and its start in `text`."""
        for overlap in self.overlaps:
            after = len(text) - overlap
            places = [
                (self.begin[text[after:]], after),
                (self.end[text[:overlap]], overlap - self.k),
            ]
            if overlap == self.k:
                places = [(self.begin[text[i : i + self.k]], i) for i in range(after + 1)]
            fits = [
                (index, spelt, shift)
                for found, shift in places
                for index, spelt in found
                if index in self.left
            ]
            if fits:
                return min(fits, key=lambda fit: fit[0])
        return None


def _counts(text: str, weight: float) -> np.ndarray:
    made = np.zeros((len(text), len(LETTERS)))
    made[np.arange(len(text)), [_CODE[letter] for letter in text]] = weight
    return made


def _add(counts: np.ndarray, other: np.ndarray, shift: int) -> np.ndarray:
    start, end = min(shift, 0), max(shift + len(other), len(counts))
    total = np.zeros((end - start, len(LETTERS)))
    total[-start : -start + len(counts)] += counts
    total[shift - start : shift - start + len(other)] += other
    return total


def class_motifs(items: pd.DataFrame) -> dict[tuple, list[np.ndarray]]:
    """The motifs of each (source, rank, class), from its k-mers weighted by their support."""
    kmers = items[items["kind"] == "kmer"].sort_values("position")
    return {
        key: assemble(
            part["item"].tolist(), part["support"].tolist(), max(len(part["item"].iloc[0]) - 2, 1)
        )
        for key, part in kmers.groupby(["source", "rank", "class"])
    }


class Motif(NamedTuple):
    """A motif of a class: its name in the MEME file, and its weighted counts, float64 (length, 4)."""

    name: str
    source: str
    rank: str
    number: int
    counts: np.ndarray


def longest(motifs: list[np.ndarray]) -> list[int]:
    """The places of motifs, the longest first; of equal lengths the one with more behind it."""
    return sorted(range(len(motifs)), key=lambda i: (-len(motifs[i]), -motifs[i].sum()))


def named_motifs(items: pd.DataFrame, classes: pd.DataFrame) -> Iterator[Motif]:
    """All motifs, called SOURCE_RANK_NAME_NUMBER.

    Letters and digits of the name are kept. A name that would repeat gets the class's number, too.
    """
    used = set()
    named = classes.set_index(["rank", "class"])["name"]
    for (source, rank, number), motifs in class_motifs(items).items():
        taxon = re.sub("[^A-Za-z0-9]", "_", str(named[rank, number]))
        for i, counts in enumerate(motifs, start=1):
            name = f"{source}_{rank}_{taxon}_{i}"
            while name in used:
                name += f"_class{number}"
            used.add(name)
            yield Motif(name, source, rank, number, counts)


def meme(items: pd.DataFrame, classes: pd.DataFrame) -> str:
    """All motifs in MEME's minimal format, version 5."""
    lines = ["MEME version 5", "", "ALPHABET= ACGT", "", "strands: + -", "",
             "Background letter frequencies", "A 0.25 C 0.25 G 0.25 T 0.25", ""]  # fmt: skip
    for motif in named_motifs(items, classes):
        share = motif.counts + PSEUDOCOUNT
        share /= share.sum(1, keepdims=True)
        sites = int(motif.counts.sum(1).max())
        lines.append(f"MOTIF {motif.name}")
        lines.append(f"letter-probability matrix: alength= 4 w= {len(share)} nsites= {sites} E= 0")
        lines += [" " + "  ".join(f"{value:.6f}" for value in row) for row in share]
        lines.append("")
    return "\n".join(lines) + "\n"
