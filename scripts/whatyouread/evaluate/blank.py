"""The paper's condition for the method: the classifier must be undecided when there is nothing to read.

The softmax outputs for a blank sequence (special tokens only) and for entirely masked sequences should
both be about uniform (paper, "Methods"). Where several classes may hold, each should be at one half.
"""

import numpy as np
import pandas as pd
import torch

from whatyouread.data.batch import framed, parts_by_length
from whatyouread.data.kinds import KINDS, SINGLE
from whatyouread.data.sampling import random_sample
from whatyouread.data.token_files import TokenFile
from whatyouread.models.inference import Passes
from whatyouread.models.levels import probabilities


def blank_probabilities(
    passes: Passes, file: TokenFile, sequences: int, seed: int
) -> dict[str, list[np.ndarray]]:
    """Class probabilities for each input, as one float64 (classes,) per level.

    "blank" is a sequence of special tokens only; "masked" is the mean over a sample of `sequences`
    of a token file, each with a mask of zeros.
    """
    explanandum, nothing = passes.explanandum, np.zeros(1, np.int64)
    rows, masked = random_sample(file.keys, sequences, seed), []
    for part in parts_by_length(file.lengths[rows], sequences):
        batch = file.batch(rows[part])
        masked.append(passes.logits(batch, np.zeros(batch.ids.shape, np.float32)))
    inputs = {
        "blank": passes.logits(framed(nothing, nothing, nothing, explanandum.tokenizer)),
        "masked": [torch.cat(level) for level in zip(*masked, strict=True)],
    }
    return {
        name: [
            p.mean(0).cpu().numpy()
            for p in probabilities(explanandum.levels, [part.double() for part in logits])
        ]
        for name, logits in inputs.items()
    }


def blank_tables(
    found: dict[str, list[np.ndarray]], classes: pd.DataFrame, min_entropy: float
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A table of all class probabilities beside uniform ones, and a table per input and rank.

    In the second table `uniform` is true if the normalized entropy reaches `min_entropy`.
    """
    long, summary = [], []
    for name, by_rank in found.items():
        for (rank, named), p in zip(classes.groupby("rank", sort=False), by_rank, strict=True):
            kind = KINDS[named["kind"].iloc[0]] if "kind" in named else SINGLE
            uniform = kind.undecided(len(p))
            frame = named[["rank", "class", "name"]].assign(input=name, probability=p)
            long.append(frame.assign(uniform=uniform))
            entropy = kind.normalized_entropy(p)
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
