"""Score tokens with the Explainer and with all methods of the comparison.

A method is an entry of the configuration: its settings, and under `method` a name in `METHODS`, which
can be left out if the entry has the same name. All methods answer the same `Question`.
"""

import inspect
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from whatyouread.data.batch import at_once, on_device
from whatyouread.data.token_files import TokenFile
from whatyouread.explainers.network import Explainer
from whatyouread.masks.choices import OTHERS, runner_up_classes, wrong_classes
from whatyouread.methods.attnlrp import attnlrp
from whatyouread.methods.files import Attributions, score_names
from whatyouread.methods.gradients import (
    gradient_x_input,
    integrated_gradients,
    occlusion_gradients,
)
from whatyouread.methods.question import Question
from whatyouread.methods.with_captum import (
    ablation,
    kernel_shap,
    kernel_shap_samples,
    lime,
    lime_samples,
)
from whatyouread.methods.without_captum import (
    attention,
    attention_rollout,
    cheating_scores,
    explainer_masks,
    random_scores,
)
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.inference import Passes, batches
from whatyouread.support.cli import UserError, log
from whatyouread.support.progress import progress


def summed(scores: Tensor) -> Tensor:
    """Insert the sum over the ranks: (batch, length, ranks + 2) -> (batch, length, ranks + 3).

    The result has the ranks, their sum, and the other classes. For methods that are linear in their
    target, the sum over the ranks explains the product of the probabilities.
    """
    own, others = scores[..., : -len(OTHERS)], scores[..., -len(OTHERS) :]
    return torch.cat([own, own.sum(-1, keepdim=True), others], dim=-1)


def same_for_all(question: Question, scores: Tensor) -> Tensor:
    """Repeat scores (batch, length) that do not depend on classes for every target."""
    return scores.unsqueeze(-1).repeat(1, 1, question.target_count + 1)


def _linear(method: Callable[..., Tensor]):
    return lambda question, explainer, **settings: summed(method(question, **settings))


def _of_attention(method: Callable[..., Tensor]):
    return lambda question, explainer: same_for_all(
        question, method(question.explanandum, question.batch)
    )


# name -> the method, (question, explainer, **settings) -> float32 (batch, length, ranks + 3), and the
# function whose parameters define the settings
METHODS: dict[str, tuple[Callable[..., Tensor], Callable]] = {
    "explainer": (explainer_masks, explainer_masks),
    "integrated_gradients": (_linear(integrated_gradients), integrated_gradients),
    "gradient_x_input": (_linear(gradient_x_input), gradient_x_input),
    "attnlrp": (_linear(attnlrp), attnlrp),
    "ablation": (_linear(ablation), ablation),
    "occlusion_gradients": (_linear(occlusion_gradients), occlusion_gradients),
    "lime": (_linear(lime), lime),
    "kernel_shap": (_linear(kernel_shap), kernel_shap),
    "attention": (_of_attention(attention), attention),
    "attention_rollout": (_of_attention(attention_rollout), attention_rollout),
    "random": (
        lambda question, explainer: same_for_all(question, random_scores(question)),
        random_scores,
    ),
    "cheating": (lambda question, explainer: cheating_scores(question), cheating_scores),
}
ONE_BY_ONE = ("ablation", "lime", "kernel_shap")
"""Methods that explain one sequence at a time; their batches hold its perturbations."""
WITH_GRADIENTS = ("integrated_gradients", "gradient_x_input", "attnlrp", "occlusion_gradients")
"""Methods that go back through the classifier: see `Passes.size`."""
SAMPLES = {"lime": lime_samples, "kernel_shap": kernel_shap_samples}
"""(tokens, **settings) -> the samples that a method draws for a sequence, and how many it needs."""


def asked_classes(
    passes: Passes, file: TokenFile, lineages: np.ndarray, seed: int
) -> dict[str, np.ndarray]:
    """The predicted, wrong and runner-up classes, int64 (n, ranks) each."""
    predicted, runner_up = (np.empty(file.labels.shape, np.int64) for _ in range(2))
    for rows, batch in batches(file, passes.batch_size, passes.device):
        logits = passes.logits(batch)
        predicted[rows] = passes.explanandum.predictions(logits).cpu().numpy()
        runner_up[rows] = runner_up_classes(
            file.labels[rows], predicted[rows], logits[-1].float().cpu().numpy(), lineages,
            file.kinds[-1],
        )  # fmt: skip
    wrong = wrong_classes(file.labels, predicted, file.keys, seed, lineages, file.kinds[-1])
    return {"predicted": predicted, "wrong": wrong, "runner_up": runner_up}


class Attributor:
    """Runs one method and measures its cost."""

    def __init__(
        self, name: str, settings: dict, passes: Passes, explainer: Explainer | None, seed: int
    ):
        settings = dict(settings)
        kind = settings.pop("method", name)
        if kind not in METHODS:
            raise UserError(
                f"attributions.methods.{name}: no method {kind!r}; give `method`, one of "
                f"{', '.join(METHODS)}"
            )
        if kind == "explainer" and explainer is None:
            raise UserError(f"{name}: the method `explainer` needs --explainer, the folder of one")
        self.method, documented = METHODS[kind]
        known = list(inspect.signature(documented).parameters)
        if unknown := settings.keys() - known:
            raise UserError(f"attributions.methods.{name}: {kind} has no setting {min(unknown)!r}")
        self.name, self.kind, self.settings = name, kind, settings
        self.passes, self.seed = passes, seed
        self.batch_size = passes.size(kind in WITH_GRADIENTS)
        self.question_size = 1 if kind in ONE_BY_ONE else self.batch_size
        self.explainer = None if explainer is None else explainer.to(passes.device).eval()
        self.cost: dict[str, float] = {}

    def warn_of_few_samples(self, file: TokenFile) -> None:
        """Log a warning where the method draws fewer samples than the file's sequences need."""
        if self.kind not in SAMPLES:
            return
        pairs = [SAMPLES[self.kind](int(n), **self.settings) for n in file.lengths]
        short = sum(drawn < needed for drawn, needed in pairs)
        if not short:
            return
        drawn, needed = max(pairs)
        captums = self.settings.get("preset") == "captum_default"
        log.warning(
            f"{self.name} draws {drawn} samples for each sequence, and {short} of {len(pairs)} sequences "
            f"need more (up to {file.lengths.max()} tokens need {needed}): it cannot tell their tokens "
            f"apart; set attributions.methods.{self.name}.samples to {needed} or more"
            f"{', with preset: fair' if captums else ''}"
        )

    def classes(self, file: TokenFile, lineages: np.ndarray) -> dict[str, np.ndarray]:
        """The result of `asked_classes`."""
        return asked_classes(self.passes, file, lineages, self.seed)

    def explain(
        self, file: TokenFile, rows: np.ndarray, classes: dict[str, np.ndarray]
    ) -> Attributions:
        """Score some rows of a token file; classes: the result of `classes` for the whole file.

        Afterwards `cost` holds the seconds per sequence and the passes of the Explanandum per sequence.
        """
        names, explanandum = score_names(file.ranks), self.passes.explanandum
        classes = {name: values[rows] for name, values in classes.items()}
        others = np.stack([classes[name] for name in OTHERS], axis=1)
        longest = file.lengths[rows].max()
        scores = np.zeros((len(names), len(rows), longest), np.float32)
        content = np.zeros((len(rows), longest), bool)
        if self.explainer is not None:
            self.explainer.attach(explanandum)  # it may have random weights
        count = _Count(explanandum)
        seconds = 0.0
        with count, progress(self.name, len(rows), "sequences") as bar:
            for places, batch in batches(file, self.question_size, self.passes.device, rows):
                question = Question(
                    explanandum,
                    batch,
                    on_device(classes["predicted"][places], batch.device),
                    on_device(others[places], batch.device),
                    file.keys[rows[places]],
                    self.seed,
                    at_once(self.batch_size, batch.ids.shape[1]),
                )
                start = time.perf_counter()
                with self.passes.autocast():
                    made = self.method(question, self.explainer, **self.settings)
                made = made.float().cpu().numpy()  # waits for the GPU
                seconds += time.perf_counter() - start
                scores[:, places, : made.shape[1]] = made.transpose(2, 0, 1)
                content[places, : made.shape[1]] = batch.content.cpu().numpy()
                bar.update(len(places))
        self.cost = {
            "seconds": seconds / len(rows),
            "forward_passes": count.forward / len(rows),
            "backward_passes": count.backward / len(rows),
        }
        return Attributions(
            file.ids.take(rows).combine_chunks(), file.keys[rows], file.lengths[rows], content,
            file.labels[rows], **classes, scores=dict(zip(names, scores, strict=True)),
        )  # fmt: skip


class _Count:
    """Counts the sequences in forward and backward passes of the Explanandum's encoder."""

    def __init__(self, explanandum: Explanandum):
        self.encoder = explanandum.encoder
        self.forward = self.backward = 0

    def __enter__(self) -> "_Count":
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
    """Make an Explanandum of the same shape with fresh random weights (Adebayo et al. 2018)."""
    with torch.random.fork_rng([]):  # the weights are drawn on the CPU
        torch.manual_seed(seed)
        return Explanandum(**explanandum.config).freeze()
