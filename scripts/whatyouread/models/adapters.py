"""The families of encoders by the `model_type` of their config.json."""

from pathlib import Path

from whatyouread.models.adapter import EncoderAdapter
from whatyouread.models.esm import EsmAdapter
from whatyouread.support.cli import UserError
from whatyouread.support.files import read_json

ADAPTERS: dict[str, type[EncoderAdapter]] = {EsmAdapter.model_type: EsmAdapter}


def find_adapter(config: dict) -> type[EncoderAdapter]:
    """Return the adapter for a model's configuration. Raises UserError if there is none."""
    family = config.get("model_type", "esm")
    if family not in ADAPTERS:
        raise UserError(
            f"there is no adapter for models of type {family!r}, only {', '.join(ADAPTERS)}"
        )
    return ADAPTERS[family]


def read_config(folder: str | Path) -> dict:
    """Read config.json from a checkpoint's folder. Raises UserError if no adapter fits it."""
    path = Path(folder) / "config.json"
    if not path.exists():
        raise UserError(f"no config.json in {folder}: is it a checkpoint folder?")
    config = read_json(path)
    find_adapter(config).check(config, path)
    return config
