"""Make the masks of the test sequences for their true, predicted and wrong classes."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch

from whatyouread.data.batch import on_device
from whatyouread.data.token_files import TokenFile
from whatyouread.explainers.network import Explainer
from whatyouread.masks.choices import CHOICES, class_lineages, wrong_classes
from whatyouread.masks.mask_files import mask_rows, mask_schema
from whatyouread.models.inference import Passes, batches
from whatyouread.models.mask_operator import read, target_mask
from whatyouread.support.files import atomic
from whatyouread.support.parts import WHOLE, Part
from whatyouread.support.progress import progress

BLOCK = 8192  # sequences of one row group


@torch.inference_mode()
def generate_masks(
    explainer: Explainer,
    passes: Passes,
    file: TokenFile,
    path: Path,
    *,
    seed: int,
    part: Part = WHOLE,
) -> None:
    """Write the masks of all sequences in a token file, or of one part of them.

    The mask for the labels is the maximum over the levels at which a sequence has one. Raises UserError
    where no sequence has a label at every level.
    """
    explanandum, device = passes.explanandum, passes.device
    explainer = explainer.to(device).eval()
    lineages, wanted = class_lineages(file.labels, file.path), part.rows(len(file))
    with (
        atomic(path) as temporary,
        pq.ParquetWriter(
            temporary, mask_schema(file.ranks, file.kinds), compression="zstd"
        ) as writer,
        progress("masks", len(wanted), "sequences") as bar,
    ):
        for start in range(0, len(wanted), BLOCK):
            rows = wanted[start : start + BLOCK]
            longest = file.lengths[rows].max()
            content = np.zeros((len(rows), longest), bool)
            masks = np.zeros((len(CHOICES), len(rows), longest), np.float16)
            classes = np.zeros((len(CHOICES), len(rows), len(file.ranks)), np.int64)
            classes[0] = file.labels[rows]
            for places, batch in batches(file, passes.batch_size, device, rows):
                with passes.autocast():
                    states, logits = read(explanandum, batch)
                classes[1, places] = explanandum.predictions(logits).cpu().numpy()
                classes[2, places] = wrong_classes(
                    classes[0, places], classes[1, places], file.keys[rows[places]], seed, lineages,
                    file.kinds[-1],
                )  # fmt: skip
                sets = on_device(classes[:, places].swapaxes(0, 1), device)
                with passes.autocast():
                    made = explainer.class_masks(batch.with_states(states), sets)
                made = target_mask(made.float()).permute(2, 0, 1).half().cpu().numpy()
                masks[:, places, : made.shape[2]] = made
                content[places, : made.shape[2]] = batch.content.cpu().numpy()
                bar.update(len(places))
            writer.write_batch(mask_rows(file, rows, content, classes, masks))
