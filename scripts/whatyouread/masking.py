"""The mask operator F(tokens, mask), and how class masks become target and inverted masks.

A mask holds one value in [0, 1] per token. It multiplies the token's embedding, and with mean
pooling once more the token's last hidden state before the mean (paper, Figures 1 to 3), so that a
sequence masked in its entirety leaves the heads with nothing but their biases. Training,
evaluation and every competing method mask through `masked_logits`, and through nothing else.
"""

import numpy as np
import torch
from torch import Tensor, nn

from whatyouread.mask_files import THRESHOLD
from whatyouread.tokens import PAD


def masked_logits(
    explanandum: nn.Module,
    tokens: Tensor,
    mask: Tensor | None = None,
    *,
    relaxed: bool = False,
    by_mask: bool = False,
    whole: bool = False,
) -> tuple[Tensor, ...]:
    """F(x ⊙ m): the logits of the Explanandum for masked sequences.

    tokens: int64 (batch, length), padded with `<pad>`; mask: float (batch, length), or None for
    the plain classifier, which equals a mask of ones to the last bit. What the mask says of padding
    is of no account. Returns one float tensor (batch, classes) per rank. Differentiable in the mask.

    Two changes, for training only: `relaxed` masks with `Explanandum.encode_relaxed`, the same for
    masks of 0 and 1; `by_mask` takes the mean over the sum of the mask instead of over all tokens,
    so that a mask does not scale the logits (mean pooling only). `whole`: there is no padding, and it
    need not be looked for (see `unpadded`); changes nothing but the time.
    """
    valid = tokens != PAD
    attended = None if whole else valid
    embeddings = explanandum.embed(tokens)
    if mask is None:
        hidden = explanandum.encode(embeddings, attended)
    elif relaxed:
        hidden = explanandum.encode_relaxed(embeddings, mask, attended)
    else:
        embeddings = embeddings * mask.unsqueeze(-1).to(embeddings.dtype)
        hidden = explanandum.encode(embeddings, attended)
    weights = valid.to(hidden.dtype) if mask is None else mask.to(hidden.dtype) * valid
    return _pooled_logits(explanandum, hidden, weights, weights if by_mask else valid)


@torch.compiler.disable
def unpadded(tokens: Tensor, lengths: np.ndarray | None) -> bool:
    """Whether a batch is known to have no padding.

    lengths: of the sequences, (batch,), where the CPU knows them; to look at tokens on a GPU means to
    wait for it.
    """
    return lengths is not None and int(lengths.min()) == tokens.shape[1]


def read(
    explanandum: nn.Module, tokens: Tensor, whole: bool = False
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The last hidden states (batch, length, hidden) and the logits of the plain sequences."""
    valid = tokens != PAD
    hidden = explanandum.encode(explanandum.embed(tokens), None if whole else valid)
    return hidden, _pooled_logits(explanandum, hidden, valid.to(hidden.dtype), valid)


def _pooled_logits(
    explanandum: nn.Module, hidden: Tensor, weights: Tensor, total: Tensor
) -> tuple[Tensor, ...]:
    if explanandum.pooling == "cls":
        return explanandum.classify(hidden[:, 0])
    # multiply and sum, not a matrix product: its order of summation follows the shape
    pooled = (hidden * weights.unsqueeze(-1)).sum(1) / total.sum(1, keepdim=True).clamp(min=1)
    return explanandum.classify(pooled)


def target_mask(class_masks: Tensor) -> Tensor:
    """m: the elementwise maximum over the masks of the sequence's classes, one per rank.

    class_masks: (batch, length, ranks). Returns (batch, length).
    """
    return class_masks.amax(-1)


def mean_mask(class_masks: Tensor) -> Tensor:
    """The mean in place of the maximum: a gradient reaches every class's mask, for training only."""
    return class_masks.mean(-1)


@torch.compiler.disable  # which would make the copy that this does without
def own_and_other_masks(scores: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """s_c, the masks of a sequence's classes, and n, the maximum over those of all other classes.

    scores: (batch, length, all classes of all ranks side by side), more of them than ranks; classes:
    int64 (batch, ranks), columns of `scores`. Returns (batch, length, ranks) and (batch, length).
    """
    return _OwnAndOther.apply(scores, classes.unsqueeze(1).expand(-1, scores.shape[1], -1))


class _OwnAndOther(torch.autograd.Function):
    """Thousands of classes make the scores the largest tensor there is: none of it is copied.

    As `gather`, and `amax` of a copy in which the own classes are struck out: values and gradients,
    which equal maxima share.
    """

    @staticmethod
    def forward(ctx, scores: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        own = scores.gather(-1, columns)
        # struck out in place and put back; autograd, which has kept the scores, need not know
        searched = scores.data.scatter_(-1, columns, -torch.inf)
        largest = searched.amax(-1)
        searched.scatter_(-1, columns, own)
        ctx.save_for_backward(scores, columns, largest)
        return own, largest

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, own_gradient: Tensor, gradient: Tensor) -> tuple[Tensor, None]:
        scores, columns, largest = ctx.saved_tensors
        # 1 at the largest of the other classes, 0 elsewhere; all in the one tensor that is returned
        made = torch.eq(scores, largest.unsqueeze(-1), out=torch.empty_like(scores))
        made.scatter_(-1, columns, 0)
        made.mul_((gradient / made.sum(-1)).unsqueeze(-1))
        return made.scatter_(-1, columns, own_gradient), None


def inverted(mask: Tensor) -> Tensor:
    """The complement m~ = 1 - m."""
    return 1 - mask


def rounded(mask: Tensor) -> Tensor:
    """1 where the mask is above 0.5, else 0; same shape and dtype."""
    return (mask > THRESHOLD).to(mask.dtype)
