"""Attention rollout (Abnar and Zuidema 2020): how attention passes from the output to each token."""

import torch
from torch import Tensor

from whatyouread.explanandum import Explanandum
from whatyouread.tokens import PAD


@torch.no_grad()
def attention_rollout(explanandum: Explanandum, tokens: Tensor) -> Tensor:
    """How much of what the heads read stems from each token, float32 (batch, length), rows sum to 1.

    In each layer the attention is averaged over the heads and, for the residual connection, over
    itself and the identity. The heads read the mean over the tokens, or with `pooling: cls` the
    first token. Knows nothing of classes.
    """
    valid = tokens != PAD
    encoder = explanandum.encoder
    usual = encoder.config._attn_implementation
    encoder.set_attn_implementation("eager")  # the only one that returns its weights
    try:
        # a compiled encoder takes no notice of the hooks by which transformers collects the weights
        with torch.compiler.set_stance("force_eager"):
            made = encoder(
                inputs_embeds=explanandum.embed(tokens),
                attention_mask=valid.long(),
                output_attentions=True,
            )
    finally:
        encoder.set_attn_implementation(usual)
    # from the output backwards, so that no product of two length x length matrices is needed
    if explanandum.pooling == "cls":
        share = torch.zeros(tokens.shape, device=tokens.device)
        share[:, 0] = 1.0
    else:
        share = valid.float() / valid.sum(1, keepdim=True)
    for attention in reversed(made.attentions):
        passed = torch.einsum("bq,bqk->bk", share, attention.float().mean(1))
        share = (share + passed) / 2
    return share
