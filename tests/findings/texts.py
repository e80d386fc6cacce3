"""Sentences in which people marked words, as a data set of two classes with known positions.

The files are `NAME_train.txt.gz` and `NAME_dev.txt.gz`: in each line a label (0 or 1), a tab and a sentence.
Beside them their `.txt.block.gz`: in each line for each word (blanks divide) 1 if people marked it, else 0.
"""

import gzip
import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PARTS = {"train": "train", "dev": "test"}
"""The name of a file -> its split."""
TRAINED = 2000
"""Sentences of each class to train on, at most."""
WORDS = 40
"""The first ones are read."""


class Sentence(NamedTuple):
    answer: bool
    text: str
    spans: list[tuple[int, int]]


def sentences(path: Path) -> Iterator[Sentence]:
    """Raises ValueError if a line is no label and text, or has not a mark for each word."""
    marks = path.with_name(path.name.replace(".txt.gz", ".txt.block.gz"))
    with gzip.open(path, "rt") as texts, gzip.open(marks, "rt") as blocks:
        for number, (line, block) in enumerate(itertools.zip_longest(texts, blocks), 1):
            label, _, text = (line or "").rstrip("\n").partition("\t")
            words, marked = text.split(), (block or "").split()
            if label not in ("0", "1") or not words or len(words) != len(marked):
                raise ValueError(f"{path}: line {number} is not a label and a word for each mark")
            read = words[:WORDS]
            yield Sentence(label == "1", " ".join(read), spans(read, marked[:WORDS]))


def spans(words: list[str], marked: list[str]) -> list[tuple[int, int]]:
    """Start and end, in characters, of the runs of marked words, joined by one blank each."""
    ends = list(itertools.accumulate(len(word) + 1 for word in words))
    places = zip(words, ends, marked, strict=True)
    found = []
    for one, run in itertools.groupby(places, key=lambda place: place[2]):
        run = list(run)
        if one == "1":
            found.append((run[0][1] - 1 - len(run[0][0]), run[-1][1] - 1))
    return found


def dataset(folder: Path, name: str, seed: int) -> tuple[list[dict], list[str]]:
    """Records and lines of BED.

    folder: of the files; name: what they begin with. `TRAINED` sentences of each class to train on, drawn;
    all to test on. A sentence belongs to no class if it has the label 1 but no marked word in what is read,
    or marked words but the label 0.
    """
    drawn = random.Random(seed)
    rows, positions = [], []
    for part, split in PARTS.items():
        found = {True: [], False: []}
        for number, sentence in enumerate(sentences(folder / f"{name}_{part}.txt.gz")):
            if bool(sentence.spans) == sentence.answer:
                found[sentence.answer].append((f"{part}_{number}", sentence))
        for answer, members in found.items():
            if split == "train":
                members = drawn.sample(members, min(len(members), TRAINED))
            for own, sentence in members:
                label = name if answer else "none"
                rows.append({"id": own, "answer": label, "part": split, "text": sentence.text})
                positions += [f"{own}\t{start}\t{end}\t{name}" for start, end in sentence.spans]
    drawn.shuffle(rows)
    return rows, positions
