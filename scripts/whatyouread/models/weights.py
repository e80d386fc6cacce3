"""The tensors of a checkpoint's folder, whatever the family of the model."""

import re
from collections.abc import Callable
from pathlib import Path

from torch import Tensor, nn

from whatyouread.support.cli import UserError, log

NOTHING = re.compile(r"(?!)")
"""Matches no name."""
_OLD_NAMES = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


def weight_files(folder: str | Path) -> list[Path]:
    """`model.safetensors`, or its parts; an empty list for a fresh encoder."""
    return sorted(
        path
        for pattern in ("model.safetensors", "model-*-of-*.safetensors")
        for path in Path(folder).glob(pattern)
    )


def read_tensors(folder: str | Path) -> dict[str, Tensor]:
    """All tensors of the weight files by name, floating-point ones as float32.

    Raises UserError where there are none or a file is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    tensors: dict[str, Tensor] = {}
    for path in weight_files(folder):
        try:
            tensors |= load_file(path)
        except SafetensorError as error:
            raise UserError(f"{path} is damaged ({error}): retrieve it again") from None
    if not tensors:
        raise UserError(f"no model.safetensors in {folder}")
    return {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}


def load_tensors(
    encoder: nn.Module,
    folder: str | Path,
    prefix: str,
    unused: re.Pattern,
    computed: re.Pattern = NOTHING,
    take_computed: Callable[[str, Tensor], None] = lambda name, tensor: None,
) -> dict[str, list[str]]:
    """Load the tensors of the safetensors files in `folder` into an encoder by name.

    prefix: of the encoder's tensors in files that also hold a head ("bert."); files of the encoder alone
    lack it. unused: matches names, without the prefix, of tensors that this encoder has no use for.
    computed: matches names of tensors that follow from the configuration and may be missing; those of
    the files go to `take_computed`, in the order of their names, which may raise UserError.

    Returns the names of all tensors as {"loaded": ..., "unused": ...}. Raises UserError if a tensor is
    missing, unknown or of another shape, or if a file is damaged.
    """
    tensors = read_tensors(folder)
    state = dict(encoder.state_dict())
    loaded, left, problems = {}, [], []
    for name, tensor in sorted(tensors.items()):
        own = _new_name(name.removeprefix(prefix))
        if computed.search(own):
            left.append(name)
        elif own in state and state[own].shape == tensor.shape:
            loaded[own] = tensor
        elif own in state:
            shapes = f"{tuple(tensor.shape)}, not {tuple(state[own].shape)}"
            problems.append(f"{name} has the shape {shapes}")
        elif unused.search(own):
            left.append(name)
        else:
            problems.append(f"{name} is not known")
    known = {_new_name(name.removeprefix(prefix)) for name in tensors}
    problems += [
        f"{name} is missing" for name in state if name not in known and not computed.search(name)
    ]
    if problems:
        more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""
        raise UserError(f"the checkpoint in {folder} does not fit: {'; '.join(problems[:5])}{more}")
    encoder.load_state_dict(state | loaded)
    for name in sorted(tensors):
        if computed.search(name):
            take_computed(name, tensors[name])
    parameters = sum(t.numel() for n, t in tensors.items() if not computed.search(n))
    log.info(
        "%s: %s parameters, %d tensors loaded, %d not used (heads, buffers)",
        folder, f"{parameters:,}", len(loaded), len(left),
    )  # fmt: skip
    return {"loaded": sorted(loaded), "unused": sorted(left)}


def _new_name(name: str) -> str:
    """The name of a tensor today; the oldest files of BERT call a layer norm's weights otherwise."""
    for old, new in _OLD_NAMES.items():
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name
