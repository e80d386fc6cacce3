"""The page of the keywords of classes: what it shows, how words are coloured, and hostile text."""

import re

import pandas as pd

from whatyouread.report.keywords_page import AROUND, keywords_page

TEXT = "A recipe needs flour & sugar. Buy now!"
HOSTILE = "<script>alert(1)</script> \"onmouseover=x' & \x00 flour"


def page(text=TEXT, name="Recipes", item="flour", places=True):
    summary = {
        "class": [0, 1], "name": [name, "News"], "sequences": [3, 9], "stable_items": [1, 0],
        "distinctiveness": [1.0, float("nan")], "coverage": [0.5, 0.0], "cross_coverage": [0.25, 0.0],
    }  # fmt: skip
    items = {
        "class": [0], "name": [name], "position": [1], "item": [item], "mean": [0.25], "sd": [0.125],
        "runs": [3], "support": [7], "q": [0.001],
    }  # fmt: skip
    words = list(re.finditer(r"\w+", text))
    at = next(i for i, word in enumerate(words) if word[0] == "flour")
    scores = [0.5 if i == at else -0.25 if i == at + 1 else 0.0 for i in range(len(words))]
    documents = {
        "id": [f"d.tsv:{text}"], "text": [text], "scores": [scores],
        "starts": [[word.start() for word in words]], "ends": [[word.end() for word in words]],
    }  # fmt: skip
    found = {"class": [0], "item": [item], "score": [0.5], "document": [0],
             "start": [words[at].start()], "end": [words[at].end()]}  # fmt: skip
    shown = pd.DataFrame(found) if places else pd.DataFrame(found).head(0)
    frames = [pd.DataFrame(part) for part in (items, summary)]
    return keywords_page(*frames, shown, pd.DataFrame(documents), "register", "explainer_paper")


def test_what_it_shows():
    made = page()
    assert "Keywords of each register, by explainer paper" in made
    # the larger class first
    assert made.index('id="class1"') < made.index('id="class0"')
    assert (
        "3 documents; 1 keyword; distinctiveness 1.00; coverage 0.50; cross-coverage 0.25" in made
    )
    assert "9 documents; 0 keywords; coverage 0.00" in made
    assert "no word is stable here" in made
    assert "mean 0.250 (sd 0.125), 3 runs, 7 documents, q 0.001" in made
    assert '<span style="--m:1.000" title="0.5000"><b>flour</b></span>' in made
    assert '<span class="against" style="--m:0.500" title="-0.2500">sugar</span>' in made
    visible = re.sub("<[^>]*>", "", made)
    assert "A recipe needs flour &amp; sugar. Buy now!" in visible
    assert "…" not in visible


def test_a_long_text_is_cut_between_words():
    long = "word " * 100 + "flour " + "more " * 100
    visible = re.sub("<[^>]*>", "", page(long))
    line = next(line for line in visible.splitlines() if "flour" in line and "…" in line)
    shown = line.partition("…")[2].partition("…")[0]
    assert shown.startswith("word ")
    assert shown.endswith(" more")
    assert 2 * AROUND - 10 < len(shown) <= 2 * AROUND + 5
    assert set(shown.split()) == {"word", "flour", "more"}


def test_a_keyword_without_a_place_says_so():
    assert "in no such document of the first run" in page(places=False)


def test_hostile_text_is_text():
    made = page(HOSTILE, name=HOSTILE, item="<b>flour</b>")
    assert "<script" not in made
    assert "\x00" not in made
    assert "&lt;b&gt;flour&lt;/b&gt;" in made
    assert not re.search(r"<[^>]*onmouseover[^>]*>", made.replace("&quot;", ""))
    assert "default-src 'none'" in made
