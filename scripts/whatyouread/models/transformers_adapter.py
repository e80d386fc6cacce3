"""What the adapters of transformers' encoders have in common.

Token embeddings, which a mask multiplies, are not what the first layer reads: most families add
positions and normalise first. `first` does that here, and the encoder is handed the result. (What
transformers does with `inputs_embeds` differs between the families: BERT adds positions and normalises,
ESM does neither.)
"""

import functools
import re
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from whatyouread.data.batch import Batch
from whatyouread.models.adapter import Block, EncoderAdapter
from whatyouread.models.weights import NOTHING, load_tensors
from whatyouread.support.cli import UserError
from whatyouread.support.network import network_errors

# Not for the constructor: code, and types of numbers, which transformers 5 would obey.
_NOT_OURS = ("auto_map", "architectures", "torch_dtype", "dtype")
_SIZES = (
    *("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"),
    "intermediate_size",
)


class TransformersAdapter(EncoderAdapter):
    """An encoder that is a model of transformers with `embeddings` and layers.

    model: its class in transformers; there is a configuration of that name, too. prefix, unused,
    computed: see `weights.load_tensors`.
    positions: the values of `position_embedding_type` that it knows, the one of a silent file first.
    """

    model: ClassVar[str]
    prefix: ClassVar[str]
    unused: ClassVar[re.Pattern]
    computed: ClassVar[re.Pattern] = NOTHING
    positions: ClassVar[tuple[str, ...]] = ("absolute",)

    @classmethod
    def check(cls, config, path):
        for key in _SIZES:
            if key in config and (type(config[key]) is not int or config[key] < 1):
                raise UserError(f"{path}: {key} is {config[key]!r}, not a positive whole number")
        if "vocab_size" not in config:
            raise UserError(f"{path} has no vocab_size: is it the config.json of an encoder?")
        for key in ("is_decoder", "add_cross_attention", "is_folding_model"):
            if config.get(key):
                raise UserError(f"{path}: {key} is {config[key]!r}, and only encoders are read")
        if config.get("quantization_config"):
            raise UserError(f"{path}: quantised weights are not read: take those in full precision")
        kind = config.get("position_embedding_type") or cls.positions[0]
        if kind not in cls.positions:
            raise UserError(
                f"{path}: position_embedding_type is {kind!r}, and the family "
                f"{config.get('model_type')} is read with {' or '.join(cls.positions)}"
            )

    @classmethod
    def build(cls, config):
        encoder = build_model(cls.model, config)
        encoder.embeddings.__class__ = _handing_on(type(encoder.embeddings))
        return encoder

    def load(self, folder: str | Path):
        return load_tensors(
            self.encoder, folder, self.prefix, self.unused, self.computed, self.take_computed
        )

    def take_computed(self, name: str, tensor: Tensor) -> None:
        """Check a tensor of a file that follows from the configuration. Raises UserError."""

    def embed(self, ids):
        return self.encoder.get_input_embeddings()(ids)

    @abstractmethod
    def first(self, embeddings: Tensor, batch: Batch) -> Tensor:
        """What the first layer reads: embeddings (batch or 1, length or 1, hidden) with positions etc.

        Returns (batch, length, hidden), or a 1 where the result is the same for all.
        """

    def encode(self, embeddings, batch):
        self.refuse_longer(batch)
        return self.layers(self.first(embeddings, batch), batch)

    def encode_relaxed(self, embeddings, mask, batch):
        # A norm before the first layer divides by the size of its input, and so hides how strong a token
        # is where nothing else is added. All that the first layer reads, its residual included, is
        # therefore the interpolation between the empty and the full token, both as they come out.
        empty, full = self._empty_and_full(embeddings, batch)
        return self.layers(between(empty, full, mask.unsqueeze(-1)), batch)

    def _empty_and_full(self, embeddings: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        self.refuse_longer(batch)
        nothing = torch.zeros_like(embeddings[:1, :1])
        return self.first(nothing, batch), self.first(embeddings, batch)

    def layers(self, hidden: Tensor, batch: Batch, **options) -> Tensor:
        """What the first layer reads -> last hidden states, both (batch, length, hidden)."""
        made = self.encoder(
            inputs_embeds=hidden, attention_mask=attended(self.encoder, batch), **options
        )
        return made.last_hidden_state

    def blocks(self):
        return [self.block(layer) for layer in self.encoder.encoder.layer]

    @abstractmethod
    def block(self, layer: nn.Module) -> Block:
        """The parts of a layer of the encoder, see `EncoderAdapter.blocks`."""

    def attentions(self, batch):
        self.refuse_longer(batch)
        return attentions(self.encoder, self.first(self.embed(batch.ids), batch), batch)


def attended(encoder: nn.Module, batch: Batch) -> Tensor | None:
    """Which tokens each token attends to, bool (batch, 1, length, length); None where to all of them.

    transformers makes the same of `batch.valid`, but first it looks whether there is padding at all, and
    that waits for the GPU. With a mask a compiled encoder would also use a slower attention.
    """
    if batch.whole:
        return None
    if encoder.config._attn_implementation != "sdpa":
        return batch.valid.long()
    return batch.valid[:, None, None].expand(-1, 1, batch.ids.shape[1], -1)


def build_model(name: str, config: dict) -> nn.Module:
    """Make a freshly initialised encoder of transformers, without a pooler.

    name: of its class. config: a config.json. Raises UserError for impossible sizes.
    """
    with network_errors("the library transformers does not start"):
        import transformers
        from huggingface_hub.errors import StrictDataclassError

    known = {key: value for key, value in config.items() if key not in _NOT_OURS}
    try:
        made = getattr(transformers, name.replace("Model", "Config"))(**known)
        return getattr(transformers, name)(made, add_pooling_layer=False)
    except (ValueError, TypeError, ZeroDivisionError, RuntimeError, StrictDataclassError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"the backbone's configuration makes no encoder: {reason}") from None


def attentions(encoder: nn.Module, embeddings: Tensor, batch: Batch) -> list[Tensor]:
    """The attention of each layer; embeddings: what the encoder is handed.

    Raises UserError for a family that has none to show.
    """
    usual = encoder.config._attn_implementation
    encoder.set_attn_implementation("eager")  # the only one that returns its weights
    try:
        # transformers collects the weights with hooks, and a compiled encoder does not call them
        with torch.compiler.set_stance("force_eager"):
            made = encoder(
                inputs_embeds=embeddings,
                attention_mask=batch.valid.long(),
                output_attentions=True,
            )
    finally:
        encoder.set_attn_implementation(usual)
    layers = list(getattr(made, "attentions", None) or [None])
    if any(layer is None for layer in layers):
        raise UserError(
            f"models of type {encoder.config.model_type} give no attention weights: leave out the methods"
            " attention and attention_rollout"
        )
    return layers


def counted_positions(batch: Batch, padding: int) -> Tensor:
    """Positions as RoBERTa and ESM count them, int64 (batch, length): from `padding` + 1 on.

    padding: the id of padding and the position of all such tokens.
    """
    counted = batch.valid & (batch.ids != padding)
    return counted.cumsum(1) * counted + padding


def between(empty: Tensor, full: Tensor, weights: Tensor) -> Tensor:
    """The interpolation of two tensors (batch, length, hidden); weights: float (batch, length, 1)."""
    return empty + weights.to(full.dtype) * (full - empty)


@functools.cache
def _handing_on(usual: type) -> type:
    """A class of embeddings that hands on what it is given as `inputs_embeds` and does the rest as usual."""

    class Embeddings(usual):
        def forward(self, input_ids=None, *others, inputs_embeds=None, **options):
            if inputs_embeds is None:
                return super().forward(input_ids, *others, **options)
            return inputs_embeds

    return Embeddings
