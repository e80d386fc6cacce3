"""Spans of sequences with their classes, as BED and GFF3.

Spans that do not fit are a bug of ours, as in `tracks`. Places are 0-based and half-open; only the file in
GFF3 counts from 1.
"""

import dataclasses
import heapq
import logging
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

import numpy as np

from whatyouread.explain.tracks import InOrder
from whatyouread.support.colours import GREY, rgb
from whatyouread.support.files import atomic
from whatyouread.support.text import named, plain

log = logging.getLogger(__name__)
# what bedtools passes over in silence; tabix and browsers do so at "#"
_COMMENT = re.compile("#|track|browser|chrom$", re.IGNORECASE)
_RESERVED = re.compile("[\x00-\x1f\x7f-\x9f%;=&,\u2028\u2029]")


@dataclasses.dataclass(frozen=True)
class Spans:
    """n spans of one sequence, in order.

    starts, ends: int64 (n,). score: float (n,), in [0, 1]. strand: "+", "-", or "." for both, one for all
    or an array (n,). classes: level -> names (n,). probabilities: level -> float (n,).
    """

    starts: np.ndarray
    ends: np.ndarray
    score: np.ndarray
    strand: str | np.ndarray
    classes: Mapping[str, Sequence[str]]
    probabilities: Mapping[str, np.ndarray]


class SpanFiles:
    """The same spans as BED (nine columns) and as GFF3, sorted by sequence, start and end.

    levels: from the highest; a span is named by its class of the last one. colours: class of that level
    -> "#RRGGBB". The spans of each strand come in order and without overlap; those of another strand may
    come before or after.

    BED: the score is round(1000 * score). A name of a class has its control characters and runs of blanks
    replaced by one blank, has no format characters, and 255 characters at most. GFF3: what the format
    reserves is escaped by `%` and two digits, all other text is as it is, UTF-8.
    """

    def __init__(
        self,
        bed: str | Path,
        gff: str | Path,
        sizes: Mapping[str, int],
        levels: Sequence[str],
        colours: Mapping[str, str],
    ):
        self._bed, self._gff, self._sizes = Path(bed), Path(gff), sizes
        self._levels, self._colours = list(levels), colours
        self._strands = {strand: InOrder(self._bed, sizes) for strand in "+-."}
        self._spools = {}

    def __enter__(self) -> "SpanFiles":
        self._bed.parent.mkdir(parents=True, exist_ok=True)
        self._stack = ExitStack()
        for strand in self._strands:
            spool = tempfile.TemporaryFile("w+", encoding="utf-8", newline="", dir=self._bed.parent)
            self._spools[strand] = self._stack.enter_context(spool)
        return self

    def __exit__(self, *failure) -> None:
        with self._stack:
            if failure[0] is None:
                self._merge()

    def add(self, name: str, spans: Spans) -> None:
        """Add spans of a sequence. Raises ValueError where they do not fit."""
        starts, ends = np.asarray(spans.starts), np.asarray(spans.ends)
        score = np.asarray(spans.score, np.float64)
        if not ((score >= 0) & (score <= 1)).all():
            raise ValueError(f"{self._bed}: {name!r}: a score outside of 0 to 1")
        strands = np.broadcast_to(np.asarray(spans.strand), score.shape)
        if not np.isin(strands, list(self._strands)).all():
            raise ValueError(f"{self._bed}: {name!r}: a strand that is none of + - .")
        for strand, order in self._strands.items():
            own = strands == strand
            if not own.any():
                continue
            order.check(name, starts[own], ends[own], score[own])
            classes = [np.asarray(spans.classes[level], object)[own] for level in self._levels]
            said = [np.asarray(spans.probabilities[level])[own] for level in self._levels]
            rows = zip(
                starts[own].tolist(),
                ends[own].tolist(),
                score[own].tolist(),
                zip(*classes, strict=True),
                zip(*(values.tolist() for values in said), strict=True),
                strict=True,
            )
            write = self._spools[strand].write
            for start, end, mean, names, probabilities in rows:
                tails = self._tails(start, end, mean, strand, names, probabilities)
                write(f"{order.place} {start} {end}\x01{tails}\n")

    def _tails(
        self,
        start: int,
        end: int,
        score: float,
        strand: str,
        classes: Sequence[str],
        probabilities: Sequence[float],
    ) -> str:
        """What follows the places in both files, but for the number of the span."""
        colour = self._colours.get(classes[-1], GREY)
        called = plain(classes[-1], 255) or "."
        bed = f"{called}\t{round(1000 * score)}\t{strand}\t{start}\t{end}\t{rgb(colour)}"
        attributes = [f"Name={escape_gff(classes[-1])}"]
        for level, name, probability in zip(self._levels, classes, probabilities, strict=True):
            key = escape_gff(level)
            attributes.append(f"class_{key}={escape_gff(name)}")
            attributes.append(f"probability_{key}={probability:.4f}")
        attributes.append(f"color={colour}")
        return f"{bed}\x01{score:.4f}\t{strand}\t.\x01{';'.join(attributes)}"

    def _merge(self) -> None:
        hidden = taken_for_comments(self._sizes)
        if hidden:
            log.warning(
                "%d sequences have names that programs take for a comment in BED and bedGraph: %s",
                len(hidden),
                named(hidden, 5),
            )
        names = list(self._sizes)
        with (
            atomic(self._bed) as bed_path,
            atomic(self._gff) as gff_path,
            open(bed_path, "w", encoding="utf-8", newline="") as bed,
            open(gff_path, "w", encoding="utf-8", newline="") as gff,
        ):
            gff.write("##gff-version 3\n")
            for name, length in self._sizes.items():
                if length:
                    gff.write(f"##sequence-region {escape_seqid(name)} 1 {length}\n")
            spools = [_keyed(spool, i) for i, spool in enumerate(self._spools.values())]
            last, seqid = -1, ""
            for number, (place, start, end, _, line) in enumerate(heapq.merge(*spools), 1):
                _, bed_tail, gff_tail, attributes = line.rstrip("\n").split("\x01")
                if place != last:
                    last, seqid = place, escape_seqid(names[place])
                bed.write(f"{names[place]}\t{start}\t{end}\t{bed_tail}\n")
                gff.write(
                    f"{seqid}\twhatyouread\tsequence_feature\t{start + 1}\t{end}\t"
                    f"{gff_tail}\tID=span{number};{attributes}\n"
                )


def _keyed(spool: TextIO, strand: int) -> Iterator[tuple[int, int, int, int, str]]:
    spool.seek(0)
    for line in spool:
        place, start, end = map(int, line.partition("\x01")[0].split())
        yield place, start, end, strand, line


def escape_seqid(name: str) -> str:
    """A sequence's name as the first column of GFF3: all but letters, digits and .:^*$@!+_?-| escaped."""
    return quote(name, safe=".:^*$@!+_?-|").replace("~", "%7E")


def escape_gff(text: str) -> str:
    """Text of an attribute of GFF3: control characters, line ends and %;=&, escaped; "." for none."""
    return _RESERVED.sub(lambda found: quote(found[0], safe=""), text) or "."


def taken_for_comments(names: Iterable[str]) -> list[str]:
    """The names that programs may take for a comment or a header line where a line begins with them."""
    return [name for name in names if _COMMENT.match(name)]
