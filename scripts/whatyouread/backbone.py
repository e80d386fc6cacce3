"""The Nucleotide Transformer v2 encoder, built on transformers' EsmModel, and its checkpoints.

The modelling code published beside the weights needs `trust_remote_code` and does not import under
transformers 5. The architecture is ESM's with rotary positions and, in each layer, a feed-forward
block gated as SiLU(x1) * x2 from one bias-free matrix; the published tensors are loaded by name.
"""

import json
import re
from pathlib import Path

import torch
from torch import Tensor, nn

from whatyouread.cli import UserError, log
from whatyouread.tokens import VOCABULARY

# In published files, and in no use here: the language-model and contact heads, the positions of an
# absolute embedding (the model is rotary), and buffers that follow from the configuration.
_UNUSED = re.compile(
    r"^lm_head\.|^(esm\.)?contact_head\.|^(esm\.)?embeddings\.position_embeddings\.weight$"
    r"|^(esm\.)?embeddings\.position_ids$"
)
_INVERSE_FREQUENCIES = re.compile(r"rotary_embeddings\.inv_freq$")


class GatedIntermediate(nn.Module):
    """(batch, length, hidden) -> (batch, length, intermediate): SiLU(x1) * x2 of one projection."""

    def __init__(self, hidden_size: int, intermediate_size: int, bias: bool):
        super().__init__()
        self.dense = nn.Linear(hidden_size, 2 * intermediate_size, bias=bias)

    def forward(self, hidden: Tensor) -> Tensor:
        gate, value = self.dense(hidden).chunk(2, dim=-1)
        return nn.functional.silu(gate) * value


class FirstNorm(nn.LayerNorm):
    """The layer norm before the first attention, in whose place something else can be given.

    An attribute, not a hook: a compiled encoder takes no notice of a hook that comes after it.
    """

    given: Tensor | None = None

    def forward(self, hidden: Tensor) -> Tensor:
        return super().forward(hidden) if self.given is None else self.given


def read_config(folder: str | Path) -> dict:
    """The config.json of a checkpoint folder, checked to be one that this encoder can be."""
    path = Path(folder) / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"no config.json in {folder}: is it a checkpoint folder?") from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise UserError(f"{path} is not a model's configuration, a JSON object")
    required = {
        "position_embedding_type": "rotary",
        "token_dropout": False,
        "emb_layer_norm_before": False,
        "vocab_size": len(VOCABULARY),
    }
    for key, value in required.items():
        if (config.get(key) or False) != value:
            given = config.get(key)
            raise UserError(
                f"{path}: {key} is {given!r}, and Nucleotide Transformer v2 has {value!r}"
            )
    return config


def build_encoder(config: dict) -> nn.Module:
    """A freshly initialised encoder of the layout that `config` (a config.json) describes.

    Raises UserError for sizes that no encoder can have.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import EsmConfig, EsmModel

    known = {
        k: v for k, v in config.items() if k not in ("auto_map", "architectures", "torch_dtype")
    }
    try:
        esm = EsmConfig(**known)
        encoder = EsmModel(esm, add_pooling_layer=False)
    except (ValueError, TypeError, StrictDataclassError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"the backbone's configuration makes no encoder: {reason}") from None
    del encoder.contact_head  # in no use: its parameters would never see a gradient
    first = encoder.encoder.layer[0].attention
    first.LayerNorm = FirstNorm(esm.hidden_size, eps=esm.layer_norm_eps)
    bias = bool(config.get("add_bias_fnn", False))
    for layer in encoder.encoder.layer:
        layer.intermediate = GatedIntermediate(esm.hidden_size, esm.intermediate_size, bias)
        layer.output.dense = nn.Linear(esm.intermediate_size, esm.hidden_size, bias=bias)
        for linear in (layer.intermediate.dense, layer.output.dense):
            nn.init.normal_(linear.weight, std=esm.initializer_range)
            if bias:
                nn.init.zeros_(linear.bias)
    return encoder


def load_checkpoint(encoder: nn.Module, folder: str | Path) -> dict[str, list[str]]:
    """Fill the encoder with the tensors of the safetensors files in `folder`, by name.

    Every tensor is accounted for: returns the names {"loaded": ..., "unused": ...}. Raises UserError
    for a tensor that is missing, unknown or of another shape, and for a damaged file.
    """
    tensors = _read_tensors(Path(folder))
    state = dict(encoder.state_dict())
    loaded, unused, problems = {}, [], []
    for name, tensor in tensors.items():
        own = name.removeprefix("esm.")
        if _INVERSE_FREQUENCIES.search(name):
            _check_inverse_frequencies(name, tensor, encoder)
            unused.append(name)
        elif own in state and state[own].shape == tensor.shape:
            loaded[own] = tensor
        elif own in state:
            shapes = f"{tuple(tensor.shape)}, not {tuple(state[own].shape)}"
            problems.append(f"{name} has the shape {shapes}")
        elif _UNUSED.search(name):
            unused.append(name)
        else:
            problems.append(f"{name} is not known")
    needed = [name for name in state if not _INVERSE_FREQUENCIES.search(name)]
    problems += [
        f"{name} is missing"
        for name in needed
        if name not in tensors and f"esm.{name}" not in tensors
    ]
    if problems:
        more = f" (and {len(problems) - 5} more)" if len(problems) > 5 else ""
        raise UserError(f"the checkpoint in {folder} does not fit: {'; '.join(problems[:5])}{more}")
    encoder.load_state_dict(state | loaded)
    parameters = sum(t.numel() for n, t in tensors.items() if not _INVERSE_FREQUENCIES.search(n))
    log.info(
        "%s: %s parameters, %d tensors loaded, %d not used (heads, buffers)",
        folder, f"{parameters:,}", len(loaded), len(unused),
    )  # fmt: skip
    return {"loaded": sorted(loaded), "unused": sorted(unused)}


def _read_tensors(folder: Path) -> dict[str, Tensor]:
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


def _check_inverse_frequencies(name: str, tensor: Tensor, encoder: nn.Module) -> None:
    """The rotary frequencies follow from the configuration; a file that says otherwise is refused."""
    own = [value for key, value in encoder.state_dict().items() if _INVERSE_FREQUENCIES.search(key)]
    own += [value for key, value in encoder.named_buffers() if _INVERSE_FREQUENCIES.search(key)]
    if own and (
        own[0].shape != tensor.shape or not torch.allclose(own[0].float(), tensor, rtol=1e-2)
    ):
        raise UserError(f"{name} does not fit the rotary positions that config.json asks for")


def weight_files(folder: str | Path) -> list[Path]:
    """`model.safetensors`, or its parts; none in the folder of a fresh encoder."""
    return sorted(
        path
        for pattern in ("model.safetensors", "model-*-of-*.safetensors")
        for path in Path(folder).glob(pattern)
    )
