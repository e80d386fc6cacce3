"""The model card: its header is YAML, its numbers stand beside the controls, names are escaped."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from helpers_names import HOSTILE
from helpers_saved import TOKENS, write_models

from whatyouread.report.model_card import Origin, model_card
from whatyouread.report.summary import Measured
from whatyouread.support.cli import UserError
from whatyouread.support.files import sha256, write_tsv

PROGRAM = Path(__file__).resolve().parents[2] / "scripts" / "write_model_card.py"
RANKS = ["kingdom", "genus"]
NT = "InstaDeepAI/nucleotide-transformer-v2-50m-multi-species"
FRESH = {"hidden_size": 16, "num_hidden_layers": 1, "files": {"config.json": "0" * 64}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = write_models(tmp_path_factory.mktemp("run"))
    settings = {"objective": "sharp", "epochs": 3, "hidden_size": 40}
    (made / "run.json").write_text(json.dumps({"settings": settings, "seed": 43}))
    return made


def measured(**changed) -> Measured:
    """Every number tells its place: 10 more for the genus, 1 more when inverted."""
    values = {"explanandum": 80, "rounded_masks": 70, "inverted_rounded_masks": 20}

    def rows(base, names, **columns):
        made = [{"condition": c, "kingdom": v + base, "genus": v + base + 10} for c, v in names]
        return pd.DataFrame(made).assign(sequences=1234, **columns)

    table = rows(0.25, values.items())
    tested = [*values.items()][1:]
    controls = [
        rows(base, tested, classes=classes, control=control)
        for classes, start in (("labels", -1), ("predicted", -11))
        for base, control in enumerate(
            ("shuffled", "shifted", "other_sequence", "position_mean", "constant"), start
        )
    ]
    return Measured(**{"name": "sharp", "table": table, "controls": pd.concat(controls)} | changed)


def parts(card: str) -> tuple[dict, str]:
    found = re.fullmatch(r"---\n(.*?)\n---\n\n(# .*\n)", card, re.DOTALL)
    return yaml.safe_load(found[1]), found[2]


def test_what_a_card_says(folder):
    origin = Origin(
        dataset={"source": "https://name:word@host/a.zip?token=abcdef", "sha256": "a" * 64},
        taxdump={"source": "/home/somebody/taxdmp.zip", "name": "taxdmp.zip", "sha256": "b" * 64},
        backbone={"repository": NT, "revision": "c" * 40},
        labels="ncbi",
        tokens=pd.DataFrame({"file": ["train", "explainer_train"], "sequences": [5000, 2000]}),
        measured=measured(),
    )
    header, text = parts(model_card(folder, "sharp", origin))
    assert header == {
        "license": "cc-by-nc-sa-4.0",
        "library_name": "whatyouread",
        "tags": [
            "explainability",
            "attribution",
            "sequences",
        ],  # an older record: of what is unknown
        "base_model": NT,
    }
    digest = sha256(folder / "../../../explanandum/0/model.safetensors")
    for said in (
        "# sharp: ",
        f"`{digest}`",
        "1 layer of width 16",
        f"tokenizer: `six_mers`, sequences of {TOKENS} tokens in training (median)",
        "| kingdom | 2 | Animals, Plants |\n| genus | 4 | Mus, Rattus, Rosa |",
        f"data: https://host/a.zip?token=\\*\\*\\* (SHA-256 `{'a' * 16}…`)",
        f"labels: ncbi, taxdmp.zip (SHA-256 `{'b' * 16}…`)",
        "sequences: 2,000 for the Explainer, 5,000 for its classifier",
        f"started from {NT}, commit {'c' * 40}",
        "objective: sharp\n- settings: epochs 3, hidden_size 40\n",
        "area 0.4, smoothing 3",
        "seed: 43\n",
        "(kingdom / genus) on 1,234 test sequences",
        "Without a mask it is 80.2 / 90.2.",
        "| this Explainer's masks | 70.2 / 80.2 | 20.2 / 30.2 |",
        "| their values shuffled along the sequence | 69.0 / 79.0 | 19.0 / 29.0 |",
        "| the same masks shifted along the sequence | 70.0 / 80.0 | 20.0 / 30.0 |",
        "| the masks of other sequences | 71.0 / 81.0 | 21.0 / 31.0 |",
        "sharp: rounded masks keep about as much as the same masks shifted (70 / 80 against 70 / 80)",
        "they do not yet say where the classifier looks",
        "MIT",
        "CC BY-NC-SA 4.0",
    ):
        assert said in text, said
    for secret in ("word", "abcdef", "somebody", "simulated"):
        assert secret not in text
    assert "simulated, https" in model_card(
        folder, "sharp", Origin(dataset=origin.dataset, simulated=True)
    )


@pytest.mark.parametrize(
    ("backbone", "licence", "said"),
    [
        ({"path": f"/models/{NT}"}, "cc-by-nc-sa-4.0", "CC BY-NC-SA 4.0"),
        ({"repository": NT.upper(), "revision": "1"}, "cc-by-nc-sa-4.0", "CC BY-NC-SA 4.0"),
        ({"repository": "a/b", "revision": "1"}, "other", "started from is yours to check"),
        ({"path": "/models/own"}, "other", "started from is yours to check"),
        ({}, "other", "started from is yours to check"),
        (FRESH, "other", "their licence is yours to choose"),
    ],
)
def test_licences(folder, backbone, licence, said):
    header, text = parts(model_card(folder, "sharp", Origin(backbone=backbone)))
    assert header["license"] == licence
    assert header.get("license_name") == ("not-chosen-yet" if licence == "other" else None)
    assert said in text
    assert ("CC BY-NC-SA" in text) == (licence != "other")
    assert header.get("base_model") == backbone.get("repository")
    assert "/models/" not in text


@pytest.mark.parametrize(
    ("alphabet", "what", "tag"),
    [
        ("dna", "a DNA sequence", "genomics"),
        ("protein", "a protein", "protein"),
        ("text", "a text", "text-classification"),
    ],
)
def test_what_is_read(tmp_path, alphabet, what, tag):
    own = write_models(tmp_path)
    record = json.loads((own / "classifier.json").read_text())
    (own / "classifier.json").write_text(json.dumps(record | {"alphabet": alphabet}))
    header, text = parts(model_card(own, "sharp", Origin()))
    assert f"An Explainer reads {what} once" in text
    assert tag in header["tags"]
    assert ("dna" in header["tags"]) == (alphabet == "dna")


def test_another_runs_card_has_no_figures(folder):
    _, text = parts(model_card(folder, "sharp", Origin(backbone=FRESH)))
    assert "Not measured." in text
    assert "per cent" not in text
    assert "trained from scratch" in text


def test_missing_numbers_are_no_numbers(folder):
    missing = measured()
    missing.table.loc[missing.table["condition"] == "rounded_masks", "genus"] = float("nan")
    text = model_card(folder, "sharp", Origin(measured=missing))
    assert "| this Explainer's masks | 70.2 / – |" in text
    assert "some of the numbers are missing" in text
    gone = measured()
    gone = measured(controls=gone.controls[gone.controls["control"] != "other_sequence"])
    with pytest.raises(UserError, match="other_sequence rounded_masks"):
        model_card(folder, "sharp", Origin(measured=gone))


@pytest.mark.parametrize("name", HOSTILE)
def test_names_stay_names(tmp_path, name):
    """A class, a file and an Explainer that are called like markup: as many lines as without."""
    folder = write_models(tmp_path)
    plain = model_card(folder, "x", Origin({"source": "/a", "name": "x"}, labels="x"))
    path = folder / "classes.tsv"
    rows = pd.read_csv(path, sep="\t")
    rows["name"] = name
    write_tsv(path, rows)
    labels = name or "x"  # without a name it is not known
    card = model_card(folder, name, Origin({"source": "/a", "name": name}, labels=labels))
    assert len(card.splitlines()) == len(plain.splitlines())
    assert card.count("---\n") == plain.count("---\n")
    assert card.count(" | ") - card.count(r"\| ") <= plain.count(" | ") + card.count(r" \| ")
    body = parts(card)[1]
    assert not re.search(r"<[a-zA-Z/!]", body)
    assert not re.search(r"(?<!\\)\]\(", body)


def test_the_program(folder, tmp_path):
    made = measured()
    for what in ("table", "controls"):
        getattr(made, what).to_csv(tmp_path / f"{what}.tsv", sep="\t", index=False)
    (tmp_path / "data.json").write_text(json.dumps({"source": "/a/b.fa", "name": "b.fa"}))
    (tmp_path / "backbone.json").write_text(json.dumps(FRESH))
    rows = [["train", 5000], ["explainer_train", 2000]]
    pd.DataFrame(rows, columns=["file", "sequences"]).to_csv(
        tmp_path / "tokens.tsv", sep="\t", index=False
    )
    command = [sys.executable, PROGRAM, "--explainer", folder, "--name", "sharp"]
    command += ["--dataset", tmp_path / "data.json", "--backbone", tmp_path / "backbone.json"]
    command += ["--tokens", tmp_path / "tokens.tsv", "--labels", "table", "--simulated"]
    command += ["--table", tmp_path / "table.tsv", "--card", tmp_path / "README.md"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "give both or neither" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "README.md").exists()
    command += ["--controls", tmp_path / "controls.tsv"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "README.md").read_text()
    assert text == model_card(
        folder,
        "sharp",
        Origin(
            dataset={"source": "/a/b.fa", "name": "b.fa"},
            backbone=FRESH,
            simulated=True,
            labels="table",
            tokens=pd.DataFrame(rows, columns=["file", "sequences"]),
            measured=made,
        ),
    )


def test_a_folder_that_is_not_whole(tmp_path):
    folder = write_models(tmp_path)
    (folder / "classes.tsv").unlink()
    with pytest.raises(UserError, match=r"classes\.tsv is not there"):
        model_card(folder, "sharp", Origin())
    (folder / "classifier.json").unlink()
    with pytest.raises(UserError, match=r"no classifier\.json"):
        model_card(folder, "sharp", Origin())
