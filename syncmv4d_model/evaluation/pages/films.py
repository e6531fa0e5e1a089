"""The videos of a report page: the sequences predicted best and worst, beside their truth."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from syncmv4d_model.evaluation.pages.page import film, film_anchor, row_anchor
from syncmv4d_model.types import LABELS

READING = (
    "A row per view. Points are those that are scored, in the colour of their label; a small dark one is not seen by its view. "
    "What is generated was predicted again from the noise that was scored."
)


@dataclass(frozen=True)
class Film:
    """One sequence's video; `columns` are the names of what it shows side by side."""

    index: int  # of its row in the report
    place: int  # 1 = the best
    of: int
    best: bool
    columns: tuple[str, ...]
    mp4: bytes


def films_html(films: Sequence[Film], rows: Sequence[Mapping[str, Any]]) -> str:
    """The videos with their captions, best first, and which colour is which label."""
    keys = "".join(f'<span class="key {label}">{label}</span>' for label in (*LABELS[1:], LABELS[0]))
    shown = "\n".join(_captioned(one, rows[one.index]) for one in films)
    return f'<p>{html.escape(READING)}</p><p>{keys}</p>\n<div class="films">\n{shown}\n</div>'


def _captioned(one: Film, row: Mapping[str, Any]) -> str:
    kind = "best" if one.best else "worst"
    name = f'<a href="#{row_anchor(row)}" title="to its row">{html.escape(row["sequence"])}</a>'
    title = f'<b class="{kind}">{kind}</b> {name} <span class="text">{html.escape(row["task"])}</span>'
    columns = "".join(f"<span>{html.escape(column)}</span>" for column in one.columns)
    return (
        f'<figure class="film" id="{film_anchor(row)}"><figcaption><h3>{title}</h3>'
        f'<p class="errors">{_errors(row)}; place {one.place} of {one.of}</p></figcaption>'
        f'<div class="columns">{columns}</div>{film(one.mp4)}</figure>'
    )


def _errors(row: Mapping[str, Any]) -> str:
    error, static = row["end_point_error_cm"], row["static_end_point_error_cm"]
    said = f"<b>{error:.1f} cm</b> off, <b>{error / static:.2f}</b> of standing still ({static:.1f} cm)"
    if row.get("text_mean_error_cm") is not None:
        said += f", text mean {row['text_mean_error_cm']:.1f} cm"
    if row.get("psnr") is not None:
        said += f", psnr {row['psnr']:.1f} dB"
    return said
