"""Scores per token by the Explainer and by every method it is compared with.

A method is an entry of the configuration: its settings, and under `method` which of `METHODS` it is
(left out where the entry has that name). All of them are asked the same `Question`.
"""

import inspect
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from whatyouread.attribution_files import COMBINED, WRONG, Attributions
from whatyouread.captum_methods import (
    Question,
    ablation,
    gradient_x_input,
    integrated_gradients,
    kernel_shap,
    lime,
)
from whatyouread.cli import UserError
from whatyouread.draws import draw
from whatyouread.explainer import Explainer
from whatyouread.explanandum import Explanandum, predictions
from whatyouread.mask_generation import wrong_classes
from whatyouread.masking import target_mask
from whatyouread.predict import classify
from whatyouread.progress import progress
from whatyouread.rollout import attention_rollout
from whatyouread.token_files import TokenFile, batches_by_length
from whatyouread.tokens import PAD


def summed(scores: Tensor) -> Tensor:
    """(batch, length, ranks + 1) -> (batch, length, ranks + 2): ranks, their sum, wrong classes.

    For methods that are linear in what they explain, the sum over the ranks explains the product of
    the probabilities.
    """
    own, wrong = scores[..., :-1], scores[..., -1:]
    return torch.cat([own, own.sum(-1, keepdim=True), wrong], dim=-1)


def same_for_all(question: Question, scores: Tensor) -> Tensor:
    """Scores (batch, length) that know no classes, for every target."""
    return scores.unsqueeze(-1).repeat(1, 1, question.predicted.shape[1] + 2)


def random_scores(question: Question) -> Tensor:
    """Uniform in [0, 1), float32 (batch, length): a method that knows nothing."""
    place = np.arange(question.tokens.shape[1])
    made = draw(question.seed, "random attribution", question.keys[:, None], place)
    return torch.from_numpy(made.astype(np.float32)).to(question.tokens.device) * (
        question.tokens != PAD
    )


@torch.inference_mode()
def explainer_masks(question: Question, explainer: Explainer) -> Tensor:
    """The Explainer's class masks, their maximum, and the target mask of the wrong classes."""
    sets = torch.stack([question.predicted, question.wrong], dim=1)
    masks = explainer.class_masks(question.tokens, sets)
    target = target_mask(masks)
    return torch.cat([masks[:, :, 0], target], dim=-1)


def _linear(method: Callable[..., Tensor]):
    return lambda question, explainer, **settings: summed(method(question, **settings))


# name -> (question, explainer, **settings) -> float32 (batch, length, ranks + 2), and the function
# whose parameters the settings are
METHODS: dict[str, tuple[Callable[..., Tensor], Callable]] = {
    "explainer": (explainer_masks, explainer_masks),
    "integrated_gradients": (_linear(integrated_gradients), integrated_gradients),
    "gradient_x_input": (_linear(gradient_x_input), gradient_x_input),
    "ablation": (_linear(ablation), ablation),
    "lime": (_linear(lime), lime),
    "kernel_shap": (_linear(kernel_shap), kernel_shap),
    "attention_rollout": (
        lambda question, explainer: same_for_all(
            question, attention_rollout(question.explanandum, question.tokens)
        ),
        attention_rollout,
    ),
    "random": (
        lambda question, explainer: same_for_all(question, random_scores(question)),
        random_scores,
    ),
}
ONE_BY_ONE = ("ablation", "lime", "kernel_shap")
"""Methods whose batches are perturbations of one sequence."""


class Attributor:
    """Runs one method and keeps count of what it costs."""

    def __init__(
        self, name: str, settings: dict, explanandum: Explanandum, explainer: Explainer, *,
        batch_size: int, seed: int, device: torch.device,
    ):  # fmt: skip
        settings = dict(settings)
        kind = settings.pop("method", name)
        if kind not in METHODS:
            raise UserError(
                f"attributions.methods.{name}: no method {kind!r}; give `method`, one of "
                f"{', '.join(METHODS)}"
            )
        self.method, documented = METHODS[kind]
        known = list(inspect.signature(documented).parameters)
        if unknown := settings.keys() - known:
            raise UserError(f"attributions.methods.{name}: {kind} has no setting {min(unknown)!r}")
        self.name, self.settings = name, settings
        self.question_size = 1 if kind in ONE_BY_ONE else batch_size
        self.explainer = explainer.to(device).eval()
        self.batch_size, self.seed, self.device = batch_size, seed, device
        self.explanandum = explanandum.to(device).freeze()
        self.cost: dict[str, float] = {}

    def classes(self, file: TokenFile, lineages: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The predicted classes and wrong ones, int64 (n, ranks) each."""
        predicted = np.empty(file.labels.shape, np.int64)
        for rows in batches_by_length(file.lengths, self.batch_size):
            logits = classify(self.explanandum, file.tokens(rows), None, self.device)
            predicted[rows] = predictions(logits).cpu().numpy()
        return predicted, wrong_classes(file.labels, predicted, file.keys, self.seed, lineages)

    def explain(
        self, file: TokenFile, rows: np.ndarray, predicted: np.ndarray, wrong: np.ndarray
    ) -> Attributions:
        """The scores of some rows of a token file; predicted, wrong: int64 (len(rows), ranks).

        Afterwards `cost` holds seconds and passes through the Explanandum per sequence.
        """
        lengths = file.lengths[rows]
        names = [*file.ranks, COMBINED, WRONG]
        scores = np.zeros((len(names), len(rows), lengths.max()), np.float32)
        passes = _Passes(self.explanandum)
        seconds = 0.0
        with passes, progress(self.name, len(rows), "sequences") as bar:
            for batch in batches_by_length(lengths, self.question_size):
                question = Question(
                    self.explanandum,
                    torch.from_numpy(file.tokens(rows[batch])).to(self.device),
                    torch.from_numpy(predicted[batch]).to(self.device),
                    torch.from_numpy(wrong[batch]).to(self.device),
                    file.keys[rows[batch]],
                    self.seed,
                    self.batch_size,
                )
                start = time.perf_counter()
                made = self.method(question, self.explainer, **self.settings)
                made = made.float().cpu().numpy()  # waits for the GPU
                seconds += time.perf_counter() - start
                scores[:, batch, : made.shape[1]] = made.transpose(2, 0, 1)
                bar.update(len(batch))
        self.cost = {
            "seconds": seconds / len(rows),
            "forward_passes": passes.forward / len(rows),
            "backward_passes": passes.backward / len(rows),
        }
        return Attributions(
            file.ids.take(rows).combine_chunks(), file.keys[rows], lengths, file.labels[rows],
            predicted, wrong, dict(zip(names, scores, strict=True)),
        )  # fmt: skip


class _Passes:
    """Counts the sequences that go through the Explanandum's encoder, and back."""

    def __init__(self, explanandum: Explanandum):
        self.encoder = explanandum.encoder
        self.forward = self.backward = 0

    def __enter__(self) -> "_Passes":
        self._hook = self.encoder.register_forward_hook(self._count)
        return self

    def __exit__(self, *_) -> None:
        self._hook.remove()

    def _count(self, module, inputs, output) -> None:
        hidden = output.last_hidden_state
        self.forward += len(hidden)
        if hidden.requires_grad:
            hidden.register_hook(self._count_backward)

    def _count_backward(self, gradient: Tensor) -> None:
        self.backward += len(gradient)


def reinitialised(explanandum: Explanandum, seed: int) -> Explanandum:
    """An Explanandum of the same shape with fresh random weights (Adebayo et al. 2018)."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Explanandum(**explanandum.config).freeze()
