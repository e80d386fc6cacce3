"""What a valid record is, against a plain reader that goes letter by letter."""

import random
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from whatyouread.data import normalisation
from whatyouread.data.normalisation import Settings, normalised
from whatyouread.data.sequences import SequenceBatch
from whatyouread.support.cli import UserError


def batch_of(texts, headers=None):
    offsets = np.append(0, np.cumsum([len(text) for text in texts])).astype(np.int64)
    headers = [f"{n} x" for n in range(len(texts))] if headers is None else headers
    bases = np.frombuffer("".join(texts).encode(), np.uint8)
    lines = np.arange(1, len(texts) + 1)
    return SequenceBatch("a.fa", 0, pa.array(headers, pa.string()), bases, offsets, lines)


def texts_of(batch):
    assert batch.offsets.dtype == np.int64
    assert batch.bases.dtype == np.uint8
    assert len(batch.headers) == len(batch.lines) == len(batch.offsets) - 1
    bounds = zip(batch.offsets[:-1], batch.offsets[1:], strict=True)
    return [batch.bases[a:b].tobytes().decode() for a, b in bounds]


def plain(text, header, settings):
    """(header, text, quantities) of each record that becomes of one, a letter at a time."""
    pieces = [(header, text, set())]
    long = settings.max_length and len(text) > settings.max_length
    if long and settings.longer == "cut":
        pieces = [(header, text[: settings.max_length], {normalisation.TOO_LONG["cut"]})]
    elif long and settings.longer == "window":
        number = -(-len(text) // settings.max_length)
        ends = [len(text) * n // number for n in range(number + 1)]
        pieces = [
            (
                f"{header} {a + 1}-{b}",
                text[a:b],
                {normalisation.FURTHER_WINDOWS if a else normalisation.TOO_LONG["window"]},
            )
            for a, b in pairwise(ends)
        ]
    elif long:
        pieces = [(header, text, {normalisation.TOO_LONG["leave_out"]})]
    made = []
    for name, piece, found in pieces:
        if any(letter.islower() for letter in piece):
            found.add(normalisation.LOWER)
        if "u" in piece.lower():
            found.add(normalisation.URACIL)
        if piece.upper().strip("ACGTUN"):
            found.add(normalisation.STRANGE)
        read = piece.upper() if settings.upper_case else piece
        read = read.replace("U", "T").replace("u", "t")
        if any(letter not in "ACGT" for letter in read):
            found.add(normalisation.OTHER)
        if not piece:
            found.add(normalisation.EMPTY)
        elif normalisation.TOO_LONG["leave_out"] in found:
            read = ""
        elif not set(read) & set("ACGT"):
            found.add(normalisation.NO_BASE)
            read = ""
        elif read.count("N") > settings.max_n_share * len(read):
            found.add(normalisation.TOO_MANY_N)
            read = ""
        made.append((name, read, found))
    return made


@pytest.mark.parametrize("longer", ["cut", "window", "leave_out"])
def test_any_records_are_those_of_a_plain_reader(longer):
    rng = random.Random(f"normalisation {longer}")
    for _ in range(300):
        settings = Settings(
            upper_case=rng.random() < 0.7,
            max_n_share=rng.choice([1.0, 1.0, 0.5, 0.25, 0.0]),
            max_length=rng.choice([0, 0, 1, 3, 7, 20]),
            longer=longer,
        )
        letters = rng.choice(
            ["ACGT", "ACGTN", "N", "ACGTacgtn", "ACGUacguNRy-*", "NNNNNnnnA", "MKVL"]
        )
        texts = [
            "".join(rng.choices(letters, k=rng.randrange(0, 30))) for _ in range(rng.randrange(9))
        ]
        batch = batch_of(texts)
        found, strange = normalised(batch, settings)
        expected = [
            (*record, line)
            for line, (text, header) in enumerate(
                zip(texts, batch.headers.to_pylist(), strict=True), 1
            )
            for record in plain(text, header, settings)
        ]
        assert list(found.findings) == settings.quantities()
        names = [
            {quantity for quantity, flags in found.findings.items() if flags[row]}
            for row in range(len(found.headers))
        ]
        texts_found = texts_of(found)
        records = zip(found.headers.to_pylist(), texts_found, names, found.lines, strict=True)
        assert list(records) == expected
        assert strange == sum(letter.upper() not in "ACGTUN" for text in texts for letter in text)


def test_plain_bases_stay_as_they_are():
    texts = ["ACGT", "", "ACGTNNNACGT", "T"]
    found, strange = normalised(batch_of(texts), Settings())
    assert texts_of(found) == texts
    assert strange == 0
    assert found.findings[normalisation.OTHER].tolist() == [False, False, True, False]
    assert found.findings[normalisation.EMPTY].tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("acgtacgt", "ACGTACGT"),  # masked as a whole
        ("ACGTacgtnnACGT", "ACGTACGTNNACGT"),
        ("ACGUacgu", "ACGTACGT"),
        ("uuuu", "TTTT"),
        ("RYKMRYKM", ""),
        ("----", ""),
        ("nnnnNNNN", ""),
        ("N", ""),
        ("NA", "NA"),
        ("ACGT-ACGT*", "ACGT-ACGT*"),
        ("acgr", "ACGR"),
        ("uN", "TN"),
    ],
)
def test_what_is_read(text, read):
    found, _ = normalised(batch_of(["AC", text, "GT"]), Settings())
    assert texts_of(found) == ["AC", read, "GT"]


def test_windows_are_of_like_length_and_hold_everything():
    text = "ACGTTGCA" * 20_000  # 160,000 bases
    found, _ = normalised(
        batch_of(["AC", text, "GT"], ["1", "9606 0", "2"]), Settings(True, 1.0, 1500, "window")
    )
    texts = texts_of(found)
    assert "".join(texts[1:-1]) == text
    sizes = [len(one) for one in texts[1:-1]]
    assert max(sizes) <= 1500
    assert max(sizes) - min(sizes) <= 1
    assert found.headers[1].as_py() == "9606 0 1-1495"
    assert len(set(found.headers.to_pylist())) == len(found.headers)
    assert found.lines.tolist() == [1, *[2] * (len(texts) - 2), 3]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_n_share": 1.5}, "max_n_share is 1.5"),
        ({"max_n_share": -0.1}, "max_n_share is -0.1"),
        ({"max_length": -1}, "max_length is -1"),
        ({"max_length": 2.5}, "max_length is 2.5"),
        ({"longer": "split"}, "longer is 'split': one of cut, window, leave_out"),
    ],
)
def test_settings_that_make_no_sense(settings, words):
    with pytest.raises(UserError, match=f"sequences.{words}"):
        Settings(**settings)


@pytest.mark.parametrize("share", [number / 100 for number in range(101)])
def test_a_share_of_n_is_compared_without_rounding_errors(share):
    """0.57 * 100 is 56.99999999999999 in binary: 57 N of 100 are no larger share."""
    allowed = round(100 * share)
    texts = ["N" * number + "A" * (100 - number) for number in (allowed, min(allowed + 1, 99))]
    made, _ = normalised(batch_of(texts), Settings(max_n_share=share))
    assert np.diff(made.offsets).tolist() == [100 * (allowed < 100), 100 * (allowed >= 99)]


# Proteins and texts

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"


def plain_protein(text, settings):
    """What becomes of a protein, and what is said of it, letter by letter."""
    found, short = set(), text.rstrip("*")
    if short != text:
        found.add(normalisation.STOP)
    if settings.max_length and len(short) > settings.max_length:
        found.add(normalisation.TOO_LONG["cut"])
        short = short[: settings.max_length]
    if any(letter.islower() for letter in short):
        found.add(normalisation.LOWER)
    read = short.upper() if settings.upper_case else short
    strange = [c for c in read if c.upper() not in AMINO_ACIDS + "XBZUO-." or c.islower()]
    unknown = [c for c in read if c in "XBZUO-."]
    if any(c.upper() not in AMINO_ACIDS + "XBZUO-." for c in short):
        found.add(normalisation.STRANGE_RESIDUE)
    if strange or unknown:
        found.add(normalisation.OTHER_RESIDUE)
    if set(short) & set("-."):
        found.add(normalisation.GAP)
    if not short:
        found.add(normalisation.EMPTY)
    elif len(strange) + len(unknown) == len(short):
        found.add(normalisation.NO_RESIDUE)
        read = ""
    elif len(unknown) > settings.max_n_share * len(short):
        found.add(normalisation.TOO_MANY_X)
        read = ""
    return read, found


def test_any_proteins_are_those_of_a_plain_reader():
    rng = random.Random("proteins")
    for _ in range(300):
        settings = Settings(
            alphabet="protein",
            upper_case=rng.random() < 0.7,
            max_n_share=rng.choice([1.0, 0.5, 0.0]),
            max_length=rng.choice([0, 0, 5, 12]),
        )
        letters = rng.choice([AMINO_ACIDS, "MKVX*", "mkVUOBZ", "ACD-.", "J1*", "X", "*"])
        texts = [
            "".join(rng.choices(letters, k=rng.randrange(0, 20))) + rng.choice(["", "", "*", "**"])
            for _ in range(rng.randrange(8))
        ]
        found, _ = normalised(batch_of(texts), settings)
        assert list(found.findings) == settings.quantities()
        names = [
            {quantity for quantity, flags in found.findings.items() if flags[row]}
            for row in range(len(texts))
        ]
        expected = [plain_protein(text, settings) for text in texts]
        assert [*zip(texts_of(found), names, strict=True)] == expected


def test_a_text_stays_as_it_is():
    texts = ["acgu NX*", " \t", "", "Uu"]
    found, strange = normalised(batch_of(texts), Settings(alphabet="text"))
    assert texts_of(found) == ["acgu NX*", "", "", "Uu"]
    assert strange == 0
    assert found.findings[normalisation.NO_TEXT].tolist() == [False, True, False, False]
    assert found.findings[normalisation.EMPTY].tolist() == [False, False, True, False]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alphabet": "rna"}, "sequences.alphabet is 'rna': one of dna, protein, text"),
        ({"alphabet": "text", "max_n_share": 0.5}, "sequences.max_n_share is for dna and protein"),
    ],
)
def test_alphabets_that_cannot_be(settings, message):
    with pytest.raises(UserError, match=message):
        Settings(**settings)
