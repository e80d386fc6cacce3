"""Methods that need one pass or none: attention, random scores, Explainer."""

import numpy as np
import torch
from torch import Tensor

from whatyouread.data.batch import Batch, on_device
from whatyouread.explainers.network import Explainer
from whatyouread.methods.question import Question
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.mask_operator import target_mask
from whatyouread.models.precision import without_autocast
from whatyouread.support.keyed_random import draw


@torch.no_grad()
def attention_rollout(explanandum: Explanandum, batch: Batch) -> Tensor:
    """Attention rollout (Abnar and Zuidema 2020): the flow of attention from each token to the heads.

    Returns float32 (batch, length); rows sum to 1.

    In each layer the attention is averaged over the heads and, for the residual connection, over
    itself and the identity. The heads read the mean over the tokens, or the first token with
    `pooling: cls`. The scores do not depend on classes.
    """
    # going backwards from the output avoids products of two length x length matrices
    share = _read_by_heads(explanandum, batch)
    for layer in reversed(explanandum.adapter.attentions(batch)):
        share = (share + _passed_on(share, layer)) / 2
    return share


@torch.no_grad()
def attention(explanandum: Explanandum, batch: Batch) -> Tensor:
    """The attention that each token gets in the last layer from what the classifier's heads read.

    Returns float32 (batch, length); rows sum to 1. The mean over the attention heads. With `pooling: cls` it
    is the attention of the first token, else the mean of that of all tokens. The scores do not depend on
    classes.
    """
    [*_, last] = explanandum.adapter.attentions(batch)
    return _passed_on(_read_by_heads(explanandum, batch), last)


def _read_by_heads(explanandum: Explanandum, batch: Batch) -> Tensor:
    """The share of each token's last state in what the classifier reads, float32 (batch, length)."""
    if explanandum.pooling == "cls":
        share = torch.zeros(batch.ids.shape, device=batch.device)
        share[:, 0] = 1.0
        return share
    return batch.valid.float() / batch.valid.sum(1, keepdim=True)


def _passed_on(share: Tensor, layer: Tensor) -> Tensor:
    """The shares of the tokens that these attend to, by the mean over the attention heads."""
    with without_autocast(share.device):  # or the product would be in half precision
        return torch.einsum("bq,bqk->bk", share, layer.float().mean(1))


def random_scores(question: Question) -> Tensor:
    """Uniform random scores in [0, 1), float32 (batch, length), as a lower bound for methods."""
    batch = question.batch
    place = np.arange(batch.ids.shape[1])
    made = draw(question.seed, "random attribution", question.keys[:, None], place)
    return on_device(made.astype(np.float32), batch.device) * batch.valid


def cheating_scores(question: Question) -> Tensor:
    """Scores that tell the class by their place alone, float32 (batch, length, targets + 1).

    A cheating explainer, to test the tests: the content is divided into as many equal parts as a level has
    classes, and the middle of the part with the number of the predicted class scores highest, whatever stands
    there. A reader that is trained on what such masks leave reads the class from the place (Jethani et al.
    2021). For several levels together it is the place for the level with most classes.
    """
    content, levels = question.batch.content, question.explanandum.levels
    place = (content.cumsum(1) - 0.5) / content.sum(1, keepdim=True).clamp(min=1)
    most = max(range(len(levels)), key=lambda number: levels[number].classes)
    told = list(zip(levels, question.predicted.unbind(1), strict=True))
    others = question.others[:, :, most].unbind(1)
    scores = []
    for level, answers in [*told, told[most], *((levels[most], own) for own in others)]:
        # of a set of classes the first one that it holds
        number = level.held(answers).int().argmax(1)
        middle = (number + 0.5) / level.classes
        scores.append(1 - (place - middle.unsqueeze(1)).abs())
    return torch.stack(scores, -1) * question.batch.valid.unsqueeze(-1)


@torch.inference_mode()
def explainer_masks(question: Question, explainer: Explainer) -> Tensor:
    """The Explainer's class masks, their maximum, and the target masks of the other classes.

    Gated masks are not smoothed here, because the comparison measures faithfulness to the classifier.
    """
    sets = torch.cat([question.predicted.unsqueeze(1), question.others], dim=1)
    masks = explainer.class_masks(question.batch, sets, smooth=False)
    target = target_mask(masks)
    return torch.cat([masks[:, :, 0], target], dim=-1)
