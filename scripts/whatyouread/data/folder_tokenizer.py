"""The tokenizer of a model's folder: the library `tokenizers` with the folder's own `tokenizer.json`.

Its definition is that file in one form: nothing is cut, the padding names the pad token, and the tokens
that the folder's other files call special are special. Token files and models carry the definition, so
that they stand by themselves; the digest of it is the tokenizer's name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from whatyouread.data.tokenizer import Tokenizer
from whatyouread.support.cli import UserError
from whatyouread.support.files import read_json

if TYPE_CHECKING:
    import tokenizers

FILE = "tokenizer.json"
NAME = re.compile(rf"{re.escape(FILE)}:[0-9a-f]{{16}}")
"""How such a tokenizer is called: by the digest of its definition."""
_AT_ONCE = 1 << 20  # bytes of text; the library's results take some hundred bytes a token
_ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
_PROBES = ("a", "1 B", "Ab, c")
_NO_LIMIT = 1 << 30  # transformers writes 10^30 where a tokenizer has none
_OTHER_FILES = ("vocab.txt", "vocab.json", "*.model", "merges.txt")
# their positions count from the pad token on, so that the first ones are never used
POSITIONS_AFTER_PAD = ("roberta", "xlm-roberta", "camembert", "esm")


class FolderTokenizer(Tokenizer):
    """What the library `tokenizers` makes of a definition (`definition_of`), a block of texts at a time.

    Raises UserError for what is no definition.
    """

    encoding = "utf-8"
    stores_spans = True

    def __init__(self, definition: str):
        self.definition = definition
        self.name = f"{FILE}:{hashlib.sha256(definition.encode()).hexdigest()[:16]}"
        self._library = library = _read(definition, self.name)
        padding = library.padding
        if padding is None:
            raise UserError(f"{self.name}: the definition names no padding: get the folder again")
        self.pad = padding["pad_id"]
        library.no_padding()
        by_text = library.get_vocab(with_added_tokens=True)
        self.vocabulary = [""] * (max(by_text.values()) + 1)
        for text, number in by_text.items():
            self.vocabulary[number] = text
        self.unknown = _unknown(json.loads(definition)["model"], by_text)
        self.before, self.after = _frame(library, self.name)
        added = library.get_added_tokens_decoder()
        special = {number for number, token in added.items() if token.special}
        special |= {self.pad, *self.before, *self.after}
        self.special = tuple(sorted(special - {self.unknown}))

    def __reduce__(self):
        return FolderTokenizer, (self.definition,)

    @cached_property
    def is_special(self) -> np.ndarray:
        """Which ids are special, bool (vocabulary,)."""
        return super().is_special

    def tokenize(self, text, offsets):
        ids, counts = [np.zeros(0, self.dtype)], []
        for texts in _blocks(text, offsets):
            made = self._library.encode_batch_fast(texts)
            counts += map(len, made)
            ids.append(self._flat(made))
        return np.concatenate(ids), np.append(0, np.cumsum(counts, dtype=np.int64))

    def located(self, text, offsets):
        ids, places, counts = [np.zeros(0, self.dtype)], [np.zeros((0, 2), np.int32)], []
        for texts in _blocks(text, offsets):
            made = self._library.encode_batch(texts)
            counts += map(len, made)
            ids.append(self._flat(made))
            ends = chain.from_iterable(chain.from_iterable(one.offsets for one in made))
            places.append(np.fromiter(ends, np.int32, 2 * len(ids[-1])).reshape(-1, 2))
        offsets = np.append(0, np.cumsum(counts, dtype=np.int64))
        return np.concatenate(ids), offsets, np.concatenate(places).T

    def widths(self, ids):
        return np.where(self.is_special[ids], 0, -1)

    def _flat(self, made: list) -> np.ndarray:
        return np.fromiter(chain.from_iterable(one.ids for one in made), self.dtype)


def definition_of(folder: Path) -> str:
    """The definition of the tokenizer of a model's folder, from its `tokenizer.json`.

    A folder without one has it made by transformers, or from BERT's `vocab.txt`. Raises UserError where
    neither is possible, and where nothing says which token fills sequences up.
    """
    path = Path(folder) / FILE
    if path.is_file():
        library = _read(_text(path), str(path))
    elif any(any(Path(folder).glob(pattern)) for pattern in _OTHER_FILES):
        library = _converted(Path(folder))
    else:
        raise UserError(f"{folder}: no {FILE} and no vocabulary there: no tokenizer to use")
    library.no_truncation()
    named = _named_tokens(Path(folder))
    by_text = library.get_vocab(with_added_tokens=True)
    flagged = {t.content for t in library.get_added_tokens_decoder().values() if t.special}
    lacking = [t for t in named.values() if t in by_text and t not in flagged]
    if lacking:
        library.add_special_tokens(lacking)
    pad = library.padding["pad_token"] if library.padding else named.get("pad")
    pad = next((t for t in (pad, "[PAD]", "<pad>") if t in by_text), None)
    if pad is None:
        raise UserError(
            f"{folder}: its tokenizer has no token to fill sequences up with: name one of its tokens as "
            "pad_token in tokenizer_config.json"
        )
    library.enable_padding(pad_id=by_text[pad], pad_token=pad)
    return library.to_str()


def longest(folder: Path) -> int:
    """How many tokens a model reads at most, special ones included, by its folder; 0 for any number."""
    config, limits = _json(folder / "config.json"), []
    kind = config.get("position_embedding_type", "absolute")
    positions = config.get("max_position_embeddings")
    if isinstance(positions, int) and kind != "rotary":
        unused = config.get("model_type") in POSITIONS_AFTER_PAD
        limits.append(positions - (config.get("pad_token_id") or 0) - 1 if unused else positions)
    own = _json(folder / "tokenizer_config.json").get("model_max_length")
    if isinstance(own, int) and 0 < own < _NO_LIMIT:
        limits.append(own)
    return min(limits, default=0)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text: get the folder again") from None


def _json(path: Path) -> dict:
    return read_json(path) if path.is_file() else {}


def _read(definition: str, where: str) -> tokenizers.Tokenizer:
    try:
        import tokenizers
    except ImportError:
        raise UserError(
            f"{where}: to read it needs the package tokenizers: pip install tokenizers"
        ) from None
    try:
        return tokenizers.Tokenizer.from_str(definition)
    except Exception as error:  # the library raises nothing more special
        raise UserError(f"{where} is no tokenizer ({error}): get the folder again") from None


def _named_tokens(folder: Path) -> dict[str, str]:
    """Role -> the text of the token that the folder's settings give it, such as cls -> "[CLS]"."""
    named = {}
    for name in ("special_tokens_map.json", "tokenizer_config.json"):
        settings = _json(folder / name)
        for role in _ROLES:
            token = settings.get(f"{role}_token")
            token = token.get("content") if isinstance(token, dict) else token
            if isinstance(token, str) and token:
                named[role] = token
    return named


def _unknown(model: dict, by_text: dict[str, int]) -> int | None:
    if isinstance(model.get("unk_id"), int):
        return model["unk_id"]
    return by_text.get(model.get("unk_token"))


def _frame(library, where: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The ids before and after every text: what the library adds to what it makes of the text alone."""
    found = set()
    for text in _PROBES:
        whole, alone = (library.encode(text, add_special_tokens=x).ids for x in (True, False))
        added = len(whole) - len(alone)
        start = next((i for i in range(added + 1) if whole[i : i + len(alone)] == alone), None)
        if start is None:
            break
        found.add((tuple(whole[:start]), tuple(whole[start + len(alone) :])))
    if start is None or len(found) != 1:
        raise UserError(f"{where}: its special tokens are no frame around the text: not read here")
    [frame] = found
    return frame


def _converted(folder: Path) -> tokenizers.Tokenizer:
    """The tokenizer of a folder without `tokenizer.json`."""
    settings, vocabulary = _json(folder / "tokenizer_config.json"), folder / "vocab.txt"
    bert = _json(folder / "config.json").get("model_type") == "bert"
    if vocabulary.is_file() and (bert or "Bert" in settings.get("tokenizer_class", "")):
        return _word_pieces(vocabulary, settings)
    problem = f"{folder} has no {FILE}, and it cannot be made of its other files"
    advice = (
        "make one where the model was made: "
        "AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
    )
    try:
        from transformers import AutoTokenizer

        made = AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # of any kind, according to what the folder or the machine lacks
        raise UserError(f"{problem} ({_line(error)}): {advice}") from None
    if not made.is_fast:
        raise UserError(f"{problem} ({type(made).__name__} has no fast form): {advice}")
    return _read(made.backend_tokenizer.to_str(), str(folder))


def _word_pieces(vocabulary: Path, settings: dict) -> tokenizers.Tokenizer:
    """BERT's tokenizer from its list of pieces, with the settings of `tokenizer_config.json`."""
    import tokenizers
    from tokenizers import models, normalizers, pre_tokenizers, processors

    pieces = {piece: i for i, piece in enumerate(_text(vocabulary).splitlines())}
    named = {"unk": "[UNK]", "sep": "[SEP]", "pad": "[PAD]", "cls": "[CLS]", "mask": "[MASK]"}
    named |= _named_tokens(vocabulary.parent)
    lacking = [named[role] for role in ("unk", "sep", "cls") if named[role] not in pieces]
    if lacking:
        raise UserError(f"{vocabulary} has no {lacking[0]}: it is no vocabulary of BERT")
    library = tokenizers.Tokenizer(models.WordPiece(pieces, unk_token=named["unk"]))
    library.normalizer = normalizers.BertNormalizer(
        lowercase=settings.get("do_lower_case", True),
        strip_accents=settings.get("strip_accents"),
        handle_chinese_chars=settings.get("tokenize_chinese_chars", True),
    )
    library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(named[role], pieces[named[role]]) for role in ("sep", "cls")]
    library.post_processor = processors.BertProcessing(*ends)
    library.add_special_tokens([named[role] for role in named if named[role] in pieces])
    return library


def _line(error: Exception) -> str:
    """An error in one line that is not long."""
    text = " ".join(str(error).split())
    return text if len(text) <= 120 else text[:117] + "..."


def _blocks(text: np.ndarray, offsets: np.ndarray) -> Iterator[Sequence[str]]:
    """The texts of a batch, about `_AT_ONCE` bytes at a time."""
    raw, texts, size = text.tobytes(), [], 0
    for start, stop in pairwise(offsets.tolist()):
        texts.append(raw[start:stop].decode("utf-8", "replace"))
        size += stop - start
        if size >= _AT_ONCE:
            yield texts
            texts, size = [], 0
    if texts:
        yield texts
