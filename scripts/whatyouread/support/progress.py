"""Show the progress of long work: a bar on a terminal, occasional lines in a log file."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from whatyouread.support.cli import log

SECONDS_BETWEEN_LINES = 30.0


class _Lines:
    """Progress as log lines, at most one every `SECONDS_BETWEEN_LINES`, and one at the end."""

    def __init__(self, title: str, total: int | None, unit: str):
        self.title, self.total, self.unit, self.done = title, total, unit, 0
        self.started = self.last = time.monotonic()

    def update(self, amount: int = 1) -> None:
        self.done += amount
        now = time.monotonic()
        if now - self.last >= SECONDS_BETWEEN_LINES:
            self.last = now
            log.info("%s", self._line(now))

    def close(self) -> None:
        log.info("%s", self._line(time.monotonic()))

    def _line(self, now: float) -> str:
        seconds = max(now - self.started, 1e-9)
        line = f"{self.title}: {self.done:,}"
        if self.total:
            line += f" of {self.total:,}"
        line += f" {self.unit} in {duration(seconds)}"
        if self.done:
            line += f" ({pace(self.done, seconds)})"
        if self.total and 0 < self.done < self.total:
            left = seconds * (self.total - self.done) / self.done
            line += f", about {duration(left)} left"
        return line


def duration(seconds: float) -> str:
    """Format seconds for a reader: "8.2 s", "42 s", "6 min 10 s", "3 h 5 min"."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    minutes, hours = whole // 60, whole // 3600
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"


def pace(done: int, seconds: float) -> str:
    """The speed of work: items per second, or seconds per item if an item takes more than a second."""
    if done < seconds:
        return f"{duration(seconds / done)} each"
    rate = done / seconds
    return f"{rate:,.0f} a second" if rate >= 10 else f"{rate:.1f} a second"


@contextmanager
def progress(title: str, total: int | None = None, unit: str = "items") -> Iterator:
    """Yield an object; the caller calls its `update(n)` after each `n` units of work.

    `total` is in the same unit as `n`; with unit "B" (bytes) the bar uses multiples of 1024.
    """
    if sys.stderr.isatty():
        from tqdm import tqdm

        scale = {"unit": unit, "unit_scale": True, "unit_divisor": 1024 if unit == "B" else 1000}
        bar = tqdm(desc=title, total=total, leave=False, dynamic_ncols=True, **scale)
    else:
        bar = _Lines(title, total, unit)
    try:
        yield bar
    finally:
        bar.close()
