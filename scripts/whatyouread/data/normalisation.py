"""From the text of a record to the characters that all stages agree on.

One place says what a valid record is, by the alphabet of the dataset. DNA: at least one A, C, G or T.
Protein: at least one amino acid; a `*` at the end, the stop codon, is left out. Text: something other than
white space; it stays as it is. And no more unknown letters (N, X) and no more characters than the
configuration allows. All other records lose their text here and are counted; a sequence of length 0 is
used by no stage. Everything after this, copies and tokens included, sees the normalised text.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.data.intervals import inside
from whatyouread.support.cli import UserError

DNA, PROTEIN, TEXT = "dna", "protein", "text"
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
NO_RESIDUE = "sequences without an amino acid"
TOO_MANY_X = "sequences with too many X"
OTHER_RESIDUE = "sequences with characters other than the 20 amino acids"
STRANGE_RESIDUE = "sequences with characters other than the 20 amino acids, X, B, Z, U, O and gaps"
STOP, GAP = "sequences with a stop (*) at the end", "sequences with gaps (- or .)"
NO_TEXT = "texts of white space alone"
EXCLUDED = (EMPTY, NO_BASE, NO_RESIDUE, NO_TEXT, TOO_MANY_N, TOO_MANY_X, TOO_LONG[LEAVE_OUT])
DOUBTFUL = (*EXCLUDED, *TOO_LONG.values(), STRANGE, STRANGE_RESIDUE, GAP)
"""What a user should know of; without the setting `upper_case` lower case is one of the other characters."""

_STRANGE, _LOWER, _N, _MARK = (np.uint8(1 << bit) for bit in range(4))
_WHITE = b" \t\r\n"
_LIKE_DNA = 0.95  # amino acids are A, C, G, T or N in about a fourth of a protein
_FEW = 100  # characters, which may look like anything


def _table(kind) -> bytes:
    return bytes(kind(chr(code)) for code in range(256))


@dataclass(frozen=True)
class Alphabet:
    """What the bytes of a record are. Of `_table`s, 0 for what is an ordinary character as it is.

    kinds: _STRANGE, _LOWER, _N (an unknown letter), _MARK (of its own quantity). upper, as_is: what each
    byte becomes, with the setting `upper_case` and without. The quantities: without an ordinary character;
    with too many unknown ones; with others; with strange ones; with marks. unit: a character, for people.
    """

    unit: str
    kinds: bytes
    upper: bytes
    as_is: bytes
    none: str
    too_many: str = ""
    other: str = ""
    strange: str = ""
    mark: str = ""


_TO_T = bytes.maketrans(b"Uu", b"Tt")
TO_UPPER = bytes(range(256)).upper().translate(_TO_T)
_SAME = bytes(range(256))
ALPHABETS = {
    DNA: Alphabet(
        "bases",
        _table(
            lambda letter: (
                _STRANGE * (letter.upper() not in "ACGTUN" or not letter.isascii())
                | _LOWER * ("a" <= letter <= "z")
                | _N * (letter in "Nn")
                | _MARK * (letter in "Uu")
            )
        ),
        *(TO_UPPER, _TO_T, NO_BASE, TOO_MANY_N, OTHER, STRANGE, URACIL),
    ),
    PROTEIN: Alphabet(
        "residues",
        _table(
            lambda letter: (
                _STRANGE
                * (letter.upper() not in "ACDEFGHIKLMNPQRSTVWYXBZUO-." or not letter.isascii())
                | _LOWER * ("a" <= letter <= "z")
                | _N * (letter in "XxBbZzUuOo-.")
                | _MARK * (letter in "-.")
            )
        ),
        *(_SAME.upper(), _SAME, NO_RESIDUE, TOO_MANY_X, OTHER_RESIDUE, STRANGE_RESIDUE, GAP),
    ),
    TEXT: Alphabet(
        "characters", bytes(_N * (code in _WHITE) for code in range(256)), _SAME, _SAME, NO_TEXT
    ),
}


@dataclass(frozen=True)
class Settings:
    """The section `sequences` of the configuration.

    alphabet: what sequences are made of: "dna", "protein" or "text". upper_case: read lower case (soft
    masking) as upper case; without, it stays, and is no base. max_n_share: a record with a larger share of
    N (protein: of X, other letters that are not one amino acid, and gaps) is excluded. max_length: bases,
    residues or characters, 0 for any; longer: what becomes of a longer record: its first ones, windows of
    like length, or nothing.
    """

    upper_case: bool = True
    max_n_share: float = 1.0
    max_length: int = 0
    longer: str = CUT
    alphabet: str = DNA

    def __post_init__(self):
        if self.alphabet not in ALPHABETS:
            raise UserError(
                f"sequences.alphabet is {self.alphabet!r}: one of {', '.join(ALPHABETS)}"
            )
        if self.alphabet == TEXT and self.max_n_share < 1:
            raise UserError("sequences.max_n_share is for dna and protein: leave it out for text")
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
        alphabet = ALPHABETS[self.alphabet]
        found = [EMPTY, alphabet.none]
        if self.max_n_share < 1:
            found.append(alphabet.too_many)
        if self.max_length:
            found.append(TOO_LONG[self.longer])
            if self.longer == WINDOW:
                found.append(FURTHER_WINDOWS)
        if self.alphabet == TEXT:
            return found
        stop = [STOP] if self.alphabet == PROTEIN else []
        return [*found, alphabet.other, alphabet.strange, LOWER, alphabet.mark, *stop]


def normalised(batch, settings: Settings):
    """A `SequenceBatch` as all stages read it, and how many of its characters are strange to the alphabet.

    Letters of DNA and protein become upper case, and U of RNA becomes T. Records without a base (an amino
    acid, any text), and those that the settings exclude, have length 0. `findings` of the new batch holds
    bool (n,) for each of `settings.quantities()`.
    """
    alphabet = ALPHABETS[settings.alphabet]
    text = batch.bases.tobytes()
    kinds = np.frombuffer(text.translate(alphabet.kinds), np.uint8)
    places = np.flatnonzero(kinds)
    seen = kinds[places]

    ends = batch.offsets[1:]
    if settings.alphabet == PROTEIN and b"*" in text:
        ends = _before_stops(batch.bases, batch.offsets)
    stopped = ends < batch.offsets[1:]
    batch, of, starts, stops, found = _shortened(batch, ends, settings)
    between = np.searchsorted(places, starts), np.searchsorted(places, stops)
    sizes = stops - starts
    lost = seen & (_STRANGE if settings.upper_case else _STRANGE | _LOWER) != 0
    others = _number(lost, *between)
    unknown = _number((seen & _N != 0) & ~lost, *between)
    found[alphabet.other] = others + unknown > 0
    kinds = ((alphabet.strange, _STRANGE), (LOWER, _LOWER), (alphabet.mark, _MARK))
    for quantity, kind in kinds:
        found[quantity] = _number(seen & kind != 0, *between) > 0
    found[STOP] = (stopped if of is None else stopped[of]) & ~found.get(FURTHER_WINDOWS, False)

    gone = found[EMPTY] | found.get(TOO_LONG[LEAVE_OUT], False)
    found[alphabet.none] = (others + unknown == sizes) & ~gone
    gone = gone | found[alphabet.none]
    # 0.57 * 100 is 57, not 56.99999999999999
    too_many = (unknown > np.round(settings.max_n_share * sizes, 6)) & ~gone
    stops = np.where(gone | too_many, starts, stops)

    changed = found[alphabet.mark].any() or (settings.upper_case and found[LOWER].any())
    if changed and settings.alphabet != TEXT:
        text = text.translate(alphabet.upper if settings.upper_case else alphabet.as_is)
    if alphabet.too_many:
        found[alphabet.too_many] = too_many
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


def refuse_other_alphabet(
    alphabet: str,
    strange: int,
    like_dna: int,
    characters: int,
    source: str,
    advice: str,
    expected: str = "sequences.alphabet is protein: set it to dna",
) -> None:
    """Raise `UserError` for a file that is mostly not of the alphabet, or for DNA given as protein.

    strange, like_dna: of its characters, those that are strange to the alphabet, and bases. expected: why
    DNA is wrong there, and what to do.
    """
    if alphabet == DNA:
        refuse_no_dna(strange, characters, source, advice)
    if alphabet == PROTEIN and 2 * strange > characters:
        raise UserError(
            f"{source}: {strange / characters:.0%} of its characters are no amino acids: is it protein?"
            f" {advice}"
        )
    if alphabet == PROTEIN and characters >= _FEW and like_dna >= _LIKE_DNA * characters:
        raise UserError(
            f"{source}: {like_dna / characters:.0%} of its characters are A, C, G, T, U or N: it is DNA,"
            f" and {expected}. {advice}"
        )


def number_like_dna(text: np.ndarray) -> int:
    """How many characters, uint8, may be bases."""
    return int(np.isin(text, np.frombuffer(b"ACGTUNacgtun", np.uint8)).sum())


def _before_stops(text: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Where each sequence ends without the `*` at its end, int64 (n,)."""
    ends = offsets[1:].copy()
    while len(more := np.flatnonzero(ends > offsets[:-1])):
        more = more[text[ends[more] - 1] == ord("*")]
        if not len(more):
            break
        ends[more] -= 1
    return ends


def _shortened(batch, stops: np.ndarray, settings: Settings):
    """The batch with a header for each window, where its pieces of text lie, and what was found.

    stops: where the text of each record ends. Returns the batch, the record of each piece (None: there are
    no windows), first and last byte of the pieces, and the findings.
    """
    starts, length = batch.offsets[:-1], settings.max_length
    found = {EMPTY: stops == starts}
    if not length:
        return batch, None, starts, stops, found
    # where the characters begin, since those of UTF-8 have up to four bytes
    begins = None
    if settings.alphabet == TEXT:
        begins = np.append(np.flatnonzero(batch.bases & 0xC0 != 0x80), len(batch.bases))
        starts, stops = np.searchsorted(begins, starts), np.searchsorted(begins, stops)
    sizes, of = stops - starts, None
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
        fields = None if batch.fields is None else batch.fields.take(pa.array(of))
        batch = batch._replace(headers=headers, lines=batch.lines[of], fields=fields)
        found = {quantity: flags[of] & (place == 0) for quantity, flags in found.items()}
        found[FURTHER_WINDOWS] = place > 0
    if begins is not None:
        starts, stops = begins[starts], begins[stops]
    return batch, of, starts, stops, found


def _number(flags: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """How many of the flags are set from `low` up to `high`, int64 like these."""
    sums = np.append(0, np.cumsum(flags))
    return sums[high] - sums[low]
