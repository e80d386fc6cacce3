"""Sequences token by token, coloured by their mask (paper, Figure 5), as one HTML page."""

import dataclasses

import numpy as np

from whatyouread.data.tokenizer import Tokenizer
from whatyouread.masks.choices import THRESHOLD
from whatyouread.masks.chunks import count_runs
from whatyouread.report.html_head import html_head
from whatyouread.support.text import escape_html

NO_LABEL = "without a label"


@dataclasses.dataclass
class SequenceView:
    """The content of one sequence to show, without special tokens.

    taxa: rank -> (name of the label, None where it is missing, and name of the prediction); tokens: int64
    (n,); mask: float (n,); planted: for each token the name of the planted segment it lies in, "" for
    none, or None where nothing is known of planted segments; places: first character and the one after the
    last of each token, 0-based, int64 (n,) each, -1 where that is not known; word: what the segments are
    called, "planted" or "known".
    """

    id: str
    taxa: dict[str, tuple[str | None, str]]
    tokens: np.ndarray
    mask: np.ndarray
    tokenizer: Tokenizer
    planted: list[str] | None = None
    places: tuple[np.ndarray, np.ndarray] | None = None
    word: str = "planted"

    @property
    def is_correct(self) -> bool:
        """Whether the prediction is the label wherever there is one, and there is one."""
        known = [(label, guess) for label, guess in self.taxa.values() if label is not None]
        return bool(known) and all(label == guess for label, guess in known)

    def texts(self) -> list[str]:
        """The letters of each token."""
        return [self.tokenizer.vocabulary[token] for token in self.tokens]

    def description(self) -> str:
        """The taxa of the label in one line, and of the prediction where it differs."""
        parts = [
            f"{rank} {NO_LABEL if label is None else label}"
            + ("" if label == predicted else f" (predicted: {predicted})")
            for rank, (label, predicted) in self.taxa.items()
        ]
        return ", ".join(parts) + ("; classified correctly" if self.is_correct else "")

    def underlined(self) -> np.ndarray:
        """Which tokens lie in planted segments, bool (n,)."""
        return np.array([bool(name) for name in self.planted or [""] * len(self.tokens)], bool)

    def segments(self) -> str:
        """What the underlined tokens lie in."""
        return {"planted": "planted segment", "known": "known position"}[self.word]

    def numbers(self) -> str:
        """The mask in one line: its mean, and how much of it lies above the threshold."""
        above = (self.mask > THRESHOLD).mean()
        runs = count_runs(self.mask > THRESHOLD)
        return (
            f"{len(self.mask):,} tokens; mean mask {self.mask.mean():.2f}; {above:.0%} above"
            f" {THRESHOLD}, in {runs} chunk{'' if runs == 1 else 's'}"
        )


STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1b1b1b; --soft: #5c5c5c; --line: #d5d5d5;
  --low: 255 255 255; --high: 47 179 131; --plant: #b3470a; --off: #6e6e6e; }
@media (prefers-color-scheme: dark) { :root { --page: #16191c; --ink: #f2f2f2; --soft: #b4b4b4;
  --line: #3c4248; --low: 22 25 28; --high: 0 112 80; --plant: #ffa45c; --off: #9a9a9a; } }
body { background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, sans-serif;
  margin: 0 auto; max-width: 76rem; padding: 1rem 1.5rem 3rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin: 0; overflow-wrap: anywhere; }
h3 { font-size: .9rem; margin: .8rem 0 .2rem; }
section { border-top: 1px solid var(--line); margin-top: 1.5rem; padding-top: 1rem; }
.soft { color: var(--soft); } p { margin: .3rem 0; max-width: 60rem; }
table { border-collapse: collapse; margin: .4rem 0; font-size: .9rem; }
th, td { text-align: left; padding: .1rem 1.2rem .1rem 0; font-weight: normal; }
th { color: var(--soft); } .wrong { font-weight: bold; }
.tokens { display: flex; flex-wrap: wrap; gap: 3px 2px; max-width: none; margin: .2rem 0;
  font: 12px/1.35 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
.tokens span { padding: 0 2px; border-radius: 2px; border-bottom: 2px solid transparent;
  background: rgb(var(--high) / var(--m, 0)); }
.tokens span:hover { outline: 2px solid var(--ink); }
.tokens .on { --m: 1; } .tokens .off { color: var(--off); }
.tokens .planted, .key .planted { border-bottom-color: var(--plant); }
.key { display: flex; flex-wrap: wrap; gap: .3rem 2rem; align-items: center; margin: .8rem 0; }
.key .planted { border-bottom: 2px solid var(--plant); }
.scale { display: inline-block; width: 14rem; height: .9rem; vertical-align: middle;
  border: 1px solid var(--line); margin: 0 .5rem;
  background: linear-gradient(to right, rgb(var(--low)), rgb(var(--high))); }
"""


def html_page(views: list[SequenceView], chosen_by: str, n: int) -> str:
    """A self-contained page that shows every sequence with its mask and its rounded mask.

    chosen_by: the classes that chose the masks, in words; n: the size of the set of sequences that the
    shown ones were drawn from.
    """
    correct = sum(view.is_correct for view in views)
    partly = any(label is None for view in views for label, _ in view.taxa.values())
    label = " with a label" if partly else ""
    underlined = next((view.segments() for view in views if view.planted is not None), None)
    key = '<span>mask value 0 <span class="scale"></span> 1</span>'
    if underlined:
        key += f'<span><span class="planted">underlined</span>: a {underlined}</span>'
    return f"""{html_head("Sequences and their masks", STYLE)}
<h1>Sequences and their masks</h1>
<p>{len(views)} of {n:,} test sequences, drawn with a seed; {correct} of them classified correctly in
every rank{label}. Each word is a token. The greener it is, the more of it the mask lets through; masks are
chosen by {escape_html(chosen_by)}. Special tokens are left out. Point at a token to see its value.</p>
<div class="key">{key}</div>
{"".join(_section(i, view) for i, view in enumerate(views, 1))}</body>
</html>
"""


def _section(number: int, view: SequenceView) -> str:
    rows = ""
    for rank, (label, predicted) in view.taxa.items():
        mark = "" if label in (None, predicted) else ' class="wrong"'
        shown = f'<span class="soft">{NO_LABEL}</span>' if label is None else escape_html(label)
        rows += f"<tr><th>{escape_html(rank)}</th><td>{shown}</td>"
        rows += f"<td{mark}>{escape_html(predicted)}</td></tr>\n"
    continuous, rounded = _spans(view)
    return f"""<section>
<h2>{number}. {escape_html(view.id)}</h2>
<table>
<tr><th></th><th>label</th><th>prediction</th></tr>
{rows}</table>
<p class="soft">{escape_html(view.numbers())}</p>
<h3>a. The mask</h3>
<p class="tokens">{continuous}</p>
<h3>b. Rounded: 1 above {THRESHOLD}, else 0</h3>
<p class="tokens">{rounded}</p>
</section>
"""


def _spans(view: SequenceView) -> tuple[str, str]:
    """The tokens as elements, coloured by the mask, and by the rounded mask."""
    continuous, rounded = [], []
    for i, (text, value) in enumerate(zip(view.texts(), view.mask, strict=True)):
        title = f"token {i + 1}"
        if view.places is not None and view.places[0][i] >= 0:
            first, last = view.places[0][i] + 1, view.places[1][i]
            unit = view.tokenizer.unit
            title += f", {unit} {first}" if first == last else f", {unit}s {first}–{last}"
        title += f": mask {value:.3f}"
        planted = view.planted[i] if view.planted else ""
        if planted:
            title += f"; {view.word}: {planted}"
        inner = f'title="{escape_html(title)}">{escape_html(text)}</span>'
        mark = ' class="planted"' if planted else ""
        continuous.append(f'<span{mark} style="--m:{value:.3f}" {inner}')
        side = "on" if value > THRESHOLD else "off"
        rounded.append(f'<span class="{side}{" planted" if planted else ""}" {inner}')
    return "\n".join(continuous), "\n".join(rounded)
