"""Backbones from an imitation of the Hub on the loopback, from folders, and fresh ones."""

import errno
import hashlib
import json
import os
import subprocess
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from helpers_server import LoopbackServer

from whatyouread.models.hub import PATTERNS, fetch_backbone
from whatyouread.support.cli import UserError
from whatyouread.support.network import CERTIFICATES

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "download_backbone.py"
REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "data" / "reference" / "nt_v2_tiny"
REPOSITORY = "owner/encoder"
REVISION = "0123456789abcdef0123456789abcdef01234567"
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}


def safetensors(values=b"\0\0\x80\x3f" * 6):
    header = {"w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    return len(text).to_bytes(8, "little") + text + values


FILES = {
    "config.json": b'{"model_type": "esm"}',
    "vocab.txt": b"<unk>\n<pad>",
    "tokenizer_config.json": b"{}",
    "special_tokens_map.json": b"{}",
    "tokenizer.json": b"{}",
    "sentencepiece.bpe.model": b"pieces",
    "model.safetensors": safetensors(),
    "pytorch_model.bin": b"a pickle",
    "model.pt": b"a pickle",
    "modeling_esm.py": b"raise SystemExit('code of a stranger')",
    "README.md": b"read me",
}
TAKEN = ["config.json", "model.safetensors", "sentencepiece.bpe.model", "special_tokens_map.json"]
TAKEN += ["tokenizer.json", "tokenizer_config.json", "vocab.txt"]


class Hub(BaseHTTPRequestHandler):
    """The Hub's API as far as snapshots need it."""

    protocol_version = "HTTP/1.1"

    def __init__(self, *args, served, seen, refusal):
        self.served, self.seen, self.refusal = served, seen, refusal
        super().__init__(*args)

    def do_HEAD(self):
        path = self.path.split("?")[0]
        self.seen.append(f"{self.command} {path}")
        model = f"/api/models/{REPOSITORY}"
        resolved = f"/{REPOSITORY}/resolve/{REVISION}/"
        if self.refusal:
            status, code = self.refusal
            self.reply(status, b"{}", {"X-Error-Code": code})
        elif path in (f"{model}/revision/{REVISION}", f"{model}/revision/main"):
            siblings = [{"rfilename": name} for name in self.served]
            self.reply_json({"id": REPOSITORY, "sha": REVISION, "siblings": siblings})
        elif path == f"{model}/tree/{REVISION}":
            listed = [
                {"type": "file", "path": name, "size": len(data), "oid": self.tag(data)}
                for name, data in self.served.items()
            ]
            self.reply_json(listed)
        elif path.startswith(resolved) and path.removeprefix(resolved) in self.served:
            data = self.served[path.removeprefix(resolved)]
            tags = {"ETag": f'"{self.tag(data)}"', "X-Repo-Commit": REVISION}
            self.reply(200, data, tags)
        else:
            self.reply(404, b"{}", {"X-Error-Code": "EntryNotFound"})

    do_GET = do_HEAD

    def reply_json(self, value):
        self.reply(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def reply(self, status, body, headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    @staticmethod
    def tag(data):
        return hashlib.sha1(data).hexdigest()

    def log_message(self, *_):
        pass


@pytest.fixture
def serve(tmp_path):
    """A function that starts a Hub: (files, refusal) -> the environment to use it, seen requests."""
    servers = []

    def start(served, refusal=None):
        seen = []
        handler = partial(Hub, served=served, seen=seen, refusal=refusal)
        server = LoopbackServer(handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        environment = {
            "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
            "HF_HOME": str(tmp_path / "cache"),
            "NO_PROXY": "127.0.0.1",
            "no_proxy": "127.0.0.1",
        }
        return environment, seen

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def hub(serve, tmp_path):
    """A function that runs the script against a Hub: (files, seen requests, refusal) -> process."""

    def call(served=FILES, refusal=None, revision=REVISION, repository=REPOSITORY, **environment):
        own, seen = serve(served, refusal)
        settings = {"repository": repository, "revision": revision}
        return run_script(settings, tmp_path, **own, **environment), seen

    return call


def run_script(settings, tmp_path, **environment):
    command = [sys.executable, SCRIPT, "--settings", json.dumps(settings)]
    command += ["--output-dir", tmp_path / "backbone", "--record", tmp_path / "record.json"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    return subprocess.run(
        command, env={**kept, **environment}, capture_output=True, text=True, check=False
    )


def refused(done, problem):
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert problem in done.stderr.splitlines()[-1]


def test_snapshot_of_the_hub(hub, tmp_path):
    done, seen = hub()
    assert done.returncode == 0, done.stderr
    made = tmp_path / "backbone"
    assert sorted(file.name for file in made.iterdir()) == TAKEN
    for name in TAKEN:
        assert (made / name).read_bytes() == FILES[name]
        assert not (made / name).is_symlink()
    record = json.loads((tmp_path / "record.json").read_text())
    assert record == {
        "repository": REPOSITORY,
        "revision": REVISION,
        "files": {name: hashlib.sha256(FILES[name]).hexdigest() for name in TAKEN},
    }
    asked = {line.rsplit("/", 1)[1] for line in seen if "/resolve/" in line}
    assert asked == set(TAKEN)
    assert all(f"/resolve/{REVISION}/" in line for line in seen if "/resolve/" in line)


def test_cached_snapshot_serves_without_a_network(hub, tmp_path):
    hub()
    done, seen = hub(HF_HUB_OFFLINE="1")
    assert done.returncode == 0, done.stderr
    assert seen == []


def test_offline_without_a_cache(hub, tmp_path):
    done, _ = hub(HF_HUB_OFFLINE="1")
    refused(done, "backbone.path")
    assert not (tmp_path / "backbone").exists()


@pytest.mark.parametrize(
    ("refusal", "problem"),
    [
        ((404, "RepoNotFound"), "no such repository"),
        ((401, "RepoNotFound"), "no such repository"),
        ((403, "GatedRepo"), "gated"),
        ((404, "RevisionNotFound"), "no such commit"),
    ],
)
def test_refusals_of_the_hub(hub, refusal, problem):
    done, _ = hub(refusal=refusal)
    refused(done, problem)


def test_repository_without_safetensors(hub, tmp_path):
    served = {name: data for name, data in FILES.items() if not name.endswith(".safetensors")}
    done, seen = hub(served)
    refused(done, "no weights as safetensors")
    assert not any("pytorch_model.bin" in line for line in seen)
    assert not (tmp_path / "backbone").exists()


@pytest.mark.parametrize("revision", ["main", REVISION[:7], REVISION.upper(), REVISION + "0", None])
def test_revision_that_is_no_commit(hub, revision):
    with pytest.raises(UserError, match="not a commit"):
        fetch_backbone({"repository": REPOSITORY, "revision": revision}, Path("never"))


def failing_hub(monkeypatch, error):
    import huggingface_hub

    def snapshot_download(*_, **__):
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)


def test_failures_on_the_way(monkeypatch, tmp_path):
    from huggingface_hub import errors

    transport = errors.HfHubHTTPError.__bases__[0]
    for error, problem in (
        (errors.LocalEntryNotFoundError("no route"), r"cannot be reached.*no route"),
        (transport("peer closed"), r"download failed.*peer closed"),
        (OSError("file should be of size 2 but has size 1"), r"download failed.*size 2"),
    ):
        failing_hub(monkeypatch, error)
        with pytest.raises(UserError, match=problem):
            fetch_backbone({"repository": REPOSITORY, "revision": REVISION}, tmp_path / "made")


def test_full_disk_is_not_blamed_on_the_hub(monkeypatch, tmp_path):
    failing_hub(monkeypatch, OSError(errno.ENOSPC, "No space left on device", "model"))
    with pytest.raises(OSError, match="No space left"):
        fetch_backbone({"repository": REPOSITORY, "revision": REVISION}, tmp_path / "made")


def write(folder, content):
    folder.mkdir()
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return folder


def test_local_folder(tmp_path):
    source = write(tmp_path / "source", {**FILES, "part-2.safetensors": safetensors()})
    (source / "cache").mkdir()
    record = fetch_backbone({"path": str(source)}, tmp_path / "made")
    expected = sorted([*TAKEN, "part-2.safetensors"])
    assert sorted(file.name for file in (tmp_path / "made").iterdir()) == expected
    assert sorted(record["files"]) == expected
    assert record["path"] == str(source)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"config.json": None}, "no config.json"),
        ({"config.json": b"{"}, "config.json is damaged"),
        ({"config.json": b"[]"}, "holds no configuration"),
        ({"model.safetensors": None}, "no weights as safetensors"),
        ({"model.safetensors": safetensors()[:-1]}, "model.safetensors is damaged"),
        ({"model.safetensors": safetensors() + b"x"}, "model.safetensors is damaged"),
        ({"model.safetensors": b""}, "model.safetensors is damaged"),
        ({"model.safetensors": b"\xff" * 100}, "model.safetensors is damaged"),
        ({"model.safetensors": b"version https://git-lfs"}, "model.safetensors is damaged"),
    ],
)
def test_local_folder_that_is_no_backbone(tmp_path, change, problem):
    content = {name: data for name, data in {**FILES, **change}.items() if data is not None}
    source = write(tmp_path / "source", content)
    with pytest.raises(UserError, match=problem):
        fetch_backbone({"path": str(source)}, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_path_that_is_no_folder(tmp_path):
    with pytest.raises(UserError, match="not a folder"):
        fetch_backbone({"path": str(tmp_path / "nowhere")}, tmp_path / "made")


def test_reference_checkpoint_by_path(tmp_path):
    if not REFERENCE.exists():
        pytest.skip("shared/data/reference is not beside the checkout")
    source = tmp_path / "source"
    source.mkdir()
    for name in [*PATTERNS[:-1], "model.safetensors"]:
        (source / name).symlink_to(REFERENCE / name)
    fetch_backbone({"path": str(source)}, tmp_path / "made")
    digest = hashlib.sha256((REFERENCE / "model.safetensors").read_bytes()).digest()
    copied = (tmp_path / "made" / "model.safetensors").read_bytes()
    assert hashlib.sha256(copied).digest() == digest


def test_fresh_encoder_is_laid_out_like_the_reference(tmp_path):
    if not REFERENCE.exists():
        pytest.skip("shared/data/reference is not beside the checkout")
    reference = json.loads((REFERENCE / "config.json").read_text())
    sizes = {key: reference[key] for key in SIZES}
    record = fetch_backbone(sizes, tmp_path / "made")
    made = json.loads((tmp_path / "made" / "config.json").read_text())
    for key in ("auto_map", "transformers_version"):  # of the code published beside the weights
        del reference[key]
    assert made == reference
    assert (tmp_path / "made" / "vocab.txt").read_bytes() == (REFERENCE / "vocab.txt").read_bytes()
    assert sorted(record["files"]) == ["config.json", "vocab.txt"]
    assert record["hidden_size"] == 64


def test_fresh_encoder_with_dropout(tmp_path):
    fetch_backbone({**SIZES, "hidden_dropout_prob": 0.1}, tmp_path / "made")
    config = json.loads((tmp_path / "made" / "config.json").read_text())
    assert config["hidden_dropout_prob"] == 0.1
    assert config["attention_probs_dropout_prob"] == 0.0
    assert {key: config[key] for key in SIZES} == SIZES


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"hidden_size": 0}, "positive whole number"),
        ({"num_hidden_layers": 2.0}, "positive whole number"),
        ({"num_hidden_layers": True}, "positive whole number"),
        ({"intermediate_size": "48"}, "positive whole number"),
        ({"hidden_size": 36}, "twice the 4 attention heads"),
        ({"hidden_dropout_prob": 1}, "from 0 to below 1"),
        ({"attention_probs_dropout_prob": -0.1}, "from 0 to below 1"),
        ({"path": "x"}, "expected repository"),
        ({"layers": 2}, "expected repository"),
    ],
)
def test_sizes_that_cannot_be(tmp_path, change, problem):
    with pytest.raises(UserError, match=problem):
        fetch_backbone({**SIZES, **change}, tmp_path / "made")


def test_settings_of_no_shape(tmp_path):
    both = {"repository": REPOSITORY, "revision": REVISION, "path": "x"}
    for settings in ({}, {"repository": "a/b"}, {"hidden_size": 32}, both):
        with pytest.raises(UserError, match="expected repository"):
            fetch_backbone(settings, tmp_path / "made")


def test_script_writes_a_fresh_backbone(tmp_path):
    done = run_script(SIZES, tmp_path)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "backbone" / "vocab.txt").read_text().split("\n")) == 4107
    record = json.loads((tmp_path / "record.json").read_text())
    assert set(record["files"]) == {"config.json", "vocab.txt"}


def asked(tmp_path, **environment):
    """The script, asked for the repository of a Hub that nobody serves.

    The Hub's library tries five times more, after half a minute in all, but does not wait here.
    """
    (tmp_path / "sitecustomize.py").write_text("import time\ntime.sleep = lambda _: None\n")
    here = {"HF_HOME": str(tmp_path / "cache"), "NO_PROXY": "", "no_proxy": ""}
    here["PYTHONPATH"] = str(tmp_path)
    environment = here | dict.fromkeys(CERTIFICATES, "") | environment
    return run_script({"repository": REPOSITORY, "revision": REVISION}, tmp_path, **environment)


HERE = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("environment", "problem"),
    [
        ({"HF_ENDPOINT": "https://hf mirror.com"}, "HF_ENDPOINT: 'https://hf mirror.com'"),
        ({"HF_ENDPOINT": " https://hf-mirror.com"}, "HF_ENDPOINT: "),
        ({"HF_ENDPOINT": "https://hf-mirror.com\n"}, "HF_ENDPOINT: "),
        ({"HF_ENDPOINT": "hf-mirror.com"}, "HF_ENDPOINT: 'hf-mirror.com'"),
        ({"HF_ENDPOINT": "hf-mirror.com:80"}, "HF_ENDPOINT: "),
        ({"HF_ENDPOINT": "https:/hf-mirror.com"}, "HF_ENDPOINT: "),
        ({"HF_ENDPOINT": "https://[::1"}, "HF_ENDPOINT: "),
        ({"HF_ENDPOINT": "https://h:port"}, "HF_ENDPOINT: "),
        ({"HF_ENDPOINT": "https://u:S3cret-Wort@h:port"}, "HF_ENDPOINT: "),
        ({"HF_ENDPOINT": "ftp://h"}, "HF_ENDPOINT: "),
        ({"HF_ENDPOINT": HERE}, "cannot be reached"),
        ({"HF_ENDPOINT": HERE.replace("//", "//u:S3cret-Wort@")}, "cannot be reached"),
        ({"HF_ENDPOINT": HERE, "HF_HUB_DOWNLOAD_TIMEOUT": "abc"}, "HF_HUB_DOWNLOAD_TIMEOUT"),
        ({"HF_ENDPOINT": HERE, "HF_HUB_ETAG_TIMEOUT": "1.5"}, "HF_HUB_ETAG_TIMEOUT"),
        ({"HF_ENDPOINT": HERE, "HF_HUB_ETAG_TIMEOUT": "-1"}, ""),
        ({"HF_ENDPOINT": HERE, "HF_TOKEN": "S3cret-Wort-ä"}, ""),
        ({"HF_ENDPOINT": HERE, "HF_TOKEN": "S3cret-Wort\nx"}, ""),
        ({"HF_ENDPOINT": HERE, "ALL_PROXY": "socks5://u:S3cret-Wort@127.0.0.1:9"}, "SOCKS"),
        ({"HF_ENDPOINT": HERE, "http_proxy": "http://u:S3cret-Wort@h:port"}, "http_proxy"),
        ({"HF_ENDPOINT": HERE, "http_proxy": "u:S3cret-Wort@h:port"}, "http_proxy"),
        ({"HF_ENDPOINT": HERE, "http_proxy": "ftp://127.0.0.1"}, "http_proxy"),
        ({"HF_ENDPOINT": HERE, "NO_PROXY": "[::1, ://,*x*"}, ""),
        ({"HF_ENDPOINT": HERE, "SSL_CERT_FILE": "/no/ca.pem"}, "SSL_CERT_FILE names /no/ca.pem"),
        ({"HF_ENDPOINT": HERE, "SSL_CERT_FILE": __file__}, "SSL_CERT_FILE"),
    ],
)
def test_an_odd_environment_is_named_in_one_line(tmp_path, environment, problem):
    done = asked(tmp_path, **environment)
    refused(done, problem)
    assert "internal error" not in done.stderr
    assert "S3cret-Wort" not in done.stderr
    assert not (tmp_path / "backbone").exists()


@pytest.mark.parametrize("cache", [__file__, "/proc/nowhere", "/dev/null/x"])
def test_a_cache_that_cannot_be_is_named(hub, cache):
    done, _ = hub(HF_HUB_CACHE=cache)
    refused(done, cache)
    assert "internal error" not in done.stderr


def test_an_empty_endpoint_is_none(monkeypatch):
    from whatyouread.models import hub as module

    monkeypatch.setenv("HF_ENDPOINT", " ")
    module._check_endpoint()
    assert "HF_ENDPOINT" not in os.environ


@pytest.mark.parametrize(
    "error",
    [ValueError("x"), RuntimeError("x"), KeyError("x"), AttributeError("x"), UnicodeError("x")],
)
def test_whatever_the_hub_raises_is_one_line(monkeypatch, tmp_path, error):
    failing_hub(monkeypatch, error)
    with pytest.raises(UserError, match=r"owner/encoder at 0123456789ab .*the download failed"):
        fetch_backbone({"repository": REPOSITORY, "revision": REVISION}, tmp_path / "made")


def test_a_cache_that_may_not_be_written(monkeypatch, tmp_path):
    failing_hub(monkeypatch, PermissionError(errno.EACCES, "Permission denied", "/cache/x"))
    with pytest.raises(UserError, match=r"/cache/x: Permission denied.*set HF_HOME"):
        fetch_backbone({"repository": REPOSITORY, "revision": REVISION}, tmp_path / "made")


class Portal(BaseHTTPRequestHandler):
    """Answers everything with a login page, as the networks of hotels do."""

    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(b"<html>Sign in</html>")

    do_GET = do_HEAD

    def log_message(self, *_):
        pass


def test_a_login_page_instead_of_the_hub(tmp_path):
    server = LoopbackServer(Portal)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    done = asked(tmp_path, HF_ENDPOINT=endpoint, NO_PROXY="127.0.0.1")
    server.shutdown()
    server.server_close()
    refused(done, endpoint)
    assert "internal error" not in done.stderr


@pytest.mark.parametrize("name", ["vocab.txt", "config.json"])
def test_a_page_instead_of_a_file(tmp_path, name):
    source = write(tmp_path / "source", {**FILES, name: b"<!DOCTYPE html><html>Sign in</html>"})
    with pytest.raises(UserError, match="web page"):
        fetch_backbone({"path": str(source)}, tmp_path / "made")


def test_a_folder_that_the_program_did_not_make_is_refused(tmp_path):
    write(tmp_path / "backbone", {"thesis.txt": b"mine"})
    refused(run_script(SIZES, tmp_path), "nothing is deleted")
    assert (tmp_path / "backbone" / "thesis.txt").read_bytes() == b"mine"


def test_what_the_program_made_is_replaced(tmp_path):
    for sizes in (SIZES, SIZES | {"hidden_size": 64}):
        done = run_script(sizes, tmp_path)
        assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "backbone" / "config.json").read_text())
    assert config["hidden_size"] == 64


def test_an_ill_formed_variable_of_the_hub_is_named_in_training_too():
    code = "from whatyouread.models.esm import EsmAdapter; EsmAdapter.build({})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=SCRIPT.parent,
        env=os.environ | {"HF_HUB_ETAG_TIMEOUT": "soon"},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert "UserError: the library transformers does not start: " in last
    assert "see what HF_HUB_ETAG_TIMEOUT holds" in last


MODEL = {
    "config.json": b"{}",
    "model.safetensors": safetensors(),
    "gate.json": b"{}",
    "classes.tsv": b"rank",
    "classifier.json": b"{}",
    "README.md": b"read me",
    "classifier/config.json": b"{}",
    "classifier/model.safetensors": safetensors(b"\0" * 24),
}
STRANGE = {
    "optimizer.pt": b"a pickle",
    "classifier/modeling.py": b"code of a stranger",
    "other.safetensors": safetensors(),
    "deeper/classifier/config.json": b"{}",
    "checkpoints/config.json": b"{}",
}
FIND = """
import sys
from whatyouread.models.hub import find_model
from whatyouread.support import cli
arguments = cli.parser("find")
arguments.add_argument("--model")
cli.run(arguments, lambda args: print(find_model(args.model)))
"""


@pytest.fixture
def find(serve, run_python, monkeypatch):
    """(text, files, refusal) -> the finished program that asked a Hub for a model, seen requests."""

    def call(text, served=None, refusal=None, **environment):
        own, seen = serve({**MODEL, **STRANGE} if served is None else served, refusal)
        for name in [name for name in os.environ if name.startswith("HF_")]:
            monkeypatch.delenv(name)
        for name, value in {**own, **environment}.items():
            monkeypatch.setenv(name, value)
        return run_python(FIND, "--model", text), seen

    return call


@pytest.mark.parametrize("text", [f"{REPOSITORY}@{REVISION}", REPOSITORY, f"{REPOSITORY}@main"])
def test_a_published_model_comes_with_its_classifier_and_nothing_else(find, text):
    done, seen = find(text)
    assert done.returncode == 0, done.stderr
    folder = Path(done.stdout.strip())
    assert folder.name == REVISION
    got = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert got == MODEL
    assert not any(name in line for name in STRANGE for line in seen)
    # which commit the newest was stands in the log, as it is to be asked for
    said = f"to get the same again: --model {REPOSITORY}@{REVISION}" in done.stderr
    assert said == (not text.endswith(REVISION))
    again, seen = find(text, HF_HUB_OFFLINE="1")
    assert (again.stdout, seen) == (done.stdout, [])


def test_a_folder_comes_before_a_repository(find, tmp_path):
    (tmp_path / REPOSITORY).mkdir(parents=True)  # the working directory of the program
    done, seen = find(REPOSITORY)
    assert (done.stdout.strip(), seen) == (REPOSITORY, [])


@pytest.mark.parametrize(
    ("text", "refusal", "problem"),
    [
        (f"{REPOSITORY}@v1", None, "'v1' is not a commit"),
        (f"{REPOSITORY}@", None, "'' is not a commit"),
        (f"{REPOSITORY}@{REVISION[:12]}", None, f"'{REVISION[:12]}' is not a commit"),
        (f"{REPOSITORY}@{REVISION.upper()}", None, "is not a commit"),
        ("results/explainers/shrap/0", None, "there is no such folder"),
        ("/nowhere/at/all", None, "there is no such folder"),
        ("~/nowhere-at-all", None, "there is no such folder"),
        ("./sharp", None, "there is no such folder"),
        ("sharp", None, "there is no such folder"),
        ("", None, "there is no such folder"),
        ("an owner/a name", None, "there is no such folder"),
        ("program.py", None, "it is no folder"),
        (REPOSITORY, (404, "RepoNotFound"), "no such repository, or a private one: check --model"),
        (REPOSITORY, (401, "RepoNotFound"), "HF_TOKEN"),
        (f"{REPOSITORY}@{REVISION}", (404, "RevisionNotFound"), "no such commit: check --model"),
        (REPOSITORY, (403, "GatedRepo"), "gated"),
    ],
)
def test_no_such_model(find, text, refusal, problem):
    done, _ = find(text, refusal=refusal)
    refused(done, problem)
    assert "backbone" not in done.stderr
    assert done.stderr.count("ERROR") == 1


def test_a_model_without_a_network(find):
    done, _ = find(REPOSITORY, HF_HUB_OFFLINE="1")
    refused(done, "give a folder as --model")
