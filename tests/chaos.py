"""Kill runs of the workflow at random moments, start them again, and compare what they make.

One run is left alone. Each of the others, in a folder of its own, is killed up to three times (the
whole process group) and started again as README.md says; its table must then be that of the first
run, byte for byte. What follows `--` goes to Snakemake.

    python tests/chaos.py --runs 20 --config .test -- --cores 2
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import psutil
from helpers_workflow import SNAKEFILE, TINY, write_config

LONGEST_END = 120  # seconds from SIGTERM to SIGKILL


def snakemake(folder: Path, options: list[str]) -> subprocess.Popen:
    """Snakemake in a process group of its own, with its output appended to FOLDER.log."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", SNAKEFILE]
    with open(f"{folder}.log", "ab") as log:
        return subprocess.Popen(
            [*map(str, command), "--directory", str(folder), *options],
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def lives(group: int) -> bool:
    """Whether a process of the group is left that is no zombie."""
    for process in psutil.process_iter(["status"]):
        with contextlib.suppress(ProcessLookupError):
            if process.info["status"] != psutil.STATUS_ZOMBIE and os.getpgid(process.pid) == group:
                return True
    return False


def end(process: subprocess.Popen, number: int) -> None:
    """Send the signal to the whole group, and wait until nothing of it is left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    deadline = time.monotonic() + LONGEST_END
    while lives(process.pid):
        if time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.poll()
        time.sleep(0.2)
    process.wait()


def run(folder: Path, options: list[str], moments: list[float], number: int) -> None:
    """A run that is killed after so many seconds, once for each moment, and at last left alone."""
    for moment in moments:
        process = snakemake(folder, options)
        try:
            if process.wait(timeout=moment) == 0:
                print(f"{folder.name}: through before {moment:.1f} s", flush=True)
                return
            raise SystemExit(f"{folder}: failed by itself, see {folder}.log")
        except subprocess.TimeoutExpired:
            end(process, number)
            print(f"{folder.name}: {signal.Signals(number).name} after {moment:.1f} s", flush=True)
        # a killed Snakemake leaves its lock
        assert snakemake(folder, ["--unlock"]).wait() == 0, f"{folder}: --unlock failed"
    if snakemake(folder, [*options, "--rerun-incomplete"]).wait():
        raise SystemExit(f"{folder}: does not go on after it was killed, see {folder}.log")


def configured(folder: Path, config: Path | None) -> Path:
    """A new folder with the configuration, the tests' tiny one where none is given."""
    shutil.rmtree(folder, ignore_errors=True)
    if config is not None:
        shutil.copytree(config / "config", folder / "config")
        return folder
    return write_config(folder, TINY)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add = parser.add_argument
    add("--runs", type=int, default=20, help="runs that are killed, for each signal")
    add("--signals", nargs="+", default=["KILL", "TERM"], choices=["KILL", "TERM"])
    add("--config", type=Path, help="folder with config/config.yaml (default: a tiny one)")
    add("--output", type=Path, default=Path("runs/chaos"), help="folder for the runs")
    add("--table", default="results/table1.tsv", help="what is made and compared")
    add("--seed", type=int, default=0, help="of the moments")
    add("--at-once", type=int, default=1, help="runs side by side")
    add("options", nargs="*", help="Snakemake's")
    args = parser.parse_args()
    options = [args.table, *(args.options or ["--cores", "2"])]
    output = args.output.absolute()
    started = time.monotonic()
    reference = configured(output / "reference", args.config)
    run(reference, options, [], signal.SIGKILL)
    whole = time.monotonic() - started
    expected = (reference / args.table).read_bytes()
    print(f"left alone: {whole:.0f} s", flush=True)
    rng, planned = random.Random(args.seed), []
    for name in args.signals:
        for number in range(1, args.runs + 1):
            moments = [rng.uniform(0.5, whole) for _ in range(rng.randint(1, 3))]
            planned.append((f"{name}-{number}", getattr(signal, f"SIG{name}"), moments))

    def same(name: str, number: int, moments: list[float]) -> bool:
        folder = configured(output / name, args.config)
        run(folder, options, moments, number)
        if (folder / args.table).read_bytes() != expected:
            return False
        shutil.rmtree(folder)
        return True

    different, begun = [], time.monotonic()
    with ThreadPoolExecutor(args.at_once) as pool:
        names = {pool.submit(same, *plan): plan[0] for plan in planned}
        for done, ended in enumerate(as_completed(names), start=1):
            if not ended.result():
                different.append(names[ended])
            left = (time.monotonic() - begun) / done * (len(names) - done) / 60
            table = "the same table" if ended.result() else "ANOTHER TABLE"
            print(
                f"{names[ended]}: {table} ({done} of {len(names)}, {left:.0f} min left)", flush=True
            )
    total = args.runs * len(args.signals)
    print(f"{total - len(different)} of {total} killed runs made the same {args.table}")
    if different:
        raise SystemExit(f"another one: {', '.join(different)}, kept in {output}")


if __name__ == "__main__":
    main()
