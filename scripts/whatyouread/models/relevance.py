"""AttnLRP (Achtibat et al. 2024): layer-wise relevance propagation with rules for attention.

Relevance starts at what the classifier says and goes back layer by layer, each of which divides it among its
inputs. Divided by the values that it belongs to, relevance is a gradient under changed rules. One backward
pass therefore makes it, and a token's relevance is the sum over the hidden dimension of embedding times
gradient. The rules (section 3 of the paper):

- linear layers, sums, the mean over tokens: the epsilon rule (equation 8) with epsilon 0: the plain gradient;
- softmax: its Taylor expansion, x (R - s ΣR) (proposition 3.1): the plain gradient;
- products (the halves of a gate: proposition 3.2; queries with keys, attention with values: proposition 3.3):
  the uniform rule, half of the relevance for each factor: half the gradient;
- layer norm: the identity rule for the division by the standard deviation (proposition 3.4): it is a
  constant; the mean is not;
- elementwise activations (GELU, SiLU, tanh): the identity rule (equation 9): f(x) / x in place of the
  derivative.

Some relevance goes to biases and positions, which are no tokens, and some is lost in the softmax, whose
Taylor expansion has a constant. There is no loss elsewhere. So scores need not add up to the log-probability.
"""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from whatyouread.data.batch import Batch
from whatyouread.models.adapter import Block
from whatyouread.models.explanandum import DenseTanh, Explanandum
from whatyouread.models.mask_operator import read
from whatyouread.models.precision import widest
from whatyouread.support.cli import UserError

_SHARES = {"query": 1 / 4, "key": 1 / 4, "value": 1 / 2}
"""What is left of their gradients: the product of attention and values halves once, that before it again."""


@contextlib.contextmanager
def relevance_rules(explanandum: Explanandum) -> Iterator[None]:
    """A block of forward passes of the Explanandum whose backward passes follow the rules of AttnLRP.

    Values stay the same to the last bit. The backward pass may come after the block. Afterwards everything is
    as before, also after an error. Raises UserError as `attnlrp` does.
    """
    blocks = explanandum.adapter.blocks()
    for block in blocks:
        _check_activation(block)
    with contextlib.ExitStack() as undo:
        # a compiled encoder knows nothing of what changes here
        undo.enter_context(torch.compiler.set_stance("force_eager"))
        for block in blocks:
            for name, share in _SHARES.items():
                hook = getattr(block, name).register_forward_hook(_scaling(share))
                undo.callback(hook.remove)
            undo.enter_context(_replaced(block.inner, _feed_forward(block)))
        for module in explanandum.modules():
            if isinstance(module, nn.LayerNorm):
                undo.enter_context(_replaced(module, _layer_norm(module)))
            elif isinstance(module, DenseTanh):
                undo.enter_context(_replaced(module, _dense_tanh(module)))
        yield


def relevance_pass(
    explanandum: Explanandum, batch: Batch
) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
    """A pass over plain sequences under `relevance_rules`: factors, last hidden states and logits.

    factors: float (batch, length), all 1. Each multiplies the embedding of a token. The gradient by it is the
    relevance of the token: the sum over the hidden dimension of embedding times gradient. states and logits:
    as of `mask_operator.read`, to the last bit.
    """
    with relevance_rules(explanandum), torch.enable_grad():
        embeddings = explanandum.embed(batch.ids).detach()
        factors = torch.ones(batch.ids.shape, device=batch.device, requires_grad=True)
        given = embeddings * factors.unsqueeze(-1).to(embeddings.dtype)
        return factors, *read(explanandum, batch, given)


class _WithGradientOf(torch.autograd.Function):
    """The values of the first tensor with the gradient of the second one, of the same shape."""

    @staticmethod
    def forward(ctx, values, follows):
        return values

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return None, gradient


def identity_rule(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """function(x), with f(x) / x as its derivative, and the limit of that at 0.

    function: elementwise, 0 at 0.
    """
    with torch.no_grad():
        values = function(x)
        # so near to 0 all these functions are straight lines
        near = torch.finfo(x.dtype).eps
        safe = torch.where(x.abs() < near, near, x)
        slope = function(safe) / safe
    return _WithGradientOf.apply(values, x * slope)


def uniform_rule(one: Tensor, other: Tensor) -> Tensor:
    """one ⊙ other, with half the gradient for each."""
    made = one * other
    return _WithGradientOf.apply(made.detach(), made / 2)


def _scaling(share: float):
    """A hook that leaves the values of a module and scales their gradient."""

    def hook(module, inputs, made):
        if made.requires_grad:
            made.register_hook(lambda gradient: gradient * share)

    return hook


def _layer_norm(norm: nn.LayerNorm) -> Callable[[Tensor], Tensor]:
    usual = norm.forward

    def forward(x: Tensor) -> Tensor:
        with torch.no_grad():
            values, wide = usual(x), widest(x)
            slope = (wide.var(-1, correction=0, keepdim=True) + norm.eps).rsqrt()
            if norm.weight is not None:
                slope = slope * norm.weight
        wide = widest(x)
        return _WithGradientOf.apply(values, (wide - wide.mean(-1, keepdim=True)) * slope)

    return forward


def _feed_forward(block: Block) -> Callable[[Tensor], Tensor]:
    def forward(hidden: Tensor) -> Tensor:
        made = block.inner.dense(hidden)
        if not block.gated:
            return identity_rule(block.activation, made)
        gate, value = made.chunk(2, dim=-1)
        return uniform_rule(identity_rule(block.activation, gate), value)

    return forward


def _dense_tanh(head: DenseTanh) -> Callable[[Tensor], Tensor]:
    return lambda pooled: head.out(identity_rule(torch.tanh, head.dense(pooled)))


def _check_activation(block: Block) -> None:
    weights = block.activation.parameters() if isinstance(block.activation, nn.Module) else ()
    # an activation without weights is asked on the CPU, where nobody waits for the answer
    device = next((weight.device for weight in weights), torch.device("cpu"))
    at_zero = float(block.activation(torch.zeros((), device=device)))
    if at_zero != 0:
        raise UserError(
            f"the activation of the feed-forward blocks is {at_zero:g} at 0, and AttnLRP divides it by its "
            "input: leave out the method and the objective attnlrp, also in `learns` of joint"
        )


@contextlib.contextmanager
def _replaced(module: nn.Module, forward: Callable) -> Iterator[None]:
    """A block in which this module alone, not its class, has another forward pass."""
    own = vars(module).get("forward")
    module.forward = forward
    try:
        yield
    finally:
        if own is None:
            del module.forward
        else:
            module.forward = own
