"""Scores per token for class explanations, and the choice of sequences that count."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from whatyouread.data.batch import Batch, at_once, on_device
from whatyouread.data.kinds import members
from whatyouread.data.token_files import TokenFile
from whatyouread.explainers.network import Explainer
from whatyouread.methods.gradients import integrated_gradients
from whatyouread.methods.question import Question
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.inference import Passes, batches
from whatyouread.models.levels import probabilities
from whatyouread.support.cli import UserError
from whatyouread.support.progress import progress


def explained_classes(
    explanandum: Explanandum, logits: tuple[Tensor, ...], labels: np.ndarray, min_probability: float
) -> np.ndarray:
    """The classes that each sequence speaks for: it has that label, and the classifier says so, too.

    The one place that decides which sequences count, and for what: those classified correctly with a
    probability above `min_probability`. logits: (n, classes) per level; labels: int64 (n, levels).
    Returns class numbers, int64 (n, levels, rounds), -1 for none; a level of one right class has one
    round.
    """
    found = probabilities(explanandum.levels, logits)
    predicted = explanandum.predictions(logits).cpu().numpy()
    sure = torch.stack([p.amax(-1) for p in found], 1).cpu().numpy() > min_probability
    rounds = [np.where((predicted == labels) & sure, labels, -1)]
    for i, (level, p) in enumerate(zip(explanandum.levels, found, strict=True)):
        if level.of_one:
            continue
        # every class of the set that is predicted too, and sure by itself
        held = members(labels[:, i] & np.where(labels[:, i] < 0, 0, predicted[:, i]), level.classes)
        held &= p.cpu().numpy() > min_probability
        order = np.argsort(~held, axis=1, kind="stable")
        for place in range(max(int(held.sum(1).max(initial=0)), 1)):
            if place == len(rounds):
                rounds.append(np.full(labels.shape, -1))
            own = order[:, place]
            rounds[place][:, i] = np.where(held[np.arange(len(own)), own], own, -1)
    return np.stack(rounds, axis=2)


def _answers(explanandum: Explanandum, classes: Tensor) -> Tensor:
    """The answers that hold one class each, int64 (n, levels); -1 stays -1."""
    columns = zip(explanandum.levels, classes.T, strict=True)
    alone = torch.stack([level.alone(own.clamp(min=0)) for level, own in columns], 1)
    return torch.where(classes < 0, classes, alone)


def class_scores(
    source: str,
    passes: Passes,
    explainer: Explainer | None,
    file: TokenFile,
    rows: np.ndarray,
    *,
    steps: int,
    min_probability: float,
    seed: int,
) -> Iterator[tuple[np.ndarray, Batch, np.ndarray, np.ndarray]]:
    """Yield rows, their batch of numpy arrays, scores (n, length, ranks), and classes (n, ranks).

    The classes are those that are explained (`explained_classes`), -1 where a sequence speaks for none;
    one that speaks for several classes of a rank comes several times. source: "integrated_gradients"
    explains the log-probability of each rank separately; "explainer_NAME" takes the mask for the class of
    each rank from `explainer`, which only this source needs. Leaves out sequences that speak for no class
    at any rank. Raises UserError for any other source.
    """
    explanandum, by_explainer = passes.explanandum, source.startswith("explainer_")
    if not by_explainer and source != "integrated_gradients":
        raise UserError(
            f"class_explanations.sources: {source!r} is neither integrated_gradients nor explainer_NAME"
        )
    if by_explainer:
        if explainer is None:
            raise UserError(f"the source {source} needs --explainer, the folder of its model")
        explainer = explainer.to(passes.device).eval()
    with progress(f"{source} for classes", len(rows), "sequences") as bar:
        size = passes.size(with_gradient=not by_explainer)
        for places, batch in batches(file, size, passes.device, rows):
            own = rows[places]
            logits = passes.logits(batch)
            found = explained_classes(explanandum, logits, file.labels[own], min_probability)
            bar.update(len(places))
            for classes in np.moveaxis(found, 2, 0):
                kept = np.flatnonzero((classes >= 0).any(1))
                if not len(kept):
                    continue
                chosen = file.batch(own[kept])
                predicted = explanandum.predictions(logits)[on_device(kept, passes.device)]
                # where it speaks for no class its scores are those of the prediction, and not used
                asked = _answers(explanandum, on_device(classes[kept], passes.device))
                question = Question(
                    explanandum,
                    chosen.to(passes.device),
                    torch.where(asked >= 0, asked, predicted),
                    None,
                    file.keys[own[kept]],
                    seed,
                    at_once(size, chosen.ids.shape[1]),
                )
                if by_explainer:
                    with torch.inference_mode():
                        sets = question.predicted.unsqueeze(1)
                        scores = explainer.class_masks(question.batch, sets)[:, :, 0]
                else:
                    scores = integrated_gradients(question, steps)
                yield own[kept], chosen, scores.float().cpu().numpy(), classes[kept]
