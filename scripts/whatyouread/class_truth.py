"""Simulated data only: do the k-mers that speak for a class come from what was planted for it?"""

import numpy as np
import pandas as pd

from whatyouread.class_items import LETTERS, kmers
from whatyouread.cli import UserError
from whatyouread.token_files import TokenFile
from whatyouread.tokens import decode

TOP = 5  # of each class's list
_COMPLEMENT = np.arange(256, dtype=np.uint8)
_COMPLEMENT[list(b"ACGT")] = list(b"TGCA")


def planted_segments(file: TokenFile, planted: pd.DataFrame) -> pd.DataFrame:
    """The text of each planted segment, by majority over its copies in the file's sequences.

    planted: see `localization.read_planted`. Returns rank, taxid, segment and `bases`, uint8 arrays.
    Raises UserError when no copy lies in the file.
    """
    rows = pd.Series(np.arange(len(file)), index=file.ids.to_pylist())
    own = planted[planted["id"].isin(rows.index)]
    if not len(own):
        raise UserError(f"{file.path} has no sequence with a planted segment")
    bases, ends = decode(*file.flat_tokens(np.arange(len(file))))
    begin = ends[rows.loc[own["id"]].to_numpy()] + own["start"].to_numpy()
    found = []
    for key, part in own.assign(begin=begin).groupby(["rank", "taxid", "segment"], sort=True):
        length = int((part["end"] - part["start"]).iloc[0])
        copies = bases[part["begin"].to_numpy()[:, None] + np.arange(length)]
        turned = (part["strand"] == "-").to_numpy()
        copies[turned] = _COMPLEMENT[copies[turned, ::-1]]
        votes = np.stack([(copies == letter).sum(0) for letter in LETTERS.encode()])
        text = np.frombuffer(LETTERS.encode(), np.uint8)[votes.argmax(0)]
        found.append((*key, text))
    return pd.DataFrame(found, columns=["rank", "taxid", "segment", "bases"])


def planted_kmers(segments: pd.DataFrame, taxids: list[int], k: int) -> np.ndarray:
    """Codes of the canonical k-mers in the segments of some taxa, sorted and distinct."""
    own = segments[segments["taxid"].isin(taxids)]["bases"]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *(kmers(text, k)[1] for text in own)]))


def number_of_kmers(k: int) -> int:
    """How many canonical k-mers there are: pairs of reverse complements, and those that are their own."""
    return (4**k + (4 ** (k // 2) if k % 2 == 0 else 0)) // 2


def planted_table(
    items: pd.DataFrame, classes: pd.DataFrame, segments: pd.DataFrame, lineages: np.ndarray,
    ranks: list[str], k: int,
) -> pd.DataFrame:  # fmt: skip
    """How many of the five best k-mers of each class lie in a segment of it or of a taxon above.

    items: the stable ones, of kind "kmer"; classes: rank, class, taxid, name; lineages: int64 (n,
    ranks), the classes that go together. One row per source and class of every rank for which
    segments were planted: `listed` and `planted` of its best five, and `chance`, the share of all
    k-mers that lie in those segments.
    """
    taxid = classes.set_index(["rank", "class"])["taxid"]
    rows = []
    for source in items["source"].unique():
        for i, rank in enumerate(ranks):
            if rank not in set(segments["rank"]):
                continue
            for number in np.unique(lineages[:, i]):
                above = lineages[lineages[:, i] == number][0]
                lineage = [int(taxid[ranks[j], above[j]]) for j in range(i + 1)]
                true = planted_kmers(segments, lineage, k)
                own = items[
                    (items["source"] == source)
                    & (items["rank"] == rank)
                    & (items["class"] == number)
                    & (items["position"] <= TOP)
                ]["item"]
                codes = kmers(np.frombuffer("N".join(own).encode(), np.uint8), k)[1]
                rows.append(
                    {
                        "source": source,
                        "rank": rank,
                        "class": number,
                        "listed": len(own),
                        "planted": int(np.isin(codes, true).sum()),
                        "chance": len(true) / number_of_kmers(k),
                    }
                )
    return pd.DataFrame(rows)
