"""How well masks find planted segments; needs data with a known signal, such as simulated data."""

import numpy as np
import pandas as pd

from whatyouread.data.planted import planted_tokens
from whatyouread.data.token_files import TokenFile
from whatyouread.masks.controls import CONTROLS
from whatyouread.masks.mask_files import MaskFile


def localization(
    file: TokenFile, masks: MaskFile, planted: pd.DataFrame, seed: int
) -> pd.DataFrame:
    """AUPRC and AUROC of mask values for planted tokens, pooled over all tokens of all sequences.

    One row per choice of classes, control, and truth: the segments of one rank, or of "any". The
    base rate is the AUPRC of a random mask. AUPRC and AUROC are NaN where no token is planted, or all are.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    masks.check_against(file)
    counted = masks.content
    truths = {"any": planted_tokens(file, planted)}
    for rank in planted["rank"].unique():
        truths[rank] = planted_tokens(file, planted[planted["rank"] == rank])
    scores = {(choice, "none"): mask for choice, mask in masks.masks.items()}
    for choice in ("labels", "predicted"):
        for name, control in CONTROLS.items():
            changed = control(masks.masks[choice], masks.content, masks.keys, seed)
            scores[choice, name] = changed
    rows = []
    for (choice, name), score in scores.items():
        for truth_name, truth in truths.items():
            y, s = truth[counted], score[counted]
            known = y.any() and not y.all()
            rows.append(
                {
                    "classes": choice,
                    "control": name,
                    "planted": truth_name,
                    "auprc": average_precision_score(y, s) if known else np.nan,
                    "auroc": roc_auc_score(y, s) if known else np.nan,
                    "base_rate": y.mean() if len(y) else np.nan,
                    "tokens": len(y),
                    "sequences": len(file),
                }
            )
    return pd.DataFrame(rows)
