import errno
import hashlib
import json
import shutil

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whatyouread.support import files
from whatyouread.support.cli import UserError
from whatyouread.support.files import (
    atomic,
    parquet_errors,
    read_parquet,
    sha256,
    write_json,
    write_tsv,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_the_block_is_through(tmp_path):
    path = tmp_path / "new" / "deep" / "table.tsv.gz"
    with atomic(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.name.endswith(".tsv.gz")  # by which writers choose the format
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert names(path.parent) == ["table.tsv.gz"]


def test_a_file_is_replaced(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    with atomic(str(path)) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("before", [None, "old"])
def test_a_failure_leaves_what_was_there(tmp_path, error, before):
    path = tmp_path / "x"
    if before:
        path.write_text(before)
    with pytest.raises(error), atomic(path) as temporary:  # noqa: PT012
        temporary.write_text("half")
        raise error
    assert names(tmp_path) == (["x"] if before else [])
    assert not before or path.read_text() == "old"


def test_a_failure_before_anything_is_written(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic(tmp_path / "x"):
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "model"
    for content in ("a", "b"):
        with atomic(path) as temporary:
            (temporary / "sub").mkdir(parents=True)
            (temporary / "sub" / content).write_text(content)
        assert names(path / "sub") == [content]
    assert names(tmp_path) == ["model"]


def test_the_new_folder_is_in_place_before_the_old_one_is_deleted(tmp_path, monkeypatch):
    # deleting takes a while, and a kill meanwhile must not leave neither of them
    path, seen = tmp_path / "model", []
    with atomic(path) as temporary:
        temporary.mkdir()
        (temporary / "old").touch()
    monkeypatch.setattr(shutil, "rmtree", lambda gone, **_: seen.append((names(gone), names(path))))
    with atomic(path) as temporary:
        temporary.mkdir()
        (temporary / "new").touch()
    assert seen == [(["old"], ["new"])]


def test_a_failure_leaves_the_folder_that_was_there(tmp_path):
    path = tmp_path / "model"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(RuntimeError), atomic(path) as temporary:  # noqa: PT012
        temporary.mkdir()
        (temporary / "new").touch()
        raise RuntimeError
    assert names(path) == ["old"]
    assert names(tmp_path) == ["model"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    path = tmp_path / "x"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), atomic(path):
        pass
    assert path.read_text() == "old"


def test_a_file_does_not_replace_a_folder(tmp_path):
    path = tmp_path / "x"
    path.mkdir()
    (path / "old").touch()
    with pytest.raises(OSError, match="directory"), atomic(path) as temporary:
        temporary.write_text("new")
    assert names(path) == ["old"]
    assert names(tmp_path) == ["x"]


def test_tsv(tmp_path):
    frame = pd.DataFrame({"name": ["Ä", "b c"], "value": [0.5, 1 / 3], "n": [1, 2]}, index=[7, 8])
    path = tmp_path / "t.tsv"
    write_tsv(path, frame, float_format="%.2f")
    assert path.read_bytes().decode() == "name\tvalue\tn\nÄ\t0.50\t1\nb c\t0.33\t2\n"
    write_tsv(path, frame)
    assert path.read_text().splitlines()[2] == "b c\t0.3333333333333333\t2"
    assert names(tmp_path) == ["t.tsv"]


def test_json(tmp_path):
    path = tmp_path / "new" / "x.json"
    value = {"z": [1, 2.5], "a": {"é": None}}
    write_json(path, value)
    assert json.loads(path.read_text(encoding="utf-8")) == value
    # a model's configuration holds the ranks, whose order says which head is which
    assert list(json.loads(path.read_text(encoding="utf-8"))) == ["z", "a"]
    assert path.read_bytes().endswith(b"}\n")
    assert "é" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("value", [{"a": float("nan")}, {"a": float("inf")}, {"a": object()}])
def test_what_is_no_json_leaves_the_file_as_it_was(tmp_path, value):
    path = tmp_path / "x.json"
    write_json(path, {"old": 1})
    with pytest.raises((ValueError, TypeError)):
        write_json(path, value)
    assert json.loads(path.read_text()) == {"old": 1}
    assert names(tmp_path) == ["x.json"]


def test_sha256(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"")
    assert sha256(path) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    path.write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert sha256(str(path)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    path.write_bytes(b"a" * 1_000_000)  # appendix B.3
    assert sha256(path) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"


# Parquet


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "some.parquet"
    pq.write_table(pa.table({"a": [1, 2, 3], "b": ["x", "y", "z"]}), path)
    return path


def test_a_parquet_file_or_some_columns_of_it(table):
    assert read_parquet(table).to_pydict() == {"a": [1, 2, 3], "b": ["x", "y", "z"]}
    assert read_parquet(str(table), ["b"]).to_pydict() == {"b": ["x", "y", "z"]}
    assert read_parquet(table, []).num_columns == 0
    with pytest.raises(UserError, match=r"some\.parquet has no column c: make it again"):
        read_parquet(table, ["a", "c", "d"])


def test_a_parquet_file_that_is_not_there(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.parquet is not there"):
        read_parquet(tmp_path / "nowhere.parquet")


@pytest.mark.parametrize("kept", [0, 3, 4, 0.5, -1])
def test_a_damaged_parquet_file(table, kept):
    whole = table.read_bytes()
    table.write_bytes(whole[: int(kept * len(whole)) if kept == 0.5 else kept])
    with pytest.raises(UserError, match=r"some\.parquet is damaged \(.+\): delete it") as error:
        read_parquet(table)
    assert "\n" not in str(error.value)


def test_damage_that_shows_only_when_the_values_are_read(table):
    whole = bytearray(table.read_bytes())
    whole[4:60] = bytes(56)  # the head is whole, the first pages are not
    table.write_bytes(whole)
    assert pq.read_schema(table).names == ["a", "b"]
    with pytest.raises(UserError, match=r"some\.parquet is damaged"):
        read_parquet(table)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError("some.parquet"), "t.parquet is not there"),
        (
            pa.ArrowInvalid("two\nlines"),
            "t.parquet is damaged (two lines): delete it and run again",
        ),
        (OSError("a bad disk"), "t.parquet is damaged (a bad disk): delete it and run again"),
        (ValueError("a value"), "t.parquet is damaged (a value): delete it and run again"),
    ],
)
def test_what_pyarrow_raises_is_one_line_for_the_user(error, words):
    with pytest.raises(UserError) as made, parquet_errors("t.parquet"):
        raise error
    assert str(made.value) == words


@pytest.mark.parametrize(
    "error",
    [
        UserError("mend this"), KeyError("x"), KeyboardInterrupt(), pa.ArrowMemoryError("malloc"),
        OSError(errno.ENOSPC, "full"), PermissionError(errno.EACCES, "forbidden"),
        OSError(errno.EFBIG, "File too large"),
    ],
)  # fmt: skip
def test_other_errors_stay_what_they_are(error):
    with pytest.raises(type(error)) as made, parquet_errors("t.parquet"):
        raise error
    assert made.value is error


def test_a_block_without_an_error():
    done = []
    with parquet_errors("t.parquet"):
        done.append(1)
    assert done == [1]


def test_json_without_secrets(tmp_path):
    write_json(tmp_path / "x.json", {"a": ["http://u:word@h/x?token=abc"]})
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": ["http://h/x?token=***"]}


def made_folder(tmp_path, content, form="sha256"):
    """A folder and the record that says so."""
    folder, record = tmp_path / "made", tmp_path / "made.json"
    digests = {}
    for name, data in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        digests[name] = hashlib.sha256(data).hexdigest()
    if form == "files":
        write_json(record, {"files": digests})
    else:
        name, digest = "source", files.digest_of_folder(digests)
        if len(content) == 1:
            ((name, digest),) = digests.items()
        total = sum(map(len, content.values()))
        write_json(record, {"name": name, "bytes": total, "sha256": digest})
    return folder, record


CONTENTS = [{"a.fa": b"one"}, {"a.fa": b"one", "b/c.fa": b"two"}]


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize("form", ["sha256", "files"])
def test_what_was_made_here_may_be_replaced(tmp_path, content, form):
    folder, record = made_folder(tmp_path, content, form)
    files.refuse_foreign(folder, record)
    (folder / ".snakemake_timestamp").touch()
    files.refuse_foreign(folder, record)


def test_what_is_not_there_or_empty_may_be_replaced(tmp_path):
    files.refuse_foreign(tmp_path / "made", tmp_path / "made.json")
    (tmp_path / "made").mkdir()
    files.refuse_foreign(tmp_path / "made", tmp_path / "made.json")


def changed(folder, record):
    next(path for path in folder.rglob("*.fa")).write_bytes(b"owt")


def with_one_more(folder, record):
    (folder / "mine.fa").write_bytes(b"")


def with_a_hidden_one(folder, record):
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_bytes(b"x")


def with_a_link(folder, record):
    (folder / "link").symlink_to(record)


def without_a_record(folder, record):
    record.unlink()


def with_another_record(folder, record):
    record.write_text('{"name": "a.fa", "bytes": 3, "sha256": "00"}')


def with_a_record_of_something_else(folder, record):
    record.write_text("[1]")


def with_a_damaged_record(folder, record):
    record.write_text("{")


def as_a_link(folder, record):
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to("elsewhere")


def as_a_file(folder, record):
    folder.rename(folder.with_name("elsewhere"))
    folder.write_bytes(b"mine")


@pytest.mark.parametrize("content", CONTENTS)
@pytest.mark.parametrize(
    "change",
    [
        changed,
        with_one_more,
        with_a_hidden_one,
        with_a_link,
        without_a_record,
        with_another_record,
        with_a_record_of_something_else,
        with_a_damaged_record,
        as_a_link,
        as_a_file,
    ],
)
def test_a_folder_of_somebody_else_is_refused(tmp_path, content, change):
    folder, record = made_folder(tmp_path, content)
    change(folder, record)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match="made"):
        files.refuse_foreign(folder, record)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_record_within_its_folder_is_refused(tmp_path):
    with pytest.raises(UserError, match="beside"):
        files.refuse_foreign(tmp_path / "made", tmp_path / "made" / "x" / "r.json")
