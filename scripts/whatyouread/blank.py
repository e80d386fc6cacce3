"""The paper's condition for the method to apply: nothing to read must mean nothing to say.

The softmax outputs for a blank sequence (`<cls>` alone) and for sequences masked in their entirety
should both be about uniform (paper, "Methods").
"""

import numpy as np
import pandas as pd
import torch

from whatyouread.explanandum import Explanandum
from whatyouread.predict import classify
from whatyouread.token_files import TokenFile
from whatyouread.tokens import CLS


def blank_probabilities(
    explanandum: Explanandum, file: TokenFile, sequences: int, device: torch.device
) -> dict[str, list[np.ndarray]]:
    """Class probabilities, input -> one float64 (classes,) per rank.

    "blank" is `<cls>` alone; "masked" is the mean over the first `sequences` of a token file, each
    under a mask of zeros.
    """
    explanandum = explanandum.to(device).freeze()
    tokens = file.tokens(np.arange(min(sequences, len(file))))
    inputs = {
        "blank": classify(explanandum, np.array([[CLS]]), None, device),
        "masked": classify(explanandum, tokens, np.zeros(tokens.shape, np.float32), device),
    }
    return {
        name: [rank.double().softmax(-1).mean(0).cpu().numpy() for rank in logits]
        for name, logits in inputs.items()
    }


def normalized_entropy(probabilities: np.ndarray) -> float:
    """-sum p ln p / ln C: 1 for the uniform distribution, 0 for certainty; (classes,)."""
    if len(probabilities) < 2:
        return 1.0
    p = probabilities[probabilities > 0]
    return float(-(p * np.log(p)).sum() / np.log(len(probabilities)))


def blank_tables(
    probabilities: dict[str, list[np.ndarray]], classes: pd.DataFrame, min_entropy: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The probabilities of every class beside uniform, and one row per input and rank.

    In the second table `uniform` says whether the normalized entropy reaches `min_entropy`.
    """
    long, summary = [], []
    for name, by_rank in probabilities.items():
        for (rank, named), p in zip(classes.groupby("rank", sort=False), by_rank, strict=True):
            uniform = 1 / len(p)
            frame = named[["rank", "class", "name"]].assign(input=name, probability=p)
            long.append(frame.assign(uniform=uniform))
            entropy = normalized_entropy(p)
            summary.append(
                {
                    "input": name,
                    "rank": rank,
                    "classes": len(p),
                    "largest_probability": p.max(),
                    "uniform_probability": uniform,
                    "most_probable": named["name"].iloc[p.argmax()],
                    "normalized_entropy": entropy,
                    "uniform": "yes" if entropy >= min_entropy else "no",
                }
            )
    return pd.concat(long, ignore_index=True), pd.DataFrame(summary)
