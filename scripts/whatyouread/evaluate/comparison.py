"""Compare all methods and their controls: the classifier's accuracy with top tokens kept or removed."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from whatyouread.data.kinds import SINGLE, capital, score_words
from whatyouread.data.token_files import TokenFile
from whatyouread.masks.choices import OTHERS, THRESHOLD, UNCOUNTED, scored, where_wrong
from whatyouread.masks.controls import CONTROLS
from whatyouread.masks.top_tokens import keep_mask, ordered, remove_mask, share
from whatyouread.methods.files import COMBINED, COSTS, Attributions
from whatyouread.models.inference import Passes
from whatyouread.support.progress import progress
from whatyouread.support.text import markdown_table

PERCENTS = (5, 10, 20, 30, 50)
CURVE = (0, 1, 2, 5, 10, 20, 30, 40, 50, 70, 90, 100)
CURVE_CONTROL = "shifted"
ACTIONS = {"keep": keep_mask, "remove": remove_mask}
SCORE = "score"
"""The column that says, in the first row, what is measured where that is not balanced accuracy."""


class Comparison:
    """Keeps and removes the top tokens of all methods and of their controls.

    explainer: the method whose mask sets the number of tokens for "area".
    """

    def __init__(
        self,
        passes: Passes,
        file: TokenFile,
        methods: dict[str, Attributions],
        seed: int,
        explainer: str,
    ):
        self.passes, self.file, self.methods, self.seed = passes, file, methods, seed
        self.labels, self.content = file.labels, file.batch(np.arange(len(file))).content
        own = methods[explainer].scores[COMBINED]
        self.area = np.maximum(((own > THRESHOLD) & self.content).sum(1), 1)
        self._known: dict[bytes, np.ndarray] = {}

    def counts(self, percent: int | str) -> np.ndarray:
        """The number of tokens to keep or remove in each sequence; "area": as many as the mask keeps."""
        if percent == "area":
            return self.area
        if percent == 0:
            return np.zeros(len(self.file), np.int64)
        return share(percent / 100, self.content)

    def variants(self, method: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """The control's name, the scores and the expected classes for all table rows of a method.

        Masks for another class are judged at the ranks where it is wrong (`choices.wrong_at`).
        """
        scores, file = self.methods[method].scores, self.file
        yield "none", scores[COMBINED], self.labels
        for name, control in CONTROLS.items():
            changed = control(scores[COMBINED], self.content, file.keys, self.seed)
            yield name, changed, self.labels
        for other in OTHERS:
            asked = getattr(self.methods[method], other)
            for name, classes in (("class", self.labels), ("class_steering", asked)):
                yield (
                    f"{other}_{name}",
                    scores[other],
                    where_wrong(classes, asked, self.labels, file.kinds),
                )

    def accuracy(self, order: np.ndarray, percent: int | str, action: str, truth: np.ndarray):
        """The score at each rank (`data.kinds`), in per cent, with the top tokens kept or removed."""
        mask = ACTIONS[action](order, self.content, self.counts(percent))
        key = np.packbits(mask.astype(bool)).tobytes()
        if key not in self._known:  # several rows often share the same top tokens
            self._known[key] = self.passes.predict(self.file, mask)
        predicted = self._known[key]
        return self._scores(truth, predicted)

    def _scores(self, truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
        columns = zip(self.file.ranks, self.file.kinds, truth.T, predicted.T, strict=True)
        return {name: 100 * kind.score(*own) for name, kind, *own in columns}

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The table of methods and controls, and the keep and remove curves in long form."""
        file, rows, curves = self.file, [], []
        plain = self.passes.predict(file, np.ones(self.content.shape, np.float32))
        whole = self._scores(self.labels, plain)
        first = {"method": "unmasked", "control": "none", "sequences": len(file)}
        first |= self._scored(self.labels)
        if not all(kind.alone for kind in file.kinds):
            first[SCORE] = score_words(file.kinds)
        rows.append(first | {f"keep_100_{name}": value for name, value in whole.items()})
        with progress("comparison", len(self.methods), "methods") as bar:
            for method in self.methods:
                for control, scores, truth in self.variants(method):
                    order = ordered(scores, self.content, file.keys, self.seed)
                    row = {"method": method, "control": control, "sequences": len(file)}
                    row |= self._scored(truth)
                    for action in ACTIONS:
                        for percent in (*PERCENTS, "area"):
                            made = self.accuracy(order, percent, action, truth)
                            row |= {f"{action}_{percent}_{n}": v for n, v in made.items()}
                    rows.append(row)
                    if control in ("none", CURVE_CONTROL):
                        curves += self._curves(method, control, order)
                bar.update(1)
        return pd.DataFrame(rows), pd.DataFrame(curves)

    def _scored(self, truth: np.ndarray) -> dict[str, int]:
        """`sequences_RANK`, the sequences that count at each rank, where a label is missing."""
        return scored(truth, self.file.ranks) if UNCOUNTED in self.labels else {}

    def _curves(self, method: str, control: str, order: np.ndarray) -> Iterator[dict]:
        for action in ACTIONS:
            for percent in CURVE:
                about = {"method": method, "control": control, "action": action, "percent": percent}
                for name, value in self.accuracy(order, percent, action, self.labels).items():
                    yield about | {"rank": name, "accuracy": value}


def with_measures(
    table: pd.DataFrame, faithfulness: pd.DataFrame, costs: dict[str, dict], explainer: str
) -> pd.DataFrame:
    """Add each method's faithfulness (mean over the ranks) and cost to the table.

    `times_the_explainer`: seconds per sequence divided by those of the method `explainer`. What of a method
    is not known, as where its scores were given, is NaN.
    """
    overall = faithfulness[faithfulness["rank"].isin(["mean", "combined"])]
    wide = overall.pivot(index="method", columns="metric", values="value")
    wide = wide[list(dict.fromkeys(overall["metric"]))]
    cost = pd.DataFrame.from_dict(costs, orient="index")[list(COSTS)].astype(float)
    cost = cost.rename(columns={"seconds": "seconds_per_sequence"})
    cost["times_the_explainer"] = (
        cost["seconds_per_sequence"] / cost.loc[explainer, "seconds_per_sequence"]
    )
    wide = wide.join(cost, how="outer").rename_axis("method").reset_index()
    return table.merge(wide.assign(control="none"), on=["method", "control"], how="left")


def markdown(table: pd.DataFrame, ranks: list[str], explainer: str, explainers: list[str]) -> str:
    """The comparison as Markdown, with the methods that are ahead of each Explainer.

    explainer: the method that `times_the_explainer` refers to.
    """
    own = table[(table["control"] == "none") & (table["method"] != "unmasked")]
    own = own.set_index("method")
    shifted = table[table["control"] == CURVE_CONTROL].set_index("method")
    whole = table.iloc[0]
    names = [f"sequences_{rank}" for rank in ranks]
    labelled = [f"{whole[name]:,.0f}" for name in names if name in table]
    called = whole.get(SCORE, SINGLE.score_name)

    def cell(row, name: str) -> str:
        return " / ".join(_number(row[f"{name}_{rank}"], ".0f") for rank in ranks)

    measured = ("comprehensiveness", "insertion_auc", "auprc", "auprc_shifted", "base_rate")
    extra = [name for name in measured if name in own]
    heads = ["method", "top 10 % kept", "shifted", "top 10 % removed", "shifted", *extra]
    heads += ["seconds per sequence", f"× {explainer}"]
    rows = [[head.replace("_", " ") for head in heads]]
    for method, row in own.iterrows():
        cells = [method.replace("_", " ")]
        for action in ACTIONS:
            name = f"{action}_10"
            cells += [cell(row, name), cell(shifted.loc[method], name)]
        cells += [_number(row[name], ".3f") for name in extra]
        cells.append(_number(row["seconds_per_sequence"], ".2g"))
        cells.append(_number(row["times_the_explainer"], ".3g"))
        rows.append(cells)
    return "\n".join(
        [
            f"{capital(called)} in per cent ({' / '.join(ranks)}) on {whole['sequences']:,} test",
            "sequences when only the 10 % of tokens with the highest scores are kept, or when they are",
            f"removed; unmasked {cell(whole, 'keep_100')}. Shifted: the same scores moved round the",
            "sequence." + (f" With a label: {' / '.join(labelled)}." if labelled else ""),
            "",
            *markdown_table(rows),
            "",
            *(line for name in explainers for line in verdicts(own, shifted, ranks, name)),
            "",
        ]
    )


def verdicts(
    own: pd.DataFrame, shifted: pd.DataFrame, ranks: list[str], explainer: str
) -> list[str]:
    """Describe in sentences how one Explainer compares; own, shifted: table rows by method.

    A method with a missing number is neither ahead nor not, and is named.
    """

    def mean(row, action: str) -> float:
        return float(np.mean([row[f"{action}_10_{rank}"] for rank in ranks]))

    own_row, moved = own.loc[explainer], shifted.loc[explainer]
    kept = mean(own_row, "keep") - mean(moved, "keep")
    cost = mean(moved, "remove") - mean(own_row, "remove")
    name = explainer.replace("_", " ")
    said = [
        f"- {name}: its top 10 % of tokens keep {_more(kept)} than the same mask shifted, and removing"
        f" them costs {_more(cost)} than removing shifted ones (mean over the ranks)."
    ]
    for action, sign, verb in (("keep", 1, "keeping"), ("remove", -1, "removing")):
        base = mean(own_row, action)
        ahead = {m: sign * (mean(row, action) - base) for m, row in own.iterrows()}
        names = ", ".join(
            f"{m.replace('_', ' ')} ({gain:.1f})"
            for m, gain in sorted(ahead.items(), key=lambda item: -item[1])
            if gain > 0
        )
        unknown = [m.replace("_", " ") for m, gain in ahead.items() if np.isnan(gain)]
        without = f" Without a number: {', '.join(unknown)}." if unknown else ""
        said.append(
            f"  Ahead of {name} by {verb} the top 10 % (points): {names or 'none'}.{without}"
        )
    return said


def _more(points: float) -> str:
    if np.isnan(points):
        return "an unknown number of points more or less"
    return f"{abs(points):.1f} points {'more' if points > 0 else 'less'}"


def _number(value: float, form: str) -> str:
    return "-" if np.isnan(value) else f"{value:{form}}"
