import logging
import os
import shutil

import numpy as np
import pytest
import torch
from helpers_evaluation import CPU, random_file, small_explanandum

from whatyouread.masking import masked_logits
from whatyouread.predict import autocast, choose_device, classify, compile_encoder
from whatyouread.rollout import attention_rollout
from whatyouread.tokens import PAD


@pytest.fixture(scope="module")
def tokens(tmp_path_factory):
    file = random_file(tmp_path_factory.mktemp("predict") / "t.arrow", 6)
    return file.tokens(np.arange(6))


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_mask_of_ones_is_no_mask(tokens, pooling):
    model = small_explanandum(pooling=pooling)
    plain = classify(model, tokens, None, CPU)
    assert same(plain, classify(model, tokens, np.ones(tokens.shape, np.float32), CPU))
    assert same(plain, model(torch.from_numpy(tokens)))
    halves = np.full(tokens.shape, 0.5, np.float32)
    assert not same(plain, classify(model, tokens, halves, CPU))


def test_a_mask_of_zeros_leaves_the_biases(tokens):
    model = small_explanandum()
    made = classify(model, tokens, np.zeros(tokens.shape, np.float32), CPU)
    for head, logits in zip(model.heads.values(), made, strict=True):
        assert torch.equal(logits, head.bias.expand(6, -1))


def test_the_mask_of_padding_is_of_no_account(tokens):
    model = small_explanandum()
    mask = np.random.default_rng(0).random(tokens.shape).astype(np.float32)
    other = np.where(tokens == PAD, 1 - mask, mask)
    assert (tokens == PAD).any()
    assert same(classify(model, tokens, mask, CPU), classify(model, tokens, other, CPU))


def test_a_mask_of_any_number_type(tokens):
    model = small_explanandum()
    mask = (np.random.default_rng(0).random(tokens.shape) < 0.5).astype(np.float32)
    expected = classify(model, tokens, mask, CPU)
    for kind in (np.float64, np.float16, bool, np.int64):
        assert same(classify(model, tokens, mask.astype(kind), CPU), expected)


def test_no_gradients_are_kept(tokens):
    model = small_explanandum()
    assert not any(logits.requires_grad for logits in classify(model, tokens, None, CPU))


def test_half_precision_is_close(tokens):
    model = small_explanandum()
    full, half = (classify(model, tokens, None, CPU, p) for p in ("fp32", "bf16"))
    for one, other in zip(full, half, strict=True):
        torch.testing.assert_close(other.float(), one, atol=0.2, rtol=0.05)
    assert not same(full, [logits.float() for logits in half])


@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_a_compiled_encoder_is_the_encoder(tokens, monkeypatch, backend):
    """Also for the relaxed operator, for gradients, for attention rollout, and for its hooks."""
    if backend == "inductor" and not shutil.which(os.environ.get("CXX", "g++")):
        pytest.skip("no C++ compiler")
    torch._dynamo.reset()
    compiler = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **kind: compiler(f, backend=backend, **kind))
    model, compiled = (small_explanandum().freeze() for _ in range(2))
    assert compile_encoder(compiled, False).encoder.forward.__func__ is type(model.encoder).forward
    assert compile_encoder(compiled) is compiled
    assert list(compiled.state_dict()) == list(model.state_dict())
    calls = []
    compiled.encoder.register_forward_hook(lambda *_: calls.append(1))
    some = np.random.default_rng(0).random(tokens.shape).astype(np.float32)
    for rows in (6, 4):
        batch, mask = tokens[:rows], some[:rows]
        for given in (None, mask):
            expected = classify(model, batch, given, CPU)
            for one, other in zip(expected, classify(compiled, batch, given, CPU), strict=True):
                torch.testing.assert_close(other, one, atol=1e-5, rtol=1e-5)
        gradients = []
        for explanandum in (model, compiled):
            soft = torch.from_numpy(mask).requires_grad_()
            logits = masked_logits(explanandum, torch.from_numpy(batch), soft, relaxed=True)
            gradients.append(torch.autograd.grad(sum(x[:, 0].sum() for x in logits), soft)[0])
        torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)
        rollouts = (attention_rollout(e, torch.from_numpy(batch)) for e in (model, compiled))
        torch.testing.assert_close(*rollouts)
    assert len(calls) == 8


def test_autocast():
    with autocast(CPU, "fp32"):
        assert not torch.is_autocast_enabled("cpu")
    with autocast(CPU, "bf16"):
        assert torch.is_autocast_enabled("cpu")
        assert torch.get_autocast_dtype("cpu") == torch.bfloat16


def test_without_a_gpu(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    caplog.set_level(logging.INFO, logger="whatyouread")
    assert choose_device(1) == CPU
    assert torch.get_num_threads() == 1
    assert "no GPU: computing on 1 CPU threads" in caplog.text
