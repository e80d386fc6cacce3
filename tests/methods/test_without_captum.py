"""Attention rollout against the matrix products of its definition."""

import pytest
import torch

from whatyouread.data.six_mers import PAD
from whatyouread.methods.without_captum import attention_rollout

LENGTHS = [7, 4]


def by_matrices(explanandum, tokens):
    """One sequence without padding: the product of (mean attention + identity) / 2 over the layers."""
    encoder = explanandum.encoder
    encoder.set_attn_implementation("eager")
    with torch.no_grad():
        made = encoder(inputs_embeds=explanandum.embed(tokens), output_attentions=True)
    encoder.set_attn_implementation("sdpa")
    rolled = torch.eye(tokens.shape[1])
    for attention in made.attentions:
        layer = (attention[0].mean(0) + torch.eye(tokens.shape[1])) / 2
        rolled = layer @ rolled
    return rolled


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_rollout_equals_the_matrix_products(make_explanandum, token_batch, pooling):
    explanandum = make_explanandum(pooling)
    batch = token_batch(LENGTHS, seed=1)
    made = attention_rollout(explanandum, batch)
    for row, length in enumerate(LENGTHS):
        rolled = by_matrices(explanandum, batch.ids[row : row + 1, :length])
        expected = rolled.mean(0) if pooling == "mean" else rolled[0]
        torch.testing.assert_close(made[row, :length], expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(made.sum(1), torch.ones(2))
    assert (made[batch.ids == PAD] == 0).all()


def test_the_encoder_is_left_as_it_was(tiny_explanandum, token_batch):
    batch = token_batch(LENGTHS)
    before = tiny_explanandum(batch)
    kind = tiny_explanandum.encoder.config._attn_implementation
    attention_rollout(tiny_explanandum, batch)
    assert tiny_explanandum.encoder.config._attn_implementation == kind
    for one, other in zip(before, tiny_explanandum(batch), strict=True):
        assert torch.equal(one, other)
