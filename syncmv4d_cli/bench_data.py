"""`syncmv4d bench data`: do the cameras of a data set know the future, what does text tell, what is
in it and what does it weigh.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from syncmv4d_cli.least import check_least

if TYPE_CHECKING:
    from syncmv4d_model.data.sequence import Sequence
    from syncmv4d_model.evaluation.leak import Scene

TEXT_POINTS = 128  # a view, of which the text mean is made
CLOSED = "closed"


@dataclass(frozen=True)
class Data:
    """Measure a split of a data set: what the cameras' rays tell of the tool's motion beyond frame
    0, what text tells, bytes, kinds.

    Example: syncmv4d bench data --data data/nano --split train --limit 400 --json leak.json
    """

    data: Path
    """Data set DIR, which holds DIR/<split>/<sequence>/."""
    split: str = "train"
    """Which split."""
    limit: int | None = None
    """Only the first N sequences."""
    seed: int = 0
    """Of folds and resamples."""
    json: Path | None = None
    """Also write the figures here."""


@dataclass(frozen=True)
class Read:
    """What is kept of the sequences of a split."""

    scenes: list[Scene]
    tracks: list[Sequence]  # a few points of each
    window_mm: list[float]  # a pixel, of every view
    image_mm: list[float]
    tags: Counter[str]
    views: Counter[int]


def bench_data(options: Data) -> None:
    """Print the tables and write the JSON. ValueError for fewer sequences than a regression needs;
    errors as list_sequences, read_sequence.
    """
    from syncmv4d_model.data.atomic import check_writable, write_bytes
    from syncmv4d_model.data.sequence import list_sequences

    check_least(options, {"limit": 1, "seed": 0})
    if options.json is not None:
        check_writable(options.json)
    folders = list_sequences(options.data, options.split, limit=options.limit)
    console = Console()
    figures = measure(folders, seed=options.seed, console=console)
    show(figures, f"{options.data.name}/{options.split}", console)
    if options.json is not None:
        told = figures | {
            "data": str(options.data),
            "split": options.split,
            "limit": options.limit,
            "seed": options.seed,
        }
        write_bytes(options.json, (json.dumps(told, indent=1) + "\n").encode())


def measure(folders: list[Path], *, seed: int, console: Console) -> dict[str, Any]:
    """All figures, as they stand in the JSON."""
    from syncmv4d_model.evaluation.data_facts import bytes_by_kind
    from syncmv4d_model.evaluation.leak import KNOWN, RAYS, measure_leak

    read = read_all(folders, console)
    leaks = [measure_leak(read.scenes, known, rays, seed=seed) for rays in RAYS for known in KNOWN]
    weights = bytes_by_kind(folders)
    return {
        "sequences": len(folders),
        "scenes_with_tool_and_target": len(read.scenes),
        "leak": [asdict(leak) for leak in leaks],
        "text_mean_over_static": text_rows(read.tracks, seed=seed),
        "bytes_a_sequence": {kind: round(size / len(folders)) for kind, size in sorted(weights.items())},
        "by_tag": dict(sorted(read.tags.items())),
        "by_views": {str(views): count for views, count in sorted(read.views.items())},
        "mm_a_pixel": {"windows": _spread(read.window_mm), "whole_images": _spread(read.image_mm)},
    }


def read_all(folders: list[Path], console: Console) -> Read:
    """One sequence after the other, without its pictures."""
    from syncmv4d_model.data.rig import RIG_FILE, read_rig
    from syncmv4d_model.data.sequence import read_sequence
    from syncmv4d_model.evaluation.data_facts import millimetres_per_pixel, thin_points, without_pictures
    from syncmv4d_model.evaluation.leak import read_scene

    read = Read([], [], [], [], Counter(), Counter())
    for folder in track(folders, "sequences", transient=True, console=console):
        sequence, rig = read_sequence(folder, with_video=False), read_rig(folder / RIG_FILE)
        scene = read_scene(sequence, rig.sizes, rig.intrinsics)
        read.scenes.extend([scene] if scene is not None else [])
        read.tracks.append(without_pictures(thin_points(sequence, TEXT_POINTS)))
        read.window_mm.extend(millimetres_per_pixel(sequence, sequence.intrinsics).tolist())
        read.image_mm.extend(millimetres_per_pixel(sequence, rig.intrinsics).tolist())
        read.tags.update(sequence.tags)
        read.views[len(sequence.view_names)] += 1
    return read


def text_rows(tracks: list[Sequence], *, seed: int) -> dict[str, dict[str, float | int]]:
    """The text mean, cross-validated, on closed scenes (where none is tagged so: on all): along the
    world's axes, and the first camera's.
    """
    from syncmv4d_model.evaluation.data_facts import text_mean_ratio
    from syncmv4d_model.evaluation.leak import FOLDS, in_first_camera

    closed = [sequence for sequence in tracks if CLOSED in sequence.tags] or tracks
    order = np.random.default_rng(seed).permutation(len(closed)) % FOLDS
    folds = {sequence.name: int(fold) for sequence, fold in zip(closed, order, strict=True)}
    in_axes = {"world": closed, "first camera": [in_first_camera(sequence) for sequence in closed]}
    rows = {axes: text_mean_ratio(sequences, folds) for axes, sequences in in_axes.items()}
    return {axes: {"ratio": ratio, "scenes": count} for axes, (ratio, count) in rows.items()}


def _spread(values: list[float]) -> dict[str, float]:
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    return {"median": float(middle), "low_5": float(low), "high_95": float(high)}


def show(figures: dict[str, Any], title: str, console: Console) -> None:
    """The tables on the terminal."""
    from syncmv4d_model.evaluation.leak import KNOWN, RAYS

    table = Table(
        title=f"{title}: the tool's mean motion, explained by frame 0 and by rays",
        caption="rays through the centres of; beside the places at frame 0 of; leak: what rays explain of what frame 0 leaves",
        caption_justify="left",
    )
    for heading in ("rays", "beside", "R2", "+ rays", "alone", "leak", "95 %"):
        table.add_column(heading, justify="left" if heading in ("rays", "beside") else "right", no_wrap=True)
    for leak in figures["leak"]:
        shown = [f"{leak[name]:.3f}" for name in ("r2_known", "r2_with_rays", "r2_rays_alone")]
        low, high = leak["interval"]
        between = f"{100 * low:.1f} .. {100 * high:.1f}"
        table.add_row(RAYS[leak["rays"]], KNOWN[leak["known"]], *shown, f"{100 * leak['leak']:.1f} %", between)
    console.print(table)
    for axes, row in figures["text_mean_over_static"].items():
        console.print(f"text mean over static, {axes} axes: {row['ratio']:.3f} ({row['scenes']} scenes)")
    weights = figures["bytes_a_sequence"]
    console.print(
        f"bytes a sequence: {sum(weights.values()):,} = "
        + ", ".join(f"{kind} {size:,}" for kind, size in weights.items())
    )
    kinds = ", ".join(f"{tag} {count}" for tag, count in figures["by_tag"].items()) or "none"
    views = ", ".join(f"{views} {count}" for views, count in figures["by_views"].items())
    console.print(f"{figures['sequences']} sequences; by tag: {kinds}; by number of views: {views}")
    for name, row in figures["mm_a_pixel"].items():
        pictures = name.replace("_", " ")
        console.print(
            f"mm a pixel, {pictures}: median {row['median']:.1f}, 5 % {row['low_5']:.1f}, 95 % {row['high_95']:.1f}"
        )
