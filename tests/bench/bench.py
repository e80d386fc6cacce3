"""Measure the pipeline beside what a user would else run; `make bench`, `make bench-gpu`.

Writes OUTPUT.json and OUTPUT.md. Every section is a module here with `run(quick, scratch)`, which
returns or yields figures; --quick takes a small part of the work, for continuous integration.
"""

import argparse
import importlib
import shutil
import sys
import tempfile
import time
from pathlib import Path

import measure

sys.path[:0] = [str(measure.SCRIPTS), str(measure.PROJECT / "tests")]
SECTIONS = ("tokenization", "objective", "data_stages", "training_steps", "explaining", "precision")
GPU_SECTIONS = ("gpu",)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--quick", action="store_true", help="a small part of the work")
    add("--sections", nargs="+", default=SECTIONS, choices=[*SECTIONS, *GPU_SECTIONS])
    add("--output", type=Path, help="default: benchmarks/paper_scale, or benchmarks/quick")
    add("--scratch", type=Path, help="folder with room for 10 GB; default: a temporary one")
    args = parser.parse_args()
    name = "quick" if args.quick else "paper_scale"
    output = args.output or measure.PROJECT / "benchmarks" / name
    figures: list[measure.Figure] = []
    scratch = args.scratch or Path(tempfile.mkdtemp(prefix="bench-"))
    try:
        for section in args.sections:
            start = time.monotonic()
            measure.say(f"{section} ...")
            # after each figure: a benchmark that is stopped keeps what it has measured
            for figure in importlib.import_module(section).run(args.quick, scratch):
                figures.append(figure)
                measure.write(figures, measure.machine() | {"quick": args.quick}, output)
            measure.say(f"{section}: {time.monotonic() - start:.0f} s")
    finally:
        if not args.scratch:
            shutil.rmtree(scratch, ignore_errors=True)
    print(output.with_suffix(".md").read_text(encoding="utf-8"))
    missed = [figure.what for figure in figures if figure.met is False]
    if missed and not args.quick:
        measure.say(f"missed: {'; '.join(missed)}")


if __name__ == "__main__":
    main()
