"""What a device would be waited for, and faults of devices: where in the project, by file and line."""

import contextlib
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[1]
OURS = (str(PROJECT / "scripts"), str(PROJECT / "tests"))
QUIET = {__file__, str(PROJECT / "tests" / "helpers_device.py")}
"""Files of the project whose lines are never the place of anything."""


class Mixed(RuntimeError):
    """Tensors of two devices in one operation."""


class Halved(RuntimeError):
    """Half precision where the project wants float32."""


class Place(NamedTuple):
    """A line of the project, and the line of a library that it led to, if it did."""

    file: str
    line: int
    function: str
    through: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line} ({self.function}{self.through})"


NOWHERE = Place("no line of the project", 0, "?")


class Wait(NamedTuple):
    """What the device had to be waited for, and where."""

    what: str
    place: Place

    def __str__(self) -> str:
        return f"{self.what} at {self.place}"


def place() -> Place:
    """The innermost line of the project that is being run, but for this file's."""
    frame, through = sys._getframe(1), ""
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(OURS) and name not in QUIET:
            file = str(Path(name).relative_to(PROJECT))
            # a comprehension has a name of its own in some versions of Python
            function = frame.f_code.co_qualname.partition(".<locals>")[0]
            return Place(file, frame.f_lineno, function, through)
        library = re.search(r"site-packages/((?!torch/).*)", name)
        if library and not through:
            through = f", through {library[1]}:{frame.f_lineno}"
        frame = frame.f_back
    return NOWHERE._replace(through=through)


class _Notes:
    """What has been noted; None where nobody asks."""

    waits: list[Wait] | None = None


def note(what: str) -> None:
    if _Notes.waits is not None:
        _Notes.waits.append(Wait(what, place()))


@contextlib.contextmanager
def noted() -> Iterator[list[Wait]]:
    """Yield a list that takes every wait until the end of the block."""
    before, _Notes.waits = _Notes.waits, []
    try:
        yield _Notes.waits
    finally:
        if before is not None:
            before += _Notes.waits
        _Notes.waits = before


@contextlib.contextmanager
def named() -> Iterator[None]:
    """Turn errors of torch and numpy about devices into `Mixed`, which names the line of the project."""
    try:
        yield
    except (TypeError, RuntimeError) as error:
        if isinstance(error, (Mixed, Halved)):
            raise
        frames = traceback.walk_tb(error.__traceback__)
        ours = [(f, line) for f, line in frames if f.f_code.co_filename.startswith(OURS)]
        frame, line = [one for one in ours if one[0].f_code.co_filename not in QUIET][-1]
        file = Path(frame.f_code.co_filename).relative_to(PROJECT)
        raise Mixed(f"{file}:{line} ({frame.f_code.co_qualname}): {error}") from error
