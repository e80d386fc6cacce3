"""Save and load trained models as folders with model.safetensors and config.json."""

import json
from pathlib import Path

from torch import nn

from whatyouread.data.folder_tokenizer import FILE
from whatyouread.data.tokenizers import tokenizer_beside
from whatyouread.support.cli import UserError
from whatyouread.support.files import atomic, write_json


def save_model(folder: str | Path, model: nn.Module) -> None:
    """Write `model.safetensors` and `config.json` (the constructor's arguments) into a folder.

    And `tokenizer.json`, where the model's tokenizer is not one that its name alone finds.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    folder = Path(folder)
    state = {
        name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()
    }
    try:
        with atomic(folder / "model.safetensors") as temporary:
            save_file(state, temporary)
    except SafetensorError as error:  # a full disk
        raise UserError(f"{folder}: the model cannot be written ({error})") from None
    if model.tokenizer.definition:
        with atomic(folder / FILE) as temporary:
            temporary.write_text(model.tokenizer.definition, encoding="utf-8", newline="")
    write_json(folder / "config.json", model.config)


def load_model(cls: type, folder: str | Path) -> nn.Module:
    """Load a model that `save_model` wrote; its attribute `folder` says from where.

    Raises UserError for missing, damaged or unfitting files.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = Path(folder)
    for name in ("config.json", "model.safetensors"):
        if not (folder / name).is_file():
            raise UserError(f"{folder / name} is not there: has the training rule run?")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tokenizer_beside(folder, config.get("tokenizer"))
        model = cls(**config)
        model.load_state_dict(load_file(folder / "model.safetensors"))
    except (
        UserError,
        ValueError,
        TypeError,
        AttributeError,
        SafetensorError,
        RuntimeError,
    ) as error:
        raise UserError(f"the model in {folder} cannot be read: {error}") from None
    model.folder = folder
    return model
