"""Print how far encoders feel a soft mask (`evaluate/soft_masks.py`), as a Markdown table.

    PYTHONPATH=scripts:tests python tests/bench/soft_masks.py [FOLDER NAME TABLE]...

Each FOLDER is a model with config.json and safetensors; TABLE a CSV file whose first column has its
sequences, read residue by residue, a TSV file whose last column has texts, read by the folder's
tokenizer.json, or "-" for random tokens. Encoders with random weights follow: the one
of the demo (one layer, as NT v2), and two to twelve such layers of width 64.
"""

import csv
import sys

import numpy as np
import torch

from whatyouread.data.batch import Batch
from whatyouread.evaluate.soft_masks import SCALES, change_of_others, felt
from whatyouread.models.adapters import find_adapter, read_config

NT = {
    "model_type": "esm", "vocab_size": 4107, "hidden_size": 64, "num_attention_heads": 4,
    "intermediate_size": 128, "max_position_embeddings": 2050, "position_embedding_type": "rotary",
    "emb_layer_norm_before": False, "token_dropout": False, "pad_token_id": 1, "mask_token_id": 2,
    "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    "add_bias_fnn": False,
}  # fmt: skip
BERT = {
    "model_type": "bert", "vocab_size": 4107, "hidden_size": 64, "num_attention_heads": 4,
    "intermediate_size": 256, "max_position_embeddings": 512,
}  # fmt: skip


def random_batch(vocabulary: int, length: int, sequences: int = 4) -> Batch:
    ids = np.random.default_rng(0).integers(10, vocabulary, (sequences, length))
    return framed(ids)


def framed(ids: np.ndarray) -> Batch:
    """Sequences of one length, all of it content but the first and the last token."""
    content = np.ones(ids.shape, bool)
    content[:, [0, -1]] = False
    lengths = np.full(len(ids), ids.shape[1])
    return Batch(ids, np.ones_like(content), content, lengths, whole=True).to("cpu")


def residues(folder, table: str, sequences: int = 8) -> list[Batch]:
    """The longest sequences of a table, as ESM reads them, each in a batch of its own."""
    with open(f"{folder}/vocab.txt", encoding="utf-8") as stream:
        number = {word.strip(): i for i, word in enumerate(stream)}
    with open(table, encoding="utf-8") as stream:
        texts = sorted({row[0] for row in list(csv.reader(stream))[1:]}, key=lambda t: (-len(t), t))
    read = [["<cls>", *text, "<eos>"] for text in texts[:sequences]]
    return [framed(np.array([[number[token] for token in tokens]])) for tokens in read]


def texts(folder, table: str, sequences: int = 8, length: int = 64) -> list[Batch]:
    """The first tokens of the first texts of a table that are long enough."""
    from tokenizers import Tokenizer

    reader, read = Tokenizer.from_file(f"{folder}/tokenizer.json"), []
    with open(table, encoding="utf-8") as stream:
        for line in stream:
            ids = reader.encode(line.rstrip("\n").split("\t")[-1]).ids
            if len(ids) >= length:
                read.append([*ids[: length - 1], ids[-1]])
            if len(read) == sequences:
                break
    return [framed(np.array([ids])) for ids in read]


def show(name: str, adapter, batches: list[Batch], relaxed: bool = False) -> None:
    changes = torch.cat([change_of_others(adapter, batch, relaxed=relaxed) for batch in batches])
    shares = " | ".join(f"{share:.3f}" for share in felt(changes)[:-1])
    print(f"| {name} | {shares} | {len(changes)} |", flush=True)


def fresh(config: dict, layers: int, seed: int = 0):
    torch.manual_seed(seed)
    config = config | {"num_hidden_layers": layers}
    return find_adapter(config)(find_adapter(config).build(config).eval())


def main(arguments: list[str]) -> None:
    torch.set_num_threads(1)
    print("| encoder |", " | ".join(f"{scale:g}" for scale in SCALES[:-1]), "| tokens |")
    print("|---|" + "---|" * len(SCALES))
    for folder, name, table in zip(*[iter(arguments)] * 3, strict=True):
        config = read_config(folder)
        adapter = find_adapter(config)(find_adapter(config).build(config).eval())
        adapter.load(folder)
        random = [random_batch(config["vocab_size"], 64)]
        read = texts if table.endswith(".tsv") else residues
        batches = random if table == "-" else read(folder, table)
        show(name, adapter, batches)
        show(f"{name}, relaxed", adapter, batches, relaxed=True)
    for layers in (1, 2, 4, 6, 12):
        random = [random_batch(4107, 64)]
        show(f"NT v2, random, {layers} layers", fresh(NT, layers), random)
        show(f"BERT, random, {layers} layers", fresh(BERT, layers), random)


if __name__ == "__main__":
    main(sys.argv[1:])
