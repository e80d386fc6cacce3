"""What came of the division of the sequences: `summary.tsv` of the splits."""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.data.labels import DROPPED, Labelled, beside_paper
from whatyouread.data.splitting import (
    NONE,
    SPLITS,
    TEST,
    TRAIN,
    VALIDATION,
    Division,
    present,
)
from whatyouread.support.text import named

GIVEN = "sequences whose split is given"
_NOT_USED = "that are not used"
_UNTRAINED = "that training has none of"


def summary_table(
    index: pa.Table, division: Division, labelled: Labelled, paper: Mapping[str, int]
) -> pd.DataFrame:
    """Sequences and classes per split, classes too small to be tested, groups, exact copies across splits.

    The columns of `labels.summary_table`: `quantity`, `value`, `paper`, `detail`.
    """
    split, explainer = division.split, division.explainer
    rows = [
        (f"{SPLITS[part]} sequences", int((split == part).sum()), "")
        for part in (TRAIN, VALIDATION, TEST)
    ]
    excluded = "excluded by label_taxonomy"
    if division.given is not None:
        excluded += f", or in no split by {division.given.by}"
    rows.append(("sequences in no split", int((split == NONE).sum()), excluded))
    for part in (TRAIN, VALIDATION):
        detail = f"drawn from the {SPLITS[part]} split"
        rows.append((f"explainer {SPLITS[part]} sequences", int((explainer == part).sum()), detail))
    for own in labelled.levels:
        level, numbers = own.name, labelled.classes[own.name]
        for part in (TRAIN, VALIDATION, TEST):
            of_part = numbers[split == part]
            held = own.numbers.held(of_part)
            rows.append((f"{SPLITS[part]} classes of rank {level}", len(held), ""))
            if lacking := int((of_part < 0).sum()):
                rows.append((f"{SPLITS[part]} sequences without {level}", lacking, "class -1"))
    lowest = labelled.lowest
    numbers = labelled.classes[lowest.name]
    untested = np.setdiff1d(present(numbers[split != NONE]), numbers[split == TEST])
    small = "too small for" if division.groups is None else "too small, or of too large groups, for"
    if division.given is not None:
        small = "without a sequence of"
    rows.append(
        (
            f"{lowest.numbers.strata} of rank {lowest.name} {small} the test split",
            len(untested),
            named([lowest.called(number) for number in untested]),
        )
    )
    rows += _group_rows(division)
    rows += _given_rows(division, labelled)
    hashes = index["hash"].to_numpy()
    rows += [
        (quantity, int(found.sum()), "")
        for quantity, found in across("an exact copy", hashes, hashes, split)
    ]
    return beside_paper(rows, paper)


def across(
    kind: str, own: np.ndarray, others: np.ndarray, split: np.ndarray
) -> Iterator[tuple[str, np.ndarray]]:
    """What of one split is also in another, in words, and which sequences are: bool, those of the split.

    own, others: what is looked for and what is found, (n,) each; split: int8 (n,), places in `SPLITS`.
    """
    for one, other in ((TEST, TRAIN), (TEST, VALIDATION), (VALIDATION, TRAIN)):
        there = pa.array(others[split == other])
        found = pc.is_in(pa.array(own[split == one]), value_set=there)
        quantity = f"{SPLITS[one]} sequences with {kind} in {SPLITS[other]}"
        yield quantity, found.to_numpy(zero_copy_only=False)


def _group_rows(division: Division) -> Iterator[tuple[str, int, str]]:
    if division.groups is None:
        return
    kept = division.split != NONE
    sizes = np.unique(division.groups[kept], return_counts=True)[1]
    yield "groups", len(sizes), "what split.group_by keeps in one split"
    several = sizes[sizes > 1]
    yield "groups of several sequences", len(several), f"{several.sum():,} sequences"
    yield "sequences of the largest group", int(sizes.max()), ""
    large = division.too_large & kept
    number = len(np.unique(division.groups[large]))
    detail = f"{large.sum():,} sequences, which stay out of it"
    yield "groups larger than the share of a class in the test split", number, detail


def _given_rows(division: Division, labelled: Labelled) -> Iterator[tuple[str, int, str]]:
    given = division.given
    if given is None:
        return
    split, used = division.split, labelled.used
    drawn = not (given.split == VALIDATION).any()
    detail = f"by {given.by}" + ("; the validation split is drawn from train" if drawn else "")
    yield GIVEN, int((split != NONE).sum()), detail
    none = used & (given.split == NONE)
    yield f"{DROPPED}no split", int(none.sum()), f"none or nothing in {given.by}"
    for part in (TRAIN, VALIDATION, TEST):
        lost = int(((given.split == part) & ~used).sum())
        yield f"given {SPLITS[part]} sequences {_NOT_USED}", lost, "excluded by label_taxonomy"
    for level in labelled.levels:
        numbers, held = labelled.classes[level.name], level.numbers.held
        unknown = np.setdiff1d(held(numbers[split != NONE]), held(numbers[split == TRAIN]))
        names = named([level.names[number] for number in unknown])
        yield f"classes of rank {level.name} {_UNTRAINED}", len(unknown), names
        tested = int(level.numbers.has(numbers[split == TEST], unknown).sum())
        yield f"test sequences of a {level.name} {_UNTRAINED}", tested, ""


def doubtful(summary: pd.DataFrame) -> list[str]:
    """The quantities of a summary that are worth a warning where they are not 0."""
    return [name for name in summary["quantity"] if name.endswith((_NOT_USED, _UNTRAINED))]
