"""The folder of checkpoints, from which a killed training resumes.

A checkpoint is a folder with tensors (safetensors), JSON, and the digests of these files.
"""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import time
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from whatyouread.data.token_files import TokenFile
from whatyouread.support.cli import ADVICE, ROOM, UserError, log
from whatyouread.support.files import atomic, sha256, write_json

DIGESTS, STATE = "digests.json", "state.json"
LONGEST_WAIT = 15.0  # seconds; a terminated process may still be writing its checkpoint
_held: dict[Path, object] = {}


def _close_in_child() -> None:
    for lock in _held.values():
        lock.close()


# DataLoader workers can outlive the process for a moment and would keep its locks
os.register_at_fork(after_in_child=_close_in_child)


def fingerprint(*files: TokenFile) -> str:
    """A digest of the sequences and labels of token files, for the stamp of a checkpoint."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.keys.tobytes())
        digest.update(file.labels.tobytes())
        digest.update(file.lengths.tobytes())
    return digest.hexdigest()


def hold(folder: Path, doing: str = "training with these checkpoints") -> None:
    """Keep other processes out of `folder` until `remove` or `release` runs or this process ends.

    The lock is on `FOLDER.lock`. doing: what all of them do, for messages. Raises UserError if a live
    process holds it.
    """
    path = folder.with_name(f"{folder.name}.lock").resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + LONGEST_WAIT
    while path not in _held:
        lock = open(path, "a+", encoding="utf-8")  # noqa: SIM115
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner = lock.readline().strip() or "another process"
            lock.close()
            if time.monotonic() > deadline:
                raise UserError(
                    f"{folder}: {owner} is {doing}: wait for its end, or end it, and run again"
                ) from None
            time.sleep(0.2)
            continue
        except OSError as error:  # a file system without locks
            log.warning("%s: no lock (%s): make sure that only one process trains", folder, error)
        if path.exists() and os.path.samestat(os.fstat(lock.fileno()), path.stat()):
            lock.truncate(0)
            job = os.environ.get("SLURM_JOB_ID")
            lock.write(f"process {os.getpid()} on {platform.node()}")
            lock.write(f", Slurm job {job}\n" if job else "\n")
            lock.flush()
            _held[path] = lock
        else:  # its last owner has meanwhile removed the file
            lock.close()


def remove(folder: Path) -> None:
    """Remove the checkpoints and the lock of a finished training."""
    shutil.rmtree(folder, ignore_errors=True)
    release(folder)


def release(folder: Path) -> None:
    """Let other processes into a folder that this one holds."""
    path = folder.with_name(f"{folder.name}.lock").resolve()
    path.unlink(missing_ok=True)
    if path in _held:
        _held.pop(path).close()


def prepare_checkpoints(folder: Path, stamp: dict) -> Path | None:
    """Return the last usable checkpoint in `folder` with this stamp; else empty the folder.

    The log names unused checkpoints and the reasons.
    """
    mark = folder / "stamp.json"
    stamp = json.loads(json.dumps(stamp))
    if mark.exists():
        different = _differences(mark, stamp)
        if different:
            log.warning(
                "the checkpoints in %s are of other settings or data (%s): starting afresh",
                *(folder, "; ".join(different)),
            )
        else:
            for unfinished in folder.glob(".*"):
                shutil.rmtree(unfinished, ignore_errors=True)
            for last in reversed(_by_number(folder)):
                problem = _problem(last)
                if problem is None:
                    log.info("going on from %s", last)
                    return last
                log.warning("%s is not used: %s", last, problem)
    if folder.exists():
        if not mark.exists():
            _refuse_foreign(folder)
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    write_json(mark, stamp)
    return None


def _refuse_foreign(folder: Path) -> None:
    """Raise UserError where a folder without a stamp holds anything but checkpoints."""
    for path in sorted(folder.iterdir() if folder.is_dir() else [folder]):
        ours = path.name.startswith((".", "checkpoint-")) and folder != path
        if not ours:
            raise UserError(
                f"{path}: no checkpoint of a training, and --checkpoints {folder} is emptied "
                "before one starts: give a folder of its own"
            )


def write(folder: Path, steps: int, tensors: dict[str, dict[str, Tensor]], state: dict) -> Path:
    """Write the checkpoint after `steps` steps, whole or not at all, and remove old checkpoints.

    tensors: file name -> tensor name -> tensor. state: "best", the number of the checkpoint with the
    best weights so far or None, and "history", the rows of the history. The last two checkpoints and
    the best one stay. Raises UserError if the disk is full.
    """
    final = place(folder, steps)
    try:
        with atomic(final) as scratch:
            scratch.mkdir()
            for name, values in tensors.items():
                values = {key: value.cpu().contiguous() for key, value in values.items()}
                save_file(values, scratch / f"{name}.safetensors")
            (scratch / STATE).write_text(json.dumps(state, indent=2), encoding="utf-8")
            seal(scratch)
    except (OSError, SafetensorError) as error:
        if isinstance(error, OSError) and ADVICE.get(error.errno) != ROOM:
            raise
        free = shutil.disk_usage(folder).free
        raise UserError(
            f"{final}: cannot be written ({error}); {free:,} bytes are free there: make room"
        ) from None
    for old in _by_number(folder)[:-2]:
        if number(old) != state["best"]:
            shutil.rmtree(old, ignore_errors=True)
    return final


def seal(checkpoint: Path) -> None:
    """Record the digests of a checkpoint's files, which marks it as whole."""
    write_json(checkpoint / DIGESTS, {file.name: sha256(file) for file in checkpoint.iterdir()})


def read_tensors(checkpoint: Path, name: str) -> dict[str, Tensor]:
    """Read the tensors in one file of a checkpoint to the CPU, as copies.

    `load_file` returns tensors mapped to the file, and the training removes that file later.
    """
    tensors = load_file(checkpoint / f"{name}.safetensors")
    return {key: value.clone() for key, value in tensors.items()}


def place(folder: Path, steps: int) -> Path:
    """Where the checkpoint after some training steps is, or will be."""
    return folder / f"checkpoint-{steps}"


def number(checkpoint: Path) -> int:
    """The number of training steps before a checkpoint."""
    return int(checkpoint.name.rpartition("-")[2])


def read_state(checkpoint: Path) -> dict:
    """Read the state that `write` stored."""
    return json.loads((checkpoint / STATE).read_text(encoding="utf-8"))


def _by_number(folder: Path) -> list[Path]:
    return sorted(folder.glob("checkpoint-*"), key=number)


def _differences(mark: Path, stamp: dict) -> list[str]:
    """The differences from the stamp on disk, for a log line; settings with both values."""
    try:
        before = json.loads(mark.read_text(encoding="utf-8"))
        keys = [key for key in before | stamp if before.get(key) != stamp.get(key)]
    except (ValueError, TypeError, AttributeError):
        return [f"{mark.name} is damaged"]
    pairs = {key: (str(before.get(key)), str(stamp.get(key))) for key in keys}
    return [
        f"{key} was {pair[0]}, is {pair[1]}" if max(map(len, pair)) < 30 else key
        for key, pair in pairs.items()
    ]


def _problem(checkpoint: Path) -> str | None:
    """The reason why a training cannot resume from `checkpoint`; None if it can."""
    try:
        digests = json.loads((checkpoint / DIGESTS).read_text(encoding="utf-8"))
        for name, digest in digests.items():
            if sha256(checkpoint / name) != digest:
                return f"{name} is damaged"
        best = read_state(checkpoint)["best"]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        return f"it is not whole ({error})"
    other = place(checkpoint.parent, best)
    if best and other != checkpoint:
        problem = _problem(other) if number(other) < number(checkpoint) else "it is a later one"
        return problem and f"{other.name} with the best weights so far: {problem}"
    return None
