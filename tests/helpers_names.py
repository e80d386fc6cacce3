"""Names that a format may take for something else; each of them is to stay the name that it is."""

import numpy as np

HOSTILE = [
    "$x$", "costs $5", "$\\frac{", "_x^2", "\\alpha",  # mathematics
    "NA", "null", "nan", "None", "N/A", "", "007", "1e5", "12", "TRUE", "inf", "-0",  # no text
    "a\tb", "a\nb", "a\rb", "a\r\nb", '"quoted"', '"open', "it's", " lead", "trail ", "#c", "=1+1",
    "a|b", "`code`", "**bold**", "[link](x)", "\\", "a\\|b",  # Markdown
    "<b>", "<script>alert(1)</script>", "</script>", "&amp;", "]]>", "-->", "<!--", "--",
    "\x00", "\x01\x1b[31m", "\x0b\x0c", "\x7f\x85", "\ufffe",  # control characters
    "\u202eabc", "a\u200fb", "\ufeffbom", "\u2028", "Ωé漢", "a b", "a_b", "a-b", "x" * 5000,
]  # fmt: skip


def random_names(seed: int, count: int) -> list[str]:
    """Names made of the characters and pieces above, in any order."""
    rng = np.random.default_rng(seed)
    pieces = [*"\t\r\n\"'|`$<>&\\ \x00\x01\u202e#*_-09eé", "NA", "null", "</script>", "--", "1e5"]
    lengths = rng.integers(1, 12, count)
    return ["".join(rng.choice(pieces, length)) for length in lengths]
