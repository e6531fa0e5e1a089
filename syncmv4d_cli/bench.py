"""`syncmv4d bench`: model, how long steps, the closed loop and a request take; steps, what more of them bring; codec, its
bound; finder, the windows it chooses; cell, tasks done; ros, the generator node on real topics; scoring, how long a sequence
is scored; data, whether its cameras know the future.
"""

from __future__ import annotations

import json
import platform
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from syncmv4d_cli.bench_cell import Cell, bench_cell
from syncmv4d_cli.bench_codec import Codec, bench_codec
from syncmv4d_cli.bench_data import Data, bench_data
from syncmv4d_cli.bench_finder import BenchFinder, bench_finder
from syncmv4d_cli.bench_rig import arc_rig
from syncmv4d_cli.bench_ros import Ros, bench_ros
from syncmv4d_cli.bench_scoring import Scoring, bench_scoring
from syncmv4d_cli.bench_steps import Steps, bench_steps
from syncmv4d_cli.choices import Choices, choose
from syncmv4d_cli.device import CPU, check_device
from syncmv4d_cli.least import check_least


@dataclass(frozen=True)
class Model:
    """Time the model on random images of a random rig. Rows are interleaved, so ratios survive a noisy machine."""

    checkpoint: Path | None = None
    """Checkpoint folder (default: the bundled nano)."""
    engine: str = "eager"
    """How the network runs: eager, or compile (about a minute first)."""
    runs: int = 7
    """Counted repetitions after one warm-up."""
    views: int = 3
    """Cameras of the random rig, 1 to the checkpoint's max_views."""
    steps: int | None = None
    """Denoising steps (default: the checkpoint's)."""
    device: str = CPU
    """Where it is computed: cpu, or cuda, cuda:1 ... (NVIDIA GPUs)."""
    threads: int = 0
    """CPU threads (0: torch's default)."""
    save_json: Path | None = None
    """Also write the figures here."""


def main(args: list[str]) -> int:
    """Entry of `syncmv4d bench`."""
    benchmarks: Choices = {
        "model": (Model, bench_model),
        "steps": (Steps, bench_steps),
        "codec": (Codec, bench_codec),
        "finder": (BenchFinder, bench_finder),
        "cell": (Cell, bench_cell),
        "ros": (Ros, bench_ros),
        "scoring": (Scoring, bench_scoring),
        "data": (Data, bench_data),
    }
    return choose(args, "syncmv4d bench", benchmarks)


def bench_model(options: Model) -> None:
    """Print the table and write the JSON."""
    import torch

    from syncmv4d_model.checkpoint_index import BUNDLED_NANO
    from syncmv4d_model.data.atomic import check_writable
    from syncmv4d_model.diffusion.closed_loop import denoise
    from syncmv4d_model.diffusion.flow_matching import sampling_times
    from syncmv4d_model.predictor import Predictor

    check_least(options, {"steps": 1, "runs": 1, "threads": 0})
    check_device(options.device)
    if options.save_json is not None:
        check_writable(options.save_json)
    if options.threads:
        torch.set_num_threads(options.threads)
    predictor = Predictor.load(options.checkpoint or BUNDLED_NANO, engine=options.engine, device=options.device)
    config = predictor.config
    observation = random_observation(options.views, config.height, config.width)
    steps = options.steps or config.loop.steps
    binding, _ = predictor.bind(predictor.look(observation)[0], 0, 1.0)
    full = binding.loop()
    noise = predictor.noise(options.views, 0, config.num_points)
    times = sampling_times(steps, shift=config.loop.shift)
    t = torch.ones(1, device=options.device)
    alone = replace(full, point_aligner=None)
    rows: dict[str, Callable[[], object]] = {
        "one joint-denoiser call": lambda: full.joint_denoiser(noise, t, None),
        f"{steps} steps, joint denoiser alone": lambda: joint_only(full, noise, times),
        f"{steps} steps, coarse tracks decoded": lambda: denoise(alone, noise, times=times),
        f"{steps} steps, aligner, no cycle": lambda: denoise(full, noise, times=times, cycle=False),
        f"{steps} steps, closed loop": lambda: denoise(full, noise, times=times),
        "whole request": lambda: predictor.predict(observation, steps=steps),
    }
    with torch.inference_mode():
        seconds = time_interleaved(
            rows, runs=options.runs, synchronise=device_barrier(options.device), console=Console()
        )
    _show(seconds, f"{steps} steps, joint denoiser alone", options, predictor.name)


def joint_only(loop, state, times) -> None:
    """The denoising loop with nothing but the joint denoiser in it."""
    import itertools

    import torch

    from syncmv4d_model.diffusion.flow_matching import euler_step
    from syncmv4d_model.types import State

    for now, following in itertools.pairwise(times.tolist()):
        t = torch.full((len(state.video),), now, device=state.video.device)
        velocity = loop.joint_denoiser(state, t, None)
        t_next = torch.full_like(t, following)
        motion = None if state.motion is None else euler_step(state.motion, velocity.motion, t, t_next)
        state = State(euler_step(state.video, velocity.video, t, t_next), motion, state.tracks)


def random_observation(views: int, height: int, width: int):
    """Random images seen by the made-up rig."""
    from syncmv4d_model.types import Observation

    rng = np.random.default_rng(0)
    intrinsics, camera_from_world = arc_rig(views, height=height, width=width)
    return Observation(
        images=tuple(rng.integers(0, 256, (views, height, width, 3), dtype=np.uint8)),
        intrinsics=intrinsics,
        camera_from_world=camera_from_world,
        task="use a spatula to stir in a pan",
        view_names=tuple(f"view{i}" for i in range(views)),
    )


def time_interleaved(
    rows: dict[str, Callable[[], object]], *, runs: int, synchronise: Callable[[], None], console: Console
) -> dict[str, list[float]]:
    """Seconds of every run, by row; the rows take turns. How far it is stands on the console meanwhile."""
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    turns = [(index, name) for index in range(runs + 1) for name in rows]
    for index, name in track(turns, "runs", transient=True, console=console):
        started = time.perf_counter()
        rows[name]()
        synchronise()
        if index:  # the first is a warm-up
            seconds[name].append(time.perf_counter() - started)
    return seconds


def device_barrier(device: str) -> Callable[[], None]:
    """Waits for the device's queued work."""
    import torch

    return torch.cuda.synchronize if device.startswith("cuda") else lambda: None


def _show(seconds: dict[str, list[float]], reference: str, options: Model, name: str) -> None:
    import torch

    from syncmv4d_model.data.atomic import write_bytes

    medians = {row: statistics.median(values) for row, values in seconds.items()}
    base = seconds[reference]
    ratios = {
        row: statistics.median(value / other for value, other in zip(values, base, strict=True))
        for row, values in seconds.items()
    }
    table = Table(
        title=f"{name}, {options.engine}, {options.device}, {torch.get_num_threads()} threads, {options.views} views"
    )
    for column in ("", "median s", "min", "max", "x joint denoiser alone"):
        table.add_column(column, justify="right" if column else "left")
    for row, values in seconds.items():
        table.add_row(row, f"{medians[row]:.3f}", f"{min(values):.3f}", f"{max(values):.3f}", f"{ratios[row]:.2f}")
    console = Console()
    console.print(table)
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if options.runs < 3:
        console.print(f"{options.runs} round(s): too few for ratios on a machine that does anything else")
    machine = platform.processor() or platform.machine()
    console.print(f"peak memory of this process {peak_gib:.2f} GiB; torch {torch.__version__}, {machine}")
    if options.save_json is not None:
        figures = {"seconds": seconds, "medians": medians, "ratios": ratios, "peak_memory_gib": peak_gib}
        write_bytes(options.save_json, json.dumps(figures | {"torch": torch.__version__}, indent=1).encode())
