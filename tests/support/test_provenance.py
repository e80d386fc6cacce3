import hashlib
import json
import platform

import numpy
import torch

from whatyouread.support.provenance import versions, write_record


def test_versions_are_those_installed():
    found = versions()
    assert found["python"] == platform.python_version()
    assert found["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
    assert found["numpy"] == numpy.__version__
    assert {"transformers", "pyarrow", "safetensors", "pandas"} <= set(found)


def test_what_is_not_installed_is_left_out(monkeypatch):
    from whatyouread.support import provenance

    monkeypatch.setattr(provenance, "PACKAGES", ("numpy", "no-such-package-of-ours"))
    assert set(versions()) == {"python", "numpy"}


def test_record(tmp_path):
    one, two = tmp_path / "one.bin", tmp_path / "two.bin"
    one.write_bytes(b"ACGT")
    two.write_bytes(b"")
    write_record(tmp_path / "run.json", {"epochs": 5, "a": [1, None]}, 42, [one, two], "CPU")
    record = json.loads((tmp_path / "run.json").read_text())
    assert record == {
        "settings": {"epochs": 5, "a": [1, None]},
        "seed": 42,
        "computed_on": "CPU",
        "versions": versions(),
        "sha256": {
            str(one): hashlib.sha256(b"ACGT").hexdigest(),
            str(two): hashlib.sha256(b"").hexdigest(),
        },
    }


def test_the_same_run_gives_the_same_record(tmp_path):
    part = tmp_path / "part"
    part.write_text("x")
    for name in ("a.json", "b.json"):
        write_record(tmp_path / name, {"b": 1, "a": 2}, 1, [part], "CPU")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
