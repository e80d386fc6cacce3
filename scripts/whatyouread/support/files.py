"""Write files whole or not at all, and compute their digests."""

import csv
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from whatyouread.support.addresses import hide, hide_all
from whatyouread.support.cli import ADVICE, UserError

# of the machine or of Snakemake, in any folder
NOT_COUNTED = (".snakemake_timestamp", ".DS_Store")
WORDS = ("rank", "name", "item", "method", "source", "quantity", "most_probable")
"""Columns of words that users choose. They stay text, also where all of them look like numbers."""
_NUMBER = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:e[-+][0-9]+)?|-?inf|"
"""How `write_tsv` writes a number, or none; "007" and "1e5" are text."""


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds.

    The block can make a file or a folder. If the block fails, the temporary file is removed and `path`
    stays unchanged.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # keep the ending, because some writers choose the format by it
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}.{path.name}")
    try:
        yield temporary
        if temporary.is_dir() and path.is_dir():
            # a folder takes no other's place: the old one steps aside, for the time of two renames
            aside = temporary.with_name(f"{temporary.name}.old")
            os.replace(path, aside)
            os.replace(temporary, path)
            shutil.rmtree(aside, ignore_errors=True)
        else:
            os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def write_json(path: str | Path, value) -> None:
    """Write `value` as indented JSON, its keys in their order, atomically; secrets are hidden."""
    with atomic(path) as temporary:
        text = json.dumps(hide_all(value), indent=2, ensure_ascii=False, allow_nan=False)
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: str | Path) -> dict:
    """Read a JSON object. Raises UserError if the file is missing or holds something else."""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is not there") from None
    except ValueError as error:
        raise UserError(f"{path} is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} is not a JSON object")
    return value


def write_tsv(path: str | Path, frame, float_format: str | None = None) -> None:
    """Write a pandas frame as TSV with a header and without the index, atomically.

    Text with tabs, line ends or quotation marks is quoted, and missing values are empty: `read_tsv` gives
    the same text again.
    """
    words = frame.select_dtypes(["object", "str", "category"])
    # Python's csv quotes what holds a line feed, but not what holds a carriage return
    lone = any(
        column.astype(str).str.contains("\r", regex=False).any() for _, column in words.items()
    )
    with atomic(path) as temporary:
        frame.to_csv(
            temporary,
            sep="\t",
            index=False,
            float_format=float_format,
            lineterminator="\n",
            quoting=csv.QUOTE_NONNUMERIC if lone else csv.QUOTE_MINIMAL,
        )


def read_tsv(path: str | Path, columns: Iterable[str] = (), rows: int | None = None):
    """Read a TSV of `write_tsv`, or its first `rows` rows, as a pandas frame with at least `columns`.

    Text is text: only an empty field is missing, so that a class may be called "NA" or "null". A column
    holds numbers where all its fields are written like numbers, and it is not one of `WORDS`; a missing
    number is NaN, missing text "". Raises UserError where the file is missing or damaged, or lacks a
    column.
    """
    import pandas as pd

    options = {"dtype": str, "keep_default_na": False, "nrows": rows, "encoding": "utf-8"}
    try:
        table = pd.read_csv(path, sep="\t", **options)
    except FileNotFoundError:
        raise UserError(f"{path} is not there") from None
    except ValueError as error:  # pandas' own errors and wrong encodings are ValueErrors
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not a table ({reason}): make it again") from None
    if missing := [name for name in columns if name not in table]:
        raise UserError(f"{path} has no column {missing[0]}: make it again")
    for name in table.columns.difference(WORDS):
        if table[name].str.fullmatch(_NUMBER).all():
            table[name] = pd.to_numeric(table[name].where(table[name] != ""))
    return table


def of_the_machine(error: Exception) -> bool:
    """Whether an error is the machine's (disk, rights, memory) and says nothing of a file's contents."""
    return isinstance(error, MemoryError) or getattr(error, "errno", None) in ADVICE


@contextmanager
def parquet_errors(path: str | Path) -> Iterator[None]:
    """Turn pyarrow's exceptions for a missing or damaged file into a `UserError`.

    A full disk, a missing right or too little memory is no damage: such errors pass.
    """
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path} is not there") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        if of_the_machine(error):
            raise
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is damaged ({reason}): delete it and run again") from None


def read_parquet(path: str | Path, columns: list[str] | None = None):
    """Read a Parquet file, or some of its columns, as an Arrow table. Raises UserError if damaged."""
    import pyarrow.parquet as pq

    with parquet_errors(path):
        names = pq.read_schema(path).names
        if missing := [name for name in columns or () if name not in names]:
            raise UserError(f"{path} has no column {missing[0]}: make it again")
        return pq.read_table(path, columns=columns)


def sha256(path: str | Path) -> str:
    """The SHA-256 digest of a file, as 64 hexadecimal digits."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest_of_folder(digests: dict[str, str]) -> str:
    """One SHA-256 for a folder: that of the lines `digest  relative/path`, sorted."""
    lines = sorted(f"{digest}  {name}\n" for name, digest in digests.items())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def refuse_foreign(folder: Path, record: Path) -> None:
    """Raise `UserError` where `folder` is to be made anew, but holds what we did not put there.

    It may be absent or empty, or hold exactly the files that the JSON `record` has of it: one file
    (`name`, `sha256`), a folder (`sha256`), or several (`files`). Nor may `record` be something else.
    """
    if folder.resolve() in record.resolve().parents:
        raise UserError(f"{record}: the record lies in {folder}, which is replaced: put it beside")
    made = _recorded(record)
    if made is None:
        raise UserError(
            f"{record}: it is there and is no record of this program: nothing is overwritten; give"
            " another --record, or move it away yourself"
        )
    if not os.path.lexists(folder):
        return
    if folder.is_symlink():
        raise UserError(f"{folder}: a link: give the folder itself that it leads to")
    if folder.is_dir():
        found = {
            path.relative_to(folder).as_posix(): path
            for path in folder.rglob("*")
            if (path.is_symlink() or not path.is_dir())
            and path.name not in NOT_COUNTED
            and not path.name.startswith(".nfs")
        }
        if not found or _is_recorded(found, made):
            return
    raise UserError(
        f"{folder}: it is there and is not what this program made (by {record}): "
        "nothing is deleted; give another --output-dir, or move the folder away yourself"
    )


def _recorded(record: Path) -> dict | None:
    """What a record holds, {} where there is none yet; None where the file is no record."""
    if not os.path.lexists(record):
        return {}
    try:
        text = record.read_text(encoding="utf-8")
        made = json.loads(text or "{}")
    except (OSError, ValueError):
        return None
    ours = isinstance(made, dict) and (not made or made.keys() & {"sha256", "files"})
    return made if ours else None


def _is_recorded(found: dict[str, Path], made: dict) -> bool:
    expected = made.get("files", made.get("sha256"))
    if expected is None or any(path.is_symlink() or not path.is_file() for path in found.values()):
        return False
    if "bytes" in made and made["bytes"] != sum(path.stat().st_size for path in found.values()):
        return False
    digests = {name: sha256(path) for name, path in found.items()}
    if [hide(name) for name in digests] == [made.get("name")] and list(digests.values()) == [
        expected
    ]:
        return True
    return expected in (digests, digest_of_folder(digests))
