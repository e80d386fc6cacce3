"""Whole runs of `explain_sequences` on proteins and texts, with small models."""

import bz2
import gzip
import html
import json
import os
import re
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from helpers_readers import write_reader
from helpers_saved import write_models
from helpers_tokenizers import tokenizer_folder

from whatyouread.data.records import Meter
from whatyouread.data.tokenizers import tokenizer_of
from whatyouread.explain.requests import Request
from whatyouread.explain.run import explain
from whatyouread.explain.scoring import Scorer
from whatyouread.explain.token_records import text_of
from whatyouread.explain.token_stream import Limit, read_token_records
from whatyouread.explainers.saved import load_explainer
from whatyouread.report.explained import write_sample_page
from whatyouread.support.cli import UserError

TEXTS = [
    "The quick brown fox jumps over the lazy dog.",
    "the cafe\u0301 the café 中 the",  # e and a combining accent, and one letter
    "👩\u200d👩\u200d👧 the fox 👍🏽, the dog",
    "  the\tfox\n\nthe dog  ",
    "<script>alert(1)</script> the & \"fox\" 'dog' </div>",
    "x",
    "zebra the ZEBRA",
    "\u202ethe fox\u202c",
    "the " * 40 + "fox",
]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    made: dict[str, Path] = {}

    def model(kind: str) -> Path:
        if kind not in made:
            made[kind] = write_reader(tmp_path_factory.mktemp(kind), kind)
        return made[kind]

    return model


@pytest.fixture
def run(models, tmp_path):
    """(kind of model, content, name of the file and the folder, options) -> summary and folder."""

    def make(kind, content, file="given.tsv", folder="out", page=None, **options):
        path = tmp_path / file
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        request = Request(str(models(kind)), [str(path)], tmp_path / folder, sample="s", **options)
        return explain(request, page), tmp_path / folder

    return make


def jsonl(texts, **more) -> str:
    return "".join(
        json.dumps({"id": f"t{i}", "text": t, **more}) + "\n" for i, t in enumerate(texts)
    )


def table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", keep_default_na=False, dtype={"mask": float, "text": str},
                       na_values={"mask": [""]})  # fmt: skip


def alone(model: Path, text: str) -> tuple[list, np.ndarray, list[float]]:
    """Places and mask of the tokens of a text and its probabilities, read by itself in one pass."""
    saved = load_explainer(model)
    batch = saved.batch([text])
    _, masks = saved.explain(batch)
    letters = text.encode("utf-8")
    _, _, places = saved.tokenizer.located(
        np.frombuffer(letters, np.uint8), np.array([0, len(letters)])
    )
    frame = len(saved.tokenizer.before), batch.ids.shape[1] - len(saved.tokenizer.after)
    with torch.inference_mode():
        said = [p.softmax(-1)[0].tolist() for p in saved.explanandum(batch)]
    return places.T[slice(*frame)].tolist(), masks[0, slice(*frame)].numpy(), said


@pytest.mark.parametrize("kind", ["word_pieces", "unigram", "bytes"])
def test_texts_have_the_scores_of_their_tokens_and_the_classes_of_the_classifier(kind, run, models):
    short = TEXTS[:-1]
    summary, folder = run(kind, jsonl(short, label="x"), "given.jsonl", window=29)
    tokens, spans = table(folder / "s.tokens.tsv"), table(folder / "s.spans.tsv")
    said = pd.read_csv(folder / "s.predictions.tsv", sep="\t")
    assert summary["sequences"]["read"] == len(short)
    for i, text in enumerate(short):
        if (tokens["sequence"] == f"t{i}").sum() > 29:  # in windows: another test
            continue
        places, masks, probabilities = alone(models(kind), text)
        own = tokens[tokens["sequence"] == f"t{i}"]
        assert own[["start", "end"]].to_numpy().tolist() == places, text
        assert own["text"].tolist() == [text[a:b] for a, b in places]
        np.testing.assert_allclose(own["mask"], masks, atol=2e-3)
        [row] = said[(said["sequence"] == f"t{i}") & (said["part"] == "sequence")].to_dict(
            "records"
        )
        assert row["end"] == len(text)
        assert row["genus_probability"] == pytest.approx(max(probabilities[1]), abs=2e-4)
        # spans, one by one: runs of tokens above the threshold, with letters in common together
        expected, before = [], False
        for (start, end), mask in zip(places, masks.round(3).tolist(), strict=True):
            if mask > 0.5:
                if expected and (before or start < expected[-1][1]):
                    expected[-1][1] = max(expected[-1][1], end)
                else:
                    expected.append([start, end])
            before = mask > 0.5
        for one in expected:
            piece = text[slice(*one)]
            if piece.strip():
                one[0] += len(piece) - len(piece.lstrip())
                one[1] = one[0] + len(piece.strip())
        own = spans[spans["sequence"] == f"t{i}"]
        assert own[["start", "end"]].to_numpy().tolist() == expected, text
        assert own["text"].tolist() == [text[a:b] for a, b in expected]
    assert len(spans) == summary["spans"] > 5
    assert summary["characters"]["read"] == sum(map(len, short))


@pytest.mark.parametrize("kind", ["word_pieces", "unigram"])
def test_long_texts_in_windows_have_places_in_the_whole_text(kind, run, models):
    """The mean over windows, token by token, weighted by the distance from the window's nearer end."""
    text = "the é brown 中 fox, " * 12 + "the lazy dog."
    summary, folder = run(kind, jsonl([text, "the fox"]), "given.jsonl", window=10, overlap=0.5)
    saved = load_explainer(models(kind))
    ids, _, where = saved.tokenizer.located(*saved.tokenizer.characters([text]))
    ids, where = ids[1:-1], where[:, 1:-1]
    number = len(ids)
    starts = [*range(0, number - 10, 5), number - 10]
    sums, weights = np.zeros(number), np.zeros(number)
    rows = pq.read_table(folder / "s.masks.parquet").to_pylist()
    own = [row for row in rows if row["sequence"] == "t0"]
    assert [row["start"] for row in own] == [where[0, low] for low in starts]
    assert [row["end"] for row in own] == [where[1, low + 9] for low in starts]
    for low, row in zip(starts, own, strict=True):
        assert row["token"] == ids[low : low + 10].tolist()
        assert row["starts"] == where[0, low : low + 10].tolist()
        weight = np.minimum(np.arange(10) + 0.5, 9.5 - np.arange(10))
        sums[low : low + 10] += weight * row["mask"]
        weights[low : low + 10] += weight
    tokens = table(folder / "s.tokens.tsv")
    tokens = tokens[tokens["sequence"] == "t0"]
    np.testing.assert_allclose(tokens["mask"], sums / weights, atol=1.1e-3)
    assert tokens["text"].tolist() == [text[a:b] for a, b in where.T]
    assert summary["sequences"]["divided into windows"] == 1
    assert summary["windows"] == len(starts) + 1
    said = pd.read_csv(folder / "s.predictions.tsv", sep="\t")
    said = said[said["sequence"] == "t0"]
    mean = said[said["part"] == "window"]["kingdom_probability"]
    assert said["windows"].iloc[0] == len(starts)
    assert mean.min() <= said["kingdom_probability"].iloc[0] <= mean.max()


def test_a_text_that_is_cut_has_no_score_behind_and_is_counted(run, caplog):
    text = "the fox " * 20
    summary, folder = run(
        "word_pieces", jsonl([text, "the dog"]), "given.jsonl", longer="cut", window=6,
        page=write_sample_page,
    )  # fmt: skip
    tokens = table(folder / "s.tokens.tsv")
    own = tokens[tokens["sequence"] == "t0"]
    assert np.flatnonzero(own["mask"].notna()).tolist() == list(range(6))
    assert len(own) == 40
    assert summary["sequences"]["cut"] == 1
    assert summary["tokens"] == {"read": 42, "unknown": 0, "asked for": 42, "with a score": 8}
    assert summary["windows"] == 2
    assert "1 of 2 sequences have more than the 6 tokens of a window and are cut" in caplog.text
    assert table(folder / "s.spans.tsv")["end"].max() <= 24
    # nothing is cut where nobody asks for it
    summary, _ = run("word_pieces", jsonl([text]), "given.jsonl", folder="whole")
    assert summary["sequences"]["divided into windows"] == 1
    assert summary["tokens"]["with a score"] == 40
    assert "and are divided into windows" in caplog.text
    assert summary["settings"]["layout"]["window"] == 30  # 32 positions, two special tokens


def test_unknown_pieces_empty_texts_and_special_tokens_in_a_text_are_counted(run, caplog):
    texts = ["the zebra quux fox", "", "   ", "the [MASK] fox", "[SEP]"]
    summary, folder = run("word_pieces", jsonl(texts), "given.jsonl", page=write_sample_page)
    read = summary["sequences"]
    assert (read["read"], read["explained"], read["no text"]) == (5, 3, 2)
    assert (read["empty"], read["texts of white space alone"]) == (1, 1)
    assert (read["with unknown tokens"], summary["tokens"]["unknown"]) == (1, 2)
    assert "2 of 5 sequences hold nothing to read" in caplog.text
    assert "2 of 8 tokens are unknown" in caplog.text
    tokens = table(folder / "s.tokens.tsv").set_index("text")
    assert tokens.loc[["[MASK]", "[SEP]"], "mask"].isna().all()
    assert tokens.loc["zebra", "token"] == "[UNK]"
    assert not {"[CLS]"} & set(tokens["token"])
    said = pd.read_csv(folder / "s.predictions.tsv", sep="\t", keep_default_na=False)
    empty = said[said["sequence"].isin(["t1", "t2"])]
    assert empty["status"].tolist() == ["no text"] * 2
    assert set(empty["genus"]) == {""}


PROTEINS = {
    "p1": "MKVLAAGIVGLLLAQWERTY",
    "p2": "MKJJVLX*",
    "p3": "mkvlaagivg",
    "gap": "MK--VL.AC",
    "none": "---",
    "empty": "",
    "one": "W",
}


@pytest.mark.parametrize("packed", [bytes, gzip.compress, bz2.compress])
def test_proteins_have_a_row_per_residue(packed, run, models):
    fasta = "".join(f">{name} of somebody\n{text}\n" for name, text in PROTEINS.items())
    summary, folder = run("residues", packed(fasta.encode()), "p.fa", page=write_sample_page)
    rows = table(folder / "s.residues.tsv")
    assert list(rows) == ["sequence", "start", "end", "residue", "mask"]
    for name, text in PROTEINS.items():
        text = text.upper().removesuffix("*") if name != "none" else ""
        own = rows[rows["sequence"] == name]
        assert "".join(own["residue"]) == text
        assert own["start"].tolist() == list(range(len(text)))
        assert (own["end"] - own["start"] == 1).all()
        if not text:
            continue
        places, masks, _ = alone(models("residues"), text)
        expected = np.concatenate([[m] * (b - a) for (a, b), m in zip(places, masks, strict=True)])
        np.testing.assert_allclose(own["mask"], expected, atol=2e-3)
    read = summary["sequences"]
    assert (read["read"], read["explained"], read["no residue"]) == (7, 5, 2)
    assert (read["empty"], read["without an amino acid"]) == (1, 1)
    assert read["with a stop (*) at the end"] == read["with lower case"] == 1
    assert (read["with unknown tokens"], summary["tokens"]["unknown"]) == (1, 1)  # JJ is one
    assert summary["residues"]["with a score"] == 20 + 7 + 10 + 9 + 1
    for span in table(folder / "s.spans.tsv").itertuples():
        text = PROTEINS[span.sequence].upper()
        assert span.text == text[span.start : span.end]
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "residue 20: mask" in page
    assert "of somebody" in page


def test_tables_of_proteins_are_read_as_fasta_is(run):
    fasta = "".join(f">{name}\n{text}\n" for name, text in PROTEINS.items())
    one, folder = run("residues", fasta, "p.fa", folder="one")
    rows = "".join(f"{name}\t{text}\tx\n" for name, text in PROTEINS.items())
    other, others = run("residues", "id\tsequence\tlabel\n" + rows, "p.tsv", folder="other")
    assert one["sequences"] == other["sequences"]
    for name in ("s.residues.tsv", "s.spans.tsv", "s.predictions.tsv", "s.masks.parquet"):
        assert (folder / name).read_bytes() == (others / name).read_bytes()


def test_batch_size_and_order_change_nothing(run):
    rng = np.random.default_rng(5)
    texts = [" ".join(rng.choice(["the", "fox", "é", "jumps", "👍"], n)) for n in range(1, 60, 3)]
    _, one = run("unigram", jsonl(texts), "given.jsonl", folder="one", batch_size=1, window=12)
    _, many = run("unigram", jsonl(texts), "given.jsonl", folder="many", batch_size=50, window=12)
    first, second = (table(folder / "s.tokens.tsv") for folder in (one, many))
    pd.testing.assert_frame_equal(first, second, atol=2e-3)
    lines = jsonl(texts).splitlines(keepends=True)
    _, back = run("unigram", "".join(lines[::-1]), "given.jsonl", folder="back", window=12)
    third = table(back / "s.tokens.tsv").sort_values("sequence", kind="stable", ignore_index=True)
    first = first.sort_values("sequence", kind="stable", ignore_index=True)
    pd.testing.assert_frame_equal(first, third, atol=2e-3)


def test_an_interrupted_run_goes_on_and_ends_with_the_same_bytes(run, tmp_path, monkeypatch):
    monkeypatch.setattr("whatyouread.explain.run.BLOCK", 4)
    given = {"content": jsonl([f"the {'fox ' * n}é" for n in range(1, 30)]), "file": "g.jsonl"}
    given |= {"page": write_sample_page, "batch_size": 4, "window": 10}
    run("word_pieces", **given, folder="whole")
    score, seen = Scorer.score, []

    def breaks(self, *args):
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(1)
        return score(self, *args)

    monkeypatch.setattr(Scorer, "score", breaks)
    with pytest.raises(KeyboardInterrupt):
        run("word_pieces", **given, folder="parts")
    seen.clear()
    monkeypatch.setattr(Scorer, "score", lambda *args: seen.append(1) or score(*args))
    run("word_pieces", **given, folder="parts")
    windows = pq.read_table(tmp_path / "whole/s.masks.parquet").num_rows
    assert len(seen) == -(-windows // 4) - 3
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "parts").iterdir())
    for name in names:
        one, other = (tmp_path / folder / name for folder in ("whole", "parts"))
        assert one.read_bytes() == other.read_bytes(), name


def test_hostile_markup_stays_text(run):
    texts = [*TEXTS, '"><img src=x onerror=alert(1)>', "</i></div><b>the</b>", "the\x00\x07fox"]
    names = "".join(
        json.dumps({"id": f"<b>{i}</b>&\u202e", "text": text}) + "\n"
        for i, text in enumerate(texts)
    )
    summary, folder = run("word_pieces", names, "given.jsonl", page=write_sample_page)
    assert summary["page"]["sequences"] == len(texts)
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<(script|img|b)\b", page)
    assert "\u202e<" not in page.split("<section")[0]
    assert page.count("<section") == len(texts)
    shown = re.findall(r'<div class="text" dir="auto">(.*?)</div>', page, re.DOTALL)
    for text, own in zip(texts, shown, strict=True):
        plain = html.unescape(re.sub(r"<[^>]*>", "", own))
        assert plain == re.sub("[\x00-\x08\x0b\x0c\x0e-\x1f]", "\ufffd", text)


def test_texts_with_tabs_line_ends_and_quotes_come_back_from_the_tables(run):
    texts = ['the "fox"', "the\tfox", "the\nfox", "the\r\nfox", '"', "a\rb"]
    _, folder = run("word_pieces", jsonl(texts), "given.jsonl")
    for name in ("tokens", "spans"):
        for row in table(folder / f"s.{name}.tsv").itertuples():
            assert row.text == texts[int(row.sequence[1:])][row.start : row.end]


def test_regions_are_of_letters(run):
    text = "MKVLAAGIVGLLLAQWERTY"
    _, everything = run("residues", f">a\n{text}\n>b\nMKV\n", "p.fa", folder="all")
    summary, folder = run("residues", f">a\n{text}\n>b\nMKV\n", "p.fa", regions=["a:3-5", "a:20"])
    rows = table(folder / "s.residues.tsv")
    expected = table(everything / "s.residues.tsv")["mask"]
    scored = rows["mask"].notna()
    assert np.flatnonzero(scored).tolist() == [2, 3, 4, 19]
    np.testing.assert_array_equal(rows["mask"][scored], expected[scored])
    assert summary["sequences"]["not asked for"] == 1
    summary, folder = run("word_pieces", jsonl(["the quick fox"]), "t.jsonl", regions=["t0:6-6"],
                          folder="word")  # fmt: skip
    rows = table(folder / "s.tokens.tsv")
    assert rows["text"][rows["mask"].notna()].tolist() == ["quick"]


@pytest.mark.parametrize(
    ("kind", "options", "said"),
    [
        ("residues", {"annotation": "genes.gff"}, "--annotation is for DNA"),
        ("residues", {"strands": "apart"}, "--strands is for DNA"),
        ("word_pieces", {"offsets": 2}, "--offsets is for DNA .* this model reads texts"),
        ("word_pieces", {"gap": 5}, "--gap is for DNA"),
        ("word_pieces", {"window": 31}, "--window 31: .* give 1 to 30"),
        ("word_pieces", {"window": 0}, "--window 0"),
        ("word_pieces", {"window": -1}, "--window -1"),
        ("residues", {"window": 0}, "--window 0: .* give 1 or more"),
        ("residues", {"overlap": 1.0}, "--overlap 1.0"),
        ("residues", {"classes": ["genus=Roosa"]}, "--classes: the model has no class"),
        ("residues", {"regions": ["c:1-2"]}, "no sequence called c"),
        ("residues", {"regions": ["a:1-200"]}, "a ends at 6"),
    ],
)
def test_options_that_make_no_sense_get_one_line(kind, options, said, run, tmp_path):
    (tmp_path / "genes.gff").write_text("a\tx\tCDS\t1\t9\t.\t+\t.\tID=c\n")
    if "annotation" in options:
        options = {"annotation": tmp_path / options["annotation"]}
    content = ">a\nMKVLAA\n" if kind == "residues" else jsonl(["the fox"])
    with pytest.raises(UserError, match=said) as error:
        run(kind, content, "given.fa" if kind == "residues" else "given.jsonl", **options)
    assert "\n" not in str(error.value)
    made = tmp_path / "out"
    assert not made.exists() or not [p for p in made.iterdir() if p.name[0] != "."]


DNA = ">chr1\n" + "ACGTTGCA" * 40 + "\n"


@pytest.mark.parametrize(
    ("kind", "content", "file", "said"),
    [
        ("word_pieces", DNA, "g.fa", "this is FASTA, and the model reads texts: give a TSV"),
        ("residues", DNA, "g.fa", "it is DNA, and this model reads proteins. Give proteins"),
        (
            "residues",
            "LOCUS       X 4 bp DNA\n",
            "g.gb",
            "line 1: .*this model reads proteins: give",
        ),
        ("residues", "@r\nACGT\n+\nIIII\n", "r.fq", "this model reads proteins: give FASTA"),
        ("word_pieces", "@r\nACGT\n+\nIIII\n", "r.fq", "this model reads texts: give TSV"),
        (
            "word_pieces",
            "name,label\nx,y\n",
            "t.csv",
            "line 1: 'name,label': this model reads texts",
        ),
        ("word_pieces", '{"id": 1}\n', "t.jsonl", "line 1: it has no text"),
        ("word_pieces", '[{"text": "x"}]\n', "t.json", "this model reads texts: give TSV"),
        ("word_pieces", "text\nthe\tfox\n", "t.tsv", "line 2: 2 columns"),
        ("word_pieces", b"id\ttext\n1\tcaf\xe9\n", "t.tsv", "no UTF-8"),
        ("word_pieces", "id\ttext\na\tx\na\ty\n", "t.tsv", "two sequences are called a"),
        ("residues", "id\ttext\na\tMK V\n", "t.tsv", "line 2: white space inside"),
        ("residues", ">a\nMK V\n", "p.fa", "white space or a control character"),
        ("residues", ">a\nMKV\n>a\nMKV\n", "p.fa", "line 3: the name a is there twice"),
        ("residues", "> \nMKV\n", "p.fa", "line 1: a record without a name"),
        ("residues", b"PK\x03\x04" + bytes(600), "p.zip", "an archive of files"),
        ("word_pieces", "id,text\n".encode("utf-16"), "t.csv", "UTF-16"),
    ],
)
def test_wrong_files_get_one_line(kind, content, file, said, run, tmp_path):
    with pytest.raises(UserError, match=said) as error:
        run(kind, content, file)
    assert "\n" not in str(error.value)
    assert not [path for path in (tmp_path / "out").iterdir() if path.name[0] != "."]


@pytest.mark.parametrize("content", ["", "\n\n", "text\n", "id,text\n"])
def test_no_text_at_all_is_no_error(content, run, caplog):
    summary, folder = run("word_pieces", content, "t.csv", page=write_sample_page)
    assert summary["sequences"]["read"] == summary["windows"] == 0
    assert "no sequence in it" in caplog.text
    assert len((folder / "s.tokens.tsv").read_text().splitlines()) == 1
    assert pq.read_table(folder / "s.masks.parquet").num_rows == 0


@pytest.mark.parametrize(
    ("content", "file"),
    [
        ("text\nthe fox\n\ufeff\n", "t.txt"),
        ("\ufeffid\ttext\n1\tthe fox\n", "t.tsv"),
        ('id,text\n1,"the ""quick"", brown\nfox"\n', "t.csv"),
        ('id,text\n1,"the ""quick"", brown\nfox"\n', "t"),
        ('{"text": "the fox"}\n', "t"),
        ('\n{"sequence": "the fox", "labels": ["a"]}\n', "t.ndjson"),
    ],
)
def test_tables_are_known_by_their_content(content, file, run):
    summary, folder = run("word_pieces", content, file)
    assert summary["sequences"]["explained"] >= 1
    texts = table(folder / "s.tokens.tsv")["text"].tolist()
    assert texts[0] == "the"
    assert "fox" in texts


def test_classes_that_are_asked_for_choose_the_masks(run):
    _, folder = run("residues", ">a\nMKVLAAGIV\n", "p.fa", classes=["genus=Rosa"])
    [row] = pq.read_table(folder / "s.masks.parquet").to_pylist()
    assert row["genus"] == "Rosa"


def test_the_alphabet_of_the_training_says_what_is_read_whatever_the_tokenizer(tmp_path):
    """DNA and proteins in the byte pieces of a folder's tokenizer: a row per base or residue."""
    texts = {"dna": "acgtnRUthe", "protein": "mkvtheLJ"}
    read = {"dna": "ACGTNRTTHE", "protein": "MKVTHELJ"}
    for alphabet, text in texts.items():
        model = write_reader(tmp_path / alphabet, "bytes", alphabet=alphabet)
        assert load_explainer(model).alphabet == alphabet
        (tmp_path / "g.fa").write_text(f">a x\n{text}\n>b\nTTT\n")
        out = tmp_path / f"out {alphabet}"
        explain(Request(str(model), [str(tmp_path / "g.fa")], out), write_sample_page)
        name = {"dna": "base", "protein": "residue"}[alphabet]
        rows = table(out / f"g.{name}s.tsv")
        assert "".join(rows[name][rows["sequence"] == "a"]) == read[alphabet]
        assert rows["mask"].notna().all()
        assert not list(out.glob("*.bw"))
    # another token may cover several letters
    model = write_reader(tmp_path / "text", "bytes", alphabet="text")
    (tmp_path / "g.tsv").write_text("text\nthe fox\n")
    explain(Request(str(model), [str(tmp_path / "g.tsv")], tmp_path / "out"))
    assert table(tmp_path / "out/g.tokens.tsv")["text"].tolist() == ["the", " ", "f", "o", "x"]


def test_a_model_of_an_older_version_is_read_by_its_tokens(tmp_path, models):
    assert "alphabet" not in (models("residues") / "classifier.json").read_text()
    found = [load_explainer(models(kind)).alphabet for kind in ("residues", "unigram", "bytes")]
    assert found == ["protein", "text", "text"]
    assert load_explainer(write_models(tmp_path / "dna")).alphabet == "dna"


def test_several_files_and_standard_input(models, tmp_path, monkeypatch):
    (tmp_path / "one.tsv").write_text("id\ttext\na\tthe fox\n")
    (tmp_path / "two.jsonl").write_text('{"id": 7, "text": "the dog"}\n')
    paths = [str(tmp_path / name) for name in ("one.tsv", "two.jsonl")]
    summary = explain(Request(str(models("word_pieces")), paths, tmp_path / "out"))
    assert (summary["sample"], summary["sequences"]["read"]) == ("one", 2)
    assert set(table(tmp_path / "out/one.tokens.tsv")["sequence"].astype(str)) == {"a", "7"}
    given = tmp_path / "given"
    given.write_bytes(gzip.compress(b'id,text\nb,"the, fox"\n'))
    with given.open() as stream:
        monkeypatch.setattr("sys.stdin", stream)
        summary = explain(Request(str(models("word_pieces")), ["-"], tmp_path / "stdin"))
    assert summary["sequences"]["explained"] == 1
    assert table(tmp_path / "stdin/sequences.tokens.tsv")["text"].tolist() == ["the", ",", "fox"]


@pytest.mark.parametrize(
    "content",
    [
        b'{"text": "'
        + b"the fox " * 9000
        + b'"}\n{"text": "last"}\n',  # a line longer than the start
        b"id\ttext\n" + b"".join(b"r%d\tthe fox\n" % i for i in range(7000)),
        b"\xef\xbb\xbfid,text\r\n" + b"".join(b"r%d,the fox\r\n" % i for i in range(7000)),
    ],
)
def test_a_file_that_comes_in_small_pieces_is_read_as_a_whole(content, tmp_path):
    tokenizer = tokenizer_of(tokenizer_folder(tmp_path / "t"))
    read, write = os.pipe()

    def slowly():
        with os.fdopen(write, "wb", buffering=0) as stream:
            for start in (*range(12), *range(12, len(content), 5000)):
                stream.write(content[start : start + (1 if start < 12 else 5000)])

    thread = threading.Thread(target=slowly)
    thread.start()
    path = tmp_path / "pipe"
    path.symlink_to(f"/dev/fd/{read}")
    records = read_token_records(str(path), "text", tokenizer, Meter(), Limit(30))
    found = [text_of(record.letters) for record in records]
    thread.join()
    os.close(read)
    lines = content.decode("utf-8-sig").splitlines()
    assert len(found) == (2 if lines[0][0] == "{" else len(lines) - 1)
    assert set(found) == {"the fox"} or [len(text) for text in found] == [72000, 4]


def test_a_page_says_what_it_does_not_show(run, monkeypatch):
    monkeypatch.setattr("whatyouread.report.token_page.MOST_LETTERS", 16)
    _, folder = run("word_pieces", jsonl(["the fox"] * 4), "t.jsonl", page=write_sample_page)
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert page.count("<section") == 2
    assert "shows 2 of 4 sequences, and 14 of 28 characters" in page
    assert len(table(folder / "s.tokens.tsv")) == 8
