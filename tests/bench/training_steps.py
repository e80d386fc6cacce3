"""A training step of both Explainers on one core, at the size of the demo of version 0.1.0.

With the memory setting of the workflow and without it (docs/speed.md, "Memory that stays"), in turn, each in
a process of its own; and beside the time that the products alone would take at the rate of a large one.
Weights and sequences are random.
"""

import dataclasses
import functools
import os
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from explaining import DEMO, STATES
from flops import model_flops
from gpu import FULL, NT50M
from made_up import write_sequences
from measure import PROJECT, SCRIPTS, Figure, say, seconds

SECTION = "A training step, one core"
CLASSES = {"superkingdom": 4, "phylum": 9, "genus": 22}
EXPLAINER = {"embedding_size": 100, "hidden_size": STATES["demo's size"], "layers": 2}
SIZES, BATCH = dataclasses.replace(FULL, classes=CLASSES), 48
STEPS, ROUNDS = 15, 3
WARM_UP = 3  # steps until the memory has its size
ROWS = 2048  # and columns of the product that shows the core's rate
OBJECTIVES = {"paper": "Explainer", "sharp": "sharp"}
"""What is trained, and its name in `model_flops`."""


def memory_setting() -> str:
    """The value of GLIBC_TUNABLES that the workflow sets."""
    text = (PROJECT / "workflow" / "rules" / "common.smk").read_text(encoding="utf-8")
    return ":".join(re.findall(r"glibc\.malloc\.\w+=\d+", text))


def measured(objective: str, steps: int) -> float:
    """The median seconds of a step: forward pass, backward pass and optimizer; in this process."""
    import torch

    from whatyouread.explainers.objective import NetworkSettings
    from whatyouread.explainers.objectives import find_objective
    from whatyouread.models.explanandum import Explanandum

    torch.set_num_threads(1)
    torch.manual_seed(0)
    explanandum = Explanandum(NT50M | DEMO, CLASSES)
    of = find_objective(objective)
    settings, network = of.Settings(), NetworkSettings(*EXPLAINER.values())
    task = of(of.make_explainer(settings, network, explanandum), explanandum, settings, 0).train()
    own = [p for p in task.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(own)
    with tempfile.TemporaryDirectory() as folder:
        file = write_sequences(Path(folder) / "sequences.arrow", SIZES, BATCH)
        batch = file.batch(np.arange(BATCH)).to("cpu")
        labels = torch.from_numpy(file.labels)

    def step():
        optimizer.zero_grad()
        task(batch, labels)["loss"].backward()
        optimizer.step()

    return seconds(step, repeat=steps, warm_up=WARM_UP)


def in_its_own(objective: str, steps: int, setting: str | None) -> float:
    """`measured` in another process, with a value of GLIBC_TUNABLES or without one."""
    environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    environment |= {"PYTHONPATH": str(SCRIPTS)}
    if setting is not None:
        environment["GLIBC_TUNABLES"] = setting
    done = subprocess.run(
        [sys.executable, Path(__file__).resolve(), objective, str(steps)],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(done.stdout)


def matrix_rate(rows: int) -> float:
    """Operations of matrix products a second on one core."""
    import torch

    torch.set_num_threads(1)
    one = torch.randn(rows, rows)
    multiply = functools.partial(torch.mm, one, one, out=torch.empty_like(one))
    return 2 * rows**3 / seconds(multiply, repeat=5)


def run(quick: bool, scratch: Path) -> Iterator[Figure]:
    """Milliseconds of a sequence, with the setting and without, and the share of the products."""
    steps, rounds = (1, 1) if quick else (STEPS, ROUNDS)
    operations = model_flops(NT50M | DEMO, CLASSES, SIZES.length, EXPLAINER)
    rows = ROWS // 8 if quick else ROWS
    rate = matrix_rate(rows)
    for objective, name in OBJECTIVES.items():
        taken = {memory_setting(): [], None: []}
        for _ in range(rounds):
            for setting, own in taken.items():
                own.append(in_its_own(objective, steps, setting))
        ours, other = (1e3 * statistics.median(own) / BATCH for own in taken.values())
        products = 1e3 * operations[name] / rate
        say(f"  {objective}: {ours:.1f} ms, {other:.1f} ms, products {products:.1f} ms")
        yield Figure(
            SECTION, f"training `{objective}`, a sequence of a batch of {BATCH}", "ms", ours, other,
            "without the memory setting", other / ours,
            note=f"its matrix products alone take {products:.1f} ms at {rate / 1e9:.0f} GFLOP/s, the rate "
            f"of a product of {rows:,} rows",
        )  # fmt: skip


if __name__ == "__main__":
    print(measured(sys.argv[1], int(sys.argv[2])))
