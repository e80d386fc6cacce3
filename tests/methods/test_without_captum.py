"""Attention and its rollout against the model's own weights and the products of their definition."""

import numpy as np
import pytest
import torch
from helpers_batches import batch_of
from helpers_evaluation import BACKBONE
from helpers_families import FAMILIES, Ids, ids_batch, save, transformers_model

from whatyouread.data.six_mers import CLS, PAD
from whatyouread.methods.question import Question
from whatyouread.methods.without_captum import attention, attention_rollout, cheating_scores
from whatyouread.models.adapters import read_config
from whatyouread.models.explanandum import Explanandum
from whatyouread.support.cli import UserError

LENGTHS = [7, 4]


def by_matrices(explanandum, tokens):
    """One sequence without padding: the product of (mean attention + identity) / 2 over the layers."""
    encoder = explanandum.encoder
    encoder.set_attn_implementation("eager")
    with torch.no_grad():
        made = encoder(inputs_embeds=explanandum.embed(tokens), output_attentions=True)
    encoder.set_attn_implementation("sdpa")
    rolled = torch.eye(tokens.shape[1])
    for weights in made.attentions:
        layer = (weights[0].mean(0) + torch.eye(tokens.shape[1])) / 2
        rolled = layer @ rolled
    return rolled


@pytest.mark.parametrize("method", [attention, attention_rollout])
def test_shares_are_not_rounded_to_half_precision(
    tiny_explanandum, token_batch, monkeypatch, method
):
    batch = token_batch(LENGTHS)
    given = torch.rand(2, 2, 3, 7, 7, generator=torch.Generator().manual_seed(1)).softmax(-1)
    monkeypatch.setattr(type(tiny_explanandum.adapter), "attentions", lambda *_: list(given))
    expected = method(tiny_explanandum, batch)
    with torch.autocast("cpu", torch.bfloat16):
        made = method(tiny_explanandum, batch)
    assert torch.equal(made, expected)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_rollout_equals_the_matrix_products(make_explanandum, token_batch, pooling):
    explanandum = make_explanandum(pooling)
    batch = token_batch(LENGTHS, seed=1)
    made = attention_rollout(explanandum, batch)
    for row, length in enumerate(LENGTHS):
        rolled = by_matrices(explanandum, batch.ids[row : row + 1, :length])
        expected = rolled.mean(0) if pooling == "mean" else rolled[0]
        torch.testing.assert_close(made[row, :length], expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(made.sum(1), torch.ones(2))
    assert (made[batch.ids == PAD] == 0).all()


def test_the_encoder_is_left_as_it_was(tiny_explanandum, token_batch):
    batch = token_batch(LENGTHS)
    before = tiny_explanandum(batch)
    kind = tiny_explanandum.encoder.config._attn_implementation
    attention_rollout(tiny_explanandum, batch)
    assert tiny_explanandum.encoder.config._attn_implementation == kind
    for one, other in zip(before, tiny_explanandum(batch), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("name", ["bert", "xlm_roberta", "nt_v1", "esm2"])
def test_attention_is_that_of_the_models_own_last_layer(name, pooling, tmp_path):
    config = FAMILIES[name]
    model = transformers_model(config, "Model")
    explanandum = Explanandum(read_config(save(tmp_path, model)), {"c": 2}, pooling, Ids(config))
    explanandum.adapter.load(tmp_path)
    explanandum.eval()
    batch = ids_batch(config, [9, 4, 12])
    made = attention(explanandum, batch)
    model.set_attn_implementation("eager")
    for row, length in enumerate([9, 4, 12]):
        with torch.no_grad():
            own = model(input_ids=batch.ids[row : row + 1, :length], output_attentions=True)
        heads = own.attentions[-1][0]  # (heads, from, to)
        expected = heads.mean(0)[0] if pooling == "cls" else heads.mean(0).mean(0)
        torch.testing.assert_close(made[row, :length], expected, atol=1e-5, rtol=1e-4)
        assert not made[row, length:].any()
        other = own.attentions[0][0].mean(0)
        other = other[0] if pooling == "cls" else other.mean(0)
        assert not torch.allclose(made[row, :length], other, atol=1e-3)
    torch.testing.assert_close(made.sum(1), torch.ones(3))


@pytest.mark.parametrize("method", [attention, attention_rollout])
@pytest.mark.parametrize("given", [None, (), (None, None)])
def test_a_family_without_attention_weights_is_refused(
    method, given, make_explanandum, token_batch, monkeypatch
):
    explanandum = make_explanandum("mean")
    forward = explanandum.encoder.forward

    def silent(**options):
        made = forward(**options)
        made.attentions = given
        return made

    monkeypatch.setattr(explanandum.encoder, "forward", silent)
    kind = explanandum.encoder.config._attn_implementation
    with pytest.raises(UserError, match=r"type esm give no attention weights: leave out") as error:
        method(explanandum, token_batch(LENGTHS))
    assert "\n" not in str(error.value)
    assert explanandum.encoder.config._attn_implementation == kind


@pytest.mark.parametrize("kind", ["single", "multiple"])
def test_the_cheating_explainer_tells_the_class_by_places_alone(kind):
    """Content of 40 tokens, four classes: the best ten are those of a class's own quarter."""
    ids = torch.full((5, 41), 100)
    ids[:, 0] = CLS
    ids[4, 21:] = PAD  # the last one has 20
    batch = batch_of(ids).to("cpu")
    kinds = {"genus": kind} if kind == "multiple" else None
    explanandum = Explanandum(BACKBONE, {"kingdom": 2, "genus": 4}, kinds=kinds)
    genus = torch.tensor([0, 1, 2, 3, 3])
    kingdom, said = genus // 2, genus if kind == "single" else 1 << genus
    predicted = torch.stack([kingdom, said], 1)
    others = predicted.flip(0).unsqueeze(1)
    question = Question(explanandum, batch, predicted, others, np.arange(5, dtype=np.uint64), 1, 8)
    made = cheating_scores(question)
    assert made.shape == (5, 41, 4)
    assert not made[4, 21:].any()

    def best(scores, share):
        counts = batch.content.sum(1)
        found = []
        for row, count in zip(scores.masked_fill(~batch.content, -9), counts, strict=True):
            places = row.topk(int(count * share)).indices - 1
            found.append(sorted((places * 40 // count).tolist()))
        return found

    for row, (own, other) in enumerate(zip(genus, genus.flip(0), strict=True)):
        step = 2 if row == 4 else 1
        for column in (1, 2):
            quarter = list(range(10 * own, 10 * own + 10, step))
            assert best(made[..., column], 0.25)[row] == quarter
        assert best(made[..., 3], 0.25)[row] == list(range(10 * other, 10 * other + 10, step))
        half = int(kingdom[row])
        assert best(made[..., 0], 0.5)[row] == list(range(20 * half, 20 * half + 20, step))
