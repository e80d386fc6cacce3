"""Kept, removed and net of steering as Markdown: fidelity first, the classifier beside the judge."""

import textwrap
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from whatyouread.evaluate.leakage import LEAKAGE, LEARNED_ALONG, UNORDERED
from whatyouread.evaluate.steering import (
    ACCURACY,
    ACTIONS,
    ALL_RANKS,
    BY_LEVEL,
    CLASSIFIER,
    COMPARED,
    COMPARED_PERCENT,
    DISTRIBUTION,
    FIDELITY,
    JUDGE,
    LOG_PROBABILITY,
    NOBODY,
    PERCENTS,
    SET_APART,
    WHOLE,
)
from whatyouread.support.text import markdown_table

WIDTH = 108
TITLES = {
    "kept": "kept",
    "net_wrong": "net, random class",
    "net_runner_up": "net, runner-up",
    "removed": "removed",
    BY_LEVEL: "removed, level by level",
    "steered_wrong": "random class",
    "steered_runner_up": "runner-up",
    LEAKAGE: "leakage",
    UNORDERED: "unordered",
    LEARNED_ALONG: "learned along",
    "distance_kept": "kept",
    "distance_removed": "removed",
}
LOWER = ("removed", BY_LEVEL)
SHARES = (
    ("kept", "none"), ("kept", "shifted"), ("net_wrong", "none"), ("net_runner_up", "none"),
    ("removed", "none"), ("removed", "shifted"), (BY_LEVEL, "none"),
)  # fmt: skip
"""Measures and controls in the tables of fidelity and accuracy."""
NAMED, SHOWN = 3, 24
"""How many methods ahead of an Explainer are named, and how many pairs of methods are shown."""
INDEX = ["method", "reader", "yardstick", "measure", "control", "percent", "rank"]


def markdown(
    table: pd.DataFrame,
    differences: pd.DataFrame,
    explainers: Sequence[str],
    percent: int = COMPARED_PERCENT,
) -> str:
    """The methods at one share of tokens as Markdown; table, differences: of `Steering.tables`."""
    made = _Tables(table, percent)
    judged, values, ranks = JUDGE in made.readers, made.values, made.ranks
    first, names = explainers[0], " / ".join(ranks)
    whole = {reader: made.cell(first, reader, FIDELITY, WHOLE, 100) for reader in made.readers}
    right = [
        f"the {reader} {made.cell(first, reader, ACCURACY, WHOLE, 100)}" for reader in made.readers
    ]
    judge = (
        " The judge is a copy of the classifier that was trained on masked sequences, and reads the same"
        " masks; of the whole sequences it says what the classifier says in"
        f" {whole[JUDGE]} %."
        if judged
        else ""
    )
    moved = " Shifted: the same scores moved along the sequence; tokens tell something only beyond that."
    by_level = (
        " Level by level: each rank is asked without the top tokens for the class of this rank, where removed"
        " has one set for the classes of all ranks."
        if len(ranks) > 1
        else ""
    )
    chance = made.cell(first, NOBODY, ACCURACY, LEAKAGE, control="chance")
    lines = [
        "# What masks show, net of what they make the classifier say",
        "",
        *_paragraph(
            f"Fidelity: per cent of the {table['n'].max():,} test sequences ({names}) of which"
            f" {'each reader' if judged else 'the classifier'} says what the classifier says of the whole"
            f" sequence, with the top {percent} % of the tokens only (kept: more is better), or all others"
            " (removed: less is better). Net: kept minus how often another class is said when the mask was"
            f" made for that class, a random one or the runner-up.{by_level}{moved}{judge}"
        ),
        "",
        *made.side_by_side(FIDELITY, SHARES),
        "",
        *verdicts(values, explainers, ranks),
        "",
        *difference_lines(differences, ranks),
        "## Change of the log-probability",
        "",
        *_paragraph(
            "By how much the log-probability (nats) of the class that the classifier predicts of the whole"
            " sequence is above that for the whole sequence, on average. Kept: more is better; removed:"
            " less is better."
        ),
        "",
        *made.side_by_side(LOG_PROBABILITY, [pair for pair in SHARES if "net" not in pair[0]]),
        "",
        "## Accuracy",
        "",
        *_paragraph(
            "The same as fidelity, but against the labels, of the sequences that have one: a mask that makes"
            " the classifier more often right has not explained it thereby. Whole sequences, per cent:"
            f" {', '.join(right)}."
        ),
        "",
        *made.side_by_side(ACCURACY, SHARES),
        "",
        "## Steering and leakage",
        "",
        *_paragraph(
            "Steering rate: how often (%) a class is said that the classifier does not say of the whole"
            " sequence, when the mask was made for that class. Leakage: balanced accuracy of a small"
            " classifier, trained on the masks of other sequences, that sees only the places of the kept"
            f" tokens; chance is {chance}. Unordered: the same of one that sees which tokens are kept, but no"
            " place and no order: whether the tokens alone tell the class. Learned along: of one that sees"
            " both, as a predictor does that is trained together with the masks. A mask with high leakage"
            " that is near chance unordered encodes the class by its places, and what is learned along"
            " rewards it nevertheless. Classes with fewer than 5 of the sequences do not count; with few"
            " sequences all three are too low."
        ),
        "",
        *made.steering(),
        "",
        "## Distance from whole sequences",
        "",
        *_paragraph(
            "How far a masked sequence lies from what a reader knows: per cent of the whole sequences whose"
            " pooled state is less far from the closest class (Mahalanobis distance; Lee et al. 2018), on"
            " average. A typical whole sequence has 50, and 100 is farther out than all of them: what the"
            " reader says there may be an answer to the masking. Low numbers prove nothing: what is left of a"
            " sequence may lie between the classes."
            + (" The judge has states of its own, which need not be closer." if judged else "")
        ),
        "",
        *made.distances(),
        "",
    ]
    return "\n".join(lines)


class _Tables:
    """Tables with a row for each method, at one share of the tokens."""

    def __init__(self, table: pd.DataFrame, percent: int):
        self.methods = table["method"].unique()
        # by the yardstick, because a rank may have any name
        self.ranks = list(table.loc[table["yardstick"] == FIDELITY, "rank"].unique())
        self.readers = [one for one in (CLASSIFIER, JUDGE) if (table["reader"] == one).any()]
        self.measures = set(table["measure"])
        self.values = table.set_index(INDEX)["value"].sort_index()
        self.percent = percent

    def cell(self, method, reader, yardstick, measure, percent=None, control="none") -> str:
        key = (method, reader, yardstick, measure, control, percent or self.percent)
        form = "z.2f" if yardstick == LOG_PROBABILITY else "z.0f"
        ranks = [ALL_RANKS] if yardstick == DISTRIBUTION else self.ranks
        return _joined([self.values[(*key, rank)] for rank in ranks], form)

    def side_by_side(
        self, yardstick: str, measures: Sequence[tuple[str, str]], further: Sequence[str] = ()
    ) -> list[str]:
        """measures: with their controls. further: measures without a reader, the last columns."""
        heads = ["method"]
        measures = [one for one in measures if one[0] in self.measures]
        for measure, control in measures:
            title = TITLES[measure] + ("" if control == "none" else f", {control}")
            heads += [title, *("judge" for _ in self.readers[1:])]
        heads += map(TITLES.get, further)
        rows = [heads]
        for method in self.methods:
            cells = [
                self.cell(method, reader, yardstick, measure, control=control)
                for measure, control in measures
                for reader in self.readers
            ]
            cells += [self.cell(method, NOBODY, ACCURACY, measure) for measure in further]
            rows.append([_spaced(method), *cells])
        return markdown_table(rows)

    def steering(self) -> list[str]:
        rates = [("steered_wrong", "none"), ("steered_runner_up", "none")]
        return self.side_by_side(FIDELITY, rates, [LEAKAGE, UNORDERED, LEARNED_ALONG])

    def distances(self) -> list[str]:
        measures = [(f"distance_{action}", one) for action in ACTIONS for one in SET_APART]
        return self.side_by_side(DISTRIBUTION, measures)


def verdicts(values: pd.Series, explainers: Sequence[str], ranks: Sequence[str]) -> list[str]:
    """Sentences per Explainer, measure and reader: which methods are ahead by fidelity, how often, how far.

    values: indexed by `INDEX`. A point is one share of tokens at one rank; those where either has no
    number, as where no class is wrong, count neither for nor against.
    """
    methods = values.index.get_level_values("method").unique()
    known = set(values.index.get_level_values("reader"))
    readers = [one for one in (CLASSIFIER, JUDGE) if one in known]
    points = [(percent, rank) for percent in PERCENTS for rank in ranks]

    def numbers(method: str, reader: str, measure: str) -> np.ndarray:
        key = (method, reader, FIDELITY, measure, "none")
        return np.array([values[(*key, *point)] for point in points])

    said = _paragraph(
        "Which other methods are ahead of an Explainer by fidelity: at how many of the points where both"
        f" have a number (of {len(points)}: {', '.join(map(str, PERCENTS))} % of the tokens, each rank),"
        " and by how much at most."
    )
    said.append("")
    there = set(values.index.get_level_values("measure"))
    for explainer in explainers:
        for measure in (one for one in COMPARED if one in there):
            for reader in readers:
                sign = -1 if measure in LOWER else 1
                ahead, compared = [], []
                for other in methods.drop(explainer):
                    gains = [numbers(one, reader, measure) for one in (other, explainer)]
                    gains = sign * (gains[0] - gains[1])
                    gains = gains[~np.isnan(gains)]
                    compared.append(len(gains))
                    if often := int((gains > 0).sum()):
                        ahead.append((often, gains.max(), len(gains), _spaced(other)))
                names = [
                    f"{name} ({often} of {of}, by {most:.1f})"
                    for often, most, of, name in sorted(ahead)[::-1]
                ]
                if len(names) > NAMED:
                    names[NAMED:] = [f"{len(names) - NAMED} more"]
                none = "none" if any(compared) or not compared else "no point has a number"
                if 0 < min(compared, default=0) < len(points):
                    none += f" (of {min(compared)} points)"
                about = f"{_spaced(explainer)}, {TITLES[measure]}"
                about += f", {reader}" if len(readers) > 1 else ""
                said.append(f"- {about}: {', '.join(names) or none}.")
    return said


def difference_lines(differences: pd.DataFrame, ranks: Sequence[str]) -> Iterator[str]:
    """What Explainers have beyond other methods, as Markdown; differences: of `Steering.tables`."""
    if differences.empty:
        return
    keys = ["explainer", "rival", "reader"]
    readers, compared = differences["reader"].nunique(), differences["measure"].unique()
    rows = [
        ["Explainer", "other method", *(["reader"] * (readers > 1)), *map(TITLES.get, compared)]
    ]
    size = differences["difference"].abs().groupby([differences[key] for key in keys], sort=False)
    near = size.mean().nsmallest(SHOWN).index
    for (explainer, rival, reader), own in differences.groupby(keys, sort=False):
        if (explainer, rival, reader) not in near:
            continue
        own = own.set_index(["measure", "rank"])
        cells = [" / ".join(_difference(own.loc[(m, r)]) for r in ranks) for m in compared]
        named = [_spaced(explainer), _spaced(rival), *([reader] * (readers > 1))]
        rows.append([*named, *cells])
    sure = int(((differences["low"] > 0) | (differences["high"] < 0)).sum())
    count = int(differences["difference"].notna().sum())
    yield from _paragraph(
        f"The Explainer minus the other method at {COMPARED_PERCENT} % of the tokens by fidelity (points),"
        " sequence by sequence, with 95 % bootstrap intervals of the mean over the sequences: above 0 the"
        " Explainer is better, for removed below 0. Each interval is for one comparison. There are"
        f" {count:,}; {sure:,} of their intervals leave 0 out, and about {0.05 * count:.0f} would do so if"
        " no method differed."
        + (
            f" Of {len(size):,} pairs, these {SHOWN} are the closest; `steering_differences.tsv` has all."
            if len(size) > SHOWN
            else ""
        )
    )
    yield from ["", *markdown_table(rows), ""]


def _difference(row: pd.Series) -> str:
    if np.isnan(row["difference"]):
        return "-"
    number, low, high = (f"{row[name]:+z.0f}" for name in ("difference", "low", "high"))
    return number if np.isnan(row["low"]) else f"{number} ({low} to {high})"


def _joined(numbers: Sequence[float], form: str) -> str:
    return " / ".join("-" if np.isnan(number) else f"{number:{form}}" for number in numbers)


def _spaced(method: str) -> str:
    return method.replace("_", " ")


def _paragraph(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_on_hyphens=False)
