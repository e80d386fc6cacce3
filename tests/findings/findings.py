"""Make a part of FINDINGS.md again: the run, and its tables.

    python tests/findings/findings.py rivals --layers 4 -- --cores 2
    python tests/findings/findings.py length --layers 4 -- --cores 2
    python tests/findings/findings.py real --dataset FILE --taxdump FILE -- --cores 2
    python tests/findings/findings.py signal --data FOLDER --encoder FOLDER -- --cores 2

What follows `--` goes to Snakemake. Tables are printed, and written to `tables.md` in the folder of the run.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import proteins
import texts
import yaml

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
sys.path.append(str(PROJECT / "scripts"))

import tables  # noqa: E402


class Part(NamedTuple):
    """What is run, and how it is told.

    files: configurations, each of which adds to the sections of the one before, and replaces its Explainers.
    needs: arguments without a default; targets: what Snakemake makes, with {explainer} for each of them.
    dataset: records and lines of BED from the folder `--data`, as `proteins.dataset`.
    """

    files: tuple[str, ...]
    needs: tuple[str, ...] = ()
    targets: tuple[str, ...] = ("results/steering.md", "results/evidence.tsv")
    tables: Callable[[Path], str] = tables.text
    dataset: Callable | None = None


FOLDERS = ("data", "encoder")
PARTS = {
    "rivals": Part(("rivals.yaml",)),
    "length": Part(
        ("rivals.yaml", "length.yaml"),
        targets=("results/explainers/{explainer}/table1.tsv",),
        tables=tables.length,
    ),
    "real": Part(
        ("../../config/small.yaml", "real.yaml"),
        ("dataset", "taxdump"),
        ("results/steering.md", "results/motif_effects.tsv"),
    ),
    "signal": Part(("proteins.yaml",), FOLDERS, dataset=proteins.dataset),
    "helix": Part(("proteins.yaml",), FOLDERS, dataset=proteins.dataset),
    "propaganda": Part(("texts.yaml",), FOLDERS, dataset=texts.dataset),
}
BY_LAYERS = ("rivals", "length")
RATES = {1: (0.004, 4), 2: (0.004, 4)}
"""Layers -> the classifier's learning rate, and the epochs of Explainers that name none."""
DEEPER = (0.002, 3)
"""With more layers."""


def configuration(part: str, layers: int, seed: int) -> dict:
    """The configuration of a part, without its data."""
    made = {"seed": seed}
    for file in PARTS[part].files:
        for section, own in yaml.safe_load((HERE / file).read_text()).items():
            added = isinstance(own, dict) and section != "explainers"
            made[section] = made.get(section, {}) | own if added else own
    if part in BY_LAYERS:
        rate, epochs = RATES.get(layers, DEEPER)
        made["backbone"]["num_hidden_layers"] = layers
        made["explanandum"]["learning_rate"] = rate
        for own in made["explainers"].values():
            own.setdefault("epochs", epochs)
    return made


def main() -> int:
    args, options = parsed(sys.argv[1:])
    part = PARTS[args.part]
    try:
        given = part.dataset and part.dataset(args.data, args.part, args.seed)
    except (OSError, ValueError) as error:
        sys.exit(f"findings.py: {error}")
    about = [args.part, *([args.layers] if args.part in BY_LAYERS else []), args.seed]
    run = (args.runs / "_".join(map(str, about))).resolve()
    run.mkdir(parents=True, exist_ok=True)
    made = configuration(args.part, args.layers, args.seed)
    if args.part == "real":
        for section in part.needs:
            made[section] = {"url": str(getattr(args, section).resolve())}
    elif given:
        records, positions = given
        data, known = run / f"{args.part}.jsonl", run / f"{args.part}.bed"
        data.write_text("".join(json.dumps(record) + "\n" for record in records))
        known.write_text("".join(f"{line}\n" for line in positions))
        made["dataset"], made["positions"] = {"url": str(data)}, str(known)
        made["backbone"] = {"path": str(args.encoder.resolve())}
    config = run / "config.yaml"
    config.write_text(yaml.safe_dump(made, sort_keys=False))
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", PROJECT / "workflow/Snakefile"]
    command = [*snakemake, "--directory", run, "--configfile", config, *options, "--"]
    for target in part.targets:
        command += dict.fromkeys(target.format(explainer=own) for own in made["explainers"])
    code = subprocess.run([str(word) for word in command]).returncode
    if code or {"-n", "--dry-run", "--dryrun"} & set(options):
        return code
    text = part.tables(run)
    (run / "tables.md").write_text(text)
    print(text)
    return 0


def parsed(given: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our own arguments, and Snakemake's."""
    place = given.index("--") if "--" in given else len(given)
    own = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    own.add_argument("part", choices=PARTS)
    own.add_argument("--layers", type=int, default=1, help=f"of {' and '.join(BY_LAYERS)}")
    own.add_argument("--seed", type=int, default=42)
    own.add_argument("--dataset", type=Path, help="of real: FASTA as in BERTax's, packed")
    own.add_argument("--taxdump", type=Path, help="of real: NCBI's")
    own.add_argument(
        "--data",
        type=Path,
        help="folder: TMbed's cv_0N*.fasta.gz, or propaganda_*.txt.gz and blocks",
    )
    own.add_argument("--encoder", type=Path, help="folder: config.json, tokenizer, safetensors")
    own.add_argument("--runs", type=Path, default=Path("runs/findings"))
    args = own.parse_args(given[:place])
    needed = PARTS[args.part].needs
    if not all(getattr(args, name) for name in needed):
        own.error(f"{args.part} needs {' and '.join(f'--{name}' for name in needed)}")
    return args, given[place + 1 :] or ["--cores", "1"]


if __name__ == "__main__":
    sys.exit(main())
