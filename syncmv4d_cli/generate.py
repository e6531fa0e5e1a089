"""`syncmv4d generate`: calibrated views and a task in; synchronised videos, metric tracks and a preview out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from syncmv4d_cli.device import CPU, check_device

if TYPE_CHECKING:  # the command's help needs none of these
    import numpy as np

    from syncmv4d_model.config import ModelConfig
    from syncmv4d_model.data.observation import Lenses
    from syncmv4d_model.predictor import Predictor
    from syncmv4d_model.types import Observation, Prediction

MAX_WARNINGS = 8
MAX_STEPS = 1000


@dataclass(frozen=True)
class Options:
    """Generate what the views will show, and where every point goes, when the task is done.

    DIR holds rig.yaml (each view's name, image file, size, 3x3 intrinsics in pixels, 4x4 camera_from_world in metres) and
    one image per view, taken at the same moment. A data set's sequence folder works too: its first frames go in and its
    truth is drawn beside.

    Example: syncmv4d generate --input my_scene --task "use a hammer to hit a box" --out out/my_scene
    """

    input: Path
    """Folder with rig.yaml and one image per view, of any size."""
    task: str
    """What happens, in plain words, naming tool and target: "use a spatula to stir in a pan"; an empty text is refused."""
    out: Path
    """Folder for <view>.mp4, tracks.npz, preview.mp4, preview.png and, last of all, prediction.json."""
    checkpoint: Path | None = None
    """Checkpoint folder; the bundled nano model when not given."""
    steps: int | None = None
    """Denoising steps: more are slower, and `syncmv4d bench steps` says what they bring; the checkpoint's own default when not given."""
    seed: int = 0
    """The same seed on the same machine gives the same files; another seed, another possible future."""
    device: str = CPU
    """Where it is computed: cpu, or cuda, cuda:1 ... (NVIDIA GPUs)."""
    engine: Literal["eager", "compile"] = "eager"
    """How the network runs: compile spends about a minute first and pays for large models."""
    anchors: Path | None = None
    """An .npz with anchors_px [V K 2]: the pixels (u, v) of the input images to track; chosen by the model when not given."""
    rerun: bool = False
    """Also write prediction.rrd for the rerun viewer (needs the viewer extra)."""


def main(args: Sequence[str]) -> int:
    """Run the command; returns the exit code. ValueError and OSError as read_observation, Predictor and write_prediction."""
    options = tyro.cli(Options, args=list(args), prog="syncmv4d generate")
    run(options, Console(highlight=False, soft_wrap=True))
    return 0


def run(options: Options, console: Console) -> list[Path]:
    """Load the checkpoint, generate, write, and say what was written; returns the files."""
    from syncmv4d_model.checkpoint_index import BUNDLED_NANO, checkpoint_hash, read_index
    from syncmv4d_model.config import from_dict

    check_options(options)
    folder = options.checkpoint or BUNDLED_NANO
    # mistakes in the input are said before torch and the networks are loaded
    views = _read(options, from_dict(read_index(folder)["config"]))

    from syncmv4d_model.predictor import Predictor

    predictor = Predictor.load(folder, engine=options.engine, device=options.device)
    record = {"engine": options.engine, "device": options.device, "checkpoint_sha256": checkpoint_hash(folder)}
    return _answer(predictor, options, views, console=console, record=record)


def generate_for_sequence(
    predictor: Predictor,
    directory: Path,
    out: Path,
    *,
    seed: int = 0,
    steps: int | None = None,
    record: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Generate from a data set's sequence folder with a loaded predictor, the truth drawn beside; returns the files. `record` adds
    to prediction.json.
    """
    from syncmv4d_model.data.sequence import TASK_FILE

    task = (directory / TASK_FILE).read_text(encoding="utf-8").strip()
    options = Options(input=directory, task=task, out=out, seed=seed, steps=steps)
    check_options(options)
    console = Console(highlight=False, soft_wrap=True)
    return _answer(predictor, options, _read(options, predictor.config), console=console, record=record or {})


def _read(options: Options, config: ModelConfig) -> tuple[Observation, Lenses, np.ndarray | None]:
    """The input, and the anchors to track in the observation's pixels."""
    from syncmv4d_model.data.observation import load_anchors, read_observation

    observation, lenses = read_observation(options.input, options.task, max_views=config.max_views)
    return observation, lenses, load_anchors(options.anchors, lenses) if options.anchors is not None else None


def _answer(
    predictor: Predictor,
    options: Options,
    views: tuple[Observation, Lenses, np.ndarray | None],
    *,
    console: Console,
    record: Mapping[str, Any],
) -> list[Path]:
    """Predict, draw, write and report."""
    from syncmv4d_cli.preview import draw_preview, match_truth
    from syncmv4d_model.data.rig_warnings import rig_warnings
    from syncmv4d_model.data.sequence import TRUTH_FILE, read_sequence
    from syncmv4d_model.results import write_prediction

    observation, lenses, anchors_px = views
    with _step_bar(console) as progress:
        prediction = predictor.predict(
            observation, steps=options.steps, seed=options.seed, anchors_px=anchors_px, progress=progress
        )
    for line in tell_windows(prediction, observation):
        console.print(line)
    prediction = replace(prediction, warnings=shortened([*rig_warnings(observation), *prediction.warnings]))
    for warning in prediction.warnings:
        console.print(f"[yellow]warning:[/] {escape(warning)}")
    truth = None
    if (options.input / TRUTH_FILE).is_file():
        windows_px = prediction.windows_px  # of the stored images, as the input is
        truth = match_truth(prediction, read_sequence(options.input, windows_px=windows_px, degraded=False))
    steps = predictor.config.loop.steps if options.steps is None else options.steps
    note = f"{predictor.name}   ·   {steps} steps   ·   seed {options.seed}"
    preview = draw_preview(prediction, observation, note=note, truth=truth)
    files = write_prediction(
        options.out,
        prediction,
        observation,
        lenses,
        checkpoint=predictor.name,
        preview=preview,
        rerun=options.rerun,
        record={"steps": steps, "input": str(options.input), **record},
    )
    console.print(f"{', '.join(file.name for file in files)} in {escape(str(options.out))}")
    console.print(f"{prediction.timings_s['total']:.1f} s; look at {escape(str(options.out / 'preview.png'))}")
    return files


def check_options(options: Options) -> None:
    """ValueError for numbers that make no sense and a task that is empty or no text; OSError for an output that cannot be written."""
    from syncmv4d_model.data.atomic import check_writable

    if options.steps is not None and not 1 <= options.steps <= MAX_STEPS:
        raise ValueError(f"--steps must be 1 to {MAX_STEPS}, got {options.steps}")
    if not 0 <= options.seed < 2**63:
        raise ValueError(f"--seed must be 0 to 2^63 - 1, got {options.seed}")
    try:
        options.task.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"--task is not UTF-8 text: {options.task!r}") from error
    if not options.task.strip():
        raise ValueError("--task is empty: say what is to happen, naming tool and target")
    check_writable(options.out, directory=True)
    check_device(options.device)
    if options.rerun:
        import rerun  # noqa: F401  (asked for: its absence is said before the work, not after)


def tell_windows(prediction: Prediction, observation: Observation) -> list[str]:
    """One line for the views whose images are not used whole."""
    lines: dict[str, list[str]] = {}
    for name, image, window in zip(observation.view_names, observation.images, prediction.windows_px, strict=True):
        left, top, wide, high = (round(edge) for edge in window.tolist())
        height, width = image.shape[:2]
        if (wide, high) != (width, height):
            seen = f"the model saw {wide} x {high} px of the {width} x {height} px image, from ({left}, {top}) on"
            lines.setdefault(seen, []).append(name)
    return [f"{', '.join(names)}: {seen}" for seen, names in lines.items()]


def shortened(warnings: Sequence[str]) -> tuple[str, ...]:
    """The first warnings, each kept to a readable length, and how many more there were."""
    kept = [warning if len(warning) <= 200 else warning[:199] + "…" for warning in warnings[:MAX_WARNINGS]]
    more = len(warnings) - len(kept)
    return (*kept, f"and {more} more warnings") if more else tuple(kept)


@contextmanager
def _step_bar(console: Console) -> Iterator[Callable[[int, int], None]]:
    """A progress bar with one tick per denoising step."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("denoising", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
