"""Twenty records chosen to be nasty, in one FASTA, and what must come out of each of them."""

from typing import NamedTuple

import numpy as np


class Nasty(NamedTuple):
    """What must come out of a record of `NASTY_FASTA`.

    bases: its text, only A, C, G, T, N. counts: of `KINDS`; a kind that is absent is 0. gaps: the runs of
    N, 0-based and half-open. why: what is nasty about it.
    """

    name: str
    description: str
    bases: str
    counts: dict[str, int]
    gaps: list[tuple[int, int]]
    why: str


def _letters(count: int, seed: int) -> str:
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), count))


def _wrapped(text: str, width: int, end: str = "\n") -> str:
    return "".join(text[at : at + width] + end for at in range(0, len(text), width))


_PLAIN, _LONG = _letters(600, 1), _letters(2400, 2)
_MASKED = _PLAIN[:90] + _PLAIN[90:150].lower() + _PLAIN[150:]
_WITH_GAP = _PLAIN[:200] + "N" * 137 + _PLAIN[337:]
_RNA = _letters(300, 3).replace("T", "U")
_CODES = _PLAIN[:60] + "RYSWKMBDHV" + _PLAIN[70:]
_STRANGE = _PLAIN[:40] + "--*.?0X" + _PLAIN[47:]
_WINDOWS = 1500  # bases; a usual length of training

_RECORDS: list[tuple[str, Nasty]] = [
    (
        ">plain an ordinary record\n" + _wrapped(_PLAIN, 60),
        Nasty("plain", "an ordinary record", _PLAIN, {}, [], "nothing"),
    ),
    (">empty\n", Nasty("empty", "", "", {}, [], "no base at all")),
    (">one\nA\n", Nasty("one", "", "A", {}, [], "one base")),
    (">five\nACGTA\n", Nasty("five", "", "ACGTA", {}, [], "no six-mer")),
    (">six\nACGTAC\n", Nasty("six", "", "ACGTAC", {}, [], "one six-mer")),
    (
        ">seven\nACG\nTACG\n",
        Nasty("seven", "", "ACGTACG", {}, [], "a six-mer and a base left over"),
    ),
    (
        ">soft-masked\n" + _wrapped(_MASKED, 71),
        Nasty("soft-masked", "", _PLAIN, {"lower": 60}, [], "lower case"),
    ),
    (
        ">rna\n" + _wrapped(_RNA, 80),
        Nasty("rna", "", _RNA.replace("U", "T"), {"uracil": _RNA.count("U")}, [], "U"),
    ),
    (
        ">codes\n" + _wrapped(_CODES, 61),
        Nasty(
            "codes", "", _PLAIN[:60] + "N" * 10 + _PLAIN[70:], {"ambiguous": 10}, [(60, 70)],
            "all codes of IUPAC",
        ),
    ),
    (
        ">strange\n" + _wrapped(_STRANGE, 60),
        Nasty(
            "strange", "", _PLAIN[:40] + "N" * 7 + _PLAIN[47:], {"strange": 7}, [(40, 47)],
            "gaps of an alignment, a stop, a digit",
        ),
    ),
    (
        ">gap\n" + _wrapped(_WITH_GAP, 50),
        Nasty("gap", "", _WITH_GAP, {"n": 137}, [(200, 337)], "a run of N across lines"),
    ),
    (
        ">gaps_at_both_ends\nNNNN" + _PLAIN[4:596] + "nnNN\n",
        Nasty(
            "gaps_at_both_ends", "", "NNNN" + _PLAIN[4:596] + "NNNN", {"n": 8, "lower": 2},
            [(0, 4), (596, 600)], "N at the first and at the last base",
        ),
    ),
    (
        ">only_n\n" + _wrapped("N" * 120, 60),
        Nasty("only_n", "", "N" * 120, {"n": 120}, [(0, 120)], "no base but N"),
    ),
    (
        ">one_line\n" + _LONG + "\n",
        Nasty("one_line", "", _LONG, {}, [], "a long line; longer than a window"),
    ),
    (
        ">window\r\n" + _wrapped(_LONG[:_WINDOWS], 70, "\r\n"),
        Nasty("window", "", _LONG[:_WINDOWS], {}, [], "line ends of Windows; as long as a window"),
    ),
    (
        ">blanks\n" + _PLAIN[:30] + " " + _PLAIN[30:60] + " \t\n\n" + _PLAIN[60:] + "\n\n\n",
        Nasty("blanks", "", _PLAIN, {"blank": 3}, [], "blanks and empty lines within"),
    ),
    (
        ">gi|12|gb|X.1|;ID=a=b&c,d%20\ttab, then [organism=Homo sapiens]\n" + _wrapped(_PLAIN, 60),
        Nasty(
            "gi|12|gb|X.1|;ID=a=b&c,d%20", "tab, then [organism=Homo sapiens]", _PLAIN, {}, [],
            "signs that GFF3 escapes; a tab after the name",
        ),
    ),
    (
        '>>chr1:1-600_"<b>\'$x$\\</script> a > b\n' + _wrapped(_PLAIN, 60),
        Nasty(
            '>chr1:1-600_"<b>\'$x$\\</script>', "a > b", _PLAIN, {}, [],
            "signs that HTML, JSON and regions take for their own",
        ),
    ),
    (
        ">Ωé漢-1 Größe\n;a comment as in the oldest FASTA\n" + _wrapped(_PLAIN, 60),
        Nasty("Ωé漢-1", "Größe", _PLAIN, {}, [], "a name beyond ASCII; a comment"),
    ),
    (
        ">007\n" + _wrapped(_PLAIN[:599], 60).rstrip(),
        Nasty("007", "", _PLAIN[:599], {}, [], "a name like a number; no line end at the end"),
    ),
]  # fmt: skip

NASTY: list[Nasty] = [expected for _, expected in _RECORDS]
NASTY_FASTA: bytes = "".join(text for text, _ in _RECORDS).encode()
