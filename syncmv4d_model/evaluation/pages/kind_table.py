"""A report's sequences by kind: a line per tag, each score beside standing still."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rich.table import Table

from syncmv4d_model.evaluation.pages.page import table

if TYPE_CHECKING:
    from syncmv4d_model.evaluation.harness import Report

COLUMNS = {
    "end_point_error_ratio": "end point",
    "displacement_error_ratio": "displacement",
    "text_mean_ratio": "text mean",
    "floor_mean_ratio": "mean future",
    "floor_sample_ratio": "one future",
    "static_end_point_error_cm": "static, cm",
}
NOTHING = "–"
TITLE = "By kind, over static"


def kind_table(report: Report) -> Table | None:
    """For the terminal; None where no sequence has a tag."""
    if not report.by_tag:
        return None
    made = Table(title=TITLE)
    for heading in headings(report):
        made.add_column(heading, justify="left" if heading == "kind" else "right")
    for line in lines(report, with_intervals=False):
        made.add_row(*line)
    return made


def kind_markdown(report: Report) -> list[str]:
    """Lines of a Markdown table, with intervals; none where no sequence has a tag."""
    if not report.by_tag:
        return []
    head = headings(report)
    rows = [f"| {' | '.join(line)} |" for line in (head, ("---",) * len(head), *lines(report, with_intervals=True))]
    return ["", f"**{TITLE}**", "", *rows]


def kind_html(report: Report) -> str:
    """As HTML, with intervals; nothing where no sequence has a tag."""
    return table(headings(report), lines(report, with_intervals=True)) if report.by_tag else ""


def headings(report: Report) -> tuple[str, ...]:
    """Those of the columns that a tag has a number for."""
    return ("kind", "sequences", *(COLUMNS[name] for name in _shown_columns(report)))


def lines(report: Report, *, with_intervals: bool) -> Iterator[tuple[str, ...]]:
    """A line per tag, the largest kind first."""
    columns = _shown_columns(report)
    for tag, kind in sorted(report.by_tag.items(), key=lambda item: (-item[1]["sequences"], item[0])):
        yield tag, str(kind["sequences"]), *(_shown(kind, name, with_intervals) for name in columns)


def _shown_columns(report: Report) -> list[str]:
    kinds = report.by_tag.values()
    return [name for name in COLUMNS if any(kind["metrics"].get(name) is not None for kind in kinds)]


def _shown(kind: Mapping[str, Any], name: str, with_interval: bool) -> str:
    value, interval = kind["metrics"].get(name), kind["intervals"].get(name)
    if value is None:
        return NOTHING
    beside = f" ({interval[0]:.3g} .. {interval[1]:.3g})" if with_interval and interval is not None else ""
    return f"{value:.3g}{beside}"
