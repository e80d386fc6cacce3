"""The families of encoders by the `model_type` of their config.json."""

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
