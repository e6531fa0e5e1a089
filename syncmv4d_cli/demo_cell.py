"""`syncmv4d demo --cell`: the whole line over ROS 2, from simulated cameras to an arm that carries out the plan."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from syncmv4d_ros.cell_client import Progress as Told
    from syncmv4d_ros.cell_run import CellNodes, CellRun

OUTCOME_FILE, PAGE_FILE, PICTURE, FILM = "outcome.json", "report.html", "preview.png", "preview.mp4"


def demo_cell(
    nodes: CellNodes | None,
    out: Path,
    *,
    seed: int,
    steps: int,
    checkpoint: Path | None,
    patience_s: float | None = None,
) -> int:
    """Run the cell (None: join nodes that run already), and write everything that came of it into `out`.

    Errors as run_cell. ModuleNotFoundError where ROS 2 is not installed.
    """
    from syncmv4d_ros.cell_run import PATIENCE_S, run_cell

    console, started, out = Console(highlight=False, soft_wrap=True), time.perf_counter(), out.resolve()
    with _bar(console) as told:
        run = run_cell(nodes, out, seed=seed, steps=steps, progress=told, patience_s=patience_s or PATIENCE_S)
    console.print(f"[bold]{escape(run.task)}[/]")
    for warning in run.warnings:
        console.print(f"[yellow]warning:[/] {escape(warning)}")
    write_run(run, out)
    scored = score_bag(run, out, console, checkpoint=checkpoint, steps=steps)
    write_page(run, out, scored)
    report(run, out, console)
    console.print(f"{time.perf_counter() - started:.0f} s in all")
    return 0


def write_run(run: CellRun, out: Path) -> None:
    """The contract's files (<view>.mp4, tracks.npz), the outcomes and the pictures."""
    from syncmv4d_cli.cell_pictures import draw_run, read_films
    from syncmv4d_cli.preview import project_tracks
    from syncmv4d_model.data.atomic import atomic_file, write_bytes
    from syncmv4d_model.data.video import encode_video
    from syncmv4d_model.results import TRACKS_FILE, Tracks, save_png, save_tracks

    for name, content in zip(run.rig.view_names, run.videos, strict=True):
        write_bytes(out / f"{name}.mp4", content)
    view_tracks = run.tracks.by_view(run.rig.view_names)
    starts = project_tracks(view_tracks.positions[:, :1], run.rig.intrinsics, run.rig.camera_from_world)[:, 0]
    tracks = Tracks(
        positions=view_tracks.positions,
        visible=view_tracks.visible,
        stddev=view_tracks.stddev,
        label=view_tracks.label,
        intrinsics=run.video_intrinsics,
        camera_from_world=run.rig.camera_from_world,
        anchors_px=starts.astype(np.float32),  # the messages carry positions only: where frame 0 of each is seen
        video_size=np.array(run.video_sizes),
        frame_period_s=view_tracks.frame_period_s,
        task=run.task,
        seed=run.seed,
        checkpoint=run.engine,
    )
    with atomic_file(out / TRACKS_FILE) as partial, partial.open("wb") as file:  # a name would be given the ending .npz
        save_tracks(file, tracks)
    outcomes = {"this_plan": run.outcome, "true_plan": run.truth_outcome, "seconds": run.seconds}
    write_bytes(out / OUTCOME_FILE, (json.dumps(outcomes, indent=1, allow_nan=False) + "\n").encode())
    preview = draw_run(run, read_films(run))
    with atomic_file(out / PICTURE) as partial:
        save_png(partial, preview.still)
    write_bytes(out / FILM, encode_video(preview.frames, frame_period_s=view_tracks.frame_period_s, crf=20))


def score_bag(
    run: CellRun, out: Path, console: Console, *, checkpoint: Path | None, steps: int
) -> dict[str, Any] | str:
    """The report of `syncmv4d evaluate --bag` on the run's own bag, or why there is none."""
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed here; where it is: " + " ".join(evaluate_words(run, out, checkpoint, steps))
    from syncmv4d_cli.evaluate import main as evaluate

    words = evaluate_words(run, out, checkpoint, steps)
    console.print(" ".join(["[bold]syncmv4d evaluate[/]", *map(escape, words[2:])]))
    evaluate(words[2:])
    return json.loads((out / "evaluation.json").read_text(encoding="utf-8"))


def evaluate_words(run: CellRun, out: Path, checkpoint: Path | None, steps: int) -> list[str]:
    """The command line that scores the run's bag."""
    words = ["syncmv4d", "evaluate", "--bag", str(run.bag), "--seed", str(run.seed)]
    words += ["--json", str(out / "evaluation.json"), "--html", str(out / "evaluation.html")]
    words += ["--checkpoint", str(checkpoint)] if checkpoint is not None else []
    return words + (["--steps", str(steps)] if steps else [])


def write_page(run: CellRun, out: Path, scored: dict[str, Any] | str) -> None:
    """The report page, self-contained."""
    from syncmv4d_cli.cell_page import cell_page
    from syncmv4d_model.data.atomic import write_bytes

    page = cell_page(run, (out / PICTURE).read_bytes(), (out / FILM).read_bytes(), scored)
    write_bytes(out / PAGE_FILE, page.encode())


def report(run: CellRun, out: Path, console: Console) -> None:
    """What came of it, and where to look."""
    from syncmv4d_cli.cell_pictures import verdict

    console.print(
        f"generated plan: {escape(verdict(run.outcome))}; the true plan in the same cell: {escape(verdict(run.truth_outcome))}"
    )
    console.print("  ".join(f"{name} {seconds:.1f} s" for name, seconds in run.seconds.items()))
    console.print(
        f"Look at [bold]{escape(str(out / PAGE_FILE))}[/], {PICTURE}, {FILM}; tracks are in tracks.npz, all that was heard in bag/."
    )


@contextmanager
def _bar(console: Console) -> Iterator[Told]:
    """The stage, and its steps where they are known; a line per stage where nobody watches a terminal."""
    stages: list[str] = []
    with Progress(TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console) as bar:
        task = bar.add_task("starting", total=None)

        def told(stage: str, done: int, total: int) -> None:
            steps = f" {done}/{total}" if total else ""
            bar.update(task, description=f"{stage}{steps}", completed=done, total=total or None)
            if not console.is_terminal and stages[-1:] != [stage]:
                stages.append(stage)
                console.print(f"{stage} ...")

        yield told
