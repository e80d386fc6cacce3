"""Labelled texts with planted keywords, and a tokenizer that cuts their words into pieces.

Words are made of syllables, and a word is two or three of them, so that a keyword is several tokens and
shares each of them with other words. Which words a class owns, and where they stand, is known. Sentences
begin with a capital letter and end with a mark; there are numbers, and letters that are not ASCII.
"""

import json
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from whatyouread.support import files
from whatyouread.support.cli import UserError

_ONSETS = [*"bdfghjklmnprstvwz", "kr", "st", "tr"]
_RIMES = [*"aeiou", "an", "el", "is", "or", "å", "é"]
_SENTENCE = 9  # words, on average
_NUMBERS = 0.03  # of the words that are no keywords
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
GROUP = "keyword"
"""The group of the planted positions."""


@dataclass(frozen=True)
class Settings:
    """What is simulated. Impossible settings raise `UserError`."""

    documents: int
    classes: int
    keywords: int  # words that a class owns
    planted: int  # of these in a document, for each of its labels
    words: tuple[int, int]  # in a document, the fewest and the most
    vocabulary: int  # words that no class owns
    several: float  # the share of documents with two labels

    def __post_init__(self):
        for name in (each.name for each in fields(self)):
            value = getattr(self, name)
            if name == "several":
                good, wanted = type(value) in (int, float) and 0 <= value <= 1, "a share"
            elif name == "words":
                good = isinstance(value, list | tuple) and len(value) == 2
                good = good and all(type(n) is int for n in value) and 0 < value[0] <= value[1]
                wanted = "two counts, the fewest and the most words of a document"
            else:
                good, wanted = type(value) is int and value > 0, "a count from 1"
            if not good:
                raise UserError(f"simulated_texts: `{name}` is {value!r}, not {wanted}")
        if self.classes < 2:
            raise UserError("simulated_texts: `classes` is 1: there must be two or more")
        most = len(_ONSETS) * len(_RIMES)
        if self.vocabulary + self.classes * self.keywords > most**2 // 4:
            raise UserError(
                f"simulated_texts: {most} syllables make too few words: lower `vocabulary`"
            )
        if (1 + (self.several > 0)) * self.planted > self.words[0]:
            raise UserError(
                "simulated_texts: `planted` keywords do not fit into the shortest document"
            )


@dataclass(frozen=True)
class Texts:
    """keywords: the words of each class; documents: id, text, labels, and places (start, end, word)."""

    classes: list[str]
    keywords: list[list[str]]
    documents: list[dict]
    syllables: list[str]


def simulate(settings: Settings, seed: int) -> Texts:
    """The same settings and seed give the same texts."""
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    syllables = [onset + rime for onset in _ONSETS for rime in _RIMES]
    number = settings.vocabulary + settings.classes * settings.keywords
    words = _draw_words(rng, syllables, number)
    owned, free = words[: -settings.vocabulary], words[-settings.vocabulary :]
    keywords = [
        owned[i * settings.keywords : (i + 1) * settings.keywords] for i in range(settings.classes)
    ]
    names = [f"register {i + 1:02d}" for i in range(settings.classes)]
    common = 1 / np.arange(2, len(free) + 2)  # Zipf's law, without a word in every sentence
    common /= common.sum()
    documents = []
    for i in range(settings.documents):
        labels = [i % settings.classes]
        if rng.random() < settings.several:
            other = (labels[0] + 1 + rng.integers(settings.classes - 1)) % settings.classes
            labels = sorted([*labels, int(other)])
        own = [word for label in labels for word in rng.choice(keywords[label], settings.planted)]
        length = int(rng.integers(settings.words[0], settings.words[1] + 1))
        others = rng.choice(len(free), length - len(own), p=common)
        numbers = rng.random(len(others)) < _NUMBERS
        drawn = [
            str(rng.integers(1, 2000)) if is_number else free[word]
            for word, is_number in zip(others, numbers, strict=True)
        ]
        planted = np.zeros(length, bool)
        planted[rng.choice(length, len(own), replace=False)] = True
        order = iter(own), iter(drawn)
        line = [(next(order[0 if is_own else 1]), bool(is_own)) for is_own in planted]
        text, places = _written(rng, line)
        documents.append(
            {
                "id": f"d{i:05d}",
                "text": text,
                "labels": [names[k] for k in labels],
                "places": places,
            }
        )
    return Texts(names, keywords, documents, syllables)


def _draw_words(rng, syllables: list[str], number: int) -> list[str]:
    """Different words of two or three syllables."""
    found: dict[str, None] = {}
    while len(found) < number:
        parts = rng.integers(len(syllables), size=(number, 3))
        long = rng.random(number) < 0.4
        for row, three in zip(parts, long, strict=True):
            found["".join(syllables[k] for k in row[: 3 if three else 2])] = None
    return list(found)[:number]


def _written(rng, line: list[tuple[str, bool]]) -> tuple[str, list[tuple[int, int, str]]]:
    """The text of some words, and the places of those that are planted (start, end, word)."""
    text, places, begins = "", [], True
    for place, (word, planted) in enumerate(line):
        text += " " if text else ""
        if planted:
            places.append((len(text), len(text) + len(word), word))
        text += word.capitalize() if begins else word
        begins = rng.random() < 1 / _SENTENCE or place == len(line) - 1
        text += rng.choice([".", ".", "!", "?"]) if begins else "," * int(rng.random() < 0.05)
    return text, places


def write_texts(made: Texts, dataset: Path, positions: Path, keywords: Path) -> None:
    """Write the documents as JSONL, the places of keywords as BED, and the keywords by class as TSV."""
    with (
        files.atomic(dataset) as jsonl,
        files.atomic(positions) as bed,
        open(jsonl, "w", encoding="utf-8") as texts,
        open(bed, "w", encoding="utf-8") as places,
    ):
        for document in made.documents:
            record = {key: document[key] for key in ("id", "text", "labels")}
            texts.write(json.dumps(record, ensure_ascii=False) + "\n")
            for start, end, word in document["places"]:
                places.write(f"{document['id']}\t{start}\t{end}\t{GROUP}:{word}\n")
    rows = [
        (name, word) for name, own in zip(made.classes, made.keywords, strict=True) for word in own
    ]
    files.write_tsv(keywords, pd.DataFrame(rows, columns=["class", "keyword"]))


def write_tokenizer(made: Texts, folder: Path) -> None:
    """Write a folder with a WordPiece tokenizer whose pieces are syllables, as `tokenizer.json`."""
    import tokenizers
    from tokenizers import models, normalizers, pre_tokenizers, processors

    single = [*"abcdefghijklmnopqrstuvwxyz0123456789åé", *".,!?"]
    pieces = [*single, *made.syllables]
    vocabulary = [*SPECIAL, *dict.fromkeys([*pieces, *("##" + piece for piece in pieces)])]
    numbers = {piece: number for number, piece in enumerate(vocabulary)}
    library = tokenizers.Tokenizer(models.WordPiece(numbers, unk_token="[UNK]"))
    library.normalizer = normalizers.BertNormalizer(lowercase=True, strip_accents=False)
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    library.post_processor = processors.BertProcessing(
        ("[SEP]", numbers["[SEP]"]), ("[CLS]", numbers["[CLS]"])
    )
    library.add_special_tokens(list(SPECIAL))
    roles = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    folder.mkdir(parents=True, exist_ok=True)
    with files.atomic(folder / "tokenizer.json") as scratch:
        library.save(str(scratch))
    named = {f"{role}_token": token for role, token in roles.items()}
    files.write_json(folder / "tokenizer_config.json", named)
