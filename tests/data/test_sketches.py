import itertools

import numpy as np
import pytest
from helpers_copies import other_strand, random_dna, together

from whatyouread.data.sketches import NONE, SIZE, TEXT, reverse_complements, sketches
from whatyouread.support.keyed_random import mix

MASK = 2**32 - 1


def sketch(*texts, **options):
    return sketches(*together(*texts), **options)


def set_of(row):
    return set(row[row != NONE].tolist())


def number(text):
    """A word as a number: two bits for each of A, C, G, T, the first one highest."""
    value = 0
    for letter in text:
        value = 4 * value + b"ACGT".index(letter)
    return value


def hash_of(kmer):
    """By plain integers: the rank of a 21-mer above, the mixed number of its smaller strand below."""
    ranks = []
    for strand in (kmer, other_strand(kmer)):
        ranks.append((number(strand[:10]) * 0x9E3779B1 + number(strand[11:]) * 0x85EBCA77) & MASK)
    rank = min(ranks)
    rank ^= rank >> 16
    rank = rank * 0x7FEB352D & MASK
    rank ^= rank >> 15
    kmer = min(number(kmer), number(other_strand(kmer)))
    return rank << 32 | int(mix(np.array([kmer], np.uint64))[0]) & MASK


def by_hand(text, size=SIZE):
    """The sketch of a text, k-mer by k-mer."""
    windows = [text[i : i + 21] for i in range(len(text) - 20)]
    hashes = sorted({hash_of(kmer) for kmer in windows if not kmer.strip(b"ACGT")})[:size]
    return hashes + [int(NONE)] * (size - len(hashes))


def test_one_kmer_by_hand():
    # 20 A and one C: the number 1; the other strand, G and 20 T, is larger. Halves 0 and 1, and on the
    # other strand G TTTTTTTTT = 2 * 4**9 + 4**9 - 1 = 786431 and TTTTTTTTTT = 4**10 - 1 = 1048575.
    ranks = [0x85EBCA77, (786431 * 0x9E3779B1 + 1048575 * 0x85EBCA77) % 2**32]
    rank = min(ranks)
    rank ^= rank >> 16
    rank = rank * 0x7FEB352D % 2**32
    rank ^= rank >> 15
    expected = rank * 2**32 + int(mix(np.array([1], np.uint64))[0]) % 2**32
    assert sketch(b"A" * 20 + b"C")[0].tolist() == [expected] + [int(NONE)] * (SIZE - 1)


@pytest.mark.parametrize("seed", range(12))
def test_like_plain_python(seed):
    """Lengths around k, around the size of a sketch, beyond a piece; repeats; N, lower case, gaps."""
    rng = np.random.default_rng(seed)
    lengths = [0, 1, 20, 21, 22, 0, 52, 53, 60, 150, 700, 3000, 0]
    texts = [random_dna(rng, length) for length in lengths]
    texts += [random_dna(rng, length, b"ACGTACGTACGTACGTACGTNacgtRY-") for length in (400, 2500)]
    texts += [random_dna(rng, 3) * 200, b"A" * 500, b"N" * 60, random_dna(rng, 40) * 30]
    rng.shuffle(texts)
    assert sketch(*texts).tolist() == [by_hand(text) for text in texts]


def test_a_long_sequence_beside_short_ones():
    rng = np.random.default_rng(1)
    texts = [random_dna(rng, length) for length in (30, 18_000, 25)]
    assert sketch(*texts).tolist() == [by_hand(text) for text in texts]
    # all below the bound is one repeat, so that the bound is lifted until there are enough
    texts[1] = random_dna(rng, 50) * 350 + random_dna(rng, 60)
    assert sketch(*texts).tolist() == [by_hand(text) for text in texts]


def test_both_strands_have_one_sketch():
    rng = np.random.default_rng(2)
    texts = [random_dna(rng, length) for length in (21, 100, 1500)]
    np.testing.assert_array_equal(sketch(*texts), sketch(*map(other_strand, texts)))
    reversed_only = [text[::-1] for text in texts]
    assert not (sketch(*texts)[:, 0] == sketch(*reversed_only)[:, 0]).any()


def test_what_is_no_base_breaks_kmers():
    rng = np.random.default_rng(3)
    left, right = random_dna(rng, 30), random_dna(rng, 25)
    parts = set_of(sketch(left)[0]) | set_of(sketch(right)[0])
    assert len(parts) == 10 + 5
    for between in (b"N", b"NNN", b"R", b"a", b"-", b"\xff"):
        assert set_of(sketch(left + between + right)[0]) == parts
    assert len(set_of(sketch(left + right)[0])) == 32  # 35 k-mers
    # nor does a k-mer reach into the next sequence
    assert [len(set_of(row)) for row in sketch(left, right)] == [10, 5]


def test_no_kmers_no_sketch():
    assert (sketch(b"", b"ACGT", b"A" * 20, b"N" * 100, b"ACGTACGTAC" * 2 + b"N") == NONE).all()
    assert sketches(*together()).shape == (0, SIZE)


def test_the_sequences_beside_it_change_nothing():
    rng = np.random.default_rng(4)
    texts = [random_dna(rng, int(length)) for length in rng.integers(0, 4000, 40)]
    whole = sketch(*texts)
    single = np.concatenate([sketch(text) for text in texts])
    np.testing.assert_array_equal(whole, single)
    np.testing.assert_array_equal(sketch(*texts, size=8), whole[:, :8])


def test_text_has_one_direction_and_any_characters():
    text = "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich.".encode()
    one, reverse, changed = sketch(
        text, text[::-1], text.replace(b"Viktor", b"Victor"), alphabet=TEXT
    )
    assert len(set_of(sketch(text[:9], alphabet=TEXT)[0])) == 3
    assert not set_of(one) & set_of(reverse)
    # 62 words of seven bytes, those with the letter that changed are seven
    assert 20 < len(set_of(one) & set_of(changed)) < 32


def test_the_other_strand_of_all():
    bases, offsets = together(b"AACN", b"", b"Gtr")
    other, places = reverse_complements(bases, offsets)
    found = [bytes(other[a:b]) for a, b in itertools.pairwise(places)]
    assert found[::-1] == [b"NGTT", b"", b"raC"]


def test_an_estimate_of_the_share():
    """The mean of 300 estimates is the truth: exact sets of k-mers, by hand."""
    rng = np.random.default_rng(5)
    one = [random_dna(rng, 1200) for _ in range(300)]
    other = [text[600:] + random_dna(rng, 600) for text in one]
    left, right = sketch(*one), sketch(*other)
    shared = [len(set_of(a) & set_of(b)) for a, b in zip(left, right, strict=True)]
    # of 1180 k-mers 580 are common, so that of the 32 smallest of all 1780 about 10.4 are
    below = [min(a[-1], b[-1]) for a, b in zip(left, right, strict=True)]
    of = [(a <= limit).sum() for a, limit in zip(left, below, strict=True)]
    assert sum(shared) / sum(of) == pytest.approx(580 / 1180, abs=0.02)
