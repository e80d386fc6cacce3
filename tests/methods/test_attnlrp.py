"""AttnLRP against the rules of the paper by hand (`helpers_relevance`), and what must not change."""

import contextlib

import numpy as np
import pytest
import torch
from helpers_evaluation import BACKBONE
from helpers_families import ELECTRA, FAMILIES, Ids, ids_batch
from helpers_relevance import ByHand

from whatyouread.methods.attnlrp import attnlrp
from whatyouread.methods.gradients import gradient_x_input, gradients_of
from whatyouread.methods.question import Question
from whatyouread.methods.registry import Attributor
from whatyouread.models import relevance
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.inference import Passes
from whatyouread.models.mask_operator import read
from whatyouread.models.relevance import identity_rule, relevance_rules, uniform_rule
from whatyouread.support.cli import UserError

NT_V2 = BACKBONE | {"add_bias_fnn": False, "num_hidden_layers": 2}
EVERY = FAMILIES | {"nt_v2": NT_V2, "nt_v2_biases": NT_V2 | {"add_bias_fnn": True}}
CLASSES = {"kingdom": 3, "genus": 5}
LENGTHS = [9, 4, 12]


def classifier(name, pooling="mean", head="linear", kinds=None, biases=True, dtype=torch.float32):
    """A frozen one with random weights, biases and norms; without biases also without positions."""
    torch.manual_seed(3)
    config = EVERY[name]
    made = Explanandum(config, CLASSES, pooling, Ids(config), head, kinds).freeze().to(dtype)
    for own, values in made.named_parameters():
        values += torch.randn_like(values) * 0.1
        if not biases and (own.endswith("bias") or "position" in own or "token_type" in own):
            values.zero_()
    return made


def asked(explanandum, name, lengths=LENGTHS, seed=1, width=None):
    """Two levels and a set of other classes; of a level of the kind `multiple`, sets of classes."""
    batch = ids_batch(EVERY[name], lengths, seed, width)
    rng = np.random.default_rng(seed)
    counts = [level.classes if level.of_one else 2**level.classes for level in explanandum.levels]
    drawn = np.stack([rng.integers(0, count, (len(lengths), 2)) for count in counts], -1)
    drawn = torch.tensor(drawn)
    keys = np.arange(len(lengths), dtype=np.uint64)
    return Question(explanandum, batch, drawn[:, 0], drawn[:, 1:], keys, 0, 8)


@pytest.mark.parametrize(("pooling", "head"), [("mean", "linear"), ("cls", "dense_tanh")])
@pytest.mark.parametrize("name", EVERY)
def test_relevance_follows_the_rules_of_the_paper(name, pooling, head):
    explanandum = classifier(name, pooling, head, dtype=torch.float64)
    question = asked(explanandum, name)
    made, said = attnlrp(question), question.targets(question.ones)
    for row, length in enumerate(LENGTHS):
        own = ByHand(explanandum, EVERY[name], question.batch.ids[row, :length])
        for column, level in enumerate(CLASSES):
            log, scores = own.scores(level, int(question.predicted[row, column]))
            assert said[row, column].item() == pytest.approx(log, rel=1e-5)
            np.testing.assert_allclose(
                made[row, :length, column], scores, rtol=1e-4, atol=1e-5 * np.abs(scores).max()
            )
        others = sum(
            own.scores(level, int(number))[1]
            for level, number in zip(CLASSES, question.others[row, 0], strict=True)
        )
        np.testing.assert_allclose(
            made[row, :length, -1], others, rtol=1e-4, atol=1e-5 * np.abs(others).max()
        )


def without_rules(question):
    """Gradient x embedding as it comes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relevance, "relevance_rules", contextlib.nullcontext)
        return attnlrp(question)


@pytest.mark.parametrize("attends", [False, True])
@pytest.mark.parametrize("name", ["bert", "esm2", "nt_v1", "nt_v2"])
def test_nothing_is_lost_but_in_the_softmax(name, attends):
    """Without biases and positions: the sum over the tokens is what there is at the logits."""
    explanandum = classifier(name, biases=False, dtype=torch.float64)
    if not attends:
        for layer in explanandum.encoder.encoder.layer:
            layer.attention.output.dense.weight.zero_()
    question = asked(explanandum, name)
    made, plain = attnlrp(question).sum(1), without_rules(question).sum(1)
    logits = read(explanandum, question.batch)[1]
    for row, length in enumerate(LENGTHS):
        for column, level in enumerate(CLASSES):
            chosen, own = question.predicted[row, column], logits[column][row]
            start = float(own[chosen] - own.softmax(-1) @ own)
            hand = ByHand(explanandum, EVERY[name], question.batch.ids[row, :length])
            if attends:
                hand.scores(level, int(chosen))
                assert hand.start == pytest.approx(start, rel=1e-6)
                assert abs(sum(hand.lost)) > 1e-3 * abs(start)
            kept = start - sum(hand.lost)
            assert float(made[row, column]) == pytest.approx(kept, rel=1e-4)
            assert float(plain[row, column]) != pytest.approx(kept, rel=1e-2)


@pytest.mark.parametrize("name", EVERY)
def test_values_stay_the_same_and_gradients_do_not(name):
    explanandum = classifier(name, "cls", "dense_tanh")
    question = asked(explanandum, name)
    before = read(explanandum, question.batch)
    with relevance_rules(explanandum):
        within = read(explanandum, question.batch)
    for one, other in zip([before[0], *before[1]], [within[0], *within[1]], strict=True):
        assert torch.equal(one, other)
    assert not torch.allclose(attnlrp(question), without_rules(question), rtol=0.1)


def traces(explanandum):
    """What a block may leave behind on modules and weights."""
    return [
        (name, sorted(vars(own)), len(own._forward_hooks), len(own._forward_pre_hooks))
        for name, own in explanandum.named_modules()
    ] + [(name, own.grad, own.requires_grad) for name, own in explanandum.named_parameters()]


@pytest.mark.parametrize("failing", [False, True])
@pytest.mark.parametrize("name", ["bert", "esm2", "nt_v2"])
def test_nothing_is_left_behind(name, failing, monkeypatch):
    explanandum = classifier(name, "cls", "dense_tanh")
    question = asked(explanandum, name)
    kind = explanandum.encoder.config._attn_implementation
    state, values = traces(explanandum), question.targets(question.ones)
    gradients = gradient_x_input(question)
    if failing:

        def fails(*_):
            assert traces(explanandum) != state  # the rules hold here
            raise RuntimeError("in between")

        with monkeypatch.context() as patch:
            patch.setattr(relevance, "read", fails)
            with pytest.raises(RuntimeError, match="in between"):
                attnlrp(question)
    else:
        attnlrp(question)
    assert traces(explanandum) == state
    assert explanandum.encoder.config._attn_implementation == kind
    assert torch.equal(question.targets(question.ones), values)
    assert torch.equal(gradient_x_input(question), gradients)


def test_a_forward_pass_that_a_module_has_for_itself_comes_back():
    explanandum = classifier("bert")
    norm_of = explanandum.encoder.embeddings.LayerNorm
    own = norm_of.forward
    norm_of.forward = lambda x: 2 * own(x)
    given = norm_of.forward
    values = torch.randn(2, 16)
    with relevance_rules(explanandum):
        assert norm_of.forward is not given
        assert torch.equal(norm_of(values), 2 * own(values))
    assert norm_of.forward is given


def test_a_compiled_encoder_gives_the_same_scores_and_is_not_compiled_again():
    compiled = []
    torch.compiler.reset()  # other tests' compilations count against the limit of this forward pass

    def backend(graph, _):
        compiled.append(graph)
        return graph.forward

    explanandum = classifier("esm2")
    question = asked(explanandum, "esm2")
    expected, encoder = attnlrp(question), explanandum.encoder
    encoder.forward = torch.compile(encoder.forward, backend=backend, dynamic=True)
    before, number = question.targets(question.ones), len(compiled)
    assert number
    torch.testing.assert_close(attnlrp(question), expected)
    assert torch.equal(question.targets(question.ones), before)
    assert len(compiled) == number


@pytest.mark.parametrize("kind", ["single", "multiple"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("name", EVERY)
def test_padding_changes_nothing(name, pooling, kind):
    kinds = {"genus": "multiple"} if kind == "multiple" else None
    explanandum = classifier(name, pooling, kinds=kinds)
    question = asked(explanandum, name, width=14)
    made = attnlrp(question)
    assert made.dtype == torch.float32
    assert made.shape == (3, 14, 3)
    for row, length in enumerate(LENGTHS):
        assert not made[row, length:].any()
        alone = attnlrp(question.alone(row))[0]
        assert (alone != 0).all()
        torch.testing.assert_close(made[row, :length], alone, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", ["single", "multiple"])
def test_the_question_is_the_log_probability(kind):
    """R_c - Σ p_k R_k, or (1 - p_c) R_c, of the relevances for the logits, as the paper starts."""
    kinds = dict.fromkeys(CLASSES, kind) if kind == "multiple" else None
    explanandum = classifier("esm2", kinds=kinds)
    question = asked(explanandum, "esm2")
    batch, ones = question.batch, question.ones.requires_grad_()
    with relevance_rules(explanandum):
        logits = read(explanandum, batch, explanandum.embed(batch.ids) * ones[..., None])[1][1]
        of_logits = gradients_of(logits, ones) * batch.valid[..., None]
    chances = logits.softmax(-1) if kind == "single" else logits.sigmoid()
    for row in range(len(batch)):
        answer = int(question.predicted[row, 1])
        if kind == "single":
            expected = of_logits[row, :, answer] - of_logits[row] @ chances[row]
        else:
            # log of the probability of exactly this set of classes, or of its classes
            held = torch.tensor([answer >> k & 1 for k in range(5)])
            expected = of_logits[row] @ (held * (1 - chances[row]))
        made = attnlrp(question)[row, :, 1]
        torch.testing.assert_close(made, expected.detach(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_no_mask_of_pooled_states_plays_a_part(pooling):
    """Without the rules it is embedding times gradient, summed over the hidden dimension."""
    explanandum = classifier("roberta", pooling)
    question = asked(explanandum, "roberta")
    embeddings = explanandum.embed(question.batch.ids).requires_grad_()
    said = question.asked(read(explanandum, question.batch, embeddings)[1])[:, 0].sum()
    (gradient,) = torch.autograd.grad(said, embeddings)
    expected = (embeddings * gradient).sum(-1).detach()
    made, masked = without_rules(question)[..., 0], gradient_x_input(question)[..., 0]
    torch.testing.assert_close(made, expected * question.batch.valid, rtol=1e-4, atol=1e-6)
    assert torch.allclose(made, masked, rtol=1e-3, atol=1e-5) == (pooling == "cls")


@pytest.mark.parametrize("name", ["bert", "nt_v2"])
def test_half_precision(name):
    explanandum = classifier(name)
    question = asked(explanandum, name)
    expected = attnlrp(question)
    with torch.autocast("cpu", torch.bfloat16):
        made = attnlrp(question)
    assert made.dtype == torch.float32
    assert not torch.equal(made, expected)
    assert torch.corrcoef(torch.stack([made.flatten(), expected.flatten()]))[0, 1] > 0.99


def test_the_rules_of_single_functions():
    x = torch.tensor([-3.0, -0.5, 0.0, 1e-12, 2.0], requires_grad=True)
    limits = {
        torch.nn.functional.gelu: 0.5,
        torch.nn.functional.silu: 0.5,
        torch.tanh: 1.0,
        torch.relu: 1.0,
    }
    for function, limit in limits.items():
        made = identity_rule(function, x)
        assert torch.equal(made, function(x))
        (slope,) = torch.autograd.grad(made.sum(), x)
        expected = function(x) / x
        expected = torch.where(x.abs() < 1e-6, limit, expected)
        torch.testing.assert_close(slope, expected.detach())
    other = torch.tensor([2.0, 3.0, 4.0, 5.0, 6.0], requires_grad=True)
    made = uniform_rule(x, other)
    assert torch.equal(made, x * other)
    slopes = torch.autograd.grad(made.sum(), [x, other])
    assert torch.equal(slopes[0], other / 2)
    assert torch.equal(slopes[1], x / 2)


def test_a_family_without_an_adapter_is_refused_before_any_pass():
    explanandum = Explanandum(ELECTRA, CLASSES, tokenizer=Ids(ELECTRA)).freeze()
    batch, none = ids_batch(ELECTRA, LENGTHS), torch.zeros(3, 2, dtype=torch.long)
    question = Question(explanandum, batch, none, None, np.arange(3, dtype=np.uint64), 0, 8)
    explanandum.encoder.forward = None
    with pytest.raises(UserError, match=r"type electra have no adapter .* leave out the") as error:
        attnlrp(question)
    assert "\n" not in str(error.value)


def test_an_activation_that_is_not_0_at_0_is_refused():
    config = FAMILIES["bert"] | {"hidden_act": "sigmoid"}
    explanandum = Explanandum(config, CLASSES, tokenizer=Ids(config)).freeze()
    with pytest.raises(
        UserError, match=r"is 0\.5 at 0, .* leave out the method and the objective attnlrp"
    ) as error:
        attnlrp(asked(explanandum, "bert"))
    assert "\n" not in str(error.value)


def test_it_is_a_method_without_settings():
    passes = Passes(classifier("bert"), 4, torch.device("cpu"))
    with pytest.raises(UserError, match="attnlrp has no setting 'epsilon'"):
        Attributor("attnlrp", {"epsilon": 1}, passes, None, 0)
