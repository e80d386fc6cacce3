"""The mask operator F(tokens, mask), and functions that combine class masks.

A mask holds one value in [0, 1] per token. The mask multiplies the token's embedding, and with mean
pooling also the token's last hidden state before the mean (paper, Figures 1 to 3). The heads see only
their biases when a sequence is masked entirely. Training, evaluation and all competing methods mask
through `masked_logits` only.

With the first token's state instead of the mean, an entirely masked sequence leaves what the encoder makes of
embeddings that are all zero: the same logits for every sequence where positions are rotary, and the same for
every sequence of one length where they are absolute. A published classifier need not be undecided there.
"""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn

from whatyouread.data.batch import Batch
from whatyouread.models.levels import mean_over
from whatyouread.models.precision import widest


def masked_logits(
    explanandum: nn.Module,
    batch: Batch,
    mask: Tensor | None = None,
    *,
    relaxed: bool = False,
    by_mask: bool = False,
) -> tuple[Tensor, ...]:
    """F(x ⊙ m): the logits of the Explanandum for masked sequences.

    mask: float (batch, length), or None for the plain classifier; None equals a mask of ones to the
    last bit. Mask values at padding are ignored. Returns one float tensor (batch, classes) per level.
    Differentiable in the mask.

    Two options are for training and gradients only. `relaxed` masks with `Explanandum.encode_relaxed`,
    which gives the same for masks of 0 and 1. `by_mask` divides the pooled sum by the sum of the mask
    instead of the number of tokens, so that the size of the mask does not scale the logits (mean
    pooling only).
    """
    return explanandum.classify(
        masked_states(explanandum, batch, mask, relaxed=relaxed, by_mask=by_mask)
    )


def masked_states(
    explanandum: nn.Module,
    batch: Batch,
    mask: Tensor | None = None,
    *,
    relaxed: bool = False,
    by_mask: bool = False,
) -> Tensor:
    """The pooled states of masked sequences, which the heads read: float (batch, hidden).

    All arguments as for `masked_logits`.
    """
    embeddings = explanandum.embed(batch.ids)
    if mask is None:
        hidden = explanandum.encode(embeddings, batch)
        weights = batch.valid.to(hidden.dtype)
    else:
        if relaxed:
            hidden = explanandum.encode_relaxed(embeddings, mask, batch)
        else:
            masked = embeddings * mask.unsqueeze(-1).to(embeddings.dtype)
            hidden = explanandum.encode(masked, batch)
        weights = mask.to(torch.promote_types(hidden.dtype, torch.float32)) * batch.valid
    return _pooled(explanandum, hidden, weights, weights if by_mask else batch.valid)


def read(
    explanandum: nn.Module, batch: Batch, embeddings: Tensor | None = None
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The last hidden states (batch, length, hidden) and the logits of the plain sequences.

    embeddings: float (batch, length, hidden), those of the batch by default. No mask is applied anywhere:
    the heads read the states of all tokens, whatever the embeddings are.
    """
    embeddings = explanandum.embed(batch.ids) if embeddings is None else embeddings
    hidden = explanandum.encode(embeddings, batch)
    pooled = _pooled(explanandum, hidden, batch.valid.to(hidden.dtype), batch.valid)
    return hidden, explanandum.classify(pooled)


def _pooled(explanandum: nn.Module, hidden: Tensor, weights: Tensor, total: Tensor) -> Tensor:
    if explanandum.pooling == "cls":
        return hidden[:, 0]
    hidden, weights = widest(hidden), widest(weights)
    # no matrix product: its order of summation depends on the shape
    return (hidden * weights.unsqueeze(-1)).sum(1) / total.sum(1, keepdim=True).clamp(min=1)


def target_mask(class_masks: Tensor) -> Tensor:
    """m: the elementwise maximum over the masks of the sequence's classes, one per level.

    class_masks: (batch, length, levels), 0 at a level without a label, which adds nothing to a maximum
    of values in [0, 1]. Returns (batch, length).
    """
    return class_masks.amax(-1)


def mean_mask(class_masks: Tensor, known: Tensor | None = None) -> Tensor:
    """The mean instead of the maximum, for training only: a gradient reaches every class's mask.

    known: bool (batch, levels), the levels at which the sequence has a label, all by default. Or, of sets
    of classes, bool (batch, columns): the classes that it has.
    """
    return class_masks.mean(-1) if known is None else mean_over(class_masks, known.unsqueeze(1))


def own_and_other_masks(
    scores: Tensor, classes: Tensor, sizes: Sequence[int] | None = None
) -> tuple[Tensor, Tensor]:
    """s_c, the masks of a sequence's classes, and n, the maximum over those of all other classes.

    scores: (batch, length, columns), the classes of all levels side by side; classes: int64
    (batch, levels), columns of `scores`, or -1 where a sequence has no label at a level; sizes: the
    number of classes of each level. Returns (batch, length, levels) and (batch, length).

    A level without a label takes no part for that sequence: its s_c is 0, which adds nothing to m, and
    n leaves out all its classes, because nobody knows which of them are others. n is 0 where no other
    class is left. Without `sizes` no label may be missing.
    """
    return _OwnAndOther.apply(scores, classes, None if sizes is None else list(sizes))


def own_and_other_set_masks(scores: Tensor, held: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """The same where a sequence has sets of classes: s_c of each class that it holds, and n.

    scores: (batch, length, columns); held: bool (batch, columns), the classes that the sequence has;
    counted: bool (batch, columns), the classes of levels at which it has a label. Returns
    (batch, length, columns), 0 for a class that it does not have, and (batch, length), 0 where no other
    class is left. So m is 0 everywhere where a sequence has none of the classes: nothing speaks for that.
    """
    own = scores.masked_fill(~held.unsqueeze(1), 0)
    others = scores.masked_fill(~(counted & ~held).unsqueeze(1), 0)
    return own, others.amax(-1)


class _OwnAndOther(torch.autograd.Function):
    """`gather`, and `amax` over the other columns; the gradient needs one large tensor instead of four.

    With thousands of classes the scores are the largest tensor of a training step. Values and gradients
    equal those of the two functions; equal maxima share the gradient. A missing label costs nothing: the
    maximum is taken level by level, in the same number of comparisons.
    """

    @staticmethod
    def forward(ctx, scores, classes, sizes):
        known = (classes >= 0).unsqueeze(1)
        if sizes is None:
            sizes, counted = [scores.shape[-1]], torch.ones_like(known[..., :1])
        else:
            starts = accumulate(sizes[:-1], initial=0)
            # any class of a level without a label: it stays within the level, which is left out
            classes = [
                c.clamp(min=start) for c, start in zip(classes.unbind(1), starts, strict=True)
            ]
            classes, counted = torch.stack(classes, 1), known
        columns = classes.unsqueeze(1).expand(-1, scores.shape[1], -1)
        own = scores.gather(-1, columns).masked_fill(~known, 0)
        others = scores.scatter(-1, columns, -torch.inf).split(sizes, -1)
        largest = torch.stack([part.amax(-1) for part in others], -1)
        largest = largest.masked_fill(~counted, -torch.inf).amax(-1)
        ctx.sizes = sizes
        ctx.save_for_backward(scores, columns, largest, known, counted)
        return own, largest.masked_fill(largest == -torch.inf, 0)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, own_gradient, gradient):
        scores, columns, largest, known, counted = ctx.saved_tensors
        # 1 at the largest of the other classes, 0 elsewhere; nothing equals NaN
        highest = largest.unsqueeze(-1).masked_fill(~counted, torch.nan).split(1, -1)
        made = torch.empty_like(scores)
        for part, level, value in zip(
            made.split(ctx.sizes, -1), scores.split(ctx.sizes, -1), highest, strict=True
        ):
            torch.eq(level, value, out=part)
        made.scatter_(-1, columns, 0)
        # without another class there is no 1
        made.mul_((gradient / made.sum(-1).clamp(min=1)).unsqueeze(-1))
        return made.scatter_(-1, columns, own_gradient.masked_fill(~known, 0)), None, None


def inverted(mask: Tensor) -> Tensor:
    """The complement m~ = 1 - m."""
    return 1 - mask
