"""Does a mask show what the classifier reads, or does it steer the classifier to the mask's class?

A mask made for a class can pick the few tokens that speak for that class in any sequence (Jethani et
al. 2021). To detect this, masks are also made for classes that the sequence does not have, with the same
share of kept tokens. The steering rate is how often the classifier then predicts such a class. The net
accuracy is the accuracy with masks for the predicted classes, minus the steering rate. At each rank,
only sequences whose other class is wrong at that rank count (`choices.wrong_at`), and of all measures
only sequences with a label there. A mask that does not depend on a class cannot steer. All numbers are
shares of the sequences, in per cent. Where a sequence has a set of classes, a share is the mean F1 of the
set that the classifier says and the one that is asked for, and for leakage each set is a class.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd

from whatyouread.data.kinds import Single, all_single
from whatyouread.data.token_files import TokenFile
from whatyouread.evaluate.leakage import label_leakage, mask_features
from whatyouread.masks.choices import OTHERS, UNCOUNTED, wrong_at
from whatyouread.masks.controls import CONTROLS
from whatyouread.masks.top_tokens import keep_mask, ordered, remove_mask, share
from whatyouread.methods.files import COMBINED, Attributions
from whatyouread.models.inference import Passes
from whatyouread.support.progress import progress
from whatyouread.support.statistics import interval
from whatyouread.support.text import markdown_table

PERCENTS = (5, 10, 20, 30)
MOVED = ("shuffled", "shifted", "other_sequence")
"""The controls that keep a mask's values but move them."""
LEAK_PERCENT = 10


def hits(
    said: np.ndarray,
    asked: np.ndarray,
    counted: np.ndarray | None = None,
    kinds: Sequence[Single] | None = None,
) -> np.ndarray:
    """Whether the classifier says what is asked for, 1 or 0, NaN where that does not count, (n, ranks).

    Returns float64. said, asked: int64 (n, ranks), labels or other classes, whose meaning `kinds` says
    (`data.kinds`): of sets of classes it is their F1, between 0 and 1. counted: bool (n, ranks); by
    default where no label is missing.
    """
    counted = asked != UNCOUNTED if counted is None else counted
    kinds = all_single(range(asked.shape[1])) if kinds is None else kinds
    columns = zip(kinds, said.T, asked.T, strict=True)
    agreed = [kind.agreement(own, wanted) for kind, own, wanted in columns]
    return np.where(counted, np.stack(agreed, 1), np.nan)


def net_hits(right: np.ndarray, steered: np.ndarray) -> np.ndarray:
    """Per sequence: 1 if the classifier predicts the true class, minus 1 if another mask steers it.

    right: of `hits`; steered: float (n, ranks), 1 if the classifier predicts the class of the other mask.
    NaN in either if the sequence does not count; the result is then NaN too. Its mean is the net accuracy.
    """
    return right - steered


class Steering:
    """Classifies each sequence with its top tokens kept or removed, and measures steering."""

    def __init__(
        self,
        passes: Passes,
        file: TokenFile,
        methods: dict[str, Attributions],
        seed: int,
        resamples: int,
    ):
        self.passes, self.file, self.methods = passes, file, methods
        self.seed, self.resamples = seed, resamples
        self.content = file.batch(np.arange(len(file))).content

    def said(self, scores: np.ndarray, action) -> Iterator[np.ndarray]:
        """Yield the predicted classes, int64 (n, ranks), for each of `PERCENTS`.

        action: the function of `top_tokens` that makes the mask.
        """
        order = ordered(scores, self.content, self.file.keys, self.seed)
        for percent in PERCENTS:
            mask = action(order, self.content, share(percent / 100, self.content))
            yield self.passes.predict(self.file, mask)

    def measures(self, method: str) -> Iterator[tuple[str, str, int, np.ndarray]]:
        """Yield (measure, control, percent, values float (n, ranks)) for one method.

        Measures: `kept` and `removed`, whether the classifier predicts the true class;
        `steered_CLASSES`, whether it predicts the class of another mask; `net_CLASSES`, the difference;
        `leakage`, how much the places of the kept tokens alone reveal about the label.
        """
        own, labels = self.methods[method], self.file.labels
        right = partial(hits, asked=labels, kinds=self.file.kinds)
        kept = [right(said) for said in self.said(own.scores[COMBINED], keep_mask)]
        yield from (("kept", "none", p, values) for p, values in zip(PERCENTS, kept, strict=True))
        for percent, said in zip(
            PERCENTS, self.said(own.scores[COMBINED], remove_mask), strict=True
        ):
            yield "removed", "none", percent, right(said)
        for control in MOVED:
            moved = CONTROLS[control](own.scores[COMBINED], self.content, self.file.keys, self.seed)
            for measure, action in (("kept", keep_mask), ("removed", remove_mask)):
                for percent, said in zip(PERCENTS, self.said(moved, action), strict=True):
                    yield measure, control, percent, right(said)
        for other in OTHERS:
            asked = getattr(own, other)
            counted = wrong_at(asked, labels, self.file.kinds)
            for percent, values, said in zip(
                PERCENTS, kept, self.said(own.scores[other], keep_mask), strict=True
            ):
                steered = hits(said, asked, counted, self.file.kinds)
                yield f"steered_{other}", "none", percent, steered
                yield f"net_{other}", "none", percent, net_hits(values, steered)
        leaked, chance = zip(*self.leakage(own.scores[COMBINED]), strict=True)
        yield "leakage", "none", LEAK_PERCENT, np.stack(leaked, axis=1)
        yield "leakage", "chance", LEAK_PERCENT, np.stack(chance, axis=1)

    def leakage(self, scores: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield `label_leakage` of the kept tokens' places, and the chance level, for each rank."""
        order = ordered(scores, self.content, self.file.keys, self.seed)
        kept = keep_mask(order, self.content, share(LEAK_PERCENT / 100, self.content))
        features = mask_features(kept, self.content)
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
                    for rank, own in zip(self.file.ranks, values.T, strict=True):
                        own = 100 * own[~np.isnan(own)]
                        mean = own.mean() if len(own) else np.nan
                        low, high = interval(own, self.resamples, self.seed)
                        rows.append(
                            [method, measure, control, percent, rank, mean, low, high, len(own)]
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
JUDGED = ("kept", "net_wrong", "net_runner_up", "removed")


def markdown(table: pd.DataFrame, explainers: list[str], percent: int = 10) -> str:
    """The methods at one share of tokens as Markdown, with those that are ahead of each Explainer."""
    ranks = list(table["rank"].unique())
    index = ["method", "measure", "control", "percent", "rank"]
    values = table.set_index(index)["value"].sort_index()

    def cell(*key) -> str:
        numbers = [values[(*key, percent, rank)] for rank in ranks]
        return " / ".join("-" if np.isnan(number) else f"{number:.0f}" for number in numbers)

    heads = ["method", *TITLES.values(), "kept, shifted", "removed, shifted"]
    rows = [heads]
    for method in table["method"].unique():
        cells = [method.replace("_", " "), *(cell(method, name, "none") for name in TITLES)]
        cells += [cell(method, name, "shifted") for name in ("kept", "removed")]
        rows.append(cells)
    chance = cell(explainers[0], "leakage", "chance")
    return "\n".join(
        [
            f"Per cent of the {table['n'].max():,} test sequences ({' / '.join(ranks)}) of which the",
            f"classifier says the true class when the top {percent} % of the tokens are kept, or removed.",
            "Steering rate: how often it says a class that the sequence does not have, when the mask was",
            "made for that class; net: kept minus that. Leakage: balanced accuracy of a small classifier",
            f"that sees only the places of the kept tokens; chance is {chance}.",
            "",
            *markdown_table(rows),
            "",
            *verdicts(values, explainers, ranks),
            "",
        ]
    )


def verdicts(values: pd.Series, explainers: list[str], ranks: list[str]) -> list[str]:
    """Sentences per Explainer and measure: which methods are ahead, how often, and by how much.

    values: indexed by method, measure, control, percent and rank. A point is one share of tokens at one
    rank; those where either has no number, as where no class is wrong, count neither for nor against.
    Explainers are not compared with one another.
    """
    methods = values.index.get_level_values("method").unique()
    points = [(percent, rank) for percent in PERCENTS for rank in ranks]

    def numbers(method: str, measure: str) -> np.ndarray:
        return np.array([values[method, measure, "none", p, rank] for p, rank in points])

    said = [
        "Which other methods are ahead of an Explainer: at how many of the points where both have a"
        f" number (of {len(points)}: {', '.join(map(str, PERCENTS))} % of the tokens, each rank), and by"
        " how much at most.",
        "",
    ]
    for explainer in explainers:
        for measure in JUDGED:
            sign = -1 if measure in LOWER else 1
            ahead, compared = [], []
            for other in methods.drop(explainers):
                gains = sign * (numbers(other, measure) - numbers(explainer, measure))
                gains = gains[~np.isnan(gains)]
                compared.append(len(gains))
                if often := int((gains > 0).sum()):
                    ahead.append((often, gains.max(), len(gains), other.replace("_", " ")))
            names = [
                f"{name} ({often} of {of}, by {most:.1f})"
                for often, most, of, name in sorted(ahead)[::-1]
            ]
            none = "none" if any(compared) or not compared else "no point has a number"
            if 0 < min(compared, default=0) < len(points):
                none += f" (of {min(compared)} points)"
            about = f"{explainer.replace('_', ' ')}, {TITLES[measure]}"
            said.append(f"- {about}: {', '.join(names) or none}.")
    return said
