"""Masks and class probabilities of windows, block by block, kept on disk as they come.

A block that is there already is not computed again: a run that was killed goes on where it was.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from whatyouread.data.batch import Batch, batches_by_length, on_device, padded
from whatyouread.explain.intake import Read, Records
from whatyouread.explain.windows import Windows
from whatyouread.explainers.network import Explainer
from whatyouread.models.inference import Passes
from whatyouread.models.levels import probabilities
from whatyouread.models.mask_operator import read, target_mask
from whatyouread.support.files import atomic, of_the_machine, parquet_errors
from whatyouread.support.machine import note_batch
from whatyouread.support.parallel import in_order

WINDOW_COLUMNS = [field.name for field in fields(Windows)]


@dataclass(frozen=True)
class Block:
    """n windows and what the models say of them.

    offsets: int64 (n + 1,), into the flat arrays. widths: uint8, the places on the line that each token
    covers, in the order of reading; masks: float16, the target mask of each, NaN where a special token
    stands in the text itself. probabilities: float32
    (n, classes), those of all levels side by side. asked: int32 (n, levels), the classes that chose the
    masks; int64 where these are sets of classes (`data.kinds`).
    """

    windows: Windows
    offsets: np.ndarray
    widths: np.ndarray
    masks: np.ndarray
    probabilities: np.ndarray
    asked: np.ndarray


class Scorer:
    """An Explainer and its classifier, applied to windows.

    asked: for each level the class that is to be explained, or -1 for the one that the classifier
    predicts in each window; int64 (levels,).
    """

    def __init__(self, explainer: Explainer, passes: Passes, asked: np.ndarray):
        self.explainer = explainer.to(passes.device).eval()
        self.passes, self.asked = passes, on_device(asked, passes.device)
        self.tokenizer = explainer.tokenizer

    @torch.inference_mode()
    def score(self, windows: Windows, given: Read) -> Block:
        """given: what is read in the windows, see `Records.read`."""
        explanandum, device = self.passes.explanandum, self.passes.device
        ids, offsets, told, widths = given
        lengths = np.diff(offsets)
        masks = np.zeros(len(ids), np.float16)
        made = np.zeros((len(windows), sum(explanandum.class_counts)), np.float32)
        of_sets = not all(level.of_one for level in explanandum.levels)
        asked = np.zeros((len(windows), len(explanandum.levels)), np.int64 if of_sets else np.int32)
        levels = zip(explanandum.levels, self.asked, strict=True)
        alone = torch.stack([level.alone(one.clamp(min=0)) for level, one in levels])
        for rows in batches_by_length(lengths, self.passes.batch_size):
            batch = Batch.of(
                padded(ids, offsets[:-1][rows], lengths[rows], self.tokenizer.pad),
                lengths[rows],
                self.tokenizer,
            ).to(device)
            note_batch(*batch.ids.shape)
            with self.passes.autocast():
                states, logits = read(explanandum, batch)
            found = explanandum.predictions(logits)
            classes = torch.where(self.asked >= 0, alone, found)
            with self.passes.autocast():
                columns = self.explainer.class_masks(batch.with_states(states), classes[:, None])
            values = target_mask(columns.float())[:, :, 0].half().cpu().numpy()
            inside = np.arange(values.shape[1]) < lengths[rows, None]
            where = (offsets[:-1][rows, None] + np.arange(values.shape[1]))[inside]
            masks[where] = values[inside]
            said = probabilities(explanandum.levels, logits)
            made[rows] = torch.cat(said, dim=1).float().cpu().numpy()
            asked[rows] = classes.cpu().numpy()
        masks[self.tokenizer.is_special[ids]] = np.nan
        number = np.add.reduceat(told, offsets[:-1], dtype=np.int64) if len(windows) else []
        return Block(
            windows,
            np.append(0, np.cumsum(number)).astype(np.int64),
            widths,
            masks[told],
            made,
            asked,
        )


class Blocks:
    """The blocks of a run in a folder, in their order."""

    def __init__(self, folder: Path):
        self.folder, self.number, self.computed = folder, 0, 0

    def __len__(self) -> int:
        return self.number

    def __iter__(self) -> Iterator[Block]:
        return (_read(self._path(i)) for i in range(self.number))

    def fill(self, windows: Iterable[Windows], records: Records, scorer: Scorer) -> Iterator[int]:
        """Score the blocks that are not there yet; yield the number of windows after each.

        A block that is there and holds other windows or other tokens is computed anew.
        """
        self.number = self.computed = 0

        def prepared(block: Windows) -> tuple[Windows, Read, str]:
            given = records.read(block, scorer.tokenizer)
            digest = hashlib.sha256()
            for values in (*block, *given):
                digest.update(np.ascontiguousarray(values).data)
            return block, given, digest.hexdigest()

        for block, given, digest in in_order(prepared, windows):
            path = self._path(self.number)
            if _digest(path) != digest:
                _write(path, scorer.score(block, given), digest)
                self.computed += 1
            self.number += 1
            yield len(block)

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:07}.arrow"


def _write(path: Path, block: Block, digest: str) -> None:
    n = len(block.windows)
    classes, levels = block.probabilities.shape[1], block.asked.shape[1]
    columns = {name: pa.array(values) for name, values in block.windows.columns().items()}
    ends = pa.array(block.offsets, pa.int32())
    columns |= {
        "widths": pa.ListArray.from_arrays(ends, pa.array(block.widths)),
        "masks": pa.ListArray.from_arrays(ends, pa.array(block.masks)),
        "probabilities": pa.FixedSizeListArray.from_arrays(
            pa.array(block.probabilities.reshape(n * classes)), classes
        ),
        "asked": pa.FixedSizeListArray.from_arrays(
            pa.array(block.asked.reshape(n * levels)), levels
        ),
    }
    batch = pa.RecordBatch.from_pydict(columns)
    schema = batch.schema.with_metadata({"digest": digest})
    with atomic(path) as temporary, pa.ipc.new_file(str(temporary), schema) as writer:
        writer.write_batch(batch.replace_schema_metadata(schema.metadata))


def _digest(path: Path) -> str | None:
    """What a block was computed from; None where there is no such block, or a damaged one."""
    try:
        reader = pa.ipc.open_file(pa.BufferReader(path.read_bytes()))
        reader.get_batch(0)
        return (reader.schema.metadata or {}).get(b"digest", b"").decode()
    except FileNotFoundError:
        return None
    except (pa.ArrowException, OSError, ValueError) as error:
        if of_the_machine(error):
            raise
        return None


def _read(path: Path) -> Block:
    with parquet_errors(path):
        batch = pa.ipc.open_file(pa.BufferReader(path.read_bytes())).get_batch(0)
    masks = batch.column("masks")

    def rows(name: str) -> np.ndarray:
        column = batch.column(name)
        return column.values.to_numpy().reshape(len(batch), column.type.list_size)

    return Block(
        Windows(**{name: batch.column(name).to_numpy() for name in WINDOW_COLUMNS}),
        masks.offsets.to_numpy().astype(np.int64),
        batch.column("widths").values.to_numpy(),
        masks.values.to_numpy(zero_copy_only=False),
        rows("probabilities"),
        rows("asked"),
    )
