import json

import pytest
import torch
from helpers_batches import LETTERS
from safetensors import SafetensorError
from safetensors.torch import load_file

from whatyouread.data.six_mers import SIX_MERS
from whatyouread.data.tokenizers import TOKENIZERS
from whatyouread.explainers.network import Explainer
from whatyouread.explainers.paper import PaperObjective, Settings
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.saving import load_model, save_model
from whatyouread.support.cli import UserError

CLASSES = {"superkingdom": 3, "phylum": 5, "genus": 7}


def test_logits_of_each_rank_in_their_order(tiny_explanandum, token_batch):
    assert tiny_explanandum.ranks == list(CLASSES)
    assert tiny_explanandum.class_counts == [3, 5, 7]
    with torch.inference_mode():
        logits = tiny_explanandum(token_batch([6, 2]))
    assert [tuple(rank.shape) for rank in logits] == [(2, 3), (2, 5), (2, 7)]


def test_any_number_of_ranks(tiny_backbone, token_batch):
    model = Explanandum(tiny_backbone, {"species": 4}).eval()
    with torch.inference_mode():
        assert [tuple(rank.shape) for rank in model(token_batch([6, 2]))] == [(2, 4)]


def test_predictions(tiny_backbone):
    logits = (
        torch.tensor([[0.1, 0.9, 0.3], [2.0, -1.0, 0.0]]),
        torch.tensor([[-5.0, -4.0], [-4.0, -5.0]]),
    )
    made = Explanandum(tiny_backbone, {"kingdom": 3, "genus": 2}).predictions(logits)
    assert made.dtype == torch.int64
    assert made.tolist() == [[1, 1], [0, 0]]


def test_levels_are_the_heads_in_their_order(tiny_explanandum):
    assert tiny_explanandum.levels == [
        ("superkingdom", 3, "single", 0.5),
        ("phylum", 5, "single", 0.5),
        ("genus", 7, "single", 0.5),
    ]


def test_the_tokenizer_is_the_configurations(tiny_backbone, monkeypatch):
    assert Explanandum(tiny_backbone, CLASSES).tokenizer is SIX_MERS
    with pytest.raises(
        UserError, match="there is no tokenizer 'letters', only six_mers, six_mers_v1, residues"
    ):
        Explanandum(tiny_backbone, CLASSES, tokenizer="letters")
    monkeypatch.setitem(TOKENIZERS, "letters", LETTERS)
    model = Explanandum(tiny_backbone, CLASSES, tokenizer="letters")
    assert model.tokenizer is LETTERS
    assert model.config["tokenizer"] == "letters"


@pytest.mark.parametrize(
    "names",
    [
        ["type", "keys"],
        ["a.b", "a%2Eb", "b"],
        ["training", "forward", "%type", "type"],
        ["d. e/f", ""],
    ],
)
def test_levels_of_any_name_have_heads_and_are_saved(tiny_backbone, token_batch, tmp_path, names):
    classes = {name: number for number, name in enumerate(names, 2)}
    model = Explanandum(tiny_backbone, classes).eval()
    assert model.ranks == names
    save_model(tmp_path, model)
    again = load_model(Explanandum, tmp_path).eval()
    batch = token_batch([6, 2])
    with torch.inference_mode():
        made, expected = again(batch), model(batch)
    assert [part.shape[1] for part in made] == list(classes.values())
    assert all(torch.equal(a, b) for a, b in zip(made, expected, strict=True))


def test_a_folder_of_linear_heads_says_nothing_of_them(tmp_path, tiny_explanandum):
    """So that the folders of earlier versions and of this one are the same."""
    save_model(tmp_path, tiny_explanandum)
    config = json.loads((tmp_path / "config.json").read_text())
    assert list(config) == ["backbone", "classes", "pooling", "tokenizer"]
    tensors = load_file(tmp_path / "model.safetensors")
    assert {"heads.genus.weight", "heads.genus.bias"} <= set(tensors)


def test_an_unknown_head(tiny_backbone):
    with pytest.raises(UserError, match="head is 'deep', and must be one of linear, dense_tanh"):
        Explanandum(tiny_backbone, CLASSES, head="deep")


def test_wrong_pooling(tiny_backbone):
    with pytest.raises(UserError, match="pooling is 'max', and must be one of mean, cls"):
        Explanandum(tiny_backbone, CLASSES, "max")


def test_frozen_for_good(tiny_backbone, token_batch):
    model = Explanandum(
        tiny_backbone | {"hidden_dropout_prob": 0.5, "attention_probs_dropout_prob": 0.5}, CLASSES
    )
    assert model.freeze() is model
    assert not any(module.training for module in model.modules())
    assert not any(parameter.requires_grad for parameter in model.parameters())
    tokens = token_batch([6, 2])
    for first, second in zip(model(tokens), model(tokens), strict=True):
        assert torch.equal(first, second)


def test_frozen_also_where_the_explainer_trains(tiny_explanandum):
    """The Trainer calls train() on the module that holds both networks."""
    objective = Settings(0.05, 0.3, 1.0, 1.0, 1.0)
    task = PaperObjective(Explainer(CLASSES, 5, 4, 1), tiny_explanandum, objective, 0).train()
    assert task.explainer.training
    assert not any(module.training for module in tiny_explanandum.modules())
    assert not [name for name in task.state_dict() if "encoder" in name]
    frozen = set(tiny_explanandum.parameters())
    assert not [p for p in task.parameters() if p in frozen]


def test_it_moves_with_what_it_is_attached_to(tiny_explanandum):
    explainer = Explainer(CLASSES, 5, 4, 1).attach(tiny_explanandum)
    [weight, *_] = tiny_explanandum.parameters()
    assert explainer.double().explanandum is tiny_explanandum
    assert weight.dtype == torch.float64
    task = PaperObjective(Explainer(CLASSES, 5, 4, 1), tiny_explanandum, Settings(), 0).float()
    assert task.explanandum is tiny_explanandum
    assert weight.dtype == torch.float32
    assert not weight.requires_grad


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_save_and_load(tmp_path, make_explanandum, token_batch, pooling):
    model = make_explanandum(pooling, seed=5)
    save_model(tmp_path / "new", model)
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    again = load_model(Explanandum, tmp_path / "new").eval()
    assert again.config == model.config
    # the order of the ranks is that of the heads, and must not become alphabetical on the way
    assert again.ranks == list(CLASSES)
    tokens = token_batch([9, 4])
    with torch.inference_mode():
        for first, second in zip(model(tokens), again(tokens), strict=True):
            assert torch.equal(first, second)


def test_save_and_load_an_explainer(tmp_path, token_batch):
    model = Explainer(CLASSES, embedding_size=5, hidden_size=4, layers=1).train()
    model(token_batch([5, 6]))  # moves the statistics of the batch norm, which belong to the model
    save_model(tmp_path, model.eval())
    again = load_model(Explainer, tmp_path).eval()
    tokens = token_batch([9, 4], seed=2)
    with torch.inference_mode():
        assert torch.equal(again(tokens), model(tokens))
    assert again.columns(torch.zeros(3, dtype=torch.long)).tolist() == [0, 3, 8]


@pytest.fixture
def saved(tmp_path, tiny_explanandum):
    save_model(tmp_path, tiny_explanandum)
    return tmp_path


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file(saved, name):
    (saved / name).unlink()
    with pytest.raises(UserError, match=f"{name} is not there"):
        load_model(Explanandum, saved)


@pytest.mark.parametrize("size", [0, 5, 2000, -1])
def test_truncated_weights(saved, size):
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match="cannot be read"):
        load_model(Explanandum, saved)


def changed(config, **values):
    return json.dumps(config | values)


@pytest.mark.parametrize(
    "change",
    [
        lambda config: "",
        lambda config: "[]",
        lambda config: "{}",
        lambda config: changed(config, classes={"superkingdom": 3}),
        lambda config: changed(config, classes=CLASSES | {"genus": 8}),
        lambda config: changed(config, colour="blue"),
        lambda config: changed(config, backbone=None),
        lambda config: changed(config, classes=None),
        lambda config: changed(config, backbone=config["backbone"] | {"hidden_size": "wide"}),
    ],
    ids=["empty", "list", "nothing", "fewer", "more", "unknown", "backbone", "classes", "size"],
)
def test_a_configuration_that_does_not_fit(saved, change):
    path = saved / "config.json"
    path.write_text(change(json.loads(path.read_text())))
    with pytest.raises(UserError, match="cannot be read"):
        load_model(Explanandum, saved)


def test_weights_that_cannot_be_written(saved, monkeypatch, tmp_path):
    def save(*_):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("safetensors.torch.save_file", save)
    model = load_model(Explanandum, saved)
    with pytest.raises(UserError, match=r"cannot be written .*No space left"):
        save_model(tmp_path / "new", model)
    assert not list((tmp_path / "new").iterdir())


def test_weights_of_another_model(saved):
    save_model(saved / "explainer", Explainer(CLASSES, 5, 4, 1))
    (saved / "explainer" / "model.safetensors").replace(saved / "model.safetensors")
    with pytest.raises(UserError, match="cannot be read"):
        load_model(Explanandum, saved)
