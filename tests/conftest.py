"""Fixtures that several test files use; heavy packages are imported where a test needs them."""

import os
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

# what a test does not say is computed on the CPU, on machines with a GPU, too
os.environ.setdefault("WHATYOUREAD_DEVICE", "cpu")

RANKS = {"superkingdom": 3, "phylum": 5, "genus": 7}


def pytest_make_parametrize_id(config, val, argname):
    """Bytes that are packed hold the time of packing, and the processes of xdist must agree on names."""
    packed = isinstance(val, bytes) and (b"\0" in val or not val.isascii())
    return argname if packed else None


@pytest.fixture(autouse=True)
def one_thread():
    """Tests share the machine; whoever wants more threads says so within the test."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data beside the checkout."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "data" / "reference").is_dir():
        pytest.skip("no folder `shared` with reference data beside the checkout")
    return folder


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    """Each kind of device in turn."""
    import torch

    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU on this machine")
    if request.param == "cuda" and torch._C._get_privateuse1_backend_name() != "privateuseone":
        pytest.skip("test_device.py pretends a device in this process, for good: run pytest -m gpu")
    return torch.device(request.param)


@pytest.fixture(scope="session")
def tiny_backbone() -> dict:
    """config.json of a small encoder, with weights wide enough that tokens attend to one another."""
    return {
        "vocab_size": 4107,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": 2050,
        "position_embedding_type": "rotary",
        "emb_layer_norm_before": False,
        "token_dropout": False,
        "pad_token_id": 1,
        "mask_token_id": 2,
        "layer_norm_eps": 1e-12,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "initializer_range": 0.4,
        "add_bias_fnn": False,
    }


@pytest.fixture
def make_explanandum(tiny_backbone):
    """(pooling, seed) -> a small Explanandum with random weights, in eval mode."""
    import torch

    from whatyouread.models.explanandum import Explanandum

    def make(pooling: str = "mean", seed: int = 0):
        torch.manual_seed(seed)
        return Explanandum(tiny_backbone, RANKS, pooling).eval()

    return make


@pytest.fixture
def tiny_explanandum(make_explanandum):
    """A small Explanandum with mean pooling, random weights, in eval mode."""
    return make_explanandum()


@pytest.fixture
def token_batch():
    """(lengths, seed, width) -> a `Batch` of torch tensors: `<cls>`, random six-mers, then padding."""
    import torch
    from helpers_batches import batch_of

    def make(lengths: list[int], seed: int = 0, width: int | None = None):
        generator = torch.Generator().manual_seed(seed)
        tokens = torch.randint(6, 4107, (len(lengths), max(lengths)), generator=generator)
        tokens[:, 0] = 3
        for row, length in enumerate(lengths):
            tokens[row, length:] = 1
        wider = (width or max(lengths)) - max(lengths)
        return batch_of(torch.nn.functional.pad(tokens, (0, wider), value=1)).to("cpu")

    return make


@pytest.fixture
def token_file(tmp_path):
    """(sequences of tokens, ...) -> path of a token file that holds them, in record batches."""
    from whatyouread.data.six_mers import SIX_MERS
    from whatyouread.data.token_files import schema, write_token_files
    from whatyouread.data.tokenizer import Tokenizer

    def write(
        sequences: list[list[int]],
        labels: list[list[int]] | None = None,
        ranks: list[str] | None = None,
        batch_sizes: list[int] | None = None,
        keys: list[int] | None = None,
        ids: list[str] | None = None,
        name: str = "tokens.arrow",
        tokenizer: Tokenizer = SIX_MERS,
    ) -> Path:
        n = len(sequences)
        ranks = list(RANKS) if ranks is None else ranks
        labels = [[0] * len(ranks)] * n if labels is None else labels
        columns = [
            pa.array([f"a.fa:{i}" for i in range(n)] if ids is None else ids, pa.string()),
            pa.array(range(n) if keys is None else keys, pa.uint64()),
            pa.array(sequences, pa.list_(pa.uint16())),
            *(
                pa.array(column, pa.int32())
                for column in np.reshape(labels, (n, len(ranks))).T.astype(np.int32)
            ),
        ]
        table = pa.table(columns, schema=schema(ranks, tokenizer))
        path = tmp_path / name
        with write_token_files([path], ranks, tokenizer) as [writer]:
            start = 0
            for size in batch_sizes or [n]:
                writer.write_table(table.slice(start, size))
                start += size
            assert start == n
        return path

    return write


@pytest.fixture
def run_python(tmp_path):
    """(code, arguments) -> (finished process, path of the script) of a program of the library."""
    import signal
    import subprocess

    library = Path(__file__).resolve().parents[1] / "scripts"

    def run(code: str, *arguments: str, wait: bool = True):
        environment = os.environ | {"PYTHONPATH": str(library), "PYTHONDONTWRITEBYTECODE": "1"}
        environment.pop("WHATYOUREAD_LOG_LEVEL", None)
        script = tmp_path / "program.py"
        script.write_text(code, encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, str(script), *map(str, arguments)],
            env=environment,
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # a test run in the background of a shell ignores SIGINT, and so would the program
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        if not wait:
            return process
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    return run
