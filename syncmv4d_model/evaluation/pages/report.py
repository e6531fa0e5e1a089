"""What people look at: a table for the terminal, Markdown, one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from syncmv4d_model.data.atomic import write_bytes
from syncmv4d_model.evaluation.pages.films import Film, films_html
from syncmv4d_model.evaluation.pages.headlines import cards, lead
from syncmv4d_model.evaluation.pages.kind_table import kind_html, kind_markdown
from syncmv4d_model.evaluation.pages.meanings import BETTER, HEADLINES
from syncmv4d_model.evaluation.pages.page import contents, page, sections, table
from syncmv4d_model.evaluation.pages.plots import plots
from syncmv4d_model.evaluation.pages.sequence_table import sequence_table

if TYPE_CHECKING:
    from syncmv4d_model.evaluation.harness import Report

NOT_COMPUTED = "not computed"
HEADINGS = ("metric", "mean", "95 % interval", "better")


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
    """All metrics with their intervals as a Markdown table, what the first to read mean, and the sequences by kind."""
    rows = [f"| {' | '.join(line)} |" for line in (HEADINGS, ("---",) * len(HEADINGS), *_lines(report))]
    meanings = [f"- `{name}`: {meaning}" for name, meaning in _meanings(report)]
    return (
        "\n".join([f"**{_title(report)}**", "", *rows, *([""] if meanings else []), *meanings, *kind_markdown(report)])
        + "\n"
    )


def html_page(report: Report, films: Sequence[Film] = ()) -> str:
    """One page that needs no other file: what to read first, charts, videos, a line per sequence, the kinds of sequences, all metrics, what a bag was
    read as, why scores are missing, and what the numbers were made with.
    """
    of_a_recording = report.bag is not None
    filmed = {report.rows[film.index]["sequence"] for film in films}
    parts = {
        "Headlines": cards(report),
        "Charts": plots(report),
        "Videos": films_html(films, report.rows) if films else "",
        "Sequences": sequence_table(report.rows, of_a_recording=of_a_recording, filmed=filmed),
        "By kind": kind_html(report),
        "Metrics": table(HEADINGS, list(_lines(report))),
        "Bag": _bag_tables(report.bag) if report.bag is not None else "",
        "Not computed": table(("score", "because"), list(report.not_computed.items())) if report.not_computed else "",
        "Made with": table(("setting", ""), list(_settings(report.settings))) if report.settings else "",
    }
    there = {title: body for title, body in parts.items() if body}
    return page(_title(report), lead(report) + contents(there) + sections(there), script=True)


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


def write_html(report: Report, path: Path, films: Sequence[Film] = ()) -> None:
    """Write `html_page` whole or not at all; errors as atomic.write_bytes."""
    write_bytes(path, html_page(report, films).encode())


def _title(report: Report) -> str:
    """What was scored, on what: `test_1, 64 sequences, nano@0123456789abcdef without aligner`."""
    count = f"{report.sequences} sequence{'s' if report.sequences != 1 else ''}"
    checkpoint, without = report.settings.get("checkpoint"), report.settings.get("without")
    method, predictions = report.settings.get("method"), report.settings.get("predictions")
    if method is not None:
        scored = f"{method} of {predictions}" if predictions is not None else method
    elif not report.switches:  # no model was asked
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
