"""Everything that is written of an explained sample, in one folder, each file named by the sample."""

import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import numpy as np

from whatyouread.data.levels import Level
from whatyouread.explain.annotation import Features
from whatyouread.explain.browsers import Reference, Shown, write_igv_session, write_sizes
from whatyouread.explain.enrichment import MaskOnFeatures
from whatyouread.explain.intake import Records
from whatyouread.explain.predictions import Predictions, of_windows
from whatyouread.explain.scoring import Block
from whatyouread.explain.span_files import SpanFiles, Spans
from whatyouread.explain.spans import Found, SpanFinder
from whatyouread.explain.stitching import Piece, Segments, stitch
from whatyouread.explain.tracks import BedGraph, BigWig, intervals
from whatyouread.explain.windows import Layout
from whatyouread.masks.choices import THRESHOLD
from whatyouread.models.levels import HeadLevel
from whatyouread.support.colours import PALETTE

STRAND_TRACKS = {
    "merged": {"mask": "."},
    "forward": {"mask": "+"},
    "apart": {"mask_forward": "+", "mask_reverse": "-"},
}
"""How strands are read -> the names of the tracks of masks, and the strand of their spans."""


class Sample(NamedTuple):
    """What is known of a sample when all its windows are scored.

    blocks: may be read as often as needed. whole: the predictions of its sequences. explained: int64
    (sequences, levels), the classes whose probability the tracks show. layout: of the windows.
    """

    name: str
    records: Records
    blocks: Iterable[Block]
    whole: Predictions
    explained: np.ndarray
    levels: Sequence[Level]
    heads: Sequence[HeadLevel]
    layout: Layout

    @property
    def strands(self) -> str:
        """See `windows.STRANDS`."""
        return self.layout.strands

    @property
    def frame(self) -> int:
        """The bases of a token."""
        return self.layout.frame

    def pieces(self) -> Iterator[Piece]:
        """All bases, stitched."""
        return stitch(self.blocks, self.records, self.strands)

    def decided(self, probabilities: np.ndarray) -> Predictions:
        """What class probabilities, float (n, classes), say at each level."""
        return of_windows(probabilities, self.heads)

    def wholes(self, wanted: np.ndarray, kept: Callable) -> Iterator["Whole"]:
        """See `whole_records`."""
        return whole_records(self, wanted, kept)

    def by_record(self, piece: Piece) -> Iterator[tuple[int, slice]]:
        """The records that a piece lies in, and which of its bases are theirs."""
        starts = self.records.starts
        first = self.records.of(piece.start)
        last = np.searchsorted(starts, piece.stop, side="left")
        for record in range(int(first), int(last)):
            low, high = max(starts[record], piece.start), min(starts[record + 1], piece.stop)
            if low < high:
                yield record, slice(int(low) - piece.start, int(high) - piece.start)


def file_word(level: str) -> str:
    """The name of a level as a part of a file's name."""
    return re.sub(r"[^\w.-]+", "_", level)


def write_tracks(folder: Path, sample: Sample) -> dict[str, int]:
    """Write the tracks, the spans, the sequences themselves and an IGV session; return counts."""
    records, sizes, name = sample.records, sample.records.sizes(), sample.name
    masks = STRAND_TRACKS[sample.strands]
    starts = records.starts
    counts = dict.fromkeys(("scored_bases", "spans", "bases_in_spans"), 0)
    finders = {track: SpanFinder(starts, i) for i, track in enumerate(masks)}
    with ExitStack() as stack:
        big, graphs = {}, {}
        for track in masks:
            big[track] = stack.enter_context(BigWig(folder / f"{name}.{track}.bw", sizes))
            graph = BedGraph(folder / f"{name}.{track}.bedgraph.gz", sizes)
            graphs[track] = stack.enter_context(graph)
        for level in sample.levels:
            path = folder / f"{name}.probability_{file_word(level.name)}.bw"
            big[level.name, "probability"] = stack.enter_context(BigWig(path, sizes))
        spans = stack.enter_context(
            SpanFiles(
                folder / f"{name}.spans.bed",
                folder / f"{name}.spans.gff3",
                sizes,
                [level.name for level in sample.levels],
                _colours(sample.levels[-1]),
            )
        )
        reference = stack.enter_context(Reference(folder / f"{name}.fa"))

        def write_spans(found: Found, strand: str) -> None:
            counts["spans"] += len(found.start)
            counts["bases_in_spans"] += int((found.stop - found.start).sum())
            if not len(found.start):
                return
            # once for all of them: there may be a thousand records in a piece
            said = sample.decided(found.probabilities)
            for record, own in _by_record(found.start, records):
                made = _spans(found, said, own, starts[record], strand, sample.levels)
                spans.add(records.names[record], made)

        known = -1
        for piece in sample.pieces():
            for record, own in sample.by_record(piece):
                called, first = records.names[record], piece.start + own.start - starts[record]
                if record != known:
                    for empty in range(known + 1, record):
                        reference.begin(records.names[empty], records.descriptions[empty])
                    reference.begin(called, records.descriptions[record])
                    known = record
                reference.add(piece.bases[own])
                for i, track in enumerate(masks):
                    made = intervals(int(first), piece.values[i, own])
                    big[track].add(called, *made)
                    graphs[track].add(called, *made)
            counts["scored_bases"] += int((~np.isnan(piece.values)).any(0).sum())
            _write_probabilities(piece.segments, big, sample)
            for track, finder in finders.items():
                write_spans(finder.add(piece), masks[track])
        for empty in range(known + 1, len(records)):
            reference.begin(records.names[empty], records.descriptions[empty])
        for track, finder in finders.items():
            write_spans(finder.end(), masks[track])
    write_sizes(folder / f"{name}.chrom.sizes", sizes)
    _write_session(folder, sample, big, reference)
    return counts


def _write_session(folder: Path, sample: Sample, big: dict, reference: Reference) -> None:
    """Write the IGV session, with the tracks that there are."""
    shown = [
        Shown(
            track.path,
            called if isinstance(called, str) else f"probability of the {called[0]}",
            True,
        )
        for called, track in big.items()
        if track.written
    ]
    spans = folder / f"{sample.name}.spans.gff3"
    shown.append(Shown(spans, f"spans above {THRESHOLD}", False))
    first = next((name for name, size in sample.records.sizes().items() if size), None)
    write_igv_session(
        folder / f"{sample.name}.igv.xml",
        reference.path if first is not None else None,
        shown,
        first or "All",
    )


def _spans(
    found: Found, said: Predictions, own: slice, start: int, strand: str, levels: Sequence[Level]
) -> Spans:
    classes, values = said.classes[own, :, 0], said.probabilities[own, :, 0]
    return Spans(
        found.start[own] - start,
        found.stop[own] - start,
        found.score[own],
        strand,
        {
            level.name: np.array(level.names, object)[classes[:, i]]
            for i, level in enumerate(levels)
        },
        {level.name: values[:, i] for i, level in enumerate(levels)},
    )


def _by_record(places: np.ndarray, records: Records) -> Iterator[tuple[int, slice]]:
    """The records that some places, in order, lie in, and which of them do."""
    of = records.of(places)
    edges = np.flatnonzero(np.diff(of, prepend=-1, append=-1))
    for low, high in itertools.pairwise(edges):
        yield int(of[low]), slice(int(low), int(high))


def _write_probabilities(segments: Segments, big: dict, sample: Sample) -> None:
    starts = sample.records.starts
    for record, own in _by_record(segments.start, sample.records):
        first = 0
        for i, level in enumerate(sample.levels):
            values = segments.probabilities[own, first + sample.explained[record, i]]
            big[level.name, "probability"].add(
                sample.records.names[record],
                segments.start[own] - starts[record],
                segments.stop[own] - starts[record],
                np.round(values, 4).astype(np.float32),
            )
            first += sample.heads[i].classes


def _colours(level: Level) -> dict[str, str]:
    """The colours of the classes of a level, which share them in turn."""
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(level.names)}


class Whole(NamedTuple):
    """One sequence as a whole: its number, bases, values (strands, n) and segments, places within it.

    bases: what lies on its part of the line, see `Records.bases`.
    """

    record: int
    bases: np.ndarray
    values: np.ndarray
    segments: Segments


def whole_records(
    sample: Sample, wanted: np.ndarray, kept: Callable[[np.ndarray], np.ndarray]
) -> Iterator[Whole]:
    """Yield some sequences as a whole, in their order; wanted: bool (sequences,).

    kept: what of the values of a piece, float32 (strands, n), is worth the memory for a whole genome.
    """
    starts = sample.records.starts
    nothing = kept(np.zeros((len(STRAND_TRACKS[sample.strands]), 0), np.float32))
    parts: list[tuple[np.ndarray, np.ndarray, Segments]] = []
    following = 0

    def empty(until: int) -> Iterator[Whole]:
        none = Segments(*np.zeros((2, 0), np.int64), np.zeros((0, 0)))
        for record in range(following, until):
            if wanted[record]:
                yield Whole(record, np.zeros(0, sample.records.kind), nothing, none)

    for piece in sample.pieces():
        segments = piece.segments
        for record, own in sample.by_record(piece):
            if wanted[record]:
                inside = np.searchsorted(
                    segments.start, [piece.start + own.start, piece.start + own.stop]
                )
                part = Segments(*(column[slice(*inside)] for column in segments))
                parts.append((piece.bases[own], kept(piece.values[:, own]), part))
            if piece.start + own.stop == starts[record + 1]:
                yield from empty(record)
                following = record + 1
                if wanted[record]:
                    yield _whole(record, parts, int(starts[record]))
    yield from empty(len(wanted))


def _whole(record: int, parts: list, start: int) -> Whole:
    """One sequence from its parts, which are given up."""
    bases, values, segments = zip(*parts, strict=True)
    parts.clear()
    return Whole(
        record, np.concatenate(bases), np.concatenate(values, axis=1), _joined(segments, start)
    )


def _joined(parts: Sequence[Segments], start: int) -> Segments:
    filled = [part for part in parts if len(part.start)]
    if not filled:
        return Segments(*np.zeros((2, 0), np.int64), np.zeros((0, 0)))
    low, high, said = map(np.concatenate, zip(*filled, strict=True))
    return Segments(low - start, high - start, said)


def mask_on_features(
    sample: Sample, features: dict[str, Features], permutations: int, seed: int
) -> MaskOnFeatures:
    """What the mask falls on, over all sequences that have features; of strands apart, their mean."""
    made = MaskOnFeatures(features, permutations=permutations, seed=seed)
    wanted = np.array([name in features for name in sample.records.names], bool)
    for whole in whole_records(sample, wanted, lambda values: values.mean(0, keepdims=True)):
        if len(whole.bases):
            made.add(sample.records.names[whole.record], whole.values[0])
    return made
