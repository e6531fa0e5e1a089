"""`syncmv4d tables`: the paper's Tab. 1 to 4 with our numbers, from reports of `syncmv4d evaluate` and `syncmv4d train ablation`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from syncmv4d_cli.compare import NOT_COMPUTED, document, markdown_table, marked, read_report, with_interval
from syncmv4d_cli.paper_numbers import (
    ABLATION_COLUMNS,
    ABLATION_ROWS,
    CLAIMS,
    MOTION_COLUMNS,
    MOTION_ROWS,
    STATIC,
    VIDEO_COLUMNS,
    VIDEO_ROWS,
    Claim,
    Column,
)

NO_NUMBER = "–"
METHODS = {
    "static": "nothing moves, from the true frame 0",
    "text_mean": "mean motion of the text, from the true frame 0",
    "nano": "ours, nano",
}
"""Reports of Tab. 1 and 2, by file name."""


@dataclass(frozen=True)
class Options:
    """Print Tab. 1 to 4 of the paper with our numbers below the paper's; or put them into a document, between the marks
    `<!-- table video -->` and `<!-- end of table video -->`, and so for motion, ablation and claims.

    Reports lie in REPORTS/<split>/<name>.json. For Tab. 1 and 2 their names are static, text_mean (`syncmv4d evaluate --method NAME`)
    and nano; for Tab. 3 and 4 those that `syncmv4d train ablation` writes. What is missing is left out of a table, and a table
    without any report is left alone.

    syncmv4d tables reports out/ablation/reports --into docs/results.md
    """

    reports: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of reports."""
    into: Path | None = None
    """Document to put the tables into."""
    seed: int = 0
    """Of the bootstrap resamples."""


Reports = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Split -> name -> report."""


def main(args: list[str]) -> int:
    """Entry of `syncmv4d tables`."""
    options = tyro.cli(Options, args=args, prog="syncmv4d tables", description=Options.__doc__)
    if not options.reports:
        raise ValueError("give at least one folder of reports, REPORTS/<split>/<name>.json")
    reports = read_reports(options.reports)
    tables = tables_of(reports, seed=options.seed)
    if not tables:
        raise ValueError(f"no report of Tab. 1 to 4 in {', '.join(map(str, options.reports))}")
    if options.into is None:
        print("\n".join(f"{name}\n\n{table}" for name, table in tables.items()), end="")
        return 0
    from syncmv4d_model.data.atomic import write_bytes

    text = document(options.into)
    for name, table in tables.items():
        before, _, after = marked(text, name)
        text = f"{before}{table}{after}"
    write_bytes(options.into, text.encode())
    print(f"{options.into}: tables {', '.join(tables)} of {', '.join(reports)}")
    return 0


def read_reports(folders: Iterable[Path]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Every report of the folders. FileNotFoundError for a folder that is not there; ValueError for a file that is no report, and for
    two of the same split and name.
    """
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for folder in folders:
        if not folder.is_dir():
            raise FileNotFoundError(f"no folder {folder}: reports lie in REPORTS/<split>/<name>.json")
        for path in sorted(folder.glob("*/*.json")):
            of_split = found.setdefault(path.parent.name, {})
            if path.stem in of_split:
                raise ValueError(f"there are two reports {path.stem} of {path.parent.name}, the second is {path}")
            of_split[path.stem] = report = read_report(path)
            if report.get("split", path.parent.name) != path.parent.name:
                raise ValueError(f"{path} is a report of {report['split']}: it belongs into a folder of that name")
    return dict(sorted(found.items()))


def tables_of(reports: Reports, *, seed: int = 0) -> dict[str, str]:
    """Those of the four tables that there are reports for, as Markdown by name."""
    trainings = {split: _trainings(named) for split, named in reports.items()}
    made = {
        "video": methods_table(reports, VIDEO_COLUMNS, VIDEO_ROWS),
        "motion": methods_table(reports, MOTION_COLUMNS, MOTION_ROWS),
        "ablation": ablation_table(trainings, seed=seed),
        "claims": claims_table(trainings, seed=seed),
    }
    return {name: table for name, table in made.items() if table}


def methods_table(reports: Reports, columns: Sequence[Column], paper: Mapping[str, Sequence[float]]) -> str:
    """Tab. 1 or 2: the paper's rows, then a row for each split and method that has a score of the columns."""
    rows = [
        ["TACO", f"{name} (paper)", *(f"{value:g}" for value in values), *[NO_NUMBER] * (len(columns) - len(values))]
        for name, values in paper.items()
    ]
    ours = []
    for split, named in reports.items():
        for name, words in METHODS.items():
            cells = [_cell(named[name], column) for column in columns] if name in named else []
            if any(cell != NOT_COMPUTED for cell in cells):
                ours.append([split, words, *cells])
        if not any(row[0] == split for row in ours):
            continue
        true = [_true_cell(named, column) for column in columns]
        if any(cell != NO_NUMBER for cell in true):
            ours.append([split, "the truth itself", *true])
    headings = ["data", "method", *(column.heading for column in columns)]
    return markdown_table([headings, *rows, *ours]) if ours else ""


def _cell(report: Mapping[str, Any], column: Column) -> str:
    value, interval = report["metrics"].get(column.metric), report["intervals"].get(column.metric)
    return NOT_COMPUTED if value is None else with_interval(value, interval, scale=column.scale)


def _true_cell(named: Mapping[str, Mapping[str, Any]], column: Column) -> str:
    """What the truth itself scores, from any report of the split that has it."""
    known = f"true_{column.metric}"
    values = [report["metrics"][known] for report in named.values() if report["metrics"].get(known) is not None]
    return f"{column.scale * values[0]:.3g}" if values else NO_NUMBER


def _trainings(named: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[int, Mapping[str, Any]]]:
    """Variant -> seed -> report, of the reports whose names say so."""
    found: dict[str, dict[int, Mapping[str, Any]]] = {}
    for name, report in named.items():
        parts = re.fullmatch(r"(.+)-(\d+)", name)
        if parts and parts[1] in ABLATION_ROWS:
            found.setdefault(parts[1], {})[int(parts[2])] = report
    return found


Trainings = Mapping[str, Mapping[str, Mapping[int, Mapping[str, Any]]]]
"""Split -> variant -> seed -> report."""


def ablation_table(trainings: Trainings, *, seed: int) -> str:
    """Tab. 3 and 4: a row for each split and variant; means over its trainings."""
    from syncmv4d_model.training.ablation import VARIANTS

    rows = []
    for split, variants in trainings.items():
        for name, (pixels, error) in ABLATION_ROWS.items():
            if name in variants:
                reports = list(variants[name].values())
                cells = [_mean_cell(reports, column, seed) for column in ABLATION_COLUMNS]
                paper = [NO_NUMBER if number is None else f"{number:g}" for number in (pixels, error)]
                rows.append([split, VARIANTS[name].title, str(len(reports)), *cells, *paper])
    headings = ["data", "variant", "trainings", *(column.heading for column in ABLATION_COLUMNS)]
    headings += ["paper: Mat. Pix. ↑", "paper: MV RPE, % ↓"]
    return markdown_table([headings, *rows]) if rows else ""


def _mean_cell(reports: Sequence[Mapping[str, Any]], column: Column, seed: int) -> str:
    from syncmv4d_model.evaluation.paired import averaged

    try:
        mean = averaged(reports, column.metric, seed=seed)
    except ValueError:
        return NO_NUMBER
    return with_interval(mean.value, mean.interval, scale=column.scale)


def claims_table(trainings: Trainings, *, seed: int) -> str:
    """Whether each part helps: a row for each claim and score, a column for each split."""
    splits = [split for split, variants in trainings.items() if variants]
    rows = []
    for claim in CLAIMS:
        for column in claim.columns:
            cells = [_verdict(trainings[split], claim, column, seed) for split in splits]
            if any(cell != NO_NUMBER for cell in cells):
                against = "standing still" if claim.against is None else claim.against.title
                rows.append([claim.words, f"{claim.ours.title} / {against}", column.title, *cells])
    return markdown_table([["claim", "compared", "score", *splits], *rows]) if rows else ""


def _verdict(variants: Mapping[str, Mapping[int, Mapping[str, Any]]], claim: Claim, column: Column, seed: int) -> str:
    """Ratio or difference with its interval, and whether it bears the claim out: one training each bears out nothing, for another
    might have come out otherwise.
    """
    from syncmv4d_model.evaluation.paired import compared

    ours = variants.get(claim.ours.name, {})
    if claim.against is None:
        against = {number: _standing_still(report, column.metric) for number, report in ours.items()}
    else:
        against = variants.get(claim.against.name, {})
    seeds = sorted(set(ours) & set(against))
    try:
        found = compared(
            [ours[number] for number in seeds], [against[number] for number in seeds], column.metric, seed=seed
        )
    except ValueError:
        return NO_NUMBER
    difference = found.by == "difference"
    number = with_interval(found.value, found.interval, sign="+" if difference else "")
    if found.trainings == 1 or found.interval is None:
        return f"{number}, one training each" if found.trainings == 1 else f"{number}, one sequence"
    same = 0.0 if difference else 1.0
    below, above = found.interval[1] < same, found.interval[0] > same
    good, bad = (above, below) if column.better == "up" else (below, above)
    said = "**yes**" if good else "**no**" if bad else "not shown"
    return f"{said}: {number}, {found.trainings} trainings each"


def _standing_still(report: Mapping[str, Any], metric: str) -> Mapping[str, Any]:
    """What a scene that does not move has for a score, in the shape of a report of its own."""
    return {"rows": [{"sequence": row["sequence"], metric: row.get(STATIC[metric])} for row in report["rows"]]}
