"""Both models at full size on one GPU: throughput, memory, and how near it is to the chip's matrix rate.

Everything runs through the project's own code: the loop of the training programs with its data
path, `generate_masks` from token file to Parquet, `MaskedSequences` for Table 1, the `Attributor` for LIME.
The weights are random, the sequences too: only time and memory are looked at.
"""

import dataclasses
import functools
import gc
import itertools
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import measure
import numpy as np
from flops import model_flops
from made_up import lineages, write_runs, write_sequences
from measure import Figure
from papers_cost import EXPLAINER, MASKS, PAPER_SECONDS, papers_run
from profiling import Profile

RANKS = {"superkingdom": 4, "phylum": 55, "genus": 1_878}
NT50M = {
    "vocab_size": 4107,
    "hidden_size": 512,
    "num_hidden_layers": 12,
    "num_attention_heads": 16,
    "intermediate_size": 2048,
    "max_position_embeddings": 2050,
    "position_embedding_type": "rotary",
    "emb_layer_norm_before": False,
    "token_dropout": False,
    "pad_token_id": 1,
    "mask_token_id": 2,
    "layer_norm_eps": 1e-12,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "initializer_range": 0.02,
    "add_bias_fnn": False,
    "tie_word_embeddings": False,
}
TINY = NT50M | {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
}
PRECISIONS = ("bf16", "tf32", "fp32")
PADDED = 0.005  # share of the sequences that hold an N, in the file that has such
DEADLINE = 500  # seconds, after which no further part is begun


@dataclasses.dataclass(frozen=True)
class Sizes:
    """How much is measured. batches: those of the paper, and those that fill the chip."""

    backbone: dict
    classes: dict[str, int]
    length: int
    sequences: int
    part: int  # of the sequences, where time is short
    batches: dict[str, tuple[int, int]]
    at_once: int  # sequences of a batch without gradients
    lime: int  # sequences
    samples: int
    products: int  # rows and columns of the matrices
    warm_up: int  # steps
    seconds: float  # of each training
    profiled: int  # steps


FULL = Sizes(
    NT50M, RANKS, 251, MASKS, 25_910,
    {"fine-tuning": (128, 256), "Explainer": (48, 256)}, 1024, 20, 1000, 8192, 8, 4.0, 4,
)  # fmt: skip
QUICK = Sizes(
    TINY, {"superkingdom": 2, "phylum": 3, "genus": 5}, 31, 96, 96,
    {"fine-tuning": (4, 8), "Explainer": (4, 8)}, 32, 2, 20, 64, 3, 0.05, 2,
)  # fmt: skip


@dataclasses.dataclass
class Measured:
    """What a training showed: steps and their seconds, peak bytes, where the time went."""

    steps: int
    seconds: float
    peak: int
    profile: str


def _watch(bench: "Bench", loop) -> Measured:
    """The time of some steps of a training's first epoch, after a warm-up; then it is left alone."""
    sizes = bench.sizes
    items = loop.rest_of_epoch()

    def seconds_of(steps: int) -> float:
        start = bench.now()
        for item in itertools.islice(items, steps):
            loop.step(item)
        return bench.now() - start

    seconds_of(sizes.warm_up - 1)
    steps = math.ceil(sizes.seconds / seconds_of(1))
    left = loop.steps_per_epoch - sizes.warm_up - sizes.profiled - 1
    steps = max(3, min(steps, 100, left))
    bench.forget_peak()
    measured = Measured(steps, seconds_of(steps), bench.peak(), "")
    profile = Profile(bench.device)
    profile.start()
    seconds_of(sizes.profiled)
    profile.stop()
    return dataclasses.replace(measured, profile=profile.text)


class Bench:
    """The measurements; what they have found so far is in `rates`."""

    def __init__(self, quick: bool, scratch: Path):
        import torch
        import yaml

        self.torch, self.quick = torch, quick
        self.sizes = QUICK if quick else FULL
        self.cuda = torch.cuda.is_available()
        self.device = torch.device("cuda" if self.cuda else "cpu")
        self.threads = max(1, min(8, os.cpu_count() - 1)) if self.cuda else 1
        self.chip = torch.cuda.get_device_name() if self.cuda else "CPU"
        self.h200 = "H200" in self.chip and not quick
        self.config = yaml.safe_load((measure.PROJECT / "config" / "config.yaml").read_text())
        if quick:
            small = {"embedding_size": 8, "hidden_size": 8, "layers": 2}
            self.config["explainer"] |= small
        self.scratch = scratch
        self.file = write_sequences(scratch / "gpu.arrow", self.sizes, self.sizes.sequences)
        self.flops = model_flops(
            self.sizes.backbone, self.sizes.classes, self.sizes.length,
            self.config["explainer"], self.sizes.samples,
        )  # fmt: skip
        self.matrix_rate: dict[str, float] = {}
        self.rates: dict[str, float] = {}  # the best seconds per sequence of each step

    # device

    def now(self) -> float:
        if self.cuda:
            self.torch.cuda.synchronize()
        return time.perf_counter()

    def forget_peak(self) -> None:
        if self.cuda:
            self.torch.cuda.reset_peak_memory_stats()

    def peak(self) -> int:
        return self.torch.cuda.max_memory_allocated() if self.cuda else measure.own_peak_bytes()

    def set_precision(self, precision: str) -> None:
        """As the programs do."""
        from whatyouread.models.inference import choose_device

        choose_device(self.threads, precision)

    def clean(self) -> None:
        self.torch._dynamo.reset()
        gc.collect()
        if self.cuda:
            self.torch.cuda.empty_cache()

    # models

    def explanandum(self, compiled: bool = False):
        from whatyouread.models.explanandum import Explanandum
        from whatyouread.models.inference import compile_encoder

        self.torch.manual_seed(0)
        made = Explanandum(self.sizes.backbone, self.sizes.classes).to(self.device)
        return compile_encoder(made, compiled)

    def explainer_task(self, explanandum):
        """The paper's Explainer and its task, as train_explainer makes them."""
        import train_explainer

        given = self.config["explainer"] | next(iter(self.config["explainers"].values()))
        objective, settings, own, _ = train_explainer.divided(given)
        explainer = objective.make_explainer(own, settings.network, explanandum)
        return explainer, objective(explainer, explanandum, own, 0)

    def passes(self, precision: str, batch_size: int, compiled: bool):
        """Passes of a frozen Explanandum."""
        from whatyouread.models.inference import Passes

        return Passes(self.explanandum(compiled), batch_size, self.device, precision)

    # parts

    def matrix_rates(self) -> Iterator[Figure]:
        """Products of large square matrices: what the chip gives at most."""
        torch, n = self.torch, self.sizes.products
        for precision in PRECISIONS:
            self.set_precision(precision)
            kind = torch.bfloat16 if precision == "bf16" else torch.float32
            one, two = (torch.randn(n, n, device=self.device, dtype=kind) for _ in range(2))
            times = 3 if self.quick else 20 if precision == "bf16" else 10

            def products(one=one, two=two, times=times):
                start = self.now()
                for _ in range(times):
                    one @ two
                return self.now() - start

            products()
            self.matrix_rate[precision] = times * 2 * n**3 / products()
            yield self.figure(
                f"products of {n:,} x {n:,} matrices, {precision}",
                "TFLOP/s", self.matrix_rate[precision] / 1e12,
            )  # fmt: skip

    def training(
        self, kind: str, precision: str, batch: int, compiled: bool = False, padded: float = 0.0
    ) -> Iterator[Figure]:
        """One training by the real loop, for some seconds; half the batch where memory ends."""
        asked_of = precision == "bf16" and batch == self.sizes.batches[kind][1] and not padded
        made = None
        while made is None:
            try:
                made, whole = self._train(kind, precision, batch, compiled, padded)
            except self.torch.OutOfMemoryError:
                if batch == 1:
                    raise
                batch //= 2
            self.clean()
        rate = made.steps * batch / made.seconds
        words = [f"batch {batch}", *(["torch.compile"] if compiled else [])]
        if padded:
            words.append(f"{padded:.1%} of the sequences longer")
        else:
            self.keep(kind, 1 / rate)
        bound = {"fine-tuning": 5_000, "Explainer": 3_500}[kind]
        other = EXPLAINER / PAPER_SECONDS["Explainer"] if kind == "Explainer" else None
        yield self.figure(
            f"{kind}, {precision}, {', '.join(words)}", "sequences/s", rate, other,
            "the paper's run (H100, fp32, batch 48)" if other else "",
            asked=f"at least {bound:,} on one H200" if asked_of else "",
            met=rate >= bound if asked_of else None,
            note=self.explain(rate, self.flops[kind], precision, made.peak, made.profile)
            + f"; {made.steps} steps after {self.sizes.warm_up} ({whole:.0f} s with the start)",
        )  # fmt: skip

    def _train(self, kind: str, precision: str, batch: int, compiled: bool, padded: float):
        """What was measured, and the seconds of everything."""
        from whatyouread.training.batches import Batches
        from whatyouread.training.classification import ClassificationTask
        from whatyouread.training.loop import Loop
        from whatyouread.training.settings import TrainingSettings

        file = self.file
        if padded:
            path = self.scratch / "padded.arrow"
            file = write_sequences(path, self.sizes, self.sizes.part, padded)
        explanandum = self.explanandum()
        section = self.config["explainer" if kind == "Explainer" else "explanandum"]
        names = [field.name for field in dataclasses.fields(TrainingSettings)]
        values = {name: section[name] for name in names}
        values |= {"batch_size": batch, "epochs": 1, "precision": precision, "compile": compiled}
        explain = kind == "Explainer"
        task = self.explainer_task(explanandum)[1] if explain else ClassificationTask(explanandum)
        start = self.now()
        batches = Batches(file, 0)
        loop = Loop(
            task, TrainingSettings(**values), batches, batches, self.scratch, 0, self.threads
        )
        return _watch(self, loop), self.now() - start

    def masks(self, precision: str, compiled: bool = False, part: bool = False) -> Iterator[Figure]:
        """`generate_masks`, from the token file to Parquet."""
        from whatyouread.data.token_files import TokenFile
        from whatyouread.explainers.generation import generate_masks

        self.set_precision(precision)
        passes = self.passes(precision, self.sizes.at_once, compiled)
        explainer, _ = self.explainer_task(passes.explanandum)
        number = self.sizes.part if part else self.sizes.sequences
        some = write_sequences(self.scratch / "some.arrow", self.sizes, 2 * self.sizes.at_once)
        if part:
            write_sequences(self.scratch / "part.arrow", self.sizes, number)
        source = self.scratch / "part.arrow" if part else self.file.path

        def generate(file):
            generate_masks(explainer, passes, file, self.scratch / "made.parquet", seed=0)

        generate(some)  # kernels, or compilation
        self.forget_peak()
        start = self.now()
        generate(TokenFile(source, list(self.sizes.classes)))
        taken = self.now() - start
        peak = self.peak()
        profile = self.profiled(lambda: generate(some))
        self.keep("masks", taken / number)
        seconds = taken * MASKS / number
        best = precision == "bf16" and not part
        yield self.figure(
            f"{MASKS:,} masks from tokens to Parquet, {precision}{_compiled(compiled)}", "s",
            seconds, PAPER_SECONDS["masks"], "the paper's run (one H100)",
            ratio=PAPER_SECONDS["masks"] / seconds,
            asked="under 20 s on one H200" if best else "", met=seconds < 20 if best else None,
            note=self.explain(number / taken, self.flops["masks"], precision, peak, profile)
            + f"; batch {self.sizes.at_once}, {self.scaled(number)}",
        )  # fmt: skip

    def table(self, precision: str, compiled: bool = False) -> Iterator[Figure]:
        """The seven rows of Table 1, for masks with as many chunks as the paper's."""
        from whatyouread.evaluate.masked_predictions import MaskedSequences
        from whatyouread.evaluate.prediction_files import CASES
        from whatyouread.evaluate.table1 import table
        from whatyouread.masks.mask_files import MaskFile

        self.set_precision(precision)
        ranks, number = list(self.sizes.classes), self.sizes.part
        file = write_sequences(self.scratch / "part.arrow", self.sizes, number)
        some = write_sequences(self.scratch / "some.arrow", self.sizes, 2 * self.sizes.at_once)
        passes = self.passes(precision, self.sizes.at_once, compiled)
        lengths = write_runs(self.scratch / "runs.parquet", file)
        write_runs(self.scratch / "some.parquet", some)

        def rows(tokens, masks):
            sequences = MaskedSequences(passes, tokens, MaskFile(masks, ranks), seed=0)
            cases = [case for case in CASES if case[:2] == ("labels", "none")]
            table(sequences.answers(cases), "labels")

        rows(some, self.scratch / "some.parquet")
        self.forget_peak()
        start = self.now()
        rows(file, self.scratch / "runs.parquet")
        taken = self.now() - start
        peak = self.peak()
        profile = self.profiled(lambda: rows(some, self.scratch / "some.parquet"))
        self.keep("Table 1", taken / number)
        chunks = model_flops(
            self.sizes.backbone, self.sizes.classes, lengths + 1.0, self.config["explainer"]
        )["classification"]
        flops = 4 * self.flops["classification"] + chunks.sum() / number
        seconds, best = taken * MASKS / number, precision == "bf16"
        yield self.figure(
            f"the seven rows of Table 1, {precision}{_compiled(compiled)}", "s", seconds,
            asked="under 240 s on one H200" if best else "", met=seconds < 240 if best else None,
            note=self.explain(number / taken, flops, precision, peak, profile)
            + f"; batch {self.sizes.at_once}, {len(lengths) / number:.1f} chunks per sequence, "
            + self.scaled(number),
        )  # fmt: skip

    def lime(self, precision: str, compiled: bool = False) -> Iterator[Figure]:
        """LIME for all ranks (and two sets of other classes), each sequence's passes shared by them."""
        from whatyouread.methods.registry import Attributor

        self.set_precision(precision)
        passes = self.passes(precision, self.sizes.samples, compiled)
        explainer, _ = self.explainer_task(passes.explanandum)
        file = write_sequences(self.scratch / "lime.arrow", self.sizes, self.sizes.lime + 2)
        settings = {"preset": "fair", "samples": self.sizes.samples}
        attributor = Attributor("lime", settings, passes, explainer, seed=0)
        classes = attributor.classes(file, lineages(self.sizes.classes))
        rows = np.arange(len(file))
        attributor.explain(file, rows[:2], classes)
        self.forget_peak()
        attributor.explain(file, rows[2:], classes)
        seconds, peak = attributor.cost["seconds"], self.peak()
        profile = self.profiled(lambda: attributor.explain(file, rows[:2], classes))
        self.keep("LIME", seconds)
        best = precision == "bf16"
        other = PAPER_SECONDS["LIME"] * len(self.sizes.classes)
        yield self.figure(
            f"LIME, {self.sizes.samples:,} samples, all ranks, {precision}{_compiled(compiled)}",
            "s/sequence", seconds, other, "the paper's run (26 s for each rank)",
            ratio=other / seconds,
            asked="under 0.15 s on one H200" if best else "", met=seconds < 0.15 if best else None,
            note=self.explain(1 / seconds, self.flops["LIME"], precision, peak, profile)
            + f"; {len(rows) - 2} sequences",
        )  # fmt: skip

    def predictions(self) -> Iterator[Figure]:
        """What the counts of `kernels.py` make of the same steps; after all that needs the GPU."""
        # not imported: it tells torch of another device
        command = [sys.executable, str(Path(__file__).with_name("kernels.py")), "--json"]
        environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
        made = json.loads(subprocess.check_output(command, env=environment, text=True))
        for step, each in made.items():
            for batch, seconds in each.items():
                yield self.figure(
                    f"{step}, bf16, batch {batch}, predicted for an H200",
                    "sequences/s", int(batch) / seconds,
                    note="by kernels and bytes that are counted, without the LSTM (docs/gpu.md)",
                )  # fmt: skip

    # words

    def keep(self, step: str, seconds: float) -> None:
        self.rates[step] = min(seconds, self.rates.get(step, math.inf))

    def profiled(self, function: Callable[[], object]) -> str:
        profile = Profile(self.device)
        self.now()
        profile.start()
        function()
        self.now()
        profile.stop()
        return profile.text

    def explain(self, rate: float, flops: float, precision: str, peak: int, profile: str) -> str:
        """rate: sequences/s; flops: per sequence."""
        part = rate * flops / self.matrix_rate[precision]
        return (
            f"{flops / 1e9:.3g} GFLOP per sequence, {part:.0%} of the measured matrix rate; "
            f"peak {peak / 2**30:.3g} GiB; {profile}"
        )

    def scaled(self, number: int) -> str:
        return f"measured on {number:,} sequences" + (" and scaled" if number < MASKS else "")

    def figure(
        self, what: str, unit: str, ours: float, other: float | None = None,
        compared_with: str = "", ratio: float | None = None, asked: str = "",
        met: bool | None = None, note: str = "",
    ) -> Figure:  # fmt: skip
        """Only an H200 can meet or miss what is asked of one; a tiny model is compared with nothing."""
        if self.quick:
            what, other, compared_with, ratio = f"[{self.chip}, tiny model] {what}", None, "", None
        if ratio is None and other:
            ratio = ours / other
        asked, met = (asked, met) if self.h200 else ("", None)
        return Figure(
            "Models, one GPU",
            what,
            unit,
            float(ours),
            other,
            compared_with,
            ratio,
            asked,
            met,
            note,
        )


def _compiled(compiled: bool) -> str:
    return ", compiled" if compiled else ""


def parts(bench: Bench) -> list[tuple[str, int, Callable[[], Iterator[Figure]]]]:
    """What is measured, the most important first: name, seconds that it may take, how."""
    part = functools.partial
    batches = bench.sizes.batches
    large = {kind: sizes[1] for kind, sizes in batches.items()}
    made = [
        ("matrix rates", 15, bench.matrix_rates),
        ("fine-tuning", 30, part(bench.training, "fine-tuning", "bf16", large["fine-tuning"])),
        ("Explainer", 30, part(bench.training, "Explainer", "bf16", large["Explainer"])),
        ("masks", 45, part(bench.masks, "bf16")),
        ("LIME", 20, part(bench.lime, "bf16")),
        ("Table 1", 60, part(bench.table, "bf16")),
    ]
    for kind in batches:
        made.append(
            (f"{kind}, the paper's", 25, part(bench.training, kind, "fp32", batches[kind][0]))
        )
    if not bench.quick:
        made += [
            ("masks, compiled", 70, part(bench.masks, "bf16", compiled=True, part=True)),
            ("LIME, compiled", 60, part(bench.lime, "bf16", compiled=True)),
        ]
    made.append(
        ("padding", 25,
         part(bench.training, "fine-tuning", "bf16", large["fine-tuning"], padded=PADDED))
    )  # fmt: skip
    if bench.quick:
        return made
    made += [  # compilation takes most of that
        (f"{kind}, compiled", 100, part(bench.training, kind, "bf16", large[kind], True))
        for kind in batches
    ]
    # what is left over
    for kind, precision in itertools.product(batches, PRECISIONS):
        for batch in batches[kind]:
            if (precision, batch) not in (("bf16", large[kind]), ("fp32", batches[kind][0])):
                name = f"{kind}, {precision}, {batch}"
                made.append((name, 20, part(bench.training, kind, precision, batch)))
    for precision in PRECISIONS[1:]:
        made += [
            (f"LIME, {precision}", 40, part(bench.lime, precision)),
            (f"masks, {precision}", 40, part(bench.masks, precision, part=True)),
        ]
    return made


def run(quick: bool, scratch: Path) -> Iterator[Figure]:
    """The figures as they come, so that what is measured is kept if the machine is taken away."""
    import torch

    if not (quick or torch.cuda.is_available()):
        sys.exit(
            "gpu: there is no GPU here that torch can use; --quick tries the script on the CPU"
        )
    logging_quiet()
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gpu-", dir=scratch) as folder:
        bench, left_out = Bench(quick, Path(folder)), []
        for name, seconds, measured in parts(bench):
            if not quick and time.monotonic() - start + seconds > DEADLINE:
                left_out.append(f"{name}: no time")
                continue
            measure.say(f"gpu: {name} ({time.monotonic() - start:.0f} s)")
            try:
                yield from measured()
            except Exception as error:
                if quick:
                    raise
                reason = " ".join(str(error).split())[:200]
                left_out.append(f"{name}: {type(error).__name__}: {reason}")
                measure.say(f"gpu: {left_out[-1]}")
            bench.clean()
        if left_out:
            yield bench.figure("parts left out", "parts", len(left_out), note="; ".join(left_out))
        if not quick:
            yield from papers_run(bench.rates)
            yield from bench.predictions()


def logging_quiet() -> None:
    """Without the libraries' own remarks between the lines of progress."""
    import logging
    import warnings

    warnings.filterwarnings("ignore")
    logging.getLogger("whatyouread").setLevel(logging.ERROR)
