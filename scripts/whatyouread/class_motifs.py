"""Motifs of the classes: stable k-mers put together where they overlap, in MEME's format."""

import numpy as np
import pandas as pd

from whatyouread.class_items import LETTERS

_CODE = {letter: i for i, letter in enumerate(LETTERS)}
_COMPLEMENT = str.maketrans("ACGT", "TGCA")
PSEUDOCOUNT = 0.25  # of each letter, so that no probability is zero


def assemble(kmers: list[str], weights: list[float], min_overlap: int) -> list[np.ndarray]:
    """Motifs, each the weighted counts of A, C, G and T, float64 (length, 4), best k-mer first.

    Greedy: the next k-mer that is not yet used starts a motif; k-mers, on either strand, join where
    they agree with its most frequent letters in all of at least `min_overlap` places, those with the
    longest overlap first, until none does.
    """
    left = list(zip(kmers, weights, strict=True))
    motifs = []
    while left:
        first, weight = left.pop(0)
        counts = _counts(first, weight)
        while (best := _best_place(counts, left, min_overlap)) is not None:
            index, text, shift = best
            counts = _add(counts, _counts(text, left.pop(index)[1]), shift)
        motifs.append(counts)
    return motifs


def _best_place(counts, left, min_overlap):
    consensus = "".join(LETTERS[i] for i in counts.argmax(1))
    best, longest = None, 0
    for index, (kmer, _) in enumerate(left):
        for text in (kmer, kmer.translate(_COMPLEMENT)[::-1]):
            for shift in range(min_overlap - len(text), len(consensus) - min_overlap + 1):
                low, high = max(shift, 0), min(shift + len(text), len(consensus))
                if high - low > longest and consensus[low:high] == text[low - shift : high - shift]:
                    best, longest = (index, text, shift), high - low
    return best


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


def meme(items: pd.DataFrame, classes: pd.DataFrame) -> str:
    """All motifs in MEME's minimal format, version 5, named SOURCE_RANK_NAME_NUMBER."""
    named = classes.set_index(["rank", "class"])["name"]
    lines = ["MEME version 5", "", "ALPHABET= ACGT", "", "strands: + -", "",
             "Background letter frequencies", "A 0.25 C 0.25 G 0.25 T 0.25", ""]  # fmt: skip
    for (source, rank, number), motifs in class_motifs(items).items():
        taxon = "".join(c if c.isalnum() else "_" for c in str(named[rank, number]))
        for i, counts in enumerate(motifs, start=1):
            share = counts + PSEUDOCOUNT
            share /= share.sum(1, keepdims=True)
            sites = int(counts.sum(1).max())
            lines.append(f"MOTIF {source}_{rank}_{taxon}_{i}")
            lines.append(
                f"letter-probability matrix: alength= 4 w= {len(share)} nsites= {sites} E= 0"
            )
            lines += [" " + "  ".join(f"{value:.6f}" for value in row) for row in share]
            lines.append("")
    return "\n".join(lines) + "\n"
