"""Nucleotide Transformer v2 tokens: bases to ids and back, a whole batch of sequences at a time.

A batch is two arrays: the bases (or tokens) of all its sequences back to back, and offsets, so that
sequence i is `values[offsets[i]:offsets[i + 1]]`. The ids are those of Hugging Face's
`EsmTokenizer` with the published vocabulary (Dalla-Torre et al. 2024): `<cls>` first, then six-mers
from the left; N is a token of its own and a new six-mer starts after it; what is left over before an N
or the end goes base by base; a run of other characters is one `<unk>`, white space separates such runs.
"""

from itertools import pairwise, product

import numpy as np

from whatyouread.data.tokenizer import WHITE, NothingToExchange, Tokenizer, spelled_out

LETTERS = "ACGT"  # in the order of the alphabet, so that numbers are ordered like spellings
ALPHABET = "ATCG"  # in the order of the vocabulary
K = 6
SPECIAL = ["<unk>", "<pad>", "<mask>", "<cls>", "<eos>", "<bos>"]
UNK, PAD, MASK, CLS, EOS, BOS = range(6)
FIRST_KMER = len(SPECIAL)
FIRST_BASE = FIRST_KMER + len(ALPHABET) ** K
N = FIRST_BASE + len(ALPHABET)
VOCABULARY = [*SPECIAL, *map("".join, product(ALPHABET, repeat=K)), *ALPHABET, "N"]
# How a byte takes part: a base (its code is its place in the alphabet), an N, white space, or other.
_BASE, _N, _SPACE, _OTHER = range(4)
_FIRST_SPECIAL_GROUP = 4  # the special tokens, if one is spelled out in a sequence
_TOKEN_OF_GROUP = np.array([FIRST_BASE, N, PAD, UNK, *range(len(SPECIAL))], np.uint16)
_GROUP = np.full(256, _OTHER, np.uint8)
_GROUP[list(b"ATCG")] = _BASE
_GROUP[ord("N")] = _N
_GROUP[WHITE] = _SPACE
_AT_ONCE = 1 << 19  # bases; what is worked on stays in the processor's cache
_CODE = np.zeros(256, np.uint8)
_CODE[list(b"ATCG")] = range(4)
# The bases of each token. `<unk>` stands for any number of characters and comes back as one "?".
_BASES = np.zeros((len(VOCABULARY), K), np.uint8)
_BASES[FIRST_KMER:FIRST_BASE] = np.array([list(t.encode()) for t in VOCABULARY[6:FIRST_BASE]])
_BASES[FIRST_BASE:, 0] = list(b"ATCGN")
_BASES[UNK, 0] = ord("?")
BASES_PER_TOKEN = np.count_nonzero(_BASES, axis=1)
"""Bases that a token spans, shape (4107,): 6, 1, or 0 for `<cls>` and the other special tokens."""
COMPLEMENT = np.arange(256, dtype=np.uint8)
"""The complement of each base, other characters as they are, uint8 (256,)."""
COMPLEMENT[list(b"ATCG")] = list(b"TAGC")


def tokenize(bases: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Token ids of a batch of sequences, `<cls>` first in each.

    bases: uint8 (total bases,), characters as Latin-1 bytes; offsets: int64 (n + 1,), from 0.
    Returns the ids, uint16 (total tokens,), and their offsets, int64 (n + 1,).
    """
    if len(bases) <= _AT_ONCE or len(offsets) == 2:
        return _tokenize(bases, offsets)
    cuts = np.searchsorted(offsets, np.arange(_AT_ONCE, offsets[-1], _AT_ONCE))
    cuts = np.unique(np.concatenate(([0], cuts, [len(offsets) - 1])))
    parts = [
        _tokenize(bases[offsets[a] : offsets[b]], offsets[a : b + 1] - offsets[a])
        for a, b in pairwise(cuts)
    ]
    counts = np.concatenate([np.diff(ends) for _, ends in parts])
    token_offsets = np.zeros(len(offsets), np.int64)
    np.cumsum(counts, out=token_offsets[1:])
    return np.concatenate([tokens for tokens, _ in parts]), token_offsets


def _tokenize(bases: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n = len(offsets) - 1
    starts, groups = _runs(bases, offsets)
    lengths = np.diff(starts, append=len(bases))
    is_base = groups == _BASE
    kmers = np.where(is_base, lengths // K, 0)
    counts = np.where(is_base, kmers + lengths % K, 1)  # others and literal special tokens: one
    counts = np.where(groups == _N, lengths, counts)
    counts[groups == _SPACE] = 0

    sequence = np.searchsorted(offsets, starts, side="right") - 1  # of each run
    per_sequence = np.bincount(sequence, weights=counts, minlength=n).astype(np.int64)
    token_offsets = np.zeros(n + 1, np.int64)
    np.cumsum(per_sequence + 1, out=token_offsets[1:])
    tokens = np.empty(token_offsets[-1], np.uint16)
    tokens[token_offsets[:-1]] = CLS

    run = np.repeat(np.arange(len(starts)), counts)  # of each token
    total = len(run)
    within = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    whole = within < kmers[run]
    position = starts[run] + np.where(whole, K * within, within + (K - 1) * kmers[run])

    ids = np.empty(total, np.uint16)
    code = _CODE[bases]
    first = position[whole]
    value = np.zeros(len(first), np.uint16)
    for i in range(K):
        value = value * len(ALPHABET) + code[first + i]
    ids[whole] = value + FIRST_KMER
    single = ~whole
    group = groups[run[single]]
    ids[single] = _TOKEN_OF_GROUP[group] + np.where(group == _BASE, code[position[single]], 0)

    tokens[np.arange(total) + sequence[run] + 1] = ids
    return tokens, token_offsets


def _runs(bases: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts, int64, and groups, uint8, of the runs of like characters; no run crosses sequences."""
    group = _GROUP[bases]
    cut = np.zeros(len(bases) + 1, bool)
    cut[offsets] = True
    if (bases == ord("<")).any():
        _mark_literals(bases, offsets, cut, group)
    cut[1:-1] |= group[1:] != group[:-1]
    starts = np.flatnonzero(cut[:-1])
    return starts, group[starts]


def _mark_literals(
    bases: np.ndarray, offsets: np.ndarray, cut: np.ndarray, group: np.ndarray
) -> None:
    """Give special tokens that are spelt out in a sequence, like "<pad>", a group and a run each."""
    for token, start, end in spelled_out(bases, offsets, SPECIAL):
        group[start:end] = _FIRST_SPECIAL_GROUP + token
        cut[[start, end]] = True


def encode(sequences: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """`tokenize` for a list of strings."""
    texts = [s if s.isascii() else _latin1(s) for s in sequences]
    offsets = np.zeros(len(texts) + 1, np.int64)
    np.cumsum([len(text) for text in texts], out=offsets[1:])
    return tokenize(np.frombuffer("".join(texts).encode("latin-1"), np.uint8), offsets)


def _latin1(text: str) -> str:
    return "".join(" " if c.isspace() else c if ord(c) < 256 else "?" for c in text)


def decode(tokens: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bases of a batch of token sequences: the inverse of `tokenize` except for `<unk>` (one "?").

    tokens: (total tokens,); offsets: int64 (n + 1,). Returns uint8 bases and int64 offsets.
    """
    lengths = BASES_PER_TOKEN[tokens]
    letters = _BASES[tokens]
    ends = np.zeros(len(tokens) + 1, np.int64)
    np.cumsum(lengths, out=ends[1:])
    return letters[letters != 0], ends[offsets]


def augment(
    tokens: np.ndarray, offsets: np.ndarray, reverse: np.ndarray, skip: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of the same sequences read from the other strand, or from another base.

    reverse: bool (n,), take the reverse complement; skip: int (n,), bases left out at the start of
    the strand that is read, 0 to 5. Returns tokens and offsets like `tokenize`.
    """
    bases, ends = decode(tokens, offsets)
    lengths = np.diff(ends)
    skip = np.minimum(skip, lengths)
    kept = lengths - skip
    new_ends = np.zeros(len(ends), np.int64)
    np.cumsum(kept, out=new_ends[1:])
    # place of each new base in its sequence, counted along the strand that is read
    place = np.arange(new_ends[-1]) - np.repeat(new_ends[:-1] - skip, kept)
    turned = np.repeat(reverse, kept)
    source = np.where(
        turned, np.repeat(ends[1:] - 1, kept) - place, np.repeat(ends[:-1], kept) + place
    )
    read = bases[source]
    return tokenize(np.where(turned, COMPLEMENT[read], read), new_ends)


def substitute(
    tokens: np.ndarray, offsets: np.ndarray, place: np.ndarray, step: np.ndarray
) -> np.ndarray:
    """See `Tokenizer.substitute`; the place is drawn among the bases A, C, G and T."""
    tokens = tokens.copy()
    kmer = (tokens >= FIRST_KMER) & (tokens < FIRST_BASE)
    single = (tokens >= FIRST_BASE) & (tokens < FIRST_BASE + len(ALPHABET))
    ends = np.append(0, np.cumsum(np.where(kmer, K, single.astype(np.int64))))
    bases = ends[offsets[1:]] - ends[offsets[:-1]]
    if (bases == 0).any():
        raise NothingToExchange(int(bases.argmin()), "bases")
    chosen = ends[offsets[:-1]] + np.floor(place * bases).astype(np.int64)
    token = np.searchsorted(ends, chosen, side="right") - 1
    move = 1 + np.floor(step * (len(ALPHABET) - 1)).astype(np.int64)
    # a token's number counts in base 4, its first base counting most
    within = np.where(kmer[token], K - 1 - (chosen - ends[token]), 0)
    unit = len(ALPHABET) ** within
    first = np.where(kmer[token], FIRST_KMER, FIRST_BASE)
    number = tokens[token].astype(np.int64) - first
    old = number // unit % len(ALPHABET)
    new = (old + move) % len(ALPHABET)
    tokens[token] = (first + number + (new - old) * unit).astype(np.uint16)
    return tokens


class SixMers(Tokenizer):
    """Nucleotide Transformer v2: text of bases to six-mers, `<cls>` first."""

    name = "six_mers"
    vocabulary = VOCABULARY
    pad = PAD
    special = (PAD, MASK, CLS, EOS, BOS)
    unknown = UNK
    before = (CLS,)
    frames = K
    unit = "base"

    def tokenize(self, text, offsets):
        return tokenize(text, offsets)

    def widths(self, ids):
        return np.where(np.asarray(ids) == UNK, -1, BASES_PER_TOKEN[ids])

    def decode(self, ids: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Bases of a batch of token sequences, see `decode`."""
        return decode(ids, offsets)

    def augment(self, ids, offsets, reverse, skip):
        return augment(ids, offsets, reverse, skip)

    def substitute(self, ids, offsets, place, step):
        return substitute(ids, offsets, place, step)


class SixMersV1(SixMers):
    """Nucleotide Transformer v1: the same without `<eos>` and `<bos>`, which are two ids less.

    Where one of these two is spelled out in a text, it is unknown.
    """

    name = "six_mers_v1"
    vocabulary = (*SPECIAL[:EOS], *VOCABULARY[FIRST_KMER:])
    special = (PAD, MASK, CLS)
    _OF_V2 = np.append(np.arange(EOS), np.arange(FIRST_KMER, len(VOCABULARY)))
    _OF_V1 = np.full(len(VOCABULARY), UNK, np.uint16)
    _OF_V1[_OF_V2] = np.arange(len(_OF_V2))

    def tokenize(self, text, offsets):
        ids, ends = tokenize(text, offsets)
        return self._OF_V1[ids], ends

    def widths(self, ids):
        return super().widths(self._OF_V2[ids])

    def decode(self, ids, offsets):
        return decode(self._OF_V2[ids], offsets)

    def augment(self, ids, offsets, reverse, skip):
        ids, ends = augment(self._OF_V2[ids], offsets, reverse, skip)
        return self._OF_V1[ids], ends

    def substitute(self, ids, offsets, place, step):
        return self._OF_V1[substitute(self._OF_V2[ids], offsets, place, step)]


SIX_MERS = SixMers()
SIX_MERS_V1 = SixMersV1()
