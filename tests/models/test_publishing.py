"""A folder to publish: it holds both models, stands by itself, and takes the place of nothing."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers_saved import write_models
from helpers_warm import python

from whatyouread.explainers.saved import load_explainer
from whatyouread.models.hub import MODEL_FILES
from whatyouread.models.publishing import publish
from whatyouread.support.cli import UserError

PROGRAM = Path(__file__).resolve().parents[2] / "scripts" / "export_explainer.py"


def export(*options) -> subprocess.CompletedProcess:
    command = [python(), PROGRAM, *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True)


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("card", [None, "---\nlicense: mit\n---\nmy card\n"])
def test_the_folder_stands_by_itself(tmp_path, card):
    folder = write_models(tmp_path / "run")
    for name in ("history.tsv", "run.json", "notes.txt"):  # of the run, with its paths
        (folder / name).write_text("{}")
    if card:
        (folder / "README.md").write_text(card)
    before = content(tmp_path / "run")
    done = export("--explainer", folder, "--output-dir", tmp_path / "made")
    assert done.returncode == 0, done.stderr
    assert ("no figures" in done.stderr) == (card is None)
    assert content(tmp_path / "run") == before
    made = content(tmp_path / "made")
    own = {"classifier/config.json", "classifier/model.safetensors"}
    # six-mers are found by their name alone
    assert made.keys() == {*MODEL_FILES, *own} - {"tokenizer.json"}
    for name in {*MODEL_FILES} - {"classifier.json", "README.md", "tokenizer.json"}:
        assert made[name] == (folder / name).read_bytes()
    for name in own:
        path = tmp_path / "run/results/explanandum/0" / Path(name).name
        assert made[name] == path.read_bytes()
    expected = json.loads((folder / "classifier.json").read_text()) | {"path": "classifier"}
    assert json.loads(made["classifier.json"]) == expected
    text = made["README.md"].decode()
    assert text == card if card else ("# sharp: " in text and "Not measured." in text)
    # nothing is left but this folder, somewhere else
    shutil.rmtree(tmp_path / "run")
    (tmp_path / "made").rename(tmp_path / "given away")
    saved = load_explainer(tmp_path / "given away")
    assert saved.classifier == tmp_path / "given away" / "classifier"
    # and what was published can be published
    publish(tmp_path / "given away", tmp_path / "again", "")
    assert content(tmp_path / "again") == made


def test_what_is_there_stays(tmp_path):
    folder = write_models(tmp_path / "run")
    for name in ("used", "file", "link", "itself"):
        target = tmp_path / name
        if name == "used":
            target.mkdir()
            (target / "mine.txt").write_text("mine")
        elif name == "file":
            target.write_text("mine")
        elif name == "link":
            (tmp_path / "empty").mkdir()
            target.symlink_to(tmp_path / "empty")
        else:
            target = folder
        before = content(tmp_path)
        done = export("--explainer", folder, "--output-dir", target)
        assert done.returncode == 1
        assert f"{target}: it is there and no empty folder" in done.stderr.splitlines()[-1]
        assert content(tmp_path) == before
    assert (tmp_path / "link").is_symlink()
    assert export("--explainer", folder, "--output-dir", tmp_path / "empty").returncode == 0


def test_nothing_is_half_made(tmp_path, monkeypatch):
    folder = write_models(tmp_path / "run")
    other = write_models(tmp_path / "other", seed=1) / "../../../explanandum/0"
    with pytest.raises(UserError, match="another classifier"):
        publish(folder, tmp_path / "made", "", other)
    os.remove(folder / "config.json")
    with pytest.raises(UserError, match=r"config\.json is not there"):
        publish(folder, tmp_path / "made", "")
    folder = write_models(tmp_path / "third")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space"):
        publish(folder, tmp_path / "made", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "run", "third"]


def test_a_published_folder_comes_back_from_the_hub(tmp_path, monkeypatch):
    """Where a snapshot's files are links into the Hub's cache."""
    publish(write_models(tmp_path / "run"), tmp_path / "made", "card")
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    for number, (name, data) in enumerate(content(tmp_path / "made").items()):
        blobs.mkdir(exist_ok=True)
        (blobs / str(number)).write_bytes(data)
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).symlink_to(blobs / str(number))
    shutil.rmtree(tmp_path / "run")
    assert load_explainer(snapshot).classifier == snapshot / "classifier"


def test_a_tokenizer_that_models_define_goes_along(tmp_path):
    folder = write_models(tmp_path / "run")
    places = folder, tmp_path / "run/results/explanandum/0"
    for place in places:
        (place / "tokenizer.json").write_text("{}")
    done = export("--explainer", folder, "--output-dir", tmp_path / "made")
    assert done.returncode == 0, done.stderr
    assert {"tokenizer.json", "classifier/tokenizer.json"} <= content(tmp_path / "made").keys()
