"""Random occlusions, the relaxed operator, and the evidence under an occlusion."""

import numpy as np
import pytest
import torch

from whatyouread.masking import masked_logits
from whatyouread.occlusion import body, draw_occlusions, occlusion_gradient

LENGTHS = [41, 7, 30]


def test_the_body_leaves_out_cls_and_padding(token_batch):
    inside = body(token_batch([4, 2], width=6))
    assert inside.tolist() == [[False, True, True, True, False, False], [False, True] + [False] * 4]


def test_an_occlusion_keeps_one_of_the_areas(token_batch, device):
    inside = body(token_batch(LENGTHS, width=45).to(device)).repeat(50, 1)
    torch.manual_seed(3)
    mask = draw_occlusions(inside, [0.1, 0.5], [1, 4])
    assert mask.dtype == torch.float32
    assert (mask[:, 0] == 1).all()
    assert not mask[:, 1:][~inside[:, 1:]].any()
    kept = mask[:, 1:].sum(1).view(50, 3).cpu()
    for row, tokens in enumerate((40, 6, 29)):
        allowed = {max(round(0.1 * tokens), 1), round(0.5 * tokens)}
        assert set(kept[:, row].tolist()) == allowed
    again = draw_occlusions(inside, [0.1, 0.5], [1, 4])
    assert not torch.equal(mask, again)


def test_what_is_drawn_follows_from_the_generator(token_batch):
    inside = body(token_batch(LENGTHS))
    one, two = (
        draw_occlusions(inside, [0.3], [1, 8], torch.Generator().manual_seed(5)) for _ in range(2)
    )
    assert torch.equal(one, two)


def test_longer_windows_make_longer_runs(token_batch):
    inside = body(token_batch([201] * 40))
    torch.manual_seed(1)
    runs = []
    for window in (1, 8):
        mask = draw_occlusions(inside, [0.2], [window])[:, 1:].numpy()
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
    mask = (torch.rand(tokens.shape) < 0.4).float()
    for made, exact in zip(
        masked_logits(explanandum, tokens, mask, relaxed=True),
        masked_logits(explanandum, tokens, mask),
        strict=True,
    ):
        torch.testing.assert_close(made, exact, atol=2e-5, rtol=1e-5)
    half = torch.full_like(mask, 0.5)
    made = masked_logits(explanandum, tokens, half, relaxed=True)[0]
    assert not torch.allclose(made, masked_logits(explanandum, tokens, half)[0], atol=1e-3)
    # the hook is gone: the plain classifier is what it was
    plain = masked_logits(explanandum, tokens, torch.ones_like(mask))
    torch.testing.assert_close(plain, masked_logits(explanandum, tokens), atol=0, rtol=0)


def test_attention_does_not_feel_a_soft_mask_but_the_relaxed_one(make_explanandum, token_batch):
    """Why the relaxed operator is there: what the first attention reads, by both operators."""
    explanandum, tokens = make_explanandum(), token_batch([30])
    attention = explanandum.encoder.encoder.layer[0].attention
    embeddings, read = explanandum.embed(tokens), []
    attention.self.register_forward_pre_hook(lambda module, inputs: read.append(inputs[0]))
    mask, valid = torch.full(tokens.shape, 0.01), torch.ones_like(tokens, dtype=torch.bool)
    explanandum.encode(embeddings, valid)
    explanandum.encode(embeddings * 0.01, valid)
    explanandum.encode_relaxed(embeddings, mask, valid)
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
    made = occlusion_gradient(explanandum, tokens, classes, mask, chosen)
    assert not made.requires_grad

    def evidence(changed):
        logs = [
            x.log_softmax(-1) for x in masked_logits(explanandum, tokens, changed, relaxed=True)
        ]
        own = torch.stack([x.gather(1, classes[:, i : i + 1])[:, 0] for i, x in enumerate(logs)], 1)
        return (own * chosen).sum(1)

    step = 1e-5
    for place in range(9):
        up, down = mask.clone(), mask.clone()
        up[:, place] += step
        down[:, place] -= step
        with torch.no_grad():
            slope = (evidence(up) - evidence(down)) / (2 * step)
        # the log-softmax is in float32
        torch.testing.assert_close(made[:, place].double(), slope, atol=2e-2, rtol=2e-2)
