"""The page of an explained sample as a file. test_page_in_browser.py opens it."""

import base64
import gzip
import hashlib
import html.parser
import json
import re

import numpy as np
import pytest
from helpers_pages import LEVELS, page_record

from whatyouread.report import explain_page
from whatyouread.report.explain_page import (
    NO_CLASS,
    NO_PROBABILITY,
    NO_SCORE,
    PageCounts,
    mask_bytes,
    write_page,
)

HOSTILE = [
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror=alert(1)>",
    "{{scripts}} {{data}} {{counts}}",
    '"><b onmouseover=alert(1)>',
    "a\x00b\x1bc\udc80",
    "<!--",
]


class Page(html.parser.HTMLParser):
    """The elements of a page, the texts of its scripts, and its visible text."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.scripts, self.text = [], [], ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data):
        if self.tags and self.tags[-1][0] == "script" and self.cdata_elem == "script":
            self.scripts[-1] = (self.scripts[-1][0], self.scripts[-1][1] + data)
        elif self.cdata_elem is None:
            self.text += data

    @property
    def code(self):
        return [text for attributes, text in self.scripts if "type" not in attributes]

    @property
    def policy(self):
        [found] = [a["content"] for tag, a in self.tags if tag == "meta" and "http-equiv" in a]
        return dict(part.split(" ", 1) for part in found.split("; "))


def blocks(path) -> dict:
    """id -> (header, arrays) of a page."""
    found = {}
    for attributes, text in Page(path).scripts:
        if attributes.get("type") == "application/octet-stream":
            data = gzip.decompress(base64.b64decode(text))
            size = int(np.frombuffer(data, "<u4", 1)[0])
            header, at, arrays = json.loads(data[4 : 4 + size]), 4 + size, {}
            for name, dtype, count in header["arrays"]:
                at += -at % 4
                arrays[name] = np.frombuffer(data, np.dtype(dtype).newbyteorder("<"), count, at)
                at += arrays[name].nbytes
            assert at == len(data)
            found[attributes["id"]] = header, arrays
    return found


def letters(arrays: dict) -> bytes:
    """The bases of a block."""
    packed = arrays["bases"]
    codes = np.stack([packed >> shift & 3 for shift in (0, 2, 4, 6)], 1).ravel()
    found = np.frombuffer(b"ACGT", np.uint8)[codes[: len(arrays["mask"])]].copy()
    for start, end in arrays["unknown"].reshape(-1, 2):
        found[start:end] = ord("N")
    return found.tobytes()


def written(path, records, **options):
    settings = {"sample": "sample", "levels": LEVELS, "token": 6, "facts": {}} | options
    return write_page(path, iter(records), **settings)


@pytest.fixture
def rng():
    return np.random.default_rng(17)


def records_of(rng, lengths):
    return [page_record(rng, f"r{i}", length, window=50) for i, length in enumerate(lengths)]


@pytest.mark.parametrize("block", [1, 100, 2_000_000])
def test_the_data_can_be_read_back(tmp_path, rng, monkeypatch, block):
    monkeypatch.setattr(explain_page, "BLOCK_BASES", block)
    records = records_of(rng, [7, 0, 1, 5, 6, 7, 130, 50, 51, 2])
    for record, runs in zip(records[:5], [(6, 7), (0, 0), (0, 1), (0, 2), (3, 5)], strict=True):
        record.bases = record.bases.copy()
        record.bases[slice(*runs)] = ord("N")
        record.mask[slice(*runs)] = NO_SCORE
    records[6].features = [("CDS", 0, 130, "-", "a<b>"), ("tRNA", 5, 9, "+", "")]
    records[6].probabilities["genus"][0] = np.nan
    path = tmp_path / "index.html"
    counts = written(path, records)
    assert counts == PageCounts(10, 10, 259, 259)
    found = blocks(path)
    index, rows = found.pop("index")
    assert index["names"] == [record.name for record in records]
    assert rows["length"].tolist() == [record.length for record in records]
    assert sum(index["blocks"]) == 10
    assert len(found) == len(index["blocks"]) == {1: 9, 100: 4, 2_000_000: 1}[block]

    def joined(name):
        return np.concatenate([found[f"block-{i}"][1][name] for i in range(len(found))])

    def of_all(function):
        return np.concatenate([np.ravel(function(record)) for record in records])

    bases = b"".join(letters(found[f"block-{i}"][1]) for i in range(len(found)))
    assert bases == b"".join(record.bases.tobytes() for record in records)
    assert (joined("mask") == of_all(lambda record: record.mask)).all()
    assert (joined("segments") == of_all(lambda record: record.segments)).all()
    assert joined("segment-count").tolist() == [len(record.segments) for record in records]
    for i, level in enumerate(LEVELS):
        assert (joined(f"class-{i}") == of_all(lambda r, level=level: r.classes[level])).all()
        expected = of_all(lambda r, level=level: r.probabilities[level])
        assert joined(f"probability-{i}") == pytest.approx(
            np.where(np.isnan(expected), NO_PROBABILITY, expected * 10_000), abs=0.51
        )
    features = [list(header["features"].values()) for header, _ in found.values()]
    [[only]] = [one for one in features if one]
    assert only == [["CDS", 0, 130, "-", "a<b>"], ["tRNA", 5, 9, "+", ""]]


def test_the_index_counts_scores_and_classes(tmp_path, rng):
    one = page_record(rng, "one", 12, window=6)
    one.mask = np.array([0, 100, 125, 126, 250, 255, 255, 200, 125, 125, 0, 1], np.uint8)
    one.classes = {"domain": np.array([1, 1]), "genus": np.array([4, NO_CLASS])}
    one.predicted = {"genus": (4, 0.98765, None, 0.0), "domain": (1, 1.0, 0, 0.00004)}
    two = page_record(rng, "two", 3, window=2)
    two.classes = {
        "domain": np.array([0, 1]),
        "genus": np.array([2, 2]),
        "phylum": np.array([1, 3]),
    }
    two.predicted = {}
    written(tmp_path / "index.html", [one, two], threshold=0.5)
    header, rows = blocks(tmp_path / "index.html")["index"]
    assert header["threshold"] == 0.5
    assert rows["scored"].tolist() == [10, 3]
    assert rows["above"][0] == 3  # 126, 250 and 200: 125 is the threshold itself
    assert rows["above"][1] == (two.mask > 125).sum()
    assert rows["class-0"].tolist() == [1, NO_CLASS]
    assert rows["runner-0"].tolist() == [0, NO_CLASS]
    assert rows["class-2"].tolist() == [4, NO_CLASS]
    assert rows["runner-2"].tolist() == [NO_CLASS, NO_CLASS]
    assert rows["probability-2"].tolist() == [9876, 0]  # 9876.5 is rounded to even
    assert rows["runner-probability-0"].tolist() == [0, 0]
    # the classes of the segments: one has 1 twice, two has 0 and 1
    assert rows["present-count-0"].tolist() == [1, 2]
    assert rows["present-0"].tolist() == [1, 0, 1]
    assert rows["present-count-1"].tolist() == [1, 2]
    assert rows["present-1"].tolist() == [NO_CLASS, 1, 3]
    # by bases: 1 has 12 and 1, 0 has 2; what has no class has no colour
    assert rows["common-0"].tolist() == [1, 0]
    assert rows["common-1"].tolist() == [1, 3]
    assert rows["common-2"].tolist() == [4, 2]


@pytest.mark.parametrize(
    ("value", "byte"),
    [(0.0, 0), (1.0, 250), (0.5, 125), (0.501, 125), (0.503, 126), (0.0019, 0), (np.nan, NO_SCORE)],
)
def test_masks_as_bytes(value, byte):
    made = mask_bytes(np.array([value, 0.2], np.float32))
    assert made.dtype == np.uint8
    assert made.tolist() == [byte, 50]


def test_masks_of_both_strands(tmp_path, rng):
    apart = page_record(rng, "apart", 7)
    apart.mask_minus = np.arange(7, dtype=np.uint8)
    written(tmp_path / "index.html", [page_record(rng, "merged", 2), apart])
    found = blocks(tmp_path / "index.html")
    assert found["index"][0]["strands"] == 2
    assert found["block-0"][1]["minus"].tolist() == [NO_SCORE, NO_SCORE, 0, 1, 2, 3, 4, 5, 6]
    written(tmp_path / "merged.html", [page_record(rng, "merged", 2)])
    found = blocks(tmp_path / "merged.html")
    assert found["index"][0]["strands"] == 1
    assert "minus" not in found["block-0"][1]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_stay_text(tmp_path, rng, text):
    record = page_record(rng, text, 20)
    record.description = text
    record.features = [(text, 0, 9, "+", text)]
    levels = {text: [text, "b"]}
    record.classes = {text: np.array([0])}
    record.probabilities = {text: np.array([0.5])}
    path = tmp_path / "index.html"
    facts = {text: text, "list": [text]}
    written(
        path,
        [record],
        sample=text,
        levels=levels,
        facts=facts,
        enrichment=[{text: text, "p": 0.25}],
    )
    plain = tmp_path / "plain.html"
    written(
        plain, [page_record(rng, "x", 20)], levels={"x": ["x", "b"]}, facts={"x": "x", "list": ["x"]},
        enrichment=[{"x": "x", "p": 0.25}],
    )  # fmt: skip
    page, without = Page(path), Page(plain)
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in without.tags]
    assert [sorted(a) for _, a in page.tags] == [sorted(a) for _, a in without.tags]
    assert page.code == without.code
    shown = re.sub("[\x00\x1b\udc80]", "�", text)
    assert page.text.count(shown) >= 6  # title, heading, facts, enrichment
    found = blocks(path)
    assert found["index"][0]["names"] == [text]
    assert found["index"][0]["levels"] == [[text, [text, "b"]]]
    assert found["block-0"][0]["features"] == {"0": [[text, 0, 9, "+", text]]}


def test_the_policy_names_each_script_by_its_hash(tmp_path, rng):
    written(tmp_path / "index.html", records_of(rng, [30, 40]))
    page = Page(tmp_path / "index.html")
    policy = page.policy
    assert policy["default-src"] == "'none'"
    digests = [
        base64.b64encode(hashlib.sha256(code.encode()).digest()).decode() for code in page.code
    ]
    assert policy["script-src"].split() == [f"'sha256-{digest}'" for digest in digests]
    assert len(digests) == len(explain_page.SCRIPTS)
    assert set(policy) == {"default-src", "style-src", "script-src", "base-uri", "form-action"}
    assert not any(name.startswith("on") or name == "src" for _, a in page.tags for name in a)


def test_nothing_comes_from_elsewhere(tmp_path, rng):
    written(tmp_path / "index.html", records_of(rng, [30]), enrichment=[{"type": "CDS"}])
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    page = Page(tmp_path / "index.html")
    assert {a["href"] for _, a in page.tags if "href" in a} == {"#overview-part"}
    assert set(re.findall(r"\w+://[^\"'\s]+", text)) == {"http://www.w3.org/2000/svg"}
    assert not re.search(r"@import|url\(|\bimport\b|\beval\b|new Function|fetch\(", text)
    assert {tag for tag, _ in page.tags}.isdisjoint({"link", "img", "iframe", "object", "base"})


def test_each_asset_is_used_and_can_be_inlined():
    there = {path.name for path in explain_page.ASSETS.iterdir()}
    assert there == {*explain_page.SCRIPTS, "page.css", "page.html"}
    for name in there - {"page.html"}:
        text = (explain_page.ASSETS / name).read_text(encoding="utf-8").lower()
        assert not any(end in text for end in ("</script", "<script", "</style", "<!--")), name


def test_each_label_and_button_of_the_template_has_a_name():
    text = (explain_page.ASSETS / "page.html").read_text(encoding="utf-8")
    for control in re.findall(r"<(?:select|input)[^>]*>", text):
        before = text[: text.index(control)]
        assert before.rfind("<label") > before.rfind("</label"), control
    wanted = set()
    for name in explain_page.SCRIPTS:
        wanted |= set(re.findall(r'\$\("([\w-]+)"\)', (explain_page.ASSETS / name).read_text()))
    assert wanted <= set(re.findall(r'id="([\w-]+)"', text))


def test_equal_records_give_equal_bytes(tmp_path):
    for name in ("a.html", "b.html"):
        records = records_of(np.random.default_rng(3), [100, 2000, 0])
        written(tmp_path / name, records, facts={"b": 1, "a": 2})
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "b.html"]


@pytest.mark.parametrize(
    ("bounds", "shown"),
    [
        ({}, "abcd"),
        ({"most_bases": 1000}, "abcd"),
        ({"most_bases": 999}, "abc"),
        ({"most_bases": 500}, "bcd"),  # the first one does not fit, later ones do
        ({"most_bases": 100}, "bd"),
        ({"most_bases": 0}, ""),
        ({"most_records": 2}, "ab"),
    ],
)
def test_what_does_not_fit_is_counted_and_said(tmp_path, rng, bounds, shown):
    lengths = dict(zip("abcd", (600, 100, 200, 100), strict=True))
    if bounds.get("most_bases") == 100:
        lengths |= {"b": 60, "d": 40}
    records = [page_record(rng, name, length) for name, length in lengths.items()]
    counts = written(tmp_path / "index.html", records, **bounds)
    found = blocks(tmp_path / "index.html")
    assert "".join(found["index"][0]["names"]) == shown
    size = sum(lengths[name] for name in shown)
    assert counts == PageCounts(len(shown), 4, size, sum(lengths.values()))
    text = Page(tmp_path / "index.html").text
    if len(shown) == 4:
        assert "4 sequences, 1,000 bases." in text
        assert "This page shows" not in text
    else:
        said = (
            f"This page shows {len(shown)} of 4 sequences, and {size:,} of {counts.bases:,} bases"
        )
        assert said in text
        assert said in counts.sentence()


def test_a_page_without_a_sequence(tmp_path):
    assert written(tmp_path / "index.html", []) == PageCounts()
    header, rows = blocks(tmp_path / "index.html")["index"]
    assert header["names"] == header["blocks"] == []
    assert len(rows["length"]) == len(rows["class-0"]) == len(rows["common-2"]) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"mask": np.zeros(9, np.uint8)},
        {"bases": np.zeros(11, np.uint8)},
        {"mask_minus": np.zeros(9, np.uint8)},
        {"segments": np.array([[0, 11]])},
        {"segments": np.array([[-1, 5]])},
        {"segments": np.array([[5, 3]])},
        {"segments": np.array([[0, 6], [5, 10]])},
        {"classes": {"domain": np.array([1, 2])}},
        {"probabilities": {"genus": np.array([])}},
    ],
)
def test_arrays_that_do_not_fit_leave_no_page(tmp_path, rng, change):
    record = page_record(rng, "odd", 10, **change)
    if len(record.segments) == 2:
        record.classes, record.probabilities = {}, {}
    with pytest.raises(ValueError, match="odd: "):
        written(tmp_path / "index.html", [page_record(rng, "good", 10), record])
    assert list(tmp_path.iterdir()) == []


def test_letters_that_are_no_base_are_shown_as_n(tmp_path, rng):
    record = page_record(rng, "codes", 8, bases=np.frombuffer(b"acgtRNU-", np.uint8))
    written(tmp_path / "index.html", [record])
    assert letters(blocks(tmp_path / "index.html")["block-0"][1]) == b"ACGTNNNN"


def test_facts_and_enrichment_are_shown(tmp_path, rng):
    rows = [{"type": "CDS", "share": 0.123456, "n": 4321}, {"type": "tRNA", "best": None}]
    written(tmp_path / "index.html", records_of(rng, [9]), facts={"window": 1500}, enrichment=rows)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "<th scope=row>window</th><td>1,500</td>" in text
    assert (
        "<th scope=col>type</th><th scope=col>share</th><th scope=col>n</th><th scope=col>best</th>"
        in text
    )
    assert "<td>CDS</td><td>0.1235</td><td>4,321</td><td></td>" in text
    assert "<td>tRNA</td><td></td><td></td><td></td>" in text
    written(tmp_path / "none.html", records_of(rng, [9]))
    assert "id=enrichment" not in (tmp_path / "none.html").read_text(encoding="utf-8")
