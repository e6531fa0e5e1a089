"""`syncmv4d bench steps`: what more denoising steps bring and what they cost, with and without the cycle."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import track
from rich.table import Table

from syncmv4d_cli.compare import markdown_table, shown
from syncmv4d_cli.device import CPU, check_device
from syncmv4d_cli.least import check_least

if TYPE_CHECKING:
    from syncmv4d_cli.step_curves import Curve
    from syncmv4d_model.evaluation.harness import Report
    from syncmv4d_model.evaluation.kept_rows import ScoredScene
    from syncmv4d_model.evaluation.predicted import SupportsPrediction

METRICS = (
    "end_point_error_ratio",
    "displacement_error_ratio",
    "multi_view_rpe_b",
    "path_length_ratio",
    "psnr",
    "sample_mean_error_cm",
)
"""Columns of the table; one that no row has is left out."""
DRAWN = "end_point_error_ratio"
SECONDS = "seconds_per_sequence"
PAIRED = ("end_point_error_cm", "displacement_error_cm", "multi_view_rpe_b", "video_mse", "sample_mean_error_cm")
"""Errors whose ratio, with the cycle over without it, stands in the second table."""
SCORED = (*PAIRED, "static_end_point_error_cm", "path_length_ratio", "psnr", SECONDS)
"""What the JSON keeps of every sequence."""
NOTE = (
    "Scores as `syncmv4d evaluate` has them, psnr that of the videos in dB, in brackets 95 % bootstrap intervals over sequences; "
    "seconds of one request, median over sequences."
)
NOTE_ON_RATIOS = (
    "With the cycle over without it, paired by sequence: of errors the ratio of the means, below 1 where the cycle helps; of "
    "seconds the median ratio. At 1 step nothing can be fed back."
)


@dataclass(frozen=True)
class Steps:
    """Sample quality per cost: a curve of error and time against denoising steps, with and without the cycle (fed-back tracks).

    Every row scores the same sequences at the same anchors from the same noise, by the rules of `syncmv4d evaluate`. Rows take
    turns, sequence by sequence: a machine that does something else slows all of them alike.

    Example: syncmv4d bench steps --data data/nano --save-json steps.json --plot steps.png
    """

    data: Path
    """Data set folder."""
    split: str = "test_1"
    """Where to score."""
    limit: int = 16
    """Sequences to score, the first of the split. Intervals are over them: one alone has none."""
    checkpoint: Path | None = None
    """Checkpoint folder, of a model that has the cycle (default: the bundled nano)."""
    steps: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    """Numbers of denoising steps to compare."""
    samples: int = 1
    """Predictions per sequence: the first is scored; from 2 on, the error of their mean stands beside it."""
    seed: int = 0
    """Seed of noise, anchors and intervals."""
    device: str = CPU
    """Where it is computed: cpu, or cuda, cuda:1 ... (NVIDIA GPUs)."""
    save_json: Path | None = None
    """Also write all of it here: settings, rows, ratios, and each sequence's scores."""
    markdown: Path | None = None
    """Also write the tables as Markdown here."""
    plot: Path | None = None
    """Also draw the error against steps and against seconds here, as a PNG (needs the eval extra)."""


@dataclass(frozen=True)
class Row:
    """One number of steps, with the cycle or without."""

    steps: int
    cycle: bool
    report: Report

    @property
    def seconds(self) -> list[float]:
        """Of a request, by sequence (mean over samples)."""
        return [row[SECONDS] for row in self.report.rows]

    def to_json(self) -> dict[str, Any]:
        """Its means and intervals, and what each sequence scored."""
        return {
            "steps": self.steps,
            "cycle": self.cycle,
            "seconds_per_request": statistics.median(self.seconds),
            "metrics": {name: self.report.metrics[name] for name in METRICS},
            "intervals": {name: self.report.intervals[name] for name in METRICS},
            "sequences": [{name: row[name] for name in ("sequence", *SCORED)} for row in self.report.rows],
        }


@dataclass(frozen=True)
class Pair:
    """What the cycle changes at one number of steps: each error with it over the same without it, paired by sequence."""

    steps: int
    metrics: Mapping[str, float | None]
    intervals: Mapping[str, list[float] | None]
    seconds_ratio: float


def bench_steps(options: Steps) -> None:
    """Print the tables and write what was asked for. ValueError for options that compare nothing, before any work."""
    import torch

    from syncmv4d_cli.evaluate import load_predictor
    from syncmv4d_cli.provenance import provenance
    from syncmv4d_model.checkpoint_index import BUNDLED_NANO
    from syncmv4d_model.data.atomic import write_bytes

    folder = options.checkpoint or BUNDLED_NANO
    directories = checked(options, folder)
    console = Console()
    predictors = {cycle: load_predictor(folder, () if cycle else ("cycle",), options.device) for cycle in (True, False)}
    rows = scored_in_turns(predictors, directories, options, console=console)
    pairs = cycle_changes(rows, seed=options.seed)
    settings = provenance(folder) | {"data": str(options.data.resolve()), "split": options.split}
    settings |= {name: getattr(options, name) for name in ("limit", "steps", "samples", "seed", "device")}
    settings |= {"threads": torch.get_num_threads()}
    sequences = f"{len(directories)} sequence{'s' if len(directories) != 1 else ''}"
    title = f"{settings['checkpoint']}, {options.split}, {sequences}"
    tables = [(lines_of_rows(rows), NOTE), (lines_of_pairs(pairs), NOTE_ON_RATIOS)]
    console.print(title, highlight=False)
    for lines, note in tables:
        console.print(terminal_table(lines, note=note))
    if options.markdown is not None:
        parts = [f"{markdown_table(lines)}\n{note}\n" for lines, note in tables]
        write_bytes(options.markdown, "\n".join([f"**{title}**\n", *parts]).encode())
    if options.plot is not None:
        try:
            write_plot(options.plot, rows, title=title)
        except ValueError as error:  # what took minutes to measure is not lost for a picture
            console.print(f"no plot: {error}")
    if options.save_json is not None:  # last: who finds it finds the others
        content = {"settings": settings, "rows": [row.to_json() for row in rows]}
        content |= {"cycle_ratios": [vars(pair) for pair in pairs]}
        write_bytes(options.save_json, (json.dumps(content, indent=1, allow_nan=False) + "\n").encode())


def checked(options: Steps, checkpoint: Path) -> list[Path]:
    """The sequences to score. ValueError for numbers that make no sense and a checkpoint that has no cycle; OSError for a file
    that could not be written; as list_sequences.
    """
    from syncmv4d_model.checkpoint_index import read_index
    from syncmv4d_model.config import from_dict
    from syncmv4d_model.data.atomic import check_writable
    from syncmv4d_model.data.sequence import list_sequences

    for path in (options.save_json, options.markdown, options.plot):
        if path is not None:
            check_writable(path)
    check_least(options, {"limit": 1, "samples": 1, "seed": 0})
    check_steps(options.steps)
    check_device(options.device)
    if options.plot is not None:
        if options.plot.suffix.lower() != ".png":
            raise ValueError(f"--plot must end in .png, got {options.plot}")
        import matplotlib  # noqa: F401  (where it lacks, that is said now and not after the work)
    config = from_dict(read_index(checkpoint)["config"])
    if not config.has_cycle:
        lacking = "cycle" if config.has_aligner else "point aligner, whose tracks the cycle feeds back"
        raise ValueError(f"the steps are compared with and without the cycle, and {checkpoint} has no {lacking}")
    return list_sequences(options.data, options.split, limit=options.limit)


def check_steps(steps: Sequence[int]) -> None:
    """ValueError for none, for less than one step, and for the same number again."""
    if not steps:
        raise ValueError("--steps must name at least 1 number of steps, got 0")
    for number in steps:
        if number < 1:
            raise ValueError(f"--steps must be at least 1 each, got {number}")
        if (times := list(steps).count(number)) > 1:
            raise ValueError(f"--steps must differ from each other, got {number} {times} times")


def scored_in_turns(
    predictors: Mapping[bool, SupportsPrediction], directories: Sequence[Path], options: Steps, *, console: Console
) -> list[Row]:
    """Every number of steps, ascending, with the cycle and without; `predictors` by whether they have it.

    Each sequence is predicted in every way before the next one begins, every second one in the opposite order, so that no row
    always comes first. Before that each predictor does one sequence that does not count.
    """
    from syncmv4d_model.evaluation.harness import report_rows
    from syncmv4d_model.evaluation.methods import Predicted
    from syncmv4d_model.evaluation.scenes import made_cases, scored_scene
    from syncmv4d_model.evaluation.scores import RATIOS

    def scored(cycle: bool, steps: int) -> Iterator[ScoredScene]:
        method = Predicted(predictors[cycle], options.seed, steps, options.samples)
        return map(scored_scene, made_cases(method, directories))

    for cycle in predictors:
        next(scored(cycle, min(options.steps)))  # a warm-up
    waiting = {(steps, cycle): scored(cycle, steps) for steps in sorted(options.steps) for cycle in (True, False)}
    scenes: dict[tuple[int, bool], list[ScoredScene]] = {way: [] for way in waiting}
    turns = [way for index in range(len(directories)) for way in list(waiting)[:: -1 if index % 2 else 1]]
    for way in track(turns, "predictions", transient=True, console=console):
        scenes[way].append(next(waiting[way]))
    return [
        Row(
            steps,
            cycle,
            report_rows(
                scenes[steps, cycle],
                RATIOS,
                split=options.split,
                switches=dict(vars(predictors[cycle].config.switches)),
                settings={"seed": options.seed},
            ),
        )
        for steps, cycle in waiting
    ]


def cycle_changes(rows: Sequence[Row], *, seed: int) -> list[Pair]:
    """What the cycle changes at every number of steps; `rows` hold each with the cycle, then without."""
    from syncmv4d_model.evaluation.paired import compared

    pairs = []
    for closed, opened in zip(rows[::2], rows[1::2], strict=True):
        assert (closed.steps, closed.cycle, opened.cycle) == (opened.steps, True, False)
        ratios: dict[str, float | None] = {}
        intervals: dict[str, list[float] | None] = {}
        for name in PAIRED:
            ratios[name.removesuffix("_cm")] = intervals[name.removesuffix("_cm")] = None
            with suppress(ValueError):  # an error that no sequence has
                ratio = compared([vars(closed.report)], [vars(opened.report)], name, seed=seed)
                ratios[name.removesuffix("_cm")] = ratio.value
                intervals[name.removesuffix("_cm")] = list(ratio.interval) if ratio.interval else None
        seconds = statistics.median(a / b for a, b in zip(closed.seconds, opened.seconds, strict=True))
        pairs.append(Pair(closed.steps, ratios, intervals, seconds))
    return pairs


def lines_of_rows(rows: Sequence[Row]) -> list[list[str]]:
    """The headings, then a line for each row; a metric that none has is left out."""
    names = [name for name in METRICS if any(row.report.metrics[name] is not None for row in rows)]
    return [
        ["steps", "cycle", *map(spaced, names), "seconds"],
        *(
            [
                str(row.steps),
                "yes" if row.cycle else "no",
                *(shown(vars(row.report), name) for name in names),
                f"{statistics.median(row.seconds):.3g}",
            ]
            for row in rows
        ),
    ]


def lines_of_pairs(pairs: Sequence[Pair]) -> list[list[str]]:
    """The headings, then a line for each number of steps."""
    names = [name for name in pairs[0].metrics if any(pair.metrics[name] is not None for pair in pairs)]
    return [
        ["steps", *map(spaced, names), "seconds"],
        *(
            [str(pair.steps), *(shown(vars(pair), name, digits=4) for name in names), f"{pair.seconds_ratio:.3g}"]
            for pair in pairs
        ),
    ]


def terminal_table(lines: Sequence[Sequence[str]], *, note: str) -> Table:
    """The headings and the lines, a word below the other to fit into 80 columns, and what they mean."""
    made = Table(caption=note, caption_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for heading in lines[0]:
        made.add_column(heading.replace(" ", "\n"), justify="right", overflow="fold")
    for line in lines[1:]:
        made.add_row(*(cell.replace(" ", "\n") for cell in line))
    return made


def write_plot(path: Path, rows: Sequence[Row], *, title: str) -> None:
    """Draw the curves as a PNG; errors as atomic_file."""
    from syncmv4d_cli.step_curves import draw
    from syncmv4d_model.data.atomic import atomic_file

    curves = [curve(rows[::2], "with the cycle"), curve(rows[1::2], "without")]
    with atomic_file(path) as partial:
        figure = draw(curves, title=title, ylabel="end-point error of the tracks\n(1 = that of nothing moving)")
        figure.savefig(partial, format="png", dpi=110)


def curve(rows: Sequence[Row], label: str) -> Curve:
    """A line of the picture, of the rows that have the error."""
    from syncmv4d_cli.step_curves import Curve

    known = [(row, error) for row in rows if (error := row.report.metrics[DRAWN]) is not None]
    return Curve(
        label,
        steps=[row.steps for row, _ in known],
        seconds=[statistics.median(row.seconds) for row, _ in known],
        errors=[error for _, error in known],
        intervals=[row.report.intervals[DRAWN] for row, _ in known],
    )


def spaced(name: str) -> str:
    return name.replace("_", " ")
