"""The ranks of a taxonomy: which there are, which nodes are of one, and what stands above what."""

import graphlib
import itertools
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from whatyouread.support.cli import UserError

# NCBI's name of the top rank: until 2024; since 2025; since 2025 for viruses
TOP_RANKS = ("superkingdom", "domain", "acellular root")
# what NCBI calls a node that has no rank of its own: a lineage holds several
NO_RANKS = ("no rank", "clade")


def check_ranks(ranks: Sequence[str], known: set[str], path: Path) -> None:
    """Raise `UserError` for a rank that is none of those of the dump at `path`, or no rank at all."""
    for rank in ranks:
        if rank in NO_RANKS:
            raise UserError(
                f"'{rank}' is no rank to classify: a lineage has several nodes of it; the ranks of"
                f" {path} are: {', '.join(sorted(known - set(NO_RANKS)))}"
            )
        if rank not in known and not (rank in TOP_RANKS and known.intersection(TOP_RANKS)):
            raise UserError(
                f"no lineage has the rank '{rank}'; the ranks of {path} are:"
                f" {', '.join(sorted(known))}"
            )


def nodes_of_rank(asked: pd.DataFrame, rank: str, ranks: Sequence[str]) -> pd.DataFrame:
    """The nodes of a rank in lineages: those of its own name, or else of another name of the top rank.

    asked: the nodes of lineages, with `taxid` (of the lineage) and `rank`; ranks: all that are asked for.
    """
    own = asked[asked["rank"] == rank]
    if rank not in TOP_RANKS:
        return own
    aliases = [name for name in TOP_RANKS if name not in ranks]
    other = asked["rank"].isin(aliases) & ~asked["taxid"].isin(own["taxid"])
    return pd.concat([own, asked[other]])


def several_classes(rank: str, twice: pd.DataFrame) -> str:
    """What to say of lineages that hold several classes of a rank: `taxid`, `node`, `name` of each."""
    first, *others = twice["taxid"].unique()
    nodes = twice[twice["taxid"] == first]
    pairs = zip(nodes["name"], nodes["node"], strict=True)
    names = " > ".join(f"{name} (taxid {node})" for name, node in pairs)
    more = f", and so do those of {len(others)} other taxids" if others else ""
    return (
        f"the lineage of taxid {first} has the rank {rank} {len(nodes)} times, {names}{more}: ask for"
        " another rank, mend the dump, or leave these sequences out (labels.rank_twice: exclude)"
    )


def check_order(of_ranks: dict[str, pd.DataFrame], path: Path) -> None:
    """Raise `UserError` unless every rank stands above those after it in all lineages.

    of_ranks: rank -> a frame with `node`, `name` and `depth`, by taxid. path: of the dump.
    """
    above: dict[str, list[str]] = {rank: [] for rank in of_ranks}
    wrong = ""
    for (high, one), (low, other) in itertools.combinations(of_ranks.items(), 2):
        both = one.merge(other, left_index=True, right_index=True, suffixes=("_high", "_low"))
        right = both["depth_high"] < both["depth_low"]
        if right.any():
            above[low].append(high)
        if not right.all():
            above[high].append(low)
            row = both[~right].iloc[0]
            wrong = wrong or (
                f"{high} {row['name_high']} (taxid {row['node_high']}) does not stand above"
                f" {low} {row['name_low']} (taxid {row['node_low']})"
            )
    if not wrong:
        return
    try:
        order = ", ".join(graphlib.TopologicalSorter(above).static_order())
        advice = f"give them from the highest to the lowest, ranks: [{order}]"
    except graphlib.CycleError:
        advice = "elsewhere it does, so they have no order: ask for other ranks, or mend the dump"
    raise UserError(f"ranks: [{', '.join(of_ranks)}]: in {path} {wrong}; {advice}")
