"""Make a part of FINDINGS.md again: the run, and its tables.

    python tests/findings/findings.py rivals --layers 4 -- --cores 2
    python tests/findings/findings.py real --dataset FILE --taxdump FILE -- --cores 2
    python tests/findings/findings.py signal --proteins FOLDER --encoder FOLDER -- --cores 2

What follows `--` goes to Snakemake. Tables are printed, and written to `tables.md` in the folder of the run.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import proteins
import yaml

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parents[1]
sys.path.append(str(PROJECT / "scripts"))

import tables  # noqa: E402

TARGETS = {"real": ("results/steering.md", "results/motif_effects.tsv")}
KNOWN = ("results/steering.md", "results/evidence.tsv")
"""What a part makes, and what those with known positions make."""
FILES = {"rivals": "rivals.yaml", "real": "real.yaml"}
RATES = {1: (0.004, 4), 2: (0.004, 4)}
"""Layers -> the classifier's learning rate, and the epochs of all Explainers but the paper's."""
DEEPER = (0.002, 3)
"""With more layers."""


def configuration(part: str, layers: int, seed: int) -> dict:
    """The configuration of a part, without its data."""
    made = yaml.safe_load((HERE / FILES.get(part, "proteins.yaml")).read_text())
    if part == "real":
        made = yaml.safe_load((PROJECT / "config/small.yaml").read_text()) | made
    made["seed"] = seed
    if part == "rivals":
        rate, epochs = RATES.get(layers, DEEPER)
        made["backbone"]["num_hidden_layers"] = layers
        made["explanandum"]["learning_rate"] = rate
        for own in made["explainers"].values():
            own.setdefault("epochs", epochs)
    return made


def main() -> int:
    args, options = parsed(sys.argv[1:])
    name = f"{args.part}_{args.layers}_{args.seed}" if args.part == "rivals" else args.part
    run = (args.runs / name).resolve()
    run.mkdir(parents=True, exist_ok=True)
    made = configuration(args.part, args.layers, args.seed)
    if args.part == "real":
        for section in ("dataset", "taxdump"):
            made[section] = {"url": str(getattr(args, section).resolve())}
    elif args.part in proteins.QUESTIONS:
        data, known = proteins.write(args.proteins, args.part, run, args.seed)
        made["dataset"], made["positions"] = {"url": str(data)}, str(known)
        made["backbone"] = {"path": str(args.encoder.resolve())}
    config = run / "config.yaml"
    config.write_text(yaml.safe_dump(made, sort_keys=False))
    snakemake = [sys.executable, "-m", "snakemake", "--snakefile", PROJECT / "workflow/Snakefile"]
    command = [*snakemake, "--directory", run, "--configfile", config, *options, "--"]
    command += TARGETS.get(args.part, KNOWN)
    code = subprocess.run([str(part) for part in command]).returncode
    if code or {"-n", "--dry-run", "--dryrun"} & set(options):
        return code
    text = tables.text(run)
    (run / "tables.md").write_text(text)
    print(text)
    return 0


def parsed(given: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our own arguments, and Snakemake's."""
    place = given.index("--") if "--" in given else len(given)
    own = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    own.add_argument("part", choices=["rivals", "real", *proteins.QUESTIONS])
    own.add_argument("--layers", type=int, default=1, help="of the encoder of rivals")
    own.add_argument("--seed", type=int, default=42)
    own.add_argument("--dataset", type=Path, help="of real: FASTA as in BERTax's, packed")
    own.add_argument("--taxdump", type=Path, help="of real: NCBI's")
    own.add_argument("--proteins", type=Path, help="folder with TMbed's cv_0N*.fasta.gz")
    own.add_argument("--encoder", type=Path, help="folder of ESM-2 8M: config.json, safetensors")
    own.add_argument("--runs", type=Path, default=Path("runs/findings"))
    args = own.parse_args(given[:place])
    needed = {"rivals": (), "real": ("dataset", "taxdump")}.get(args.part, ("proteins", "encoder"))
    if not all(getattr(args, name) for name in needed):
        own.error(f"{args.part} needs {' and '.join(f'--{name}' for name in needed)}")
    return args, given[place + 1 :] or ["--cores", "1"]


if __name__ == "__main__":
    sys.exit(main())
