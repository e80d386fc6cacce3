"""Competing methods from captum, all with the mask vector as the input and zeros as its baseline.

Every function takes a `Question` and returns scores, float32 (sequences, length, targets): what each
token counts for in each target, zero at padding. The perturbed masks of a sequence are run once for
all targets.
"""

import dataclasses
from functools import partial

import torch
from torch import Tensor, nn

from whatyouread.cli import UserError
from whatyouread.draws import draw
from whatyouread.masking import masked_logits
from whatyouread.tokens import PAD

PRESETS = ("fair", "captum_default")
OPERATORS = ("exact", "relaxed")


@dataclasses.dataclass
class Question:
    """What is asked about a batch: why these classes?

    tokens: int64 (batch, length); predicted: int64 (batch, ranks); others: int64 (batch, sets,
    ranks), other classes to ask for, or None; keys: uint64 array (batch,), the seeds of what is
    drawn; batch_size: masked sequences in one forward pass; whole: there is no padding. The
    targets are the ranks' predicted classes, and each set of other classes as one.
    """

    explanandum: nn.Module
    tokens: Tensor
    predicted: Tensor
    others: Tensor | None
    keys: object
    seed: int
    batch_size: int
    whole: bool = False

    def targets(
        self,
        mask: Tensor,
        tokens: Tensor,
        predicted: Tensor,
        others: Tensor | None,
        relaxed: bool = False,
    ) -> Tensor:
        """(batch, targets): log-probability of each predicted class; of other classes, summed."""
        logits = masked_logits(self.explanandum, tokens, mask, relaxed=relaxed, whole=self.whole)
        logs = [rank.float().log_softmax(-1) for rank in logits]
        made = [log.gather(1, predicted[:, i : i + 1]) for i, log in enumerate(logs)]
        if others is not None:
            made.append(sum(log.gather(1, others[:, :, i]) for i, log in enumerate(logs)))
        return torch.cat(made, dim=1)

    @property
    def target_count(self) -> int:
        """Number of targets."""
        return self.predicted.shape[1] + (0 if self.others is None else self.others.shape[1])

    @property
    def ones(self) -> Tensor:
        """The mask of the plain sequences."""
        return torch.ones(self.tokens.shape, device=self.tokens.device)

    def arguments(self) -> tuple[Tensor, Tensor, Tensor]:
        """What `targets` needs beside the mask."""
        return self.tokens, self.predicted, self.others

    def empty(self) -> Tensor:
        """Scores of zero."""
        return torch.zeros(*self.tokens.shape, self.target_count, device=self.tokens.device)


def integrated_gradients(question: Question, steps: int = 16, operator: str = "exact") -> Tensor:
    """Integrated Gradients from the empty to the full sequence (Sundararajan et al. 2017).

    operator: "exact", or "relaxed", by which attention feels a mask that is neither 0 nor 1.
    """
    from captum.attr import IntegratedGradients

    if operator not in OPERATORS:
        raise UserError(f"operator is {operator!r}: one of {', '.join(OPERATORS)}")
    method = IntegratedGradients(partial(question.targets, relaxed=operator == "relaxed"))
    return _by_target(
        question,
        lambda target: method.attribute(
            question.ones,
            baselines=0.0,
            target=target,
            additional_forward_args=question.arguments(),
            n_steps=steps,
            internal_batch_size=max(question.batch_size, len(question.tokens)),
        ),
    )


def gradient_x_input(question: Question) -> Tensor:
    """The gradient at the full sequence, times the mask, which is one there."""
    from captum.attr import InputXGradient

    method = InputXGradient(question.targets)
    mask = question.ones.requires_grad_()
    return _by_target(
        question,
        lambda target: method.attribute(
            mask, target=target, additional_forward_args=question.arguments()
        ),
    )


def _by_target(question: Question, attribute) -> Tensor:
    targets = range(question.target_count)
    scores = torch.stack([attribute(target).detach() for target in targets], dim=-1)
    return scores.float() * (question.tokens != PAD).unsqueeze(-1)


@torch.no_grad()
def ablation(question: Question, window: int = 1) -> Tensor:
    """The fall of the log-probability when a token, or a window of several, is masked.

    Windows lie side by side from the first token after `<cls>`; their tokens share one score.
    """
    from captum.attr import FeatureAblation

    def explain(alone: Question) -> Tensor:
        length = alone.tokens.shape[1]
        groups = 1 + torch.arange(length - 1, device=alone.tokens.device) // window
        groups = nn.functional.pad(groups, (1, 0)).unsqueeze(0)  # <cls> is a group of its own
        made = FeatureAblation(alone.targets).attribute(
            alone.ones,
            baselines=0.0,
            additional_forward_args=alone.arguments(),
            feature_mask=groups,
            perturbations_per_eval=question.batch_size,
        )
        return made.reshape(-1, length).T

    return _one_by_one(question, explain)


class SharedSurrogate:
    """A linear surrogate of all targets at once, in the place of captum's, which has one target.

    captum asks for one number per perturbed sequence; `watch` hands it the first target and keeps
    all of them, and `fit` takes what was kept, in the same order.
    """

    def __init__(self, model):
        self.model, self.outputs = model, []

    def watch(self, targets):
        """`targets`, but with one column, the rest kept here."""

        def first(*arguments):
            made = targets(*arguments)
            self.outputs.append(made)
            return made[:, 0]

        return first

    def fit(self, train_data, **_) -> None:
        """Fit to captum's perturbations and weights and to the outputs that were kept."""
        (features, first, weights), outputs = next(iter(train_data)), torch.cat(self.outputs)
        assert torch.equal(first, outputs[:, 0])
        self.model.fit(
            features.cpu().double().numpy(),
            outputs.cpu().double().numpy(),
            sample_weight=weights.cpu().double().numpy(),
        )

    def representation(self) -> Tensor:
        """The weights, (targets, tokens)."""
        weights = torch.from_numpy(self.model.coef_).float()
        return weights.reshape(-1, weights.shape[-1])


@torch.no_grad()
def lime(
    question: Question,
    preset: str = "fair",
    samples: int = 1000,
    alpha: float = 1.0,
    kernel_width: float = 0.25,
) -> Tensor:
    """LIME (Ribeiro et al. 2016), each token present or absent with even chances.

    "fair": a ridge surrogate of penalty `alpha` on `samples` perturbations, weighted by
    exp(-d² / (2 kernel_width²)) with d the cosine distance. "captum_default": captum's Lime as it
    comes, a lasso of penalty 0.01 on 25 perturbations, which gives hardly any token a weight.
    """
    if preset not in PRESETS:
        raise UserError(f"the preset of LIME is {preset!r}: one of {', '.join(PRESETS)}")
    if preset == "fair":
        return _one_by_one(question, lambda alone: _fair_lime(alone, samples, alpha, kernel_width))
    from captum.attr import Lime
    from sklearn.linear_model import Lasso

    def explain(alone: Question) -> Tensor:
        surrogate = SharedSurrogate(Lasso(0.01))
        method = Lime(surrogate.watch(alone.targets), surrogate)
        return _sampled(alone, method, {})

    return _one_by_one(question, explain)


def _fair_lime(question: Question, samples: int, alpha: float, kernel_width: float) -> Tensor:
    """LIME of one sequence for all targets at once, (length, targets).

    The same masks, weights and scores as captum's Lime gives, to the last bit on a CPU; but captum
    draws and weighs them one at a time, which on a GPU takes longer than the classifier.
    """
    from sklearn.linear_model import Ridge

    device, length = question.tokens.device, question.tokens.shape[1]
    with torch.random.fork_rng([]):
        torch.manual_seed(_start(question))
        masks = torch.bernoulli(torch.full((samples, length), 0.5))
    distance = 1 - nn.functional.cosine_similarity(torch.ones(1, length), masks, dim=1)
    weights = (-(distance**2) / (2 * kernel_width**2)).double().exp().float()
    outputs = torch.cat(
        [
            question.targets(
                part,
                *(
                    None if a is None else a.expand(len(part), *a.shape[1:])
                    for a in question.arguments()
                ),
            )
            for part in masks.to(device).split(question.batch_size)
        ]
    )
    surrogate = Ridge(alpha).fit(
        masks.double().numpy(),
        outputs.cpu().double().numpy(),
        sample_weight=weights.double().numpy(),
    )
    scores = torch.from_numpy(surrogate.coef_).float()
    return scores.reshape(-1, length).T.to(device)


@torch.no_grad()
def kernel_shap(question: Question, samples: int = 1000) -> Tensor:
    """Kernel SHAP (Lundberg and Lee 2017): linear regression, subsets drawn by Shapley's weights."""
    from captum.attr import KernelShap
    from sklearn.linear_model import LinearRegression

    def explain(alone: Question) -> Tensor:
        surrogate = SharedSurrogate(LinearRegression())
        method = KernelShap(surrogate.watch(alone.targets))
        method.interpretable_model = surrogate
        return _sampled(alone, method, {"n_samples": samples})

    return _one_by_one(question, explain)


def _one_by_one(question: Question, explain) -> Tensor:
    """Scores of each sequence alone, without its padding: `explain(question) -> (length, targets)`."""
    scores = question.empty()
    for row in range(len(scores)):
        length = int((question.tokens[row] != PAD).sum())
        alone = dataclasses.replace(
            question,
            tokens=question.tokens[row : row + 1, :length],
            predicted=question.predicted[row : row + 1],
            others=None if question.others is None else question.others[row : row + 1],
            keys=question.keys[row : row + 1],
            whole=True,
        )
        scores[row, :length] = explain(alone)
    return scores


def _sampled(question: Question, method, settings: dict) -> Tensor:
    """Scores (length, targets) of one sequence, drawn by its key whatever was drawn before."""
    device = question.tokens.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(_start(question))
        weights = method.attribute(
            question.ones,
            baselines=0.0,
            additional_forward_args=question.arguments(),
            perturbations_per_eval=question.batch_size,
            return_input_shape=False,  # there is a row of weights for each target
            **settings,
        )
    return weights.T.to(device)


def _start(question: Question) -> int:
    """The seed of what is drawn for the one sequence of a question."""
    return int(draw(question.seed, "perturbations", question.keys)[0] * 2**53)
