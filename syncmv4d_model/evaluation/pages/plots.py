"""The pictures of a report page: error over time and by task, against the static guess, and how honest the stddev is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from syncmv4d_model.evaluation.baselines import verb_of
from syncmv4d_model.evaluation.pages.chart import Axis, Chart
from syncmv4d_model.evaluation.pages.page import figure, row_anchor
from syncmv4d_model.evaluation.reliability import LEVELS, pooled

if TYPE_CHECKING:
    from syncmv4d_model.evaluation.harness import Report

METHODS = {
    "predicted": "end_point_error_cm",
    "text_mean": "text_mean_error_cm",
    "floor_mean": "floor_mean_error_cm",
    "static": "static_end_point_error_cm",
}
"""Whose end-point errors are drawn, and which score holds them; the names are also those of their colours in page.css."""
MOST_GROUPS = 24
SQUARE = {"width": 440, "height": 420}
_LEAST_POINTS = 30  # a bin of fewer says nothing


def plots(report: Report) -> str:
    """Every figure that the report has the numbers for, as HTML; nothing where it has none."""
    rows = (
        ("wide", [*_over_frames(report), *_by_task(report)]),
        ("square", [*_against_static(report), *_honesty(report)]),
    )
    return "".join(f'<div class="figures {kind}">{"".join(figures)}</div>' for kind, figures in rows if figures)


def _over_frames(report: Report) -> Iterator[str]:
    if report.bag is None or any(row["error_over_time_cm"] for row in report.rows):
        reading = "Mean distance of moving points from the truth in each frame, over all sequences."
        yield _over_time(report, "error_over_time_cm", "error over time", "end-point error, cm", reading)
    if report.bag is not None:
        reading = "Difference between an anchor's colour and the recorded image's where the point is predicted."
        key, title = "colour_difference_over_time", "colour difference over time"
        yield _over_time(report, key, title, "8-bit values", reading)


def _honesty(report: Report) -> Iterator[str]:
    reliability = pooled(report.rows)
    if reliability is not None:
        if (reliability["error_cm"] > 0).any():  # a perfect method has no place on its axes
            yield _reliability(reliability)
        yield _coverage(reliability)


def _with_errors(report: Report) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows whose truth moves, and the methods that have an error in one of them."""
    rows = [row for row in report.rows if row[METHODS["static"]] is not None]
    return rows, [name for name, score in METHODS.items() if any(row[score] is not None for row in rows)]


def mean_over_time(report: Report, name: str, *, key: str = "error_over_time_cm") -> np.ndarray | None:
    """Mean over sequences of one row's values per frame n >= 1 (cm, unless `key` is another one), NaN where no sequence has
    one; None if never made.
    """
    lines = [row[key][name] for row in report.rows if name in row[key]]
    if not lines:
        return None
    values = np.array(lines, dtype=np.float64)
    known = np.isfinite(values)
    count = known.sum(0)
    return np.where(count > 0, np.where(known, values, 0).sum(0) / np.maximum(count, 1), np.nan)


def _over_time(report: Report, key: str, title: str, ylabel: str, reading: str) -> str:
    lines = {name: mean_over_time(report, name, key=key) for name in METHODS}
    made = {name: line for name, line in lines.items() if line is not None}
    values = np.concatenate([[0.0], *made.values()])
    last = max((len(line) for line in made.values()), default=1)
    top = max(float(np.nanmax(values)), 1e-3)
    chart = Chart(Axis("frame", 0, last), Axis(ylabel, 0, 1.08 * top), alt=title)
    for name, line in made.items():
        points = [(n + 1.0, float(value)) for n, value in enumerate(line)]
        chart.line(points, name)
        for point in points:
            if np.isfinite(point[1]):
                chart.dot(point, name, radius=3, title=f"frame {point[0]:.0f}: {_said(name)} {point[1]:.3g}")
    return figure(title, reading, chart.svg(), legend={name: _said(name) for name in made})


def _by_task(report: Report) -> Iterator[str]:
    """A strip per group of tasks: a dot per sequence, a bar at the median, the static guess below."""
    rows, methods = _with_errors(report)
    if not rows:
        return
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[verb_of(row["triplet"]) if row.get("triplet") else row["task"]].append(row)
    by_size = sorted(groups, key=lambda name: -len(groups[name]))[:MOST_GROUPS]
    names = sorted(by_size, key=lambda name: -float(np.median([row[METHODS["static"]] for row in groups[name]])))
    most = max(row[METHODS[name]] for row in rows for name in methods if row[METHODS[name]] is not None)
    labels = [f"{_clipped(name)} ({len(groups[name])})" for name in names]
    chart = Chart(
        Axis("end-point error, cm", 0, 1.04 * max(most, 1e-3)),
        Axis("", len(names) - 0.5, -0.5, names=labels),
        alt="error by task",
        height=70 + 26 * max(2, len(names)) * max(2, len(methods)) // 2 + 20,
    )
    step = min(0.26, 0.8 / len(methods))
    for place, group in enumerate(names):
        for index, method in enumerate(methods):
            level = place + (index - (len(methods) - 1) / 2) * step
            _strip(chart, groups[group], method, level, half=step / 2)
    left_out = f" The {len(groups) - MOST_GROUPS} rarest are left out." if len(groups) > MOST_GROUPS else ""
    what = "verb" if rows[0].get("triplet") else "task"
    reading = f"A dot per sequence, grouped by {what} (how many); the upright bar is the group's median.{left_out}"
    yield figure("error by task", reading, chart.svg(), legend={name: _said(name) for name in methods})


def _strip(chart: Chart, rows: list[dict[str, Any]], method: str, level: float, *, half: float) -> None:
    known = [row for row in rows if row[METHODS[method]] is not None]
    for row in known:
        chart.dot((row[METHODS[method]], level), method, radius=3.2, title=_told(row), link=f"#{row_anchor(row)}")
    if known:
        median = float(np.median([row[METHODS[method]] for row in known]))
        width = 0.004 * chart.x.high
        chart.bar((median - width / 2, level - half), (median + width / 2, level + half), method)


def _against_static(report: Report) -> Iterator[str]:
    rows, methods = _with_errors(report)
    drawn = [name for name in ("text_mean", "predicted") if name in methods]
    if not drawn:
        return
    errors = [row[score] for row in rows for score in METHODS.values() if row[score] is not None]
    high = 1.05 * max(max(errors), 1e-3)
    chart = Chart(
        Axis("error if nothing moved, cm", 0, high), Axis("error, cm", 0, high), alt="error against static", **SQUARE
    )
    chart.line([(0, 0), (high, high)], "reference")
    chart.note((0.02 * high, 0.93 * high), "worse than nothing moving")
    chart.note((0.98 * high, 0.06 * high), "better", anchor="end")
    for method in drawn:
        for row in rows:
            if row[METHODS[method]] is not None:
                point = (row[METHODS["static"]], row[METHODS[method]])
                chart.dot(point, method, title=_told(row), link=f"#{row_anchor(row)}")
    reading = "A dot per sequence; below the line it is predicted better than by holding the first frame still. A dot leads to its row."
    legend = {name: _said(name) for name in reversed(drawn)}
    yield figure("error against the static guess", reading, chart.svg(), legend=legend)


def _reliability(of: Mapping[str, np.ndarray]) -> str:
    shown = np.flatnonzero((of["count"] >= _LEAST_POINTS) & (of["error_cm"] > 0))
    shown = shown if len(shown) else np.flatnonzero(of["error_cm"] > 0)
    values = np.concatenate([of["stddev_cm"][shown], of["error_cm"][shown]])
    low, high = float(values.min()) / 1.6, 1.6 * float(values.max())  # wide enough for a tick
    chart = Chart(
        Axis("predicted standard deviation, cm per axis", low, high, log=True),
        Axis("true error, cm per axis", low, high, log=True),
        alt="reliability of stddev",
        **SQUARE,
    )
    chart.line([(low, low), (high, high)], "reference")
    points = [(float(of["stddev_cm"][b]), float(of["error_cm"][b])) for b in shown]
    chart.line(points, "predicted")
    share = of["count"] / of["count"].sum()
    for bin_, point in zip(shown, points, strict=True):
        told = f"{int(of['count'][bin_])} points: predicted {point[0]:.2g} cm, true {point[1]:.2g} cm"
        chart.dot(point, "predicted", radius=3 + 12 * float(np.sqrt(share[bin_])), title=told)
    reading = (
        "Points binned by predicted deviation (root mean squares; a larger dot holds more points). On the line it is honest; "
        "above it the model is surer than it should be."
    )
    return figure("reliability of stddev", reading, chart.svg())


def _coverage(of: Mapping[str, np.ndarray]) -> str:
    chart = Chart(
        Axis("predicted probability of the interval", 0, 1), Axis("share inside", 0, 1), alt="coverage", **SQUARE
    )
    chart.line([(0, 0), (1, 1)], "reference")
    points = [(0.0, 0.0), *zip(LEVELS, map(float, of["coverage"]), strict=True)]
    chart.line(points, "predicted")
    for level, share in points[1:]:
        chart.dot((level, share), "predicted", title=f"{level:.0%} interval holds {share:.1%}")
    reading = "How much of the truth lies in the central intervals that stddev claims, coordinate by coordinate; below the line: too sure."
    return figure("coverage at several levels", reading, chart.svg())


def _told(row: Mapping[str, Any]) -> str:
    """A sequence in a line, for who points at it."""
    errors = [f"{_said(name)} {row[score]:.2f}" for name, score in METHODS.items() if row[score] is not None]
    return f"{row['sequence']}: {row['task']}\n{', '.join(errors)} cm"


def _said(name: str) -> str:
    return name.replace("_", " ")


def _clipped(text: str) -> str:
    return text if len(text) <= 28 else text[:27] + "…"
