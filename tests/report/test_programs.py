"""The programs that draw: figures from small data, the same bytes each time, holding what they should."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whatyouread.data.six_mers import CLS, SIX_MERS, VOCABULARY
from whatyouread.data.token_files import TokenFile, schema, write_token_files
from whatyouread.masks.mask_files import mask_schema
from whatyouread.methods.files import Attributions, score_names, write_attributions

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
PAPER = SCRIPTS.parent / "resources" / "paper"
RANKS = ["kingdom", "phylum"]
N, LENGTH = 12, 41
LABELS = np.stack([np.arange(N) // 6, np.arange(N) // 3], axis=1)
PREDICTED = LABELS.copy()
PREDICTED[0] = [1, 3]
VALUES = {"explainer_paper": 30, "lime": 60, "random": 20, "explainer_sharp": 80}
"""Methods, and the number that each has in all tables."""
CONDITIONS = ["masks", "inverted_masks", "rounded_masks", "inverted_rounded_masks"]


def make_data(folder: Path, n: int = N) -> None:
    """Every file that a figure is drawn from, of n sequences."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(6, 4102, (n, LENGTH))
    tokens[:, 0] = CLS
    labels, predicted = LABELS[:n], PREDICTED[:n]
    keys = np.arange(100, 100 + n, dtype=np.uint64)
    ids = pa.array([f"a.fa:{i} <{i}>" for i in range(n)], pa.string())
    offsets = pa.array(np.arange(n + 1) * LENGTH, pa.int32())

    def lists(values, kind):
        return pa.ListArray.from_arrays(offsets, pa.array(np.ravel(values).astype(kind)))

    columns = [ids, pa.array(keys), lists(tokens, np.uint16)]
    columns += [pa.array(column, pa.int32()) for column in labels.T]
    with write_token_files([folder / "test.arrow"], RANKS, SIX_MERS) as (writer,):
        writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema(RANKS, SIX_MERS)))
    masks = rng.random((n, LENGTH))
    columns = [ids, pa.array(keys)]
    columns += [pa.array(c, pa.int32()) for part in (labels, predicted, labels) for c in part.T]
    content = np.tile(np.arange(LENGTH) > 0, (n, 1))
    columns += [lists(content, bool), *[lists(masks, np.float16)] * 3]
    pq.write_table(pa.table(columns, schema=mask_schema(RANKS)), folder / "masks.parquet")
    names = [("kingdom", 0, "A & B"), ("kingdom", 1, "Fungi")]
    names += [("phylum", i, name) for i, name in enumerate(["Pa", "Pb", "<i>Pc</i>", "Pd", "Pe"])]
    frame = pd.DataFrame(names, columns=["rank", "class", "name"]).assign(taxid=1, sequences=9)
    frame.to_csv(folder / "classes.tsv", sep="\t", index=False)
    planted = {"source": ["a.fa"], "header": ["1 <1>"], "rank": ["phylum"], "segment": ["S&1"]}
    planted |= {"start": [6], "end": [18], "taxid": [1]}
    pq.write_table(pa.table(planted), folder / "planted.parquet")
    for name, scores in (("lime", rng.normal(size=(n, LENGTH))), ("explainer_sharp", masks)):
        scores = dict.fromkeys(score_names(RANKS), scores.astype(np.float32))
        lengths = np.full(n, LENGTH)
        made = Attributions(ids, keys, lengths, content, labels, predicted, labels, labels, scores)
        write_attributions(folder / f"{name}.parquet", RANKS, {"plain": made})
    columns = {"id": ids, "key": keys}
    for i, rank in enumerate(RANKS):
        columns |= {f"label_{rank}": labels[:, i], f"explanandum_{rank}": predicted[:, i]}
        columns |= {f"masks_{rank}": labels[:, i]}
    pq.write_table(pa.table(columns), folder / "predictions.parquet")
    write_tables(folder)
    write_comparison(folder)


def write_tables(folder: Path) -> None:
    rows = [("explanandum", 90.0), *((name, 80.0) for name in CONDITIONS)]
    table = pd.DataFrame(rows, columns=["condition", "kingdom"])
    table = table.assign(phylum=table["kingdom"] - 10, sequences=N, paper_phylum=50.0)
    table.to_csv(folder / "table1.tsv", sep="\t", index=False)
    control = table[table["condition"] != "explanandum"].drop(columns="paper_phylum")
    controls = [
        control.assign(classes="labels", control=name, kingdom=value, phylum=value)
        for name, value in (("shuffled", 60.0), ("constant", 85.0))
    ]
    pd.concat(controls).to_csv(folder / "controls.tsv", sep="\t", index=False)
    history = pd.DataFrame({"epoch": [2, 1], "training_loss": [1.0, 2], "validation_loss": [3, 2]})
    history.to_csv(folder / "explanandum.tsv", sep="\t", index=False)
    history = history.assign(training_area=[1, 2], validation_area=[1, 2], training_odd=[5, 6])
    history.to_csv(folder / "explainer.tsv", sep="\t", index=False)
    rows = [
        [method, reader, yardstick, measure, control, percent, rank, value, value - 5, value + 5, N]
        for yardstick, further in (("fidelity", 0), ("log_probability", -900), ("accuracy", 900))
        for reader in ("classifier", "judge")
        for method, own in VALUES.items()
        for value in [own + further]
        for measure in ("kept", "removed", "steered_wrong", "net_wrong", "net_runner_up")
        for control in ("none", "shifted")
        for percent in (5, 10)
        for rank in RANKS
        if control == "none" or measure in ("kept", "removed")
    ]
    names = ["method", "reader", "yardstick", "measure", "control", "percent", "rank"]
    names += ["value", "low", "high", "n"]
    pd.DataFrame(rows, columns=names).to_csv(folder / "steering.tsv", sep="\t", index=False)
    counts = {"file": ["train", "explainer_validation"], "sequences": [1234, 5]}
    pd.DataFrame(counts).to_csv(folder / "summary.tsv", sep="\t", index=False)


def write_comparison(folder: Path) -> None:
    """What compare_methods and explain_classes write, as far as it is drawn."""
    rows = [
        [method, control, action, percent, rank, value]
        for method, value in VALUES.items()
        for control in ("none", "shifted")
        for action in ("keep", "remove")
        for percent in (0, 10, 100)
        for rank in RANKS
    ]
    names = ["method", "control", "action", "percent", "rank", "accuracy"]
    pd.DataFrame(rows, columns=names).to_csv(folder / "curves.tsv", sep="\t", index=False)
    rows = [[m, "none", N, value / 1000] for m, value in VALUES.items()]
    rows.append(["unmasked", "none", N, np.nan])
    names = ["method", "control", "sequences", "seconds_per_sequence"]
    pd.DataFrame(rows, columns=names).to_csv(folder / "comparison.tsv", sep="\t", index=False)
    rows = [
        [method, metric, "mean", value, value - 1, value + 1, N]
        for method, value in VALUES.items()
        for metric in ("comprehensiveness", "insertion_auc")
    ]
    names = ["method", "metric", "rank", "value", "low", "high", "n"]
    pd.DataFrame(rows, columns=names).to_csv(folder / "faithfulness.tsv", sep="\t", index=False)
    about = {"source": "lime", "kind": "kmer", "rank": "phylum"}
    items = [
        about | {"class": number, "name": name, "item": item, "position": place, "mean": 1.0,
                 "sd": 0.1, "support": 1.0, "class_sequences": 3}
        for number, name in enumerate(["Pa", "NA"])
        for place, item in enumerate(["ACGTAC", "CGTACG"])
    ]  # fmt: skip
    pd.DataFrame(items).to_csv(folder / "items.tsv", sep="\t", index=False)
    rows = [
        about | {"runs": n, "items": 4, "halves": n / 20, "kept": n / 10, "halves_shuffled": np.nan}
        for n in (1, 2, 5, 10)
    ]
    pd.DataFrame(rows).to_csv(folder / "stability.tsv", sep="\t", index=False)
    rows = [
        about | {"name": name, "motif": f"{name}_1", "strand": strand, "effect": effect,
                 "shuffled": 0.1, "difference_low": effect - 0.5}
        for name in ("Pa", "NA")
        for strand, effect in (("+", 2.0), ("-", 0.0))
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(folder / "motif_effects.tsv", sep="\t", index=False)
    classes = [about | {"class": number, "sequences": 3} for number in range(4)]
    pd.DataFrame(classes).to_csv(folder / "classes_summary.tsv", sep="\t", index=False)


RANK_OPTION = f"--ranks {' '.join(RANKS)}"
NAMED = f"--classes classes.tsv {RANK_OPTION}"
PROGRAMS = {
    "sequences": f"--test test.arrow --masks masks.parquet {NAMED} --count 3 --seed 1"
    " --planted planted.parquet --html OUT/sequences.html",
    "masks": "--masks masks.parquet",
    "chunks": f"--masks masks.parquet --paper {PAPER}/mask_statistics.tsv --table OUT/chunks.tsv",
    "lime": f"--sequences test.arrow --lime lime.parquet --explainer explainer_sharp.parquet {NAMED}"
    " --captum-default lime.parquet --seed 1 --planted planted.parquet",
    "training": f"--explanandum explanandum.tsv --explainer explainer.tsv --name sharp {RANK_OPTION}"
    " --counts summary.tsv",
    "confusion": f"--predictions predictions.parquet {NAMED}",
    "table1": f"--table table1.tsv --controls controls.tsv {NAMED}",
    "steering": "--steering steering.tsv --explainers explainer_paper explainer_sharp",
    "comparison": "--curves curves.tsv --comparison comparison.tsv --faithfulness faithfulness.tsv"
    " --explainers explainer_paper explainer_sharp --cost-svg OUT/cost.svg --cost-png OUT/cost.png",
    "classes": "--table items.tsv --summary classes_summary.tsv --rank phylum --source lime"
    " --classes-shown 2 --logo-svg OUT/logos.svg --logo-png OUT/logos.png",
    "stability": "--table stability.tsv --kind kmer",
    "motifs": f"--effects motif_effects.tsv {RANK_OPTION}",
}
# what must be readable in each figure; SVG files say their texts in comments
TEXTS = {
    "sequences": [
        "mask value",
        "3 of 12 test sequences",
        "kingdom A &amp; B",
        "planted segments",
        "count them, special ones left out.",
    ],
    "masks": [
        "mask value",
        "tokens (% of 480",
        "position (tokens from the start, special ones not counted)",
        "12 test sequences",
    ],
    "chunks": [
        "unmasked chunks in a sequence",
        "length of the chunk (tokens)",
        "12 test sequences",
    ],
    "lime": [
        "all scores: 40 tokens",
        "scores from 0:",
        "scores from 0.5:",
        "the mask of explainer sharp",
    ],
    "training": [
        "epoch",
        "loss (nats)",
        "total loss",
        "area",
        "odd",
        "1,234 training",
        "Explainer sharp",
    ],
    "confusion": ["true phylum (sequences)", "predicted phylum", "Pb (3)", "12 test sequences"],
    "table1": ["balanced accuracy (%)", "rounded masks", "12 test sequences", "1 of 2"],
    "steering": [
        "steering rate",
        "judge: net of steering, random class",
        "explainer paper",
        "explainer sharp",
        "controls of the Explainers",
    ],
    "comparison": ["12 test sequences", "the same scores, shifted", "explainer paper", "random"],
    "stability": [
        "How stable are the k-mers of the classes?",
        "phylum, by lime",
        "runs behind a list",
    ],
    "motifs": [
        "phylum, by lime",
        "2 of 2 motifs do more than their letters",
        "its letters in random order",
        "NA",
    ],
    "classes": [
        "Best k-mers, phylum, by lime: 2 of 2 classes",
        "of 4 in all",
        "NA (n = 3)",
        "ACGTAC",
    ],
}
RUN = """
import runpy, sys
out, scripts, *jobs = sys.argv[1:]
for job in jobs:
    name, options = job.split("|")
    ends = f" --svg OUT/{name}.svg --png OUT/{name}.png --log OUT/{name}.log"
    path = f"{scripts}/plot_{name}.py"
    sys.argv = [path, *(o.replace("OUT", out) for o in (options + ends).split())]
    runpy.run_path(path, run_name="__main__")
assert "torch" not in sys.modules
"""


def run(folder: Path, out: Path, jobs: dict, seed: str = "0") -> subprocess.CompletedProcess:
    out.mkdir(exist_ok=True)
    command = [sys.executable, "-c", RUN, str(out), str(SCRIPTS)]
    command += [f"{name}|{options}" for name, options in jobs.items()]
    environment = {"PYTHONPATH": str(SCRIPTS), "PYTHONHASHSEED": seed, "PATH": "", "HOME": str(out)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A folder with the data, and below it two folders with all figures, drawn one after the other."""
    folder = tmp_path_factory.mktemp("figures")
    make_data(folder)
    for name, seed in (("first", "1"), ("second", "2")):
        done = run(folder, folder / name, PROGRAMS, seed)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize("name", PROGRAMS)
def test_figures_are_made_the_same_twice(drawn, name):
    files = [path for path in (drawn / "first").glob(f"{name}.*") if path.suffix != ".log"]
    assert {".svg", ".png"} <= {path.suffix for path in files}
    for path in files:
        assert path.read_bytes() == (drawn / "second" / path.name).read_bytes()
    assert (drawn / "first" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", PROGRAMS)
def test_svg_is_xml_with_its_labels(drawn, name):
    text = (drawn / "first" / f"{name}.svg").read_text()
    assert ET.fromstring(text).tag.endswith("svg")
    comments = "\n".join(re.findall("<!--(.*?)-->", text, re.DOTALL))
    for expected in TEXTS[name]:
        assert expected in comments


def test_table_of_mask_statistics(drawn):
    table = pd.read_csv(drawn / "first" / "chunks.tsv", sep="\t").set_index("quantity")
    assert table["paper"].tolist() == [0.73, 67.28, 3.35, 90, 51.39]
    values = pq.read_table(drawn / "masks.parquet")["mask_labels"].to_pylist()
    values = np.array(values, float)[:, 1:]
    assert table.loc["mean_mask", "ours"] == pytest.approx(values.mean(), rel=1e-3)
    above = 100 * (values > 0.5).mean()
    assert table.loc["tokens_above_threshold", "ours"] == pytest.approx(above, rel=1e-3)


class Page(HTMLParser):
    """The elements `span` of a page with their attributes and text, and its other tags."""

    def __init__(self, text: str):
        super().__init__()
        self.spans, self.tags, self.open = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta",):
            self.open.append(tag)
        if tag == "span" and "title" in dict(attrs):
            self.spans.append([dict(attrs), ""])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "span" and self.spans:
            self.spans[-1][1] += data


def test_page_holds_tokens_and_values(drawn):
    text = (drawn / "first" / "sequences.html").read_text()
    page = Page(text)
    file = TokenFile(drawn / "test.arrow", RANKS)
    shown = [int(i) for i in re.findall(r"<h2>\d\. a.fa:(\d+) &lt;\1&gt;</h2>", text)]
    assert len(set(shown)) == 3
    assert 0 not in shown  # it is classified wrongly
    assert len({LABELS[i, 1] for i in shown}) == 3
    assert {LABELS[i, 0] for i in shown} == {0, 1}
    masks = np.array(pq.read_table(drawn / "masks.parquet")["mask_labels"].to_pylist(), float)
    spans = iter(page.spans)
    for i in shown:
        expected = [VOCABULARY[t] for t in file.batch(np.array([i])).ids[0, 1:]]
        for kind in ("continuous", "rounded"):
            for token, value in zip(expected, masks[i, 1:], strict=True):
                attributes, letters = next(spans)
                assert letters == token
                assert f"mask {value:.3f}" in attributes["title"]
                if kind == "continuous":
                    assert attributes["style"] == f"--m:{value:.3f}"
                else:
                    assert attributes["class"].split()[0] == ("on" if value > 0.5 else "off")
    assert next(spans, None) is None


def test_page_is_whole_by_itself_and_escaped(drawn):
    text = (drawn / "first" / "sequences.html").read_text()
    assert "http://" not in text
    assert "https://" not in text
    assert not {"script", "link", "img", "iframe", "i"} & {tag for tag, _ in Page(text).tags}
    assert not any({"src", "href"} & attributes.keys() for _, attributes in Page(text).tags)
    assert "<0>" not in text


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("masks", ("masks.parquet", "none.parquet"), "not there"),
        ("masks", ("masks.parquet", "table1.tsv"), "damaged"),
        ("sequences", ("--ranks kingdom phylum", "--ranks phylum"), "columns"),
        ("lime", (NAMED, NAMED + " --rank genus"), "no such rank"),
        ("confusion", (NAMED, NAMED + " --conditions rounded_masks"), "no column rounded_masks"),
        ("confusion", (NAMED, NAMED + " --rank genus"), "no such rank"),
        ("training", ("explainer.tsv", "table1.tsv"), "no column epoch"),
        ("table1", ("--table table1.tsv", "--table summary.tsv"), "no column condition"),
        ("steering", ("steering.tsv", "none.tsv"), "not there"),
        ("steering", ("steering.tsv", "masks.parquet"), "not a table"),
        ("comparison", ("explainer_paper", "explainer_blunt"), "explainer_blunt is not among"),
    ],
)
def test_mistakes_end_in_one_line(drawn, tmp_path, name, change, message):
    done = run(drawn, tmp_path, {name: PROGRAMS[name].replace(*change)})
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("*.svg"))


def test_single_sequence_single_class(tmp_path):
    make_data(tmp_path, n=1)
    jobs = {name: PROGRAMS[name] for name in PROGRAMS if "parquet" in PROGRAMS[name]}
    done = run(tmp_path, tmp_path / "out", jobs)
    assert done.returncode == 0, done.stderr
    assert "1 test sequence" in (tmp_path / "out" / "chunks.svg").read_text()


HELP = """
import runpy, sys
heavy = {"matplotlib", "pandas", "pyarrow", "torch"}
for path in sys.argv[1:]:
    sys.argv = [path, "--help"]
    try:
        runpy.run_path(path, run_name="__main__")
    except SystemExit as end:
        assert end.code == 0
    assert not heavy & sys.modules.keys(), (path, heavy & sys.modules.keys())
"""


def test_help_imports_nothing_heavy():
    programs = [
        *SCRIPTS.glob("plot_*.py"),
        *SCRIPTS.glob("render_*.py"),
        SCRIPTS / "summarize_run.py",
    ]
    assert len(programs) == len(PROGRAMS) + 3
    command = [sys.executable, "-c", HELP, *map(str, programs)]
    environment = {"PYTHONPATH": str(SCRIPTS), "PATH": ""}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("usage:") == len(programs)
