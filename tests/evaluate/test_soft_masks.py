import numpy as np
import pytest
import torch
from helpers_families import FAMILIES, ids_batch

from whatyouread.data.batch import Batch
from whatyouread.evaluate.soft_masks import SCALES, _places, change_of_others, felt
from whatyouread.models.adapters import find_adapter
from whatyouread.models.esm import EsmAdapter


def adapter_of(config, layers):
    torch.manual_seed(0)
    config = config | {"num_hidden_layers": layers}
    return find_adapter(config)(find_adapter(config).build(config).eval())


def test_one_layer_does_not_feel_a_soft_mask_and_more_layers_do(tiny_backbone, token_batch):
    batch = token_batch([12, 9])
    shares = {}
    for layers in (1, 2, 6):
        shares[layers] = felt(change_of_others(adapter_of(tiny_backbone, layers), batch))
    np.testing.assert_allclose(shares[1], [0, 0, 0, 0, 1], atol=1e-3)
    for layers in (2, 6):
        assert shares[layers][-1] == 1
        assert sorted(shares[layers]) == shares[layers]
        assert shares[layers][1] > 0.01
    relaxed = felt(change_of_others(adapter_of(tiny_backbone, 1), batch, relaxed=True))
    assert 0.03 < relaxed[0] < 0.4 < relaxed[1] < 0.9  # near a straight line: 0.1 and 0.5


def test_the_change_by_hand(token_batch):
    config = FAMILIES["bert"]
    adapter, batch = adapter_of(config, 2), ids_batch(config, [7, 5])
    made = change_of_others(adapter, batch, (0.5, 0.0), places=2)
    assert made.shape == (4, 2)
    with torch.inference_mode():
        plain = adapter.encode(adapter.embed(batch.ids), batch)
        for number, (row, place) in enumerate([(0, 1), (0, 5), (1, 1), (1, 3)]):
            for column, scale in enumerate((0.5, 0.0)):
                embeddings = adapter.embed(batch.ids)
                embeddings[row, place] *= scale
                states = adapter.encode(embeddings, batch)
                valid = [p for p in range([7, 5][row]) if p != place]
                expected = (states - plain)[row, valid].norm()
                assert made[number, column] == pytest.approx(float(expected), rel=1e-4)


def test_places_are_of_the_content(token_batch):
    batch = ids_batch(FAMILIES["bert"], [9, 3, 4])
    assert _places(batch, 3).tolist() == [[1, 4, 7], [1, -1, -1], [1, 2, -1]]
    made = change_of_others(adapter_of(FAMILIES["bert"], 1), batch, places=3)
    assert made.shape == (6, len(SCALES))


def test_esm2_feels_a_soft_mask(shared):
    """As far as elsewhere, which the sequences change by a third: 0.09, 0.54, 0.81, 0.93."""
    from whatyouread.models.adapters import read_config

    folder = shared / "data" / "models" / "esm2_t6_8M_hemolysis"
    if not folder.is_dir():
        pytest.skip("no published classifier in `shared`")
    words = (folder / "vocab.txt").read_text().split()
    peptide = "GWLPTFGKILRKAMQLGPKLIQPIGIMSSLMKKLKAHIAK"
    ids = np.array([[words.index(w) for w in ("<cls>", *peptide, "<eos>")]])
    content = np.ones(ids.shape, bool)
    content[:, [0, -1]] = False
    batch = Batch(ids, np.ones_like(content), content, np.array([ids.shape[1]]), whole=True)
    adapter = EsmAdapter(EsmAdapter.build(read_config(folder)).eval())
    adapter.load(folder)
    shares = felt(change_of_others(adapter, batch.to("cpu"), places=6))
    np.testing.assert_allclose(shares[:4], [0.09, 0.54, 0.81, 0.93], rtol=0.45)
    assert shares[4] == 1
