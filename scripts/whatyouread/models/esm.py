"""The family `esm`: Nucleotide Transformer v1 and v2, ESM-2, ESM-1b. Pre-norm layers."""

import functools
import re

import torch
from torch import Tensor, nn

from whatyouread.models import nucleotide_transformer
from whatyouread.models.adapter import Block
from whatyouread.models.transformers_adapter import TransformersAdapter, between, counted_positions
from whatyouread.support.cli import UserError

# The share of tokens that were masked in the training of every ESM model, and were read as zeros.
_DROPPED = 0.15 * 0.8


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


def turned(values: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions: (x1 cos - x2 sin, x2 cos + x1 sin), x1 and x2 the halves of the last dimension.

    values: (..., length, size); cos, sin: (..., length, size), both halves alike. In the precision of
    `values`: transformers makes float32 of half precision, a fifth of all memory traffic of a training step.
    """
    one, two = values.chunk(2, -1)
    cos, sin = (part[..., : one.shape[-1]].to(values.dtype) for part in (cos, sin))
    first = torch.addcmul(one * cos, two, sin, value=-1)
    return torch.cat([first, torch.addcmul(two * cos, one, sin)], -1)


@functools.cache
def _turning(usual: type) -> type:
    """transformers' self-attention of ESM, but for how the rotary positions are computed."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
    from transformers.models.esm.modeling_esm import eager_attention_forward

    class SelfAttention(usual):
        def forward(self, hidden_states, attention_mask=None, position_embeddings=None, **options):
            shape = hidden_states.shape[:-1]
            query, key, value = (
                part(hidden_states).view(*shape, -1, self.attention_head_size).transpose(1, 2)
                for part in (self.query, self.key, self.value)
            )
            cos, sin = (part.unsqueeze(1) for part in position_embeddings)
            scale = self.attention_head_size**-0.5  # of the query, before it is turned
            query, key = turned(query, cos * scale, sin * scale), turned(key, cos, sin)
            attend = ALL_ATTENTION_FUNCTIONS.get_interface(
                self.config._attn_implementation, eager_attention_forward
            )
            made, weights = attend(
                self, query, key, value, attention_mask,
                dropout=self.dropout if self.training else 0.0, scaling=self.scaling, **options,
            )  # fmt: skip
            return made.reshape(*shape, -1), weights

    return SelfAttention


class EsmAdapter(TransformersAdapter):
    """Rotary or absolute positions, plain or gated feed-forward blocks, with or without a first norm."""

    model_type = "esm"
    model, prefix = "EsmModel", "esm."
    positions = ("absolute", "rotary")
    published_head = ("classifier.dense", "classifier.out_proj")
    # Heads of language models, contacts and classifiers; absolute positions in files of rotary models;
    # buffers that follow from the configuration.
    unused = re.compile(
        r"^lm_head\.|^contact_head\.|^pooler\.dense\.(weight|bias)$"
        r"|^classifier\.(dense|out_proj)\.(weight|bias)$"
        r"|^embeddings\.position_(embeddings\.weight|ids)$"
    )

    computed = re.compile(r"rotary_embeddings\.inv_freq$")

    @classmethod
    def check(cls, config, path):
        if nucleotide_transformer.is_gated(config):
            nucleotide_transformer.check(config, path)
        else:
            super().check(config, path)

    @classmethod
    def build(cls, config):
        encoder = super().build(config)
        del encoder.contact_head  # unused: its parameters would never get a gradient
        for number, layer in enumerate(encoder.encoder.layer):
            if encoder.rotary_embeddings is not None:
                own = layer.attention.self
                own.__class__ = _turning(type(own))
            layer.attention = Attention(layer.attention, is_first=number == 0)
        if nucleotide_transformer.is_gated(config):
            nucleotide_transformer.gate(encoder, config)
        return encoder

    @property
    def _rotary(self) -> bool:
        return self.encoder.embeddings.position_embedding_type == "rotary"

    @property
    def trained_length(self):
        config = self.encoder.config
        return config.max_position_embeddings - config.pad_token_id - 1

    @property
    def longest(self):
        return None if self._rotary else self.trained_length

    def take_computed(self, name, tensor):
        own = self.encoder.rotary_embeddings and self.encoder.rotary_embeddings.inv_freq
        if own is None:
            return
        if own.shape != tensor.shape or not torch.allclose(own, tensor.to(own), rtol=1e-2):
            raise UserError(f"{name} does not fit the rotary positions that config.json asks for")
        if not nucleotide_transformer.has_gates(self.encoder):
            # as transformers does: a file in half precision holds rounded ones
            own.copy_(tensor)

    def embed(self, ids):
        """As the model embeds ids: with `token_dropout` scaled as in its training, by 0.88.

        transformers does this for ids only, not for embeddings that it is given. Where a sequence holds
        mask tokens, they become zeros and the others are scaled by 0.88 over the share of the others.
        """
        words, embeddings = super().embed(ids), self.encoder.embeddings
        if not embeddings.token_dropout:
            return words
        masked = ids == embeddings.mask_token_id
        words = words.masked_fill(masked.unsqueeze(-1), 0.0)
        share = masked.sum(1).float() / (ids != embeddings.padding_idx).sum(1)
        return (words * (1 - _DROPPED) / (1 - share)[:, None, None]).to(words.dtype)

    def first(self, embeddings, batch):
        parts = self.encoder.embeddings
        if not self._rotary:
            places = counted_positions(batch, parts.padding_idx)
            embeddings = embeddings + parts.position_embeddings(places)
        return embeddings if parts.layer_norm is None else parts.layer_norm(embeddings)

    def block(self, layer):
        from transformers.models.esm.modeling_esm import gelu

        own, inner = layer.attention.self, layer.intermediate
        gated = nucleotide_transformer.has_gates(self.encoder)
        activation = nn.functional.silu if gated else gelu
        return Block(own.query, own.key, own.value, inner, activation, gated)

    def encode_relaxed(self, embeddings, mask, batch):
        # The first attention divides by the size of what it reads. It therefore reads a token with mask
        # 0.01 like one with mask 1, and loses it only at mask 0: a soft mask does not dim the token, and
        # no gradient shows that it is gone. So it is handed an interpolation after its norm, too.
        empty, full = self._empty_and_full(embeddings, batch)
        norm = self.encoder.encoder.layer[0].attention.LayerNorm
        # shared, so that gradients are added in one order, whatever else reads the mask
        weights = mask.unsqueeze(-1)
        handed = between(norm(empty), norm(full), weights)
        return self.layers(between(empty, full, weights), batch, handed=handed)
