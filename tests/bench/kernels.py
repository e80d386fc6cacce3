"""What a step asks of a GPU, counted without one: kernels, bytes, operations, and waits.

The steps run at full width on the pretended device of the tests, with one and two layers, and a few short
sequences. All counts are linear in layers and tokens (the products of attention in the square of the tokens),
so that those of the paper's size follow. It needs torch 2.10.
Counted are operations as torch hands them to a device: each is a kernel that reads its inputs and writes its
results once. Not counted: the LSTM, which cuDNN computes in its own way. Attention is one kernel forwards
and three backwards (flash), the optimizer one.

Run `python tests/bench/kernels.py` to print the table of docs/gpu.md.
"""

import contextlib
import dataclasses
import json
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

TESTS = Path(__file__).resolve().parents[1]
sys.path += [str(TESTS), str(TESTS.parent / "scripts")]

import helpers_device  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from gpu import FULL, NT50M, RANKS  # noqa: E402
from helpers_device import Away, pretended  # noqa: E402
from helpers_waits import noted  # noqa: E402
from made_up import write_sequences  # noqa: E402
from torch.utils.flop_counter import flop_registry  # noqa: E402

BANDWIDTH, MATRICES, LAUNCH = 4.8e12, 4.0e14, 5e-6
"""An H200: bytes and, in bf16, operations of matrix products a second (a sustained rate), and seconds that
it takes to start a kernel from Python."""
SHORT = dataclasses.replace(FULL, length=16)
WITHOUT_KERNEL = ("empty", "new_empty", "detach", "alias", "lift_fresh", "_unsafe_view")


@dataclasses.dataclass
class Count:
    """What one step asks for; operations are those of matrix products, without and of attention."""

    kernels: float = 0
    bytes: float = 0
    operations: float = 0
    attention: float = 0
    waits: float = 0

    def __add__(self, other: "Count") -> "Count":
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Count(*(a + b for a, b in pairs))

    def times(self, factor: float) -> "Count":
        return Count(*(factor * value for value in dataclasses.astuple(self)))

    @property
    def seconds(self) -> float:
        """As long as the slower of both takes: to start the kernels, or to run them."""
        running = self.bytes / BANDWIDTH + (self.operations + self.attention) / MATRICES
        return max(self.kernels * LAUNCH, running)


def _bytes(values) -> int:
    """The bytes behind tensors: of one that is expanded, those that there are."""
    return sum(
        min(x.numel(), math.prod(n for n, s in zip(x.shape, x.stride(), strict=True) if s))
        * x.element_size()
        for x in helpers_device._tensors(values)
    )


@contextlib.contextmanager
def counted() -> Iterator[Count]:
    """Count what is done on the pretended device."""
    count = Count()

    def watch(operation, args, kwargs, made):
        traits = helpers_device._traits(operation)
        name = traits.name.partition(".")[0]
        if (traits.aliases and not traits.writes and name[-1] != "_") or name.startswith(
            WITHOUT_KERNEL
        ):
            return
        results = made if isinstance(made, (list, tuple)) else [made]
        count.kernels += 1
        count.bytes += _bytes([*args, *kwargs.values()]) + (0 if traits.writes else _bytes(results))
        if traits.writes or name[-1] == "_":
            count.bytes += _bytes(args[:1])
        packet = operation.overloadpacket
        if packet in flop_registry:
            count.operations += flop_registry[packet](*args, **kwargs, out_val=made)

    class Attention(torch.autograd.Function):
        @staticmethod
        def forward(ctx, query, key, value, options):
            with helpers_device._without_modes():
                ctx.given = [x.inner.detach().requires_grad_() for x in (query, key, value)]
                with torch.enable_grad():
                    ctx.made = usual(*ctx.given, **options)
            batch, heads, length, size = query.shape
            ctx.operations = 4 * batch * heads * length**2 * size
            count.kernels += 1
            count.bytes += _bytes([query, key, value, ctx.made])
            count.attention += ctx.operations
            return Away(ctx.made.detach())

        @staticmethod
        def backward(ctx, gradient):
            count.kernels += 3
            count.bytes += 2 * _bytes([*ctx.given, ctx.made])
            count.attention += 2.5 * ctx.operations
            with helpers_device._without_modes():
                found = torch.autograd.grad(ctx.made, ctx.given, gradient.inner, retain_graph=True)
            return *map(Away, found), None

    usual = torch.nn.functional.scaled_dot_product_attention

    def attention(query, key, value, attn_mask=None, dropout_p=0.0, **options):
        assert attn_mask is None, "sequences of one length are counted"
        return Attention.apply(*_lowered(query, key, value), options)

    with (
        noted() as waits,
        mock.patch.object(torch.nn.functional, "scaled_dot_product_attention", attention),
        mock.patch.object(helpers_device, "watchers", [watch]),
    ):
        yield count
    count.waits = len(waits)


def _lowered(*tensors):
    """As autocast does it."""
    if torch.is_autocast_enabled(helpers_device.NAME):
        return [x.to(torch.get_autocast_dtype(helpers_device.NAME)) for x in tensors]
    return tensors


Step = Callable[[torch.device, Path, int, int], Callable[[], object]]


def _explanandum(layers: int):
    from whatyouread.models.explanandum import Explanandum

    torch.manual_seed(0)
    return Explanandum(NT50M | {"num_hidden_layers": layers}, RANKS)


def _explainer(kind: str, explanandum):
    from whatyouread.explainers.objective import NetworkSettings
    from whatyouread.explainers.objectives import find_objective

    objective = find_objective(kind)
    own = objective.Settings()
    made = objective.make_explainer(own, NetworkSettings(100, 80, 2), explanandum)
    return made, objective(made, explanandum, own, 0)


def _file(folder: Path, rows: int):
    return write_sequences(folder / f"{rows}.arrow", SHORT, rows)


def training(kind: str) -> Step:
    """A step of the optimizer in bf16."""

    def prepare(device, folder, layers, batch):
        from whatyouread.training import loop
        from whatyouread.training.batches import Batches
        from whatyouread.training.classification import ClassificationTask
        from whatyouread.training.settings import TrainingSettings

        model = _explanandum(layers)
        task = ClassificationTask(model) if kind == "classifier" else _explainer(kind, model)[1]
        settings = TrainingSettings(2e-4, 0.0, batch, 1, 0.0, "bf16", False, 1)
        batches = Batches(_file(folder, 2 * batch), 0)
        with mock.patch.object(loop, "choose_device", return_value=device):
            own = loop.Loop(task, settings, batches, batches, folder / "checkpoints", 0, 1)
        first, second = own.rest_of_epoch()
        own.step(first)  # the optimizer makes its moments
        return lambda: own.step(second)

    return prepare


def masks(device, folder, layers, batch):
    """The masks of a batch for its predicted classes, without gradients."""
    from whatyouread.models.inference import Passes

    model = _explanandum(layers)
    passes = Passes(model, batch, device, "bf16")
    explainer = _explainer("paper", model)[0].to(device).eval()
    tokens = _file(folder, batch).batch(range(batch)).to(device)
    classes = torch.zeros(batch, 1, len(RANKS), dtype=torch.long).to(device)

    def call():
        with torch.inference_mode(), passes.autocast():
            passes.explanandum(tokens)
            explainer.class_masks(tokens, classes)

    return call


def _asked(device, folder, layers, rows: int, batch: int, others: int):
    """A question about some sequences, for three ranks and some sets of other classes; its passes, too."""
    from whatyouread.methods.question import Question
    from whatyouread.models.inference import Passes

    passes = Passes(_explanandum(layers), batch, device, "bf16")
    some = _file(folder, rows).batch(np.arange(rows)).to(device)
    classes = torch.zeros(rows, 1 + others, len(RANKS), dtype=torch.long).to(device)
    own, rest = classes[:, 0], classes[:, 1:] if others else None
    keys = np.zeros(rows, np.uint64)
    return passes, Question(passes.explanandum, some, own, rest, keys, 0, batch)


def lime(device, folder, layers, batch):
    """The passes of LIME: the log-probabilities of one sequence under many masks."""
    passes, asked = _asked(device, folder, layers, 1, batch, 0)
    mask = torch.ones(batch, SHORT.length).to(device)

    def call():
        with torch.no_grad(), passes.autocast():
            asked.targets(mask)

    return call


def gradients(device, folder, layers, batch):
    """A step of Integrated Gradients, for three ranks and two other classes."""
    from whatyouread.methods.gradients import integrated_gradients

    passes, asked = _asked(device, folder, layers, batch, batch, 2)

    def call():
        with passes.autocast():
            integrated_gradients(asked, 1)

    return call


STEPS: dict[str, tuple[Step, tuple[int, ...]]] = {
    "fine-tuning": (training("classifier"), (128, 256)),
    "Explainer": (training("paper"), (48, 256)),
    "Explainer `sharp`": (training("sharp"), (48, 256)),
    "Explainer `joint`": (training("joint"), (48, 256)),
    "masks": (masks, (1024,)),
    "LIME": (lime, (1000,)),
    "Integrated Gradients": (gradients, (256,)),
}
"""What is counted, and for which batches. Names as in the measurements of `gpu.py`."""


def count(step: Step, batches: tuple[int, ...], layers: int = 12) -> dict[int, Count]:
    """The count of a step for each size of batch, from those of one and two layers and sequences."""
    found = {}
    for depth in (1, 2):
        for batch in (2, 3):
            with tempfile.TemporaryDirectory() as folder, pretended() as device:
                call = step(device, Path(folder), depth, batch)
                with counted() as made:
                    call()
            found[depth, batch] = made

    def deep(batch):
        each = found[2, batch] + found[1, batch].times(-1)
        return found[1, batch] + each.times(layers - 1)

    # a longer sequence is as many short ones, but for attention
    sequence, times = deep(3) + deep(2).times(-1), FULL.length / SHORT.length
    rest = deep(2) + sequence.times(-2)
    longer = sequence.times(times)
    longer.attention *= times
    return {batch: rest + longer.times(batch) for batch in batches}


def main() -> None:
    if reason := helpers_device.missing():
        print(reason, file=sys.stderr)
    made = {} if reason else {name: count(*step) for name, step in STEPS.items()}
    if sys.argv[1:] == ["--json"]:
        seconds = {name: {b: one.seconds for b, one in each.items()} for name, each in made.items()}
        print(json.dumps(seconds))
        return
    print("| step | batch | kernels | GB | TFLOP | waits | predicted ms | sequences a second |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, each in made.items():
        for batch, one in each.items():
            numbers = [
                f"{one.kernels:,.0f}", f"{one.bytes / 1e9:.0f}",
                f"{(one.operations + one.attention) / 1e12:.1f}", f"{one.waits:.0f}",
                f"{one.seconds * 1e3:.0f}", f"{batch / one.seconds:,.0f}",
            ]  # fmt: skip
            print("|", " | ".join([name, f"{batch:,}", *numbers]), "|")


if __name__ == "__main__":
    main()
