"""Saved models of a folder's tokenizer stand by themselves."""

import numpy as np
import pytest
import torch
from helpers_evaluation import BACKBONE, CLASSES
from helpers_tokenizers import tokenizer_folder

from whatyouread.data import tokenizers
from whatyouread.explainers.network import Explainer
from whatyouread.explainers.saved import SavedExplainer
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.saving import load_model, save_model
from whatyouread.support.cli import UserError


@pytest.fixture
def models(tmp_path):
    tokenizer = tokenizers.tokenizer_of(tokenizer_folder(tmp_path / "model"))
    torch.manual_seed(0)
    backbone = BACKBONE | {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad}
    explanandum = Explanandum(backbone, CLASSES, tokenizer=tokenizer.name).eval()
    explainer = Explainer(CLASSES, 6, 4, 1, tokenizer=tokenizer.name).attach(explanandum).eval()
    return explanandum, explainer


def test_saved_and_loaded_where_nobody_knows_the_tokenizer(tmp_path, models, monkeypatch):
    for name, model in zip("ab", models, strict=True):
        save_model(tmp_path / name, model)
        assert sorted(p.name for p in (tmp_path / name).iterdir()) == [
            *("config.json", "model.safetensors", "tokenizer.json")
        ]
    monkeypatch.setattr(tokenizers, "_defined", {})
    explanandum = load_model(Explanandum, tmp_path / "a").eval()
    explainer = load_model(Explainer, tmp_path / "b").eval().attach(explanandum)
    assert explanandum.tokenizer.name == models[0].config["tokenizer"] == explainer.tokenizer.name
    saved = [
        SavedExplainer(one, other, [], 8, tmp_path, tmp_path)
        for other, one in (models, (explanandum, explainer))
    ]
    batches = [one.batch(["The quick fox", "中 jumps é", ""]) for one in saved]
    assert torch.equal(batches[0].ids, batches[1].ids)
    # the frame at both ends is no content
    assert batches[0].ids[2].tolist() == [2, 3, *[0] * (batches[0].ids.shape[1] - 2)]
    assert np.array_equal(batches[0].content.sum(1).numpy(), batches[0].lengths - 2)
    for one, other in zip(saved[0].explain(batches[0]), saved[1].explain(batches[1]), strict=True):
        assert torch.equal(one, other)


def test_without_its_tokenizer_or_with_another_one(tmp_path, models, monkeypatch):
    save_model(tmp_path / "a", models[0])
    other = tokenizers.tokenizer_of(tokenizer_folder(tmp_path / "other", "unigram"))
    monkeypatch.setattr(tokenizers, "_defined", {})
    (tmp_path / "a" / "tokenizer.json").write_text(other.definition, encoding="utf-8")
    with pytest.raises(UserError, match=r"tokenizer\.json is not the model's"):
        load_model(Explanandum, tmp_path / "a")
    (tmp_path / "a" / "tokenizer.json").unlink()
    with pytest.raises(UserError, match=r"its tokenizer\.json is not there"):
        load_model(Explanandum, tmp_path / "a")


def test_a_built_in_tokenizer_needs_no_file(tmp_path):
    tokenizer = tokenizers.RESIDUES
    backbone = BACKBONE | {"vocab_size": len(tokenizer), "pad_token_id": tokenizer.pad}
    save_model(tmp_path, Explanandum(backbone, CLASSES, tokenizer="residues"))
    assert not (tmp_path / "tokenizer.json").exists()
    assert load_model(Explanandum, tmp_path).tokenizer is tokenizer
