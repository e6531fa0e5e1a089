"""`syncmv4d bench finder`: how well windows are chosen by a checkpoint's finder, and how long it takes."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from syncmv4d_cli.least import check_least
from syncmv4d_model.data.window import OBJECTS, ROOM

if TYPE_CHECKING:
    from syncmv4d_model.data.first_images import FirstImages
    from syncmv4d_model.data.window import FoundObjects


MOST_SIDE = 2.0  # of a window over the tightest square: larger ones waste the networks' pixels


@dataclass(frozen=True)
class BenchFinder:
    """Score the windows that a finder chooses in first images, and time it on one core. No truth is used in choosing."""

    data: Path
    """Data set folder, with first images or whole sequences."""
    split: tuple[str, ...] = ("test_1",)
    """Splits; a row for each."""
    checkpoint: Path | None = None
    """Checkpoint with a finder, or a finder's own folder (default: the bundled nano)."""
    room: tuple[float, ...] = (ROOM,)
    """Side of the window divided by that of the tightest square around the found boxes; one result column per value."""
    limit: int | None = None
    """Score the first so many sequences of a split only."""
    json: Path | None = None
    """Also write the figures here."""


@dataclass(frozen=True)
class Looked:
    """A sequence and what the finder said of it."""

    first: FirstImages
    found: FoundObjects
    seconds: float  # a view


def bench_finder(options: BenchFinder) -> None:
    """Print the table and write the JSON. ValueError for a checkpoint without a finder, and for data without boxes."""
    from syncmv4d_model.checkpoint_index import BUNDLED_NANO
    from syncmv4d_model.data.atomic import check_writable, write_bytes
    from syncmv4d_model.finder_files import CheckpointFinder

    check_least(options, {"limit": 1})
    if not options.split or not options.room or min(options.room) < 1:
        raise ValueError("--split and --room need at least one value, and a room is at least 1")
    if options.json is not None:
        check_writable(options.json)
    find = CheckpointFinder(options.checkpoint or BUNDLED_NANO)
    rows = []
    for split in options.split:
        looked = list(_look(options, split, find))
        rows += [{"split": split, "room": room} | score(looked, room) for room in options.room]
    _show(rows)
    if options.json is not None:
        write_bytes(options.json, (json.dumps(rows, indent=1) + "\n").encode())


def _look(options: BenchFinder, split: str, find) -> Iterator[Looked]:
    from syncmv4d_model.data.first_images import read_first_images
    from syncmv4d_model.data.sequence import list_sequences

    paths = list_sequences(options.data, split, limit=options.limit)
    with _one_core():
        for index, path in enumerate(track(paths, split, transient=True, console=Console())):
            first = read_first_images(path, with_masks=False)
            if not index:
                find(first.images, first.task)  # loads, and warms up
            started = time.perf_counter()
            found = find(first.images, first.task)
            yield Looked(first, found, (time.perf_counter() - started) / len(first.images))


@contextmanager
def _one_core() -> Iterator[None]:
    import torch
    from threadpoolctl import threadpool_limits

    before = torch.get_num_threads()
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


def score(looked: list[Looked], room: float) -> dict[str, float | None]:
    """The figures of a split at one room; None where there is nothing to count."""
    from syncmv4d_model.data.window import choose_windows
    from syncmv4d_model.evaluation.metrics import moving_points
    from syncmv4d_model.evaluation.metrics.windows import (
        holds_boxes,
        millimetres_per_pixel,
        share_inside,
        side_ratios,
    )

    held, ratios, scales = [], [], []
    inside = in_picture = 0
    for first, found in ((one.first, one.found) for one in looked):
        windows = choose_windows(found.boxes_px, first.sizes, room=room)
        held.append(holds_boxes(windows, first.boxes_px))
        ratios.append(side_ratios(windows, first.boxes_px))
        cameras = first.intrinsics, first.camera_from_world
        scales.append(millimetres_per_pixel(windows, *cameras, first.positions[:, 0]))
        moving = moving_points(first.positions)
        counted = share_inside(windows, np.array(first.sizes, float), *cameras, first.positions, moving)
        inside, in_picture = inside + counted[0], in_picture + counted[1]
    held, ratios = np.concatenate(held), np.concatenate(ratios)
    known = np.isfinite(ratios)
    figures = {
        "views": float(len(held)),
        "contained_percent": 100 * float(held[known].mean()) if known.any() else None,
        "side_ratio_median": float(np.median(ratios[known])) if known.any() else None,
        "side_ratio_90": float(np.quantile(ratios[known], 0.9)) if known.any() else None,
        "side_ratio_at_most_2_percent": 100 * float((ratios[known] <= MOST_SIDE).mean()) if known.any() else None,
        "points_inside_percent": 100 * inside / in_picture if in_picture else None,
        "mm_per_px_median": float(np.median(np.concatenate(scales))),
        "milliseconds_per_view": 1000 * float(np.median([one.seconds for one in looked])),
    }
    return figures | _recall(looked)


def _recall(looked: list[Looked]) -> dict[str, float | None]:
    """By object: how many of those that are seen were found, and of those that are not, how many were not."""
    seen = np.concatenate([np.isfinite(one.first.boxes_px).all(-1) for one in looked])
    found = np.concatenate([one.found.is_found for one in looked])
    figures: dict[str, float | None] = {}
    for index, name in enumerate(OBJECTS):
        for word, truth in (("found", seen[:, index]), ("absence_noticed", ~seen[:, index])):
            right = found[:, index] == seen[:, index]
            figures[f"{name}_{word}_percent"] = 100 * float(right[truth].mean()) if truth.any() else None
    return figures


def _show(rows: list[dict[str, object]]) -> None:
    """The table on the terminal: a column for each split and room."""
    table = Table(title="windows of the finder")
    table.add_column("figure")
    for row in rows:
        table.add_column(f"{row['split']}, room {row['room']:g}", justify="right")
    for name in list(rows[0])[2:]:
        values = [row[name] for row in rows]
        table.add_row(name.replace("_", " "), *("-" if value is None else f"{value:.4g}" for value in values))
    Console().print(table)
