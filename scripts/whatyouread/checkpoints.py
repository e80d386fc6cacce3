"""The folder in which a training keeps what it needs to go on after it was killed."""

import fcntl
import hashlib
import json
import os
import platform
import shutil
import time
from pathlib import Path

from whatyouread.cli import UserError, log
from whatyouread.files import sha256, write_json
from whatyouread.token_files import TokenFile

DIGESTS = "digests.json"
LONGEST_WAIT = 15.0  # seconds; a process that was told to end may still be writing its checkpoint

_held: dict[Path, object] = {}


def _close_in_child() -> None:
    for lock in _held.values():
        lock.close()


# or workers of a DataLoader that outlive the process for a moment would keep its locks
os.register_at_fork(after_in_child=_close_in_child)


def fingerprint(*files: TokenFile) -> str:
    """A digest of the sequences and labels of token files, for the stamp of a checkpoint."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.keys.tobytes())
        digest.update(file.labels.tobytes())
        digest.update(file.lengths.tobytes())
    return digest.hexdigest()


def hold(folder: Path) -> None:
    """Keep other trainings out of `folder` until `remove`, or until this process is dead.

    The lock is that of `FOLDER.lock`. Raises UserError where a live process has it.
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
                    f"{folder}: {owner} is training with these checkpoints: "
                    "wait for its end, or end it, and run again"
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
        else:  # its last owner has removed the file in the meantime
            lock.close()


def remove(folder: Path) -> None:
    """Remove the checkpoints of a training that is complete, and its lock."""
    shutil.rmtree(folder, ignore_errors=True)
    path = folder.with_name(f"{folder.name}.lock").resolve()
    path.unlink(missing_ok=True)
    if path in _held:
        _held.pop(path).close()


def prepare_checkpoints(folder: Path, stamp: dict) -> Path | None:
    """The last usable checkpoint in `folder` if it was made with this stamp; else an empty folder.

    What is not used is said in the log, with the reason.
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
            for last in sorted(folder.glob("checkpoint-*"), key=number, reverse=True):
                problem = _problem(last)
                if problem is None:
                    log.info("going on from %s", last)
                    return last
                log.warning("%s is not used: %s", last, problem)
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    write_json(mark, stamp)
    return None


def seal(checkpoint: Path) -> None:
    """Record the digests of the files of a checkpoint, which is whole by that."""
    write_json(checkpoint / DIGESTS, {file.name: sha256(file) for file in checkpoint.iterdir()})


def number(checkpoint: Path) -> int:
    """The training steps that were made before a checkpoint."""
    return int(checkpoint.name.rpartition("-")[2])


def read_state(checkpoint: Path) -> dict:
    """The Trainer's own record of one checkpoint: steps, log, best loss so far."""
    return json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))


def _differences(mark: Path, stamp: dict) -> list[str]:
    """What differs from the stamp on disk, for a log line; settings with both their values."""
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
    """Why a training cannot go on from `checkpoint`; None where it can."""
    try:
        digests = json.loads((checkpoint / DIGESTS).read_text(encoding="utf-8"))
        for name, digest in digests.items():
            if sha256(checkpoint / name) != digest:
                return f"{name} is damaged"
        best = read_state(checkpoint)["best_global_step"]
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        return f"it is not whole ({error})"
    # the Trainer would end with the last weights in place of the best
    other = checkpoint.with_name(f"checkpoint-{best}")
    if best and other != checkpoint:
        problem = _problem(other) if number(other) < number(checkpoint) else "it is a later one"
        return problem and f"{other.name} with the best weights so far: {problem}"
    return None
