"""Masks of the test sequences: made by the Explainer, kept in Parquet, read back as a matrix.

One row per sequence, in the order of the token file: `id`, `key`; for each rank the classes
`label_RANK`, `predicted_RANK` and `wrong_RANK`; and for each of the three sets of classes its target
mask, a list of float16 with one value per token, `<cls>` first.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from whatyouread.cli import UserError
from whatyouread.draws import draw
from whatyouread.explainer import Explainer
from whatyouread.explanandum import Explanandum, predictions
from whatyouread.files import atomic
from whatyouread.masking import target_mask
from whatyouread.predict import autocast, classify
from whatyouread.progress import progress
from whatyouread.token_files import TokenFile, batches_by_length

CHOICES = ("labels", "predicted", "wrong")
"""The classes by which a mask is chosen: the true ones, the predicted ones, and wrong ones."""
BLOCK = 8192  # sequences of one row group


def column(choice: str, rank: str) -> str:
    """Name of the column that holds the classes of a choice."""
    return f"{'label' if choice == 'labels' else choice}_{rank}"


def wrong_classes(labels: np.ndarray, predicted: np.ndarray, keys: np.ndarray, seed: int,
                  lineages: np.ndarray) -> np.ndarray:  # fmt: skip
    """Classes of another lineage, drawn for each sequence.

    labels, predicted: int64 (n, ranks); lineages: int64 (k, ranks), the class combinations there
    are. The lowest rank of the result is neither the label nor, where there are three classes or
    more, the prediction; the ranks above go with it.
    """
    lowest = lineages[:, -1]
    if len(np.unique(lowest)) < 2:
        raise UserError("there is one class only at the lowest rank: no wrong class can be drawn")
    avoid = [labels[:, -1]] + ([predicted[:, -1]] if len(np.unique(lowest)) > 2 else [])
    chosen = np.full(len(labels), -1)
    attempt = 0
    while (open_ := np.flatnonzero(chosen < 0)).size:
        tried = (draw(seed, "wrong class", keys[open_], attempt) * len(lineages)).astype(np.int64)
        good = np.logical_and.reduce([lowest[tried] != other[open_] for other in avoid])
        chosen[open_[good]] = tried[good]
        attempt += 1
    return lineages[chosen]


@torch.inference_mode()
def generate_masks(
    explainer: Explainer, explanandum: Explanandum, file: TokenFile, path: Path, *,
    batch_size: int, seed: int, device: torch.device, precision: str,
) -> None:  # fmt: skip
    """Write the masks of every sequence of a token file."""
    explainer, explanandum = explainer.to(device).eval(), explanandum.to(device).freeze()
    lineages = np.unique(file.labels, axis=0)
    with (
        atomic(path) as temporary,
        pq.ParquetWriter(temporary, _schema(file.ranks), compression="zstd") as writer,
        progress("masks", len(file), "sequences") as bar,
    ):
        for start in range(0, len(file), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(file)))
            lengths = file.lengths[rows]
            masks = np.zeros((len(CHOICES), len(rows), lengths.max()), np.float16)
            classes = np.zeros((len(CHOICES), len(rows), len(file.ranks)), np.int64)
            classes[0] = file.labels[rows]
            for batch in batches_by_length(lengths, batch_size):
                tokens = file.tokens(rows[batch])
                logits = classify(explanandum, tokens, None, device, precision)
                classes[1, batch] = predictions(logits).cpu().numpy()
                classes[2, batch] = wrong_classes(
                    classes[0, batch], classes[1, batch], file.keys[rows[batch]], seed, lineages
                )
                sets = torch.from_numpy(classes[:, batch].swapaxes(0, 1)).to(device)
                with autocast(device, precision):
                    made = explainer.class_masks(torch.from_numpy(tokens).to(device), sets)
                made = target_mask(made.float()).permute(2, 0, 1).half().cpu().numpy()
                masks[:, batch, : made.shape[2]] = made
                bar.update(len(batch))
            writer.write_batch(_rows(file, rows, classes, masks))


def _schema(ranks: list[str]) -> pa.Schema:
    columns = [("id", pa.string()), ("key", pa.uint64())]
    columns += [(column(choice, rank), pa.int32()) for choice in CHOICES for rank in ranks]
    return pa.schema([*columns, *((f"mask_{c}", pa.list_(pa.float16())) for c in CHOICES)])


def _rows(
    file: TokenFile, rows: np.ndarray, classes: np.ndarray, masks: np.ndarray
) -> pa.RecordBatch:
    inside = np.arange(masks.shape[2]) < file.lengths[rows, None]
    offsets = pa.array(np.append(0, np.cumsum(file.lengths[rows])), pa.int32())
    arrays = [file.ids.take(pa.array(rows)).combine_chunks(), pa.array(file.keys[rows])]
    arrays += [pa.array(column, pa.int32()) for choice in classes for column in choice.T]
    arrays += [pa.ListArray.from_arrays(offsets, pa.array(mask[inside])) for mask in masks]
    return pa.RecordBatch.from_arrays(arrays, schema=_schema(file.ranks))


class MaskFile:
    """The masks of one Parquet file: `ids`, `keys`, `lengths`, and for each choice its classes and mask.

    classes: choice -> int64 (n, ranks); masks: choice -> float32 (n, longest), zero at padding.
    """

    def __init__(self, path: str | Path, ranks: list[str]):
        try:
            # columns that a schema asks for in vain would be read as nulls
            if missing := set(_schema(ranks).names) - set(pq.read_schema(path).names):
                raise UserError(f"{path} is of other ranks (no {min(missing)}): make it again")
            table = pq.read_table(path, schema=_schema(ranks))
        except FileNotFoundError:
            raise UserError(f"{path} is not there") from None
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{path} is damaged ({error}): make it again") from None
        self.ids, self.keys = table["id"], table["key"].to_numpy()
        self.classes = {
            choice: np.stack(
                [table[column(choice, rank)].to_numpy() for rank in ranks], axis=1
            ).astype(np.int64)
            for choice in CHOICES
        }
        first = table["mask_labels"].combine_chunks()
        self.lengths = np.diff(first.offsets.to_numpy()).astype(np.int64)
        inside = np.arange(self.lengths.max(initial=1)) < self.lengths[:, None]
        self.masks = {}
        for choice in CHOICES:
            values = table[f"mask_{choice}"].combine_chunks().flatten().to_numpy()
            matrix = np.zeros(inside.shape, np.float32)
            matrix[inside] = values
            self.masks[choice] = matrix

    def __len__(self) -> int:
        return len(self.keys)

    def check_against(self, file: TokenFile) -> None:
        """Raise UserError unless the masks are those of the sequences of `file`."""
        if not (
            np.array_equal(self.keys, file.keys) and np.array_equal(self.lengths, file.lengths)
        ):
            raise UserError(f"the masks are not of the sequences in {file.path}: make them again")
