"""The loss terms against the reference values, and against the paper's formulas in plain loops."""

import json
import math
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
import torch

from whatyouread.explainers.gate import standardised
from whatyouread.explainers.losses import (
    Masks,
    area,
    area_loss,
    bounding,
    classification_loss,
    correlation_loss,
    entropy_loss,
    explainer_loss,
    total_variation,
)
from whatyouread.explainers.paper import Settings
from whatyouread.models.levels import HeadLevel
from whatyouread.models.mask_operator import own_and_other_masks, target_mask

A, B = 0.05, 0.3
COUNTS = [4, 7, 11]
GENERA = [HeadLevel("genus", 1878)]
LEVELS = [HeadLevel(f"rank{i}", count) for i, count in enumerate(COUNTS)]
TERMS = ("classification", "entropy", "area", "variation")


def half_up(share: float, size: int) -> int:
    """`share` as it is written, times `size`, rounded as one does by hand."""
    return int((Decimal(str(share)) * size).to_integral_value(ROUND_HALF_UP))


def by_hand(scores, labels, logits_masked, logits_inverted, a=A, b=B):
    """Terms of one sequence without padding, lists of floats throughout: paper, "Methods"."""
    z, starts = len(scores), [sum(COUNTS[:r]) for r in range(len(COUNTS))]
    own = [start + label for start, label in zip(starts, labels, strict=True)]
    m = [max(scores[i][c] for c in own) for i in range(z)]
    n = [max(s for c, s in enumerate(scores[i]) if c not in own) for i in range(z)]

    def softmax(logits):
        exponentials = [math.exp(v - max(logits)) for v in logits]
        return [e / sum(exponentials) for e in exponentials]

    classification = -sum(
        math.log(softmax(rank)[label]) for rank, label in zip(logits_masked, labels, strict=True)
    )
    entropy = sum(
        sum(p * math.log(p) for p in softmax(rank)) / len(rank) for rank in logits_inverted
    )
    bounds = []
    for c in own:
        q = sorted((scores[i][c] for i in range(z)), reverse=True)
        q_min = [1 if i < half_up(a, z) else 0 for i in range(z)]
        q_max = [1 if i < half_up(b, z) else 0 for i in range(z)]
        bounds.append(
            sum(max(q_min[i] - q[i], 0) for i in range(z)) / z
            + sum(max(q[i] - q_max[i], 0) for i in range(z)) / z
        )
    areas = sum(m) / z + sum(n) / z + sum(bounds) / len(bounds)
    variation = sum(
        abs(mask[i] - mask[i + 1]) / z for mask in (m, n) for i in range(z - 1)
    )  # fmt: skip
    return {
        "target": m, "non_target": n, "bounding": bounds,
        "classification": classification, "entropy": entropy, "area": areas, "variation": variation,
    }  # fmt: skip


def arguments(scores, labels, logits_masked, logits_inverted, lengths):
    """What `explainer_loss` takes, in float64 unless the tensors are of another type."""
    starts = torch.tensor([sum(COUNTS[:r]) for r in range(len(COUNTS))])
    own, others = own_and_other_masks(scores, labels + starts)
    valid = torch.arange(scores.shape[1]) < torch.tensor(lengths)[:, None]
    return {
        "levels": LEVELS, "logits_masked": logits_masked, "logits_inverted": logits_inverted,
        "labels": labels, "masks": Masks(target_mask(own), others, own), "valid": valid,
    }  # fmt: skip


def random_case(seed, lengths, width=None):
    generator = torch.Generator().manual_seed(seed)
    batch, width = len(lengths), width or max(lengths)

    def draw(*shape, of=torch.randn):
        return of(shape, generator=generator, dtype=torch.float64)

    return {
        "scores": draw(batch, width, sum(COUNTS), of=torch.rand),
        "labels": torch.stack([torch.randint(n, (batch,), generator=generator) for n in COUNTS], 1),
        "logits_masked": tuple(3 * draw(batch, n) for n in COUNTS),
        "logits_inverted": tuple(3 * draw(batch, n) for n in COUNTS),
        "lengths": lengths,
    }


def computed(case, a=A, b=B, **weights):
    return explainer_loss(**arguments(**case), constants=Settings(a, b, **weights))


@pytest.fixture(scope="module")
def reference(shared):
    return json.loads((shared / "data" / "reference" / "losses.json").read_text())


def test_reference_losses(reference):
    assert (reference["min_area"], reference["max_area"]) == (A, B)
    assert reference["ranks"] == COUNTS
    assert len(reference["cases"]) == 3
    for case in reference["cases"]:
        made = arguments(
            torch.tensor(case["scores"], dtype=torch.float64),
            torch.tensor(case["labels"]),
            *(
                tuple(torch.tensor(rank, dtype=torch.float64) for rank in case[name])
                for name in ("logits_masked", "logits_inverted")
            ),
            case["lengths"],
        )
        loss = explainer_loss(**made, constants=Settings(A, B))
        bounds = bounding(made["masks"].own, made["valid"], A, B)
        for i, row in enumerate(case["rows"]):
            length = case["lengths"][i]
            assert made["masks"].target[i, :length].tolist() == pytest.approx(
                row["target_mask"], abs=1e-6
            )
            others = made["masks"].non_target[i, :length].tolist()
            assert others == pytest.approx(row["non_target_mask"], abs=1e-6)
            assert bounds[i].tolist() == pytest.approx(row["bounding"], abs=1e-6)
            for name, term in zip(("L_c", "L_e", "L_a", "L_tv"), TERMS, strict=True):
                assert getattr(loss, term)[i].item() == pytest.approx(row[name], abs=1e-6)
        for name, term in zip(
            ("L_c", "L_e", "L_a", "L_tv", "total"), (*TERMS, "total"), strict=True
        ):
            assert getattr(loss, term).mean().item() == pytest.approx(case[name], abs=1e-6)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("a", "b"), [(A, B), (0.1, 0.35), (0.25, 0.9)])
def test_random_cases_against_plain_loops(seed, a, b):
    lengths = [[20, 13, 1, 10], [1], [2, 1, 3], [50, 30, 49]][seed % 4]
    case = random_case(seed, lengths, width=max(lengths) + seed % 3)
    made = arguments(**case)
    loss = explainer_loss(**made, constants=Settings(a, b))
    bounds = bounding(made["masks"].own, made["valid"], a, b)
    for i, length in enumerate(lengths):
        expected = by_hand(
            case["scores"][i, :length].tolist(),
            case["labels"][i].tolist(),
            [rank[i].tolist() for rank in case["logits_masked"]],
            [rank[i].tolist() for rank in case["logits_inverted"]],
            a,
            b,
        )
        assert bounds[i].tolist() == pytest.approx(expected["bounding"], abs=1e-9)
        for term in TERMS:
            assert getattr(loss, term)[i].item() == pytest.approx(expected[term], abs=1e-9), term
    total = loss.classification + loss.entropy + loss.area + loss.variation
    assert torch.allclose(loss.total, total)


def test_on_paper():
    # Z = 4 of 5 places, a Z = 1, b Z = 2: the best value falls 0.2 short of 1, the third and
    # fourth, 0.4 and 0.1, are too many: (0.2 + 0.4 + 0.1) / 4
    valid = torch.tensor([[True] * 4 + [False]])
    mask = torch.tensor([[0.1, 0.8, 0.4, 0.6, 0.9]], dtype=torch.float64)
    bounds = bounding(mask.unsqueeze(-1), valid, 0.25, 0.5)
    assert bounds.tolist() == [[pytest.approx(0.7 / 4)]]
    assert area(mask, valid).tolist() == [pytest.approx(1.9 / 4)]
    assert total_variation(mask, valid).tolist() == [pytest.approx((0.7 + 0.4 + 0.2) / 4)]
    n = mask.flip(1) * valid  # 0.9, 0.6, 0.4, 0.8
    both = area_loss(Masks(mask, n, torch.stack([mask, n], -1)), valid, 0.25, 0.5)
    # of the second: 0.9 falls 0.1 short, 0.6 and 0.4 are too many; the mean over the two classes
    assert both.tolist() == [pytest.approx((1.9 + 2.7 + (0.7 + 1.1) / 2) / 4)]
    logits = (torch.zeros(1, 4), torch.tensor([[0.0, math.log(3)]]))
    labels = torch.tensor([[2, 0]])
    # -log(1/4) - log(1/4); p log p: mean of four times 1/4 log 1/4, mean of 1/4 log 1/4, 3/4 log 3/4
    levels = [HeadLevel("a", 4), HeadLevel("b", 2)]
    assert classification_loss(levels, logits, labels).tolist() == [pytest.approx(2 * math.log(4))]
    expected = 0.25 * math.log(0.25) + (0.25 * math.log(0.25) + 0.75 * math.log(0.75)) / 2
    assert entropy_loss(levels, logits).tolist() == [pytest.approx(expected)]


def test_a_perfect_mask_costs_nothing():
    valid = torch.ones(1, 10, dtype=torch.bool)
    for ones in (1, 2, 3):  # a Z = 1, b Z = 3
        mask = torch.zeros(1, 10, 1)
        mask[0, 4 : 4 + ones] = 1
        assert bounding(mask, valid, 0.1, 0.3).item() == 0
    assert bounding(torch.zeros(1, 10, 1), valid, 0.1, 0.3).item() == pytest.approx(0.1)
    assert bounding(torch.ones(1, 10, 1), valid, 0.1, 0.3).item() == pytest.approx(0.7)


def ones_in_q(share: float, size: int) -> tuple[int, int]:
    """How many places `bounding` takes for the 1s of q_min (zero masks) and of q_max (one masks)."""
    valid = torch.ones(1, size, dtype=torch.bool)
    zeros, ones = (torch.full((1, size, 1), v, dtype=torch.float64) for v in (0, 1))
    q_min = bounding(zeros, valid, share, 1.0).item() * size
    q_max = size - bounding(ones, valid, 0.0, share).item() * size
    return round(q_min, 6), round(q_max, 6)


@pytest.mark.parametrize(
    ("share", "size", "ones"),
    [
        (0.05, 10, 1),  # 0.5, which rounding halves to even takes for 0
        (0.05, 50, 3),  # 2.5, likewise 2
        (0.05, 9, 0),
        (0.05, 11, 1),
        (0.3, 15, 5),  # 4.5, likewise 4
        (0.3, 1, 0),
        (0.3, 251, 75),
        (0.05, 251, 13),
        # halves that are not so in binary, in float32 or in float64
        (0.13, 450, 59),
        (0.26, 225, 59),
        (0.35, 70, 25),
        (0.35, 90, 32),
        (0.7, 25, 18),
    ],
)
def test_halves_are_rounded_up(share, size, ones):
    assert half_up(share, size) == ones
    assert ones_in_q(share, size) == (ones, ones)


def test_rounding_at_every_length_a_fragment_can_have():
    for share in (0.05, 0.1, 0.15, 0.29, 0.3, 0.35, 0.57, 0.7):
        sizes = list(range(1, 301))
        valid = torch.arange(300) < torch.tensor(sizes)[:, None]
        bounds = bounding(torch.zeros(300, 300, 1, dtype=torch.float64), valid, share, 1.0)
        counted = (bounds.squeeze(1) * torch.tensor(sizes)).round().int().tolist()
        assert counted == [half_up(share, size) for size in sizes], share


def test_values_at_padding_are_ignored():
    lengths = [9, 1, 6]
    case = random_case(3, lengths, width=12)
    expected = computed(case)
    padding = torch.arange(12) >= torch.tensor(lengths)[:, None]
    for filling in (0.0, 1.0, -5.0, 1e3):
        case["scores"] = case["scores"].masked_fill(padding.unsqueeze(-1), filling)
        for name, made in computed(case)._asdict().items():
            assert torch.equal(made, getattr(expected, name)), name


def test_a_sequence_has_the_same_loss_in_any_batch():
    lengths = [9, 1, 6, 12]
    case = random_case(4, lengths, width=15)
    whole = computed(case)
    for i, length in enumerate(lengths):
        alone = computed(
            {
                "scores": case["scores"][i : i + 1, :length],
                "labels": case["labels"][i : i + 1],
                "logits_masked": tuple(rank[i : i + 1] for rank in case["logits_masked"]),
                "logits_inverted": tuple(rank[i : i + 1] for rank in case["logits_inverted"]),
                "lengths": [length],
            }
        )
        for name, made in alone._asdict().items():
            assert made.item() == pytest.approx(getattr(whole, name)[i].item(), abs=1e-12), name


def test_each_weight_is_that_of_its_term():
    case = random_case(5, [8, 3])
    plain = computed(case)
    weighted = computed(case, entropy_weight=2.0, area_weight=3.0, variation_weight=5.0)
    for term in TERMS:
        assert torch.equal(getattr(weighted, term), getattr(plain, term))
    expected = plain.classification + 2 * plain.entropy + 3 * plain.area + 5 * plain.variation
    assert torch.allclose(weighted.total, expected, atol=1e-12)


def test_the_entropy_is_the_one_asked_for():
    case = random_case(8, [8, 3])
    made = arguments(**case)
    normalised = explainer_loss(**made, constants=Settings(A, B, entropy="normalised"))
    expected = [
        sum(
            sum(p * math.log(p) for p in rank[i].softmax(-1).tolist()) / math.log(len(rank[i]))
            for rank in case["logits_inverted"]
        )
        for i in range(2)
    ]
    assert normalised.entropy.tolist() == pytest.approx(expected, abs=1e-9)
    assert not torch.allclose(normalised.entropy, computed(case).entropy, atol=0.1)


def test_gradients():
    case = random_case(6, [7, 1, 4], width=8)
    given = arguments(**case)
    leaves = [*given["logits_masked"], *given["logits_inverted"], *given["masks"][:3]]
    leaves = [leaf.detach().clone().requires_grad_() for leaf in leaves]

    def total(*tensors):
        made = given | {"logits_masked": tensors[:3], "logits_inverted": tensors[3:6]}
        made |= {"masks": Masks(*tensors[6:])}
        return explainer_loss(**made, constants=Settings(0.2, 0.5)).total

    assert torch.autograd.gradcheck(total, leaves)
    total(*leaves).sum().backward()
    for leaf in leaves[:6]:
        assert leaf.grad.any(1).all()
    for leaf in leaves[6:]:
        assert leaf.grad[given["valid"]].any()
        assert not leaf.grad[~given["valid"]].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_taken_as_float32(dtype):
    torch.manual_seed(0)
    narrow = (12 * torch.randn(3, 1878)).to(dtype)
    labels = torch.tensor([[0], [77], [1877]])
    for function, rest in ((classification_loss, (labels,)), (entropy_loss, ())):
        made = function(GENERA, (narrow,), *rest)
        assert made.dtype == torch.float32
        assert torch.equal(made, function(GENERA, (narrow.float(),), *rest))
        exact = function(GENERA, (narrow.double(),), *rest)
        assert torch.allclose(made.double(), exact, atol=1e-5)


def test_a_certain_classifier_gives_finite_values():
    logits = (torch.tensor([[0.0, -1e4, -1e4]]),)
    levels = [HeadLevel("a", 3)]
    assert entropy_loss(levels, logits).tolist() == [0]
    assert classification_loss(levels, logits, torch.tensor([[1]])).tolist() == [1e4]


# The sharp variant


def test_correlation_loss_equals_numpys(device):
    generator = np.random.default_rng(4)
    scores, evidence = (torch.from_numpy(generator.normal(size=(3, 9))).to(device) for _ in "ab")
    counted = torch.tensor([[0] + [1] * 8, [0, 1, 1, 1] + [0] * 5, [1] * 9]).bool().to(device)
    made = correlation_loss(scores, evidence, counted)
    for row in range(3):
        own = counted[row]
        r = np.corrcoef(scores[row, own].cpu(), evidence[row, own].cpu())[0, 1]
        assert float(made[row]) == pytest.approx(1 - r, abs=1e-9)
    # neither its size nor what lies outside counts
    moved = torch.where(counted, 3 * evidence + 7, 1e6)
    torch.testing.assert_close(correlation_loss(scores, moved, counted), made)
    assert correlation_loss(-evidence, evidence, counted).tolist() == pytest.approx([2, 2, 2])


def test_scores_that_are_all_the_same_correlate_with_nothing():
    scores = torch.full((2, 5), 3.0, requires_grad=True)
    counted = torch.ones(2, 5, dtype=torch.bool)
    loss = correlation_loss(scores, torch.arange(10.0).view(2, 5), counted)
    assert loss.tolist() == [1, 1]
    loss.sum().backward()
    assert torch.isfinite(scores.grad).all()
    assert standardised(scores, torch.zeros_like(counted)).tolist() == [[0] * 5] * 2


def test_normalised_entropy_is_minus_one_when_uniform():
    logits = (torch.zeros(2, 4), torch.zeros(2, 1878))
    levels = [HeadLevel("a", 4), *GENERA]
    made = entropy_loss(levels, logits, normalised=True)
    torch.testing.assert_close(made, torch.full((2,), -2.0))
    # as printed it is hardly there for many classes
    assert float(entropy_loss(GENERA, logits[1:])[0]) == pytest.approx(
        -math.log(1878) / 1878, rel=1e-4
    )
    sure = (torch.tensor([[50.0, 0, 0, 0]]),)
    assert float(entropy_loss(levels[:1], sure, normalised=True)) == pytest.approx(0, abs=1e-6)


def test_the_size_of_the_entropy_term_at_the_papers_size():
    """As docs/paper.md says it: -(ln C)/C for each rank, and what one C for all would give."""
    levels = [HeadLevel(str(count), count) for count in (4, 55, 1878)]
    uniform = tuple(torch.zeros(1, level.classes) for level in levels)
    each = [
        entropy_loss([level], (part,)).item() for level, part in zip(levels, uniform, strict=True)
    ]
    assert each == pytest.approx([-0.347, -0.073, -0.004], abs=5e-4)
    assert entropy_loss(levels, uniform).item() == pytest.approx(-0.42, abs=5e-3)
    one_c = sum(value * level.classes for value, level in zip(each, levels, strict=True)) / 1937
    assert one_c == pytest.approx(-0.007, abs=5e-4)
    assert entropy_loss(levels, uniform, normalised=True).item() == pytest.approx(-3, abs=1e-4)


def test_a_level_without_a_label_takes_no_part_in_the_loss():
    """The loss is that of the same sequences with a model that has only their labelled levels."""
    case = random_case(21, [9, 7, 8, 5])
    kept = [[0, 1, 2], [0, 2], [1], []]
    assert len(COUNTS) == 3
    labels = case["labels"].clone()
    for row, levels in enumerate(kept):
        for level in set(range(3)) - set(levels):
            labels[row, level] = -1
    starts = [sum(COUNTS[:level]) for level in range(3)]
    columns = torch.where(labels < 0, -1, labels + torch.tensor(starts))
    valid = torch.arange(case["scores"].shape[1]) < torch.tensor(case["lengths"])[:, None]
    own, others = own_and_other_masks(case["scores"], columns, COUNTS)
    made = explainer_loss(
        LEVELS, case["logits_masked"], case["logits_inverted"], labels,
        Masks(target_mask(own), others, own), valid, Settings(A, B),
    )  # fmt: skip
    for row, levels in enumerate(kept):
        if not levels:
            assert [float(part[row]) for part in made] == [0] * 5
            continue
        one = slice(row, row + 1)
        parts = [range(starts[i], starts[i] + COUNTS[i]) for i in levels]
        scores = case["scores"][one][:, :, [c for part in parts for c in part]]
        counts = [COUNTS[i] for i in levels]
        first = torch.tensor([sum(counts[:i]) for i in range(len(levels))])
        own_, others_ = own_and_other_masks(scores, labels[one][:, levels] + first)
        alone = explainer_loss(
            [LEVELS[i] for i in levels],
            tuple(case["logits_masked"][i][one] for i in levels),
            tuple(case["logits_inverted"][i][one] for i in levels),
            labels[one][:, levels], Masks(target_mask(own_), others_, own_), valid[one],
            Settings(A, B),
        )  # fmt: skip
        for whole, part in zip(made, alone, strict=True):
            torch.testing.assert_close(whole[row], part[0], atol=1e-12, rtol=1e-12)
