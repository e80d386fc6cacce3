"""Measure time and memory, and write down what was seen: one figure beside what a user would else do."""

import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SCRIPTS = PROJECT / "scripts"
PACKAGES = ("torch", "transformers", "captum", "numpy", "pyarrow", "ete3", "snakemake")


@dataclasses.dataclass(frozen=True)
class Figure:
    """A measured number beside another one of the same run.

    what: in words. ours, other: in `unit`; `other` is None where nothing is compared. ratio: how many
    times better ours is, or what else `asked` speaks of. asked: the bound, as text ("" for none).
    """

    section: str
    what: str
    unit: str
    ours: float
    other: float | None = None
    compared_with: str = ""
    ratio: float | None = None
    asked: str = ""
    met: bool | None = None
    note: str = ""


def seconds(function: Callable[[], object], repeat: int = 3, warm_up: int = 1) -> float:
    """The median wall time of a call, in seconds."""
    for _ in range(warm_up):
        function()
    taken = []
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


@dataclasses.dataclass(frozen=True)
class Cost:
    """What a program needed: wall and processor seconds, and its peak resident memory in bytes."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def cost(command: list, **environment: str) -> Cost:
    """Run a program, which starts no others, to its end. Raises RuntimeError where it fails."""
    start = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command], env=os.environ | environment, stdout=subprocess.DEVNULL
    )
    peak, ended = 0, 0
    while not ended:
        # not the peak that wait4 knows: it counts this process too, as it was before the exec
        peak = max(peak, _peak_bytes(process.pid))
        ended, status, used = os.wait4(process.pid, os.WNOHANG)
        time.sleep(0.02)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(map(str, command[:2]))} ended with {process.returncode}")
    return Cost(wall, used.ru_utime + used.ru_stime, peak)


def own_peak_bytes() -> int:
    """The peak resident memory of this process so far."""
    return _peak_bytes(os.getpid())


def _peak_bytes(pid: int) -> int:
    """The peak resident memory of a running process so far."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def machine() -> dict:
    """What the figures were measured on, with which versions, and when."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    try:
        commit = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=PROJECT, capture_output=True, text=True
        ).stdout.strip()
    except OSError:  # no git
        commit = ""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit or None,
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(_memory_bytes() / 2**30, 1),
        "gpu": gpu,
        "python": platform.python_version(),
        "versions": versions,
    }


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):  # not on every system
        import psutil

        return psutil.virtual_memory().total


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def write(figures: list[Figure], about: dict, output: Path) -> None:
    """Write `output`.json and `output`.md."""
    output.parent.mkdir(parents=True, exist_ok=True)
    value = about | {"figures": [dataclasses.asdict(figure) for figure in figures]}
    output.with_suffix(".json").write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    output.with_suffix(".md").write_text(markdown(figures, about), encoding="utf-8")


def markdown(figures: list[Figure], about: dict) -> str:
    """The figures as tables, one per section."""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    chip = f", {about['gpu']}" if about["gpu"] else ", no GPU"
    lines = [
        f"# Benchmark{' (quick)' if about.get('quick') else ''}",
        "",
        f"{about['date']}, commit {about['commit']}. {about['processor']}, {about['cores']} cores,"
        f" {about['memory_gib']} GiB{chip}. Python {about['python']}, {versions}.",
    ]
    for section in dict.fromkeys(figure.section for figure in figures):
        lines += ["", f"## {section}", "", "| | ours | compared with | ratio | asked | |"]
        lines.append("|---|---|---|---|---|---|")
        for f in (f for f in figures if f.section == section):
            other = "" if f.other is None else f"{number(f.other)} {f.unit}, "
            ratio = "" if f.ratio is None else f"{number(f.ratio)}"
            met = {None: "", True: " (met)", False: " (**missed**)"}[f.met]
            lines.append(
                f"| {f.what} | {number(f.ours)} {f.unit} | {other}{f.compared_with} | {ratio}"
                f" | {f.asked}{met} | {f.note} |"
            )
    return "\n".join(lines) + "\n"


def number(value: float) -> str:
    """Three significant digits, with commas, without exponents."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.2e}"


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)
