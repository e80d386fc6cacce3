"""Table 1 of the paper, and the same rows for masks that should do worse.

The rows, in the paper's order: the plain Explanandum; the masks; their complements; the rounded
masks; the complements of these; the relevant chunks; the irrelevant ones. Every number is a balanced
accuracy in per cent, counted from what the Explanandum answered (`masked_predictions`).
"""

from pathlib import Path

import numpy as np
import pandas as pd

from whatyouread.controls import CONTROLS
from whatyouread.mask_files import THRESHOLD, MaskFile
from whatyouread.metrics import balanced_accuracy
from whatyouread.prediction_files import CHUNK_CONDITIONS, MASK_CONDITIONS, Predictions, Question


def row(
    predicted: np.ndarray, truth: np.ndarray, ranks: list[str], among: np.ndarray | None = None
) -> dict:
    """One row of numbers: the balanced accuracy of each rank in per cent, and the counts.

    predicted, truth: int64 (n, ranks); among: bool (n,), the sequences that count.
    """
    among = np.ones(len(truth), bool) if among is None else among
    numbers = {
        rank: 100 * balanced_accuracy(truth[among, i], predicted[among, i])
        for i, rank in enumerate(ranks)
    }
    return numbers | {"sequences": int(among.sum()), "left_out": int((~among).sum())}


def table(made: Predictions, choice: str) -> pd.DataFrame:
    """The seven rows for the masks chosen by `choice` ("labels" or "predicted").

    A sequence without a chunk of a kind is counted and left out of that row.
    """
    rows = []
    for condition in ("explanandum", *MASK_CONDITIONS, *CHUNK_CONDITIONS):
        predicted = made.answers[Question(choice, "none", condition)]
        answered = predicted[:, 0] >= 0
        numbers = row(predicted, made.labels, made.ranks, answered)
        rows.append({"condition": condition} | numbers)
    return pd.DataFrame(rows)


def controls(made: Predictions, wrong: np.ndarray) -> pd.DataFrame:
    """The rows of masks chosen by predicted classes, and of every control.

    wrong: int64 (n, ranks), the wrong classes that chose a mask. Columns: `classes` (by which the mask
    was chosen), `control`, and those of Table 1. The rows `wrong_class_steering` say how often the
    classifier names the wrong class that chose the mask.
    """
    parts = [table(made, "predicted").assign(classes="predicted", control="none")]
    judged = [
        (choice, name, made.labels) for choice in ("labels", "predicted") for name in CONTROLS
    ]
    judged += [("wrong", "wrong_class", made.labels), ("wrong", "wrong_class_steering", wrong)]
    for choice, control, truth in judged:
        asked = "wrong_class" if choice == "wrong" else control
        rows = [
            {"condition": condition}
            | row(made.answers[Question(choice, asked, condition)], truth, made.ranks)
            for condition in MASK_CONDITIONS
        ]
        parts.append(pd.DataFrame(rows).assign(classes=choice, control=control))
    whole = pd.concat(parts, ignore_index=True)
    return whole[["classes", "control", *whole.columns.drop(["classes", "control"])]]


def beside_paper(table: pd.DataFrame, ranks: list[str], paper: Path) -> pd.DataFrame:
    """The table with the paper's values as `paper_RANK` columns, where it has that rank."""
    published = pd.read_csv(paper, sep="\t")
    shared = [rank for rank in ranks if rank in published]
    published = published[["condition", *shared]]
    published.columns = ["condition", *(f"paper_{rank}" for rank in shared)]
    return table.merge(published, on="condition", how="left", validate="one_to_one")


def markdown(table: pd.DataFrame, ranks: list[str], masks: MaskFile) -> str:
    """Table 1 for reading: ours, the paper's in brackets, and what the masks are like."""
    inside = np.arange(masks.masks["labels"].shape[1]) < masks.lengths[:, None]
    inside[:, 0] = False  # without <cls>
    values = masks.masks["labels"][inside]
    head = ["", *ranks, "sequences"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for row in table.to_dict("records"):
        cells = [row["condition"].replace("_", " ")]
        for rank in ranks:
            ours = "–" if pd.isna(row[rank]) else f"{row[rank]:.2f}"
            theirs = row.get(f"paper_{rank}")
            cells.append(ours + ("" if theirs is None or pd.isna(theirs) else f" ({theirs:.2f})"))
        lines.append("| " + " | ".join([*cells, f"{row['sequences']:,}"]) + " |")
    return "\n".join(
        [
            "Balanced accuracy in per cent on the test sequences, and in brackets the paper's",
            "(its data, its model). Masks are chosen by the true labels, as in the paper; for masks",
            "chosen by the predicted classes, and for controls, see table1_controls.tsv.",
            "",
            *lines,
            "",
            f"Mean of the masks {values.mean(dtype=np.float64):.2f} (paper: 0.73), "
            f"above {THRESHOLD}: {100 * (values > THRESHOLD).mean():.2f} % (paper: 67.28 %).",
            "",
        ]
    )
