"""Do the masks point at what was planted? Needs data whose signal is known, as the simulated are."""

from pathlib import Path

import numpy as np
import pandas as pd

from whatyouread.cli import UserError
from whatyouread.controls import CONTROLS
from whatyouread.files import read_parquet
from whatyouread.mask_files import MaskFile
from whatyouread.token_files import TokenFile
from whatyouread.tokens import BASES_PER_TOKEN, CLS, UNK


def planted_tokens(file: TokenFile, planted: pd.DataFrame) -> np.ndarray:
    """Which tokens lie in planted segments: at least half of their bases do.

    planted: one row per segment with `id` (as in the token file), `start` and `end` (bases, 0-based,
    half-open). Returns bool (n, longest); `<cls>` and padding are False. Raises UserError for
    sequences with `<unk>`, whose tokens have no certain place.
    """
    tokens = file.tokens(np.arange(len(file)))
    if (tokens == UNK).any():
        raise UserError(f"{file.path} has <unk> tokens: their place in the sequence is not known")
    ends = BASES_PER_TOKEN[tokens].cumsum(1)
    bases = int(ends[:, -1].max())
    row = pd.Series(np.arange(len(file)), index=file.ids.to_pylist())
    own = planted[planted["id"].isin(row.index)]
    at = row.loc[own["id"]].to_numpy()
    # +1 where a segment starts and -1 where it ends; the running sum is the cover
    edge = np.zeros((len(file), bases + 1), np.int32)
    np.add.at(edge, (at, own["start"].to_numpy()), 1)
    np.add.at(edge, (at, own["end"].to_numpy()), -1)
    covered = np.zeros((len(file), bases + 1), np.int32)
    np.cumsum(edge.cumsum(1)[:, :-1] > 0, axis=1, out=covered[:, 1:])
    inside = np.take_along_axis(covered, ends, 1)
    inside = inside - np.take_along_axis(covered, ends - BASES_PER_TOKEN[tokens], 1)
    return (2 * inside >= BASES_PER_TOKEN[tokens]) & (BASES_PER_TOKEN[tokens] > 0)


def read_planted(path: str | Path) -> pd.DataFrame:
    """The simulator's table with the `id` of token files."""
    frame = read_parquet(path).to_pandas()
    return frame.assign(id=frame["source"].astype(str) + ":" + frame["header"].astype(str))


def localization(
    file: TokenFile, masks: MaskFile, planted: pd.DataFrame, seed: int
) -> pd.DataFrame:
    """AUPRC and AUROC of mask values for planted tokens, pooled over all tokens of all sequences.

    One row per choice of classes, control, and truth: the segments of one rank, or of "any". The
    base rate is the AUPRC of a mask that knows nothing.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    masks.check_against(file)
    tokens = file.tokens(np.arange(len(file)))
    counted = BASES_PER_TOKEN[tokens] > 0
    assert not counted[tokens == CLS].any()
    truths = {"any": planted_tokens(file, planted)}
    for rank in planted["rank"].unique():
        truths[rank] = planted_tokens(file, planted[planted["rank"] == rank])
    scores = {(choice, "none"): mask for choice, mask in masks.masks.items()}
    for choice in ("labels", "predicted"):
        for name, control in CONTROLS.items():
            changed = control(masks.masks[choice], masks.lengths, masks.keys, seed)
            scores[choice, name] = changed
    rows = []
    for (choice, name), score in scores.items():
        for truth_name, truth in truths.items():
            y, s = truth[counted], score[counted]
            rows.append(
                {
                    "classes": choice,
                    "control": name,
                    "planted": truth_name,
                    "auprc": average_precision_score(y, s),
                    "auroc": roc_auc_score(y, s),
                    "base_rate": y.mean(),
                    "tokens": len(y),
                    "sequences": len(file),
                }
            )
    return pd.DataFrame(rows)
