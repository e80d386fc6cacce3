"""How well masks find what is known to matter: planted segments, or positions that a user brings."""

import numpy as np
import pandas as pd

from whatyouread.data.planted import has_places, planted_tokens
from whatyouread.data.token_files import TokenFile
from whatyouread.masks.controls import CONTROLS
from whatyouread.masks.mask_files import MaskFile
from whatyouread.support.statistics import average_precision, interval


def localization(
    file: TokenFile, masks: MaskFile, planted: pd.DataFrame, seed: int, resamples: int = 1000
) -> pd.DataFrame:
    """AUPRC and AUROC of mask values for planted tokens, pooled over all tokens of all sequences.

    One row per choice of classes, control, and truth: the segments of one rank, or of "any". The
    base rate is the AUPRC of a random mask. AUPRC and AUROC are NaN where no token is planted, or all are.
    `mean_auprc` is the mean of the average precision within each sequence, over the `mean_sequences`
    sequences that have planted and other tokens, with `mean_low` and `mean_high`, its 95 % bootstrap
    interval over these, and `mean_base_rate`, the mean share of planted tokens in them.
    Sequences of which it is not known where their tokens lie do not count.
    Masks chosen by the labels are judged by a rank's segments on the `sequences` with a label there, and
    by those of "any" on the ones with a label at every rank that has segments: where one is missing, the
    mask was not made to find them. Of other groups they are judged where there is any label.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    masks.check_against(file)
    truths = {"any": planted_tokens(file, planted)}
    for rank in planted["rank"].unique():
        truths[rank] = planted_tokens(file, planted[planted["rank"] == rank])
    # which sequences have the labels
    known = {
        rank: file.labels[:, file.ranks.index(rank)] >= 0 for rank in truths if rank in file.ranks
    }
    everywhere = has_places(file)
    labelled = (file.labels >= 0).any(1)
    known["any"] = np.logical_and.reduce([labelled, *known.values()])
    scores = {(choice, "none"): mask for choice, mask in masks.masks.items()}
    for choice in ("labels", "predicted"):
        for name, control in CONTROLS.items():
            changed = control(masks.masks[choice], masks.content, masks.keys, seed)
            scores[choice, name] = changed
    rows = []
    for (choice, name), score in scores.items():
        for truth_name, truth in truths.items():
            own = everywhere
            if choice == "labels":
                own = everywhere & known.get(truth_name, labelled)
            counted = masks.content & own[:, None]
            y, s = truth[counted], score[counted]
            both = y.any() and not y.all()
            precision = average_precision(score, truth, counted)
            judged = ~np.isnan(precision)
            precision = precision[judged]
            shares = (truth & counted)[judged].sum(1) / counted[judged].sum(1)
            low, high = interval(precision, resamples, seed)
            rows.append(
                {
                    "classes": choice,
                    "control": name,
                    "planted": truth_name,
                    "auprc": average_precision_score(y, s) if both else np.nan,
                    "auroc": roc_auc_score(y, s) if both else np.nan,
                    "base_rate": y.mean() if len(y) else np.nan,
                    "tokens": len(y),
                    "sequences": int(own.sum()),
                    "mean_auprc": precision.mean() if judged.any() else np.nan,
                    "mean_low": low,
                    "mean_high": high,
                    "mean_base_rate": shares.mean() if judged.any() else np.nan,
                    "mean_sequences": int(judged.sum()),
                }
            )
    return pd.DataFrame(rows)
