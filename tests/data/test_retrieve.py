"""Retrieval against a server on the loopback that drops, stalls, truncates and lies."""

import base64
import contextlib
import gzip
import hashlib
import io
import json
import os
import random
import re
import socket
import subprocess
import sys
import threading
import zipfile
from collections import namedtuple
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace

import pytest
from helpers_server import LoopbackServer

from whatyouread.data import transfer
from whatyouread.data.retrieve import check_records, retrieve
from whatyouread.support import files
from whatyouread.support.addresses import hide
from whatyouread.support.cli import UserError
from whatyouread.support.network import CERTIFICATES

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
BODY = random.Random(1).randbytes(300_000)
OTHER = random.Random(2).randbytes(250_000)
HALF = 2 * transfer.CHUNK
DIGEST = hashlib.sha256(BODY).hexdigest()
PAGE = b"\xef\xbb\xbf \n<!DOCTYPE HTML><html><title>Sign in</title></html>"


def send(handler, body=BODY, etag='"v1"', stop=None, ranges=True, length=True, hold=None, **more):
    """Answer a GET like an honest server, or stop after `stop` bytes of the answer's body."""
    begin = 0
    asked = handler.headers.get("Range")
    condition = handler.headers.get("If-Range")
    if asked and ranges and condition in (etag, more.get("Last_Modified")):
        begin = int(asked.removeprefix("bytes=").removesuffix("-"))
        if begin >= len(body):
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(body)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
    else:
        handler.send_response(200)
    if length:
        handler.send_header("Content-Length", str(len(body) - begin))
    if etag:
        handler.send_header("ETag", etag)
    for name, value in more.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body[begin:] if stop is None else body[begin : begin + stop])
    handler.wfile.flush()
    if hold is not None:
        hold.wait(20)
    if stop is not None or not length:
        handler.close_connection = True
        handler.connection.shutdown(socket.SHUT_RDWR)


def answer(handler, status, body=b"", **headers):
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def drop(at, **more):
    return partial(send, stop=at, **more)


class Server(LoopbackServer):
    """Answers the n-th request with the n-th item of `script`, the later ones with `send`."""

    def __init__(self):
        self.script, self.requests = [], []
        super().__init__(Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/data/set.zip?version=1"

    def asked(self, header="Range"):
        return [headers.get(header) for headers in self.requests]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        turn = len(self.server.requests)
        self.server.requests.append(dict(self.headers))
        script = self.server.script
        (script[turn] if turn < len(script) else send)(self)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(transfer, "FIRST_WAIT", 0.001)
    served = Server()
    thread = threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield served
    served.shutdown()
    served.server_close()


@pytest.fixture
def waits(monkeypatch):
    """The seconds waited between attempts, which are noted instead of spent."""
    noted = []
    monkeypatch.setattr(transfer, "time", SimpleNamespace(sleep=noted.append))
    return noted


@pytest.fixture
def get(server, tmp_path):
    """Retrieve into `tmp_path / "made"`; partial files are in `tmp_path / "partial"`."""

    def call(source=None, **more):
        return retrieve(source or server.url, tmp_path / "made", tmp_path / "partial", **more)

    return call


def partial_bytes(tmp_path):
    found = [file for file in (tmp_path / "partial").iterdir() if file.suffix != ".json"]
    return found[0].read_bytes() if found else None


def test_whole_file_and_record(server, get, tmp_path):
    record = get(sha256=DIGEST.upper(), size=len(BODY))
    assert record == {
        "source": server.url,
        "name": "set.zip",
        "bytes": 300_000,
        "sha256": DIGEST,
        "checked": True,
    }
    assert (tmp_path / "made" / "set.zip").read_bytes() == BODY
    assert list((tmp_path / "partial").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made", "partial"]
    assert server.asked("Accept-Encoding") == ["identity"]
    assert server.asked() == [None]


def test_digest_is_recorded_without_an_expected_one(get, caplog):
    caplog.set_level("INFO", logger="whatyouread")
    record = get()
    assert (record["sha256"], record["checked"]) == (DIGEST, False)
    assert DIGEST in caplog.text


def test_dropped_connection_is_resumed_where_it_broke(server, get, tmp_path):
    server.script = [drop(HALF), drop(1000)]
    get(sha256=DIGEST)
    assert server.asked() == [None, f"bytes={HALF}-", f"bytes={HALF + 1000}-"]
    assert server.asked("If-Range") == [None, '"v1"', '"v1"']


def test_killed_process_is_resumed_by_the_next(server, get, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def kill(*_):
        raise Killed

    server.script = [drop(HALF)]
    with monkeypatch.context() as patched:
        patched.setattr(transfer, "time", SimpleNamespace(sleep=kill))
        with pytest.raises(Killed):
            get()
    assert partial_bytes(tmp_path) == BODY[:HALF]
    assert not (tmp_path / "made").exists()
    get(sha256=DIGEST)
    assert server.asked() == [None, f"bytes={HALF}-"]


def test_last_modified_serves_where_there_is_no_strong_etag(server, get):
    date = "Sun, 01 Dec 2024 00:00:00 GMT"
    both = {"etag": 'W/"1"', "Last_Modified": date}
    server.script = [drop(HALF, **both), partial(send, **both)]
    get(sha256=DIGEST)
    assert server.asked("If-Range") == [None, date]


def test_nothing_is_appended_without_a_validator(server, get):
    server.script = [drop(HALF, etag=None)]
    get(sha256=DIGEST)
    assert server.asked() == [None, None]


def test_stall(server, get, monkeypatch):
    monkeypatch.setattr(transfer, "READ_TIMEOUT", 0.3)
    hold = threading.Event()
    server.script = [drop(HALF, hold=hold)]
    get(sha256=DIGEST)
    hold.set()
    assert server.asked() == [None, f"bytes={HALF}-"]


def test_stall_before_the_headers(server, get, monkeypatch):
    monkeypatch.setattr(transfer, "READ_TIMEOUT", 0.3)
    hold = threading.Event()
    server.script = [lambda handler: hold.wait(20)]
    get(sha256=DIGEST)
    hold.set()
    assert server.asked() == [None, None]


def broken_chunks(handler):
    """Half of a body whose length is not announced."""
    handler.send_response(200)
    handler.send_header("Transfer-Encoding", "chunked")
    handler.send_header("ETag", '"v1"')
    handler.end_headers()
    handler.wfile.write(b"%x\r\n" % HALF + BODY[:HALF] + b"\r\n")
    handler.wfile.flush()
    handler.close_connection = True
    handler.connection.shutdown(socket.SHUT_RDWR)


def test_chunked_body_that_breaks_off(server, get):
    server.script = [broken_chunks]
    get(sha256=DIGEST)
    assert server.asked() == [None, f"bytes={HALF}-"]


def test_range_answered_by_a_shorter_range(server, get):
    def two_thousand(handler):
        end = HALF + 1999
        answer(
            handler,
            206,
            BODY[HALF : end + 1],
            Content_Range=f"bytes {HALF}-{end}/{len(BODY)}",
            ETag='"v1"',
        )

    server.script = [drop(HALF), two_thousand]
    get(sha256=DIGEST)
    assert server.asked() == [None, f"bytes={HALF}-", f"bytes={HALF + 2000}-"]


def test_server_that_ignores_range(server, get):
    server.script = [drop(HALF), partial(send, ranges=False)]
    record = get()
    assert (record["sha256"], record["bytes"]) == (DIGEST, len(BODY))
    assert server.asked() == [None, f"bytes={HALF}-"]


def test_file_that_changes_between_attempts(server, get):
    server.script = [drop(HALF), partial(send, body=OTHER, etag='"v2"')]
    assert get()["sha256"] == hashlib.sha256(OTHER).hexdigest()


@pytest.mark.parametrize(
    ("place", "etag", "length"),
    [
        (f"bytes {HALF}-299999/300000", '"v2"', 300_000 - HALF),
        (f"bytes {HALF}-300000/300001", '"v1"', 300_001 - HALF),
        ("bytes 0-299999/300000", '"v1"', 300_000 - HALF),
        ("", '"v1"', 300_000 - HALF),
    ],
    ids=["another etag", "another size", "another place", "no place"],
)
def test_range_of_something_else_is_not_appended(server, get, place, etag, length):
    # each body would fill the file to the length that is said
    lie = partial(answer, status=206, body=OTHER[:length], Content_Range=place, ETag=etag)
    server.script = [drop(HALF), lie]
    get(sha256=DIGEST)
    assert server.asked() == [None, f"bytes={HALF}-", None]


def test_unsatisfied_range_of_a_complete_partial_file(server, get, tmp_path):
    def interrupted(folder):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        get(check=interrupted)
    assert partial_bytes(tmp_path) == BODY
    get(sha256=DIGEST)
    assert server.asked() == [None, "bytes=300000-"]
    assert (tmp_path / "made" / "set.zip").read_bytes() == BODY


@pytest.mark.parametrize("first", [drop(HALF), broken_chunks])
def test_unsatisfied_range_of_a_file_that_shrank(server, get, first):
    server.script = [first, lambda handler: answer(handler, 416, Content_Range="bytes */10")]
    get(sha256=DIGEST)
    assert server.asked() == [None, f"bytes={HALF}-", None]


def test_partial_file_without_its_notes_is_not_used(server, get, tmp_path):
    server.script = [drop(HALF), partial(answer, status=404)]
    with pytest.raises(UserError, match="404"):
        get()
    (notes,) = (tmp_path / "partial").glob("*.json")
    notes.write_text("{")
    get(sha256=DIGEST)
    assert server.asked()[-1] is None


def test_busy_server_is_asked_again(server, get, waits):
    busy = partial(answer, status=503)
    server.script = [busy, busy, busy]
    get(sha256=DIGEST)
    assert len(server.requests) == 4
    assert 0.5e-3 <= waits[0] <= 1e-3
    assert 2 * 0.5e-3 <= waits[1] <= 2e-3
    assert 4 * 0.5e-3 <= waits[2] <= 4e-3


def test_retry_after_is_honoured_and_capped(server, get, waits):
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    server.script = [
        partial(answer, status=429, Retry_After=after) for after in ("7", "999999", soon, "x")
    ]
    get(sha256=DIGEST)
    assert waits[:2] == [7.0, transfer.LONGEST_RETRY_AFTER]
    assert 90 < waits[2] <= 100
    assert waits[3] < 1


def test_gives_up_without_progress_and_resumes_in_the_next_run(server, get, tmp_path, waits):
    busy = partial(answer, status=503)
    server.script = [drop(HALF)] + [busy] * (transfer.ATTEMPTS - 1)
    with pytest.raises(UserError) as caught:
        get()
    message = str(caught.value)
    assert server.url in message
    assert "503" in message
    assert "run again to resume" in message
    assert len(server.requests) == transfer.ATTEMPTS
    assert len(waits) == transfer.ATTEMPTS - 1
    assert not (tmp_path / "made").exists()
    get(sha256=DIGEST)
    assert server.asked()[-1] == f"bytes={HALF}-"


def test_progress_resets_the_count(server, get, waits):
    times = 3 * transfer.ATTEMPTS
    server.script = [drop(5000)] * times
    get(sha256=DIGEST)
    assert server.asked() == [None, *(f"bytes={5000 * n}-" for n in range(1, times + 1))]


def test_server_that_never_resumes_is_given_up(server, get, waits):
    server.script = [drop(HALF, ranges=False)] * 100
    with pytest.raises(UserError, match="given up"):
        get()
    assert len(server.requests) <= transfer.ATTEMPTS + 1


def test_nobody_listens(get, waits, tmp_path):
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}/x"
        with pytest.raises(UserError, match="refused"):
            get(url)
    assert len(waits) == transfer.ATTEMPTS - 1


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_permanent_errors_are_not_retried(server, get, status):
    server.script = [partial(answer, status=status)]
    with pytest.raises(UserError, match=str(status)):
        get()
    assert len(server.requests) == 1


def test_redirects_in_a_circle_are_refused(server, get):
    server.script = [partial(answer, status=302, Location="/data/set.zip?version=1")] * 100
    with pytest.raises(UserError, match="redirects"):
        get()


def test_wrong_digest_names_both_and_the_next_run_starts_anew(server, get, tmp_path):
    server.script = [partial(send, body=OTHER)]
    with pytest.raises(UserError) as caught:
        get(sha256=DIGEST)
    assert DIGEST in str(caught.value)
    assert hashlib.sha256(OTHER).hexdigest() in str(caught.value)
    assert partial_bytes(tmp_path) is None
    assert not (tmp_path / "made").exists()
    get(sha256=DIGEST)
    assert server.asked() == [None, None]


def test_wrong_size_is_refused_before_the_transfer(server, get, tmp_path):
    with pytest.raises(UserError, match=r"300,000 bytes.*299,999"):
        get(size=299_999)
    assert partial_bytes(tmp_path) is None


def test_wrong_size_of_a_body_of_unknown_length(server, get, tmp_path):
    server.script = [partial(send, length=False)]
    with pytest.raises(UserError, match=r"300000.*299999"):
        get(size=299_999)
    assert partial_bytes(tmp_path) is None


def test_body_of_unknown_length(server, get):
    server.script = [partial(send, length=False)]
    assert get(size=300_000)["sha256"] == DIGEST


def test_web_page_is_refused(server, get, tmp_path):
    server.script = [partial(send, body=PAGE)]
    with pytest.raises(UserError, match="web page"):
        get()
    assert not (tmp_path / "made").exists()


def test_web_page_instead_of_the_rest_does_not_cost_what_is_there(server, get, tmp_path):
    server.script = [drop(HALF), partial(send, body=PAGE, etag=None, ranges=False)]
    with pytest.raises(UserError, match="web page"):
        get()
    assert partial_bytes(tmp_path) == BODY[:HALF]
    get(sha256=DIGEST)
    assert server.asked()[-1] == f"bytes={HALF}-"


def test_web_page_in_two_pieces(server, get, tmp_path):
    server.script = [drop(9, body=PAGE), partial(send, body=PAGE)]
    with pytest.raises(UserError, match="web page"):
        get()
    assert server.asked() == [None, "bytes=9-"]
    assert partial_bytes(tmp_path) is None


def test_empty_file_is_refused(server, get):
    server.script = [partial(send, body=b"")]
    with pytest.raises(UserError, match="empty"):
        get()


def test_compressed_transfer_is_refused_unless_it_is_the_file(server, get, tmp_path):
    server.script = [partial(send, Content_Encoding="gzip")] * 2
    with pytest.raises(UserError, match="compresses the transfer"):
        get()
    url = server.url.replace("set.zip", "taxdump.tar.gz")
    assert get(url)["bytes"] == len(BODY)


def test_disk_space_is_checked_before(server, get, tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: usage(10**6, 700_001, 299_999))
    with pytest.raises(UserError, match=r"300,000 bytes.*299,999"):
        get()
    assert not partial_bytes(tmp_path)
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: usage(10**6, 700_000, 300_000))
    get()


def test_what_is_there_already_needs_no_space(server, get, tmp_path, monkeypatch):
    server.script = [drop(HALF), partial(answer, status=404)]
    with pytest.raises(UserError, match="404"):
        get()
    free = namedtuple("usage", "free")(len(BODY) - HALF)
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda _: free)
    get(sha256=DIGEST)


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="final model.zip"', "final model.zip"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        (r'attachment; filename="C:\\temp\\a.zip"', "a.zip"),
        ("attachment; filename*=UTF-8''na%C3%AFve.zip", "naïve.zip"),
        ('attachment; filename="..."', "set.zip"),
        ('attachment; filename=".hidden"', "hidden"),
        ("inline", "set.zip"),
    ],
)
def test_name_from_content_disposition(server, get, tmp_path, header, name):
    server.script = [partial(send, Content_Disposition=header)]
    assert get()["name"] == name
    assert [file.name for file in (tmp_path / "made").iterdir()] == [name]


def test_name_from_the_address_after_redirects(server, get):
    base = server.url.split("/data")[0]
    server.script = [partial(answer, status=302, Location="/files/real%20name.zip?token=1")]
    assert get(f"{base}/short/")["name"] == "real name.zip"
    assert get(f"{base}/")["name"] == "download"


def test_credentials_are_not_recorded(server, get):
    url = server.url.replace("//", "//user:secret@")
    assert get(url)["source"] == server.url


def test_refused_by_the_check(server, get, tmp_path):
    def refuse(folder):
        assert (folder / "set.zip").read_bytes() == BODY
        raise UserError("hostile")

    with pytest.raises(UserError, match="hostile"):
        get(check=refuse)
    assert not (tmp_path / "made").exists()
    assert partial_bytes(tmp_path) is None


def test_file_addresses_and_paths(get, tmp_path, monkeypatch):
    source = tmp_path / "in put" / "data.fa"
    source.parent.mkdir()
    source.write_bytes(b">1 0\nACGT\n")
    digest = hashlib.sha256(b">1 0\nACGT\n").hexdigest()
    monkeypatch.chdir(tmp_path)
    for address in (source, source.as_uri(), "file:in%20put/data.fa", "in put/data.fa"):
        record = get(address, sha256=digest, size=10)
        assert record == {
            "source": str(address),
            "name": "data.fa",
            "bytes": 10,
            "sha256": digest,
            "checked": True,
        }
        assert (tmp_path / "made" / "data.fa").read_bytes() == source.read_bytes()


@pytest.mark.parametrize("given", [{"sha256": "0" * 64}, {"size": 9}])
def test_local_file_is_compared_too(get, tmp_path, given):
    source = tmp_path / "data.fa"
    source.write_bytes(b">1 0\nACGT\n")
    with pytest.raises(UserError, match="expects"):
        get(source, **given)
    assert not (tmp_path / "made").exists()
    assert source.exists()


@pytest.mark.parametrize(
    ("content", "problem"), [(b"", "empty"), (b"\n<HTML lang=en>", "web page")]
)
def test_useless_local_file(get, tmp_path, content, problem):
    (tmp_path / "x.fa").write_bytes(content)
    with pytest.raises(UserError, match=problem):
        get(tmp_path / "x.fa")


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("nowhere.zip", "no such file"),
        ("", "no such file"),
        ("file://host/x.zip", "another machine"),
        ("ftp://host/x.zip", "only http"),
        ("http://", "Invalid URL"),
    ],
)
def test_sources_that_cannot_be(tmp_path, source, problem):
    with pytest.raises(UserError, match=problem):
        retrieve(source, tmp_path / "made", tmp_path / "partial")


def test_malformed_digest(get):
    with pytest.raises(UserError, match="64 hexadecimal"):
        get(sha256="d41d8cd98f00b204e9800998ecf8427e")


def test_folder(get, tmp_path):
    source = tmp_path / "source"
    (source / "b").mkdir(parents=True)
    (source / "b" / "x.fa").write_bytes(b"one")
    (source / "a.fa").write_bytes(b"three")
    (source / "empty.dmp").write_bytes(b"")
    (source / ".hidden").write_bytes(b"no")
    (source / "link.fa").symlink_to("b/x.fa")
    sums = {
        name: hashlib.sha256(data).hexdigest()
        for name, data in {
            "a.fa": b"three",
            "b/x.fa": b"one",
            "empty.dmp": b"",
            "link.fa": b"one",
        }.items()
    }
    lines = sorted(f"{digest}  {name}\n" for name, digest in sums.items())
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    record = get(source, sha256=digest, size=11)
    assert (record["sha256"], record["bytes"], record["name"]) == (digest, 11, "source")
    made = tmp_path / "made"
    found = {file.relative_to(made).as_posix() for file in made.rglob("*") if file.is_file()}
    assert found == set(sums)
    assert not (made / "link.fa").is_symlink()


def test_folder_with_a_link_that_leads_out(get, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.fa").write_bytes(b"x")
    (tmp_path / "secret").write_bytes(b"x")
    (source / "b.fa").symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="leads out"):
        get(source)
    (source / "b.fa").unlink()
    (source / "b").symlink_to(tmp_path)
    with pytest.raises(UserError, match="leads out"):
        get(source)


def test_hidden_files_are_left_out_with_a_warning(get, tmp_path, caplog):
    source = tmp_path / "source"
    (source / ".h").mkdir(parents=True)
    for name in ("a.fa", ".b.fa", ".h/c.fa"):
        (source / name).write_bytes(b">1 0\nA\n")
    get(source)
    [warning] = [entry.message for entry in caplog.records if entry.levelname == "WARNING"]
    assert warning.endswith("hidden, and left out: .b.fa, .h")
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["a.fa"]


def test_a_link_to_a_hidden_folder_is_refused(get, tmp_path):
    """The folder is not entered where it is, nor through the link."""
    source = tmp_path / "source"
    (source / ".store").mkdir(parents=True)
    (source / ".store" / "a.fa").write_bytes(b">1 0\nA\n")
    (source / "b.fa").write_bytes(b">2 0\nA\n")
    (source / "data").symlink_to(".store")
    with pytest.raises(UserError, match="hidden folder"):
        get(source)
    (source / "data").unlink()
    (source / "a.fa").symlink_to(".store/a.fa")  # as git-annex links its files
    (source / "again").symlink_to(".")
    get(source)
    assert sorted(path.name for path in (tmp_path / "made").iterdir()) == ["a.fa", "b.fa"]


@pytest.mark.parametrize("name", [b"caf\xe9.fa", b"a\nb.fa"])
@pytest.mark.parametrize("folder", [False, True])
def test_names_of_files_that_are_no_text(tmp_path, name, folder):
    source = os.fsencode(tmp_path) + b"/source"
    os.mkdir(source)
    with open(source + b"/" + name, "wb") as stream:
        stream.write(b">1 0\nACGT\n")
    given = source if folder else source + b"/" + name
    done = run_script("download_dataset.py", tmp_path, given, "--log", tmp_path / "log")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.endswith("rename the file")
    assert line.isprintable()


def test_folder_around_its_own_copy(get, tmp_path):
    with pytest.raises(UserError, match="around"):
        get(tmp_path)


def run_script(name, tmp_path, source, *more):
    command = [sys.executable, SCRIPTS / name, "--url", source, "--record", tmp_path / "r.json"]
    command += ["--output-dir", tmp_path / "made", "--partial", tmp_path / "partial", *more]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_download_dataset_script(tmp_path):
    with zipfile.ZipFile(tmp_path / "ok.zip", "w") as archive:
        archive.writestr("a.fa", ">1 0\nACGT\n")
    done = run_script("download_dataset.py", tmp_path, tmp_path / "ok.zip", "--sha256", "")
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "r.json").read_text())
    assert record["name"] == "ok.zip"
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr("../a.fa", ">1 0\nACGT\n")
    refused = run_script("download_dataset.py", tmp_path, tmp_path / "bad.zip")
    assert refused.returncode == 1
    assert "'../a.fa'" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_download_taxdump_script(tmp_path):
    dump = tmp_path / "dump.zip"
    with zipfile.ZipFile(dump, "w") as archive:
        archive.writestr("nodes.dmp", "1\t|\t1\t|\tno rank\t|\n")
    refused = run_script("download_taxdump.py", tmp_path, dump)
    assert refused.returncode == 1
    assert "names.dmp" in refused.stderr
    assert not (tmp_path / "made").exists()
    with zipfile.ZipFile(dump, "a") as archive:
        archive.writestr("names.dmp", "1\t|\troot\t|\t\t|\tscientific name\t|\n")
    done = run_script("download_taxdump.py", tmp_path, dump)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "made" / "dump.zip").exists()


def user_folder(folder):
    folder.mkdir()
    (folder / "thesis.fa").write_bytes(b">9606 1\nACGT\n")
    return folder


@pytest.mark.parametrize("program", ["download_dataset.py", "download_taxdump.py"])
def test_a_folder_that_the_program_did_not_make_is_refused(tmp_path, program):
    user_folder(tmp_path / "made")
    source = tmp_path / "x.fa"
    source.write_bytes(b">1 0\nACGT\n")
    refused = run_script(program, tmp_path, source)
    assert refused.returncode == 1
    assert "nothing is deleted" in refused.stderr.splitlines()[-1]
    assert "Traceback" not in refused.stderr
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["thesis.fa"]
    assert not (tmp_path / "r.json").exists()


@pytest.mark.parametrize("record", ["thesis.json", "x.fa", "list.json", "folder"])
def test_a_file_of_the_user_is_not_overwritten_by_the_record(tmp_path, record):
    (tmp_path / "folder").mkdir()
    (tmp_path / "thesis.json").write_text('{"title": "mine"}')
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "x.fa").write_text(">1 0\nACGT\n")
    before = {file: file.read_text() for file in tmp_path.iterdir() if file.is_file()}
    more = ["--record", tmp_path / record]
    done = run_script("download_dataset.py", tmp_path, tmp_path / "x.fa", *more)
    assert done.returncode == 1
    assert "is no record of this program" in done.stderr.splitlines()[-1]
    assert {file: file.read_text() for file in tmp_path.iterdir() if file.is_file()} == before
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("record", ["link/r.json", "other/../made/r.json"])
def test_a_record_in_the_folder_is_refused_by_any_path(tmp_path, record):
    (tmp_path / "made").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to("made")
    (tmp_path / "x.fa").write_text(">1 0\nACGT\n")
    more = ["--record", tmp_path / record]
    done = run_script("download_dataset.py", tmp_path, tmp_path / "x.fa", *more)
    assert done.returncode == 1
    assert "put it beside" in done.stderr


@pytest.mark.parametrize("folder", [False, True])
def test_what_the_program_made_is_replaced_until_somebody_changes_it(tmp_path, folder):
    source = tmp_path / "x.fa"
    if folder:
        source = tmp_path / "source"
        (source / "b").mkdir(parents=True)
        (source / "b" / "y.fa").write_bytes(b">2 0\nA\n")
    for bases in ("ACGT", "ACGTA"):
        (source / "x.fa" if folder else source).write_text(f">1 0\n{bases}\n")
        done = run_script("download_dataset.py", tmp_path, source)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "made" / "x.fa").read_text() == f">1 0\n{bases}\n"
    (tmp_path / "made" / "mine.fa").write_bytes(b">1 1\nACGT\n")
    assert run_script("download_dataset.py", tmp_path, source).returncode == 1
    assert (tmp_path / "made" / "mine.fa").exists()


def test_the_record_is_there_before_the_folder(get, tmp_path, monkeypatch):
    """A program that is killed between the two leaves no folder that it takes for another's."""
    kept = files.os.replace

    def replace(source, target):
        if Path(target) == tmp_path / "made":
            raise KeyboardInterrupt
        kept(source, target)

    monkeypatch.setattr(files.os, "replace", replace)
    with pytest.raises(KeyboardInterrupt):
        get(record_file=tmp_path / "r.json")
    monkeypatch.undo()
    assert json.loads((tmp_path / "r.json").read_text())["sha256"] == DIGEST
    files.refuse_foreign(tmp_path / "made", tmp_path / "r.json")


def packed(data):
    return gzip.compress(data)


def zipped(*contents):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for number, data in enumerate(contents):
            archive.writestr(f"{number}.fa", data)
    return stream.getvalue()


JSON = b'{"error": {"code": 404, "message": "No such record"}}\n'
XML = b"<?xml version='1.0'?>\n<Error><Code>AccessDenied</Code></Error>"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (JSON, "JSON message.*No such record"),
        (b"\n [ " + JSON + b"]", "JSON message"),
        (b"\xef\xbb\xbf" + JSON, "JSON message"),
        (XML, "XML message.*AccessDenied"),
        (b"<Error><Code>SlowDown</Code></Error>", "XML message.*SlowDown"),
        (b"<!-- login --><head><title>Sign in</title></head>", "web page"),
        (b"<?xml version='1.0'?><!DOCTYPE html PUBLIC><html>", "web page"),
        (b"<script>location='/login'</script>", "web page"),
        ("<!doctype html><p>Anmelden".encode("utf-16"), "web page"),
        (packed(PAGE), "web page"),
        (packed(JSON), "JSON message"),
        (packed(b""), "empty, no record"),
        (packed(b">1 0\nACGT\n" * 99)[:-9], "truncated or damaged"),
        (zipped(PAGE), "web page"),
        (zipped(JSON, b""), "JSON message"),
        (zipped(b"", b"\n"), "empty, no record"),
        (zipped(b">1 0\nACGT\n")[:-30], "truncated or damaged"),
        (b"", "empty"),
        (b"\n \r\n", "empty, no record"),
        (b"Too many requests", "begin with 'Too many requests'"),
        (b"404: Not Found", "begin with '404: Not Found'"),
        (b'["no such file"]', "no record"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git-lfs"),
        (random.Random(3).randbytes(5000), "holds no record"),
    ],
)
@pytest.mark.parametrize("name", ["download", "set.fa"])
def test_a_message_is_not_kept_as_the_data(server, get, tmp_path, body, problem, name):
    server.script = [partial(send, body=body, Content_Disposition=f"attachment; filename={name}")]
    with pytest.raises(UserError, match=problem) as caught:
        get(check=check_records, record_file=tmp_path / "r.json")
    assert "\n" not in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["partial"]
    assert partial_bytes(tmp_path) is None


@pytest.mark.parametrize("body", [JSON, XML])
def test_a_message_instead_of_the_rest_does_not_cost_what_is_there(server, get, tmp_path, body):
    server.script = [drop(HALF), partial(send, body=body, etag=None, ranges=False)]
    with pytest.raises(UserError, match="message"):
        get()
    assert partial_bytes(tmp_path) == BODY[:HALF]
    get(sha256=DIGEST)
    assert server.asked()[-1] == f"bytes={HALF}-"


def test_a_rest_that_looks_like_a_message_is_one_of_the_data(server, get):
    body = BODY[:HALF] + b"{<html>" * 1000
    server.script = [drop(HALF, body=body), partial(send, body=body)]
    assert get()["sha256"] == hashlib.sha256(body).hexdigest()


FASTA = b">1 0\nACGT\n>2 0\nACGTACGT\n"


@pytest.mark.parametrize(
    "body",
    [
        FASTA,
        b"\xef\xbb\xbf\r\n" + FASTA,
        packed(FASTA),
        zipped(FASTA),
        zipped(b"a read-me", b"", FASTA),
        zipped(PAGE, FASTA),
    ],
)
def test_data_are_kept(server, get, tmp_path, body):
    server.script = [partial(send, body=body)]
    assert get(check=check_records)["bytes"] == len(body)


def test_fragments_are_data(get, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "x_fragments.json").write_text('[ "ACGT"]')
    (source / "x_species_picked.txt").write_text("a")
    get(source, check=check_records)


def test_a_list_of_a_message_is_no_fragments(server, get, tmp_path):
    """Fragments without the file that lists their records are no data set, whatever the address."""
    body = b'["error", "no access"]'
    server.script = [
        partial(send, body=body, Content_Disposition='inline; filename="x_fragments.json"')
    ]
    with pytest.raises(UserError, match=r"x_species_picked\.txt, .* is not there"):
        get(check=check_records)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("start", [b" " * 5000, b"\n" * 5000, "\ufeff".encode() + b"\r\n"])
def test_the_look_at_the_first_record_is_that_of_the_readers(get, tmp_path, start):
    (tmp_path / "x.fa").write_bytes(start + b">1 0\nACGT\n")
    get(tmp_path / "x.fa", check=check_records)


def test_utf16_is_named_before_it_is_kept(get, tmp_path):
    (tmp_path / "x.fa").write_bytes(">1 0\nACGT\n".encode("utf-16"))
    with pytest.raises(UserError, match="UTF-16"):
        get(tmp_path / "x.fa", check=check_records)


def test_a_name_with_a_secret_in_it(server, get, tmp_path):
    """It is not written to disk, and the program knows its own folder by the hidden name."""
    header = 'attachment; filename="x?token=geheim.fa"'
    server.script = [partial(send, body=FASTA, Content_Disposition=header)]
    record = tmp_path / "r.json"
    get(record_file=record)
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["x?token=***"]
    files.refuse_foreign(tmp_path / "made", record)
    # a name of the user's own stays as it is
    (tmp_path / "a&code=2.fa").write_bytes(FASTA)
    get(tmp_path / "a&code=2.fa", record_file=record)
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["a&code=2.fa"]
    files.refuse_foreign(tmp_path / "made", record)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 403 token=geheim \x1b[31m http://u:geheim@h/\r\nContent-Length: 0\r\n\r\n",
        b"\x00\x1b[31m" * 5000,
    ],
)
def test_a_server_s_own_words_are_not_repeated(server, get, waits, answer):
    def words(handler):
        handler.wfile.write(answer)
        handler.close_connection = True

    server.script = [words] * transfer.ATTEMPTS
    with pytest.raises(UserError) as caught:
        get()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 800
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "given", "length", "said"),
    [
        (FASTA, {}, False, "cannot be told"),
        (FASTA[:-3], {}, False, "in the middle of a line"),
        (FASTA[:-3], {}, True, ""),
        (FASTA, {"size": len(FASTA)}, False, ""),
        (FASTA, {"sha256": hashlib.sha256(FASTA).hexdigest()}, False, ""),
        (packed(FASTA), {}, False, ""),
    ],
)
def test_an_end_that_nobody_announced_is_warned_of(server, get, caplog, body, given, length, said):
    server.script = [partial(send, body=body, length=length)]
    get(**given)
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == bool(said)
    assert all(said in line for line in warned)


@pytest.mark.parametrize(
    ("nodes", "names", "problem"),
    [
        (PAGE, b"1\t|\troot\t|\t\t|\tscientific name\t|\n", "nodes.dmp.*web page"),
        (b"1\t|\t1\t|\tno rank\t|\n", JSON, "names.dmp.*JSON message"),
        (b"", b"1\t|\troot\t|\n", "nodes.dmp.*empty"),
        (b"tax_id,parent\n", b"1\t|\troot\t|\n", "nodes.dmp.*begin with 'tax_id"),
    ],
)
def test_a_taxdump_of_something_else(tmp_path, nodes, names, problem):
    with zipfile.ZipFile(tmp_path / "dump.zip", "w") as archive:
        archive.writestr("nodes.dmp", nodes)
        archive.writestr("names.dmp", names)
    refused = run_script("download_taxdump.py", tmp_path, tmp_path / "dump.zip")
    assert refused.returncode == 1
    assert re.search(problem, refused.stderr.splitlines()[-1])
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("status", [401, 407, 511])
def test_logins_are_asked_for_at_once(server, get, status):
    server.script = [partial(answer, status=status)]
    with pytest.raises(UserError, match=f"{status}.*(password|login)"):
        get()
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"Content_Length": "\xb2"},
        {"Content_Range": f"bytes 0-9/{'9' * 5000}"},
        {"Retry_After": "\xb2"},
        {"Retry_After": "9" * 400},
        {"Content_Disposition": "attachment; filename*=klingon''%ff"},
        {"Content_Disposition": "attachment; filename*0*=x; filename*1=\xff"},
        {"Location": "http://[bad"},
        {"Location": "gopher://u:p@h/x"},
    ],
)
@pytest.mark.parametrize("status", [200, 206, 302, 429])
def test_odd_headers_are_no_internal_error(server, get, waits, headers, status):
    server.script = [partial(answer, status=status, body=BODY, **headers)] * transfer.ATTEMPTS
    with contextlib.suppress(UserError):  # anything else would be an internal error
        get()


NOWHERE = "http://127.0.0.1:9/x"


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({"ALL_PROXY": "socks5h://127.0.0.1:9"}, "ALL_PROXY is a SOCKS proxy.*PySocks"),
        ({"http_proxy": "socks4://u:S3cret-Wort@127.0.0.1:9"}, "http_proxy is a SOCKS proxy"),
        ({"http_proxy": "http://u:S3cret-Wort@host:port"}, "proxy in http_proxy"),
        ({"http_proxy": "u:S3cret-Wort@host:port"}, "proxy in http_proxy"),
        ({"http_proxy": "http://"}, "http_proxy"),
        ({"http_proxy": "http://[::1"}, "http_proxy"),
        ({"http_proxy": "ftp://u:S3cret-Wort@127.0.0.1:9"}, "http_proxy"),
        ({"http_proxy": "http://a..b:1"}, "proxy in http_proxy"),
        ({"http_proxy": "http://u:S3cret-Wort@127.0.0.1:9"}, "proxy in http_proxy"),
        ({"REQUESTS_CA_BUNDLE": "/no/ca.pem"}, "REQUESTS_CA_BUNDLE names /no/ca.pem"),
        ({"CURL_CA_BUNDLE": "/no/ca.pem"}, "CURL_CA_BUNDLE names /no/ca.pem"),
        ({"REQUESTS_CA_BUNDLE": __file__}, "are those in REQUESTS_CA_BUNDLE"),
        ({"NO_PROXY": "[::1, 10.0.0.0/99, *, ,://"}, "refused"),
        ({"NO_PROXY": "127.0.0.1/x\n", "http_proxy": "http://a..b:1"}, "proxy in http_proxy"),
    ],
)
def test_an_odd_environment_is_named(server, tmp_path, monkeypatch, waits, environment, problem):
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "curl_ca_bundle"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in CERTIFICATES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    url = NOWHERE
    if any("CA" in name for name in environment):
        url = server.url.replace("http:", "https:")
    with pytest.raises(UserError, match=problem) as caught:
        retrieve(url, tmp_path / "made", tmp_path / "partial")
    assert "\n" not in str(caught.value)
    assert "S3cret-Wort" not in hide(str(caught.value))


SECRET = "S3cret-Wort"


def script_with_secrets(server, tmp_path, **environment):
    source = server.url.replace("//", f"//user:{SECRET}@") + f"&token={SECRET}#sig={SECRET}"
    kept = {name: value for name, value in os.environ.items() if not name.endswith("_proxy")}
    command = [sys.executable, SCRIPTS / "download_dataset.py", "--url", source]
    command += ["--record", "r.json", "--output-dir", "made", "--partial", "partial"]
    return subprocess.run(
        [*command, "--log", "log.txt"],
        cwd=tmp_path,
        env={**kept, "NO_PROXY": "127.0.0.1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def assert_no_secret(done, tmp_path):
    assert SECRET not in done.stdout + done.stderr
    for path in tmp_path.rglob("*"):
        assert SECRET not in path.name
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path


def redirect(handler):
    place = f"/signed/set.fa?X-Amz-Signature={SECRET}&X-Amz-Credential={SECRET}"
    answer(handler, 302, Location=place)


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ([partial(send, body=FASTA)], None),
        ([redirect, partial(send, body=FASTA)], None),
        ([redirect, partial(answer, status=403)], "403"),
        ([redirect, partial(answer, status=401)], "401"),
        ([redirect] * 40, "redirects"),
        ([redirect, partial(send, body=JSON)], "JSON message"),
        (
            [partial(answer, status=302, Location=f"http://u:{SECRET}@127.0.0.1:x/?sig={SECRET}")],
            "127.0.0.1",
        ),
        ([partial(answer, status=302, Location=f"s3://u:{SECRET}@b/?sig={SECRET}")], "adapters"),
        ([drop(9, body=FASTA), partial(answer, status=403)], "403"),
    ],
)
def test_no_secret_leaves_the_program(server, tmp_path, script, problem):
    server.script = script
    done = script_with_secrets(server, tmp_path)
    assert_no_secret(done, tmp_path)
    assert done.returncode == (0 if problem is None else 1), done.stderr
    if problem is None:
        record = json.loads((tmp_path / "r.json").read_text())
        assert record["source"] == f"{server.url}&token=***#sig=***"
    else:
        assert problem in done.stderr.splitlines()[-1]
        assert "internal error" not in done.stderr
    authorized = server.requests[0]["Authorization"].removeprefix("Basic ")
    assert base64.b64decode(authorized).decode() == f"user:{SECRET}"


def test_the_whole_address_comes_from_the_environment(server, tmp_path):
    server.script = [partial(send, body=FASTA)]
    whole = server.url.replace("//", f"//user:{SECRET}@") + f"&token={SECRET}"
    shown = f"{server.url}&token=***"
    environment = {"WHATYOUREAD_ADDRESSES": json.dumps({shown: whole}), "NO_PROXY": "127.0.0.1"}
    command = [
        sys.executable,
        SCRIPTS / "download_dataset.py",
        "--url",
        shown,
        "--record",
        "r.json",
    ]
    done = subprocess.run(
        [*command, "--output-dir", "made", "--partial", "partial"],
        cwd=tmp_path,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Authorization" in server.requests[0]
    assert_no_secret(done, tmp_path)
