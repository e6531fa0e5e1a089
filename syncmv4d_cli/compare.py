"""`syncmv4d compare`: reports of `syncmv4d evaluate --json` side by side, as a Markdown table."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

NOT_COMPUTED = "not computed"


@dataclass(frozen=True)
class Options:
    """Print a table with a column for each report and a row for each metric; or put it into a document, in place of the one
    that stands there between `<!-- table NAME -->` and `<!-- end of table NAME -->`.

    syncmv4d compare test_1.json test_3.json
    syncmv4d compare test_1.json test_3.json --into docs/results.md --table bundled
    syncmv4d compare ours.json --over other.json --metrics displacement_error_cm     # the same sequences, one by one
    """

    reports: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Files that `syncmv4d evaluate --json` wrote."""
    names: tuple[str, ...] = ()
    """Headings of the columns (default: each report's split, and what it was made without)."""
    metrics: tuple[str, ...] = ()
    """Rows (default: those of the table that is replaced, else all that any report has)."""
    over: Path | None = None
    """Show each report's scores over those of this one, which is of the same split, sequence by sequence: the ratio of the means (of
    PSNR and rank correlations the difference), with a 95 % interval of bootstrap resamples that draw both together. Of scores that
    sequences have; not of those that are ratios already."""
    into: Path | None = None
    """Document to put the table into."""
    table: str | None = None
    """Name of the table in that document."""


def main(args: list[str]) -> int:
    """Entry of `syncmv4d compare`."""
    options = tyro.cli(Options, args=args, prog="syncmv4d compare", description=Options.__doc__)
    if not options.reports:
        raise ValueError("give at least one report")
    if (options.into is None) != (options.table is None):
        raise ValueError("--into FILE and --table NAME belong together")
    if options.names and len(options.names) != len(options.reports):
        raise ValueError(f"{len(options.reports)} reports need as many --names, got {len(options.names)}")
    reports = [read_report(path) for path in options.reports]
    if options.over is not None:
        other = read_report(options.over)
        names = options.names or tuple(f"{heading(report)} over {heading(other)}" for report in reports)
        reports = [over(report, other) for report in reports]
    else:
        names = options.names or tuple(map(heading, reports))
    if options.into is None or options.table is None:
        print(comparison(reports, names, options.metrics or all_metrics(reports)), end="")
        return 0
    from syncmv4d_model.data.atomic import write_bytes

    text = document(options.into)
    before, old, after = marked(text, options.table)
    metrics = options.metrics or metrics_of(old) or all_metrics(reports)
    made = comparison(reports, names, metrics)
    write_bytes(options.into, f"{before}{made}{after}".encode())
    print(f"{options.into}: table {options.table}, {len(metrics)} metrics of {', '.join(names)}")
    return 0


def read_report(path: Path) -> dict[str, Any]:
    """A report's JSON. FileNotFoundError, and ValueError for a file that is none."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON: {error}") from error
    if wrong := _what_is_wrong(report):
        raise ValueError(f"{path} is no report of `syncmv4d evaluate --json`: {wrong}")
    return {"rows": [], "settings": {}} | report


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def _what_is_wrong(report: Any) -> str | None:
    if not isinstance(report, dict) or not all(isinstance(report.get(key), dict) for key in ("metrics", "intervals")):
        return "it needs metrics and intervals"
    if not isinstance(report.get("settings", {}), dict):
        return "its settings must be an object"
    if bad := [name for name, value in report["metrics"].items() if not _number_or_null(value)]:
        return f"its {bad[0]} must be a number or null"
    if bad := [name for name, value in report["intervals"].items() if value is not None and not _is_interval(value)]:
        return f"its interval of {bad[0]} must be two numbers or null"
    rows = report.get("rows", [])
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and isinstance(row.get("sequence"), str) for row in rows
    ):
        return "its rows must each name a sequence"
    if len({row["sequence"] for row in rows}) < len(rows):
        return "it has two rows of one sequence"
    for row in rows:
        if bad := [name for name in report["metrics"] if not _number_or_null(row.get(name))]:
            return f"{bad[0]} of sequence {row['sequence']} must be a number or null"
    return None


def _number_or_null(value: Any) -> bool:
    return value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))


def _is_interval(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and None not in value and all(map(_number_or_null, value))


def over(report: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """A report of the ratios of one report's scores to the other's; those that have none are left out. ValueError for reports of
    different sequences.
    """
    from syncmv4d_model.evaluation.paired import check_anchors, compared

    for name, ours, theirs in (
        ("split", report.get("split"), other.get("split")),
        ("data", *(Path(part.get("settings", {}).get("data") or "").name for part in (report, other))),
    ):
        if ours != theirs:
            raise ValueError(f"sequences are compared one by one: the reports are of {name} {ours} and {theirs}")
    check_anchors([report, other])
    ratios: dict[str, Any] = {}
    for name in report["metrics"]:
        with suppress(ValueError):
            ratios[name] = compared([report], [other], name)
    if not ratios:
        raise ValueError("the reports have no sequence in common, or no score of one")
    return dict(report) | {
        "metrics": {name: ratio.value for name, ratio in ratios.items()},
        "intervals": {name: ratio.interval for name, ratio in ratios.items()},
    }


def heading(report: Mapping[str, Any]) -> str:
    """`test_1 without aligner`, `static, test_1`."""
    settings = report.get("settings", {})
    without, method = settings.get("without"), settings.get("method")
    whose = f"{method}, " if method else ""
    return f"{whose}{report.get('split')}" + (f" without {' and '.join(without)}" if without else "")


def all_metrics(reports: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Every metric that some report has a value for, in the first report's order."""
    names = dict.fromkeys(name for report in reports for name in report["metrics"])
    return tuple(name for name in names if any(report["metrics"].get(name) is not None for report in reports))


def comparison(reports: Sequence[Mapping[str, Any]], names: Sequence[str], metrics: Sequence[str]) -> str:
    """The Markdown table. ValueError for a metric that no report knows."""
    for metric in metrics:
        if not any(metric in report["metrics"] for report in reports):
            raise ValueError(
                f"no report has a metric {metric!r} (with --over, only scores of single sequences are there, no ratios)"
            )
    rows = [(metric, *(shown(report, metric) for report in reports)) for metric in metrics]
    return markdown_table([("metric", *names), *rows])


def markdown_table(lines: Sequence[Sequence[str]]) -> str:
    """The headings, and below them the other lines."""
    rows = [lines[0], ("---",) * len(lines[0]), *lines[1:]]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def shown(report: Mapping[str, Any], metric: str, *, digits: int = 3) -> str:
    """A value with its interval."""
    value, interval = report["metrics"].get(metric), report["intervals"].get(metric)
    return NOT_COMPUTED if value is None else with_interval(value, interval, digits=digits)


def with_interval(
    value: float, interval: Sequence[float] | None, *, scale: float = 1.0, sign: str = "", digits: int = 3
) -> str:
    """A number and its interval, `scale` times as large."""
    number, *bounds = (f"{scale * part:{sign}.{digits}g}" for part in (value, *(interval or ())))
    return number + (f" [{', '.join(bounds)}]" if bounds else "")


def document(path: Path) -> str:
    """Its text. FileNotFoundError that says what a table needs."""
    if not path.is_file():
        raise FileNotFoundError(
            f"no document {path}: a table goes between its lines `<!-- table NAME -->` and `<!-- end of table NAME -->`"
        )
    return path.read_text(encoding="utf-8")


def marked(text: str, name: str) -> tuple[str, str, str]:
    """A document before, in and after a table's marks. ValueError unless it has both once, in this order."""
    begin, end = f"<!-- table {name} -->\n", f"<!-- end of table {name} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(end) < text.index(begin):
        raise ValueError(f"the document needs one line {begin.strip()!r} and after it one {end!r}")
    before, rest = text.split(begin)
    old, after = rest.split(end)
    return before + begin, old, end + after


def metrics_of(table: str) -> tuple[str, ...]:
    """The metrics in the first column of a Markdown table."""
    return tuple(name for name in re.findall(r"^\| (\w+) \|", table, re.MULTILINE) if name != "metric")
