"""Which sequences explain a class, and what their tokens score."""

import numpy as np
import pytest
import torch
from helpers_evaluation import CLASSES, CPU, random_file, small_explainer, small_explanandum

from whatyouread.classes.scores import class_scores, explained_classes
from whatyouread.data.kinds import MULTIPLE, SINGLE
from whatyouread.data.token_files import TokenFile, write_token_files
from whatyouread.explainers.network import Explainer
from whatyouread.methods.gradients import integrated_gradients
from whatyouread.methods.question import Question
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.inference import Passes
from whatyouread.support.cli import UserError

STEPS, LEAST = 4, 0.6


def test_which_classes_are_explained_by_hand():
    model = small_explanandum()
    kingdom = torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.5, 0.5]])
    genus = torch.tensor([[0.7, 0.1, 0.1, 0.1], [0.1, 0.1, 0.65, 0.15], [0.2, 0.2, 0.2, 0.4]])
    labels = np.array([[0, 1], [1, 2], [0, 3]])
    made = explained_classes(model, (kingdom.log(), genus.log()), labels, 0.61)
    # right and sure; right and not sure enough; sure and wrong
    assert made.tolist() == [[[0], [-1]], [[-1], [2]], [[-1], [-1]]]


@pytest.fixture
def passes():
    return Passes(small_explanandum(), 4, CPU)


@pytest.fixture
def file(tmp_path):
    return random_file(tmp_path / "tokens.arrow", 25, seed=3)


ROWS = np.array([20, 3, 7, 1, 11, 0, 19, 24, 15, 8])


def scored(passes, file, source, explainer=None):
    """Row -> (ids, scores, at which ranks it speaks for its class), from batches."""
    made = {}
    for rows, batch, scores, classes in class_scores(
        source, passes, explainer, file, ROWS, steps=STEPS, min_probability=LEAST, seed=1
    ):
        assert isinstance(batch.ids, np.ndarray)
        assert scores.shape == (*batch.ids.shape, len(CLASSES))
        good = classes >= 0
        assert (classes[good] == file.labels[rows][good]).all()
        for i, row in enumerate(rows):
            n = batch.lengths[i]
            made[int(row)] = batch.ids[i, :n].tolist(), scores[i, :n], (classes[i] >= 0).tolist()
            assert ((classes[i] < 0) | (classes[i] == file.labels[row])).all()
            assert (scores[i, n:] == 0).all()
    return made


def expected_rows(passes, file):
    """Row -> batch of it alone, predicted classes, convincing ranks; one sequence at a time."""
    found = {}
    for row in ROWS:
        batch = file.batch(np.array([row])).to(CPU)
        parts = [logits[0].softmax(-1) for logits in passes.logits(batch)]
        predicted = [int(p.argmax()) for p in parts]
        good = [
            c == label and float(p.max()) > LEAST
            for p, c, label in zip(parts, predicted, file.labels[row], strict=True)
        ]
        if any(good):
            found[int(row)] = batch, predicted, good
    return found


def test_masks_of_the_predicted_classes(passes, file):
    explainer = small_explainer()
    made, expected = scored(passes, file, "explainer_mine", explainer), expected_rows(passes, file)
    assert made.keys() == expected.keys()
    assert 0 < len(made) < len(ROWS)
    first = [0, CLASSES["kingdom"]]
    for row, (batch, predicted, good) in expected.items():
        ids, scores, found = made[row]
        assert ids == batch.ids[0].tolist()
        assert found == good
        with torch.no_grad():
            masks = explainer(batch)[0].numpy()
        columns = [start + c for start, c in zip(first, predicted, strict=True)]
        np.testing.assert_allclose(scores, masks[:, columns], atol=1e-6)


def test_integrated_gradients_need_no_explainer(passes, file):
    made = scored(passes, file, "integrated_gradients")
    for row, (batch, predicted, good) in expected_rows(passes, file).items():
        keys, classes = file.keys[[row]], torch.tensor([predicted])
        asked = Question(passes.explanandum, batch, classes, None, keys, 1, 4)
        np.testing.assert_allclose(
            made[row][1], integrated_gradients(asked, STEPS)[0].numpy(), atol=1e-5
        )
        assert made[row][2] == good


@pytest.mark.parametrize(
    ("source", "complaint"), [("lime", "neither"), ("explainer_mine", "needs --explainer")]
)
def test_other_sources_are_one_line(passes, file, source, complaint):
    with pytest.raises(UserError, match=complaint):
        scored(passes, file, source)


def test_a_sequence_counts_for_every_class_that_it_has_and_that_is_predicted():
    model = Explanandum(
        small_explanandum().config["backbone"],
        {"topic": 2, "register": 3},
        kinds={"register": "multiple"},
    )
    topic = torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.9, 0.1]]).log()
    register = torch.logit(
        torch.tensor([[0.9, 0.2, 0.8], [0.9, 0.9, 0.9], [0.1, 0.55, 0.9], [0.9, 0.9, 0.9]])
    )
    labels = np.array([[0, 0b101], [0, 0b010], [1, 0b110], [0, -1]])
    made = np.moveaxis(explained_classes(model, (topic, register), labels, 0.6), 2, 0)
    # the second row is of another topic; in the third class 1 is not sure enough; the last has no label
    assert made.tolist() == [
        [[0, 0], [-1, 1], [1, 2], [0, -1]],
        [[-1, 2], [-1, -1], [-1, -1], [-1, -1]],
    ]


def test_scores_of_sets_are_those_of_one_class_at_a_time(tmp_path):
    torch.manual_seed(3)
    kinds = {"genus": "multiple"}
    model = Explanandum(small_explanandum().config["backbone"], CLASSES, kinds=kinds).freeze()
    plain = random_file(tmp_path / "plain.arrow", 25, seed=3)
    path, every = tmp_path / "sets.arrow", np.arange(25)
    plain.labels[:, 1] = np.random.default_rng(0).integers(0, 2 ** CLASSES["genus"], 25)
    plain.kinds = [SINGLE, MULTIPLE]
    with write_token_files([path], plain.ranks, plain.tokenizer, plain.kinds) as [writer]:
        writer.write_batch(plain.record_batch(every))
    file, passes = TokenFile(path, plain.ranks), Passes(model, 4, CPU)
    assert [kind.name for kind in file.kinds] == ["single", "multiple"]
    explainer = Explainer(CLASSES, 8, 6, 1, kinds=kinds).eval()
    seen = {}
    for rows, batch, scores, classes in class_scores(
        "explainer_mine", passes, explainer, file, every, steps=2, min_probability=0.0, seed=1
    ):
        with torch.no_grad():
            masks = explainer(batch.to(CPU)).numpy()
        for i, row in enumerate(rows.tolist()):
            n, own = batch.lengths[i], classes[i, 1]
            if own >= 0:
                seen.setdefault(row, []).append(int(own))
                column = CLASSES["kingdom"] + own
                np.testing.assert_allclose(scores[i, :n, 1], masks[i, :n, column], atol=1e-6)
    expected = {}
    for row in every.tolist():
        logits = passes.logits(file.batch(np.array([row])).to(CPU))
        both = int(model.predictions(logits)[0, 1]) & int(file.labels[row, 1])
        if both:
            expected[row] = [c for c in range(CLASSES["genus"]) if both >> c & 1]
    assert seen == expected
    assert max(map(len, seen.values())) > 1
