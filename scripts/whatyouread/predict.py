"""Running a trained model: device, precision and gradients are settled here, and only here."""

import argparse
import contextlib
import os

import numpy as np
import torch
from torch import Tensor, nn

from whatyouread.cli import log
from whatyouread.masking import masked_logits
from whatyouread.tokens import PAD


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of programs that run a trained model in batches."""
    add = parser.add_argument
    add("--batch-size", type=int, required=True)
    add("--precision", required=True)
    add("--compile", action="store_true", help="compile the Explanandum")
    add("--seed", type=int, required=True)
    add("--threads", type=int, default=1)


def choose_device(threads: int, precision: str = "fp32") -> torch.device:
    """The GPU if there is one, else the CPU with `threads` threads; sets the matrix precision."""
    torch.set_num_threads(threads)
    if not torch.cuda.is_available():
        log.info("no GPU: computing on %d CPU threads", threads)
        return torch.device("cpu")
    torch.set_float32_matmul_precision("highest" if precision == "fp32" else "high")
    torch.backends.cudnn.allow_tf32 = precision != "fp32"  # else the LSTM would use it unasked
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    log.info("computing on %s", torch.cuda.get_device_name(device))
    return device


def autocast(device: torch.device, precision: str):
    """The context in which models run: bf16 autocast when asked for, else nothing."""
    if precision == "bf16":
        return torch.autocast(device.type, torch.bfloat16)
    return contextlib.nullcontext()


def compile_encoder(explanandum: nn.Module, wanted: bool = True) -> nn.Module:
    """Compile the encoder in place where that is wanted; returns the Explanandum.

    Only its forward pass: names of weights stay, and hooks on the encoder are still called.
    """
    if wanted:
        encoder = explanandum.encoder
        # every batch has its own size and length: they are no reason to compile again
        encoder.forward = torch.compile(encoder.forward, dynamic=True)
    return explanandum


@torch.inference_mode()
def classify(
    explanandum: nn.Module,
    tokens: np.ndarray,
    mask: np.ndarray | None,
    device: torch.device,
    precision: str = "fp32",
) -> tuple[Tensor, ...]:
    """F(tokens, mask) for a batch of arrays: int64 and float32 (n, length) -> logits per rank."""
    given = None if mask is None else torch.from_numpy(mask).to(device, torch.float32)
    with autocast(device, precision):
        return masked_logits(
            explanandum, torch.from_numpy(tokens).to(device), given, whole=PAD not in tokens
        )
