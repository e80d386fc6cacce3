"""The tensors of a checkpoint's folder, whatever the family of the model."""

from pathlib import Path

from torch import Tensor

from whatyouread.support.cli import UserError


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
