"""Simulated data only: how many of a class's k-mers, or words, are those that were planted for it."""

import numpy as np
import pandas as pd

from whatyouread.classes.items import kmers

TOP = 5  # of each class's list


def planted_kmers(segments: pd.DataFrame, taxids: list[int], k: int) -> np.ndarray:
    """Codes of the canonical k-mers in the segments of some taxa, sorted and distinct."""
    own = segments[segments["taxid"].isin(taxids)]["bases"]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *(kmers(text, k)[1] for text in own)]))


def number_of_kmers(k: int) -> int:
    """The number of canonical k-mers; a k-mer can be its own reverse complement."""
    return (4**k + (4 ** (k // 2) if k % 2 == 0 else 0)) // 2


def planted_table(
    items: pd.DataFrame, classes: pd.DataFrame, segments: pd.DataFrame, lineages: np.ndarray,
    ranks: list[str], k: int,
) -> pd.DataFrame:  # fmt: skip
    """Count the five best k-mers of each class that lie in a segment of the class or a taxon above.

    items: the stable items of kind "kmer"; classes: rank, class, taxid, name; lineages: int64 (n,
    ranks), the class combinations that exist, -1 where a label is missing: a class needs one in which
    all classes above it are known. One row per source and class at every rank with planted
    segments: `listed`, the number of k-mers up to five; `planted`, those in the segments; `chance`, the
    share of all k-mers that lie in the segments.
    """
    taxid = classes.set_index(["rank", "class"])["taxid"]
    rows = []
    for source in items["source"].unique():
        for i, rank in enumerate(ranks):
            if rank not in set(segments["rank"]):
                continue
            known = lineages[(lineages[:, : i + 1] >= 0).all(1)]
            for number in np.unique(known[:, i]):
                above = known[known[:, i] == number][0]
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


def planted_words(
    items: pd.DataFrame, classes: pd.DataFrame, keywords: pd.DataFrame
) -> pd.DataFrame:
    """Count the five best words of each class that were planted for it.

    items: the stable items of kind "word"; classes: rank, class, name; keywords: `class` (its name) and
    `keyword`. One row per source and class that has keywords: `listed`, the number of words up to five;
    `planted`, those planted for the class; `others`, those planted for other classes; `first`, whether the
    best word was planted for it.
    """
    rows = []
    best = items[items["position"] <= TOP].sort_values("position")
    everywhere = set(keywords["keyword"])
    for source in items["source"].unique():
        for rank, number, name in classes[["rank", "class", "name"]].itertuples(index=False):
            own = set(keywords.loc[keywords["class"] == name, "keyword"])
            if not own:
                continue
            words = best.loc[
                (best["source"] == source) & (best["rank"] == rank) & (best["class"] == number),
                "item",
            ].tolist()
            planted = [word in own for word in words]
            about = {"source": source, "rank": rank, "class": number, "listed": len(words)}
            others = sum(word in everywhere - own for word in words)
            found = {"planted": sum(planted), "others": others, "first": planted[:1] == [True]}
            rows.append(about | found)
    return pd.DataFrame(rows)
