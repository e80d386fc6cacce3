"""What a genome browser needs beside tracks: the lengths, the sequences, and a session for IGV."""

import os
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from whatyouread.support.colours import BLUE, rgb
from whatyouread.support.files import atomic
from whatyouread.support.text import plain, without_controls

COLUMNS = 60
"""Bases in a line of FASTA."""


def write_sizes(path: str | Path, sizes: Mapping[str, int]) -> None:
    """Write UCSC's chrom.sizes: name, tab, length; sequences without bases included."""
    with atomic(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        stream.writelines(f"{name}\t{length}\n" for name, length in sizes.items())


class Reference:
    """The sequences themselves, as FASTA of `COLUMNS` columns, with the index (.fai) that samtools makes.

    `begin` each sequence, then `add` its bases in pieces. Sequences without bases cannot be indexed; they
    are left out and counted in `left_out`.
    """

    def __init__(self, path: str | Path):
        self.path, self.left_out = Path(path), 0
        self._header, self._name, self._length = b"", None, 0
        self._left, self._offset, self._start = np.zeros(0, np.uint8), 0, 0

    def __enter__(self) -> "Reference":
        self._context = self._writing()
        self._context.__enter__()
        return self

    def __exit__(self, *failure):
        return self._context.__exit__(*failure)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        index = self.path.with_name(self.path.name + ".fai")
        with (
            atomic(index) as index_path,
            atomic(self.path) as path,
            open(path, "wb") as self._stream,
            open(index_path, "wb") as self._index,
        ):
            yield
            self._end()

    def begin(self, name: str, description: str = "") -> None:
        """Begin a sequence. Control characters of its description become blanks."""
        self._end()
        self._name, self._length = name, 0
        self._header = f">{name} {plain(description)}".rstrip(" ").encode() + b"\n"

    def add(self, bases: np.ndarray | bytes) -> None:
        """Add bases, ASCII: bytes or uint8 (n,)."""
        bases = np.frombuffer(bases, np.uint8) if isinstance(bases, bytes) else np.asarray(bases)
        if not len(bases):
            return
        if not self._length:
            self._put(self._header)
            self._start = self._offset
        self._length += len(bases)
        bases = np.concatenate([self._left, bases])
        whole = len(bases) // COLUMNS
        lines = np.full((whole, COLUMNS + 1), ord("\n"), np.uint8)
        lines[:, :COLUMNS] = bases[: whole * COLUMNS].reshape(whole, COLUMNS)
        self._put(lines.tobytes())
        self._left = bases[whole * COLUMNS :].copy()

    def _put(self, data: bytes) -> None:
        self._stream.write(data)
        self._offset += len(data)

    def _end(self) -> None:
        if self._name is None:
            return
        if not self._length:
            self.left_out += 1
            return
        if len(self._left):
            self._put(self._left.tobytes() + b"\n")
            self._left = self._left[:0]
        width = min(self._length, COLUMNS)
        row = (self._name, self._length, self._start, width, width + 1)
        self._index.write(("\t".join(map(str, row)) + "\n").encode())


class Shown(NamedTuple):
    """A track of an IGV session. values: whether it is drawn as values from 0 to 1, else as features."""

    path: Path
    name: str
    values: bool
    colour: str = BLUE


def write_igv_session(
    path: str | Path, reference: Path | None, tracks: Iterable[Shown], locus: str = "All"
) -> None:
    """Write a session (.xml) that IGV opens, wherever its folder is moved to: all paths are relative.

    reference: FASTA with its index beside it, None for none. locus: what is shown at first, as
    "name:start-end", counted from 1.
    """
    path, tracks = Path(path), list(tracks)
    files = [Path(os.path.relpath(track.path, path.parent)).as_posix() for track in tracks]
    session = ET.Element("Session", {"version": "8", "locus": without_controls(locus)})
    if reference is not None:
        session.set("genome", Path(os.path.relpath(reference, path.parent)).as_posix())
    resources = ET.SubElement(session, "Resources")
    for file in files:
        ET.SubElement(resources, "Resource", {"path": file})
    panels = {
        values: ET.SubElement(session, "Panel", {"name": name})
        for values, name in ((True, "DataPanel"), (False, "FeaturePanel"))
    }
    if reference is not None:
        sequence = {"id": "Reference sequence", "name": "Reference sequence", "visible": "true"}
        sequence["clazz"] = "org.broad.igv.track.SequenceTrack"
        ET.SubElement(panels[False], "Track", sequence)
    for file, track in zip(files, tracks, strict=True):
        attributes = {"id": file, "name": without_controls(track.name), "visible": "true"}
        attributes["color"] = rgb(track.colour)
        if track.values:
            attributes |= {"autoScale": "false", "renderer": "BAR_CHART", "windowFunction": "mean"}
        else:
            attributes |= {"displayMode": "EXPANDED"}
        made = ET.SubElement(panels[track.values], "Track", attributes)
        if track.values:
            limits = {"minimum": "0.0", "baseline": "0.0", "maximum": "1.0"}
            limits |= {"type": "LINEAR", "drawBaseline": "true", "flipAxis": "false"}
            ET.SubElement(made, "DataRange", limits)
    ET.indent(session)
    text = ET.tostring(session, encoding="utf-8", xml_declaration=True)
    with atomic(path) as temporary:
        temporary.write_bytes(text + b"\n")
