"""Is there a GPU to compute on? One that was granted and cannot be used is an error."""

import os
import re
import warnings
from pathlib import Path

import torch

from whatyouread.support.cli import UserError

CHOICES = ("auto", "cpu", "cuda")
DRIVERS = {"11": 450, "12": 525, "13": 580}
"""The lowest NVIDIA driver for each CUDA version (NVIDIA, CUDA Compatibility)."""
DRIVER_FILE = Path("/proc/driver/nvidia/version")
GRANTS = ("SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "SLURM_GPUS_ON_NODE", "CUDA_VISIBLE_DEVICES")
HIDDEN = ("", "nodevfiles", "none", "void", "(null)")
"""What stands in these variables, in lower case, where no GPU is meant."""
OTHERWISE = "or set `device: cpu` (by hand: WHATYOUREAD_DEVICE=cpu) to compute on the CPU"


def use_gpu(gpus: int = 1) -> bool:
    """Whether to compute on a GPU: where there is one, unless WHATYOUREAD_DEVICE says otherwise.

    gpus: how many the settings ask for; one is what they ask for by default, and may be missing. The
    workflow sets the variable from its key `device`: `auto`, `cpu` or `cuda`. Raises UserError where a
    GPU was granted or asked for and torch cannot use it.
    """
    chosen = os.environ.get("WHATYOUREAD_DEVICE", "").strip().lower() or "auto"
    if chosen not in CHOICES:
        raise UserError(f"WHATYOUREAD_DEVICE is {chosen!r}: one of {', '.join(CHOICES)}")
    if chosen == "cpu":
        return False
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if torch.cuda.is_available():
            return True
    grant = "device: cuda asks for one" if chosen == "cuda" else _grant(gpus)
    if grant:
        said = " ".join(str(warning.message) for warning in caught)
        raise UserError(f"no GPU can be used, and {grant}: {_reason(said)}, {OTHERWISE}")
    return False


def _grant(gpus: int) -> str:
    """What granted or asked for a GPU; an empty string for nothing."""
    if gpus > 1:
        return f"gpus: {gpus} asks for {gpus}"
    for name in GRANTS:
        value = os.environ.get(name, "").strip()
        none = value == "0" and name == "SLURM_GPUS_ON_NODE"  # a number; elsewhere it is the GPU 0
        if value.lower() not in HIDDEN and not none and not value.startswith("-"):
            return f"{name}={value} grants one"
    return ""


def _reason(said: str) -> str:
    """Why torch uses no GPU, and what to do; said: the warnings of torch."""
    version, cuda = torch.__version__, torch.version.cuda
    if cuda is None and not torch.version.hip:
        return f"torch {version} is built for CPUs only; install torch from PyPI (docs/cluster.md)"
    needed = DRIVERS.get((cuda or "").partition(".")[0])
    needs = f"torch {version} carries CUDA {cuda}" + (
        f" and needs NVIDIA's driver {needed} or newer" if needed else ""
    )
    driver = _driver()
    if driver is None:
        return f"{needs}, and no driver is loaded on this machine; ask for a node with a GPU"
    if needed and int(driver.partition(".")[0]) < needed:
        return f"{needs}, and the driver here is {driver}; update it, or install a torch for an older CUDA"
    said = " ".join(said.split())[:200]
    return f"{needs}; the driver here is {driver}{said and f', and torch says: {said}'}; see nvidia-smi"


def _driver() -> str | None:
    """The version of the loaded NVIDIA driver, such as 550.54.15."""
    try:
        text = DRIVER_FILE.read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"\b(\d{3,}(?:\.\d+)+)\b", text)
    return found and found[1]


def ready(device: torch.device) -> torch.device:
    """The same GPU, after a first sum on it. Raises UserError where it is missing or computes nothing."""
    count = torch.cuda.device_count()
    if device.index >= count:
        raise UserError(
            f"this process needs GPU {device.index} of this machine, and {count} are visible: start fewer "
            "processes, or run on a machine with more GPUs"
        )
    try:
        torch.ones(1, device=device).add_(1).item()
    except RuntimeError as error:  # too old or too new for this torch, or in another's use
        first = str(error).strip().splitlines()[0]
        name = torch.cuda.get_device_name(device)
        raise UserError(
            f"{name} cannot be used by torch {torch.__version__} (CUDA {torch.version.cuda}): {first}; "
            f"see nvidia-smi for what else runs there, install a torch for this GPU, {OTHERWISE}"
        ) from None
    return device
