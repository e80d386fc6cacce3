"""A labelled sequence archive with planted signature segments, whose truth is therefore known.

Every superkingdom has its own base composition (a second-order Markov chain), and each phylum shifts it
a little. Phyla and genera also own segments: mutated copies of these stand at recorded places of their
sequences. A segment is drawn from the chain of its own phylum, so that composition does not reveal its
place.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np

from whatyouread.simulate.taxonomy import NEAR_EMPTY, SUPERKINGDOMS, build
from whatyouread.support.cli import UserError

N = 4  # the code of N, after A, C, G, T
CONTEXTS = 16  # the chain's memory: two bases
HANDFUL = {"deleted": 5, "unknown": 4}
SHARE = {"merged": 0.004, "no_genus": 0.004, "no_phylum": 0.004}  # of all sequences
SHARE_WITH_N, SHARE_DUPLICATED = 0.006, 0.002
SMALLEST_GENUS = 10
LONGEST_RUN_OF_N = 100


@dataclass(frozen=True)
class Settings:
    """What is simulated. Impossible settings raise `UserError`."""

    sequences: int  # in all files together
    length: int  # bases of each
    superkingdoms: int  # the first that many of Archaea, Bacteria, Eukaryota, Viruses
    phyla: int
    genera: int  # two of them near-empty
    segment_length: int
    segments_per_phylum: int  # distinct segments that a phylum owns
    segments_per_genus: int
    planted_per_sequence: tuple[int, int]  # copies of phylum's, copies of genus's segments
    mutation_rate: float  # substitutions per base of a copy
    both_strands: bool  # plant the reverse complement in every second copy
    superkingdom_spread: float  # standard deviation of the log odds of a base between
    phylum_spread: float  # superkingdoms, and between the phyla of a superkingdom
    genus_size_spread: float  # standard deviation of the log of a genus's size

    def __post_init__(self):
        for name in (each.name for each in fields(self)):
            value = getattr(self, name)
            if name == "both_strands":
                _require(isinstance(value, bool), name, "must be true or false", value)
            elif name == "planted_per_sequence":
                good = isinstance(value, list | tuple) and len(value) == 2
                good = good and all(type(count) is int and count >= 0 for count in value)
                _require(good, name, "must be two counts, [phylum, genus]", value)
            elif name.endswith(("_spread", "_rate")):
                good = type(value) in (int, float) and 0 <= value < np.inf
                _require(good, name, "must be a number from 0", value)
            else:
                _require(type(value) is int and value > 0, name, "must be a count from 1", value)
        _require(self.mutation_rate <= 1, "mutation_rate", "must be at most 1", self.mutation_rate)
        most = len(SUPERKINGDOMS)
        _require(self.superkingdoms <= most, "superkingdoms", f"is over {most}", self.superkingdoms)
        if self.phyla < self.superkingdoms:
            raise UserError(
                f"simulation: {self.phyla} phyla do not cover {self.superkingdoms} superkingdoms; "
                "raise `phyla`"
            )
        if self.genera < self.phyla + len(NEAR_EMPTY):
            raise UserError(
                f"simulation: {self.genera} genera are too few for {self.phyla} phyla and "
                f"{len(NEAR_EMPTY)} near-empty genera; raise `genera`"
            )
        planted = sum(self.planted_per_sequence) * self.segment_length
        if planted > self.length:
            raise UserError(
                f"simulation: {sum(self.planted_per_sequence)} segments of {self.segment_length} "
                f"bases do not fit into {self.length}; lower `planted_per_sequence`"
            )
        regular = SMALLEST_GENUS * (self.genera - len(NEAR_EMPTY))
        fixed = regular + sum(NEAR_EMPTY) + sum(HANDFUL.values()) + len(SHARE)
        needed = int(np.ceil(fixed / (1 - sum(SHARE.values()))))
        if self.sequences < needed:
            raise UserError(
                f"simulation: {self.sequences} sequences are too few for {self.genera} genera; "
                f"set `sequences` to {needed} or more"
            )


def _require(good: bool, name: str, problem: str, value) -> None:
    if not good:
        raise UserError(f"simulation: `{name}` {problem}, not {value!r}")


def irregular_counts(sequences: int) -> dict[str, int]:
    """Sequences under each kind of odd taxid, for a total of `sequences`."""
    return HANDFUL | {fate: max(1, round(share * sequences)) for fate, share in SHARE.items()}


@dataclass(frozen=True)
class Source:
    """The records of one file. Shapes with n records and p segments planted in this file.

    taxid: int64 (n,), as in the headers. bases: uint8 (n, length), codes of A C G T N = 0..4.
    row, segment, start: int64 (p,), sorted by row and start; segment counts in
    `Simulation.segments`. reverse: bool (p,).
    """

    name: str
    taxid: np.ndarray
    bases: np.ndarray
    row: np.ndarray
    segment: np.ndarray
    start: np.ndarray
    reverse: np.ndarray


class Simulation:
    """Everything that follows from settings and seed; the sequences are made file by file.

    taxonomy: see `simulated_taxonomy`. segments: uint8 (s, segment_length), first the phyla's
    (`segments_per_phylum` rows each, in the order of `taxonomy.phyla`), then the genera's.
    counts: int64, sequences per entry of `taxonomy.leaves`. chains: float32 (chains, 16, 3), the
    cumulative probabilities of A, C, G after each two bases, of the phyla and then of the
    superkingdoms, which sequences without a phylum follow.
    """

    def __init__(self, settings: Settings, seed: int):
        if seed < 0:
            raise UserError(f"simulation: the seed must be a number from 0, not {seed}")
        self.settings = settings
        streams = np.random.SeedSequence(seed).spawn(3 + settings.superkingdoms)
        growing, sizing, signing = map(np.random.default_rng, streams[:3])
        self._streams = streams[3:]
        s = settings
        self.taxonomy = build(growing, s.superkingdoms, s.phyla, s.genera)
        self.counts = self._leaf_counts(sizing)
        phylum_kingdom = np.array([phylum.parent for phylum in self.taxonomy.phyla])
        self.chains = self._draw_chains(signing, phylum_kingdom)
        genus_phylum = np.array([genus.parent for genus in self.taxonomy.genera])
        owners = np.append(
            np.repeat(np.arange(s.phyla), s.segments_per_phylum),
            np.repeat(genus_phylum, s.segments_per_genus),
        )
        self.segments = self._background(signing, owners, s.segment_length)

    def sources(self) -> Iterator[Source]:
        """Yield one `Source` per superkingdom; each is made on demand."""
        for superkingdom, name in enumerate(list(SUPERKINGDOMS)[: self.settings.superkingdoms]):
            rng = np.random.default_rng(self._streams[superkingdom])
            yield self._source(superkingdom, f"{name}.fa", rng)

    def _leaf_counts(self, rng) -> np.ndarray:
        leaves, odd = self.taxonomy.leaves, irregular_counts(self.settings.sequences)
        counts = np.array([odd.get(leaf.fate, 0) for leaf in leaves])
        sparse = [i for i, leaf in enumerate(leaves) if leaf.fate == "sparse"]
        counts[sparse] = NEAR_EMPTY
        genera = self.settings.genera - len(NEAR_EMPTY)
        free = self.settings.sequences - counts.sum() - SMALLEST_GENUS * genera
        weights = np.exp(rng.normal(0, self.settings.genus_size_spread, genera))
        bounds = np.rint(np.append(0, weights.cumsum() / weights.sum()) * free).astype(int)
        genus = np.array([leaf.genus if leaf.fate == "regular" else -1 for leaf in leaves])
        for number, size in enumerate(np.diff(bounds) + SMALLEST_GENUS):
            species = np.flatnonzero(genus == number)
            share = 1 / np.arange(1, len(species) + 1)
            rest = rng.multinomial(size - len(species), share / share.sum())
            counts[species] = 1 + rest  # every taxid of the headers has a sequence
        return counts

    def _draw_chains(self, rng, phylum_kingdom: np.ndarray) -> np.ndarray:
        s = self.settings
        kingdoms = rng.normal(0, s.superkingdom_spread, (s.superkingdoms, CONTEXTS, 4))
        shifts = rng.normal(0, s.phylum_spread, (s.phyla, CONTEXTS, 4))
        odds = np.exp(np.concatenate([kingdoms[phylum_kingdom] + shifts, kingdoms]))
        return (odds.cumsum(-1) / odds.sum(-1, keepdims=True))[..., :3].astype(np.float32)

    def _background(self, rng, chain: np.ndarray, length: int) -> np.ndarray:
        """Draw one sequence per entry of `chain` (a row of the chains): uint8 (n, length)."""
        bases = np.empty((length, len(chain)), dtype=np.uint8)
        context = rng.integers(CONTEXTS, size=len(chain))
        # a chain goes from base to base; all sequences take each step together
        for position in range(length):
            drawn = rng.random(len(chain), dtype=np.float32)
            bases[position] = (drawn[:, None] >= self.chains[chain, context]).sum(1)
            context = (context * 4 + bases[position]) % CONTEXTS
        return np.ascontiguousarray(bases.T)

    def _source(self, superkingdom: int, name: str, rng) -> Source:
        leaves = self.taxonomy.leaves
        here = np.array([leaf.superkingdom == superkingdom for leaf in leaves])
        leaf = rng.permutation(np.repeat(np.arange(len(leaves)), self.counts * here))
        phylum = np.array([leaf.phylum for leaf in leaves])[leaf]
        genus = np.array([leaf.genus for leaf in leaves])[leaf]
        chain = np.where(phylum >= 0, phylum, self.settings.phyla + superkingdom)
        bases = self._background(rng, chain, self.settings.length)
        segment, start, reverse = self._plant(rng, bases, phylum, genus)
        _put_n(rng, bases)
        regular = np.array([leaf.fate == "regular" for leaf in leaves])
        copied = _duplicates(rng, leaf, regular[leaf])
        bases, segment, start, reverse = (x[copied] for x in (bases, segment, start, reverse))
        row, slot = np.nonzero(segment >= 0)
        return Source(
            name,
            np.array([leaf.taxid for leaf in leaves])[leaf],
            bases,
            row,
            segment[row, slot],
            start[row, slot],
            reverse[row, slot],
        )

    def _plant(self, rng, bases: np.ndarray, phylum: np.ndarray, genus: np.ndarray):
        """Overwrite `bases` with mutated copies of the segments that phylum and genus own.

        Returns segment (-1 where a sequence lacks the rank), start and reverse, each (n, slots)
        with increasing starts.
        """
        s, n = self.settings, len(bases)
        of_phylum, of_genus = s.planted_per_sequence
        first_of_genera = s.phyla * s.segments_per_phylum
        segment = np.concatenate(
            [
                _choose(rng, phylum, s.segments_per_phylum, of_phylum, 0),
                _choose(rng, genus, s.segments_per_genus, of_genus, first_of_genera),
            ],
            axis=1,
        )
        segment = rng.permuted(segment, axis=1)
        slots = of_phylum + of_genus
        # gaps first, then the segments pushed in between: no overlap, any place, any offset
        gaps = rng.integers(s.length - slots * s.segment_length + 1, size=(n, slots))
        start = np.sort(gaps, axis=1) + np.arange(slots) * s.segment_length
        reverse = s.both_strands & (rng.random((n, slots)) < 0.5)
        for slot in range(slots):
            row = np.flatnonzero(segment[:, slot] >= 0)
            copies = self.segments[segment[row, slot]]
            backwards = reverse[row, slot, None]
            copies = np.where(backwards, 3 - copies[:, ::-1], copies)
            mutated = rng.random(copies.shape, dtype=np.float32) < s.mutation_rate
            other = rng.integers(1, 4, copies.shape, dtype=np.uint8)
            copies = np.where(mutated, (copies + other) % 4, copies)
            at = start[row, slot, None] + np.arange(s.segment_length)
            bases[row[:, None], at] = copies
        return segment, start, reverse


def _choose(rng, owner: np.ndarray, owned: int, wanted: int, first: int) -> np.ndarray:
    """Row numbers of `wanted` segments per sequence, all different as long as there are enough."""
    order = rng.permuted(np.tile(np.arange(owned), (len(owner), 1)), axis=1)
    chosen = first + owner[:, None] * owned + order[:, np.arange(wanted) % owned]
    return np.where(owner[:, None] >= 0, chosen, -1)


def _put_n(rng, bases: np.ndarray) -> None:
    """Put a run of N into some sequences, and a single N into as many others."""
    n, length = bases.shape
    row = rng.choice(n, size=2 * max(1, round(SHARE_WITH_N * n / 2)), replace=False)
    run = np.where(np.arange(len(row)) % 2, 1, rng.integers(2, LONGEST_RUN_OF_N + 1, len(row)))
    start = rng.integers(length, size=(len(row), 1))
    position = np.arange(length)
    covered = (position >= start) & (position < start + run[:, None])
    bases[row] = np.where(covered, N, bases[row])


def _duplicates(rng, leaf: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """The row that each row is a copy of, itself for nearly all; copies stay within a taxid."""
    ordered = np.flatnonzero(allowed)
    ordered = ordered[np.argsort(leaf[ordered], kind="stable")]
    # every second place, so that no sequence is both copied and overwritten
    place = np.arange(0, len(ordered) - 1, 2)
    place = place[leaf[ordered[place]] == leaf[ordered[place + 1]]]
    wanted = min(len(place), max(1, round(SHARE_DUPLICATED * len(leaf))))
    place = rng.choice(place, size=wanted, replace=False)
    copied = np.arange(len(leaf))
    copied[ordered[place + 1]] = ordered[place]
    return copied
