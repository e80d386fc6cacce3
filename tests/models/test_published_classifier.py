import csv
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers_families import FAMILIES, Ids, ids_batch, save, transformers_model
from helpers_warm import python
from safetensors.torch import load_file, save_file

from whatyouread.data.batch import Batch
from whatyouread.data.levels import read_levels
from whatyouread.data.six_mers import SIX_MERS
from whatyouread.models.explanandum import Explanandum
from whatyouread.models.mask_operator import masked_logits
from whatyouread.models.published_classifier import adopt, write_classes
from whatyouread.models.saving import load_model, save_model
from whatyouread.support.cli import UserError

LENGTHS = [9, 3, 12, 7, 12]
KIND = "ForSequenceClassification"
NAMES = {0: "no", 1: "yes", 2: "perhaps"}


@pytest.fixture(params=sorted(FAMILIES))
def published(request, tmp_path):
    """A published classifier of three classes: its configuration, transformers' model, its folder."""
    config = FAMILIES[request.param]
    more = {"id2label": NAMES, "label2id": {name: i for i, name in NAMES.items()}}
    model = transformers_model(config, KIND, **more)
    return config, model, save(tmp_path / "published", model)


def own_logits(model, batch):
    with torch.inference_mode():
        return model(input_ids=batch.ids, attention_mask=batch.valid.long()).logits


def test_the_logits_are_its_own(published):
    config, model, folder = published
    explanandum, names = adopt(folder, Ids(config), "answer")
    assert names == ["no", "yes", "perhaps"]
    assert [level[:3] for level in explanandum.levels] == [("answer", 3, "single")]
    assert not explanandum.training
    seen = []
    for lengths, width in ((LENGTHS, None), (LENGTHS, 17), ([8, 8], None), ([4], None), ([5], 9)):
        batch = ids_batch(config, lengths, seed=len(lengths), width=width)
        expected = own_logits(model, batch)
        for mask in (None, torch.ones(batch.ids.shape)):
            with torch.inference_mode():
                (made,) = masked_logits(explanandum, batch, mask)
            assert (made - expected).abs().max() < 1e-5
        order = torch.randperm(len(batch), generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            (made,) = explanandum(batch.take(order))
        assert (made - expected[order]).abs().max() < 1e-5
        seen.append(expected)
    assert torch.cat(seen).std(0).min() > 0.05  # the logits tell sequences apart


def test_its_head_in_half_precision_and_a_silent_file(published, tmp_path):
    config, model, folder = published
    save(folder, model, torch.float16, id2label=None, label2id=None, architectures=None)
    model = type(model).from_pretrained(folder, dtype=torch.float32, num_labels=3).eval()
    explanandum, names = adopt(folder, Ids(config))
    assert names == ["LABEL_0", "LABEL_1", "LABEL_2"]
    assert {p.dtype for p in explanandum.parameters()} == {torch.float32}
    batch = ids_batch(config, LENGTHS)
    with torch.inference_mode():
        assert (explanandum(batch)[0] - own_logits(model, batch)).abs().max() < 1e-5


def test_save_and_load(published, tmp_path, monkeypatch):
    from whatyouread.data.tokenizers import TOKENIZERS

    config, model, folder = published
    monkeypatch.setitem(TOKENIZERS, "ids", Ids(config))
    explanandum, names = adopt(folder, "ids", "answer")
    save_model(tmp_path / "own", explanandum)
    write_classes(tmp_path / "classes.tsv", "answer", names)
    again = load_model(Explanandum, tmp_path / "own").freeze()
    assert again.config["head"] == "dense_tanh"
    batch = ids_batch(config, LENGTHS)
    assert torch.equal(again(batch)[0], explanandum(batch)[0])
    assert (again(batch)[0] - own_logits(model, batch)).abs().max() < 1e-5
    level = read_levels(tmp_path / "classes.tsv")["answer"]
    assert level == (
        "answer",
        "label",
        ("no", "yes", "perhaps"),
        ("no", "yes", "perhaps"),
        "single",
    )


def test_blank_is_the_same_for_all_sequences_of_a_length(published):
    config, _, folder = published
    explanandum, _ = adopt(folder, Ids(config))
    one, two = (ids_batch(config, [10, 10], seed=s) for s in (0, 1))
    made = [masked_logits(explanandum, b, torch.zeros(b.ids.shape))[0] for b in (one, two)]
    torch.testing.assert_close(made[0], made[1], atol=1e-6, rtol=0)
    assert (made[0] - explanandum(one)[0]).abs().max() > 0.01


def change_config(folder, **change):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))


def change_tensors(folder, change):
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


@pytest.fixture
def bert(tmp_path):
    config = FAMILIES["bert"]
    model = transformers_model(config, KIND, id2label=NAMES)
    return config, save(tmp_path / "published", model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"problem_type": "regression"}, "regression, which is not supported, only"),
        ({"architectures": ["BertForMaskedLM"]}, "holds a BertForMaskedLM, and no ForSeq"),
        ({"id2label": {"0": "a", "1": "b"}}, "names 2 classes, and the head has 3"),
        ({"id2label": {"0": "a", "1": "b", "3": "c"}}, "names 3 classes, and the head has 3"),
        ({"id2label": {"0": "a", "1": "b", "2": "a"}}, "names two classes alike"),
        ({"id2label": "none"}, "names 0 classes"),
        ({"model_type": "electra"}, "classifiers of type electra are not read as they are, only"),
    ],
)
def test_a_configuration_that_is_refused(bert, change, message):
    config, folder = bert
    change_config(folder, **change)
    with pytest.raises(UserError, match=message) as error:
        adopt(folder, Ids(config))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("classifier.bias"), r"classifier\.bias is missing"),
        (lambda t: t.pop("bert.pooler.dense.weight"), r"pooler\.dense\.weight is missing"),
        (
            lambda t: t.update({"classifier.weight": t["classifier.weight"][:1].clone()}),
            "one output, which is a number",
        ),
        (
            lambda t: t.update({"classifier.weight": t["classifier.weight"][:, :7].clone()}),
            "the head does not fit the encoder",
        ),
        (lambda t: t.update({"mystery": torch.ones(1)}), "mystery is not known"),
    ],
)
def test_tensors_that_are_refused(bert, change, message):
    config, folder = bert
    change_tensors(folder, change)
    with pytest.raises(UserError, match=message) as error:
        adopt(folder, Ids(config))
    assert "\n" not in str(error.value)


def test_a_vocabulary_that_is_too_large(bert):
    config, folder = bert
    with pytest.raises(
        UserError, match="the tokenizer ids makes 51 tokens and the backbone knows 50"
    ):
        adopt(folder, Ids(config | {"vocab_size": 51}))


PROGRAM = Path(__file__).parents[2] / "scripts" / "adopt_classifier.py"


def run_program(folder, out, *more):
    options = ["--classifier", folder, "--output-dir", out]
    options += ["--classes", out.parent / "classes.tsv", *more]
    return subprocess.run(
        [python(), PROGRAM, *map(str, options)], capture_output=True, text=True, check=False
    )


def test_the_program(tmp_path):
    config = FAMILIES["bert"] | {"vocab_size": 4107}
    model = transformers_model(config, KIND, id2label=NAMES)
    folder = save(tmp_path / "published", model)
    (folder / "vocab.txt").write_text("\n".join(SIX_MERS.vocabulary))
    done = run_program(folder, tmp_path / "0", "--level", "answer")
    assert done.returncode == 0, done.stderr
    names = sorted(path.name for path in (tmp_path / "0").iterdir())
    assert names == ["config.json", "model.safetensors", "run.json"]
    record = json.loads((tmp_path / "0" / "run.json").read_text())
    assert record["settings"] == {"classifier": str(folder), "level": "answer"}
    assert {Path(path).name for path in record["sha256"]} >= {"model.safetensors", "classes.tsv"}
    assert list(read_levels(tmp_path / "classes.tsv")) == ["answer"]
    batch = ids_batch(config, LENGTHS)
    again = load_model(Explanandum, tmp_path / "0").freeze()
    assert (again(batch)[0] - own_logits(model, batch)).abs().max() < 1e-5
    change_config(folder, problem_type="regression")
    done = run_program(folder, tmp_path / "1")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert "regression, which is not supported, only" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "1").exists()


def test_the_published_classifier_of_haemolytic_peptides(shared):
    """0.798 of the 386 independent peptides, as its authors publish it; logits by transformers."""
    from transformers import EsmForSequenceClassification, EsmTokenizer

    folder = shared / "data" / "models" / "esm2_t6_8M_hemolysis"
    table = shared / "data" / "protein" / "hemolysis" / "independent_dataset.csv"
    if not folder.is_dir() or not table.is_file():
        pytest.skip("no published classifier in `shared`")
    with open(table, encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    labels = np.array([int(row["label"]) for row in rows])
    reader = EsmTokenizer(str(folder / "vocab.txt"))
    made = reader([row["SEQUENCE"] for row in rows], padding=True, return_tensors="np")
    config = json.loads((folder / "config.json").read_text())
    ids = made["input_ids"].astype(np.int64)
    batch = Batch.of(ids, made["attention_mask"].sum(1), Ids(config)).to("cpu")
    explanandum, names = adopt(folder, Ids(config))
    assert names == ["LABEL_0", "LABEL_1"]
    model = EsmForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.inference_mode():
        (logits,) = explanandum(batch)
    assert (logits - own_logits(model, batch)).abs().max() < 1e-5
    said = logits.softmax(-1)[:, 1].numpy() > 0.55
    assert len(labels) == 386
    assert (said == labels).mean() == pytest.approx(0.798, abs=0.0005)


def test_a_classifier_of_several_labels(tmp_path):
    """Its sigmoids are those of transformers; the threshold and the kind are kept with the model."""
    config = FAMILIES["bert"]
    more = {"id2label": NAMES, "label2id": {name: i for i, name in NAMES.items()}}
    more["problem_type"] = "multi_label_classification"
    model = transformers_model(config, KIND, **more)
    folder = save(tmp_path / "published", model)
    explanandum, names = adopt(folder, Ids(config), "answer", 0.4)
    assert explanandum.levels == [("answer", 3, "multiple", 0.4)]
    batch = ids_batch(config, LENGTHS)
    with torch.inference_mode():
        logits = explanandum(batch)
    expected = own_logits(model, batch)
    assert (logits[0] - expected).abs().max() < 1e-5
    held = (expected.sigmoid() > 0.4).long() * torch.tensor([1, 2, 4])
    assert explanandum.predictions(logits)[:, 0].tolist() == held.sum(1).tolist()
    assert explanandum.config["kinds"] == {"answer": "multiple"}
    assert explanandum.config["threshold"] == 0.4
    write_classes(tmp_path / "classes.tsv", "answer", names, explanandum.kinds[0])
    assert read_levels(tmp_path / "classes.tsv")["answer"].kind == "multiple"
    with pytest.raises(UserError, match=r"threshold is 1\.5"):
        adopt(folder, Ids(config), "answer", 1.5)
