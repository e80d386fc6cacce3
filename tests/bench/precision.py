"""The demo's Table 1 in fp32 and in bf16, with the same seed, and in fp32 with another seed."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from helpers_workflow import SNAKEFILE, TINY, write_config
from measure import PROJECT, Figure, say

SECTION = "Precision: Table 1 of the demo"
RANKS = ("superkingdom", "phylum", "genus")


def table1(folder: Path, config: dict) -> tuple[pd.DataFrame, float]:
    """Run the workflow up to Table 1; returns it, and the seconds of the two trainings."""
    write_config(folder, config)
    with open(folder / "log", "wb") as log:
        subprocess.run(
            [
                sys.executable, "-m", "snakemake", "--snakefile", SNAKEFILE,
                "--directory", folder, "--cores", "2", "--", "results/table1.tsv",
            ],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL, check=True,
        )  # fmt: skip
    seconds = sum(
        pd.read_csv(path, sep="\t")["s"].sum() for path in folder.glob("benchmarks/train_*/*.tsv")
    )
    table = pd.read_csv(folder / "results" / "table1.tsv", sep="\t").set_index("condition")
    return table[list(RANKS)], seconds


def run(quick: bool, scratch: Path) -> list[Figure]:
    """Largest and mean differences between the 21 numbers of Table 1, in points."""
    config = TINY
    if not quick:
        config = yaml.safe_load((PROJECT / ".test" / "config" / "config.yaml").read_text())
    half = {
        section: config.get(section, {}) | {"precision": "bf16"}
        for section in ("explanandum", "explainer", "evaluation")
    }
    runs = {"fp32": config, "bf16": config | half, "seed": config | {"seed": config["seed"] + 1}}
    tables, taken = {}, {}
    for name, changed in runs.items():
        tables[name], taken[name] = table1(scratch / f"precision_{name}", changed)
        say(f"  {name}: {taken[name]:.0f} s of training")

    def difference(other: str) -> np.ndarray:
        return (tables[other] - tables["fp32"]).abs().to_numpy()

    ours, noise = difference("bf16"), difference("seed")
    plain = tables["bf16"].loc["explanandum"] - tables["fp32"].loc["explanandum"]
    within = None if quick else float(np.nanmean(ours)) <= float(np.nanmean(noise))
    figures = [
        Figure(
            SECTION, f"{what} difference of the 21 numbers, bf16 to fp32", "points",
            float(of(ours)), float(of(noise)), "fp32 with another seed",
            asked="within the noise of seeds" if of is np.nanmean else "",
            met=within if of is np.nanmean else None,
        )
        for what, of in (("largest", np.nanmax), ("mean", np.nanmean))
    ]  # fmt: skip
    signed = ", ".join(f"{plain[rank]:+.2f}" for rank in RANKS)
    return [
        *figures,
        Figure(
            SECTION, "training time, both models", "s", taken["bf16"], taken["fp32"], "fp32",
            taken["fp32"] / taken["bf16"], note=f"unmasked accuracy, bf16 less fp32: {signed}",
        ),
    ]  # fmt: skip
