"""Builds data sets: one process per core, one folder per sequence, safe to stop and start again at any moment."""

from __future__ import annotations

import faulthandler
import functools
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

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from threadpoolctl import threadpool_limits

from syncmv4d_model.data.build_options import check_same_options
from syncmv4d_model.data.sequence import write_sequence
from syncmv4d_model.data.window import ObjectFinder
from syncmv4d_sim.sequences import BuildOptions, make_sequence, make_taco_rollout, sequence_name, window_chooser
from syncmv4d_sim.splits import rule_of, triplet_name
from syncmv4d_sim.taco_layout import is_written, taco_name, write_taco


@dataclass(frozen=True)
class Built:
    """A finished sequence, and why the scenes before it were rejected."""

    name: str
    rejections: tuple[str, ...]


def never() -> bool:
    """The answer of who has time."""
    return False


def build(
    out: Path,
    options: BuildOptions,
    *,
    count: int,
    finder: ObjectFinder | None = None,
    workers: int = 2,
    show_progress: bool = True,
    out_of_time: Callable[[], bool] = never,
) -> Counter[str]:
    """Write sequences 0..count-1 of the split, skipping those that exist. Returns the rejections, counted.

    Asked before each scene and answering True, `out_of_time` ends the build early: scenes under way are finished, the next call goes on.
    Every sequence appears whole or not at all. Why scenes were rejected is appended to `out/rejections_<split>.jsonl`.
    A worker that crashes (a renderer may, once in thousands of scenes) is replaced; ChildProcessError when the new ones
    crash before they build anything. ValueError for an unknown split, when `out` holds the split with other options, or without
    the `finder` that the options ask for; it is sent to the workers, so it must be picklable.
    """
    rule_of(options.split)
    if options.layout == "syncmv4d":
        window_chooser(options, finder)
    work = functools.partial(_build_one, out, options=options, finder=finder)
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
        for built in _built(out, missing, options, work, workers=workers, out_of_time=out_of_time):
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
    out: Path,
    indices: list[int],
    options: BuildOptions,
    work: Callable[[int], Built],
    *,
    workers: int,
    out_of_time: Callable[[], bool],
) -> Iterator[Built]:
    """Finished sequences as they come; in this process when one worker is asked for."""
    if workers <= 1:
        within = itertools.takewhile(lambda _: not out_of_time(), indices)
        yield from map(work, within)
        return
    left, barren = indices, 0
    while left and not out_of_time():
        try:
            yield from _built_by_pool(left, work, workers=workers, out_of_time=out_of_time)
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
    indices: list[int], work: Callable[[int], Built], *, workers: int, out_of_time: Callable[[], bool]
) -> Iterator[Built]:
    context = multiprocessing.get_context("spawn")  # a forked child would share its parent's GL context
    with ProcessPoolExecutor(min(workers, len(indices)), mp_context=context, initializer=_start_worker) as pool:
        jobs: list[Future[Built]] = [pool.submit(work, index) for index in indices]
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


def _build_one(out: Path, index: int, *, options: BuildOptions, finder: ObjectFinder | None) -> Built:
    if options.layout == "taco":
        rollout, rejections = make_taco_rollout(index, options)
        write_taco(out, index, rollout, width=options.width, shadows=options.shadows)
        return Built(taco_name(index), rejections)
    made = make_sequence(index, options, finder)
    write_sequence(out / options.split / made.sequence.name, made.sequence, made.truths)
    return Built(made.sequence.name, made.rejections)


def _is_built(out: Path, index: int, options: BuildOptions) -> bool:
    if options.layout == "taco":
        triplets = rule_of(options.split).triplets
        return is_written(out, triplet_name(triplets[index % len(triplets)]), index)
    return (out / options.split / sequence_name(index)).is_dir()


def _start_worker() -> None:
    os.environ["LP_NUM_THREADS"] = "1"  # Mesa's software renderer takes every core for itself; the workers fill them
    threadpool_limits(1)  # nor does numpy take a second one
    faulthandler.enable()
