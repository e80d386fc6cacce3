"""Copies among the sequences of a dataset: exact ones, those of the other strand, and near-copies.

Two sequences are near-copies if the one with fewer k-mers shares at least `similarity` of them with the
other, as told by their sketches (`sketches`). Clusters are what near-copies join, directly or by others
between them (single linkage).
"""

from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa

from whatyouread.data.census import sequence_hashes
from whatyouread.data.sequences import SequenceBatch
from whatyouread.data.sketches import DNA, NONE, SIZE, Alphabet, reverse_complements, sketches
from whatyouread.support.cli import UserError, log
from whatyouread.support.parallel import in_order

SIMILARITY = 0.5
FEWEST = 5  # k-mers to compare, unless the sketches hold all that there are
NEIGHBOURS = 8
"""With how many others of those that share a k-mer a sequence is compared on each side. They are ordered
by their next k-mers, so that the nearest ones stand together. A k-mer of thousands of sequences (a
repeat, rRNA) so costs no more than one of ten. What this can miss: two near-copies all of whose common
k-mers belong to many sequences, and which no neighbours join."""
_ENTRIES = 1 << 24  # k-mers that are sorted at once
_ROWS = 1 << 16
_PAIRS = 1 << 14


SCHEMA = pa.schema([("length", pa.int32()), ("reverse", pa.uint64()), ("cluster", pa.int32())])
"""One row per sequence, in the order of the dataset: its length; the hash of its other strand
(`census.sequence_hashes`); the number of its cluster, -1 where it is not used. The numbers of clusters do
not depend on the order."""


def find_copies(
    batches: Iterable[SequenceBatch], similarity: float = SIMILARITY, alphabet: Alphabet = DNA
) -> pa.Table:
    """The copies among all sequences of a dataset (`SCHEMA`).

    In memory it holds a sketch (`SIZE` * 8 bytes) and about 50 further bytes for each sequence, and up to
    1.2 GiB to sort k-mers. Warns where most sequences are in one cluster.
    """
    if not 0 < similarity <= 1:
        raise UserError(f"split.similarity is {similarity}: give a share above 0, up to 1")
    matrix, rows = np.zeros((0, SIZE), np.uint64), 0
    columns: list[list[np.ndarray]] = [[], [], []]

    def made(batch: SequenceBatch) -> tuple[np.ndarray, ...]:
        text = batch.bases, batch.offsets
        hashes = reverse = sequence_hashes(*text)
        if alphabet.complement:
            reverse = sequence_hashes(*reverse_complements(*text))[::-1]
        return sketches(*text, alphabet), np.diff(batch.offsets), hashes, reverse

    for own, *others in in_order(made, batches, workers=2):
        if rows + len(own) > len(matrix):
            # memory is moved by its pages and taken when it is written to: nothing is there twice
            matrix.resize((2 * rows + len(own), SIZE), refcheck=False)
        matrix[rows : rows + len(own)] = own
        rows += len(own)
        for column, values in zip(columns, others, strict=True):
            column.append(values)
    lengths, hashes, reverse = map(np.concatenate, columns)
    matrix = matrix[:rows]
    # as many as the text has room for; where the sketch holds all, as many as there are
    numbers = np.maximum(lengths - alphabet.k + 1, 1)
    whole = matrix[:, -1] == NONE
    numbers[whole] = (matrix[whole] != NONE).sum(axis=1)
    cluster = find_clusters(matrix, numbers, hashes, reverse, lengths > 0, similarity)
    warn_of_large_clusters(cluster, similarity)
    return pa.table([lengths.astype(np.int32), reverse, cluster], schema=SCHEMA)


def warn_of_large_clusters(cluster: np.ndarray, similarity: float) -> None:
    """Log how many clusters there are, and warn where one chains most of the sequences together."""
    sizes = np.bincount(cluster[cluster >= 0])
    several, largest = sizes[sizes > 1], int(sizes.max(initial=0))
    log.info(
        "%s sequences, %s clusters; %s sequences in %s clusters of several, the largest of %s",
        f"{sizes.sum():,}",
        f"{len(sizes):,}",
        f"{several.sum():,}",
        f"{len(several):,}",
        f"{largest:,}",
    )
    if largest > 1 and 2 * largest > sizes.sum():
        log.warning(
            "one cluster holds %s of %s sequences (%.0f %%): near-copies chain them together, so that"
            " split.group_by: cluster could not divide them; raise split.similarity (%g) where they are"
            " not all alike",
            f"{largest:,}",
            f"{sizes.sum():,}",
            100 * largest / sizes.sum(),
            similarity,
        )


def find_clusters(
    matrix: np.ndarray,
    numbers: np.ndarray,
    hashes: np.ndarray,
    reverse: np.ndarray,
    used: np.ndarray,
    similarity: float = SIMILARITY,
) -> np.ndarray:
    """The cluster of every sequence: int32 (n,), -1 where it is not used.

    matrix: uint64 (n, size), see `sketches.sketches`; numbers: of k-mers, int64 (n,); hashes, reverse:
    uint64 (n,), of the sequences and of their other strands (for text the same); used: bool (n,).
    Sequences that are equal, or are each other's other strand, belong together, also those that are too
    short for a k-mer.
    """
    rows = np.flatnonzero(used)
    either = np.minimum(hashes[rows], reverse[rows])
    # from here on a number is the rank of a sequence among the different ones, by hash
    _, first, number = np.unique(either, return_index=True, return_inverse=True)
    rows_of = rows[first]
    label = np.arange(len(rows_of))
    for values, ranks in _shared_kmers(matrix, rows_of):
        for distance in range(1, NEIGHBOURS + 1):
            same = np.flatnonzero(values[distance:] == values[:-distance])
            one, other = ranks[same], ranks[same + distance]
            apart = label[one] != label[other]
            pairs = np.unique(_pairs(one[apart], other[apart]))
            one, other = pairs >> np.uint64(32), pairs & np.uint64(2**32 - 1)
            one, other = one.astype(np.int64), other.astype(np.int64)
            near = shared(matrix, numbers, rows_of[one], rows_of[other]) >= similarity
            label = _joined(label, label[one[near]], label[other[near]])
    clusters = np.full(len(used), -1, np.int32)
    clusters[rows] = np.unique(label, return_inverse=True)[1][number]
    return clusters


def shared(
    matrix: np.ndarray, numbers: np.ndarray, one: np.ndarray, other: np.ndarray
) -> np.ndarray:
    """The share of the k-mers of the one with fewer that both have, by their sketches: float64 (m,).

    matrix, numbers: see `find_clusters`; one, other: rows, int64 (m,). Both sketches hold all k-mers
    up to the smaller one of their largest hashes, and these are compared: those in common, with as many
    of all of them as the one with fewer has by `numbers` (its own count would be too low where it is the
    smaller one by chance). It is 0 where either has fewer than `FEWEST` there, unless both sketches hold
    all there are: so nothing is found of a sequence in one about six times as long (`SIZE` / `FEWEST`)
    or longer.
    """
    share = np.zeros(len(one))
    for start in range(0, len(one), _PAIRS):
        part = slice(start, start + _PAIRS)
        left, right = matrix[one[part]], matrix[other[part]]
        limit = np.minimum(left[:, -1], right[:, -1])[:, None]  # NONE: all that there are
        both = np.sort(np.concatenate([left, right], axis=1), axis=1)
        within = (both[:, 1:] <= limit) & (both[:, 1:] != NONE)
        common = ((both[:, 1:] == both[:, :-1]) & within).sum(axis=1)
        counts = [((side <= limit) & (side != NONE)).sum(axis=1) for side in (left, right)]
        fewer, whole = np.minimum(*counts), limit[:, 0] == NONE
        sizes = numbers[one[part]], numbers[other[part]]
        of = np.add(*counts) * np.minimum(*sizes) / np.maximum(np.add(*sizes), 1)
        of = np.where(whole, fewer, np.maximum(of, 1))
        told = (fewer >= FEWEST) | (whole & (fewer > 0))
        share[part] = np.where(told, np.minimum(common / np.maximum(of, 1), 1), 0)
    return share


def _shared_kmers(matrix: np.ndarray, rows_of: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield the k-mers that several sequences have, a part of them at a time: hash and number.

    They are sorted by hash, then by the next k-mer of the sequence, then by the number.
    """
    parts = 1
    while parts * _ENTRIES < len(rows_of) * matrix.shape[1]:
        parts *= 2
    for part in range(parts):
        found = []
        for start in range(0, len(rows_of), _ROWS):
            block = matrix[rows_of[start : start + _ROWS]]
            row, column = np.nonzero(
                (block & np.uint64(parts - 1) == np.uint64(part)) & (block != NONE)
            )
            after = np.minimum(column + 1, block.shape[1] - 1)
            found.append((block[row, column], block[row, after], (row + start).astype(np.int32)))
        values, following, numbers = (np.concatenate(column) for column in zip(*found, strict=True))
        order = np.argsort(values)
        same = values[order][1:] == values[order][:-1]
        order = order[np.append(same, False) | np.append(False, same)]
        order = order[np.lexsort((numbers[order], following[order], values[order]))]
        yield values[order], numbers[order]


def _pairs(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Two numbers below 2^32 in one, the smaller one above: uint64."""
    low, high = np.minimum(one, other), np.maximum(one, other)
    return low.astype(np.uint64) << np.uint64(32) | high.astype(np.uint64)


def _joined(label: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The labels after those of `one` and `other` became the same."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not len(one):
        return label
    involved, ends = np.unique(np.concatenate([one, other]), return_inverse=True)
    size = len(involved)
    graph = coo_array((np.ones(len(one), bool), (ends[: len(one)], ends[len(one) :])), (size, size))
    _, component = connected_components(graph, directed=False)
    lowest = np.full(size, len(label))
    np.minimum.at(lowest, component, involved)
    new = np.arange(len(label))
    new[involved] = lowest[component]
    return new[label]
