"""Tables and records as self-contained web pages, for the report."""

import json
from pathlib import Path

import pandas as pd

from whatyouread.support.cli import UserError
from whatyouread.support.text import escape_html

_STYLE = """
:root { color-scheme: light dark; }
body { font: 14px/1.45 system-ui, sans-serif; margin: 1.5em; max-width: 100%; }
h1 { font-size: 1.25em; } p { max-width: 60em; }
table { border-collapse: collapse; margin: 1em 0; }
th, td { padding: .25em .7em; border-bottom: 1px solid #8885; text-align: left; vertical-align: top; }
th { position: sticky; top: 0; background: Canvas; cursor: pointer; border-bottom: 2px solid #888; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
tr:hover td { background: #8882; }
code { overflow-wrap: anywhere; }
"""
# a click on a heading sorts by that column, numbers as numbers; a second click reverses the order
_SORT = """
document.querySelectorAll("th").forEach((head, i) => head.addEventListener("click", () => {
  const body = head.closest("table").tBodies[0], down = head.dataset.down = 1 - (head.dataset.down || 0);
  const key = row => { const t = row.cells[i].dataset.value ?? row.cells[i].textContent,
    n = parseFloat(t); return isNaN(n) ? t : n; };
  [...body.rows].sort((a, b) => { const x = key(a), y = key(b);
    return (typeof x === typeof y ? (x < y ? -1 : x > y ? 1 : 0) : typeof x === "number" ? -1 : 1)
      * (down ? 1 : -1); }).forEach(row => body.append(row));
}));
"""


def page(title: str, body: str) -> str:
    """A whole page; `body` is HTML, `title` is text."""
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape_html(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{escape_html(title)}</h1>\n{body}\n<script>{_SORT}</script></body></html>\n"
    )


def table(frame: pd.DataFrame) -> str:
    """A frame as an HTML table that sorts by a click on a heading; missing values stay empty."""
    head = "".join(f"<th>{escape_html(str(name).replace('_', ' '))}</th>" for name in frame)
    rows = ("".join(map(_cell, row)) for row in frame.itertuples(index=False, name=None))
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"


def _cell(value) -> str:
    if value is None or value != value:
        return "<td></td>"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"<td>{escape_html(str(value))}</td>"
    exact = repr(value)
    if float(value).is_integer() and abs(value) < 1e15:
        shown = f"{int(value):,}"
    else:
        shown = f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"
    return f'<td class="number" data-value="{exact}">{shown}</td>'


def record(path: str | Path) -> str:
    """A JSON record as one table: the path of each value in it, and the value.

    Raises UserError where it is damaged.
    """
    try:
        rows = list(_flat(json.loads(Path(path).read_text(encoding="utf-8")), ()))
    except ValueError as error:  # wrong JSON, or bytes that are no UTF-8
        raise UserError(f"{path} is damaged ({error}): make it again") from None
    cells = (
        f"<tr><td>{escape_html(' › '.join(where))}</td>"
        f"<td><code>{escape_html(str(value))}</code></td></tr>"
        for where, value in rows
    )
    return "<table><tbody>\n" + "\n".join(cells) + "\n</tbody></table>"


def _flat(value, where: tuple[str, ...]):
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, (*where, str(key)))
    else:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        yield where, text
