"""Does a mask show what the classifier read, or does it make the classifier say what the mask is for?

A mask that is chosen by a class can pick the few tokens that speak for that class, whatever the
sequence is (Jethani et al. 2021). So the same share of tokens is also kept by masks for classes that
the sequence does not have: how often the classifier then says that class is the steering rate, and
the accuracy of the masks for the predicted classes minus the steering rate is the net accuracy. Of
each rank only the sequences count whose other class is wrong at that rank. A mask that no class has
chosen cannot steer by it. All numbers are shares of the sequences, in per cent.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from whatyouread.attribution_files import COMBINED, Attributions
from whatyouread.bootstrap import interval
from whatyouread.controls import CONTROLS
from whatyouread.leakage import label_leakage, mask_features
from whatyouread.other_classes import OTHERS
from whatyouread.perturbation_runs import Runs
from whatyouread.progress import progress
from whatyouread.top_tokens import keep_mask, ranking, remove_mask, share

PERCENTS = (5, 10, 20, 30)
MOVED = ("shuffled", "shifted", "other_sequence")
"""The controls that keep a mask's values and move them."""
LEAK_PERCENT = 10


def net_hits(right: np.ndarray, steered: np.ndarray) -> np.ndarray:
    """Per sequence: 1 where the true class is said, minus 1 where the other mask has its way.

    right: bool (n, ranks); steered: the same as numbers, NaN where it does not count, as is the
    result then. The mean is the net accuracy.
    """
    return right.astype(np.float64) - steered


class Steering:
    """What the classifier says when top tokens are kept or removed, sequence by sequence."""

    def __init__(self, runs: Runs, methods: dict[str, Attributions], seed: int, resamples: int):
        self.runs, self.methods = runs, methods
        self.seed, self.resamples = seed, resamples
        self.file = runs.file

    def said(self, scores: np.ndarray, action) -> Iterator[np.ndarray]:
        """The classes, int64 (n, ranks), for each of `PERCENTS`; action: of `top_tokens`."""
        lengths = self.file.lengths
        rank = ranking(scores, lengths, self.file.keys, self.seed)
        for percent in PERCENTS:
            yield self.runs.predict(action(rank, lengths, share(percent / 100, lengths)))

    def measures(self, method: str) -> Iterator[tuple[str, str, int, np.ndarray]]:
        """(measure, control, percent, values float (n, ranks)) of one method.

        Measures: `kept` and `removed`, whether the true class is said; `steered_CLASSES`, whether
        masks for other classes have their way; `net_CLASSES`, what remains; `leakage`, what the
        places of the kept tokens alone tell about the label.
        """
        own, labels = self.methods[method], self.file.labels
        kept = [said == labels for said in self.said(own.scores[COMBINED], keep_mask)]
        yield from (("kept", "none", p, hits) for p, hits in zip(PERCENTS, kept, strict=True))
        for percent, said in zip(
            PERCENTS, self.said(own.scores[COMBINED], remove_mask), strict=True
        ):
            yield "removed", "none", percent, said == labels
        for control in MOVED:
            moved = CONTROLS[control](
                own.scores[COMBINED], self.file.lengths, self.file.keys, self.seed
            )
            for measure, action in (("kept", keep_mask), ("removed", remove_mask)):
                for percent, said in zip(PERCENTS, self.said(moved, action), strict=True):
                    yield measure, control, percent, said == labels
        for other in OTHERS:
            asked = getattr(own, other)
            for percent, right, said in zip(
                PERCENTS, kept, self.said(own.scores[other], keep_mask), strict=True
            ):
                # another genus of the same phylum is no wrong phylum
                steered = np.where(asked == labels, np.nan, said == asked)
                yield f"steered_{other}", "none", percent, steered
                yield f"net_{other}", "none", percent, net_hits(right, steered)
        leaked, chance = zip(*self.leakage(own.scores[COMBINED]), strict=True)
        yield "leakage", "none", LEAK_PERCENT, np.stack(leaked, axis=1)
        yield "leakage", "chance", LEAK_PERCENT, np.stack(chance, axis=1)

    def leakage(self, scores: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For each rank `label_leakage` of the kept tokens' places, and what chance gives."""
        lengths = self.file.lengths
        rank = ranking(scores, lengths, self.file.keys, self.seed)
        kept = keep_mask(rank, lengths, share(LEAK_PERCENT / 100, lengths))
        features = mask_features(kept, lengths)
        for labels in self.file.labels.T:
            told, classes = label_leakage(features, labels, self.seed)
            yield told, np.where(np.isnan(told), np.nan, 1 / max(classes, 1))

    def table(self) -> pd.DataFrame:
        """One row per method, measure, control, percent and rank: value, low, high in per cent, n.

        low, high: 95 % bootstrap interval of the mean over the sequences.
        """
        rows = []
        with progress("steering", len(self.methods), "methods") as bar:
            for method in self.methods:
                for measure, control, percent, values in self.measures(method):
                    for rank, hits in zip(self.file.ranks, values.T, strict=True):
                        hits = 100 * hits.astype(np.float64)
                        hits = hits[~np.isnan(hits)]
                        mean = hits.mean() if len(hits) else np.nan
                        low, high = interval(hits, self.resamples, self.seed)
                        rows.append(
                            [method, measure, control, percent, rank, mean, low, high, len(hits)]
                        )
                bar.update(1)
        names = ["method", "measure", "control", "percent", "rank", "value", "low", "high", "n"]
        return pd.DataFrame(rows, columns=names)


TITLES = {
    "kept": "kept",
    "net_wrong": "net, random class",
    "net_runner_up": "net, runner-up",
    "steered_wrong": "steering rate",
    "removed": "removed",
    "leakage": "leakage",
}
LOWER = ("removed",)
RIVALS = ("integrated_gradients", "lime")


def markdown(table: pd.DataFrame, own: str, percent: int = 10) -> str:
    """The methods at one share of tokens, for reading, and where `own` is ahead of its rivals."""
    ranks = list(table["rank"].unique())
    index = ["method", "measure", "control", "percent", "rank"]
    values = table.set_index(index)["value"].sort_index()

    def cell(*key) -> str:
        numbers = [values[(*key, percent, rank)] for rank in ranks]
        return " / ".join("-" if np.isnan(number) else f"{number:.0f}" for number in numbers)

    heads = ["method", *TITLES.values(), "kept, shifted", "removed, shifted"]
    lines = ["| " + " | ".join(heads) + " |", "|" + " --- |" * len(heads)]
    for method in table["method"].unique():
        cells = [method.replace("_", " "), *(cell(method, name, "none") for name in TITLES)]
        cells += [cell(method, name, "shifted") for name in ("kept", "removed")]
        lines.append("| " + " | ".join(cells) + " |")
    chance = cell(own, "leakage", "chance")
    return "\n".join(
        [
            f"Per cent of the {table['n'].max():,} test sequences ({' / '.join(ranks)}) of which the",
            f"classifier says the true class when the top {percent} % of the tokens are kept, or removed.",
            "Steering rate: how often it says a class that the sequence does not have, when the mask was",
            "made for that class; net: kept minus that. Leakage: balanced accuracy of a small classifier",
            f"that sees only the places of the kept tokens; chance is {chance}.",
            "",
            *lines,
            "",
            *verdicts(values, own, ranks),
            "",
        ]
    )


def verdicts(values: pd.Series, own: str, ranks: list[str]) -> list[str]:
    """Sentences: at how many shares and ranks a method is ahead of its rivals, and where it is not.

    values: by method, measure, control, percent and rank.
    """
    said, name = [], own.replace("_", " ")
    for rival in RIVALS:
        if rival not in values.index.get_level_values("method"):
            continue
        for measure in ("kept", "net_wrong", "net_runner_up", "removed"):
            sign = -1 if measure in LOWER else 1
            gains = {
                (percent, rank): sign
                * (
                    values[own, measure, "none", percent, rank]
                    - values[rival, measure, "none", percent, rank]
                )
                for percent in PERCENTS
                for rank in ranks
            }
            behind = [f"{p} % {rank} ({gain:.1f})" for (p, rank), gain in gains.items() if gain < 0]
            said.append(
                f"- {TITLES[measure]}: {name} ahead of or level with {rival.replace('_', ' ')} at"
                f" {len(gains) - len(behind)} of {len(gains)} points"
                + (f"; behind at {', '.join(behind)}." if behind else ".")
            )
    return said
