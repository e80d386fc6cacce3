"""How far long work is: a bar on a terminal, a line now and then in a log file."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from whatyouread.cli import log

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
        line += f" {self.unit}, {seconds:.0f} s, {self.done / seconds:,.0f}/s"
        if self.total and 0 < self.done < self.total:
            line += f", {seconds * (self.total - self.done) / self.done:.0f} s left"
        return line


@contextmanager
def progress(title: str, total: int | None = None, unit: str = "items") -> Iterator:
    """Yield an object whose `update(n)` is called as the work proceeds.

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


def track(items: Iterable, title: str, total: int | None = None, unit: str = "items") -> Iterator:
    """Iterate over `items`, one unit of progress each."""
    with progress(title, total, unit) as bar:
        for item in items:
            yield item
            bar.update(1)
