"""Shared parts of the programs in scripts/: arguments, log file, errors that a user can fix."""

import argparse
import errno
import gc
import json
import logging
import os
import signal
import sys
import time
import traceback
from pathlib import Path

from whatyouread.support.addresses import hide
from whatyouread.support.machine import NO_RETRY, trouble

log = logging.getLogger("whatyouread")
ROOM = "make room there and start again"
RIGHTS = "see who may read and write there"
SECONDS_OF_THE_FIRST = 15.0
"""Of several processes that find the same fault, the first one says so, and torchrun ends the others."""
ADVICE = {
    errno.ENOSPC: ROOM,
    errno.EDQUOT: ROOM,
    errno.EFBIG: ROOM,
    errno.EACCES: RIGHTS,
    errno.EPERM: RIGHTS,
    errno.EROFS: RIGHTS,
}


class UserError(Exception):
    """A problem that the user can fix. The message is one line: what is wrong, where, what to do."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str):
        super().error(hide(message))


class _Formatter(logging.Formatter):
    """Lines, tracebacks included, without the secrets of addresses: no message has another way out."""

    def format(self, record: logging.LogRecord) -> str:
        return hide(super().format(record))


def parser(description: str) -> argparse.ArgumentParser:
    """Make an argument parser with the option of every program, `--log FILE`."""
    made = _Parser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--log", type=Path, help="write the log to this file (default: to stderr)")
    return made


def json_argument(text: str) -> dict:
    """Parse the value of an option like `--settings '{"epochs": 5}'`."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error}): {text}") from None


def run(arguments: argparse.ArgumentParser, main, batch_size: str = "") -> None:
    """Parse the command line, set up the log, call `main(args)`, and end the process.

    batch_size: the key of the configuration to lower when memory runs out.

    With `--log`, all messages go to that file, and only warnings also go to stderr, which leaves the
    terminal to the progress bar. A `UserError`, a full disk or a missing permission ends with one line
    and status 1. Any other exception is a bug: its traceback goes to the log, and the status is 70.
    A cluster's second attempt ends at once where the first one said that it would.
    """
    args = arguments.parse_args()
    before = _hopeless(args.log)
    try:
        _set_up_log(args.log)
    except OSError as error:
        arguments.error(f"--log {args.log}: {error.strerror}")
    # SIGTERM (a cluster's time limit, Snakemake's shutdown) must run the `finally` blocks too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    log.info("%s", " ".join(map(hide, sys.argv)))
    if before:
        _end(before, 1)
    # Importing transformers makes a million objects that stay. At the default of 700 the collector looks
    # through them so often that it takes a fifth of the import.
    gc.set_threshold(50_000)
    try:
        main(args)
    except UserError as error:
        _end(str(error), 1)
    except KeyboardInterrupt:
        _end("interrupted", 130)
    except Exception as error:
        said = trouble(error, batch_size)
        if said is None and isinstance(error, OSError) and (error.filename or error.errno):
            where = f" ({error.filename})" if error.filename else ""
            advice = ADVICE.get(error.errno, "")
            said = f"{error.strerror or error}{where}{advice and ': '}{advice}"
        if said is None:
            _end_bug(args.log)
        log.debug("%s", traceback.format_exc())
        _end(said, 1)


def settings(cls, values: dict):
    """Make a settings dataclass from a config section. Raises UserError for missing or unknown keys."""
    try:
        return cls(**values)
    except TypeError as error:
        problem = str(error).split(") ", 1)[-1].replace("__init__()", "").strip()
        raise UserError(f"settings of {cls.__name__}: {problem}") from None


def _hopeless(path: Path | None) -> str:
    """What the attempt before this one said last, where that makes another one pointless."""
    if path is None or not path.is_file() or int(os.environ.get("WHATYOUREAD_ATTEMPT", "1")) < 2:
        return ""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    last = lines[-1] if lines else ""
    return last.partition(" ERROR ")[2] if last.endswith(NO_RETRY) else ""


def _set_up_log(path: Path | None) -> None:
    handlers: list[logging.Handler] = []
    on_terminal = logging.StreamHandler(sys.stderr)
    if path is not None and os.environ.get("RANK", "0") != "0":
        on_terminal.setLevel(logging.WARNING)  # under torchrun the first process writes the log
    elif path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
        # append, so that tracebacks and the processes of torchrun do not overwrite lines
        handlers.append(_file_handler(path))
        on_terminal.setLevel(logging.WARNING)
    handlers.append(on_terminal)
    level = os.environ.get("WHATYOUREAD_LOG_LEVEL", "INFO").upper()
    formatter = _Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S")
    for handler in handlers:
        handler.setFormatter(formatter)
    logging.basicConfig(level=logging.WARNING, handlers=handlers, force=True)
    log.setLevel(level)
    logging.captureWarnings(True)


def _file_handler(path: Path) -> logging.FileHandler:
    # names of files may be no UTF-8
    return logging.FileHandler(path, mode="a", encoding="utf-8", errors="backslashreplace")


def _end(message: str, status: int) -> None:
    if os.environ.get("RANK", "0") != "0":
        time.sleep(SECONDS_OF_THE_FIRST)
    log.error("%s", " ".join(message.split()))
    logging.shutdown()
    sys.exit(status)


def _end_bug(log_file: Path | None) -> None:
    kind, error, _ = sys.exc_info()
    place = logging.getLogger("whatyouread.traceback")
    place.propagate = log_file is None
    if log_file is not None:
        handler = _file_handler(log_file)
        handler.setFormatter(_Formatter())
        place.addHandler(handler)
    place.error("%s", traceback.format_exc())
    where = f"; the traceback is in {log_file}" if log_file else ""
    _end(f"internal error, please report it: {kind.__name__}: {error}{where}", 70)
