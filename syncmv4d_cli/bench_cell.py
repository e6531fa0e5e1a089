"""`syncmv4d bench cell`: tracks become the tool's trajectory, physics carries it out, and the task succeeds or does not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from syncmv4d_cli.device import CPU, check_device
from syncmv4d_cli.least import check_least

if TYPE_CHECKING:
    from syncmv4d_model.data.sequence import Sequence
    from syncmv4d_ros.planning import TrackedPoints
    from syncmv4d_sim.cell import SimulatedCell

Method = Literal["truth", "static", "generated"]
TracksOf = Callable[["Sequence"], "TrackedPoints"]


@dataclass(frozen=True)
class Cell:
    """Carry out tracks in the simulated robot cell, the tool held by friction only; success per verb is fixed in syncmv4d_sim/cell.py.

    truth: the generator's own tracks. static: its first frame, held. generated: what the checkpoint makes of the first images.
    """

    scenes: int = 50
    """How many scenes of the split, from --first on."""
    first: int = 0
    """Index of the first scene."""
    split: str = "test_1"
    """Which held-out split the scenes come from (see `syncmv4d build-dataset sim --help`)."""
    seed: int = 1
    """Seed of the scenes."""
    methods: tuple[Method, ...] = ("truth", "static", "generated")
    """Whose tracks are carried out."""
    checkpoint: Path | None = None
    """Checkpoint folder of `generated` (default: the bundled nano)."""
    sample_seed: int = 0
    """Seed of the generation."""
    steps: int | None = None
    """Denoising steps (default: the checkpoint's)."""
    device: str = CPU
    """Where `generated` is computed: cpu, or cuda, cuda:1 ... (NVIDIA GPUs)."""
    save_json: Path | None = None
    """Also write every outcome here."""


@dataclass(frozen=True)
class Trial:
    """One method's plan in one scene."""

    scene: int
    triplet: str
    verb: str
    method: str
    success: bool
    reason: str  # why not
    outcome: dict[str, Any] | None  # None: there was nothing to carry out

    @property
    def path_error_cm(self) -> float:
        """NaN where nothing was carried out."""
        error = (self.outcome or {}).get("path_error_m")
        return float("nan") if error is None else 100 * float(error)


def bench_cell(options: Cell) -> None:
    """Print the table and write the JSON. ValueError for options that make no scene."""
    from syncmv4d_cli.provenance import provenance
    from syncmv4d_model.checkpoint_index import BUNDLED_NANO
    from syncmv4d_model.data.atomic import check_writable, write_bytes
    from syncmv4d_sim.cell import cell_options

    if options.save_json is not None:
        check_writable(options.save_json)
    check_least(options, {"scenes": 1, "first": 0, "seed": 0})
    check_device(options.device)
    if not options.methods:
        raise ValueError("--methods names none of truth, static, generated")
    built, sources = cell_options(split=options.split, seed=options.seed), dict(_still_sources(options.methods))
    if "generated" in options.methods:
        sources["generated"] = _generator(options)
    console = Console()
    indices = range(options.first, options.first + options.scenes)
    trials = [
        trial
        for i in track(indices, "scenes", transient=True, console=console)
        for trial in _scene_trials(i, built, sources)
    ]
    console.print(table(trials, f"{options.split}, {options.scenes} scenes of seed {options.seed}"))
    for reason, count in _reasons(trials):
        console.print(f"{count:4d} x {reason}")
    if options.save_json is not None:
        content = {"summary": summary(trials), "trials": [vars(trial) for trial in trials]}
        asked = {"split": options.split, "seed": options.seed, "scenes": options.scenes, "first": options.first}
        asked |= provenance((options.checkpoint or BUNDLED_NANO) if "generated" in options.methods else None)
        write_bytes(options.save_json, json.dumps(asked | content, indent=1, allow_nan=False).encode())


def carry_out(cell: SimulatedCell, points: TrackedPoints) -> tuple[bool, str, dict[str, Any] | None]:
    """Fit the tool's trajectory to tracks and carry it out: (success, why not, outcome if there was one)."""
    from syncmv4d_ros.following import followable_motion
    from syncmv4d_ros.planning import fit_body

    try:
        body = fit_body(points, "tool")
        motion = followable_motion(body.poses, body.valid, body.rotation_valid)
        outcome = cell.execute(motion, frame_period_s=body.frame_period_s)
    except ValueError as error:  # tracks that no arm can follow are a result
        return False, f"no plan: {error}", None
    return outcome.success, outcome.reason, outcome.as_dict()


def summary(trials: Iterable[Trial]) -> dict[str, dict[str, dict[str, int]]]:
    """method -> verb, or "all" -> {"scenes", "successes"}."""
    counted: dict[str, dict[str, dict[str, int]]] = {}
    for trial in trials:
        for verb in ("all", trial.verb):
            cell = counted.setdefault(trial.method, {}).setdefault(verb, {"scenes": 0, "successes": 0})
            cell["scenes"] += 1
            cell["successes"] += int(trial.success)
    return counted


def table(trials: list[Trial], title: str) -> Table:
    """Successes by verb and method, and how far the tool was from its commanded path."""
    counted = summary(trials)
    made = Table("task", title=title, caption="tasks done, and the tool's mean distance from its commanded path")
    for method in counted:
        made.add_column(method, justify="right")
    verbs = [*dict.fromkeys(trial.verb for trial in trials), "all"]
    for verb in verbs:
        row = [verb]
        for method in counted:
            numbers = counted[method][verb]
            chosen = [t.path_error_cm for t in trials if t.method == method and verb in ("all", t.verb)]
            known = [error for error in chosen if not np.isnan(error)]
            off = f"{np.mean(known):.1f} cm" if known else "-"
            row.append(f"{numbers['successes']} of {numbers['scenes']}, {off}")
        made.add_row(*row, end_section=verb == verbs[-2])
    return made


def _scene_trials(index: int, built: Any, sources: dict[str, TracksOf]) -> Iterator[Trial]:
    from syncmv4d_sim.cell import SimulatedCell

    cell = SimulatedCell(index, built)
    for method, tracks_of in sources.items():
        success, reason, outcome = carry_out(cell, tracks_of(cell.sequence))
        yield Trial(index, cell.sequence.triplet, cell.scene.verb, method, success, reason, outcome)


def _still_sources(methods: Iterable[str]) -> Iterator[tuple[str, TracksOf]]:
    """The methods that need no model."""
    from syncmv4d_ros.planning import exact_points

    if "truth" in methods:
        yield "truth", lambda sequence: exact_points(sequence, sequence.positions)
    if "static" in methods:
        yield (
            "static",
            lambda sequence: exact_points(sequence, np.repeat(sequence.positions[:, :1], _frames(sequence), 1)),
        )


def _generator(options: Cell) -> TracksOf:
    """The predictor's tracks for a sequence's first images."""
    from syncmv4d_model.checkpoint_index import BUNDLED_NANO
    from syncmv4d_model.evaluation.case import observation_of
    from syncmv4d_model.predictor import Predictor
    from syncmv4d_ros.result_messages import points_of

    predictor = Predictor.load(options.checkpoint or BUNDLED_NANO, device=options.device)
    seed, steps = options.sample_seed, options.steps
    return lambda sequence: points_of(predictor.predict(observation_of(sequence), seed=seed, steps=steps))


def _frames(sequence: Sequence) -> int:
    return sequence.positions.shape[1]


def _reasons(trials: Iterable[Trial]) -> list[tuple[str, int]]:
    """Why trials failed, the most frequent first; advice and figures left out so that like reasons count together."""
    counted: dict[str, int] = {}
    for trial in trials:
        if not trial.success:
            words = " ".join(
                "N" if any(c.isdigit() for c in word) else word for word in trial.reason.partition(";")[0].split()
            )
            counted[f"{trial.method}: {words}"] = counted.get(f"{trial.method}: {words}", 0) + 1
    return sorted(counted.items(), key=lambda item: -item[1])
