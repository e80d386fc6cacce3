"""The folder of a fresh encoder: a configuration and a tokenizer, no weights.

Without a family it is Nucleotide Transformer v2 in other sizes, which reads six-mers.
"""

import shutil
from pathlib import Path

from whatyouread.data.folder_tokenizer import POSITIONS_AFTER_PAD
from whatyouread.data.six_mers import MASK, PAD, VOCABULARY
from whatyouread.data.tokenizer import Tokenizer
from whatyouread.data.tokenizers import TOKENIZERS, tokenizer_of
from whatyouread.support import files
from whatyouread.support.cli import UserError

SIZES = {"hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"}
DROPOUTS = {"hidden_dropout_prob", "attention_probs_dropout_prob"}
OF_FAMILIES = {"family", "tokenizer", "longest"}
"""Settings of families only: the `model_type`; a name in `tokenizers.TOKENIZERS` or a folder with a
tokenizer; the most tokens that the encoder reads where its positions are learned."""
OPTIONAL = DROPOUTS | OF_FAMILIES
TOKENIZER_FILES = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    "vocab.txt",
)
"""What is copied of a folder with a tokenizer."""
_LONGEST = 512  # as BERT and RoBERTa
# what a family needs beside its sizes: ESM with the positions and layers of ESM-2
_NEEDS = {
    "esm": {
        "position_embedding_type": "rotary",
        "token_dropout": False,
        "emb_layer_norm_before": False,
    },
    **{key: {"type_vocab_size": 1} for key in ("roberta", "xlm-roberta", "camembert")},
}


def write_fresh(settings: dict, folder: Path) -> None:
    """Write the files of a fresh encoder into a folder.

    settings: `SIZES`, and what is `OPTIONAL`. Raises UserError for sizes that make no encoder, and for a
    folder without a tokenizer.
    """
    for key in sorted((SIZES | {"longest"}) & set(settings)):
        if type(settings[key]) is not int or settings[key] < 1:
            raise UserError(
                f"backbone.{key}: a positive whole number expected, not {settings[key]!r}"
            )
    for key in sorted(DROPOUTS & set(settings)):
        if type(settings[key]) not in (int, float) or not 0 <= settings[key] < 1:
            raise UserError(f"backbone.{key}: a number from 0 to below 1 expected")
    config = _of_family(settings, folder) if "family" in settings else _gated(settings, folder)
    hidden, heads = settings["hidden_size"], settings["num_attention_heads"]
    rotary = config.get("position_embedding_type") == "rotary"  # turns pairs of values
    if hidden % (heads * (2 if rotary else 1)):
        raise UserError(
            f"backbone.hidden_size: {hidden} is not a multiple of {'twice ' * rotary}the {heads} attention "
            "heads"
        )
    files.write_json(folder / "config.json", config)


def _of_family(settings: dict, folder: Path) -> dict:
    """The configuration of a family of transformers; its tokenizer is put into the folder."""
    family, asked = settings["family"], settings.get("tokenizer", "six_mers")
    tokenizer = _put_tokenizer(asked, folder)
    before, after = (
        ids[0] if ids else tokenizer.pad for ids in (tokenizer.before, tokenizer.after)
    )
    positions = settings.get("longest", _LONGEST)
    if family in POSITIONS_AFTER_PAD:
        positions += tokenizer.pad + 1
    sizes = {key: value for key, value in settings.items() if key not in OF_FAMILIES}
    return {
        "model_type": family,
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad,
        "bos_token_id": before,
        "eos_token_id": after,
        "max_position_embeddings": positions,
        **dict.fromkeys(sorted(DROPOUTS), 0.0),
        **_NEEDS.get(family, {}),
        **sizes,
    }


def _put_tokenizer(asked: str, folder: Path) -> Tokenizer:
    """Put the tokenizer of that name, or of that folder, into a folder."""
    if asked in TOKENIZERS:
        _write_vocabulary(TOKENIZERS[asked].vocabulary, folder)
        return TOKENIZERS[asked]
    source = Path(asked).expanduser()
    found = [name for name in TOKENIZER_FILES if (source / name).is_file()]
    if not {"tokenizer.json", "vocab.txt"} & set(found):
        raise UserError(
            f"backbone.tokenizer: {asked} is none of {', '.join(TOKENIZERS)}, and no folder with a "
            "tokenizer.json"
        )
    for name in found:
        shutil.copyfile(source / name, folder / name)
    return tokenizer_of(folder)


def _gated(settings: dict, folder: Path) -> dict:
    """The configuration of Nucleotide Transformer v2; its vocabulary is put into the folder.

    The keys are those in the published checkpoints' config.json, except those that point to modelling
    code.
    """
    if others := sorted(OF_FAMILIES & set(settings)):
        raise UserError(
            f"backbone.{others[0]}: only with backbone.family; without it the encoder is Nucleotide "
            "Transformer v2 and reads six-mers"
        )
    _write_vocabulary(VOCABULARY, folder)
    return {
        "model_type": "esm",
        "architectures": ["EsmForMaskedLM"],
        "vocab_size": len(VOCABULARY),
        "pad_token_id": PAD,
        "mask_token_id": MASK,
        "max_position_embeddings": 2050,
        "position_embedding_type": "rotary",
        "emb_layer_norm_before": False,
        "token_dropout": False,
        "add_bias_fnn": False,
        "layer_norm_eps": 1e-12,
        "initializer_range": 0.02,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "tie_word_embeddings": False,
        "use_cache": False,
        "is_folding_model": False,
        "esmfold_config": None,
        "vocab_list": None,
        "torch_dtype": "float32",
        **settings,
    }


def _write_vocabulary(vocabulary, folder: Path) -> None:
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
