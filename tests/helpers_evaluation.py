"""Token files, mask files and small models that the tests of training and evaluation share."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import nn

from whatyouread.data.six_mers import CLS, FIRST_KMER, PAD, SIX_MERS, VOCABULARY
from whatyouread.data.token_files import TokenFile, schema, write_token_files
from whatyouread.explainers.network import Explainer
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.levels import HeadLevel, decisions

CPU = torch.device("cpu")
CLASSES = {"kingdom": 2, "genus": 4}
RANKS = list(CLASSES)
KINGDOM_OF_GENUS = [0, 0, 1, 1]
BACKBONE = {
    "vocab_size": len(VOCABULARY),
    "pad_token_id": PAD,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 64,
    "position_embedding_type": "rotary",
    "token_dropout": False,
    "emb_layer_norm_before": False,
    "layer_norm_eps": 1e-12,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.0,
    "tie_word_embeddings": False,
}


def write_tokens(
    path: Path, sequences, labels, keys=None, ids=None, ranks=RANKS, tokenizer=SIX_MERS
) -> TokenFile:
    """A token file of lists of tokens, and what `TokenFile` reads from it."""
    keys = np.arange(1, len(sequences) + 1) if keys is None else keys
    ids = [f"a.fa:{i} {i}" for i in range(len(sequences))] if ids is None else ids
    kind = pa.list_(pa.from_numpy_dtype(tokenizer.dtype))
    columns = [
        pa.array(ids, pa.string()),
        pa.array(np.asarray(keys, np.uint64)),
        pa.array([list(map(int, s)) for s in sequences], kind),
        *(pa.array(column, pa.int32()) for column in np.asarray(labels).reshape(-1, len(ranks)).T),
    ]
    with write_token_files([path], ranks, tokenizer) as (writer,):
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema(ranks, tokenizer)))
    return TokenFile(path, ranks)


def random_sequences(n: int, seed: int = 0, shortest: int = 4, longest: int = 30):
    """Token lists of different lengths, `<cls>` first, labels (n, ranks) and 64-bit keys."""
    rng = np.random.default_rng(seed)
    sequences = [
        [CLS, *rng.integers(FIRST_KMER, FIRST_KMER + 4096, size)]
        for size in rng.integers(shortest, longest, n)
    ]
    genus = np.concatenate([np.arange(4), rng.integers(0, 4, max(n - 4, 0))])[:n]
    labels = np.stack([np.array(KINGDOM_OF_GENUS)[genus], genus], axis=1)
    return sequences, labels, rng.integers(0, 2**63, n, dtype=np.uint64)


def random_file(path: Path, n: int, seed: int = 0, **lengths) -> TokenFile:
    sequences, labels, keys = random_sequences(n, seed, **lengths)
    return write_tokens(path, sequences, labels, keys)


def small_explanandum(seed: int = 0, pooling: str = "mean", classes=CLASSES) -> Explanandum:
    """An untrained classifier whose answers differ clearly between sequences."""
    torch.manual_seed(seed)
    model = Explanandum(BACKBONE, classes, pooling).eval()
    with torch.no_grad():
        for head in model.heads.values():
            head.weight.normal_(std=2)
            head.bias.normal_(std=0.1)
    return model


def small_explainer(seed: int = 0, classes=CLASSES) -> Explainer:
    """An untrained Explainer whose masks spread over (0, 1)."""
    torch.manual_seed(seed)
    model = Explainer(classes, embedding_size=6, hidden_size=5, layers=2).eval()
    with torch.no_grad():
        model.norm.running_mean.uniform_(0, 0.2)
        model.norm.running_var.uniform_(0.02, 0.1)
        model.dense.weight.normal_(std=1.5)
    return model


class Counter(nn.Module):
    """A classifier that can be done by hand: it counts marker tokens.

    Marker i is the token FIRST_KMER + i and stands for the lowest class i of `weights[-1]`;
    all other tokens say nothing. The logits of a rank are its bias, plus 6 times its weights
    (classes, markers) times the mean over the tokens of the masked indicators.
    """

    pooling = "mean"

    def __init__(self, weights: list, biases: list):
        super().__init__()
        self.weights = [torch.tensor(w, dtype=torch.float32) for w in weights]
        self.biases = [torch.tensor(b, dtype=torch.float32) for b in biases]
        self.levels = [HeadLevel(f"rank{i}", len(b)) for i, b in enumerate(biases)]
        self.class_counts = [level.classes for level in self.levels]
        self.ranks = [level.name for level in self.levels]
        self.tokenizer = SIX_MERS
        self.markers = self.weights[0].shape[1]

    def embed(self, tokens):
        markers = torch.arange(FIRST_KMER, FIRST_KMER + self.markers)
        return (tokens.unsqueeze(-1) == markers).float()

    def encode(self, embeddings, batch):
        return embeddings

    def predictions(self, logits):
        return decisions(self.levels, logits)

    def classify(self, pooled):
        pairs = zip(self.weights, self.biases, strict=True)
        return tuple(6 * pooled @ weight.T + bias for weight, bias in pairs)

    def freeze(self):
        return self.eval()


def write_masks(path: Path, file: TokenFile, classes: dict, masks: dict) -> None:
    """A mask file in the documented layout: choice -> classes (n, ranks), choice -> lists."""
    table = {"id": file.ids.combine_chunks(), "key": pa.array(file.keys)}
    for choice, name in (("labels", "label"), ("predicted", "predicted"), ("wrong", "wrong")):
        for i, rank in enumerate(file.ranks):
            table[f"{name}_{rank}"] = pa.array(np.asarray(classes[choice])[:, i], pa.int32())
    content = file.batch(np.arange(len(file))).content
    table["content"] = pa.array([row[:n] for row, n in zip(content, file.lengths, strict=True)])
    for choice in ("labels", "predicted", "wrong"):
        halves = [np.asarray(mask, np.float16) for mask in masks[choice]]
        table[f"mask_{choice}"] = pa.array(halves, pa.list_(pa.float16()))
    pq.write_table(pa.table(table), path)
