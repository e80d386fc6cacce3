"""The folders of a run: where an unfinished one goes on from, and where the finished files go."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from whatyouread.support import files
from whatyouread.support.cli import UserError, log
from whatyouread.training import checkpoints

PARTS = "windows", "results"
LINES = "bases", "letters"
"""The folders and the files of a work folder (`intake.Records`)."""


def refuse_foreign(folder: Path, name: str) -> None:
    """Raise UserError where files would be overwritten that an earlier run did not make."""
    if os.path.lexists(folder) and not folder.is_dir():
        raise UserError(f"--output-dir {folder} is no folder")
    made, ours = _made_before(folder / _record_name(name)), f"{name}."
    for path in sorted(folder.iterdir() if folder.is_dir() else ()):
        if (path.name.startswith(ours) or path.name == "index.html") and path.name not in made:
            raise UserError(
                f"{path} is there and was not made by an earlier run for {name}: nothing is"
                " overwritten; give another --output-dir or --sample, or move it away yourself"
            )


def _record_name(name: str) -> str:
    return f".{name}.files.json"


def _made_before(record: Path) -> list[str]:
    """The files that the last run for this sample made."""
    return list(files.read_json(record).get("files", ())) if record.exists() else []


@contextlib.contextmanager
def work_folder(folder: Path, settings: dict, restart: bool) -> Iterator[None]:
    """The folder of an unfinished run, which goes when the run is finished."""
    mark = folder / "stamp.json"
    checkpoints.hold(folder, "explaining with this work folder")
    try:
        yield from _held(folder, mark, settings, restart)
    except BaseException as error:
        if isinstance(error, OSError) and error.errno and not error.filename:
            error.filename = str(folder)  # the libraries do not say where
        # what holds no finished block would help no later run
        if mark.exists() and not any((folder / "windows").glob("[!.]*")):
            _empty(folder)
            checkpoints.remove(folder)
        checkpoints.release(folder)
        raise
    _empty(folder)
    checkpoints.remove(folder)


def _held(folder: Path, mark: Path, settings: dict, restart: bool) -> Iterator[None]:
    # a kill may have left an unfinished stamp
    others = [path for path in (folder.iterdir() if folder.exists() else ()) if path.name[0] != "."]
    if others and not mark.exists():
        raise UserError(f"{folder} holds something else: give another --work-dir")
    if mark.exists() and (restart or files.read_json(mark) != settings):
        if not restart:
            log.warning("%s is of another model or other settings: starting anew", folder)
        _empty(folder)
    if not mark.exists() or files.read_json(mark) != settings:
        files.write_json(mark, settings)
    # after the stamp, which tells whose folder this is
    (folder / "windows").mkdir(exist_ok=True)
    yield


def _empty(folder: Path) -> None:
    """Remove all from a work folder but its stamp, which goes last."""
    for part in PARTS:
        shutil.rmtree(folder / part, ignore_errors=True)
    for line in LINES:
        (folder / line).unlink(missing_ok=True)


def publish(scratch: Path, folder: Path, name: str) -> None:
    """Move finished files to their folder, where those of an earlier run may lie.

    A folder on another file system, which may be full, first gets all of them beside the old ones.
    """
    record, coming = folder / _record_name(name), folder / f".{name}.coming"
    made = sorted(path.name for path in scratch.iterdir())
    folder.mkdir(parents=True, exist_ok=True)
    refuse_foreign(folder, name)  # another run may have ended there meanwhile
    shutil.rmtree(coming, ignore_errors=True)
    try:
        coming.mkdir()
        for new in made:
            shutil.move(scratch / new, coming / new)
        before = _made_before(record)
        # first, so that a kill in between leaves no file that seems another's
        files.write_json(record, {"files": sorted({*before, *made})})
        for new in made:
            os.replace(coming / new, folder / new)
    except OSError as error:
        if Path(str(error.filename)).parent == scratch:  # it was read without trouble
            error.filename = str(folder)
        raise
    finally:
        shutil.rmtree(coming, ignore_errors=True)
    for old in set(before) - set(made):
        (folder / old).unlink(missing_ok=True)
    files.write_json(record, {"files": made})
