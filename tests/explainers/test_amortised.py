"""What all amortised objectives share: the network, the classes that are asked about, the draws."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers_batches import batch_of, keyed
from helpers_evaluation import CLASSES, random_sequences, small_explanandum, write_tokens
from helpers_families import ELECTRA, Ids, ids_batch
from helpers_training import SETTINGS
from torch import nn

from whatyouread.data.tokenizers import TOKENIZERS
from whatyouread.explainers.network import Explainer
from whatyouread.explainers.objective import NetworkSettings
from whatyouread.explainers.objectives import OBJECTIVES
from whatyouread.masks.gate_settings import GateSettings
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.levels import HeadLevel, decisions
from whatyouread.support.cli import UserError
from whatyouread.support.keyed_random import draw
from whatyouread.training.batches import Batches, in_turn, loader
from whatyouread.training.loop import Loop
from whatyouread.training.settings import TrainingSettings

RANKS = {"superkingdom": 3, "phylum": 5, "genus": 7}
AMORTISED = ("sharp", "joint", "integrated", "attnlrp", "fastshap", "l2x")
TARGETS = [
    {"target": "sequence", "reads": "tokens"},
    {"target": "class", "reads": "tokens"},
    {"target": "class", "reads": "hidden"},
]
VARIANTS = [(name, settings) for name in AMORTISED for settings in TARGETS]


def task_of(explanandum, target="sequence", objective="sharp"):
    torch.manual_seed(1)
    made = OBJECTIVES[objective]
    explainer = Explainer(RANKS, 8, 6, 1, target=target, gated=True).attach(explanandum)
    return made(explainer, explanandum, made.Settings(target=target, reads="tokens"), seed=5)


@pytest.mark.parametrize("objective", AMORTISED)
def test_validation_draws_the_same_and_training_does_not(objective, tiny_explanandum, token_batch):
    tokens, labels = keyed(token_batch([40, 30])), torch.zeros(2, 3, dtype=torch.long)
    task = task_of(tiny_explanandum, objective=objective).eval()
    assert torch.equal(task(tokens, labels)["values"], task(tokens, labels)["values"])
    task.train()
    task.explainer.eval()  # batch norm aside
    same = torch.equal(task(tokens, labels)["values"], task(tokens, labels)["values"])
    assert same == (objective == "attnlrp")  # which draws nothing but classes


def small_task(objective, classes=CLASSES, seed=5, **changed):
    """A task as `train_explainer` makes it."""
    made = OBJECTIVES[objective]
    explanandum, own = small_explanandum(2, classes=classes), made.Settings(**changed)
    torch.manual_seed(3)
    explainer = made.make_explainer(own, NetworkSettings(6, 5, 1), explanandum)
    return made(explainer, explanandum, own, seed)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(order) -> a token file of the same 53 sequences in that order."""
    folder = tmp_path_factory.mktemp("order")
    sequences, labels, keys = random_sequences(53, seed=8, longest=60)

    def write(name, order):
        path = folder / f"{name}.arrow"
        return write_tokens(path, [sequences[i] for i in order], labels[order], keys[order])

    return write


@torch.no_grad()
def validated(task, file, size, processes=1):
    """Validation as `Loop` does it, process after process: key -> the loss of the sequence."""
    task.eval()
    made = {}
    for process in range(processes):
        for rows in in_turn(len(file), size, process, processes):
            for item in loader(Batches(file, 1), [rows], 0, pin=False):
                values = task(**item)["values"][:, 0].tolist()
                made |= dict(zip(file.keys[rows].tolist(), values, strict=True))
    return made


@pytest.mark.parametrize(("objective", "changed"), VARIANTS)
def test_validation_does_not_depend_on_batches_processes_or_order(written, objective, changed):
    """Each sequence has its own draws, which do not move with its place in a batch."""
    task, order = small_task(objective, **changed), np.arange(53)
    expected = validated(task, written("plain", order), 48)
    shuffled = written("shuffled", np.random.default_rng(0).permutation(53))
    for file in (written("plain", order), shuffled):
        for size, processes in ((1, 1), (5, 1), (48, 1), (48, 2), (12, 3)):
            made = validated(task, file, size, processes)
            assert made == pytest.approx(expected, rel=2e-4, abs=2e-4), (size, processes)
    assert len(set(np.round(list(expected.values()), 6))) > 40
    other = validated(small_task(objective, seed=6, **changed), written("plain", order), 48)
    # these draw nothing but classes there
    drawn = objective not in ("l2x", "attnlrp") or changed["target"] == "class"
    assert (other != pytest.approx(expected, rel=0.05, abs=2e-3)) is drawn


@pytest.mark.parametrize("size", [1, 5, 48])
@pytest.mark.parametrize("objective", AMORTISED)
def test_the_loss_that_picks_the_best_weights_does_not_depend_on_the_batch_size(
    written, tmp_path, objective, size
):
    file, task = written("plain", np.arange(53)), small_task(objective)
    expected = np.mean(list(validated(task, file, 7).values()))
    given = TrainingSettings(**SETTINGS | {"batch_size": size})
    loop = Loop(task, given, Batches(file, 1), Batches(file, 1), tmp_path, 4, 1)
    made = loop._evaluate()
    assert made["validation_loss"] == pytest.approx(expected, abs=2e-5)


def test_classes_asked_for_in_validation_follow_the_key(tiny_explanandum):
    task = task_of(tiny_explanandum, target="class").eval()
    predicted = torch.tensor([[1, 2, 3]]).repeat(4000, 1)
    keys = np.random.default_rng(0).integers(0, 2**63, 4000, dtype=np.uint64)
    asked, chosen = task._asked(predicted, keys)
    assert (chosen.sum(1) == 1).all()
    assert chosen.float().mean(0).numpy() == pytest.approx([1 / 3] * 3, abs=0.04)
    assert 0.5 <= (asked == predicted).all(1).float().mean() < 0.55
    assert set(asked[:, 2].tolist()) == set(range(7))
    some = np.random.default_rng(1).permutation(4000)[:50]
    again = task._asked(predicted[some], keys[some])
    assert torch.equal(again[0], asked[some])
    assert torch.equal(again[1], chosen[some])
    # the draw of the level is none of those of the classes
    level = draw(5, "level", keys) * 3
    assert chosen.int().argmax(1).tolist() == level.astype(int).tolist()


def test_validation_without_keys_is_refused(tiny_explanandum, token_batch):
    task = task_of(tiny_explanandum).eval()
    with pytest.raises(ValueError, match="keys"):
        task(token_batch([12, 20]), torch.zeros(2, 3, dtype=torch.long))


ONE_CLASS = [{"kingdom": 1, "genus": 4}, {"kingdom": 2, "genus": 1}, {"kingdom": 1, "genus": 1}]


@pytest.mark.parametrize("classes", ONE_CLASS)
@pytest.mark.parametrize(("objective", "changed"), VARIANTS)
def test_a_level_with_one_class(written, classes, objective, changed):
    """It has no evidence: no number is lost to it, and no draw where another level has some."""
    task, file = small_task(objective, classes, **changed), written("plain", np.arange(53))
    batch = file.batch(np.arange(53)).to("cpu")
    labels = torch.zeros(53, 2, dtype=torch.long)
    optimizer = torch.optim.Adam(task.parameters(), 0.01)
    for training in (True, False) * 3:
        task.train(training)
        made = task(batch, labels)
        assert torch.isfinite(made["values"]).all()
        if training:
            optimizer.zero_grad()
            made["loss"].backward()
            optimizer.step()
    assert all(torch.isfinite(p).all() for p in task.parameters())
    # nothing is worth anything, or no correlation with nothing
    none = 1.0 if objective in ("sharp", "integrated", "attnlrp", "joint") else 0.0
    shown = made["values"][:, -1]
    if max(classes.values()) == 1:
        assert (shown == none).all()
    else:
        assert (shown != none).all()
    for keys in (None, batch.keys):
        _, chosen = task._asked(torch.zeros(53, 2, dtype=torch.long), keys)
        alone = [count > 1 for count in classes.values()]
        if changed["target"] == "class" and any(alone):
            assert chosen.tolist() == [alone] * 53


def test_the_explanandum_gets_no_gradient(tiny_explanandum, token_batch):
    task = task_of(tiny_explanandum).train()
    task(token_batch([20, 9]), torch.zeros(2, 3, dtype=torch.long))["loss"].backward()
    assert all(p.grad is None for p in tiny_explanandum.parameters())
    assert not any(name.startswith("_frozen") for name in task.state_dict())
    assert task.explainer.dense.weight.grad.abs().sum() > 0


def test_for_classes_any_class_is_asked_for(tiny_explanandum):
    task = task_of(tiny_explanandum, target="class").train()
    torch.manual_seed(0)
    predicted = torch.tensor([[1, 2, 3]]).repeat(4000, 1)
    asked, chosen = task._asked(predicted, None)
    assert (chosen.sum(1) == 1).all()
    assert chosen.float().mean(0).numpy() == pytest.approx([1 / 3] * 3, abs=0.04)
    own = (asked == predicted).all(1).float().mean()
    assert 0.5 <= own < 0.55
    assert set(asked[:, 2].tolist()) == set(range(7))
    assert asked[:, 0].max() == 2


class Spotter(nn.Module):
    """Reads one six-mer: the logit of class 1 is the mean of its masked places, of each rank."""

    pooling, class_counts, ranks, levels = "mean", [2], ["rank"], [HeadLevel("rank", 2)]
    adapter = SimpleNamespace(blocks=list)

    def embed(self, tokens):
        return (tokens.unsqueeze(-1) == 100).float()

    def encode(self, embeddings, batch):
        return embeddings

    def encode_relaxed(self, embeddings, mask, batch):
        return embeddings * mask.unsqueeze(-1)

    def predictions(self, logits):
        return decisions(self.levels, logits)

    def classify(self, pooled):
        return (torch.cat([torch.full_like(pooled, 0.1), 20 * pooled], dim=1),)

    def freeze(self):
        return self.eval()


@pytest.mark.parametrize("objective", AMORTISED)
def test_it_learns_which_token_is_read(objective):
    """From sequences in which one six-mer of several decides, to sequences it has not seen."""
    torch.manual_seed(0)
    explainer = Explainer({"rank": 2}, 8, 8, 1, target="sequence", gated=True)
    explainer.gate = GateSettings(0.2, 1)
    made = OBJECTIVES[objective]
    own = made.Settings(reads="tokens")
    task = made(explainer, Spotter(), own, 1).train()
    optimizer = torch.optim.Adam(task.parameters(), 0.02)

    def batch():
        tokens = torch.randint(90, 110, (32, 21))
        tokens[:, 0] = 3
        tokens[:, 1:4] = 100
        shuffled = tokens[:, 1:][:, torch.randperm(20)]
        return batch_of(torch.cat([tokens[:, :1], shuffled], dim=1)).to("cpu")

    for _ in range(60):
        optimizer.zero_grad()
        task(batch(), torch.ones(32, 1, dtype=torch.long))["loss"].backward()
        optimizer.step()
    tokens = batch()
    with torch.inference_mode():
        masks = explainer.eval()(tokens)[..., 0]
    read = (tokens.ids == 100) & tokens.content
    assert (masks[read] > 0.5).float().mean() > 0.9
    assert masks[read].mean() > masks[~read & tokens.content].mean() + 0.5


@pytest.mark.parametrize("objective", ["fastshap", "joint", "l2x"])
def test_the_judge_may_read_what_is_masked(
    objective, tiny_explanandum, make_explanandum, token_batch
):
    """Another judge, other losses: those of a task whose classifier is the judge, asked the same.

    The last columns: the gradients of `joint` are the classifier's in any case.
    """
    made, batch = OBJECTIVES[objective], keyed(token_batch([12, 20, 7]))
    judge = make_explanandum()
    with torch.no_grad():
        for parameter in judge.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    explainer = Explainer(RANKS, 8, 6, 1, target="sequence", gated=True).eval()
    classes = torch.tensor([[1, 2, 3]] * 3)
    chosen = torch.ones_like(classes, dtype=torch.bool)

    learns = {"learns": ["sharp", "fastshap"]} if objective == "joint" else {}

    def losses(explanandum, reader, judge=None):
        own = made.Settings(reads="tokens", reader=reader, **learns)
        task = made(explainer, explanandum, own, 5, judge=judge).eval()
        with torch.no_grad():
            scores = explainer.class_scores(batch, classes[:, None])[:, :, 0].sum(-1)
            evidence = task.evidence(batch, task.reading(batch), classes, chosen, batch.keys)
            return task.values(scores, evidence, batch)[:, -2:]

    expected = losses(judge, "classifier")
    assert torch.allclose(losses(tiny_explanandum, "judge", judge), expected, atol=1e-6)
    assert not torch.allclose(losses(tiny_explanandum, "classifier", judge), expected, atol=1e-3)
    assert all(not parameter.requires_grad for parameter in judge.parameters())
    with pytest.raises(UserError, match="--judge"):
        losses(tiny_explanandum, "judge")
    with pytest.raises(UserError, match="one of classifier, judge"):
        made.Settings(reader="nobody")


@pytest.mark.parametrize(("objective", "possible"), [
    ("fastshap", True), ("integrated", True), ("sharp", False), ("joint", False), ("l2x", False),
    ("attnlrp", False),
])  # fmt: skip
def test_a_family_without_an_adapter(objective, possible, monkeypatch):
    """Only the exact operator is at hand: it is all that Shapley values and Integrated Gradients need."""
    tokenizer = Ids(ELECTRA)
    monkeypatch.setitem(TOKENIZERS, tokenizer.name, tokenizer)
    explanandum = Explanandum(ELECTRA, {"a": 3, "b": 2}, tokenizer=tokenizer).freeze()
    made = OBJECTIVES[objective]
    explainer = made.make_explainer(made.Settings(), NetworkSettings(6, 5, 1), explanandum)
    task = made(explainer, explanandum, made.Settings(), 5).train()
    batch, labels = ids_batch(ELECTRA, [9, 3, 12]), torch.zeros(3, 2, dtype=torch.long)
    if not possible:
        with pytest.raises(UserError, match=f"leave out the .*objectives? .*{objective}"):
            task(batch, labels)
        return
    made = task(batch, labels)
    made["loss"].backward()
    assert torch.isfinite(made["values"]).all()
    assert explainer.dense.weight.grad.abs().sum() > 0
