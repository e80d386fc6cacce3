"""HTTP downloads that survive a bad network: resumed, retried, checked against what the server announced.

A transfer keeps two files in a folder of partial files: the bytes received so far, and beside them
a JSON with what identifies them (validators and total size). Bytes are appended only when the
server confirms that they continue the same file (RFC 9110, sections 13.1.5 and 14); in every
other case the transfer starts from its first byte.
"""

import email.message
import email.utils
import hashlib
import json
import random
import re
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import requests
import urllib3

from whatyouread.support.cli import UserError, log
from whatyouread.support.files import write_json
from whatyouread.support.progress import progress

PAGE = re.compile(rb"\A[\s\xef\xbb\xbf]*<(?:!doctype\s+html|html)\b", re.IGNORECASE)
# Seconds, except ATTEMPTS: attempts in a row without a new byte, and fresh starts in all.
ATTEMPTS = 8
FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0
LONGEST_RETRY_AFTER = 300.0
CONNECT_TIMEOUT = 20.0
READ_TIMEOUT = 60.0
CHUNK = 1 << 16
RETRIED_STATUS = {408, 425, 429}


class _Again(Exception):
    """A failure that another attempt may mend, after `wait` seconds where the server says so."""

    def __init__(self, reason: str, wait: float | None = None):
        super().__init__(reason)
        self.wait = wait


class Download:
    """A transfer of `url` through the folder `partial`.

    `size` is the number of bytes expected, if known; `target` is the folder that the file will
    end in, whose disk must have room for it. After `run()`, `path` holds the whole body as it was
    sent, and `name` is the file's name: from Content-Disposition, else from the last address.
    """

    def __init__(self, url: str, partial: Path, target: Path, size: int | None = None):
        self.url, self.target, self.size = url, target, size
        self.shown = without_credentials(url)
        partial.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(url.encode()).hexdigest()[:24]
        self.path = partial / digest
        self._notes_path = partial / f"{digest}.json"
        self._notes = self._read_notes()
        self._starts_over = 0
        self._received = 0

    @property
    def name(self) -> str:
        return self._notes["name"]

    def discard(self) -> None:
        """Remove the partial file, so that the next transfer starts from the first byte."""
        self.path.unlink(missing_ok=True)
        self._notes_path.unlink(missing_ok=True)
        self._notes = {}

    def run(self) -> None:
        """Transfer until the file is whole.

        Raises `UserError` for an answer that asking again cannot mend, for a web page instead of
        data, for a full disk, and after `ATTEMPTS` attempts without a new byte.
        """
        failures = 0
        with requests.Session() as session:
            session.headers["Accept-Encoding"] = "identity"  # sizes and ranges of the file itself
            while True:
                try:
                    return self._attempt(session)
                except _Again as error:
                    failures = 1 if self._received else failures + 1
                    self._wait_or_give_up(error, failures)

    def _wait_or_give_up(self, error: _Again, failures: int) -> None:
        failures = max(failures, self._starts_over)
        if failures >= ATTEMPTS:
            raise UserError(
                f"{self.shown}: {error}; given up after {failures} attempts without progress, "
                f"{self._have():,} bytes are kept: run again to resume"
            )
        wait = min(FIRST_WAIT * 2 ** (failures - 1), LONGEST_WAIT) * random.uniform(0.5, 1.0)
        if error.wait is not None:
            wait = min(max(wait, error.wait), LONGEST_RETRY_AFTER)
        log.warning(
            "%s: %s; trying again in %.0f s (%d of %d without progress, %s bytes so far)",
            *(self.shown, error, wait, failures, ATTEMPTS, f"{self._have():,}"),
        )
        time.sleep(wait)

    def _attempt(self, session: requests.Session) -> None:
        self._received = 0
        have = self._have()
        headers = {}
        if have:
            validator = self._validator()
            if validator is None:
                # what was received could not be told from the first part of another version
                self._start_over()
                have = 0
            else:
                headers = {"Range": f"bytes={have}-", "If-Range": validator}
        try:
            limits = CONNECT_TIMEOUT, READ_TIMEOUT
            response = session.get(self.url, headers=headers, stream=True, timeout=limits)
        except (ValueError, requests.TooManyRedirects) as error:  # no address, or one that circles
            raise UserError(f"{self.shown}: {error}") from None
        except requests.RequestException as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise UserError(f"{self.shown}: the server's certificate is not valid") from None
            raise _Again(_reason(error)) from None
        with response:
            if response.status_code == 416:
                self._settle_unsatisfied_range(response, have)
                return
            self._refuse_status(response)
            offset, total = self._place_of_body(response, have)
            self._receive(response, offset, total)

    def _settle_unsatisfied_range(self, response, have: int) -> None:
        """A server has nothing after our last byte: the file is whole, or it is another one."""
        end = re.fullmatch(r"bytes \*/(\d+)", response.headers.get("Content-Range", ""))
        if not (end and have and int(end[1]) == have and self._same_file(response, have)):
            self._start_over()
            raise _Again("the server has no such range of this file")

    def _refuse_status(self, response) -> None:
        status = response.status_code
        answer = f"{status} {response.reason or ''}".strip()
        if status in RETRIED_STATUS or status >= 500:
            raise _Again(f"the server answers {answer}", _retry_after(response))
        if status not in (200, 206):
            raise UserError(
                f"{self.shown}: the server answers {answer}; check the address in the config"
            )

    def _place_of_body(self, response, have: int) -> tuple[int, int | None]:
        """Where in the file the body begins, and the size of the whole file (None: not said)."""
        if response.status_code == 200:
            length = response.headers.get("Content-Length", "")
            return 0, int(length) if length.isdigit() else None
        found = re.fullmatch(
            r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip()
        )
        total = None if not found or found[2] == "*" else int(found[2])
        if not found or int(found[1]) != have or (have and not self._same_file(response, total)):
            self._start_over()
            raise _Again("the file has changed on the server")
        return have, total

    def _same_file(self, response, total: int | None) -> bool:
        """Whether nothing in the answer contradicts what the partial file was the start of."""
        answer = _identity(response, total)
        return not any(
            value is not None and self._notes.get(key) not in (None, value)
            for key, value in answer.items()
        )

    def _receive(self, response, offset: int, total: int | None) -> None:
        if self.size is not None and total is not None and total != self.size:
            self.discard()
            raise UserError(
                f"{self.shown}: the server's file has {total:,} bytes, "
                f"the config expects {self.size:,}"
            )
        chunk = self._read(response)
        # before anything that was received is given up for it
        refuse_page(chunk, self.shown)
        name = self.name if offset else _name(response)
        _refuse_encoded(response, name, self.shown)
        if offset == 0:
            self._start_over()
            self._write_notes(response, name, total)
        self._refuse_full_disk(offset, total)
        title = f"{name} from byte {offset:,}" if offset else name
        with (
            open(self.path, "ab") as file,
            progress(title, None if total is None else total - offset, "B") as bar,
        ):
            while chunk:
                file.write(chunk)
                self._received += len(chunk)
                bar.update(len(chunk))
                chunk = self._read(response)
        have = self._have()
        if total is not None and have > total:
            self._start_over()
            raise _Again(f"{have:,} bytes came instead of {total:,}")
        if total is not None and have < total:
            raise _Again(f"only {have:,} of {total:,} bytes came")

    def _read(self, response) -> bytes:
        try:
            return response.raw.read(CHUNK, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _Again(_reason(error)) from None

    def _refuse_full_disk(self, offset: int, total: int | None) -> None:
        expected = total if total is not None else self.size
        if expected is None:
            return
        refuse_full_disk(self.path.parent, expected - offset, self.shown)
        if device(self.path.parent) != device(self.target):
            refuse_full_disk(self.target, expected, self.shown)

    def _have(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def _start_over(self) -> None:
        if self._have():
            self._starts_over += 1
            log.warning("%s: starting again from the first byte", self.shown)
        self.discard()

    def _validator(self) -> str | None:
        etag = self._notes.get("etag")
        if etag and not etag.startswith("W/"):  # If-Range takes no weak ones
            return etag
        return self._notes.get("last_modified")

    def _read_notes(self) -> dict:
        try:
            notes = json.loads(self._notes_path.read_text(encoding="utf-8"))
            if notes["url"] == self.url and notes["name"]:
                return notes
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self.discard()
        return {}

    def _write_notes(self, response, name: str, total: int | None) -> None:
        self._notes = {"url": self.url, "name": name, **_identity(response, total)}
        write_json(self._notes_path, self._notes)


def _identity(response, total: int | None) -> dict:
    headers = response.headers
    known = {"etag": headers.get("ETag"), "last_modified": headers.get("Last-Modified")}
    return {**known, "size": total}


def _refuse_encoded(response, name: str, source: str) -> None:
    # some servers call the compression of an archive an encoding: there the body is the file
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in ("identity", "") and not name.lower().endswith((".gz", ".tgz")):
        raise UserError(
            f"{source}: the server compresses the transfer ({encoding}) though asked not to, "
            "so neither size nor digest can be checked: download it by hand and give its path"
        )


def _name(response) -> str:
    header = email.message.Message()
    header["Content-Disposition"] = response.headers.get("Content-Disposition", "")
    candidates = header.get_filename(""), unquote(urlsplit(response.url).path)
    return next(filter(None, map(_clean_name, candidates)), "download")


def _clean_name(name: str) -> str:
    """The last part of `name` without what a file system or a reader of the folder trips over."""
    last = name.replace("\\", "/").rpartition("/")[2]
    printable = "".join(letter for letter in last if letter.isprintable())
    return printable.strip().lstrip(".").encode()[-200:].decode(errors="ignore")


def _retry_after(response) -> float | None:
    value = response.headers.get("Retry-After", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return (email.utils.parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None


def _reason(error: Exception) -> str:
    """The innermost cause of a network error, in one line."""
    while error.args and isinstance(error.args[-1], Exception):
        error = error.args[-1]
    reason = getattr(error, "reason", None)
    if isinstance(reason, Exception):
        return _reason(reason)
    return " ".join(str(error).split()) or type(error).__name__


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
