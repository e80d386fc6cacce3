"""Occlusions: random masks of 0 and 1, and the classifier's gradient under them.

Single tokens count for a classifier when most of the sequence is gone, for example with a tenth of the
tokens left. The gradient of the log-probabilities with respect to such a mask, taken with the relaxed
operator, shows for all tokens at once how much each one adds, or would add if it came back. The sharp
Explainer learns to predict this evidence.
"""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from whatyouread.data.batch import Batch, on_device
from whatyouread.models.levels import class_log_probabilities
from whatyouread.models.mask_operator import masked_logits
from whatyouread.support.keyed_random import draw

MAX_LENGTH = 1 << 16  # random numbers per occlusion of a sequence


def occlusion(batch: Batch, noise: Tensor, area: Tensor, window: Tensor | None) -> Tensor:
    """Masks that keep the highest values of smoothed noise, 0 or 1: float32 (batch, length).

    Only content is masked; special tokens stay 1, and padding is 0. noise: float (batch, length). area:
    float (batch,), the share of the content that each sequence keeps, at least one token. window:
    int64 (batch,), the number of tokens over which the noise is summed; kept stretches are about as
    long. None: the noise as it is.
    """
    content = batch.content
    place = torch.arange(content.shape[1], device=content.device)
    if window is not None:
        # sum `window` neighbours by a cumulative sum, up to the end of the content, at equal variance
        total = F.pad(noise.cumsum(1), (1, 0))
        last = (content * (place + 1)).amax(1, keepdim=True)
        end = torch.minimum(place + window.unsqueeze(1), last)
        noise = (total.gather(1, end) - total[:, :-1]) / (end - place).clamp(min=1).sqrt()
    order = noise.masked_fill(~content, -torch.inf).argsort(dim=1, descending=True, stable=True)
    position = torch.empty_like(order).scatter_(1, order, place.expand_as(order))
    count = (area * content.sum(1)).round().clamp(min=1)
    kept = position < count.unsqueeze(1)
    return (torch.where(content, kept, batch.valid)).float()


def draw_occlusions(batch: Batch, areas: Sequence[float] | None, windows: Sequence[int]) -> Tensor:
    """Draw an `occlusion` for each sequence, with a random one of `areas` and of `windows`.

    areas: None for any share, all alike often. For training: other draws at each call, from torch's
    generator of the device.
    """
    size, device = len(batch), batch.device
    noise = torch.randn(batch.ids.shape, device=device)
    if areas is None:
        area = torch.rand(size, device=device)
    else:
        area = option(areas, torch.randint(len(areas), (size,), device=device))
    window = option(windows, torch.randint(len(windows), (size,), device=device))
    return occlusion(batch, noise, area, window)


def option(options: Sequence, place: Tensor) -> Tensor:
    """The option at each place, int64 of any shape; for a few numbers.

    A tensor of the options would have to be copied to the GPU, which waits for all work queued there.
    """
    made = torch.zeros(place.shape, dtype=torch.tensor(options).dtype, device=place.device)
    for i, value in enumerate(options):
        made = made.masked_fill(place == i, value)
    return made


def keyed_occlusions(
    batch: Batch,
    keys: np.ndarray,
    seed: int,
    areas: Sequence[float],
    windows: Sequence[int],
    sample: int = 0,
) -> Tensor:
    """An `occlusion` for each sequence that follows from seed, key and sample alone.

    keys: uint64 (batch,). areas: a share for each sequence, (batch,). windows: one is drawn for each
    sequence. Neither the batch nor the device changes the draws.
    """
    # uniform noise is enough, because only its order counts
    place = sample * MAX_LENGTH + np.arange(batch.ids.shape[1])
    noise = draw(seed, "occlusion", keys[:, None], place) - 0.5
    window = picked(windows, draw(seed, "window", keys, sample))
    given = (noise.astype(np.float32), np.asarray(areas, np.float32), window)
    return occlusion(batch, *(on_device(values, batch.device) for values in given))


def coalitions(batch: Batch, samples: int, keys: np.ndarray | None, seed: int) -> Tensor:
    """Occlusions whose sizes follow Shapley's kernel, each with its complement: (samples, batch, length).

    samples: an even number. keys: uint64 (batch,), what the draws follow from, with the seed; None for other
    draws at each call. A kept share of k of n tokens has the probability of all coalitions of that size,
    proportional to 1 / (k (n - k)). Special tokens are 1, padding is 0.
    """
    device, made = batch.device, []
    for pair in range(samples // 2):
        if keys is None:
            noise = torch.randn(batch.ids.shape, device=device)
            drawn = torch.rand(len(batch), device=device)
        else:
            place = pair * MAX_LENGTH + np.arange(batch.ids.shape[1])
            noise = draw(seed, "coalition", keys[:, None], place) - 0.5
            drawn = draw(seed, "size of coalition", keys, pair)
            noise, drawn = (on_device(x.astype(np.float32), device) for x in (noise, drawn))
        size = batch.content.sum(1)
        share = kernel_sizes(size, drawn, batch.ids.shape[1]) / size.clamp(min=1)
        kept = occlusion(batch, noise, share, None)
        made += [kept, torch.where(batch.content, 1 - kept, kept)]
    return torch.stack(made)


def kernel_sizes(tokens: Tensor, drawn: Tensor, longest: int) -> Tensor:
    """Sizes of coalitions by Shapley's kernel, from 1 to tokens - 1: int64 (batch,).

    tokens: int64 (batch,), at most `longest`; drawn: float (batch,), uniform in [0, 1). 1 where there is one
    token.
    """
    size, tokens = torch.arange(1, longest + 1, device=tokens.device), tokens.unsqueeze(1)
    others = (tokens - size).clamp(min=1)
    weights = torch.where(size < tokens, 1 / (size * others).double(), 0).cumsum(1)
    return 1 + (weights[:, :-1] <= drawn.unsqueeze(1) * weights[:, -1:]).sum(1).clamp(
        max=(tokens[:, 0] - 2).clamp(min=0)
    )


def occlusions_of_all_sizes(
    batch: Batch, keys: np.ndarray | None, seed: int, windows: Sequence[int]
) -> Tensor:
    """An `occlusion` for each sequence that keeps any share of the content, all shares alike often.

    keys: uint64 (batch,), what the draws follow from, with the seed; None for other draws at each call.
    """
    if keys is None:
        return draw_occlusions(batch, None, windows)
    return keyed_occlusions(batch, keys, seed, draw(seed, "any share", keys), windows)


def picked(options: Sequence, drawn: np.ndarray) -> np.ndarray:
    """One of the options for each number in [0, 1), (n,)."""
    return np.asarray(options)[(drawn * len(options)).astype(np.int64)]


def masked_gradient(
    explanandum: nn.Module,
    batch: Batch,
    classes: Tensor,
    mask: Tensor,
    chosen: Tensor,
    relaxed: bool,
) -> Tensor:
    """The gradient, with respect to the mask, of the log-probabilities of classes: (batch, length).

    classes: int64 (batch, levels); mask: float (batch, length); chosen: bool (batch, levels), the levels
    whose log-probabilities are added up; relaxed: as for `masked_logits`. The weights of the Explanandum
    get no gradient.
    """
    with torch.enable_grad():
        mask = mask.detach().requires_grad_()
        logits = masked_logits(explanandum, batch, mask, relaxed=relaxed)
        evidence = chosen_log_probability(explanandum, logits, classes, chosen).sum()
        return torch.autograd.grad(evidence, mask)[0].detach()


def chosen_log_probability(
    explanandum: nn.Module, logits: Sequence[Tensor], classes: Tensor, chosen: Tensor
) -> Tensor:
    """The log-probabilities of one answer at each level, added up over the chosen ones: float (batch,).

    classes: int64 (batch, levels); chosen: bool (batch, levels).
    """
    logs = class_log_probabilities(explanandum.levels, logits, classes.unsqueeze(1))[:, 0]
    return (logs * chosen).sum(1)
