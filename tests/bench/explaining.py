"""What an explanation costs on one CPU core: the Explainer beside LIME and Integrated Gradients.

In seconds of the processor, which other programs on the machine do not lengthen as much as the clock's.
And captum's methods called as its documentation shows: one target of one rank at a time, with its
default batches. Weights and sequences are random.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measure import Figure, say

SECTION = "Explanations, one core"
# as in the demo, and one between it and the paper's; with the paper's classes and length
STATES = {"demo's size": 40, "medium": 80}  # of the Explainer's LSTM, in each direction
DEMO = {
    "hidden_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 128,
}
MEDIUM = {
    "hidden_size": 128,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 256,
}
SAMPLES, STEPS = 1000, 50  # of LIME, of Integrated Gradients
ASKED = 500  # times cheaper than LIME
BATCH = 64  # on a CPU: what is worked on stays in its cache


class Costs:
    """Seconds per sequence of one model, by what is done."""

    def __init__(self, name: str, backbone: dict, quick: bool, folder: Path):
        import dataclasses

        import gpu
        import torch

        from whatyouread.explainers.network import Explainer
        from whatyouread.models.explanandum import Explanandum
        from whatyouread.models.inference import Passes

        self.name, self.folder, self.gpu = name, folder, gpu
        self.samples, self.steps = (20, 4) if quick else (SAMPLES, STEPS)
        # sequences for the masks, for our methods, for captum's
        self.counts = (32, 2, 1) if quick else (512, 2, 1)
        self.sizes = dataclasses.replace(gpu.QUICK if quick else gpu.FULL)
        torch.manual_seed(0)
        classes = self.sizes.classes
        self.explanandum = Explanandum(gpu.NT50M | backbone, classes)
        self.passes = Passes(self.explanandum, BATCH, torch.device("cpu"))
        size, states = backbone["hidden_size"], STATES[name]
        self.explainers = {
            "paper's": Explainer(classes, hidden_size=states),
            "sharp": Explainer(
                classes, size, states, target="sequence", reads=size, gated=True
            ).start_from(self.explanandum),
        }

    def masks(self, variant: str, sequences: int) -> float:
        """`generate_masks`: all that is written, from the token file to Parquet."""
        from whatyouread.explainers.generation import generate_masks

        file = self.gpu.write_sequences(self.folder / "masks.arrow", self.sizes, sequences)
        start = time.process_time()
        generate_masks(
            self.explainers[variant], self.passes, file, self.folder / "masks.parquet", seed=0
        )
        return (time.process_time() - start) / sequences

    def inner(self, variant: str, sequences: int) -> float:
        """The masks of the predicted classes alone, as a user without labels wants them."""
        import torch

        from whatyouread.models.inference import batches
        from whatyouread.models.mask_operator import read, target_mask

        file = self.gpu.write_sequences(self.folder / "masks.arrow", self.sizes, sequences)
        explainer = self.explainers[variant].eval()
        start = time.process_time()
        with torch.inference_mode():
            for _, batch in batches(file, BATCH, self.passes.device):
                states, logits = read(self.explanandum, batch)
                sets = self.explanandum.predictions(logits).unsqueeze(1)
                target_mask(explainer.class_masks(batch.with_states(states), sets)).numpy()
        return (time.process_time() - start) / sequences

    def ours(self, method: str, settings: dict, sequences: int) -> float:
        """One of our methods, for all ranks and two sets of other classes."""
        from whatyouread.methods.registry import Attributor

        file = self.gpu.write_sequences(self.folder / "ours.arrow", self.sizes, sequences)
        attributor = Attributor(method, settings, self.passes, self.explainers["paper's"], seed=0)
        classes = attributor.classes(file, self.gpu.lineages(self.sizes.classes))
        start = time.process_time()
        attributor.explain(file, np.arange(sequences), classes)
        return (time.process_time() - start) / sequences

    def captum(self, method: str, sequences: int) -> float:
        """captum as documented, once for each rank."""
        import torch
        from captum.attr import IntegratedGradients, Lime

        from whatyouread.models.mask_operator import masked_logits

        file = self.gpu.write_sequences(self.folder / "captum.arrow", self.sizes, sequences)
        batch = file.batch(np.arange(sequences)).to("cpu")
        start = time.process_time()
        for row in range(sequences):
            alone = batch.alone(row)
            for rank in range(len(file.ranks)):

                def forward(mask, alone=alone, rank=rank):
                    logits = masked_logits(self.explanandum, alone.repeat(len(mask)), mask)
                    return logits[rank].log_softmax(-1)

                ones = torch.ones(alone.ids.shape)
                target = int(forward(ones).argmax())
                if method == "lime":
                    Lime(forward).attribute(ones, target=target, n_samples=self.samples)
                else:
                    IntegratedGradients(forward).attribute(ones, target=target, n_steps=self.steps)
        return (time.process_time() - start) / sequences


def run(quick: bool, scratch: Path) -> Iterator[Figure]:
    """Costs per sequence of both models, and how ours grow with the number of sequences."""
    import logging

    import torch

    torch.set_num_threads(1)
    logging.getLogger("whatyouread").setLevel(logging.ERROR)
    models = {"demo's size": DEMO} if quick else {"demo's size": DEMO, "medium": MEDIUM}
    with tempfile.TemporaryDirectory(prefix="explaining-", dir=scratch) as folder:
        for name, backbone in models.items():
            yield from _compare(Costs(name, backbone, quick, Path(folder)), quick)


def _compare(costs: Costs, quick: bool) -> Iterator[Figure]:
    many, few, single = costs.counts
    lime = {"preset": "fair", "samples": costs.samples}
    gradients = {"steps": costs.steps}
    for variant in costs.explainers:  # what is loaded or allocated the first time
        costs.inner(variant, 2)
    costs.ours("lime", lime | {"samples": 2}, 1)
    costs.ours("integrated_gradients", {"steps": 2}, 1)

    slow = costs.ours("lime", lime, few)
    shown = f"our LIME, {costs.samples:,} samples, all ranks"
    for variant in costs.explainers:
        for what, taken in (
            ("masks of the predicted classes", costs.inner(variant, many)),
            ("generate_masks (3 sets of classes, to Parquet)", costs.masks(variant, many)),
        ):
            ratio = slow / taken
            yield _figure(
                costs, f"{what}, {variant} Explainer", taken, slow, shown, ratio,
                f"at least {ASKED} times cheaper", None if quick else ratio >= ASKED,
                f"{many} sequences, batch {BATCH}",
            )  # fmt: skip
    say(f"  captum, {costs.name}")
    documented = costs.captum("lime", single)
    yield _figure(
        costs, f"LIME, {costs.samples:,} samples, all ranks", slow, documented,
        "captum as documented, once for each rank", documented / slow,
        note=f"{few} sequences, and {single} by captum",
    )  # fmt: skip
    ours, documented = (
        costs.ours("integrated_gradients", gradients, few),
        costs.captum("integrated_gradients", few),
    )
    yield _figure(
        costs, f"Integrated Gradients, {costs.steps} steps, all ranks", ours, documented,
        "captum as documented, once for each rank", documented / ours,
        note="ours also for two sets of other classes, two more passes back",
    )  # fmt: skip
    growth = (
        ("masks of the predicted classes", lambda n: costs.inner("paper's", n), many),
        ("generate_masks", lambda n: costs.masks("paper's", n), many),
        ("LIME", lambda n: costs.ours("lime", lime, n), 1),
        ("Integrated Gradients", lambda n: costs.ours("integrated_gradients", gradients, n), 1),
    )
    if costs.name != "demo's size":
        return
    for what, cost, number in growth:
        one, ten = cost(number) * number, cost(10 * number) * 10 * number
        yield Figure(
            SECTION, f"{what}, {10 * number:,} sequences ({costs.name})", "CPU s", ten, one,
            f"{number:,} sequences", ten / one,
        )  # fmt: skip


def _figure(
    costs: Costs, what: str, ours: float, other: float, compared_with: str, ratio: float,
    asked: str = "", met: bool | None = None, note: str = "",
) -> Figure:  # fmt: skip
    what = f"{what} ({costs.name})"
    unit = "CPU s/sequence"
    return Figure(SECTION, what, unit, ours, other, compared_with, ratio, asked, met, note)
