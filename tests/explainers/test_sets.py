"""Masks of sets of classes: those of their classes by plain loops, and how they enter the objectives."""

import numpy as np
import pytest
import torch

from whatyouread.explainers.losses import Masks, area, bounding, total_variation
from whatyouread.explainers.network import Explainer
from whatyouread.explainers.objective import NetworkSettings
from whatyouread.explainers.paper import Settings
from whatyouread.explainers.sharp import Settings as SharpSettings
from whatyouread.explainers.sharp import SharpObjective
from whatyouread.models.explanandum import Explanandum

CLASSES = {"topic": 3, "register": 4}
KINDS = {"register": "multiple"}
LENGTHS = [9, 5, 7, 3]
LABELS = torch.tensor([[2, 0b0101], [0, 0], [-1, 0b1000], [1, -1]])
HELD = [[2, 3, 5], [0], [6], [1]]  # columns: three topics, then four registers
OTHERS = [[0, 1, 4, 6], [1, 2, 3, 4, 5, 6], [3, 4, 5], [0, 2]]


def explainer(**more):
    torch.manual_seed(0)
    made = Explainer(CLASSES, 8, 6, 1, kinds=KINDS, **more)
    with torch.no_grad():
        made.dense.weight.mul_(4)
    return made.eval()


@pytest.fixture
def tokens(token_batch):
    return token_batch(LENGTHS)


def test_own_and_other_masks_by_a_loop(tokens):
    made = explainer()
    with torch.no_grad():
        masks = made(tokens)
        own, others, known = made.own_and_others(tokens, LABELS)
    for row in range(len(LENGTHS)):
        assert known[row].nonzero().flatten().tolist() == HELD[row]
        assert own[row].amax(-1).equal(masks[row][:, HELD[row]].amax(-1))
        assert others[row].equal(masks[row][:, OTHERS[row]].amax(-1))
    # none of the classes of one level and no label at the other: nothing speaks for that
    own, others, known = made.own_and_others(tokens, torch.tensor([[-1, 0]] * 4))
    assert not own.any()
    assert not known.any()
    assert others.equal(made(tokens)[..., 3:].amax(-1))


def test_masks_and_scores_of_sets(tokens):
    made = explainer()
    answers = torch.tensor([[[1, 0b0110], [0, 0]]] * 4)
    with torch.no_grad():
        every, scores = made(tokens), made._dense(tokens)
        masks, summed = made.class_masks(tokens, answers), made.class_scores(tokens, answers)
    valid = tokens.valid
    assert masks[..., 0, 0].equal(every[..., 1] * valid)
    assert masks[..., 0, 1].equal(every[..., 4:6].amax(-1) * valid)
    assert not masks[..., 1, 1].any()
    torch.testing.assert_close(summed[..., 0, 1], scores[..., 4] + scores[..., 5])
    torch.testing.assert_close(summed[..., 0, 0], scores[..., 1])
    assert not summed[..., 1, 1].any()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert made.class_scores(tokens, answers).equal(summed)


def test_a_set_of_one_class_is_that_class(tokens):
    """With one label each, sets give what single classes give."""
    of_sets = explainer()
    alone = Explainer(CLASSES, 8, 6, 1)
    alone.load_state_dict(of_sets.state_dict())
    alone.eval()
    labels = torch.tensor([[0, 3], [2, 1], [-1, 0], [1, -1]])
    answers = labels.clone()
    answers[:, 1] = torch.where(labels[:, 1] < 0, -1, 1 << labels[:, 1].clamp(min=0))
    with torch.no_grad():
        for name in ("maximum", "mean"):
            settings = Settings(target_mask=name)
            one, two = (
                settings.masks(alone, tokens, labels),
                settings.masks(of_sets, tokens, answers),
            )
            torch.testing.assert_close(one.target, two.target)
            torch.testing.assert_close(one.non_target, two.non_target)
        torch.testing.assert_close(
            alone.class_masks(tokens, labels.unsqueeze(1)),
            of_sets.class_masks(tokens, answers.unsqueeze(1)),
        )


def test_the_loss_by_hand(tokens, tiny_backbone):
    """The terms of the objective for each sequence, summed over its classes one by one."""
    torch.manual_seed(1)
    model = Explanandum(tiny_backbone, CLASSES, kinds=KINDS).freeze()
    settings, made = Settings(0.2, 0.5), explainer()
    with torch.no_grad():
        masks = settings.masks(made, tokens, LABELS)
        loss = settings.loss(model, tokens, LABELS, masks)
        every = made(tokens)
        kept, left = model(tokens, masks.target), model(tokens, 1 - masks.target)
    for row in range(len(LENGTHS)):
        alone = tokens.alone(row)
        n = LENGTHS[row]
        topic, register = LABELS[row].tolist()
        wanted = entropy = 0.0
        if topic >= 0:
            wanted -= float(kept[0][row].log_softmax(-1)[topic])
            p = left[0][row].softmax(-1)
            entropy += float((p * p.log()).mean())
        if register >= 0:
            p = kept[1][row].sigmoid()
            for c in range(4):
                wanted -= float((p[c] if register >> c & 1 else 1 - p[c]).log())
            p = left[1][row].sigmoid()
            entropy += float((p * p.log() + (1 - p) * (1 - p).log()).mean())
        own = [every[row : row + 1, :n, c : c + 1] for c in HELD[row]]
        bounds = [float(bounding(mask, alone.valid, 0.2, 0.5)) for mask in own]
        m, o = masks.target[row : row + 1, :n], masks.non_target[row : row + 1, :n]
        areas = float(area(m, alone.valid) + area(o, alone.valid)) + sum(bounds) / len(bounds)
        variation = float(total_variation(m, alone.valid) + total_variation(o, alone.valid))
        assert float(loss.classification[row]) == pytest.approx(wanted, abs=1e-5)
        assert float(loss.entropy[row]) == pytest.approx(entropy, abs=1e-5)
        assert float(loss.area[row]) == pytest.approx(areas, abs=1e-5)
        assert float(loss.variation[row]) == pytest.approx(variation, abs=1e-5)


def test_masks_without_known_take_the_levels():
    assert Masks(*torch.zeros(3, 1, 1)).known is None


@pytest.mark.parametrize("keyed", [True, False])
def test_what_a_sharp_explainer_is_asked_about(tiny_backbone, keyed):
    """The predicted set, or one class alone; never a set without a class, for which nothing speaks."""
    torch.manual_seed(2)
    model = Explanandum(tiny_backbone, CLASSES, kinds=KINDS)
    settings = SharpSettings(target="class", reads="none")
    objective = SharpObjective(
        SharpObjective.make_explainer(settings, NetworkSettings(8, 6, 1), model), model, settings, 3
    )
    predicted = torch.stack([torch.arange(400) % 3, torch.arange(400) % 16], 1)
    keys = np.arange(400, dtype=np.uint64) if keyed else None
    asked, chosen = objective._asked(predicted, keys)
    assert chosen.sum(1).tolist() == [1] * 400
    assert asked[:, 0].min() >= 0
    assert asked[:, 0].max() == 2
    alone = torch.tensor([1, 2, 4, 8])
    own = (asked[:, 1] == predicted[:, 1]) & ~torch.isin(predicted[:, 1], alone)
    assert torch.isin(asked[~own, 1], alone).all()
    assert torch.isin(asked[predicted[:, 1] == 0, 1], alone).all()
    assert 100 < own.sum() < 200  # about half of the 275 sets of several classes
    assert asked[~own, 1].unique().tolist() == alone.tolist()
