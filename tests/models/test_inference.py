import logging
import os
import shutil
import threading

import numpy as np
import pytest
import torch
from helpers_evaluation import CPU, random_file, small_explanandum, write_tokens

from whatyouread.data.six_mers import CLS, FIRST_KMER
from whatyouread.methods.without_captum import attention_rollout
from whatyouread.models import gpu
from whatyouread.models.inference import (
    Passes,
    autocast,
    batches,
    choose_device,
    compile_encoder,
)
from whatyouread.models.mask_operator import masked_logits
from whatyouread.support.cli import UserError


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return random_file(tmp_path_factory.mktemp("predict") / "t.arrow", 6)


@pytest.fixture(scope="module")
def batch(file):
    return file.batch(np.arange(6)).to("cpu")


def passes(model, precision="fp32"):
    return Passes(model, 4, CPU, precision)


def some_mask(shape):
    return np.random.default_rng(0).random(shape).astype(np.float32)


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_mask_of_ones_is_no_mask(batch, pooling):
    model = small_explanandum(pooling=pooling)
    ask = passes(model).logits
    plain = ask(batch)
    assert same(plain, ask(batch, np.ones(batch.ids.shape, np.float32)))
    assert same(plain, model(batch))
    halves = np.full(batch.ids.shape, 0.5, np.float32)
    assert not same(plain, ask(batch, halves))


def test_a_mask_of_zeros_leaves_the_biases(batch):
    model = small_explanandum()
    made = passes(model).logits(batch, np.zeros(batch.ids.shape, np.float32))
    for head, logits in zip(model.heads.values(), made, strict=True):
        assert torch.equal(logits, head.bias.expand(6, -1))


def test_mask_values_at_padding_are_ignored(batch):
    ask, padding = passes(small_explanandum()).logits, ~batch.valid.numpy()
    mask = some_mask(batch.ids.shape)
    other = np.where(padding, 1 - mask, mask)
    assert padding.any()
    assert same(ask(batch, mask), ask(batch, other))


def test_a_mask_of_any_number_type(batch):
    ask = passes(small_explanandum()).logits
    mask = (some_mask(batch.ids.shape) < 0.5).astype(np.float32)
    expected = ask(batch, mask)
    for kind in (np.float64, np.float16, bool, np.int64):
        assert same(ask(batch, mask.astype(kind)), expected)


def test_a_batch_of_numpy_arrays_is_one_of_tensors(file, batch):
    ask, mask = passes(small_explanandum()).logits, some_mask(batch.ids.shape)
    assert same(ask(file.batch(np.arange(6)), mask), ask(batch, mask))


def test_no_gradients_are_kept(batch):
    model = small_explanandum()
    ask = passes(model).logits
    model.requires_grad_(True)  # or nothing would have one anyway
    assert all(logits.requires_grad for logits in model(batch))
    assert not any(logits.requires_grad for logits in ask(batch))


def test_the_classifier_is_frozen():
    model = small_explanandum().train()
    assert passes(model).explanandum is model
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_half_precision_is_close(batch):
    model = small_explanandum()
    full, half = (passes(model, precision).logits(batch) for precision in ("fp32", "bf16"))
    for one, other in zip(full, half, strict=True):
        torch.testing.assert_close(other.float(), one, atol=0.2, rtol=0.05)
    assert not same(full, [logits.float() for logits in half])


@pytest.mark.parametrize("rows", [None, [4, 0, 5], [2]])
def test_predictions_of_masked_sequences_of_a_file(file, rows):
    model, mask = small_explanandum(), some_mask((6, int(file.lengths.max())))
    rows = None if rows is None else np.array(rows)
    made = passes(model).predict(file, mask, rows)
    expected = []
    for row in range(6) if rows is None else rows:
        alone = file.batch(np.array([row])).to("cpu")
        own = torch.from_numpy(mask[row : row + 1, : file.lengths[row]])
        expected.append([int(part.argmax()) for part in masked_logits(model, alone, own)])
    assert made.dtype == np.int64
    assert made.tolist() == expected
    plain = passes(model).predict(file, np.ones_like(mask), rows)
    assert len(made) < 6 or (made != plain).any()


def test_log_probabilities_of_given_classes_under_masks(file):
    model, shape = small_explanandum(), (6, int(file.lengths.max()))
    masks = [np.ones(shape, np.float32), some_mask(shape)]
    classes = np.random.default_rng(1).integers(0, [2, 4], (6, 2))
    made = passes(model).log_probabilities(file, iter(masks), classes)
    assert made.dtype == np.float64
    assert made.shape == (2, 6, 2)
    for which, mask in enumerate(masks):
        for row in range(6):
            alone = file.batch(np.array([row])).to("cpu")
            own = torch.from_numpy(mask[row : row + 1, : file.lengths[row]])
            for level, part in enumerate(masked_logits(model, alone, own)):
                expected = part[0].double().softmax(-1)[classes[row, level]].log().item()
                assert made[which, row, level] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_one_pass_gives_answers_log_probabilities_and_states(file, pooling):
    mask = some_mask((6, int(file.lengths.max())))
    model = small_explanandum(pooling=pooling)
    own = passes(model)
    classes = np.random.default_rng(1).integers(0, [2, 4], (6, 2))
    made = own.read(file, mask, classes)
    assert [part.dtype for part in made] == [np.int64, np.float64, np.float64]
    np.testing.assert_array_equal(made.answers, own.predict(file, mask))
    logs = own.log_probabilities(file, [mask], classes)[0]
    np.testing.assert_array_equal(made.log_probabilities, logs)
    assert made.states.shape == (6, 16)
    for row in range(6):  # what the heads read: the logits follow from it
        alone = file.batch(np.array([row])).to("cpu")
        logits = masked_logits(model, alone, torch.from_numpy(mask[[row], : file.lengths[row]]))
        read = model.classify(torch.from_numpy(made.states[[row]]).float())
        for expected, found in zip(logits, read, strict=True):
            torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


# Batches of a file


class Watched:
    """A token file that says which rows were read, and cannot read some."""

    def __init__(self, file, unreadable=()):
        self.file, self.lengths, self.unreadable = file, file.lengths, unreadable
        self.read, self.progressed = [], threading.Condition()

    def __len__(self):
        return len(self.file)

    def batch(self, rows):
        with self.progressed:
            self.read.append(rows.tolist())
            self.progressed.notify_all()
        if set(rows.tolist()) & set(self.unreadable):
            raise UserError(f"row {self.unreadable[0]} cannot be read")
        return self.file.batch(rows)


@pytest.mark.parametrize("rows", [None, np.array([5, 1, 3, 1]), np.array([], np.int64)])
@pytest.mark.parametrize("size", [1, 2, 4, 100])
def test_batches_of_a_file_hold_every_row_once_and_like_lengths_together(file, size, rows):
    wanted = np.arange(6) if rows is None else rows
    found, lengths = [], []
    for places, batch in batches(file, size, CPU, rows):
        assert 1 <= len(places) == len(batch) <= size
        expected = file.batch(wanted[places])
        assert isinstance(batch.ids, torch.Tensor)
        np.testing.assert_array_equal(batch.ids, expected.ids)
        np.testing.assert_array_equal(batch.content, expected.content)
        np.testing.assert_array_equal(batch.lengths, file.lengths[wanted[places]])
        found += places.tolist()
        lengths += batch.lengths.tolist()
    assert sorted(found) == list(range(len(wanted)))
    assert lengths == sorted(lengths)


def test_the_next_batch_is_read_while_the_caller_works(file):
    watched = Watched(file)
    made = batches(watched, 2, CPU)
    next(made)
    with watched.progressed:  # without asking for another one
        assert watched.progressed.wait_for(lambda: len(watched.read) >= 2, timeout=60)
    assert len(watched.read) == 2  # and not the whole file
    assert len(list(made)) == 2
    assert watched.read == [p.tolist() for p, _ in batches(file, 2, CPU)]


def test_what_cannot_be_read_is_the_callers_error_at_its_place(file):
    last = int(file.lengths.argsort(kind="stable")[-1])
    made = batches(Watched(file, [last]), 2, CPU)
    assert len([next(made), next(made)]) == 2
    with pytest.raises(UserError, match=f"row {last} cannot be read"):
        next(made)


@pytest.mark.parametrize("backend", ["eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_a_compiled_encoder_is_the_encoder(batch, monkeypatch, backend):
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
    some = some_mask(batch.ids.shape)
    for rows in (6, 4):
        part, mask = batch.take(np.arange(rows)), some[:rows]
        for given in (None, mask):
            expected, made = (passes(e).logits(part, given) for e in (model, compiled))
            for one, other in zip(expected, made, strict=True):
                torch.testing.assert_close(other, one, atol=1e-5, rtol=1e-5)
        gradients = []
        for explanandum in (model, compiled):
            soft = torch.from_numpy(mask).requires_grad_()
            logits = masked_logits(explanandum, part, soft, relaxed=True)
            gradients.append(torch.autograd.grad(sum(x[:, 0].sum() for x in logits), soft)[0])
        torch.testing.assert_close(*gradients, atol=1e-4, rtol=1e-4)
        rollouts = (attention_rollout(e, part) for e in (model, compiled))
        torch.testing.assert_close(*rollouts)
    assert len(calls) == 8


def test_autocast():
    with autocast(CPU, "fp32"):
        assert not torch.is_autocast_enabled("cpu")
    with autocast(CPU, "bf16"):
        assert torch.is_autocast_enabled("cpu")
        assert torch.get_autocast_dtype("cpu") == torch.bfloat16


@pytest.mark.parametrize("precision", ["fp32", "tf32", "bf16"])
def test_products_are_rounded_to_tf32_only_where_it_is_asked_for(monkeypatch, precision):
    """Under bf16 the heads, the last layer and the LSTM are to be in float32."""
    monkeypatch.setattr(gpu, "use_gpu", lambda *_: True)
    monkeypatch.setattr(gpu, "ready", lambda device: device)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a GPU")
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    try:
        torch.set_float32_matmul_precision("medium")
        assert choose_device(1, precision) == torch.device("cuda", 0)
        asked = precision == "tf32"
        assert torch.backends.cudnn.allow_tf32 == asked
        assert torch.get_float32_matmul_precision() == ("high" if asked else "highest")
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def test_without_a_gpu(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    caplog.set_level(logging.INFO, logger="whatyouread")
    assert choose_device(1) == CPU
    assert torch.get_num_threads() == 1
    assert "no GPU: computing on 1 CPU threads" in caplog.text


def test_one_long_sequence_changes_no_answer_of_the_others(tmp_path):
    """It is answered alone, whatever the batch size, and no other is padded to its length."""
    rng = np.random.default_rng(2)
    lengths = [30, 5, 700, 31, 2, 1500, 30, 12]
    sequences = [[CLS, *rng.integers(FIRST_KMER, FIRST_KMER + 4096, n)] for n in lengths]
    keys = np.arange(len(lengths), dtype=np.uint64)
    file = write_tokens(tmp_path / "t.arrow", sequences, np.zeros((len(lengths), 2), int), keys)
    model = small_explanandum()
    mask = np.random.default_rng(0).random((len(lengths), 1501)).astype(np.float32)
    classes = np.zeros((len(lengths), 2), np.int64)
    made = [
        Passes(model, size, CPU).log_probabilities(file, [mask], classes) for size in (1, 4, 256)
    ]
    for other in made[1:]:
        np.testing.assert_allclose(other, made[0], atol=1e-4)
    shapes = [tuple(found.ids.shape) for _, found in batches(file, 4, CPU)]
    assert shapes == [(4, 31), (2, 32), (1, 701), (1, 1501)]
