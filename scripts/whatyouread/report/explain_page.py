"""The page of an explained sample: one HTML file that holds its sequences, masks and predictions.

`page/` holds what the browser runs: plain scripts without a build step, each in one `<script>` of the
page, and named by its hash in the page's content security policy. There is no library among them. The
overview is drawn from one list of shapes onto the screen and into the SVG file, and a library for plots
draws on the screen only.

The data lie in blocks: a length (uint32), a header in JSON of that length, and arrays, all little-endian;
the header names each array with its type and number of items, and each starts at a multiple of four bytes.
A block is gzipped, then written in base64 into a `<script>` that no browser runs. `index` describes the
sample and has a row per sequence, `block-0` and so on hold the sequences. `data.js` reads them.
"""

import base64
import dataclasses
import gzip
import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from whatyouread.data.intervals import runs
from whatyouread.masks.choices import THRESHOLD
from whatyouread.support import colours
from whatyouread.support.files import atomic
from whatyouread.support.text import counted, escape_html

ASSETS = Path(__file__).with_name("page")
SCRIPTS = (
    "data.js", "mask.js", "motif.js", "drawing.js", "tokens.js", "table.js", "downloads.js", "page.js",
)  # fmt: skip
STEPS, NO_SCORE = 250, 255
"""A mask value m is the byte round(m * STEPS); bases without a score have the byte NO_SCORE."""
NO_CLASS = -1
NO_PROBABILITY = 65535
BLOCK_BASES = 2_000_000
"""A block is closed at this many bases, or at BLOCK_RECORDS sequences."""
BLOCK_RECORDS = 20_000
_CODES = np.full(256, 4, np.uint8)
_CODES[np.frombuffer(b"ACGTacgt", np.uint8)] = [0, 1, 2, 3] * 2


@dataclasses.dataclass
class PageRecord:
    """One sequence of the page.

    bases: uint8 (length,), letters of ACGTN (others are shown as N). mask: uint8 (length,), see
    `mask_bytes`; mask_minus: that of the reverse strand where strands are kept apart, in the positions of
    the forward strand. segments: int64 (k, 2), start and end of the pieces that have one prediction each,
    in order and without overlap. classes: level -> class number (k,), probabilities: level -> float (k,).
    predicted: level -> (class, its probability, runner-up, its probability) of the whole record, empty
    where there is none. features: (type, start, end, strand, name) of the annotation. Positions are
    0-based and half-open.
    """

    name: str
    description: str
    length: int
    bases: np.ndarray
    mask: np.ndarray
    segments: np.ndarray
    classes: dict[str, np.ndarray]
    probabilities: dict[str, np.ndarray]
    predicted: dict[str, tuple[int, float, int, float]]
    features: list[tuple[str, int, int, str, str]] = dataclasses.field(default_factory=list)
    mask_minus: np.ndarray | None = None


@dataclasses.dataclass
class PageCounts:
    """How many sequences and bases the page shows, and how many there were."""

    shown: int = 0
    records: int = 0
    shown_bases: int = 0
    bases: int = 0

    def sentence(self) -> str:
        """The counts in words, for the page and for a warning."""
        if self.shown == self.records:
            return f"{counted(self.records, 'sequence')}, {counted(self.bases, 'base')}."
        return (
            f"This page shows {self.shown:,} of {counted(self.records, 'sequence')}, and"
            f" {self.shown_bases:,} of {counted(self.bases, 'base')}: those that fit, in the order of the"
            " file. The other files of this folder hold them all."
        )


def mask_bytes(mask: np.ndarray) -> np.ndarray:
    """Mask values in [0, 1], NaN for no score, as the bytes that a page holds: uint8, same shape."""
    with np.errstate(invalid="ignore"):
        rounded = np.rint(np.asarray(mask, np.float64) * STEPS)
    return np.where(np.isnan(rounded), NO_SCORE, rounded).astype(np.uint8)


def write_page(
    path: Path,
    records: Iterable[PageRecord],
    *,
    sample: str,
    levels: dict[str, list[str]],
    token: int,
    threshold: float = THRESHOLD,
    facts: dict[str, object],
    enrichment: list[dict] | None = None,
    most_bases: int = 40_000_000,
    most_records: int = 200_000,
    left_out: tuple[int, int] = (0, 0),
) -> PageCounts:
    """Write the page atomically, with a stream of records; the same input gives the same bytes.

    levels: level -> class names by number; token: bases per token; facts: settings to show, without dates;
    enrichment: rows of a table, shown as it is. A record that would take the page above `most_bases` or
    `most_records` is left out and counted. left_out: sequences and bases that there are beside these
    records. Raises ValueError for a record whose arrays do not fit together.
    """
    path, index = Path(path), _Index(list(levels))
    counts = PageCounts(records=left_out[0], bases=left_out[1])
    head, between, foot = _template(sample, facts, enrichment)
    with atomic(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
        file.write(head)
        for number, chosen in enumerate(_blocks(records, counts, most_bases, most_records)):
            block = _Block(chosen, list(levels))
            index.add(block, threshold)
            file.write(block.script(number))
        header = {
            "sample": sample,
            "levels": [[name, list(classes)] for name, classes in levels.items()],
            "token": token,
            "threshold": threshold,
            "palette": colours.PALETTE,
            "other": colours.GREY,
        }
        file.write(_script("index", header | index.header, index.arrays()))
        file.write(between + escape_html(counts.sentence()) + foot)
    return counts


def _blocks(
    records: Iterable[PageRecord], counts: PageCounts, most_bases: int, most_records: int
) -> Iterator[list[PageRecord]]:
    block, size = [], 0
    for record in records:
        _check(record)
        counts.records += 1
        counts.bases += record.length
        if counts.shown >= most_records or counts.shown_bases + record.length > most_bases:
            continue
        counts.shown += 1
        counts.shown_bases += record.length
        if block and (size + record.length > BLOCK_BASES or len(block) >= BLOCK_RECORDS):
            yield block
            block, size = [], 0
        block.append(record)
        size += record.length
    if block:
        yield block


def _check(record: PageRecord) -> None:
    k = len(record.segments)
    pieces = np.asarray(record.segments, np.int64).reshape(k, 2)
    masks = [record.mask] if record.mask_minus is None else [record.mask, record.mask_minus]
    edges = pieces.ravel()
    per_segment = [*record.classes.values(), *record.probabilities.values()]
    if (
        any(len(array) != record.length for array in (record.bases, *masks))
        or any(len(array) != k for array in per_segment)
        or (k and (edges[0] < 0 or edges[-1] > record.length or (np.diff(edges) < 0).any()))
    ):
        raise ValueError(f"{record.name}: bases, masks, segments and classes do not fit together")


class _Block:
    """Records that are read together: their arrays, joined."""

    def __init__(self, records: list[PageRecord], levels: list[str]):
        self.records = records
        self.lengths = np.array([record.length for record in records], np.uint32)
        self.codes = _CODES[_joined([record.bases for record in records], np.uint8)]
        self.mask = _joined([record.mask for record in records], np.uint8)
        self.segment_counts = np.array([len(record.segments) for record in records], np.uint32)
        self.segments = _joined([record.segments for record in records], np.int64).reshape(-1, 2)
        self.classes, self.probabilities = [], []
        for level in levels:
            classes = [_of_level(record.classes, level, record, NO_CLASS) for record in records]
            self.classes.append(_joined(classes, np.int32))
            values = [_of_level(record.probabilities, level, record, np.nan) for record in records]
            self.probabilities.append(_probabilities(_joined(values, np.float64)))

    def script(self, number: int) -> str:
        arrays = {
            "segment-count": self.segment_counts,
            "segments": self.segments.ravel().astype(np.uint32),
            "unknown": runs(self.codes == 4).ravel().astype(np.uint32),  # in the joined bases
            "bases": _two_bits(self.codes),
            "mask": self.mask,
        }
        if any(record.mask_minus is not None for record in self.records):
            minus = [
                np.full(r.length, NO_SCORE) if r.mask_minus is None else r.mask_minus
                for r in self.records
            ]
            arrays["minus"] = _joined(minus, np.uint8)
        for i, (classes, values) in enumerate(zip(self.classes, self.probabilities, strict=True)):
            arrays |= {f"class-{i}": classes, f"probability-{i}": values}
        features = {
            i: [
                [kind, int(start), int(end), strand, name]
                for kind, start, end, strand, name in found
            ]
            for i, record in enumerate(self.records)
            if (found := record.features)
        }
        return _script(f"block-{number}", {"features": features}, arrays)


def _joined(arrays: list[np.ndarray], dtype: type) -> np.ndarray:
    joined = np.concatenate([np.empty(0, dtype), *map(np.ravel, arrays)])
    return joined.astype(dtype, copy=False)


def _of_level(
    values: dict[str, np.ndarray], level: str, record: PageRecord, none: float
) -> np.ndarray:
    found = values.get(level)
    return np.full(len(record.segments), none) if found is None else found


class _Index:
    """The row of each sequence, and what the page knows of the classes before it reads any block."""

    def __init__(self, levels: list[str]):
        self.levels = levels
        self.header: dict = {"names": [], "descriptions": [], "blocks": [], "strands": 1}
        self._arrays: dict[str, list[np.ndarray]] = {}
        self._bases: list[dict[int, int]] = [{} for _ in levels]
        self.add(_Block([], levels), 0.0)  # so that a page without a sequence has the arrays too
        self.header["blocks"] = []

    def _add(self, name: str, values: object, dtype: type) -> None:
        self._arrays.setdefault(name, [np.empty(0, dtype)]).append(np.asarray(values, dtype))

    def add(self, block: _Block, threshold: float) -> None:
        records = block.records
        self.header["blocks"].append(len(records))
        self.header["names"] += [record.name for record in records]
        self.header["descriptions"] += [record.description for record in records]
        if any(record.mask_minus is not None for record in records):
            self.header["strands"] = 2
        scored = block.mask != NO_SCORE
        self._add("length", block.lengths, np.uint32)
        self._add("scored", _counts(scored, block.lengths), np.uint32)
        above = scored & (block.mask > threshold * STEPS)
        self._add("above", _counts(above, block.lengths), np.uint32)
        owners = np.repeat(np.arange(len(records)), block.segment_counts)
        sizes = np.diff(block.segments).ravel()
        none = (NO_CLASS, 0.0, NO_CLASS, 0.0)
        for i, level in enumerate(self.levels):
            four = [record.predicted.get(level) or none for record in records]
            for name, column in (("class", 0), ("runner", 2)):
                numbers = [NO_CLASS if one[column] is None else one[column] for one in four]
                self._add(f"{name}-{i}", numbers, np.int32)
            self._add(f"probability-{i}", _probabilities([one[1] for one in four]), np.uint16)
            self._add(
                f"runner-probability-{i}", _probabilities([one[3] for one in four]), np.uint16
            )
            # the classes among the segments of each record, in order
            pairs = np.unique(np.stack([owners, block.classes[i]], 1), axis=0)
            self._add(
                f"present-count-{i}", np.bincount(pairs[:, 0], minlength=len(records)), np.uint32
            )
            self._add(f"present-{i}", pairs[:, 1], np.int32)
            present, which = np.unique(block.classes[i], return_inverse=True)
            for number, size in zip(present, np.bincount(which, sizes), strict=True):
                self._bases[i][int(number)] = self._bases[i].get(int(number), 0) + int(size)

    def arrays(self) -> dict[str, np.ndarray]:
        arrays = {name: np.concatenate(parts) for name, parts in self._arrays.items()}
        for i, bases in enumerate(self._bases):
            # the classes by how many bases are predicted as them: the first ones get the colours
            order = sorted((-size, number) for number, size in bases.items() if number != NO_CLASS)
            arrays[f"common-{i}"] = np.array([number for _, number in order], np.int32)
        return arrays


def _counts(flags: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """How many flags are true in each of the pieces of these lengths, int64 (n,)."""
    sums = np.r_[0, np.cumsum(flags, dtype=np.int64)]
    return np.diff(sums[np.r_[0, np.cumsum(lengths, dtype=np.int64)]])


def _probabilities(values: object) -> np.ndarray:
    """Probabilities in ten thousandths, uint16; NaN becomes NO_PROBABILITY."""
    values = np.asarray(values, np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(np.isnan(values), NO_PROBABILITY, np.rint(values * 10_000)).astype(
            np.uint16
        )


def _two_bits(codes: np.ndarray) -> np.ndarray:
    """Codes 0 to 3, four to a byte, the first one lowest; others become 0. uint8 (ceil(n / 4),)."""
    padded = np.zeros(-(-len(codes) // 4) * 4, np.uint8)
    padded[: len(codes)] = np.where(codes < 4, codes, 0)
    four = padded.reshape(-1, 4)
    return four[:, 0] | four[:, 1] << 2 | four[:, 2] << 4 | four[:, 3] << 6


def _script(name: str, header: dict, arrays: dict[str, np.ndarray]) -> str:
    """A block as an element of the page."""
    listed = [[name, array.dtype.name, len(array)] for name, array in arrays.items()]
    text = json.dumps(header | {"arrays": listed}, separators=(",", ":")).encode()
    body = bytearray(np.uint32(len(text)).astype("<u4").tobytes() + text)
    for array in arrays.values():
        body += bytes(-len(body) % 4)
        body += array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    packed = base64.b64encode(gzip.compress(body, 6, mtime=0)).decode()
    return f'<script type="application/octet-stream" id="{name}">{packed}</script>\n'


def _template(
    sample: str, facts: dict[str, object], enrichment: list[dict] | None
) -> tuple[str, str, str]:
    """The page before the blocks, between them and the counts, and after the counts."""

    def asset(name: str) -> str:
        return (ASSETS / name).read_text(encoding="utf-8")

    scripts = [asset(name) for name in SCRIPTS]
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in scripts
    )
    filled = {
        "policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action"
        f" 'none'; script-src {hashes}",
        "sample": escape_html(sample),
        "facts": _facts(facts),
        "enrichment": _enrichment(enrichment),
        "style": asset("page.css"),
        "scripts": "\n".join(f"<script>{text}</script>" for text in scripts),
    }
    texts, marks = (pieces := re.split(r"\{\{(\w+)\}\}", asset("page.html")))[::2], pieces[1::2]
    parts = [texts[0]]
    for mark, text in zip(marks, texts[1:], strict=True):
        if mark in ("data", "counts"):  # what is written between the parts
            parts.append(text)
        else:
            parts[-1] += filled[mark] + text
    head, between, foot = parts
    return head, between, foot


def _facts(facts: dict[str, object]) -> str:
    return "".join(
        f"<tr><th scope=row>{escape_html(str(key))}</th><td>{escape_html(_shown(value))}</td></tr>\n"
        for key, value in facts.items()
    )


def _enrichment(rows: list[dict] | None) -> str:
    if not rows:
        return ""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    head = "".join(f"<th scope=col>{escape_html(str(name))}</th>" for name in columns)
    body = "".join(
        "<tr>"
        + "".join(f"<td>{escape_html(_shown(row.get(c, '')))}</td>" for c in columns)
        + "</tr>\n"
        for row in rows
    )
    return (
        "<details id=enrichment><summary>What the mask falls on</summary>\n"
        '<div class=wide tabindex=0 role=region aria-label="What the mask falls on">'
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div></details>\n"
    )


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, (float, np.floating)):
        return f"{value:.4g}"
    if isinstance(value, (int, np.integer)) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)
