"""Divide the labelled sequences into test, validation and training split.

The splits depend on the seed and on the sequences, not on their order in the archive: the draws run
over the kept sequences ordered by (hash, source, header).
"""

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from whatyouread.data.label_source import GROUP
from whatyouread.data.labels import Labelled, label_rows
from whatyouread.support.cli import UserError, log

UNGROUPED, DUPLICATES, CLUSTER = "none", "duplicates", "cluster"
MANY = 0.05  # of the sequences of a split: what is worth a warning
SPLITS = ("train", "validation", "test", "none")
TRAIN, VALIDATION, TEST, NONE = range(4)


@dataclass(frozen=True)
class Settings:
    """Sizes of the splits.

    test, validation: fractions of the kept sequences. explainer_train, explainer_validation: the part
    of the training and validation split that the Explainer learns from, a fraction up to 1 or a number.
    group_by: what goes into the same split as a whole (`groups`): "none", "duplicates", "cluster" or a
    column of the label table. given: the column that says where each sequence goes (`given_splits`); then
    `test` is not used, and `validation` only where the column has no validation split. folds: the values of
    that column, such as numbers of folds, that are for the test and for validation; others are for training.
    """

    test: float
    validation: float
    explainer_train: float
    explainer_validation: float
    group_by: str = UNGROUPED
    given: str = ""
    folds: dict[str, list[str | int]] = field(default_factory=dict)

    def __post_init__(self):
        if self.folds and not self.given:
            raise UserError("split.folds are of a column: name it as split.given")
        for name in ("test", "validation"):
            if not 0 < getattr(self, name) < 1:
                raise UserError(
                    f"split.{name} is {getattr(self, name)}: give a fraction within 0..1"
                )
        if self.given and self.group_by != UNGROUPED:
            raise UserError(
                f"split.given is {self.given!r} and split.group_by {self.group_by!r}: splits that are"
                " given cannot keep groups together: leave one out"
            )
        if not self.given and self.test + self.validation >= 1:
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


class Given(NamedTuple):
    """Splits that somebody else made: the column that has them, and int8 (n,), positions in `SPLITS`."""

    column: str
    split: np.ndarray

    @property
    def by(self) -> str:
        return f"the column {self.column} (split.given)"


class Division(NamedTuple):
    """Where every row of the index goes, in its order.

    split, explainer: int8 (n,), positions in `SPLITS` (explainer: train, validation or none). groups:
    see `groups`; too_large: bool (n,), the group is larger than the share of the test split in one of its
    classes; None where nothing is grouped. given: what the splits were taken from, if they are given.
    """

    split: np.ndarray
    explainer: np.ndarray
    groups: np.ndarray | None = None
    too_large: np.ndarray | None = None
    given: Given | None = None


def groups(
    index: pa.Table, labels: pd.DataFrame, settings: Settings, copies: pa.Table | None = None
) -> np.ndarray | None:
    """What `settings.group_by` keeps together: a number per sequence of the index, int64 (n,), or None.

    labels: see `labels.read_labels`; copies: see `copies.SCHEMA`. Sequences for which the label table's
    column is empty are groups of their own. Raises `UserError` where there is no such column.
    """
    by = settings.group_by
    if copies is not None and (
        len(copies) != len(index)
        or not np.array_equal(copies["length"].to_numpy(), index["length"].to_numpy())
    ):
        raise UserError("the copies are not of these sequences: run find_copies again")
    if by == UNGROUPED:
        return None
    if by == DUPLICATES:
        return pd.factorize(index["hash"].to_numpy())[0]
    if by == CLUSTER:
        if copies is None:
            raise UserError("split.group_by is cluster: give --copies, what find_copies wrote")
        return copies["cluster"].to_numpy().astype(np.int64)
    by = GROUP if GROUP in labels else by  # the user's own column, whatever it is called
    if by not in labels:
        raise UserError(
            f"split.group_by is {by!r}: give {UNGROUPED}, {DUPLICATES}, {CLUSTER} or a column of the"
            f" label table ({', '.join(labels)})"
        )
    numbers, values = pd.factorize(labels[by].replace("", None))
    of_rows = numbers[label_rows(index, labels)]
    alone = np.flatnonzero(of_rows < 0)
    of_rows[alone] = len(values) + np.arange(len(alone))
    return of_rows


def divide(
    index: pa.Table,
    labelled: Labelled,
    settings: Settings,
    seed: int,
    grouped: np.ndarray | None = None,
    given: Given | None = None,
) -> Division:
    """Draw the splits of all sequences of the index (`census.index_schema`).

    The test split is stratified by the lowest level: from a class of n sequences it takes the floor or
    the ceiling of n times the fraction, and round(fraction * all) in total. Classes that are too small
    stay in the training split. Sequences without a label of that level count as one class here. The
    validation split is drawn at random from the rest, but leaves every class one training sequence.

    grouped: see `groups`. Then these numbers are what the test split takes at most, and the validation
    split takes at most its share of a class, rounded up: whole groups, in random order, as long as they
    fit. A group that is larger than the share of one of its classes stays in the training split.

    given: then the sequences go where it says; only where it has no validation split that is drawn from
    the training split, as above. Where the lowest level has sets of classes, a set is what is called a
    class here.
    Raises `UserError` when a split comes out empty, or all sequences, or those of the test split,
    are of a single class of the lowest level; where nothing is labelled, classes do not matter.
    """
    kept = np.flatnonzero(labelled.used if given is None else labelled.used & (given.split != NONE))
    of_all = labelled.classes[labelled.lowest.name]
    labelled_at_all = any((numbers >= 0).any() for numbers in labelled.classes.values())
    if labelled_at_all and len(present(of_all[kept])) < 2:
        which = "" if given is None else f" that {given.by} puts into a split"
        raise UserError(
            f"the sequences{which} belong to a single {labelled.lowest.name}: there is nothing to"
            " classify"
        )
    kept = kept[_order(index.take(pa.array(kept)))]
    lowest = of_all[kept]
    rng = np.random.Generator(np.random.PCG64(seed))
    too_large = None
    if given is not None:
        drawn = given.split[kept]
        if not (given.split == VALIDATION).any():
            classes = np.unique(lowest, return_inverse=True)[1]
            drawn = _draw_validation(drawn, classes, settings, rng)
    elif grouped is None:
        drawn = _draw(lowest, settings, rng)
    else:
        too_large = np.zeros(len(index), bool)
        drawn, too_large[kept] = _draw_groups(lowest, grouped[kept], settings, rng)
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
                f"the {SPLITS[part]} split is empty with {len(kept)} sequences"
                + _of_groups(settings, grouped, kept)
                + _of_given(given, part)
            )
    if labelled_at_all and len(tested := present(of_all[split == TEST])) < 2:
        names = ", ".join(labelled.lowest.called(number) for number in tested) or "none"
        remedy = (
            "give a larger split.test, or more data" if given is None else f"{given.by} says so"
        )
        raise UserError(
            f"the test split has sequences of one {labelled.lowest.name} only"
            f" ({names}), and so no wrong classes: {remedy}"
        )
    return Division(split, explainer, grouped, too_large, given)


def present(classes: np.ndarray) -> np.ndarray:
    """The different answers of sequences, ascending, without that of missing labels.

    A set of classes (`data.kinds`) is one: what the splits are stratified by.
    """
    return np.unique(classes[classes >= 0])


def split_table(division: Division, labelled: Labelled) -> pa.Table:
    """Columns `split`, `explainer` (dictionary-encoded) and the class number of every level.

    One row per row of the index; -1 where the sequence is not used, or has no label of the level.
    Where there are groups, the column `together` has their numbers.
    """
    columns = {
        name: pa.DictionaryArray.from_arrays(pa.array(places), list(SPLITS))
        for name, places in (("split", division.split), ("explainer", division.explainer))
    }
    if division.groups is not None:
        columns["together"] = pa.array(division.groups)
    for level, numbers in labelled.classes.items():
        small = numbers.max(initial=0) <= np.iinfo(np.int16).max and numbers.dtype == np.int32
        columns[level] = pa.array(numbers, pa.int16() if small else None)
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
    _, classes, sizes = np.unique(lowest, return_inverse=True, return_counts=True)
    split = np.full(len(lowest), TRAIN, np.int8)
    counts = stratified_counts(sizes, settings.test, rng)
    place = _place_in_class(rng.permutation(len(lowest)), classes, sizes)
    split[place < counts[classes]] = TEST
    return _draw_validation(split, classes, settings, rng)


def _draw_validation(
    split: np.ndarray, classes: np.ndarray, settings: Settings, rng: np.random.Generator
) -> np.ndarray:
    """The splits, int8 (n,), with a part of those in the training split moved to the validation split.

    classes: int (n,), numbered from 0 without gaps. Each class of the training split keeps a sequence.
    """
    split = split.copy()
    rest = np.flatnonzero(split == TRAIN)
    keys = rng.permutation(len(rest))
    left = np.bincount(classes[rest], minlength=classes.max() + 1)
    last = _place_in_class(keys, classes[rest], left) == left[classes[rest]] - 1
    allowed = np.flatnonzero(~last)
    number = _round(settings.validation * len(split))
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


def _draw_groups(
    lowest: np.ndarray, groups: np.ndarray, settings: Settings, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The split of each sequence, int8, and whether its group is too large for the test split, bool.

    lowest, groups: int (n,), the class at the lowest level and the group of each.
    """
    # numbered in the order of the sequences, whatever the numbers were
    _, first, groups = np.unique(groups, return_index=True, return_inverse=True)
    groups = np.argsort(np.argsort(first))[groups]
    keys = rng.permutation(len(first))
    _, classes, sizes = np.unique(lowest, return_inverse=True, return_counts=True)
    pairs, counts = np.unique(groups * len(sizes) + classes, return_counts=True)
    parts = _Parts(pairs // len(sizes), pairs % len(sizes), counts)
    room = stratified_counts(sizes, settings.test, rng)
    tested = _fill(parts, room, keys)
    too_large = np.zeros(len(keys), bool)
    too_large[parts.group[(parts.count > room[parts.of]) & (room[parts.of] > 0)]] = True

    rest = parts.where(~tested[parts.group])
    left = np.bincount(rest.of, weights=rest.count, minlength=len(sizes)).astype(np.int64)
    share = np.ceil(np.round(sizes * settings.validation, 9)).astype(np.int64)
    number = _round(settings.validation * len(lowest))
    # the whole split is one more class, of which every group is a part
    whole = np.bincount(rest.group, weights=rest.count, minlength=len(keys)).astype(np.int64)
    present = np.flatnonzero(whole)
    rest = _Parts(
        np.concatenate([rest.group, present]),
        np.concatenate([rest.of, np.full(len(present), len(sizes))]),
        np.concatenate([rest.count, whole[present]]),
    )
    watched = _fill(
        rest, np.append(np.minimum(left - 1, share), number), rng.permutation(len(keys))
    )
    drawn = np.select([tested[groups], watched[groups]], [TEST, VALIDATION], TRAIN).astype(np.int8)
    for part, wanted in ((TEST, _round(settings.test * len(lowest))), (VALIDATION, number)):
        if (found := int((drawn == part).sum())) < (1 - MANY) * wanted:
            log.warning(
                "%s sequences go to the %s split, less than its share of %s: split.group_by (%s) keeps"
                " groups whole, and no other one fits into the shares of its classes",
                f"{found:,}",
                SPLITS[part],
                f"{wanted:,}",
                settings.group_by,
            )
    return drawn, too_large[groups]


class _Parts(NamedTuple):
    """How many sequences of a class a group has, for each pair that occurs: int64 (m,)."""

    group: np.ndarray
    of: np.ndarray
    count: np.ndarray

    def where(self, chosen: np.ndarray) -> "_Parts":
        return _Parts(*(column[chosen] for column in self))


def _fill(parts: _Parts, room: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Take whole groups in the order of their keys as long as there is room in all their classes.

    room: sequences, int64 (classes,); keys: a different one for every group. Returns bool (groups,).
    """
    taken = np.zeros(len(keys), bool)
    room = room.copy()
    parts = parts.where(np.lexsort((keys[parts.group], parts.of)))
    while True:
        # room never grows: what does not fit now will not fit later
        blocked = np.zeros(len(keys), bool)
        blocked[parts.group[parts.count > room[parts.of]]] = True
        parts = parts.where(~blocked[parts.group])
        if not len(parts.group):
            return taken
        # of each class those before the first one that no longer fits; it is tried again after them.
        # The group with the smallest key is among them, so the loop ends.
        sums = np.cumsum(parts.count)
        begins = np.append(True, parts.of[1:] != parts.of[:-1])
        before = np.maximum.accumulate(np.where(begins, sums - parts.count, 0))
        later = np.zeros(len(keys), bool)
        later[parts.group[sums - before > room[parts.of]]] = True
        now = ~later[parts.group]
        taken[parts.group[now]] = True
        used = np.bincount(parts.of[now], weights=parts.count[now], minlength=len(room))
        room -= used.astype(np.int64)
        parts = parts.where(~now)


def _of_groups(settings: Settings, grouped: np.ndarray | None, kept: np.ndarray) -> str:
    if grouped is None:
        return ""
    number = len(np.unique(grouped[kept]))
    return f" in {number} groups, which split.group_by ({settings.group_by}) keeps whole"


def _of_given(given: Given | None, part: int) -> str:
    if given is None or not (given.split == part).any():
        return ": give it a larger fraction, or more data"
    return f": none of the sequences that {given.by} puts there is used: see why in label_taxonomy's summary"


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
