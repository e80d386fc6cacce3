"""The competing methods against direct computations, and on a model whose answer is known."""

import numpy as np
import pytest
import torch
from helpers_batches import LETTERS, batch_of, letters
from helpers_letters import lettered_explanandum
from torch import nn

from whatyouread.data.tokenizers import TOKENIZERS
from whatyouread.methods.gradients import gradient_x_input, integrated_gradients
from whatyouread.methods.question import Question
from whatyouread.methods.with_captum import ablation, kernel_shap, lime
from whatyouread.models.levels import HeadLevel
from whatyouread.models.mask_operator import masked_logits

LENGTHS = [9, 6, 12]


class Additive(nn.Module):
    """Two classes; each token adds its number's weight to the logit of the first."""

    pooling = "mean"
    levels = (HeadLevel("only", 2),)

    def __init__(self, weights: dict[int, float]):
        super().__init__()
        table = torch.zeros(4107, 1)
        for token, weight in weights.items():
            table[token] = weight
        self.table = table

    def embed(self, tokens):
        return self.table[tokens]

    def encode(self, embeddings, batch):
        return embeddings

    def classify(self, pooled):
        return (torch.cat([pooled, torch.zeros_like(pooled)], dim=1),)


@pytest.fixture
def question(tiny_explanandum, token_batch):
    def make(explanandum=tiny_explanandum, rows=slice(None), batch_size=64, others=True):
        batch = token_batch(LENGTHS, seed=3).take(np.arange(len(LENGTHS))[rows])
        predicted = explanandum.predictions(masked_logits(explanandum, batch))
        sets = [(predicted + step) % torch.tensor([3, 5, 7]) for step in (1, 2)]
        keys = np.arange(len(LENGTHS), dtype=np.uint64)[rows]
        explanandum.requires_grad_(False)
        return Question(
            explanandum,
            batch,
            predicted,
            torch.stack(sets, 1) if others else None,
            keys,
            5,
            batch_size,
        )

    return make


def direct_targets(asked, row: int, mask: torch.Tensor) -> torch.Tensor:
    """The targets of one sequence without padding, written out; mask: (n, length)."""
    length = mask.shape[1]
    batch = batch_of(asked.batch.ids[row, :length].repeat(len(mask), 1)).to("cpu")
    logs = [x.log_softmax(-1) for x in masked_logits(asked.explanandum, batch, mask)]
    own = [log[:, asked.predicted[row, i]] for i, log in enumerate(logs)]
    others = [sum(log[:, chosen[i]] for i, log in enumerate(logs)) for chosen in asked.others[row]]
    return torch.stack([*own, *others], dim=1)


@pytest.mark.parametrize("window", [1, 4])
def test_ablation_equals_the_direct_computation(question, window):
    asked = question()
    made = ablation(asked, window)
    for row, length in enumerate(LENGTHS):
        whole = direct_targets(asked, row, torch.ones(1, length))
        for first in [0, *range(1, length, window)]:
            last = first + (window if first else 1)
            mask = torch.ones(1, length)
            mask[:, first:last] = 0
            fall = (whole - direct_targets(asked, row, mask))[0]
            for token in range(first, min(last, length)):
                torch.testing.assert_close(made[row, token], fall, atol=1e-5, rtol=0)
        assert (made[row, length:] == 0).all()


@pytest.mark.parametrize("window", [1, 3])
def test_ablation_between_special_tokens(monkeypatch, window):
    """Windows count from the first letter; `[CLS]` and `[SEP]` are masked together, for themselves."""
    monkeypatch.setitem(TOKENIZERS, LETTERS.name, LETTERS)
    explanandum, batch = lettered_explanandum().freeze(), letters("abcde", "xyzu").to("cpu")
    predicted, keys = explanandum.predictions(explanandum(batch)), np.arange(2, dtype=np.uint64)
    made = ablation(Question(explanandum, batch, predicted, None, keys, 5, 3), window)
    for row, count in enumerate((5, 4)):
        alone = batch_of(batch.ids[row : row + 1, : count + 2], LETTERS).to("cpu")

        def logs(mask, alone=alone, row=row):
            made = masked_logits(explanandum, alone, mask)
            pairs = zip(made, predicted[row], strict=True)
            return torch.stack([x.log_softmax(-1)[0, c] for x, c in pairs])

        groups = [[0, count + 1]]
        groups += [
            list(range(first, min(first + window, count + 1)))
            for first in range(1, count + 1, window)
        ]
        for group in groups:
            mask = torch.ones(1, count + 2)
            mask[0, group] = 0
            fall = logs(torch.ones(1, count + 2)) - logs(mask)
            for token in group:
                torch.testing.assert_close(made[row, token], fall, atol=1e-5, rtol=0)
        assert (made[row, count + 2 :] == 0).all()


def test_integrated_gradients_equal_the_direct_computation(question):
    asked = question()
    made = integrated_gradients(asked, 8)
    nodes, weights = np.polynomial.legendre.leggauss(8)
    for row, length in enumerate(LENGTHS):
        total = torch.zeros(length, 5)
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            for target in range(5):
                mask = torch.full((1, length), float(node), requires_grad=True)
                direct_targets(asked, row, mask)[0, target].backward()
                total[:, target] += float(weight) * mask.grad[0]
        torch.testing.assert_close(made[row, :length], total, atol=1e-5, rtol=1e-4)
        assert (made[row, length:] == 0).all()


@pytest.mark.parametrize("relaxed", [False, True])
@pytest.mark.parametrize("batch_size", [3, 7, 64])
def test_gradients_are_captums(question, relaxed, batch_size):
    """One target after the other there, all of one pass here; in rounds of any size."""
    from captum.attr import InputXGradient, IntegratedGradients

    asked = question(batch_size=batch_size)
    valid = asked.batch.valid
    made = integrated_gradients(asked, 7, "relaxed" if relaxed else "exact")
    theirs = IntegratedGradients(lambda mask: asked.targets(mask, relaxed=relaxed))
    for target in range(5):
        expected = theirs.attribute(asked.ones, baselines=0.0, target=target, n_steps=7) * valid
        torch.testing.assert_close(made[..., target], expected.float(), atol=1e-6, rtol=1e-5)
    made, theirs = gradient_x_input(asked), InputXGradient(asked.targets)
    for target in range(5):
        expected = theirs.attribute(asked.ones.requires_grad_(), target=target) * valid
        torch.testing.assert_close(made[..., target], expected, atol=1e-6, rtol=1e-5)


def test_integrated_gradients_add_up_to_the_difference(question):
    asked = question()
    made = integrated_gradients(asked, 200)
    for row, length in enumerate(LENGTHS):
        ends = direct_targets(asked, row, torch.ones(1, length)) - direct_targets(
            asked, row, torch.zeros(1, length)
        )
        torch.testing.assert_close(made[row].sum(0), ends[0], atol=1e-3, rtol=1e-3)


def test_integrated_gradients_by_the_relaxed_operator(question):
    """They too add up to the difference, and are others than by the exact one."""
    asked = question()
    made = integrated_gradients(asked, 200, "relaxed")
    for row, length in enumerate(LENGTHS):
        ends = direct_targets(asked, row, torch.ones(1, length)) - direct_targets(
            asked, row, torch.zeros(1, length)
        )
        torch.testing.assert_close(made[row].sum(0), ends[0], atol=1e-3, rtol=1e-3)
    assert (made - integrated_gradients(asked, 200)).abs().max() > 0.01


def test_gradient_x_input_equals_the_gradient(question):
    asked = question()
    made = gradient_x_input(asked)
    for row, length in enumerate(LENGTHS):
        for target in range(5):
            mask = torch.ones(1, length, requires_grad=True)
            direct_targets(asked, row, mask)[0, target].backward()
            torch.testing.assert_close(made[row, :length, target], mask.grad[0], atol=1e-5, rtol=0)
        assert (made[row, length:] == 0).all()


@pytest.fixture
def additive():
    """One sequence of 21 tokens, of which five speak for the first class, some more than others."""
    weights = {100: 20.0, 200: 16.0, 300: 12.0, 400: 8.0, 500: 4.0}
    tokens = torch.full((1, 21), 50)
    tokens[0, 0] = 3
    places = [4, 19, 7, 12, 2]
    tokens[0, places] = torch.tensor(list(weights))
    zeros = torch.zeros(1, 1, dtype=torch.long)
    batch, keys = batch_of(tokens).to("cpu"), np.array([7], np.uint64)
    asked = Question(Additive(weights), batch, zeros, None, keys, 3, 128)
    return asked, places


@pytest.mark.parametrize(
    "method",
    [
        lambda q: lime(q, "fair", 3000, 1.0, 0.25),
        lambda q: kernel_shap(q, 3000),
        lambda q: integrated_gradients(q, 16),
        lambda q: ablation(q, 1),
        gradient_x_input,
    ],
    ids=["lime", "kernel_shap", "integrated_gradients", "ablation", "gradient_x_input"],
)
def test_the_tokens_of_an_additive_model_are_ranked_perfectly(additive, method):
    asked, places = additive
    scores = method(asked)[0, :, 0]
    assert scores.argsort(descending=True)[:5].tolist() == places
    assert scores[places].min() > 3 * scores[[i for i in range(21) if i not in places]].abs().max()


def test_kernel_shap_is_exact_for_what_is_nearly_linear(additive):
    """The scores of a set add up to what the whole is above the empty sequence (efficiency)."""
    asked, _ = additive
    made = kernel_shap(asked, 3000)[0, :, 0].sum()
    ends = [
        masked_logits(asked.explanandum, asked.batch, torch.full((1, 21), fill))[0].log_softmax(-1)[
            0, 0
        ]
        for fill in (1.0, 0.0)
    ]
    torch.testing.assert_close(made, ends[0] - ends[1], atol=1e-3, rtol=1e-2)


def test_the_surrogate_of_all_targets_is_that_of_each(question, monkeypatch):
    """The perturbations of a sequence are run once for all targets."""
    from captum._utils.models.linear_model import SkLearnRidge
    from captum.attr import Lime
    from captum.attr._core.lime import get_exp_kernel_similarity_function

    from whatyouread.support.keyed_random import draw

    asked = question(rows=slice(0, 1))
    made = lime(asked, "fair", 60, 0.5, 0.25)[0]
    for target in range(5):
        method = Lime(
            asked.alone(0).targets,
            SkLearnRidge(alpha=0.5),
            get_exp_kernel_similarity_function("cosine", 0.25),
        )
        torch.manual_seed(int(draw(asked.seed, "perturbations", asked.keys)[0] * 2**53))
        direct = method.attribute(
            torch.ones(1, LENGTHS[0]),
            target=target,
            baselines=0.0,
            n_samples=60,
            perturbations_per_eval=7,
        )
        torch.testing.assert_close(made[: LENGTHS[0], target], direct[0], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("length", [2, 5, 33, 64, 251])
def test_lime_is_captums_to_the_last_bit(tiny_explanandum, token_batch, length):
    """All masks at once, in place of captum's loop, draw and weigh the same."""
    from captum.attr import Lime
    from captum.attr._core.lime import get_exp_kernel_similarity_function
    from sklearn.linear_model import Ridge

    from whatyouread.methods.with_captum import SharedSurrogate, _sampled

    batch = token_batch([length], seed=length)
    predicted = tiny_explanandum.predictions(masked_logits(tiny_explanandum, batch))
    for keys, others in (([3], None), ([2**63], predicted.unsqueeze(1))):
        keys = np.array(keys, np.uint64)
        asked = Question(tiny_explanandum, batch, predicted, others, keys, 5, 16)
        surrogate = SharedSurrogate(Ridge(0.5))
        similarity = get_exp_kernel_similarity_function("cosine", 0.25)
        method = Lime(surrogate.watch(asked.targets), surrogate, similarity)
        with torch.no_grad():
            direct = _sampled(asked, method, {"n_samples": 40})
        assert torch.equal(lime(asked, "fair", 40, 0.5, 0.25)[0], direct)


def test_captums_default_gives_few_tokens_a_weight(additive):
    asked, _ = additive
    fair, default = lime(asked)[0, :, 0], lime(asked, "captum_default")[0, :, 0]
    assert (fair != 0).sum() == 21
    assert (default != 0).sum() < 15


@pytest.mark.parametrize(
    "method",
    [
        lambda q: lime(q, "fair", 50, 1.0, 0.25),
        lambda q: kernel_shap(q, 50),
        lambda q: integrated_gradients(q, 4),
        lambda q: ablation(q, 1),
    ],
)
def test_scores_do_not_depend_on_the_batch(question, method):
    """Neither on its size, nor on what other sequences are in it, nor on what was drawn before."""
    whole = method(question(batch_size=64))
    torch.rand(100)
    alone = method(question(rows=slice(1, 2), batch_size=5))
    torch.testing.assert_close(whole[1:2], alone, atol=2e-4, rtol=1e-3)


def test_without_other_classes_there_are_targets_less(question):
    with_others, without = question(), question(others=False)
    assert integrated_gradients(without, 4).shape == (3, max(LENGTHS), 3)
    torch.testing.assert_close(ablation(with_others)[..., :3], ablation(without))


def test_the_random_state_is_left_alone(question):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    lime(question(), "fair", 20, 1.0, 0.25)
    assert torch.equal(before, torch.get_rng_state())


def test_an_unknown_preset_is_an_error(question):
    from whatyouread.support.cli import UserError

    with pytest.raises(UserError, match="unfair"):
        lime(question(), "unfair")
    with pytest.raises(UserError, match="soft"):
        integrated_gradients(question(), 4, "soft")
