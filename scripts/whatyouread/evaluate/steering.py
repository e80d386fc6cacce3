"""Does a mask show what the classifier reads, or does it steer the classifier to the mask's class?

A mask made for a class can pick the few tokens that speak for that class in any sequence (Jethani et
al. 2021). To detect this, masks are also made for classes that the sequence does not have, with the same
share of kept tokens. The steering rate is how often such a class is then predicted; net is what is right
with masks for the predicted classes, minus the steering rate. A mask that does not depend on a class cannot
steer.

Yardsticks. *Fidelity*: the answer is what the classifier says of the whole sequence; every sequence counts.
*Accuracy*: it is the label; only sequences with one count. A mask that makes the classifier more often right
has not explained it thereby. *Log-probability*: by how much that of the class that the classifier
predicts of the whole sequence changes, in nats, so that it is below 0 where a mask takes away what speaks
for the class. At each rank, only sequences whose other class is wrong there count for steering
(`choices.wrong_at`): not the prediction, for fidelity; not the label, for accuracy.

Readers. The *classifier* may say anything of masked sequences, which it was not trained on. The *judge* is a
copy of it that was trained on them, once for all methods (as EVAL-X of the same paper). Masks and the
classes asked for are the same for both: those of the classifier.

Fidelity and accuracy are shares of the sequences, in per cent. Where a sequence has a set of classes, a share
is the mean F1 of the set that the reader says and the one that is asked for, and for leakage each set is a
class.

Removed, two ways. One ranking of the tokens, for the classes of all ranks together, has to choose between
them: what is spent on the genus is not there for the phylum. *Level by level*, each rank is asked without the
tokens that a method ranks highest for the class of this rank.

A masked sequence may be unlike all that a reader has seen. *Distribution*: how far out it lies among the
whole sequences, by the states of the same passes (see `distance`).
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from whatyouread.data.kinds import Single, all_single
from whatyouread.data.token_files import TokenFile
from whatyouread.evaluate.distance import WholeSequences
from whatyouread.evaluate.leakage import kept_features, label_leakage
from whatyouread.masks.choices import OTHERS, UNCOUNTED, wrong_at
from whatyouread.masks.controls import CONTROLS
from whatyouread.masks.top_tokens import keep_mask, ordered, remove_mask, share
from whatyouread.methods.files import COMBINED, Attributions
from whatyouread.models.inference import Passes
from whatyouread.support.progress import progress
from whatyouread.support.statistics import intervals

PERCENTS = (5, 10, 20, 30)
ACTIONS = {"kept": keep_mask, "removed": remove_mask}
MOVED = ("shuffled", "shifted", "other_sequence")
"""The controls that keep a mask's values but move them."""
LEAK_PERCENT = 10
CLASSIFIER, JUDGE, NOBODY = READERS = ("classifier", "judge", "none")
"""Who reads the masked sequences; nobody does for leakage."""
FIDELITY, LOG_PROBABILITY, ACCURACY, DISTRIBUTION = YARDSTICKS = (
    "fidelity", "log_probability", "accuracy", "distribution",
)  # fmt: skip
ALL_RANKS = "all"
"""Stands in the column `rank` for `DISTRIBUTION`: all heads read the same state."""
SET_APART = ("none", "shifted")
"""The controls with distances."""
WHOLE = "whole"
COLUMNS = [
    "method", "reader", "yardstick", "measure", "control", "percent", "rank", "value", "low", "high",
    "n",
]  # fmt: skip
BY_LEVEL = "removed_by_level"
"""At each rank the top tokens for the class of that rank are removed."""
COMPARED = (*(f"net_{other}" for other in OTHERS), "removed", BY_LEVEL)
"""The measures, by fidelity, in which Explainers are compared with other methods."""
COMPARED_PERCENT = 10


def hits(
    said: np.ndarray,
    asked: np.ndarray,
    counted: np.ndarray | None = None,
    kinds: Sequence[Single] | None = None,
) -> np.ndarray:
    """Whether the classifier says what is asked for, 1 or 0, NaN where that does not count, (n, ranks).

    Returns float64. said, asked: int64 (n, ranks), answers, labels or other classes, whose meaning `kinds`
    says (`data.kinds`): of sets of classes it is their F1, between 0 and 1. counted: bool (n, ranks); by
    default where no label is missing.
    """
    counted = asked != UNCOUNTED if counted is None else counted
    kinds = all_single(range(asked.shape[1])) if kinds is None else kinds
    columns = zip(kinds, said.T, asked.T, strict=True)
    agreed = [kind.agreement(own, wanted) for kind, own, wanted in columns]
    return np.where(counted, np.stack(agreed, 1), np.nan)


def net_hits(right: np.ndarray, steered: np.ndarray) -> np.ndarray:
    """Per sequence: 1 if the answer is the right one, minus 1 if another mask steers it.

    right: of `hits`; steered: float (n, ranks), 1 if the classifier predicts the class of the other mask.
    NaN in either if the sequence does not count; the result is then NaN too. Its mean is the net share.
    """
    return right - steered


class Steering:
    """Each sequence with its top tokens kept or removed, as the classifier reads it, and the judge.

    judge: passes of a classifier with the same classes, or None.
    """

    def __init__(
        self,
        passes: Passes,
        file: TokenFile,
        methods: dict[str, Attributions],
        seed: int,
        resamples: int,
        judge: Passes | None = None,
    ):
        self.readers = {CLASSIFIER: passes} | ({} if judge is None else {JUDGE: judge})
        self.file, self.methods = file, methods
        self.seed, self.resamples = seed, resamples
        batch = file.batch(np.arange(len(file)))
        self.ids, self.content = batch.ids, batch.content
        self.wholes: dict[str, WholeSequences] = {}

    def masks(self, scores: np.ndarray, action) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the per cent and the mask, float32 (n, longest), for each of `PERCENTS`.

        action: the function of `top_tokens` that makes the mask.
        """
        order = ordered(scores, self.content, self.file.keys, self.seed)
        for percent in PERCENTS:
            yield percent, action(order, self.content, share(percent / 100, self.content))

    def measures(
        self, reader: str, own: Attributions
    ) -> Iterator[tuple[str, str, str, int, np.ndarray]]:
        """Yield (yardstick, measure, control, percent, values float64 (n, ranks)) of one reader and method.

        Measures: `whole`, `kept` and `removed`, whether the reader says the right class of the whole
        sequence, of the top tokens and of the others, or how its log-probability changes; `BY_LEVEL`, where
        there are several ranks;
        `steered_CLASSES`, whether it says the class of another mask; `net_CLASSES`, the difference;
        `distance_kept` and `distance_removed`, which share of the whole sequences lies less far out, (n, 1).
        Each mask is read once, for all yardsticks.
        """
        passes, file, kinds = self.readers[reader], self.file, self.file.kinds
        truths = {FIDELITY: own.predicted, ACCURACY: file.labels}
        ones = np.ones(self.content.shape, np.float32)
        whole = passes.read(file, ones, own.predicted)
        if reader not in self.wholes:  # those of all methods are the same
            lowest = own.predicted[:, -1]
            self.wholes[reader] = WholeSequences(whole.states, lowest, self.seed)
        for yardstick, truth in truths.items():
            yield yardstick, WHOLE, "none", 100, hits(whole.answers, truth, kinds=kinds)
        combined, made, removed = own.scores[COMBINED], {}, {}
        for control in ("none", *MOVED):
            scores = self._moved(combined, control)
            for measure, action in ACTIONS.items():
                for percent, mask in self.masks(scores, action):
                    said = passes.read(file, mask, own.predicted)
                    for yardstick, truth in truths.items():
                        right = hits(said.answers, truth, kinds=kinds)
                        made[yardstick, measure, control, percent] = right
                        yield yardstick, measure, control, percent, right
                    change = said.log_probabilities - whole.log_probabilities
                    yield LOG_PROBABILITY, measure, control, percent, change
                    if measure == "removed":
                        removed[control, percent] = said.answers, said.log_probabilities
                    if control in SET_APART:
                        within = self.wholes[reader].shares_within(said.states)[:, None]
                        yield DISTRIBUTION, f"distance_{measure}", control, percent, within
        for control in SET_APART if len(file.ranks) > 1 else ():
            for percent, (answers, logs) in self._by_level(passes, own, control, removed):
                for yardstick, truth in truths.items():
                    yield yardstick, BY_LEVEL, control, percent, hits(answers, truth, kinds=kinds)
                change = logs - whole.log_probabilities
                yield LOG_PROBABILITY, BY_LEVEL, control, percent, change
        for other in OTHERS:
            asked = getattr(own, other)
            for percent, mask in self.masks(own.scores[other], keep_mask):
                said = passes.predict(file, mask)
                for yardstick, truth in truths.items():
                    steered = hits(said, asked, wrong_at(asked, truth, kinds), kinds)
                    net = net_hits(made[yardstick, "kept", "none", percent], steered)
                    yield yardstick, f"steered_{other}", "none", percent, steered
                    yield yardstick, f"net_{other}", "none", percent, net

    def _by_level(
        self, passes: Passes, own: Attributions, control: str, removed: dict[tuple, tuple]
    ) -> Iterator[tuple[int, tuple[np.ndarray, np.ndarray]]]:
        """Yield the per cent, and answers and log-probabilities (n, ranks), of `BY_LEVEL`.

        removed: control and per cent -> the same where the top tokens of all ranks together are removed. A
        method with one mask for all ranks need not be read again.
        """
        made = {percent: ([], []) for percent in PERCENTS}
        for i, rank in enumerate(self.file.ranks):
            if np.array_equal(own.scores[rank], own.scores[COMBINED]):
                said = {percent: removed[control, percent] for percent in PERCENTS}
            else:
                masks = self.masks(self._moved(own.scores[rank], control), remove_mask)
                said = {p: passes.read(self.file, mask, own.predicted)[:2] for p, mask in masks}
            for percent, (answers, logs) in said.items():
                made[percent][0].append(answers[:, i])
                made[percent][1].append(logs[:, i])
        for percent, (answers, logs) in made.items():
            yield percent, (np.stack(answers, 1), np.stack(logs, 1))

    def _moved(self, scores: np.ndarray, control: str) -> np.ndarray:
        """Scores as a control moves them, or as they are for "none"."""
        if control == "none":
            return scores
        return CONTROLS[control](scores, self.content, self.file.keys, self.seed)

    def leakage(self, scores: np.ndarray) -> Iterator[tuple[str, str, np.ndarray]]:
        """Yield (measure, control, values float64 (n, ranks)): what the kept tokens tell about the label.

        Each measure of `kept_features` with the control `none`, `label_leakage`, and with `chance`.
        """
        order = ordered(scores, self.content, self.file.keys, self.seed)
        kept = keep_mask(order, self.content, share(LEAK_PERCENT / 100, self.content))
        for measure, features in kept_features(kept, self.content, self.ids).items():
            made = [label_leakage(features, labels, self.seed) for labels in self.file.labels.T]
            told = np.stack([values for values, _ in made], axis=1)
            chance = 1 / np.maximum([classes for _, classes in made], 1)
            yield measure, "none", told
            yield measure, "chance", np.where(np.isnan(told), np.nan, chance)

    def _all(self, method: str) -> Iterator[tuple[list, np.ndarray]]:
        """Yield what the columns of the table say of some values, and these, for all readers."""
        own = self.methods[method]
        for reader in self.readers:
            for *about, values in self.measures(reader, own):
                yield [method, reader, *about], values
        for measure, control, values in self.leakage(own.scores[COMBINED]):
            yield [method, NOBODY, ACCURACY, measure, control, LEAK_PERCENT], values

    def tables(self, explainers: Sequence[str] = ()) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The table, with the columns `COLUMNS`, and the differences of Explainers and other methods.

        value, low, high: the mean over the `n` sequences that count, in per cent, of log-probabilities in
        nats, and its 95 % bootstrap interval. The measures of the reader `none` (see `leakage`): how much
        the kept tokens and their places reveal about the label. Fidelity comes first. See `differences` for
        the second.
        """
        made, compared = [], {}
        with progress("steering", len(self.methods), "methods") as bar:
            for method in self.methods:
                about, values = zip(*self._all(method), strict=True)
                made.append(self._means(about, values))
                for (_, reader, *what), own in zip(about, values, strict=True):
                    if what in ([FIDELITY, m, "none", COMPARED_PERCENT] for m in COMPARED):
                        compared.setdefault((reader, what[1]), {})[method] = own
                bar.update(1)
        table = pd.concat(made, ignore_index=True)
        first = [table["yardstick"].map(YARDSTICKS.index), table["reader"].map(READERS.index)]
        order = np.lexsort(first[::-1])  # stable
        table = table.iloc[order].reset_index(drop=True)
        return table, self.differences(compared, explainers)

    def _means(self, about: Sequence[list], values: Sequence[np.ndarray]) -> pd.DataFrame:
        """The rows of the table; about: the first columns, without the rank, of each of `values`."""
        units = [1 if what[2] == LOG_PROBABILITY else 100 for what in about]
        columns = np.concatenate([u * own for u, own in zip(units, values, strict=True)], axis=1)
        ranks = [[ALL_RANKS] if what[2] == DISTRIBUTION else self.file.ranks for what in about]
        keys = [[*what, rank] for what, own in zip(about, ranks, strict=True) for rank in own]
        return pd.DataFrame(
            [[*key, *row] for key, row in zip(keys, self._summary(columns), strict=True)],
            columns=COLUMNS,
        )

    def _summary(self, columns: np.ndarray) -> Iterator[tuple[float, float, float, int]]:
        """The mean of each column, float (n, columns), its interval, and how many numbers it has."""
        counts = (~np.isnan(columns)).sum(0)
        means = [
            own[~np.isnan(own)].mean() if n else np.nan
            for own, n in zip(columns.T, counts, strict=True)
        ]
        return zip(means, *intervals(columns, self.resamples, self.seed), counts, strict=True)

    def differences(
        self,
        compared: dict[tuple[str, str], dict[str, np.ndarray]],
        explainers: Sequence[str],
    ) -> pd.DataFrame:
        """Each Explainer minus each other method, sequence by sequence, by fidelity.

        Of two Explainers, the first one minus the second.
        compared: reader and measure -> method -> values, float64 (n, ranks). difference, low, high: the
        mean over the `n` sequences that count for both, in points, and its 95 % bootstrap interval over
        these: a paired comparison. The intervals are of one comparison each.
        """
        keys, columns = [], []
        for number, explainer in enumerate(explainers):
            known = explainers[: number + 1]
            for (reader, measure), values in compared.items():
                for rival in (name for name in values if name not in known):
                    about = [explainer, rival, reader, FIDELITY, measure, COMPARED_PERCENT]
                    keys += [[*about, rank] for rank in self.file.ranks]
                    columns.append(100 * (values[explainer] - values[rival]))
        names = [
            "explainer",
            "rival",
            *COLUMNS[1:4],
            "percent",
            "rank",
            "difference",
            *COLUMNS[-3:],
        ]
        whole = np.concatenate(columns, axis=1) if columns else np.zeros((len(self.file), 0))
        rows = [[*key, *row] for key, row in zip(keys, self._summary(whole), strict=True)]
        return pd.DataFrame(rows, columns=names)
