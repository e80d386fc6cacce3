"""Evaluation leaves special tokens alone, wherever they stand: here `[CLS]` first and `[SEP]` last."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from helpers_batches import LETTERS
from helpers_evaluation import CLASSES, CPU, write_masks
from helpers_letters import TEXTS, lettered_explanandum, lettered_file

from whatyouread.data.tokenizers import TOKENIZERS
from whatyouread.evaluate.comparison import Comparison
from whatyouread.evaluate.faithfulness import overlap, planted_precision, random_masks, spearman
from whatyouread.evaluate.faithfulness_table import by_passes
from whatyouread.evaluate.leakage import mask_features
from whatyouread.evaluate.localization import localization
from whatyouread.evaluate.mask_statistics import MaskStatistics
from whatyouread.evaluate.masked_predictions import MaskedSequences
from whatyouread.evaluate.steering import Steering
from whatyouread.masks.mask_files import MaskFile
from whatyouread.methods.files import Attributions
from whatyouread.models.inference import Passes

COUNTS = np.array([len(text) for text in TEXTS])
PLACE = np.arange(COUNTS.max() + 2)
CONTENT = (PLACE > 0) & (COUNTS[:, None] >= PLACE)
VALID = COUNTS[:, None] + 2 > PLACE
SPECIAL = VALID & ~CONTENT


class Watched(Passes):
    """Passes that remember the mask values at special tokens and those of the content."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.special, self.content = set(), set()

    def states(self, batch, mask=None):
        if mask is not None:
            valid, content = np.asarray(batch.valid), np.asarray(batch.content)
            self.special |= set(mask[valid & ~content].tolist())
            self.content |= set(mask[content].tolist())
        return super().states(batch, mask)


@pytest.fixture
def passes(monkeypatch):
    monkeypatch.setitem(TOKENIZERS, LETTERS.name, LETTERS)
    return Watched(lettered_explanandum(), 3, CPU)


@pytest.fixture
def file(passes, tmp_path):
    return lettered_file(tmp_path / "t.arrow")


def attributions(file, elsewhere: float) -> Attributions:
    """Scores of the content, and one value at all special tokens."""
    generator = np.random.default_rng(3)
    scores = {
        name: np.where(SPECIAL, elsewhere, generator.normal(size=CONTENT.shape) * CONTENT)
        for name in (*CLASSES, "combined", "wrong", "runner_up")
    }
    classes = [(file.labels + step) % np.array(list(CLASSES.values())) for step in range(4)]
    return Attributions(file.ids, file.keys, file.lengths, CONTENT, *classes, scores)


def test_the_file_is_what_this_module_thinks(file):
    batch = file.batch(np.arange(len(file)))
    np.testing.assert_array_equal(batch.content, CONTENT)
    np.testing.assert_array_equal(batch.valid, VALID)


def compared(passes, file, elsewhere):
    methods = {"explainer_x": attributions(file, elsewhere)}
    return Comparison(passes, file, methods, 3, "explainer_x").tables()


def steered(passes, file, elsewhere):
    return [Steering(passes, file, {"x": attributions(file, elsewhere)}, 3, 10).tables()[0]]


def faithful(passes, file, elsewhere):
    settings = {"fractions": [0.1, 0.5], "curve_points": 4, "infidelity_samples": 3}
    made = by_passes(passes, file, attributions(file, elsewhere), settings, 3)
    return [pd.DataFrame({name: values.ravel() for name, values in made.items()})]


@pytest.mark.parametrize("measured", [compared, steered, faithful])
def test_special_tokens_are_never_masked_and_their_scores_have_no_influence(passes, file, measured):
    made = measured(passes, file, 0.0)
    assert passes.special == {1.0}
    assert passes.content == {0.0, 1.0}
    for one, other in zip(made, measured(passes, file, 1e6), strict=True):
        pd.testing.assert_frame_equal(one, other)


def test_random_masks_leave_special_tokens():
    for mask in random_masks(CONTENT, np.arange(len(TEXTS), dtype=np.uint64), 20, 1):
        assert (mask[SPECIAL] == 1).all()


def test_correlation_overlap_and_precision_are_those_of_the_content():
    generator = np.random.default_rng(1)
    one, other = generator.normal(size=(2, *CONTENT.shape))
    planted = generator.random(CONTENT.shape) < 0.5
    agreement, shared = spearman(one, other, CONTENT), overlap(one > 0, other > 0, CONTENT)
    keys = np.arange(len(COUNTS), dtype=np.uint64)
    precision = planted_precision(one, planted, CONTENT, keys, 3)
    for row, count in enumerate(COUNTS):
        own = slice(row, row + 1), slice(1, count + 1)
        all_of_it = np.ones((1, count), bool)
        assert agreement[row] == pytest.approx(spearman(one[own], other[own], all_of_it)[0])
        assert shared[row] == overlap(one[own] > 0, other[own] > 0, all_of_it)[0]
        alone = planted_precision(one[own], planted[own], all_of_it, keys[row : row + 1], 3)
        for name, values in precision.items():
            np.testing.assert_array_equal(values[row], alone[name][0])


def masks_with(value: float) -> np.ndarray:
    """Random masks of the content, with one value at special tokens."""
    drawn = np.random.default_rng(2).random(CONTENT.shape).round(2)
    return np.where(SPECIAL, value, drawn * CONTENT).astype(np.float32)


def test_statistics_and_features_of_masks_are_those_of_the_content():
    statistics = []
    for value in (0.0, 1.0):
        made = MaskStatistics()
        made.add(masks_with(value), CONTENT)
        statistics.append(made)
    one, other = statistics
    pd.testing.assert_frame_equal(one.summary(), other.summary())
    pd.testing.assert_frame_equal(one.by_position(), other.by_position())
    assert one.histogram.tolist() == other.histogram.tolist()
    assert one.tokens.tolist() == [(n <= COUNTS).sum() for n in range(1, COUNTS.max() + 1)]
    features = [mask_features(masks_with(value) > 0.5, CONTENT) for value in (0.0, 1.0)]
    np.testing.assert_array_equal(*features)
    whole = mask_features(np.ones((1, 22)), np.array([[0, *[1] * 20, 0]], bool))
    assert whole.tolist() == [[0.05] * 20 + [0] * 5 + [1]]


def mask_file(folder, file, value: float) -> MaskFile:
    made = [row[:n] for row, n in zip(masks_with(value), file.lengths, strict=True)]
    choices = ("labels", "predicted", "wrong")
    path = folder / f"masks{value}.parquet"
    write_masks(path, file, dict.fromkeys(choices, file.labels), dict.fromkeys(choices, made))
    return MaskFile(path, file.ranks)


def test_masks_of_special_tokens_are_not_localized(file, tmp_path):
    planted = pd.DataFrame(
        [[f"a.fa:{i}", "genus", i % 3, i % 3 + 2] for i in (0, 2, 3, 5)],
        columns=["id", "rank", "start", "end"],
    )
    tables = [
        localization(file, mask_file(tmp_path, file, value), planted, 3) for value in (0.0, 1.0)
    ]
    pd.testing.assert_frame_equal(*tables)
    assert (tables[0]["tokens"] == COUNTS.sum()).all()


def test_masks_of_special_tokens_make_no_chunks(passes, file, tmp_path):
    answers = []
    for value in (0.0, 1.0):
        masks = mask_file(tmp_path, file, value)
        sequences = MaskedSequences(passes, file, masks, seed=1)
        mask = masks.masks["labels"]
        answers.append([sequences.predict_chunks(mask, relevant) for relevant in (True, False)])
    np.testing.assert_array_equal(*answers)
    # a mask of nothing but special tokens has no relevant chunk
    only = np.where(SPECIAL, 1, 0).astype(np.float32)
    assert (sequences.predict_chunks(only, True) == -1).all()


def test_masked_special_tokens_do_change_the_answer(passes, file):
    """Or the tests above would compare what can never differ."""
    batch = file.batch(np.arange(len(file)))
    plain, bare = (
        passes.logits(batch, np.where(SPECIAL, value, 1).astype(np.float32))[1] for value in (1, 0)
    )
    assert (plain - bare).abs().max() > 0.1
    changed = dataclasses.replace(attributions(file, 0.0), content=VALID)
    settings = {"fractions": [0.5], "curve_points": 3, "infidelity_samples": 1}
    by_passes(passes, file, changed, settings, 3)
    assert 0.0 in passes.special
