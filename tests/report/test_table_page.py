"""Tables and records as web pages."""

from html.parser import HTMLParser

import numpy as np
import pandas as pd

from whatyouread.report.table_page import page, record, table
from whatyouread.support.files import write_json


class Cells(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.cells, self.open = [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attributes):
        if tag != "meta":
            self.open.append(tag)
        if tag in ("td", "th"):
            self.cells.append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "td" in self.open or "th" in self.open:
            self.cells[-1] += data


def test_numbers_are_rounded_for_reading_and_exact_for_sorting():
    frame = pd.DataFrame(
        {"a_b": [1234567.0, 12.3456, 0.00012345, np.nan], "name": ["x", "<y>", "", None]}
    )
    text = table(frame)
    cells = Cells(page("A & B", text)).cells
    assert cells == ["a b", "name", "1,234,567", "x", "12.35", "<y>", "0.000123", "", "", ""]
    assert 'data-value="12.3456"' in text
    assert "<y>" not in text
    assert "<title>A &amp; B</title>" in page("A & B", "")


def test_whole_numbers_stay_whole_and_truth_is_a_word():
    cells = Cells(table(pd.DataFrame({"n": [3], "q": [0.0], "yes": [True]}))).cells
    assert cells == ["n", "q", "yes", "3", "0", "True"]


def test_a_record_shows_the_path_of_each_value(tmp_path):
    path = tmp_path / "run.json"
    write_json(path, {"config": {"seed": 4, "ranks": ["a", "b"]}, "commit": None, "empty": {}})
    assert Cells(record(path)).cells == [
        "config › seed", "4", "config › ranks", '["a", "b"]', "commit", "null", "empty", "{}",
    ]  # fmt: skip
