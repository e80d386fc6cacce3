"""Tokens of 1,500 bp sequences on one core, beside transformers' EsmTokenizer."""

import tempfile
from pathlib import Path

import numpy as np
from measure import Figure, seconds

from whatyouread.data.six_mers import VOCABULARY, encode, tokenize

SECTION = "Tokenization, one core"


def esm_tokenizer():
    """transformers' tokenizer, with the published vocabulary."""
    from transformers import EsmTokenizer

    with tempfile.TemporaryDirectory() as folder:
        vocabulary = Path(folder, "vocab.txt")
        vocabulary.write_text("\n".join(VOCABULARY), encoding="utf-8")
        return EsmTokenizer(str(vocabulary), model_max_length=2048)


def run(quick: bool, scratch: Path) -> list[Figure]:
    """Sequences per second; the tokens are compared first."""
    theirs = esm_tokenizer()
    rng = np.random.default_rng(0)
    few, many = (20, 200) if quick else (500, 20_000)
    letters = np.frombuffer(b"ACGT", np.uint8)[rng.integers(4, size=(many, 1500))]
    letters[rng.random(many) < 0.01, 700] = ord("N")
    texts = [row.tobytes().decode() for row in letters[:few]]

    expected = [theirs(text, add_special_tokens=True)["input_ids"] for text in texts]
    expected = [ids[:-1] if ids[-1] == theirs.eos_token_id else ids for ids in expected]
    tokens, offsets = encode(texts)
    assert all(
        tokens[start:stop].tolist() == ids
        for start, stop, ids in zip(offsets[:-1], offsets[1:], expected, strict=True)
    )
    bases, ends = letters.ravel(), np.arange(many + 1) * 1500
    ours = many / seconds(lambda: tokenize(bases, ends))
    other = few / seconds(lambda: [theirs(text)["input_ids"] for text in texts])
    return [
        Figure(
            SECTION, "1,500 bp sequences", "per second", ours, other, "EsmTokenizer",
            ours / other, "50 times", None if quick else ours / other >= 50, "identical tokens",
        )
    ]  # fmt: skip
