"""Small encoders of every family, and their published classifiers with random weights."""

import json
from pathlib import Path

import numpy as np
import torch

from whatyouread.data.batch import Batch
from whatyouread.data.tokenizer import Tokenizer

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "initializer_range": 0.4,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}
ESM = SIZES | {"model_type": "esm", "pad_token_id": 1, "mask_token_id": 32, "vocab_size": 33}
ROBERTA = SIZES | {
    "model_type": "roberta",
    "pad_token_id": 1,
    "vocab_size": 60,
    "max_position_embeddings": 34,
    "type_vocab_size": 1,
}
FAMILIES = {
    "esm2": ESM
    | {
        "position_embedding_type": "rotary",
        "token_dropout": True,
        "emb_layer_norm_before": False,
        "max_position_embeddings": 1026,
    },
    "nt_v1": ESM
    | {
        "position_embedding_type": "absolute",
        "token_dropout": True,
        "emb_layer_norm_before": True,
        "mask_token_id": 2,
        "vocab_size": 4105,
        "max_position_embeddings": 34,
    },
    "esm_absolute": ESM
    | {
        "position_embedding_type": "absolute",
        "token_dropout": False,
        "emb_layer_norm_before": False,
        "max_position_embeddings": 40,
    },
    "esm_rotary_norm": ESM
    | {
        "position_embedding_type": "rotary",
        "token_dropout": False,
        "emb_layer_norm_before": True,
        "max_position_embeddings": 66,
    },
    "bert": SIZES
    | {
        "model_type": "bert",
        "pad_token_id": 0,
        "vocab_size": 50,
        "max_position_embeddings": 32,
        "type_vocab_size": 2,
    },
    "roberta": ROBERTA,
    "xlm_roberta": ROBERTA | {"model_type": "xlm-roberta", "layer_norm_eps": 1e-12},
    "camembert": ROBERTA | {"model_type": "camembert", "bos_token_id": 5, "eos_token_id": 6},
}
"""config.json of each family by a short name; every one has dropout, which must be off."""
ELECTRA = SIZES | {
    "model_type": "electra",
    "vocab_size": 50,
    "pad_token_id": 0,
    "embedding_size": 16,
    "max_position_embeddings": 32,
}
"""A family without an adapter of its own."""
CLASSES = {"esm": "Esm", "bert": "Bert", "roberta": "Roberta", "xlm-roberta": "XLMRoberta"}
CLASSES |= {"camembert": "Camembert"}
"""The names of transformers' classes by `model_type`."""


class Ids(Tokenizer):
    """A tokenizer of a vocabulary without a text: enough for batches made by hand."""

    name = "ids"

    def __init__(self, config: dict):
        self.pad = config["pad_token_id"]
        self.first = 3 if config["vocab_size"] > 3 else 0
        self.special = tuple(sorted({self.pad, 3, 4}))
        self.before, self.after = (3,), (4,)
        self.vocabulary = [f"t{i}" for i in range(config["vocab_size"])]

    def tokenize(self, text, offsets):
        raise NotImplementedError

    def widths(self, ids):
        return np.where(self.is_special[ids], 0, 1)


def ids_batch(config: dict, lengths: list[int], seed: int = 0, width: int | None = None) -> Batch:
    """Sequences of these lengths, framed by special tokens, as torch tensors."""
    rng, tokenizer = np.random.default_rng(seed), Ids(config)
    ids = np.full((len(lengths), width or max(lengths)), tokenizer.pad)
    for row, length in enumerate(lengths):
        ids[row, :length] = rng.integers(5, min(config["vocab_size"], 32), length)
        ids[row, 0], ids[row, length - 1] = 3, 4
    return Batch.of(ids.astype(np.int64), np.array(lengths), tokenizer).to("cpu")


def transformers_model(config: dict, kind: str, seed: int = 0, **more) -> torch.nn.Module:
    """transformers' own model of a family, all weights random, biases and norms too; in eval mode.

    kind: the end of its class's name ("Model", "ForSequenceClassification").
    """
    import transformers

    name = CLASSES[config["model_type"]]
    torch.manual_seed(seed)
    known = {key: value for key, value in config.items() if key != "model_type"}
    made = getattr(transformers, f"{name}Config")(**known, **more)
    model = getattr(transformers, name + kind)(made).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


def save(
    folder: Path, model: torch.nn.Module, dtype: torch.dtype = torch.float32, **change
) -> Path:
    """Save a model of transformers as it publishes them; change: of config.json."""
    model.to(dtype).save_pretrained(folder, safe_serialization=True)
    model.float()
    path = folder / "config.json"
    config = json.loads(path.read_text()) | change
    path.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
    return folder
