"""The page of explained proteins and texts: each as a whole, its letters or words coloured by their mask.

One HTML file without scripts. It holds text from anybody: all of it is escaped, and stands in elements of
its own direction of writing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from whatyouread.data.normalisation import TEXT
from whatyouread.explain.token_spans import (
    Scored,
    cells,
    mask_of_letters,
    scored_sequences,
    spans_of,
)
from whatyouread.masks.choices import THRESHOLD
from whatyouread.report.html_head import POLICY, html_head
from whatyouread.report.sequence_page import STYLE
from whatyouread.support.files import atomic
from whatyouread.support.text import counted, escape_html, plain

if TYPE_CHECKING:  # it imports torch
    from whatyouread.explain.outputs import Sample

MOST_LETTERS, MOST_SEQUENCES = 200_000, 2_000
"""What a page holds; the sequences are taken in their order as long as they fit."""
_POLICY = f"{POLICY}; base-uri 'none'; form-action 'none'"
GROUP = 10
"""Residues that stand together, with the number of the first one."""
_STYLE = (
    STYLE
    + """
.text { white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; max-width: 60rem;
  margin: .6rem 0; line-height: 1.9; }
.letters { display: flex; flex-wrap: wrap; gap: .35rem .7rem; margin: .6rem 0;
  font: 14px/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.letters div { white-space: pre; } .letters small { display: block; color: var(--soft); font-size: 10px;
  line-height: 1; user-select: none; }
i { font-style: normal; background: rgb(var(--high) / var(--m, 0)); padding: .1em 0;
  border-bottom: 2px solid transparent; }
i.on { border-bottom-color: var(--plant); } i:hover { outline: 1px solid var(--ink); }
i.no { color: var(--off); }
.key .on { border-bottom: 2px solid var(--plant); }
.wide { overflow-x: auto; } .wide td, .wide th { white-space: nowrap; }
td.name { max-width: 22rem; overflow: hidden; text-overflow: ellipsis; }
a { color: inherit; } details { margin: .6rem 0; }
"""
)


def write_token_page(path: Path, sample: Sample, facts: Mapping[str, object]) -> dict[str, int]:
    """Write `index.html`; return how many sequences and letters it shows. facts: shown as they are."""
    lengths = sample.records.lengths
    wanted = (np.cumsum(lengths) <= MOST_LETTERS) & (np.arange(len(lengths)) < MOST_SEQUENCES)
    letters = int(lengths[wanted].sum())
    unit = sample.records.unit
    said = f"{counted(len(lengths), 'sequence')}, {counted(int(lengths.sum()), unit)}."
    if not wanted.all():
        said = (
            f"This page shows {int(wanted.sum()):,} of {counted(len(lengths), 'sequence')}, and"
            f" {letters:,} of {counted(int(lengths.sum()), unit)}: those that fit, in the order of the"
            " file. The other files of this folder hold them all."
        )
    rows, sections = [], []
    for number, one in enumerate(scored_sequences(sample, wanted), 1):
        row, section = _shown(number, sample, one)
        rows.append(row)
        sections.append(section)
    levels = "".join(f"<th scope=col>{escape_html(level.name)}</th>" for level in sample.levels)
    made = "".join(
        f"<tr><th scope=row>{escape_html(str(key))}</th><td>{escape_html(str(value))}</td></tr>\n"
        for key, value in facts.items()
    )
    cell = "word or piece of a word" if sample.records.alphabet == TEXT else unit
    with atomic(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        stream.write(
            f"""{html_head(f"{sample.name}: predictions and masks", _STYLE, _POLICY)}
<h1>{escape_html(sample.name)}: what the classifier read</h1>
<p>{escape_html(said)}</p>
<p>The mask has a value from 0 to 1 for each {cell}: near 1 where the classifier needs it for its answer,
near 0 where it does not. Point at one to see its value; places count from 1 here.</p>
<div class="key"><span>mask value 0 <span class="scale"></span> 1</span>
<span><span class="on">underlined</span>: above {THRESHOLD}</span>
<span><i class="no">grey</i>: no score</span></div>
<details><summary>How it was made</summary><table><tbody>{made}</tbody></table></details>
<div class="wide" tabindex="0" role="region" aria-label="Predictions"><table>
<thead><tr><th scope=col>sequence</th><th scope=col>{unit}s</th><th scope=col>spans</th>{levels}</tr></thead>
<tbody>
{"".join(rows)}</tbody></table></div>
"""
        )
        stream.writelines(sections)
        stream.write("</body>\n</html>\n")
    return {"sequences": int(wanted.sum()), f"{unit}s": letters}


def _shown(number: int, sample: Sample, one: Scored) -> tuple[str, str]:
    """The row of a sequence in the table, and its section."""
    records = sample.records
    name = plain(records.names[one.record]) or "(without a name)"
    spans = len(spans_of(sample, one).start)
    said = [_said(sample, one.record, i) for i in range(len(sample.levels))]
    row = (
        f'<tr><td class=name><a href="#s{number}"><bdi>{escape_html(name)}</bdi></a></td>'
        f"<td>{len(one.text):,}</td><td>{spans:,}</td>"
        + "".join(f"<td>{escape_html(first)}</td>" for first, _ in said)
        + "</tr>\n"
    )
    description = plain(records.descriptions[one.record])
    answers = "".join(
        f"<tr><th scope=row>{escape_html(level.name)}</th><td>{escape_html(first)}</td>"
        f"<td class=soft>{escape_html(second)}</td></tr>"
        for level, (first, second) in zip(sample.levels, said, strict=True)
    )
    drawn = _text if records.alphabet == TEXT else _letters
    section = (
        f'<section id="s{number}">\n<h2><bdi>{escape_html(name)}</bdi></h2>\n'
        + (f"<p class=soft><bdi>{escape_html(description)}</bdi></p>\n" if description else "")
        + f"<table><tbody>{answers}</tbody></table>\n"
        + ("".join(drawn(one, records.unit)) if one.text else "<p class=soft>Nothing to read.</p>")
        + "\n</section>\n"
    )
    return row, section


def _said(sample: Sample, record: int, level: int) -> tuple[str, str]:
    """What is predicted at a level, and the runner-up, in words."""
    if not sample.whole.windows[record]:
        return "none", ""
    names = sample.levels[level].names
    (first, second), (p, q) = (
        sample.whole.classes[record, level].tolist(),
        sample.whole.probabilities[record, level].tolist(),
    )
    return f"{names[first]} ({p:.2f})", "" if second < 0 else f"then {names[second]} ({q:.2f})"


def _text(one: Scored, unit: str) -> Iterator[str]:
    """A text as it is, each cell an element."""
    yield '<div class="text" dir="auto">'
    done = 0
    for start, end, mask in cells(one):
        yield escape_html(one.text[done:start])
        yield _cell(one.text[start:end], start, end, mask, unit)
        done = end
    yield escape_html(one.text[done:]) + "</div>"


def _letters(one: Scored, unit: str) -> Iterator[str]:
    """A sequence in groups of letters, each letter an element."""
    mask = mask_of_letters(one).tolist()
    yield '<div class="letters">'
    for first in range(0, len(mask), GROUP):
        yield f"<div><small>{first + 1:,}</small>"
        for i in range(first, min(first + GROUP, len(mask))):
            yield _cell(one.text[i], i, i + 1, mask[i], unit)
        yield "</div>"
    yield "</div>"


def _cell(text: str, start: int, end: int, mask: float, unit: str) -> str:
    where = f"{unit} {end}" if end - start == 1 else f"{unit}s {start + 1}–{end}"
    if mask != mask:
        return f'<i class=no title="{where}: no score">{escape_html(text)}</i>'
    mark = " class=on" if mask > THRESHOLD else ""
    title = f"{where}: mask {mask:.3f}"
    return f'<i{mark} style="--m:{mask:.3f}" title="{title}">{escape_html(text)}</i>'
