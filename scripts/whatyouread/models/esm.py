"""The Nucleotide Transformer v2 encoder, built on transformers' EsmModel, and its checkpoints.

The modelling code published beside the weights needs `trust_remote_code` and does not import under
transformers 5. The architecture is ESM's with rotary positions and, in each layer, a feed-forward
block gated as SiLU(x1) * x2 from one bias-free matrix; the published tensors are loaded by name.
"""

import re
from pathlib import Path

import torch
from torch import Tensor, nn

from whatyouread.data.six_mers import VOCABULARY
from whatyouread.models.adapter import EncoderAdapter
from whatyouread.models.weights import read_tensors
from whatyouread.support.cli import UserError, log
from whatyouread.support.network import network_errors

# The published files also hold tensors that this encoder does not use: the language-model and contact
# heads, absolute position embeddings (the model is rotary), and buffers that follow from the
# configuration.
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


class Attention(nn.Module):
    """An attention block of ESM with its layer norm; the first block of an encoder can skip the norm.

    Weights keep the names of `EsmAttention`.
    """

    def __init__(self, block: nn.Module, is_first: bool):
        super().__init__()
        self.self, self.output, self.LayerNorm = block.self, block.output, block.LayerNorm
        self.is_first = is_first

    def forward(self, hidden: Tensor, handed: Tensor | None = None, **options) -> Tensor:
        """handed: input of the first block instead of the normalised hidden states, of the same shape."""
        reads = handed if self.is_first and handed is not None else self.LayerNorm(hidden)
        attended, _ = self.self(reads, **options)
        return self.output(attended, hidden)


def build_encoder(config: dict) -> nn.Module:
    """Make a freshly initialised encoder with the layout in `config` (a config.json).

    Raises UserError for impossible sizes.
    """
    with network_errors("the library transformers does not start"):
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
    del encoder.contact_head  # unused: its parameters would never get a gradient
    for number, layer in enumerate(encoder.encoder.layer):
        layer.attention = Attention(layer.attention, is_first=number == 0)
    bias = bool(config.get("add_bias_fnn", False))
    for layer in encoder.encoder.layer:
        layer.intermediate = GatedIntermediate(esm.hidden_size, esm.intermediate_size, bias)
        layer.output.dense = nn.Linear(esm.intermediate_size, esm.hidden_size, bias=bias)
        for linear in (layer.intermediate.dense, layer.output.dense):
            nn.init.normal_(linear.weight, std=esm.initializer_range)
            if bias:
                nn.init.zeros_(linear.bias)
    return encoder


class EsmAdapter(EncoderAdapter):
    """Nucleotide Transformer v2: pre-norm layers, rotary positions."""

    model_type = "esm"

    @classmethod
    def check(cls, config, path):
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

    @classmethod
    def build(cls, config):
        return build_encoder(config)

    def load(self, folder):
        return load_checkpoint(self.encoder, folder)

    def embed(self, ids):
        return self.encoder.get_input_embeddings()(ids)

    def encode(self, embeddings, batch, **options):
        # A batch without padding needs no attention mask. transformers would have to inspect the mask,
        # which waits for the GPU, and a compiled encoder would use the slower attention with a mask.
        attended = None if batch.whole else batch.valid.long()
        made = self.encoder(inputs_embeds=embeddings, attention_mask=attended, **options)
        return made.last_hidden_state

    def encode_relaxed(self, embeddings, mask, batch):
        # The first layer norm divides by the size of its input. Attention therefore reads a token with
        # mask 0.01 like one with mask 1, and loses it only at mask 0: a soft mask does not dim the
        # token, and no gradient shows that it is gone.
        norm = self.encoder.encoder.layer[0].attention.LayerNorm
        full, empty = norm(embeddings), norm(torch.zeros_like(embeddings[:1, :1]))
        weights = mask.unsqueeze(-1).to(full.dtype)
        handed = empty + weights * (full - empty)
        return self.encode(embeddings * weights.to(embeddings.dtype), batch, handed=handed)

    def attentions(self, batch):
        usual = self.encoder.config._attn_implementation
        self.encoder.set_attn_implementation("eager")  # the only one that returns its weights
        try:
            # transformers collects the weights with hooks, and a compiled encoder does not call them
            with torch.compiler.set_stance("force_eager"):
                made = self.encoder(
                    inputs_embeds=self.embed(batch.ids),
                    attention_mask=batch.valid.long(),
                    output_attentions=True,
                )
        finally:
            self.encoder.set_attn_implementation(usual)
        return list(made.attentions)


def load_checkpoint(encoder: nn.Module, folder: str | Path) -> dict[str, list[str]]:
    """Load the tensors of the safetensors files in `folder` into the encoder by name.

    Returns the names of all tensors as {"loaded": ..., "unused": ...}. Raises UserError if a tensor is
    missing, unknown or of another shape, or if a file is damaged.
    """
    tensors = read_tensors(Path(folder))
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


def _check_inverse_frequencies(name: str, tensor: Tensor, encoder: nn.Module) -> None:
    """Raise UserError if the rotary frequencies in a file differ from those of the configuration."""
    own = [value for key, value in encoder.state_dict().items() if _INVERSE_FREQUENCIES.search(key)]
    own += [value for key, value in encoder.named_buffers() if _INVERSE_FREQUENCIES.search(key)]
    if own and (
        own[0].shape != tensor.shape or not torch.allclose(own[0].float(), tensor, rtol=1e-2)
    ):
        raise UserError(f"{name} does not fit the rotary positions that config.json asks for")
