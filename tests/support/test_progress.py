import io
import logging
import sys

import pytest

from whatyouread.support import progress as module
from whatyouread.support.progress import duration, pace, progress


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test moves, for a log that is no terminal."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "whatyouread")
    return lambda: [record.getMessage() for record in caplog.records]


def test_a_line_now_and_then_and_one_at_the_end(clock, lines):
    with progress("reading", 4000, "sequences") as bar:
        for _ in range(10):
            clock[0] += 10
            bar.update(100)
    assert lines() == [
        "reading: 300 of 4,000 sequences in 30 s (10 a second), about 6 min 10 s left",
        "reading: 600 of 4,000 sequences in 1 min 0 s (10 a second), about 5 min 40 s left",
        "reading: 900 of 4,000 sequences in 1 min 30 s (10 a second), about 5 min 10 s left",
        "reading: 1,000 of 4,000 sequences in 1 min 40 s (10 a second), about 5 min 0 s left",
    ]


def test_without_a_total(clock, lines):
    with progress("reading") as bar:
        clock[0] += 2
        bar.update()
    assert lines() == ["reading: 1 items in 2.0 s (2.0 s each)"]


def test_the_last_line_comes_also_after_a_failure(clock, lines):
    with pytest.raises(RuntimeError), progress("reading", 10):
        raise RuntimeError
    assert len(lines()) == 1


def test_nothing_done_has_no_pace(clock, lines):
    with progress("reading", 10):
        clock[0] += 5
    assert lines() == ["reading: 0 of 10 items in 5.0 s"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.04, "0.0 s"), (8.24, "8.2 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (11111, "3 h 5 min")],
)
def test_durations_in_the_units_of_a_reader(seconds, shown):
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("done", "seconds", "shown"),
    [
        (7, 2, "3.5 a second"),
        (123456, 10, "12,346 a second"),
        (10, 41, "4.1 s each"),
        (2, 250, "2 min 5 s each"),
    ],
)
def test_slow_work_says_how_long_each_takes(done, seconds, shown):
    assert pace(done, seconds) == shown


def test_a_bar_on_a_terminal(monkeypatch, lines):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", screen)
    with progress("fetching", 2048, "B") as bar:
        bar.update(2048)
    assert "fetching" in screen.getvalue()
    assert lines() == []
