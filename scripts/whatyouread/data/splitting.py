"""Divide the labelled sequences into test, validation and training split.

The splits depend on the seed and on the sequences, not on their order in the archive: the draws run
over the kept sequences ordered by (hash, source, header).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.data.labels import Labelled, beside_paper
from whatyouread.support.cli import UserError, log
from whatyouread.support.text import named

SPLITS = ("train", "validation", "test", "none")
TRAIN, VALIDATION, TEST, NONE = range(4)


@dataclass(frozen=True)
class Settings:
    """Sizes of the splits.

    test, validation: fractions of the kept sequences. explainer_train, explainer_validation: the part
    of the training and validation split that the Explainer learns from, a fraction up to 1 or a number.
    group_duplicates: all copies of a sequence go into the same split.
    """

    test: float
    validation: float
    explainer_train: float
    explainer_validation: float
    group_duplicates: bool

    def __post_init__(self):
        for name in ("test", "validation"):
            if not 0 < getattr(self, name) < 1:
                raise UserError(
                    f"split.{name} is {getattr(self, name)}: give a fraction within 0..1"
                )
        if self.test + self.validation >= 1:
            raise UserError(
                f"split.test and split.validation are {self.test} and {self.validation}:"
                " together they must stay below 1, or nothing is left to train on"
            )
        for name in ("explainer_train", "explainer_validation"):
            value = getattr(self, name)
            if not (0 < value <= 1 or (value > 1 and value == int(value))):
                raise UserError(
                    f"split.{name} is {value}: give a fraction up to 1, or a whole number above 1"
                )


class Division(NamedTuple):
    """Where every row of the index goes, in its order.

    split, explainer: int8 (n,), positions in `SPLITS` (explainer: train, validation or none).
    """

    split: np.ndarray
    explainer: np.ndarray


def divide(index: pa.Table, labelled: Labelled, settings: Settings, seed: int) -> Division:
    """Draw the splits of all sequences of the index (`census.index_schema`).

    The test split is stratified by the lowest level: from a class of n sequences it takes the floor or
    the ceiling of n times the fraction, and round(fraction * all) in total. Classes that are too small
    stay in the training split. Sequences without a label of that level count as one class here. The
    validation split is drawn at random from the rest, but leaves every class one training sequence.
    Raises `UserError` when a split comes out empty, or all sequences, or those of the test split,
    are of a single class of the lowest level.
    """
    kept = np.flatnonzero(labelled.used)
    of_all = labelled.classes[labelled.lowest.name]
    if len(_present(of_all[kept])) < 2:
        raise UserError(
            f"the sequences belong to a single {labelled.lowest.name}: there is nothing to classify"
        )
    kept = kept[_order(index.take(pa.array(kept)))]
    hashes = index.column("hash").to_numpy()[kept]
    lowest = of_all[kept]
    rng = np.random.Generator(np.random.PCG64(seed))
    if settings.group_duplicates:
        # `kept` is ordered by hash, so copies are neighbours; the first one draws for all of them.
        first = np.append(True, hashes[1:] != hashes[:-1])
        drawn = _draw(lowest[first], settings, rng)[np.cumsum(first) - 1]
        drawn = _keep_one_for_training(drawn, lowest, np.cumsum(first) - 1)
    else:
        drawn = _draw(lowest, settings, rng)
    split = np.full(len(index), NONE, np.int8)
    split[kept] = drawn
    explainer = np.full(len(index), NONE, np.int8)
    for part, wanted in ((TRAIN, "explainer_train"), (VALIDATION, "explainer_validation")):
        rows = kept[drawn == part]
        number = _number(getattr(settings, wanted), len(rows), f"split.{wanted}", SPLITS[part])
        explainer[rows[rng.permutation(len(rows))[:number]]] = part
    for part in (TRAIN, VALIDATION, TEST):
        if not (split == part).any():
            raise UserError(
                f"the {SPLITS[part]} split is empty with {len(kept)} sequences: give it a larger"
                " fraction, or more data"
            )
    if len(tested := _present(of_all[split == TEST])) < 2:
        names = ", ".join(labelled.lowest.names[number] for number in tested) or "none"
        raise UserError(
            f"the test split has sequences of one {labelled.lowest.name} only"
            f" ({names}), and so no wrong classes: give a larger split.test, or more data"
        )
    return Division(split, explainer)


def _present(classes: np.ndarray) -> np.ndarray:
    """The different classes of sequences, ascending, without that of missing labels."""
    return np.unique(classes[classes >= 0])


def split_table(division: Division, labelled: Labelled) -> pa.Table:
    """Columns `split`, `explainer` (dictionary-encoded) and the class number of every level.

    One row per row of the index; -1 where the sequence is not used, or has no label of the level.
    """
    columns = {
        name: pa.DictionaryArray.from_arrays(pa.array(places), list(SPLITS))
        for name, places in division._asdict().items()
    }
    for level, numbers in labelled.classes.items():
        small = numbers.max(initial=0) <= np.iinfo(np.int16).max
        columns[level] = pa.array(numbers, pa.int16() if small else pa.int32())
    return pa.table(columns)


def stratified_counts(sizes: np.ndarray, fraction: float, rng: np.random.Generator) -> np.ndarray:
    """How many of each class to take, by the method of largest remainders: int64, like `sizes`.

    The floor or the ceiling of fraction * size of each, and round(fraction * total) in total if the
    classes allow it. A class gives none where fraction * size is below one half, and never its last
    sequence. Which of equal remainders is rounded up is drawn.
    """
    quotas = np.round(sizes * fraction, 9)  # 0.07 * 100 is 7, not 7.000000000000001
    able = (quotas >= 0.5) & (sizes >= 2)
    counts = np.where(able, np.floor(quotas), 0).astype(np.int64)
    remainders = quotas - counts
    able &= (counts + 1 < sizes) & (remainders > 0)
    missing = max(0, _round(fraction * sizes.sum()) - int(counts.sum()))
    candidates = np.flatnonzero(able)
    order = np.lexsort((rng.random(len(candidates)), -remainders[candidates]))
    counts[candidates[order[:missing]]] += 1
    return counts


def _draw(lowest: np.ndarray, settings: Settings, rng: np.random.Generator) -> np.ndarray:
    """The split of each of the sequences whose classes at the lowest level are given: int8."""
    names, classes, sizes = np.unique(lowest, return_inverse=True, return_counts=True)
    split = np.full(len(lowest), TRAIN, np.int8)
    counts = stratified_counts(sizes, settings.test, rng)
    place = _place_in_class(rng.permutation(len(lowest)), classes, sizes)
    split[place < counts[classes]] = TEST

    rest = np.flatnonzero(split == TRAIN)
    keys = rng.permutation(len(rest))
    left = np.bincount(classes[rest], minlength=len(names))
    last = _place_in_class(keys, classes[rest], left) == left[classes[rest]] - 1
    allowed = np.flatnonzero(~last)
    number = _round(settings.validation * len(lowest))
    if number > len(allowed):
        log.warning(
            "only %d of %d sequences go to the validation split: each of the others is the last"
            " training sequence of its class",
            len(allowed),
            number,
        )
    split[rest[allowed[np.argsort(keys[allowed])[:number]]]] = VALIDATION
    return split


def _place_in_class(keys: np.ndarray, classes: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The place of each sequence among those of its class, in the order of the keys."""
    order = np.lexsort((keys, classes))
    place = np.empty(len(keys), np.int64)
    place[order] = np.arange(len(keys)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return place


def _keep_one_for_training(drawn: np.ndarray, lowest: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Move all copies of a sequence back to training where its class has no other one there."""
    trained = np.isin(lowest, lowest[drawn == TRAIN])
    back = np.isin(groups, groups[~trained])
    return np.where(back, np.int8(TRAIN), drawn)


def _order(index: pa.Table) -> np.ndarray:
    """The rows by hash, then source, then header, int64 (n,)."""
    hashes = index.column("hash").to_numpy()
    order = np.argsort(hashes)
    same = hashes[order][1:] == hashes[order][:-1]
    # only copies need a comparison of their texts, and copies are rare
    shared = np.append(same, False) | np.append(False, same)
    copies = index.take(pa.array(order[shared]))
    columns = {name: copies.column(name) for name in ("hash", "source", "header")}
    columns["source"] = columns["source"].cast(pa.string())
    keys = [(name, "ascending") for name in columns]
    by_text = pc.sort_indices(pa.table(columns), sort_keys=keys).to_numpy()
    order[shared] = order[shared][by_text]
    return order


def _number(wanted: float, there: int, name: str, split: str) -> int:
    if wanted > there and wanted > 1:
        log.warning("%s asks for %d sequences, the %s split has %d", name, wanted, split, there)
        return there
    return int(wanted) if wanted > 1 else max(1, _round(wanted * there))


def _round(value: float) -> int:
    """The nearest integer, halves up."""
    return math.floor(value + 0.5)


def summary_table(
    index: pa.Table, division: Division, labelled: Labelled, paper: Mapping[str, int]
) -> pd.DataFrame:
    """Sequences and classes per split, classes too small to be tested, and copies across splits.

    The columns of `labels.summary_table`: `quantity`, `value`, `paper`, `detail`.
    """
    split, explainer = division
    hashes = index.column("hash").combine_chunks()
    rows = [
        (f"{SPLITS[part]} sequences", int((split == part).sum()), "")
        for part in (TRAIN, VALIDATION, TEST)
    ]
    rows.append(("sequences in no split", int((split == NONE).sum()), "excluded by label_taxonomy"))
    for part in (TRAIN, VALIDATION):
        detail = f"drawn from the {SPLITS[part]} split"
        rows.append((f"explainer {SPLITS[part]} sequences", int((explainer == part).sum()), detail))
    for level, numbers in labelled.classes.items():
        for part in (TRAIN, VALIDATION, TEST):
            of_part = numbers[split == part]
            rows.append((f"{SPLITS[part]} classes of rank {level}", len(_present(of_part)), ""))
            if lacking := int((of_part < 0).sum()):
                rows.append((f"{SPLITS[part]} sequences without {level}", lacking, "class -1"))
    lowest = labelled.lowest
    numbers = labelled.classes[lowest.name]
    untested = np.setdiff1d(_present(numbers[split != NONE]), numbers[split == TEST])
    rows.append(
        (
            f"classes of rank {lowest.name} too small for the test split",
            len(untested),
            named([lowest.names[number] for number in untested]),
        )
    )
    for one, other in ((TEST, TRAIN), (TEST, VALIDATION), (VALIDATION, TRAIN)):
        copies = hashes.filter(pa.array(split == one))
        copies = pc.sum(pc.is_in(copies, value_set=hashes.filter(pa.array(split == other))))
        quantity = f"{SPLITS[one]} sequences with an exact copy in {SPLITS[other]}"
        rows.append((quantity, copies.as_py() or 0, ""))
    return beside_paper(rows, paper)
