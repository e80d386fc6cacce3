"""Words of texts, and their scores from the scores of pieces.

A word is a maximal run of letters, digits and combining marks (Unicode), together with the apostrophes,
hyphens and soft hyphens that stand between two of these: "don't" and "co-op" are one word each. It needs
a letter: years and prices are none. Everything else, punctuation and symbols, is no word. In scripts that
write no blanks between words (Chinese, Thai) such a run is a phrase.

Which pieces a word has is told by the places of both in the text, and by nothing else: a piece belongs to
every word that it has a character of. Nothing is assumed of marks such as "▁" or "##" in its spelling.
"""

import hashlib
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from whatyouread.data.batch import Batch
from whatyouread.data.intervals import ranges, runs
from whatyouread.data.token_files import TokenFile
from whatyouread.support.cli import UserError, log

LARGEST, SUM = "largest", "sum"
SOFT_HYPHEN = "\u00ad"
JOINERS = "'\u2019\u02bc\uff07-\u2010\u2011" + SOFT_HYPHEN
"""Apostrophes and hyphens, which are part of a word between two of its characters."""
COUNTS = ("words", "numbers", "pieces", "pieces_outside")
"""What `Words` counts."""
_OTHER, _DIGIT, _LETTER, _JOINER = range(4)


class Found(NamedTuple):
    """The words of n texts, m of them.

    of: int64 (m,), the text of each; starts, ends: int64 (m,), its first character in that text and the
    one after its last; words: m strings, as they are written (an Arrow array). numbers_of, numbers: int64,
    the text and the first character of each run without a letter, which is no word.
    """

    of: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    words: pa.StringArray
    numbers_of: np.ndarray
    numbers: np.ndarray


def find_words(texts: Sequence[str]) -> Found:
    """The words of some texts, in order."""
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    # a blank after each text, so that no word goes on into the next one
    starts_of_texts = np.append(0, np.cumsum(lengths + 1))
    whole = " ".join([*texts, ""])
    points = np.frombuffer(whole.encode("utf-32-le", "surrogatepass"), np.uint32)
    distinct, where = np.unique(points, return_inverse=True)
    kinds = np.array([_kind(chr(point)) for point in distinct.tolist()], np.uint8)[where]
    own = (kinds == _LETTER) | (kinds == _DIGIT)
    between = kinds == _JOINER
    own[1:-1] |= between[1:-1] & own[:-2] & own[2:]
    starts, ends = runs(own).T
    letters = np.append(0, np.cumsum(kinds == _LETTER))
    spoken = letters[ends] > letters[starts]
    of = np.searchsorted(starts_of_texts, starts, side="right") - 1
    words = _strings(points, starts[spoken], ends[spoken])
    starts, ends = starts - starts_of_texts[of], ends - starts_of_texts[of]
    return Found(
        of[spoken], starts[spoken], ends[spoken], words, of[~spoken], starts[~spoken]
    )  # fmt: skip


def _kind(character: str) -> int:
    if character in JOINERS:
        return _JOINER
    category = unicodedata.category(character)
    if category[0] in "LM":
        return _LETTER if category[0] == "L" else _DIGIT
    return _DIGIT if category[0] == "N" else _OTHER


def _strings(points: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> pa.StringArray:
    """Stretches of code points, uint32, as strings."""
    chosen = points[ranges(starts, ends)]
    # characters of UTF-8 take one to four bytes
    widths = 1 + (chosen >= 0x80) + (chosen >= 0x800) + (chosen >= 0x10000)
    bytes_before = np.append(0, np.cumsum(widths))
    offsets = bytes_before[np.append(0, np.cumsum(ends - starts))].astype(np.int32)
    flat = chosen.tobytes().decode("utf-32-le", "replace").encode()
    return pa.StringArray.from_buffers(len(starts), pa.py_buffer(offsets), pa.py_buffer(flat))


def word_scores(
    found: Found, of: np.ndarray, starts: np.ndarray, ends: np.ndarray, scores: np.ndarray, how: str
) -> tuple[np.ndarray, np.ndarray, int]:
    """The scores of words from those of pieces.

    of, starts, ends: int64 (k,), the text of each piece and its place in it; scores: float (k,). how:
    "largest", the score furthest from zero (of two that are as far, the positive one), or "sum". Returns
    the scores of the words, float64 (m,), which of them have a piece at all, bool (m,), and the number of
    pieces that have no character of a word. A piece of several words counts whole in each.
    """
    if how not in (LARGEST, SUM):
        raise UserError(f"class_explanations.words.score is {how!r}: one of {LARGEST}, {SUM}")
    # places in all texts one after the other, with room between them
    room = 2 + max(found.ends.max(initial=0), ends.max(initial=0))
    low = np.searchsorted(found.of * room + found.ends, of * room + starts, side="right")
    high = np.searchsorted(found.of * room + found.starts, of * room + ends, side="left")
    number = np.where(ends > starts, np.maximum(high - low, 0), 0)
    piece = np.repeat(np.arange(len(of)), number)
    word = ranges(low, low + number)
    values = scores[piece].astype(np.float64)
    made, has = np.zeros(len(found.of)), np.zeros(len(found.of), bool)
    has[word] = True
    if how == SUM:
        made += np.bincount(word, values, minlength=len(made))
    else:
        order = np.lexsort((values, np.abs(values), word))  # the last one of each word stays
        made[word[order]] = values[order]
    return made, has, int((number == 0).sum())


class Words:
    """The items of the kind "word" in the rows of a token file, see `items.Kind`.

    texts: row -> its whole text. how: of `word_scores`. fold_case: whether words that differ in case
    alone are one. counts: over all calls `words`; `numbers`, runs without a letter; `pieces`, and
    `pieces_outside`, those of them without a character of a word.
    """

    kind = "word"

    def __init__(self, file: TokenFile, texts: dict[int, str], how: str, fold_case: bool):
        self.file, self.texts, self.how, self.fold_case = file, texts, how, fold_case
        self.counts = dict.fromkeys(COUNTS, 0)
        self._names: dict[int, str] = {}

    def located(
        self, rows: np.ndarray, batch: Batch, scores: np.ndarray, count: bool = True
    ) -> tuple[Found, np.ndarray, np.ndarray]:
        """The words that have a piece in a batch, their codes, int64 (m,), and scores, float64 (m,).

        rows: int64 (n,), those of the batch in the token file; scores: float (n, length). A window has
        the words of its part of the text, places are those in the whole text.
        """
        found = find_words([self.texts[row] for row in rows.tolist()])
        starts, ends = (places[:, : batch.ids.shape[1]] for places in self.file.spans(rows))
        of, column = np.nonzero(batch.content[:, : starts.shape[1]])
        low, high = starts[of, column], ends[of, column]
        made, has, outside = word_scores(found, of, low, high, scores[of, column], self.how)
        if count:
            self._count(found, rows, of, low, high, has, outside)
        found = found._replace(
            of=found.of[has], starts=found.starts[has], ends=found.ends[has],
            words=found.words.filter(pa.array(has)),
        )  # fmt: skip
        return found, self._codes(found.words), made[has]

    def _count(self, found, rows, of, low, high, has, outside) -> None:
        # a number counts in the window that it stands in
        first, last = np.full(len(rows), np.iinfo(np.int64).max), np.zeros(len(rows), np.int64)
        np.minimum.at(first, of, low)
        np.maximum.at(last, of, high)
        inside = found.numbers >= first[found.numbers_of]
        inside &= found.numbers < last[found.numbers_of]
        for name, number in zip(COUNTS, (has.sum(), inside.sum(), len(of), outside), strict=True):
            self.counts[name] += int(number)

    def items(
        self, rows: np.ndarray, batch: Batch, scores: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Every word: row of the batch int64, code int64, score float64."""
        found, codes, made = self.located(rows, batch, scores)
        return found.of, codes, made

    def names(self, codes: np.ndarray) -> list[str]:
        """The words of codes that `items` gave."""
        return [self._names[code] for code in np.asarray(codes).tolist()]

    def tell(self) -> None:
        """Log what was counted, and warn where no piece is part of a word."""
        count = self.counts
        say = log.info if count["words"] else log.warning
        say(
            "%s words; left out: %s numbers without a letter, and %s of %s pieces, which have no character"
            " of a word (punctuation, symbols)",
            *(f"{count[name]:,}" for name in ("words", "numbers", "pieces_outside", "pieces")),
        )

    def _codes(self, words: pa.StringArray) -> np.ndarray:
        """A number for each word, int64, the same in every batch and run: 63 bits of its digest."""
        coded = words.dictionary_encode()
        numbers = np.zeros(len(coded.dictionary), np.int64)
        for i, word in enumerate(coded.dictionary.to_pylist()):
            own = spelled(word, self.fold_case)
            digest = hashlib.blake2b(own.encode(), digest_size=8).digest()
            numbers[i] = int.from_bytes(digest, "little") >> 1
            self._names[int(numbers[i])] = own
        return numbers[coded.indices.to_numpy()]


def spelled(word: str, fold_case: bool) -> str:
    """A word as it is listed: composed (NFC), without soft hyphens, and its case folded where asked."""
    word = word.replace(SOFT_HYPHEN, "")
    return unicodedata.normalize("NFC", word.casefold() if fold_case else word)
