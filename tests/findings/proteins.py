"""Proteins with a letter for each residue, as a data set of two classes with known positions.

The files are those of TMbed's cross-validation (Bernhofer and Rost 2022), `cv_0N*.fasta.gz`: a header, a
sequence and an annotation in three lines, with S for signal peptides, H and h for membrane helices.
"""

import gzip
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple


class Question(NamedTuple):
    """letters: a regular expression of the residues; length: residues that are read."""

    letters: str
    length: int


QUESTIONS = {"signal": Question("S+", 70), "helix": Question("[Hh]+", 100)}
SHORTEST = 8
"""Residues; proteins of which less is left at the end of what is read belong to no class."""
NEGATIVES = 2
"""For each positive, of each fold."""


class Protein(NamedTuple):
    name: str
    sequence: str
    annotation: str


def proteins(path: Path) -> Iterator[Protein]:
    """Raises ValueError if the lines are not threes of a header and two of one length."""
    with gzip.open(path, "rt") as file:
        lines = file.read().split()
    for number in range(0, len(lines), 3):
        head, *rest = lines[number : number + 3]
        if not head.startswith(">") or len(rest) < 2 or len(rest[0]) != len(rest[1]):
            raise ValueError(f"{path}: line {number + 1} does not begin a protein of three lines")
        yield Protein(head[1:].split("|")[0], *rest)


def dataset(folder: Path, name: str, seed: int) -> tuple[list[dict], list[str]]:
    """Records of a question, and lines of BED.

    folder: of the folds; name: of `QUESTIONS`. All proteins with the residues, and twice as many of those
    without, drawn in each fold.
    """
    question, drawn = QUESTIONS[name], random.Random(seed)
    rows, positions = [], []
    for fold, path in enumerate(sorted(folder.glob("cv_0*.fasta.gz"))):
        found = {True: [], False: []}
        for number, protein in enumerate(proteins(path)):
            read = protein.annotation[: question.length]
            spans = [match.span() for match in re.finditer(question.letters, read)]
            if not spans or max(end - start for start, end in spans) >= SHORTEST:
                own = f"{protein.name}_{fold}_{number}"
                found[bool(spans)].append((own, protein.sequence[: question.length], spans))
        negatives = min(len(found[False]), NEGATIVES * len(found[True]))
        found[False] = drawn.sample(found[False], negatives)
        for answer, members in found.items():
            for own, sequence, spans in members:
                label = name if answer else "none"
                rows.append({"id": own, "answer": label, "fold": str(fold), "sequence": sequence})
                positions += [f"{own}\t{start}\t{end}\t{name}" for start, end in spans]
    if not rows:
        raise ValueError(f"{folder}: no cv_0N*.fasta.gz with proteins")
    drawn.shuffle(rows)
    return rows, positions
