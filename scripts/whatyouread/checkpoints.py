"""The folder in which a training keeps what it needs to go on after it was killed."""

import hashlib
import json
import shutil
from pathlib import Path

from whatyouread.cli import log
from whatyouread.files import write_json
from whatyouread.token_files import TokenFile


def fingerprint(*files: TokenFile) -> str:
    """A digest of the sequences and labels of token files, for the stamp of a checkpoint."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.keys.tobytes())
        digest.update(file.labels.tobytes())
        digest.update(file.lengths.tobytes())
    return digest.hexdigest()


def prepare_checkpoints(folder: Path, stamp: dict) -> Path | None:
    """The last whole checkpoint in `folder` if it was made with this stamp; else an empty folder."""
    mark = folder / "stamp.json"
    stamp = json.loads(json.dumps(stamp))
    if mark.exists():
        try:
            same = json.loads(mark.read_text(encoding="utf-8")) == stamp
        except ValueError:
            same = False
        if same:
            whole = [path for path in folder.glob("checkpoint-*") if _is_whole(path)]
            if whole:
                last = max(whole, key=lambda path: int(path.name.rpartition("-")[2]))
                log.info("going on from %s", last)
                return last
        else:
            log.warning(
                "the checkpoints in %s are of other settings or data: starting afresh", folder
            )
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_json(mark, stamp)
    return None


def read_state(checkpoint: Path) -> dict:
    """The Trainer's own record of one checkpoint: steps, log, best loss so far."""
    return json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))


def _is_whole(checkpoint: Path) -> bool:
    try:  # the Trainer writes this file last
        read_state(checkpoint)
    except (OSError, ValueError):
        return False
    return True
