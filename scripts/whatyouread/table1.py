"""Table 1 of the paper, and the same rows for masks that should do worse.

The rows, in the paper's order: the plain Explanandum; the masks; their complements; the rounded
masks; the complements of these; the relevant chunks; the irrelevant ones. Every number is a balanced
accuracy in per cent.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from whatyouread.chunks import classify_chunks, find_chunks
from whatyouread.controls import CONTROLS
from whatyouread.explanandum import Explanandum, predictions
from whatyouread.mask_files import THRESHOLD, MaskFile, column
from whatyouread.metrics import balanced_accuracy
from whatyouread.predict import classify
from whatyouread.progress import progress
from whatyouread.token_files import TokenFile, batches_by_length

MASK_CONDITIONS = {
    "masks": lambda mask: mask,
    "inverted_masks": lambda mask: 1 - mask,
    "rounded_masks": lambda mask: (mask > THRESHOLD).astype(np.float32),
    "inverted_rounded_masks": lambda mask: 1 - (mask > THRESHOLD).astype(np.float32),
}
CHUNK_BLOCK = 4096  # sequences whose class probabilities are held at once


class Evaluation:
    """Runs the Explanandum on masked test sequences and counts what it gets right."""

    def __init__(
        self, explanandum: Explanandum, file: TokenFile, masks: MaskFile, *,
        batch_size: int, seed: int, device: torch.device, precision: str,
    ):  # fmt: skip
        masks.check_against(file)
        self.explanandum = explanandum.to(device).freeze()
        self.file, self.masks = file, masks
        self.batch_size, self.seed = batch_size, seed
        self.device, self.precision = device, precision
        self.ranks = file.ranks

    def predict(self, mask: np.ndarray) -> np.ndarray:
        """The classes of the masked sequences, int64 (n, ranks); mask: float32 (n, longest)."""
        result = np.empty((len(self.file), len(self.ranks)), np.int64)
        for rows in batches_by_length(self.file.lengths, self.batch_size):
            tokens = self.file.tokens(rows)
            logits = classify(
                self.explanandum, tokens, mask[rows, : tokens.shape[1]], self.device, self.precision
            )
            result[rows] = predictions(logits).cpu().numpy()
        return result

    def predict_chunks(self, mask: np.ndarray, relevant: bool) -> tuple[np.ndarray, np.ndarray]:
        """Classes by the averaged probabilities of the chunks, and which sequences have a chunk.

        Returns int64 (n, ranks) and bool (n,).
        """
        result = np.full((len(self.file), len(self.ranks)), -1)
        found = np.zeros(len(self.file), bool)
        for start in range(0, len(self.file), CHUNK_BLOCK):
            rows = np.arange(start, min(start + CHUNK_BLOCK, len(self.file)))
            tokens = self.file.tokens(rows)
            lengths = self.file.lengths[rows]
            chunks = find_chunks(mask[rows, : tokens.shape[1]] > THRESHOLD, lengths)
            chosen = chunks.relevant == relevant
            chunks = type(chunks)(*(field[chosen] for field in chunks))
            probabilities = classify_chunks(
                self.explanandum,
                tokens,
                chunks,
                self.batch_size * int(lengths.max()),
                self.device,
                self.precision,
            )
            found[rows] = np.bincount(chunks.sequence, minlength=len(rows)) > 0
            result[rows] = np.stack([p.argmax(1) for p in probabilities], axis=1)
        return result, found

    def row(
        self, predicted: np.ndarray, truth: np.ndarray, among: np.ndarray | None = None
    ) -> dict:
        """One row of numbers: the balanced accuracy of each rank in per cent, and the counts."""
        among = np.ones(len(truth), bool) if among is None else among
        numbers = {
            rank: 100 * balanced_accuracy(truth[among, i], predicted[among, i])
            for i, rank in enumerate(self.ranks)
        }
        return numbers | {"sequences": int(among.sum()), "left_out": int((~among).sum())}

    def conditions(self, choice: str) -> dict[str, np.ndarray]:
        """The predicted classes, int64 (n, ranks), of the plain sequences and of `MASK_CONDITIONS`."""
        masked = self._masked(self.masks.masks[choice])
        return {"explanandum": self.masks.classes["predicted"]} | masked

    def table(self, choice: str, conditions: dict[str, np.ndarray] | None = None) -> pd.DataFrame:
        """The seven rows for the masks chosen by `choice` ("labels" or "predicted").

        conditions: what `conditions(choice)` gave, where it is at hand.
        """
        truth, mask = self.file.labels, self.masks.masks[choice]
        predicted = self.conditions(choice) if conditions is None else conditions
        rows = [
            {"condition": name} | self.row(classes, truth) for name, classes in predicted.items()
        ]
        for condition, relevant in (("relevant_chunks", True), ("irrelevant_chunks", False)):
            predicted, found = self.predict_chunks(mask, relevant)
            rows.append({"condition": condition} | self.row(predicted, truth, found))
        return pd.DataFrame(rows)

    def _masked(self, mask: np.ndarray) -> dict[str, np.ndarray]:
        return {name: self.predict(change(mask)) for name, change in MASK_CONDITIONS.items()}

    def mask_rows(self, mask: np.ndarray, *truths: np.ndarray) -> list[dict]:
        """The rows of a mask, its complement and both rounded; with several truths, one set each."""
        predicted = self._masked(mask)
        return [
            {"condition": name} | self.row(classes, truth)
            for truth in truths
            for name, classes in predicted.items()
        ]

    def controls(self) -> pd.DataFrame:
        """The rows of masks chosen by predicted classes, and of every control.

        Columns: `classes` (by which the mask was chosen), `control`, and those of Table 1. The rows
        `wrong_class_steering` say how often the classifier names the wrong class that chose the mask.
        """
        truth, masks = self.file.labels, self.masks
        parts = [self.table("predicted").assign(classes="predicted", control="none")]
        choices = ("labels", "predicted")
        with progress("controls", len(choices) * len(CONTROLS) + 1, "controls") as bar:
            for choice in choices:
                for name, control in CONTROLS.items():
                    changed = control(masks.masks[choice], masks.lengths, masks.keys, self.seed)
                    rows = pd.DataFrame(self.mask_rows(changed, truth))
                    parts.append(rows.assign(classes=choice, control=name))
                    bar.update(1)
            wrong = self.mask_rows(masks.masks["wrong"], truth, masks.classes["wrong"])
            half = len(wrong) // 2
            for name, rows in (
                ("wrong_class", wrong[:half]),
                ("wrong_class_steering", wrong[half:]),
            ):
                parts.append(pd.DataFrame(rows).assign(classes="wrong", control=name))
            bar.update(1)
        table = pd.concat(parts, ignore_index=True)
        return table[["classes", "control", *table.columns.drop(["classes", "control"])]]


def predictions_table(file: TokenFile, conditions: dict[str, np.ndarray]) -> pa.Table:
    """id, key, `label_RANK`, and `CONDITION_RANK`, the predicted class under each condition."""
    columns = {"id": file.ids, "key": pa.array(file.keys)}
    for i, rank in enumerate(file.ranks):
        columns[column("labels", rank)] = pa.array(file.labels[:, i], pa.int32())
    for name, classes in conditions.items():
        for i, rank in enumerate(file.ranks):
            columns[f"{name}_{rank}"] = pa.array(classes[:, i], pa.int32())
    return pa.table(columns)


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
