"""Programs that start warm: forked from a process that has already imported what takes long to import.

A tiny run starts a hundred programs, and most of its time goes by in `import torch` and the like.
`python()` is a stand-in for the Python of this environment. It runs `SCRIPT.py ...` and `-m snakemake ...`
in a fork of one process, which holds the packages of others, but nothing of this project; anything else it
leaves to Python itself. Each program has arguments, folder, environment, streams and exit status of its own.
Forks share the seed of `hash` and what packages read of the environment when they are imported, and a signal
to the stand-in does not reach the program: what is about any of these starts Python itself.
"""

import json
import os
import socket
import sys
from collections.abc import Iterable

PLANNING = (
    *("docutils.parsers.rst.directives.images", "jsonschema", "smart_open", "snakemake.cli"),
    "snakemake.report.html_reporter",
)
COMPUTING = (
    *("captum.attr", "matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg"),
    *("pandas", "pyarrow.compute", "pyarrow.parquet", "safetensors.torch", "scipy.sparse.csgraph"),
    *("scipy.stats", "sklearn.linear_model", "sklearn.metrics", "sklearn.model_selection"),
    *("sklearn.pipeline", "torch", "torch._dynamo", "transformers.models.esm.modeling_esm"),
)
"""What is imported at the start, for Snakemake, and what when the first other program is asked for."""

_started = []


def python() -> str:
    """The path of the stand-in, which is called `python`, in a folder that also has its `snakemake`."""
    if not _started:
        _started.extend(_start())
    return _started[0]


def _start() -> tuple:
    """The path, and the process that forks, which ends with this one: at the end of its input."""
    import shlex
    import subprocess
    import tempfile
    from pathlib import Path

    folder = Path(tempfile.mkdtemp(prefix="warm"))
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(folder / "socket"))
    listening.listen(64)
    words = [sys.executable, "-IS", __file__, "ask", str(folder / "socket"), sys.executable]
    for name, more in (("python", []), ("snakemake", ["-m", "snakemake"])):
        text = f'#!/bin/sh\nexec {shlex.join(words + more)} "$@"\n'
        (folder / name).write_text(text, encoding="utf-8")
        (folder / name).chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, __file__, "serve", str(listening.fileno()), str(folder / "python")],
        stdin=subprocess.PIPE,
        pass_fds=[listening.fileno()],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    listening.close()
    return str(folder / "python"), server


def ask(address: str, executable: str, words: list[str]) -> None:
    """Have a program run, and end as it ends."""
    if not words or not (words[0].endswith(".py") or words[:2] == ["-m", "snakemake"]):
        os.execv(executable, [executable, *words])
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        socket.send_fds(connection, [b"\n"], [0, 1, 2])
        connection.sendall(json.dumps([words, os.getcwd(), dict(os.environ)]).encode())
        connection.shutdown(socket.SHUT_WR)
        status = int(connection.recv(64) or b"1")
    if status < 0:
        os.kill(os.getpid(), -status)
    os._exit(status)


def serve(listening: socket.socket) -> tuple[list[str], str, dict[str, str]]:
    """Fork for each program that is asked for; returns in the fork: words, folder and environment."""
    import contextlib
    import select
    import shutil
    import signal

    ended, end = os.pipe()
    os.set_blocking(end, False)
    signal.set_wakeup_fd(end)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    hold(PLANNING)
    running, computing = {}, False
    while True:
        ready, _, _ = select.select([listening, sys.stdin, ended], [], [])
        if sys.stdin in ready:
            for child in running:
                os.kill(child, signal.SIGTERM)
            shutil.rmtree(os.path.dirname(sys.executable))
            os._exit(0)
        if ended in ready:
            os.read(ended, 1 << 16)
            for child in list(running):
                done, status = os.waitpid(child, os.WNOHANG)
                if done:
                    # who asked may have been killed
                    with running.pop(child) as asker, contextlib.suppress(OSError):
                        asker.sendall(b"%d" % os.waitstatus_to_exitcode(status))
        if listening not in ready:
            continue
        connection, _ = listening.accept()
        _, streams, _, _ = socket.recv_fds(connection, 1, 3)
        with connection.makefile("rb") as words:
            told = json.loads(words.read())
        if not computing and told[0][0] != "-m":
            hold(COMPUTING)
            computing = True
        child = os.fork()
        if child == 0:
            break
        running[child] = connection
        for stream in streams:
            os.close(stream)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for held in (listening, connection, *running.values()):
        held.close()
    for number in (ended, end):
        os.close(number)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    return told


def hold(names: Iterable[str]) -> None:
    """Import modules. Whatever looked at all objects, such as a collection, would copy their memory."""
    import gc
    import importlib

    for name in names:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def become(words: list[str], folder: str, environment: dict[str, str]) -> None:
    """Make this process one that Python has just started with these words."""
    import numpy as np

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    np.random.seed()  # noqa: NPY002
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    own = folder if words[0] == "-m" else os.path.dirname(os.path.realpath(words[0]))
    given = environment.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = [own, *filter(None, given)]
    sys.stdin = open(0)  # noqa: SIM115
    for number, name in ((1, "stdout"), (2, "stderr")):
        errors = "strict" if number == 1 else "backslashreplace"
        stream = open(number, "w", buffering=number == 2 or -1, errors=errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def run(words: list[str]) -> int:
    """Run the program to its end; its exit status."""
    import runpy

    try:
        if words[0] == "-m":
            sys.argv = words[1:]
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = words
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, int | None):
            return (end.code or 0) & 0xFF
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        return 1
    return 0


def main() -> None:
    import atexit
    import threading

    sys.executable = sys.argv[3]
    words, folder, environment = serve(socket.socket(fileno=int(sys.argv[2])))
    become(words, folder, environment)
    status = run(words)
    # and not by the end of the interpreter, which takes long where much is imported
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    if sys.argv[1] == "ask":
        ask(sys.argv[2], sys.argv[3], sys.argv[4:])
    else:
        main()
