"""Faults that the first user of a GPU would meet, planted: each is found, and the message names its line."""

import inspect
import re

import numpy as np
import pytest
import torch
from helpers_device import missing

if missing():
    pytest.skip(missing(), allow_module_level=True)

from helpers_device import pretended, wide_outputs
from helpers_device_work import a_loop, make_inputs, masks, task
from helpers_waits import Halved, Mixed, named, noted
from torch.nn.utils import rnn

from whatyouread.data import batch as batches
from whatyouread.explainers import losses, network, paper, sharp
from whatyouread.explainers.network import Explainer
from whatyouread.models.explanandum import Explanandum
from whatyouread.training.classification import ClassificationTask
from whatyouread.training.loop import Loop

# Each function below takes the place of one of the project's. The fault is the line that ends in `# here`.


def tensor_of_the_cpu(usual):
    def masks(self, scores, batch, smooth=True):
        made = usual(self, scores, batch, smooth)
        return made * torch.ones(made.shape)  # here

    return masks


def number_in_the_loss(usual):
    def loss(*given):
        made = usual(*given)
        return made._replace(total=made.total / max(made.total.mean().item(), 1))  # here

    return loss


def boolean_mask(usual):
    def area(mask, valid):
        return usual(mask, valid) + 0 * mask[valid].sum()  # here

    return area


def host_array(usual):
    def area(mask, valid):
        return usual(mask, valid) * np.ones(len(mask), np.float32)  # here

    return area


def numpy_conversion(usual):
    def area(mask, valid):
        return usual(mask, valid) + float(mask.detach().numpy().mean())  # here

    return area


def python_truth(usual):
    def area(mask, valid):
        made = usual(mask, valid)
        return made if (made > 0).all() else made + 1  # here

    return area


def python_branch_in_the_backward_pass(usual):
    class Area(torch.autograd.Function):
        @staticmethod
        def forward(ctx, made):
            return made.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient if gradient.isfinite().all() else None  # here

    return lambda mask, valid: Area.apply(usual(mask, valid))


def shape_by_values(usual):
    def area(mask, valid):
        return usual(mask, valid) + 0 * valid.nonzero().sum()  # here

    return area


def list_of_numbers(usual):
    def area(mask, valid):
        return usual(mask, valid) + 0 * sum(valid.sum(1).tolist())  # here

    return area


def repeats_without_their_sum(usual):
    def area(mask, valid):
        return usual(mask, valid) + 0 * mask[0].repeat_interleave(valid[0].long()).sum()  # here

    return area


def index_of_the_host(usual):
    def area(mask, valid):
        return usual(mask, valid) + 0 * mask[:, torch.tensor([0])].sum()  # here

    return area


def copied_again(usual):
    def area(mask, valid):
        weight = torch.tensor([1.0], device=mask.device)  # here
        return usual(mask, valid) * weight

    return area


def noise_of_the_cpu(usual):
    def draw_occlusions(batch, areas, windows):
        noise = torch.rand(batch.ids.shape)
        return usual(batch, areas, windows) * (noise < 2)  # here

    return draw_occlusions


def comparison_on_the_host(usual):
    def forward(self, batch, labels):
        made = usual(self, batch, labels)
        self.right = (made["values"].cpu() == 0).sum()  # here
        return made

    return forward


def labels_left_behind(usual):
    def moved(self, value):
        return value.to(self.device) if isinstance(value, batches.Batch) else value

    return moved


def waiting_copy(usual):
    def on_device(values, device):
        tensor = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
        return tensor.to(device)  # here

    return on_device


def copy_from_ordinary_memory(usual):
    def on_device(values, device):
        tensor = torch.from_numpy(values) if isinstance(values, np.ndarray) else values
        return tensor.to(device, non_blocking=True)  # here

    return on_device


def buffer_that_stays(usual):
    def init(self, *given, **options):
        usual(self, *given, **options)
        first = self.first_column
        del self.first_column
        object.__setattr__(self, "first_column", first)

    return init


def lengths_of_the_device(usual):
    def pack(inputs, lengths, batch_first):
        lengths = lengths.pin_memory().to(inputs.device, non_blocking=True)
        made = torch._VF._pack_padded_sequence(inputs, lengths, batch_first)  # here
        return rnn.PackedSequence(*made)

    return pack


def half_precision_in_the_lstm(usual):
    return lambda device: torch.autocast(device.type, torch.bfloat16)


def half_precision_in_the_heads(usual):
    def classify(self, pooled):
        return tuple(head(pooled) for head in self.heads.values())  # here

    return classify


PAPER, SHARP, CLASSIFIER = "paper, exact", "sharp, class", "classifier"
FAULTS = {
    tensor_of_the_cpu: (PAPER, Explainer, "_masks"),
    number_in_the_loss: (PAPER, paper, "explainer_loss"),
    boolean_mask: (PAPER, losses, "area"),
    host_array: (PAPER, losses, "area"),
    numpy_conversion: (PAPER, losses, "area"),
    python_truth: (PAPER, losses, "area"),
    python_branch_in_the_backward_pass: (PAPER, losses, "area"),
    shape_by_values: (PAPER, losses, "area"),
    list_of_numbers: (PAPER, losses, "area"),
    repeats_without_their_sum: (PAPER, losses, "area"),
    index_of_the_host: (PAPER, losses, "area"),
    copied_again: (PAPER, losses, "area"),
    noise_of_the_cpu: (SHARP, sharp, "draw_occlusions"),
    comparison_on_the_host: (CLASSIFIER, ClassificationTask, "forward"),
    labels_left_behind: (CLASSIFIER, Loop, "_moved"),
    waiting_copy: (CLASSIFIER, batches, "on_device"),
    copy_from_ordinary_memory: (CLASSIFIER, batches, "on_device"),
    buffer_that_stays: (SHARP, Explainer, "__init__"),
    lengths_of_the_device: (PAPER, network, "pack_padded_sequence"),
    half_precision_in_the_lstm: (PAPER, network, "without_autocast"),
    half_precision_in_the_heads: (CLASSIFIER, Explanandum, "classify"),
}
"""Fault -> the task in whose step it is planted, and what it replaces."""
ELSEWHERE = {
    labels_left_behind: "models/levels.py",
    buffer_that_stays: "explainers/network.py",
    half_precision_in_the_lstm: "explainers/network.py",
}
"""Faults that show at a line of the project: where."""


class Waited(Exception):
    """A step that waits."""


def step_of(inputs, name: str, precision: str, folder) -> None:
    """One step of a training on the pretended device, strictly."""
    with pretended() as device:
        made = task(name)
        own = a_loop(device, made, inputs.padded, folder, precision=precision)
        [item, *_] = own.rest_of_epoch()
        with (
            named(),
            noted() as waits,
            wide_outputs(made.explanandum, [f"heads.{x}" for x in made.explanandum.ranks]),
        ):
            own.step(item)
        if waits:
            raise Waited("\n".join(map(str, waits)))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("faults"))


def line_of(fault) -> str:
    """Where the fault is, as a message says it: file and line."""
    text, first = inspect.getsourcelines(fault)
    [line] = [i for i, one in enumerate(text) if one.rstrip().endswith("# here")]
    return f"tests/test_device_faults.py:{first + line} "


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", [PAPER, SHARP, CLASSIFIER])
def test_without_a_fault_nothing_is_said(inputs, tmp_path, name, precision):
    step_of(inputs, name, precision, tmp_path)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_found_with_its_line(inputs, tmp_path, monkeypatch, fault):
    name, owner, attribute = FAULTS[fault]
    monkeypatch.setattr(owner, attribute, fault(getattr(owner, attribute)))
    precision = "bf16" if "half_precision" in fault.__name__ else "fp32"
    where = ELSEWHERE.get(fault) or line_of(fault)
    with pytest.raises((Mixed, Halved, Waited), match=re.escape(where)) as error:
        step_of(inputs, name, precision, tmp_path)
    assert re.search(r"\.py:\d+ \(", str(error.value))


def test_a_further_wait_of_an_evaluation_changes_its_row(inputs, monkeypatch):
    def each_batch(device):
        call, units = masks(device, inputs, "paper", "padded")
        with noted() as waits:
            call()
        return len(waits) / units

    usual = Explainer.class_masks

    def class_masks(self, batch, classes, smooth=True):
        made = usual(self, batch, classes, smooth)
        assert made.max() <= 1
        return made

    with pretended() as device:
        before = each_batch(device)
        monkeypatch.setattr(Explainer, "class_masks", class_masks)
        assert each_batch(device) == before + 1
