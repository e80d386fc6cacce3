"""Scores per token for the explanations of classes: which sequences count, and what their tokens score."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from whatyouread.captum_methods import Question, integrated_gradients
from whatyouread.cli import UserError
from whatyouread.explainer import Explainer
from whatyouread.explanandum import Explanandum, predictions
from whatyouread.predict import classify
from whatyouread.progress import progress
from whatyouread.token_files import TokenFile, batches_by_length

SOURCES = ("integrated_gradients", "explainer")


def convincing(
    logits: tuple[Tensor, ...], labels: np.ndarray, min_probability: float
) -> np.ndarray:
    """Which sequences are classified correctly, with a probability above `min_probability`.

    logits: (n, classes) per rank; labels: int64 (n, ranks). Returns bool (n, ranks).
    """
    probability, predicted = zip(*(rank.softmax(-1).max(-1) for rank in logits), strict=True)
    correct = torch.stack(predicted, 1).cpu().numpy() == labels
    return correct & (torch.stack(probability, 1).cpu().numpy() > min_probability)


def class_scores(
    source: str,
    explanandum: Explanandum,
    explainer: Explainer,
    file: TokenFile,
    rows: np.ndarray,
    *,
    steps: int,
    min_probability: float,
    batch_size: int,
    seed: int,
    device: torch.device,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Batch by batch: rows, tokens (n, length), scores (n, length, ranks) and `convincing` (n, ranks).

    source: "integrated_gradients", each rank's log-probability explained for itself, or "explainer",
    the mask of the rank's class. Sequences that are convincing at no rank are left out.
    """
    if source not in SOURCES:
        raise UserError(f"class_explanations.sources: {source!r} is none of {', '.join(SOURCES)}")
    explanandum, explainer = explanandum.to(device).freeze(), explainer.to(device).eval()
    with progress(f"{source} for classes", len(rows), "sequences") as bar:
        for batch in batches_by_length(file.lengths[rows], batch_size):
            own = rows[batch]
            tokens = file.tokens(own)
            logits = classify(explanandum, tokens, None, device)
            good = convincing(logits, file.labels[own], min_probability)
            kept = np.flatnonzero(good.any(1))
            bar.update(len(batch))
            if not len(kept):
                continue
            question = Question(
                explanandum,
                torch.from_numpy(tokens[kept]).to(device),
                predictions(logits)[torch.from_numpy(kept).to(device)],
                None,
                file.keys[own[kept]],
                seed,
                batch_size,
            )
            if source == "explainer":
                with torch.inference_mode():
                    sets = question.predicted.unsqueeze(1)
                    scores = explainer.class_masks(question.tokens, sets)[:, :, 0]
            else:
                scores = integrated_gradients(question, steps)
            yield own[kept], tokens[kept], scores.float().cpu().numpy(), good[kept]
