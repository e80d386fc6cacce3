"""Random occlusions, the relaxed operator, and the evidence under an occlusion."""

import numpy as np
import pytest
import torch
from helpers_batches import letters

from whatyouread.models.mask_operator import masked_logits
from whatyouread.models.occlusion import (
    draw_occlusions,
    keyed_occlusions,
    masked_gradient,
    occlusion,
)

LENGTHS = [41, 7, 30]


def test_an_occlusion_keeps_one_of_the_areas(token_batch, device):
    batch = token_batch(LENGTHS, width=45).to(device).repeat(50)
    torch.manual_seed(3)
    mask = draw_occlusions(batch, [0.1, 0.5], [1, 4])
    assert mask.dtype == torch.float32
    assert (mask[:, 0] == 1).all()
    assert not mask[:, 1:][~batch.content[:, 1:]].any()
    kept = mask[:, 1:].sum(1).view(50, 3).cpu()
    for row, tokens in enumerate((40, 6, 29)):
        allowed = {max(round(0.1 * tokens), 1), round(0.5 * tokens)}
        assert set(kept[:, row].tolist()) == allowed
    again = draw_occlusions(batch, [0.1, 0.5], [1, 4])
    assert not torch.equal(mask, again)


def test_what_is_drawn_follows_from_the_generator(token_batch):
    batch, made = token_batch(LENGTHS), []
    for _ in range(2):
        torch.manual_seed(5)
        made.append(draw_occlusions(batch, [0.3], [1, 8]))
    assert torch.equal(*made)


def test_keyed_occlusions_follow_from_seed_key_and_sample(token_batch, device):
    batch, areas = token_batch(LENGTHS, width=50).to(device), [0.1, 0.5, 0.3]
    keys = np.array([7, 2**63 + 1, 8], np.uint64)
    whole = keyed_occlusions(batch, keys, 5, areas, [1, 8])
    content = (whole * batch.content).sum(1).tolist()
    assert content == [4, 3, round(0.3 * 29)]
    for row, length in enumerate(LENGTHS):  # alone, and without padding
        own = slice(row, row + 1)
        alone = keyed_occlusions(batch.alone(row), keys[own], 5, areas[own], [1, 8])
        assert torch.equal(alone[0], whole[row, :length])
    for changed in ((keys, 6, areas, [1, 8]), (keys + np.uint64(1), 5, areas, [1, 8])):
        assert not torch.equal(keyed_occlusions(batch, *changed), whole)
    later = keyed_occlusions(batch, keys, 5, areas, [1, 8], sample=1)
    assert not torch.equal(later, whole)


def test_longer_windows_make_longer_runs(token_batch):
    batch = token_batch([201] * 40)
    torch.manual_seed(1)
    runs = []
    for window in (1, 8):
        mask = draw_occlusions(batch, [0.2], [window])[:, 1:].numpy()
        starts = (np.diff(mask, axis=1, prepend=0) == 1).sum()
        runs.append(mask.sum() / starts)
    # a fifth kept at random lies in runs of 1 / (1 - 0.2)
    assert runs[0] == pytest.approx(1.25, abs=0.1)
    assert runs[1] > 2 * runs[0]


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_relaxed_operator_is_the_operator_for_zeros_and_ones(
    make_explanandum, token_batch, pooling
):
    explanandum, tokens = make_explanandum(pooling), token_batch(LENGTHS)
    torch.manual_seed(2)
    mask = (torch.rand(tokens.ids.shape) < 0.4).float()
    for made, exact in zip(
        masked_logits(explanandum, tokens, mask, relaxed=True),
        masked_logits(explanandum, tokens, mask),
        strict=True,
    ):
        torch.testing.assert_close(made, exact, atol=2e-5, rtol=1e-5)
    half = torch.full_like(mask, 0.5)
    made = masked_logits(explanandum, tokens, half, relaxed=True)[0]
    assert not torch.allclose(made, masked_logits(explanandum, tokens, half)[0], atol=1e-3)
    # nothing is left behind: the plain classifier is what it was
    plain = masked_logits(explanandum, tokens, torch.ones_like(mask))
    torch.testing.assert_close(plain, masked_logits(explanandum, tokens), atol=0, rtol=0)


def test_attention_does_not_feel_a_soft_mask_but_the_relaxed_one(make_explanandum, token_batch):
    """Why the relaxed operator is there: what the first attention reads, by both operators."""
    explanandum, tokens = make_explanandum(), token_batch([30])
    attention = explanandum.encoder.encoder.layer[0].attention
    embeddings, read = explanandum.embed(tokens.ids), []
    attention.self.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
    mask = torch.full(tokens.ids.shape, 0.01)
    explanandum.encode(embeddings, tokens)
    explanandum.encode(embeddings * 0.01, tokens)
    explanandum.encode_relaxed(embeddings, mask, tokens)
    plain, dimmed, relaxed = read
    torch.testing.assert_close(dimmed, plain, atol=1e-4, rtol=1e-4)
    empty = attention.LayerNorm(torch.zeros_like(embeddings))
    torch.testing.assert_close(relaxed, empty + 0.01 * (plain - empty), atol=1e-6, rtol=1e-5)


def test_the_gradient_says_what_a_token_would_add(make_explanandum, token_batch):
    """Against finite differences of the relaxed operator, for tokens that are there and that are gone."""
    explanandum = make_explanandum().double()
    tokens = token_batch([9, 6])
    classes = torch.tensor([[0, 4, 2], [2, 1, 6]])
    chosen = torch.tensor([[True, False, True], [True, True, True]])
    mask = torch.tensor([[1, 0, 1, 0, 1, 1, 0, 0, 1], [1, 1, 0, 0, 1, 0, 0, 0, 0]]).double()
    made = masked_gradient(explanandum, tokens, classes, mask, chosen, True)
    assert not made.requires_grad

    def evidence(changed):
        logs = [
            x.log_softmax(-1) for x in masked_logits(explanandum, tokens, changed, relaxed=True)
        ]
        own = torch.stack([x.gather(1, classes[:, i : i + 1])[:, 0] for i, x in enumerate(logs)], 1)
        return (own * chosen).sum(1)

    step = 1e-3  # ESM rotates in float32 whatever the precision: too coarse for a smaller one
    for place in range(9):
        up, down = mask.clone(), mask.clone()
        up[:, place] += step
        down[:, place] -= step
        with torch.no_grad():
            slope = (evidence(up) - evidence(down)) / (2 * step)
        torch.testing.assert_close(made[:, place], slope, atol=1e-4, rtol=1e-3)


def test_an_occlusion_leaves_every_special_token_and_smooths_up_to_the_last_of_the_content():
    batch = letters("abcdefgh", "abc").to("cpu")
    noise = torch.tensor(
        [[9.0, 0, 1, 2, 3, 4, 5, 6, 7, 99], [9.0, 0, 0, 1, 99, 99, 99, 99, 99, 99]]
    )
    mask = occlusion(batch, noise, torch.tensor([0.25, 0.3]), torch.tensor([1, 1]))
    # two of eight, one of three; `[CLS]` and `[SEP]` stay whatever their noise
    assert mask.tolist() == [[1, 0, 0, 0, 0, 0, 0, 1, 1, 1], [1, 0, 0, 1, 1, 0, 0, 0, 0, 0]]
    # a window of 4 ends where the content does, as a sum over the root of how many there are:
    # 3, 5, 7, 9, 11, then (5 + 6 + 7) / sqrt(3) = 10.4, (6 + 7) / sqrt(2) = 9.2, and 7 alone
    wide = occlusion(batch, noise, torch.tensor([0.25, 0.3]), torch.tensor([4, 4]))
    assert wide[0].tolist() == [1, 0, 0, 0, 0, 1, 1, 0, 0, 1]
    # 1 / sqrt(3), 1 / sqrt(2), 1
    assert wide[1].tolist() == [1, 0, 0, 1, 1, 0, 0, 0, 0, 0]


def test_draws_leave_every_special_token():
    batch = letters("abcdefghijklmnop", "abcdefg", "a").to("cpu").repeat(40)
    torch.manual_seed(0)
    mask = draw_occlusions(batch, [0.1, 0.5], [1, 3])
    special = batch.valid & ~batch.content
    assert (mask[special] == 1).all()
    assert not mask[~batch.valid].any()
    kept = (mask * batch.content).sum(1).view(40, 3)
    for row, tokens in enumerate((16, 7, 1)):
        allowed = {max(round(share * tokens), 1) for share in (0.1, 0.5)}
        assert set(kept[:, row].tolist()) == allowed


def test_compiled_code_may_draw_for_batches_of_several_shapes():
    def total(batch):
        return draw_occlusions(batch, [0.5], [1, 2]).sum(1)

    compiled = torch.compile(total, backend="eager", dynamic=True)
    for size, length in ((4, 8), (3, 12), (2, 6)):
        batch = letters(*["a" * length] * size).to(torch.device("cpu"))
        assert compiled(batch).tolist() == [length // 2 + 2] * size  # and both special tokens
