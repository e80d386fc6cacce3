"""No labels at all, for a classifier that is given: what it predicts is explained."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from whatyouread.data.label_source import LabelSource
from whatyouread.data.levels import ALONE
from whatyouread.support.cli import UserError


class NoLabels(LabelSource):
    """All records have the same key, and no label at any level."""

    @dataclass(frozen=True)
    class Settings:
        """There are none."""

    key = pa.field("combination", pa.string())
    path = ALONE
    labelled = False

    def __init__(self, file: Path | None, settings: Settings):
        if file is not None:
            raise UserError(f"labels.source none reads no file, and {file} is given: leave it out")

    def keys(self, batch):
        return pa.array([""] * len(batch.headers), self.key.type)

    def labels(self, keys, levels):
        made = pd.DataFrame({self.key.name: keys.to_pylist()})
        for level in levels:
            made[level] = ""
            made[f"{level}_{self.path}"] = pd.Series([None] * len(made), dtype=object)
        return made.assign(problem="")
