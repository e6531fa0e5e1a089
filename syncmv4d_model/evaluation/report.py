"""What people look at: a table for the terminal, Markdown, a picture of error over time, one self-contained HTML page."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.table import Table

from syncmv4d_model.data.atomic import write_bytes

if TYPE_CHECKING:
    from syncmv4d_model.evaluation.harness import Report

NOT_COMPUTED = "not computed"
SEQUENCE_COLUMNS = (
    "sequence",
    "task",
    "end_point_error_cm",
    "displacement_error_cm",
    "static_end_point_error_cm",
    "psnr",
)
LINE_COLOURS = {"predicted": "#0b6e4f", "static": "#9a9a9a", "text_mean": "#c8553d"}

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>SyncMV4D: {title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
table {{ border-collapse: collapse; margin: 1rem 0; }}
td, th {{ padding: .2rem .8rem; border-bottom: 1px solid #ddd; text-align: right; }}
td:first-child, th:first-child {{ text-align: left; }}
img {{ max-width: 100%; }}
</style></head><body>
<h1>{title}</h1>
<img alt="error over time" src="data:image/png;base64,{picture}">
<h2>Metrics</h2>{metrics}
<h2>Sequences</h2>{sequences}
</body></html>
"""


def terminal_table(report: Report) -> Table:
    """The metrics that were computed, with their intervals, and one line naming the others."""
    table = Table(title=_title(report), caption=_missing(report))
    for heading in ("metric", "mean", "95 % interval"):
        table.add_column(heading, justify="left" if heading == "metric" else "right")
    for name, value, interval in _lines(report):
        if value != NOT_COMPUTED:
            table.add_row(name, value, interval)
    return table


def markdown_table(report: Report) -> str:
    """All metrics with their intervals as a Markdown table."""
    rows = [f"| {name} | {value} | {interval} |" for name, value, interval in _lines(report)]
    return "\n".join([f"**{_title(report)}**", "", "| metric | mean | 95 % interval |", "|---|---|---|", *rows]) + "\n"


def error_plot(report: Report) -> bytes:
    """PNG of the end-point error (cm) over the frames, averaged over sequences, one line per row of the table."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, colour in LINE_COLOURS.items():
        line = mean_over_time(report, name)
        if line is not None:
            axes.plot(range(1, len(line) + 1), line, label=name.replace("_", " "), color=colour, linewidth=2)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("frame")
    axes.set_ylabel("end-point error, cm")
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


def mean_over_time(report: Report, name: str) -> np.ndarray | None:
    """Mean over sequences of one row's error per frame n >= 1 (cm), NaN where no sequence has one; None if never made."""
    lines = [row["error_over_time_cm"][name] for row in report.rows if name in row["error_over_time_cm"]]
    if not lines:
        return None
    values = np.array(lines, dtype=np.float64)
    known = np.isfinite(values)
    count = known.sum(0)
    return np.where(count > 0, np.where(known, values, 0).sum(0) / np.maximum(count, 1), np.nan)


def html_page(report: Report) -> str:
    """One page that needs no other file: the picture, the metrics, a line per sequence."""
    metrics = _html_table(("metric", "mean", "95 % interval"), list(_lines(report)))
    sequences = [tuple(_shown(row[column]) for column in SEQUENCE_COLUMNS) for row in report.rows]
    return PAGE.format(
        title=html.escape(_title(report)),
        picture=base64.b64encode(error_plot(report)).decode(),
        metrics=metrics,
        sequences=_html_table(SEQUENCE_COLUMNS, sequences),
    )


def write_html(report: Report, path: Path) -> None:
    """Write `html_page` whole or not at all; errors as atomic.write_bytes."""
    write_bytes(path, html_page(report).encode())


def _title(report: Report) -> str:
    return f"{report.split}, {report.sequences} sequence{'s' if report.sequences != 1 else ''}"


def _missing(report: Report) -> str | None:
    names = [name for name, value in report.metrics.items() if value is None]
    return f"{NOT_COMPUTED}: {', '.join(names)}" if names else None


def _lines(report: Report) -> Iterator[tuple[str, str, str]]:
    """Name, mean and interval of each metric, ratios first: they are what one comes for."""
    for name in sorted(report.metrics, key=lambda name: not name.endswith("_ratio")):
        interval = report.intervals[name]
        shown = "" if interval is None else f"{interval[0]:.4g} .. {interval[1]:.4g}"
        yield name, _shown(report.metrics[name]), shown


def _shown(value: float | str | None) -> str:
    if value is None:
        return NOT_COMPUTED
    return value if isinstance(value, str) else f"{value:.4g}"


def _html_table(headings: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    def line(cells: tuple[str, ...], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells) + "</tr>"

    return "<table>" + line(headings, "th") + "".join(line(row, "td") for row in rows) + "</table>"
