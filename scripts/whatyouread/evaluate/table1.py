"""Table 1 of the paper, and the same rows for control masks, which should do worse.

The rows, in the paper's order: plain sequences; masks; complements of the masks; rounded masks;
complements of the rounded masks; relevant chunks; irrelevant chunks. Every number is a balanced
accuracy, or of sets of classes macro F1, in per cent, computed from the Explanandum's predictions
(`masked_predictions`).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from whatyouread.data.kinds import Single, all_single, capital, kinds_of_scores, score_words
from whatyouread.evaluate.prediction_files import (
    CHUNK_CONDITIONS,
    MASK_CONDITIONS,
    Case,
    Predictions,
)
from whatyouread.masks.choices import THRESHOLD, UNCOUNTED, scored, where_wrong
from whatyouread.masks.controls import CONTROLS
from whatyouread.masks.mask_files import MaskFile
from whatyouread.support.files import read_tsv
from whatyouread.support.text import markdown_table


def row(
    predicted: np.ndarray,
    truth: np.ndarray,
    ranks: list[str],
    kinds: Sequence[Single] | None = None,
    probabilities: Mapping[int, np.ndarray] | None = None,
) -> dict:
    """One row of numbers: the score at each rank in per cent, and the counts.

    kinds: of the ranks (`data.kinds`; all `single` by default): the score is balanced accuracy, or macro F1
    of sets of classes; beside that stand `RANK_micro_f1` and `RANK_average_precision`, in per cent.
    probabilities: place of such a rank -> float (n, classes).

    predicted, truth: int64 (n, ranks). A truth of `UNCOUNTED` leaves the sequence out at that rank;
    `sequences` count at some rank, `left_out` at none, and `sequences_RANK` at that rank.
    """
    kinds = all_single(ranks) if kinds is None else kinds
    numbers = {}
    for i, (rank, kind) in enumerate(zip(ranks, kinds, strict=True)):
        numbers[rank] = 100 * kind.score(truth[:, i], predicted[:, i])
        said = (probabilities or {}).get(i)
        for name, value in kind.further_scores(truth[:, i], predicted[:, i], said).items():
            numbers[f"{rank}_{name}"] = 100 * value
    counted = truth != UNCOUNTED
    numbers["sequences"] = int(counted.any(1).sum())
    numbers["left_out"] = len(truth) - numbers["sequences"]
    return numbers | scored(truth, ranks)


def table(made: Predictions, choice: str) -> pd.DataFrame:
    """The seven rows for the masks chosen by `choice` ("labels" or "predicted").

    A row of chunks leaves out sequences without such a chunk, and counts them. A sequence without a label
    at a rank does not count there; only where there are such sequences, `sequences_RANK` are given.
    """
    whole = _table(made, choice)
    counts = [f"sequences_{rank}" for rank in made.ranks]
    return whole if UNCOUNTED in made.labels else whole.drop(columns=counts)


def _table(made: Predictions, choice: str) -> pd.DataFrame:
    """The rows of `table`, always with `sequences_RANK`."""
    rows = []
    for condition in ("explanandum", *MASK_CONDITIONS, *CHUNK_CONDITIONS):
        case = Case(choice, "none", condition)
        truth = np.where(made.answers[case][:, :1] >= 0, made.labels, UNCOUNTED)
        rows.append({"condition": condition} | _row(made, case, truth))
    return pd.DataFrame(rows)


def controls(made: Predictions, wrong: np.ndarray) -> pd.DataFrame:
    """The rows for masks chosen by predicted classes, and for every control.

    wrong: int64 (n, ranks), the wrong classes that chose a mask. Columns: `classes` (which chose the
    mask), `control`, and those of Table 1. The rows `wrong_class_steering` show how often the
    classifier predicts the wrong class that chose the mask, and `wrong_class` how often the true one.
    At each rank only sequences whose class is wrong there count, `sequences_RANK` of them; NaN without
    any. Other rows have as many at every rank at which no label is missing.
    """
    parts = [_table(made, "predicted").assign(classes="predicted", control="none")]
    judged = [
        (choice, name, made.labels) for choice in ("labels", "predicted") for name in CONTROLS
    ]
    judged += [
        ("wrong", name, where_wrong(classes, wrong, made.labels, made.kinds))
        for name, classes in (("wrong_class", made.labels), ("wrong_class_steering", wrong))
    ]
    for choice, control, truth in judged:
        asked = "wrong_class" if choice == "wrong" else control
        rows = [
            {"condition": condition} | _row(made, Case(choice, asked, condition), truth)
            for condition in MASK_CONDITIONS
        ]
        parts.append(pd.DataFrame(rows).assign(classes=choice, control=control))
    whole = pd.concat(parts, ignore_index=True)
    return whole[["classes", "control", *whole.columns.drop(["classes", "control"])]]


def _row(made: Predictions, case: Case, truth: np.ndarray) -> dict:
    said = made.probabilities.get(case)
    return row(made.answers[case], truth, made.ranks, made.kinds, said)


def beside_paper(table: pd.DataFrame, ranks: list[str], paper: Path | None) -> pd.DataFrame:
    """Add the paper's values as columns `paper_RANK`, for the ranks in the paper; none without its file."""
    if paper is None:
        return table
    published = read_tsv(paper)
    shared = [rank for rank in ranks if rank in published]
    published = published[["condition", *shared]]
    published.columns = ["condition", *(f"paper_{rank}" for rank in shared)]
    return table.merge(published, on="condition", how="left", validate="one_to_one")


def _further(table: pd.DataFrame, columns: dict[str, str]) -> list[list[str]]:
    """The further scores of each condition; columns: name -> heading."""
    rows = [["", *columns.values()]]
    for row in table.to_dict("records"):
        cells = ["–" if pd.isna(row[name]) else f"{row[name]:.2f}" for name in columns]
        rows.append([row["condition"].replace("_", " "), *cells])
    return rows


def markdown(table: pd.DataFrame, ranks: list[str], masks: MaskFile) -> str:
    """Table 1 as Markdown: our values, those of the paper in brackets, and facts about the masks."""
    has_paper = any(f"paper_{rank}" in table for rank in ranks)
    values = masks.masks["labels"][masks.content]
    rows = [["", *ranks, "sequences"]]
    for row in table.to_dict("records"):
        cells = [row["condition"].replace("_", " ")]
        for rank in ranks:
            ours = "–" if pd.isna(row[rank]) else f"{row[rank]:.2f}"
            published = row.get(f"paper_{rank}")
            known = published is not None and not pd.isna(published)
            cells.append(ours + (f" ({published:.2f})" if known else ""))
        counts = [row.get(f"sequences_{rank}", row["sequences"]) for rank in ranks]
        shown = counts if len(set(counts)) > 1 else counts[:1]
        rows.append([*cells, " / ".join(f"{count:,}" for count in shown)])
    missing = any(f"sequences_{rank}" in table for rank in ranks)
    notes = ["A sequence without a label at a rank is not scored there."] if missing else []
    kinds = kinds_of_scores(ranks, table.columns)
    further = {
        f"{rank}_{name}": f"{rank}, {name.replace('_', ' ')}"
        for rank, kind in zip(ranks, kinds, strict=True)
        for name in kind.further
    }
    beside = ["", *markdown_table(_further(table, further))] if further else []
    score = capital(score_words(kinds))
    mean, above = (" (paper: 0.73)", " (paper: 67.28 %)") if has_paper else ("", "")
    opening = [
        f"{score} in per cent on the test sequences, and in brackets the paper's",
        "(its data, its model). Masks are chosen by the true labels, as in the paper; for masks",
        "chosen by the predicted classes, and for controls, see controls.tsv of the Explainer.",
    ]
    if not has_paper:
        opening[:2] = [
            f"{score} in per cent on the test sequences.",
            "Masks are chosen by the true labels; for masks",
        ]
    return "\n".join(
        [
            *opening,
            *notes,
            "",
            *markdown_table(rows),
            *beside,
            "",
            f"Mean of the masks {values.mean(dtype=np.float64):.2f}{mean}, "
            f"above {THRESHOLD}: {100 * (values > THRESHOLD).mean():.2f} %{above}.",
            "",
        ]
    )
