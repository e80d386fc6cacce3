"""How every page of words and sequences begins: without scripts, and with its style in it."""

from whatyouread.support.text import escape_html

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What a page may load: nothing; its style is its own."""


def html_head(title: str, style: str, policy: str = POLICY) -> str:
    """A page up to its first heading. title: plain text; style: CSS."""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{escape_html(title)}</title>
<style>{style}</style>
</head>
<body>"""
