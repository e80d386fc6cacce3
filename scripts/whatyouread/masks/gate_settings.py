"""How a gate makes masks of scores. This enters no training, so it is no part of a model."""

import dataclasses
from pathlib import Path

from whatyouread.support import files
from whatyouread.support.cli import UserError, settings

NAME = "gate.json"


@dataclasses.dataclass(frozen=True)
class GateSettings:
    """area: the share of the content that a rounded mask keeps.

    smoothing: the number of neighbouring tokens over which a score is averaged, odd. Raises UserError
    for other values.
    """

    area: float = 0.3
    smoothing: int = 5

    def __post_init__(self):
        if not 0 < self.area < 1:
            raise UserError(f"area is {self.area}: give a share between 0 and 1")
        if self.smoothing < 1 or self.smoothing % 2 == 0:
            raise UserError(f"smoothing is {self.smoothing}: give an odd number")


def read_gate(folder: str | Path) -> GateSettings:
    """Read `gate.json` in a model's folder; without it, return the defaults. Raises UserError."""
    path = Path(folder) / NAME
    return settings(GateSettings, files.read_json(path)) if path.exists() else GateSettings()
