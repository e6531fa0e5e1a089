"""One HTML page that needs no other file, and what stands on it. Its style and its script are the files beside this one."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>SyncMV4D: {title}</title>
<link rel="icon" href="data:,">
<style>
{style}</style></head><body>
<h1>{title}</h1>
{body}{script}</body></html>
"""


def page(title: str, body: str, *, script: bool = False) -> str:
    """The whole page; `title` is text, `body` is HTML, which the script beside this module makes sortable and searchable."""
    here = Path(__file__)
    code = f"\n<script>\n{here.with_name('page.js').read_text()}</script>\n" if script else ""
    style = here.with_name("page.css").read_text()
    return PAGE.format(title=html.escape(title), style=style, body=body, script=code)


def sections(parts: Mapping[str, str]) -> str:
    """The parts of the page (title -> HTML) under their headings, which can be linked to."""
    return "\n".join(
        f'<section id="{_identifier(title)}">\n<h2>{html.escape(title)}</h2>\n{body}\n</section>'
        for title, body in parts.items()
    )


def contents(titles: Iterable[str]) -> str:
    """Links to the parts of the page."""
    links = "".join(f'<a href="#{_identifier(title)}">{html.escape(title)}</a>' for title in titles)
    return f"<nav>{links}</nav>\n"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts."""

    def line(cells: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    body = "\n".join(line(row, "td") for row in rows)
    return f'<div class="scroll"><table><thead>{line(headings, "th")}</thead>\n<tbody>{body}</tbody></table></div>'


def paragraph(text: str) -> str:
    """A paragraph of plain text."""
    return f"<p>{html.escape(text)}</p>\n"


def picture(alt: str, png: bytes) -> str:
    """A PNG, in the page itself."""
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def film(mp4: bytes) -> str:
    """An MP4, in the page itself."""
    data = base64.b64encode(mp4).decode()
    return f'<video controls loop autoplay muted playsinline src="data:video/mp4;base64,{data}"></video>'


def figure(title: str, reading: str, svg: str, *, legend: Mapping[str, str] | None = None) -> str:
    """A chart under its title, with how it is read and which colour is what (style -> words)."""
    keys = "".join(f'<span class="key {kind}">{html.escape(words)}</span>' for kind, words in (legend or {}).items())
    head = f"<h3>{html.escape(title)}</h3><p>{html.escape(reading)}</p>"
    return f'<figure><figcaption>{head}{keys}</figcaption><div class="scroll">{svg}</div></figure>'


def row_anchor(row: Mapping[str, Any]) -> str:
    """The id of a sequence's line in the page."""
    return f"row-{_identifier(row['sequence'])}"


def film_anchor(row: Mapping[str, Any]) -> str:
    """The id of a sequence's video in the page."""
    return f"film-{_identifier(row['sequence'])}"


def _identifier(text: str) -> str:
    return re.sub(r"\W+", "-", text.lower())
