import dataclasses
import json

import pytest
import torch
from helpers_batches import batch_of, narrowed
from torch import nn

from whatyouread.models.mask_operator import (
    inverted,
    masked_logits,
    mean_mask,
    own_and_other_masks,
    read,
    target_mask,
)

TOLERANCE = 1e-5  # between the same sequence in batches of other sizes and widths, float32
LENGTHS = [9, 1, 5, 14, 2]


class Toy(nn.Module):
    """An Explanandum small enough to work out on paper: four embeddings, no encoder, no heads."""

    def __init__(self, pooling):
        super().__init__()
        self.pooling = pooling
        # of `<unk>`, `<pad>`, `<mask>`, `<cls>`, and of the first two six-mers
        self.table = torch.tensor(
            [[0, 0], [100, -100], [0, 0], [2, 0], [0, 0], [0, 0], [4, 8], [0, 4.0]]
        )

    def embed(self, tokens):
        return self.table[tokens]

    def encode(self, embeddings, batch):
        return embeddings

    def classify(self, pooled):
        return pooled, pooled.sum(1, keepdim=True)


PAPER = batch_of([[3, 6, 7, 1]]).to("cpu")


def logits_of(model, *args):
    with torch.inference_mode():
        return masked_logits(model, *args)


def test_on_paper_without_a_mask():
    # (2 + 4 + 0) / 3 and (0 + 8 + 4) / 3: three tokens, the padding is none of them
    both, one = logits_of(Toy("mean"), PAPER)
    assert both.tolist() == [[2, 4]]
    assert one.tolist() == [[6]]


def test_on_paper_with_a_mask():
    # embeddings (1, 0), (4, 8), (0, 1); masked once more (0.5, 0), (4, 8), (0, 0.25);
    # their sum, (4.5, 8.25), over the number of tokens, 3, and not over the sum of the mask, 1.75
    mask = torch.tensor([[0.5, 1.0, 0.25, 0.0]])
    both, one = logits_of(Toy("mean"), PAPER, mask)
    assert both.tolist() == [[1.5, 2.75]]
    assert one.tolist() == [[4.25]]


def test_on_paper_with_cls_pooling():
    mask = torch.tensor([[0.5, 1.0, 0.25, 0.0]])
    both, _ = logits_of(Toy("cls"), PAPER, mask)
    assert both.tolist() == [[1, 0]]  # the first token's embedding, masked once
    both, _ = logits_of(Toy("cls"), PAPER)
    assert both.tolist() == [[2, 0]]


@pytest.mark.parametrize("relaxed", [False, True])
def test_to_know_that_there_is_no_padding_changes_nothing(make_explanandum, token_batch, relaxed):
    explanandum, batch = make_explanandum(), token_batch([9, 9])
    assert batch.whole
    unsaid = dataclasses.replace(batch, whole=False)
    mask = torch.rand(batch.ids.shape)
    for given in (None, mask):
        one, other = (
            masked_logits(explanandum, tokens, given, relaxed=relaxed) for tokens in (unsaid, batch)
        )
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64, torch.bool])
def test_a_mask_of_ones_changes_no_bit(make_explanandum, token_batch, device, pooling, dtype):
    model = make_explanandum(pooling).to(device)
    for width in (None, 23):
        tokens = token_batch(LENGTHS, width=width).to(device)
        plain = logits_of(model, tokens)
        ones = torch.ones(tokens.ids.shape, dtype=dtype, device=device)
        for with_mask, without in zip(logits_of(model, tokens, ones), plain, strict=True):
            assert torch.equal(with_mask, without)
        for called, without in zip(model(tokens), plain, strict=True):
            assert torch.equal(called, without)


def test_a_mask_of_ones_changes_no_bit_in_bfloat16(tiny_explanandum, token_batch):
    tokens = token_batch(LENGTHS)
    with torch.autocast("cpu", torch.bfloat16):
        plain = logits_of(tiny_explanandum, tokens)
        masked = logits_of(tiny_explanandum, tokens, torch.ones(tokens.ids.shape))
    for with_mask, without in zip(masked, plain, strict=True):
        assert torch.equal(with_mask, without)


def test_a_mask_of_zeros_leaves_the_biases(tiny_explanandum, token_batch, device):
    model = tiny_explanandum.to(device)
    tokens = token_batch(LENGTHS, width=20).to(device)
    logits = logits_of(model, tokens, torch.zeros(tokens.ids.shape, device=device))
    for rank, head in zip(logits, model.heads.values(), strict=True):
        assert head.bias.any()
        assert torch.equal(rank, head.bias.expand_as(rank))


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_mask_values_at_padding_are_ignored(make_explanandum, token_batch, pooling):
    model = make_explanandum(pooling)
    tokens = token_batch(LENGTHS, width=17)
    torch.manual_seed(1)
    mask = torch.rand(tokens.ids.shape)
    expected = logits_of(model, tokens, mask)
    for filling in (0.0, 1.0, -3.0, 1e6):
        other = torch.where(tokens.valid, mask, filling)
        for rank, same in zip(logits_of(model, tokens, other), expected, strict=True):
            assert torch.allclose(rank, same, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_neither_the_batch_nor_its_width_matters(make_explanandum, token_batch, device, pooling):
    model = make_explanandum(pooling).to(device)
    tokens = token_batch(LENGTHS, width=31).to(device)
    torch.manual_seed(2)
    mask = torch.rand(tokens.ids.shape, device=device)
    whole = logits_of(model, tokens, mask)
    order = [3, 0, 4, 1, 2]
    turned = logits_of(model, tokens.take(order), mask[order])
    for row, length in enumerate(LENGTHS):
        for width in (length, length + 1, 31):
            alone = logits_of(model, narrowed(tokens, [row], width), mask[[row], :width])
            for i in range(3):
                assert (alone[i][0] - whole[i][row]).abs().max() < TOLERANCE
        for i in range(3):
            assert (turned[i][order.index(row)] - whole[i][row]).abs().max() < TOLERANCE
    # which would mean nothing if the sequences did not differ by far more
    assert (whole[2][0] - whole[2][3]).abs().max() > 100 * TOLERANCE


def test_masking_is_no_attention_mask(tiny_explanandum, token_batch):
    """A token with mask 0 is blanked, not taken out: what is left is not the shorter sequence."""
    tokens = token_batch([8])
    mask = torch.ones(tokens.ids.shape)
    mask[:, 5:] = 0
    shorter = logits_of(tiny_explanandum, batch_of(tokens.ids[:, :5]).to("cpu"))
    for rank, other in zip(logits_of(tiny_explanandum, tokens, mask), shorter, strict=True):
        assert (rank - other).abs().max() > 1e-3


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_real_thing_step_by_step(make_explanandum, token_batch, pooling):
    model = make_explanandum(pooling)
    tokens = token_batch([6, 4])
    torch.manual_seed(3)
    mask = torch.rand(tokens.ids.shape)
    with torch.inference_mode():
        logits = masked_logits(model, tokens, mask)
        for row, length in enumerate([6, 4]):
            m = mask[row, :length, None]
            table = model.encoder.embeddings.word_embeddings.weight
            embeddings = (table[tokens.ids[row, :length]] * m).unsqueeze(0)
            states = model.encoder(inputs_embeds=embeddings).last_hidden_state[0]
            pooled = states[0] if pooling == "cls" else (states * m).sum(0) / length
            for rank, head in zip(logits, model.heads.values(), strict=True):
                assert torch.allclose(rank[row], head(pooled), atol=TOLERANCE)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_gradient_reaches_the_mask(make_explanandum, token_batch, pooling):
    model = make_explanandum(pooling).double().freeze()
    tokens = token_batch([5, 3])
    torch.manual_seed(4)
    mask = torch.rand(tokens.ids.shape, dtype=torch.float64, requires_grad=True)
    torch.cat(masked_logits(model, tokens, mask), 1).square().sum().backward()
    assert mask.grad[tokens.valid].abs().min() > 1e-6
    assert mask.grad[~tokens.valid].tolist() == [0, 0]
    # ESM rotates in float32 whatever the precision: too coarse for gradcheck's own step of 1e-6
    assert torch.autograd.gradcheck(
        lambda m: masked_logits(model, tokens, m), (mask,), eps=1e-3, atol=1e-4, rtol=1e-3
    )


def test_target_and_non_target_masks_against_loops():
    torch.manual_seed(5)
    counts, batch, length = [3, 5, 7], 4, 6
    first = [0, 3, 8]
    scores = torch.rand(batch, length, 15)
    labels = torch.stack([torch.randint(n, (batch,)) for n in counts], 1)
    columns = labels + torch.tensor(first)
    own = scores.gather(-1, columns.unsqueeze(1).expand(-1, length, -1))
    target, others = target_mask(own), own_and_other_masks(scores, columns)[1]
    assert target.shape == others.shape == (batch, length)
    for i in range(batch):
        chosen = columns[i].tolist()
        for j in range(length):
            values = scores[i, j].tolist()
            assert target[i, j].item() == max(values[c] for c in chosen)
            assert others[i, j].item() == max(v for c, v in enumerate(values) if c not in chosen)


def test_the_non_target_mask_of_low_scores_and_its_gradient():
    # the label's own, higher scores are left out, and are not taken for zeros either
    scores = torch.tensor([[[0.9, 0.1, 0.02, 0.8]]], requires_grad=True)
    made = own_and_other_masks(scores, torch.tensor([[0, 3]]))[1]
    assert made.tolist() == [[pytest.approx(0.1)]]
    made.sum().backward()
    assert scores.grad.tolist() == [[[0, 1, 0, 0]]]
    assert scores.tolist() == [[[pytest.approx(v) for v in (0.9, 0.1, 0.02, 0.8)]]]


def test_own_and_other_masks_where_classes_are_equal():
    """Values and gradients against loops, also where other classes are equal, and no trace left."""
    torch.manual_seed(6)
    scores = (torch.rand(4, 9, 12) * 8).round() / 8  # many are equal
    columns = torch.stack([torch.randint(n, (4,)) for n in (4, 8)], 1) + torch.tensor([0, 4])
    weights = torch.randn(4, 9, 3)
    leaf = scores.clone().requires_grad_()
    masks = leaf.sigmoid()
    own, others = own_and_other_masks(masks, columns)
    (own * weights[..., :2]).sum().add((others * weights[..., 2]).sum()).backward()

    ties = 0
    gradient = torch.zeros_like(scores)
    for i in range(4):
        for j in range(9):
            values, chosen = masks[i, j].tolist(), columns[i].tolist()
            assert own[i, j].tolist() == [values[c] for c in chosen]
            highest = max(v for c, v in enumerate(values) if c not in chosen)
            assert others[i, j].item() == highest
            equal = [c for c, v in enumerate(values) if c not in chosen and v == highest]
            ties += len(equal) > 1
            for c in equal:  # the maximum's gradient is shared evenly
                gradient[i, j, c] += weights[i, j, 2] / len(equal)
            for which, c in enumerate(chosen):
                gradient[i, j, c] += weights[i, j, which]
    assert ties > 5
    slope = (masks * (1 - masks)).detach()
    torch.testing.assert_close(leaf.grad, gradient * slope, atol=1e-6, rtol=1e-5)
    with torch.inference_mode():
        kept = scores.clone()
        own_and_other_masks(kept, columns)
        assert torch.equal(kept, scores)


def test_reference_masks(shared):
    reference = json.loads((shared / "data" / "reference" / "losses.json").read_text())
    first = torch.tensor([0, 4, 11])
    for case in reference["cases"]:
        scores = torch.tensor(case["scores"], dtype=torch.float64)
        columns = torch.tensor(case["labels"]) + first
        own = scores.gather(-1, columns.unsqueeze(1).expand(-1, scores.shape[1], -1))
        made = {
            "target_mask": target_mask(own),
            "non_target_mask": own_and_other_masks(scores, columns)[1],
        }
        for row, (length, expected) in enumerate(zip(case["lengths"], case["rows"], strict=True)):
            for name, masks in made.items():
                assert len(expected[name]) == length
                difference = masks[row, :length] - torch.tensor(expected[name])
                assert difference.abs().max() < 1e-6


def test_inverted():
    mask = torch.tensor([0, 0.25, 0.5, 0.75, 1], dtype=torch.float64)
    assert inverted(mask).tolist() == [1, 0.75, 0.5, 0.25, 0]
    for dtype in (torch.float16, torch.float32, torch.float64):
        assert inverted(mask.to(dtype)).dtype == dtype
    assert inverted(torch.rand(2, 3, 4)).shape == (2, 3, 4)


def test_the_mean_of_the_masks_reaches_every_class():
    masks = torch.tensor([[[0.2, 0.4, 0.9], [1.0, 0.0, 0.5]]], requires_grad=True)
    assert mean_mask(masks)[0].tolist() == pytest.approx([0.5, 0.5])
    mean_mask(masks).sum().backward()
    assert (masks.grad == 1 / 3).all()


def test_divided_by_the_mask_a_constant_mask_scales_nothing(make_explanandum, token_batch):
    explanandum, tokens = make_explanandum(), token_batch([12, 20])
    half = torch.full(tokens.ids.shape, 0.5)
    # the last states do not feel a mask of one value but for the residual stream: undo it by hand
    valid = tokens.valid
    hidden = explanandum.encode(explanandum.embed(tokens.ids) * 0.5, tokens)
    expected = explanandum.classify((hidden * valid.unsqueeze(-1)).sum(1) / valid.sum(1)[:, None])
    for made, wanted in zip(
        masked_logits(explanandum, tokens, half, by_mask=True), expected, strict=True
    ):
        torch.testing.assert_close(made, wanted, atol=1e-5, rtol=1e-5)
    nothing = masked_logits(explanandum, tokens, half * 0, by_mask=True)
    assert all(torch.isfinite(rank).all() for rank in nothing)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_read_gives_the_last_states_beside_the_plain_logits(make_explanandum, token_batch, pooling):
    explanandum, tokens = make_explanandum(pooling), token_batch([12, 20])
    with torch.inference_mode():
        states, logits = read(explanandum, tokens)
        for made, plain in zip(logits, masked_logits(explanandum, tokens), strict=True):
            assert torch.equal(made, plain)
        expected = explanandum.encoder(inputs_embeds=explanandum.embed(tokens.ids[:1, :12]))
    assert (states[0, :12] - expected.last_hidden_state[0]).abs().max() < TOLERANCE


def test_a_level_without_a_label_is_in_neither_mask():
    # two levels of 2 and 3 classes; no sequence has the same labels
    scores = torch.tensor([[[0.1, 0.2, 0.3, 0.4, 0.5]]]).repeat(4, 1, 1).requires_grad_()
    columns = torch.tensor([[0, 4], [1, -1], [-1, 3], [-1, -1]])
    own, others = own_and_other_masks(scores, columns, [2, 3])
    assert own[:, 0].tolist() == [
        pytest.approx(row) for row in ([0.1, 0.5], [0.2, 0], [0, 0.4], [0, 0])
    ]
    # class 4 of 0.5 is the largest, but of a level that the second sequence has no label of
    assert others[:, 0].tolist() == pytest.approx([0.4, 0.1, 0.5, 0])
    assert target_mask(own)[:, 0].tolist() == pytest.approx([0.5, 0.2, 0.4, 0])
    known = columns >= 0
    assert mean_mask(own, known)[:, 0].tolist() == pytest.approx([0.3, 0.2, 0.4, 0])
    (own.sum() + 10 * others.sum()).backward()
    assert scores.grad[:, 0].tolist() == [
        [1, 0, 0, 10, 1], [10, 1, 0, 0, 0], [0, 0, 0, 1, 10], [0, 0, 0, 0, 0],
    ]  # fmt: skip


def test_the_non_target_mask_where_no_other_class_is_left():
    scores = torch.tensor([[[0.7, 0.2, 0.9]]], requires_grad=True)
    # a level with one class, and one without a label
    own, others = own_and_other_masks(scores, torch.tensor([[0, -1]]), [1, 2])
    assert (own.tolist(), others.tolist()) == ([[[pytest.approx(0.7), 0]]], [[0]])
    (own.sum() + others.sum()).backward()
    assert scores.grad.tolist() == [[[1, 0, 0]]]


@pytest.mark.parametrize("seed", range(6))
def test_missing_labels_against_loops(seed):
    """Values and gradients by plain loops, with ties; with all labels the bits are the same."""
    random = torch.Generator().manual_seed(seed)
    sizes = [[3, 5, 4], [6], [2, 1, 3, 4, 2]][seed % 3]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    scores = (torch.rand(5, 7, sum(sizes), generator=random) * 6).round() / 6
    columns = torch.stack([torch.randint(n, (5,), generator=random) for n in sizes], 1)
    columns += torch.tensor(starts)
    leaves = [scores.clone().requires_grad_() for _ in range(2)]
    weights = torch.randn(5, 7, len(sizes) + 1, generator=random)
    for leaf, given in zip(leaves, (None, sizes), strict=True):
        own, others = own_and_other_masks(leaf, columns, given)
        (torch.cat([own, others.unsqueeze(-1)], -1) * weights).sum().backward()
    assert torch.equal(leaves[0].grad, leaves[1].grad)

    columns[torch.rand(columns.shape, generator=random) < 0.4] = -1
    leaf = scores.clone().requires_grad_()
    own, others = own_and_other_masks(leaf, columns, sizes)
    (torch.cat([own, others.unsqueeze(-1)], -1) * weights).sum().backward()
    gradient = torch.zeros_like(scores)
    for i in range(5):
        chosen = [c for c in columns[i].tolist() if c >= 0]
        of_known = [
            start + k
            for start, size, c in zip(starts, sizes, columns[i].tolist(), strict=True)
            if c >= 0
            for k in range(size)
        ]
        for j in range(7):
            values = {c: scores[i, j, c].item() for c in of_known if c not in chosen}
            highest = max(values.values(), default=0)
            assert others[i, j].item() == highest
            equal = [c for c, value in values.items() if value == highest]
            for c in equal:
                gradient[i, j, c] += weights[i, j, -1] / len(equal)
            for level, c in enumerate(columns[i].tolist()):
                assert own[i, j, level].item() == (0 if c < 0 else scores[i, j, c].item())
                if c >= 0:
                    gradient[i, j, c] += weights[i, j, level]
    torch.testing.assert_close(leaf.grad, gradient, atol=1e-6, rtol=1e-5)


def test_a_missing_label_without_the_sizes_of_the_levels_is_an_error():
    with pytest.raises((IndexError, RuntimeError)):
        own_and_other_masks(torch.rand(1, 2, 4), torch.tensor([[0, -1]]))
