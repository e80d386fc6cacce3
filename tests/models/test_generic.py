"""Families without an adapter: the exact operator only, and no silent difference from the model on ids."""

import json
import logging

import pytest
import torch
from helpers_families import ELECTRA, Ids, ids_batch

from whatyouread.models import adapters
from whatyouread.models.adapters import find_adapter, read_config
from whatyouread.models.esm import EsmAdapter
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.generic import GenericAdapter
from whatyouread.models.mask_operator import masked_logits
from whatyouread.support.cli import UserError

LENGTHS = [9, 3, 12]


def saved(folder, name, config):
    import transformers

    torch.manual_seed(0)
    known = {key: value for key, value in config.items() if key != "model_type"}
    made = getattr(transformers, f"{name}Config")(**known)
    base = "Model" if name != "T5" else "EncoderModel"
    model = getattr(transformers, name + base)(made).eval()
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("Electra", ELECTRA),
        ("Electra", ELECTRA | {"embedding_size": 8}),  # a projection lies between
        (
            "DistilBert",
            {"model_type": "distilbert", "vocab_size": 50, "dim": 16, "n_layers": 2, "n_heads": 2}
            | {"hidden_dim": 24, "pad_token_id": 0, "max_position_embeddings": 32},
        ),
    ],
)
def test_its_states_are_those_of_the_model_on_ids(name, config, tmp_path, caplog):
    model, config = saved(tmp_path, name, config), read_config(tmp_path)
    assert find_adapter(config) is GenericAdapter
    with caplog.at_level(logging.WARNING):
        adapter = GenericAdapter(GenericAdapter.build(config).eval())
    assert f"type {config['model_type']} have no adapter of their own" in caplog.text
    names = adapter.load(tmp_path)
    assert names["loaded"]
    assert not names["unused"]
    assert (adapter.hidden_size, adapter.longest) == (16, 32)
    batch = ids_batch({"pad_token_id": 0, "vocab_size": 50}, LENGTHS)
    with torch.inference_mode():
        made = adapter.encode(adapter.embed(batch.ids), batch)
        expected = model(input_ids=batch.ids, attention_mask=batch.valid.long()).last_hidden_state
    assert (made - expected).abs()[batch.valid].max() < 1e-5


def test_exact_masks_work_and_relaxed_ones_are_refused(tmp_path):
    model = Explanandum(ELECTRA, {"a": 3}, tokenizer=Ids(ELECTRA)).freeze()
    batch = ids_batch(ELECTRA, LENGTHS)
    ones, zeros = (torch.full(batch.ids.shape, value) for value in (1.0, 0.0))
    assert torch.equal(masked_logits(model, batch, ones)[0], model(batch)[0])
    bias = model.heads["a"].bias
    assert torch.equal(masked_logits(model, batch, zeros)[0], bias.expand(3, 3))
    with pytest.raises(
        UserError, match=r"type electra have no .* no relaxed operator: set `operator: e"
    ):
        masked_logits(model, batch, ones, relaxed=True)
    with pytest.raises(UserError, match="a sequence of 33 tokens, and the model reads 32"):
        model(ids_batch(ELECTRA, [33]))


def test_a_head_in_the_file_is_not_used_and_a_stranger_is_refused(tmp_path):
    from safetensors.torch import load_file, save_file
    from transformers import ElectraConfig, ElectraForMaskedLM

    known = {key: value for key, value in ELECTRA.items() if key != "model_type"}
    ElectraForMaskedLM(ElectraConfig(**known)).save_pretrained(tmp_path)
    adapter = GenericAdapter(GenericAdapter.build(read_config(tmp_path)))
    names = adapter.load(tmp_path)
    assert all(name.startswith("generator") for name in names["unused"])
    path = tmp_path / "model.safetensors"
    save_file(load_file(path) | {"electra.encoder.layer.2.x": torch.ones(1)}, path)
    with pytest.raises(UserError, match=r"electra\.encoder\.layer\.2\.x is not known"):
        adapter.load(tmp_path)
    tensors = load_file(path)
    del tensors["electra.encoder.layer.2.x"], tensors["electra.embeddings.LayerNorm.bias"]
    save_file(tensors, path)
    with pytest.raises(UserError, match=r"embeddings\.LayerNorm\.bias is missing"):
        adapter.load(tmp_path)


def test_a_model_that_treats_embeddings_otherwise_is_refused(tmp_path):
    """As ESM-2 does, if it had no adapter: it scales what it embeds itself by 0.88."""
    from helpers_families import FAMILIES, save, transformers_model

    save(tmp_path, transformers_model(FAMILIES["nt_v1"], "ForMaskedLM"))
    config = json.loads((tmp_path / "config.json").read_text())
    adapter = GenericAdapter(GenericAdapter.build(config))
    del adapter.encoder.contact_head
    with pytest.raises(UserError, match="reads embeddings otherwise than ids"):
        adapter.load(tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "t5", "is_encoder_decoder": True}, "is_encoder_decoder is true"),
        ({"model_type": "electra", "quantization_config": {"bits": 4}}, "quantised weights"),
        (
            {"model_type": "my-own"},
            "no adapter for models of type 'my-own', only esm, bert, roberta",
        ),
        ({"model_type": ["bert"]}, "no adapter for models of type"),
    ],
)
def test_what_is_refused(config, message, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=message):
        read_config(tmp_path)


def test_sizes_that_make_no_encoder():
    with pytest.raises(UserError, match="makes no encoder of type electra") as error:
        GenericAdapter.build(ELECTRA | {"hidden_size": "wide"})
    assert "\n" not in str(error.value)


class Doubled(EsmAdapter):
    """A family of one's own: ESM with embeddings of twice the size."""

    model_type = "doubled"

    def embed(self, ids):
        return 2 * super().embed(ids)


def test_a_family_is_an_adapter_and_a_line_in_the_registry(monkeypatch, tiny_backbone, token_batch):
    config = tiny_backbone | {"model_type": "doubled"}
    with pytest.raises(UserError, match="no adapter for models of type 'doubled'"):
        find_adapter(config)
    monkeypatch.setitem(adapters.ADAPTERS, "doubled", Doubled)
    torch.manual_seed(0)
    model = Explanandum(config, {"a": 3}).freeze()
    torch.manual_seed(0)
    plain = Explanandum(tiny_backbone, {"a": 3}).freeze()
    batch = token_batch([9, 5])
    half = torch.full(batch.ids.shape, 0.5)
    made = masked_logits(model, batch, torch.where(batch.valid, half, 0))[0]
    expected = masked_logits(plain, batch)[0]
    # the mean is masked once more
    bias = model.heads["a"].bias
    torch.testing.assert_close(2 * (made - bias), expected - bias)
