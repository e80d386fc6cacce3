import pytest
import torch
from helpers_batches import LETTERS, batch_of, letters, narrowed

from whatyouread.data.tokenizers import TOKENIZERS
from whatyouread.explainers.gate import gate, smoothed
from whatyouread.explainers.network import Explainer
from whatyouread.explainers.saved import load_attached
from whatyouread.masks.gate_settings import GateSettings
from whatyouread.models.saving import save_model
from whatyouread.support.cli import UserError
from whatyouread.support.files import write_json

CLASSES = {"superkingdom": 3, "phylum": 5, "genus": 7}
LENGTHS = [9, 1, 5, 14, 2]
TOLERANCE = 1e-5  # between the same sequence in batches of other sizes and widths, float32


def make(seed=0, **sizes):
    torch.manual_seed(seed)
    sizes = {"embedding_size": 12, "hidden_size": 6, "layers": 2} | sizes
    explainer = Explainer(CLASSES, **sizes)
    with torch.no_grad():  # batch norm as it would be after some training
        explainer.norm.running_mean.uniform_(0, 0.2)
        explainer.norm.running_var.uniform_(0.01, 0.1)
        explainer.dense.weight.mul_(3)
    return explainer.eval()


@pytest.fixture
def explainer():
    return make()


def test_shapes_and_range(explainer, token_batch, device):
    explainer = explainer.to(device)
    tokens = token_batch(LENGTHS, width=16).to(device)
    labels = torch.tensor([[2, 4, 6]] * 5, device=device)
    with torch.inference_mode():
        scores = explainer(tokens)
        features = explainer.features(tokens)
        masks = explainer.class_masks(tokens, labels.unsqueeze(1).expand(-1, 4, -1))
    assert scores.shape == (5, 16, 15)
    assert features.shape == (5, 16, 12)
    assert masks.shape == (5, 16, 4, 3)
    for made in (scores, masks):
        assert made.min() >= 0
        assert made.max() <= 1
    assert scores.std() > 0.05
    assert not masks[~tokens.valid].any()
    assert not features[~tokens.valid].any()


def test_columns_of_the_ranks_lie_side_by_side(explainer):
    assert explainer.columns(torch.tensor([[0, 0, 0], [2, 4, 6]])).tolist() == [
        [0, 3, 8],
        [2, 7, 14],
    ]
    assert explainer.columns(torch.zeros(2, 4, 3, dtype=torch.long)).shape == (2, 4, 3)


def test_class_masks_are_columns_of_all_masks(explainer, token_batch, device):
    explainer = explainer.to(device)
    tokens = token_batch(LENGTHS, width=15).to(device)
    torch.manual_seed(1)
    classes = torch.stack([torch.randint(n, (5, 2)) for n in CLASSES.values()], -1).to(device)
    with torch.inference_mode():
        scores, masks = explainer(tokens), explainer.class_masks(tokens, classes)
    for row, length in enumerate(LENGTHS):
        for chosen in range(2):
            for rank, start in enumerate((0, 3, 8)):
                column = start + classes[row, chosen, rank]
                expected = scores[row, :length, column]
                made = masks[row, :length, chosen, rank]
                assert (made - expected).abs().max() < 1e-6


def test_neither_the_batch_nor_its_width_matters(explainer, token_batch, device):
    explainer = explainer.to(device)
    tokens = token_batch(LENGTHS, width=20).to(device)
    with torch.inference_mode():
        whole = explainer(tokens)
        order = [3, 0, 4, 1, 2]
        turned = explainer(tokens.take(order))
        for row, length in enumerate(LENGTHS):
            for width in (length, length + 1, 20):
                alone = explainer(narrowed(tokens, [row], width))[0, :length]
                assert (alone - whole[row, :length]).abs().max() < TOLERANCE
            same = turned[order.index(row), :length]
            assert (same - whole[row, :length]).abs().max() < TOLERANCE
    assert (whole[0, :5] - whole[2, :5]).abs().max() > 0.01


def test_on_a_cpu_the_lstm_computes_in_float32_whatever_the_lengths(explainer, token_batch):
    """Also within bf16 autocast, where it would depend on whether the batch's lengths are equal."""
    tokens = token_batch([14, 14])
    with torch.inference_mode():
        expected = explainer.features(tokens)
        with torch.autocast("cpu", torch.bfloat16):
            alike = explainer.features(tokens)
            ids = torch.cat([tokens.ids, token_batch([5], width=14).ids])
            other = explainer.features(batch_of(ids).to("cpu"))
    assert alike.dtype == torch.float32
    torch.testing.assert_close(alike, expected)
    torch.testing.assert_close(other[:2], expected)


def test_both_directions_are_read(explainer, token_batch):
    tokens = token_batch([12])
    ids = tokens.ids.clone()
    ids[0, 6] = ids[0, 6] % 4000 + 7
    other = batch_of(ids).to("cpu")
    with torch.inference_mode():
        differences = (explainer(tokens) - explainer(other))[0].abs().amax(-1)
    assert differences[5] > 1e-4
    assert differences[7] > 1e-4


@pytest.mark.parametrize("lengths", [LENGTHS, [14, 9, 5, 2, 1], [7] * 5, [3]])
def test_packed_as_torch_packs_to_the_last_bit(token_batch, device, lengths):
    """Sorted here, with lengths that the CPU knows, or sorted by `pack_padded_sequence`."""
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    tokens = token_batch(lengths, width=16).to(device)
    assert tokens.lengths.tolist() == lengths
    made = []
    for by_torch in (False, True):
        explainer = make().to(device).train()
        if by_torch:
            embedded = explainer.embedding(tokens.ids)
            packed, _ = explainer.lstm(
                pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
            )
            packed = packed._replace(data=explainer.norm(packed.data.relu()))
            features = pad_packed_sequence(packed, batch_first=True, total_length=16)[0]
        else:
            features = explainer.features(tokens)
        features.square().sum().backward()
        made.append([features, *(p.grad for p in explainer.lstm.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*made, strict=True))


def test_whole_batches_train_as_packed_ones(token_batch):
    """One more token of padding makes the same batch a packed one."""
    made = []
    for width in (9, 10):
        explainer = make().train()
        features = explainer.features(token_batch([9] * 4, width=width))
        assert features.shape[:2] == (4, width)
        features[:, :9].pow(3).sum().backward()
        norm = explainer.norm
        made.append(
            [features[:, :9], norm.running_mean, norm.running_var, norm.num_batches_tracked]
        )
        made[-1] += [p.grad for p in explainer.parameters() if p.grad is not None]
    assert len(made[0]) > 20
    for whole, packed in zip(*made, strict=True):
        torch.testing.assert_close(whole, packed, atol=1e-5, rtol=1e-4)


def test_step_by_step(explainer, token_batch):
    """Embedding, LSTM, ReLU, batch norm, dense, sigmoid, one sequence at a time."""
    tokens = token_batch([8, 3])
    with torch.inference_mode():
        made = explainer(tokens)
        for row, length in enumerate([8, 3]):
            embedded = explainer.embedding.weight[tokens.ids[row, :length]]
            states = explainer.lstm(embedded.unsqueeze(0))[0][0].clamp(min=0)
            norm = explainer.norm
            states = (states - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
            states = states * norm.weight + norm.bias
            scores = states @ explainer.dense.weight.T + explainer.dense.bias
            assert (made[row, :length] - 1 / (1 + (-scores).exp())).abs().max() < 1e-5


@pytest.mark.parametrize("width", [14, 40])
def test_batch_norm_never_sees_padding(token_batch, width):
    explainer = Explainer(CLASSES, embedding_size=12, hidden_size=6).train()
    tokens = token_batch(LENGTHS, width=width)
    with torch.no_grad():
        states = torch.cat(
            [
                explainer.lstm(explainer.embedding(tokens.ids[row : row + 1, :length]))[0][0].relu()
                for row, length in enumerate(LENGTHS)
            ]
        )
        assert states.shape == (sum(LENGTHS), 12)
        features = explainer.features(tokens)
    # PyTorch's running estimates after one step: momentum 0.1 from mean 0 and variance 1
    assert torch.allclose(explainer.norm.running_mean, 0.1 * states.mean(0), atol=1e-6)
    assert torch.allclose(explainer.norm.running_var, 0.9 + 0.1 * states.var(0), atol=1e-6)
    # and what comes out is normalized over the tokens alone
    normalized = features[tokens.valid]
    assert normalized.mean(0).abs().max() < 1e-5
    expected = (states - states.mean(0)) / (states.var(0, unbiased=False) + 1e-5).sqrt()
    assert (normalized - expected).abs().max() < 1e-4


def test_the_sizes_of_the_paper(token_batch):
    """2 directions of 80 are the paper's 160 outputs; 4 + 55 + 1878 = 1937 classes."""
    explainer = Explainer({"superkingdom": 4, "phylum": 55, "genus": 1878}).eval()
    embedding = 4107 * 100
    # four gates, each with weights for the input and for the state before, and two biases
    first = 2 * 4 * (80 * 100 + 80 * 80 + 2 * 80)
    second = 2 * 4 * (80 * 160 + 80 * 80 + 2 * 80)
    norm = 2 * 160
    dense = 160 * 1937 + 1937
    assert embedding + first + second + norm + dense == 994_237
    assert sum(p.numel() for p in explainer.parameters()) == 994_237
    with torch.inference_mode():
        assert explainer.features(token_batch([5, 3])).shape == (2, 5, 160)
        assert explainer(token_batch([5, 3])).shape == (2, 5, 1937)


def test_every_parameter_learns(token_batch):
    explainer = make().train()
    explainer(token_batch([7, 4])).square().mean().backward()
    for name, parameter in explainer.named_parameters():
        assert parameter.grad.any(), name
    assert not explainer.embedding.weight.grad[1].any()  # `<pad>`


def test_the_configuration_makes_the_same_model(explainer):
    again = Explainer(**explainer.config)
    assert {n: t.shape for n, t in again.state_dict().items()} == {
        n: t.shape for n, t in explainer.state_dict().items()
    }


# The sharp variant


def sharp(seed=0, target="sequence", smoothing=1, **more):
    explainer = make(seed, target=target, gated=True, **more)
    explainer.gate = GateSettings(0.3, smoothing)
    return explainer


def test_a_gate_keeps_the_share_with_the_highest_scores():
    scores = torch.tensor([[9.0, 1, 5, 3, 2, 4, 7], [9.0, 2, 1, 8, 8, 8, 8]])
    content = torch.tensor([[0, 1, 1, 1, 1, 1, 0], [0, 1, 1, 0, 0, 0, 0]]).bool()
    valid = content.clone()
    valid[:, 0] = True
    mask = gate(scores, content, valid, 0.4)
    # two of five tokens; one of two, 0.4 of which is rounded to 1
    assert (mask > 0.5).tolist() == [
        [True, False, True, False, False, True, False],
        [True, True, False, False, False, False, False],
    ]
    assert mask[0, 6] == 0
    assert (mask[0, 1:6].argsort() == scores[0, 1:6].argsort()).all()
    # half-way between the last score kept and the first one not lies 0.5
    assert mask[0, 5] + mask[0, 3] == pytest.approx(1, abs=1e-6)
    everything = gate(scores, content, valid, 0.99)
    assert (everything[0, 1:6] > 0.5).all()
    alone = gate(scores[:, :1], content[:, :1], valid[:, :1], 0.4)
    assert alone.tolist() == [[1], [1]]


def test_a_gate_that_keeps_everything_does_not_depend_on_padding():
    scores = torch.tensor([[0.3, -1.0, 2.0, 0.1, 0.0]])
    content = torch.tensor([[True, True, True, True, False]])
    whole = gate(scores[:, :4], content[:, :4], content[:, :4], 1.0)
    assert (whole > 0.5).all()
    assert torch.equal(gate(scores, content, content, 1.0)[:, :4], whole)


def test_a_gate_leaves_every_special_token():
    """Whatever the scores of `[CLS]` and `[SEP]`, the mask is 1 there, and they count for nothing."""
    batch = letters("abcde", "ab").to("cpu")
    scores = torch.tensor([[9.0, 1, 5, 3, 2, 4, 70], [-9.0, 2, 1, -70, 8, 8, 8]])
    mask = gate(scores, batch.content, batch.valid, 0.4)
    assert (mask > 0.5).tolist() == [
        [True, False, True, False, False, True, True],
        [True, True, False, True, False, False, False],
    ]
    assert mask[0, [0, 6]].tolist() == mask[1, [0, 3]].tolist() == [1, 1]
    assert mask[1, 4:].tolist() == [0, 0, 0]
    others = torch.where(batch.content, scores, 1e3)
    assert torch.equal(gate(others, batch.content, batch.valid, 0.4), mask)
    smooth = smoothed(scores, batch.content, 3)
    assert torch.equal(smoothed(others, batch.content, 3), smooth)
    torch.testing.assert_close(smooth[1], torch.tensor([0, 1.5, 1.5, 0, 0, 0, 0]))


def test_the_order_of_high_scores_survives_half_precision():
    torch.manual_seed(0)
    scores = torch.cat([torch.randn(1, 240), torch.linspace(1.2, 2.2, 11)[None]], dim=1)
    content = torch.ones_like(scores, dtype=torch.bool)
    mask = gate(scores, content, content, 0.3).half()
    assert (mask[0, -11:].diff() > 0).all()


def test_smoothing_is_the_mean_of_the_neighbours_within_the_sequence():
    scores = torch.tensor([[100.0, 1, 2, 6, 4, 100]])
    inside = torch.tensor([[0, 1, 1, 1, 1, 0]]).bool()
    made = smoothed(scores, inside, 3)
    torch.testing.assert_close(made, torch.tensor([[0, 1.5, 3, 4, 5, 0]]))
    assert smoothed(scores, inside, 1) is scores


@pytest.mark.parametrize("target", ["class", "sequence"])
def test_sharp_masks_keep_their_area_whatever_the_batch(token_batch, target):
    explainer, tokens = sharp(target=target, smoothing=3), token_batch(LENGTHS, width=15)
    classes = torch.tensor([[0, 1, 2], [2, 4, 6]]).expand(5, 2, 3)
    with torch.inference_mode():
        masks = explainer.class_masks(tokens, classes)
        everything = explainer(tokens)
    assert masks.shape == (5, 15, 2, 3)
    assert everything.shape == (5, 15, 15 if target == "class" else 1)
    for row, length in enumerate(LENGTHS):
        kept = (masks[row, 1:] > 0.5).sum(0)
        wanted = max(round(0.3 * (length - 1)), 1) if length > 1 else 0
        assert (kept == wanted).all()
        assert not masks[row, length:].any()
        with torch.inference_mode():
            alone = explainer.class_masks(tokens.alone(row), classes[:1])
        torch.testing.assert_close(masks[row : row + 1, :length], alone, atol=1e-4, rtol=0)
        rough = explainer.class_masks(tokens, classes, smooth=False)
    assert not torch.allclose(rough, masks)
    assert ((rough[3, 1:] > 0.5).sum(0) == 4).all()
    differ = (masks[:, :, 0] != masks[:, :, 1]).any()
    assert differ == (target == "class")


def test_hidden_states_are_read_where_it_is_asked(token_batch, make_explanandum, tmp_path):
    explainer = sharp(reads=16).attach(make_explanandum(seed=1))
    tokens = token_batch(LENGTHS)
    with torch.inference_mode():
        one = explainer(tokens)
        other = explainer.attach(make_explanandum(seed=2))(tokens)
    assert not torch.allclose(one, other)
    assert not any(name.startswith("explanandum") for name in explainer.state_dict())
    save_model(tmp_path, explainer)
    write_json(tmp_path / "gate.json", {"area": 0.3, "smoothing": 1})
    again = load_attached(tmp_path, make_explanandum(seed=1)).eval()
    with torch.inference_mode():
        torch.testing.assert_close(again(tokens), one)
    write_json(tmp_path / "gate.json", {"area": 0.5})
    wider = load_attached(tmp_path, make_explanandum(seed=1)).eval()
    assert wider.gate == GateSettings(0.5, 5)
    with torch.inference_mode():
        assert (wider(tokens) > 0.5).sum() > (one > 0.5).sum()
    save_model(tmp_path, sharp(reads=17))
    with pytest.raises(UserError, match="another Explanandum"):
        load_attached(tmp_path, make_explanandum())


def test_an_unknown_target_is_an_error():
    with pytest.raises(UserError, match="token"):
        make(target="token")


@pytest.mark.parametrize("target", ["class", "sequence"])
def test_a_sharp_explainer_of_another_tokenizer(monkeypatch, target):
    monkeypatch.setitem(TOKENIZERS, "letters", LETTERS)
    explainer = sharp(target=target, smoothing=3, tokenizer="letters")
    assert explainer.config["tokenizer"] == "letters"
    assert explainer.embedding.num_embeddings == 30
    assert not explainer.embedding.weight[LETTERS.pad].any()
    batch = letters("abcdefghijklm", "abc", "").to("cpu")
    classes = torch.tensor([[0, 1, 2]]).expand(3, 1, 3)
    with torch.inference_mode():
        masks = explainer.class_masks(batch, classes)[:, :, 0]
    special = batch.valid & ~batch.content
    assert special.sum(1).tolist() == [2, 2, 2]
    assert (masks[special] == 1).all()
    assert not masks[~batch.valid].any()
    for row, kept in enumerate((round(0.3 * 13), 1, 0)):
        assert (((masks > 0.5) & batch.content[..., None]).sum(1)[row] == kept).all()


def test_the_states_of_a_batch_are_not_computed_again(token_batch, make_explanandum):
    explainer, tokens = sharp(reads=16).attach(make_explanandum(seed=1)), token_batch(LENGTHS)
    states = torch.randn(*tokens.ids.shape, 16)
    with torch.inference_mode():
        made = explainer.inputs(tokens.with_states(states))
        own = explainer.inputs(tokens)
    assert torch.equal(made[..., 12:], states)
    assert torch.equal(own[..., :12], made[..., :12])
    assert not torch.allclose(own[..., 12:], states)


@pytest.mark.parametrize("target", ["class", "sequence"])
def test_the_mask_for_missing_labels_is_that_of_the_labelled_levels(target):
    torch.manual_seed(3)
    explainer = Explainer({"kingdom": 2, "genus": 4}, 6, 5, 1, target=target).eval()
    batch = batch_of(torch.randint(11, 4107, (3, 8))).to("cpu")
    classes = torch.tensor([[1, 3], [1, -1], [-1, 3]]).unsqueeze(1)
    with torch.no_grad():
        made = explainer.class_masks(batch, classes)[:, :, 0]
        whole = explainer.class_masks(batch, torch.tensor([[[1, 3]]] * 3))[:, :, 0]
    assert torch.equal(made[0], whole[0])
    assert torch.equal(made[1, :, 0], whole[1, :, 0])
    assert torch.equal(made[2, :, 1], whole[2, :, 1])
    assert not made[1, :, 1].any()
    assert not made[2, :, 0].any()
    last = -1 if target == "sequence" else 5
    columns = explainer.columns(torch.tensor([[-1, 3], [0, -1]]))
    assert columns.tolist() == [[-1, max(last, 0)], [0, -1]]
