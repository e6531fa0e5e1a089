"""What people look at: a table for the terminal, Markdown, a picture of error over time, one self-contained HTML page."""

from __future__ import annotations

import html
import io
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from syncmv4d_model.data.atomic import write_bytes
from syncmv4d_model.evaluation.meanings import BETTER, HEADLINES
from syncmv4d_model.evaluation.page import page, picture, table

if TYPE_CHECKING:
    from syncmv4d_model.evaluation.harness import Report

NOT_COMPUTED = "not computed"
HEADINGS = ("metric", "mean", "95 % interval", "better")
SEQUENCE_COLUMNS = (
    "sequence",
    "task",
    "end_point_error_cm",
    "displacement_error_cm",
    "static_end_point_error_cm",
    "psnr",
)
RECORDED_COLUMNS = (
    "sequence",
    "task",
    "consistency_colour_difference",
    "consistency_static_colour_difference",
    "psnr",
    "end_point_error_cm",
)
LINE_COLOURS = {"predicted": "#0b6e4f", "static": "#9a9a9a", "text_mean": "#c8553d"}


def terminal_table(report: Report) -> Table:
    """The metrics that were computed, with their intervals; below, what the first to read mean, and how many others there are."""
    missing = sum(value is None for value in report.metrics.values())
    notes = [f"{name}: {meaning}" for name, meaning in _meanings(report)]
    where = "their names and the reasons are in the JSON (--json) and on the page (--html)"
    notes += [f"{missing} not computed: {where}"] if missing else []
    made = Table(title=_title(report), caption="\n".join(notes), caption_justify="left")
    for heading in HEADINGS:
        made.add_column(heading, justify="right" if heading in HEADINGS[1:3] else "left")
    for name, value, *more in _lines(report):
        if value != NOT_COMPUTED:
            made.add_row(name, value, *more)
    return made


def markdown_table(report: Report) -> str:
    """All metrics with their intervals as a Markdown table, and what the first to read mean."""
    rows = [f"| {' | '.join(line)} |" for line in (HEADINGS, ("---",) * len(HEADINGS), *_lines(report))]
    meanings = [f"- `{name}`: {meaning}" for name, meaning in _meanings(report)]
    return "\n".join([f"**{_title(report)}**", "", *rows, *([""] if meanings else []), *meanings]) + "\n"


def error_plot(report: Report) -> bytes:
    """PNG of the end-point error (cm) over the frames, averaged over sequences, one line per row of the table."""
    return _plot({name: mean_over_time(report, name) for name in LINE_COLOURS}, ylabel="end-point error, cm")


def colour_plot(report: Report) -> bytes:
    """PNG of a recording's colour difference over the frames, predicted and static, averaged over its tasks."""
    lines = {name: mean_over_time(report, name, key="colour_difference_over_time") for name in LINE_COLOURS}
    return _plot(lines, ylabel="colour difference, 8-bit values")


def _plot(lines: Mapping[str, np.ndarray | None], *, ylabel: str) -> bytes:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for name, line in lines.items():
        if line is not None:
            colour = LINE_COLOURS[name]
            axes.plot(range(1, len(line) + 1), line, label=name.replace("_", " "), color=colour, linewidth=2)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("frame")
    axes.set_ylabel(ylabel)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return buffer.getvalue()


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


def html_page(report: Report) -> str:
    """One page that needs no other file: the pictures, the metrics, a line per sequence, what a bag was read as, why scores are
    missing, and what the numbers were made with.
    """
    meanings = "".join(f"<li><b>{name}</b>: {html.escape(meaning)}</li>" for name, meaning in _meanings(report))
    columns = SEQUENCE_COLUMNS if report.bag is None else RECORDED_COLUMNS
    sequences = [tuple(_shown(row[column]) for column in columns) for row in report.rows]
    parts = [
        *(picture(alt, draw(report)) for alt, draw in _pictures(report)),
        f"<h2>Metrics</h2>{table(HEADINGS, list(_lines(report)))}<ul>{meanings}</ul>",
        f"<h2>Sequences</h2>{table(columns, sequences)}",
    ]
    if report.bag is not None:
        parts.append(f"<h2>Bag</h2>{_bag_tables(report.bag)}")
    if report.not_computed:
        parts.append(f"<h2>Not computed</h2>{table(('score', 'because'), list(report.not_computed.items()))}")
    if report.settings:
        parts.append(f"<h2>Made with</h2>{table(('setting', ''), list(_settings(report.settings)))}")
    return page(_title(report), "\n".join(parts))


def _pictures(report: Report) -> list[tuple[str, Callable[[Report], bytes]]]:
    """What a report has the numbers for; a data set's errors always."""
    pictures: list[tuple[str, Callable[[Report], bytes]]] = []
    if report.bag is None or any(row["error_over_time_cm"] for row in report.rows):
        pictures.append(("error over time", error_plot))
    if report.bag is not None:
        pictures.append(("colour difference over time", colour_plot))
    return pictures


def _bag_tables(bag: Mapping[str, Any]) -> str:
    """What was read as what, and what the recording's own scores mean."""
    facts = [(name, str(value)) for name, value in bag.items() if name not in ("cameras", "rules")]
    facts += [(f"camera {name}", str(value)) for name, value in bag.get("cameras", {}).items()]
    return table(("bag", ""), facts) + table(("score", "meaning"), list(bag["rules"].items()))


def _settings(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What was asked for, and the versions of what answered, as texts."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield name, ", ".join(f"{part} {text}" for part, text in value.items())
        elif isinstance(value, list):
            yield name, ", ".join(map(str, value)) or "nothing"
        else:
            yield name, "not given" if value is None else str(value)


def write_html(report: Report, path: Path) -> None:
    """Write `html_page` whole or not at all; errors as atomic.write_bytes."""
    write_bytes(path, html_page(report).encode())


def _title(report: Report) -> str:
    """What was scored, on what: `test_1, 64 sequences, nano@0123456789abcdef without aligner`."""
    count = f"{report.sequences} sequence{'s' if report.sequences != 1 else ''}"
    checkpoint, without = report.settings.get("checkpoint"), report.settings.get("without")
    if not report.switches:  # no model was asked
        scored = "baselines alone" + (f", text mean of {checkpoint}" if checkpoint else "")
    else:
        scored = " ".join(filter(None, (checkpoint, f"without {' and '.join(without)}" if without else None)))
    return ", ".join(filter(None, (report.split, count, scored)))


def _meanings(report: Report) -> list[tuple[str, str]]:
    """The scores to read first that this report has."""
    return [(name, meaning) for name, meaning in HEADLINES.items() if report.metrics.get(name) is not None]


def _lines(report: Report) -> Iterator[tuple[str, str, str, str]]:
    """Name, mean, interval and better direction of each metric, ratios first: they are what one comes for."""
    for name in sorted(report.metrics, key=lambda name: not name.endswith("_ratio")):
        interval = report.intervals[name]
        shown = "" if interval is None else f"{interval[0]:.4g} .. {interval[1]:.4g}"
        yield name, _shown(report.metrics[name]), shown, BETTER.get(name, "")


def _shown(value: float | str | None) -> str:
    if value is None:
        return NOT_COMPUTED
    return value if isinstance(value, str) else f"{value:.4g}"
