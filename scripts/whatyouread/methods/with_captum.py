"""Competing methods that perturb, by captum: the mask vector is the input, zeros are the baseline.

Every function takes a `Question` and returns scores, float32 (sequences, length, targets), zero at
padding. The classifier sees each perturbed mask of a sequence once, for all targets together.
"""

import torch
from torch import Tensor, nn

from whatyouread.data.batch import on_device
from whatyouread.methods.question import Question
from whatyouread.support.cli import UserError
from whatyouread.support.keyed_random import draw

PRESETS = ("fair", "captum_default")
CAPTUMS_SAMPLES = 25
"""The perturbations that captum's Lime draws where nobody says how many."""


@torch.no_grad()
def ablation(question: Question, window: int = 1) -> Tensor:
    """The fall of the log-probability when one token, or a window of tokens, is masked.

    Windows lie side by side from the first token of the content. The tokens of a window share a score.
    """
    from captum.attr import FeatureAblation

    def explain(alone: Question) -> Tensor:
        content = alone.batch.content
        # all special tokens form the first group
        groups = torch.where(content, (content.cumsum(1) - 1) // window + 1, 0)
        made = FeatureAblation(alone.targets).attribute(
            alone.ones,
            baselines=0.0,
            feature_mask=groups,
            perturbations_per_eval=question.batch_size,
        )
        return made.reshape(-1, content.shape[1]).T

    return _one_by_one(question, explain)


def lime_samples(tokens: int, preset: str = "fair", samples: int = 1000, **_) -> tuple[int, int]:
    """The perturbations that `lime` draws for a sequence, and how many it needs: one for each token."""
    return (CAPTUMS_SAMPLES if preset == "captum_default" else samples), tokens


def kernel_shap_samples(tokens: int, samples: int = 1000) -> tuple[int, int]:
    """The same for `kernel_shap`: its regression has a weight for each token, and an intercept.

    With fewer samples many weights fit equally well. The whole and the empty sequence, which give the
    sum of the weights and the intercept, are two of the samples.
    """
    return samples, tokens + 1


class SharedSurrogate:
    """A linear surrogate of all targets at once; it replaces captum's, which has one target.

    captum wants one number per perturbed sequence. `watch` gives it the first target and stores all of
    them; `fit` uses the stored targets in the same order.
    """

    def __init__(self, model):
        self.model, self.outputs = model, []

    def watch(self, targets):
        """Wrap `targets`: store all columns and return the first."""

        def first(*arguments):
            made = targets(*arguments)
            self.outputs.append(made)
            return made[:, 0]

        return first

    def fit(self, train_data, **_) -> None:
        """Fit to captum's perturbations and weights and to the stored targets."""
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
    """LIME (Ribeiro et al. 2016); each token is present with probability 1/2.

    "fair": a ridge surrogate with penalty `alpha` on `samples` perturbations, weighted by
    exp(-d² / (2 kernel_width²)) with the cosine distance d. "captum_default": captum's Lime with its
    own settings, a lasso with penalty 0.01 on 25 perturbations, which gives weight to few tokens.
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

    Masks, weights and scores equal those of captum's Lime, to the last bit on a CPU. captum draws and
    weights the masks one at a time; on a GPU that takes longer than the classifier.
    """
    from sklearn.linear_model import Ridge

    device, length = question.batch.device, question.batch.ids.shape[1]
    with torch.random.fork_rng([]):
        torch.manual_seed(_start(question))
        masks = torch.bernoulli(torch.full((samples, length), 0.5))
    distance = 1 - nn.functional.cosine_similarity(torch.ones(1, length), masks, dim=1)
    weights = (-(distance**2) / (2 * kernel_width**2)).double().exp().float()
    parts = on_device(masks, device).split(question.batch_size)
    outputs = torch.cat([question.targets(part) for part in parts])
    surrogate = Ridge(alpha).fit(
        masks.double().numpy(),
        outputs.cpu().double().numpy(),
        sample_weight=weights.double().numpy(),
    )
    scores = torch.from_numpy(surrogate.coef_).float()
    return on_device(scores.reshape(-1, length).T, device)


@torch.no_grad()
def kernel_shap(question: Question, samples: int = 1000) -> Tensor:
    """Kernel SHAP (Lundberg and Lee 2017): linear regression on subsets drawn by Shapley weights."""
    from captum.attr import KernelShap
    from sklearn.linear_model import LinearRegression

    def explain(alone: Question) -> Tensor:
        surrogate = SharedSurrogate(LinearRegression())
        method = KernelShap(surrogate.watch(alone.targets))
        method.interpretable_model = surrogate
        return _sampled(alone, method, {"n_samples": samples})

    return _one_by_one(question, explain)


def _one_by_one(question: Question, explain) -> Tensor:
    """Score each sequence alone, without padding, by `explain(question) -> (length, targets)`."""
    scores = question.empty()
    for row, length in enumerate(question.batch.lengths):
        scores[row, :length] = explain(question.alone(row))
    return scores


def _sampled(question: Question, method, settings: dict) -> Tensor:
    """Scores (length, targets) of one sequence; random draws depend only on its key."""
    device = question.batch.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(_start(question))
        weights = method.attribute(
            question.ones,
            baselines=0.0,
            perturbations_per_eval=question.batch_size,
            return_input_shape=False,  # there is a row of weights for each target
            **settings,
        )
    return on_device(weights.T, device)


def _start(question: Question) -> int:
    """The random seed for the single sequence of a question."""
    return int(draw(question.seed, "perturbations", question.keys)[0] * 2**53)
