"""From the text of a record to the bases that all stages agree on.

One place says what a valid record is: it has at least one A, C, G or T, no more N and no more bases than
the configuration allows. All others lose their text here and are counted; a sequence of length 0 is used
by no stage. Everything after this, copies and tokens included, sees the normalised text.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.data.intervals import inside
from whatyouread.support.cli import UserError

CUT, WINDOW, LEAVE_OUT = "cut", "window", "leave_out"
# quantities of the summary, by record
EMPTY = "empty sequences"
NO_BASE = "sequences without a base"
TOO_MANY_N = "sequences with too many N"
TOO_LONG = {
    CUT: "sequences cut to the maximal length",
    WINDOW: "sequences divided into windows",
    LEAVE_OUT: "sequences above the maximal length",
}
FURTHER_WINDOWS = "further windows of them"
WINDOWS = (TOO_LONG[WINDOW], FURTHER_WINDOWS)  # findings of what has a place after its header
OTHER = "sequences with characters other than ACGT"
STRANGE = "sequences with characters other than ACGTUN"
LOWER = "sequences with lower case"
URACIL = "sequences with U"
EXCLUDED = (EMPTY, NO_BASE, TOO_MANY_N, TOO_LONG[LEAVE_OUT])
DOUBTFUL = (*EXCLUDED, *TOO_LONG.values(), STRANGE)
"""What a user should know of; without the setting `upper_case` lower case is one of the other characters."""

_STRANGE, _LOWER, _N, _URACIL = (np.uint8(1 << bit) for bit in range(4))


def _table(kind) -> bytes:
    return bytes(kind(chr(code)) for code in range(256))


# 0 for what is a base as it is
_KINDS = _table(
    lambda letter: (
        _STRANGE * (letter.upper() not in "ACGTUN" or not letter.isascii())
        | _LOWER * ("a" <= letter <= "z")
        | _N * (letter in "Nn")
        | _URACIL * (letter in "Uu")
    )
)
_TO_T = bytes.maketrans(b"Uu", b"Tt")
TO_UPPER = bytes(range(256)).upper().translate(_TO_T)


@dataclass(frozen=True)
class Settings:
    """The section `sequences` of the configuration.

    upper_case: read lower case (soft masking) as upper case; without, it stays, and is no base. max_n_share:
    a record with a larger share of N is excluded. max_length: bases, 0 for any; longer: what becomes of
    a longer record: its first bases, windows of like length, or nothing.
    """

    upper_case: bool = True
    max_n_share: float = 1.0
    max_length: int = 0
    longer: str = CUT

    def __post_init__(self):
        if not 0 <= self.max_n_share <= 1:
            raise UserError(
                f"sequences.max_n_share is {self.max_n_share}: give a share within 0..1"
            )
        if not (self.max_length >= 0 and self.max_length == int(self.max_length)):
            raise UserError(
                f"sequences.max_length is {self.max_length}: give a number of bases, or 0 for any"
            )
        if self.longer not in TOO_LONG:
            raise UserError(f"sequences.longer is {self.longer!r}: one of {', '.join(TOO_LONG)}")

    def quantities(self) -> list[str]:
        """What `normalised` finds with these settings, in the order of the summary."""
        found = [EMPTY, NO_BASE]
        if self.max_n_share < 1:
            found.append(TOO_MANY_N)
        if self.max_length:
            found.append(TOO_LONG[self.longer])
            if self.longer == WINDOW:
                found.append(FURTHER_WINDOWS)
        return [*found, OTHER, STRANGE, LOWER, URACIL]


def normalised(batch, settings: Settings):
    """A `SequenceBatch` as all stages read it, and how many of its characters are no bases at all.

    Letters become upper case and U becomes T. Records without a base, and those that the settings
    exclude, have length 0. `findings` of the new batch holds bool (n,) for each of
    `settings.quantities()`.
    """
    text = batch.bases.tobytes()
    kinds = np.frombuffer(text.translate(_KINDS), np.uint8)
    places = np.flatnonzero(kinds)
    seen = kinds[places]

    batch, starts, stops, found = _shortened(batch, settings)
    between = np.searchsorted(places, starts), np.searchsorted(places, stops)
    sizes = stops - starts
    lost = seen & (_STRANGE if settings.upper_case else _STRANGE | _LOWER) != 0
    others = _number(lost, *between)
    unknown = _number((seen & _N != 0) & ~lost, *between)
    found[OTHER] = others + unknown > 0
    for quantity, kind in ((STRANGE, _STRANGE), (LOWER, _LOWER), (URACIL, _URACIL)):
        found[quantity] = _number(seen & kind != 0, *between) > 0

    gone = found[EMPTY] | found.get(TOO_LONG[LEAVE_OUT], False)
    found[NO_BASE] = (others + unknown == sizes) & ~gone
    gone = gone | found[NO_BASE]
    # 0.57 * 100 is 57, not 56.99999999999999
    found[TOO_MANY_N] = (unknown > np.round(settings.max_n_share * sizes, 6)) & ~gone
    stops = np.where(gone | found[TOO_MANY_N], starts, stops)

    if found[URACIL].any() or (settings.upper_case and found[LOWER].any()):
        text = text.translate(TO_UPPER if settings.upper_case else _TO_T)
    bases = np.frombuffer(text, np.uint8)
    offsets = np.append(0, np.cumsum(stops - starts))
    if offsets[-1] < len(bases):
        bases = bases[inside(starts, stops, len(bases))]
    findings = {quantity: found[quantity] for quantity in settings.quantities()}
    strange = int(np.count_nonzero(seen & _STRANGE))
    return batch._replace(bases=bases, offsets=offsets, findings=findings), strange


def refuse_no_dna(strange: int, characters: int, source: str, advice: str) -> None:
    """Raise `UserError` where more than half of the characters of a file are no bases at all."""
    if 2 * strange > characters:
        raise UserError(
            f"{source}: {strange / characters:.0%} of its characters are no bases (A, C, G, T, U, N):"
            f" is it protein, or an alignment with gaps? {advice}"
        )


def _shortened(batch, settings: Settings):
    """The batch with a header for each window, where its pieces of text lie, and what was found."""
    starts, stops = batch.offsets[:-1], batch.offsets[1:]
    sizes, length = stops - starts, settings.max_length
    found = {EMPTY: sizes == 0}
    if not length:
        return batch, starts, stops, found
    long = sizes > length
    found |= {TOO_LONG[settings.longer]: long, FURTHER_WINDOWS: np.zeros_like(long)}
    if settings.longer == CUT:
        stops = np.where(long, starts + length, stops)
    elif settings.longer == WINDOW and long.any():
        number = np.maximum(1, -(-sizes // length))
        of = np.repeat(np.arange(len(sizes)), number)
        place = np.arange(len(of)) - np.repeat(np.cumsum(number) - number, number)
        # windows of like length: the last one is no stump of a few bases
        low, high = place * sizes[of] // number[of], (place + 1) * sizes[of] // number[of]
        ends = [pa.array(end).cast(pa.string()) for end in (low + 1, high)]
        named = pc.binary_join_element_wise(
            batch.headers.take(pa.array(of)), pc.binary_join_element_wise(*ends, "-"), " "
        )
        headers = pc.if_else(pa.array(long[of]), named, batch.headers.take(pa.array(of)))
        starts, stops = starts[of] + low, starts[of] + high
        batch = batch._replace(headers=headers, lines=batch.lines[of])
        found = {quantity: flags[of] & (place == 0) for quantity, flags in found.items()}
        found[FURTHER_WINDOWS] = place > 0
    return batch, starts, stops, found


def _number(flags: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """How many of the flags are set from `low` up to `high`, int64 like these."""
    sums = np.append(0, np.cumsum(flags))
    return sums[high] - sums[low]
