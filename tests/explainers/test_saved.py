"""An Explainer's folder stands by itself: it names its classifier, its classes and its tokenizer."""

import json
import os
import re
import shutil

import pytest
import torch
from helpers_evaluation import random_file, small_explanandum
from helpers_saved import NAMES, TOKENS, write_models

from whatyouread.explainers.saved import load_attached, load_explainer
from whatyouread.masks.gate_settings import GateSettings
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.saving import load_model, save_model
from whatyouread.support.cli import UserError
from whatyouread.support.files import sha256

LINE = re.compile(r"[^\n]+")


@pytest.fixture
def folder(tmp_path):
    return write_models(tmp_path / "run")


def change(folder, **values):
    path = folder / "classifier.json"
    record = {**json.loads(path.read_text()), **values}
    path.write_text(json.dumps({k: v for k, v in record.items() if v is not None}))


def refused(folder, *words, classifier=None):
    with pytest.raises(UserError) as error:
        load_explainer(folder, classifier)
    assert LINE.fullmatch(str(error.value))
    for word in words:
        assert str(word) in str(error.value)


def test_the_folder_is_all_that_is_needed(folder, tmp_path, monkeypatch):
    record = json.loads((folder / "classifier.json").read_text())
    assert record == {
        "path": "../../../explanandum/0",
        "sha256": sha256(tmp_path / "run/results/explanandum/0/model.safetensors"),
        "tokens": TOKENS,
        "tokenizer": "six_mers",
    }
    saved = load_explainer(folder)
    assert saved.explainer.explanandum is saved.explanandum
    assert not saved.explainer.training
    assert not saved.explanandum.training
    assert not any(p.requires_grad for p in saved.explanandum.parameters())
    assert saved.explainer.gate == GateSettings(0.4, 3)
    assert [(level.name, list(level.names)) for level in saved.levels] == [*NAMES.items()]
    assert saved.levels[1].paths == ("7", "8", "9", "10")
    assert (saved.tokens, saved.folder) == (TOKENS, folder)
    assert saved.classifier == tmp_path / "run/results/explanandum/0"
    # the classifier is the one that was saved, and the masks are those of the two together
    batch = random_file(tmp_path / "t.arrow", 5).batch(torch.arange(5).numpy()).to("cpu")
    classes = torch.tensor([[[0, 1]]] * 5)
    expected = small_explanandum(0)
    with torch.inference_mode():
        for one, other in zip(saved.explanandum(batch), expected(batch), strict=True):
            torch.testing.assert_close(one, other)
        masks = saved.explainer.class_masks(batch, classes)
        attached = load_attached(folder, load_model(Explanandum, saved.classifier)).eval()
        torch.testing.assert_close(attached.class_masks(batch, classes), masks, rtol=0, atol=0)
    # also where both are moved together, from wherever it is called, and through a link
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").rename(tmp_path / "elsewhere/run")
    moved = tmp_path / "elsewhere/run/results/explainers/sharp/0"
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert load_explainer("run/results/explainers/sharp/0").levels == saved.levels
    monkeypatch.chdir(moved)
    assert load_explainer(".").levels == saved.levels
    os.symlink(moved, tmp_path / "link")
    assert load_explainer(tmp_path / "link").tokens == TOKENS


def test_a_classifier_elsewhere_is_given(folder, tmp_path):
    own = tmp_path / "run/results/explanandum/0"
    own.rename(tmp_path / "moved")
    refused(folder, folder, own, "--classifier FOLDER")
    assert load_explainer(folder, tmp_path / "moved").classifier == tmp_path / "moved"
    refused(folder, folder, tmp_path / "no", "--classifier FOLDER", classifier=tmp_path / "no")


def test_another_classifier_is_refused_wherever_it_comes_from(folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    save_model(other, small_explanandum(1))
    digests = [
        sha256(place / "model.safetensors")[:12]
        for place in (other, tmp_path / "run/results/explanandum/0")
    ]
    refused(folder, folder, other, *digests, "--classifier", classifier=other)
    with pytest.raises(UserError, match=r"another classifier.*by --explanandum FOLDER"):
        load_attached(folder, load_model(Explanandum, other))
    # an older folder says nothing, and a classifier that was never saved has no digest
    load_attached(folder, small_explanandum(1))
    (folder / "classifier.json").unlink()
    load_attached(folder, load_model(Explanandum, other))
    # one value of one weight is another classifier, too
    folder = write_models(tmp_path / "again")
    weights = tmp_path / "again/results/explanandum/0/model.safetensors"
    changed = bytearray(weights.read_bytes())
    changed[-1] ^= 1
    weights.write_bytes(changed)
    refused(folder, folder, "explains another classifier")


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"path": None}, "no path"),
        ({"path": "/absolute"}, "path cannot be '/absolute'"),
        ({"path": ""}, "path cannot be ''"),
        ({"path": 3}, "path cannot be 3"),
        ({"sha256": None}, "no sha256"),
        ({"sha256": "0" * 63}, "sha256 cannot be"),
        ({"sha256": "0" * 64}, "explains another classifier"),
        ({"tokens": 0}, "tokens cannot be 0"),
        ({"tokens": True}, "tokens cannot be True"),
        ({"tokens": "51"}, "tokens cannot be '51'"),
        ({"tokenizer": "words"}, "tokenizer cannot be 'words'"),
        ({"tokenizer": ["six_mers"]}, "tokenizer cannot be ['six_mers']"),
        ({"path": "../nowhere"}, "--classifier"),
    ],
)
def test_a_damaged_record(folder, values, problem):
    change(folder, **values)
    refused(folder, folder, problem)


@pytest.mark.parametrize("text", ["", "[]", "{", "\x00"])
def test_a_record_that_is_none(folder, text):
    (folder / "classifier.json").write_text(text)
    refused(folder, folder / "classifier.json", "JSON")


def test_folders_that_are_no_explainers(folder, tmp_path):
    refused(tmp_path / "nothing", "no such folder")
    refused(tmp_path, "no Explainer's folder")
    refused(tmp_path / "run/results/explanandum/0", "no classifier.json", "train_explainer")
    (folder / "model.safetensors").unlink()
    refused(folder, "model.safetensors")
    shutil.rmtree(folder)
    refused(folder, "no such folder")


@pytest.mark.parametrize(
    ("before", "after", "problem"),
    [
        ("genus\t3\t10\tViola\t9\n", "", "3 classes of the level genus, and the classifier 4"),
        ("genus\t3\t10\tViola\t9\n", "genus\t4\t10\tViola\t9\n", "not numbered 0, 1, 2"),
        ("genus", "family", "no classes of the level genus"),
        ("rank\t", "", "not a table of classes"),
    ],
)
def test_a_table_of_other_classes(folder, before, after, problem):
    path = folder / "classes.tsv"
    path.write_text(path.read_text().replace(before, after))
    refused(folder, path, problem)


def test_another_order_of_rows_in_the_table_of_classes_is_the_same(folder):
    """The levels come in the order of the classifier's heads, not in that of the table."""
    path = folder / "classes.tsv"
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([head, *rows[2:], *rows[:2]]) + "\n")
    assert [level.name for level in load_explainer(folder).levels] == ["kingdom", "genus"]


def test_sequences_are_explained_as_by_the_models_alone(folder):
    saved = load_explainer(folder)
    texts = ["ACGTACGTTAGC", "ACGTA", "", "N", "acgtac", "Ω", "TTGACANNGGATCCAAGCTTGCATGC"]
    batch = saved.batch(texts)
    # `<cls>`; six-mers, left-over bases and N one by one; a run of lower case is unknown
    assert batch.lengths.tolist() == [3, 6, 1, 2, 2, 2, 7]
    predicted, masks = saved.explain(batch)
    assert predicted.shape == (7, 2)
    assert masks.shape == (7, 7)
    for row, text in enumerate(texts):
        alone = saved.batch([text])
        tokens = len(alone.ids[0])
        assert batch.ids[row, :tokens].tolist() == alone.ids[0].tolist()
        assert not masks[row, tokens:].any()
        answer = [int(logits.argmax()) for logits in saved.explanandum(alone)]
        assert predicted[row].tolist() == answer
        own = saved.explainer(alone)[0]  # its one mask for all classes, or that of these classes
        if own.shape[1] > 1:
            own = own[:, saved.explainer.columns(torch.tensor(answer))]
        torch.testing.assert_close(masks[row, :tokens], own.amax(1))
