"""`syncmv4d evaluate`: score a checkpoint, or the baselines alone, on a split of a data set, or a checkpoint on a recorded bag."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from syncmv4d_cli.evaluate_checks import check_options
from syncmv4d_cli.evaluate_networks import find_networks
from syncmv4d_cli.evaluate_options import Options
from syncmv4d_cli.evaluate_written import (
    default_workers,
    executor_of,
    kept_rows,
    rows_beside,
    settings_of,
    written,
)
from syncmv4d_cli.provenance import load_text_mean, num_frames_of, provenance
from syncmv4d_model.training.time_limit import TimeLimit

if TYPE_CHECKING:
    from syncmv4d_model.config import ModelConfig
    from syncmv4d_model.evaluation.baselines import TextMean
    from syncmv4d_model.evaluation.cluster import RayExecutor
    from syncmv4d_model.evaluation.harness import Report
    from syncmv4d_model.evaluation.image_networks import ImageNetworks
    from syncmv4d_model.evaluation.methods import Method
    from syncmv4d_model.evaluation.pages.films import Film
    from syncmv4d_model.predictor import Predictor


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


def score_split(options: Options, limit: TimeLimit, *, console: Console | None = None, show: bool = True) -> None:
    """Score on --data and --split, show it unless that is not wanted, and write what was asked for; OutOfTime, and nothing is
    written, when the limit is over.
    """
    assert options.data is not None and options.split is not None
    console = console or Console()
    report, films = _on_data(options.data, options.split, options, limit, console=console)
    write(report, options, console, films=films, show=show)


def load_predictor(folder: Path, without: tuple[str, ...], device: str) -> Predictor:
    """The checkpoint with these parts left out."""
    from syncmv4d_model.predictor import Predictor

    return Predictor.load(folder, change=_without(without) if without else None, device=device)


def _on_data(
    data: Path, split: str, options: Options, limit: TimeLimit, *, console: Console
) -> tuple[Report, list[Film]]:
    """The scores, and the videos for their page."""
    from syncmv4d_model.checkpoint_index import BUNDLED_NANO
    from syncmv4d_model.data.sequence import list_sequences
    from syncmv4d_model.evaluation.harness import evaluate_method
    from syncmv4d_model.evaluation.methods import FirstViews

    folder = options.checkpoint or BUNDLED_NANO
    config = _config(folder, options)
    text_mean, source = load_text_mean(folder, data, num_frames=num_frames_of(data, split))
    if text_mean is None:
        console.print("no text mean: neither the checkpoint nor the data set's train split has one for these frames")
    whose = provenance(folder if config or options.checkpoint else None, without=options.without)
    whose |= settings_of(options.written) | {"text_mean": source}
    asked = whose | {"data": str(data.resolve()), "split": split, "seed": options.seed, "steps": options.steps}
    asked |= {
        "views": options.views,
        "samples": options.samples,
        "networks": options.networks,
        "device": options.device,
    }
    method: Method = _method(
        folder, config, options, text_mean=text_mean, networks=find_networks(options.networks, console)
    )
    method = FirstViews(method, options.views)
    read = list_sequences(data, split, limit=options.limit)
    kept = kept_rows(options.json, asked, read, options.written)
    if kept is not None and kept.scenes:
        console.print(f"{len(kept.scenes)} sequences were scored before")
    with _progress(console) as bar, executor_of(options.cluster, model=config is not None) as executor:
        task = bar.add_task(split, total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            if done < total:
                limit.check(f"{done} of {total} sequences of {split} scored")

        report = evaluate_method(
            method,
            data,
            split,
            limit=options.limit,
            workers=_workers(options, executor, model=config is not None),
            executor=executor,
            kept=kept,
            progress=progress,
        )
    report.settings.update(whose | {"device": options.device})
    return report, [] if options.baselines_only else _pictures(report, method, read, options, console)


def _config(folder: Path, options: Options) -> ModelConfig | None:
    """Of the model that is to be scored; None where none is. Errors as read_index for a checkpoint that is asked for."""
    from syncmv4d_model.checkpoint_index import read_index
    from syncmv4d_model.config import from_dict

    scored = not (options.baselines_only or options.written.given)
    if not scored and options.checkpoint is None:
        return None
    index = read_index(folder)  # says what is wrong with it, even where only its text mean is taken
    if not scored:
        return None
    config = _without(options.without)(from_dict(index["config"]))
    if options.sheet is not None and not config.switches.motion:
        raise ValueError(f"--sheet ranks scenes by their tracks, and {folder} predicts none")
    return config


def _method(
    folder: Path,
    config: ModelConfig | None,
    options: Options,
    *,
    text_mean: TextMean | None,
    networks: ImageNetworks | None,
) -> Method:
    """What is scored: written files or a reference row, the reference scores alone, or the checkpoint in `folder`."""
    from syncmv4d_model.evaluation.methods import Generated, Predicted

    if options.written.given:
        return written(options.written, seed=options.seed, text_mean=text_mean, networks=networks)
    if config is None:
        return Predicted(None, options.seed, text_mean=text_mean, networks=networks)
    if options.cluster is None:
        predictor = load_predictor(folder, options.without, options.device)
        return Predicted(predictor, options.seed, options.steps, options.samples, text_mean, networks)
    import torch

    return Generated(
        load=functools.partial(load_predictor, folder.resolve(), options.without, options.device),
        name=str([str(folder.resolve()), options.without]),
        switches=dict(vars(config.switches)),
        seed=options.seed,
        steps=options.steps,
        samples=options.samples,
        text_mean=text_mean,
        threads=torch.get_num_threads(),
    )


def _workers(options: Options, executor: RayExecutor | None, *, model: bool) -> int:
    if executor is not None:
        return executor.workers
    return options.workers or default_workers(model=model or bool(options.networks))


def _pictures(
    report: Report, method: Method, folders: Sequence[Path], options: Options, console: Console
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
            return films_of(report, method, folders, count=options.html_videos)
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
            "cycle": config.has_cycle,
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
            device=options.device,
            limit=options.limit,
            seed=options.seed,
            steps=options.steps,
            samples=options.samples,
            networks=find_networks(options.networks, console),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    report.settings.update(provenance(folder) | {"device": options.device})
    return report


def write(report: Report, options: Options, console: Console, *, films: Sequence[Film] = (), show: bool = True) -> None:
    """Print the table and write what was asked for."""
    from syncmv4d_model.data.atomic import write_bytes
    from syncmv4d_model.evaluation.pages.kind_table import kind_table
    from syncmv4d_model.evaluation.pages.report import markdown_table, terminal_table, write_html

    if show:
        console.print(terminal_table(report))
        if (by_kind := kind_table(report)) is not None:
            console.print(by_kind)
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
