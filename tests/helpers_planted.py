"""Token files of texts, and a slow way to find which of their tokens are planted."""

from itertools import pairwise

import numpy as np
import pandas as pd
from helpers_evaluation import write_tokens

from whatyouread.data.six_mers import VOCABULARY, encode

RANKS = ["genus"]


def token_file(path, texts, ids=None):
    """A token file of texts of bases."""
    flat, offsets = encode(texts)
    sequences = [flat[a:b] for a, b in pairwise(offsets)]
    labels = np.arange(len(texts))[:, None] % 3
    return write_tokens(path, sequences, labels, ids=ids, ranks=RANKS)


def segments(rows):
    """Rows of (id, rank, start, end) as the simulator's table has them."""
    frame = pd.DataFrame(rows, columns=["id", "rank", "start", "end"])
    return frame.astype({"start": int, "end": int})


def naive_planted(file, planted):
    """Walk along the bases of each token, and count those that some segment holds."""
    result = np.zeros((len(file), file.lengths.max()), bool)
    for row, name in enumerate(file.ids.to_pylist()):
        own = planted[planted["id"] == name]
        inside = {b for a, e in zip(own["start"], own["end"], strict=True) for b in range(a, e)}
        base = 0
        for place, token in enumerate(file.batch(np.array([row])).ids[0]):
            text = VOCABULARY[token]
            if text.startswith("<"):
                continue
            covered = sum(b in inside for b in range(base, base + len(text)))
            result[row, place] = 2 * covered >= len(text)
            base += len(text)
    return result


def random_texts(rng, n):
    """Bases, and some N."""
    return [
        "".join(rng.choice(list("ACGTN"), size, p=[0.24, 0.24, 0.24, 0.24, 0.04]))
        for size in rng.integers(1, 150, n)
    ]
