"""A GPU that was granted and cannot be used, seen on a machine without one."""

import warnings

import pytest
import torch

from whatyouread.models import gpu, inference
from whatyouread.support.cli import UserError

VARIABLES = (*gpu.GRANTS, "WHATYOUREAD_DEVICE", "LOCAL_RANK")


@pytest.fixture
def there(monkeypatch, tmp_path):
    """(variables; torch's CUDA, the driver, what torch warns of) for a machine without a usable GPU."""

    def make(*, cuda="13.0", driver=None, warning="", **environment):
        for name in VARIABLES:
            monkeypatch.delenv(name, raising=False)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

        def is_available():
            if warning:
                warnings.warn(warning, stacklevel=1)
            return False

        monkeypatch.setattr(torch.cuda, "is_available", is_available)
        monkeypatch.setattr(torch.version, "cuda", cuda)
        file = tmp_path / "version"
        if driver:
            file.write_text(
                f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {driver}  Tue Mar  5 22:23:56 UTC\n"
            )
        monkeypatch.setattr(gpu, "DRIVER_FILE", file)

    return make


GRANTED = [
    {"SLURM_JOB_GPUS": "0"},
    {"SLURM_JOB_GPUS": "2,3"},
    {"SLURM_STEP_GPUS": "0"},
    {"SLURM_GPUS_ON_NODE": "1"},
    {"CUDA_VISIBLE_DEVICES": "0"},
    {"CUDA_VISIBLE_DEVICES": "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"},
    {"CUDA_VISIBLE_DEVICES": "MIG-41b359f1-4a2b"},
    {"WHATYOUREAD_DEVICE": "cuda"},
    # a step that got none of the GPUs of its job
    {"SLURM_JOB_GPUS": "0", "CUDA_VISIBLE_DEVICES": ""},
]


@pytest.mark.parametrize("variables", GRANTED, ids=str)
def test_its_absence_is_an_error_in_every_program(there, variables):
    there(**variables)
    with pytest.raises(UserError) as caught:
        inference.choose_device(1)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("no GPU can be used, and ")
    assert any(f"{k}={v} grants one" in line for k, v in variables.items()) or "asks for" in line
    assert "CUDA 13.0 and needs NVIDIA's driver 580 or newer" in line
    assert "device: cpu" in line
    there(**variables | {"WHATYOUREAD_DEVICE": "cpu"})  # told otherwise
    assert inference.choose_device(1) == torch.device("cpu")


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"CUDA_VISIBLE_DEVICES": ""},
        {"CUDA_VISIBLE_DEVICES": "-1"},
        {"CUDA_VISIBLE_DEVICES": "-1,0"},
        {"CUDA_VISIBLE_DEVICES": "NoDevFiles"},
        {"SLURM_GPUS_ON_NODE": "0", "SLURM_JOB_GPUS": ""},
        {"WHATYOUREAD_DEVICE": "auto"},
        {"WHATYOUREAD_DEVICE": "CPU"},
    ],
    ids=str,
)
def test_where_none_was_granted_the_cpu_computes(there, variables):
    there(driver="470.1.2", **variables)
    assert inference.choose_device(1) == torch.device("cpu")


def test_more_than_one_asked_for(there):
    there()
    with pytest.raises(UserError, match=r"no GPU can be used, and gpus: 4 asks for 4: "):
        inference.choose_device(1, "fp32", 4)


@pytest.mark.parametrize(
    ("machine", "line"),
    [
        ({"cuda": None}, r"torch \S+ is built for CPUs only; install torch from PyPI"),
        ({}, "no driver is loaded on this machine; ask for a node with a GPU"),
        ({"driver": "550.54.15"}, "driver 580 or newer, and the driver here is 550.54.15; update"),
        ({"cuda": "12.8", "driver": "470.256.02"}, r"driver 525 or newer, .* is 470\.256\.02; upd"),
        (
            {"driver": "580.65.06", "warning": "CUDA unknown error -\n this may be due to"},
            r"the driver here is 580\.65\.06, and torch says: CUDA unknown error - this may be due",
        ),
        ({"cuda": "14.0", "driver": "700.1"}, "torch .* carries CUDA 14.0; the driver here is 700"),
    ],
    ids=str,
)
def test_the_line_says_what_is_in_the_way(there, machine, line):
    there(CUDA_VISIBLE_DEVICES="0", **machine)
    with pytest.raises(UserError, match=line) as caught:
        gpu.use_gpu()
    assert str(caught.value).endswith("to compute on the CPU")


def test_an_unknown_device(there):
    there(WHATYOUREAD_DEVICE="gpu")
    with pytest.raises(UserError, match="WHATYOUREAD_DEVICE is 'gpu': one of auto, cpu, cuda"):
        gpu.use_gpu()


def test_a_gpu_is_left_alone_where_the_cpu_is_asked_for(there, monkeypatch):
    there(WHATYOUREAD_DEVICE="cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert inference.choose_device(1) == torch.device("cpu")
    monkeypatch.delenv("WHATYOUREAD_DEVICE")
    assert gpu.use_gpu()


@pytest.mark.parametrize(
    ("rank", "error", "line"),
    [
        (2, None, "this process needs GPU 2 of this machine, and 2 are visible: start fewer"),
        (
            1,
            "CUDA error: no kernel image is available for execution on the device\nCompile with",
            r"Old GPU cannot be used by torch .*: CUDA error: no kernel image .* device; see nvidia",
        ),
        (0, "CUDA error: all CUDA-capable devices are busy or unavailable", "busy or unavailable;"),
    ],
)
def test_a_gpu_that_computes_nothing(there, monkeypatch, rank, error, line):
    there(LOCAL_RANK=str(rank))

    def ones(*_, **__):
        raise RuntimeError(error)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda *_: "Old GPU")
    monkeypatch.setattr(torch, "ones", ones)
    with pytest.raises(UserError, match=line) as caught:
        gpu.ready(torch.device("cuda", rank))
    assert "\n" not in str(caught.value)
