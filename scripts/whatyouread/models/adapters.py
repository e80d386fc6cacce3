"""The families of encoders by the `model_type` of their config.json."""

from pathlib import Path

from whatyouread.models.adapter import EncoderAdapter
from whatyouread.models.bert import BertAdapter
from whatyouread.models.esm import EsmAdapter
from whatyouread.models.generic import GenericAdapter, is_known
from whatyouread.models.roberta import CamembertAdapter, RobertaAdapter, XlmRobertaAdapter
from whatyouread.support.cli import UserError
from whatyouread.support.files import read_json

ADAPTERS: dict[str, type[EncoderAdapter]] = {
    "esm": EsmAdapter,
    "bert": BertAdapter,
    "roberta": RobertaAdapter,
    "xlm-roberta": XlmRobertaAdapter,
    "camembert": CamembertAdapter,
}


def find_adapter(config: dict) -> type[EncoderAdapter]:
    """Return the adapter for a model's configuration.

    A family without an adapter of its own that transformers knows gets the one of `generic`. Raises
    UserError if there is none.
    """
    family = config.get("model_type", "esm")
    family = family if isinstance(family, str) else str(family)
    if family in ADAPTERS:
        return ADAPTERS[family]
    if is_known(family):
        return GenericAdapter
    raise UserError(
        f"there is no adapter for models of type {family!r}, only {', '.join(ADAPTERS)}, and "
        "transformers does not know them either"
    )


def read_config(folder: str | Path) -> dict:
    """Read config.json from a checkpoint's folder. Raises UserError if no adapter fits it."""
    path = Path(folder) / "config.json"
    if not path.exists():
        raise UserError(f"no config.json in {folder}: is it a checkpoint folder?")
    config = read_json(path)
    find_adapter(config).check(config, path)
    return config
