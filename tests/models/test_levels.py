"""What a level means for logits, against scipy, scikit-learn, and by hand."""

import math

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, softmax
from sklearn.metrics import log_loss

from whatyouread.models.levels import (
    KINDS,
    HeadLevel,
    Multiple,
    Single,
    class_log_probabilities,
    decided,
    decisions,
    head_levels,
    level_divergences,
    level_entropies,
    level_losses,
    mean_over,
    members,
    probabilities,
    sets_of,
    several,
)
from whatyouread.support.cli import UserError

LEVELS = [HeadLevel("kingdom", 3), HeadLevel("genus", 5)]


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(4)
    return tuple(
        4 * torch.randn(6, level.classes, generator=generator, dtype=torch.float64)
        for level in LEVELS
    )


def test_a_level_is_of_one_class_unless_it_says_otherwise():
    assert LEVELS[0][:3] == ("kingdom", 3, "single")
    assert KINDS["single"] is Single
    with pytest.raises(KeyError, match="several"):
        decisions([HeadLevel("kingdom", 3, "several")], (torch.zeros(1, 3),))


def test_on_paper():
    logits = torch.tensor([[0.0, math.log(3)], [math.log(9), 0.0]])
    np.testing.assert_allclose(Single.probabilities(logits), [[0.25, 0.75], [0.9, 0.1]], atol=1e-6)
    expected = np.log([[0.25, 0.75], [0.9, 0.1]])
    np.testing.assert_allclose(Single.log_probabilities(logits), expected, atol=1e-6)
    losses = Single.loss(logits, torch.tensor([0, 0]))
    assert losses.tolist() == pytest.approx([math.log(4), -math.log(0.9)])
    plogp = [
        0.25 * math.log(0.25) + 0.75 * math.log(0.75),
        0.9 * math.log(0.9) + 0.1 * math.log(0.1),
    ]
    made = Single.negative_entropy(logits, normalised=False)
    assert made.tolist() == pytest.approx([value / 2 for value in plogp])
    made = Single.negative_entropy(logits, normalised=True)
    assert made.tolist() == pytest.approx([value / math.log(2) for value in plogp])
    assert Single.decision(logits).tolist() == [1, 0]


def test_probabilities_and_losses_of_every_level(logits):
    labels = torch.tensor([[0, 4], [1, 3], [2, 2], [0, 1], [1, 0], [2, 2]])
    made = probabilities(LEVELS, logits)
    losses = level_losses(LEVELS, logits, labels)
    for i, part in enumerate(logits):
        np.testing.assert_allclose(made[i], softmax(part.numpy(), axis=1), atol=1e-12)
        one_by_one = [
            log_loss([label], [row], labels=range(LEVELS[i].classes))
            for label, row in zip(labels[:, i].tolist(), made[i].tolist(), strict=True)
        ]
        np.testing.assert_allclose(losses[i], one_by_one, atol=1e-9)
    assert [loss.shape for loss in losses] == [(6,), (6,)]


def test_decisions(logits):
    made = decisions(LEVELS, logits)
    assert made.dtype == torch.int64
    np.testing.assert_array_equal(made, np.stack([part.numpy().argmax(1) for part in logits], 1))


def test_log_probabilities_of_some_classes(logits):
    generator = torch.Generator().manual_seed(5)
    sets = torch.stack([torch.randint(n, (6, 4), generator=generator) for n in (3, 5)], -1)
    made = class_log_probabilities(LEVELS, logits, sets)
    assert made.shape == (6, 4, 2)
    for level, part in enumerate(logits):
        expected = log_softmax(part.numpy(), axis=1)
        for row in range(6):
            for which in range(4):
                value = expected[row, sets[row, which, level]]
                assert made[row, which, level].item() == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("normalised", [False, True])
def test_entropies(logits, normalised):
    for level, part, made in zip(
        LEVELS, logits, level_entropies(LEVELS, logits, normalised), strict=True
    ):
        p = softmax(part.numpy(), axis=1)
        total = (p * np.log(p)).sum(1)
        size = math.log(level.classes) if normalised else level.classes
        np.testing.assert_allclose(made, total / size, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("normalised", [False, True])
def test_a_level_with_one_class_has_no_entropy(normalised, dtype):
    """ln 1 is 0, and so is p log p: a constant, without a gradient, and the others keep theirs."""
    levels = [HeadLevel("kingdom", 1), HeadLevel("genus", 2)]
    leaves = [
        torch.tensor([[-70.0], [0.0], [1e4]], dtype=dtype, requires_grad=True),
        torch.tensor([[0.0, 0.0], [-3.0, 4.0], [0.0, 900.0]], dtype=dtype, requires_grad=True),
    ]
    alone, two = level_entropies(levels, leaves, normalised)
    assert alone.tolist() == [0, 0, 0]
    assert two.tolist()[0] == pytest.approx(-1 if normalised else -math.log(2) / 2, abs=1e-6)
    assert two.tolist()[2] == 0
    (alone + two).sum().backward()
    assert leaves[0].grad.tolist() == [[0], [0], [0]]
    assert torch.isfinite(leaves[1].grad).all()
    assert level_losses(levels, leaves, torch.tensor([[0, 1]] * 3))[0].tolist() == [0, 0, 0]


def test_as_many_logits_as_levels(logits):
    for function in (decisions, probabilities):
        with pytest.raises(ValueError, match="shorter"):
            function(LEVELS, logits[:1])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_taken_as_float32(dtype):
    narrow = (12 * torch.randn(3, 1878, generator=torch.Generator().manual_seed(0))).to(dtype)
    labels = torch.tensor([0, 77, 1877])
    for made, exact in (
        (Single.probabilities(narrow), Single.probabilities(narrow.double())),
        (Single.log_probabilities(narrow), Single.log_probabilities(narrow.double())),
        (Single.loss(narrow, labels), Single.loss(narrow.double(), labels)),
        (Single.negative_entropy(narrow, True), Single.negative_entropy(narrow.double(), True)),
    ):
        assert made.dtype == torch.float32
        assert exact.dtype == torch.float64
        torch.testing.assert_close(made.double(), exact, atol=1e-5, rtol=1e-5)


def test_gradients(logits):
    leaves = [part.clone().requires_grad_() for part in logits]
    labels = torch.tensor([[0, 4]] * 6)
    for function in (
        lambda *parts: sum(level_losses(LEVELS, parts, labels)),
        lambda *parts: sum(level_entropies(LEVELS, parts, True)),
        lambda *parts: class_log_probabilities(LEVELS, parts, labels.unsqueeze(1)),
    ):
        assert torch.autograd.gradcheck(function, leaves)


def test_a_missing_label_gives_no_loss_and_no_gradient():
    logits = torch.tensor([[0.0, math.log(3)], [math.log(9), 0.0]], requires_grad=True)
    losses = Single.loss(logits, torch.tensor([1, -1]))
    assert losses.tolist() == [pytest.approx(math.log(4 / 3)), 0]
    losses.mean().backward()  # over both sequences: a label counts the same in any batch
    # the softmax, 1 less at the label: (1/4, -1/4), halved
    np.testing.assert_allclose(logits.grad, [[0.125, -0.125], [0, 0]], atol=1e-7)
    alone = Single.loss(logits[:1], torch.tensor([1]))
    assert alone[0].item() == losses[0].item()
    with pytest.raises(IndexError):
        Single.loss(logits, torch.tensor([0, -2]))


def test_level_losses_of_missing_labels(logits):
    labels = torch.tensor([[0, 4], [-1, 3], [2, -1], [-1, -1], [1, 1], [0, 0]])
    full = labels.clamp(min=0)
    for made, whole, column in zip(
        level_losses(LEVELS, logits, labels), level_losses(LEVELS, logits, full), labels.T,
        strict=True,
    ):  # fmt: skip
        assert torch.equal(made, torch.where(column < 0, 0, whole))


def test_the_mean_over_known_levels():
    values = torch.tensor([[1.0, 2, 6], [1, 2, 6], [1, 2, 6], [1, 2, 6]], requires_grad=True)
    known = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0]]).bool()
    made = mean_over(values, known)
    assert made.tolist() == pytest.approx([3, 3.5, 2, 0])
    made.sum().backward()
    third = 1 / 3
    expected = [[third, third, third], [0.5, 0, 0.5], [0, 1, 0], [0, 0, 0]]
    np.testing.assert_allclose(values.grad, expected, atol=1e-6)
    for dtype in (torch.float32, torch.float64):
        random = torch.rand(50, 5, dtype=dtype)
        assert torch.equal(mean_over(random, torch.ones(50, 5).bool()), random.mean(-1))


SETS = HeadLevel("register", 4, "multiple", 0.6)


def test_several_classes_on_paper():
    # probabilities 3/4, 1/2, 1/4 and 9/10
    logits = torch.log(torch.tensor([[3.0, 1.0, 1 / 3, 9.0]], dtype=torch.float64))
    (made,) = probabilities([SETS], [logits])
    np.testing.assert_allclose(made, [[0.75, 0.5, 0.25, 0.9]])
    assert decisions([SETS], [logits]).tolist() == [[0b1001]]
    assert decisions([SETS._replace(threshold=0.4)], [logits]).tolist() == [[0b1011]]
    assert decided([SETS], [made]).tolist() == [[0b1001]]
    # a probability that is the threshold is not above it
    assert decisions([HeadLevel("register", 4, "multiple")], [logits]).tolist() == [[0b1001]]
    losses = {
        0b1001: 0.75 * 0.5 * 0.75 * 0.9,
        0b0000: 0.25 * 0.5 * 0.75 * 0.1,
        0b0110: 0.25 * 0.5 * 0.25 * 0.1,
    }
    for labels, p in losses.items():
        assert Multiple.loss(logits, torch.tensor([labels])).tolist() == pytest.approx(
            [-math.log(p)]
        )
    answers = torch.tensor([[[0b1001], [0b0010], [0]]])
    logs = class_log_probabilities([SETS], [logits], answers)
    assert logs.shape == (1, 3, 1)
    expected = [0.75 * 0.9, 0.5, 0.25 * 0.5 * 0.75 * 0.1]
    assert logs.exp().flatten().tolist() == pytest.approx(expected)
    each = [p * math.log(p) + (1 - p) * math.log(1 - p) for p in (0.75, 0.5, 0.25, 0.9)]
    (entropy,) = level_entropies([SETS], [logits], normalised=False)
    assert entropy.tolist() == pytest.approx([sum(each) / 4])
    (entropy,) = level_entropies([SETS], [torch.zeros(1, 4)], normalised=True)
    assert entropy.tolist() == pytest.approx([-1])


def test_a_missing_set_has_no_loss_and_no_gradient():
    logits = torch.randn(3, 4, requires_grad=True)
    losses = Multiple.loss(logits, torch.tensor([0b11, -1, 0]))
    losses.sum().backward()
    assert losses[1] == 0
    assert logits.grad.any(1).tolist() == [True, False, True]


@pytest.mark.parametrize("seed", range(4))
def test_the_loss_of_a_set_by_scikit_learn(seed):
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(5, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 16, (5,), generator=generator)
    truth = members(labels, 4)
    assert sets_of(truth).tolist() == labels.tolist()
    p = Multiple.probabilities(logits)
    for row in range(5):
        each = [log_loss([bool(t)], [float(x)], labels=[False, True]) for t, x in
                zip(truth[row], p[row], strict=True)]  # fmt: skip
        assert float(Multiple.loss(logits, labels)[row]) == pytest.approx(sum(each))


def test_sets_of_many_classes_keep_their_bits():
    held = torch.zeros(1, 62, dtype=torch.bool)
    held[0, [0, 31, 32, 61]] = True
    assert sets_of(held).tolist() == [1 | 1 << 31 | 1 << 32 | 1 << 61]
    assert members(sets_of(held), 62).equal(held)
    assert members(torch.tensor([-1]), 62).any().item() is False
    level = HeadLevel("tag", 62, "multiple")
    assert level.alone(torch.tensor([61])).tolist() == [1 << 61]
    assert LEVELS[1].alone(torch.tensor([3])).tolist() == [3]
    assert LEVELS[1].held(torch.tensor([3, -1])).int().sum(1).tolist() == [1, 0]


def test_levels_of_a_configuration():
    made = head_levels({"a": 3, "b": 4}, {"b": "multiple"}, 0.3)
    assert made == [HeadLevel("a", 3, "single", 0.3), HeadLevel("b", 4, "multiple", 0.3)]
    assert several({"a": "single", "b": "multiple"}) == {"b": "multiple"}
    with pytest.raises(UserError, match="'z' is no level"):
        head_levels({"a": 3}, {"z": "multiple"})
    with pytest.raises(UserError, match="63 classes"):
        head_levels({"a": 63}, {"a": "multiple"})


def test_divergences_by_torch():
    """Of one class by `Categorical`, of sets by one `Bernoulli` for each class."""
    generator = torch.Generator().manual_seed(3)
    one, other = (3 * torch.randn(5, 4, generator=generator) for _ in range(2))
    levels = [HeadLevel("a", 4), HeadLevel("b", 4, "multiple")]
    single, several = level_divergences(levels, (one, one), (other, other))
    kl = torch.distributions.kl_divergence
    of_one, of_sets = torch.distributions.Categorical, torch.distributions.Bernoulli
    assert torch.allclose(single, kl(of_one(logits=one), of_one(logits=other)), atol=1e-5)
    expected = kl(of_sets(logits=one), of_sets(logits=other)).sum(1)
    assert torch.allclose(several, expected, atol=1e-4)
    for none in level_divergences(levels, (one, one), (one, one)):
        assert none.abs().max() < 1e-6
