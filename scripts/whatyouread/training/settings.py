"""The settings that both trainings share, and a check of this machine against them."""

import dataclasses
import os

import torch

from whatyouread.models.gpu import use_gpu
from whatyouread.support.cli import UserError, log

PRECISIONS = ("fp32", "tf32", "bf16")


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """The settings that both trainings share; config/README.md explains the keys."""

    learning_rate: float
    weight_decay: float
    batch_size: int
    epochs: int
    max_grad_norm: float
    precision: str
    compile: bool
    gpus: int

    def __post_init__(self):
        if self.precision not in PRECISIONS:
            raise UserError(f"precision is {self.precision!r}: one of {', '.join(PRECISIONS)}")

    def check_machine(self) -> None:
        """Raise UserError if GPUs or a precision are missing; warn if the CPU takes over."""
        if use_gpu(self.gpus):
            if self.gpus > torch.cuda.device_count():
                raise UserError(
                    f"gpus is {self.gpus}, but {torch.cuda.device_count()} are visible here: "
                    "lower it, or run on a machine with more"
                )
            if self.precision == "tf32" and torch.cuda.get_device_capability() < (8, 0):
                raise UserError(f"{torch.cuda.get_device_name()} has no tf32: set precision: fp32")
        elif self.precision == "tf32":
            log.warning("tf32 needs a GPU: training in fp32")


def checkpoint_minutes() -> float:
    """The minutes of training that a kill may cost; the workflow sets them from its configuration.

    The value does not change results. It is not a setting, because settings are part of the stamp, and
    not an option of the programs, because Snakemake reruns a rule when its command changes.
    """
    text = os.environ.get("CHECKPOINT_MINUTES", "10")
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not minutes > 0:
        raise UserError(f"CHECKPOINT_MINUTES is {text!r}: give a number above 0")
    return minutes
