"""Fresh encoders of families, for the tokens that they are asked for."""

import itertools
import json

import pytest
import torch
from helpers_batches import batch_of
from helpers_tokenizers import KINDS, tokenizer_folder

from whatyouread.data.tokenizers import tokenizer_of
from whatyouread.models.adapters import read_config
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.hub import fetch_backbone
from whatyouread.support.cli import UserError

SIZES = {
    "hidden_size": 12,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 20,
}
FAMILIES = ["bert", "roberta", "xlm-roberta", "camembert", "esm"]


def made(folder, **settings):
    """The folder of a fresh encoder, its configuration and its tokenizer."""
    fetch_backbone(SIZES | settings, folder / "made")
    config = json.loads((folder / "made" / "config.json").read_text())
    return folder / "made", config, tokenizer_of(folder / "made")


def logits(folder, tokenizer, texts):
    torch.manual_seed(0)
    explanandum = Explanandum(read_config(folder), {"kind": 3}, tokenizer=tokenizer).freeze()
    ids, offsets = tokenizer.tokenize(*tokenizer.characters(texts))
    rows = [ids[start:end].tolist() for start, end in itertools.pairwise(offsets)]
    longest = max(map(len, rows))
    filled = [row + [tokenizer.pad] * (longest - len(row)) for row in rows]
    return explanandum, explanandum(batch_of(filled, tokenizer).to("cpu"))[0]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["residues", "six_mers"])
def test_a_family_reads_the_tokens_of_a_name(tmp_path, family, name):
    folder, config, tokenizer = made(tmp_path, family=family, tokenizer=name, longest=40)
    assert tokenizer.name == name
    assert {key: config[key] for key in SIZES} == SIZES
    assert config["vocab_size"] == len(tokenizer)
    # padding is 1 in both vocabularies, and positions begin behind it but for BERT's
    assert config["max_position_embeddings"] == (40 if family == "bert" else 42)
    explanandum, found = logits(folder, tokenizer, ["ACGTACGTACGTAC", "ACG"])
    assert found.shape == (2, 3)
    assert found.isfinite().all()
    assert explanandum.adapter.longest == (None if family == "esm" else 40)
    # without dropout: padding is not read
    torch.testing.assert_close(logits(folder, tokenizer, ["ACG"])[1], found[1:])


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_reads_the_tokens_of_a_folder(tmp_path, family, kind):
    source = tokenizer_folder(tmp_path / "source", kind, model_type="gpt2", hidden_size=9)
    folder, config, tokenizer = made(tmp_path, family=family, tokenizer=str(source))
    assert tokenizer.name == tokenizer_of(source).name
    assert config["model_type"] == family
    assert config["hidden_size"] == 12
    assert config["pad_token_id"] == tokenizer.pad
    _, found = logits(folder, tokenizer, ["the quick brown fox", "a b"])
    torch.testing.assert_close(logits(folder, tokenizer, ["a b"])[1], found[1:])


def test_the_longest_text_is_read_and_a_longer_one_is_not(tmp_path):
    folder, _, tokenizer = made(tmp_path, family="roberta", tokenizer="residues", longest=10)
    logits(folder, tokenizer, ["A" * 8])  # and two that frame it
    with pytest.raises(UserError, match="11 tokens, and the model reads 10"):
        logits(folder, tokenizer, ["A" * 9])


def test_dropout_is_off_unless_it_is_asked_for(tmp_path):
    _, config, _ = made(tmp_path, family="bert")
    assert (config["hidden_dropout_prob"], config["attention_probs_dropout_prob"]) == (0, 0)
    _, config, _ = made(tmp_path / "other", family="bert", hidden_dropout_prob=0.1)
    assert (config["hidden_dropout_prob"], config["attention_probs_dropout_prob"]) == (0.1, 0)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"tokenizer": "residues"}, "backbone.tokenizer: only with backbone.family"),
        ({"longest": 9}, "backbone.longest: only with backbone.family"),
        ({"family": "bert", "longest": 0}, "backbone.longest: a positive whole number"),
        ({"family": "bert", "tokenizer": "no/such"}, "no/such is none of six_mers, .* no folder"),
        ({"family": "bert", "num_attention_heads": 5}, "12 is not a multiple of the 5 attention"),
        ({"family": "esm", "num_attention_heads": 4}, "12 is not a multiple of twice the 4 att"),
    ],
)
def test_what_makes_no_encoder(tmp_path, settings, problem):
    with pytest.raises(UserError, match=problem):
        fetch_backbone(SIZES | settings, tmp_path / "made")
    assert not list(tmp_path.iterdir())


def test_a_damaged_tokenizer_leaves_nothing(tmp_path):
    source = tokenizer_folder(tmp_path / "source")
    (source / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=r"tokenizer\.json is no tokenizer"):
        fetch_backbone(
            SIZES | {"family": "bert", "tokenizer": str(source)}, tmp_path / "out" / "made"
        )
    assert not (tmp_path / "out" / "made").exists()
