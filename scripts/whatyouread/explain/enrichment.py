"""What a mask falls on: the features of an annotation, compared with the same mask moved along.

A share of the mask says nothing by itself, and bases are no independent draws: masks come in runs, and so
do features. So the mask of each sequence is moved as a whole, around its scored bases as if they were a
circle, by a random number of bases; its runs stay as they are, and only where they lie changes. Bases
without a score (N, outside of what was asked for) take no part, neither the mask nor the features on them.
"""

import dataclasses
import logging
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from whatyouread.classes.stable_items import false_discovery
from whatyouread.data.intervals import union
from whatyouread.explain.annotation import GENES, INTERGENIC, TYPES, Features
from whatyouread.support.text import named

log = logging.getLogger(__name__)
SHORTEST_GENE = 60
"""Scored bases that a gene must have, to be among the best: ten tokens of six bases."""
_BLOCK = 1 << 20  # sums in memory at one time
_IN_MEMORY = 1 << 25  # scored bases whose sums are kept in memory, not in a file
_UNMOVED = np.zeros(1, np.int64)
_COMPARED = ("enrichment", "moved_mean", "moved_low", "moved_high", "p")
_COLUMNS = (
    "type",
    "features",
    "share_of_bases",
    "share_of_mask",
    "mean_on",
    "mean_off",
    *_COMPARED,
)
_GENE_COLUMNS = (
    "sequence", "start", "end", "strand", "type", "name", "product", "length", "scored",
    "mean", "z", "p",
)  # fmt: skip


@dataclasses.dataclass
class _Tally:
    """What is summed up for one type over the sequences.

    moved: float64 (permutations,), the moved masks on it. expected: their mean over all possible moves.
    """

    moved: np.ndarray
    features: int = 0
    bases: int = 0
    mask: float = 0.0
    expected: float = 0.0


class MaskOnFeatures:
    """Adds up, sequence by sequence, what the mask falls on.

    features: by name of the sequence; sequences without an entry are left out and counted in `without`.
    permutations: how often the mask is moved. seed: of the moves; each sequence draws its own, in the order
    in which they come. best: how many genes are listed.
    """

    def __init__(
        self,
        features: Mapping[str, Features],
        *,
        permutations: int = 1000,
        seed: int = 0,
        best: int = 50,
    ):
        self._features, self._permutations, self._best = features, permutations, best
        self._random = np.random.default_rng(seed)
        self._tallies: dict[str, _Tally] = {}
        self._bases, self._mask = 0, 0.0
        self._genes: list[tuple] = []
        self._unused = set(features)
        self.without, self.outside = 0, 0

    def add(self, name: str, values: np.ndarray) -> None:
        """Add a sequence: float (length,), the mask of each base, NaN for no score."""
        features = self._features.get(name)
        if features is None:
            self.without += 1
            return
        self._unused.discard(name)
        inside = features.ends <= len(values)
        self.outside += int((~inside).sum())
        kinds = np.where(inside, features.kinds(), "")
        with tempfile.TemporaryDirectory() as folder:
            circle = _Circle(np.asarray(values), Path(folder))
            moves = self._random.integers(0, max(circle.length, 1), self._permutations)
            self._bases += circle.length
            self._mask += circle.total
            for kind, number, starts, ends in _unions(kinds, features, len(values)):
                tally = self._tallies.setdefault(kind, _Tally(np.zeros(self._permutations)))
                starts, ends = circle.places(starts), circle.places(ends)
                covered = int((ends - starts).sum())
                tally.features += number
                tally.bases += covered
                tally.mask += float(circle.sums(starts, ends).sum())
                tally.expected += covered * circle.total / max(circle.length, 1)
                for own, block in _blocks(moves, len(starts)):
                    tally.moved[own] += circle.sums(starts, ends, block).sum(1)
            self._genes += _best_genes(name, features, kinds, circle, moves, self._best)
        self._genes.sort(key=lambda row: -row[_GENE_COLUMNS.index("mean")])
        del self._genes[self._best :]

    def table(self) -> pd.DataFrame:
        """One row per type that occurs, in the order of `TYPES`; a base under several counts for each.

        `features`; `share_of_bases`, `share_of_mask` (of all scored bases and their mask); `mean_on`,
        `mean_off`, the mean mask on the type and elsewhere; `enrichment`, the share of the mask by the
        share of the bases; `moved_mean`, `moved_low`, `moved_high`, the mean and the middle 95 % of the
        enrichment of the moved masks; `p`, two-sided: (k + 1) / (n + 1), where k of n moved masks lie as
        far from what all moves give on average, or farther; `q`, by Benjamini and Hochberg over the
        types. NaN where nothing of a type is scored, or all of the mask is 0.
        """
        self._warn()
        rows = [self._row(kind, self._tallies[kind]) for kind in TYPES if kind in self._tallies]
        table = pd.DataFrame(rows, columns=list(_COLUMNS))
        tested = table["p"].notna().to_numpy()
        q = np.full(len(table), np.nan)
        q[tested] = false_discovery(table["p"].to_numpy(np.float64)[tested])
        return table.assign(q=q)

    def _row(self, kind: str, tally: _Tally) -> dict:
        off = self._bases - tally.bases
        row = {
            "type": kind,
            "features": tally.features,
            "share_of_bases": tally.bases / self._bases if self._bases else np.nan,
            "share_of_mask": tally.mask / self._mask if self._mask > 0 else np.nan,
            "mean_on": tally.mask / tally.bases if tally.bases else np.nan,
            "mean_off": (self._mask - tally.mask) / off if off else np.nan,
        }
        if not tally.bases or self._mask <= 0:
            return row | dict.fromkeys(_COMPARED, np.nan)
        even = row["share_of_bases"] * self._mask
        far = np.abs(tally.moved - tally.expected)
        # sums of the same numbers in another order are equal
        own = abs(tally.mask - tally.expected) - 1e-9 * self._mask
        p = (np.count_nonzero(far >= own) + 1) / (len(far) + 1)
        low, high = np.quantile(tally.moved, [0.025, 0.975])
        compared = (tally.mask / even, tally.moved.mean() / even, low / even, high / even, p)
        return row | dict(zip(_COMPARED, compared, strict=True))

    def genes(self) -> pd.DataFrame:
        """The genes (`GENES`) of at least `SHORTEST_GENE` scored bases with the highest mean mask.

        `sequence`, `start` and `end` (counted from 1, both inclusive), `strand`, `type`, `name`,
        `product`, `length`, `scored` (bases), `mean`; `z`, how many standard deviations of the moved masks'
        means at the same place it lies above theirs; `p`, one-sided: (k + 1) / (n + 1), where k of n moved
        masks have a mean as high there. The p-values are those of chosen genes: they only help to read
        the list.
        """
        return pd.DataFrame(self._genes, columns=list(_GENE_COLUMNS))

    def _warn(self) -> None:
        if self.without:
            log.warning("%d sequences have no entry in the annotation: not counted", self.without)
        if self._unused:
            names = named(sorted(self._unused), 5)
            log.warning("%d annotated sequences were not explained: %s", len(self._unused), names)
        if self.outside:
            log.warning("%d features end outside of their sequence: not counted", self.outside)


class _Circle:
    """The scored bases of one sequence, as a circle, with the sums of the mask along it."""

    def __init__(self, values: np.ndarray, folder: Path):
        scored = ~np.isnan(values)
        self._gaps = np.flatnonzero(~scored)
        self.length = len(values) - len(self._gaps)
        if self.length > _IN_MEMORY:
            file = folder / "sums"
            self._sums = np.memmap(file, np.float64, "w+", shape=(self.length + 1,))
        else:
            self._sums = np.zeros(self.length + 1)
        self._sums[0] = 0
        np.cumsum(values[scored], dtype=np.float64, out=self._sums[1:])
        self.total = float(self._sums[-1])

    def places(self, places: np.ndarray) -> np.ndarray:
        """Places on the sequence as places on the circle."""
        return places - np.searchsorted(self._gaps, places)

    def sums(
        self, starts: np.ndarray, ends: np.ndarray, moves: np.ndarray = _UNMOVED
    ) -> np.ndarray:
        """The mask between places of the circle after each move to the right, float64 (moves, places)."""
        if not self.length:
            return np.zeros((len(moves), len(starts)))
        first = starts - moves[:, None]
        first += self.length * (first < 0)
        # a place that begins at the end of the circle is empty
        last = first + (ends - starts)
        over = last > self.length
        last -= self.length * over
        return self._sums[last] - self._sums[first] + self.total * over


def _blocks(moves: np.ndarray, columns: int) -> Iterator[tuple[slice, np.ndarray]]:
    """The moves in pieces, each with its place, of at most `_BLOCK` sums (or one move)."""
    step = max(_BLOCK // max(columns, 1), 1)
    for i in range(0, len(moves), step):
        yield slice(i, i + step), moves[i : i + step]


def _unions(
    kinds: np.ndarray, features: Features, length: int
) -> Iterator[tuple[str, int, np.ndarray, np.ndarray]]:
    """Type, number of features, and the starts and ends of the bases under it, for those that occur."""
    for kind in TYPES[:-1]:
        own = kinds == kind
        if own.any():
            yield kind, int(own.sum()), *union(features.starts[own], features.ends[own])
    own = kinds != ""
    starts, ends = union(features.starts[own], features.ends[own])
    starts, ends = np.append(0, ends), np.append(starts, length)
    free = ends > starts
    if free.any():
        yield INTERGENIC, int(free.sum()), starts[free], ends[free]


def _best_genes(
    name: str, features: Features, kinds: np.ndarray, circle: _Circle, moves: np.ndarray, n: int
) -> list[tuple]:
    """The n best genes of a sequence, as rows of `_GENE_COLUMNS`."""
    own = np.flatnonzero(np.isin(kinds, GENES))
    starts, ends = circle.places(features.starts[own]), circle.places(features.ends[own])
    long = ends - starts >= SHORTEST_GENE
    own, starts, ends = own[long], starts[long], ends[long]
    lengths = ends - starts
    means = circle.sums(starts, ends)[0] / lengths
    best = np.argsort(-means, kind="stable")[:n]
    own, starts, ends, means = own[best], starts[best], ends[best], means[best]
    moved = np.zeros((len(moves), len(own)))
    for rows, block in _blocks(moves, len(own)):
        moved[rows] = circle.sums(starts, ends, block) / lengths[best]
    deviation = moved.std(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(deviation > 1e-12, (means - moved.mean(0)) / deviation, np.nan)
    p = (np.count_nonzero(moved >= means - 1e-9, axis=0) + 1) / (len(moves) + 1)
    columns = (features.starts[own] + 1, features.ends[own], features.strands[own], kinds[own])
    columns += (features.names[own], features.products[own])
    columns += (features.ends[own] - features.starts[own], lengths[best], means, z, p)
    return list(zip([name] * len(own), *(column.tolist() for column in columns), strict=True))
