"""The family `bert`: BERT, DNABERT, MiniLM. Post-norm layers, absolute positions, one token type."""

import re

import torch

from whatyouread.models.adapter import Block
from whatyouread.models.transformers_adapter import TransformersAdapter


class BertAdapter(TransformersAdapter):
    """The first layer reads the normalised sum of a token, its position and token type 0."""

    model_type = "bert"
    model, prefix = "BertModel", "bert."
    published_head = ("bert.pooler.dense", "classifier")
    # Heads of language models, classifiers and questions; the pooler, which only such heads read;
    # buffers that follow from the configuration.
    unused = re.compile(
        r"^cls\.|^classifier\.(weight|bias)$|^qa_outputs\.|^pooler\.dense\.(weight|bias)$"
        r"|^embeddings\.(position|token_type)_ids$"
    )

    @property
    def longest(self):
        return self.encoder.config.max_position_embeddings

    def positions_of(self, batch):
        """int64 (1 or batch, length)."""
        last = self.longest - 1  # padding may lie beyond it
        return torch.arange(batch.ids.shape[1], device=batch.device).clamp(max=last).unsqueeze(0)

    def first(self, embeddings, batch):
        parts = self.encoder.embeddings
        embeddings = embeddings + parts.token_type_embeddings.weight[0]
        return parts.LayerNorm(embeddings + parts.position_embeddings(self.positions_of(batch)))

    def block(self, layer):
        own, inner = layer.attention.self, layer.intermediate
        return Block(own.query, own.key, own.value, inner, inner.intermediate_act_fn)

    def layers(self, hidden, batch, **options):
        return super().layers(self.encoder.embeddings.dropout(hidden), batch, **options)
