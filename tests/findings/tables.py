"""The tables of FINDINGS.md from the results of a run: every method, its controls, what it costs."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

from whatyouread.data.token_files import TokenFile
from whatyouread.evaluate.leakage import LEAKAGE, LEARNED_ALONG, UNORDERED
from whatyouread.evaluate.steering import (
    FIDELITY,
    LEAK_PERCENT,
    NOBODY,
    PERCENTS,
    READERS,
    hits,
)
from whatyouread.evaluate.steering_table import SHARES
from whatyouread.explainers.gate import smoothed
from whatyouread.masks.chunks import find_chunks
from whatyouread.masks.top_tokens import keep_mask, ordered, share
from whatyouread.methods.files import COMBINED, read_attributions
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.inference import Passes
from whatyouread.models.saving import load_model
from whatyouread.support.text import markdown_table

SMOOTHING = (1, 3, 5, 7, 9, 11)
AREA = 0.3


def text(run: Path) -> str:
    """All tables of a run, as Markdown."""
    steering = pd.read_csv(run / "results/steering.tsv", sep="\t")
    methods = list(steering["method"].unique())
    sections = {
        f"{reader}, {percent} % of the tokens, fidelity": fidelity(
            steering, methods, reader, percent
        )
        for reader in ("classifier", "judge")
        if (steering["reader"] == reader).any()
        for percent in PERCENTS
    }
    title = f"What small classifiers tell of the label, and distances, at {LEAK_PERCENT} %"
    sections[title] = given_away(steering, methods)
    if (known := run / "results/evidence.tsv").exists():
        sections["Known positions"] = positions(pd.read_csv(known, sep="\t"), methods)
    sections["Seconds for a sequence"] = costs(run, methods)
    sections[f"Runs for 250 tokens, and kept, at {100 * AREA:.0f} %"] = runs(run, methods)
    made = [f"## {title}\n\n" + "\n".join(markdown_table(rows)) for title, rows in sections.items()]
    return "\n\n".join(made) + "\n"


def length(run: Path) -> str:
    """Table 1 of each Explainer, that of its shifted masks in brackets, as Markdown."""
    columns, conditions = {}, []
    for name in yaml.safe_load((run / "config.yaml").read_text())["explainers"]:
        folder = run / "results/explainers" / name
        table = pd.read_csv(folder / "table1.tsv", sep="\t").set_index("condition")
        ranks = [key.removeprefix("paper_") for key in table if key.startswith("paper_")]
        controls = pd.read_csv(folder / "controls.tsv", sep="\t")
        shifted = controls[(controls["classes"] == "labels") & (controls["control"] == "shifted")]
        moved = dict(_cells(shifted.set_index("condition")[ranks]))
        columns[named(name)] = [
            f"{cell} ({moved[condition]})" if condition in moved else cell
            for condition, cell in _cells(table[ranks])
        ]
        conditions = [condition.replace("_", " ") for condition in table.index]
    rows = [["", *columns], *map(list, zip(conditions, *columns.values(), strict=True))]
    return "\n".join(markdown_table(rows)) + "\n"


def _cells(table: pd.DataFrame) -> Iterator[tuple[str, str]]:
    for condition, *values in table.itertuples(name=None):
        yield condition, " / ".join(f"{value:.0f}" for value in values)


def fidelity(table: pd.DataFrame, methods: list[str], reader: str, percent: int) -> list[list[str]]:
    """A row for each method: per cent at each rank, and at the lowest one its interval."""
    own = table[(table["yardstick"] == FIDELITY) & (table["percent"] == percent)]
    own = own[own["reader"] == reader].set_index(["method", "measure", "control"])
    there = own.index.unique("measure")
    shares = [(measure, control) for measure, control in SHARES if measure in there]
    rows = [["method", *(f"{m}, {c}" if c != "none" else m for m, c in shares)]]
    for method in methods:
        cells = []
        for measure, control in shares:
            found = own.loc[[(method, measure, control)]]
            low, high = found["low"].iloc[-1], found["high"].iloc[-1]
            cells.append(
                " / ".join(f"{x:.0f}" for x in found["value"]) + f" ({low:.0f}-{high:.0f})"
            )
        rows.append([named(method), *cells])
    return rows


def given_away(table: pd.DataFrame, methods: list[str]) -> list[list[str]]:
    """Balanced accuracies by places, by tokens and by both; how far out kept and removed tokens lie."""
    own = table[table["percent"] == LEAK_PERCENT].set_index(
        ["method", "reader", "measure", "control"]
    )
    chance = own.loc[[(methods[0], NOBODY, LEAKAGE, "chance")], "value"]
    readers = [
        reader for reader in READERS if (table["reader"] == reader).any() and reader != NOBODY
    ]
    asked = [(NOBODY, measure) for measure in (LEAKAGE, UNORDERED, LEARNED_ALONG)]
    asked += [(r, f"distance_{action}") for r in readers for action in ("kept", "removed")]
    rows = [["method", *(m if r == NOBODY else f"{m}, {r}" for r, m in asked)]]
    for method in methods:
        cells = [own.loc[[(method, *one, "none")], "value"] for one in asked]
        rows.append([named(method), *(" / ".join(f"{x:.0f}" for x in cell) for cell in cells)])
    return [*rows, ["chance", " / ".join(f"{x:.0f}" for x in chance), *[""] * (len(asked) - 1)]]


def positions(table: pd.DataFrame, methods: list[str]) -> list[list[str]]:
    """Mean AUPRC of the sequences, with its interval, of the method and of its controls."""
    own = table[(table["classified"] == "all") & (table["evidence"] == "any")]
    own = own.set_index(["method", "control"])
    controls = [c for c in own.index.get_level_values(1).unique() if c != "none"]
    rows = [["method", "AUPRC", *controls, "base rate"]]
    for method in methods:
        one = own.loc[(method, "none")]
        moved = [
            f"{own.loc[(method, c), 'auprc']:.2f}" if (method, c) in own.index else "-"
            for c in controls
        ]
        value = f"{one['auprc']:.2f} ({one['auprc_low']:.2f}-{one['auprc_high']:.2f})"
        rows.append([named(method), value, *moved, f"{one['base_rate']:.2f}"])
    return rows


def costs(run: Path, methods: list[str]) -> list[list[str]]:
    """Seconds for a sequence, all levels and other classes, as the run measured them.

    Beside them how often they go into those of Integrated Gradients with 50 steps. Fewer steps are scaled to
    50: their cost grows with the steps, one pass forwards each.
    """
    read = {
        method: json.loads((run / f"results/attributions/{method}.json").read_text())
        for method in methods
    }
    gradients = read.get("integrated_gradients")
    fifty = gradients["seconds"] * 50 / gradients["forward_passes"] if gradients else np.nan
    rows = [["method", "seconds", "times in 50 steps of Integrated Gradients"]]
    for method, record in read.items():
        own = record["seconds"]
        cells = ["-", "-"] if own is None else [f"{own:.4f}", f"{fifty / max(own, 1e-9):.3g}"]
        rows.append([named(method), *cells])
    return rows


def runs(run: Path, methods: list[str]) -> list[list[str]]:
    """Of masks that keep `AREA` of the tokens by smoothed scores: runs, and per cent of fidelity."""
    explanandum = load_model(Explanandum, run / "results/explanandum/0")
    passes = Passes(explanandum, 64, torch.device("cpu"))
    file = TokenFile(run / "results/attributions/sequences.arrow", explanandum.ranks)
    explainers = [method for method in methods if method.startswith("explainer_")]
    rows = [["method", *(f"smoothing {window}" for window in SMOOTHING)]]
    for method in explainers:
        path = run / f"results/attributions/{method}.parquet"
        own = read_attributions(path, explanandum.ranks)["plain"]
        rows.append([named(method), *_kept(own, file, passes)])
    return rows


def _kept(own, file: TokenFile, passes: Passes) -> Iterator[str]:
    content = own.content
    for window in SMOOTHING:
        values = smoothed(
            torch.from_numpy(own.scores[COMBINED]), torch.from_numpy(content), window
        ).numpy()
        kept = keep_mask(ordered(values, content, own.keys, 0), content, share(AREA, content))
        relevant = find_chunks(kept > 0.5, content).relevant.sum() * 250 / content.sum()
        right = 100 * np.nanmean(hits(passes.predict(file, kept), own.predicted), 0)
        yield f"{relevant:.1f}: " + " / ".join(f"{x:.0f}" for x in right)


def named(method: str) -> str:
    return method.removeprefix("explainer_").replace("_", " ")


if __name__ == "__main__":
    print("\n".join(text(Path(run)) for run in sys.argv[1:]))
