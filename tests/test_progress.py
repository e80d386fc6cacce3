import io
import logging
import sys

import pytest

from whatyouread import progress as module
from whatyouread.progress import progress, track


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
        "reading: 300 of 4,000 sequences, 30 s, 10/s, 370 s left",
        "reading: 600 of 4,000 sequences, 60 s, 10/s, 340 s left",
        "reading: 900 of 4,000 sequences, 90 s, 10/s, 310 s left",
        "reading: 1,000 of 4,000 sequences, 100 s, 10/s, 300 s left",
    ]


def test_without_a_total(clock, lines):
    with progress("reading") as bar:
        clock[0] += 2
        bar.update()
    assert lines() == ["reading: 1 items, 2 s, 0/s"]


def test_the_last_line_comes_also_after_a_failure(clock, lines):
    with pytest.raises(RuntimeError), progress("reading", 10):
        raise RuntimeError
    assert len(lines()) == 1


def test_track(clock, lines):
    assert list(track("abc", "letters", 3)) == ["a", "b", "c"]
    assert lines()[-1].startswith("letters: 3 of 3 items")


def test_a_bar_on_a_terminal(monkeypatch, lines):
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", screen)
    with progress("fetching", 2048, "B") as bar:
        bar.update(2048)
    assert "fetching" in screen.getvalue()
    assert lines() == []
