"""Scores per token by the Explainer and by every method it is compared with.

A method is an entry of the configuration: its settings, and under `method` which of `METHODS` it is
(left out where the entry has that name). All of them are asked the same `Question`.
"""

import inspect
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from whatyouread.attribution_files import Attributions, score_names
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
from whatyouread.masking import target_mask
from whatyouread.occlusion import body, occlusion
from whatyouread.other_classes import OTHERS, runner_up_classes, wrong_classes
from whatyouread.predict import autocast, classify
from whatyouread.progress import progress
from whatyouread.rollout import attention_rollout
from whatyouread.token_files import TokenFile, batches_by_length
from whatyouread.tokens import PAD


def summed(scores: Tensor) -> Tensor:
    """(batch, length, ranks + 2) -> (batch, length, ranks + 3): ranks, their sum, other classes.

    For methods that are linear in what they explain, the sum over the ranks explains the product of
    the probabilities.
    """
    own, others = scores[..., : -len(OTHERS)], scores[..., -len(OTHERS) :]
    return torch.cat([own, own.sum(-1, keepdim=True), others], dim=-1)


def same_for_all(question: Question, scores: Tensor) -> Tensor:
    """Scores (batch, length) that know no classes, for every target."""
    return scores.unsqueeze(-1).repeat(1, 1, question.target_count + 1)


def random_scores(question: Question) -> Tensor:
    """Uniform in [0, 1), float32 (batch, length): a method that knows nothing."""
    place = np.arange(question.tokens.shape[1])
    made = draw(question.seed, "random attribution", question.keys[:, None], place)
    return torch.from_numpy(made.astype(np.float32)).to(question.tokens.device) * (
        question.tokens != PAD
    )


def occlusion_gradients(
    question: Question,
    samples: int = 24,
    areas: Sequence[float] = (0.1, 0.3, 0.9),
    windows: Sequence[int] = (1, 8),
) -> Tensor:
    """The mean gradient under random occlusions: what the sharp Explainer learns to foresee.

    samples: occlusions of each sequence, which keep each of `areas` of the tokens in turn.
    """
    inside, scores = body(question.tokens), question.empty()
    device, place = scores.device, np.arange(inside.shape[1])
    for sample in range(samples):
        # uniform numbers do where only their order counts; they belong to the sequence
        noise = draw(
            question.seed, "occlusion", question.keys[:, None], sample * MAX_LENGTH + place
        )
        pick = draw(question.seed, "window", question.keys, sample) * len(windows)
        mask = occlusion(
            inside,
            torch.from_numpy((noise - 0.5).astype(np.float32)).to(device),
            torch.full((len(inside),), areas[sample % len(areas)], device=device),
            torch.tensor(windows, device=device)[torch.from_numpy(pick.astype(np.int64))],
        ).requires_grad_()
        made = question.targets(mask, *question.arguments(), relaxed=True)
        for i in range(question.target_count):
            last = i + 1 == question.target_count
            [gradient] = torch.autograd.grad(made[:, i].sum(), mask, retain_graph=not last)
            scores[..., i] += gradient / samples
    return scores * (question.tokens != PAD).unsqueeze(-1)


@torch.inference_mode()
def explainer_masks(question: Question, explainer: Explainer) -> Tensor:
    """The Explainer's class masks, their maximum, and the target masks of the other classes.

    Those of the sharp Explainer are not smoothed: here they are judged by what the classifier reads.
    """
    sets = torch.cat([question.predicted.unsqueeze(1), question.others], dim=1)
    masks = explainer.class_masks(question.tokens, sets, smooth=False)
    target = target_mask(masks)
    return torch.cat([masks[:, :, 0], target], dim=-1)


def _linear(method: Callable[..., Tensor]):
    return lambda question, explainer, **settings: summed(method(question, **settings))


# name -> (question, explainer, **settings) -> float32 (batch, length, ranks + 3), and the function
# whose parameters the settings are
METHODS: dict[str, tuple[Callable[..., Tensor], Callable]] = {
    "explainer": (explainer_masks, explainer_masks),
    "integrated_gradients": (_linear(integrated_gradients), integrated_gradients),
    "gradient_x_input": (_linear(gradient_x_input), gradient_x_input),
    "ablation": (_linear(ablation), ablation),
    "occlusion_gradients": (_linear(occlusion_gradients), occlusion_gradients),
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
MAX_LENGTH = 1 << 16  # numbers drawn for one occlusion of a sequence
ONE_BY_ONE = ("ablation", "lime", "kernel_shap")
"""Methods whose batches are perturbations of one sequence."""


class Attributor:
    """Runs one method and keeps count of what it costs."""

    def __init__(
        self, name: str, settings: dict, explanandum: Explanandum, explainer: Explainer, *,
        batch_size: int, seed: int, device: torch.device, precision: str = "fp32",
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
        self.batch_size, self.seed = batch_size, seed
        self.device, self.precision = device, precision
        self.explanandum = explanandum.to(device).freeze()
        self.cost: dict[str, float] = {}

    def classes(self, file: TokenFile, lineages: np.ndarray) -> dict[str, np.ndarray]:
        """The predicted, the wrong and the runner-up classes, int64 (n, ranks) each."""
        predicted, runner_up = (np.empty(file.labels.shape, np.int64) for _ in range(2))
        for rows in batches_by_length(file.lengths, self.batch_size):
            logits = classify(
                self.explanandum, file.tokens(rows), None, self.device, self.precision
            )
            predicted[rows] = predictions(logits).cpu().numpy()
            runner_up[rows] = runner_up_classes(
                file.labels[rows], predicted[rows], logits[-1].float().cpu().numpy(), lineages
            )
        wrong = wrong_classes(file.labels, predicted, file.keys, self.seed, lineages)
        return {"predicted": predicted, "wrong": wrong, "runner_up": runner_up}

    def explain(
        self, file: TokenFile, rows: np.ndarray, classes: dict[str, np.ndarray]
    ) -> Attributions:
        """The scores of some rows of a token file; classes: what `classes` gave for all of them.

        Afterwards `cost` holds seconds and passes through the Explanandum per sequence.
        """
        lengths = file.lengths[rows]
        names = score_names(file.ranks)
        classes = {name: values[rows] for name, values in classes.items()}
        others = np.stack([classes[name] for name in OTHERS], axis=1)
        scores = np.zeros((len(names), len(rows), lengths.max()), np.float32)
        self.explainer.attach(self.explanandum)  # which may be the one of random weights
        passes = _Passes(self.explanandum)
        seconds = 0.0
        with passes, progress(self.name, len(rows), "sequences") as bar:
            for batch in batches_by_length(lengths, self.question_size):
                question = Question(
                    self.explanandum,
                    torch.from_numpy(file.tokens(rows[batch])).to(self.device),
                    torch.from_numpy(classes["predicted"][batch]).to(self.device),
                    torch.from_numpy(others[batch]).to(self.device),
                    file.keys[rows[batch]],
                    self.seed,
                    self.batch_size,
                )
                start = time.perf_counter()
                with autocast(self.device, self.precision):
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
            **classes, scores=dict(zip(names, scores, strict=True)),
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
