"""The first thing on a report page: the scores that one comes for, each with its interval and what it means."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from syncmv4d_model.evaluation.pages.meanings import BETTER, HEADLINES, HIGHER, LOWER

if TYPE_CHECKING:
    from syncmv4d_model.evaluation.harness import Report

_GAUGE_PX, _MOST = 200, 2.0  # a ratio's gauge goes from 0 to twice the reference


def lead(report: Report) -> str:
    """The result in a sentence, as HTML; nothing where there is no track error."""
    error, static, mean = (
        report.metrics.get(name) for name in ("end_point_error_cm", "static_end_point_error_cm", "text_mean_error_cm")
    )
    if static is None:
        return ""
    beside = f"<b>{static:.2g} cm</b> if nothing moved"
    if mean is not None:
        beside += f", <b>{mean:.2g} cm</b> if things moved as the task's training scenes did on average"
    if error is None:
        return f'<p class="lead">Points that move would be {beside}, off the truth.</p>'
    return (
        f'<p class="lead">Points that move are predicted <b>{error:.2g} cm</b> off the truth on average; {beside}.</p>'
    )


def cards(report: Report) -> str:
    """A card per headline score that the report has, as HTML."""
    made = [_card(report, name, meaning) for name, meaning in HEADLINES.items() if report.metrics.get(name) is not None]
    return f'<div class="cards">{"".join(made)}</div>'


def _card(report: Report, name: str, meaning: str) -> str:
    value, interval = report.metrics[name], report.intervals[name]
    assert value is not None
    low_high = f'<span class="interval">{interval[0]:.3g} .. {interval[1]:.3g}</span>' if interval else ""
    gauge = _gauge(value, interval) if name.endswith("_ratio") else ""
    better = f" ({BETTER[name]}{'' if BETTER[name].startswith('near') else ' is better'})" if name in BETTER else ""
    return (
        f'<div class="card"><h3>{name}</h3><div class="value {_verdict(name, interval)}">{value:.3g}{low_high}</div>'
        f"{gauge}<p>{html.escape(meaning)}{better}</p></div>"
    )


def _verdict(name: str, interval: list[float] | None) -> str:
    """Good or bad only where the whole interval of a ratio is on one side of its reference, 1."""
    if interval is None or not name.endswith("_ratio") or BETTER.get(name) not in (LOWER, HIGHER):
        return ""
    low, high = interval
    if high < 1:
        return "good" if BETTER[name] == LOWER else "bad"
    if low > 1:
        return "bad" if BETTER[name] == LOWER else "good"
    return ""


def _gauge(value: float, interval: list[float] | None) -> str:
    """Where a ratio and its interval lie beside its reference."""

    def at(ratio: float) -> float:
        return round(_GAUGE_PX * min(max(ratio, 0), _MOST) / _MOST, 1)

    low, high = interval or (value, value)
    span = f'<rect class="span" x="{at(low)}" y="3" width="{max(at(high) - at(low), 0.1):.1f}" height="8"/>'
    return (
        f'<svg class="gauge" viewBox="0 0 {_GAUGE_PX} 14" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="track" y="6" width="{_GAUGE_PX}" height="2"/>{span}'
        f'<rect class="mean" x="{at(value) - 1}" y="1" width="2" height="12"/>'
        f'<path class="one" d="M{at(1)},0 V14" stroke-dasharray="2 2"/></svg>'
    )
