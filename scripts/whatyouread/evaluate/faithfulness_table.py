"""All faithfulness measures of one method, with bootstrap intervals over the sequences."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pandas as pd
import torch

from whatyouread.data.batch import on_device
from whatyouread.data.token_files import TokenFile
from whatyouread.evaluate import faithfulness as measures
from whatyouread.explainers.network import Explainer
from whatyouread.masks.choices import THRESHOLD
from whatyouread.masks.top_tokens import keep_mask, ordered, remove_mask
from whatyouread.methods.files import COMBINED, Attributions
from whatyouread.models.inference import Passes, batches
from whatyouread.models.mask_operator import target_mask
from whatyouread.support.statistics import interval


def by_passes(
    passes: Passes, file: TokenFile, plain: Attributions, settings: dict, seed: int
) -> dict[str, np.ndarray]:
    """The measures that need the classifier, float (n, ranks) each."""
    scores, content, keys = plain.scores[COMBINED], plain.content, plain.keys
    order = ordered(scores, content, keys, seed)

    def probabilities(masks):
        return np.exp(passes.log_probabilities(file, masks, plain.predicted))

    shares, points = settings["fractions"], settings["curve_points"]
    deletion, insertion = (
        probabilities(measures.curve_masks(order, content, points, mask))
        for mask in (remove_mask, keep_mask)
    )
    without, alone = (
        probabilities(measures.top_masks(order, content, shares, mask))
        for mask in (remove_mask, keep_mask)
    )
    whole = deletion[0]
    random = list(measures.random_masks(content, keys, settings["infidelity_samples"], seed))
    logs = passes.log_probabilities(file, [np.ones_like(random[0]), *random], plain.predicted)
    gone = 1 - np.stack(random)
    own = np.stack([plain.scores[name] for name in file.ranks], axis=-1).astype(np.float64)
    predicted = np.einsum("snl,nlr->snr", gone, own)
    return {
        "comprehensiveness": measures.comprehensiveness(whole, without),
        "sufficiency": measures.sufficiency(whole, alone),
        "deletion_auc": measures.curve_area(deletion),
        "insertion_auc": measures.curve_area(insertion),
        "infidelity": measures.infidelity(logs[0] - logs[1:], predicted),
    }


def robustness(variants: dict[str, Attributions]) -> dict[str, np.ndarray]:
    """How scores change after one substituted base and under random classifier weights, (n,) each.

    A method that was not asked again, as where its scores were given, lacks the measure.
    """
    made = {}
    for name, variant in (("stability", "substituted"), ("randomised_model", "randomised")):
        if variant not in variants:
            continue
        other = variants[variant]
        n, width = other.scores[COMBINED].shape
        own = variants["plain"].scores[COMBINED][:n, :width]
        agreement = measures.spearman(own, other.scores[COMBINED], other.content)
        made[name] = np.abs(agreement) if variant == "randomised" else agreement
    return made


@torch.inference_mode()
def masks_of(
    explainer: Explainer, file: TokenFile, classes: np.ndarray, size: int, device: torch.device
) -> np.ndarray:
    """Target masks for the given classes in the layout of attributions, float32 (n, longest)."""
    made = np.zeros((len(file), int(file.lengths.max())), np.float32)
    explainer = explainer.to(device).eval()
    for rows, batch in batches(file, size, device):
        sets = on_device(classes[rows], device).unsqueeze(1)
        mask = target_mask(explainer.class_masks(batch, sets, smooth=False))[:, :, 0]
        made[rows, : mask.shape[1]] = mask.float().cpu().numpy()
    return made


def seed_agreement(
    others: Sequence[Explainer], file: TokenFile, plain: Attributions, passes: Passes
) -> dict[str, np.ndarray]:
    """Agreement of each pair of Explainers, (n,): Spearman's correlation, overlap of rounded masks.

    others: the Explainers of other runs, each attached to the classifier of its own run. All masks are
    for the classes that the classifier of run 0 predicts.
    """
    masks = [plain.scores[COMBINED]]
    for explainer in others:
        made = masks_of(explainer, file, plain.predicted, passes.batch_size, passes.device)
        masks.append(made)
    pairs, content = list(combinations(masks, 2)), plain.content
    agreement = [measures.spearman(one, two, content) for one, two in pairs]
    shared = [measures.overlap(a > THRESHOLD, b > THRESHOLD, content) for a, b in pairs]
    return {
        "seed_agreement": np.mean(agreement, axis=0),
        "seed_overlap": np.mean(shared, axis=0),
    }


def table(
    method: str, values: dict[str, np.ndarray], ranks: list[str], resamples: int, seed: int
) -> pd.DataFrame:
    """One row per measure and rank: the mean over the sequences and its 95 % bootstrap interval.

    values: measure -> float (n,) or (n, ranks); the latter also gets a row for the mean over the ranks.
    NaN values are left out.
    """
    rows = []
    for name, made in values.items():
        columns = {COMBINED: made}
        if made.ndim == 2:
            columns = dict(zip(ranks, made.T, strict=True)) | {"mean": made.mean(1)}
        for rank, column in columns.items():
            known = column[~np.isnan(column)]
            low, high = interval(known, resamples, seed)
            mean = known.mean() if len(known) else np.nan
            direction = measures.MEASURES[name]
            rows.append([method, name, direction, rank, mean, low, high, len(known)])
    names = ["method", "metric", "direction", "rank", "value", "low", "high", "n"]
    return pd.DataFrame(rows, columns=names)
