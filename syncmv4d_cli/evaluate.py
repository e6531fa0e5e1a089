"""`syncmv4d evaluate`: score a checkpoint, or the baselines alone, on a split of a data set, or a checkpoint on a recorded bag."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from syncmv4d_cli.evaluate_networks import find_networks
from syncmv4d_cli.evaluate_written import (
    WrittenOptions,
    check_written,
    default_workers,
    kept_rows,
    rows_beside,
    settings_of,
    written,
)
from syncmv4d_cli.least import check_least
from syncmv4d_cli.provenance import load_text_mean, num_frames_of, provenance
from syncmv4d_model.training.time_limit import TimeLimit
from syncmv4d_ros.recording import BagOptions

if TYPE_CHECKING:
    from syncmv4d_model.config import ModelConfig
    from syncmv4d_model.evaluation.baselines import TextMean
    from syncmv4d_model.evaluation.films import Film
    from syncmv4d_model.evaluation.harness import Report
    from syncmv4d_model.evaluation.predicted import SupportsPrediction
    from syncmv4d_model.evaluation.scenes import Written
    from syncmv4d_model.predictor import Predictor


@dataclass(frozen=True)
class Options:
    """Score a checkpoint on a split of a data set, or on the tasks of a ROS 2 bag; prints a table and, with --json, writes all of it.

    A bag needs no ROS. It is scored against its ground-truth tracks if it has any; else by the agreement of the predicted tracks
    with the later images and with each other (consistency_*, which are no errors).

    Example: syncmv4d evaluate --data data/nano --split test_1 --json report.json --html report.html

    Example: syncmv4d evaluate --data data/nano --split test_1 --predictions out/other_method --json report.json

    Example: syncmv4d evaluate --bag my_bag --world-frame base --json report.json
    """

    data: Path | None = None
    """Data set DIR, which holds DIR/<split>/<sequence>/."""
    split: str | None = None
    """Which split, for example test_1: the folder's name in DIR."""
    bag: Path | None = None
    """Instead of a data set: a ROS 2 bag, its folder or its .mcap or .db3 file (needs the eval extra)."""
    reading: Annotated[BagOptions, tyro.conf.arg(name="")] = BagOptions()
    written: Annotated[WrittenOptions, tyro.conf.arg(name="")] = WrittenOptions()
    json: Path | None = None
    """Where to write the report. What is scored is kept beside it until then: the same command goes on after an interruption."""
    limit: int | None = None
    """Score only the first N sequences, or tasks of a bag."""
    checkpoint: Path | None = None
    """Checkpoint folder; the bundled one when not given."""
    without: tuple[Literal["aligner", "cycle", "rigid_bodies", "refiner"], ...] = ()
    """Score the checkpoint without its point aligner (the coarse tracks are the answer), without feeding tracks back, without
    keeping tools and targets rigid, or without mending decoded frames."""
    steps: int | None = None
    """Denoising steps; the checkpoint's default when not given."""
    samples: int = 1
    """Predictions per sequence: the first is scored, mean and best of all are reported beside it."""
    seed: int = 0
    """Seed of noise, anchors and intervals."""
    networks: tuple[str, ...] = ()
    """Also score the videos with published networks, which is slow: any of dino, raft, clip, matcher, or all; NAME=SOURCE takes
    its weights from a local folder, file or cached hub id. Nothing is downloaded: the report says what is missing."""
    workers: int | None = None
    """Processes that score; when not given, all cores for --predictions and --baselines-only, and one beside a model."""
    html: Path | None = None
    """Also write a self-contained HTML page here."""
    html_videos: int = 3
    """How many of the best and how many of the worst sequences of a data set --html shows as videos; 0 = none."""
    markdown: Path | None = None
    """Also write the metrics as a Markdown table here."""
    sheet: Path | None = None
    """Also draw the scenes of the split that are predicted best and worst here, as a PNG."""
    sheet_scenes: int = 10
    """How many scenes --sheet shows."""
    baselines_only: bool = False
    """Score the static and text-mean rows only; needs no model, but takes the text mean of --checkpoint where one is given."""


def main(args: Sequence[str]) -> int:
    """Run the command; returns the exit code. Errors as `harness.evaluate` and `evaluate_bag.evaluate_bag`."""
    options = tyro.cli(Options, args=list(args), prog="syncmv4d evaluate")
    check_options(options)
    console = Console()
    if options.bag is not None:
        write(_on_bag(options.bag, options, console), options, console)
        return 0
    score_split(options, TimeLimit(), console=console)
    return 0


def score_split(options: Options, limit: TimeLimit, *, console: Console | None = None) -> None:
    """Score on --data and --split, show it and write what was asked for; OutOfTime, and nothing is written, when the limit is over."""
    assert options.data is not None and options.split is not None
    console = console or Console()
    report, films = _on_data(options.data, options.split, options, limit, console=console)
    write(report, options, console, films=films)


def _predictor(folder: Path, options: Options) -> Predictor | None:
    from syncmv4d_model.checkpoint_index import read_index

    if options.checkpoint is not None:
        read_index(folder)  # says what is wrong with it, even where only its text mean is taken
    if options.baselines_only or options.written.predictions is not None:
        return None
    from syncmv4d_model.predictor import Predictor

    predictor = Predictor.load(folder, change=_without(options.without) if options.without else None)
    if options.sheet is not None and not predictor.config.switches.motion:
        raise ValueError(f"--sheet ranks scenes by their tracks, and {folder} predicts none")
    return predictor


def _on_data(
    data: Path, split: str, options: Options, limit: TimeLimit, *, console: Console
) -> tuple[Report, list[Film]]:
    """The scores, and the videos for their page."""
    from syncmv4d_model.checkpoint_index import BUNDLED_NANO
    from syncmv4d_model.data.sequence import list_sequences
    from syncmv4d_model.evaluation.harness import evaluate

    folder = options.checkpoint or BUNDLED_NANO
    predictor = _predictor(folder, options)
    text_mean, source = load_text_mean(folder, data, num_frames=num_frames_of(data, split))
    if text_mean is None:
        console.print("no text mean: neither the checkpoint nor the data set's train split has one for these frames")
    whose = provenance(folder if predictor or options.checkpoint else None, without=options.without)
    whose |= settings_of(options.written) | {"text_mean": source}
    asked = whose | {"data": str(data.resolve()), "split": split, "seed": options.seed, "steps": options.steps}
    read, method = list_sequences(data, split, limit=options.limit), None
    if options.written.predictions is not None:
        method = written(options.written, seed=options.seed, text_mean=text_mean)
    asked |= {"samples": options.samples, "networks": options.networks}
    kept = kept_rows(options.json, asked, read, options.written)
    if kept is not None and kept.scenes:
        console.print(f"{len(kept.scenes)} sequences were scored before")
    with _progress(console) as bar:
        task = bar.add_task(split, total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            if done < total:
                limit.check(f"{done} of {total} sequences of {split} scored")

        report = evaluate(
            predictor,
            data,
            split,
            limit=options.limit,
            seed=options.seed,
            steps=options.steps,
            samples=options.samples,
            text_mean=text_mean,
            predictions=method,
            workers=options.workers or default_workers(model=predictor is not None or bool(options.networks)),
            kept=kept,
            networks=find_networks(options.networks, console),
            progress=progress,
        )
    report.settings.update(whose)
    method = method or predictor
    return report, [] if method is None else _pictures(report, method, read, options, console, text_mean=text_mean)


def _pictures(
    report: Report,
    method: SupportsPrediction | Written,
    folders: Sequence[Path],
    options: Options,
    console: Console,
    *,
    text_mean: TextMean | None,
) -> list[Film]:
    """Draw the sheet that is asked for, and the page's videos. What cannot be drawn is said: hours of scoring are worth more."""
    from syncmv4d_cli.page_films import films_of
    from syncmv4d_cli.scene_sheet import draw_sheet

    if options.sheet is not None:
        try:
            draw_sheet(options.sheet, report, method, folders, count=options.sheet_scenes)
            console.print(f"sheet: {options.sheet}")
        except ValueError as error:
            console.print(f"no sheet: {error}")
    if options.html is not None and options.html_videos:
        try:
            return films_of(report, method, folders, count=options.html_videos, text_mean=text_mean)
        except ValueError as error:
            console.print(f"no videos on the page: {error}")
    return []


def _without(parts: tuple[str, ...]) -> Callable[[ModelConfig], ModelConfig]:
    """The change of a configuration that leaves these parts out; ValueError where it has no such part."""

    def changed(config: ModelConfig) -> ModelConfig:
        switches, loop, codec = config.switches, config.loop, config.codec
        aligner = config.has_aligner
        present = {
            "aligner": aligner,
            "cycle": aligner and switches.cycle,
            "rigid_bodies": aligner and loop.rigid_bodies > 0,
            "refiner": codec.refiner_width > 0,
        }
        for part in parts:
            if not present[part]:
                raise ValueError(f"--without {part}: the checkpoint has no {part} to leave out")
        return replace(
            config,
            switches=replace(
                switches,
                aligner=switches.aligner and "aligner" not in parts,
                cycle=switches.cycle and "cycle" not in parts,
            ),
            loop=replace(loop, rigid_bodies=0.0 if "rigid_bodies" in parts else loop.rigid_bodies),
            codec=replace(codec, refiner_width=0 if "refiner" in parts else codec.refiner_width),
        )

    return changed


def _on_bag(bag: Path, options: Options, console: Console) -> Report:
    from syncmv4d_cli.evaluate_bag import evaluate_bag
    from syncmv4d_model.checkpoint_index import BUNDLED_NANO

    folder = options.checkpoint or BUNDLED_NANO
    with _progress(console) as bar:
        task = bar.add_task(bag.name, total=None)
        report = evaluate_bag(
            bag,
            options.reading,
            checkpoint=folder,
            limit=options.limit,
            seed=options.seed,
            steps=options.steps,
            samples=options.samples,
            networks=find_networks(options.networks, console),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    report.settings.update(provenance(folder))
    return report


def check_options(options: Options) -> None:
    """Before any work: ValueError for numbers that make no sense, no source or two of them, and a split that is not there;
    OSError for a report that could not be written.
    """
    from syncmv4d_model.data.atomic import check_writable
    from syncmv4d_model.data.sequence import list_sequences, list_splits
    from syncmv4d_model.evaluation.image_networks import parse_networks

    for path in (options.json, options.html, options.markdown, options.sheet):
        if path is not None:
            check_writable(path)
    least = {"limit": 1, "steps": 1, "samples": 1, "seed": 0, "sheet_scenes": 1, "html_videos": 0, "workers": 1}
    check_least(options, least)
    check_sheet(options)
    check_html_videos(options)
    parse_networks(options.networks)
    if options.networks and (options.workers or 1) > 1:
        raise ValueError("--networks are asked in one process: leave --workers out")
    of_model = {name: getattr(options, name) for name in ("bag", "baselines_only", "without", "steps")}
    check_written(options.written, others=of_model | {"samples": options.samples != 1})
    if options.bag is not None:
        refused = ("data", "split", "baselines_only", "without", "sheet", "workers")
        refused = [name for name in refused if getattr(options, name)]
        if refused:
            raise ValueError(f"--{refused[0].replace('_', '-')} is of a data set, not of --bag {options.bag}")
        return
    if options.baselines_only and (options.steps is not None or options.samples != 1 or options.without):
        raise ValueError("--steps, --samples and --without are of a model, and --baselines-only runs none")
    if options.data is not None and options.split is None:
        splits = list_splits(options.data)
        raise ValueError(f"give --split beside --data; {options.data} has {', '.join(splits) or 'none'}")
    if options.data is None or options.split is None:
        raise ValueError("give a data set with --data and --split, or a recording with --bag")
    given = [field for field, value in vars(options.reading).items() if value != getattr(BagOptions(), field)]
    if given:
        raise ValueError(f"--{given[0].replace('_', '-')} is of a bag, and there is no --bag")
    list_sequences(options.data, options.split)


def check_sheet(options: Options) -> None:
    """ValueError for a picture that could not be drawn, or numbers of one that is not asked for."""
    if options.sheet is None and options.sheet_scenes != Options.sheet_scenes:
        raise ValueError("--sheet-scenes is of --sheet, which is not asked for")
    if options.sheet is not None and options.sheet.suffix.lower() != ".png":
        raise ValueError(f"--sheet must end in .png, got {options.sheet}")
    if options.sheet is not None and options.baselines_only:
        raise ValueError("--sheet shows what a model predicts, and --baselines-only runs none")


def check_html_videos(options: Options) -> None:
    """ValueError for a number of videos where there is no page for them, or nothing to show."""
    if options.html_videos == Options.html_videos:
        return
    if options.html is None:
        raise ValueError("--html-videos is of --html, which is not asked for")
    if options.bag is not None:
        raise ValueError(f"--html-videos is of a data set, not of --bag {options.bag}")
    if options.baselines_only:
        raise ValueError("--html-videos shows what a model predicts, and --baselines-only runs none")


def write(report: Report, options: Options, console: Console, *, films: Sequence[Film] = ()) -> None:
    """Print the table and write what was asked for."""
    from syncmv4d_model.data.atomic import write_bytes
    from syncmv4d_model.evaluation.report import markdown_table, terminal_table, write_html

    console.print(terminal_table(report))
    if options.html is not None:
        write_html(report, options.html, films)
        console.print(f"page: {options.html}")
    if options.markdown is not None:
        write_bytes(options.markdown, markdown_table(report).encode())
    if options.json is not None:  # last: who finds it finds the others
        report.write_json(options.json)
        rows_beside(options.json).unlink(missing_ok=True)
        console.print(f"report: {options.json}")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    )
