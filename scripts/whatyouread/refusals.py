"""What no source of data is taken with: a web page, or more bytes than the disk has room for."""

import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from whatyouread.cli import UserError

PAGE = re.compile(rb"\A[\s\xef\xbb\xbf]*<(?:!doctype\s+html|html)\b", re.IGNORECASE)


def refuse_page(start: bytes, source: str) -> None:
    """Raise `UserError` where the first bytes of a file are those of a HTML page."""
    if PAGE.match(start[:4096]):
        raise UserError(
            f"{source}: this is a web page (HTML), not data; "
            "open it in a browser to see what it says, and give the address of the file itself"
        )


def refuse_full_disk(folder: Path, needed: int, source: str) -> None:
    """Raise `UserError` where the disk of `folder` (made later or not) lacks `needed` bytes."""
    free = shutil.disk_usage(_existing(folder)).free
    if needed > free:
        raise UserError(
            f"{source}: {needed:,} bytes are needed in {folder}, "
            f"but only {free:,} are free there: make room or use another disk"
        )


def without_credentials(url: str) -> str:
    """`url` without the user's name and password, for messages and records."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def device(folder: Path) -> int:
    """The number of the disk that `folder` is on, or will be when it is made."""
    return _existing(folder).stat().st_dev


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    return folder if folder.exists() else _existing(folder.parent)
