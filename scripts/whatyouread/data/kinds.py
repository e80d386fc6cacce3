"""What the number of a sequence means at a level: one class, or a set of classes.

At a level of the kind `single` a sequence has the number of its class. At one of the kind `multiple` it has
a set of classes: bit c of the number stands for class c, and 0 is the set without a class, which is an answer
like any other. In both -1 stands for a missing label, which does not count. In files the numbers of a
`single` level are of a smaller type than int64, those of a `multiple` one int64: a file says by itself which
they are (`kinds_of`).

`models.levels` has the same kinds for logits. No other module asks for the name of a kind.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np

from whatyouread.support.statistics import (
    average_precision,
    balanced_accuracy,
    balanced_accuracy_interval,
    macro_f1,
    micro_f1,
)

MOST = 62
"""The classes of a level of the kind `multiple`: more do not fit into an int64 without its sign."""
NONE = "(none)"
"""How the set without a class is called."""


def members(sets: np.ndarray, classes: int) -> np.ndarray:
    """Which classes each set holds: bool (..., classes). sets: int64 (...); a missing one, -1, holds none."""
    bits = np.int64(1) << np.arange(classes, dtype=np.int64)
    known = np.maximum(np.asarray(sets, np.int64), 0)
    return (known[..., None] & bits) != 0


def sets_of(held: np.ndarray) -> np.ndarray:
    """The set of each row: int64 (...). held: bool (..., classes), at most `MOST` of them."""
    bits = np.int64(1) << np.arange(held.shape[-1], dtype=np.int64)
    return np.where(held, bits, np.int64(0)).sum(-1, dtype=np.int64)


class Single:
    """A sequence has one class. Numbers: int64 (n,), -1 where the label is missing."""

    name = "single"
    column = "int32"
    """The type of its numbers in files."""
    score_name = "balanced accuracy"
    further: tuple[str, ...] = ()
    """What scores there are beside `score`: the endings of their columns."""
    alone = True
    """Whether a sequence has one class at most."""
    strata = "classes"
    """What its numbers are called where each is a stratum."""

    def limit(self, classes: int) -> int:
        """The first number that is none, with so many classes."""
        return classes

    def wrong(self, asked: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Whether what is asked for is wrong, bool (n,). Not where the label is missing."""
        return (asked != labels) & (labels >= 0)

    def agreement(self, said: np.ndarray, asked: np.ndarray) -> np.ndarray:
        """How far two answers agree: 1 where they are the same, else 0, float64 (n,)."""
        return (said == asked).astype(np.float64)

    def score(self, labels: np.ndarray, predicted: np.ndarray) -> float:
        """The balanced accuracy in [0, 1]; NaN where no label counts."""
        return balanced_accuracy(labels, predicted)

    def score_interval(
        self, labels: np.ndarray, predicted: np.ndarray, resamples: int, seed: int
    ) -> tuple[float, float]:
        """95 % percentile bootstrap interval of `score` over sequences drawn anew."""
        return balanced_accuracy_interval(labels, predicted, resamples, seed)

    def constant_score(self, labels: np.ndarray) -> float:
        """The score of the best constant answer; NaN where no label counts."""
        classes = len(self.held(labels))
        return 1 / classes if classes else float("nan")

    def further_scores(self, labels, predicted, probabilities) -> dict[str, float]:
        """Ending of the column -> value, for each of `further`."""
        return {}

    def undecided(self, classes: int) -> float:
        """The probability of each class where nothing speaks for any."""
        return 1 / classes

    def normalized_entropy(self, probabilities: np.ndarray) -> float:
        """-sum p ln p / ln C: 1 for the uniform distribution, 0 for certainty; (classes,).

        1 for a level with one class: its only distribution is the uniform one.
        """
        if len(probabilities) < 2:
            return 1.0
        p = probabilities[probabilities > 0]
        return float(-(p * np.log(p)).sum() / np.log(len(probabilities)))

    def held(self, numbers: np.ndarray) -> np.ndarray:
        """The different classes of some sequences, ascending; without those of missing labels."""
        return np.unique(numbers[numbers >= 0])

    def counts(self, numbers: np.ndarray, classes: int) -> np.ndarray:
        """How many sequences have each class, int64 (classes,)."""
        return np.bincount(numbers[numbers >= 0], minlength=classes)

    def has(self, numbers: np.ndarray, classes: Collection[int] | np.ndarray) -> np.ndarray:
        """Whether the sequence has one of these classes, bool (n,)."""
        return np.isin(numbers, np.asarray(classes))

    def called(self, number: int, names: Sequence[str]) -> str:
        """The name of a number that is not missing."""
        return names[number]

    def allowed(self, candidates: np.ndarray, avoid: Sequence[np.ndarray]) -> np.ndarray | None:
        """None: what may be drawn as wrong is found by trying."""

    def together(self, numbers: np.ndarray, of: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """What the answers for parts say of the whole, int64 (m,): the class with the largest weight.

        numbers: int64 (n,), an answer for each part; of: int64 (n,), the whole, 0 to m - 1, each of them
        there; weights: (n,), such as the sizes of the parts. Of equal weights the lower class.
        """
        pairs, which = np.unique(np.stack([of, numbers]), axis=1, return_inverse=True)
        weight = np.bincount(which.ravel(), weights)
        order = np.lexsort((pairs[1], -weight, pairs[0]))
        first = np.append(True, np.diff(pairs[0][order]) != 0)[: len(order)]
        return pairs[1][order[first]]

    def lineage_scores(self, logits: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """How probable each of some answers is, float64 (n, candidates); logits: float (n, classes)."""
        return logits[:, candidates].astype(np.float64)


class Multiple(Single):
    """A sequence has a set of classes. Numbers: int64 (n,), bit c for class c, -1 where it is missing."""

    name = "multiple"
    column = "int64"
    score_name = "macro F1"
    further = ("micro_f1", "average_precision")
    alone = False
    strata = "sets of classes"

    def limit(self, classes):
        return 1 << classes

    def wrong(self, asked, labels):
        """Where a set shares no class with the labels, and holds one."""
        return (asked > 0) & (labels >= 0) & ((asked & labels) == 0)

    def agreement(self, said, asked):
        """The F1 of two sets: twice the classes that they share over the classes that both hold.

        1 where both hold none. A number of -1 shares nothing.
        """
        said, asked = np.asarray(said, np.int64), np.asarray(asked, np.int64)
        missing = (said < 0) | (asked < 0)
        ours, theirs = np.maximum(said, 0), np.maximum(asked, 0)
        shared = np.bitwise_count(ours & theirs)
        both = np.bitwise_count(ours).astype(np.int64) + np.bitwise_count(theirs)
        share = np.divide(2 * shared, both, out=np.ones(both.shape), where=both > 0)
        return np.where(missing, 0, share)

    def score(self, labels, predicted):
        """The macro F1 in [0, 1], the mean over the classes that some sequence has; NaN without any."""
        return macro_f1(*self._both(labels, predicted))

    def score_interval(self, labels, predicted, resamples, seed):
        """NaN where fewer than two sequences count."""
        counted = labels >= 0
        truth, guess = self._both(labels[counted], predicted[counted])
        if len(truth) < 2:
            return float("nan"), float("nan")
        generator = np.random.default_rng(seed)
        drawn = (generator.integers(len(truth), size=len(truth)) for _ in range(resamples))
        low, high = np.nanquantile([macro_f1(truth[x], guess[x]) for x in drawn], [0.025, 0.975])
        return float(low), float(high)

    def constant_score(self, labels):
        """That of all classes, always: no other constant answer has a larger macro F1."""
        every = np.bitwise_or.reduce(np.maximum(labels, 0), initial=0)
        return self.score(labels, np.full(len(labels), every))

    def further_scores(self, labels, predicted, probabilities):
        """Micro F1, over all classes; and average precision, as `macro_average_precision`.

        probabilities: float (n, classes), or None where they are unknown: its average precision is NaN.
        """
        precision = float("nan")
        if probabilities is not None:
            counted = labels >= 0
            truth = members(labels[counted], probabilities.shape[1])
            precision = macro_average_precision(truth, probabilities[counted])
        return {
            "micro_f1": micro_f1(*self._both(labels, predicted)),
            "average_precision": precision,
        }

    def undecided(self, classes):
        return 0.5

    def normalized_entropy(self, probabilities):
        """The mean over the classes of -p log2 p - (1 - p) log2 (1 - p): 1 where each is one half."""
        both = np.stack([probabilities, 1 - probabilities])
        return float(-(both * np.log2(np.where(both > 0, both, 1))).sum(0).mean())

    def held(self, numbers):
        seen = np.bitwise_or.reduce(np.maximum(numbers, 0), initial=0)
        return np.flatnonzero(members(np.int64(seen), MOST))

    def counts(self, numbers, classes):
        return members(numbers, classes).sum(0)

    def has(self, numbers, classes):
        wanted = np.bitwise_or.reduce(np.int64(1) << np.asarray(classes, np.int64), initial=0)
        return (np.maximum(numbers, 0) & wanted) != 0

    def called(self, number, names):
        own = np.flatnonzero(members(np.int64(number), len(names)))
        return ", ".join(names[i] for i in own) or NONE

    def allowed(self, candidates, avoid):
        """Which of some sets may be drawn as wrong, bool (n, candidates).

        avoid: int64 (n,) each, from what must be avoided most. A set that holds a class and shares none
        with all of them; where there is none, with all but the last, and so on; then any that differs.
        """
        good = []
        for last in range(len(avoid), 0, -1):
            whole = np.bitwise_or.reduce([np.maximum(one, 0) for one in avoid[:last]])
            good.append((candidates > 0) & ((whole[:, None] & candidates) == 0))
        good.append((candidates > 0) & (candidates != avoid[0][:, None]))
        good.append(candidates != avoid[0][:, None])
        made = good.pop(0)
        for one in good:
            made = np.where(made.any(1, keepdims=True), made, one)
        return made

    def together(self, numbers, of, weights):
        """The classes that parts with more than half of the weight hold."""
        total = np.bincount(of, weights)
        held = np.zeros((len(total), MOST))
        np.add.at(held, of, members(numbers, MOST) * np.asarray(weights)[:, None])
        return sets_of(2 * held > total[:, None])

    def lineage_scores(self, logits, candidates):
        """The log-probability that all classes of a set are held; of the empty one, that none is."""
        logits = logits.astype(np.float64)
        yes, no = -np.logaddexp(0, -logits), -np.logaddexp(0, logits)
        held = members(candidates, logits.shape[1]).astype(np.float64)
        return np.where(candidates > 0, yes @ held.T, no.sum(1, keepdims=True))

    @staticmethod
    def _both(labels: np.ndarray, predicted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What is true and what is predicted where a label is there, bool (m, classes) each."""
        counted = labels >= 0
        labels, predicted = labels[counted], predicted[counted]
        width = int(max(labels.max(initial=0), predicted.max(initial=0))).bit_length()
        return members(labels, width), members(predicted, width)


def macro_average_precision(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Average precision, the mean over the classes that some sequences have and others have not.

    truth: bool (n, classes); probabilities: float (n, classes). NaN where there is no such class.
    """
    each = average_precision(probabilities.T, truth.T, np.ones(truth.T.shape, bool))
    return float(np.nanmean(each)) if (~np.isnan(each)).any() else float("nan")


KINDS = {kind.name: kind for kind in (Single(), Multiple())}
SINGLE, MULTIPLE = KINDS.values()


def kinds_of(types: Iterable[object]) -> list[Single]:
    """The kinds of levels by the types of their columns in a file (of Arrow, or their names)."""
    return [MULTIPLE if str(one) == MULTIPLE.column else SINGLE for one in types]


def kinds_of_scores(ranks: Sequence[str], columns: Iterable[str]) -> list[Single]:
    """The kinds of levels by the columns of a table of scores, such as Table 1."""
    known = set(columns)
    return [MULTIPLE if f"{rank}_{MULTIPLE.further[0]}" in known else SINGLE for rank in ranks]


def score_words(kinds: Iterable[Single]) -> str:
    """What the scores of some levels are called: "balanced accuracy", "macro F1", or both."""
    return " / ".join(dict.fromkeys(kind.score_name for kind in kinds))


def capital(words: str) -> str:
    """The same at the start of a sentence."""
    return words[:1].upper() + words[1:]


def all_single(ranks: Sequence[str]) -> list[Single]:
    """The kinds of levels of which nothing else is known."""
    return [SINGLE] * len(ranks)
