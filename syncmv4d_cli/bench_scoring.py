"""`syncmv4d bench scoring`: processor time of scoring what a method has written, score by score, no network involved."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table
from threadpoolctl import threadpool_limits

from syncmv4d_cli.bench_rig import arc_rig
from syncmv4d_cli.least import check_least

if TYPE_CHECKING:
    from syncmv4d_model.data.sequence import Sequence

TRIPLETS = 28
"""Of the many sequences, as in the simulator's splits: one process scores all sequences of a triplet."""

READING, PAIRING, ROW = "reading the sequence", "reading and pairing the prediction", "the report's row"


@dataclass(frozen=True)
class Scoring:
    """Time reading and scoring of made-up sequences from files, score by score, and the Chamfer distance and matching of many points."""

    sequences: int = 4
    """Sequences, each with a written prediction."""
    views: int = 3
    """Cameras."""
    frames: int = 17
    """Frames a video."""
    points: int = 1600
    """Points a view."""
    size: int = 96
    """Width and height of the pictures, pixels; even."""
    many_points: int = 30_000
    """Points of the Chamfer distance and of the matching that are timed by themselves."""
    rows: int = 20
    """How many of the slowest parts are shown."""
    whole: int = 0
    """Also time `syncmv4d evaluate --predictions` of so many such sequences, in a process for each core; 0: leave it out."""
    save_json: Path | None = None
    """Also write all figures here."""


def bench_scoring(options: Scoring) -> None:
    """Print the tables: processor time in one thread, as each of several workers scores; other work on the machine counts little."""
    from syncmv4d_model.data.atomic import check_writable, write_bytes

    least = {"sequences": 1, "views": 1, "frames": 3, "points": 8, "size": 12, "many_points": 1, "rows": 1, "whole": 0}
    check_least(options, least)
    if options.size % 2:
        raise ValueError(f"--size must be even, for the videos, got {options.size}")
    if options.save_json is not None:
        check_writable(options.save_json)
    with threadpool_limits(1):
        seconds = sequence_seconds(options)
        many = many_points_seconds(options.many_points)
    whole = whole_seconds(options) if options.whole else None
    total = statistics.median(sum(one) for one in zip(*seconds.values(), strict=True))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    shape = f"{options.views} x {options.frames} x {options.points} points, {options.size} px"
    table = Table(title=f"processor time a sequence, {shape}, median of {options.sequences}")
    table.add_column("")
    table.add_column("ms", justify="right")
    for name in sorted(medians, key=lambda name: -medians[name])[: options.rows]:
        table.add_row(name, f"{1000 * medians[name]:.1f}")
    table.add_row("all of it", f"{1000 * total:.1f}")
    for name, value in many.items():
        table.add_row(f"{name} of {options.many_points:,} points", f"{1000 * value:.1f}")
    if whole is not None:
        table.add_row(f"evaluate --predictions of {options.whole} sequences, wall time", f"{1000 * whole:.0f}")
    Console().print(table)
    if options.save_json is not None:
        figures = {"seconds": seconds, "medians": medians, "total": total, "many_points": many, "whole": whole}
        write_bytes(options.save_json, json.dumps(figures, indent=1).encode())


def sequence_seconds(options: Scoring) -> dict[str, list[float]]:
    """Processor seconds of every sequence, by score and step, each as `syncmv4d evaluate --predictions` does it."""
    from syncmv4d_model.data.sequence import read_sequence, write_sequence
    from syncmv4d_model.evaluation.methods import Written
    from syncmv4d_model.evaluation.scenes import row_of
    from syncmv4d_model.evaluation.scores import SCORES, score_of
    from syncmv4d_model.evaluation.written import METHODS, WrittenPredictions

    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        data, predictions = Path(folder) / "data", Path(folder) / "predictions"
        written = Written(WrittenPredictions(predictions, METHODS["tracks"]), seed=0, points=options.points)
        for index in range(options.sequences + 1):
            truth, rng = made_up_sequence(options, seed=index), np.random.default_rng(index)
            write_sequence(data / truth.name, truth)
            write_prediction(predictions / truth.name, truth, rng)
            with _timed(seconds, READING):
                sequence = read_sequence(data / truth.name)
            with _timed(seconds, PAIRING):
                case = written.case(sequence, index)
            values: dict[str, float | None] = {}
            for name in SCORES:
                with _timed(seconds, name):
                    values[name], _ = score_of(case, name)
            with _timed(seconds, ROW):
                row_of(case, values)
    return {name: values[1:] for name, values in seconds.items()}  # the first one warms up


def whole_seconds(options: Scoring) -> float:
    """Wall seconds of `syncmv4d evaluate --predictions` on so many made-up sequences, from its start to its report."""
    from syncmv4d_model.data.sequence import write_sequence

    with tempfile.TemporaryDirectory() as folder:
        data, predictions, report = (Path(folder) / name for name in ("data", "predictions", "report.json"))
        for index in track(range(options.whole), "made-up sequences", transient=True):
            truth = made_up_sequence(options, seed=index)
            truth = replace(truth, triplet=f"(stir, spatula, pan{index % TRIPLETS})")
            write_sequence(data / "test_1" / truth.name, truth)
            write_prediction(predictions / truth.name, truth, np.random.default_rng(index))
        command = [sys.executable, "-m", "syncmv4d_cli.main", "evaluate", "--data", data, "--split", "test_1"]
        command += ["--predictions", predictions, "--points", str(options.points), "--json", report]
        started = time.perf_counter()
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
        if done.returncode:
            raise ChildProcessError(
                f"syncmv4d evaluate ended with status {done.returncode}: {done.stderr.strip()[-500:]}"
            )
        return time.perf_counter() - started


def many_points_seconds(count: int, *, runs: int = 3) -> dict[str, float]:
    """Processor seconds, the least of `runs`, between `count` points on a unit cube's faces and the same points moved by 1 %."""
    from syncmv4d_model.evaluation import metrics

    rng = np.random.default_rng(0)
    points, label = rng.random((count, 3)), np.zeros(count, np.uint8)
    points[np.arange(count), rng.integers(3, size=count)] = rng.integers(2, size=count)
    moved = points + 0.01
    return {
        "Chamfer distance": _least_seconds(lambda: metrics.chamfer_distance(points, moved), runs),
        "matching": _least_seconds(
            lambda: metrics.corresponding_points(points, moved, first_label=label, second_label=label), runs
        ),
    }


def made_up_sequence(options: Scoring, *, seed: int) -> Sequence:
    """Three bodies with points all over, seen by cameras on an arc: a hand and a tool that move, a target that stands still."""
    from syncmv4d_model.data.sequence import Sequence
    from syncmv4d_model.geometry import project, transform

    rng = np.random.default_rng(seed)
    views, frames, points = options.views, options.frames, options.points
    label = rng.integers(1, 4, (views, points), dtype=np.uint8)
    on_ball = rng.normal(size=(views, points, 3))
    on_ball *= 0.05 / np.linalg.norm(on_ball, axis=-1, keepdims=True)
    path = np.cumsum(rng.normal(scale=0.01, size=(frames, 4, 3)), axis=0)  # of each label's body
    path[:, 3] = 0
    start = rng.uniform(-0.1, 0.1, (4, 3))
    positions = on_ball[:, None] + np.swapaxes((start + path)[:, label], 0, 1)
    intrinsics, cameras = arc_rig(views, height=options.size, width=options.size)
    tiles = rng.integers(0, 256, (views, options.size // 8 + 1, options.size // 8 + 1, 3), dtype=np.uint8)
    still = tiles.repeat(8, axis=1).repeat(8, axis=2)[
        :, : options.size, : options.size
    ]  # as easy to decode as a real scene
    video = np.stack([np.roll(still, frame, axis=2) for frame in range(frames)], axis=1)
    return Sequence(
        name=f"{seed:06d}",
        task="stir in a pan with a spatula",
        triplet="(stir, spatula, pan)",
        view_names=tuple(f"view{view}" for view in range(views)),
        video=video,
        intrinsics=intrinsics,
        camera_from_world=cameras,
        positions=positions.astype(np.float32),
        visible=rng.random((views, frames, points)) < 0.8,
        label=label,
        anchors_px=project(intrinsics, transform(cameras, positions[:, 0])).astype(np.float32),
        depth_scale=np.tile(np.array([0.5, 1.5], np.float32), (views, 1)),
        frame_period_s=0.125,
    )


def write_prediction(folder: Path, truth: Sequence, rng: np.random.Generator) -> None:
    """A prediction that is off by some millimetres and lacks some positions, in the layout of `syncmv4d evaluate --predictions`."""
    from syncmv4d_model.data.video import write_video
    from syncmv4d_model.results import TRACKS_FILE

    drift = np.cumsum(rng.normal(scale=0.003, size=(*truth.visible.shape[:2], 1, 3)), axis=1)
    positions = truth.positions + drift + rng.normal(scale=0.002, size=truth.positions.shape)
    positions[rng.random(truth.visible.shape) < 0.02] = np.nan
    folder.mkdir(parents=True)
    np.savez_compressed(
        folder / TRACKS_FILE,
        positions=positions.astype(np.float32),
        anchors_px=truth.anchors_px,
        visible=truth.visible ^ (rng.random(truth.visible.shape) < 0.05),
        stddev=rng.uniform(0.002, 0.02, truth.visible.shape).astype(np.float32),
        label=truth.label,
        depth_scale=truth.depth_scale,
    )
    for name, frames in zip(truth.view_names, truth.video, strict=True):
        write_video(folder / f"{name}.mp4", frames, frame_period_s=truth.frame_period_s)


@contextmanager
def _timed(seconds: dict[str, list[float]], name: str) -> Iterator[None]:
    started = time.process_time()
    yield
    seconds.setdefault(name, []).append(time.process_time() - started)


def _least_seconds(function: Callable[[], object], runs: int) -> float:
    seconds: dict[str, list[float]] = {}
    for _ in range(runs):
        with _timed(seconds, ""):
            function()
    return min(seconds[""])
