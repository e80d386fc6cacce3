"""Text from data (names, headers), made fit for the format that it is written in."""

import html
import re
import unicodedata
from collections.abc import Iterable, Sequence

_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""What XML 1.0 forbids, or HTML shows as something else. Tabs and line ends are not among it."""
# an underscore within a word is no markup
_MARKDOWN = re.compile(r"[\\`*~\[\]|]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_BEFORE_WORD = re.compile(r"^|\W")
_LINE_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def plain(text: str, longest: int | None = None) -> str:
    """Text for one line of a picture: no control or format characters, single blanks.

    Format characters, such as marks of the writing direction, have no width and are left out. From
    `longest` characters on, the end is cut, and "…" stands for it.
    """
    kept = "".join(
        " " if category in ("Cc", "Zl", "Zp") else _REPLACEMENT if category == "Cs" else character
        for character in text
        if (category := unicodedata.category(character)) != "Cf"
    )
    kept = " ".join(kept.split())
    return kept if longest is None or len(kept) <= longest else kept[: longest - 1] + "…"


def told_apart(names: Sequence[str], longest: int) -> list[str]:
    """`plain` for each of some names; different ones that it would cut to the same text stay different.

    Of these the middle is cut: they begin as they do, and after "…" comes the word in which they differ.
    Where that does not help, they are numbered.
    """
    whole = [plain(name) for name in names]
    short = [plain(text, longest) for text in whole]
    for rows in _merged(short, whole):
        for row in rows:
            text, others = whole[row], {whole[i] for i in rows} - {whole[row]}
            alike = max(alike_until(text, other) for other in others)
            word = max(m.end() for m in _BEFORE_WORD.finditer(text[:alike]))
            short[row] = plain(f"{text[: longest // 3]}…{text[word:]}", longest)
    for rows in _merged(short, whole):
        order = sorted({whole[row] for row in rows})
        for row in rows:
            number = f"… {order.index(whole[row]) + 1}"
            short[row] = short[row][: longest - len(number)] + number
    return short


def alike_until(one: str | bytes, other: str | bytes) -> int:
    """With how many of the same characters, or bytes, two texts begin."""
    pairs = zip(one, other, strict=False)
    shorter = min(len(one), len(other))
    return next((place for place, (a, b) in enumerate(pairs) if a != b), shorter)


def _merged(short: list[str], whole: list[str]) -> list[list[int]]:
    """The rows of each text in `short` that stands for different texts in `whole`."""
    rows: dict[str, list[int]] = {}
    for row, text in enumerate(short):
        rows.setdefault(text, []).append(row)
    return [own for own in rows.values() if len({whole[row] for row in own}) > 1]


def has_controls(text: str) -> bool:
    """Whether a name holds control characters or line ends, which no table or message can show."""
    return _LINE_CONTROLS.search(text) is not None


def decoded(text: bytes) -> str:
    """Bytes of a file as text: UTF-8, or Latin-1 where they are no UTF-8."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("latin-1")


def first_line(text: bytes) -> str:
    """The first line of a piece of a file, quoted and shortened for a message."""
    line = text[:200].split(b"\n", 1)[0].rstrip(b"\r").decode("utf-8", "replace")
    return repr(line if len(line) <= 60 else line[:57] + "...")


def counted(number: int, noun: str) -> str:
    """A number and its noun: "1,204 sequences", "1 sequence"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def named(items: Sequence[str], most: int = 20, total: int | None = None) -> str:
    """The first `most` items in one line, and how many more there are.

    total: how many there are where `items` are but the first of them; default: as many as `items`.
    """
    more = (len(items) if total is None else total) - most
    return ", ".join(items[:most]) + (f" and {more} more" if more > 0 else "")


def without_controls(text: str) -> str:
    """Text that may stand in XML and HTML: control characters become replacement characters."""
    return _CONTROLS.sub(_REPLACEMENT, text)


def escape_html(text: str) -> str:
    """Text as the content or the attribute of an element, without control characters."""
    return html.escape(without_controls(text))


def escape_markdown(text: str) -> str:
    """Text as a cell of a Markdown table, or within a line: no markup, no HTML, no line end."""
    escaped = _MARKDOWN.sub(r"\\\g<0>", " ".join(without_controls(text).split()))
    return escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def markdown_table(rows: Iterable[Iterable[str]], aligned: bool = False) -> list[str]:
    """The lines of a Markdown table from its cells; the first row is its head.

    aligned: columns as wide as their widest cell, for those who read it in a terminal.
    """
    rows = [[escape_markdown(str(cell)) for cell in row] for row in rows]
    if not aligned:
        head, *body = ("| " + " | ".join(row) + " |" for row in rows)
        return [head, "|" + " --- |" * len(rows[0]), *body]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    head, *body = (
        f"| {' | '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))} |"
        for row in rows
    )
    return [head, "|" + "".join("-" * (width + 2) + "|" for width in widths), *body]
