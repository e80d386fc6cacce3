"""The keywords of classes of texts, each with places in documents, as one HTML page."""

import numpy as np
import pandas as pd

from whatyouread.report.html_head import html_head
from whatyouread.report.sequence_page import STYLE
from whatyouread.support.text import counted, escape_html, plain

AROUND = 90  # characters of the text on either side of a keyword
_OWN_STYLE = """
table.words td { vertical-align: top; } .place { font-size: .9rem; margin: .1rem 0 .4rem; }
.place span { border-radius: 2px; background: rgb(var(--high) / var(--m, 0)); }
.place span.against { background: rgb(179 71 10 / var(--m, 0)); }
.place b { outline: 1px solid var(--ink); border-radius: 2px; }
nav a { color: inherit; margin-right: 1rem; }
"""


def keywords_page(
    items: pd.DataFrame,
    summary: pd.DataFrame,
    places: pd.DataFrame,
    documents: pd.DataFrame,
    rank: str,
    source: str,
) -> str:
    """A self-contained page with a section for each class of a level.

    items: the keywords to show, with class, name, position, item, mean, sd, runs, support and q; summary:
    class, name, sequences, stable_items, distinctiveness, coverage and cross_coverage; places, documents:
    see `classes.documents.places`.
    """
    title = f"Keywords of each {rank}, by {source.replace('_', ' ')}"
    found = dict(iter(places.groupby(["class", "item"])))
    classes = summary.sort_values(["sequences", "class"], ascending=[False, True])
    sections, links = [], []
    for row in classes.to_dict("records"):
        own = items[items["class"] == row["class"]].sort_values("position")
        sections.append(_section(row, own, found, documents))
        name = escape_html(plain(str(row["name"])))
        links.append(f'<a href="#class{row["class"]}">{name}</a>')
    return f"""{html_head(title, STYLE + _OWN_STYLE)}
<h1>{escape_html(title)}</h1>
<p>The words that many runs select in documents of a class, and that are selected there more often than
elsewhere; best first. Below each stand documents of the first run, classified correctly, where it scores
highest. A word is the greener the more it speaks for the class, and the redder the more it speaks against
it, in proportion to the highest score of its document.</p>
<nav>{"".join(links)}</nav>
{"".join(sections)}</body>
</html>
"""


def _section(row: dict, items: pd.DataFrame, found: dict, documents: pd.DataFrame) -> str:
    numbers = [counted(int(row["sequences"]), "document")]
    numbers.append(counted(int(row["stable_items"]), "keyword"))
    for name in ("distinctiveness", "coverage", "cross_coverage"):
        if not np.isnan(row[name]):
            numbers.append(f"{name.replace('_', '-')} {row[name]:.2f}")
    words = "\n".join(
        _keyword(item, found.get((item["class"], item["item"])), documents)
        for item in items.to_dict("records")
    )
    if not words:
        words = '<tr><td class="soft">no word is stable here</td></tr>'
    return f"""<section id="class{row["class"]}">
<h2>{escape_html(plain(str(row["name"])))}</h2>
<p class="soft">{"; ".join(numbers)}</p>
<table class="words">
{words}
</table>
</section>
"""


def _keyword(item: dict, places: pd.DataFrame | None, documents: pd.DataFrame) -> str:
    if places is None:
        shown = '<p class="place soft">in no such document of the first run</p>'
    else:
        shown = "\n".join(
            _place(place, documents.iloc[place["document"]]) for place in places.to_dict("records")
        )
    about = (
        f"mean {item['mean']:.3f} (sd {item['sd']:.3f}), {counted(int(item['runs']), 'run')}, "
        f"{counted(int(item['support']), 'document')}, q {item['q']:.1g}"
    )
    return (
        f"<tr><td>{item['position']}</td><td><b>{escape_html(str(item['item']))}</b></td>"
        f'<td><span class="soft">{about}</span>\n{shown}</td></tr>'
    )


def _place(place: dict, document: pd.Series) -> str:
    """A piece of a document around a keyword, its words coloured."""
    text, scores = document["text"], np.asarray(document["scores"])
    starts, ends = (np.asarray(document[name]) for name in ("starts", "ends"))
    low, high = max(place["start"] - AROUND, 0), min(place["end"] + AROUND, len(text))
    inside = np.flatnonzero((starts >= low) & (ends <= high))
    # no half words at the ends
    low = 0 if low == 0 or not len(inside) else int(starts[inside[0]])
    high = len(text) if high == len(text) or not len(inside) else int(ends[inside[-1]])
    top = np.abs(scores).max(initial=0) or 1.0
    parts, at = ["…" if low else ""], low
    for i in inside.tolist():
        start, end = int(starts[i]), int(ends[i])
        word = escape_html(text[start:end])
        if start == place["start"]:
            word = f"<b>{word}</b>"
        side = ' class="against"' if scores[i] < 0 else ""
        value = f'style="--m:{abs(scores[i]) / top:.3f}" title="{scores[i]:.4f}"'
        parts += [escape_html(text[at:start]), f"<span{side} {value}>{word}</span>"]
        at = end
    parts += [escape_html(text[at:high]), "…" if high < len(text) else ""]
    name = escape_html(plain(str(document["id"]), 80))
    return f'<p class="place">{"".join(parts)} <span class="soft">({name})</span></p>'
