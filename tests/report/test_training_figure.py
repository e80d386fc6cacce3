"""Histories of training, some of them with missing columns."""

import pandas as pd
import pytest

from whatyouread.report.training_figure import (
    accuracies,
    best_epoch,
    draw_training,
    loss_terms,
    read_counts,
    read_history,
)
from whatyouread.support.cli import UserError

RANKS = ["kingdom", "phylum"]


def test_terms_and_best_epoch(tmp_path):
    path = tmp_path / "history.tsv"
    history = pd.DataFrame({"epoch": [2, 1], "training_loss": [1.0, 2], "validation_loss": [3, 2]})
    history = history.assign(training_area=[1, 2], validation_area=[1, 2], training_odd=[5, 6])
    history.to_csv(path, sep="\t", index=False)
    history = read_history(path)
    assert history["epoch"].tolist() == [1, 2]
    assert loss_terms(history) == ["loss", "area", "odd"]
    assert best_epoch(history) == 1
    assert accuracies(history, RANKS) == {}


def test_a_history_without_losses_can_be_drawn(tmp_path):
    path = tmp_path / "bare.tsv"
    path.write_text("epoch\tlearning_rate\tvalidation_kingdom_balanced_accuracy\n1\t0.1\t0.25\n")
    history = read_history(path)
    assert loss_terms(history) == []
    assert best_epoch(history) is None
    assert accuracies(history, RANKS)["kingdom"].tolist() == [25]
    figure = draw_training(history, history, "sharp", RANKS, {})
    assert [part.get_suptitle() for part in figure.subfigs] == [
        "Explanandum: 1 epoch",
        "Explainer sharp: 1 epoch",
    ]


def test_an_empty_history_is_refused(tmp_path):
    path = tmp_path / "empty.tsv"
    path.write_text("epoch\ttraining_loss\n")
    with pytest.raises(UserError, match="no epoch"):
        read_history(path)


def test_counts(tmp_path):
    path = tmp_path / "summary.tsv"
    path.write_text("file\tsequences\ntrain\t1234\nexplainer_train\t5\n")
    assert read_counts(path) == {"train": 1234, "explainer_train": 5}
