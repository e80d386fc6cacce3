"""Records as they are read, once: what the models read goes to a file, and windows come out in blocks.

All records lie back to back on one line, in their order; places count along this line. So a block may hold
a thousand reads, or a piece of a chromosome. What lies on the line are bases, or tokens (`token_records`).
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from whatyouread.data.tokenizer import Tokenizer
from whatyouread.explain.requests import TO_THE_END
from whatyouread.explain.windows import Layout, Windows, lay_out, stretches, texts
from whatyouread.support.cli import UserError
from whatyouread.support.text import named

BLOCK = 128  # windows, or a batch where that is larger; what a kill may cost
_PIECE = 1 << 22  # places at once
_N = ord("N")


class Read(NamedTuple):
    """What the models read in n windows: ids back to back with the special tokens of the frame.

    offsets: int64 (n + 1,). told: bool like the ids, the tokens whose masks are kept. widths: uint8, how
    many places of the line each of these covers, in the order of reading.
    """

    ids: np.ndarray
    offsets: np.ndarray
    told: np.ndarray
    widths: np.ndarray


class Records:
    """What is known of all records: `names`, `descriptions`, `counts`, `features`, one entry each.

    digest: SHA-256 of the names and bases so far. starts: int64 (n + 1,), where they lie on the line.
    shown: int64 (k, 2), the places on the line that are asked for, in order and without overlap.
    kind: of what lies there. nothing: what became of a record without a place. stranded: whether windows
    have strands and reading frames.
    """

    kind: ClassVar[np.dtype] = np.dtype(np.uint8)
    nothing: str = "no base"
    stranded: ClassVar[bool] = True

    def __init__(self, path: Path, regions: Mapping[str, np.ndarray] | None = None):
        self.path, self.regions = path, regions
        self.names: list[str] = []
        self.descriptions: list[str] = []
        self.counts: list[dict[str, int]] = []
        self.features: list[list] = []
        self._starts, self._shown = [0], [np.zeros((0, 2), np.int64)]
        # both as arrays, for as long as no record is added
        self._arrays: dict[str, np.ndarray] = {}
        self._known: set[str] = set()
        self.windows = 0  # laid out so far
        self.digest = hashlib.sha256()
        self._written = open(path, "wb")  # noqa: SIM115
        self._read = open(path, "rb", buffering=0)  # noqa: SIM115

    def close(self) -> None:
        self._written.close()
        self._read.close()

    def __enter__(self) -> "Records":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self.names)

    @property
    def starts(self) -> np.ndarray:
        if "starts" not in self._arrays:
            self._arrays["starts"] = np.array(self._starts, np.int64)
        return self._arrays["starts"]

    @property
    def shown(self) -> np.ndarray:
        if "shown" not in self._arrays:
            self._arrays["shown"] = np.concatenate(self._shown)
        return self._arrays["shown"]

    def of(self, places: np.ndarray) -> np.ndarray:
        """The records that some places on the line lie in, int64 like these."""
        return np.searchsorted(self.starts, places, side="right") - 1

    def length(self, record: int) -> int:
        """The letters of a record."""
        return self._starts[record + 1] - self._starts[record]

    @property
    def lengths(self) -> np.ndarray:
        """The letters of each record, int64 (n,)."""
        return np.diff(self.starts)

    def within(self, start: np.ndarray, stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where stretches of the line lie in their own records, in letters; int64 like these.

        They come in the order of their starts.
        """
        before = self.starts[self.of(start)]
        return start - before, stop - before

    @staticmethod
    def without_score(values: np.ndarray) -> np.ndarray:
        """At which places of the line there is no score, whatever the windows say; bool like these."""
        return values == _N

    def read(self, windows: Windows, tokenizer: Tokenizer) -> Read:
        """What the models read in some windows."""
        first = int(windows.start.min())
        bases = self.bases(first, int(windows.stop.max()))
        ids, offsets = tokenizer.tokenize(*texts(bases, windows.moved(-first)))
        told = ~tokenizer.is_special[ids]
        widths = tokenizer.widths(ids[told])
        if not ((widths >= 0) & (widths < 256)).all():
            raise UserError(
                f"{tokenizer.name} tokens do not tell how many bases they cover: no mask has a place"
            )
        return Read(ids, offsets, told, widths.astype(np.uint8))

    def sizes(self) -> dict[str, int]:
        """Name -> bases, in the order of the records."""
        return {name: self.length(i) for i, name in enumerate(self.names)}

    def add(self, record) -> np.ndarray:
        """Keep a record; return the places that are asked for, int64 (k, 2)."""
        if record.name in self._known:
            raise UserError(
                f"two sequences are called {record.name}: rename one, since results are known by name"
            )
        self._known.add(record.name)
        self._arrays.clear()
        start = self._starts[-1]
        self.digest.update(f">{record.name}\n".encode("utf-8", "surrogateescape"))
        size = self._keep(record)
        self.names.append(record.name)
        self.descriptions.append(record.description)
        self.counts.append(dict(record.counts))
        self.features.append(list(record.features))
        self._starts.append(start + size)
        shown = np.array([[0, record.length]], np.int64)
        if self.regions is not None:
            shown = self.regions.get(record.name, shown[:0]).copy()
            to_the_end = shown[:, 1] == TO_THE_END
            shown[to_the_end, 1] = record.length
            if len(shown) and max(shown[-1, 1], shown[-1, 0] + 1) > record.length:
                wanted = f"{shown[-1, 0] + 1:,}" + ("" if to_the_end[-1] else f"-{shown[-1, 1]:,}")
                raise UserError(
                    f"--regions: {record.name} ends at {record.length:,}, and {wanted} is asked for"
                )
        shown = self._on_line(record, shown[shown[:, 0] < shown[:, 1]]) + start
        self._shown.append(shown)
        return shown

    def _keep(self, record) -> int:
        """Write what lies on the line of a record; return how many places that are."""
        for low in range(0, record.length, _PIECE):
            piece = record.bases(low, min(low + _PIECE, record.length))
            self._written.write(piece)
            self.digest.update(piece)
        return record.length

    def _on_line(self, record, shown: np.ndarray) -> np.ndarray:
        """Intervals of the letters of a record as intervals of its part of the line."""
        return shown

    def check_regions(self) -> None:
        """Raise UserError where a region is on a sequence that did not come."""
        if missing := sorted(set(self.regions or ()) - self._known):
            raise UserError(
                f"--regions: no sequence called {named(missing)}; there are {named(self.names, 5)}"
            )

    def bases(self, start: int, stop: int) -> np.ndarray:
        """What lies on some places of the line, of `kind` (stop - start,): bases from ACGTN."""
        self._written.flush()
        text = bytearray()
        start, stop = start * self.kind.itemsize, stop * self.kind.itemsize
        while len(text) < stop - start:
            # not by seek and read: a thread reads while the caller does
            place = start + len(text)
            more = os.pread(self._read.fileno(), stop - place, place)
            if not more:
                raise UserError(f"{self.path} has become shorter: start again")
            text += more
        return np.frombuffer(bytes(text), self.kind)


def blocks(
    source: Iterable, layout: Layout, records: Records, size: int | None = None
) -> Iterator[Windows]:
    """Read the records of `source` into `records`; yield all windows on the line in blocks of `size`.

    size: `BLOCK` by default. The last block may be smaller. A window is left out where none of its places
    is asked for.
    """
    size = size or BLOCK
    waiting = Windows(*np.zeros((4, 0), np.int64))
    pieces, size_of_pieces = [np.zeros((0, 2), np.int64)], 0
    for record in source:
        shown = records.add(record)
        if not len(shown):
            continue
        start, stop = records._starts[-2:]
        pieces.append(stretches(start, stop, record.gaps() + start, layout.gap))
        size_of_pieces += stop - start
        if size_of_pieces >= _PIECE:
            waiting = waiting.then(_laid_out(pieces, layout, records))
            pieces, size_of_pieces = pieces[:1], 0
            for first in range(0, len(waiting) - size + 1, size):
                yield waiting.take(slice(first, first + size))
            waiting = waiting.take(slice(len(waiting) // size * size, None))
    records.check_regions()
    waiting = waiting.then(_laid_out(pieces, layout, records))
    for first in range(0, len(waiting), size):
        yield waiting.take(slice(first, first + size))


def _laid_out(pieces: list[np.ndarray], layout: Layout, records: Records) -> Windows:
    """The windows of some stretches that overlap what is asked for."""
    windows = lay_out(np.concatenate(pieces), layout)
    if records.regions is not None:
        shown = records.shown
        # the first region that ends after the window's start must begin before its stop
        place = np.searchsorted(shown[:, 1], windows.start, side="right")
        begins = np.append(shown[:, 0], np.iinfo(np.int64).max)
        windows = windows.take(begins[place] < windows.stop)
    records.windows += len(windows)
    return windows
