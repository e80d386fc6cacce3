"""The families of encoders by the `model_type` of their config.json."""

import json
from pathlib import Path

from whatyouread.models.adapter import EncoderAdapter
from whatyouread.models.esm import EsmAdapter
from whatyouread.support.cli import UserError

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
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no config.json in {folder}: is it a checkpoint folder?") from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise UserError(f"{path} is not a model's configuration, a JSON object")
    find_adapter(config).check(config, path)
    return config
