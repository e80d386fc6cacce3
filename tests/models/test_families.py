"""What holds for the adapter of every family, against transformers' own models on ids."""

import json
from functools import partial

import pytest
import torch
from helpers_families import FAMILIES, Ids, ids_batch, save, transformers_model
from safetensors.torch import load_file, save_file

from whatyouread.models.adapters import find_adapter, read_config
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.mask_operator import masked_logits
from whatyouread.models.saving import load_model, save_model
from whatyouread.models.transformers_adapter import attended
from whatyouread.support.cli import UserError

LENGTHS = [9, 3, 12, 7, 12]


@pytest.fixture(params=sorted(FAMILIES))
def family(request):
    return request.param, FAMILIES[request.param]


def loaded(config, folder, kind="Model", dtype=torch.float32, **change):
    """transformers' model and an adapter that has loaded its files."""
    model = transformers_model(config, kind)
    save(folder, model, dtype, **change)
    read = read_config(folder)
    adapter = find_adapter(read)(find_adapter(read).build(read).eval())
    return model, adapter, adapter.load(folder)


def states(model, batch):
    with torch.inference_mode():
        made = model(
            input_ids=batch.ids, attention_mask=batch.valid.long(), output_hidden_states=True
        )
    return made.hidden_states[-1] if "last_hidden_state" not in made else made.last_hidden_state


def difference(made, expected, valid):
    return (made - expected).abs()[valid].max().item()


@pytest.mark.parametrize("width", [None, 15])
def test_the_mask_of_padding_is_the_one_that_transformers_makes(family, width):
    from transformers.masking_utils import create_bidirectional_mask

    _, config = family
    encoder, batch = find_adapter(config).build(config), ids_batch(config, LENGTHS, width=width)
    usual = create_bidirectional_mask(
        encoder.config, torch.zeros(*batch.ids.shape, 16), batch.valid.long()
    )
    made = attended(encoder, batch)
    assert made.dtype == usual.dtype == torch.bool
    assert made.equal(usual)
    assert attended(encoder, ids_batch(config, [7, 7])) is None


@pytest.mark.parametrize("kind", ["Model", "ForMaskedLM", "ForSequenceClassification"])
def test_the_states_are_those_of_the_model_on_ids(family, kind, tmp_path):
    _, config = family
    model, adapter, names = loaded(config, tmp_path, kind)
    tensors = load_file(tmp_path / "model.safetensors")
    assert len(names["loaded"]) + len(names["unused"]) == len(tensors)
    base = getattr(model, model.base_model_prefix, model)
    for lengths, width in ((LENGTHS, None), (LENGTHS, 17), ([8, 8], None), ([4], None), ([5], 9)):
        batch = ids_batch(config, lengths, width=width)
        with torch.inference_mode():
            made = adapter.encode(adapter.embed(batch.ids), batch)
        expected = states(base, batch)
        assert difference(made, expected, batch.valid) < 1e-5, (lengths, width)
    assert expected[batch.valid].std() > 0.3


@pytest.mark.parametrize("name", ["esm2", "nt_v1"])
def test_mask_tokens_are_read_as_the_model_reads_them(name, tmp_path):
    config = FAMILIES[name]
    model, adapter, _ = loaded(config, tmp_path)
    batch = ids_batch(config, LENGTHS)
    batch.ids[0, 2] = batch.ids[2, 4] = batch.ids[2, 5] = config["mask_token_id"]
    with torch.inference_mode():
        made = adapter.encode(adapter.embed(batch.ids), batch)
        # without any: 0.88 of the embedding; with 2 of 12: 0.88 * 12 / 10; itself: nothing
        words = adapter.encoder.get_input_embeddings()(batch.ids)
        embedded = adapter.embed(batch.ids)
    assert difference(made, states(model, batch), batch.valid) < 1e-5
    torch.testing.assert_close(embedded[1, 1], 0.88 * words[1, 1])
    torch.testing.assert_close(embedded[2, 1], 1.056 * words[2, 1])
    assert not embedded[2, 4].any()


def test_a_token_of_padding_within_a_sequence_has_no_position(tmp_path):
    """XLM-R and ESM count tokens that are not padding, whatever the attention mask says."""
    for name in ("xlm_roberta", "esm_absolute"):
        config = FAMILIES[name]
        model, adapter, _ = loaded(config, tmp_path / name)
        batch = ids_batch(config, [9, 6])
        batch.ids[0, 3] = config["pad_token_id"]
        with torch.inference_mode():
            made = adapter.encode(adapter.embed(batch.ids), batch)
        assert difference(made, states(model, batch), batch.valid) < 1e-5


def test_half_precision_files_load_as_float32(family, tmp_path):
    _, config = family
    model, adapter, _ = loaded(config, tmp_path, dtype=torch.float16)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "float16"
    assert {p.dtype for p in adapter.encoder.parameters()} == {torch.float32}
    model = type(model).from_pretrained(tmp_path, dtype=torch.float32).eval()
    batch = ids_batch(config, LENGTHS)
    with torch.inference_mode():
        made = adapter.encode(adapter.embed(batch.ids), batch)
    assert difference(made, states(model, batch), batch.valid) < 1e-5


@pytest.fixture
def make(family):
    _, config = family

    def make(pooling="mean", **more):
        torch.manual_seed(3)
        model = Explanandum(config, {"a": 3, "b": 4}, pooling, Ids(config), **more)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
        return model.freeze()

    return make


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("relaxed", [False, True])
def test_ones_change_nothing_and_the_batch_does_not_matter(family, make, pooling, relaxed):
    config, model = family[1], make(pooling)
    batch = ids_batch(config, LENGTHS, width=15)
    generator = torch.Generator().manual_seed(1)
    # a norm of embeddings without positions hides a soft mask altogether, but not zeros
    mask = (torch.rand(batch.ids.shape, generator=generator) - 0.3).clamp(min=0)
    with torch.inference_mode():
        plain = model(batch)
        ones = masked_logits(model, batch, torch.ones_like(mask), relaxed=relaxed)
        for made, expected in zip(ones, plain, strict=True):
            if relaxed:
                torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)
            else:
                assert torch.equal(made, expected)
        whole = masked_logits(model, batch, mask, relaxed=relaxed)
        assert (whole[0] - plain[0]).abs().max() > 0.01
        order = [3, 0, 4, 1, 2]
        turned = masked_logits(model, batch.take(order), mask[order], relaxed=relaxed)
        filled = torch.where(batch.valid, mask, 1e3)
        other = masked_logits(model, batch, filled, relaxed=relaxed)
        for row, length in enumerate(LENGTHS):
            alone = masked_logits(model, batch.alone(row), mask[[row], :length], relaxed=relaxed)
            for i in range(2):
                assert (alone[i][0] - whole[i][row]).abs().max() < 1e-5
                assert (turned[i][order.index(row)] - whole[i][row]).abs().max() < 1e-5
                assert (other[i][row] - whole[i][row]).abs().max() < 1e-5


def test_zeros_leave_the_biases_of_a_mean(family, make):
    batch, model = ids_batch(family[1], LENGTHS), make()
    for relaxed in (False, True):
        logits = masked_logits(model, batch, torch.zeros(batch.ids.shape), relaxed=relaxed)
        for made, head in zip(logits, model.heads.values(), strict=True):
            assert torch.equal(made, head.bias.expand_as(made))


def test_zeros_leave_the_first_token_what_depends_on_the_length_at_most(family, make):
    """With `pooling: cls`, no word of a sequence is left; absolute positions still tell its length."""
    config, model = family[1], make("cls")
    batch, other = ids_batch(config, [12, 12, 5]), ids_batch(config, [12, 12, 5], seed=9)
    zeros = torch.zeros(batch.ids.shape)
    for relaxed in (False, True):
        made, again = (masked_logits(model, b, zeros, relaxed=relaxed)[0] for b in (batch, other))
        torch.testing.assert_close(made, again, atol=1e-6, rtol=0)
        torch.testing.assert_close(made[0], made[1], atol=1e-6, rtol=0)
    rotary = config.get("position_embedding_type") == "rotary"
    assert ((made[0] - made[2]).abs().max() < 1e-5) == rotary
    assert (made[0] - model(batch)[0][0]).abs().max() > 0.01


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_relaxed_is_exact_for_masks_of_zero_and_one(family, make, pooling):
    batch, model = ids_batch(family[1], LENGTHS), make(pooling)
    generator = torch.Generator().manual_seed(2)
    for _ in range(5):
        mask = (torch.rand(batch.ids.shape, generator=generator) > 0.5).float()
        exact, relaxed = (masked_logits(model, batch, mask, relaxed=r) for r in (False, True))
        for a, b in zip(exact, relaxed, strict=True):
            torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-5)
        soft = 0.2 + 0.6 * mask
        exact, relaxed = (masked_logits(model, batch, soft, relaxed=r) for r in (False, True))
        assert (exact[0] - relaxed[0]).abs().max() > 1e-3


def test_relaxed_is_smooth_where_a_token_goes(family, make):
    """From mask 0 to 0.001, other tokens' states move by about a thousandth of the whole way."""
    batch, model = ids_batch(family[1], [12]), make()

    def states(value):
        mask = torch.ones(batch.ids.shape)
        mask[0, 5] = value
        with torch.inference_mode():
            return model.encode_relaxed(model.embed(batch.ids), mask, batch)[0, :5].double()

    nothing, little, half, all_ = (states(value) for value in (0.0, 1e-3, 0.5, 1.0))
    whole = (all_ - nothing).norm()
    assert whole > 0.1
    assert (little - nothing).norm() < 0.03 * whole
    assert 0.1 * whole < (half - nothing).norm() < 3 * whole


def test_the_gradient_of_the_relaxed_operator_is_the_slope(family, make):
    batch, model = ids_batch(family[1], [10, 6]), make("cls").double()
    mask = torch.full(batch.ids.shape, 0.4, dtype=torch.float64, requires_grad=True)

    def total(values):
        return masked_logits(model, batch, values, relaxed=True)[0].square().sum()

    total(mask).backward()
    assert not mask.grad[~batch.valid].any()
    assert mask.grad[batch.valid].abs().min() > 0
    step = 1e-5
    for place in ((0, 3), (0, 0), (1, 5)):
        up, down = mask.detach().clone(), mask.detach().clone()
        up[place] += step
        down[place] -= step
        with torch.no_grad():
            slope = (total(up) - total(down)) / (2 * step)
        torch.testing.assert_close(mask.grad[place], slope, rtol=1e-4, atol=1e-6)


def test_every_layer_tells_its_attention(family, make):
    batch, model = ids_batch(family[1], LENGTHS), make()
    with torch.inference_mode():
        made = model.adapter.attentions(batch)
    assert [tuple(attention.shape) for attention in made] == [(5, 2, 12, 12)] * 2
    for attention in made:
        torch.testing.assert_close(attention.sum(-1), torch.ones(5, 2, 12))
        assert not attention.movedim(-1, 1)[~batch.valid].any()
    assert model.encoder.config._attn_implementation != "eager"


def test_passes_are_counted_in_both_directions(family, make):
    from whatyouread.methods.registry import _Count

    batch, model = ids_batch(family[1], LENGTHS), make()
    mask = torch.full(batch.ids.shape, 0.5, requires_grad=True)
    with _Count(model) as count:
        masked_logits(model, batch, mask)[0].sum().backward()
        with torch.no_grad():
            masked_logits(model, batch, mask, relaxed=True)
    assert (count.forward, count.backward) == (10, 5)


def test_save_and_load(family, make, tmp_path, monkeypatch):
    from whatyouread.data.tokenizers import TOKENIZERS

    config = family[1]
    monkeypatch.setitem(TOKENIZERS, "ids", Ids(config))
    batch, model = ids_batch(config, LENGTHS), make("cls")
    save_model(tmp_path, model)
    again = load_model(Explanandum, tmp_path).eval()
    for a, b in zip(model(batch), again(batch), strict=True):
        assert torch.equal(a, b)


def test_bfloat16_is_near(family, make):
    batch, model = ids_batch(family[1], LENGTHS), make()
    mask = torch.rand(batch.ids.shape, generator=torch.Generator().manual_seed(0))
    for relaxed in (False, True):
        exact = masked_logits(model, batch, mask, relaxed=relaxed)[0]
        with torch.autocast("cpu", torch.bfloat16):
            near = masked_logits(model, batch, mask, relaxed=relaxed)[0]
        assert near.dtype == torch.float32
        assert 0 < (near - exact).abs().max() < 0.1


def test_compiled(family, make, monkeypatch):
    """Traced as for the compiler, but without one: what it makes of the graph is torch's affair."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    batch, model = ids_batch(family[1], LENGTHS), make()
    mask = torch.rand(batch.ids.shape, generator=torch.Generator().manual_seed(0))

    def answers():
        given = mask.clone().requires_grad_()
        exact, relaxed = (masked_logits(model, batch, given, relaxed=r)[0] for r in (False, True))
        (exact.sum() + relaxed.sum()).backward()
        return [exact.detach(), relaxed.detach(), given.grad, *model.adapter.attentions(batch)]

    expected = answers()
    model.adapter.compile()
    for made, plain in zip(answers(), expected, strict=True):
        torch.testing.assert_close(made, plain, atol=1e-5, rtol=1e-4)


# What does not fit


@pytest.mark.parametrize(
    ("name", "most"),
    [("nt_v1", 32), ("esm_absolute", 38), ("bert", 32), ("roberta", 32), ("camembert", 32)],
)
def test_the_longest_sequence(name, most):
    config = FAMILIES[name]
    adapter = find_adapter(config)(find_adapter(config).build(config).eval())
    assert adapter.longest == adapter.trained_length == most
    fits, longer = ids_batch(config, [most, 4], width=most + 5), ids_batch(config, [most + 1, 4])
    with torch.inference_mode():
        made = adapter.encode(adapter.embed(fits.ids), fits)
        assert made[fits.valid].isfinite().all()
        with pytest.raises(UserError, match=f"sequence of {most + 1} tokens, .* reads {most} at"):
            adapter.encode(adapter.embed(longer.ids), longer)
        with pytest.raises(UserError, match=f"reads {most} at most"):
            adapter.attentions(longer)


def test_rotary_models_read_any_length():
    adapter = find_adapter(FAMILIES["esm2"])(find_adapter(FAMILIES["esm2"]).build(FAMILIES["esm2"]))
    assert (adapter.longest, adapter.trained_length) == (None, 1024)


def change_tensors(folder, change):
    path = folder / "model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def test_names_without_the_prefix_and_the_oldest_names_of_norms(tmp_path):
    model, _, _ = loaded(FAMILIES["bert"], tmp_path, "ForMaskedLM")

    def rename(tensors):
        for name in list(tensors):
            own = name.removeprefix("bert.")
            own = own.replace("LayerNorm.weight", "LayerNorm.gamma")
            tensors[own.replace("LayerNorm.bias", "LayerNorm.beta")] = tensors.pop(name)
        tensors["embeddings.position_ids"] = torch.arange(32).unsqueeze(0)

    change_tensors(tmp_path, rename)
    config = read_config(tmp_path)
    adapter = find_adapter(config)(find_adapter(config).build(config).eval())
    names = adapter.load(tmp_path)
    assert "embeddings.position_ids" in names["unused"]
    batch = ids_batch(FAMILIES["bert"], LENGTHS)
    with torch.inference_mode():
        made = adapter.encode(adapter.embed(batch.ids), batch)
    assert difference(made, states(model.bert, batch), batch.valid) < 1e-5


def test_tensors_that_do_not_fit(family, tmp_path):
    _, config = family
    model, adapter, _ = loaded(config, tmp_path, "ForSequenceClassification")
    prefix = f"{model.base_model_prefix}."
    word = "embeddings.word_embeddings.weight"
    for change, message in (
        (
            lambda t: t.update({f"{prefix}encoder.layer.2.x": torch.ones(1)}),
            r"layer\.2\.x is not known",
        ),
        (lambda t: t.update({"adapter.x": torch.ones(1)}), r"adapter\.x is not known"),
        (lambda t: t.update({prefix + word: torch.ones(3, 16)}), r"has the shape \(3, 16\), not"),
        (lambda t: t.pop(prefix + word), r"word_embeddings\.weight is missing"),
    ):
        save(tmp_path, model)
        change_tensors(tmp_path, change)
        with pytest.raises(UserError, match=message) as error:
            adapter.load(tmp_path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            "bert",
            {"position_embedding_type": "relative_key"},
            "is 'relative_key', and the family bert",
        ),
        ("bert", {"is_decoder": True}, "is_decoder is True, and only encoders"),
        ("esm2", {"is_folding_model": True}, "is_folding_model is True"),
        ("esm2", {"position_embedding_type": "relative"}, "absolute or rotary"),
        ("roberta", {"hidden_size": "wide"}, "hidden_size is 'wide', not a positive whole"),
        ("roberta", {"num_hidden_layers": 0}, "num_hidden_layers is 0"),
        ("camembert", {"vocab_size": None}, "vocab_size is None|no vocab_size"),
        ("esm2", {"quantization_config": {"bits": 4}}, "quantised weights are not read"),
    ],
)
def test_a_configuration_that_no_adapter_reads(name, change, message, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(FAMILIES[name] | change))
    with pytest.raises(UserError, match=message) as error:
        read_config(tmp_path)
    assert "\n" not in str(error.value)


def test_heads_that_do_not_divide_the_width(family):
    _, config = family
    with pytest.raises(UserError, match="makes no encoder"):
        find_adapter(config).build(config | {"hidden_size": 15})
