"""Values along sequences as bigWig and bedGraph.

They are written as a stream, in the order of the sequences, and appear whole or not at all. The same input
gives the same bytes, however it is cut into pieces. What does not fit (outside of its sequence, out of
order, overlapping, not a number) is a bug of ours: a `ValueError` names the place, before any library sees
it. Places are 0-based and half-open.
"""

import importlib.util
import logging
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from whatyouread.support.cli import UserError
from whatyouread.support.files import atomic

log = logging.getLogger(__name__)
DECIMALS = 3
"""Of the values that `intervals` gives."""
MOST_IN_BIGWIG = 0xFFFF
"""Sequences with values in a bigWig: its library writes all names into one block, which holds no more."""
LONGEST_OF_TBI = 1 << 29
"""Bases; a sequence that is longer needs a CSI index."""
_ROWS = 1 << 16  # that are Python objects at one time
_ROW = np.dtype([("place", "<u4"), ("start", "<u4"), ("end", "<u4"), ("value", "<f4")])


def intervals(start: int, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Runs of equal values, rounded to `DECIMALS`: starts, ends int64 (k,), values float32 (k,).

    start: place of the first value. values: float (n,), one per base; NaN, which is no score, is a gap.
    """
    # in double precision, because 1000 * 0.0005 is rounded twice otherwise
    rounded = np.round(np.asarray(values, np.float64), DECIMALS).astype(np.float32)
    scored = ~np.isnan(rounded)
    # NaN differs from all values, itself included
    first = np.flatnonzero(rounded != np.append(np.float32(np.nan), rounded[:-1]))
    ends = np.append(first[1:], len(rounded))[: len(first)]
    kept = scored[first]
    return first[kept] + start, ends[kept] + start, rounded[first[kept]]


class InOrder:
    """Refuses what a track of these sequences must not hold. sizes: name -> bases, in order."""

    def __init__(self, path: Path, sizes: Mapping[str, int]):
        self._path, self._sizes = path, sizes
        self._places = {name: place for place, name in enumerate(sizes)}
        self.place, self.end = -1, 0

    def check(self, name: str, starts: np.ndarray, ends: np.ndarray, values: np.ndarray) -> bool:
        """Raise `ValueError` at what does not fit; return whether a new sequence begins."""
        place = self._places.get(name)
        if place is None or place < self.place:
            reason = "is not in the header" if place is None else "comes out of the header's order"
            raise ValueError(f"{self._path}: {name!r} {reason}")
        if not len(starts) == len(ends) == len(values):
            raise ValueError(f"{self._path}: {name!r}: columns of unequal lengths")
        if not len(starts):
            return False
        new = place != self.place
        before = np.append(0 if new else self.end, ends[:-1])
        bad = (starts < before) | (ends <= starts) | (ends > self._sizes[name])
        bad |= ~np.isfinite(values)
        if bad.any():
            i = int(bad.argmax())
            raise ValueError(
                f"{self._path}: {name!r} of {self._sizes[name]} bases: {starts[i]}-{ends[i]} with"
                f" {values[i]}, after {before[i]}: outside, overlapping, out of order or no number"
            )
        self.place, self.end = place, int(ends[-1])
        return new


class _Values:
    """What tracks of values share: a context manager with `add`."""

    def __init__(self, path: str | Path, sizes: Mapping[str, int]):
        self.path, self._sizes, self._names = Path(path), sizes, list(sizes)
        self._order = InOrder(self.path, sizes)
        self._scored = 0  # sequences with values
        self._kept: list[np.ndarray] = []  # added, and not yet written
        self._rows = 0

    def __enter__(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._context = self._writing()
        self._context.__enter__()
        return self

    def __exit__(self, *failure):
        return self._context.__exit__(*failure)

    def add(self, name: str, starts: np.ndarray, ends: np.ndarray, values: np.ndarray) -> None:
        """Add intervals of a sequence: integers, integers, float32, each (n,), n may be 0.

        Neighbours with equal values become one, also when they come in two calls. Raises ValueError
        where they do not fit.
        """
        starts, ends, values = np.asarray(starts), np.asarray(ends), np.asarray(values, np.float32)
        self._scored += self._order.check(name, starts, ends, values)
        if not len(starts):
            return
        rows = np.empty(len(starts), _ROW)
        rows["place"], rows["start"], rows["end"] = self._order.place, starts, ends
        rows["value"] = values + np.float32(0)  # no -0
        self._kept.append(rows)
        self._rows += len(rows)
        if self._rows >= _ROWS:
            # the next interval may continue the last one
            self._kept = [self._write_merged(slice(-1))[-1:]]
            self._rows = 0

    def _write_merged(self, kept: slice) -> np.ndarray:
        """Write what is kept, with equal neighbours as one; return it."""
        rows = np.concatenate([np.zeros(0, _ROW), *self._kept])
        apart = rows["start"][1:] != rows["end"][:-1]
        for column in ("place", "value"):
            apart |= rows[column][1:] != rows[column][:-1]
        first = np.flatnonzero(np.append(True, apart)[: len(rows)])
        merged = rows[first]
        merged["end"] = rows["end"][np.append(first[1:], len(rows))[: len(first)] - 1]
        written = merged[kept]
        for i in range(0, len(written), _ROWS):
            self._write(written[i : i + _ROWS])
        return merged

    def _flush(self) -> None:
        self._write_merged(slice(None))
        self._kept = []


class BigWig(_Values):
    """A bigWig (.bw) of values, by pybigtools; its header has the sequences with values, in their order.

    After the block, `written` tells whether there is a file. There is none without a value, which readers
    refuse (UCSC's tools make none either), nor, with a warning, for more than `MOST_IN_BIGWIG` sequences
    or without pybigtools, which has no build for every Python.
    """

    # not by pyBigWig 0.3.29, which loses the sum at the end of each block of its summaries: values seen
    # from afar would dip there to 0. Those of pybigtools 0.3.0 may count a few bases of the next bin

    written = False

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with tempfile.TemporaryFile(dir=self.path.parent) as self._spool:
            yield
            self._flush()
            there = importlib.util.find_spec("pybigtools") is not None
            self.written = there and 0 < self._scored <= MOST_IN_BIGWIG
            if self.written:
                with atomic(self.path) as temporary:
                    self._convert(temporary)
                return
        self.path.unlink(missing_ok=True)
        reason = f"a bigWig holds {MOST_IN_BIGWIG} sequences at most, and these are {self._scored}"
        if not there:
            reason = "pybigtools is not installed; there is none for Python 3.14 yet"
        if self._scored:
            log.warning("%s is not written: %s", self.path.name, reason)

    def _write(self, rows: np.ndarray) -> None:
        self._spool.write(rows.tobytes())

    def _convert(self, path: Path) -> None:
        import pybigtools

        ends: list[BaseException | np.void] = []  # the last row, or what came before it
        with _of_the_disk(self.path):
            try:
                pybigtools.open(str(path), "w").write(self._sizes, self._spooled(ends))
            except BaseException as error:
                if type(error).__name__ != "PanicException":  # the library's for a full disk
                    raise
                raise OSError(str(error)) from None
            if not ends:
                raise OSError("the library stopped early")
            if isinstance(ends[0], BaseException):
                raise ends[0]
            last = ends[0]
            place = int(last["start"]), int(last["end"])
            try:
                with pybigtools.open(str(path)) as made:
                    found = list(made.records(self._names[last["place"]], *place))
            except pybigtools.BBIReadError as error:
                raise OSError(str(error)) from None
            if found != [(*place, float(last["value"]))]:
                raise OSError("its end is missing")

    def _spooled(self, ends: list) -> Iterator[tuple[str, int, int, float]]:
        """What the spool holds. An exception, which the library would drop, goes to `ends`."""
        try:
            self._spool.seek(0)
            rows = None
            while data := self._spool.read(_ROWS * _ROW.itemsize):
                rows = np.frombuffer(data, _ROW)
                names = (self._names[place] for place in rows["place"].tolist())
                columns = (rows[column].tolist() for column in ("start", "end", "value"))
                yield from zip(names, *columns, strict=True)
            ends.append(rows[-1])
        except BaseException as error:
            ends.append(error)


class BedGraph(_Values):
    """A bedGraph, compressed by bgzip, with its tabix index beside it.

    path: with the ending .bedgraph.gz. The index is `path`.tbi, or `path`.csi where a sequence is longer
    than `LONGEST_OF_TBI`. Without values, both are valid files without a line.
    """

    @contextmanager
    def _writing(self) -> Iterator[None]:
        import pysam

        long = max(self._sizes.values(), default=0) > LONGEST_OF_TBI
        index, other = (
            self.path.with_name(self.path.name + ending)
            for ending in ((".csi", ".tbi") if long else (".tbi", ".csi"))
        )
        with atomic(index) as made, atomic(self.path) as temporary:
            # level 6, the default, is three times as slow, and no smaller
            self._stream = pysam.BGZFile(str(temporary), "wb4")
            try:
                yield
                self._flush()
            except BaseException:
                with suppress(OSError):  # the first error tells more
                    self._stream.close()
                raise
            with _of_the_disk(self.path):
                self._stream.close()
            with _of_the_disk(index):
                pysam.tabix_index(
                    str(temporary), preset="bed", index=str(made), csi=long, force=True
                )
        other.unlink(missing_ok=True)

    def _write(self, rows: np.ndarray) -> None:
        lines = _lines(self._names, rows)
        with _of_the_disk(self.path):
            self._stream.write(lines)


def _lines(names: list[str], rows: np.ndarray) -> bytes:
    """The lines of bedGraph of some intervals."""
    import pyarrow as pa
    import pyarrow.compute as pc

    own, where = np.unique(rows["value"], return_inverse=True)
    texts = pa.array([f"{value:.6g}\n" for value in own.tolist()], pa.string())
    starts, ends = (pa.array(rows[column]).cast(pa.string()) for column in ("start", "end"))
    places, which = np.unique(rows["place"], return_inverse=True)
    called = pa.array([names[place] for place in places.tolist()], pa.string())
    called = called.take(pa.array(which))
    joined = pc.binary_join_element_wise(called, starts, ends, texts.take(pa.array(where)), "\t")
    _, offsets, data = joined.buffers()
    stop = np.frombuffer(offsets, np.int32)[len(rows)]
    return memoryview(data)[:stop].tobytes()


@contextmanager
def _of_the_disk(path: Path) -> Iterator[None]:
    """Turn the libraries' exceptions that give no reason into a line that names the file."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            raise
        raise UserError(
            f"{path}: could not be written ({error}): see whether the disk is full"
        ) from None
