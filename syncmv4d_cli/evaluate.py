"""`syncmv4d evaluate`: score a checkpoint, or the baselines alone, on a split of a data set, or a checkpoint on a recorded bag."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from syncmv4d_cli.evaluate_networks import find_networks
from syncmv4d_cli.least import check_least
from syncmv4d_model.training.time_limit import TimeLimit
from syncmv4d_ros.recording import BagOptions

if TYPE_CHECKING:
    from syncmv4d_model.config import ModelConfig
    from syncmv4d_model.evaluation.baselines import TextMean
    from syncmv4d_model.evaluation.harness import Report, SupportsPrediction
    from syncmv4d_model.predictor import Predictor


@dataclass(frozen=True)
class Options:
    """Score a checkpoint on a split of a data set, or on the tasks of a ROS 2 bag; prints a table and, with --json, writes all of it.

    A bag needs no ROS. It is scored against its ground-truth tracks if it has any; else by the agreement of the predicted tracks
    with the later images and with each other (consistency_*, which are no errors).

    Example: syncmv4d evaluate --data data/nano --split test_1 --json report.json --html report.html

    Example: syncmv4d evaluate --bag my_bag --world-frame base --json report.json
    """

    data: Path | None = None
    """Data set DIR, which holds DIR/<split>/<sequence>/."""
    split: str | None = None
    """Which split, for example test_1: the folder's name in DIR."""
    bag: Path | None = None
    """Instead of a data set: a ROS 2 bag, its folder or its .mcap or .db3 file (needs the eval extra)."""
    reading: Annotated[BagOptions, tyro.conf.arg(name="")] = BagOptions()
    json: Path | None = None
    """Where to write the report."""
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
    html: Path | None = None
    """Also write a self-contained HTML page here."""
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
    write(_on_data(options.data, options.split, options, limit, console=console), options, console)


def _predictor(folder: Path, options: Options) -> Predictor | None:
    from syncmv4d_model.checkpoint_index import read_index

    if options.checkpoint is not None:
        read_index(folder)  # says what is wrong with it, even where only its text mean is taken
    if options.baselines_only:
        return None
    from syncmv4d_model.predictor import Predictor

    predictor = Predictor.load(folder, change=_without(options.without) if options.without else None)
    if options.sheet is not None and not predictor.config.switches.motion:
        raise ValueError(f"--sheet ranks scenes by their tracks, and {folder} predicts none")
    return predictor


def _on_data(data: Path, split: str, options: Options, limit: TimeLimit, *, console: Console) -> Report:
    from syncmv4d_model.checkpoint_index import BUNDLED_NANO
    from syncmv4d_model.data.sequence import list_sequences
    from syncmv4d_model.evaluation.harness import evaluate

    folder = options.checkpoint or BUNDLED_NANO
    predictor = _predictor(folder, options)
    text_mean, source = load_text_mean(folder, data, num_frames=_num_frames(data, split))
    if text_mean is None:
        console.print("no text mean: neither the checkpoint nor the data set's train split has one for these frames")
    with _progress(console) as bar:
        task = bar.add_task(split, total=None)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)
            if done < total:  # what is scored to the end is kept
                limit.check(f"{done} of {total} sequences of {split} scored, begins anew")

        report = evaluate(
            predictor,
            data,
            split,
            limit=options.limit,
            seed=options.seed,
            steps=options.steps,
            samples=options.samples,
            text_mean=text_mean,
            networks=find_networks(options.networks, console),
            progress=progress,
        )
    report.settings.update(provenance(folder if predictor or options.checkpoint else None, without=options.without))
    report.settings["text_mean"] = source
    if options.sheet is not None:
        assert predictor is not None  # see check_options
        try:
            draw_sheet(options.sheet, report, predictor, list_sequences(data, split), count=options.sheet_scenes)
            console.print(f"sheet: {options.sheet}")
        except ValueError as error:  # hours of scoring are worth more than their picture
            console.print(f"no sheet: {error}")
    return report


def draw_sheet(path: Path, report: Report, predictor: SupportsPrediction, scenes: list[Path], *, count: int) -> None:
    """Predict the best and worst scenes of a report again, from the same noise, and draw them. Errors as rank_scenes."""
    from syncmv4d_cli.scene_sheet import draw_scenes, rank_scenes, write_sheet
    from syncmv4d_model.data.sequence import read_sequence
    from syncmv4d_model.evaluation.harness import make_case, scene_seeds

    settings, chosen = report.settings, rank_scenes(report.rows, count)
    cases = [
        make_case(
            predictor,
            read_sequence(scenes[scene.index]),
            seeds=scene_seeds(settings["seed"], scene.index, samples=settings["samples"])[:2],
            steps=settings["steps"],
        )
        for scene in chosen
    ]
    ratio = report.metrics["end_point_error_ratio"]
    subtitle = f"{settings['checkpoint']}   ·   {report.sequences} scenes, together {ratio:.2f} of standing still"
    title = f"{report.split}: predicted best and worst"
    write_sheet(path, draw_scenes(chosen, cases, title=title, subtitle=subtitle))


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
    check_least(options, {"limit": 1, "steps": 1, "samples": 1, "seed": 0, "sheet_scenes": 1})
    check_sheet(options)
    parse_networks(options.networks)
    if options.bag is not None:
        refused = [name for name in ("data", "split", "baselines_only", "without", "sheet") if getattr(options, name)]
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


def provenance(checkpoint: Path | None, *, without: Sequence[str] = ()) -> dict[str, Any]:
    """For a report's settings: name and digest of the weights that its numbers belong to (None: of none), which of their parts
    were left out, and the versions of what computed them.
    """
    from syncmv4d_model.results import versions

    return {
        "checkpoint": None if checkpoint is None else name_and_digest(checkpoint),
        "without": list(without),
        "versions": versions(),
    }


def name_and_digest(checkpoint: Path) -> str:
    """`nano@0123456789abcdef`."""
    from syncmv4d_model.checkpoint_index import checkpoint_hash

    return f"{checkpoint.resolve().name}@{checkpoint_hash(checkpoint)}"


def load_text_mean(
    checkpoint: Path, data: Path, *, num_frames: int | None = None
) -> tuple[TextMean, str] | tuple[None, None]:
    """The checkpoint's text mean, unless it has another number of frames; else one fitted on DIR/train, else None; and whose it is."""
    from syncmv4d_model.data.sequence import list_sequences, read_sequence
    from syncmv4d_model.evaluation.baselines import TextMean

    if (checkpoint / "text_mean.safetensors").is_file():
        text_mean = TextMean.load(checkpoint / "text_mean.safetensors")
        if num_frames is None or text_mean.means.shape[2] == num_frames:
            return text_mean, name_and_digest(checkpoint)
    if not (data / "train").is_dir():
        return None, None
    training = (read_sequence(directory, with_video=False) for directory in list_sequences(data, "train"))
    return TextMean.fit(training), f"{data.resolve().name}/train"


def _num_frames(data: Path, split: str) -> int:
    """Of the split's first sequence."""
    from syncmv4d_model.data.sequence import list_sequences, read_sequence

    return read_sequence(list_sequences(data, split, limit=1)[0], with_video=False).positions.shape[1]


def write(report: Report, options: Options, console: Console) -> None:
    """Print the table and write what was asked for."""
    from syncmv4d_model.data.atomic import write_bytes
    from syncmv4d_model.evaluation.report import markdown_table, terminal_table, write_html

    console.print(terminal_table(report))
    if options.html is not None:
        write_html(report, options.html)
        console.print(f"page: {options.html}")
    if options.markdown is not None:
        write_bytes(options.markdown, markdown_table(report).encode())
    if options.json is not None:  # last: who finds it finds the others
        report.write_json(options.json)
        console.print(f"report: {options.json}")


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    )
