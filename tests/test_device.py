"""On a GPU that is not there (`helpers_device`): no devices mix, values are the CPU's, waits are counted.

docs/gpu.md lists the waits; `PYTHONPATH=scripts:tests python tests/helpers_device_work.py` prints its table.
"""

from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from helpers_device import missing

if missing():
    pytest.skip(missing(), allow_module_level=True)

from helpers_device import Away, pretended, wide_outputs
from helpers_device_work import (
    STEPS,
    WORK,
    Work,
    a_loop,
    counted,
    make_inputs,
    row,
    task,
    weights,
)
from helpers_evaluation import CLASSES
from helpers_families import FAMILIES, Ids, ids_batch
from helpers_waits import Halved, Mixed, named, noted
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from whatyouread.methods.attnlrp import attnlrp
from whatyouread.methods.question import Question
from whatyouread.models.explanandum import Explanandum
from whatyouread.training.loop import Loop

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "gpu.md"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("device"))


def rows() -> dict[str, str]:
    """Title -> the row of the document's table."""
    waits = DOCUMENT.read_text(encoding="utf-8").partition("\n## ")[0]
    lines = waits.splitlines()
    table = [line for line in lines if line.startswith("| ")][2:]
    return {line.split(" | ")[0].removeprefix("| "): line for line in table}


def arrays(values) -> list[np.ndarray]:
    if isinstance(values, nn.Module):
        return weights(values)
    return [
        value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
        for value in values
    ]


@pytest.mark.parametrize("work", WORK, ids=[work.title for work in WORK])
def test_values_are_those_of_the_cpu_and_waits_those_of_the_document(inputs, work: Work):
    # of the kinds of attention only the plain one has the same kernels there
    with sdpa_kernel(SDPBackend.MATH):
        call, _ = work.prepare(CPU, inputs, *work.arguments)
        expected = arrays(call())
    with pretended() as device:
        call, units = work.prepare(device, inputs, *work.arguments)
        with noted() as waits:
            made = call()
        made = arrays(made)
    for one, other in zip(made, expected, strict=True):
        if "bf16" in work.title:  # there are other lists of what autocast lowers for CPUs
            np.testing.assert_allclose(one, other, rtol=0.02, atol=0.01)
        elif (
            "nt_v2" in work.title
        ):  # its gates' gradients lie in memory otherwise, and round otherwise
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
        else:
            np.testing.assert_array_equal(one, other)
    assert rows().get(work.title) == row(work, waits, units), "\n".join(map(str, waits))


def test_the_document_has_no_other_rows():
    assert list(rows()) == [work.title for work in WORK]
    # a training step waits for nothing at all
    assert all(f"| {work.title} | step | 0 |" in rows()[work.title] for work in STEPS)


# the device itself


def every_wait(device):
    values = torch.arange(4.0, device=device)
    values.sum().item()
    values.cpu()
    values.nonzero()
    bool(values[0] > 1)
    values[values > 1]
    values.tolist()
    torch.ones(3).to(device)
    torch.tensor([1.0], device=device)
    torch.ones(3).to(device, non_blocking=True)
    values[torch.tensor([1])]
    values.unique()
    values.repeat_interleave(values.long())
    values.equal(values)
    torch.empty(4).copy_(values)


START = every_wait.__code__.co_firstlineno
READ, HOST, TO = "number read", "copy to the host", "copy to the device"
"""What each line of `every_wait` from the third on is noted as."""
NOTED = [
    READ, HOST, "shape by values (nonzero)", READ, "shape by values (boolean mask as an index)", HOST, TO, TO,
    f"{TO} from memory that is not pinned", f"{TO} (index on the CPU)", "shape by values (_unique2)",
    "shape by values (repeat_interleave)", READ, HOST,
]  # fmt: skip


@pytest.mark.parametrize("inference", [False, True])
def test_every_wait_is_noted_with_its_line(inference):
    with pretended() as device, noted() as waits, torch.inference_mode(inference):
        every_wait(device)
    assert [one.what for one in waits] == NOTED
    assert [one.place.line - START for one in waits] == list(range(2, 2 + len(NOTED)))
    assert all(one.place.file == "tests/test_device.py" for one in waits)
    assert all(one.place.function == "every_wait" for one in waits)


def test_what_does_not_wait():
    with pretended() as device:
        layer = nn.Linear(4, 3).to(device)
        with noted() as waits:
            values = torch.arange(4.0, device=device)
            pinned = torch.ones(4).pin_memory()
            made = layer(values + pinned.to(device, non_blocking=True) * 2)
            made[0] = 1.0
            made[made > 0.5] = 0.5
            made.sum().backward()
            torch.where(values > 1, values, 0).masked_fill(values > 2, 7.0)
            values.repeat_interleave(2)
            nn.utils.clip_grad_norm_(layer.parameters(), 1.0)
            torch.optim.AdamW(layer.parameters(), fused=True).step()
        assert not waits
        assert isinstance(layer.weight.grad, Away)
        assert layer.weight.device == device


def here(*shape, **options):
    return torch.ones(*shape, **options)


MIXTURES = {
    "add": lambda x: x + here(3),
    "cat": lambda x: torch.cat([x, here(3)]),
    "a number in a list": lambda x: torch.stack([x[0], here(3)[0]]),
    "where": lambda x: torch.where(x > 0, x, here(3)),
    "index": lambda x: here(3)[x.long()],
    "index_select": lambda x: x.index_select(0, here(1, dtype=torch.long)),
    "embedding": lambda x: nn.functional.embedding(here(1, dtype=torch.long), x[:, None]),
    "linear": lambda x: nn.functional.linear(x, here(1, 3)),
    "in place": lambda x: here(3).add_(x),
    "numpy": lambda x: x.numpy(),
    "an array of numpy": lambda x: x + np.ones(3, np.float32),
    "weights of an LSTM": lambda x: nn.LSTM(3, 2)(x.expand(2, 3)),
    "lengths": lambda x: torch._VF._pack_padded_sequence(x.expand(2, 1, 3), x.long()[:1], False),
    "pinned": lambda x: x.pin_memory(),
}


@pytest.mark.parametrize("inference", [False, True])
@pytest.mark.parametrize("name", MIXTURES)
def test_mixtures_are_refused_with_their_line(name, inference):
    with pretended() as device, torch.inference_mode(inference):
        values = torch.ones(3, device=device)
        with pytest.raises(Mixed, match=r"tests/test_device.py:\d+ "), named():
            MIXTURES[name](values)
    assert torch.ones(2).add_(1).tolist() == [2, 2]  # and nothing is left of it


def test_a_number_of_the_cpu_goes_along():
    with pretended() as device, noted() as waits:
        made = torch.ones(3, device=device) * torch.tensor(2.0) + np.float32(1)
        assert not waits
        assert made.tolist() == [3, 3, 3]


def test_autocast_lowers_and_raises_as_on_cuda():
    with pretended() as device:
        layer, values = nn.Linear(3, 3).to(device), torch.ones(2, 3, device=device)
        with torch.autocast(device.type, torch.bfloat16):
            lowered = layer(values)
            assert lowered.dtype == (lowered @ lowered.T).dtype == torch.bfloat16
            assert lowered.softmax(-1).dtype == lowered.sum().dtype == torch.float32
            assert nn.functional.layer_norm(lowered, (3,)).dtype == torch.float32
            assert nn.functional.gelu(lowered).dtype == torch.bfloat16
            with pytest.raises(Halved, match=r"tests/test_device.py:\d+ .*the LSTM reads"):
                nn.LSTM(3, 2).to(device)(values)
            with wide_outputs(layer, [""]), pytest.raises(Halved, match="Linear makes"):
                layer(values)
        assert layer(values).dtype == torch.float32


def test_notes_end_with_their_block():
    with pretended() as device:
        with noted() as outer:
            torch.ones(1, device=device).item()
            with noted() as inner:
                torch.ones(1, device=device).item()
        torch.ones(1, device=device).item()
    assert (len(outer), len(inner)) == (2, 1)
    assert counted(inner * 4, 2)[0][2] == 2
    assert not torch.accelerator.is_available() or torch.cuda.is_available()


# what a model brings along


def test_the_weights_of_an_activation_are_where_the_model_is():
    config = FAMILIES["bert"] | {"hidden_act": "prelu"}

    def relevance(device):
        torch.manual_seed(2)
        model = Explanandum(config, CLASSES, tokenizer=Ids(config)).freeze().to(device)
        classes = torch.zeros(3, len(CLASSES), dtype=torch.long).to(device)
        batch, keys = ids_batch(config, [9, 14, 5]).to(device), np.arange(3, dtype=np.uint64)
        return attnlrp(Question(model, batch, classes, None, keys, 0, 8)).cpu().numpy()

    with sdpa_kernel(SDPBackend.MATH):
        expected = relevance(CPU)
    with pretended() as device:
        np.testing.assert_array_equal(relevance(device), expected)
    assert expected.any()


# a whole training


def test_a_training_that_was_stopped_ends_as_on_the_cpu(inputs, tmp_path):
    def loop_on(device):
        return a_loop(device, task("paper, exact"), inputs.padded, tmp_path / device.type, epochs=2)

    def trained(device, stopped=False):
        own = loop_on(device)
        if stopped:
            own.step(next(own.rest_of_epoch()))
            written = own.save()
            own = loop_on(device)
            own.load(written)
        own.run()
        return weights(own.task), own.history

    with sdpa_kernel(SDPBackend.MATH):
        whole, history = trained(CPU)
    step, waits = Loop.step, []

    def noted_step(own, item):
        with noted() as found:
            step(own, item)
        waits.extend(found)

    with pretended() as device, mock.patch.object(Loop, "step", noted_step):
        made, rows = trained(device, stopped=True)
    assert not waits
    assert rows == history
    for one, other in zip(made, whole, strict=True):
        np.testing.assert_array_equal(one, other)
