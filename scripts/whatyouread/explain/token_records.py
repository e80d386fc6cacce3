"""Records whose tokens lie on the line: proteins, texts, and all else that comes in tokens of unequal width.

A text is a record without a genome. Its tokens lie back to back with those of other records, and each
knows which letters it covers, so that what holds per token holds per residue or character too. The letters
themselves are kept beside: a byte each, or four where they are characters of Unicode.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from whatyouread.data.intervals import ranges
from whatyouread.data.normalisation import PROTEIN, TEXT
from whatyouread.data.tokenizer import Tokenizer
from whatyouread.explain.intake import Read, Records
from whatyouread.explain.windows import Windows

TOKEN = np.dtype([("id", "<u4"), ("start", "<u4"), ("end", "<u4")])
"""A token: its id, its first letter in the record and the one after its last, 0-based."""
_LETTERS = {TEXT: np.dtype("<u4")}
_UNITS = {PROTEIN: "residue", TEXT: "character"}
_ENCODINGS = {1: "latin-1", 4: "utf-32-le"}


def letters_of(text: bytes, alphabet: str) -> np.ndarray:
    """The letters of a text in UTF-8: uint8, or uint32 for characters of Unicode."""
    if alphabet == TEXT:
        text = text.decode("utf-8", "replace").encode("utf-32-le")
    return np.frombuffer(text, _LETTERS.get(alphabet, np.uint8))


def text_of(letters: np.ndarray) -> str:
    """What `letters_of` made letters of."""
    return letters.tobytes().decode(_ENCODINGS[letters.itemsize])


@dataclass(frozen=True)
class TokenRecord:
    """One sequence. tokens: of `TOKEN` (m,), without the frame. counts: what was found in it.

    room: how many tokens are read where the rest is cut off, else None.
    """

    name: str
    description: str
    letters: np.ndarray
    tokens: np.ndarray
    counts: Mapping[str, int] = field(default_factory=dict)
    room: int | None = None
    features: tuple = ()

    @property
    def length(self) -> int:
        """In letters."""
        return len(self.letters)

    def gaps(self) -> np.ndarray:
        """The tokens that are not read, int64 (k, 2)."""
        cut = self.room is not None and len(self.tokens) > self.room
        return np.array([[self.room, len(self.tokens)]] if cut else [], np.int64).reshape(-1, 2)


class TokenRecords(Records):
    """See `Records`; the line holds tokens, of `TOKEN`. unit: what a letter is, "residue"."""

    kind = TOKEN
    stranded = False

    def __init__(self, folder: Path, alphabet: str, regions: Mapping[str, np.ndarray] | None):
        super().__init__(folder / "bases", regions)
        self.alphabet, self.unit = alphabet, _UNITS.get(alphabet, "base")
        self.nothing = "no text" if alphabet == TEXT else f"no {self.unit}"
        self._edges = [0]  # of the records among the letters
        self._letters_path = folder / "letters"
        self._letters = open(self._letters_path, "w+b")  # noqa: SIM115

    def close(self) -> None:
        super().close()
        self._letters.close()

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self._edges)

    def length(self, record: int) -> int:
        return self._edges[record + 1] - self._edges[record]

    def letters(self, record: int) -> np.ndarray:
        """The letters of a record, uint8 or uint32 (n,)."""
        kind = np.dtype(_LETTERS.get(self.alphabet, np.uint8))
        self._letters.seek(self._edges[record] * kind.itemsize)
        return np.frombuffer(self._letters.read(self.length(record) * kind.itemsize), kind)

    def within(self, start, stop):
        if not len(start):
            return start, stop
        first = int(start.min())
        tokens = self.bases(first, int(stop.max()))
        low, high = tokens["start"][start - first], tokens["end"][stop - 1 - first]
        return low.astype(np.int64), np.maximum(low, high).astype(np.int64)

    @staticmethod
    def without_score(values):
        return np.zeros(len(values), bool)

    def read(self, windows: Windows, tokenizer: Tokenizer) -> Read:
        first = int(windows.start.min())
        line = self.bases(first, int(windows.stop.max()))["id"]
        before, after = tokenizer.before, tokenizer.after
        lengths = windows.stop - windows.start
        offsets = np.append(0, np.cumsum(lengths + len(before) + len(after)))
        ids = np.empty(offsets[-1], tokenizer.dtype)
        told = np.zeros(len(ids), bool)
        inner = ranges(offsets[:-1] + len(before), offsets[1:] - len(after))
        told[inner] = True
        ids[inner] = line[ranges(windows.start - first, windows.stop - first)]
        for place, token in enumerate(before):
            ids[offsets[:-1] + place] = token
        for place, token in enumerate(reversed(after), 1):
            ids[offsets[1:] - place] = token
        return Read(ids, offsets, told, np.ones(len(inner), np.uint8))

    def _keep(self, record: TokenRecord) -> int:
        letters = record.letters.tobytes()
        self.digest.update(letters)
        self._letters.seek(0, 2)
        self._letters.write(letters)
        self._edges.append(self._edges[-1] + record.length)
        self._written.write(record.tokens.tobytes())
        return len(record.tokens)

    def _on_line(self, record: TokenRecord, shown: np.ndarray) -> np.ndarray:
        if self.regions is None:
            return np.array([[0, len(record.tokens)]], np.int64)
        # every token that covers a letter which is asked for
        ends = np.maximum.accumulate(record.tokens["end"])
        low = np.searchsorted(ends, shown[:, 0], side="right")
        high = np.searchsorted(record.tokens["start"], shown[:, 1], side="left")
        edges = np.stack([low, np.maximum(low, high)], axis=1).astype(np.int64)
        edges[1:, 0] = np.maximum(edges[1:, 0], edges[:-1, 1])  # one token in two regions
        return edges[edges[:, 0] < edges[:, 1]]
