"""HTTP downloads that survive a bad network: resumed, retried, checked against what the server announced.

A transfer keeps two files in a folder of partial files: the bytes received so far, and beside them
a JSON with what identifies them (validators and total size). Bytes are appended only when the
server confirms that they continue the same file (RFC 9110, sections 13.1.5 and 14); in every
other case the transfer starts from its first byte.
"""

import email.message
import email.utils
import hashlib
import http.client
import json
import random
import re
import shutil
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests

from whatyouread.support.addresses import hide
from whatyouread.support.cli import UserError, log
from whatyouread.support.files import of_the_machine, write_json
from whatyouread.support.network import explain, network_errors
from whatyouread.support.progress import progress

PAGE = re.compile(
    r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*"
    r"<(?:!doctype\s+html|html|head|title|meta|body|script|style)\b",
    re.IGNORECASE | re.DOTALL,
)
MESSAGE = re.compile(r"\s*(?:<[?!a-z]|\{|\[\s*\{)", re.IGNORECASE)
# Seconds, except ATTEMPTS: attempts in a row without a new byte, and fresh starts in all.
ATTEMPTS = 8
FIRST_WAIT = 1.0
LONGEST_WAIT = 60.0
LONGEST_RETRY_AFTER = 300.0
CONNECT_TIMEOUT = 20.0
READ_TIMEOUT = 60.0
CHUNK = 1 << 16
RETRIED_STATUS = {408, 425, 429}
LASTING = re.compile(r"Tunnel connection failed: 4\d\d|NO_CERTIFICATE_OR_CRL_FOUND|PEM lib")
LOGINS = {
    401: "a name and password, or a token, are needed: put them into ~/.netrc (config/README.md)",
    407: "the proxy asks for a name and password: write http_proxy=http://NAME:PASSWORD@host:port",
    511: "the network asks for a login: open any page in a browser",
}


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
        self.shown = hide(url)
        partial.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256(url.encode()).hexdigest()[:24]
        self.path = partial / digest
        self._notes_path = partial / f"{digest}.json"
        self._notes = self._read_notes()
        self._starts_over = 0
        self._received = 0
        self.announced = False  # whether the server said where the file ends

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
                    with network_errors(self.shown, _Again):
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
        except (ValueError, requests.TooManyRedirects):  # no address, or one that circles
            raise
        except requests.RequestException as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise UserError(
                    f"{self.shown}: the server's certificate is not valid: {explain(error)}"
                ) from None
            if LASTING.search(str(error)):
                raise
            raise _Again(explain(error)) from None
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
        self.announced = True

    def _refuse_status(self, response) -> None:
        status = response.status_code
        # the server's own words may be anything
        answer = f"{status} {http.client.responses.get(status, '')}".strip()
        if status in LOGINS:
            raise UserError(f"{self.shown}: the server answers {answer}: {LOGINS[status]}")
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
            return 0, int(length) if re.fullmatch("[0-9]+", length) else None
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
        if offset == 0:
            refuse_page(chunk, self.shown)
            enough = len(chunk) >= 64 or len(chunk) == total  # of a broken answer we get another
            if enough and MESSAGE.match(_beginning(chunk)):
                raise UserError(
                    f"{self.shown}: the server sends {describe(chunk)} and no data; "
                    "check the address in the config"
                )
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
        self.announced = total is not None or "Transfer-Encoding" in response.headers
        have = self._have()
        if total is not None and have > total:
            self._start_over()
            raise _Again(f"{have:,} bytes came instead of {total:,}")
        if total is not None and have < total:
            raise _Again(f"only {have:,} of {total:,} bytes came")

    def _read(self, response) -> bytes:
        try:
            return response.raw.read(CHUNK, decode_content=False)
        except Exception as error:
            if of_the_machine(error):
                raise
            raise _Again(explain(error)) from None

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
            if notes["url"] == self.shown and notes["name"]:
                return notes
        except (OSError, ValueError, KeyError, TypeError):
            pass
        self.discard()
        return {}

    def _write_notes(self, response, name: str, total: int | None) -> None:
        self._notes = {"url": self.shown, "name": name, **_identity(response, total)}
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
    """The last part of `name` without secrets, and what a file system or a reader trips over."""
    last = hide(name).replace("\\", "/").rpartition("/")[2]
    printable = "".join(letter for letter in last if letter.isprintable())
    return printable.strip().lstrip(".").encode()[-200:].decode(errors="ignore")


def _retry_after(response) -> float | None:
    value = response.headers.get("Retry-After", "").strip()
    if re.fullmatch("[0-9]+", value):
        return float(value)
    try:
        return (email.utils.parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None


def refuse_page(start: bytes, source: str) -> None:
    """Raise `UserError` where the first bytes of a file are those of a HTML page."""
    if PAGE.match(_beginning(start)):
        raise UserError(
            f"{source}: this is a web page (HTML), not data; "
            "open it in a browser to see what it says, and give the address of the file itself"
        )


def describe(start: bytes) -> str:
    """What the first bytes of a file that is no data look like, with the beginning of it, in words."""
    text = _beginning(start)
    kind = "text or bytes that begin with"
    if PAGE.match(text):
        kind = "a web page (HTML),"
    elif MESSAGE.match(text):
        kind = "an XML message," if text.lstrip().startswith("<") else "a JSON message,"
    shown = "".join(c if c.isprintable() else " " for c in text[:400])
    return f"{kind} {' '.join(shown.split())[:120]!r}"


def _beginning(start: bytes) -> str:
    """The first bytes of a file as text, also where they are gzipped or UTF-16."""
    if start[:2] == b"\x1f\x8b":
        try:
            start = zlib.decompressobj(31).decompress(start, 4096)
        except zlib.error:
            return ""
    encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return start[:4096].decode(encoding, "replace")


def refuse_full_disk(folder: Path, needed: int, source: str) -> None:
    """Raise `UserError` where the disk of `folder` (made later or not) lacks `needed` bytes."""
    free = shutil.disk_usage(_existing(folder)).free
    if needed > free:
        raise UserError(
            f"{source}: {needed:,} bytes are needed in {folder}, "
            f"but only {free:,} are free there: make room or use another disk"
        )


def device(folder: Path) -> int:
    """The number of the disk that `folder` is on, or will be when it is made."""
    return _existing(folder).stat().st_dev


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    return folder if folder.exists() else _existing(folder.parent)
