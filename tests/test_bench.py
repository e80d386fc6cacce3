"""The benchmark: what it counts by hand, and that its sections run."""

import json
import math
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers_device import missing

PROJECT = Path(__file__).resolve().parents[1]
BENCH = PROJECT / "tests" / "bench"
sys.path.insert(0, str(BENCH))

import data_stages  # noqa: E402
import flops  # noqa: E402
import gpu  # noqa: E402
import made_up  # noqa: E402
import paper_size  # noqa: E402
import papers_cost  # noqa: E402
import profiling  # noqa: E402
import training_steps  # noqa: E402

SMALL = {
    "hidden_size": 4,
    "intermediate_size": 3,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
}
EXPLAINER = {"embedding_size": 5, "hidden_size": 3, "layers": 2}


def test_operations_counted_by_hand():
    # a token: 4 matrices of 4 x 4 and 3 of 4 x 3; 2 layers, 7 tokens, 2 operations
    linear = 2 * 7 * 2 * (4 * 16 + 3 * 12)
    # 7 x 7 scores of 4 numbers, and 7 x 7 weights for 4 numbers
    attention = 2 * (7 * 7 * 4 * 2 + 7 * 7 * 4 * 2)
    assert flops.encoder_flops(SMALL, 7) == (linear, attention)
    heads = 4 * 10 * 2
    made = flops.model_flops(SMALL, {"high": 2, "low": 8}, 7, EXPLAINER, samples=100)
    forward = linear + attention + heads
    assert made["classification"] == forward == 2800 + 1568 + 80
    assert made["fine-tuning"] == 3 * forward
    assert made["LIME"] == 100 * forward
    # two directions of four gates of 3, from 5 and from 6 inputs and 3 states
    lstm = 7 * 2 * 2 * 12 * (5 + 3) + 7 * 2 * 2 * 12 * (6 + 3)
    dense = 7 * 6 * 2  # for one column
    assert made["masks"] == forward + lstm + 6 * dense
    frozen = 2 * linear + 3 * attention + 2 * heads
    assert made["Explainer"] == 2 * frozen + 3 * (lstm + 10 * dense)
    # it reads embedding and state, 4 numbers each, and has one column
    lstm = 7 * 2 * 2 * 12 * (8 + 3) + 7 * 2 * 2 * 12 * (6 + 3)
    assert made["sharp"] == forward + frozen + 3 * (lstm + dense)


def test_operations_of_several_lengths():
    lengths = np.array([3.0, 7.0])
    made = flops.model_flops(SMALL, {"low": 8}, lengths, EXPLAINER)["classification"]
    alone = [flops.model_flops(SMALL, {"low": 8}, n, EXPLAINER)["classification"] for n in (3, 7)]
    assert made.tolist() == alone


def test_operations_are_those_that_torch_counts():
    import torch
    from helpers_batches import batch_of
    from torch.utils.flop_counter import FlopCounterMode

    from whatyouread.models.explanandum import Explanandum

    backbone = gpu.TINY | {"num_hidden_layers": 2}
    classes = {"high": 3, "low": 9}
    explanandum = Explanandum(backbone, classes)
    explanandum.encoder.set_attn_implementation("eager")
    batch = batch_of(torch.randint(6, 4000, (5, 31))).to("cpu")
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        explanandum(batch)
    made = flops.model_flops(backbone, classes, 31, EXPLAINER)
    assert counter.get_total_flops() == 5 * made["classification"]
    with counter:
        sum(x.sum() for x in explanandum(batch)).backward()
    assert counter.get_total_flops() == 5 * made["fine-tuning"]


def test_kernels_are_grouped_by_their_names():
    times = {
        "nvjet_tst_128x256_64x4_2x1_v_bz_coopA_TNT": 40.0,
        "void pytorch_flash::flash_fwd_kernel<...>": 20.0,
        "fmha_cutlassF_bf16_aligned_64x64_rf_sm80": 5.0,
        "RNN_blockPersist_fp_LSTM<float>": 10.0,
        "void at::native::elementwise_kernel<128, 4, direct_copy_kernel_cuda>": 8.0,
        "Memcpy HtoD (Pinned -> Device)": 2.0,
        "void at::native::vectorized_elementwise_kernel<4, mul>": 10.0,
        "some_kernel": 5.0,
    }
    made = profiling.shares(times)
    expected = {
        "matmul": 0.4,
        "attention": 0.25,
        "LSTM": 0.1,
        "copies": 0.1,
        "elementwise": 0.1,
        "other": 0.05,
    }
    assert made == pytest.approx(expected)
    assert list(made)[:2] == ["matmul", "attention"]


def test_the_idle_share_is_that_of_the_gaps():
    # 0 to 4 and 3 to 6 overlap, one lies within; then 2 idle, then 6 to 10 of a second stream
    begins, ends = np.array([8.0, 0.0, 3.0, 1.0]), np.array([10.0, 4.0, 6.0, 2.0])
    assert profiling.idle_share(begins, ends) == pytest.approx(0.2)


def test_the_sequences_that_are_made_up(tmp_path):
    sizes = gpu.QUICK
    file = made_up.write_sequences(tmp_path / "a.arrow", sizes, 200, padded=0.3)
    longer = file.lengths > sizes.length
    assert 0.1 < longer.mean() < 0.5
    assert (file.lengths[~longer] == sizes.length).all()
    table = made_up.lineages(sizes.classes)
    assert [len(np.unique(column)) for column in table.T] == list(sizes.classes.values())
    assert len(np.unique(file.labels, axis=0)) == len(table)


def test_the_masks_that_are_made_up_have_runs(tmp_path):
    from whatyouread.masks.mask_files import MaskFile

    file = made_up.write_sequences(tmp_path / "a.arrow", gpu.FULL, 300)
    lengths = made_up.write_runs(tmp_path / "masks.parquet", file)
    assert lengths.sum() == 300 * 250
    assert 5.5 < len(lengths) / 300 < 8  # twice the paper's 3.35 relevant chunks
    MaskFile(tmp_path / "masks.parquet", file.ranks).check_against(file)


def test_the_cost_of_the_papers_run():
    rates = {
        "fine-tuning": 1 / 5000,
        "Explainer": 1 / 3500,
        "masks": 1e-4,
        "Table 1": 2e-3,
        "LIME": 0.1,
    }
    figures = {figure.what.split()[0]: figure for figure in papers_cost.papers_run(rates)}
    assert figures["fine-tuning,"].ours == pytest.approx(5 * 4_560_054 / 5000 / 3600)
    explainer = figures["Explainer,"]
    assert explainer.ours == pytest.approx(38 * 239_391 / 3500 / 3600)
    assert explainer.other == pytest.approx(15 + 40 / 60)
    assert figures["LIME"].other == pytest.approx(1000 * 3 * 26 / 3600)
    total = sum(figure.ours for name, figure in figures.items() if name != "all")
    assert figures["all"].ours == pytest.approx(total)
    assert len(list(papers_cost.papers_run({"LIME": 0.1}))) == 1


def bench(*arguments):
    return subprocess.run(
        [sys.executable, BENCH / "bench.py", *map(str, arguments)], capture_output=True, text=True
    )


def test_the_data_stages_take_the_options_that_the_programs_have(tmp_path):
    taxids = paper_size.write_dump(tmp_path / "dump.zip", 20_000)
    paper_size.write_archive(tmp_path / "dataset.zip", taxids, 3_000)
    used = data_stages.stages(tmp_path / "made", tmp_path / "dataset.zip", tmp_path / "dump.zip")
    assert list(used) == list(data_stages.STAGES)
    assert (tmp_path / "made/test.arrow").stat().st_size


def test_the_memory_setting_is_that_of_the_workflow():
    names = [
        part.split("=")[0].rsplit(".")[-1] for part in training_steps.memory_setting().split(":")
    ]
    assert names == ["hugetlb", "mmap_threshold", "trim_threshold"]


def sections_of_make(target):
    """The sections that a target of the Makefile names."""
    text = (PROJECT / "Makefile").read_text(encoding="utf-8")
    return re.search(rf"^{target}: .*\n.* --sections ([a-z_ ]+)", text, re.MULTILINE)[1].split()


WORDS = {
    "gpu": ["fine-tuning", "Explainer", "masks", "LIME", "Table 1", "matrices"],
    "tokenization": ["1,500 bp"],
    "objective": ["forward and backward"],
    "data_stages": ["tokenize_sequences", "peak memory", "labelling and tokenizing"],
    "training_steps": ["training `paper`", "training `sharp`"],
    "explaining": ["masks of the predicted", "generate_masks", "LIME", "Integrated", "sharp"],
}


def test_no_section_is_forgotten():
    named = sections_of_make("bench-quick") + sections_of_make("bench-gpu")
    assert sorted(named) == sorted(WORDS)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["bench-gpu", "bench-quick"])
def test_the_sections_of_a_target_run(target, tmp_path):
    output, sections = tmp_path / "made", sections_of_make(target)
    done = bench("--quick", "--sections", *sections, "--output", output, "--scratch", tmp_path)
    assert done.returncode == 0, done.stderr
    made = json.loads(output.with_suffix(".json").read_text())
    assert made["quick"]
    text = output.with_suffix(".md").read_text()
    assert len({figure["section"] for figure in made["figures"]}) >= len(sections)
    for section in sections:
        for word in WORDS[section]:
            assert any(word in figure["what"] for figure in made["figures"]), word
    for figure in made["figures"]:
        assert f"## {figure['section']}" in text
        assert figure["what"] in text
        numbers = [figure[key] for key in ("ours", "other", "ratio") if figure[key] is not None]
        assert all(math.isfinite(number) and number > 0 for number in numbers)
        assert figure["met"] is None
    if target == "bench-gpu":
        chip = made["gpu"] or "CPU"
        assert all(f"[{chip}, tiny model]" in figure["what"] for figure in made["figures"])
        assert all(
            "device time" in f["note"] or "processor time" in f["note"]
            for f in made["figures"]
            if "matrices" not in f["what"]
        )


def test_without_a_gpu_it_says_so(tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU on this machine")
    done = bench("--sections", "gpu", "--output", tmp_path / "made", "--scratch", tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("gpu: there is no GPU here")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason=missing())
@pytest.mark.parametrize(("step", "passes"), [("fine-tuning", 3), ("LIME", 1)])
def test_kernels_are_counted_at_the_papers_size(step, passes):
    """The products of matrices are those that `flops` has by formulas, and so scaled rightly."""
    import kernels

    prepare, _ = kernels.STEPS[step]
    [(batch, made)] = kernels.count(prepare, (64,)).items()
    linear, attention = flops.encoder_flops(gpu.NT50M, gpu.FULL.length)
    heads = 2 * gpu.NT50M["hidden_size"] * sum(gpu.RANKS.values())
    assert made.operations == pytest.approx(batch * passes * (linear + heads), rel=0.01)
    backwards = 2.5 if passes == 3 else 0
    assert made.attention == pytest.approx(batch * (1 + backwards) * attention, rel=1e-6)
    assert 300 < made.kernels < 3000
    # at least the weights once, and the hidden states of each layer once
    states = 2 * batch * gpu.FULL.length * gpu.NT50M["hidden_size"]
    assert made.bytes > 12 * states * passes
    assert made.waits == 0
    assert made.seconds >= made.bytes / kernels.BANDWIDTH
