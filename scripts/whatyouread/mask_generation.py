"""Making the masks of the test sequences, for the true, the predicted and wrong classes."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from whatyouread.explainer import Explainer
from whatyouread.explanandum import Explanandum, predictions
from whatyouread.files import atomic
from whatyouread.mask_files import CHOICES, mask_rows, mask_schema
from whatyouread.masking import read, target_mask, unpadded
from whatyouread.other_classes import wrong_classes
from whatyouread.predict import autocast
from whatyouread.progress import progress
from whatyouread.scatter import WHOLE, Part
from whatyouread.token_files import TokenFile, batches_by_length

BLOCK = 8192  # sequences of one row group


@torch.inference_mode()
def generate_masks(
    explainer: Explainer, explanandum: Explanandum, file: TokenFile, path: Path, *,
    batch_size: int, seed: int, device: torch.device, precision: str,
    part: Part = WHOLE,
) -> None:  # fmt: skip
    """Write the masks of every sequence of a token file, or of a part of them."""
    explainer, explanandum = explainer.to(device).eval(), explanandum.to(device).freeze()
    lineages, wanted = np.unique(file.labels, axis=0), part.rows(len(file))
    with (
        atomic(path) as temporary,
        pq.ParquetWriter(temporary, mask_schema(file.ranks), compression="zstd") as writer,
        progress("masks", len(wanted), "sequences") as bar,
    ):
        for start in range(0, len(wanted), BLOCK):
            rows = wanted[start : start + BLOCK]
            lengths = file.lengths[rows]
            masks = np.zeros((len(CHOICES), len(rows), lengths.max()), np.float16)
            classes = np.zeros((len(CHOICES), len(rows), len(file.ranks)), np.int64)
            classes[0] = file.labels[rows]
            for batch in batches_by_length(lengths, batch_size):
                tokens = torch.from_numpy(file.tokens(rows[batch])).to(device)
                with autocast(device, precision):
                    whole = unpadded(tokens, lengths[batch])
                    hidden, logits = read(explanandum, tokens, whole)
                classes[1, batch] = predictions(logits).cpu().numpy()
                classes[2, batch] = wrong_classes(
                    classes[0, batch], classes[1, batch], file.keys[rows[batch]], seed, lineages
                )
                sets = torch.from_numpy(classes[:, batch].swapaxes(0, 1)).to(device)
                with autocast(device, precision):
                    made = explainer.class_masks(
                        tokens, sets, hidden=hidden, lengths=lengths[batch]
                    )
                made = target_mask(made.float()).permute(2, 0, 1).half().cpu().numpy()
                masks[:, batch, : made.shape[2]] = made
                bar.update(len(batch))
            writer.write_batch(mask_rows(file, rows, classes, masks))
