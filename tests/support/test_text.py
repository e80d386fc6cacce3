"""Text from data in TSV, Markdown and HTML: it is still the same text for those who read these."""

import csv
import html
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers_names import HOSTILE, random_names
from markdown_it import MarkdownIt

from whatyouread.support.cli import UserError
from whatyouread.support.files import read_tsv, write_tsv
from whatyouread.support.text import (
    counted,
    escape_html,
    escape_markdown,
    markdown_table,
    named,
    plain,
    told_apart,
    without_controls,
)

EVERY = [*HOSTILE, *(name for seed in range(20) for name in random_names(seed, 15))]


def by_csv(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t", strict=True))


def check_names(path: Path, names: list[str]) -> pd.DataFrame:
    numbers = np.arange(len(names)) / 4
    numbers[0] = np.nan
    write_tsv(path, pd.DataFrame({"name": names, "n": numbers}), float_format="%.6g")
    table = read_tsv(path, ["name", "n"])
    assert table["name"].tolist() == names
    np.testing.assert_array_equal(table["n"], numbers)
    assert [row["name"] for row in by_csv(path)] == names
    return table


def test_a_tsv_has_the_names_that_were_written(tmp_path):
    check_names(tmp_path / "all.tsv", EVERY)


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_a_tsv_of_one_name_only_has_that_name(tmp_path, name):
    """Where all names look like numbers, or like nothing, the column would become another one."""
    if len(name) < 100:
        check_names(tmp_path / "one.tsv", [name, name])


def test_columns_of_numbers_are_numbers_and_others_text(tmp_path):
    path = tmp_path / "table.tsv"
    table = pd.DataFrame(
        {
            "whole": [1, -20, 300],
            "share": [0.1, 1e-9, 2.5e20],
            "missing": [0.5, np.nan, -np.inf],
            "counted": pd.array([3, None, 4], "Int64"),
            "code": ["007", "1", "2"],
            "power": ["1e5", "1", "2"],
            "truth": ["TRUE", "FALSE", "TRUE"],
            "rank": ["1", "2", "3"],
            "nothing": [None, None, None],
        }
    )
    write_tsv(path, table)
    read = read_tsv(path)
    kinds = {name: column.dtype.kind for name, column in read.items()}
    assert {name for name, kind in kinds.items() if kind == "i"} == {"whole"}
    assert {name for name, kind in kinds.items() if kind == "f"} == {
        "share", "missing", "counted", "nothing",
    }  # fmt: skip
    for name in ("whole", "share", "missing", "code", "power", "truth", "rank"):
        assert read[name].tolist()[:1] == table[name].tolist()[:1]
    assert read["missing"].isna().tolist() == [False, True, False]
    assert read_tsv(path, rows=2)["whole"].tolist() == [1, -20]


def test_no_table_is_an_error_in_one_line(tmp_path):
    path = tmp_path / "table.tsv"
    with pytest.raises(UserError, match="is not there"):
        read_tsv(path)
    path.write_text("name\tn\na\t1\tx\t9\n", encoding="utf-8")
    for text in (b"", b"\xff\xfe\n", b"a\n1\n1\t2\t3\n", b'a\tb\n"x\ty\n'):
        path.write_bytes(text)
        with pytest.raises(UserError, match="make it again") as error:
            read_tsv(path)
        assert "\n" not in str(error.value)
    path.write_text("a\n1\n", encoding="utf-8")
    with pytest.raises(UserError, match="has no column b: make it again"):
        read_tsv(path, ["a", "b"])


@pytest.mark.parametrize("aligned", [False, True])
def test_markdown_tables_have_the_cells_that_were_given(aligned):
    rows = [[name, "x", str(i)] for i, name in enumerate(EVERY)]
    lines = markdown_table([["name", "", "number"], *rows], aligned)
    assert len(lines) == 2 + len(rows)
    parsed = MarkdownIt("commonmark").enable("table").parse("\n".join(lines) + "\n")
    cells = [token for token in parsed if token.type == "inline"]
    assert len(cells) == 3 * (1 + len(rows))
    for i, name in enumerate(EVERY, 1):
        inside = cells[3 * i].children or []
        # only text: no code, no markup, no HTML
        assert {token.type for token in inside} <= {"text", "text_special"}, name
        shown = "".join(token.content for token in inside)
        assert shown == " ".join(without_controls(name).replace("\0", "").split()), name
    if aligned:
        assert len({len(line) for line in lines}) == 1


def test_plain_cells_are_left_as_they_are():
    for cell in ("whole sequence", "top 10 % kept", "× paper", "52 / 27 / 18", "0.73 (0.67)", "–"):
        assert escape_markdown(cell) == cell
        assert escape_html(cell) == cell


def test_html_shows_the_name():
    for name in EVERY:
        escaped = escape_html(name)
        assert not set("<>\"'") & set(escaped)
        assert html.unescape(escaped) == without_controls(name)
    assert without_controls("a\tb\nc é 漢 \u202e") == "a\tb\nc é 漢 \u202e"
    assert without_controls("a\x00b\x1bc\ud800") == "a�b�c�"


def test_plain_text_is_one_line_of_characters_with_a_width():
    assert plain("a\t b\r\nc\u2028d\x01e") == "a b c d e"
    assert plain("\u202ea\u200fb\ufeffc") == "abc"
    assert plain("x" * 50, 10) == "x" * 9 + "…"
    assert plain("x" * 10, 10) == "x" * 10
    assert plain("lone \ud800") == "lone �"


def test_long_lists_are_cut():
    assert named([str(n) for n in range(3)], most=3) == "0, 1, 2"
    assert named([str(n) for n in range(25)]).endswith("18, 19 and 5 more")
    assert named(["0", "1"], most=2, total=2) == "0, 1"
    assert named(["0", "1"], most=2, total=3) == "0, 1 and 1 more"


def test_counted():
    assert counted(1, "token") == "1 token"
    assert counted(0, "token") == "0 tokens"
    assert counted(1204, "token") == "1,204 tokens"


MORUS = ["Morus (path Eukaryota;Animalia;Morus)", "Morus (path Eukaryota;Plantae;Morus)"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["Bos", "Rosa"], ["Bos", "Rosa"]),
        # 20 letters: six of the beginning, and from the word in which they differ
        (MORUS, ["Morus …Animalia;Mor…", "Morus …Plantae;Morus)"[:21]]),
        # one of them, beside others, is cut as it is alone
        (["Bos", MORUS[0]], ["Bos", "Morus (path Eukaryo…"]),
        # the same name twice is no other name
        ([MORUS[0]] * 2, ["Morus (path Eukaryo…"] * 2),
        # the word itself is too long: numbers, in the order of the names
        (["x" * 40 + "b", "x" * 40 + "a"], ["xxxxxx…xxxxxxxxxx… 2", "xxxxxx…xxxxxxxxxx… 1"]),
    ],
)
def test_names_that_are_cut_stay_different(names, expected):
    assert told_apart(names, 20) == [plain(text, 20) for text in expected]


@pytest.mark.parametrize("seed", range(20))
def test_cut_names_are_as_many_as_whole_ones(seed):
    random = np.random.default_rng(seed)
    names = ["Morus (path " + ";".join(random.choice(list("ABC"), 12)) for _ in range(60)]
    names = [*names, *EVERY[seed::20]]
    short = told_apart(names, 20)
    whole = [plain(name) for name in names]
    assert max(map(len, short)) <= 20
    assert len(set(zip(whole, short, strict=True))) == len(set(whole)) == len(set(short))
