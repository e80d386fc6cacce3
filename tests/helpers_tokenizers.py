"""Model folders with small tokenizers of other people's kinds, built by the library `tokenizers`."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import tokenizers
from tokenizers import models, normalizers, pre_tokenizers, processors

from whatyouread.data.token_files import TokenFile, lists, schema, write_token_files
from whatyouread.data.tokenizers import tokenizer_of

PIECES = (
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "quick", "brown", "fox", "jump", "##s"),
    *("over", "##er", "##t", "la", "##zy", "dog", ",", ".", "a", "b", "##b", "##a", "cafe", "中"),
)
UNIGRAM = (
    *((piece, 0.0) for piece in ("<s>", "<pad>", "</s>", "<unk>")),
    *(("▁", -4.0), ("▁the", -2.0), ("▁qu", -3.0), ("ick", -3.0), ("▁brown", -2.5), ("▁fox", -2.5)),
    *((piece, -5.0) for piece in "abcdefghijklmnopqrstuvwxyzé,."),
)


def word_pieces() -> tokenizers.Tokenizer:
    """BERT's kind: `[CLS]` first, `[SEP]` last, small letters."""
    pieces = {piece: i for i, piece in enumerate(PIECES)}
    made = tokenizers.Tokenizer(models.WordPiece(pieces, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    return made


def unigram() -> tokenizers.Tokenizer:
    """XLM-R's kind: `<s>` first, `</s>` last, pieces with a mark for the blank before them."""
    made = tokenizers.Tokenizer(models.Unigram(list(UNIGRAM), unk_id=3))
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    made.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    return made


def bytes_without_frame() -> tokenizers.Tokenizer:
    """GPT-2's kind: pieces of bytes, no frame, no unknown piece; it has a pad token here."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    pieces = {letter: i for i, letter in enumerate(["<pad>", *letters, "th", "the"])}
    made = tokenizers.Tokenizer(models.BPE(pieces, [("t", "h"), ("th", "e")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.add_special_tokens(["<pad>"])
    return made


KINDS = {"word_pieces": word_pieces, "unigram": unigram, "bytes": bytes_without_frame}
ROLES = {
    "word_pieces": {
        "cls": "[CLS]",
        "sep": "[SEP]",
        "pad": "[PAD]",
        "unk": "[UNK]",
        "mask": "[MASK]",
    },
    "unigram": {
        **{"cls": "<s>", "bos": "<s>", "sep": "</s>", "eos": "</s>"},
        **{"pad": "<pad>", "unk": "<unk>", "mask": "<mask>"},
    },
    "bytes": {"pad": "<pad>"},
}


def tokenizer_folder(folder: Path, kind: str = "word_pieces", **config) -> Path:
    """A model's folder with `tokenizer.json`, its settings, and a `config.json`, without weights."""
    folder.mkdir(parents=True, exist_ok=True)
    KINDS[kind]().save(str(folder / "tokenizer.json"))
    settings = {f"{role}_token": token for role, token in ROLES[kind].items()}
    settings |= {"tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def text_file(
    folder: Path, kind: str, texts: list[str], labels: list[int] | None = None
) -> TokenFile:
    """A token file of some texts by a tokenizer of a kind, with the places of tokens: FOLDER/KIND.arrow.

    The level is `register`; ids are "t.tsv:0", "t.tsv:1", ..., keys count from 1.
    """
    tokenizer = tokenizer_of(tokenizer_folder(folder / kind, kind))
    tokens, offsets, places = tokenizer.located(*tokenizer.characters(texts))
    columns = [
        pa.array([f"t.tsv:{i}" for i in range(len(texts))]),
        pa.array(np.arange(1, len(texts) + 1, dtype=np.uint64)),
        lists(tokens, offsets, pa.from_numpy_dtype(tokenizer.dtype)),
        *(lists(part, offsets, pa.int32()) for part in places),
        pa.array(labels or [0] * len(texts), pa.int32()),
    ]
    path = folder / f"{kind}.arrow"
    with write_token_files([path], ["register"], tokenizer) as (writer,):
        own = schema(["register"], tokenizer)
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=own))
    return TokenFile(path, ["register"])
