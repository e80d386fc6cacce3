"""Where half precision ends: heads, masks and the LSTM compute in float32, whatever surrounds them."""

import contextlib

import torch
from torch import Tensor


def without_autocast(device: torch.device):
    """The context in which autocast of this device is off.

    Autocast belongs to one kind of device: turning off that of another one changes nothing.
    """
    kind = device.type
    known = torch.amp.is_autocast_available(kind)
    if known and torch.is_autocast_enabled(kind):
        return torch.autocast(kind, enabled=False)
    return contextlib.nullcontext()


def widest(values: Tensor) -> Tensor:
    """Convert half precision to float32, and leave float32 and float64 as they are."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values
