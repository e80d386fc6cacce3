"""Every method with every control: what the classifier still says when top tokens are kept or removed."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from whatyouread.attribution_files import COMBINED, Attributions
from whatyouread.controls import CONTROLS
from whatyouread.mask_files import THRESHOLD
from whatyouread.metrics import balanced_accuracy
from whatyouread.other_classes import OTHERS
from whatyouread.perturbation_runs import Runs
from whatyouread.progress import progress
from whatyouread.top_tokens import keep_mask, ranking, remove_mask, share, token_places

PERCENTS = (5, 10, 20, 30, 50)
CURVE = (0, 1, 2, 5, 10, 20, 30, 40, 50, 70, 90, 100)
CURVE_CONTROL = "shifted"
ACTIONS = {"keep": keep_mask, "remove": remove_mask}
COSTS = ("forward_passes", "backward_passes", "seconds")


class Comparison:
    """Keeps and removes the top tokens of all methods, and of their controls."""

    def __init__(self, runs: Runs, methods: dict[str, Attributions], seed: int):
        self.runs, self.methods, self.seed = runs, methods, seed
        self.labels = runs.file.labels
        own = methods["explainer"].scores[COMBINED]
        inside = token_places(runs.file.lengths, own.shape[1])
        self.area = np.maximum(((own > THRESHOLD) & inside).sum(1), 1)
        self._known: dict[bytes, np.ndarray] = {}

    def counts(self, percent: int | str) -> np.ndarray:
        """Tokens to keep or remove in each sequence; "area": as many as the Explainer's mask keeps."""
        lengths = self.runs.file.lengths
        if percent == "area":
            return self.area
        return np.zeros_like(lengths) if percent == 0 else share(percent / 100, lengths)

    def variants(self, method: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
        """Name of the control, scores, and the classes that are asked for, of all rows of a method."""
        scores, file = self.methods[method].scores, self.runs.file
        yield "none", scores[COMBINED], self.labels
        for name, control in CONTROLS.items():
            changed = control(scores[COMBINED], file.lengths, file.keys, self.seed)
            yield name, changed, self.labels
        for other in OTHERS:
            yield f"{other}_class", scores[other], self.labels
            yield f"{other}_class_steering", scores[other], getattr(self.methods[method], other)

    def accuracy(self, rank: np.ndarray, percent: int | str, action: str, truth: np.ndarray):
        """Balanced accuracy in per cent of each rank, when top tokens are kept or removed."""
        mask = ACTIONS[action](rank, self.runs.file.lengths, self.counts(percent))
        key = np.packbits(mask.astype(bool)).tobytes()
        if key not in self._known:  # the same tokens are often the top of several rows
            self._known[key] = self.runs.predict(mask)
        predicted = self._known[key]
        return {
            name: 100 * balanced_accuracy(truth[:, i], predicted[:, i])
            for i, name in enumerate(self.runs.file.ranks)
        }

    def tables(self) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The table of methods and controls, and the curves of keeping and removing, in long form."""
        file, rows, curves = self.runs.file, [], []
        plain = self.runs.predict(np.ones((len(file), int(file.lengths.max())), np.float32))
        whole = {
            name: 100 * balanced_accuracy(self.labels[:, i], plain[:, i])
            for i, name in enumerate(file.ranks)
        }
        first = {"method": "unmasked", "control": "none", "sequences": len(file)}
        rows.append(first | {f"keep_100_{name}": value for name, value in whole.items()})
        with progress("comparison", len(self.methods), "methods") as bar:
            for method in self.methods:
                for control, scores, truth in self.variants(method):
                    rank = ranking(scores, file.lengths, file.keys, self.seed)
                    row = {"method": method, "control": control, "sequences": len(file)}
                    for action in ACTIONS:
                        for percent in (*PERCENTS, "area"):
                            made = self.accuracy(rank, percent, action, truth)
                            row |= {f"{action}_{percent}_{n}": v for n, v in made.items()}
                    rows.append(row)
                    if control in ("none", CURVE_CONTROL):
                        curves += self._curves(method, control, rank)
                bar.update(1)
        return pd.DataFrame(rows), pd.DataFrame(curves)

    def _curves(self, method: str, control: str, rank: np.ndarray) -> Iterator[dict]:
        for action in ACTIONS:
            for percent in CURVE:
                about = {"method": method, "control": control, "action": action, "percent": percent}
                for name, value in self.accuracy(rank, percent, action, self.labels).items():
                    yield about | {"rank": name, "accuracy": value}


def with_measures(
    table: pd.DataFrame, faithfulness: pd.DataFrame, costs: dict[str, dict]
) -> pd.DataFrame:
    """The table with the faithfulness, mean over the ranks, and the cost of each method itself.

    `times_the_explainer`: seconds per sequence as a multiple of the Explainer's.
    """
    overall = faithfulness[faithfulness["rank"].isin(["mean", "combined"])]
    wide = overall.pivot(index="method", columns="metric", values="value")
    wide = wide[list(dict.fromkeys(overall["metric"]))]
    cost = pd.DataFrame.from_dict(costs, orient="index")[list(COSTS)]
    cost = cost.rename(columns={"seconds": "seconds_per_sequence"})
    cost["times_the_explainer"] = (
        cost["seconds_per_sequence"] / cost.loc["explainer", "seconds_per_sequence"]
    )
    wide = wide.join(cost, how="outer").rename_axis("method").reset_index()
    return table.merge(wide.assign(control="none"), on=["method", "control"], how="left")


def markdown(table: pd.DataFrame, ranks: list[str]) -> str:
    """The comparison for reading, and which methods do better than the Explainer."""
    own = table[(table["control"] == "none") & (table["method"] != "unmasked")]
    own = own.set_index("method")
    shifted = table[table["control"] == CURVE_CONTROL].set_index("method")
    whole = table.iloc[0]

    def cell(row, name: str) -> str:
        return " / ".join(f"{row[f'{name}_{rank}']:.0f}" for rank in ranks)

    extra = [name for name in ("comprehensiveness", "insertion_auc", "auprc") if name in own]
    heads = ["method", "top 10 % kept", "shifted", "top 10 % removed", "shifted", *extra]
    heads += ["seconds per sequence", "× the Explainer"]
    lines = ["| " + " | ".join(head.replace("_", " ") for head in heads) + " |"]
    lines.append("|" + " --- |" * len(heads))
    for method, row in own.iterrows():
        cells = [method.replace("_", " ")]
        for action in ACTIONS:
            name = f"{action}_10"
            cells += [cell(row, name), cell(shifted.loc[method], name)]
        cells += [f"{row[name]:.3f}" for name in extra]
        cells += [f"{row['seconds_per_sequence']:.2g}", f"{row['times_the_explainer']:.3g}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(
        [
            f"Balanced accuracy in per cent ({' / '.join(ranks)}) on {whole['sequences']:,} test",
            "sequences when only the 10 % of tokens with the highest scores are kept, or when they are",
            f"removed; unmasked {cell(whole, 'keep_100')}. Shifted: the same scores moved round the",
            "sequence.",
            "",
            *lines,
            "",
            *verdicts(own, shifted, ranks),
            "",
        ]
    )


def verdicts(own: pd.DataFrame, shifted: pd.DataFrame, ranks: list[str]) -> list[str]:
    """What the numbers say about the Explainer, in sentences; own, shifted: by method."""

    def mean(row, action: str) -> float:
        return float(np.mean([row[f"{action}_10_{rank}"] for rank in ranks]))

    own_row, moved = own.loc["explainer"], shifted.loc["explainer"]
    kept = mean(own_row, "keep") - mean(moved, "keep")
    cost = mean(moved, "remove") - mean(own_row, "remove")
    said = [
        f"Mean over the ranks, the Explainer's top 10 % of tokens keep {_more(kept)} than the same "
        f"mask shifted, and removing them costs {_more(cost)} than removing shifted ones."
    ]
    for action, sign, verb in (("keep", 1, "keeping"), ("remove", -1, "removing")):
        base = mean(own.loc["explainer"], action)
        better = {m: sign * (mean(row, action) - base) for m, row in own.iterrows()}
        better = {m: gain for m, gain in better.items() if gain > 0}
        names = ", ".join(
            f"{m.replace('_', ' ')} ({gain:.1f} points)"
            for m, gain in sorted(better.items(), key=lambda item: -item[1])
        )
        said.append(
            f"By {verb} the top 10 %, these explain better than the Explainer: {names}."
            if better
            else f"By {verb} the top 10 %, no method explains better than the Explainer."
        )
    return said


def _more(points: float) -> str:
    return f"{abs(points):.1f} points {'more' if points > 0 else 'less'}"
