"""One HTML page that needs no other file, and what stands on it."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>SyncMV4D: {title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
table {{ border-collapse: collapse; margin: 1rem 0; }}
td, th {{ padding: .2rem .8rem; border-bottom: 1px solid #ddd; text-align: right; }}
td:first-child, th:first-child {{ text-align: left; }}
img, video {{ max-width: 100%; }}
</style></head><body>
<h1>{title}</h1>
{body}</body></html>
"""


def page(title: str, body: str) -> str:
    """The whole page; `title` is text, `body` is HTML."""
    return PAGE.format(title=html.escape(title), body=body)


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts."""

    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return "<table>" + line(headings, "th") + "".join(line(row, "td") for row in rows) + "</table>"


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{html.escape(text)}</p>\n"


def picture(alt: str, png: bytes) -> str:
    """A PNG, in the page itself."""
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def film(mp4: bytes) -> str:
    """An MP4, in the page itself."""
    return f'<video controls loop autoplay muted src="data:video/mp4;base64,{base64.b64encode(mp4).decode()}"></video>'
