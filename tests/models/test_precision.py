"""Half precision ends before the LSTM, `dense`, the pooling and the heads, on whatever device."""

import types

import pytest
import torch
from helpers_evaluation import small_explanandum
from torch import nn

from whatyouread.explainers import network
from whatyouread.explainers.network import Explainer
from whatyouread.models import explanandum as classifier
from whatyouread.models import precision
from whatyouread.models.precision import widest, without_autocast


def recorded(module: nn.Module) -> list:
    """[(dtype of the input, of the output, whether autocast was on)], one for each call from now on."""
    calls = []

    def note(module, inputs, output):
        first, made = inputs[0], output[0] if isinstance(output, tuple) else output
        dtypes = (getattr(part, "data", part).dtype for part in (first, made))
        calls.append((*dtypes, torch.is_autocast_enabled("cpu")))

    module.register_forward_hook(note)
    return calls


FULL = (torch.float32, torch.float32, False)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("masked", [False, True])
def test_heads_read_float32(token_batch, pooling, masked):
    model, batch = small_explanandum(pooling=pooling), token_batch([14, 9, 3])
    heads = [recorded(head) for head in model.heads.values()]
    layers = recorded(model.encoder.encoder.layer[0].intermediate.dense)
    mask = torch.rand(batch.ids.shape) if masked else None
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(batch, mask)
    assert all(calls == [FULL] for calls in heads)
    assert layers[0][1:] == (torch.bfloat16, True)  # the encoder stays in half precision
    assert all(part.dtype == torch.float32 for part in logits)


@pytest.mark.parametrize("lengths", [[14, 9, 3], [7, 7], [5]])
@pytest.mark.parametrize("target", ["class", "sequence"])
@pytest.mark.parametrize("reads", ["hidden", "tokens"])
def test_lstm_and_dense_compute_in_float32(token_batch, lengths, target, reads):
    explanandum, batch = small_explanandum(), token_batch(lengths)
    size = explanandum.adapter.hidden_size
    explainer = Explainer(
        explanandum.config["classes"], 6, 5, 2, target, size if reads == "hidden" else 0, True
    ).attach(explanandum)
    lstm, norm, dense = (recorded(m) for m in (explainer.lstm, explainer.norm, explainer.dense))
    layers = recorded(explanandum.encoder.encoder.layer[0].intermediate.dense)
    classes = torch.zeros(len(lengths), 2, 2, dtype=torch.long)
    with torch.autocast("cpu", torch.bfloat16):
        made = [
            explainer.class_scores(batch, classes),
            explainer.class_masks(batch, classes),
            explainer(batch),
        ]
    assert lstm == [FULL] * 3
    assert {call[:2] for call in norm} == {FULL[:2]}
    assert set(dense) == {FULL}
    assert all(part.dtype == torch.float32 for part in made)
    # what the LSTM reads of the classifier is still made in half precision
    assert all(call[1:] == (torch.bfloat16, True) for call in layers)
    assert len(layers) == (3 if reads == "hidden" else 0)


def test_scores_of_classes_are_columns_of_dense_in_half_precision_too(token_batch):
    explainer, batch = Explainer({"a": 2, "b": 4}, 6, 5, 2).eval(), token_batch([8, 5])
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        every = explainer.dense(explainer.features(batch)).float()
        made = explainer.class_scores(batch, torch.tensor([[[1, 3]]] * 2))
    with torch.inference_mode():
        exact = explainer.class_scores(batch, torch.tensor([[[1, 3]]] * 2))
    torch.testing.assert_close(made, exact, atol=1e-6, rtol=1e-6)
    assert not torch.allclose(
        every[..., 1], exact[:, :, 0, 0], atol=1e-6
    )  # else this tests nothing


@pytest.mark.parametrize("kind", ["cuda", "cpu", "xpu"])
def test_autocast_ends_on_the_device_at_hand_and_on_no_other(kind):
    others = {"cuda", "cpu", "xpu"} - {kind}
    before = {name: torch.is_autocast_enabled(name) for name in (kind, *others)}
    try:
        for name in before:
            torch.set_autocast_enabled(name, True)
        with without_autocast(torch.device(kind)):
            assert not torch.is_autocast_enabled(kind)
            assert all(torch.is_autocast_enabled(name) for name in others)
        assert torch.is_autocast_enabled(kind)
    finally:
        for name, value in before.items():
            torch.set_autocast_enabled(name, value)


def test_a_device_without_autocast():
    with without_autocast(torch.device("meta")):
        assert (torch.ones(2, device="meta") + 1).device.type == "meta"


def test_every_part_asks_for_the_device_of_its_batch(token_batch, monkeypatch):
    asked = []

    def ask(device):
        asked.append(device)
        return without_autocast(torch.device("cpu"))

    for module in (network, classifier):
        monkeypatch.setattr(module, "without_autocast", ask)
    elsewhere = types.SimpleNamespace(type="a device of its own")
    real, model = token_batch([6, 4]), small_explanandum()
    batch = type("Elsewhere", (type(real),), {"device": elsewhere})(
        real.ids, real.valid, real.content, real.lengths, real.whole
    )
    Explainer({"a": 2, "b": 4}, 6, 5, 2)(batch)
    assert asked == [elsewhere, elsewhere]
    asked.clear()
    model(real)
    assert asked == [real.ids.device]


@pytest.mark.parametrize(
    ("kind", "made"),
    [
        (torch.float16, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
        (torch.int64, torch.int64),
    ],
)
def test_the_widest(kind, made):
    values = torch.ones(2).to(kind)
    assert precision.widest(values).dtype == made
    assert (widest(values) is values) == (kind == made)
