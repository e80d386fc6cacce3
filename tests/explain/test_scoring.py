import numpy as np
import pytest
import torch
from helpers_explain import Letters, complement, random_text

from whatyouread.data.batch import Batch
from whatyouread.data.six_mers import SIX_MERS
from whatyouread.explain import intake
from whatyouread.explain.intake import Records, blocks
from whatyouread.explain.scoring import Blocks, Scorer
from whatyouread.explain.windows import REVERSE, Layout
from whatyouread.explainers.network import Explainer
from whatyouread.models.inference import Passes

LAYOUT = Layout(60, 30, 6)
NOBODY = np.full(3, -1)


@pytest.fixture
def explanandum(make_explanandum):
    return make_explanandum()


@pytest.fixture(params=["class", "sequence"])
def explainer(request, explanandum):
    torch.manual_seed(1)
    gated = request.param == "sequence"
    made = Explainer(
        explanandum.config["classes"],
        12,
        6,
        1,
        request.param,
        reads=16 if gated else 0,
        gated=gated,
    )
    return made.attach(explanandum).eval()


@pytest.fixture
def records():
    rng = np.random.default_rng(0)
    return [Letters(f"r{i}", random_text(rng, n)) for i, n in enumerate([200, 5, 61])]


def run(folder, records, scorer, monkeypatch, block=4):
    monkeypatch.setattr(intake, "BLOCK", block)
    (folder / "windows").mkdir(parents=True, exist_ok=True)
    made = Blocks(folder / "windows")
    with Records(folder / "bases") as kept:
        assert sum(made.fill(blocks(iter(records), LAYOUT, kept), kept, scorer)) > 0
    return made


def alone(explainer, explanandum, text, classes=None):
    """Masks and probabilities of one window, read by itself."""
    flat = np.frombuffer(text.encode(), np.uint8)
    ids, _ = SIX_MERS.tokenize(flat, np.array([0, len(flat)]))
    batch = Batch.of(ids[None].astype(np.int64), np.array([len(ids)]), SIX_MERS).to("cpu")
    with torch.inference_mode():
        logits = explanandum(batch)
        found = explanandum.predictions(logits) if classes is None else torch.tensor([classes])
        mask = explainer.class_masks(batch, found[:, None]).amax(-1)[0, 1:, 0]
    return mask.numpy(), torch.cat([part.softmax(-1) for part in logits], 1)[0].numpy(), found[0]


@pytest.mark.parametrize("batch_size", [1, 64])
def test_a_window_is_scored_as_it_is_alone(
    tmp_path, monkeypatch, records, explainer, explanandum, batch_size
):
    scorer = Scorer(explainer, Passes(explanandum, batch_size, torch.device("cpu")), NOBODY)
    line = "".join(record.text for record in records)
    seen = 0
    for block in run(tmp_path, records, scorer, monkeypatch):
        for i, (start, stop, strand, _) in enumerate(zip(*block.windows, strict=True)):
            text = line[start:stop]
            mask, said, found = alone(
                explainer, explanandum, complement(text) if strand == REVERSE else text
            )
            own = slice(block.offsets[i], block.offsets[i + 1])
            np.testing.assert_allclose(block.masks[own], mask, atol=2e-3)
            np.testing.assert_allclose(block.probabilities[i], said, atol=1e-5)
            assert block.widths[own].sum() == stop - start
            assert block.asked[i].tolist() == found.tolist()
            seen += 1
    assert seen > 10


def test_classes_that_are_asked_for_choose_the_masks(
    tmp_path, monkeypatch, records, explainer, explanandum
):
    scorer = Scorer(explainer, Passes(explanandum, 8, torch.device("cpu")), np.array([-1, 2, -1]))
    line = "".join(record.text for record in records)
    for block in run(tmp_path, records, scorer, monkeypatch):
        assert (block.asked[:, 1] == 2).all()
        start, stop, strand, _ = next(zip(*block.windows, strict=True))
        text = complement(line[start:stop]) if strand == REVERSE else line[start:stop]
        mask, _, _ = alone(explainer, explanandum, text, block.asked[0].tolist())
        np.testing.assert_allclose(block.masks[: block.offsets[1]], mask, atol=2e-3)


def test_what_is_there_is_not_computed_again(
    tmp_path, monkeypatch, records, explainer, explanandum
):
    scorer = Scorer(explainer, Passes(explanandum, 8, torch.device("cpu")), NOBODY)
    first = run(tmp_path, records, scorer, monkeypatch)
    paths = sorted((tmp_path / "windows").iterdir())
    assert first.computed == len(first) == len(paths) > 3
    before = [path.read_bytes() for path in paths]
    # a killed run leaves whole blocks; one is damaged
    paths[-1].unlink()
    paths[1].write_bytes(before[1][:100])
    again = run(tmp_path, records, scorer, monkeypatch)
    assert again.computed == 2
    assert [path.read_bytes() for path in paths] == before
    # other bases in the last record
    other = [*records[:-1], Letters("r2", records[-1].text[:-1] + "A")]
    if other[-1].text == records[-1].text:
        other[-1].text = records[-1].text[:-1] + "C"
    changed = run(tmp_path, other, scorer, monkeypatch)
    assert 0 < changed.computed < len(changed)
