"""Names of classes and sequences in pictures, pages, class tables and motifs: text that stays text."""

import io
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from Bio import motifs as bio
from helpers_names import HOSTILE, random_names

from whatyouread.classes.motifs import meme
from whatyouread.data.levels import class_names, read_classes
from whatyouread.data.six_mers import SIX_MERS
from whatyouread.report.classes_figure import draw_bars, draw_logos
from whatyouread.report.comparison_figure import draw_cost
from whatyouread.report.confusion_figure import draw_confusion
from whatyouread.report.lime_figure import draw_lime
from whatyouread.report.sequence_page import SequenceView, html_page
from whatyouread.report.sequences_figure import draw_sequences
from whatyouread.report.style import new_figure, panel_title, power_of_ten, save
from whatyouread.report.table_page import page, record, table
from whatyouread.support.files import write_json, write_tsv
from whatyouread.support.text import without_controls

pytestmark = pytest.mark.filterwarnings("ignore:Glyph")  # the font lacks some: boxes are drawn


def classes(names: list[str]) -> pd.DataFrame:
    columns = {"rank": "genus", "class": range(len(names)), "taxid": range(len(names))}
    return pd.DataFrame(columns | {"name": names, "sequences": 1})


def items(names: list[str]) -> pd.DataFrame:
    """A k-mer for each class."""
    return pd.DataFrame(
        {
            "source": "explainer_paper", "kind": "kmer", "rank": "genus", "class": range(len(names)),
            "name": names, "position": 1, "item": "ACGTAC", "mean": 0.5, "sd": 0.1, "support": 3.0,
            "class_sequences": 10,
        }
    )  # fmt: skip


def view(name: str) -> SequenceView:
    return SequenceView(
        name, {"genus": (name, "x" + name)}, np.array([6, 7, 8]), np.array([0.2, 0.6, 0.9]),
        SIX_MERS, [name, "", ""],
    )  # fmt: skip


def check_picture(figure, folder) -> str:
    """A picture that can be written, and whose SVG is XML; its text."""
    save(figure, [folder / "x.svg", folder / "x.png"])
    text = (folder / "x.svg").read_text(encoding="utf-8")
    ElementTree.fromstring(text)
    return text


def test_pictures_of_classes(tmp_path):
    names = [*HOSTILE, *random_names(0, 10)]
    labels = np.arange(len(names)).repeat(2)
    drawn = draw_confusion(labels, {"explanandum": labels}, None, names, "genus", 99)
    check_picture(drawn, tmp_path)
    names = names[::6]
    for draw in (draw_bars, draw_logos):
        check_picture(draw(items(names), list(range(len(names))), "motifs"), tmp_path)


def test_classes_of_one_name_have_two_names_in_pictures(tmp_path):
    """A genus in two kingdoms of one domain: where its name is cut, the kingdoms are still there."""
    kingdoms = ("Animalia", "Plantae")
    names = [f"Morus (path Eukaryota;no clade;{kingdom};Morus)" for kingdom in kingdoms]
    labels = np.arange(2).repeat(2)
    text = check_picture(
        draw_confusion(labels, {"explanandum": labels}, None, names, "genus", 99), tmp_path
    )
    shown = [f"Morus (pa…{kingdom};Morus)" for kingdom in kingdoms]
    for name in shown:
        assert f"<!-- {name} -->" in text
        assert f"<!-- {name} (2) -->" in text
    for draw, more in ((draw_bars, " (n = 10)"), (draw_logos, " (1 motifs)")):
        text = check_picture(draw(items(names), [1, 0], "motifs"), tmp_path)
        assert [text.count(f"<!-- {name}{more} -->") for name in shown] == [1, 1]
        assert text.index(shown[1]) < text.index(shown[0])  # each over its own class


def test_pictures_of_sequences(tmp_path):
    views = [view(name) for name in [*HOSTILE[::3], *random_names(0, 4)]]
    check_picture(draw_sequences(views, "labels", 9, 3), tmp_path)
    panel = [("LIME", np.array([0.1, -1, 0]))]
    for shown in views[::6]:
        check_picture(draw_lime(shown, "paper", panel, panel, shown.id, 9, 3), tmp_path)


def test_any_text_in_a_figure_is_no_mathematics(tmp_path):
    """What a caller forgets to clean is still written: one setting, and one place that writes."""
    figure = new_figure(4, 3)
    axes = figure.subplots()
    axes.set_title("$\\frac{")
    axes.set_xticks([0, 1], ["$x^", "\x01\x1b--"])
    axes.text(0, 0, "\x00")
    assert "\x1b" not in check_picture(figure, tmp_path)


def test_a_panel_has_its_bold_letter_and_the_title_as_it_is(tmp_path):
    figure = new_figure(4, 3)
    axes = figure.subplots()
    panel_title(axes, "a", "cost $5 $x")
    assert axes.get_title(loc="left") == r"$\bf{a}$  cost \$5 \$x"
    check_picture(figure, tmp_path)


def test_powers_of_ten_are_written_without_mathematics(tmp_path):
    assert [power_of_ten(x) for x in (0.001, 1, 10, 1e12, 1e-10)] == [
        "10⁻³",
        "10⁰",
        "10¹",
        "10¹²",
        "10⁻¹⁰",
    ]
    assert [power_of_ten(x) for x in (2, 0.03)] == ["", ""]
    comparison = pd.DataFrame(
        {"method": ["paper", "lime"], "control": "none", "seconds_per_sequence": [0.003, 4.0]}
    )
    rows = [(m, k) for m in ("paper", "lime") for k in ("comprehensiveness", "insertion_auc")]
    faithfulness = pd.DataFrame(rows, columns=["method", "metric"])
    faithfulness = faithfulness.assign(rank="mean", value=0.5, low=0.4, high=0.6, n=9)
    figure = draw_cost(comparison, faithfulness, ["paper"])
    assert "mathdefault" not in check_picture(figure, tmp_path)
    assert "10⁻²" in [label.get_text() for label in figure.axes[0].get_xticklabels()]


class Page(HTMLParser):
    """The texts of cells and headings, all attributes `title`, and the scripts of a page."""

    def __init__(self, text: str):
        super().__init__()
        self.cells, self.titles, self.scripts, self.open = [], [], [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.open = tag
        if tag in ("td", "h2"):
            self.cells.append("")
        self.titles += [value for key, value in attributes if key == "title"]

    def handle_data(self, data):
        if self.open == "script":
            self.scripts.append(data)
        elif self.open in ("td", "h2", "code"):
            self.cells[-1] += data

    def handle_endtag(self, tag):
        self.open = ""


def test_pages_show_names_and_run_nothing(tmp_path):
    names = [*HOSTILE, *random_names(1, 40)]
    shown = [without_controls(name) for name in names]
    read = Page(page("$x$ <b>", table(pd.DataFrame({"name": names, "n": 7}))))
    assert read.cells == [cell for name in shown for cell in (name, "7")]
    plain_page = Page(page("x", ""))
    assert read.scripts == plain_page.scripts
    write_json(tmp_path / "run.json", dict(enumerate(names)))
    read = Page(page("x", record(tmp_path / "run.json")))
    assert read.cells[1::2] == shown
    assert read.scripts == plain_page.scripts
    read = Page(html_page([view(name) for name in names], "labels", 9))
    assert not read.scripts
    # a heading, then rank, label and prediction; the rank stands in <th>
    expected = [cell for i, s in enumerate(shown, 1) for cell in (f"{i}. {s}", s, f"x{s}")]
    assert read.cells == expected
    assert sum("; planted: " in title for title in read.titles) == 2 * sum(map(bool, names))


def test_class_tables_have_the_names_that_were_written(tmp_path):
    path = tmp_path / "classes.tsv"
    looks_like_numbers = ["007", "1", "12", "1e5"]
    for names in ([*HOSTILE, *random_names(2, 40)], looks_like_numbers, ["NA", "null", ""]):
        write_tsv(path, classes(names))
        assert class_names(path, ["genus"]) == {"genus": names}
        assert read_classes(path)["name"].tolist() == names
        assert read_classes(path)["taxid"].tolist() == list(range(len(names)))


def test_every_motif_has_an_id_of_its_own():
    names = [
        "a b",
        "a_b",
        "a-b",
        "a b",
        "é",
        "漢",
        "a_b_1",
        "a_b_class1",
        *HOSTILE,
        *random_names(3, 40),
    ]
    written = meme(items(names), classes(names))
    ids = [line.removeprefix("MOTIF ") for line in written.splitlines() if line.startswith("MOTIF")]
    assert len(ids) == len(set(ids)) == len(names)
    assert all(name.isascii() and name.split() == [name] for name in ids)
    assert [motif.name for motif in bio.parse(io.StringIO(written), "minimal")] == ids
    # a name that is the only one stays as it was
    assert ids[0] == "explainer_paper_genus_a_b_1"
