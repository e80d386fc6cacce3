"""A classifier and sequences of letters between `[CLS]` and `[SEP]`: what must leave both alone."""

from pathlib import Path

import numpy as np
import torch
from helpers_batches import LETTERS, letters
from helpers_evaluation import BACKBONE, CLASSES, KINGDOM_OF_GENUS, write_tokens

from whatyouread.data.token_files import TokenFile
from whatyouread.models.explanandum import Explanandum

TEXTS = ("thequickbrown", "fox", "jumpsoverthe", "lazydogs", "andruns", "awayfrom", "it", "barking")


def lettered_explanandum() -> Explanandum:
    """An untrained classifier of letters; `letters` must be in `TOKENIZERS`."""
    torch.manual_seed(1)
    backbone = BACKBONE | {"vocab_size": len(LETTERS), "pad_token_id": LETTERS.pad}
    model = Explanandum(backbone | {"initializer_range": 0.4}, CLASSES, tokenizer="letters").eval()
    with torch.no_grad():
        for head in model.heads.values():
            head.weight.normal_(std=2)
    return model


def lettered_file(path: Path) -> TokenFile:
    """`TEXTS` as a token file, with every class among their labels."""
    batch, genus = letters(*TEXTS), np.arange(len(TEXTS)) % len(KINGDOM_OF_GENUS)
    sequences = [row[:n].tolist() for row, n in zip(batch.ids, batch.lengths, strict=True)]
    labels = np.stack([np.array(KINGDOM_OF_GENUS)[genus], genus], axis=1)
    ids = [f"a.fa:{i}" for i in range(len(TEXTS))]
    return write_tokens(path, sequences, labels, ids=ids, tokenizer=LETTERS)
