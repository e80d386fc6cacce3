"""The files of a backbone: from the Hugging Face Hub, from a local folder, or a fresh encoder's.

And those of a published Explainer, from the Hub or from a local folder (`find_model`).

A backbone is a folder with `config.json`, a tokenizer's files and weights as safetensors; a fresh
encoder has no weights. Pickled weights and code (`*.bin`, `*.pt`, `*.py`) are never fetched or copied,
because both can run arbitrary code of their author.
"""

import json
import logging
import os
import re
import shutil
import struct
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from whatyouread.data.transfer import refuse_full_disk, refuse_page
from whatyouread.models.fresh import OPTIONAL, SIZES, write_fresh
from whatyouread.support import files
from whatyouread.support.cli import ADVICE, RIGHTS, UserError, log
from whatyouread.support.network import advice, explain, network_errors

PATTERNS = [
    "config.json",
    "vocab.txt",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "tokenizer.json",
    # of tokenizers without tokenizer.json: byte pairs, SentencePiece
    *("vocab.json", "merges.txt", "bpe.codes"),
    *("sentencepiece.bpe.model", "spiece.model", "tokenizer.model"),
    "*.safetensors",
]
"""The files of a backbone that are fetched: its configuration, its tokenizer's files, its weights."""
CONVERT = (
    'python -c "from transformers import AutoModel as M; '
    "M.from_pretrained('OLD').save_pretrained('NEW')\" (AutoModelForSequenceClassification keeps the head)"
)
"""What writes safetensors from pickled weights."""
MODEL_FILES = (
    *("config.json", "model.safetensors", "gate.json", "classes.tsv", "classifier.json"),
    *("tokenizer.json", "README.md"),
)
"""What a published Explainer has; its classifier has the same in the folder `CLASSIFIER_FOLDER`."""
CLASSIFIER_FOLDER = "classifier"
_MODEL_PATTERNS = [*MODEL_FILES, *(f"{CLASSIFIER_FOLDER}/{name}" for name in MODEL_FILES)]
_NEWEST = "main"
_ON_THE_HUB = re.compile(r"(?P<repository>\w[\w.-]*/\w[\w.-]*)(?:@(?P<revision>.*))?", re.ASCII)


class _Asked(NamedTuple):
    """Who asks for a snapshot, for messages: the settings to check, and what else could be given."""

    repository: str
    revision: str
    instead: str


_BACKBONE = _Asked(
    "backbone.repository", "backbone.revision", "set backbone.path to a folder with the files"
)
_MODEL = _Asked("--model", "--model", "give a folder as --model")


def find_model(text: str) -> Path:
    """The folder of an Explainer: `text` itself, or the snapshot of a repository of the Hub.

    text: a path, `OWNER/NAME` or `OWNER/NAME@COMMIT`. A folder of that name comes first. Without a
    commit it is the newest one of the branch `main`; which that was is logged, and is the name of the
    folder. Raises UserError where there is neither.
    """
    folder = Path(text).expanduser()
    there = bool(text) and os.path.lexists(folder)
    if there and folder.is_dir():
        return folder
    found = _ON_THE_HUB.fullmatch(text)
    if there or not found:
        reason = "it is no folder" if there else "there is no such folder"
        raise UserError(
            f"--model {text}: {reason}; give an Explainer's folder (results/explainers/NAME/0) or a "
            "repository of the Hub (OWNER/NAME@COMMIT)"
        )
    log.info("there is no folder %s here: looking for a repository of that name", text)
    repository, revision = found["repository"], found["revision"]
    revision = _NEWEST if revision is None else revision
    snapshot = _download(repository, revision, _MODEL)
    if revision == _NEWEST:
        log.info("to get the same again: --model %s@%s", repository, snapshot.name)
    return snapshot


def fetch_backbone(settings: dict, folder: Path, record_file: Path | None = None) -> dict:
    """Put the files of the backbone in `settings` into `folder`, all or none.

    settings: `{repository, revision}` (a full commit), `{path}`, or the sizes of a fresh encoder
    (`fresh.SIZES`, and what is `fresh.OPTIONAL`), which gets a configuration and a tokenizer but no weights.
    Returns the record: the settings, and in `files` the SHA-256 of each file by name; it is written
    to `record_file` before the folder gets its name. Raises `UserError` for any other settings and
    for backbones that cannot be fetched.
    """
    given = set(settings)
    with files.atomic(folder) as scratch:
        scratch.mkdir()
        if given == {"repository", "revision"}:
            _copy(_download(**settings, asked=_BACKBONE), scratch, settings["repository"])
        elif given == {"path"}:
            _copy(Path(settings["path"]).expanduser(), scratch, settings["path"])
        elif given >= SIZES and given <= SIZES | OPTIONAL:
            write_fresh(settings, scratch)
        else:
            raise UserError(
                f"backbone: {', '.join(sorted(given)) or 'nothing'} given; expected repository and "
                f"revision, or path, or {', '.join(sorted(SIZES))} "
                f"(optionally {', '.join(sorted(OPTIONAL))})"
            )
        digests = {file.name: files.sha256(file) for file in sorted(scratch.iterdir())}
        record = {**settings, "files": digests}
        if record_file is not None:
            files.write_json(record_file, record)
    return record


def _download(repository: str, revision: str, asked: _Asked) -> Path:
    """Return the folder of the snapshot in the Hub's own cache, which also works offline."""
    if not (asked is _MODEL and revision == _NEWEST) and not re.fullmatch(
        r"[0-9a-f]{40}", str(revision)
    ):
        raise UserError(
            f"{asked.revision}: {revision!r} is not a commit (40 hexadecimal digits), "
            "and a branch or tag may change: take the commit from the repository's history"
        )
    _check_endpoint()
    what = f"{repository} at {revision[:12]} from {os.environ.get('HF_ENDPOINT', 'the Hub')}"
    log.info("fetching %s", what)
    try:
        # the import, too: it reads the variables of the environment
        with network_errors(what):
            return _snapshot(repository, revision, what, asked)
    except OSError as error:
        if ADVICE.get(error.errno) != RIGHTS:
            raise
        raise UserError(  # the cache is the only thing written there
            f"{what}: {error.filename or 'the cache of the Hub'}: {error.strerror or error}; "
            "the Hub's cache must be a folder that may be written: set HF_HOME to one"
        ) from None


def _check_endpoint() -> None:
    """Raise UserError where HF_ENDPOINT is no address; an empty one is none."""
    given = os.environ.get("HF_ENDPOINT")
    if given is None:
        return
    if not given.strip():
        del os.environ["HF_ENDPOINT"]
        return
    try:
        parts = urlsplit(given)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1)
    except ValueError:
        good = False
    if not good or re.search(r"[\s\x00-\x1f]", given):
        raise UserError(
            f"HF_ENDPOINT: {given!r} is no address of a Hub: write it like https://huggingface.co, "
            "without blanks, or unset it"
        )


def _snapshot(repository: str, revision: str, what: str, asked: _Asked) -> Path:
    from huggingface_hub import errors, snapshot_download
    from huggingface_hub.utils import disable_progress_bars

    # its messages go where ours go, and without secrets
    logger = logging.getLogger("huggingface_hub")
    logger.handlers.clear()
    logger.propagate = True
    if not sys.stderr.isatty():
        disable_progress_bars()
    patterns = PATTERNS if asked is _BACKBONE else _MODEL_PATTERNS
    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=patterns))
    except errors.GatedRepoError:
        problem = "the repository is gated: accept its terms on the Hub and set HF_TOKEN"
    except errors.RepositoryNotFoundError:
        problem = f"no such repository, or a private one: check {asked.repository} and HF_TOKEN"
    except errors.RevisionNotFoundError:
        problem = f"the repository has no such commit: check {asked.revision}"
    except errors.HFValidationError as error:
        problem = f"not the name of a repository ({error})"
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled) as error:
        problem = (
            "the Hub cannot be reached and the cache does not hold all files: run this where there is "
            f"a network, or {asked.instead} ({error}){advice(error)}"
        )
    except Exception as error:
        if files.of_the_machine(error):
            raise
        problem = f"the download failed: {explain(error)}"
    raise UserError(f"{what}: {problem}")


def _copy(source: Path, target: Path, shown: str) -> None:
    if not source.is_dir():
        raise UserError(f"backbone.path: {shown} is not a folder")
    names = {file.name for file in source.iterdir() if file.is_file()}
    taken = sorted(name for name in names if any(fnmatch(name, pattern) for pattern in PATTERNS))
    weights = [name for name in taken if name.endswith(".safetensors")]
    if "config.json" not in taken:
        raise UserError(f"{shown}: no config.json there, so this is not a model's folder")
    if not weights:
        raise UserError(
            f"{shown}: no weights as safetensors there, and pickled ones (*.bin, *.pt) are not read: take "
            f"a revision that has model.safetensors, or, if you trust their author, convert them: {CONVERT} "
            "and set backbone.path to NEW, after copying the tokenizer's files there"
        )
    refuse_full_disk(target, sum((source / name).stat().st_size for name in taken), shown)
    for name in taken:
        shutil.copyfile(source / name, target / name)
        with open(target / name, "rb") as stream:
            refuse_page(stream.read(4096), f"{shown}, {name}")
    _check_config(target / "config.json", shown)
    for name in weights:
        _check_safetensors(target / name, shown)


def _check_config(file: Path, shown: str) -> None:
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{shown}: config.json is damaged ({error}): get it again") from None
    if not isinstance(config, dict):
        raise UserError(f"{shown}: config.json holds no configuration")


def _check_safetensors(file: Path, shown: str) -> None:
    """Raise UserError if a file's size differs from its header, as after an interrupted download."""
    size = file.stat().st_size
    try:
        with open(file, "rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(8))
            header = json.loads(stream.read(length)) if length <= size else {}
        header.pop("__metadata__", None)
        ends = [tensor["data_offsets"][1] for tensor in header.values()]
        if not ends or 8 + length + max(ends) != size:
            raise ValueError(f"{size:,} bytes are not what its header announces")
    except (struct.error, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{shown}: {file.name} is damaged ({error}): get it again") from None
