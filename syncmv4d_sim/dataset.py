"""Builds data sets: one process per core, one folder per sequence, safe to stop and start again at any moment."""

from __future__ import annotations

import faulthandler
import itertools
import json
import multiprocessing
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from syncmv4d_model.data.build_options import check_same_options
from syncmv4d_model.data.sequence import Sequence, write_sequence
from syncmv4d_model.data.surface_tracks import track
from syncmv4d_sim.cameras import sample_rig
from syncmv4d_sim.physics import Rejection, Rollout, simulate
from syncmv4d_sim.render import render
from syncmv4d_sim.scene import sample_scene
from syncmv4d_sim.splits import rule_of, triplet_name
from syncmv4d_sim.surface import surface
from syncmv4d_sim.taco_layout import FRAME_PERIOD_S as TACO_FRAME_PERIOD_S
from syncmv4d_sim.taco_layout import is_written, taco_name, write_taco

MAX_ATTEMPTS = 60
RIG_STREAM, ANCHOR_STREAM = 101, 102
Made = TypeVar("Made")


@dataclass(frozen=True)
class BuildOptions:
    """What every sequence of a data set shares."""

    split: str = "train"
    seed: int = 0
    height: int = 96
    width: int = 96
    num_points: int = 1024
    rig: Literal["random", "taco"] = "random"
    shadows: bool = True
    layout: Literal["syncmv4d", "taco"] = "syncmv4d"  # taco ignores rig, height and num_points


@dataclass(frozen=True)
class Built:
    """A finished sequence, and why the scenes before it were rejected."""

    name: str
    rejections: tuple[str, ...]


def make_sequence(index: int, options: BuildOptions) -> tuple[Sequence, tuple[str, ...]]:
    """Simulate, check, render and track sequence `index` of a split; the same arguments give the same bits.

    Returns it with the reasons of the scenes rejected on the way. RuntimeError after MAX_ATTEMPTS rejections.
    """
    return _first_accepted(lambda attempt: _attempt(index, options, attempt))


def make_taco_rollout(index: int, options: BuildOptions) -> tuple[Rollout, tuple[str, ...]]:
    """Simulate and check sequence `index` at TACO's frame rate; returns and raises as `make_sequence`."""

    def attempt(number: int) -> Rollout | Rejection:
        scene = sample_scene(options.split, index, options.seed, attempt=number)
        return simulate(scene, frame_period_s=TACO_FRAME_PERIOD_S)

    return _first_accepted(attempt)


def _first_accepted(attempt: Callable[[int], Made | Rejection]) -> tuple[Made, tuple[str, ...]]:
    rejections: list[str] = []
    for number in range(MAX_ATTEMPTS):
        made = attempt(number)
        if not isinstance(made, Rejection):
            return made, tuple(rejections)
        rejections.append(made.reason)
    raise RuntimeError(f"{MAX_ATTEMPTS} scenes in a row rejected, the last because {rejections[-1]}")


def _attempt(index: int, options: BuildOptions, attempt: int) -> Sequence | Rejection:
    scene = sample_scene(options.split, index, options.seed, attempt=attempt)
    rollout = simulate(scene)
    if isinstance(rollout, Rejection):
        return Rejection(f"{scene.triplet}: {rollout.reason}")
    key = [options.seed, rule_of(options.split).stream, index, attempt]
    body = surface(rollout)
    rig_rng, anchor_rng = np.random.default_rng([*key, RIG_STREAM]), np.random.default_rng([*key, ANCHOR_STREAM])
    rig = sample_rig(options.rig, body.action_points, rig_rng, height=options.height, width=options.width)
    frames = render(rollout, rig, shadows=options.shadows)
    try:
        tracks = track(body, rig, frames.depth_m, num_points=options.num_points, rng=anchor_rng)
    except ValueError as error:
        return Rejection(f"{scene.triplet}: {error}")
    return Sequence(
        name=sequence_name(index),
        task=scene.text,
        triplet=scene.triplet,
        view_names=rig.view_names,
        video=frames.rgb,
        intrinsics=rig.intrinsics,
        camera_from_world=rig.camera_from_world,
        positions=tracks.positions,
        visible=tracks.visible,
        label=tracks.label,
        anchors_px=tracks.anchors_px,
        depth_scale=tracks.depth_scale,
        frame_period_s=rollout.frame_period_s,
    )


def sequence_name(index: int) -> str:
    """Folder name of a sequence within its split."""
    return f"{index:06d}"


def never() -> bool:
    """The answer of who has time."""
    return False


def build(
    out: Path,
    options: BuildOptions,
    *,
    count: int,
    workers: int = 2,
    show_progress: bool = True,
    out_of_time: Callable[[], bool] = never,
) -> Counter[str]:
    """Write sequences 0..count-1 of the split, skipping those that exist. Returns the rejections, counted.

    Asked before each scene and answering True, `out_of_time` ends the build early: scenes under way are finished, the next call goes on.
    Every sequence appears whole or not at all. Why scenes were rejected is appended to `out/rejections_<split>.jsonl`.
    A worker that crashes (a renderer may, once in thousands of scenes) is replaced; ChildProcessError when the new ones
    crash before they build anything. ValueError for an unknown split, or when `out` holds the split with other options.
    """
    rule_of(options.split)
    (out / options.split if options.layout == "syncmv4d" else out).mkdir(parents=True, exist_ok=True)
    check_same_options(out / f"options_{options.split}.json", asdict(options), defaults=asdict(BuildOptions()))
    missing = [index for index in range(count) if not _is_built(out, index, options)]
    reasons: Counter[str] = Counter()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    log = out / f"rejections_{options.split}.jsonl"
    with Progress(*columns, disable=not show_progress) as progress, log.open("a", encoding="utf-8") as file:
        task = progress.add_task(options.split, total=count, completed=count - len(missing))
        for built in _built(out, missing, options, workers=workers, out_of_time=out_of_time):
            for reason in built.rejections:
                reasons[reason] += 1
                file.write(json.dumps({"sequence": built.name, "reason": reason}) + "\n")
            progress.advance(task)
        progress.update(task, completed=number_built(out, options, count=count))
    return reasons


def number_built(out: Path, options: BuildOptions, *, count: int) -> int:
    """How many of the sequences 0..count-1 are there."""
    return sum(_is_built(out, index, options) for index in range(count))


def _built(
    out: Path, indices: list[int], options: BuildOptions, *, workers: int, out_of_time: Callable[[], bool]
) -> Iterator[Built]:
    """Finished sequences as they come; in this process when one worker is asked for."""
    if workers <= 1:
        within = itertools.takewhile(lambda _: not out_of_time(), indices)
        yield from (_build_one(out, index, options) for index in within)
        return
    left, barren = indices, 0
    while left and not out_of_time():
        try:
            yield from _built_by_pool(out, left, options, workers=workers, out_of_time=out_of_time)
            return
        except BrokenProcessPool as error:
            before, left = left, [index for index in left if not _is_built(out, index, options)]
            barren = barren + 1 if len(left) == len(before) else 0
            if barren == 2:
                raise ChildProcessError(
                    f"workers crashed twice before any of the sequences {left[0]} to {left[-1]} of split {options.split}"
                    " was built; what they were doing is printed above, unless they were killed"
                ) from error
            if left:
                print(f"a worker crashed; another goes on with the {len(left)} sequences left", file=sys.stderr)


def _built_by_pool(
    out: Path, indices: list[int], options: BuildOptions, *, workers: int, out_of_time: Callable[[], bool]
) -> Iterator[Built]:
    context = multiprocessing.get_context("spawn")  # a forked child would share its parent's GL context
    with ProcessPoolExecutor(min(workers, len(indices)), mp_context=context, initializer=_start_worker) as pool:
        jobs: list[Future[Built]] = [pool.submit(_build_one, out, index, options) for index in indices]
        try:
            yield from _completed(jobs, out_of_time)
        finally:
            pool.shutdown(cancel_futures=True)


def _completed(jobs: list[Future[Built]], out_of_time: Callable[[], bool]) -> Iterator[Built]:
    """Results as they come; once it is out of time only those of jobs that are under way."""
    waiting = jobs
    for job in as_completed(jobs):
        if not job.cancelled():
            yield job.result()
        if waiting and out_of_time():
            for other in waiting:
                other.cancel()
            waiting = []


def _build_one(out: Path, index: int, options: BuildOptions) -> Built:
    if options.layout == "taco":
        rollout, rejections = make_taco_rollout(index, options)
        write_taco(out, index, rollout, width=options.width, shadows=options.shadows)
        return Built(taco_name(index), rejections)
    sequence, rejections = make_sequence(index, options)
    write_sequence(out / options.split / sequence.name, sequence)
    return Built(sequence.name, rejections)


def _is_built(out: Path, index: int, options: BuildOptions) -> bool:
    if options.layout == "taco":
        triplets = rule_of(options.split).triplets
        return is_written(out, triplet_name(triplets[index % len(triplets)]), index)
    return (out / options.split / sequence_name(index)).is_dir()


def _start_worker() -> None:
    os.environ["LP_NUM_THREADS"] = "1"  # Mesa's software renderer takes every core for itself; the workers fill them
    faulthandler.enable()
