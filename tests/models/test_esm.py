import json
import re
import threading
from functools import partial

import numpy as np
import pytest
import torch
from helpers_batches import batch_of
from safetensors.torch import load_file, save_file
from torch.utils.checkpoint import checkpoint as recomputed

from whatyouread.models.adapters import find_adapter, read_config
from whatyouread.models.esm import Attention, EsmAdapter, turned
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.mask_operator import masked_logits
from whatyouread.models.nucleotide_transformer import GatedIntermediate
from whatyouread.models.weights import weight_files
from whatyouread.support.cli import UserError


@pytest.fixture(scope="module")
def published(shared):
    """The small checkpoint in the published layout: folder, its tensors, its reference values."""
    folder = shared / "data" / "reference" / "nt_v2_tiny"
    return (
        folder,
        load_file(folder / "model.safetensors"),
        load_file(folder / "reference.safetensors"),
    )


def layout(config: dict) -> dict[str, torch.Tensor]:
    """A random checkpoint in the layout of the published files, heads and buffers included."""
    generator = torch.Generator().manual_seed(1)

    def tensor(*shape):
        return torch.empty(shape).uniform_(-0.1, 0.1, generator=generator)

    hidden, inner, words = (config[k] for k in ("hidden_size", "intermediate_size", "vocab_size"))
    layers, heads = config["num_hidden_layers"], config["num_attention_heads"]
    tensors = {
        "esm.embeddings.word_embeddings.weight": tensor(words, hidden),
        "esm.embeddings.position_embeddings.weight": tensor(
            config["max_position_embeddings"], hidden
        ),
        "esm.encoder.emb_layer_norm_after.weight": tensor(hidden),
        "esm.encoder.emb_layer_norm_after.bias": tensor(hidden),
        "esm.contact_head.regression.weight": tensor(1, layers * heads),
        "esm.contact_head.regression.bias": tensor(1),
        "lm_head.bias": tensor(words),
        "lm_head.decoder.weight": tensor(words, hidden),
        "lm_head.dense.weight": tensor(hidden, hidden),
        "lm_head.dense.bias": tensor(hidden),
        "lm_head.layer_norm.weight": tensor(hidden),
        "lm_head.layer_norm.bias": tensor(hidden),
    }
    width = hidden // heads
    for i in range(layers):
        layer = f"esm.encoder.layer.{i}."
        for name in ("query", "key", "value"):
            tensors[f"{layer}attention.self.{name}.weight"] = tensor(hidden, hidden)
            tensors[f"{layer}attention.self.{name}.bias"] = tensor(hidden)
        tensors[f"{layer}attention.self.rotary_embeddings.inv_freq"] = torch.tensor(
            [10000 ** (-2 * j / width) for j in range(width // 2)]
        )
        tensors[f"{layer}attention.output.dense.weight"] = tensor(hidden, hidden)
        tensors[f"{layer}attention.output.dense.bias"] = tensor(hidden)
        for name in ("attention.LayerNorm", "LayerNorm"):
            tensors[f"{layer}{name}.weight"] = tensor(hidden)
            tensors[f"{layer}{name}.bias"] = tensor(hidden)
        tensors[f"{layer}intermediate.dense.weight"] = tensor(2 * inner, hidden)
        tensors[f"{layer}output.dense.weight"] = tensor(hidden, inner)
    return tensors


@pytest.fixture
def checkpoint(tmp_path, tiny_backbone):
    """(change of the tensors) -> a checkpoint folder of the tiny size, and its tensors."""
    (tmp_path / "config.json").write_text(json.dumps(tiny_backbone))

    def write(change=lambda tensors: None):
        tensors = layout(tiny_backbone)
        change(tensors)
        save_file(tensors, tmp_path / "model.safetensors")
        return tmp_path, tensors

    return write


def load(folder):
    encoder = EsmAdapter.build(read_config(folder))
    return encoder, EsmAdapter(encoder).load(folder)


def is_buffer(name):
    return name.endswith("inv_freq")


def compared(made, expected, valid):
    assert made.shape == expected.shape
    return (made - expected).abs()[valid].max().item()


def test_reference_hidden_states(published, device):
    folder, _, reference = published
    reference = {name: tensor.to(device) for name, tensor in reference.items()}
    encoder = load(folder)[0].eval().to(device)
    tokens, attention = reference["input_ids"], reference["attention_mask"]
    with torch.inference_mode():
        states = encoder(input_ids=tokens, attention_mask=attention).last_hidden_state
        assert compared(states, reference["last_hidden_state"], attention.bool()) < 1e-4
        # a sequence by itself, without its padding
        for row, length in enumerate(attention.sum(1).tolist()):
            alone = encoder(input_ids=tokens[row : row + 1, :length]).last_hidden_state[0]
            expected = reference["last_hidden_state"][row, :length]
            assert (alone - expected).abs().max() < 1e-4
    # the reference tells its rows apart: it would notice if they were mixed up
    assert (reference["last_hidden_state"][0] - reference["last_hidden_state"][1]).abs().max() > 0.1


def test_reference_states_through_the_explanandum(published):
    folder, _, reference = published
    model = Explanandum(read_config(folder), {"x": 64, "y": 64}).eval()
    model.adapter.load(folder)
    with torch.no_grad():
        for head in model.heads.values():
            head.weight.copy_(torch.eye(64))
            head.bias.zero_()
    batch, valid = batch_of(reference["input_ids"]).to("cpu"), reference["attention_mask"].bool()
    assert torch.equal(batch.valid, valid)
    soft = reference["soft_mask"]
    with torch.inference_mode():
        states = model.encode(model.embed(batch.ids), batch)
        assert compared(states, reference["last_hidden_state"], valid) < 1e-4
        pooled = model(batch)
        assert len(pooled) == 2
        for logits in pooled:
            assert (logits - reference["mean_pooled"]).abs().max() < 1e-4
        masked = model.encode(model.embed(batch.ids) * soft.unsqueeze(-1), batch)
        expected = reference["masked_last_hidden_state"]
        assert compared(masked, expected, valid) < 1e-4
        # F(x ⊙ m) from the reference's states: masked once more, mean over the valid tokens
        weights = (soft * valid).unsqueeze(-1)
        by_hand = (expected * weights).sum(1) / valid.sum(1, keepdim=True)
        for logits in model(batch, soft):
            assert (logits - by_hand).abs().max() < 1e-4
    assert (expected - reference["last_hidden_state"]).abs().max() > 0.1


def test_every_tensor_of_the_reference_is_accounted_for(published):
    folder, tensors, _ = published
    encoder, names = load(folder)
    assert sorted([*(f"esm.{n}" for n in names["loaded"]), *names["unused"]]) == sorted(tensors)
    heads = re.compile(r"lm_head\.|esm\.contact_head\.|esm\.embeddings\.position_embeddings\.")
    assert [n for n in names["unused"] if not heads.match(n) and not is_buffer(n)] == []
    state = {n: v for n, v in encoder.state_dict().items() if not is_buffer(n)}
    assert sorted(state) == names["loaded"]
    for name, value in state.items():
        assert torch.equal(value, tensors[f"esm.{name}"]), name


@pytest.mark.slow
def test_the_published_layout_at_full_size(tmp_path, tiny_backbone):
    config = tiny_backbone | {
        "hidden_size": 512,
        "num_hidden_layers": 12,
        "num_attention_heads": 16,
        "intermediate_size": 2048,
        "initializer_range": 0.02,
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    tensors = layout(config)
    # the size of the published model, InstaDeepAI/nucleotide-transformer-v2-50m-multi-species
    assert sum(v.numel() for n, v in tensors.items() if not is_buffer(n)) == 55_904_972
    weights = tmp_path / "model.safetensors"
    try:
        save_file(tensors, weights)
        assert weight_files(tmp_path)
        encoder, names = load(tmp_path)
    finally:
        weights.unlink(missing_ok=True)  # a quarter of a gigabyte
    assert sorted([*(f"esm.{n}" for n in names["loaded"]), *names["unused"]]) == sorted(tensors)
    # word embeddings, 12 layers of 4,198,400, last layer norm: all but heads and positions
    assert sum(p.numel() for p in encoder.parameters()) == 4107 * 512 + 12 * 4_198_400 + 1024
    assert len(names["loaded"]) == 1 + 12 * 14 + 2
    assert len(names["unused"]) == 1 + 12 + 2 + 6
    state = encoder.state_dict()
    for name in names["loaded"]:
        assert torch.equal(state[name], tensors[f"esm.{name}"]), name


def test_without_prefix_and_in_half_precision(checkpoint):
    folder, tensors = checkpoint()
    own = {
        name.removeprefix("esm."): value.half()
        for name, value in tensors.items()
        if name.startswith("esm.encoder") or "word_embeddings" in name
    }
    save_file(own, folder / "model.safetensors")
    encoder, names = load(folder)
    assert sorted([*names["loaded"], *names["unused"]]) == sorted(own)
    for name, value in encoder.state_dict().items():
        if not is_buffer(name):
            assert value.dtype == torch.float32
            assert torch.equal(value, own[name].float()), name


def test_weights_in_parts(checkpoint):
    folder, tensors = checkpoint()
    (folder / "model.safetensors").unlink()
    assert not weight_files(folder)
    names = sorted(tensors)
    parts = [folder / f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    save_file({n: tensors[n] for n in names[::2]}, parts[0])
    save_file({n: tensors[n] for n in names[1::2]}, parts[1])
    assert weight_files(folder)
    encoder, accounted = load(folder)
    assert len(accounted["loaded"]) + len(accounted["unused"]) == len(tensors)
    for name in accounted["loaded"]:
        assert torch.equal(encoder.state_dict()[name], tensors[f"esm.{name}"])
    parts[1].unlink()
    with pytest.raises(UserError, match="is missing"):
        load(folder)


QUERY = "esm.encoder.layer.1.attention.self.query.weight"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(QUERY), r"encoder\.layer\.1\.attention\.self\.query\.weight is missing"),
        (lambda t: t.update({"esm.pooler.x": torch.ones(2)}), r"esm\.pooler\.x is not known"),
        (
            lambda t: t.update({"esm.encoder.layer.2.LayerNorm.bias": torch.ones(16)}),
            r"esm\.encoder\.layer\.2\.LayerNorm\.bias is not known",
        ),
        (
            lambda t: t.update({QUERY: torch.ones(16, 8)}),
            r"layer\.1\.attention\.self\.query\.weight has the shape \(16, 8\), not \(16, 16\)",
        ),
        (
            lambda t: [t.pop(n) for n in list(t) if ".layer.1." in n],
            r"is missing.* \(and 9 more\)",
        ),
        (
            lambda t: [v.mul_(2) for n, v in t.items() if is_buffer(n)],
            r"inv_freq does not fit the rotary positions",
        ),
    ],
    ids=["missing", "extra", "layer too many", "shape", "layer too few", "rotary"],
)
def test_a_checkpoint_that_does_not_fit(checkpoint, change, message):
    folder, _ = checkpoint(change)
    with pytest.raises(UserError, match=message) as error:
        load(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("size", [0, 4, 1000, -1])
def test_a_damaged_checkpoint(checkpoint, size):
    folder, _ = checkpoint()
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match=r"model\.safetensors is damaged"):
        load(folder)


def test_a_folder_without_weights(checkpoint):
    folder, _ = checkpoint()
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"no model\.safetensors in"):
        load(folder)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("position_embedding_type", "absolute"),
        ("position_embedding_type", None),
        ("token_dropout", True),
        ("emb_layer_norm_before", True),
        ("vocab_size", 33),
        ("vocab_size", None),
    ],
)
def test_a_config_of_another_model(tmp_path, tiny_backbone, key, value):
    config = tiny_backbone | {key: value}
    if value is None:
        del config[key]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=f"config.json: {key} is {value!r}, and Nucleotide"):
        read_config(tmp_path)


@pytest.mark.parametrize("text", ["", "<html>", "[]", '"esm"', "\xff"])
def test_a_config_that_is_none(tmp_path, text):
    (tmp_path / "config.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"config\.json is not"):
        read_config(tmp_path)


def test_no_config(tmp_path):
    with pytest.raises(UserError, match=r"no config\.json in"):
        read_config(tmp_path)


def test_a_fresh_encoder(tiny_backbone):
    torch.manual_seed(0)
    config = tiny_backbone | {"initializer_range": 0.03, "hidden_size": 64}
    encoder = EsmAdapter.build(config)
    # per layer: 4 projections, 2 layer norms, the two matrices of the gated feed-forward
    layer = 4 * (64 * 64 + 64) + 2 * 2 * 64 + 64 * 2 * 24 + 24 * 64
    assert sum(p.numel() for p in encoder.parameters()) == 4107 * 64 + 2 * layer + 2 * 64
    for layer in encoder.encoder.layer:
        for weight in (layer.intermediate.dense.weight, layer.output.dense.weight):
            assert weight.std().item() == pytest.approx(0.03, rel=0.1)
        assert layer.intermediate.dense.bias is None
        assert layer.output.dense.bias is None
    states = encoder.eval()(torch.tensor([[3, 10, 20, 30]])).last_hidden_state
    assert states.isfinite().all()
    torch.manual_seed(0)
    again = EsmAdapter.build(config).state_dict()
    assert all(torch.equal(v, again[k]) for k, v in encoder.state_dict().items())


@pytest.mark.parametrize(
    ("key", "value"), [("hidden_size", 15), ("hidden_size", "wide"), ("num_hidden_layers", 1.5)]
)
def test_sizes_that_no_encoder_can_have(tiny_backbone, key, value):
    with pytest.raises(UserError, match="configuration makes no encoder") as error:
        EsmAdapter.build(tiny_backbone | {key: value})
    assert "\n" not in str(error.value)


def test_every_parameter_of_the_encoder_learns(tiny_explanandum, token_batch):
    sum(rank.square().sum() for rank in tiny_explanandum(token_batch([7, 5]))).backward()
    still = [
        name
        for name, p in tiny_explanandum.named_parameters()
        if p.grad is None or not p.grad.any()
    ]
    # a key's bias adds the same to all scores of a query, and so cannot matter but for rounding
    assert [name for name in still if not name.endswith("key.bias")] == []


def test_biases_where_the_config_asks_for_them(tiny_backbone):
    for layer in EsmAdapter.build(tiny_backbone | {"add_bias_fnn": True}).encoder.layer:
        assert layer.intermediate.dense.bias.tolist() == [0] * 48
        assert layer.output.dense.bias.tolist() == [0] * 16


def test_the_gate_is_the_first_half():
    gated = GatedIntermediate(2, 3, bias=False)
    rng = np.random.default_rng(0)
    weight, states = rng.normal(size=(6, 2)), rng.normal(size=(1, 4, 2))
    with torch.no_grad():
        gated.dense.weight.copy_(torch.tensor(weight))
    x = states @ weight.T
    expected = x[..., :3] / (1 + np.exp(-x[..., :3])) * x[..., 3:]
    made = gated(torch.tensor(states, dtype=torch.float32)).detach().numpy()
    np.testing.assert_allclose(made, expected, atol=1e-6)


# The adapter


def test_the_family_of_a_model_has_an_adapter(tiny_backbone):
    assert find_adapter({"model_type": "esm"}) is EsmAdapter
    assert find_adapter(tiny_backbone) is EsmAdapter  # older files do not name it
    with pytest.raises(UserError, match="no adapter for models of type 'berty', only esm, bert"):
        find_adapter({"model_type": "berty"})


def test_the_adapter_embeds_and_encodes_as_the_encoder_does(tiny_backbone, token_batch):
    torch.manual_seed(0)
    adapter = EsmAdapter(EsmAdapter.build(tiny_backbone).eval())
    assert adapter.hidden_size == 16
    for batch in (token_batch([9, 5, 2]), token_batch([7, 7])):
        with torch.inference_mode():
            made = adapter.encode(adapter.embed(batch.ids), batch)
            expected = adapter.encoder(input_ids=batch.ids, attention_mask=batch.valid.long())
        assert compared(made, expected.last_hidden_state, batch.valid) < 1e-5


def test_attentions_of_each_layer(tiny_explanandum, token_batch):
    batch, encoder = token_batch([9, 5, 2]), tiny_explanandum.encoder
    usual = encoder.config._attn_implementation
    with torch.inference_mode():
        made = tiny_explanandum.adapter.attentions(batch)
    assert [tuple(attention.shape) for attention in made] == [(3, 2, 9, 9)] * 2
    for attention in made:
        torch.testing.assert_close(attention.sum(-1), torch.ones(3, 2, 9))  # a share for each key
        assert not attention.movedim(-1, 1)[~batch.valid].any()  # none of it for padding
    assert encoder.config._attn_implementation == usual != "eager"


def test_only_the_first_block_is_handed_what_it_reads(tiny_explanandum):
    blocks = [layer.attention for layer in tiny_explanandum.encoder.encoder.layer]
    assert all(isinstance(block, Attention) for block in blocks)
    torch.manual_seed(0)
    hidden, handed = torch.randn(2, 1, 4, 16)
    options = {"position_embeddings": (torch.ones(1, 4, 8), torch.zeros(1, 4, 8))}  # no rotation
    with torch.inference_mode():
        first, second = (block(hidden, handed, **options) for block in blocks)
        plain = [block(hidden, **options) for block in blocks]
        # handed its own normalised states, the first block does what it does without
        same = blocks[0](hidden, blocks[0].LayerNorm(hidden), **options)
    assert not torch.allclose(first, plain[0], atol=1e-3)
    assert torch.equal(same, plain[0])
    assert torch.equal(second, plain[1])


def relaxed_gradients(explanandum, batch, mask):
    """Logits of the relaxed operator, and the gradients of the mask and of every weight."""
    leaf = mask.clone().requires_grad_()
    explanandum.zero_grad()
    logits = torch.cat(masked_logits(explanandum, batch, leaf, relaxed=True), 1)
    logits.square().sum().backward()
    return [logits.detach(), leaf.grad, *(p.grad for p in explanandum.parameters())]


def test_relaxed_masks_under_gradient_checkpointing(make_explanandum, token_batch):
    """The forward pass of a layer is then run again within backward: it must be handed the same."""
    batch = token_batch([12, 7, 3])
    torch.manual_seed(1)
    mask = torch.rand(batch.ids.shape)
    explanandum = make_explanandum()
    expected = relaxed_gradients(explanandum, batch, mask)
    layer, calls = explanandum.encoder.encoder.layer[0], []
    layer.attention.self.register_forward_pre_hook(lambda *_: calls.append(1))
    for each in explanandum.encoder.encoder.layer:
        each.forward = partial(recomputed, each.forward, use_reentrant=False)
    made = relaxed_gradients(explanandum, batch, mask)
    assert len(calls) == 2  # the second time within backward
    for one, other in zip(made, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)
    assert made[1][batch.valid].abs().min() > 0


def test_relaxed_masks_in_one_thread_and_plain_sequences_in_another(make_explanandum, token_batch):
    """Two threads within the same layer at once, each of which reads what is its own."""
    explanandum = make_explanandum().freeze()
    one, other = token_batch([9, 6], seed=1), token_batch([9, 6], seed=2)
    torch.manual_seed(3)
    masks = {"one": torch.rand(one.ids.shape), "other": torch.rand(one.ids.shape)}
    asked = {
        "plain": lambda: masked_logits(explanandum, one),
        "one": lambda: masked_logits(explanandum, one, masks["one"], relaxed=True),
        "other": lambda: masked_logits(explanandum, other, masks["other"], relaxed=True),
    }
    with torch.no_grad():
        expected = {name: torch.cat(ask(), 1) for name, ask in asked.items()}
    together, made = threading.Barrier(len(asked), timeout=60), {}

    def wait(*_):  # all have said what the first block shall read, and none has read it
        together.wait()

    explanandum.encoder.register_forward_pre_hook(wait)

    def run(name):
        with torch.no_grad():
            made[name] = torch.cat(asked[name](), 1)

    threads = [threading.Thread(target=run, args=(name,)) for name in asked]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, logits in expected.items():
        torch.testing.assert_close(made[name], logits, atol=1e-6, rtol=1e-5)
    assert not torch.allclose(expected["plain"], expected["one"], atol=1e-2)


@pytest.mark.parametrize(("kind", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.04)])
def test_positions_turn_as_in_transformers(kind, tolerance):
    """By angles of 0 to 40 radians; half precision stays what it is, and so do the gradients."""
    from transformers.models.esm.modeling_esm import apply_rotary_pos_emb

    torch.manual_seed(0)
    angles = torch.arange(40.0)[:, None] * torch.tensor([1.0, 0.3, 0.01]).repeat(2)
    cos, sin = angles.cos()[None], angles.sin()[None]
    made, expected = (torch.randn(2, 3, 40, 6).to(kind).requires_grad_() for _ in range(2))
    expected.data.copy_(made.data)
    ours = turned(made, cos[:, None], sin[:, None])
    theirs = apply_rotary_pos_emb(expected, expected, cos, sin)[0]
    assert ours.dtype == kind
    weights = torch.randn(2, 3, 40, 6)
    for result in (ours, theirs):
        (result.float() * weights).sum().backward()
    for one, other in ((ours, theirs), (made.grad, expected.grad)):
        torch.testing.assert_close(one.float(), other.float(), atol=tolerance, rtol=0)
    # a pair turns by its angle: (1, 0) becomes (cos, sin)
    pair = turned(torch.tensor([1.0, 0.0]), torch.tensor([0.6, 0.6]), torch.tensor([0.8, 0.8]))
    torch.testing.assert_close(pair, torch.tensor([0.6, 0.8]))
