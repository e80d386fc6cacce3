"""Where a classifier is, from an Explainer's folder: wherever both lie and move together."""

import os
import random

import pytest

from whatyouread.models.classifier_record import (
    find_classifier,
    read_classifier_record,
    write_classifier_record,
)
from whatyouread.support.cli import UserError
from whatyouread.support.files import sha256


def model(folder, weights=b"weights"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.safetensors").write_bytes(weights)
    return folder


@pytest.mark.parametrize("seed", range(8))
def test_any_two_folders_that_move_together(tmp_path, monkeypatch, seed):
    """Also with blanks, dots and umlauts in their names, one in the other, and by relative paths."""
    rng = random.Random(seed)
    names = ["a", "b b", "ü", "..c", "0", "classifier", "-x"]
    for number in range(10):
        root = tmp_path / str(number)
        explainer = model(root.joinpath("here", *rng.choices(names, k=rng.randint(1, 4))))
        classifier = root.joinpath("here", *rng.choices(names, k=rng.randint(1, 4)))
        if classifier == explainer:
            continue
        model(classifier, b"others")
        digest = sha256(classifier / "model.safetensors")
        monkeypatch.chdir(root)
        own, other = explainer, classifier
        if rng.random() < 0.5:
            own, other = (path.relative_to(root) for path in (explainer, classifier))
        write_classifier_record(own, other, digest, 9, "six_mers")
        assert not os.path.isabs(read_classifier_record(own).path)
        assert find_classifier(own) == classifier
        (root / "here").rename(root / "there")
        moved = root / "there" / explainer.relative_to(root / "here")
        assert find_classifier(moved).samefile(
            root / "there" / classifier.relative_to(root / "here")
        )
        monkeypatch.chdir(moved)
        assert (find_classifier(".") / "model.safetensors").read_bytes() == b"others"


def test_the_folder_that_is_given_comes_first_and_is_checked(tmp_path):
    explainer, classifier = model(tmp_path / "e"), model(tmp_path / "c", b"others")
    digest = sha256(classifier / "model.safetensors")
    write_classifier_record(explainer, classifier, digest, 9, "six_mers")
    copy, wrong = model(tmp_path / "copy", b"others"), model(tmp_path / "wrong", b"otherS")
    assert find_classifier(explainer) == classifier
    assert find_classifier(explainer, copy) == copy
    with pytest.raises(UserError, match=f"^{explainer} explains another classifier than .*wrong"):
        find_classifier(explainer, wrong)
    # a file is no folder of a classifier, and the recorded one does not stand in for it
    for given in (tmp_path / "copy/model.safetensors", tmp_path / "gone"):
        with pytest.raises(UserError, match=f"not in {given} .*--classifier FOLDER"):
            find_classifier(explainer, given)


def test_the_alphabet_is_kept_and_older_files_have_none(tmp_path):
    explainer, classifier = model(tmp_path / "e"), model(tmp_path / "c", b"others")
    digest = sha256(classifier / "model.safetensors")
    write_classifier_record(explainer, classifier, digest, 9, "residues", "protein")
    assert read_classifier_record(explainer).alphabet == "protein"
    write_classifier_record(explainer, classifier, digest, 9, "residues")
    assert "alphabet" not in (explainer / "classifier.json").read_text()
    assert read_classifier_record(explainer).alphabet == ""
    write_classifier_record(explainer, classifier, digest, 9, "residues", "martian")
    with pytest.raises(UserError, match="alphabet cannot be 'martian'"):
        read_classifier_record(explainer)
