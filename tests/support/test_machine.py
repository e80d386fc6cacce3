"""Errors of the machine by their texts, as torch and its libraries word them."""

import pytest

from whatyouread.support import machine
from whatyouread.support.machine import NO_RETRY, no_compiler, note_batch, trouble


class OutOfMemoryError(RuntimeError):
    """Named like torch's."""


CPU = (
    "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
    "to allocate 40000000000000 bytes. Error code 12 (Cannot allocate memory)"
)
OF_GPU = [
    OutOfMemoryError("CUDA out of memory. Tried to allocate 19.60 GiB. GPU 0 has a total capacity"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
]
OF_CPU = [
    MemoryError(),
    MemoryError("std::bad_alloc"),
    RuntimeError(CPU),
    RuntimeError("bad_alloc"),
]
OF_CPU += [
    OSError(12, "Cannot allocate memory"),
    MemoryError("Unable to allocate 7.8 TiB for an array"),
]


@pytest.fixture(autouse=True)
def no_batch(monkeypatch):
    monkeypatch.setattr(machine, "_batch", [])


@pytest.mark.parametrize("error", OF_GPU, ids=str)
def test_memory_of_a_gpu(error):
    note_batch(48, 20_001)
    assert trouble(error, "explainer.batch_size") == (
        "out of memory of the GPU, in a batch of 48 sequences of up to 20,001 tokens: "
        f"lower explainer.batch_size {NO_RETRY}"
    )


@pytest.mark.parametrize("error", OF_CPU, ids=str)
def test_memory_of_a_cpu(error):
    """Another try may get more memory, so it is not ruled out."""
    assert trouble(error) == "out of memory: give the job more memory or lower the batch size"
    note_batch(128, 251)
    assert trouble(error, "explanandum.batch_size") == (
        "out of memory, in a batch of 128 sequences of up to 251 tokens: give the job more memory or lower "
        "explanandum.batch_size"
    )


def test_a_single_long_sequence():
    """No batch is smaller, so that no batch size helps."""
    note_batch(1, 500_000)
    said = trouble(OF_GPU[0], "evaluation.batch_size")
    assert "500,000 tokens: leave out or cut long sequences (sequences.max_length)" in said
    assert "batch_size" not in said


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's "
            "workers are out of shared memory. Please try to raise your shared memory limit.",
            "give the job more memory",
        ),
        ("DataLoader worker (pid(s) 7, 9) exited unexpectedly", "or fewer threads"),
        ("CUDA error: uncorrectable ECC error encountered", "the GPU failed (CUDA error: unc"),
        ("NCCL error in: NCCLUtils.hpp:317, unhandled system error", "see what nvidia-smi says"),
        ("InvalidCxxCompiler: No working C++ compiler found in cpp.cxx", "set compile: false"),
    ],
)
def test_other_trouble(error, line):
    made = trouble(RuntimeError(error), "x.batch_size")
    assert line in made
    assert "\n" not in made


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: device-side assert triggered"),
        RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"),
        ValueError("out of memory is a word here"),
        KeyError("CUDA out of memory"),
        OSError(2, "No such file"),
    ],
    ids=str,
)
def test_bugs_stay_bugs(error):
    assert trouble(error, "x.batch_size") is None


def test_no_compiler_is_one_line():
    line = no_compiler(RuntimeError("\n  InvalidCxxCompiler: (None, 'g++')\n\n Set TORCHDYNAMO"))
    assert line.startswith(
        "`compile: true` cannot compile here (InvalidCxxCompiler: (None, 'g++')): "
    )
    assert line.endswith(f"or set compile: false {NO_RETRY}")
