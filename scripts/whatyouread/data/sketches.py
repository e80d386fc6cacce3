"""Sketches of sequences: the k-mers with the smallest hashes, which stand for all of them.

Two sequences share as large a part of their sketches as of their k-mers (bottom-k MinHash, Broder 1997).
A k-mer and its reverse complement are one. What is no character of the alphabet, such as N, is in no
k-mer.
"""

from typing import NamedTuple

import numpy as np

from whatyouread.support.keyed_random import mix

SIZE = 32  # k-mers in a sketch: 256 bytes a sequence
NONE = np.uint64(2**64 - 1)
"""What a sketch is filled with where a sequence has fewer k-mers."""
_AT_ONCE = 1 << 14  # the working set stays in the processor's cache
_ODD = np.array([0x9E3779B1, 0x85EBCA77, 0x7FEB352D], np.uint32)
_FOREIGN = 255


class Alphabet(NamedTuple):
    """The characters that make k-mers.

    codes: 256 bytes, the number of each character, 255 for what is none. bits: of such a number. k:
    characters in a k-mer, an odd number; its bits are at most 64, those of its half 32. complement:
    there is a second strand, on which a character faces the one with the number 2**bits - 1 - its own.
    """

    codes: bytes
    bits: int
    k: int
    complement: bool


DNA = Alphabet(
    bytes(b"ACGT".find(code) % 256 for code in range(256)), bits=2, k=21, complement=True
)
# seven bytes of any text: a short word with what stands before and after it, or seven residues
TEXT = Alphabet(bytes(range(255)) + bytes([_FOREIGN]), bits=8, k=7, complement=False)
_COMPLEMENT = bytes.maketrans(b"ACGTacgt", b"TGCAtgca")


def reverse_complements(bases: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The other strand of all sequences, in their reverse order: uint8 and offsets, int64 (n + 1,).

    Characters other than A, C, G and T stay as they are.
    """
    other = np.frombuffer(bases.tobytes().translate(_COMPLEMENT), np.uint8)[::-1]
    return np.ascontiguousarray(other), (offsets[-1] - offsets)[::-1]


def sketches(
    bases: np.ndarray, offsets: np.ndarray, alphabet: Alphabet = DNA, size: int = SIZE
) -> np.ndarray:
    """The `size` smallest distinct hashes of the k-mers of every sequence: uint64 (n, size), ascending.

    `bases` is uint8, `offsets` int64 (n + 1,), as in `SequenceBatch`. Rows of sequences with fewer
    k-mers end with `NONE`, those of sequences without any hold nothing else. Equal k-mers have equal
    hashes; different ones have different hashes but for a probability of about 2^-50.
    """
    codes = np.frombuffer(bases.tobytes().translate(alphabet.codes), np.uint8)
    made = np.full((len(offsets) - 1, size), NONE)
    # above this bound lie all but the smallest; where too few lie below, it is lifted
    rows, wanted = np.arange(len(made)), size + 4 * np.sqrt(size)
    starts, stops = offsets[:-1], offsets[1:]
    while len(rows):
        number = np.maximum(stops[rows] - starts[rows] - alphabet.k + 1, 1)
        bounds = np.minimum(wanted / number * 2.0**32, 2.0**32 - 1).astype(np.uint32)
        _fill(made, rows, codes, starts, stops, bounds, alphabet)
        lacking = (made[rows, -1] == NONE) & (bounds < 2**32 - 1)
        rows, wanted = rows[lacking], wanted * 16
    return made


def _fill(made, rows, codes, starts, stops, bounds, alphabet: Alphabet) -> None:
    """Write the smallest hashes of some sequences, those up to the bound of each, into their rows."""
    whole = len(rows) == len(made)
    if not whole:  # only those, back to back
        lengths = stops[rows] - starts[rows]
        ends = np.cumsum(lengths)
        places = np.arange(ends[-1]) + np.repeat(starts[rows] - ends + lengths, lengths)
        codes, starts, stops = codes[places], ends - lengths, ends
    owners, hashes = [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)]
    even = len(np.unique(bounds)) == 1
    for start in range(0, len(codes) - alphabet.k + 1, _AT_ONCE):
        piece = codes[start : start + _AT_ONCE + alphabet.k - 1]
        bound = bounds[0]
        count = len(piece) - alphabet.k + 1
        if not even:
            first = np.searchsorted(stops, start, side="right")
            last = np.searchsorted(starts, start + count)
            sizes = np.minimum(stops[first:last], start + count) - np.maximum(
                starts[first:last], start
            )
            bound = np.repeat(bounds[first:last], np.maximum(sizes, 0))
        owner, kept = _small(piece, start, stops, bound, alphabet)
        owners.append(owner)
        hashes.append(kept)
    _put(made, rows, np.concatenate(owners), np.concatenate(hashes))


def _put(made, rows, owner, value) -> None:
    """Write the smallest distinct values of each owner into its row; owner: ascending places in `rows`."""
    counts = np.bincount(owner, minlength=len(rows))
    place = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    widest = int(counts.max())
    if widest * len(rows) <= 4 * len(owner) + made.size:
        # sorting rows is several times as fast, where they are about as long as one another
        table = np.full((len(rows), widest), NONE)
        table[owner, place] = value
        table.sort(axis=1)
        owner, place = np.nonzero(table != NONE)
        value = table[owner, place]
    else:
        order = np.lexsort((value, owner))
        owner, value = owner[order], value[order]
    new = np.append(True, (owner[1:] != owner[:-1]) | (value[1:] != value[:-1]))[: len(owner)]
    owner, value = owner[new], value[new]
    counts = np.bincount(owner, minlength=len(rows))
    place = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    chosen = place < made.shape[1]
    made[rows[owner[chosen]], place[chosen]] = value[chosen]


def _small(piece, start, stops, bound, alphabet: Alphabet) -> tuple[np.ndarray, np.ndarray]:
    """Owner and hash of the k-mers of a piece of text whose rank is up to the bound.

    The rank, the upper half of a hash, is cheap and made for all k-mers, of their two halves without
    the character between them; the lower half is made for the few that are kept.
    """
    k, bits = alphabet.k, np.uint64(alphabet.bits)
    half = k // 2
    gap = k - half
    foreign = np.flatnonzero(piece == _FOREIGN)
    safe = np.where(piece == _FOREIGN, np.uint8(0), piece) if len(foreign) else piece
    ahead = [_words(safe, half, alphabet.bits)]
    if alphabet.complement:
        back = np.uint8(2**alphabet.bits - 1) - safe[::-1]
        ahead.append(_words(back, half, alphabet.bits)[::-1])
    left, right = ahead[0][:-gap], ahead[0][gap:]
    ranks, room = left * _ODD[0], right * _ODD[1]
    ranks += room
    if alphabet.complement:
        np.multiply(ahead[1][gap:], _ODD[0], out=room)
        room += ahead[1][:-gap] * _ODD[1]
        np.minimum(ranks, room, out=ranks)
    np.right_shift(ranks, np.uint32(16), out=room)
    ranks ^= room
    ranks *= _ODD[2]
    np.right_shift(ranks, np.uint32(15), out=room)
    ranks ^= room
    at = np.flatnonzero(ranks <= bound)
    owner = np.searchsorted(stops, at + start, side="right")
    good = at + start + k <= stops[owner]
    good &= np.searchsorted(foreign, at) == np.searchsorted(foreign, at + k)
    at, owner = at[good], owner[good]
    kmers = _whole(left[at], safe[at + half], right[at], half, k, bits)
    if alphabet.complement:
        middle = np.uint8(2**alphabet.bits - 1) - safe[at + half]
        other = _whole(ahead[1][gap:][at], middle, ahead[1][:-gap][at], half, k, bits)
        kmers = np.minimum(kmers, other)
    low = mix(kmers) & np.uint64(2**32 - 1)
    return owner, (ranks[at].astype(np.uint64) << np.uint64(32)) | low


def _whole(left, middle, right, half: int, k: int, bits: np.uint64) -> np.ndarray:
    """The numbers of k-mers (k odd), from those of their halves and of the character between."""
    word = left.astype(np.uint64) << bits | middle.astype(np.uint64)
    return word << np.uint64(half) * bits | right.astype(np.uint64)


def _words(codes: np.ndarray, length: int, bits: int) -> np.ndarray:
    """The number of every word of `length` characters, uint32: its characters, the first one highest.

    By doubling, in the smallest types that hold them: a word of ten is two of five side by side.
    """
    word, have = codes, 1
    for digit in f"{length:b}"[1:]:
        word = _joined(word[:-have], word[have:], bits * have, bits * have)
        have *= 2
        if digit == "1":
            word = _joined(word[: len(codes) - have], codes[have:], bits * have, bits)
            have += 1
    return word.astype(np.uint32, copy=False)


def _joined(left: np.ndarray, right: np.ndarray, *bits: int) -> np.ndarray:
    kind = np.min_scalar_type(2 ** sum(bits) - 1)
    word = left.astype(kind)
    word <<= kind.type(bits[1])
    word |= right
    return word
