"""A GPU that is not there: tensors that say they are on another device and hold real values.

`pretended()` makes torch's place for foreign devices (`privateuseone`) a device named `pretended`. A tensor
of it wraps one on the CPU. Every operation comes through `_perform`, which does what a GPU would do:

- it refuses tensors of two devices in one operation (`Mixed`);
- it notes what a GPU would have to be waited for: a number that Python reads, a shape that follows from
  values, a copy to the host, a copy to the device from memory that is not pinned or that is waited for;
- it computes the values, with the kernels of the CPU, from the random numbers of the CPU.

Under autocast, products of matrices become bfloat16 and sums float32, by the list of CUDA. What it cannot
show: speed, rounding on a GPU, streams, cuDNN, several GPUs. It needs torch 2.10.
"""

import contextlib
import functools
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from helpers_waits import Halved, Mixed, note, place
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

NAME = "pretended"
NEEDED = (2, 10)
aten = torch.ops.aten

READ = {"_local_scalar_dense", "equal"}
"""Operations whose result is a number of Python."""
SHAPED_BY_VALUES = {
    "nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "bincount",
    "repeat_interleave.Tensor",
}  # fmt: skip
"""Operations whose result has a shape that only the device knows."""
MAY_MIX = {"copy_", "_to_copy", "_has_compatible_shallow_copy_type"}
INDEXED = {"index.Tensor", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index_put"}
"""The device takes indices from the CPU here; it copies them, and waits."""
LENGTHS_ON_THE_HOST = {
    "_pack_padded_sequence": 1, "_pad_packed_sequence": 1, "_pack_padded_sequence_backward": 2,
}  # fmt: skip
"""Operations on packed sequences, and which argument is on the CPU by their contract."""
LSTMS = {"lstm.data": 3, "lstm.input": 2}
"""The LSTM of packed sequences and of others: the place of its list of weights among the arguments."""

LOWERED = (
    "linear", "matmul", "mm", "mv", "bmm", "addmm", "addmv", "addbmm", "baddbmm",
    "scaled_dot_product_attention", *LSTMS,
)  # fmt: skip
"""What autocast computes in half precision on CUDA."""
RAISED = (
    "layer_norm", "softmax.int", "log_softmax.int", "nll_loss", "binary_cross_entropy_with_logits",
    "exp", "log", "rsqrt", "pow.Tensor_Scalar", "cosine_similarity", "sum", "sum.dim_IntList",
    "cumsum", "prod", "softplus",
)  # fmt: skip
"""What it computes in float32."""


watchers: list[Callable] = []
"""Each is called with every operation of the device: (operation, args, kwargs, its result)."""


class _State:
    """Whether the device is there."""

    on = False


class Away(torch.Tensor):
    """A tensor of the pretended device; `inner` holds its values on the CPU."""

    @staticmethod
    def __new__(cls, inner: torch.Tensor):
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.shape, strides=inner.stride(), storage_offset=inner.storage_offset(),
            dtype=inner.dtype, device=torch.device(NAME, 0),
        )  # fmt: skip
        made.inner = inner
        return made

    # these two make `Module.to` exchange a parameter's tensor and keep the parameter, as on CUDA
    def __tensor_flatten__(self):
        return ["inner"], None

    @staticmethod
    def __tensor_unflatten__(inner, meta, size, stride):
        return Away(inner["inner"])

    def __repr__(self):
        return f"Away({self.inner!r})"

    def tolist(self):
        note("copy to the host")
        return self.inner.tolist()

    def numpy(self, **_):
        raise Mixed(f"{place()}: a tensor on {NAME} is no array of numpy before `.cpu()`")

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return _perform(operation, args, kwargs or {})


class _Everything(TorchDispatchMode):
    """Also operations that make a tensor of nothing come through `_perform`."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        return _perform(operation, args, kwargs or {})


class _Traits(NamedTuple):
    """What `_perform` has to know of an operation."""

    name: str
    composite: bool  # made of others, which autograd takes it apart into
    pointwise: bool
    writes: bool  # into its first argument, which it returns
    aliases: bool


@functools.cache
def _traits(operation) -> _Traits:
    aliased = [argument.alias_info for argument in operation._schema.arguments]
    composite = torch._C._dispatch_has_kernel_for_dispatch_key(
        operation.name(), torch._C.DispatchKey.CompositeImplicitAutograd
    )
    writing = [alias is not None and alias.is_write for alias in aliased]
    return _Traits(
        operation.name().removeprefix("aten::"),
        composite,
        torch.Tag.pointwise in operation.tags,
        bool(writing) and writing[0] and len(operation._schema.returns) == 1,
        any(alias is not None for alias in aliased),
    )


def _is_away(value) -> bool:
    return isinstance(value, Away)


def _inner(value):
    return value.inner if isinstance(value, Away) else value


def _wrapped(value):
    return Away(value) if isinstance(value, torch.Tensor) and not _is_away(value) else value


def _each(change: Callable, values):
    """`change` of each value, those in lists too."""
    return [
        [change(x) for x in value] if isinstance(value, (list, tuple)) else change(value)
        for value in values
    ]


def _tensors(*groups) -> list[torch.Tensor]:
    found = []
    for values in groups:
        for value in values:
            if isinstance(value, torch.Tensor):
                found.append(value)
            elif isinstance(value, (list, tuple)):
                found += [x for x in value if isinstance(x, torch.Tensor)]
    return found


def _perform(operation, args: tuple, kwargs: dict):
    """Compute one operation, check its devices and note what waits."""
    traits, kwargs, inference = _traits(operation), dict(kwargs), torch.is_inference_mode_enabled()
    name = traits.name
    if name in ("is_pinned", "_pin_memory", "pin_memory"):
        return _pinned(name, args[0])
    if inference and traits.composite and name not in LSTMS:
        # elsewhere autograd takes these apart first
        with _Everything():
            made = operation.decompose(*args, **kwargs)
        if made is not NotImplemented:
            return made
    target = kwargs.get("device")
    if target is not None:
        target, kwargs["device"] = torch.device(target).type, torch.device("cpu")
    tensors = _tensors(args, kwargs.values())
    away = [x for x in tensors if _is_away(x)]
    _check(traits, args, tensors, away)
    _note_waits(name, args, kwargs, target, away)
    named_inner = dict(zip(kwargs, _each(_inner, kwargs.values()), strict=True))
    made = operation(*_each(_inner, args), **named_inner)
    stays = bool(away) if target is None else target == NAME
    if name == "copy_":
        stays = _is_away(args[0])
    for watch in watchers if away or stays else ():
        watch(operation, args, kwargs, made)
    if not stays:
        return made
    if name == "_pack_padded_sequence":
        return _wrapped(made[0]), made[1]
    if traits.writes:
        return args[0]
    # a view of a tensor from outside is no tensor of inference mode
    with torch.inference_mode(inference and all(x.is_inference() for x in away)):
        several = isinstance(made, (list, tuple))
        made = type(made)(map(_wrapped, made)) if several else _wrapped(made)
    if inference or not away or not traits.aliases:
        return made
    return return_and_correct_aliasing(operation, args, kwargs, made)


def _pinned(name: str, tensor: torch.Tensor):
    """Pinned memory: it is only remembered which tensors lie in it."""
    if name == "is_pinned":
        return getattr(tensor, "in_pinned_memory", False)
    if _is_away(tensor):
        raise Mixed(f"{place()}: only memory of the host can be pinned")
    made = tensor.clone()
    made.in_pinned_memory = True
    return made


def _check(traits: _Traits, args: tuple, tensors: list, away: list) -> None:
    """Raise Mixed where CUDA would refuse the devices."""
    name = traits.name
    if not away or name in MAY_MIX:
        return
    here = [x for x in tensors if not _is_away(x)]
    if name in LENGTHS_ON_THE_HOST or name in LSTMS:
        lengths = args[LENGTHS_ON_THE_HOST.get(name, 1)]
        if [x for x in here if x is not lengths] or _is_away(lengths):
            raise Mixed(
                f"{place()}: {name} wants the lengths on the CPU and all else on the device"
            )
        return
    if name in INDEXED and _is_away(args[0]):
        here = [x for x in here if all(x is not index for index in args[1])]
    # a number in a tensor of no dimension goes along with an operation on each element
    if traits.pointwise or name in INDEXED:
        here = [x for x in here if x.dim()]
    if here:
        shapes = ", ".join(str(tuple(x.shape)) for x in here)
        raise Mixed(f"{place()}: {name} of tensors on {NAME} and on the CPU (of shape {shapes})")


def _note_waits(name: str, args: tuple, kwargs: dict, target: str | None, away: list) -> None:
    if name in ("_to_copy", "copy_"):
        source = args[1] if name == "copy_" else args[0]
        to = (NAME if _is_away(args[0]) else "cpu") if name == "copy_" else target
        quietly = kwargs.get(
            "non_blocking", args[2] if name == "copy_" and len(args) > 2 else False
        )
        if _is_away(source) and to == "cpu":
            note("copy to the host")
        elif not _is_away(source) and to == NAME:
            if not quietly:
                note("copy to the device")
            elif not getattr(source, "in_pinned_memory", False):
                note("copy to the device from memory that is not pinned")
    elif not away:
        return
    elif name in READ:
        note("number read")
    elif name in SHAPED_BY_VALUES and kwargs.get("output_size") is None:
        note(f"shape by values ({name.split('.')[0]})")
    elif name in INDEXED:
        indices = [x for x in args[1] if isinstance(x, torch.Tensor)]
        # a number at some places is a `masked_fill`
        filled = name != "index.Tensor" and args[2].numel() == 1
        if any(x.dtype in (torch.bool, torch.uint8) for x in indices) and not filled:
            note("shape by values (boolean mask as an index)")
        elif not all(map(_is_away, indices)):
            note("copy to the device (index on the CPU)")


class _Lstm(torch.autograd.Function):
    """The LSTM of the CPU in one piece, as cuDNN's is; torch would take it apart into thousands."""

    @staticmethod
    def forward(ctx, run, *tensors):
        ctx.given = [x.inner.detach().requires_grad_(x.requires_grad) for x in tensors]
        with torch.enable_grad(), _without_modes():
            ctx.made = run(ctx.given)
        return tuple(Away(x.detach()) for x in ctx.made)

    @staticmethod
    def backward(ctx, *gradients):
        pairs = [
            (made, gradient.inner)
            for made, gradient in zip(ctx.made, gradients, strict=True)
            if gradient is not None and made.requires_grad
        ]
        wanted = [x for x in ctx.given if x.requires_grad]
        outputs, given = zip(*pairs, strict=True)
        with _without_modes():
            found = iter(torch.autograd.grad(outputs, wanted, given, allow_unused=True))
        made = [next(found) if x.requires_grad else None for x in ctx.given]
        return None, *(None if x is None else Away(x) for x in made)


def _without_modes():
    return torch.utils._python_dispatch._disable_current_modes()


def _lstm(name: str) -> Callable:
    """An LSTM for autograd: its tensors are on the device, only the sizes of its steps are not."""
    at = LSTMS[name]
    usual = getattr(aten.lstm, name.split(".")[1])

    def lstm(*args):
        args = list(args)
        states, weights = args[at - 1], args[at]
        tensors = [args[0], *states, *weights]
        every = [*tensors, *args[1 : at - 1]]
        _check(_traits(usual), tuple(args), every, [x for x in every if _is_away(x)])
        if away := [x for x in tensors if x.dtype in (torch.float16, torch.bfloat16)]:
            raise Halved(f"{place()}: the LSTM reads {away[0].dtype}")

        def run(inner):
            args[0], args[at - 1], args[at] = inner[0], inner[1:3], inner[3:]
            return usual(*args)

        if torch.is_grad_enabled():
            return _Lstm.apply(run, *tensors)
        with _without_modes():  # where nothing is learned the CPU has another kernel
            return tuple(map(_wrapped, run([x.inner for x in tensors])))

    return lstm


def _with_autocast(name: str, wanted: Callable[[], torch.dtype]) -> Callable:
    """An operation that autocast hands its floating tensors in another precision."""
    packet, _, overload = name.partition(".")
    usual = getattr(getattr(aten, packet), overload or "default")

    def cast(value):
        floating = isinstance(value, torch.Tensor) and value.is_floating_point()
        return value.to(wanted()) if floating and value.dtype != torch.float64 else value

    def operation(*args, **kwargs):
        keys = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)
        with torch._C._ExcludeDispatchKeyGuard(keys):
            return usual(*tree_map(cast, args), **tree_map(cast, kwargs))

    return operation


@functools.cache
def _register() -> tuple:
    """Tell torch of the device, once in a process; it says that it is there only within `pretended`."""
    from torch.utils import backend_registration as registration

    class Module(registration._DummyBackendModule):
        def is_available(self):
            return _State.on

        def get_amp_supported_dtype(self):
            return [torch.bfloat16, torch.float16]

    class Hook(registration._DummyPrivateUse1Hook):
        def is_available(self):
            return _State.on

    registration._setup_privateuseone_for_python_backend(NAME, Module(), Hook())
    everything = torch.library.Library("_", "IMPL")
    everything.fallback(torch.library.fallthrough_kernel, "AutocastPrivateUse1")
    kernels = torch.library.Library("aten", "IMPL")
    for name in LSTMS:
        kernels.impl(name, _lstm(name), "AutogradPrivateUse1")
    for name in LOWERED:
        lower = functools.partial(torch.get_autocast_dtype, NAME)
        kernels.impl(name, _with_autocast(name, lower), "AutocastPrivateUse1")
    for name in RAISED:
        kernels.impl(name, _with_autocast(name, lambda: torch.float32), "AutocastPrivateUse1")
    return everything, kernels


def missing() -> str:
    """Why this torch cannot have the device; an empty string where it can."""
    version = tuple(map(int, re.findall(r"\d+", torch.__version__)[:2]))
    if version < NEEDED:
        return f"a device of Python needs torch {'.'.join(map(str, NEEDED))}: {torch.__version__}"
    return ""


@contextlib.contextmanager
def pretended() -> Iterator[torch.device]:
    """Within it there is the device, which is yielded."""
    _register()
    lifted = torch._C._only_lift_cpu_tensors()
    # `torch.tensor(..., device=...)` then copies to the device, where it can be seen
    torch._C._set_only_lift_cpu_tensors(True)
    _State.on = True
    try:
        # backward passes in this thread: it shows who called, and torch may have started its others
        with torch.autograd.set_multithreading_enabled(False), _Everything():
            yield torch.device(NAME, 0)
    finally:
        _State.on = False
        torch._C._set_only_lift_cpu_tensors(lifted)


@contextlib.contextmanager
def wide_outputs(module: torch.nn.Module, names: list[str]) -> Iterator[None]:
    """Within it these parts of a module raise `Halved` where they make half precision."""

    def look(part, _, made):
        for value in tree_leaves(made):
            if isinstance(value, torch.Tensor) and value.dtype in (torch.float16, torch.bfloat16):
                raise Halved(f"{place()}: {type(part).__name__} makes {value.dtype}")

    parts = dict(module.named_modules())
    hooks = [parts[name].register_forward_hook(look) for name in names]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
